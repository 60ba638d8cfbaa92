package dvmrp

import (
	"slices"

	"mbone/internal/router/host"
)

// Links with a network in common lead to the same LAN: packets that come from it on
// one of them are there already, and would go round for ever if they were sent back
// by another. So this router is not designated forwarder there, and offers no route
// there that leads there. mrouted ignores the second interface of a network
// altogether; here neighbours and members are heard on both.

// compareNetworks finds out which links lead to the same LAN.
func (p *Protocol) compareNetworks() {
	for _, l := range p.links {
		var same []*link
		for _, other := range p.links {
			if other != l && l.overlaps(other) {
				same = append(same, other)
			}
		}
		if slices.Equal(same, l.same) {
			continue
		}
		for _, other := range same {
			if l.ID > other.ID && !l.isOnLanOf(other) {
				p.env.Log.Interface.Warn("two interfaces are in one network: nothing is forwarded between them",
					"interface", l.Name, "other", other.Name)
			}
		}
		l.same = same
		p.review.happened(l, affair{settings: true, host: true})
		if l.peers > 0 {
			p.tellAll(l)
		}
	}
}

// overlaps reports whether two links have a network in common, or one that is within
// one of the other's.
func (l *link) overlaps(other *link) bool {
	return slices.ContainsFunc(l.Networks, func(a host.Network) bool {
		return slices.ContainsFunc(other.Networks, func(b host.Network) bool { return a.Prefix.Overlaps(b.Prefix) })
	})
}

// isOnLanOf reports whether l and another link, which may be nil, lead to the same
// LAN.
func (l *link) isOnLanOf(other *link) bool { return len(l.same) > 0 && slices.Contains(l.same, other) }
