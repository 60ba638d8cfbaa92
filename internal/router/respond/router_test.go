package respond

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mbone/internal/router/host"
	"mbone/proto/dvmrp"
	"mbone/proto/igmp"
	"mbone/proto/mtrace"
)

// model is a router that knows all that can be asked:
//
//	source 10.1.0.9 -- [up] 10.2.0.2 -- 10.2.0.1 [this] 198.18.0.1 -- receiver 198.18.0.9
//	                                          1    | |  2
//	                          10.4.0.1 -- 10.4.0.2 | tunnel 3 from 10.2.0.1 to 203.0.113.9
//	                               4 (disabled)
type model struct {
	networks   []Network
	disabled   []int
	neighbors  []netip.Addr
	interfaces []Interface
	routed     netip.Prefix
	path       Path
	flow       Flow // that was asked for
}

func newModel() *model {
	return &model{
		networks: []Network{
			network(1, "10.2.0.1", 24), network(2, "198.18.0.1", 24), network(4, "10.4.0.2", 24),
			{Interface: 3, Address: ip("10.2.0.1"), Prefix: netip.MustParsePrefix("203.0.113.9/32"), Tunnel: true},
			{Interface: 2, Prefix: netip.MustParsePrefix("198.18.7.0/24")},
		},
		disabled:   []int{4},
		neighbors:  []netip.Addr{upRouter, ip("198.18.0.2"), ip("203.0.113.9")},
		interfaces: []Interface{{Local: ip("10.2.0.1")}},
		routed:     netip.MustParsePrefix("192.0.2.0/24"),
		path: Path{
			In: 1, Previous: upRouter, Bits: 16, Protocol: mtrace.ProtocolDVMRP, Packets: 800, TTL: 5, Threshold: 5,
			Child: true, LastHop: true,
		},
	}
}

func (m *model) Networks() []Network              { return m.networks }
func (m *model) Routed(addr netip.Addr) bool      { return m.routed.Contains(addr) }
func (m *model) Neighbor(addr netip.Addr) bool    { return slices.Contains(m.neighbors, addr) }
func (m *model) Interfaces() ([]Interface, error) { return m.interfaces, nil }

func (m *model) Counts(id int) (in, out uint32, ok bool, err error) {
	if id == 0 || slices.Contains(m.disabled, id) {
		return mtrace.Unknown, mtrace.Unknown, false, nil
	}
	return 1000 + uint32(id), 2000 + uint32(id), true, nil
}

func (m *model) Output(source, group, receiver netip.Addr) (int, error) { return 0, nil }

func (m *model) Path(f Flow) (Path, error) {
	m.flow = f
	return m.path, nil
}

var (
	policy   = host.Asking{Local: true, Private: true, Routed: true}
	identity = Identity{Version: dvmrp.Mrouted, Text: "mroutd 1.0"}
)

func newRouter(a host.Asking) *Responder {
	r := New(rand.New(rand.NewPCG(1, 2)), RouterLimits)
	r.Configure(a, identity)
	return r
}

