package config

import (
	"net/netip"
	"slices"
	"strings"
	"time"
)

// This file has a case for every keyword that means something.

// assign sets a value if there is one.
func assign[T any](to *T, v T, ok bool) {
	if ok {
		*to = v
	}
}

// setting applies a setting for all.
func (c *checker) setting(s setting) {
	g := &c.config.Settings
	duration := func(to *time.Duration) {
		v, ok := c.seconds(s)
		assign(to, v, ok)
	}
	number := func(to *int) {
		v, ok := c.number(s)
		assign(to, int(v), ok)
	}
	switch s.key.Name {
	case "cache-lifetime":
		duration(&g.CacheLifetime)
	case "prune-lifetime":
		duration(&g.PruneLifetime)
	case "noflood":
		g.NoFlood = true
	case "rexmit-prunes":
		g.RexmitPrunes = switchOf(toggle(s))
	case "no router-alert":
		g.RouterAlert = false
	case "no phyint":
		g.AllInterfaces = false
	case "igmp-query-interval":
		duration(&g.IGMP.QueryInterval)
	case "igmp-query-response-interval":
		duration(&g.IGMP.ResponseInterval)
	case "igmp-query-last-member-interval":
		duration(&g.IGMP.LastMemberInterval)
	case "igmp-robustness":
		number(&g.IGMP.Robustness)
	case "router-timeout":
		duration(&g.IGMP.RouterTimeout)
	case "respond-to":
		c.respondTo(s)
	case "mtrace-response-group":
		c.mtraceResponseGroup(s)
	case "max-routes":
		number(&g.Limits.Routes)
	case "max-neighbors":
		number(&g.Limits.Neighbors)
	case "max-groups":
		number(&g.Limits.Groups)
	case "max-sources":
		number(&g.Limits.Sources)
	case "max-entries":
		number(&g.Limits.Entries)
	case "max-prunes":
		number(&g.Limits.Prunes)
	case "name":
		c.name(s)
	default:
		panic("config: no code for the setting " + s.key.Name)
	}
}

// option applies an option of a phyint or tunnel.
func (c *checker) option(s setting, t *target) {
	l := t.link()
	switch s.key.Name {
	case "disable":
		t.phyint.Enabled = false
	case "enable":
		t.phyint.Enabled = true
	case "netmask":
		v, ok := c.maskBits(s)
		assign(&t.phyint.MaskBits, v, ok)
	case "altnet":
		if p, ok := c.subnet(s); ok && isNew(c, s, &t.phyint.AltNets, p) {
			t.altNets = append(t.altNets, s.args[0].place)
		}
	case "igmpv1":
		t.phyint.IGMP = IGMPv1
	case "igmpv2":
		t.phyint.IGMP = IGMPv2
	case "igmpv3":
		t.phyint.IGMP = IGMPv3
	case "static-group":
		if g, ok := c.group(s); ok {
			if localGroups.Contains(g) {
				c.warn(s.args[0].place, "groups in %s such as %s are never forwarded: remove it", localGroups, g)
			}
			isNew(c, s, &t.phyint.StaticGroups, g)
		}
	case "join-group":
		if g, ok := c.group(s); ok {
			isNew(c, s, &t.phyint.JoinGroups, g)
		}
	case "force-leaf":
		t.phyint.ForceLeaf = true
	case "beside":
		t.tunnel.Beside = toggle(s)
	case "device":
		if w := s.args[0]; badInterface(w.text) != "" {
			c.expected(description(s.key), s.key, w, badInterface(w.text))
		} else {
			t.tunnel.Device = w.text
		}
	case "metric":
		v, ok := c.number(s)
		assign(&l.Metric, uint8(v), ok)
	case "advert-metric":
		v, ok := c.number(s)
		assign(&l.AdvertMetric, uint8(v), ok)
	case "threshold":
		v, ok := c.number(s)
		assign(&l.Threshold, uint8(v), ok)
	case "rate-limit":
		v, ok := c.number(s)
		assign(&l.RateLimit, Kbps(v), ok)
	case "boundary":
		c.boundary(s, l)
	case "passive":
		l.Passive = true
	case "noflood":
		l.NoFlood = true
	case "prune-lifetime":
		v, ok := c.seconds(s)
		assign(&l.PruneLifetime, v, ok)
	case "rexmit-prunes":
		l.RexmitPrunes = switchOf(toggle(s))
	case "allow-nonpruners":
		l.AllowNonpruners = true
	case "notransit":
		l.NoTransit = true
	case "blaster":
		l.Blaster = true
	case "accept":
		c.filter(s, t, Accept)
	case "deny":
		c.filter(s, t, Deny)
	case "probe-interval":
		v, ok := c.seconds(s)
		assign(&l.ProbeInterval, v, ok)
	case "neighbor-timeout":
		v, ok := c.seconds(s)
		assign(&l.NeighborTimeout, v, ok)
	default:
		panic("config: no code for the option " + s.key.Name)
	}
}

func switchOf(on bool) Switch {
	if on {
		return On
	}
	return Off
}

// isNew appends a value to a list unless it is there.
func isNew[T comparable](c *checker, s setting, list *[]T, v T) bool {
	if slices.Contains(*list, v) {
		c.warn(s.args[0].place, "%s %v is there already: remove it", s.key.Name, v)
		return false
	}
	*list = append(*list, v)
	return true
}

