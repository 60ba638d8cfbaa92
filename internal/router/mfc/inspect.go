package mfc

import (
	"iter"
	"net/netip"
	"time"

	"mbone/internal/router/host"
)

// Stats count what happened since the start.
type Stats struct {
	Upcalls, WrongVif uint64
	// Expired flows had no packets for a lifetime; Evicted ones had to make room
	// for others; Refused ones found none.
	Expired, Evicted, Refused uint64
}

// Stats returns the counts.
func (c *Cache) Stats() Stats { return c.stats }

// Len returns how many entries there are, and how many there are in the kernel.
func (c *Cache) Len() (entries, flows int) { return len(c.all), len(c.order) }

// State is an entry as it is now, as a value.
type State struct {
	Key
	// Routed is whether there is a route. Without one, packets go nowhere.
	Routed bool
	// In and Gateway are those of the route; Gateway is invalid if the source is
	// on the link.
	In      host.Interface
	Gateway netip.Addr
	// Scoped is whether a boundary on the incoming interface stops the packets.
	Scoped bool
	// Wanted is whether anybody wants packets of the network.
	Wanted bool
	// Sources is how many sources have entries in the kernel.
	Sources int
	// Count is of all sources, also of entries that are removed. It never goes
	// back while the entry exists.
	Count host.FlowCount
}

// Source is an entry of the kernel as it is now, as a value.
type Source struct {
	Source netip.Addr
	// In is the incoming interface in the kernel: without a route, where the first
	// packet came.
	In host.Interface
	// Outputs are where packets leave, by interface. They are not to be changed.
	Outputs []host.Output
	// Count is since the entry was added.
	Count host.FlowCount
	// Used is when packets were seen last, Expires when the entry will be removed
	// if there are none.
	Used, Expires time.Duration
}

// Entries returns all entries, sorted by network, the counts as of when they were
// looked at last.
func (c *Cache) Entries() iter.Seq[State] {
	return func(yield func(State) bool) {
		for net := range c.nets.AllSorted4() {
			for e := range c.Of(net) {
				if !yield(c.state(e)) {
					return
				}
			}
		}
	}
}

// Sources returns what an entry is in the kernel, the oldest one first.
func (c *Cache) Sources(k Key) iter.Seq[Source] {
	return func(yield func(Source) bool) {
		e := c.Lookup(k)
		if e == nil {
			return
		}
		for f := e.first; f != nil; {
			next := f.next
			if !yield(f.state()) {
				return
			}
			f = next
		}
	}
}

// maxFresh is how many sources of an entry are counted anew for Inspect.
const maxFresh = 64

// Inspect returns the entry that decides on packets of source to group, counted
// as of now; ok is false if there is none. s is what the kernel has for the
// source: its In is 0 if that is nothing.
func (c *Cache) Inspect(now time.Duration, source, group netip.Addr) (e State, s Source, ok bool) {
	if !source.Is4() || !group.Is4() {
		return State{}, Source{}, false
	}
	f := c.flows[idOf(source, group)]
	if f == nil {
		r, _ := c.rpf(source)
		k := c.Lookup(Key{r.Net, group})
		if k == nil {
			return State{}, Source{}, false
		}
		c.refresh(now, k)
		return c.state(k), Source{}, true
	}
	c.refresh(now, f.entry)
	c.count(now, f)
	return c.state(f.entry), f.state(), true
}

// refresh counts the packets of the flows of e, of the first ones if they are
// many.
func (c *Cache) refresh(now time.Duration, e *Entry) {
	n := 0
	for f := e.first; f != nil && n < maxFresh; f = f.next {
		c.count(now, f)
		n++
	}
}

func (c *Cache) state(e *Entry) State {
	return State{
		Key: e.Key, Routed: e.In != 0, In: e.In, Gateway: e.Gateway,
		Scoped: e.In != 0 && c.IsScoped(e.In, e.Group), Wanted: e.wanted, Sources: int(e.flows), Count: e.count,
	}
}

func (f *flow) state() Source {
	return Source{Source: f.addr(), In: f.in, Outputs: f.outputs, Count: f.seen, Used: f.used, Expires: f.expires}
}
