package router_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"mbone/internal/router/host"
	"mbone/proto/dvmrp"
	"mbone/proto/igmp"
	"mbone/proto/mtrace"
)

// judge holds what the router sends against the script.
type judge struct {
	t      *testing.T
	s      *script
	leaf   bool
	spoken map[host.Interface]*spoken
	wanted []*wanted
}

// wanted is one message that is to be sent.
type wanted struct {
	statement
	done bool
}

// spoken is what the router says on one interface.
type spoken struct {
	face *face

	hears         []netip.Addr
	probeBy       []window // probes that are due
	lastProbe     time.Duration
	periodicProbe time.Duration

	tells  bool // there are neighbours
	routes map[netip.Prefix]*spokenRoute
}

// spokenRoute is what is said of a network.
type spokenRoute struct {
	metric uint8
	// next is what metric will be, at a time within window that the router
	// chooses.
	next   uint8
	window window
	// changed, nextBy and table are until when metric, next and all there is are to
	// be told, 0 if they have been.
	changed, nextBy, table time.Duration
	last, periodic         time.Duration // told, and told for no other reason than time
}

func newJudge(t *testing.T, s *script) *judge {
	j := &judge{t: t, s: s, spoken: make(map[host.Interface]*spoken)}
	for _, st := range s.statements {
		if st.verb == "send" {
			j.wanted = append(j.wanted, &wanted{statement: st})
		}
	}
	for _, f := range s.faces {
		j.spoken[f.id] = &spoken{face: f, routes: make(map[netip.Prefix]*spokenRoute)}
	}
	return j
}

func (j *judge) errorf(at time.Duration, format string, args ...any) {
	j.t.Helper()
	j.t.Errorf("%.6f %s", at.Seconds(), fmt.Sprintf(format, args...))
}

// take makes a statement count.
func (j *judge) take(st *statement) {
	j.overdue(st.at)
	var on *spoken
	if st.face != nil {
		on = j.spoken[st.face.id]
	}
	switch st.verb {
	case "leaf":
		j.leaf = st.on
	case "down":
		*on = spoken{face: on.face, routes: make(map[netip.Prefix]*spokenRoute)}
	case "alone":
		on.tells = false
	case "hears":
		on.hears = slices.SortedFunc(slices.Values(st.addrs), netip.Addr.Compare)
	case "probe":
		on.probeBy = append(on.probeBy, st.window)
	case "table":
		if !on.tells {
			on.tells = true
			for _, r := range on.routes {
				r.last = st.at
			}
		}
		for _, r := range on.routes {
			if r.metric < dvmrp.Infinity || r.metric > dvmrp.Infinity {
				r.table = st.window.to
			}
		}
	case "has", "routes":
		for _, told := range st.routes {
			r := on.routes[told.net]
			if r == nil {
				r = &spokenRoute{metric: told.metric, last: st.at}
				on.routes[told.net] = r
			}
			if st.window.set {
				r.next, r.window, r.nextBy = told.metric, st.window, st.window.to+changeTakes
				continue
			}
			r.metric, r.window, r.nextBy = told.metric, window{}, 0
			if st.verb == "routes" {
				r.changed = st.window.to
			}
		}
	}
}

// overdue reports what should have been sent by now.
func (j *judge) overdue(now time.Duration) {
	for _, f := range j.s.faces {
		on := j.spoken[f.id]
		on.probeBy = slices.DeleteFunc(on.probeBy, func(w window) bool {
			if w.to < now {
				j.errorf(w.to, "%s: no probe since %.6f", f.name, w.from.Seconds())
			}
			return w.to < now
		})
		if on.lastProbe > 0 && now-on.lastProbe > probeAtMost {
			j.errorf(now, "%s: the last probe was %v ago", f.name, now-on.lastProbe)
			on.lastProbe = now
		}
		for net, r := range on.routes {
			if r.changed > 0 && r.changed < now {
				j.errorf(r.changed, "%s: %v=%d is not told", f.name, net, r.metric)
				r.changed = 0
			}
			if r.nextBy > 0 && r.nextBy < now {
				j.errorf(r.nextBy, "%s: %v=%d is not told", f.name, net, r.next)
				r.metric, r.window, r.nextBy = r.next, window{}, 0
			}
			if r.table > 0 && r.table < now {
				j.errorf(r.table, "%s: %v=%d is not told in a full table", f.name, net, r.metric)
				r.table = 0
			}
			if on.tells && now-r.last > routeAtMost {
				j.errorf(now, "%s: %v=%d was told %v ago", f.name, net, r.metric, now-r.last)
				r.last = now
			}
		}
	}
	for _, w := range j.wanted {
		if !w.done && w.window.to < now {
			j.errorf(w.window.to, "line %d: not sent: %v > %v %s", w.line, w.from, w.to, w.message)
			w.done = true
		}
	}
}

