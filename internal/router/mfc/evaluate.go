package mfc

import (
	"iter"
	"net/netip"
	"slices"
	"time"

	"mbone/internal/router/host"
)

// workSlice is how many flows are re-evaluated in one turn: about a millisecond's
// work.
const workSlice = 1000

// marks say what is to be done with an entry.
type marks uint8

const (
	markUrgent  marks = 1 << iota // it is in the queue of those that members wait for
	markLater                     // it is in the other queue
	markSources                   // sources may have another, more specific route now
	markDecide                    // what nobody wants must be seen again
)

// queue has entries that are marked, the first one first.
type queue struct {
	entries []*Entry
	next    int
}

func (q *queue) push(e *Entry) { q.entries = append(q.entries, e) }

func (q *queue) pop() *Entry {
	if q.next == len(q.entries) {
		q.entries, q.next = q.entries[:0], 0
		return nil
	}
	e := q.entries[q.next]
	q.entries[q.next] = nil
	q.next++
	return e
}

// mark puts e into a queue.
func (c *Cache) mark(e *Entry, m marks) {
	old := e.marks
	e.marks |= m
	if new := m &^ old; new&markUrgent != 0 {
		c.urgent.push(e)
	} else if new&markLater != 0 {
		c.later.push(e)
	}
}

// markAll has all entries re-evaluated.
func (c *Cache) markAll() { c.sweep = len(c.all) }

// RPFChanged is told by the protocol that the route to sources in net has another
// incoming interface or gateway, or that there is a route now, or none any more.
// The entries concerned are re-evaluated by Work.
func (c *Cache) RPFChanged(net netip.Prefix) {
	if len(c.all) == 0 {
		return
	}
	c.OutputsChanged(net)
	for _, f := range c.sources.Subnets(net) {
		for ; f != nil; f = f.nextOfSource {
			if e := f.entry; e.In == 0 || e.Net.Bits() < net.Bits() {
				c.mark(e, markLater|markSources)
			}
		}
	}
}

// OutputsChanged is told by the protocol that for all groups other routers want
// packets of sources in net, or that it is designated forwarder on other links.
// Work re-evaluates the entries of the network.
func (c *Cache) OutputsChanged(net netip.Prefix) {
	for e := range c.Of(net) {
		c.mark(e, markLater)
	}
}

// Changed is told by the protocol that other routers want packets of e, or that it
// wants to know whether packets still come that nobody wants. Work re-evaluates it.
func (c *Cache) Changed(e *Entry) {
	if e.home != nil {
		c.mark(e, markLater|markDecide)
	}
}

// DownstreamChanged is told by the protocol that other routers want packets of e,
// or that it is designated forwarder on other links for e. What follows from it is
// among the actions when it returns.
func (c *Cache) DownstreamChanged(now time.Duration, e *Entry) {
	if e.home == nil {
		return
	}
	c.update(now, e)
	c.release(now, e)
}

// MembersChanged is told by IGMP that other hosts on a link want packets to group.
// Work re-evaluates the entries of the group before all others.
func (c *Cache) MembersChanged(now time.Duration, link host.Interface, group netip.Addr) {
	for e := c.groups[group.As4()]; e != nil; e = e.nextOfGroup {
		c.mark(e, markUrgent)
	}
}

// Flush has the host forget the entries of e: it asks again when a packet comes.
func (c *Cache) Flush(now time.Duration, e *Entry) {
	if e.home == nil {
		return
	}
	for e.first != nil {
		c.remove(now, e.first)
	}
	e.heard = false
	c.release(now, e)
}

// Of returns the entries of exactly this network.
func (c *Cache) Of(net netip.Prefix) iter.Seq[*Entry] {
	return func(yield func(*Entry) bool) {
		n, ok := c.nets.Get(net)
		if !ok {
			return
		}
		for e := n.first; e != nil; {
			next := e.nextOfNet
			if !yield(e) {
				return
			}
			e = next
		}
	}
}

// Work goes on with re-evaluating entries, for a slice of time. It reports whether
// nothing is left to do.
func (c *Cache) Work(now time.Duration) bool {
	for left := workSlice; left > 0; {
		e := c.nextMarked()
		if e == nil {
			return true
		}
		left -= c.evaluate(now, e)
	}
	return false
}

// nextMarked returns an entry to be re-evaluated, nil if there is none.
func (c *Cache) nextMarked() *Entry {
	for e := c.urgent.pop(); e != nil; e = c.urgent.pop() {
		if e.home != nil && e.marks&markUrgent != 0 {
			return e
		}
	}
	for e := c.later.pop(); e != nil; e = c.later.pop() {
		if e.home != nil && e.marks&markLater != 0 {
			return e
		}
	}
	if c.sweep > 0 {
		c.sweep--
		return c.all[c.sweep]
	}
	return nil
}

