package dvmrp

import (
	"net/netip"
	"time"

	"mbone/internal/router/host"
	"mbone/internal/router/mfc"
)

// TreeStats count prunes and grafts.
type TreeStats struct {
	// Received is how many prunes of neighbours are kept now; the rest is since the
	// start.
	Received int
	// PrunesTaken were received and kept, PrunesIgnored did not apply, and for
	// PrunesRefused there was no room.
	PrunesTaken, PrunesIgnored, PrunesRefused uint64
	// PrunesSent and GraftsSent count those too that were sent again.
	PrunesSent, GraftsSent uint64
	// GraftsReceived were acknowledged, all of them.
	GraftsReceived uint64
}

// TreeStats returns the counts.
func (p *Protocol) TreeStats() TreeStats { return p.trees.stats }

// Tree is what there is of prunes and grafts for an entry, as a value.
type Tree struct {
	// PruneSent is until when the prune runs that was sent to the upstream
	// neighbour, 0 if none does.
	PruneSent time.Duration
	// Grafting is whether a graft was sent upstream that is not acknowledged.
	Grafting bool
	// Prunes are those of neighbours, by link and address.
	Prunes []Pruned
}

// Pruned is a prune of a neighbour.
type Pruned struct {
	Link     host.Interface
	Neighbor netip.Addr
	Until    time.Duration
}

// Tree returns the prunes and grafts for an entry, the zero Tree if there are none.
func (p *Protocol) Tree(k mfc.Key) (v Tree) {
	e := p.cache.Lookup(k)
	if e == nil {
		return v
	}
	t := treeOf(e)
	if t == nil {
		return v
	}
	if k := t.sentTo(p.upstream(e)); k != nil && k.grafting {
		v.Grafting = true
	} else if k != nil && k.ends > p.now {
		v.PruneSent = k.ends
	}
	for _, k := range t.received {
		v.Prunes = append(v.Prunes, Pruned{k.with.link.ID, k.with.addr, k.until})
	}
	return v
}

// IsPruned reports whether routers on a link depend on this one for an entry, and
// all have pruned it.
func (p *Protocol) IsPruned(k mfc.Key, link host.Interface) bool {
	e, r, l := p.cache.Lookup(k), p.routeOf(k.Net), p.linkOf(link)
	if e == nil || r == nil || l == nil || p.Downstream(e, link) {
		return false
	}
	for range r.dependents(l) {
		return true
	}
	return false
}
