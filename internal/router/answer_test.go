package router

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mbone/internal/router/host"
	"mbone/internal/router/respond"
	"mbone/proto/dvmrp"
	"mbone/proto/igmp"
	"mbone/proto/mtrace"
)

var addrs = cmp.Comparer(func(a, b netip.Addr) bool { return a == b })

func askNeighbors(code dvmrp.Code) *dvmrp.Ask { return &dvmrp.Ask{Code: code, Version: dvmrp.Mrouted} }

// parseNeighbors reads an answer that is one packet.
func parseNeighbors(t *testing.T, r *rig, code dvmrp.Code) dvmrp.Neighbors {
	t.Helper()
	var answer dvmrp.Neighbors
	got := r.answers(igmp.TypeDVMRP, code)
	if len(got) != 1 {
		t.Fatalf("%d answers: %+v", len(got), r.sent)
	}
	if s := got[0]; s.Interface != 0 || s.TTL != 255 || s.Alert || s.Header != nil || !igmp.VerifyChecksum(s.Message) {
		t.Fatalf("sent %+v", s)
	}
	if err := answer.Parse(got[0].Message); err != nil {
		t.Fatal(err)
	}
	return answer
}

// All links are there in their order, with what mrouted says of such links, under
// the version of mrouted.
func TestNeighbors2(t *testing.T) {
	none := ip("0.0.0.0")
	r := newRig(t)
	r.hear(hostLink, onLink, ours, askNeighbors(dvmrp.CodeAskNeighbors2))
	want := dvmrp.Neighbors{Version: dvmrp.VersionOf(0x000eff03), Code: dvmrp.CodeNeighbors2, Interfaces: []dvmrp.Interface{
		{Local: ip("10.1.0.1"), Metric: 1, Threshold: 1, Flags: dvmrp.FlagQuerier, Neighbors: []netip.Addr{up}},
		{Local: ip("10.2.0.1"), Metric: 1, Threshold: 1, Flags: dvmrp.FlagQuerier, Neighbors: []netip.Addr{down}},
		{Local: ours, Metric: 1, Threshold: 16, Flags: dvmrp.FlagQuerier | dvmrp.FlagLeaf, Neighbors: []netip.Addr{none}},
		{Local: ip("10.1.0.1"), Metric: 3, Threshold: 32, Flags: dvmrp.FlagTunnel, Neighbors: []netip.Addr{farEnd}},
		{Local: ip("10.5.0.1"), Metric: 1, Threshold: 1, Flags: dvmrp.FlagDisabled | dvmrp.FlagLeaf, Neighbors: []netip.Addr{none}},
	}}
	if diff := cmp.Diff(want, parseNeighbors(t, r, dvmrp.CodeNeighbors2), addrs); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if s := r.answers(igmp.TypeDVMRP, 0)[0]; s.From != ours || s.To != onLink {
		t.Errorf("sent from %v to %v", s.From, s.To)
	}
	// The old question: links with neighbours only, and no flags.
	r.hear(hostLink, onLink, ours, askNeighbors(dvmrp.CodeAskNeighbors))
	want.Code = dvmrp.CodeNeighbors
	want.Interfaces = []dvmrp.Interface{want.Interfaces[0], want.Interfaces[1], want.Interfaces[3]}
	for i := range want.Interfaces {
		want.Interfaces[i].Flags = 0
	}
	if diff := cmp.Diff(want, parseNeighbors(t, r, dvmrp.CodeNeighbors), addrs); diff != "" {
		t.Errorf("the old form: -want +got:\n%s", diff)
	}
}

