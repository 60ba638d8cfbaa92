package respond

import (
	"errors"
	"fmt"
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

func ip(s string) netip.Addr { return netip.MustParseAddr(s) }

// fake is a router at rest:
//
//	source 10.1.0.9 -- 10.1.0.2 [up] 10.2.0.2 -- 10.2.0.1 [this] 10.3.0.1 -- receiver 10.3.0.9
//	                                             1           2
//	                   outside 192.0.2.0/24 -- 192.0.2.1 3 (no multicast)
type fake struct {
	networks   []Network
	interfaces []KernelInterface
	entries    map[[2]netip.Addr]Entry
	routes     map[netip.Prefix]Route
	counts     map[int][2]uint32
	neighbors  []netip.Addr
	err        error
	reads      int
}

func (f *fake) Networks() []Network    { return f.networks }
func (f *fake) Routed(netip.Addr) bool { return false }

func (f *fake) Neighbor(addr netip.Addr) bool { return slices.Contains(f.neighbors, addr) }

func (f *fake) KernelInterfaces() ([]KernelInterface, error) { f.reads++; return f.interfaces, f.err }

func (f *fake) Interfaces() ([]Interface, error) {
	f.reads++
	var list []Interface
	for _, i := range f.interfaces {
		list = append(list, i.Interface)
	}
	return list, f.err
}

func (f *fake) Counts(id int) (in, out uint32, ok bool, err error) {
	for _, i := range f.interfaces {
		if i.ID == id && i.Flags&dvmrp.FlagDisabled == 0 {
			return f.counts[id][0], f.counts[id][1], true, nil
		}
	}
	return mtrace.Unknown, mtrace.Unknown, false, nil
}

func (f *fake) Output(source, group, receiver netip.Addr) (int, error) {
	return KernelOutput(f, source, group, receiver)
}

func (f *fake) Path(flow Flow) (Path, error) { return KernelPath(f, flow) }

func (f *fake) Entry(source, group netip.Addr) (Entry, bool, error) {
	e, ok := f.entries[[2]netip.Addr{source, group}]
	return e, ok, nil
}

func (f *fake) Route(to netip.Addr) (Route, bool, error) {
	var best netip.Prefix
	for p := range f.routes {
		if p.Contains(to) && (!best.IsValid() || p.Bits() > best.Bits()) {
			best = p
		}
	}
	r, ok := f.routes[best]
	r.Bits = best.Bits()
	return r, ok, nil
}

var (
	source   = ip("10.1.0.9")
	group    = ip("239.1.2.3")
	receiver = ip("10.3.0.9")
	asker    = ip("10.3.0.7")
	upRouter = ip("10.2.0.2")
)

func network(id int, address string, bits int) Network {
	return Network{Interface: id, Address: ip(address), Prefix: netip.PrefixFrom(ip(address), bits).Masked()}
}

func newFake() *fake {
	hop := func(id int, gateway string) Route { return Route{Hops: []Hop{{id, ip(gateway)}}} }
	return &fake{
		networks: []Network{network(4, "127.0.0.1", 8), network(1, "10.2.0.1", 24), network(2, "10.3.0.1", 24), network(3, "192.0.2.1", 24)},
		interfaces: []KernelInterface{
			{1, Interface{Local: ip("10.2.0.1"), Metric: 1, Threshold: 1, Neighbors: []netip.Addr{upRouter}}},
			{2, Interface{Local: ip("10.3.0.1"), Metric: 1, Threshold: 1}},
		},
		counts: map[int][2]uint32{1: {1000, 5}, 2: {7, 900}},
		entries: map[[2]netip.Addr]Entry{
			{source, group}: {Interface: 1, Outputs: map[int]uint8{2: 3}, Packets: 800},
		},
		routes: map[netip.Prefix]Route{
			netip.MustParsePrefix("10.1.0.0/16"):  hop(1, "10.2.0.2"),
			netip.MustParsePrefix("10.2.0.0/24"):  hop(1, "0.0.0.0"),
			netip.MustParsePrefix("10.3.0.0/24"):  hop(2, "0.0.0.0"),
			netip.MustParsePrefix("10.4.0.0/16"):  hop(2, "10.3.0.4"),
			netip.MustParsePrefix("192.0.2.0/24"): hop(3, "0.0.0.0"),
		},
	}
}

// The arrival time of the packets in the tests: mtrace.md has the conversion,
// (seconds + 32384) << 16 and the fraction.
var arrival = time.Unix(1_000_000_000, 500_000_000)

const arrival32 = uint32((1_000_000_000+32384)%65536)<<16 | 0x8000

// newKernel returns a responder as it answers for the kernel.
func newKernel() *Responder {
	r := New(rand.New(rand.NewPCG(1, 2)), KernelLimits)
	r.Configure(host.Asking{Local: true, Private: true}, KernelIdentity)
	return r
}

func query() mtrace.Message {
	return mtrace.Message{
		Type: mtrace.TypeQuery, Hops: 32, Group: group, Source: source, Receiver: receiver,
		Response: asker, ResponseTTL: 64, QueryID: 0xabcdef,
	}
}

// block is what the fake router says when nothing is wrong.
func block() mtrace.Block {
	return mtrace.Block{
		Arrival: arrival32, Incoming: ip("10.2.0.1"), Outgoing: ip("10.3.0.1"), Previous: upRouter,
		PacketsIn: 1000, PacketsOut: 900, PacketsGroup: 800, FwdTTL: 3, Mask: 16,
	}
}

// Another router's block, for requests.
var theirs = mtrace.Block{
	Arrival: 1, Incoming: ip("10.3.0.2"), Outgoing: ip("10.9.0.1"), Previous: ip("10.3.0.1"),
	PacketsIn: 1, PacketsOut: 2, PacketsGroup: 3, Protocol: mtrace.ProtocolPIM, FwdTTL: 1, Mask: 24,
}

var addrs = cmp.Comparer(func(a, b netip.Addr) bool { return a == b })

func TestTrace(t *testing.T) {
	response := Send{To: asker, Source: ip("10.2.0.1"), TTL: 255}
	passedOn := Send{To: upRouter, Source: ip("10.2.0.1"), TTL: 255}
	for _, c := range []struct {
		name    string
		tables  func(f *fake)
		query   func(m *mtrace.Message)
		packet  func(p *Packet)
		outcome Outcome
		block   func(b *mtrace.Block) // nil: none is added
		send    Send
	}{
		{
			name:    "query to all routers goes on to the previous hop",
			packet:  func(p *Packet) { p.To = igmp.AllRouters },
			outcome: PassedOn, block: func(*mtrace.Block) {}, send: passedOn,
		},
		{
			name:    "query to the group",
			packet:  func(p *Packet) { p.To = group },
			outcome: PassedOn, block: func(*mtrace.Block) {}, send: passedOn,
		},
		{
			name:    "query to the router itself",
			outcome: PassedOn, block: func(*mtrace.Block) {}, send: passedOn,
		},
		{
			name:    "one hop wanted",
			query:   func(m *mtrace.Message) { m.Hops = 1 },
			outcome: Answered, block: func(*mtrace.Block) {}, send: response,
		},
		{
			name:    "request",
			query:   func(m *mtrace.Message) { m.Receiver, m.Blocks = ip("10.9.0.9"), []mtrace.Block{theirs} },
			outcome: PassedOn, block: func(*mtrace.Block) {}, send: passedOn,
		},
		{
			name:    "last hop wanted by a request",
			query:   func(m *mtrace.Message) { m.Hops, m.Blocks = 2, []mtrace.Block{theirs} },
			outcome: Answered, block: func(*mtrace.Block) {}, send: response,
		},
		{
			name:    "request by multicast from a router that does not know us",
			query:   func(m *mtrace.Message) { m.Blocks = []mtrace.Block{theirs} },
			packet:  func(p *Packet) { p.To = igmp.AllRouters },
			outcome: PassedOn, block: func(*mtrace.Block) {}, send: passedOn,
		},
		{
			name:    "request by multicast that nothing is forwarded to",
			query:   func(m *mtrace.Message) { m.Blocks = []mtrace.Block{theirs} },
			packet:  func(p *Packet) { p.To, p.Interface, p.From = igmp.AllRouters, 1, upRouter },
			outcome: NotLastHop,
		},
		{
			name:    "our own request by multicast comes back",
			query:   func(m *mtrace.Message) { m.Blocks = []mtrace.Block{theirs} },
			packet:  func(p *Packet) { p.To, p.From = igmp.AllRouters, ip("10.3.0.1") },
			outcome: Ignored,
		},
		{
			name:    "request to the group",
			query:   func(m *mtrace.Message) { m.Blocks = []mtrace.Block{theirs} },
			packet:  func(p *Packet) { p.To = group },
			outcome: NotOurs,
		},
		{
			name: "source on the link",
			tables: func(f *fake) {
				f.entries[[2]netip.Addr{ip("10.2.0.9"), group}] = f.entries[[2]netip.Addr{source, group}]
			},
			query:   func(m *mtrace.Message) { m.Source = ip("10.2.0.9") },
			outcome: Answered, block: func(b *mtrace.Block) { b.Previous, b.Mask = ip("0.0.0.0"), 24 }, send: response,
		},
		{
			name:  "the router itself is the source",
			query: func(m *mtrace.Message) { m.Source = ip("10.2.0.1") },
			tables: func(f *fake) {
				f.entries[[2]netip.Addr{ip("10.2.0.1"), group}] = f.entries[[2]netip.Addr{source, group}]
			},
			outcome: Answered, block: func(b *mtrace.Block) { b.Previous, b.Mask = ip("0.0.0.0"), 24 }, send: response,
		},
		{
			name: "unicast route leaves by another interface than packets come in on",
			tables: func(f *fake) {
				f.routes[netip.MustParsePrefix("10.1.0.0/16")] = Route{Hops: []Hop{{3, ip("192.0.2.2")}}}
			},
			outcome: PassedOn, block: func(b *mtrace.Block) { b.Previous = igmp.AllRouters },
			send: Send{To: igmp.AllRouters, Source: ip("10.2.0.1"), Interface: 1, TTL: 1},
		},
		{
			name: "one of several ways is the right one",
			tables: func(f *fake) {
				f.routes[netip.MustParsePrefix("10.1.0.0/16")] = Route{Hops: []Hop{{3, ip("192.0.2.2")}, {1, ip("10.2.0.77")}}}
			},
			outcome: PassedOn, block: func(b *mtrace.Block) { b.Previous = ip("10.2.0.77") },
			send: Send{To: ip("10.2.0.77"), Source: ip("10.2.0.1"), TTL: 255},
		},
		{
			name:    "route without a gateway to a source that is not on the link",
			tables:  func(f *fake) { f.routes[netip.MustParsePrefix("10.1.0.0/16")] = Route{Hops: []Hop{{Interface: 1}}} },
			outcome: PassedOn, block: func(b *mtrace.Block) { b.Previous = igmp.AllRouters },
			send: Send{To: igmp.AllRouters, Source: ip("10.2.0.1"), Interface: 1, TTL: 1},
		},
		{
			name:    "entry without a unicast route",
			tables:  func(f *fake) { delete(f.routes, netip.MustParsePrefix("10.1.0.0/16")) },
			outcome: PassedOn, block: func(b *mtrace.Block) { b.Previous, b.Mask = igmp.AllRouters, 1 },
			send: Send{To: igmp.AllRouters, Source: ip("10.2.0.1"), Interface: 1, TTL: 1},
		},
		{
			name:   "default route to the source",
			tables: func(f *fake) { moveRoute(f, "10.1.0.0/16", "0.0.0.0/0") },
			block:  func(b *mtrace.Block) { b.Mask = 1 }, outcome: PassedOn, send: passedOn,
		},
		{
			name: "entry for all sources",
			tables: func(f *fake) {
				e := f.entries[[2]netip.Addr{source, group}]
				e.GroupOnly = true
				f.entries[[2]netip.Addr{source, group}] = e
			},
			outcome: PassedOn, block: func(b *mtrace.Block) { b.Mask = 63 }, send: passedOn,
		},
		{
			name:    "a neighbour speaks PIM",
			tables:  func(f *fake) { f.interfaces[0].Flags |= dvmrp.FlagPIM },
			outcome: PassedOn, block: func(b *mtrace.Block) { b.Protocol = mtrace.ProtocolPIM }, send: passedOn,
		},
		{
			name:    "weak trace follows the unicast route",
			query:   func(m *mtrace.Message) { m.Group = ip("0.0.0.0") },
			packet:  func(p *Packet) { p.To = igmp.AllRouters },
			outcome: PassedOn, block: func(b *mtrace.Block) { b.PacketsGroup, b.FwdTTL = mtrace.Unknown, 0 }, send: passedOn,
		},
		{
			name:    "no route, asked by unicast: the answer comes from the address that was asked",
			query:   func(m *mtrace.Message) { m.Source = ip("10.77.0.1") },
			outcome: Answered,
			block: func(b *mtrace.Block) {
				*b = mtrace.Block{
					Arrival: arrival32, Incoming: ip("0.0.0.0"), Outgoing: ip("10.3.0.1"), Previous: ip("0.0.0.0"),
					PacketsIn: mtrace.Unknown, PacketsOut: 900, PacketsGroup: mtrace.Unknown, Code: mtrace.CodeNoRoute,
				}
			},
			send: Send{To: asker, Source: ip("10.3.0.1"), TTL: 255},
		},
		{
			name:    "no route, asked by multicast",
			query:   func(m *mtrace.Message) { m.Source = ip("10.77.0.1") },
			packet:  func(p *Packet) { p.To = igmp.AllRouters },
			outcome: NotLastHop,
		},
		{
			name:    "no entry, and no other router on the link: it is ours to say so",
			tables:  func(f *fake) { clear(f.entries) },
			packet:  func(p *Packet) { p.To = igmp.AllRouters },
			outcome: PassedOn, block: notForwarding, send: passedOn,
		},
		{
			name:    "no entry, another router on the link",
			tables:  func(f *fake) { clear(f.entries); f.interfaces[1].Neighbors = []netip.Addr{ip("10.3.0.2")} },
			packet:  func(p *Packet) { p.To = igmp.AllRouters },
			outcome: NotLastHop,
		},
		{
			name:    "not forwarded to the receiver's link, where another router is",
			tables:  func(f *fake) { clear(f.entries); f.interfaces[1].Neighbors = []netip.Addr{ip("10.3.0.2")} },
			outcome: PassedOn,
			block: func(b *mtrace.Block) {
				b.Code, b.FwdTTL, b.PacketsGroup = mtrace.CodeWrongLastHop, 0, mtrace.Unknown
			},
			send: passedOn,
		},
		{
			name:    "receiver elsewhere, asked by unicast",
			query:   func(m *mtrace.Message) { m.Receiver = ip("10.4.0.9") },
			outcome: PassedOn, block: func(b *mtrace.Block) { b.Code = mtrace.CodeWrongLastHop }, send: passedOn,
		},
		{
			name:    "receiver elsewhere, asked by multicast",
			query:   func(m *mtrace.Message) { m.Receiver = ip("10.4.0.9") },
			packet:  func(p *Packet) { p.To = igmp.AllRouters },
			outcome: NotLastHop,
		},
		{
			name:    "receiver nowhere",
			query:   func(m *mtrace.Message) { m.Receiver = ip("172.16.0.1") },
			outcome: PassedOn,
			block: func(b *mtrace.Block) {
				b.Code, b.Outgoing, b.PacketsOut, b.FwdTTL = mtrace.CodeWrongLastHop, ip("0.0.0.0"), mtrace.Unknown, 0
			},
			send: passedOn,
		},
		{
			name:    "receiver on the side of the source",
			query:   func(m *mtrace.Message) { m.Receiver = ip("10.2.0.9") },
			outcome: PassedOn,
			block: func(b *mtrace.Block) {
				b.Code, b.Outgoing, b.PacketsOut, b.FwdTTL = mtrace.CodeRPFIf, ip("10.2.0.1"), 5, 0
			},
			send: passedOn,
		},
		{
			name:    "request from a link that packets do not leave by",
			tables:  func(f *fake) { f.entries[[2]netip.Addr{source, group}] = Entry{Interface: 1, Packets: 800} },
			query:   func(m *mtrace.Message) { m.Blocks = []mtrace.Block{theirs} },
			outcome: PassedOn, block: func(b *mtrace.Block) { b.Code, b.FwdTTL = mtrace.CodeWrongIf, 0 }, send: passedOn,
		},
		{
			name:    "request without an entry",
			tables:  func(f *fake) { clear(f.entries) },
			query:   func(m *mtrace.Message) { m.Blocks = []mtrace.Block{theirs} },
			outcome: PassedOn, block: notForwarding, send: passedOn,
		},
		{
			name:    "receiver on a link without multicast",
			query:   func(m *mtrace.Message) { m.Receiver = ip("192.0.2.9") },
			outcome: PassedOn,
			block: func(b *mtrace.Block) {
				b.Code, b.Outgoing, b.PacketsOut, b.FwdTTL = mtrace.CodeNoMulticast, ip("192.0.2.1"), mtrace.Unknown, 0
			},
			send: passedOn,
		},
		{
			name: "multicast routing is switched off",
			tables: func(f *fake) {
				f.interfaces[0].Flags |= dvmrp.FlagDisabled
				f.interfaces[1].Flags |= dvmrp.FlagDisabled
			},
			outcome: PassedOn,
			block: func(b *mtrace.Block) {
				b.Code, b.PacketsIn, b.PacketsOut = mtrace.CodeNoMulticast, mtrace.Unknown, mtrace.Unknown
			},
			send: passedOn,
		},
		{
			name:    "multicast response",
			query:   func(m *mtrace.Message) { m.Response, m.Hops = igmp.MtraceResponses, 1 },
			outcome: Answered, block: func(*mtrace.Block) {},
			send: Send{To: igmp.MtraceResponses, Source: ip("10.3.0.1"), Interface: 2, TTL: 64, Loop: true},
		},
		{
			name:    "multicast response with a TTL that cannot be",
			query:   func(m *mtrace.Message) { m.Response, m.Hops, m.ResponseTTL = igmp.MtraceResponses, 1, 255 },
			outcome: Answered, block: func(*mtrace.Block) {},
			send: Send{To: igmp.MtraceResponses, Source: ip("10.3.0.1"), Interface: 2, TTL: 192, Loop: true},
		},
		{
			name:    "multicast response with no TTL",
			query:   func(m *mtrace.Message) { m.Response, m.Hops, m.ResponseTTL = igmp.MtraceResponses, 1, 0 },
			outcome: Answered, block: func(*mtrace.Block) {},
			send: Send{To: igmp.MtraceResponses, Source: ip("10.3.0.1"), Interface: 2, TTL: 1, Loop: true},
		},
		{name: "sender from outside", packet: func(p *Packet) { p.From = ip("198.51.100.1") }, outcome: Forbidden},
		{name: "sender on the link, whatever its address", packet: func(p *Packet) { p.From = ip("192.0.2.77") },
			outcome: PassedOn, block: func(*mtrace.Block) {}, send: passedOn},
		{name: "response to the outside", query: func(m *mtrace.Message) { m.Response = ip("198.51.100.1") }, outcome: Forbidden},
		{name: "response to nobody", query: func(m *mtrace.Message) { m.Response = ip("0.0.0.0") }, outcome: Forbidden},
		{name: "response to a group of no use", query: func(m *mtrace.Message) { m.Response = ip("224.2.0.1") }, outcome: Forbidden},
		{name: "response to broadcast", query: func(m *mtrace.Message) { m.Response = ip("255.255.255.255") }, outcome: Forbidden},
		{name: "response to all of a link", query: func(m *mtrace.Message) { m.Response = ip("10.3.0.255") }, outcome: Forbidden},
		{
			name:    "request whose response goes to the outside",
			query:   func(m *mtrace.Message) { m.Response, m.Blocks = ip("198.51.100.1"), []mtrace.Block{theirs} },
			outcome: Forbidden,
		},
		{name: "in transit", packet: func(p *Packet) { p.To = ip("10.9.9.9") }, outcome: NotOurs},
		{name: "another group", packet: func(p *Packet) { p.To = ip("239.1.2.4") }, outcome: NotOurs},
		{name: "all systems", packet: func(p *Packet) { p.To = igmp.AllSystems }, outcome: NotOurs},
		{name: "no hops wanted", query: func(m *mtrace.Message) { m.Hops = 0 }, outcome: Damaged},
		{name: "all hops there", query: func(m *mtrace.Message) { m.Hops, m.Blocks = 1, []mtrace.Block{theirs} }, outcome: Damaged},
		{name: "source is a group", query: func(m *mtrace.Message) { m.Source = group }, outcome: Damaged},
		{name: "group is a host", query: func(m *mtrace.Message) { m.Group = receiver }, outcome: Damaged},
		{name: "tables cannot be read", tables: func(f *fake) { f.err = errors.New("no") }, outcome: Failed},
		{name: "response", query: func(m *mtrace.Message) { m.Type = mtrace.TypeResponse }, outcome: Ignored},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, m := newFake(), query()
			p := Packet{Time: arrival, From: asker, To: ip("10.3.0.1"), Interface: 2}
			if c.tables != nil {
				c.tables(f)
			}
			if c.query != nil {
				c.query(&m)
			}
			if c.packet != nil {
				c.packet(&p)
			}
			p.Message = encode(t, &m)
			r := newKernel()
			got := r.Handle(0, p, f)
			if got.Outcome != c.outcome {
				t.Fatalf("outcome: got %v (%v), want %v", got.Outcome, got.Err, c.outcome)
			}
			if r.Counts()[c.outcome] != 1 {
				t.Errorf("counts: %v", r.Counts())
			}
			if c.block == nil {
				if len(got.Send) != 0 {
					t.Fatalf("sends %+v, want nothing", got.Send)
				}
				return
			}
			if len(got.Send) != 1 {
				t.Fatalf("sends %d packets, want one", len(got.Send))
			}
			want := m
			if c.outcome == Answered {
				want.Type = mtrace.TypeResponse
			}
			b := block()
			c.block(&b)
			want.Blocks = append(want.Blocks, b)
			var sent mtrace.Message
			if err := sent.Parse(got.Send[0].Message); err != nil || !igmp.VerifyChecksum(got.Send[0].Message) {
				t.Fatalf("%v, or checksum", err)
			}
			if diff := cmp.Diff(want, sent, addrs); diff != "" {
				t.Errorf("message: -want +got:\n%s", diff)
			}
			got.Send[0].Message = nil
			if diff := cmp.Diff(c.send, got.Send[0], addrs); diff != "" {
				t.Errorf("packet: -want +got:\n%s", diff)
			}
		})
	}
}

