package router

import (
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

// What has Router Alert and is for somebody else is passed on as it is but for its
// TTL, and nothing else is.
func TestPass(t *testing.T) {
	beyond, answerer := ip("10.8.0.1"), ip("192.88.99.1")
	m := trace()
	m.Type, m.Blocks = mtrace.TypeResponse, []mtrace.Block{{Incoming: up, Outgoing: up, Previous: up}}
	response := encode(t, &m)
	damaged := slices.Clone(response)
	damaged[9]++ // as pimd does it
	for _, c := range []struct {
		name    string
		packet  *host.Packet
		change  func(p *host.Packet, s *host.Settings)
		message []byte
		pass    bool
		counts  TransitCounts
	}{
		{name: "a question", pass: true, counts: TransitCounts{Unicast: 1}},
		{name: "an answer", message: response, pass: true, counts: TransitCounts{Unicast: 1}},
		{name: "a damaged answer", message: damaged, pass: true, counts: TransitCounts{Unicast: 1}},
		{
			name: "a stranger's", change: func(p *host.Packet, s *host.Settings) { *p = *packet(upLink, stranger, beyond, 64, true, p.Message) },
			pass: true, counts: TransitCounts{Unicast: 1},
		},
		{
			name: "control of somebody's tunnel", message: encode(t, &dvmrp.Probe{Version: dvmrp.Mrouted, GenID: 1}),
			pass: true, counts: TransitCounts{Unicast: 1},
		},
		{
			name: "TTL 2", change: func(p *host.Packet, s *host.Settings) { *p = *packet(upLink, answerer, beyond, 2, true, p.Message) },
			pass: true, counts: TransitCounts{Unicast: 1},
		},
		{
			name: "TTL 1", change: func(p *host.Packet, s *host.Settings) { *p = *packet(upLink, answerer, beyond, 1, true, p.Message) },
			counts: TransitCounts{Expired: 1},
		},
		{
			name: "TTL 0", change: func(p *host.Packet, s *host.Settings) { *p = *packet(upLink, answerer, beyond, 0, true, p.Message) },
			counts: TransitCounts{Expired: 1},
		},
		{
			name: "the host does not forward", change: func(p *host.Packet, s *host.Settings) { s.Forwarding = false },
			counts: TransitCounts{Refused: 1},
		},
		{
			name: "it has come around on this host", change: func(p *host.Packet, s *host.Settings) { p.Interface = 0 },
			counts: TransitCounts{Refused: 1},
		},
		{
			name: "from this router", change: func(p *host.Packet, s *host.Settings) { *p = *packet(upLink, ours, beyond, 64, true, p.Message) },
			counts: TransitCounts{Refused: 1},
		},
		{
			name: "to all of a link", change: func(p *host.Packet, s *host.Settings) {
				*p = *packet(upLink, answerer, ip("10.2.0.255"), 64, true, p.Message)
			},
			counts: TransitCounts{Refused: 1},
		},
		{
			name: "to everybody", change: func(p *host.Packet, s *host.Settings) {
				*p = *packet(upLink, answerer, ip("255.255.255.255"), 64, true, p.Message)
			},
			counts: TransitCounts{Refused: 1},
		},
		{
			name: "from nobody", change: func(p *host.Packet, s *host.Settings) {
				*p = *packet(upLink, ip("0.0.0.0"), beyond, 64, true, p.Message)
			},
			counts: TransitCounts{Refused: 1},
		},
		{
			name: "from everybody", change: func(p *host.Packet, s *host.Settings) {
				*p = *packet(upLink, ip("224.0.0.1"), beyond, 64, true, p.Message)
			},
			counts: TransitCounts{Refused: 1},
		},
		{name: "without its header", change: func(p *host.Packet, s *host.Settings) { p.Header = nil }, counts: TransitCounts{Refused: 1}},
		{
			name: "a header of another length than it says", change: func(p *host.Packet, s *host.Settings) { p.Header[0] = 0x4f },
			counts: TransitCounts{Refused: 1},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, s := newRig(t), rigSettings()
			message := c.message
			if message == nil {
				message = encode(t, askNeighbors(dvmrp.CodeAskNeighbors2))
			}
			p := packet(upLink, answerer, beyond, 64, true, message)
			if c.change != nil {
				c.change(p, &s)
			}
			r.handle(&host.Configured{Settings: s})
			header := slices.Clone(p.Header)
			r.handle(p)
			if got := r.engine.Transit(); got != c.counts {
				t.Errorf("counts %+v, want %+v", got, c.counts)
			}
			if !c.pass {
				if len(r.sent) > 0 {
					t.Errorf("sent %+v", r.sent)
				}
				return
			}
			header[8]-- // and no other byte
			if len(r.sent) != 1 {
				t.Fatalf("sent %+v", r.sent)
			}
			got := r.sent[0]
			if got.Interface != 0 || got.From != p.From || got.To != p.To || got.TTL != p.TTL-1 || !got.Alert ||
				!slices.Equal(got.Header, header) || !slices.Equal(got.Message, message) {
				t.Errorf("sent %+v, header % x, want % x", got, got.Header, header)
			}
		})
	}
	// A question for this router with the option is a question.
	r := newRig(t)
	r.handle(packet(upLink, up, ours, 64, true, encode(t, askNeighbors(dvmrp.CodeAskNeighbors2))))
	if got := r.answers(igmp.TypeDVMRP, dvmrp.CodeNeighbors2); len(got) != 1 || got[0].Alert || r.engine.Transit() != (TransitCounts{}) {
		t.Errorf("a question for this router: %+v, %+v", r.sent, r.engine.Transit())
	}
}