// The answer is that of now: after a querier, a neighbour or a link has changed.
func TestNeighbors2Fresh(t *testing.T) {
	r := newRig(t)
	list := func() []dvmrp.Interface {
		t.Helper()
		r.hear(hostLink, onLink, ip("198.18.0.100"), askNeighbors(dvmrp.CodeAskNeighbors2))
		return parseNeighbors(t, r, dvmrp.CodeNeighbors2).Interfaces
	}
	l := rigLink(hostLink)
	l.Address, l.Networks[0].Address = ip("198.18.0.100"), ip("198.18.0.100")
	r.handle(&host.LinkChanged{Link: l})
	if got := list()[hostLink-1]; got.Local != l.Address || got.Flags != dvmrp.FlagLeaf|dvmrp.FlagQuerier {
		t.Errorf("with another address: %+v", got)
	}
	r.hear(hostLink, onLink, igmp.AllSystems, &igmp.Query{Version: 2, Group: igmp.Unspecified, MaxResponse: 10 * time.Second})
	if got := list()[hostLink-1].Flags; got != dvmrp.FlagLeaf {
		t.Errorf("beside a querier with a lower address: %v", got)
	}

	// A router that does not hear this one is listed until that is certain.
	deaf := &dvmrp.Probe{Version: dvmrp.Mrouted, GenID: 1}
	r.hear(upLink, ip("10.1.0.77"), igmp.DVMRPRouters, deaf)
	if got := list()[upLink-1].Neighbors; !slices.Equal(got, []netip.Addr{up, ip("10.1.0.77")}) {
		t.Errorf("with a new neighbour: %v", got)
	}
	r.run(21 * time.Second)
	r.greet(upLink, up, ip("10.1.0.1"))
	r.hear(upLink, ip("10.1.0.77"), igmp.DVMRPRouters, deaf)
	if got := list()[upLink-1].Neighbors; !slices.Equal(got, []netip.Addr{up}) {
		t.Errorf("with a neighbour that does not hear this router: %v", got)
	}

	r.run(40 * time.Second)
	if got := list()[upLink-1]; got.Flags&dvmrp.FlagLeaf == 0 || !slices.Equal(got.Neighbors, []netip.Addr{igmp.Unspecified}) {
		t.Errorf("when the neighbours are lost: %+v", got)
	}
	if got := list()[tunnelLink-1]; got.Flags != dvmrp.FlagTunnel|dvmrp.FlagDown|dvmrp.FlagLeaf || !slices.Equal(got.Neighbors, []netip.Addr{farEnd}) {
		t.Errorf("tunnel without a neighbour: %+v", got)
	}
	l = rigLink(upLink)
	l.Up = false
	r.handle(&host.LinkChanged{Link: l})
	r.handle(&host.LinkRemoved{Interface: downLink})
	if got := list(); len(got) != 4 || got[0].Flags&dvmrp.FlagDown == 0 || got[1].Local != ip("198.18.0.100") {
		t.Errorf("one down, one gone: %+v", got)
	}
}

func TestInfoReply(t *testing.T) {
	r := newRig(t)
	for _, c := range []struct {
		id       host.Interface
		from, to netip.Addr
	}{{upLink, up, ip("10.1.0.1")}, {downLink, farEnd, ip("10.1.0.1")}} {
		r.hear(c.id, c.from, c.to, &dvmrp.Info{Version: dvmrp.Mrouted, TLVs: []dvmrp.TLV{{Type: dvmrp.InfoNeighbors}, {Type: dvmrp.InfoVersion}}})
		var reply dvmrp.Info
		got := r.answers(igmp.TypeDVMRP, dvmrp.CodeInfoReply)
		if len(got) != 1 || reply.Parse(got[0].Message) != nil || got[0].To != c.from || got[0].From != c.to {
			t.Fatalf("%v: %+v", c.from, r.sent)
		}
		if len(reply.TLVs) != 1 || reply.TLVs[0].Text() != "mroutd 1.0" {
			t.Errorf("%v: %+v", c.from, reply)
		}
	}
}

// A question to all routers is answered once, some time within 200 ms, and to no
// more than a bound of askers at a time.
func TestJitter(t *testing.T) {
	r := newRig(t)
	r.hear(hostLink, onLink, igmp.AllRouters, askNeighbors(dvmrp.CodeAskNeighbors2))
	if len(r.sent) > 0 || r.engine.delayed != 1 {
		t.Fatalf("at once: %+v", r.sent)
	}
	r.run(200 * time.Millisecond)
	if got := r.answers(igmp.TypeDVMRP, dvmrp.CodeNeighbors2); len(got) != 1 || got[0].To != onLink || got[0].From != ours || r.engine.delayed != 0 {
		t.Errorf("%+v", r.sent)
	}
	for i := range 10 * maxDelayed {
		r.hear(upLink, netip.AddrFrom4([4]byte{10, 1, 0, byte(10 + i%200)}), igmp.AllRouters, askNeighbors(dvmrp.CodeAskNeighbors2))
	}
	if r.engine.delayed != maxDelayed {
		t.Errorf("%d answers wait, want %d", r.engine.delayed, maxDelayed)
	}
	if c := r.engine.Questions(); c[respond.Answered] != 1+maxDelayed || c[respond.Limited] != 9*maxDelayed {
		t.Errorf("counts: %v", c)
	}
	r.sent = r.sent[:0]
	r.run(200 * time.Millisecond)
	if got := r.answers(igmp.TypeDVMRP, dvmrp.CodeNeighbors2); len(got) != maxDelayed || r.engine.delayed != 0 {
		t.Errorf("%d answers, %d wait", len(got), r.engine.delayed)
	}
}

