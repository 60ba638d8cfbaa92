package member

import (
	"math"
	"net/netip"
	"slices"
	"time"

	"mbone/internal/router/host"
	"mbone/internal/router/timer"
)

// group is what the hosts on a link want of a group (RFC 3376 section 6.2): in mode
// INCLUDE the packets of its sources, in mode EXCLUDE those of all but the blocked
// ones.
//
// It has one timer, which goes off when the first thing is due: sources share it,
// because 16 bytes are enough for a source then, and a report that refreshes many
// of them sets one timer. There are some 200 bytes for a group.
type group struct {
	link    *link
	timer   timer.Timer
	sources []source      // sorted by address
	since   time.Duration // when it was made
	until   time.Duration // the group timer: in mode EXCLUDE only
	v1, v2  time.Duration // until when hosts of older versions count as present
	resend  time.Duration // when queries for it are sent again, if any are left

	addr     uint32
	reporter uint32 // who sent the last report
	place    int32  // in link.list
	tries    uint8  // how many queries for the group are left to send
	exclude  bool
	static   bool // it always has members, whatever they say
}

// source is a source of a group.
type source struct {
	until time.Duration // the source timer; 0 in mode EXCLUDE: blocked
	addr  uint32
	tries uint8 // how many queries for it are left to send
}

// wants reports whether packets of a source in a range are wanted.
func (g *group) wants(first, last uint32) bool {
	if g.static {
		return true
	}
	i, _ := g.find(first)
	if !g.exclude {
		return i < len(g.sources) && g.sources[i].addr <= last
	}
	others := uint64(last-first) + 1
	for ; i < len(g.sources) && g.sources[i].addr <= last; i++ {
		if g.sources[i].until != 0 {
			return true
		}
		others--
	}
	return others > 0
}

// find returns where a source stands, or would.
func (g *group) find(addr uint32) (int, bool) {
	return slices.BinarySearchFunc(g.sources, addr, func(s source, a uint32) int {
		switch {
		case s.addr < a:
			return -1
		case s.addr > a:
			return 1
		}
		return 0
	})
}

// keep makes sources those of the group, and copies them.
func (g *group) keep(sources []source) {
	more := len(sources) - len(g.sources)
	g.link.sources += more
	g.link.m.sources += more
	switch {
	case len(sources) == 0:
		g.sources = nil
	case cap(g.sources) > 4*len(sources):
		g.sources = slices.Clone(sources)
	default:
		g.sources = append(g.sources[:0], sources...)
	}
}

// version returns the version that is spoken for the group: that of the oldest host
// that counts as present (RFC 3376 section 7.3.2), and not above that of the link.
func (g *group) version(now time.Duration) uint8 {
	switch {
	case now < g.v1:
		return 1
	case now < g.v2:
		return min(2, g.link.version())
	}
	return g.link.version()
}

// expire does what is due (RFC 3376 sections 6.2.2, 6.2.3 and 6.5), and reports
// whether the group is still there.
func (g *group) expire(now time.Duration) bool {
	if g.static {
		return true
	}
	changed := false
	if g.exclude && g.until <= now {
		// The sources that somebody asked for stay, the blocked ones go.
		g.exclude, g.tries, changed = false, 0, true
		g.keep(slices.DeleteFunc(slices.Clone(g.sources), func(s source) bool { return s.until <= now }))
	}
	due := func(s source) bool { return s.until != 0 && s.until <= now }
	if slices.ContainsFunc(g.sources, due) {
		changed = true
		if g.exclude {
			for i := range g.sources {
				if s := &g.sources[i]; due(*s) {
					s.until, s.tries = 0, 0
				}
			}
		} else {
			g.keep(slices.DeleteFunc(slices.Clone(g.sources), due))
		}
	}
	return g.settle(now, changed)
}

// settle drops a group that nothing is wanted of, tells it if the group has changed,
// and reports whether it is still there.
func (g *group) settle(now time.Duration, changed bool) bool {
	l := g.link
	there := g.exclude || len(g.sources) > 0
	if !there {
		if log := l.m.env.Log.Membership; host.Debugs(log) {
			log.Debug("a group has no members any more", "interface", l.Name, "group", address(g.addr))
		}
		l.drop(g)
	}
	if changed {
		l.tell(now, g)
	}
	return there
}

// fire is called when something is due.
func (g *group) fire(now time.Duration) {
	if !g.expire(now) {
		return
	}
	if g.asking() && g.resend <= now {
		g.ask(now)
	}
	g.rearm()
}

// rearm sets the timer to what is due next.
func (g *group) rearm() {
	const never = time.Duration(math.MaxInt64)
	next := never
	if g.exclude && !g.static {
		next = g.until
	}
	asking := g.tries > 0
	for i := range g.sources {
		if s := &g.sources[i]; s.until != 0 {
			next = min(next, s.until)
			asking = asking || s.tries > 0
		}
	}
	if asking {
		next = min(next, g.resend)
	}
	if next == never {
		g.link.m.env.Timers.Stop(&g.timer)
	} else {
		g.link.m.env.Timers.Set(&g.timer, next)
	}
}

// fix makes the group static: it has members of every source.
func (g *group) fix(now time.Duration) {
	l := g.link
	changed := !g.exclude || slices.ContainsFunc(g.sources, func(s source) bool { return s.until == 0 })
	l.count(-1)
	g.keep(nil)
	g.static, g.exclude, g.tries = true, true, 0
	g.rearm()
	if changed {
		l.tell(now, g)
	}
}

// release makes a static group one like any other, and asks who is left of it.
func (g *group) release(now time.Duration) {
	g.static = false
	g.link.count(1)
	g.until = now + g.link.membership()
	g.check(now, true, nil)
	g.rearm()
}

// reporterAddr returns who sent the last report; invalid if nobody did.
func (g *group) reporterAddr() netip.Addr {
	if g.reporter == 0 {
		return netip.Addr{}
	}
	return address(g.reporter)
}
