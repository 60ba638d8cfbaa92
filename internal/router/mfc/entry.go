package mfc

import (
	"encoding/binary"
	"net/netip"
	"time"

	"mbone/internal/router/host"
)

// Key is a source network and group.
type Key struct {
	Net   netip.Prefix
	Group netip.Addr
}

// Entry is how the packets of a source network to a group are forwarded. In the
// kernel it is one entry for each source of the network that sends. Sources
// without a route have entries of their own, with In 0; so has an entry whose route
// was lost, as long as the protocol needs it.
type Entry struct {
	Key
	// In and Gateway are those of the route.
	In      host.Interface
	Gateway netip.Addr
	// Tree is the protocol's state of the entry. Only the protocol uses it.
	Tree any

	home        *network // nil: the entry is no more
	first, last *flow
	// The entries of the group, and those of the network.
	nextOfGroup, prevOfGroup *Entry
	nextOfNet, prevOfNet     *Entry

	count  host.FlowCount // of all sources, those too that were removed
	flows  int32
	place  int32 // in Cache.all
	marks  marks
	known  bool // to the protocol
	wanted bool
	heard  bool
}

// IsWanted reports whether anybody wants packets of e.
func (e *Entry) IsWanted() bool { return e.wanted }

// IsHeard reports whether packets of e have come from upstream.
func (e *Entry) IsHeard() bool { return e.heard }

// flow is an entry of the kernel.
type flow struct {
	entry      *Entry
	next, prev *flow // of the same entry
	// The flows of the same source.
	nextOfSource, prevOfSource *flow
	// The flows without outputs, the one that is it for the longest time first.
	nextIdle, prevIdle *flow
	source             [4]byte
	installed          bool
	// active is whether packets were counted since it was looked at last, and came
	// whether any of them came from upstream.
	active, came bool
	idle         bool // it is among those without outputs
	// early is whether packets that are counted next may be older than that the
	// protocol knows that nobody wants them.
	early   bool
	in      host.Interface
	outputs []host.Output // never changed, only replaced
	seen    host.FlowCount
	// used is when packets were seen last, expires when it will be removed if none
	// are, and check when they are counted next.
	used, expires, check time.Duration
	// step is between two looks while packets are awaited from upstream, else 0.
	step   time.Duration
	place  int32 // in Cache.order
	action int32 // where it was among the actions of a turn
}

func (f *flow) addr() netip.Addr { return netip.AddrFrom4(f.source) }

func (f *flow) id() flowID { return flowIDOf(f.source, f.entry.Group) }

// network has the entries of a source network.
type network struct {
	first *Entry
	flows int
}

// flowID is source and group.
type flowID uint64

func idOf(source, group netip.Addr) flowID { return flowIDOf(source.As4(), group) }

func flowIDOf(source [4]byte, group netip.Addr) flowID {
	g := group.As4()
	return flowID(binary.BigEndian.Uint32(source[:]))<<32 | flowID(binary.BigEndian.Uint32(g[:]))
}

// entryID is a Key in little room.
type entryID struct {
	net, group [4]byte
	bits       uint8
}

func (k Key) id() entryID {
	return entryID{k.Net.Addr().As4(), k.Group.As4(), uint8(k.Net.Bits())}
}

// Lookup returns the entry of a network and group, nil if there is none.
func (c *Cache) Lookup(k Key) *Entry { return c.entries[k.id()] }

// entry returns the entry of a route and group and whether it was made. If ok is
// false, r is no route but only has a net.
func (c *Cache) entry(now time.Duration, r Route, ok bool, group netip.Addr) (e *Entry, isNew bool) {
	k := Key{r.Net, group}
	if e = c.Lookup(k); e != nil {
		return e, false
	}
	e = &Entry{Key: k}
	c.insert(e)
	if ok {
		c.route(now, e, r)
	}
	return e, true
}

// insert puts e into all tables.
func (c *Cache) insert(e *Entry) {
	c.entries[e.id()] = e
	e.place = int32(len(c.all))
	c.all = append(c.all, e)

	n, ok := c.nets.Get(e.Net)
	if !ok {
		n = &network{}
		c.nets.Insert(e.Net, n)
	}
	e.home = n
	if e.nextOfNet = n.first; e.nextOfNet != nil {
		e.nextOfNet.prevOfNet = e
	}
	n.first = e
	if e.nextOfGroup = c.groups[e.Group.As4()]; e.nextOfGroup != nil {
		e.nextOfGroup.prevOfGroup = e
	}
	c.groups[e.Group.As4()] = e
}