// What the router says of itself in a trace, out of the state of its parts.
func TestTrace(t *testing.T) {
	normal := mtrace.Block{
		Arrival:  uint32((1_000_000_000+32384)%65536)<<16 | 0x8000,
		Incoming: ip("10.1.0.1"), Outgoing: ours, Previous: up,
		PacketsIn: 1000, PacketsOut: 800, PacketsGroup: 42, Protocol: mtrace.ProtocolDVMRP, FwdTTL: 16, Mask: 16,
	}
	theirs := mtrace.Block{Incoming: ip("10.2.0.2"), Outgoing: ip("10.8.0.1"), Previous: ip("10.2.0.1")}
	request := func(m *mtrace.Message, p *host.Packet) {
		m.Blocks, p.Interface, p.From, p.To = []mtrace.Block{theirs}, downLink, down, ip("10.2.0.1")
	}
	toDown := func(b *mtrace.Block) { b.Outgoing, b.PacketsOut, b.FwdTTL = ip("10.2.0.1"), 900, 1 }
	member := func(r *rig) { r.join(hostLink, onLink, group); r.flow(upLink, source, group, 42) }
	for _, c := range []struct {
		name  string
		setup func(r *rig)
		ask   func(m *mtrace.Message, p *host.Packet)
		block func(b *mtrace.Block) // nil: no answer
		to    netip.Addr            // valid: a response to it
	}{
		{name: "a member's query to all routers", setup: member, block: func(*mtrace.Block) {}},
		{
			name: "before there are packets", setup: func(r *rig) { r.join(hostLink, onLink, group) },
			block: func(b *mtrace.Block) { b.PacketsGroup = mtrace.Unknown },
		},
		{
			name:  "nobody wants the group there",
			block: func(b *mtrace.Block) { b.PacketsGroup, b.Code = mtrace.Unknown, mtrace.CodeNotForwarding },
		},
		{
			name: "weak", ask: func(m *mtrace.Message, p *host.Packet) { m.Group = igmp.Unspecified },
			block: func(b *mtrace.Block) { b.PacketsGroup = mtrace.Unknown },
		},
		{
			name: "a router downstream passes it on", setup: member, ask: request, block: toDown,
		},
		{
			name: "a router at the other end of a tunnel passes it on", setup: member,
			ask: func(m *mtrace.Message, p *host.Packet) {
				m.Blocks, p.Interface, p.From, p.To = []mtrace.Block{theirs}, upLink, farEnd, ip("10.1.0.1")
			},
			block: func(b *mtrace.Block) {
				b.Outgoing, b.PacketsOut, b.FwdTTL = ip("10.1.0.1"), mtrace.Unknown, 32
			},
		},
		{
			name: "the router upstream asks", setup: member,
			ask: func(m *mtrace.Message, p *host.Packet) {
				m.Blocks, p.Interface, p.From, p.To = []mtrace.Block{theirs}, upLink, up, ip("10.1.0.1")
			},
			block: func(b *mtrace.Block) {
				b.Outgoing, b.PacketsOut, b.FwdTTL, b.Code = ip("10.1.0.1"), 5, 1, mtrace.CodeRPFIf
			},
		},
		{
			name:  "the routers downstream have pruned",
			setup: func(r *rig) { member(r); r.prune(down) }, ask: request,
			block: func(b *mtrace.Block) { toDown(b); b.Code = mtrace.CodePruneRcvd },
		},
		{
			name: "nobody wants it at all",
			setup: func(r *rig) {
				r.flow(upLink, source, group, 42)
				r.prune(down)
				r.prune(farEnd)
				r.run(time.Second)
			},
			block: func(b *mtrace.Block) { b.Code = mtrace.CodePruneSent },
		},
		{
			name: "boundary on the way out",
			setup: func(r *rig) {
				member(r)
				l := rigLink(hostLink)
				l.Boundaries = []netip.Prefix{prefix("239.0.0.0/8")}
				r.handle(&host.LinkChanged{Link: l})
				r.run(time.Second)
			},
			block: func(b *mtrace.Block) { b.Code = mtrace.CodeScoped },
		},
		{
			name: "boundary on the way in, without packets",
			setup: func(r *rig) {
				l := rigLink(upLink)
				l.Boundaries = []netip.Prefix{prefix("239.0.0.0/8")}
				r.handle(&host.LinkChanged{Link: l})
				r.run(time.Second)
			},
			block: func(b *mtrace.Block) { b.PacketsGroup, b.Code = mtrace.Unknown, mtrace.CodeScoped },
		},
		{
			name: "another router brings the packets to the link",
			setup: func(r *rig) {
				r.report(downLink, down, dvmrp.Route{Prefix: prefix("10.9.0.0/16"), Metric: 1})
				r.run(time.Second)
			},
			ask: request,
			block: func(b *mtrace.Block) {
				// down reaches it at a cost of 1, so this router goes by down now.
				b.Incoming, b.Outgoing, b.Previous = ip("10.2.0.1"), ip("10.2.0.1"), down
				b.PacketsIn, b.PacketsOut, b.PacketsGroup, b.FwdTTL, b.Code = 0, 900, mtrace.Unknown, 1, mtrace.CodeRPFIf
			},
		},
		{
			name: "the source is on the link", setup: member,
			ask: func(m *mtrace.Message, p *host.Packet) { m.Source = ip("10.1.0.9") },
			block: func(b *mtrace.Block) {
				b.Previous, b.Mask, b.PacketsGroup = igmp.Unspecified, 24, mtrace.Unknown
			},
			to: onLink,
		},
		{
			name: "no route, by unicast", ask: func(m *mtrace.Message, p *host.Packet) { m.Source, p.To = stranger, ours },
			block: func(b *mtrace.Block) {
				*b = mtrace.Block{Arrival: normal.Arrival, Incoming: igmp.Unspecified, Outgoing: ours, Previous: igmp.Unspecified,
					PacketsIn: mtrace.Unknown, PacketsOut: 800, PacketsGroup: mtrace.Unknown, FwdTTL: 16, Code: mtrace.CodeNoRoute}
			},
			to: onLink,
		},
		{name: "no route, by multicast", ask: func(m *mtrace.Message, p *host.Packet) { m.Source = stranger }},
		{
			name: "the default route", setup: func(r *rig) {
				r.join(hostLink, onLink, group)
				r.report(upLink, up, dvmrp.Route{Prefix: prefix("0.0.0.0/0"), Metric: 3})
			},
			ask: func(m *mtrace.Message, p *host.Packet) { m.Source = stranger },
			block: func(b *mtrace.Block) {
				b.Mask, b.PacketsGroup = 1, mtrace.Unknown
			},
		},
		{
			name: "the router upstream is too old for mtrace",
			setup: func(r *rig) {
				old := dvmrp.Version{Capabilities: dvmrp.CapPrune | dvmrp.CapGenID, Minor: 2, Major: 10}
				r.hear(upLink, ip("10.1.0.66"), igmp.DVMRPRouters, &dvmrp.Probe{Version: old})
				r.run(100 * time.Millisecond)
				r.hear(upLink, ip("10.1.0.66"), igmp.DVMRPRouters, &dvmrp.Report{Version: old, Routes: []dvmrp.Route{{Prefix: prefix("10.9.9.0/24"), Metric: 1}}})
				r.join(hostLink, onLink, group)
			},
			ask: func(m *mtrace.Message, p *host.Packet) { m.Source = ip("10.9.9.9") },
			block: func(b *mtrace.Block) {
				b.Previous, b.Mask, b.PacketsGroup, b.Code = ip("10.1.0.66"), 24, mtrace.Unknown, mtrace.CodeOldRouter
			},
			to: onLink,
		},
		{
			name: "the receiver's link is disabled", setup: member,
			ask: func(m *mtrace.Message, p *host.Packet) { m.Receiver, p.To = ip("10.5.0.9"), ours },
			block: func(b *mtrace.Block) {
				b.Outgoing, b.PacketsOut, b.FwdTTL, b.Code = ip("10.5.0.1"), mtrace.Unknown, 1, mtrace.CodeNoMulticast
			},
		},
		{
			name: "the receiver is behind another router", setup: member,
			ask:   func(m *mtrace.Message, p *host.Packet) { m.Receiver, p.To = ip("10.8.0.9"), ours },
			block: func(b *mtrace.Block) { toDown(b); b.Code = mtrace.CodeWrongLastHop },
		},
		{
			name: "the same, weak", setup: member,
			ask: func(m *mtrace.Message, p *host.Packet) {
				m.Group, m.Receiver, p.To = igmp.Unspecified, ip("10.8.0.9"), ours
			},
			block: func(b *mtrace.Block) {
				toDown(b)
				b.PacketsGroup, b.Code = mtrace.Unknown, mtrace.CodeWrongLastHop
			},
		},
		{
			name: "several sources of a network are counted together", setup: func(r *rig) {
				member(r)
				r.flow(upLink, ip("10.9.0.10"), group, 8)
			},
			block: func(b *mtrace.Block) { b.PacketsGroup, b.Mask = 50, 16|mtrace.MaskSubnetCount },
		},
		{
			name: "packets of an entry that was removed count",
			setup: func(r *rig) {
				member(r)
				r.engine.Handle(r.now, &host.Tick{})
				// The link goes and comes back; its entries went with it.
				l := rigLink(upLink)
				l.Up = false
				r.handle(&host.LinkChanged{Link: l})
				l.Up = true
				r.handle(&host.LinkChanged{Link: l})
				r.greet(upLink, up, ip("10.1.0.1"))
				r.report(upLink, up, dvmrp.Route{Prefix: prefix("10.9.0.0/16"), Metric: 2})
				r.run(time.Second)
			},
			block: func(*mtrace.Block) {},
		},
		{
			name: "one hop wanted", setup: member,
			ask:   func(m *mtrace.Message, p *host.Packet) { m.Hops = 1 },
			block: func(*mtrace.Block) {}, to: onLink,
		},
		{name: "a response for a stranger", ask: func(m *mtrace.Message, p *host.Packet) { m.Response = stranger }},
		{
			name:  "a stranger's request, passed on by a neighbour",
			setup: member,
			ask: func(m *mtrace.Message, p *host.Packet) {
				request(m, p)
				m.Response = stranger
			},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, m := newRig(t), trace()
			if c.setup != nil {
				c.setup(r)
			}
			p := packet(hostLink, onLink, igmp.AllRouters, 1, false, nil)
			if c.ask != nil {
				c.ask(&m, p)
			}
			p.Message = encode(t, &m)
			r.handle(p)
			sent := slices.Concat(r.answers(igmp.TypeMtraceQuery, 0), r.answers(igmp.TypeMtraceResponse, 0))
			if c.block == nil {
				if len(sent) > 0 {
					t.Errorf("sent %+v", sent)
				}
				return
			}
			if len(sent) != 1 {
				t.Fatalf("sent %+v; %v", sent, r.engine.Questions())
			}
			b := normal
			c.block(&b)
			want := m
			want.Blocks = append(want.Blocks, b)
			wantSend := host.Send{From: b.Incoming, To: b.Previous, TTL: 255}
			if c.to.IsValid() {
				want.Type = mtrace.TypeResponse
				wantSend.To = c.to
				if b.Incoming.IsUnspecified() {
					wantSend.From = p.To
				}
			}
			var got mtrace.Message
			if err := got.Parse(sent[0].Message); err != nil || !igmp.VerifyChecksum(sent[0].Message) {
				t.Fatalf("%v, or checksum", err)
			}
			if diff := cmp.Diff(want, got, addrs); diff != "" {
				t.Errorf("message: -want +got:\n%s", diff)
			}
			sent[0].Message = nil
			if diff := cmp.Diff(wantSend, sent[0], addrs); diff != "" {
				t.Errorf("packet: -want +got:\n%s", diff)
			}
		})
	}
}

