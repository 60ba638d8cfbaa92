package config

import (
	"net/netip"
	"time"
)

// This file compares settings with each other: what can be seen without the
// system.

// igmp compares the times of IGMP.
func (c *checker) igmp() {
	i := &c.config.IGMP
	if i.QueryInterval > i.ResponseInterval {
		return
	}
	at, given := c.set["igmp-query-interval"]
	response, responseGiven := c.set["igmp-query-response-interval"]
	switch {
	case given && !responseGiven && i.QueryInterval > MinIGMPTime:
		// mrouted takes this, and the manual says that 10 is a fair interval.
		lowered := i.QueryInterval - time.Second
		c.warn(at, "expected igmp-query-interval to be longer than igmp-query-response-interval, found %s and %s (its default): %s is taken for the latter",
			decimal(i.QueryInterval), decimal(i.ResponseInterval), decimal(lowered))
		i.ResponseInterval = lowered
	case responseGiven && (!given || at.before(response)):
		c.fail(response, "expected igmp-query-response-interval to be shorter than igmp-query-interval, found %s and %s: lower it",
			decimal(i.ResponseInterval), decimal(i.QueryInterval))
	default:
		c.fail(at, "expected igmp-query-interval to be longer than igmp-query-response-interval, found %s and %s: raise it",
			decimal(i.QueryInterval), decimal(i.ResponseInterval))
	}
}

// links compares phyints and tunnels.
func (c *checker) links(statements []statement) {
	for i, t := range c.targets {
		c.times(t)
		if t.phyint != nil {
			c.phyint(t, c.targets[:i])
		} else {
			c.tunnel(t)
		}
		if l := t.link(); l.Threshold == MaxThreshold {
			c.warn(t.set["threshold"], "nothing is forwarded with threshold %d, since no TTL is greater: lower it", MaxThreshold)
		}
	}
	c.whole(statements)
}

// times compares the times of neighbours.
func (c *checker) times(t *target) {
	l := t.link()
	at := t.set["neighbor-timeout"]
	switch {
	case l.NeighborTimeout == 0:
	case l.ProbeInterval != 0 && l.NeighborTimeout <= l.ProbeInterval:
		c.fail(at, "expected neighbor-timeout to be longer than probe-interval, found %s and %s: three times as long bears the loss of two probes",
			decimal(l.NeighborTimeout), decimal(l.ProbeInterval))
	case l.ProbeInterval == 0 && l.NeighborTimeout <= MaxProbeInterval:
		c.warn(at, "neighbours that send probes every %s seconds, as mrouted does, are lost between two of them with neighbor-timeout %s: raise it, or set probe-interval on both ends",
			decimal(MaxProbeInterval), decimal(l.NeighborTimeout))
	}
}

// phyint checks a phyint with those before it.
func (c *checker) phyint(t *target, before []*target) {
	p := t.phyint
	if p.MaskBits != 0 && p.Interface.Addr.IsValid() && isEdge(netip.PrefixFrom(p.Interface.Addr, p.MaskBits)) {
		c.fail(t.set["netmask"], "expected a netmask with which %s is the address of a host, found %s", p.Interface, mask(p.MaskBits))
	}
	for _, o := range before {
		if o.phyint == nil {
			continue
		}
		for _, other := range networks(o.phyint) {
			for i, net := range p.AltNets {
				if net.Overlaps(other) {
					c.warn(t.altNets[i], "altnet %s is also on %s (line %d), as %s: its hosts are on one link only", net, o.phyint.Interface, o.at.line, other)
				}
			}
		}
	}
	if _, said := t.set["enable or disable"]; !said && !p.Enabled {
		c.warn(t.at, "phyint %s stays disabled because of no phyint: add enable, or disable if that is meant", p.Interface)
	}
	if p.Enabled {
		slot := "a version of IGMP"
		response := c.config.IGMP.ResponseInterval
		switch {
		case p.IGMP == IGMPv2 && response > maxIGMPv2Response:
			c.warn(t.set[slot], "a query of IGMPv2 carries at most %s seconds, igmp-query-response-interval is %s: lower that, or use igmpv3",
				decimal(maxIGMPv2Response), decimal(response))
		case p.IGMP == IGMPv1 && response != igmpv1Response:
			c.warn(t.set[slot], "hosts answer a query of IGMPv1 within %s seconds, whatever igmp-query-response-interval says", decimal(igmpv1Response))
		}
	}
}

// networks are those that the file says are on the link of a phyint.
func networks(p *Phyint) []netip.Prefix {
	nets := append([]netip.Prefix(nil), p.AltNets...)
	if p.MaskBits != 0 && p.Interface.Addr.IsValid() {
		nets = append(nets, netip.PrefixFrom(p.Interface.Addr, p.MaskBits).Masked())
	}
	return nets
}

// isEdge reports whether an address is that of its network or everybody's there.
func isEdge(p netip.Prefix) bool {
	if p.Bits() >= addressBits-1 {
		return false
	}
	a, m := p.Addr().As4(), mask(p.Bits()).As4()
	zeros, ones := true, true
	for i := range a {
		host := a[i] &^ m[i]
		zeros = zeros && host == 0
		ones = ones && host == ^m[i]
	}
	return zeros || ones
}

// tunnel checks the ends of a tunnel.
func (c *checker) tunnel(t *target) {
	for _, o := range c.targets {
		name := ""
		if o.phyint != nil {
			name = o.phyint.Interface.Name
		} else if o.at.before(t.at) {
			name = o.tunnel.Device
		}
		if device := t.tunnel.Device; device != "" && device == name {
			c.fail(t.set["device"], "expected a device that is for this tunnel only, found %s, which is in line %d, too", device, o.at.line)
			return
		}
	}
	remote := t.tunnel.Remote.Addr
	if !remote.IsValid() {
		return
	}
	for _, o := range c.targets {
		var local Interface
		if o.tunnel != nil {
			local = o.tunnel.Local
		} else {
			local = o.phyint.Interface
		}
		if local.Addr == remote {
			c.fail(t.remote, "expected the address of another router, found %s, which is one of this host (line %d)", remote, o.at.line)
			return
		}
		if o.phyint == nil {
			continue
		}
		for _, net := range networks(o.phyint) {
			if net.Contains(remote) {
				c.fail(t.remote, "expected a router that is on no link of this host, found %s, which is in %s on %s (line %d): it needs no tunnel",
					remote, net, o.phyint.Interface, o.at.line)
				return
			}
		}
	}
}

// whole checks what only all statements together show.
func (c *checker) whole(statements []statement) {
	var transit []place // of notransit
	enabled := c.config.AllInterfaces
	for _, t := range c.targets {
		if t.link().NoTransit {
			transit = append(transit, t.set["notransit"])
		}
		enabled = enabled || t.phyint != nil && t.phyint.Enabled
	}
	if len(transit) == 1 {
		c.warn(transit[0], "notransit on one link only has no effect: add it to the others that it is meant for, or remove it")
	}
	at, given := c.set["no phyint"]
	switch {
	case !given:
	case !enabled && len(c.config.Tunnels) == 0:
		c.warn(at, "nothing is used, since there is a no phyint and no phyint is enabled: add phyint INTERFACE enable")
	case !enabled:
		c.warn(at, "all links are tunnels, since there is a no phyint and no phyint is enabled: add phyint INTERFACE enable for links with members")
	}
	for _, s := range statements {
		if s.key.Name == "phyint" && given && s.at.before(at) {
			c.warn(at, "no phyint holds for the whole file here; mrouted would also disable the phyint in line %d: put it first", s.at.line)
			break
		}
	}
}