// What each class of askers, and each response address, may have.
func TestAsking(t *testing.T) {
	type class uint8
	const (
		self class = iota
		onLink
		altnet
		tunnelEnd
		private
		routed
		listed
		public
		classes
	)
	askers := [classes]netip.Addr{
		ip("198.18.0.1"), ip("198.18.0.7"), ip("198.18.7.7"), ip("203.0.113.9"), ip("172.20.1.1"), ip("192.0.2.7"), ip("192.88.99.7"), ip("198.51.100.1"),
	}
	list := []netip.Prefix{netip.MustParsePrefix("192.88.99.0/24")}
	for _, c := range []struct {
		name   string
		asking host.Asking
		may    []class
	}{
		{"nobody", host.Asking{}, []class{self}},
		{"local", host.Asking{Local: true}, []class{self, onLink, altnet, tunnelEnd}},
		{"private", host.Asking{Private: true}, []class{self, private}},
		{"routed", host.Asking{Routed: true}, []class{self, routed}},
		{"listed", host.Asking{Networks: list}, []class{self, listed}},
		{"default", policy, []class{self, onLink, altnet, tunnelEnd, private, routed}},
		{"any", host.Asking{Any: true}, []class{self, onLink, altnet, tunnelEnd, private, routed, listed, public}},
	} {
		for who, addr := range askers {
			want := Forbidden
			if slices.Contains(c.may, class(who)) {
				want = Answered
			}
			r := newRouter(c.asking)
			got := r.Handle(0, Packet{From: addr, To: ip("198.18.0.1"), Interface: 2, Message: ask(t, dvmrp.CodeAskNeighbors2)}, newModel())
			if got.Outcome != want || (len(got.Send) == 1) != (want == Answered) {
				t.Errorf("%s: %v asks for neighbours: %v, want %v", c.name, addr, got.Outcome, want)
			}
			// The same for a response address, whoever asks.
			m := query()
			m.Response, m.Receiver, m.Hops = addr, ip("198.18.0.9"), 1
			got = r.Handle(0, Packet{Time: arrival, From: ip("198.18.0.1"), To: ip("10.2.0.1"), Interface: 2, Message: encode(t, &m)}, newModel())
			if got.Outcome != want || (len(got.Send) == 1) != (want == Answered) {
				t.Errorf("%s: a trace for %v: %v, want %v", c.name, addr, got.Outcome, want)
			}
		}
	}
}

// Addresses that nobody has, or everybody, get nothing, whatever the policy.
func TestAskingNobody(t *testing.T) {
	for _, addr := range []string{"0.0.0.0", "0.1.2.3", "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255",
		"198.18.0.0", "198.18.0.255", "198.18.7.255", "10.4.0.255"} {
		r, m := newRouter(host.Asking{Any: true}), query()
		m.Response = ip(addr)
		for _, p := range []Packet{
			{From: ip(addr), To: ip("198.18.0.1"), Interface: 2, Message: ask(t, dvmrp.CodeAskNeighbors2)},
			{From: ip("198.18.0.7"), To: ip("198.18.0.1"), Interface: 2, Message: encode(t, &m)},
		} {
			if got := r.Handle(0, p, newModel()); got.Outcome != Forbidden || len(got.Send) > 0 {
				t.Errorf("%s, from %v: %v", addr, p.From, got.Outcome)
			}
		}
	}
}

// Multicast responses go to 224.0.1.32 and to the groups of the configuration,
// never to a group of the link.
func TestResponseGroups(t *testing.T) {
	a := policy
	a.ResponseGroups = []netip.Addr{ip("239.9.9.9"), ip("224.0.0.5")}
	for group, want := range map[string]Outcome{
		"224.0.1.32": Answered, "239.9.9.9": Answered, "239.9.9.8": Forbidden, "224.0.0.5": Forbidden, "224.0.0.1": Forbidden,
	} {
		m := query()
		m.Response, m.Receiver, m.Hops = ip(group), ip("198.18.0.9"), 1
		got := newRouter(a).Handle(0, Packet{From: ip("198.18.0.7"), To: ip("198.18.0.1"), Interface: 2, Message: encode(t, &m)}, newModel())
		if got.Outcome != want {
			t.Errorf("response to %s: %v, want %v", group, got.Outcome, want)
		}
	}
}