// Who may ask by the routes of DVMRP, and which neighbours may pass a trace on.
func TestAskers(t *testing.T) {
	r, private := newRig(t), rigSettings()
	private.Asking = host.Asking{Routed: true, Networks: []netip.Prefix{prefix("192.88.99.0/24")}}
	r.handle(&host.Configured{Settings: private})
	r.report(upLink, up, dvmrp.Route{Prefix: prefix("0.0.0.0/0"), Metric: 3}, dvmrp.Route{Prefix: prefix("203.0.113.128/25"), Metric: 3})
	for addr, want := range map[string]int{
		"10.9.1.1": 1, "203.0.113.200": 1, "198.18.0.9": 1, // the link is a route, too
		"203.0.113.9": 0, "198.51.100.1": 0, "10.77.0.1": 0, // but for the default route
	} {
		r.hear(upLink, ip(addr), ip("10.1.0.1"), askNeighbors(dvmrp.CodeAskNeighbors2))
		if got := len(r.answers(igmp.TypeDVMRP, dvmrp.CodeNeighbors2)); got != want {
			t.Errorf("%s asks: %d answers, want %d", addr, got, want)
		}
	}
	r.greet(upLink, farEnd, ip("10.1.0.1"))
	deaf := ip("10.77.0.1")
	l := rigLink(tunnelLink)
	l.ID, l.Remote = offLink+1, deaf
	r.handle(&host.LinkChanged{Link: l})
	r.hear(upLink, deaf, ip("10.1.0.1"), &dvmrp.Probe{Version: dvmrp.Mrouted, GenID: 1})
	for from, want := range map[netip.Addr]respond.Outcome{farEnd: respond.PassedOn, deaf: respond.Prohibited} {
		m := trace()
		m.Blocks, m.Response = []mtrace.Block{{Incoming: from, Outgoing: from, Previous: ip("10.1.0.1")}}, ip("192.88.99.1")
		before := r.engine.Questions()
		r.hear(upLink, from, ip("10.1.0.1"), &m)
		if after := r.engine.Questions(); after[want] != before[want]+1 {
			t.Errorf("passed on by %v: %v, then %v, want %v", from, before, after, want)
		}
	}
	// A tunnel whose other end does not hear this router is down, and listed.
	r.run(21 * time.Second)
	r.hear(upLink, deaf, ip("10.1.0.1"), &dvmrp.Probe{Version: dvmrp.Mrouted, GenID: 1})
	r.hear(hostLink, onLink, ours, askNeighbors(dvmrp.CodeAskNeighbors2))
	list := parseNeighbors(t, r, dvmrp.CodeNeighbors2).Interfaces
	if got := list[len(list)-1]; got.Flags != dvmrp.FlagTunnel|dvmrp.FlagDown || !slices.Equal(got.Neighbors, []netip.Addr{deaf}) {
		t.Errorf("a tunnel one way: %+v", got)
	}
}