// Traces to a group go where packets of their sender to it would go, and other IGMP
// stays where it is.
func TestForward(t *testing.T) {
	query, response := trace(), trace()
	response.Type, response.Blocks = mtrace.TypeResponse, []mtrace.Block{{Incoming: up, Outgoing: up, Previous: up}}
	response.Response = igmp.MtraceResponses
	// The asker is near the source: up is where its packets come from.
	asker := ip("10.9.0.50")
	member := func(r *rig) { r.join(hostLink, onLink, group) }
	links := func(ids ...host.Interface) []host.Interface { return ids }
	for _, c := range []struct {
		name   string
		setup  func(r *rig)
		packet *host.Packet
		want   []host.Interface
		wrong  bool
	}{
		{"a query for the members of a group", member, packet(upLink, asker, group, 64, true, encode(t, &query)), links(downLink, hostLink, tunnelLink), false},
		{"without Router Alert", member, packet(upLink, asker, group, 64, false, encode(t, &query)), links(downLink, hostLink, tunnelLink), false},
		{"nobody joined", nil, packet(upLink, asker, group, 64, true, encode(t, &query)), links(downLink, tunnelLink), false},
		{"thresholds: of the tunnel", member, packet(upLink, asker, group, 32, true, encode(t, &query)), links(downLink, hostLink), false},
		{"thresholds: of both", member, packet(upLink, asker, group, 16, true, encode(t, &query)), links(downLink), false},
		{"TTL 2", member, packet(upLink, asker, group, 2, true, encode(t, &query)), links(downLink), false},
		{"TTL 1", member, packet(upLink, asker, group, 1, true, encode(t, &query)), nil, false},
		{"not where its source is", member, packet(downLink, asker, group, 64, true, encode(t, &query)), nil, true},
		{"a source without a route", member, packet(upLink, stranger, group, 64, true, encode(t, &query)), nil, true},
		{"by no link", member, packet(0, asker, group, 64, true, encode(t, &query)), nil, false},
		{"a host on a link", func(r *rig) { r.join(upLink, up, group) }, packet(hostLink, onLink, group, 64, true, encode(t, &query)), links(upLink, downLink), false},
		{"this host", member, packet(upLink, ip("10.1.0.1"), group, 64, true, encode(t, &query)), links(downLink, hostLink, tunnelLink), false},
		{"a response to 224.0.1.32", nil, packet(upLink, asker, igmp.MtraceResponses, 64, true, encode(t, &response)), links(downLink, tunnelLink), false},
		{"this router's own response, heard again", nil, packet(upLink, ip("10.1.0.1"), igmp.MtraceResponses, 64, true, encode(t, &response)), nil, false},
		{"to all routers", member, packet(upLink, asker, igmp.AllRouters, 64, true, encode(t, &query)), nil, false},
		{
			"boundary", func(r *rig) {
				member(r)
				l := rigLink(hostLink)
				l.Boundaries = []netip.Prefix{prefix("239.0.0.0/8")}
				r.handle(&host.LinkChanged{Link: l})
			},
			packet(upLink, asker, group, 64, true, encode(t, &query)), links(downLink, tunnelLink), false,
		},
		{"pruned", func(r *rig) { r.flow(upLink, source, group, 1); r.prune(down) }, packet(upLink, asker, group, 64, true, encode(t, &query)), links(tunnelLink), false},
		{"a report of a member", nil, packet(upLink, up, group, 64, true, encode(t, &igmp.Membership{Type: igmp.TypeReportV2, Group: group})), nil, false},
		{"DVMRP", nil, packet(upLink, up, group, 64, true, encode(t, askNeighbors(dvmrp.CodeAskNeighbors2))), nil, false},
		{"half a trace", member, packet(upLink, asker, group, 64, true, encode(t, &query)[:20]), nil, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			// The routers beyond depend on this one for all networks.
			r.report(downLink, down, dvmrp.Route{Prefix: prefix("10.1.0.0/24"), Metric: dvmrp.Infinity + 2}, dvmrp.Route{Prefix: prefix("198.18.0.0/24"), Metric: dvmrp.Infinity + 2})
			r.hear(upLink, farEnd, ip("10.1.0.1"), &dvmrp.Report{Version: dvmrp.Mrouted, Routes: []dvmrp.Route{
				{Prefix: prefix("10.1.0.0/24"), Metric: dvmrp.Infinity + 2}, {Prefix: prefix("10.9.0.0/16"), Metric: dvmrp.Infinity + 6}, {Prefix: prefix("198.18.0.0/24"), Metric: 2},
			}})
			r.report(upLink, up, dvmrp.Route{Prefix: prefix("198.18.0.0/24"), Metric: 9})
			if c.setup != nil {
				c.setup(r)
			}
			before := r.engine.Transit()
			header := slices.Clone(c.packet.Header)
			r.handle(c.packet)
			var got []host.Interface
			for _, s := range r.sent {
				if s.Header == nil {
					continue // its own answer
				}
				got = append(got, s.Interface)
				header[8] = c.packet.TTL - 1
				if s.From != c.packet.From || s.To != c.packet.To || s.TTL != c.packet.TTL-1 || s.Loop || s.Alert != c.packet.Alert ||
					!slices.Equal(s.Header, header) || !slices.Equal(s.Message, c.packet.Message) {
					t.Errorf("sent %+v", s)
				}
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("left by %v, want %v", got, c.want)
			}
			after := r.engine.Transit()
			if after.Copies-before.Copies != uint64(len(c.want)) || (after.WrongInterface > before.WrongInterface) != c.wrong {
				t.Errorf("counts %+v, then %+v", before, after)
			}
		})
	}
}

