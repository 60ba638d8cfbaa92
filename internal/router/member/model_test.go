package member

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"mbone/proto/igmp"
)

// The specification as RFC 3376 writes it, with sets and one timer for everything:
// slow and plain. The random test below holds the package against it.

type set map[rune]bool

func setOf(names string) set {
	s := set{}
	for _, n := range names {
		s[n] = true
	}
	return s
}

func (a set) plus(b set) set {
	c := maps.Clone(a)
	maps.Copy(c, b)
	return c
}

func (a set) minus(b set) set {
	c := set{}
	for n := range a {
		if !b[n] {
			c[n] = true
		}
	}
	return c
}

func (a set) times(b set) set { return a.minus(a.minus(b)) }

func (a set) String() string {
	var b strings.Builder
	for _, n := range slices.Sorted(maps.Keys(a)) {
		b.WriteRune(n)
	}
	return b.String()
}

// universe are the sources of the test, and one that nobody names.
const universe = "abcdez"

type specGroup struct {
	exclude    bool
	x, y       set // in mode INCLUDE x is A
	groupTimer time.Duration
	timer      map[rune]time.Duration
	v1, v2     time.Duration

	groupTries  int
	sourceTries map[rune]int
	again       time.Duration
}

func (g *specGroup) wants(source rune) bool {
	if g.exclude {
		return !g.y[source]
	}
	return g.x[source]
}

type spec struct {
	version      uint8
	now          time.Duration
	otherPresent time.Duration // 0: this router is querier
	groups       map[netip.Addr]*specGroup
	sent, told   []string
}

const (
	specGMI  = 260 * time.Second
	specLMQI = time.Second
	specLMQT = 2 * time.Second
)

func (s *spec) wants(group netip.Addr, source rune) bool {
	g := s.groups[group]
	return g != nil && g.wants(source)
}

// watch does something, and writes down whose answers differ afterwards.
func (s *spec) watch(do func()) {
	answers := func() map[netip.Addr]string {
		m := map[netip.Addr]string{}
		for a := range s.groups {
			for _, n := range universe {
				m[a] += fmt.Sprint(s.wants(a, n))
			}
			m[a] = strings.ReplaceAll(m[a], "false", "")
		}
		return m
	}
	before := answers()
	do()
	after := answers()
	for a := range before {
		if before[a] != after[a] {
			s.told = append(s.told, fmt.Sprintf("%v %v", s.now, a))
		}
	}
	for a := range after {
		if _, known := before[a]; !known {
			s.told = append(s.told, fmt.Sprintf("%v %v", s.now, a))
		}
	}
}

// wait lets time pass, one moment at which something is due after the other.
func (s *spec) wait(d time.Duration) {
	end := s.now + d
	for {
		next := end + 1
		due := func(at time.Duration) {
			if at > s.now {
				next = min(next, at)
			}
		}
		due(s.otherPresent)
		for _, g := range s.groups {
			if g.exclude {
				due(g.groupTimer)
			}
			for _, at := range g.timer {
				due(at)
			}
			due(g.again)
		}
		if next > end {
			s.now = end
			return
		}
		s.now = next
		s.watch(s.expire)
	}
}

func (s *spec) expire() {
	if s.otherPresent == s.now {
		s.otherPresent = 0
	}
	for addr, g := range s.groups {
		if g.exclude && g.groupTimer == s.now {
			g.exclude, g.y, g.groupTries = false, set{}, 0
		}
		for n, at := range g.timer {
			if at == s.now {
				delete(g.timer, n)
				delete(g.x, n)
				delete(g.sourceTries, n)
				if g.exclude {
					g.y[n] = true
				}
			}
		}
		if !g.exclude && len(g.x) == 0 {
			delete(s.groups, addr)
		} else if g.again == s.now {
			s.transmit(addr, g)
		}
	}
}

func (s *spec) group(addr netip.Addr) *specGroup {
	g := s.groups[addr]
	if g == nil {
		g = &specGroup{x: set{}, y: set{}, timer: map[rune]time.Duration{}, sourceTries: map[rune]int{}}
		s.groups[addr] = g
	}
	return g
}

func (s *spec) compatibility(g *specGroup) uint8 {
	switch {
	case g.v1 > s.now || s.version == 1:
		return 1
	case g.v2 > s.now || s.version == 2:
		return 2
	}
	return 3
}

// single takes a v1 report, v2 report or leave.
func (s *spec) single(t igmp.Type, addr netip.Addr) {
	switch t {
	case igmp.TypeReportV1:
		s.group(addr).v1 = s.now + specGMI
		s.record(igmp.ModeIsExclude, addr, set{})
	case igmp.TypeReportV2:
		s.group(addr).v2 = s.now + specGMI
		s.record(igmp.ModeIsExclude, addr, set{})
	default:
		s.record(igmp.ChangeToInclude, addr, set{})
	}
}