// prune lets a neighbour prune the source and group.
func (r *rig) prune(from netip.Addr) {
	id, to := downLink, ip("10.2.0.1")
	if from == farEnd {
		id, to = upLink, ip("10.1.0.1")
	}
	r.hear(id, from, to, &dvmrp.Prune{Version: dvmrp.Mrouted, Source: ip("10.9.0.0"), Group: group, Lifetime: time.Hour})
}

// A multicast response leaves where the question came from, and on every other link
// where somebody wants it and its TTL is enough.
func TestMulticastResponse(t *testing.T) {
	for _, c := range []struct {
		name  string
		group netip.Addr
		ttl   uint8
		join  []host.Interface
		want  []host.Interface
	}{
		{"nobody joined", igmp.MtraceResponses, 64, nil, []host.Interface{hostLink, downLink}},
		{"a member beyond", igmp.MtraceResponses, 64, []host.Interface{upLink}, []host.Interface{hostLink, upLink, downLink}},
		{"the TTL is too low", igmp.MtraceResponses, 1, []host.Interface{upLink}, []host.Interface{hostLink}},
		{"a group of the configuration", ip("239.9.9.9"), 64, nil, []host.Interface{hostLink, downLink}},
		{"another group", ip("239.9.9.8"), 64, nil, nil},
	} {
		r, m := newRig(t), trace()
		// down depends on this router for the network of the response's source.
		r.report(downLink, down, dvmrp.Route{Prefix: prefix("198.18.0.0/24"), Metric: dvmrp.Infinity + 2})
		r.report(upLink, up, dvmrp.Route{Prefix: prefix("198.18.0.0/24"), Metric: 5})
		r.hear(upLink, farEnd, ip("10.1.0.1"), &dvmrp.Report{Version: dvmrp.Mrouted, Routes: []dvmrp.Route{{Prefix: prefix("198.18.0.0/24"), Metric: 5}}})
		for _, id := range c.join {
			r.join(id, up, c.group)
		}
		m.Response, m.ResponseTTL, m.Hops = c.group, c.ttl, 1
		r.hear(hostLink, onLink, igmp.AllRouters, &m)
		var links []host.Interface
		for _, s := range r.answers(igmp.TypeMtraceResponse, 0) {
			links = append(links, s.Interface)
			first := s.Interface == hostLink
			ttl := c.ttl
			if !first {
				ttl--
			}
			if s.From != ours || s.To != c.group || s.TTL != ttl || !s.Alert || s.Loop != first {
				t.Errorf("%s: sent %+v", c.name, s)
			}
		}
		if !slices.Equal(links, c.want) {
			t.Errorf("%s: left by %v, want %v", c.name, links, c.want)
		}
	}
}

