package router

import (
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"mbone/internal/router/host"
	"mbone/proto/dvmrp"
	"mbone/proto/igmp"
	"mbone/proto/mtrace"
)

func ip(s string) netip.Addr { return netip.MustParseAddr(s) }

func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }

// rig is a router at the crossing of four links:
//
//	source 10.9.0.9 .. [up] 10.1.0.2 -- 10.1.0.1 [router] 10.2.0.1 -- 10.2.0.2 [down] .. 10.8.0.0/16
//	                                  1   | |  |        2
//	      host 198.18.0.9 -- 198.18.0.1 3 | |  | 5 10.5.0.1 (disabled)
//	                                        | 4 tunnel from 10.1.0.1
//	                                       203.0.113.9 [far]
type rig struct {
	t      testing.TB
	engine *Engine
	now    time.Duration
	flows  map[[2]netip.Addr]uint64
	links  map[host.Interface]host.LinkCount
	sent   []host.Send // since the last event that a test gave
}

const (
	upLink host.Interface = 1 + iota
	downLink
	hostLink
	tunnelLink
	offLink
)

var (
	source   = ip("10.9.0.9")
	group    = ip("239.1.2.3")
	up       = ip("10.1.0.2")
	down     = ip("10.2.0.2")
	farEnd   = ip("203.0.113.9")
	onLink   = ip("198.18.0.9")
	ours     = ip("198.18.0.1")
	wall     = time.Unix(1_000_000_000, 500_000_000)
	stranger = ip("198.51.100.1")
)

func (r *rig) Flow(source, group netip.Addr) (host.FlowCount, bool) {
	n, ok := r.flows[[2]netip.Addr{source, group}]
	// As many again came where they do not belong, and went nowhere.
	return host.FlowCount{Packets: 2 * n, Bytes: 200 * n, WrongIf: n}, ok
}

func (r *rig) Link(id host.Interface) (host.LinkCount, bool) {
	n, ok := r.links[id]
	return n, ok
}

func rigSettings() host.Settings {
	return host.Settings{
		Version: "mroutd 1.0", Generation: 7, CacheLifetime: 300 * time.Second, RouterAlert: true,
		IGMP: host.IGMP{
			QueryInterval: 125 * time.Second, ResponseInterval: 10 * time.Second, LastMemberInterval: time.Second,
			Robustness: 2, OtherQuerierPresent: 255 * time.Second,
		},
		Asking:     host.Asking{Local: true, Private: true, Routed: true, ResponseGroups: []netip.Addr{ip("239.9.9.9")}},
		Limits:     host.Limits{Routes: 20000, Neighbors: 1000, Groups: 1000, Sources: 1000, Entries: 1000, Prunes: 1000},
		Forwarding: true,
	}
}

// rigLink returns a link of the rig.
func rigLink(id host.Interface) host.Link {
	l := host.Link{ID: id, Up: true, LinkSettings: host.LinkSettings{
		Enabled: id != offLink, Metric: 1, Threshold: 1, IGMP: 3, PruneLifetime: 2 * time.Hour,
	}}
	switch id {
	case upLink:
		l.Name, l.Networks = "up", []host.Network{{Address: ip("10.1.0.1"), Prefix: prefix("10.1.0.0/24")}}
	case downLink:
		l.Name, l.Networks = "down", []host.Network{{Address: ip("10.2.0.1"), Prefix: prefix("10.2.0.0/24")}}
	case hostLink:
		l.Name, l.Networks = "host", []host.Network{{Address: ours, Prefix: prefix("198.18.0.0/24")}}
		l.Threshold = 16
	case tunnelLink:
		l.Name, l.Address, l.Remote, l.Beside, l.PointToPoint = "tunnel", ip("10.1.0.1"), farEnd, true, true
		l.Metric, l.Threshold, l.RexmitPrunes = 3, 32, true
	case offLink:
		l.Name, l.Networks = "off", []host.Network{{Address: ip("10.5.0.1"), Prefix: prefix("10.5.0.0/24")}}
	}
	if !l.IsTunnel() {
		l.Address = l.Networks[0].Address
	}
	return l
}

// newRig returns a router whose neighbours up, down and far are peers; up has the
// route to the source, and down depends on it.
func newRig(t testing.TB) *rig {
	r := &rig{
		t:     t,
		flows: make(map[[2]netip.Addr]uint64),
		links: map[host.Interface]host.LinkCount{upLink: {PacketsIn: 1000, PacketsOut: 5}, downLink: {PacketsOut: 1<<32 + 900}, hostLink: {PacketsOut: 800}},
	}
	r.engine = New(rand.New(rand.NewPCG(1, 2)), r, host.NewLogs(slog.New(slog.DiscardHandler)))
	r.handle(&host.Configured{Settings: rigSettings()})
	for id := upLink; id <= offLink; id++ {
		r.handle(&host.LinkChanged{Link: rigLink(id)})
	}
	r.greet(upLink, up, ip("10.1.0.1"))
	r.greet(downLink, down, ip("10.2.0.1"))
	r.greet(upLink, farEnd, ip("10.1.0.1"))
	r.report(upLink, up, dvmrp.Route{Prefix: prefix("10.9.0.0/16"), Metric: 2})
	r.report(downLink, down, dvmrp.Route{Prefix: prefix("10.9.0.0/16"), Metric: dvmrp.Infinity + 4}, dvmrp.Route{Prefix: prefix("10.8.0.0/16"), Metric: 1})
	r.run(time.Second)
	return r
}

