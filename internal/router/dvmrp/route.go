package dvmrp

import (
	"iter"
	"net/netip"
	"slices"
	"time"

	"mbone/internal/router/mfc"
	"mbone/proto/dvmrp"
)

// route is a network and how it is reached.
type route struct {
	prefix  netip.Prefix
	parent  *link     // where its packets come in
	gateway *neighbor // nil: it is on the link
	metric  uint8     // 1 to dvmrp.Infinity
	// floor is the metric before the way got worse while the route is held, else 0.
	floor uint8
	// young is whether it is reachable for so short a time that not everybody can
	// have said whether he depends on this router.
	young bool
	// since is when it became reachable, or ceased to be.
	since time.Duration
	// reports has what each neighbour said last, by [neighbor.order].
	reports []report
	// own is the link that the network is on, nil if it is on none.
	own *link
	// place is where the route stands in the table, change the number of its last
	// change.
	place  int
	change uint64
}

// report is what a neighbour said last of a route.
type report struct {
	by     *neighbor
	heard  time.Duration
	metric uint8 // as it came, 1 to 63
}

// isReachable reports whether there is a way to the network.
func (r *route) isReachable() bool {
	return r.metric < dvmrp.Infinity && (r.gateway == nil || !r.gateway.gone)
}

// incoming returns where the packets of a reachable route come from.
func (r *route) incoming() mfc.Route {
	in := mfc.Route{Net: r.prefix, In: r.parent.ID}
	if r.gateway != nil {
		in.Gateway = r.gateway.addr
	}
	return in
}

// find returns where the report of n is, or would be.
func (r *route) find(n *neighbor) (int, bool) {
	// Most routes have very few.
	if len(r.reports) <= 8 {
		for i := range r.reports {
			if r.reports[i].by.order >= n.order {
				return i, r.reports[i].by == n
			}
		}
		return len(r.reports), false
	}
	return slices.BinarySearchFunc(r.reports, n.order, func(k report, order uint64) int {
		switch {
		case k.by.order < order:
			return -1
		case k.by.order > order:
			return 1
		}
		return 0
	})
}

// cost returns the metric of the route by way of k, at most dvmrp.Infinity: that is
// if it is no way.
func (r *route) cost(k *report) uint8 {
	l := k.by.link
	if k.metric >= dvmrp.Infinity || !k.by.isPeer() || !accepts(&l.Filter, r.prefix) {
		return dvmrp.Infinity
	}
	return min(k.metric+l.Metric, dvmrp.Infinity)
}

// forwarder reports whether this router is the designated forwarder of r on l:
// never on the LAN of the parent link, or if r is not reachable. It is the router that says
// the lowest metric there, and of those the one with the lowest address.
func (r *route) forwarder(l *link) bool {
	if l == r.parent || !l.isUsable() || !r.isReachable() || l.isOnLanOf(r.parent) {
		return false
	}
	return r.dominant(l) == nil
}

// dominant returns the neighbour on l, not the parent link, that is designated
// forwarder instead of this router, nil if there is none.
func (r *route) dominant(l *link) *neighbor {
	if len(l.neighbors) == 0 {
		return nil
	}
	var best *neighbor
	metric, addr := r.said(l), l.Address
	for i := range r.reports {
		k := &r.reports[i]
		if k.by.link != l || !k.by.isPeer() || k.metric >= dvmrp.Infinity {
			continue
		}
		if k.metric < metric || k.metric == metric && k.by.addr.Less(addr) {
			best, metric, addr = k.by, k.metric, k.by.addr
		}
	}
	return best
}

// said returns what this router says of the cost of r on l, which is not the
// parent link.
func (r *route) said(l *link) uint8 {
	if r.parent != nil && r.parent.NoTransit && l.NoTransit && r.own == nil || l.isOnLanOf(r.parent) ||
		l.Filter.Bidir && !accepts(&l.Filter, r.prefix) {
		return dvmrp.Infinity
	}
	return min(r.metric+l.AdvertMetric, dvmrp.Infinity)
}

// depends reports whether n, a peer on a link where this router is forwarder,
// depends on it for r: because it said so, or because it had no time to say
// anything.
func (r *route) depends(n *neighbor) bool {
	if i, ok := r.find(n); ok {
		m := r.reports[i].metric
		return m > dvmrp.Infinity && m < 2*dvmrp.Infinity
	}
	return (n.young || r.young) && !n.link.NoFlood
}

// dependents returns the neighbours on l that depend on this router for r, by
// address: none unless it is the forwarder there.
func (r *route) dependents(l *link) iter.Seq[*neighbor] {
	return func(yield func(*neighbor) bool) {
		if len(l.neighbors) == 0 || !r.forwarder(l) {
			return
		}
		for _, n := range l.neighbors {
			if n.isPeer() && r.depends(n) && !yield(n) {
				return
			}
		}
	}
}