// Questions to addresses that belong to this host and to no link are answered, and
// from them.
func TestOtherAddresses(t *testing.T) {
	r := newRig(t)
	for _, to := range []string{"127.0.0.1", "10.77.0.1"} {
		r.hear(0, ip("127.0.0.1"), ip(to), askNeighbors(dvmrp.CodeAskNeighbors2))
		if got := r.answers(igmp.TypeDVMRP, dvmrp.CodeNeighbors2); len(got) != 1 || got[0].From != ip(to) || got[0].To != ip("127.0.0.1") {
			t.Errorf("%s: %+v", to, r.sent)
		}
	}
}

// While 100,000 questions/s arrive from forged addresses, the router sends no more
// than it may, answers a host on its link, and tells its neighbours what it always
// does.
func TestQuestionFlood(t *testing.T) {
	const seconds, perSecond = 2, 100_000
	r := newRig(t)
	r.run(8 * time.Second) // probes leave after ten
	quiet := newRig(t)
	quiet.run(8 * time.Second)
	quiet.sent = quiet.sent[:0]
	quiet.run(seconds * time.Second)
	question := encode(t, askNeighbors(dvmrp.CodeAskNeighbors2))
	p := packet(upLink, up, ours, 64, false, question)
	began, forgedAnswers, probes, honest := r.now, 0, 0, 0
	for i := range seconds * perSecond {
		next := began + time.Duration(i)*time.Second/perSecond
		r.sent = r.sent[:0]
		r.run(next - r.now)
		probes += len(r.answers(igmp.TypeDVMRP, dvmrp.CodeProbe))
		p.From = netip.AddrFrom4([4]byte{10, byte(16 + i>>16), byte(i >> 8), byte(i)})
		forgedAnswers += len(r.engine.Handle(r.now, p).Send)
		if i%perSecond == 0 {
			r.hear(hostLink, onLink, ours, askNeighbors(dvmrp.CodeAskNeighbors2))
			honest += len(r.answers(igmp.TypeDVMRP, dvmrp.CodeNeighbors2))
		}
	}
	far := respond.RouterLimits.Far
	if most := far.All.Burst + seconds*far.All.PerSecond; forgedAnswers > most || forgedAnswers == 0 {
		t.Errorf("%d packets for forged addresses in %d s, want at most %d", forgedAnswers, seconds, most)
	}
	if honest != seconds {
		t.Errorf("%d of %d honest questions were answered", honest, seconds)
	}
	r.sent = r.sent[:0]
	r.run(began + seconds*time.Second - r.now)
	probes += len(r.answers(igmp.TypeDVMRP, dvmrp.CodeProbe))
	if want := len(quiet.answers(igmp.TypeDVMRP, dvmrp.CodeProbe)); probes != want || want == 0 {
		t.Errorf("%d probes were sent, %d are when it is quiet", probes, want)
	}
	if size := r.engine.Size(); size.Timers > 100 {
		t.Errorf("%d timers are set", size.Timers)
	}
}