// handle gives an event to the engine; what it sends at once is in sent then.
func (r *rig) handle(e host.Event) {
	r.sent = r.sent[:0]
	r.take(r.engine.Handle(r.now, e))
}

func (r *rig) take(a *host.Actions) {
	for _, e := range a.Entries {
		if e.In == 0 {
			delete(r.flows, [2]netip.Addr{e.Source, e.Group})
		} else if _, known := r.flows[[2]netip.Addr{e.Source, e.Group}]; !known {
			r.flows[[2]netip.Addr{e.Source, e.Group}] = 0
		}
	}
	for _, s := range a.Send {
		s.Message, s.Header = slices.Clone(s.Message), slices.Clone(s.Header)
		r.sent = append(r.sent, s)
	}
}

// run lets time pass; all that is sent meanwhile is added to sent.
func (r *rig) run(d time.Duration) {
	end := r.now + d
	for {
		at, ok := r.engine.Deadline(r.now)
		if !ok || at > end {
			break
		}
		r.now = max(r.now, at)
		r.take(r.engine.Handle(r.now, &host.Tick{}))
	}
	r.now = end
}

type appender interface{ AppendBinary([]byte) ([]byte, error) }

func encode(t testing.TB, m appender) []byte {
	t.Helper()
	b, err := m.AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// packet returns a packet as it arrives, with the Router Alert option or without.
func packet(id host.Interface, from, to netip.Addr, ttl uint8, alert bool, message []byte) *host.Packet {
	h := make([]byte, 20, 24)
	if alert {
		h = append(h, 0x94, 4, 0, 0)
	}
	h[0], h[8], h[9] = 0x40|byte(len(h)/4), ttl, 2
	copy(h[12:], from.AsSlice())
	copy(h[16:], to.AsSlice())
	return &host.Packet{Interface: id, From: from, To: to, TTL: ttl, Alert: alert, Header: h, Wall: wall, Message: message}
}

// hear gives a packet to the engine.
func (r *rig) hear(id host.Interface, from, to netip.Addr, m appender) {
	r.handle(packet(id, from, to, 64, false, encode(r.t, m)))
}

// greet makes a neighbour a peer.
func (r *rig) greet(id host.Interface, from, us netip.Addr) {
	to := igmp.DVMRPRouters
	if from == farEnd {
		to = us
	}
	r.hear(id, from, to, &dvmrp.Probe{Version: dvmrp.Mrouted, GenID: 1, Neighbors: []netip.Addr{us}})
	r.run(100 * time.Millisecond)
}

func (r *rig) report(id host.Interface, from netip.Addr, routes ...dvmrp.Route) {
	r.hear(id, from, igmp.DVMRPRouters, &dvmrp.Report{Version: dvmrp.Mrouted, Routes: routes})
	r.run(200 * time.Millisecond)
}

// join makes a host a member of a group.
func (r *rig) join(id host.Interface, from, group netip.Addr) {
	r.handle(packet(id, from, group, 1, true, encode(r.t, &igmp.Membership{Type: igmp.TypeReportV2, Group: group})))
	r.run(100 * time.Millisecond)
}

// flow lets packets of a source come.
func (r *rig) flow(id host.Interface, source, group netip.Addr, packets uint64) {
	r.handle(&host.Upcall{Kind: host.NoCache, Interface: id, Source: source, Group: group})
	r.run(100 * time.Millisecond)
	r.flows[[2]netip.Addr{source, group}] += packets
}

// answers are the packets of a type and code that were sent, the code 0 for any.
func (r *rig) answers(kind igmp.Type, code dvmrp.Code) []host.Send {
	var list []host.Send
	for _, s := range r.sent {
		if igmp.Type(s.Message[0]) == kind && (code == 0 || dvmrp.Code(s.Message[1]) == code) {
			list = append(list, s)
		}
	}
	return list
}

// trace is a query of the host on its link.
func trace() mtrace.Message {
	return mtrace.Message{
		Type: mtrace.TypeQuery, Hops: 32, Group: group, Source: source, Receiver: onLink,
		Response: onLink, ResponseTTL: 64, QueryID: 0xabcdef,
	}
}