func notForwarding(b *mtrace.Block) {
	b.Code, b.FwdTTL, b.PacketsGroup = mtrace.CodeNotForwarding, 0, mtrace.Unknown
}

func moveRoute(f *fake, from, to string) {
	a, b := netip.MustParsePrefix(from), netip.MustParsePrefix(to)
	f.routes[b] = f.routes[a]
	delete(f.routes, a)
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

// Damage that the codec cannot make.
func TestTraceDamaged(t *testing.T) {
	m := query()
	good := encode(t, &m)
	flipped := append([]byte{}, good...)
	flipped[20] ^= 1
	long := append(append([]byte{}, good...), 0, 0, 0, 0)
	igmp.PutChecksum(long)
	for name, b := range map[string][]byte{
		"empty": {}, "a type alone": {0x1f}, "cut": good[:20], "wrong checksum": flipped, "not a whole block": long,
	} {
		r := newKernel()
		got := r.Handle(0, Packet{Time: arrival, From: asker, To: ip("10.3.0.1"), Interface: 2, Message: b}, newFake())
		if got.Outcome != Damaged || got.Err == nil || len(got.Send) != 0 {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestTraceNoSpace(t *testing.T) {
	m := query()
	m.Hops = 255
	for range 254 {
		m.Blocks = append(m.Blocks, theirs)
	}
	r := newKernel()
	got := r.Handle(0, Packet{Time: arrival, From: asker, To: ip("10.3.0.1"), Interface: 2, Message: encode(t, &m)}, newFake())
	if got.Outcome != Answered || len(got.Send) != 1 || got.Send[0].To != asker {
		t.Fatalf("%+v", got)
	}
	var sent mtrace.Message
	if err := sent.Parse(got.Send[0].Message); err != nil {
		t.Fatal(err)
	}
	if n := len(sent.Blocks); sent.Type != mtrace.TypeResponse || n != 254 || sent.Blocks[n-1].Code != mtrace.CodeNoSpace || sent.Blocks[n-2].Code != 0 {
		t.Errorf("%v of %d blocks, the last with %v", sent.Type, n, sent.Blocks[n-1].Code)
	}
}

func TestTraceDuplicates(t *testing.T) {
	f := newFake()
	r := newKernel()
	m := query()
	packet := func(from netip.Addr, id uint32) Packet {
		m.QueryID = id
		return Packet{Time: arrival, From: from, To: ip("10.3.0.1"), Interface: 2, Message: encode(t, &m)}
	}
	for i, c := range []struct {
		after time.Duration
		from  netip.Addr
		id    uint32
		want  Outcome
	}{
		{0, asker, 1, PassedOn},
		{time.Millisecond, asker, 1, Duplicate},
		{time.Millisecond, asker, 2, PassedOn},
		{time.Millisecond, receiver, 1, PassedOn},
		{time.Second, asker, 1, Duplicate},
		{duplicateTime, asker, 1, PassedOn},
	} {
		if got := r.Handle(c.after, packet(c.from, c.id), f); got.Outcome != c.want {
			t.Errorf("step %d: got %v, want %v", i, got.Outcome, c.want)
		}
	}
}

// Of many traces at once nearly all are told from their duplicates.
func TestManyTraces(t *testing.T) {
	const count = 1 << duplicateBits / 8
	for name, id := range map[string]func(i int) traceID{
		"askers":   func(i int) traceID { return traceOf(forged(i), 1) },
		"queries":  func(i int) traceID { return traceOf(asker, uint32(i)) },
		"mrouted":  func(i int) traceID { return traceOf(asker, uint32(i)<<8) },
		"together": func(i int) traceID { return traceOf(forged(i), uint32(i)) },
	} {
		var d duplicates
		seen := 0
		for i := range count {
			if d.has(0, id(i)) {
				t.Errorf("%s: trace %d is new", name, i)
			}
			d.add(0, id(i))
		}
		for i := range count {
			if d.has(0, id(i)) {
				seen++
			}
		}
		if seen < count*3/4 {
			t.Errorf("%s: %d of %d traces are remembered", name, seen, count)
		}
	}
}

func ask(t testing.TB, code dvmrp.Code) []byte {
	return encode(t, &dvmrp.Ask{Code: code, Version: dvmrp.Mrouted})
}

func TestNeighbors(t *testing.T) {
	none := []netip.Addr{ip("0.0.0.0")}
	f := newFake()
	f.interfaces[0].Flags = dvmrp.FlagPIM | dvmrp.FlagQuerier
	f.interfaces = append(f.interfaces,
		KernelInterface{5, Interface{Local: ip("10.3.0.1"), Remote: ip("10.5.0.9"), Metric: 1, Threshold: 32, Flags: dvmrp.FlagTunnel}},
		KernelInterface{6, Interface{Metric: 1, Threshold: 1, Flags: dvmrp.FlagDown | dvmrp.FlagDisabled, Neighbors: []netip.Addr{ip("10.6.0.1")}}},
	)
	for _, c := range []struct {
		name string
		code dvmrp.Code
		want []dvmrp.Interface
	}{
		{"new", dvmrp.CodeAskNeighbors2, []dvmrp.Interface{
			{Local: ip("10.2.0.1"), Metric: 1, Threshold: 1, Flags: dvmrp.FlagPIM | dvmrp.FlagQuerier, Neighbors: []netip.Addr{upRouter}},
			{Local: ip("10.3.0.1"), Metric: 1, Threshold: 1, Flags: dvmrp.FlagLeaf, Neighbors: none},
			{Local: ip("10.3.0.1"), Metric: 1, Threshold: 32, Flags: dvmrp.FlagTunnel | dvmrp.FlagLeaf, Neighbors: []netip.Addr{ip("10.5.0.9")}},
			{Local: ip("0.0.0.0"), Metric: 1, Threshold: 1, Flags: dvmrp.FlagDown | dvmrp.FlagDisabled, Neighbors: []netip.Addr{ip("10.6.0.1")}},
		}},
		{"old", dvmrp.CodeAskNeighbors, []dvmrp.Interface{
			{Local: ip("10.2.0.1"), Metric: 1, Threshold: 1, Neighbors: []netip.Addr{upRouter}},
		}},
	} {
		r := newKernel()
		got := r.Handle(0, Packet{From: asker, To: ip("10.2.0.1"), Interface: 2, Message: ask(t, c.code)}, f)
		if got.Outcome != Answered || len(got.Send) != 1 {
			t.Fatalf("%s: %+v", c.name, got)
		}
		var answer dvmrp.Neighbors
		if err := answer.Parse(got.Send[0].Message); err != nil || !igmp.VerifyChecksum(got.Send[0].Message) {
			t.Fatalf("%s: %v, or checksum", c.name, err)
		}
		want := dvmrp.Neighbors{Version: dvmrp.Version{Capabilities: dvmrp.CapMtrace, Minor: 255, Major: 3}, Code: c.code + 1, Interfaces: c.want}
		if diff := cmp.Diff(want, answer, addrs); diff != "" {
			t.Errorf("%s: -want +got:\n%s", c.name, diff)
		}
		// The answer comes from the address that was asked, so that the asker can match it.
		if s := got.Send[0]; s.To != asker || s.Source != ip("10.2.0.1") || got.After != 0 || s.Interface != 0 {
			t.Errorf("%s: sent %+v", c.name, s)
		}
	}
}

// A router that routes nothing is there all the same.
func TestNeighborsNone(t *testing.T) {
	f := newFake()
	f.interfaces = nil
	for _, code := range []dvmrp.Code{dvmrp.CodeAskNeighbors, dvmrp.CodeAskNeighbors2} {
		r := newKernel()
		got := r.Handle(0, Packet{From: asker, To: ip("10.2.0.1"), Interface: 2, Message: ask(t, code)}, f)
		if len(got.Send) != 1 || len(got.Send[0].Message) != dvmrp.HeaderLen {
			t.Errorf("%v: %+v", code, got)
		}
	}
}

func TestNeighborsSplit(t *testing.T) {
	f := newFake()
	for i := range 200 {
		f.interfaces[1].Neighbors = append(f.interfaces[1].Neighbors, netip.AddrFrom4([4]byte{10, 3, 0, byte(i + 10)}))
	}
	r := newKernel()
	got := r.Handle(0, Packet{From: asker, To: ip("10.2.0.1"), Interface: 2, Message: ask(t, dvmrp.CodeAskNeighbors2)}, f)
	// 12 bytes of the first record, then 8 + 4n: 122 of 200 fit, then 78.
	var counts []string
	for _, s := range got.Send {
		var answer dvmrp.Neighbors
		if err := answer.Parse(s.Message); err != nil || len(s.Message) > 8+508 {
			t.Fatalf("%d bytes, %v", len(s.Message), err)
		}
		for _, i := range answer.Interfaces {
			counts = append(counts, fmt.Sprint(i.Local, " ", len(i.Neighbors)))
		}
	}
	if diff := cmp.Diff([]string{"10.2.0.1 1", "10.3.0.1 122", "10.3.0.1 78"}, counts); diff != "" || len(got.Send) != 2 {
		t.Errorf("%d packets: -want +got:\n%s", len(got.Send), diff)
	}
}

func TestNeighborsPolicy(t *testing.T) {
	for _, c := range []struct {
		name     string
		from, to string
		outcome  Outcome
		source   string
		jitter   bool
	}{
		{"on the link", "10.3.0.7", "10.3.0.1", Answered, "10.3.0.1", false},
		{"private, far away", "10.200.0.1", "10.2.0.1", Answered, "10.2.0.1", false},
		{"private class B", "172.20.0.1", "10.2.0.1", Answered, "10.2.0.1", false},
		{"this host", "127.0.0.1", "127.0.0.1", Answered, "127.0.0.1", false},
		{"on-link though public", "192.0.2.5", "192.0.2.1", Answered, "192.0.2.1", false},
		{"outside", "198.51.100.1", "10.2.0.1", Forbidden, "", false},
		{"not quite private", "172.32.0.1", "10.2.0.1", Forbidden, "", false},
		{"no sender", "0.0.0.0", "10.2.0.1", Forbidden, "", false},
		{"all of a link", "10.3.0.255", "10.2.0.1", Forbidden, "", false},
		{"in transit", "10.3.0.7", "10.9.0.1", NotOurs, "", false},
		{"some group", "10.3.0.7", "239.1.2.3", NotOurs, "", false},
		{"all routers", "10.3.0.7", "224.0.0.2", Answered, "10.3.0.1", true},
		{"all systems", "10.3.0.7", "224.0.0.1", Answered, "10.3.0.1", true},
		{"DVMRP routers", "10.3.0.7", "224.0.0.4", Answered, "10.3.0.1", true},
		{"all routers, from another link", "10.2.0.7", "224.0.0.2", Forbidden, "", false},
	} {
		r := newKernel()
		got := r.Handle(0, Packet{From: ip(c.from), To: ip(c.to), Interface: 2, Message: ask(t, dvmrp.CodeAskNeighbors2)}, newFake())
		if got.Outcome != c.outcome || (len(got.Send) == 1) != (c.outcome == Answered) {
			t.Errorf("%s: got %v and %d packets, want %v", c.name, got.Outcome, len(got.Send), c.outcome)
			continue
		}
		if c.outcome != Answered {
			continue
		}
		s := got.Send[0]
		if s.To != ip(c.from) || s.Source != ip(c.source) || (got.After > 0) != c.jitter || got.After >= maxJitter {
			t.Errorf("%s: sent %+v", c.name, s)
		}
	}
	bad := ask(t, dvmrp.CodeAskNeighbors2)
	bad[7]++
	r := newKernel()
	if got := r.Handle(0, Packet{From: asker, To: ip("10.3.0.1"), Interface: 2, Message: bad}, newFake()); got.Outcome != Damaged {
		t.Errorf("wrong checksum: %v", got.Outcome)
	}
}

// However many questions come, of whatever kind, no more packets leave than the
// rate allows, and the tables are not read for the others.
func TestFlood(t *testing.T) {
	const seconds, perSecond = 5, 4000
	f := newFake()
	for i := range 200 {
		f.interfaces[1].Neighbors = append(f.interfaces[1].Neighbors, netip.AddrFrom4([4]byte{10, 3, 0, byte(i + 10)}))
	}
	r := newKernel()
	m := query()
	sent := 0
	for i := range seconds * perSecond {
		now := time.Duration(i) * time.Second / perSecond
		p := Packet{Time: arrival, From: asker, To: ip("10.3.0.1"), Interface: 2, Message: ask(t, dvmrp.CodeAskNeighbors2)}
		if i%2 == 0 {
			m.QueryID = uint32(i)
			p.Message = encode(t, &m)
		}
		sent += len(r.Handle(now, p, f).Send)
	}
	rate := KernelLimits.Near.All
	if limit := rate.Burst + seconds*rate.PerSecond; sent > limit || sent < limit/2 || f.reads > limit {
		t.Errorf("%d packets and %d reads in %d s, want at most %d of each", sent, f.reads, seconds, limit)
	}
	if c := r.Counts(); c[Limited] == 0 {
		t.Errorf("counts: %v", c)
	}
}

// Whatever comes, from whomever: no panic, no answer to somebody who may not have
// one, no giant.
func FuzzHandle(f *testing.F) {
	m := query()
	f.Add(encode(f, &m), uint32(0x0a030007), uint32(0x0a030001), uint8(2))
	m.Blocks = append(m.Blocks, theirs)
	f.Add(encode(f, &m), uint32(0x0a030007), uint32(0xe0000002), uint8(2))
	m.Response = igmp.MtraceResponses
	f.Add(encode(f, &m), uint32(0x0a030007), uint32(0xef010203), uint8(1))
	f.Add(ask(f, dvmrp.CodeAskNeighbors2), uint32(0xc6336401), uint32(0xe0000001), uint8(3))
	f.Fuzz(func(t *testing.T, b []byte, from, to uint32, id uint8) {
		if len(b) >= igmp.FrameLen {
			igmp.PutChecksum(b)
		}
		tables := newFake()
		r := newKernel()
		p := Packet{Time: arrival, From: addr(from), To: addr(to), Interface: int(id) + 1, Message: b}
		for _, s := range r.Handle(0, p, tables).Send {
			if len(s.Message) > maxMessage || !igmp.VerifyChecksum(s.Message) {
				t.Errorf("%d bytes, or a wrong checksum", len(s.Message))
			}
			switch {
			case s.To == igmp.MtraceResponses, s.To == igmp.AllRouters:
				if s.Interface == 0 || s.TTL == 0 {
					t.Errorf("multicast to %v, interface %d, TTL %d", s.To, s.Interface, s.TTL)
				}
			case !r.mayHear(s.To, tables.networks, tables):
				t.Errorf("a packet for %v", s.To)
			}
		}
	})
}

func addr(v uint32) netip.Addr {
	return netip.AddrFrom4([4]byte{byte(v >> 24), byte(v >> 16), byte(v >> 8), byte(v)})
}
