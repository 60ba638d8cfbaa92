package member

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"mbone/internal/router/host"
	"mbone/internal/router/timer"
	"mbone/proto/igmp"
)

var addr = netip.MustParseAddr

// Who and what is in these tests: the router is 10.0.0.10 on link 1, 10.0.N.10 on
// link N.
var (
	self   = addr("10.0.0.10")
	lower  = addr("10.0.0.5") // another router
	lowest = addr("10.0.0.2")
	higher = addr("10.0.0.20")
	anna   = addr("10.0.0.101") // hosts
	bert   = addr("10.0.0.102")
	chat   = addr("225.1.2.3")
)

// router is a Membership with a clock, and without anything else.
type router struct {
	tb testing.TB
	*Membership
	timers  timer.Queue
	out     host.Actions
	now     time.Duration
	changes []string // of what changed was told
	when    []string // the same with times
	sent    []string // queries, as text
	log     strings.Builder
}

func defaults() host.Settings {
	return host.Settings{
		RouterAlert: true,
		IGMP: host.IGMP{
			QueryInterval:       125 * time.Second,
			ResponseInterval:    10 * time.Second,
			LastMemberInterval:  time.Second,
			Robustness:          2,
			OtherQuerierPresent: 255 * time.Second,
		},
		Limits: host.Limits{Groups: 100_000, Sources: 200_000},
	}
}

// start returns a router with default settings, changed by edit, and no link.
func start(tb testing.TB, edit ...func(*host.Settings)) *router {
	r := &router{tb: tb}
	log := slog.New(slog.NewTextHandler(&r.log, &slog.HandlerOptions{Level: slog.LevelInfo}))
	env := &host.Env{Random: rand.New(rand.NewPCG(1, 2)), Timers: &r.timers, Out: &r.out, Log: host.NewLogs(log)}
	r.Membership = New(env, func(now time.Duration, link host.Interface, group netip.Addr) {
		if now != r.now {
			r.tb.Errorf("changed at %v was told %v", r.now, now)
		}
		r.changes = append(r.changes, fmt.Sprintf("%d %v", link, group))
		r.when = append(r.when, fmt.Sprintf("%v %v", now, group))
	})
	s := defaults()
	for _, e := range edit {
		e(&s)
	}
	r.Configure(0, &s)
	return r
}

// onLAN returns a router with link 1, of this version of IGMP, after its first
// query.
func onLAN(tb testing.TB, version uint8) *router {
	r := start(tb)
	r.setLink(1, func(l *host.Link) { l.IGMP = version })
	r.take()
	return r
}

// setLink brings a link up: an Ethernet with IGMPv3, changed by edit.
func (r *router) setLink(id host.Interface, edit ...func(*host.Link)) {
	address := netip.AddrFrom4([4]byte{10, 0, byte(id - 1), 10})
	l := host.Link{
		ID: id, Name: fmt.Sprintf("eth%d", id), Up: true,
		Address:      address,
		Networks:     []host.Network{{Address: address, Prefix: netip.PrefixFrom(address, 24).Masked()}},
		LinkSettings: host.LinkSettings{Enabled: true, Threshold: 1, Metric: 1, IGMP: 3},
	}
	for _, e := range edit {
		e(&l)
	}
	r.SetLink(r.now, &l)
	r.collect()
}

// wait lets time pass.
func (r *router) wait(d time.Duration) {
	end := r.now + d
	for {
		due, ok := r.timers.Deadline()
		if !ok || due > end {
			break
		}
		r.now = max(r.now, due)
		r.timers.Run(r.now, -1)
		r.collect()
	}
	r.now = end
}

// appender is a message.
type appender interface {
	AppendBinary([]byte) ([]byte, error)
}

// hear receives a message on link 1 where such messages are sent to.
func (r *router) hear(from netip.Addr, message appender) {
	to := chat
	switch v := message.(type) {
	case *igmp.Query:
		if to = v.Group; to == igmp.Unspecified {
			to = igmp.AllSystems
		}
	case *igmp.ReportV3:
		to = igmp.IGMPv3Routers
	}
	r.hearOn(1, from, to, message)
}

func (r *router) hearOn(id host.Interface, from, to netip.Addr, message appender) {
	r.tb.Helper()
	b, err := message.AppendBinary(nil)
	if err != nil {
		r.tb.Fatal(err)
	}
	r.Receive(r.now, &host.Packet{Interface: id, From: from, To: to, TTL: 1, Alert: true, Message: b})
	r.collect()
}

// report receives a v3 report of one record.
func (r *router) report(from netip.Addr, t igmp.RecordType, group netip.Addr, sources ...netip.Addr) {
	r.tb.Helper()
	r.hear(from, v3(igmp.Record{Type: t, Group: group, Sources: sources}))
}

