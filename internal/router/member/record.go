package member

import (
	"slices"
	"time"

	"mbone/proto/igmp"
)

// What a report changes: the tables of RFC 3376 sections 6.4.1 and 6.4.2.

// step is what is done with a source, and whether the hosts are asked for it.
type step struct {
	do  action
	ask bool
}

// action is what is done with a source.
type action uint8

const (
	keep    action = iota
	forget         // it is not listed any more, or not taken
	refresh        // its timer is the group membership interval
	block          // its timer is 0
	inherit        // its timer is that of the group
)

// row is what a record does in a mode. Running are the sources with a timer: all
// in mode INCLUDE (A in the RFC), X in mode EXCLUDE; blocked is Y. Those in the
// record are named, and fresh if they were not known.
type row struct {
	running, runningNamed step
	blocked, blockedNamed step
	fresh                 step
	exclude               bool // to mode EXCLUDE, with the group timer anew
	ask                   bool // for the group
}

var inInclude = [...]row{
	igmp.ModeIsInclude:   {runningNamed: step{do: refresh}, fresh: step{do: refresh}},
	igmp.ModeIsExclude:   {running: step{do: forget}, fresh: step{do: block}, exclude: true},
	igmp.AllowNewSources: {runningNamed: step{do: refresh}, fresh: step{do: refresh}},
	igmp.BlockOldSources: {runningNamed: step{ask: true}, fresh: step{do: forget}},
	igmp.ChangeToExclude: {running: step{do: forget}, runningNamed: step{ask: true}, fresh: step{do: block}, exclude: true},
	igmp.ChangeToInclude: {running: step{ask: true}, runningNamed: step{do: refresh}, fresh: step{do: refresh}},
}

var inExclude = [...]row{
	igmp.ModeIsInclude: {runningNamed: step{do: refresh}, blockedNamed: step{do: refresh}, fresh: step{do: refresh}},
	igmp.ModeIsExclude: {running: step{do: forget}, blocked: step{do: forget}, fresh: step{do: refresh}, exclude: true},
	igmp.AllowNewSources: {runningNamed: step{do: refresh}, blockedNamed: step{do: refresh},
		fresh: step{do: refresh}},
	igmp.BlockOldSources: {runningNamed: step{ask: true}, fresh: step{inherit, true}},
	igmp.ChangeToExclude: {running: step{do: forget}, runningNamed: step{ask: true}, blocked: step{do: forget},
		fresh: step{inherit, true}, exclude: true},
	igmp.ChangeToInclude: {running: step{ask: true}, runningNamed: step{do: refresh}, blockedNamed: step{do: refresh},
		fresh: step{do: refresh}, ask: true},
}

// merged is a source while a record is applied.
type merged struct {
	source
	fresh, ask bool
}

// apply applies a record with these sources, sorted, each once. It reports whether
// the group is still there; nothing of it may be due.
func (g *group) apply(now time.Duration, t igmp.RecordType, named []uint32) bool {
	l := g.link
	r := &inInclude[t]
	if g.exclude {
		r = &inExclude[t]
	}
	all, changed := g.merge(now, r, named)
	all = l.trim(now, g, all)
	l.m.merged = all[:0]

	switch {
	case r.exclude:
		changed = changed || !g.exclude
		g.exclude, g.until = true, now+l.membership()
	case !g.exclude:
		changed = slices.ContainsFunc(all, func(s merged) bool { return s.fresh })
	}
	g.replace(all)
	if r.ask || slices.ContainsFunc(all, func(s merged) bool { return s.ask }) {
		g.check(now, r.ask, all)
	}
	if !g.settle(now, changed) {
		return false
	}
	g.rearm()
	return true
}

// merge returns what becomes of the sources of the group and of those that are
// named, and whether one that was blocked is not any more.
func (g *group) merge(now time.Duration, r *row, named []uint32) (all []merged, unblocked bool) {
	all = g.link.m.merged[:0]
	timeout := now + g.link.membership()
	take := func(s merged, do step) {
		blocked := s.until == 0 && !s.fresh
		switch do.do {
		case forget:
			unblocked = unblocked || blocked
			return
		case refresh:
			unblocked = unblocked || blocked
			s.until = timeout
		case block:
			s.until = 0
		case inherit:
			s.until = g.until
		case keep:
		}
		s.ask = do.ask
		all = append(all, s)
	}
	old := g.sources
	for len(old) > 0 || len(named) > 0 {
		switch {
		case len(old) == 0 || len(named) > 0 && named[0] < old[0].addr:
			take(merged{source: source{addr: named[0]}, fresh: true}, r.fresh)
			named = named[1:]
			continue
		case len(named) == 0 || old[0].addr < named[0]:
			if old[0].until == 0 {
				take(merged{source: old[0]}, r.blocked)
			} else {
				take(merged{source: old[0]}, r.running)
			}
		default:
			if old[0].until == 0 {
				take(merged{source: old[0]}, r.blockedNamed)
			} else {
				take(merged{source: old[0]}, r.runningNamed)
			}
			named = named[1:]
		}
		old = old[1:]
	}
	return all, unblocked
}

// trim leaves fresh sources out, those with the highest addresses, if there are more than may be. In mode
// EXCLUDE packets of those are forwarded, since nothing is known against them.
func (l *link) trim(now time.Duration, g *group, all []merged) []merged {
	m := l.m
	limit := m.settings.Limits.Sources
	most := min(maxGroupSources, len(g.sources)+m.room(limit, m.sources, l.sources))
	if len(all) <= most {
		return all
	}
	l.refuse(now, "sources", g.addr, most)
	for i := range all {
		if !all[i].fresh {
			most--
		}
	}
	return slices.DeleteFunc(all, func(s merged) bool {
		if s.fresh {
			most--
		}
		return s.fresh && most < 0
	})
}

// replace makes these the sources of the group.
func (g *group) replace(all []merged) {
	m := g.link.m
	m.kept = m.kept[:0]
	for i := range all {
		m.kept = append(m.kept, all[i].source)
	}
	g.keep(m.kept)
}