// A question is answered without the work that is due: an upcall may be waiting
// behind it. The work is done right after.
func TestQuestionBeforeWork(t *testing.T) {
	r := newRig(t)
	at, ok := r.engine.Deadline(r.now)
	for ; ok && len(r.answers(igmp.TypeDVMRP, dvmrp.CodeProbe)) == 0; at, ok = r.engine.Deadline(r.now) {
		r.now = max(r.now, at)
		r.handle(&host.Tick{})
	}
	r.run(9 * time.Second)
	r.now += 2 * time.Second // probes were to leave after ten
	r.hear(hostLink, onLink, ours, askNeighbors(dvmrp.CodeAskNeighbors2))
	if n := len(r.answers(igmp.TypeDVMRP, dvmrp.CodeNeighbors2)); n != 1 || len(r.sent) != 1 {
		t.Errorf("%d answers among %d packets, want 1 alone", n, len(r.sent))
	}
	if at, ok := r.engine.Deadline(r.now); !ok || at > r.now {
		t.Fatalf("deadline %v, %v; want it now", at, ok)
	}
	r.handle(&host.Tick{})
	if len(r.answers(igmp.TypeDVMRP, dvmrp.CodeProbe)) == 0 {
		t.Error("no probe was sent")
	}
}

// Whatever is asked, by whomever: no panic, no answer to who may not have one, all
// of it well-formed.
func FuzzQuestions(f *testing.F) {
	m := trace()
	f.Add(encode(f, &m), uint32(0xc6120009), uint32(0xe0000002), uint8(3), uint8(1), false)
	f.Add(encode(f, &m), uint32(0x0a090009), uint32(0xef010203), uint8(1), uint8(64), true)
	m.Blocks, m.Response = []mtrace.Block{{Incoming: up, Outgoing: up, Previous: up}}, igmp.MtraceResponses
	f.Add(encode(f, &m), uint32(0x0a020002), uint32(0x0a020001), uint8(2), uint8(255), true)
	f.Add(encode(f, askNeighbors(dvmrp.CodeAskNeighbors2)), uint32(0x0a020002), uint32(0x0a020001), uint8(2), uint8(255), true)
	f.Add(encode(f, askNeighbors(dvmrp.CodeAskNeighbors)), uint32(0x0a010002), uint32(0x0a080808), uint8(1), uint8(2), true)
	f.Add(encode(f, &dvmrp.Info{TLVs: []dvmrp.TLV{{Type: dvmrp.InfoVersion}}}), uint32(0x0a010002), uint32(0x0a010001), uint8(1), uint8(255), false)
	address := func(v uint32) netip.Addr {
		return netip.AddrFrom4([4]byte{byte(v >> 24), byte(v >> 16), byte(v >> 8), byte(v)})
	}
	f.Fuzz(func(t *testing.T, b []byte, from, to uint32, id, ttl uint8, alert bool) {
		if len(b) >= igmp.FrameLen && len(b)%2 == 0 {
			igmp.PutChecksum(b)
		}
		r := newRig(t)
		p := packet(host.Interface(id%8), address(from), address(to), ttl, alert, b)
		r.handle(p)
		r.run(300 * time.Millisecond)
		for _, s := range r.sent {
			kind := igmp.Type(s.Message[0])
			switch {
			case s.Header != nil:
				if s.TTL != ttl-1 || ttl < 2 || s.From != p.From || s.To != p.To || s.Header[8] != s.TTL || !slices.Equal(s.Message, b) {
					t.Errorf("passed on %+v", s)
				}
				if s.To.IsMulticast() != (s.Interface != 0) || s.Interface == p.Interface {
					t.Errorf("passed on by %d, came by %d", s.Interface, p.Interface)
				}
			case !igmp.VerifyChecksum(s.Message):
				t.Errorf("a wrong checksum: %+v", s)
			case kind == igmp.TypeMtraceResponse || kind == igmp.TypeDVMRP && dvmrp.Code(s.Message[1]) == dvmrp.CodeNeighbors2:
				private := s.To.IsPrivate() || s.To.IsLinkLocalUnicast() || s.To.IsLoopback()
				local := rigLink(hostLink).Networks[0].Prefix.Contains(s.To) || s.To == farEnd
				if !private && !local && s.To != igmp.MtraceResponses && s.To != ip("239.9.9.9") {
					t.Errorf("an answer to %v", s.To)
				}
			}
		}
	})
}

