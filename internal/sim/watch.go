package sim

import (
	"math"
	"time"
)

// While a network is watched, every packet of every flow is counted: for each link how
// often it was carried, for each host how often it came.

// spread is how long packets may be under way.
const spread = 2 * time.Second

// counted notes p in counts.
func counted(counts []uint8, p *packet) []uint8 {
	if p.seq <= p.flow.from {
		return counts
	}
	i := int(p.seq - p.flow.from - 1)
	for len(counts) <= i {
		counts = append(counts, 0)
	}
	if counts[i] < math.MaxUint8 {
		counts[i]++
	}
	return counts
}

// note notes that a link was given a packet to carry.
func (l *Link) note(p *packet) {
	if !l.net.watched || p.flow == nil {
		return
	}
	if l.carried == nil {
		l.carried = make(map[*Flow][]uint8)
	}
	l.carried[p.flow] = counted(l.carried[p.flow], p)
}

// Measure runs the network for a time, and holds it to what is true of a quiet one:
// every member that can be reached gets every packet of every flow, once; every link
// carries it once at most; and no link does that leads to no member. Silent links,
// and those that lose or duplicate packets, must not be there. Routers are held to
// their bounds.
func (n *Network) Measure(d time.Duration) {
	n.watched = true
	for _, f := range n.flows {
		f.from = f.seq
	}
	n.Run(d)
	sent := make([]uint32, len(n.flows))
	for i, f := range n.flows {
		sent[i] = f.seq - f.from
	}
	n.Run(spread)
	n.CheckBounds()
	for i, f := range n.flows {
		if sent[i] > 0 {
			n.checkMembers(f, int(sent[i]))
			n.checkLinks(f, int(sent[i]))
		}
	}
	n.watched = false
	for _, h := range n.hosts {
		for i := range h.got {
			h.got[i].seen = nil
		}
	}
	for _, l := range n.links {
		l.carried = nil
	}
}

// summary counts the packets that came not at all, and more than once.
func summary(counts []uint8, sent int) (missing, twice int) {
	for i := range sent {
		switch {
		case i >= len(counts) || counts[i] == 0:
			missing++
		case counts[i] > 1:
			twice++
		}
	}
	return missing, twice
}

// checkMembers holds that members get every packet once.
func (n *Network) checkMembers(f *Flow, sent int) {
	reached := n.reached(f)
	for _, h := range n.hosts {
		if h == f.host || !h.Wants(f.host.end.addr, f.group) {
			continue
		}
		h.got = grown(h.got, f.number)
		missing, twice := summary(h.got[f.number].seen, sent)
		if missing > 0 && reached[h.end.link] {
			n.fail("member %v on %v got %d of %d packets of %v", h, h.end.link, sent-missing, sent, f)
		}
		if twice > 0 {
			n.fail("member %v on %v got %d of %d packets of %v twice or more", h, h.end.link, twice, sent, f)
		}
	}
}

// reached returns the links that packets of f can get to.
func (n *Network) reached(f *Flow) map[*Link]bool {
	links := map[*Link]bool{f.host.end.link: true}
	for _, e := range f.host.end.link.ends {
		r, ok := e.node.(*Router)
		if !ok || !r.Running() || !e.link.works(f.host.end, e) {
			continue
		}
		for r := range n.connected(r) {
			for _, e := range r.ends {
				if e.isUp() && !e.link.Silent {
					links[e.link] = true
				}
			}
		}
	}
	return links
}

// checkLinks holds that links carry no packet twice, and none without need.
func (n *Network) checkLinks(f *Flow, sent int) {
	for _, l := range n.links {
		missing, twice := summary(l.carried[f], sent)
		if twice > 0 {
			n.fail("%v carried %d of %d packets of %v twice or more", l, twice, sent, f)
		}
		if missing < sent && l != f.host.end.link && !n.needs(l, f) {
			n.fail("%v carried %d of %d packets of %v that nobody needs there", l, sent-missing, sent, f)
		}
	}
}

// needs reports whether there is a member of f on a link, or a router that forwards
// what it gets there.
func (n *Network) needs(l *Link, f *Flow) bool {
	for _, e := range l.ends {
		switch v := e.node.(type) {
		case *Host:
			if v.Wants(f.host.end.addr, f.group) {
				return true
			}
		case *Router:
			if k := v.kernel.entries[f.key]; k != nil && k.in == e && len(k.outputs) > 0 {
				return true
			}
		}
	}
	return false
}