// The query of a host elsewhere is answered by the last hop, and goes on to other
// last hops; heard twice, it is answered once.
func TestForwardAndAnswer(t *testing.T) {
	r, m := newRig(t), trace()
	r.join(hostLink, onLink, group)
	m.Response = ip("10.9.0.50")
	p := packet(upLink, ip("10.9.0.50"), group, 64, true, encode(t, &m))
	r.handle(p)
	var forwarded, answered int
	for _, s := range r.answers(igmp.TypeMtraceQuery, 0) {
		if s.Header != nil {
			forwarded++
		} else if s.To == up {
			answered++
		}
	}
	if forwarded == 0 || answered != 1 {
		t.Errorf("%d copies and %d requests: %+v", forwarded, answered, r.sent)
	}
	r.handle(p)
	for _, s := range r.sent {
		if s.Header == nil {
			t.Errorf("answered again: %+v", s)
		}
	}
}

// However much comes, from however many, what is passed on is bounded, and a
// neighbour has its share.
func TestTransitFlood(t *testing.T) {
	const seconds, perSecond = 2, 50_000
	r := newRig(t)
	r.run(time.Second)
	message := encode(t, askNeighbors(dvmrp.CodeAskNeighbors2))
	began, passed, ofNeighbor := r.now, 0, 0
	random := rand.New(rand.NewPCG(3, 4))
	for i := range seconds * perSecond {
		r.now = began + time.Duration(i)*time.Second/perSecond
		from := netip.AddrFrom4([4]byte{10, 9, byte(random.Uint32()), byte(1 + random.Uint32N(250))})
		for _, s := range r.engine.Handle(r.now, packet(upLink, from, ip("10.8.0.1"), 64, true, message)).Send {
			if s.Header != nil {
				passed++
			}
		}
		if i%(perSecond/10) == 0 {
			for _, s := range r.engine.Handle(r.now, packet(downLink, down, ip("10.9.0.1"), 64, true, message)).Send {
				if s.Header != nil {
					ofNeighbor++
				}
			}
		}
	}
	if most := transitRates.All.Burst + seconds*transitRates.All.PerSecond; passed > most || passed < most/2 {
		t.Errorf("%d packets were passed on in %d s, want at most %d", passed, seconds, most)
	}
	if ofNeighbor != 10*seconds {
		t.Errorf("%d of %d packets of a neighbour were passed on", ofNeighbor, 10*seconds)
	}
	if n := r.engine.transit.limiter.Len(); n > 1024 {
		t.Errorf("%d sources are remembered", n)
	}
}
