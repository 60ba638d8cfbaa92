package member

import (
	"net/netip"
	"time"

	"mbone/proto/igmp"
)

// Queries for a group, and for sources of a group: who is left? (RFC 3376 section
// 6.6.3, RFC 2236 section 3)

// lastMember returns the last member query time: how long members have to answer.
func (l *link) lastMember() time.Duration {
	return time.Duration(l.robustness) * l.m.settings.IGMP.LastMemberInterval
}

// mayCheck reports whether the link may be asked for another group, and counts it.
func (l *link) mayCheck(now time.Duration) bool {
	if now-l.second >= time.Second {
		l.second, l.checks = now, 0
	}
	if l.checks == maxChecks {
		l.counters.Unchecked++
		return false
	}
	l.checks++
	return true
}

// check begins to ask for the group, and for those sources that are marked (all is
// what the sources of the group were made of). Nothing that is asked for already is
// asked for anew, unless somebody answered.
func (g *group) check(now time.Duration, whole bool, all []merged) {
	l := g.link
	if !l.isQuerier() || l.version() == 1 {
		return
	}
	until := now + l.lastMember()
	whole = whole && (g.tries == 0 || g.until > until)
	marked := func(i int) bool {
		return l.version() == 3 && all[i].ask && g.sources[i].until > until
	}
	needed := whole
	for i := range all {
		needed = needed || marked(i)
	}
	if !needed || !l.mayCheck(now) {
		return
	}
	tries := uint8(min(l.robustness, 255))
	for i := range all {
		if marked(i) {
			g.sources[i].until, g.sources[i].tries = until, tries
		}
	}
	if whole {
		g.until, g.tries = min(g.until, until), tries
	}
	g.ask(now)
}

// asking reports whether there are queries left to send.
func (g *group) asking() bool {
	if g.tries > 0 {
		return true
	}
	for i := range g.sources {
		if g.sources[i].tries > 0 {
			return true
		}
	}
	return false
}

// ask sends the queries for the group and its sources. Where somebody has answered
// meanwhile they go on with the S flag, in case that it was not heard by other
// routers. Version 2 has no such flag, and stops.
func (g *group) ask(now time.Duration) {
	l := g.link
	querier := l.isQuerier() && l.version() > 1
	until := now + l.lastMember()
	g.resend = now + l.m.settings.IGMP.LastMemberInterval

	answered := g.until > until
	whole := g.tries > 0 && querier && (l.version() == 3 || !answered)
	if !whole {
		g.tries = 0
	}
	var open, closed []netip.Addr
	for i := range g.sources {
		s := &g.sources[i]
		switch {
		case s.tries == 0:
			continue
		case !querier || l.version() < 3:
			s.tries = 0
			continue
		case s.until > until:
			closed = append(closed, address(s.addr))
		default:
			open = append(open, address(s.addr))
		}
		s.tries--
	}
	if !whole {
		// Else the query for the group makes them answer anyway.
		g.sendQueries(closed, true)
	}
	g.sendQueries(open, false)
	if whole {
		g.tries--
		g.send(nil, answered)
	}
}

// sendQueries asks for sources, in as many queries as it takes.
func (g *group) sendQueries(sources []netip.Addr, suppress bool) {
	for len(sources) > 0 {
		n := min(len(sources), maxQuerySources)
		g.send(sources[:n], suppress)
		sources = sources[n:]
	}
}

func (g *group) send(sources []netip.Addr, suppress bool) {
	to := address(g.addr)
	g.link.send(to, &igmp.Query{
		Group:       to,
		MaxResponse: g.link.m.settings.IGMP.LastMemberInterval,
		Suppress:    suppress && g.link.version() == 3,
		Sources:     sources,
	})
}
