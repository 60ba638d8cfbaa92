package dvmrp

import (
	"cmp"
	"net/netip"
	"reflect"
	"slices"
	"time"

	"mbone/internal/router/host"
	"mbone/internal/router/timer"
	"mbone/proto/dvmrp"
)

// link is a link of the router with its neighbours.
type link struct {
	host.Link
	neighbors []*neighbor // all that were heard, by address
	peers     int         // how many of them are peers

	probe timer.Timer
	// probed is when the last probe was sent; it is before any time if none was.
	probed time.Duration
	// greet is whether the whole table follows the next probe.
	greet bool

	cases
	outbox
	wake    timer.Timer // for the outbox
	blasted [][]byte    // reports that wait, and who sent them
	blaster []netip.Addr
	// blastedBytes is how long the reports are that wait.
	blastedBytes int

	// same are other links that have a network in common with this one.
	same  []*link
	lines [linkLogs]seldom
}

// isUsable reports whether packets can pass, and shall.
func (l *link) isUsable() bool { return l.Enabled && l.Up && l.Address.IsValid() }

// speaks reports whether there may be neighbours.
func (l *link) speaks() bool { return l.isUsable() && !l.ForceLeaf }

// find returns where the neighbour of an address is, or would be.
func (l *link) find(addr netip.Addr) (int, bool) {
	return slices.BinarySearchFunc(l.neighbors, addr, func(n *neighbor, addr netip.Addr) int {
		return n.addr.Compare(addr)
	})
}

// neighbor returns the neighbour of an address, nil if nobody was heard.
func (l *link) neighbor(addr netip.Addr) *neighbor {
	if i, ok := l.find(addr); ok {
		return l.neighbors[i]
	}
	return nil
}

// peer returns the peer of an address, nil if there is none.
func (l *link) peer(addr netip.Addr) *neighbor {
	if n := l.neighbor(addr); n != nil && n.isPeer() {
		return n
	}
	return nil
}

// linkOf returns a link, nil if it is not known.
func (p *Protocol) linkOf(id host.Interface) *link {
	if i, ok := p.findLink(id); ok {
		return p.links[i]
	}
	return nil
}

func (p *Protocol) findLink(id host.Interface) (int, bool) {
	return slices.BinarySearchFunc(p.links, id, func(l *link, id host.Interface) int {
		return cmp.Compare(l.ID, id)
	})
}

// tunnel returns the tunnel between two addresses, nil if there is none: what goes
// beside a tunnel arrives on another link.
func (p *Protocol) tunnel(local, remote netip.Addr) *link {
	for _, l := range p.links {
		if l.IsTunnel() && l.Remote == remote && l.Address == local {
			return l
		}
	}
	return nil
}

// SetLink takes a new link or a new state of one.
func (p *Protocol) SetLink(now time.Duration, to *host.Link) {
	p.now = now
	if p.ended {
		return
	}
	i, ok := p.findLink(to.ID)
	if !ok {
		p.links = slices.Insert(p.links, i, p.newLink(to.ID))
	}
	l := p.links[i]
	old := l.Link
	spoke := l.speaks()
	if reflect.DeepEqual(old, *to) {
		return
	}
	l.Link = *to
	l.Networks = slices.Clone(to.Networks)
	l.Filter.Routes = slices.Clone(to.Filter.Routes)

	for _, n := range slices.Clone(l.neighbors) {
		if !l.speaks() || old.Address != l.Address || !l.Has(n.addr) {
			p.lose(n, "link changed")
			p.review.happened(l, affair{host: true})
		}
	}
	if !reflect.DeepEqual(old.Networks, l.Networks) {
		p.compareNetworks()
	}
	p.connectNetworks(l, &old)
	if !l.speaks() {
		p.env.Timers.Stop(&l.probe)
		p.env.Timers.Stop(&l.wake)
		l.blasted, l.blaster, l.blastedBytes = nil, nil, 0
		return
	}
	if !spoke || old.Address != l.Address {
		l.probed = now - minProbeGap
	}
	p.requestProbe(l)
	if l.routesOtherwise(&old) {
		p.review.happened(l, affair{settings: true, host: true})
		for _, other := range p.links {
			if other == l || l.NoTransit != old.NoTransit {
				p.tellAll(other)
			}
		}
	}
}

// routesOtherwise reports whether what is told on the link, and what its
// neighbours' reports are worth, may be something else than before.
func (l *link) routesOtherwise(old *host.Link) bool {
	return l.peers > 0 && (l.Metric != old.Metric || l.AdvertMetric != old.AdvertMetric ||
		l.NoTransit != old.NoTransit || l.NoFlood != old.NoFlood || !reflect.DeepEqual(l.Filter, old.Filter))
}

func (p *Protocol) newLink(id host.Interface) *link {
	l := &link{}
	l.ID = id
	l.probe.Fire = func(now time.Duration) {
		p.now = now
		p.sendProbe(l)
	}
	l.wake.Fire = func(time.Duration) {} // Work does it
	return l
}

// RemoveLink forgets a link.
func (p *Protocol) RemoveLink(now time.Duration, id host.Interface) {
	p.now = now
	l := p.linkOf(id)
	if l == nil {
		return
	}
	gone := l.Link
	gone.Enabled, gone.Up, gone.Networks = false, false, nil
	p.SetLink(now, &gone)
	i, _ := p.findLink(id)
	p.links = slices.Delete(p.links, i, i+1)
	if l.next != (affair{}) {
		p.review.whole(&p.table) // of its neighbours nothing may be left
	}
}

// connectNetworks makes the networks of a link routes, and no more those that it
// had before and has not now.
func (p *Protocol) connectNetworks(l *link, old *host.Link) {
	for _, networks := range [...][]host.Network{old.Networks, l.Networks} {
		for _, n := range networks {
			p.connect(n.Prefix.Masked())
		}
	}
}

// connect sees to a network that is, or was, on a link.
func (p *Protocol) connect(net netip.Prefix) {
	var own *link
	for _, l := range p.links {
		if l.has(net) && (own == nil || l.Metric < own.Metric) {
			own = l
		}
	}
	r := p.table.get(net)
	if r == nil {
		if own == nil || !isNetwork(net) {
			return
		}
		r = p.newRoute(net)
	}
	r.own = own
	p.choose(r)
}

// has reports whether a network is on the link.
func (l *link) has(net netip.Prefix) bool {
	if !l.isUsable() {
		return false
	}
	return slices.ContainsFunc(l.Networks, func(n host.Network) bool { return n.Prefix.Masked() == net })
}

// newRoute puts a route into the table that is not reachable yet.
func (p *Protocol) newRoute(net netip.Prefix) *route {
	r := &route{prefix: net, metric: dvmrp.Infinity, since: p.now}
	p.table.add(r)
	return r
}