// respondTo says who gets answers.
func (c *checker) respondTo(s setting) {
	asking := Asking{}
	for _, w := range s.args {
		if w.bare(wordAny) || w.bare(wordNone) {
			if len(s.args) > 1 {
				c.fail(w.place, "%s stands alone after respond-to, found %d words: remove it or the others", w.text, len(s.args))
				return
			}
			if w.text == wordAny {
				asking.Classes = AskAny
			}
			continue
		}
		if class := askerClass(w); class != 0 {
			if asking.Classes&class != 0 {
				c.warn(w.place, "%s is there already: remove it", w.text)
			}
			asking.Classes |= class
			continue
		}
		p, ok := c.network(s.key, w)
		if !ok {
			return
		}
		if slices.Contains(asking.Networks, p) {
			c.warn(w.place, "%s is there already: remove it", p)
			continue
		}
		asking.Networks = append(asking.Networks, p)
	}
	c.config.RespondTo = asking
}

func askerClass(w word) AskerClass {
	for _, a := range askerWords {
		if w.bare(a.word) {
			return a.class
		}
	}
	return 0
}

// mtraceResponseGroup allows answers to a group.
func (c *checker) mtraceResponseGroup(s setting) {
	g, ok := c.group(s)
	switch {
	case !ok:
	case localGroups.Contains(g):
		c.expected("a group that is not in "+localGroups.String(), s.key, s.args[0], "protocols of routers have those")
	case g == mtraceReplies:
		c.warn(s.args[0].place, "answers may always be sent to %s: remove it", g)
	default:
		isNew(c, s, &c.config.MtraceResponseGroups, g)
	}
}

// name names a boundary.
func (c *checker) name(s setting) {
	w := s.args[0]
	if !c.boundaryName(s.key, w) {
		return
	}
	groups, ok := c.scope(s.key, s.args[1])
	before, known := c.names[w.text]
	switch {
	case known && ok && before.groups == groups:
		c.warn(w.place, "boundary %s has this name since line %d: remove it", w.text, before.line)
	case known:
		c.fail(w.place, "boundary %s is %s since line %d: expected another name", w.text, before.groups, before.line)
	default:
		// A boundary whose network is wrong is known all the same, so that this is
		// told only once.
		c.names[w.text] = namedBoundary{groups, w.place}
		if ok {
			c.config.Boundaries = append(c.config.Boundaries, Boundary{w.text, groups})
		}
	}
}

// boundary keeps groups from crossing a link.
func (c *checker) boundary(s setting, l *Link) {
	w := s.args[0]
	b := Boundary{}
	if strings.Contains(w.text, "/") || isNumeric(w.text) {
		groups, ok := c.scope(s.key, w)
		if !ok {
			return
		}
		b.Groups = groups
	} else {
		named, known := c.names[w.text]
		if !known {
			c.expected(description(s.key), s.key, w, c.nearestName(w.text))
			return
		}
		if !named.groups.IsValid() {
			return
		}
		b = Boundary{w.text, named.groups}
	}
	if slices.ContainsFunc(l.Boundaries, func(o Boundary) bool { return o.Groups == b.Groups }) {
		c.warn(w.place, "boundary %s is there already: remove it", w.text)
		return
	}
	l.Boundaries = append(l.Boundaries, b)
}

// nearestName says what boundary may be meant.
func (c *checker) nearestName(text string) string {
	for _, b := range c.config.Boundaries {
		if len(text) <= maxBoundary && distance(text, b.Name) <= max(1, len(text)/3) {
			return "did you mean " + b.Name + "?"
		}
	}
	return "add name " + shortened(text) + " with its network"
}

// filter adds routes to the filter of a link.
func (c *checker) filter(s setting, t *target, action FilterAction) {
	f := &t.link().Filter
	if f.Action != AcceptAll && f.Action != action {
		c.fail(s.at.place, "expected %s alone, found %s too: a phyint or tunnel has one of the two", f.Action, action)
		return
	}
	f.Action = action
	for i := 0; i < len(s.args); i++ {
		w := s.args[i]
		if w.bare(wordBidir) && i > 0 {
			if i+1 < len(s.args) {
				c.fail(s.args[i+1].place, "expected the next option after bidir, found %s: bidir comes last", quote(s.args[i+1].text))
				return
			}
			f.Bidir = true
			return
		}
		r := FilterRoute{Network: netip.PrefixFrom(netip.IPv4Unspecified(), 0)}
		if !w.bare(wordDefault) {
			p, ok := c.network(s.key, w)
			if !ok {
				return
			}
			r.Network = p
		}
		if i+1 < len(s.args) && s.args[i+1].bare(wordExact) {
			r.Exact = true
			i++
		}
		switch {
		case w.bare(wordDefault) && !r.Exact:
			c.warn(w.place, "default without exact means every route: write default exact if only the default route is meant, 0/0 if not")
		case r.Network.Bits() > 0 && !isUnicast(r.Network.Addr()) && !thisNetwork.Contains(r.Network.Addr()):
			c.warn(w.place, "there are no routes to %s, which is no network of hosts: remove it", r.Network)
		}
		if slices.Contains(f.Routes, r) {
			c.warn(w.place, "%s is there already: remove it", w.text)
			continue
		}
		f.Routes = append(f.Routes, r)
	}
}