// v3 takes a record of a host of version 3.
func (s *spec) v3(t igmp.RecordType, addr netip.Addr, b set) {
	if s.version < 3 { // as if it were a host of the link's version
		switch {
		case t == igmp.BlockOldSources:
		case t == igmp.ModeIsExclude, t == igmp.ChangeToExclude, len(b) > 0:
			s.record(igmp.ModeIsExclude, addr, set{})
		case t == igmp.ChangeToInclude:
			s.record(t, addr, set{})
		}
		return
	}
	s.record(t, addr, b)
}

// record applies the tables of sections 6.4.1 and 6.4.2.
func (s *spec) record(t igmp.RecordType, addr netip.Addr, b set) {
	g := s.group(addr)
	version := s.compatibility(g)
	switch {
	case version < 3 && t == igmp.BlockOldSources, version == 1 && t == igmp.ChangeToInclude:
		if !g.exclude && len(g.x) == 0 {
			delete(s.groups, addr)
		}
		return
	case version < 3 && t == igmp.ChangeToExclude:
		b = set{}
	}
	start := func(of set, at time.Duration) {
		for n := range of {
			g.timer[n] = at
		}
	}
	gmi := s.now + specGMI
	var asked set
	askGroup := false
	x, y, old := g.x, g.y, g.groupTimer
	switch {
	case !g.exclude:
		switch t {
		case igmp.ModeIsInclude, igmp.AllowNewSources:
			g.x = x.plus(b)
			start(b, gmi)
		case igmp.ModeIsExclude:
			g.exclude, g.x, g.y, g.groupTimer = true, x.times(b), b.minus(x), gmi
		case igmp.BlockOldSources:
			asked = x.times(b)
		case igmp.ChangeToExclude:
			g.exclude, g.x, g.y, g.groupTimer = true, x.times(b), b.minus(x), gmi
			asked = x.times(b)
		case igmp.ChangeToInclude:
			g.x = x.plus(b)
			start(b, gmi)
			asked = x.minus(b)
		}
	default:
		switch t {
		case igmp.ModeIsInclude, igmp.AllowNewSources:
			g.x, g.y = x.plus(b), y.minus(b)
			start(b, gmi)
		case igmp.ModeIsExclude:
			g.x, g.y, g.groupTimer = b.minus(y), y.times(b), gmi
			start(b.minus(x).minus(y), gmi)
		case igmp.BlockOldSources:
			g.x = x.plus(b.minus(y))
			start(b.minus(x).minus(y), old)
			asked = b.minus(y)
		case igmp.ChangeToExclude:
			g.x, g.y, g.groupTimer = b.minus(y), y.times(b), gmi
			start(b.minus(x).minus(y), old)
			asked = b.minus(y)
		case igmp.ChangeToInclude:
			g.x, g.y = x.plus(b), y.minus(b)
			start(b, gmi)
			asked, askGroup = x.minus(b), true
		}
	}
	for n := range g.timer {
		if !g.x[n] {
			delete(g.timer, n)
		}
	}
	for n := range g.sourceTries {
		if !g.x[n] {
			delete(g.sourceTries, n)
		}
	}
	s.ask(addr, g, asked, askGroup)
	if !g.exclude && len(g.x) == 0 {
		delete(s.groups, addr)
	}
}

// ask begins with the queries of section 6.6.3.
func (s *spec) ask(addr netip.Addr, g *specGroup, sources set, group bool) {
	if s.version == 1 || s.otherPresent != 0 {
		return
	}
	started := false
	for n := range sources {
		if s.version == 3 && g.timer[n] > s.now+specLMQT {
			g.timer[n], g.sourceTries[n], started = s.now+specLMQT, 2, true
		}
	}
	if group && (g.groupTries == 0 || g.groupTimer > s.now+specLMQT) {
		g.groupTimer, g.groupTries, started = min(g.groupTimer, s.now+specLMQT), 2, true
	}
	if started {
		s.transmit(addr, g)
	}
}

func (s *spec) transmit(addr netip.Addr, g *specGroup) {
	answered := g.groupTimer > s.now+specLMQT
	if s.otherPresent != 0 || s.version == 2 && answered {
		g.groupTries = 0
	}
	if s.otherPresent != 0 {
		clear(g.sourceTries)
	}
	flagged, open := set{}, set{}
	for n, left := range g.sourceTries {
		if g.timer[n] > s.now+specLMQT {
			flagged[n] = true
		} else {
			open[n] = true
		}
		if g.sourceTries[n] = left - 1; left == 1 {
			delete(g.sourceTries, n)
		}
	}
	say := func(what string) {
		s.sent = append(s.sent, fmt.Sprintf("%v 1 v%d %v%s 1s", s.now, s.version, addr, what))
	}
	if len(flagged) > 0 && g.groupTries == 0 {
		say("{" + flagged.String() + "} S")
	}
	if len(open) > 0 {
		say("{" + open.String() + "}")
	}
	if g.groupTries > 0 {
		g.groupTries--
		if answered {
			say(" S")
		} else {
			say("")
		}
	}
	g.again = 0
	if g.groupTries > 0 || len(g.sourceTries) > 0 {
		g.again = s.now + specLMQI
	}
}