// end is told that the script is at its end.
func (j *judge) end(at time.Duration) { j.overdue(at + time.Nanosecond) }

// sent is told a packet.
func (j *judge) sent(at time.Duration, p *host.Send, m message) {
	j.overdue(at)
	j.wellFormed(at, p)
	if m.kind == igmp.TypeDVMRP && p.Header == nil {
		switch m.code {
		case dvmrp.CodeProbe:
			j.sentProbe(at, p)
			return
		case dvmrp.CodeReport:
			j.sentReport(at, p)
			return
		}
	}
	for _, w := range j.wanted {
		if !w.done && w.window.from <= at && at <= w.window.to && w.from == m.from && w.to == m.to && m.matches(w.message) {
			w.done = true
			return
		}
	}
	j.errorf(at, "sent, and nothing asks for it: %v", m)
}

// wellFormed holds a packet to what is true of all.
func (j *judge) wellFormed(at time.Duration, p *host.Send) {
	if !igmp.VerifyChecksum(p.Message) {
		j.errorf(at, "wrong checksum: %x", p.Message)
	}
	if p.Header != nil {
		return
	}
	f := j.s.owner(p.From)
	switch {
	case f == nil:
		j.errorf(at, "sent from %v, which is not the router's", p.From)
	case !f.up:
		j.errorf(at, "sent on %s, which is down", f.name)
	case p.To.IsMulticast() && (p.Interface != f.id || p.TTL != 1 || !p.Alert):
		j.errorf(at, "multicast from %v by interface %d, TTL %d, Router Alert %t", p.From, p.Interface, p.TTL, p.Alert)
	case !p.To.IsMulticast() && (p.Interface != 0 || p.TTL != 255 || p.Alert):
		j.errorf(at, "unicast to %v by interface %d, TTL %d, Router Alert %t", p.To, p.Interface, p.TTL, p.Alert)
	}
}

// version is what the router says of itself: the leaf bit is only for those on the
// one link with neighbours.
func (j *judge) version(at time.Duration, on *spoken, what string, v dvmrp.Version) {
	want := dvmrp.Mrouted
	if j.leaf && on.tells {
		want.Capabilities |= dvmrp.CapLeaf
	}
	if v != want {
		j.errorf(at, "%s of version %+v, want %+v", what, v, want)
	}
}

func (j *judge) sentProbe(at time.Duration, p *host.Send) {
	var m dvmrp.Probe
	if err := m.Parse(p.Message); err != nil || p.To != igmp.DVMRPRouters || m.GenID != ownGeneration {
		j.errorf(at, "probe to %v, generation %x: %v", p.To, m.GenID, err)
	}
	on := j.spoken[p.Interface]
	if on == nil {
		return
	}
	j.version(at, on, "probe", m.Version)
	slices.SortFunc(m.Neighbors, netip.Addr.Compare)
	if !slices.Equal(m.Neighbors, on.hears) {
		j.errorf(at, "%s: probe names %v, want %v", on.face.name, m.Neighbors, on.hears)
	}
	n := len(on.probeBy)
	on.probeBy = slices.DeleteFunc(on.probeBy, func(w window) bool { return w.from <= at })
	if n == len(on.probeBy) {
		if on.periodicProbe > 0 && at-on.periodicProbe < probeAtLeast {
			j.errorf(at, "%s: a probe %v after the last periodic one", on.face.name, at-on.periodicProbe)
		}
		on.periodicProbe = at
	}
	on.lastProbe = at
}

func (j *judge) sentReport(at time.Duration, p *host.Send) {
	var m dvmrp.Report
	if err := m.Parse(p.Message); err != nil || p.To != igmp.DVMRPRouters || len(m.Routes) == 0 {
		j.errorf(at, "report to %v of %d routes: %v", p.To, len(m.Routes), err)
	}
	on := j.spoken[p.Interface]
	if on == nil {
		return
	}
	j.version(at, on, "report", m.Version)
	if !on.tells {
		j.errorf(at, "%s: a report, and nobody is there: %v", on.face.name, m.Routes)
		return
	}
	for _, told := range m.Routes {
		r := on.routes[told.Prefix]
		if r == nil {
			j.errorf(at, "%s: %v=%d is told", on.face.name, told.Prefix, told.Metric)
			continue
		}
		if r.window.set && r.window.from <= at && told.Metric == r.next {
			if r.changed > 0 {
				j.errorf(at, "%s: %v=%d is told, and %d was not before", on.face.name, told.Prefix, told.Metric, r.metric)
			}
			r.metric, r.window, r.changed, r.nextBy = r.next, window{}, r.nextBy, 0
		}
		if told.Metric != r.metric {
			j.errorf(at, "%s: %v=%d is told, want %d", on.face.name, told.Prefix, told.Metric, r.metric)
		}
		switch {
		case r.changed == 0 && r.table == 0:
			if r.periodic > 0 && at-r.periodic < routeAtLeast {
				j.errorf(at, "%s: %v=%d is told %v after the last time", on.face.name, told.Prefix, told.Metric, at-r.periodic)
			}
			r.periodic = at
		default:
			r.changed, r.table = 0, 0
		}
		r.last = at
	}
}