// evaluate makes e and its flows what they ought to be. It returns how many flows
// that concerned, and 1.
func (c *Cache) evaluate(now time.Duration, e *Entry) int {
	done := e.marks
	e.marks = 0
	r, ok := c.protocol.Route(e.Net)
	if !ok {
		c.unroute(now, e)
	}
	cost := 1
	if !ok || done&markSources != 0 {
		cost += c.rehome(now, e)
	}
	moved := ok && (e.In != r.In || e.Gateway != r.Gateway)
	if moved {
		c.route(now, e, r)
	}
	cost += c.update(now, e)
	if (moved || done&markDecide != 0) && e.In != 0 && !e.wanted {
		c.Flush(now, e)
	}
	c.release(now, e)
	return cost
}

// rehome gives each flow of e to the entry that its route says, and returns how
// many there were.
func (c *Cache) rehome(now time.Duration, e *Entry) (n int) {
	for f := e.first; f != nil; n++ {
		next := f.next
		r, ok := c.rpf(f.addr())
		if r.Net != e.Net {
			to, _ := c.entry(now, r, ok, e.Group)
			to.heard = to.heard || e.heard
			c.detach(f)
			c.attach(f, to)
			c.mark(to, markUrgent|markDecide)
		}
		f = next
	}
	return n
}

// want is a link that packets of an entry are wanted on: all of them, or those of
// the sources that members want.
type want struct {
	link *link
	all  bool
}

// want finds the links where anybody wants packets of e. It reports whether there
// are any.
func (c *Cache) want(e *Entry) bool {
	c.wants = c.wants[:0]
	if e.In == 0 || c.IsScoped(e.In, e.Group) {
		return false
	}
	for _, l := range c.links {
		switch {
		case !l.usable || l.id == e.In || l.isScoped(e.Group):
		case c.protocol.Downstream(e, l.id):
			c.wants = append(c.wants, want{l, true})
		case c.members.WantsAny(l.id, e.Net, e.Group) && c.protocol.Forwarder(e, l.id):
			c.wants = append(c.wants, want{l, false})
		}
	}
	return len(c.wants) > 0
}

// IsStillWanted reports whether anybody wants packets of e by what is known now,
// whatever the protocol was told last.
func (c *Cache) IsStillWanted(e *Entry) bool { return c.want(e) }

// update recomputes where the packets of e go, and returns how many flows it has.
func (c *Cache) update(now time.Duration, e *Entry) (n int) {
	wanted := c.want(e)
	for f := e.first; f != nil; n++ {
		next := f.next
		c.direct(now, f)
		f = next
	}
	c.tell(now, e, wanted)
	return n
}

// direct makes the outputs of f what its entry, as found by want, and the members
// say, and installs it if it changed. A flow without a route stays where its
// packets came in, and goes if that is no more.
func (c *Cache) direct(now time.Duration, f *flow) {
	in := f.entry.In
	if in == 0 {
		in = f.in
	}
	if c.linkOf(in) == nil {
		c.remove(now, f)
		return
	}
	c.scratch = c.scratch[:0]
	for _, w := range c.wants {
		if w.all || c.members.Wants(w.link.id, f.addr(), f.entry.Group) {
			c.scratch = append(c.scratch, host.Output{Interface: w.link.id, TTL: w.link.threshold})
		}
	}
	if f.installed && f.in == in && slices.Equal(f.outputs, c.scratch) {
		return
	}
	if !slices.Equal(c.outputs, c.scratch) {
		c.outputs = slices.Clone(c.scratch) // the next flow often has the same
	}
	f.in, f.outputs, f.installed = in, c.outputs, true
	c.setIdle(f, len(f.outputs) == 0)
	c.emit(f)
}

// tell tells the protocol whether anybody wants e, if that is news.
func (c *Cache) tell(now time.Duration, e *Entry, wanted bool) {
	if e.wanted == wanted {
		return
	}
	e.wanted = wanted
	if wanted {
		c.protocol.OutputsNonEmpty(now, e)
		return
	}
	if !e.heard {
		c.listen(now, e)
	}
	for f := e.first; f != nil; f = f.next {
		f.early = e.heard // else there was no reason to act yet
	}
	c.protocol.OutputsEmpty(now, e)
}

// listen finds out whether packets of e come from upstream: now, or soon. No upcall
// says so if the first one was for a packet on a wrong link.
func (c *Cache) listen(now time.Duration, e *Entry) {
	c.refresh(now, e)
	if e.heard || e.first == nil {
		return
	}
	for f := e.first; f != nil; f = f.next {
		f.step, f.check = firstLook, now+firstLook
	}
	c.lookAt(now, now+firstLook)
}

// emit tells the host of f. A second action of a turn replaces the first one.
func (c *Cache) emit(f *flow) {
	a := host.Entry{Source: f.addr(), Group: f.entry.Group, In: f.in, Outputs: f.outputs}
	if log := c.env.Log.Cache; host.Debugs(log) {
		log.Debug("entry", "source", a.Source, "group", a.Group, "in", c.nameOf(a.In), "out", c.namesOf(a.Outputs))
	}
	out := &c.env.Out.Entries
	if i := int(f.action); i < len(*out) && (*out)[i].Source == a.Source && (*out)[i].Group == a.Group {
		(*out)[i] = a
		return
	}
	f.action = int32(len(*out))
	*out = append(*out, a)
}
