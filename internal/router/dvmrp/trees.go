package dvmrp

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"mbone/internal/router/host"
	"mbone/internal/router/mfc"
	"mbone/internal/router/timer"
	"mbone/proto/dvmrp"
)

// trees is the part of the protocol that is about sources and groups: prunes and
// grafts. Packets are flooded along the tree of a route to all who depend on it,
// and prunes cut what nobody wants.
type trees struct {
	p *Protocol
	// books has the prunes of each neighbour. It is never iterated over.
	books map[*neighbor]*book
	stats TreeStats
	alarm time.Duration // not before then, about the bound

	// Used again and again.
	prune dvmrp.Prune
	graft dvmrp.Graft
}

// book has the prunes that were received from a neighbour, and sent to it.
type book struct{ received, sent []*prune }

// tree is what there is of prunes for an entry. An entry without any has none.
type tree struct {
	entry    *mfc.Entry
	timer    timer.Timer
	received []*prune // by link and neighbour
	// sent are those that may still hold the packets back upstream: the one to the
	// upstream neighbour, and those to former ones.
	sent []*prune
	// again is when a graft is sent again, or from when on packets that come all
	// the same lead to another prune; 0: never. delay is what led to it.
	again, delay time.Duration
}

// prune is a prune that was received from a neighbour, or what was sent to one.
type prune struct {
	tree  *tree
	with  *neighbor
	until time.Duration
	// ends is when the last prune ends that was sent, and not taken back. It may not
	// have arrived, and so an earlier one be in force until later.
	ends     time.Duration
	place    int32 // in the book
	grafting bool  // it was taken back, and that was not acknowledged yet
}

// treeOf returns the tree of an entry, nil if it has none.
func treeOf(e *mfc.Entry) *tree {
	t, _ := e.Tree.(*tree)
	return t
}

// grow returns the tree of an entry, which it has from now on.
func (ts *trees) grow(e *mfc.Entry) *tree {
	t := treeOf(e)
	if t == nil {
		t = &tree{entry: e}
		t.timer.Fire = func(now time.Duration) { ts.fire(now, t) }
		e.Tree = t
	}
	return t
}

// settle sets the timer of t, and fells it if there is nothing left in it.
func (ts *trees) settle(now time.Duration, t *tree) {
	if len(t.received)+len(t.sent) == 0 {
		ts.p.env.Timers.Stop(&t.timer)
		t.entry.Tree = nil
		return
	}
	next := time.Duration(-1)
	if t.again > now {
		next = t.again
	}
	for _, list := range [...][]*prune{t.received, t.sent} {
		for _, k := range list {
			if next < 0 || k.until < next {
				next = k.until
			}
			if k.ends > now && k.ends < next {
				next = k.ends
			}
		}
	}
	ts.p.env.Timers.Set(&t.timer, next)
}

// find returns where the prune of a neighbour is among those received, or would
// be.
func (t *tree) find(n *neighbor) (int, bool) {
	return slices.BinarySearchFunc(t.received, n, func(k *prune, n *neighbor) int {
		return cmp.Or(cmp.Compare(k.with.link.ID, n.link.ID), k.with.addr.Compare(n.addr), cmp.Compare(k.with.order, n.order))
	})
}

// sentTo returns the prune that was sent to n, nil if none was.
func (t *tree) sentTo(n *neighbor) *prune {
	if t == nil || n == nil {
		return nil
	}
	for _, k := range t.sent {
		if k.with == n {
			return k
		}
	}
	return nil
}

// write puts a prune into the book of its neighbour, strike takes it out.
func (ts *trees) write(k *prune, side func(*book) *[]*prune) {
	b := ts.books[k.with]
	if b == nil {
		if ts.books == nil {
			ts.books = make(map[*neighbor]*book)
		}
		b = &book{}
		ts.books[k.with] = b
	}
	list := side(b)
	k.place = int32(len(*list))
	*list = append(*list, k)
}