// message is what a packet says, as a script says it.
type message struct {
	kind     igmp.Type
	code     dvmrp.Code
	from, to netip.Addr
	words    []string
}

func (m message) String() string {
	return fmt.Sprintf("%v > %v %s", m.from, m.to, strings.Join(m.words, " "))
}

// matches is whether the message is the one of a script, where a value may be a
// range: name=low..high.
func (m message) matches(text string) bool {
	return slices.EqualFunc(strings.Fields(text), m.words, func(want, got string) bool {
		name, bounds, _ := strings.Cut(want, "=")
		low, high, isRange := strings.Cut(bounds, "..")
		if !isRange {
			return want == got
		}
		value, ok := strings.CutPrefix(got, name+"=")
		n, err1 := strconv.Atoi(value)
		from, err2 := strconv.Atoi(low)
		to, err3 := strconv.Atoi(high)
		return ok && err1 == nil && err2 == nil && err3 == nil && from <= n && n <= to
	})
}

// about is whether a prune or graft is about a flow.
func (m message) about(f flow) bool {
	return len(m.words) > 2 && m.words[2] == f.group.String() && netip.PrefixFrom(f.source, 24).Masked().Addr().String() == m.words[1]
}

// describe decodes a packet.
func describe(p *host.Send) message {
	m := message{kind: igmp.Type(p.Message[0]), from: p.From, to: p.To}
	say := func(format string, args ...any) {
		m.words = append(m.words, strings.Fields(fmt.Sprintf(format, args...))...)
	}
	if p.Header != nil {
		say("transit")
	}
	bad := func(err error) {
		if err != nil {
			say("bad: %v", err)
		}
	}
	switch m.kind {
	case igmp.TypeQuery:
		var q igmp.Query
		bad(q.Parse(p.Message))
		say("query v%d group=%v response=%v robustness=%d interval=%v", q.Version, q.Group, q.MaxResponse, q.Robustness, q.Interval)
		if q.Suppress {
			say("suppress")
		}
		for _, s := range q.Sources {
			say("source=%v", s)
		}
	case igmp.TypeMtraceQuery, igmp.TypeMtraceResponse:
		var q mtrace.Message
		bad(q.Parse(p.Message))
		say("%s %v source=%v destination=%v", map[igmp.Type]string{igmp.TypeMtraceQuery: "request", igmp.TypeMtraceResponse: "response"}[m.kind],
			q.Group, q.Source, q.Receiver)
		for _, b := range q.Blocks {
			say("in=%v out=%v previous=%v protocol=%v ttl=%d mask=%d code=%v", b.Incoming, b.Outgoing, b.Previous, b.Protocol, b.FwdTTL, b.Mask, b.Code)
		}
	case igmp.TypeDVMRP:
		m.code = dvmrp.Code(p.Message[1])
		describeDVMRP(m.code, p.Message, say, bad)
	default:
		say("type %#x", p.Message[0])
	}
	return m
}

func describeDVMRP(code dvmrp.Code, b []byte, say func(string, ...any), bad func(error)) {
	say("%v", code)
	switch code {
	case dvmrp.CodeProbe:
		var v dvmrp.Probe
		bad(v.Parse(b))
		say("%v", v.Neighbors)
	case dvmrp.CodeReport:
		var v dvmrp.Report
		bad(v.Parse(b))
		for _, r := range v.Routes {
			say("%v=%d", r.Prefix, r.Metric)
		}
	case dvmrp.CodePrune:
		var v dvmrp.Prune
		bad(v.Parse(b))
		say("%v %v lifetime=%d", v.Source, v.Group, int(v.Lifetime.Seconds()))
	case dvmrp.CodeGraft, dvmrp.CodeGraftAck:
		var v dvmrp.Graft
		bad(v.Parse(b))
		say("%v %v", v.Source, v.Group)
	case dvmrp.CodeNeighbors, dvmrp.CodeNeighbors2:
		var v dvmrp.Neighbors
		bad(v.Parse(b))
		for _, i := range v.Interfaces {
			words := []string{fmt.Sprint(i.Metric), fmt.Sprint(i.Threshold)}
			for _, n := range i.Neighbors {
				say("%v:%v[%s]", i.Local, n, strings.Join(append(words, i.Flags.Words()...), "/"))
			}
		}
	case dvmrp.CodeInfoRequest, dvmrp.CodeInfoReply:
		var v dvmrp.Info
		bad(v.Parse(b))
		for _, t := range v.TLVs {
			say("%d", t.Type)
		}
	}
}