// A request is judged by its response address if a neighbour passed it on.
func TestRequestsOfNeighbors(t *testing.T) {
	for _, c := range []struct {
		name     string
		from     string
		response string
		asking   host.Asking
		request  bool
		want     Outcome
	}{
		{"neighbour, for who may ask", "10.2.0.2", "192.88.99.7", host.Asking{Networks: []netip.Prefix{netip.MustParsePrefix("192.88.99.0/24")}}, true, PassedOn},
		{"neighbour, for another", "10.2.0.2", "198.51.100.1", policy, true, Forbidden},
		{"neighbour behind a tunnel", "203.0.113.9", "10.9.9.9", host.Asking{Private: true}, true, PassedOn},
		{"neighbour that asks itself", "203.0.113.9", "10.9.9.9", host.Asking{Private: true}, false, Forbidden},
		{"no neighbour, for who may ask", "198.51.100.1", "10.9.9.9", policy, true, Prohibited},
		{"no neighbour, by multicast answer", "198.51.100.1", "224.0.1.32", policy, true, Forbidden},
		{"no neighbour, for another", "198.51.100.1", "198.51.100.1", policy, true, Forbidden},
		{"a stranger asks for somebody else", "198.51.100.1", "10.9.9.9", policy, false, Forbidden},
	} {
		m := query()
		m.Response, m.Receiver = ip(c.response), ip("198.18.0.9")
		if c.request {
			m.Blocks = []mtrace.Block{theirs}
		}
		r := newRouter(c.asking)
		got := r.Handle(0, Packet{Time: arrival, From: ip(c.from), To: ip("10.2.0.1"), Interface: 1, Message: encode(t, &m)}, newModel())
		if got.Outcome != c.want || (len(got.Send) > 0) != (c.want != Forbidden) {
			t.Errorf("%s: %v, %d packets, want %v", c.name, got.Outcome, len(got.Send), c.want)
			continue
		}
		if c.want != Prohibited {
			continue
		}
		// It ends here, and says nothing but that.
		var sent mtrace.Message
		if err := sent.Parse(got.Send[0].Message); err != nil {
			t.Fatal(err)
		}
		none := ip("0.0.0.0")
		want := mtrace.Block{
			Arrival: arrival32, Incoming: none, Outgoing: none, Previous: none,
			PacketsIn: mtrace.Unknown, PacketsOut: mtrace.Unknown, PacketsGroup: mtrace.Unknown, Code: mtrace.CodeAdminProhib,
		}
		if diff := cmp.Diff(want, sent.Blocks[1], addrs); diff != "" || sent.Type != mtrace.TypeResponse || got.Send[0].To != ip(c.response) {
			t.Errorf("%s: %v to %v; -want +got:\n%s", c.name, sent.Type, got.Send[0].To, diff)
		}
	}
}