func v3(records ...igmp.Record) *igmp.ReportV3 { return &igmp.ReportV3{Records: records} }

func v1report(group netip.Addr) *igmp.Membership {
	return &igmp.Membership{Type: igmp.TypeReportV1, Group: group}
}

func v2report(group netip.Addr) *igmp.Membership {
	return &igmp.Membership{Type: igmp.TypeReportV2, Group: group}
}

func leave(group netip.Addr) *igmp.Membership {
	return &igmp.Membership{Type: igmp.TypeLeave, Group: group}
}

func generalV3() *igmp.Query {
	return &igmp.Query{Version: 3, Group: igmp.Unspecified, MaxResponse: 10 * time.Second, Robustness: 2, Interval: 125 * time.Second}
}

// source returns one of the sources a to z.
func src(name rune) netip.Addr { return netip.AddrFrom4([4]byte{192, 0, 2, byte(name - 'a' + 1)}) }

func srcs(names string) []netip.Addr {
	var list []netip.Addr
	for _, n := range names {
		list = append(list, src(n))
	}
	return list
}

// name is the reverse of src.
func name(a netip.Addr) string {
	if b := a.As4(); b[0] == 192 {
		return string('a' + rune(b[3]) - 1)
	}
	return a.String()
}

// collect writes down what was sent, and holds it to what holds for all queries.
func (r *router) collect() {
	for _, s := range r.out.Send {
		var q igmp.Query
		if err := q.Parse(s.Message); err != nil || !igmp.VerifyChecksum(s.Message) {
			r.tb.Errorf("sent % x: %v", s.Message, err)
			continue
		}
		to := q.Group
		if to == igmp.Unspecified {
			to = igmp.AllSystems
		}
		l := r.links[s.Interface]
		want := host.Send{Interface: s.Interface, From: l.Address, To: to, TTL: 1, Alert: q.Version > 1 && r.settings.RouterAlert, Loop: true}
		s.Message = nil
		if fmt.Sprint(s) != fmt.Sprint(want) {
			r.tb.Errorf("sent %+v, want %+v", s, want)
		}
		r.sent = append(r.sent, fmt.Sprintf("%v %d %s", r.now, s.Interface, describe(&q)))
	}
	r.out.Reset()
}

// describe says what a query is: "v3 225.1.2.3{ab} S 1s".
func describe(q *igmp.Query) string {
	var b strings.Builder
	fmt.Fprintf(&b, "v%d", q.Version)
	if q.Group == igmp.Unspecified {
		b.WriteString(" all")
	} else {
		fmt.Fprintf(&b, " %v", q.Group)
	}
	if len(q.Sources) > 0 {
		b.WriteString("{")
		for _, a := range q.Sources {
			b.WriteString(name(a))
		}
		b.WriteString("}")
	}
	if q.Suppress {
		b.WriteString(" S")
	}
	fmt.Fprintf(&b, " %v", q.MaxResponse)
	return b.String()
}

// take returns the queries that were sent since it was called last.
func (r *router) take() []string {
	s := r.sent
	r.sent = nil
	return s
}

// told returns of what changed was told since it was called last.
func (r *router) told() []string {
	s := r.changes
	r.changes = nil
	return s
}

// state says what is kept of a group on link 1, with the seconds that are left:
// "IN a:200", "EX 260 a:2 | b", "" if there is none.
func (r *router) state(group netip.Addr) string {
	for g := range r.Groups(r.now, 1) {
		if g.Group == group {
			return r.text(g)
		}
	}
	return ""
}

func (r *router) text(g Group) string {
	var b strings.Builder
	left := func(at time.Duration) string { return fmt.Sprintf("%g", (at - r.now).Seconds()) }
	if g.Exclude {
		fmt.Fprintf(&b, "EX")
		if !g.Static {
			b.WriteString(" " + left(g.Expires))
		}
	} else {
		b.WriteString("IN")
	}
	blocked := ""
	for _, s := range g.Sources {
		if s.Blocked() {
			blocked += name(s.Address)
		} else {
			fmt.Fprintf(&b, " %s:%s", name(s.Address), left(s.Expires))
		}
	}
	if blocked != "" {
		b.WriteString(" | " + blocked)
	}
	return b.String()
}

// expect compares lists of text.
func expect(tb testing.TB, what string, got []string, want ...string) {
	tb.Helper()
	if !slices.Equal(got, want) {
		tb.Errorf("%s: found\n\t%s\nwant\n\t%s", what, strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}

func (r *router) expectState(want string) {
	r.tb.Helper()
	if got := r.state(chat); got != want {
		r.tb.Errorf("at %v the group is %q, want %q", r.now, got, want)
	}
}