func BenchmarkAnswerNeighbors(b *testing.B) {
	r := newRig(b)
	p := packet(hostLink, onLink, ours, 64, false, encode(b, askNeighbors(dvmrp.CodeAskNeighbors2)))
	b.ReportAllocs()
	for b.Loop() {
		r.now += 10 * time.Microsecond
		if len(r.engine.Handle(r.now, p).Send) == 0 {
			b.Fatal(r.engine.Questions())
		}
	}
}

func BenchmarkAnswerTrace(b *testing.B) {
	r, m := newRig(b), trace()
	r.join(hostLink, onLink, group)
	r.flow(upLink, source, group, 42)
	p := packet(hostLink, onLink, ours, 64, false, encode(b, &m))
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		r.now += 10 * time.Microsecond
		p.Message[21], p.Message[22], p.Message[23] = byte(i>>16), byte(i>>8), byte(i)
		igmp.PutChecksum(p.Message)
		if len(r.engine.Handle(r.now, p).Send) == 0 {
			b.Fatal(r.engine.Questions())
		}
	}
}

func BenchmarkRefuse(b *testing.B) {
	r := newRig(b)
	p := packet(upLink, stranger, ours, 64, false, encode(b, askNeighbors(dvmrp.CodeAskNeighbors2)))
	b.ReportAllocs()
	for b.Loop() {
		r.now += 10 * time.Microsecond
		r.engine.Handle(r.now, p)
	}
}