// The code of a block is the first that applies, in the order of the draft. Each
// case has all the reasons of those below it, too.
func TestCodes(t *testing.T) {
	const request, query1, both = 1, 2, 3
	everything := func(p *Path) {
		p.Scoped, p.PruneSent, p.PruneReceived, p.TTL = true, true, true, 0
	}
	for _, c := range []struct {
		name   string
		asked  int
		change func(m *model)
		want   mtrace.Code
	}{
		{"no route", both, func(m *model) { everything(&m.path); m.path.In, m.path.Old = 0, true }, mtrace.CodeNoRoute},
		{"the previous hop does not know mtrace", both, func(m *model) {
			everything(&m.path)
			m.path.Old, m.path.Child, m.path.LastHop, m.disabled = true, false, false, []int{1, 2}
		}, mtrace.CodeOldRouter},
		{"the incoming interface is disabled", both, func(m *model) {
			everything(&m.path)
			m.path.Child, m.path.LastHop, m.disabled = false, false, []int{1}
		}, mtrace.CodeNoMulticast},
		{"the outgoing interface is disabled", both, func(m *model) {
			everything(&m.path)
			m.path.Child, m.path.LastHop, m.disabled = false, false, []int{2}
		}, mtrace.CodeNoMulticast},
		{"towards the source", both, func(m *model) {
			everything(&m.path)
			m.path.In, m.path.Child, m.path.LastHop = 2, false, false
		}, mtrace.CodeRPFIf},
		{"another router's link", request, func(m *model) {
			everything(&m.path)
			m.path.Child, m.path.LastHop = false, false
		}, mtrace.CodeWrongIf},
		{"not the last hop", query1, func(m *model) {
			everything(&m.path)
			m.path.Child, m.path.LastHop = false, false
		}, mtrace.CodeWrongLastHop},
		{"boundary", both, func(m *model) { everything(&m.path) }, mtrace.CodeScoped},
		{"prune sent", both, func(m *model) { everything(&m.path); m.path.Scoped = false }, mtrace.CodePruneSent},
		{"prune received", both, func(m *model) { m.path.TTL, m.path.PruneReceived = 0, true }, mtrace.CodePruneRcvd},
		{"nobody wants it", both, func(m *model) { m.path.TTL = 0 }, mtrace.CodeNotForwarding},
		{"one of two routers has pruned", both, func(m *model) { m.path.PruneReceived = true }, mtrace.CodeNoError},
		{"forwarded", both, func(m *model) {}, mtrace.CodeNoError},
	} {
		for _, asked := range []int{request, query1} {
			if c.asked&asked == 0 {
				continue
			}
			tables, m := newModel(), query()
			c.change(tables)
			m.Receiver, m.Response = ip("198.18.0.9"), ip("198.18.0.7")
			if asked == request {
				m.Blocks = []mtrace.Block{theirs}
			}
			got := newRouter(policy).Handle(0, Packet{Time: arrival, From: ip("198.18.0.7"), To: ip("198.18.0.1"), Interface: 2, Message: encode(t, &m)}, tables)
			var sent mtrace.Message
			if len(got.Send) != 1 || sent.Parse(got.Send[0].Message) != nil {
				t.Errorf("%s: %+v", c.name, got)
				continue
			}
			b := sent.Blocks[len(sent.Blocks)-1]
			ends := c.want.Fatal() || c.want == mtrace.CodeNoRoute
			if b.Code != c.want || (sent.Type == mtrace.TypeResponse) != ends {
				t.Errorf("%s, %d blocks: %v in a %v, want %v", c.name, len(m.Blocks), b.Code, sent.Type, c.want)
			}
			if c.want != mtrace.CodeNoRoute && b.FwdTTL != 5 {
				t.Errorf("%s: threshold %d, want 5", c.name, b.FwdTTL)
			}
		}
	}
}