// drop forgets an entry without flows.
func (c *Cache) drop(now time.Duration, e *Entry) {
	if e.known {
		c.protocol.Drop(now, e)
	}
	delete(c.entries, e.id())
	end := c.all[len(c.all)-1]
	c.all[e.place], end.place = end, e.place
	c.all[len(c.all)-1] = nil
	c.all = c.all[:len(c.all)-1]
	c.sweep = min(c.sweep, len(c.all))

	if e.nextOfNet != nil {
		e.nextOfNet.prevOfNet = e.prevOfNet
	}
	if e.prevOfNet != nil {
		e.prevOfNet.nextOfNet = e.nextOfNet
	} else {
		e.home.first = e.nextOfNet
	}
	if e.home.first == nil {
		c.nets.Delete(e.Net)
	}
	if e.nextOfGroup != nil {
		e.nextOfGroup.prevOfGroup = e.prevOfGroup
	}
	switch {
	case e.prevOfGroup != nil:
		e.prevOfGroup.nextOfGroup = e.nextOfGroup
	case e.nextOfGroup != nil:
		c.groups[e.Group.As4()] = e.nextOfGroup
	default:
		delete(c.groups, e.Group.As4())
	}
	e.home = nil
}

// route gives e a route, unroute takes it away.
func (c *Cache) route(now time.Duration, e *Entry, r Route) {
	e.In, e.Gateway, e.known = r.In, r.Gateway, true
	c.protocol.NewFlow(now, e)
}

func (c *Cache) unroute(now time.Duration, e *Entry) {
	if e.In == 0 {
		return
	}
	c.tell(now, e, false)
	e.In, e.Gateway, e.heard = 0, netip.Addr{}, false
}

// release drops e if nobody needs it.
func (c *Cache) release(now time.Duration, e *Entry) {
	if e.first == nil && e.home != nil && (!e.known || c.protocol.Hold(e) <= now) {
		c.drop(now, e)
	}
}

// attach adds f to e, detach takes it away. What f has counted, e has.
func (c *Cache) attach(f *flow, e *Entry) {
	f.entry = e
	if f.prev = e.last; f.prev != nil {
		f.prev.next = f
	} else {
		e.first = f
	}
	e.last = f
	e.flows++
	e.home.flows++
	e.count = sum(e.count, f.seen)
}

func (c *Cache) detach(f *flow) {
	e := f.entry
	if f.next != nil {
		f.next.prev = f.prev
	} else {
		e.last = f.prev
	}
	if f.prev != nil {
		f.prev.next = f.next
	} else {
		e.first = f.next
	}
	e.flows--
	e.home.flows--
	f.next, f.prev, f.entry = nil, nil, nil
}

// enlist puts a new flow into the tables.
func (c *Cache) enlist(f *flow) {
	c.flows[f.id()] = f
	f.place = int32(len(c.order))
	c.order = append(c.order, f)
	source := netip.PrefixFrom(f.addr(), 32)
	if f.nextOfSource, _ = c.sources.Get(source); f.nextOfSource != nil {
		f.nextOfSource.prevOfSource = f
	}
	c.sources.Insert(source, f)
}

// remove removes f from the kernel and forgets it, but not its entry. What it
// counted is kept there.
func (c *Cache) remove(now time.Duration, f *flow) {
	c.count(now, f)
	if f.installed {
		f.in, f.outputs = 0, nil
		c.emit(f)
	}
	c.setIdle(f, false)
	delete(c.flows, f.id())
	end := c.order[len(c.order)-1]
	c.order[f.place], end.place = end, f.place
	c.order[len(c.order)-1] = nil
	c.order = c.order[:len(c.order)-1]
	c.looked = min(c.looked, len(c.order))
	if f.nextOfSource != nil {
		f.nextOfSource.prevOfSource = f.prevOfSource
	}
	switch {
	case f.prevOfSource != nil:
		f.prevOfSource.nextOfSource = f.nextOfSource
	case f.nextOfSource != nil:
		c.sources.Insert(netip.PrefixFrom(f.addr(), 32), f.nextOfSource)
	default:
		c.sources.Delete(netip.PrefixFrom(f.addr(), 32))
	}
	c.detach(f)
}

func sum(a, b host.FlowCount) host.FlowCount {
	return host.FlowCount{Packets: a.Packets + b.Packets, Bytes: a.Bytes + b.Bytes, WrongIf: a.WrongIf + b.WrongIf}
}
