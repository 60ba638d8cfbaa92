package mfc

import (
	"net/netip"
	"slices"
	"time"

	"github.com/gaissmai/bart"

	"mbone/internal/router/host"
	"mbone/internal/router/timer"
)

// Cache holds the entries. It works for a turn of the engine's loop at a time: what
// is to be in the kernel goes to the actions of the turn, one for each source and
// group at most, and only if it is something else than what is there.
type Cache struct {
	env      *host.Env
	protocol Protocol
	members  Members
	lifetime time.Duration
	limit    int

	links []*link // by identity
	flows map[flowID]*flow
	// order has the flows, for going round: a place each, the last one moves
	// where one is taken away. all has the entries in the same way.
	order   []*flow
	all     []*Entry
	entries map[entryID]*Entry
	groups  map[[4]byte]*Entry // the first entry of each group
	nets    bart.Table[*network]
	sources bart.Table[*flow] // the first flow of each source

	urgent, later queue
	sweep         int // entries before this place are to be re-evaluated
	look          timer.Timer
	looked        int // order before this place is to be looked at yet
	// The flows without outputs.
	firstIdle, lastIdle *flow
	alarm               time.Duration
	stats               Stats

	wants   []want        // of the entry at hand
	scratch []host.Output // of the flow at hand
	outputs []host.Output // the last ones that were installed
}

// New returns an empty cache.
func New(env *host.Env, protocol Protocol, members Members) *Cache {
	c := &Cache{
		env: env, protocol: protocol, members: members,
		flows: make(map[flowID]*flow), entries: make(map[entryID]*Entry), groups: make(map[[4]byte]*Entry),
	}
	c.look.Fire = c.lookAround
	return c
}

// Configure takes new settings. They count for what is new.
func (c *Cache) Configure(now time.Duration, s *host.Settings) {
	c.lifetime, c.limit = s.CacheLifetime, s.Limits.Entries
}

// Upcall answers a question of the kernel. The entry of a NoCache is among the
// actions when it returns, also if the packets go nowhere; there is none if the
// bounds leave no room for it.
func (c *Cache) Upcall(now time.Duration, u *host.Upcall) {
	c.stats.Upcalls++
	if c.linkOf(u.Interface) == nil || !u.Source.Is4() || !u.Group.Is4() || !isRouted(u.Group) {
		return
	}
	if u.Kind == host.WrongVif {
		c.wrongVif(now, u)
		return
	}
	f := c.flows[idOf(u.Source, u.Group)]
	if f == nil {
		if f = c.newFlow(now, u); f == nil {
			return
		}
	} else {
		c.catchUp(now, f)
		if f.entry == nil {
			return
		}
		c.emit(f) // it asks, so it has none
	}
	e := f.entry
	if u.Interface != e.In {
		return
	}
	e.heard = true
	if !e.wanted {
		f.early = true
		c.protocol.Progress(now, e)
	}
}

// newFlow makes the flow of an upcall, and installs it.
func (c *Cache) newFlow(now time.Duration, u *host.Upcall) *flow {
	r, ok := c.rpf(u.Source)
	if !c.makeRoom(now, r.Net) {
		return nil
	}
	e, isNew := c.entry(now, r, ok, u.Group)
	if !isNew && (e.In != r.In || e.Gateway != r.Gateway) {
		c.evaluate(now, e) // its turn has not come yet
		if e.home == nil {
			e, isNew = c.entry(now, r, ok, u.Group)
		}
	}
	f := &flow{source: u.Source.As4(), in: u.Interface, used: now}
	f.expires = now + c.jitter(c.lifetime)
	f.check = f.expires
	c.attach(f, e)
	c.enlist(f)
	wanted := c.want(e)
	c.direct(now, f)
	if f.entry == nil {
		c.release(now, e)
		return nil
	}
	if isNew {
		c.tell(now, e, wanted)
	}
	if !wanted && u.Interface != e.In {
		// Nobody learns that packets come on the right link, but by looking.
		f.step, f.check = firstLook, now+firstLook
	}
	c.lookAt(now, f.check)
	return f
}

// wrongVif tells the protocol of a packet on another link than the right one,
// unless it is this cache that has not seen yet which one is right.
func (c *Cache) wrongVif(now time.Duration, u *host.Upcall) {
	c.stats.WrongVif++
	f := c.flows[idOf(u.Source, u.Group)]
	if f == nil {
		return
	}
	c.catchUp(now, f)
	if e := f.entry; e != nil && e.In != 0 && e.In != u.Interface {
		c.protocol.WrongVif(now, e, u.Source, u.Interface)
	}
}

// catchUp re-evaluates the entry of f at once if its turn has not come yet.
func (c *Cache) catchUp(now time.Duration, f *flow) {
	if e := f.entry; e.marks != 0 {
		c.evaluate(now, e)
	}
	if f.entry != nil && f.entry.marks != 0 {
		c.evaluate(now, f.entry) // it has another one now
	}
}

// rpf is the RPF of the protocol for what can be a source.
func (c *Cache) rpf(source netip.Addr) (Route, bool) {
	if isSource(source) {
		if r, ok := c.protocol.RPF(source); ok {
			return r, true
		}
	}
	return Route{Net: netip.PrefixFrom(source, source.BitLen())}, false
}

// jitter returns a time around d, from half of it to half as much again.
func (c *Cache) jitter(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (0.5 + c.env.Random.Float64()))
}

// isRouted reports whether group is one whose packets routers forward: not
// 224.0.0.0/24.
func isRouted(group netip.Addr) bool {
	return group.IsMulticast() && !group.IsLinkLocalMulticast()
}

// isSource reports whether source can send: it is no martian.
func isSource(source netip.Addr) bool {
	b := source.As4()
	return b[0] != 0 && b[0] != 127 && b[0] < 224
}

// linkOf returns a link that was told, nil if it was not.
func (c *Cache) linkOf(id host.Interface) *link {
	i, ok := slices.BinarySearchFunc(c.links, id, byID)
	if !ok {
		return nil
	}
	return c.links[i]
}
