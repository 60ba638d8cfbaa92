package member

import (
	"net/netip"
	"slices"
	"time"

	"mbone/internal/router/host"
	"mbone/internal/router/timer"
)

// link is IGMP on one link.
type link struct {
	m *Membership
	host.Link
	// active is whether IGMP is spoken: the link is up, enabled and has an address.
	active  bool
	removed bool

	groups map[uint32]*group
	// list has the same groups in an order that depends on events only.
	list    []*group
	dynamic int // groups without static ones
	sources int

	querier
	counters Counters

	// walker tells all groups, or drops them, from the end of list on.
	walker timer.Timer
	ahead  int // how many groups it has before it

	second time.Duration // when checks began to be counted
	checks int
	full   seldom // limits that were hit
	mixed  seldom // queries of other versions
}

func newLink(m *Membership, now time.Duration) *link {
	l := &link{m: m, groups: make(map[uint32]*group), second: now}
	l.variables = l.own()
	l.next.Fire = l.generalQuery
	l.present.Fire = l.otherGone
	l.walker.Fire = l.walk
	return l
}

// version returns the version of IGMP that is spoken.
func (l *link) version() uint8 {
	if l.IGMP == 1 || l.IGMP == 2 {
		return l.IGMP
	}
	return 3
}

// set takes a new state of the link.
func (l *link) set(now time.Duration, s *host.Link) {
	address, version, was := l.Address, l.version(), l.active
	l.Link = *s
	l.Networks = slices.Clone(s.Networks)
	l.StaticGroups = nil // they are in list
	l.active = s.Up && s.Enabled && s.Address.Is4()
	switch {
	case l.active && !was:
		l.m.active++
		l.start(now)
		l.walkAll(now)
	case !l.active && was:
		l.m.active--
		l.stop()
		l.walkAll(now)
	case l.active && (l.Address != address || l.version() != version):
		l.start(now)
	}
	l.setStatic(now, s.StaticGroups)
}

// configure takes the router's new settings.
func (l *link) configure(now time.Duration) {
	if !l.active {
		return
	}
	if !l.other.IsValid() {
		l.variables = l.own()
	}
	if due := now + l.interval; l.next.IsSet() && l.next.Due() > due {
		l.m.env.Timers.Set(&l.next, due)
	}
}

// remove ends all timers of the link.
func (l *link) remove(now time.Duration) {
	if l.active {
		l.m.active--
		l.active = false
	}
	l.stop()
	l.removed = true
	l.walkAll(now)
}

// setStatic makes these groups static, and no other.
func (l *link) setStatic(now time.Duration, groups []netip.Addr) {
	for i := len(l.list) - 1; i >= 0 && l.dynamic < len(l.list); i-- {
		if g := l.list[i]; g.static && !slices.Contains(groups, address(g.addr)) {
			g.release(now)
		}
	}
	for _, a := range groups {
		if !routable(a) {
			continue
		}
		g := l.groups[number(a)]
		if g == nil {
			g = l.add(now, number(a), true)
			l.tell(now, g)
		} else if !g.static {
			g.fix(now)
		}
	}
}

// add makes a group without members.
func (l *link) add(now time.Duration, addr uint32, static bool) *group {
	g := &group{link: l, addr: addr, since: now, static: static, exclude: static, place: int32(len(l.list))}
	g.timer.Fire = g.fire
	l.groups[addr] = g
	l.list = append(l.list, g)
	if !static {
		l.count(1)
	}
	return g
}

// drop forgets a group.
func (l *link) drop(g *group) {
	l.m.env.Timers.Stop(&g.timer)
	g.keep(nil)
	if !g.static {
		l.count(-1)
	}
	last := l.list[len(l.list)-1]
	l.list[g.place] = last
	last.place = g.place
	l.list[len(l.list)-1] = nil
	l.list = l.list[:len(l.list)-1]
	delete(l.groups, g.addr)
}

func (l *link) count(groups int) {
	l.dynamic += groups
	l.m.groups += groups
}

// tell tells that other packets of a group are wanted. Nothing is on a link that
// is not active; but as long as not all of its groups have been told so, one that
// goes must still be.
func (l *link) tell(now time.Duration, g *group) {
	if l.active || l.ahead > int(g.place) && !l.removed {
		l.m.changed(now, l.ID, address(g.addr))
	}
}

// walkAll begins a walk over all groups.
func (l *link) walkAll(now time.Duration) {
	l.ahead = len(l.list)
	l.walk(now)
}

// walk works on the next groups. It goes from the end, so that a group that takes
// the place of one that is dropped has had its turn.
func (l *link) walk(now time.Duration) {
	for range walkSlice {
		l.ahead = min(l.ahead, len(l.list))
		if l.ahead == 0 {
			return
		}
		l.ahead--
		if g := l.list[l.ahead]; l.removed {
			l.drop(g)
		} else {
			l.m.changed(now, l.ID, address(g.addr))
		}
	}
	l.m.env.Timers.Set(&l.walker, now+walkPause)
}

// refuse counts something that a limit does not allow.
func (l *link) refuse(now time.Duration, what string, g uint32, limit int) {
	l.counters.Refused++
	if held, ok := l.full.allow(now); ok {
		l.m.env.Log.Membership.Error("too many "+what+" of members: the newest are ignored",
			"interface", l.Name, "group", address(g), "limit", limit, "on_link", l.dynamic, "held", held)
	}
}