// query takes a query of the querier.
func (s *spec) query(q *igmp.Query) {
	if s.version == 1 {
		return
	}
	s.otherPresent = s.now + 255*time.Second
	g := s.groups[q.Group]
	if g == nil || q.Suppress || s.compatibility(g) == 1 {
		return
	}
	until := s.now + 2*q.MaxResponse
	if len(q.Sources) == 0 {
		g.groupTimer = min(g.groupTimer, until)
	}
	for _, a := range q.Sources {
		if n := rune(name(a)[0]); g.x[n] {
			g.timer[n] = min(g.timer[n], until)
		}
	}
}

func (s *spec) state(addr netip.Addr) string {
	g := s.groups[addr]
	if g == nil {
		return ""
	}
	left := func(at time.Duration) string { return fmt.Sprintf("%g", (at - s.now).Seconds()) }
	text := "IN"
	if g.exclude {
		text = "EX " + left(g.groupTimer)
	}
	for _, n := range g.x.String() {
		text += fmt.Sprintf(" %c:%s", n, left(g.timer[n]))
	}
	if len(g.y) > 0 {
		text += " | " + g.y.String()
	}
	return text
}

// Random events have the effects that the specification says: on the state, on what
// is wanted, on what is sent, and on what is told.
func TestModel(t *testing.T) {
	groups := []netip.Addr{chat, addr("225.1.2.4")}
	waits := []time.Duration{0, 300 * time.Millisecond, time.Second, 1700 * time.Millisecond, 5 * time.Second, 100 * time.Second, 259 * time.Second}
	rapid.Check(t, func(rt *rapid.T) {
		version := uint8(rapid.SampledFrom([]int{3, 3, 3, 2, 1}).Draw(rt, "version"))
		r := onLAN(t, version)
		s := &spec{version: version, groups: map[netip.Addr]*specGroup{}}
		wait := func(d time.Duration) {
			r.wait(d)
			s.wait(d)
		}
		subset := func() string {
			return setOf(strings.Join(rapid.SliceOfN(rapid.SampledFrom(strings.Split("abcde", "")), 0, 5).Draw(rt, "sources"), "")).String()
		}
		step := func(rt *rapid.T) {
			group := rapid.SampledFrom(groups).Draw(rt, "group")
			switch kind := rapid.IntRange(0, 20).Draw(rt, "event"); {
			case kind < 8:
				t := igmp.RecordType(rapid.IntRange(1, 6).Draw(rt, "record"))
				b := subset()
				s.watch(func() { s.v3(t, group, setOf(b)) })
				r.report(anna, t, group, srcs(b)...)
			case kind < 12:
				t := rapid.SampledFrom([]igmp.Type{igmp.TypeLeave, igmp.TypeLeave, igmp.TypeReportV2, igmp.TypeReportV1}).Draw(rt, "type")
				s.watch(func() { s.single(t, group) })
				r.hear(bert, &igmp.Membership{Type: t, Group: group})
			case kind == 12:
				q := &igmp.Query{Version: 3, Group: group, Robustness: 2, Interval: 125 * time.Second, MaxResponse: time.Second}
				q.Sources = srcs(subset())
				q.Suppress = rapid.Bool().Draw(rt, "suppress")
				if version == 2 {
					q.Sources = nil
				}
				s.watch(func() { s.query(q) })
				r.hear(lower, q)
			default:
				wait(rapid.SampledFrom(waits).Draw(rt, "wait"))
			}
		}
		check := func(rt *rapid.T) {
			for _, g := range groups {
				if got, want := r.state(g), s.state(g); got != want {
					rt.Fatalf("at %v: %v is %q, want %q", s.now, g, got, want)
				}
				for _, n := range universe {
					if got, want := r.Wants(1, src(n), g), s.wants(g, n); got != want {
						rt.Fatalf("at %v: %v from %c: wanted %v, want %v", s.now, g, n, got, want)
					}
				}
			}
			same := func(what string, got, want []string) {
				slices.Sort(got)
				slices.Sort(want)
				if !slices.Equal(got, slices.Compact(want)) {
					rt.Fatalf("at %v: %s %q, want %q", s.now, what, got, want)
				}
			}
			same("told", r.when, s.told)
			same("sent", slices.DeleteFunc(r.take(), func(q string) bool { return strings.Contains(q, " all ") }), s.sent)
			r.when, s.told, s.sent = nil, nil, nil
		}
		rt.Repeat(map[string]func(*rapid.T){"": check, "step": step})
		wait(600 * time.Second)
		if n, sources := r.Sizes(); n != 0 || sources != 0 || len(s.groups) != 0 {
			rt.Fatalf("%d groups and %d sources are left", n, sources)
		}
	})
}