func (ts *trees) strike(k *prune, side func(*book) *[]*prune) {
	b := ts.books[k.with]
	list := side(b)
	end := len(*list) - 1
	(*list)[k.place] = (*list)[end]
	(*list)[k.place].place = k.place
	(*list)[end] = nil
	*list = (*list)[:end]
	if len(b.received)+len(b.sent) == 0 {
		delete(ts.books, k.with)
	}
}

func receivedOf(b *book) *[]*prune { return &b.received }
func sentOf(b *book) *[]*prune     { return &b.sent }

// dropReceived takes away those received prunes of t that are over, and reports
// whether there were any.
func (ts *trees) dropReceived(t *tree, over func(*prune) bool) bool {
	n := len(t.received)
	t.received = slices.DeleteFunc(t.received, func(k *prune) bool {
		if !over(k) {
			return false
		}
		ts.strike(k, receivedOf)
		ts.stats.Received--
		return true
	})
	return len(t.received) < n
}

// dropSent takes away those sent prunes of t that are over, and reports whether
// there were any.
func (ts *trees) dropSent(t *tree, over func(*prune) bool) bool {
	n := len(t.sent)
	t.sent = slices.DeleteFunc(t.sent, func(k *prune) bool {
		if !over(k) {
			return false
		}
		ts.strike(k, sentOf)
		return true
	})
	return len(t.sent) < n
}

// upstream returns the neighbour that packets of e come from; nil if the source is
// on a link of this router, or the cache has not followed a change of the route yet.
func (p *Protocol) upstream(e *mfc.Entry) *neighbor {
	r := p.routeOf(e.Net)
	if r == nil || !r.isReachable() || r.gateway == nil || r.gateway.addr != e.Gateway || r.parent.ID != e.In {
		return nil
	}
	return r.gateway
}

// Route implements [mfc.Protocol].
func (p *Protocol) Route(net netip.Prefix) (mfc.Route, bool) {
	r := p.routeOf(net)
	if r == nil || !r.isReachable() {
		return mfc.Route{}, false
	}
	route := mfc.Route{Net: net, In: r.parent.ID}
	if r.gateway != nil {
		route.Gateway = r.gateway.addr
	}
	return route, true
}

// Downstream implements [mfc.Protocol].
func (p *Protocol) Downstream(e *mfc.Entry, link host.Interface) bool {
	r, l := p.routeOf(e.Net), p.linkOf(link)
	if r == nil || l == nil {
		return false
	}
	t := treeOf(e)
	for n := range r.dependents(l) {
		if t == nil {
			return true
		}
		if _, pruned := t.find(n); !pruned {
			return true
		}
	}
	return false
}

// NewFlow implements [mfc.Protocol]. A prune that was sent to this upstream
// neighbour before may still be in force there.
func (p *Protocol) NewFlow(now time.Duration, e *mfc.Entry) {
	t := treeOf(e)
	if t == nil {
		return
	}
	t.again, t.delay = now, 0 // what nobody wants is pruned anew
	// What was wanted is perhaps only wanted on what is the upstream link now.
	if e.IsWanted() && p.cache.IsStillWanted(e) {
		p.trees.graftUp(now, e)
	}
	p.trees.settle(now, t)
}

// OutputsEmpty implements [mfc.Protocol].
func (p *Protocol) OutputsEmpty(now time.Duration, e *mfc.Entry) {
	t, up := treeOf(e), p.upstream(e)
	k := t.sentTo(up)
	grafting := k != nil && k.grafting
	if grafting {
		// Whether it arrived is not known. It is not sent again.
		k.grafting, t.again = false, 0
		p.trees.settle(now, t)
	}
	if up != nil && (grafting || e.IsHeard()) {
		p.trees.pruneUp(now, e, up)
	}
}

// OutputsNonEmpty implements [mfc.Protocol].
func (p *Protocol) OutputsNonEmpty(now time.Duration, e *mfc.Entry) {
	if treeOf(e) != nil {
		p.trees.graftUp(now, e)
	}
}