// A trace without a group asks for the way only: nothing is wrong if there are no
// packets.
func TestWeakTrace(t *testing.T) {
	tables, m := newModel(), query()
	tables.path.TTL, tables.path.Packets = 0, mtrace.Unknown
	m.Group, m.Receiver, m.Response, m.Hops = ip("0.0.0.0"), ip("198.18.0.9"), ip("198.18.0.7"), 1
	got := newRouter(policy).Handle(0, Packet{Time: arrival, From: ip("198.18.0.7"), To: igmp.AllRouters, Interface: 2, Message: encode(t, &m)}, tables)
	var sent mtrace.Message
	if len(got.Send) != 1 || sent.Parse(got.Send[0].Message) != nil {
		t.Fatalf("%+v", got)
	}
	want := mtrace.Block{
		Arrival: arrival32, Incoming: ip("10.2.0.1"), Outgoing: ip("198.18.0.1"), Previous: upRouter,
		PacketsIn: 1001, PacketsOut: 2002, PacketsGroup: mtrace.Unknown, Protocol: mtrace.ProtocolDVMRP, FwdTTL: 5, Mask: 16,
	}
	if diff := cmp.Diff(want, sent.Blocks[0], addrs); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// A request from the other end of a tunnel came by the tunnel, whatever interface
// brought it; the default route has a mask of its own; the count may be that of the
// network.
func TestTraceByTunnel(t *testing.T) {
	tables, m := newModel(), query()
	tables.path.Bits, tables.path.SubnetCount = 0, true
	m.Blocks, m.Response = []mtrace.Block{theirs}, ip("10.9.9.9")
	got := newRouter(policy).Handle(0, Packet{Time: arrival, From: ip("203.0.113.9"), To: ip("10.2.0.1"), Interface: 2, Message: encode(t, &m)}, tables)
	var sent mtrace.Message
	if len(got.Send) != 1 || sent.Parse(got.Send[0].Message) != nil {
		t.Fatalf("%+v", got)
	}
	if tables.flow.Out != 3 || tables.flow.Asker != ip("203.0.113.9") {
		t.Errorf("asked about %+v, want the tunnel, 3", tables.flow)
	}
	want := mtrace.Block{
		Arrival: arrival32, Incoming: ip("10.2.0.1"), Outgoing: ip("10.2.0.1"), Previous: upRouter,
		PacketsIn: 1001, PacketsOut: 2003, PacketsGroup: 800, Protocol: mtrace.ProtocolDVMRP, FwdTTL: 5, Mask: 0x41,
	}
	if diff := cmp.Diff(want, sent.Blocks[1], addrs); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// Only tunnels are told by their ends: on a link, the interface is where a packet
// came by, whatever its addresses.
func TestTraceByAnotherLink(t *testing.T) {
	tables, m := newModel(), query()
	m.Blocks, m.Response = []mtrace.Block{theirs}, ip("10.9.9.9")
	newRouter(policy).Handle(0, Packet{From: ip("10.2.0.2"), To: ip("10.2.0.1"), Interface: 2, Message: encode(t, &m)}, tables)
	if tables.flow.Out != 2 {
		t.Errorf("asked about %+v, want interface 2", tables.flow)
	}
}

// A multicast response to a question that came by a tunnel, or from this host,
// leaves by the first interface that may carry it.
func TestMulticastResponse(t *testing.T) {
	for _, c := range []struct {
		name     string
		from     string
		id, want int
		disabled []int
		source   string
	}{
		{"on the link", "198.18.0.7", 2, 2, nil, "198.18.0.1"},
		{"by a tunnel", "203.0.113.9", 3, 1, nil, "10.2.0.1"},
		{"by a tunnel, the first interface is disabled", "203.0.113.9", 3, 2, []int{1}, "198.18.0.1"},
		{"this host", "127.0.0.1", 0, 1, nil, "10.2.0.1"},
	} {
		tables, m := newModel(), query()
		tables.disabled = c.disabled
		m.Response, m.ResponseTTL, m.Hops = igmp.MtraceResponses, 7, 1
		got := newRouter(policy).Handle(0, Packet{Time: arrival, From: ip(c.from), To: ip("10.2.0.1"), Interface: c.id, Message: encode(t, &m)}, tables)
		if len(got.Send) != 1 {
			t.Errorf("%s: %+v", c.name, got)
			continue
		}
		got.Send[0].Message = nil
		want := Send{To: igmp.MtraceResponses, Source: ip(c.source), Interface: c.want, TTL: 7, Loop: true}
		if diff := cmp.Diff(want, got.Send[0], addrs); diff != "" {
			t.Errorf("%s: -want +got:\n%s", c.name, diff)
		}
	}
	tables, m := newModel(), query()
	tables.disabled = []int{1, 2, 4}
	m.Response, m.Hops = igmp.MtraceResponses, 1
	if got := newRouter(policy).Handle(0, Packet{From: ip("203.0.113.9"), To: ip("10.2.0.1"), Interface: 3, Message: encode(t, &m)}, tables); got.Outcome != Failed {
		t.Errorf("no interface: %+v", got)
	}
}

func TestInfo(t *testing.T) {
	version, neighbors, unknown := dvmrp.TLV{Type: dvmrp.InfoVersion}, dvmrp.TLV{Type: dvmrp.InfoNeighbors}, dvmrp.TLV{Type: 77}
	answer := []dvmrp.TLV{{Type: dvmrp.InfoVersion, Value: []byte("mroutd 1.0\x00\x00")}}
	for _, c := range []struct {
		name    string
		from    string
		asking  host.Asking
		request []dvmrp.TLV
		outcome Outcome
		want    []dvmrp.TLV
	}{
		{"version", "10.2.0.2", policy, []dvmrp.TLV{version}, Answered, answer},
		{"version many times", "10.2.0.2", policy, []dvmrp.TLV{version, version, unknown, version}, Answered, answer},
		{"nothing that is known", "10.2.0.2", policy, []dvmrp.TLV{unknown, neighbors}, Answered, nil},
		{"a neighbour, though nobody may ask", "10.2.0.2", host.Asking{}, []dvmrp.TLV{version}, Answered, answer},
		{"a neighbour on a tunnel, though nobody may ask", "203.0.113.9", host.Asking{}, []dvmrp.TLV{version}, Answered, answer},
		{"somebody who may ask", "172.16.0.9", policy, []dvmrp.TLV{version}, Answered, answer},
		{"a stranger", "198.51.100.1", policy, []dvmrp.TLV{version}, Forbidden, nil},
		{"no neighbour, and nobody may ask", "10.2.0.3", host.Asking{}, []dvmrp.TLV{version}, Forbidden, nil},
	} {
		m := dvmrp.Info{Version: dvmrp.Mrouted, TLVs: c.request}
		got := newRouter(c.asking).Handle(0, Packet{From: ip(c.from), To: ip("10.2.0.1"), Interface: 1, Message: encode(t, &m)}, newModel())
		if got.Outcome != c.outcome || (len(got.Send) == 1) != (c.outcome == Answered) {
			t.Errorf("%s: %+v, want %v", c.name, got, c.outcome)
			continue
		}
		if c.outcome != Answered {
			continue
		}
		var reply dvmrp.Info
		s := got.Send[0]
		if err := reply.Parse(s.Message); err != nil || !reply.Reply || !igmp.VerifyChecksum(s.Message) || s.To != ip(c.from) || s.Source != ip("10.2.0.1") {
			t.Errorf("%s: %v, %+v", c.name, err, s)
		}
		if diff := cmp.Diff(c.want, append([]dvmrp.TLV(nil), reply.TLVs...)); diff != "" || reply.Version.Level() != 0x000eff03 {
			t.Errorf("%s: %v; -want +got:\n%s", c.name, reply.Version, diff)
		}
	}
	m := dvmrp.Info{TLVs: []dvmrp.TLV{version}}
	if got := newKernel().Handle(0, Packet{From: ip("10.2.0.2"), To: ip("10.2.0.1"), Interface: 1, Message: encode(t, &m)}, newModel()); len(got.Send) > 0 {
		t.Errorf("who has no version: %+v", got)
	}
}

// forged is the i-th of many forged addresses in 10/8, none of them on a link.
func forged(i int) netip.Addr { return addr(0x0a100000 + uint32(i)*2654435761%(1<<23)) }

// While 100,000 questions/s arrive from forged addresses that may ask, no more is
// sent than the limits say, a host on the link, one that asked before and a
// neighbour behind a tunnel have their answers, and memory is bounded.
func TestForgedFlood(t *testing.T) {
	const seconds, perSecond = 3, 100_000
	r, tables, question := newRouter(policy), newModel(), ask(t, dvmrp.CodeAskNeighbors2)
	from := func(now time.Duration, asker netip.Addr, id int) bool {
		got := r.Handle(now, Packet{From: asker, To: ip("10.2.0.1"), Interface: id, Message: question}, tables)
		return got.Outcome == Answered
	}
	onLink, before, tunnel := ip("198.18.0.7"), ip("172.16.9.9"), ip("203.0.113.9")
	for i := range 3 {
		from(time.Duration(i)*time.Second, before, 1)
	}
	began := 3 * time.Second
	total, honest, answered := 0, 0, 0
	for i := range seconds * perSecond {
		now := began + time.Duration(i)*time.Second/perSecond
		if from(now, forged(i), 1) {
			total++
		}
		if i%(perSecond/10) != perSecond/20 {
			continue
		}
		for _, asker := range []struct {
			addr netip.Addr
			id   int
		}{{onLink, 2}, {before, 1}, {tunnel, 1}} {
			honest++
			if from(now, asker.addr, asker.id) {
				answered++
			}
		}
	}
	far := RouterLimits.Far
	if most := far.All.Burst + seconds*far.All.PerSecond; total > most || total < most/2 {
		t.Errorf("%d answers to forged addresses in %d s, want at most %d, and about as many", total, seconds, most)
	}
	if answered != honest {
		t.Errorf("%d of %d honest questions were answered", answered, honest)
	}
	if n := r.near.Len() + r.far.Len(); n > 2*maxSources {
		t.Errorf("%d sources are remembered", n)
	}
	if c := r.Counts(); c[Limited] < uint64(seconds*perSecond-total) {
		t.Errorf("counts: %v", c)
	}
	if !from(began+(seconds+1)*time.Second, ip("172.16.1.1"), 1) {
		t.Error("after the flood a new asker has no answer")
	}
}

// What says that it comes from the other end of a tunnel can be forged by anybody:
// it gets no more than others.
func TestTunnelLimit(t *testing.T) {
	const questions = 1000
	r, answered := newRouter(policy), 0
	p := Packet{From: ip("203.0.113.9"), To: ip("10.2.0.1"), Interface: 3, Message: ask(t, dvmrp.CodeAskNeighbors2)}
	for range questions {
		if r.Handle(0, p, newModel()).Outcome == Answered {
			answered++
		}
	}
	if answered != RouterLimits.Far.Source.Burst {
		t.Errorf("%d of %d questions were answered, want %d", answered, questions, RouterLimits.Far.Source.Burst)
	}
}

// Whom a limiter trusts.
func nobody(netip.Addr) bool    { return false }
func everybody(netip.Addr) bool { return true }

// One host gets what one host may have.
func TestSourceLimit(t *testing.T) {
	l := NewLimiter(Rates{Source: Rate{10, 20}, All: Rate{100, 100}})
	asker, other := ip("10.0.0.1"), ip("10.0.0.2")
	for i, c := range []struct {
		at   time.Duration
		from netip.Addr
		n    int
		want bool
	}{
		{0, asker, 20, true},
		{0, asker, 1, false},
		{0, other, 20, true},
		{100 * time.Millisecond, asker, 1, true},
		{100 * time.Millisecond, asker, 1, false},
		{time.Second, asker, 10, false}, // 9 are there
		{time.Second, asker, 9, true},
	} {
		if got := l.Allow(c.at, c.from, c.n, nobody); got != c.want {
			t.Errorf("step %d: %v", i, got)
		}
	}
}

// What is in reserve is for those that were answered before, and for the trusted.
func TestReserve(t *testing.T) {
	l := NewLimiter(Rates{Source: Rate{100, 100}, All: Rate{1, 10}, Reserve: Rate{1, 4}})
	known := ip("10.0.0.1")
	l.Allow(0, known, 1, nobody)
	l.Allow(knownAfter, known, 1, nobody)
	for i := range 20 {
		l.Allow(knownAfter, forged(i), 1, nobody)
	}
	if l.Allow(knownAfter, ip("10.0.0.2"), 1, nobody) {
		t.Error("a new source was allowed more than all may have")
	}
	if !l.Allow(knownAfter, known, 2, nobody) || !l.Allow(knownAfter, ip("10.0.0.3"), 2, everybody) {
		t.Error("the reserve is not there for a known source, or not for a trusted one")
	}
	if l.Allow(knownAfter, known, 1, nobody) {
		t.Error("the reserve has no end")
	}
}

// What a source is refused since all have used up what there is, it can have later.
func TestRefusedByAll(t *testing.T) {
	l := NewLimiter(Rates{Source: Rate{1, 10}, All: Rate{1000, 10}})
	asker := ip("10.0.0.1")
	l.Allow(0, asker, 1, nobody)
	for i := range 9 {
		l.Allow(0, forged(i), 1, nobody)
	}
	for range 20 {
		if l.Allow(0, asker, 1, nobody) {
			t.Fatal("allowed, though all is used up")
		}
	}
	if !l.Allow(10*time.Millisecond, asker, 9, nobody) {
		t.Error("the source has paid for what it did not get")
	}
}

// Known sources are not pushed out by new ones, and the table does not grow.
func TestSourcesBounded(t *testing.T) {
	l := NewLimiter(Rates{Source: Rate{1e6, 1e6}, All: Rate{1e6, 1e6}})
	known := ip("10.0.0.1")
	l.Allow(0, known, 1, nobody)
	l.Allow(knownAfter, known, 1, nobody)
	for i := range 10 * maxSources {
		l.Allow(knownAfter, forged(i), 1, nobody)
	}
	if l.Len() != maxSources/2+1 || !l.sources[known].known {
		t.Errorf("%d sources, want %d; known: %+v", l.Len(), maxSources/2+1, l.sources[known])
	}
	// All become known in the end, of whom the last ones are remembered.
	for i := range 10 * maxSources {
		at := knownAfter + time.Duration(i)*2*knownAfter
		l.Allow(at, forged(i), 1, nobody)
		l.Allow(at+knownAfter, forged(i), 1, nobody)
	}
	if l.Len() > maxSources || l.known.n != maxSources/2 || l.sources[known] != nil {
		t.Errorf("%d sources, %d known", l.Len(), l.known.n)
	}
}

// A refusal allocates nothing.
func TestRefusalAllocations(t *testing.T) {
	r, tables := newRouter(policy), newModel()
	stranger := Packet{From: ip("198.51.100.1"), To: ip("10.2.0.1"), Interface: 1, Message: ask(t, dvmrp.CodeAskNeighbors2)}
	if n := testing.AllocsPerRun(100, func() { r.Handle(0, stranger, tables) }); n != 0 {
		t.Errorf("a forbidden question: %v allocations", n)
	}
	for i := range 5000 {
		stranger.From = forged(i)
		r.Handle(0, stranger, tables)
	}
	i := 5000
	if n := testing.AllocsPerRun(100, func() { stranger.From = forged(i); i++; r.Handle(0, stranger, tables) }); n != 0 {
		t.Errorf("a question too many: %v allocations", n)
	}
}

func BenchmarkNeighbors(b *testing.B) {
	r, tables := newRouter(policy), newModel()
	p := Packet{From: ip("198.18.0.7"), To: ip("198.18.0.1"), Interface: 2, Message: ask(b, dvmrp.CodeAskNeighbors2)}
	b.ReportAllocs()
	now := time.Duration(0)
	for b.Loop() {
		now += 10 * time.Microsecond
		if got := r.Handle(now, p, tables); got.Outcome != Answered {
			b.Fatal(got.Outcome)
		}
	}
}

func BenchmarkTrace(b *testing.B) {
	r, tables, m := newRouter(policy), newModel(), query()
	m.Receiver, m.Response = ip("198.18.0.9"), ip("198.18.0.7")
	p := Packet{Time: arrival, From: ip("198.18.0.7"), To: ip("198.18.0.1"), Interface: 2, Message: encode(b, &m)}
	b.ReportAllocs()
	now := time.Duration(0)
	for b.Loop() {
		now += 10 * time.Microsecond
		p.Message[23]++
		if p.Message[23] == 0 {
			p.Message[22]++
			if p.Message[22] == 0 {
				p.Message[21]++
			}
		}
		igmp.PutChecksum(p.Message)
		if got := r.Handle(now, p, tables); got.Outcome != PassedOn {
			b.Fatal(got.Outcome)
		}
	}
}