// WrongVif implements [mfc.Protocol]. Two routers bring the same packets to a link
// while they do not agree yet which of them is designated forwarder: their reports
// decide that, there are no asserts in DVMRP.
func (p *Protocol) WrongVif(now time.Duration, e *mfc.Entry, source netip.Addr, link host.Interface) {
	if host.Debugs(p.env.Log.Pruning) {
		p.env.Log.Pruning.Debug("packets of a flow come over two links", "source", source, "group", e.Group,
			"incoming", e.In, "other", link)
	}
}

// Progress implements [mfc.Protocol].
func (p *Protocol) Progress(now time.Duration, e *mfc.Entry) {
	up := p.upstream(e)
	if up == nil {
		return
	}
	t := treeOf(e)
	if k := t.sentTo(up); k == nil || k.ends <= now || t.again != 0 && t.again <= now {
		p.trees.pruneUp(now, e, up)
	}
}

// Hold implements [mfc.Protocol].
func (p *Protocol) Hold(e *mfc.Entry) (until time.Duration) {
	t := treeOf(e)
	if t == nil {
		return 0
	}
	for _, list := range [...][]*prune{t.received, t.sent} {
		for _, k := range list {
			until = max(until, k.until)
		}
	}
	return until
}

// Drop implements [mfc.Protocol].
func (p *Protocol) Drop(now time.Duration, e *mfc.Entry) {
	t := treeOf(e)
	if t == nil {
		return
	}
	all := func(*prune) bool { return true }
	p.trees.dropReceived(t, all)
	p.trees.dropSent(t, all)
	p.trees.settle(now, t)
}

// fire does what is due in a tree.
func (ts *trees) fire(now time.Duration, t *tree) {
	ts.p.now = now
	e := t.entry
	up := ts.p.upstream(e)
	k := t.sentTo(up)
	over := func(k *prune) bool { return k.until <= now }

	// When the prune has run out, the next packet decides whether there is another;
	// until then too, if the upstream neighbour seems not to have heard it.
	flush := k != nil && !k.grafting && (k.ends <= now || up.link.RexmitPrunes && t.again != 0 && t.again <= now)
	changed := ts.dropReceived(t, over)
	changed = ts.dropSent(t, over) || changed
	if k != nil && !over(k) && k.grafting && t.again != 0 && t.again <= now {
		t.delay *= 2
		ts.sendGraft(now, t, k)
	}
	ts.settle(now, t)
	if changed {
		ts.p.cache.DownstreamChanged(now, e)
	}
	if flush && !e.IsWanted() {
		ts.p.cache.Flush(now, e)
	}
}

// What neighbours and routes tell the trees.

// neighborChanged is told that n was lost, or has started again: what it pruned
// and what it was sent counts no more.
func (ts *trees) neighborChanged(now time.Duration, n *neighbor) {
	b := ts.books[n]
	if b == nil {
		return
	}
	of := func(k *prune) bool { return k.with == n }
	for len(b.received) > 0 {
		t := b.received[len(b.received)-1].tree
		ts.dropReceived(t, of)
		ts.p.cache.Changed(t.entry)
		ts.settle(now, t)
	}
	for len(b.sent) > 0 {
		t := b.sent[len(b.sent)-1].tree
		ts.dropSent(t, of)
		ts.p.cache.Changed(t.entry)
		ts.settle(now, t)
	}
}

// downstreamChanged is told that other neighbours on link l depend on this router
// for r, or that it became or ceased to be designated forwarder there. Many calls
// in one turn are cheap: entries are re-evaluated once. A neighbour that does not
// depend any more has forgotten what it pruned, so that counts no more if it comes
// back.
func (ts *trees) downstreamChanged(r *route, l *link) {
	for e := range ts.p.cache.Of(r.prefix) {
		t := treeOf(e)
		if t == nil {
			continue
		}
		if ts.dropReceived(t, func(k *prune) bool {
			return k.with.link == l && (!k.with.isPeer() || !r.forwarder(l) || !r.depends(k.with))
		}) {
			ts.p.cache.Changed(e) // if it was very short, there was none upstream for it
		}
		ts.settle(ts.p.now, t)
	}
	ts.p.cache.OutputsChanged(r.prefix)
}
