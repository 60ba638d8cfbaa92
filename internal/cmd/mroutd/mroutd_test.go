package mroutd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/sys/unix"

	"mbone/internal/ask"
	"mbone/internal/cli"
	"mbone/internal/lab"
	"mbone/internal/plane"
	"mbone/internal/plane/mroute"
	"mbone/proto/dvmrp"
	"mbone/proto/igmp"
	"mbone/proto/mtrace"
	"mbone/proto/pim"
)

// asProgram makes the test binary the program itself.
const asProgram = "MROUTD_TEST_IS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		cli.Main(Command(os.Args[0]))
	}
	lab.Main(m)
}

const patience = 20 * time.Second

// chain is four routers in a row.
const chain = `
lan net1
lan net2
lan net3
lan net4
lan net5
host sender
  interface eth0 on net1 10.0.1.1/24
  route default via 10.0.1.254
host r1
  interface eth0 on net1 10.0.1.254/24
  interface eth1 on net2 10.0.2.1/24
  sysctl net.ipv4.ip_forward 1
  route default via 10.0.2.2
  forward 10.0.1.1 239.1.2.3 from eth0 to eth1:5
host r2
  interface eth0 on net2 10.0.2.2/24
  interface eth1 on net3 10.0.3.2/24
  sysctl net.ipv4.ip_forward 1
  route 10.0.1.0/24 via 10.0.2.1
  route default via 10.0.3.3
  forward 10.0.1.1 239.1.2.3 from eth0 to eth1:4
host r3
  interface eth0 on net3 10.0.3.3/24
  interface eth1 on net4 10.0.4.3/24
  sysctl net.ipv4.ip_forward 1
  route default via 10.0.4.4
  route 10.0.1.0/24 via 10.0.3.2
  route 10.0.2.0/24 via 10.0.3.2
  forward 10.0.1.1 239.1.2.3 from eth0 to eth1:3
host r4
  interface eth0 on net4 10.0.4.4/24
  interface eth1 on net5 10.0.5.254/24
  sysctl net.ipv4.ip_forward 1
  route default via 10.0.4.3
  forward 10.0.1.1 239.1.2.3 from eth0 to eth1
host receiver
  interface eth0 on net5 10.0.5.1/24
  route default via 10.0.5.254
`

var (
	source = netip.MustParseAddr("10.0.1.1")
	group  = netip.MustParseAddr("239.1.2.3")
	sent   = netip.AddrPortFrom(group, 5000)
	addrs  = cmp.Comparer(func(a, b netip.Addr) bool { return a == b })
)

func ip(s string) netip.Addr { return netip.MustParseAddr(s) }

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// start runs the program in a host and waits until it answers.
func start(t *testing.T, h *lab.Host, args ...string) *lab.Cmd {
	t.Helper()
	return startUntil(t, "msg=answering", h, append([]string{"--respond-only"}, args...)...)
}

func newClient(t *testing.T, h *lab.Host) *ask.Client {
	t.Helper()
	transport := lab.Within(t, h, func() (ask.Transport, error) { return ask.Open(ask.RawOptions{}) })
	c := ask.New(transport, ask.Options{})
	t.Cleanup(func() { c.Close() })
	return c
}

func newQuery() mtrace.Message {
	return mtrace.Message{
		Hops: 32, Group: group, Source: source, Receiver: ip("10.0.5.1"), Response: ip("10.0.5.1"), ResponseTTL: 255,
	}
}

// trace asks as often as it takes and returns the answer.
func trace(c *ask.Client, to netip.Addr, m mtrace.Message) (ask.TraceAnswer, error) {
	return c.Trace(context.Background(), ask.TraceQuestion{
		Make:   func(int) ask.TraceQuery { return ask.TraceQuery{To: to, Message: m} },
		Accept: func(m *mtrace.Message) bool { return m.Type == mtrace.TypeResponse },
	})
}

// forward sends n packets and waits until all but the lost ones have come to the
// receiver, or for those that may be lost until none comes any more.
func forward(t *testing.T, l *lab.Lab, n, lost int) {
	t.Helper()
	r, err := l.Host("receiver").Join(sent, "eth0", netip.Addr{})
	check(t, err)
	defer r.Close()
	_, err = l.Host("sender").Send(t.Context(), lab.Flow{Group: sent, Interface: "eth0", Count: n})
	check(t, err)
	lab.Until(t, patience, func() error {
		if got := r.Stats().Packets; got != n-lost {
			return fmt.Errorf("%d of %d packets came, %d may be lost", got, n, lost)
		}
		return nil
	})
}

// counters is the kernel's own account of a host.
func counters(t *testing.T, h *lab.Host) *mroute.Counters {
	t.Helper()
	table := lab.Within(t, h, func() (*mroute.Counters, error) { return mroute.OpenCounters(0) })
	t.Cleanup(func() { table.Close() })
	return table
}

// kernelBlock fills in what the kernel counts.
func kernelBlock(t *testing.T, table *mroute.Counters, b mtrace.Block) mtrace.Block {
	t.Helper()
	in, err := table.VifCount(0)
	check(t, err)
	out, err := table.VifCount(1)
	check(t, err)
	sg, err := table.SGCount(source, group)
	check(t, err)
	b.PacketsIn, b.PacketsOut, b.PacketsGroup = uint32(in.PacketsIn), uint32(out.PacketsOut), uint32(sg.Packets)
	return b
}

// Over four routers: full path, every address, every counter, and loss on the
// link where it is.
func TestChain(t *testing.T) {
	l := lab.Start(t, chain)
	var tables []*mroute.Counters
	for i := 4; i >= 1; i-- {
		h := l.Host("r" + strconv.Itoa(i))
		start(t, h)
		tables = append(tables, counters(t, h))
	}
	c := newClient(t, l.Host("receiver"))
	path := []mtrace.Block{
		{Incoming: ip("10.0.4.4"), Outgoing: ip("10.0.5.254"), Previous: ip("10.0.4.3"), FwdTTL: 1, Mask: 1}, // by the default route
		{Incoming: ip("10.0.3.3"), Outgoing: ip("10.0.4.3"), Previous: ip("10.0.3.2"), FwdTTL: 3, Mask: 24},
		{Incoming: ip("10.0.2.2"), Outgoing: ip("10.0.3.2"), Previous: ip("10.0.2.1"), FwdTTL: 4, Mask: 24},
		{Incoming: ip("10.0.1.254"), Outgoing: ip("10.0.2.1"), Previous: ip("0.0.0.0"), FwdTTL: 5, Mask: 24},
	}
	ask := func(to string, hops uint8, want []mtrace.Block) []mtrace.Block {
		t.Helper()
		m := newQuery()
		m.Hops = hops
		before := time.Now()
		a, err := trace(c, ip(to), m)
		check(t, err)
		got := a.Message.Blocks
		if a.BadChecksum || len(got) != len(want) {
			t.Fatalf("%d blocks, bad checksum: %v", len(got), a.BadChecksum)
		}
		for i := range got {
			// All routers have one clock here.
			at := mtrace.TimeNear(got[i].Arrival, before)
			if at.Before(before.Add(-time.Millisecond)) || at.After(time.Now().Add(time.Millisecond)) {
				t.Errorf("block %d: arrival %v, asked at %v", i, at, before)
			}
			b := kernelBlock(t, tables[i], want[i])
			b.Arrival = got[i].Arrival
			if diff := cmp.Diff(b, got[i], addrs); diff != "" {
				t.Errorf("block %d: -want +got:\n%s", i, diff)
			}
		}
		// It is answered by the last one asked, from its incoming interface.
		if want := want[len(want)-1].Incoming; a.From != want {
			t.Errorf("answer from %v, want %v", a.From, want)
		}
		return got
	}
	ask("224.0.0.2", 32, path)
	forward(t, l, 100, 0)
	base := ask("224.0.0.2", 32, path)
	if base[3].PacketsGroup != 100 || base[0].PacketsOut != 100 {
		t.Errorf("100 packets were sent, first hop %+v, last hop %+v", base[3], base[0])
	}
	ask("10.0.5.254", 32, path)
	ask("224.0.0.2", 2, path[:2])

	// Ten packets in a row are lost between r2 and r3.
	wire := l.Host("r3").Wire("eth0")
	check(t, wire.SetLoss(lab.In, lab.Loss{Percent: 100, Protocol: unix.IPPROTO_UDP}))
	forward(t, l, 10, 10)
	lab.Until(t, patience, func() error {
		n, err := wire.Drops(lab.In)
		if err == nil && n != 10 {
			err = fmt.Errorf("%d packets lost", n)
		}
		return err
	})
	check(t, wire.Mend())
	forward(t, l, 90, 0)
	now := ask("224.0.0.2", 32, path)
	for i, want := range []uint32{90, 90, 100, 100} { // from the receiver's end
		if got := now[i].PacketsGroup - base[i].PacketsGroup; got != want {
			t.Errorf("router %d of the path: %d more packets, want %d", i, got, want)
		}
	}

	// Each router can be asked for itself. The others are not the last hop, but
	// know by which interface packets leave towards it.
	notLast := path[2]
	notLast.Code = mtrace.CodeWrongLastHop
	tables = tables[2:]
	ask("10.0.3.2", 1, []mtrace.Block{notLast})
}

// Without its response a trace says at which router requests end: here the
// responder of r2 is not there.
func TestChainBroken(t *testing.T) {
	t.Parallel()
	l := lab.Start(t, chain)
	for _, name := range []string{"r1", "r3", "r4"} {
		start(t, l.Host(name))
	}
	c := newClient(t, l.Host("receiver"))
	m := newQuery()
	m.Hops = 2
	a, err := trace(c, ip("224.0.0.2"), m)
	check(t, err)
	if n := len(a.Message.Blocks); n != 2 || a.Message.Blocks[1].Previous != ip("10.0.3.2") {
		t.Errorf("two hops: %+v", a.Message)
	}
	m.Hops = 3
	if a, err := trace(c, ip("224.0.0.2"), m); !errors.Is(err, ask.ErrNoAnswer) {
		t.Errorf("three hops: %+v, %v", a, err)
	}
}

// Where the unicast route to the source leaves by another interface than the
// packets come in on, the request finds the previous hop all the same.
func TestChainUnknownPrevious(t *testing.T) {
	t.Parallel()
	l := lab.Start(t, chain)
	for i := 1; i <= 4; i++ {
		start(t, l.Host("r"+strconv.Itoa(i)))
	}
	r3 := l.Host("r3")
	check(t, r3.RemoveRoute(lab.Route{Destination: netip.MustParsePrefix("10.0.1.0/24"), Via: ip("10.0.3.2")}))
	a, err := trace(newClient(t, l.Host("receiver")), igmp.AllRouters, newQuery())
	check(t, err)
	var previous []netip.Addr
	for _, b := range a.Message.Blocks {
		previous = append(previous, b.Previous)
	}
	want := []netip.Addr{ip("10.0.4.3"), igmp.AllRouters, ip("10.0.2.1"), ip("0.0.0.0")}
	if !slices.Equal(previous, want) {
		t.Errorf("previous hops %v, want %v", previous, want)
	}
}

// A query to the group with Router Alert is heard where the kernel routes
// multicast, and an answer by multicast by who has joined.
func TestGroupQuery(t *testing.T) {
	t.Parallel()
	l := lab.Start(t, chain)
	start(t, l.Host("r4"))
	receiver := l.Host("receiver")
	c := newClient(t, receiver)
	index := receiver.Wire("eth0").Index
	check(t, c.Join(igmp.MtraceResponses, index))
	m := newQuery()
	m.Hops, m.Response, m.ResponseTTL = 1, igmp.MtraceResponses, 64
	a, err := c.Trace(context.Background(), ask.TraceQuestion{
		Make: func(int) ask.TraceQuery {
			return ask.TraceQuery{To: group, TTL: 64, Via: ask.Via{IfIndex: index, RouterAlert: true}, Message: m}
		},
		Accept: func(m *mtrace.Message) bool { return m.Type == mtrace.TypeResponse },
	})
	if err != nil || len(a.Message.Blocks) != 1 || a.From != ip("10.0.5.254") || a.TTL != 64 {
		t.Errorf("%+v, %v", a, err)
	}
}

// Where nobody routes multicast, packets with Router Alert pass as if the
// responder were not there.
func TestTransit(t *testing.T) {
	t.Parallel()
	l := lab.Start(t, strings.ReplaceAll(crossing, "  forward", "  # forward"))
	router, neighbor, asker := l.Host("router"), l.Host("neighbor"), l.Host("asker")
	start(t, router)
	start(t, neighbor)
	answers, err := newClient(t, asker).Neighbors(context.Background(), ask.NeighborsQuestion{
		Router: ip("10.2.0.9"), Via: ask.Via{RouterAlert: true},
	})
	if err != nil || len(answers) != 1 || answers[0].From != ip("10.2.0.9") {
		t.Errorf("%+v, %v", answers, err)
	}
}

const crossing = `
lan left
lan right
lan outside
host asker
  interface eth0 on left 10.1.0.9/24
  route default via 10.1.0.1
host router
  interface eth0 on left 10.1.0.1/24
  interface eth1 on right 10.2.0.1/24
  interface eth2 on outside 192.0.2.1/24
  sysctl net.ipv4.ip_forward 1
  route default via 192.0.2.2
  forward 10.1.0.9 239.1.2.3 from eth0 to eth1
host neighbor
  interface eth0 on right 10.2.0.9/24
  route default via 10.2.0.1
host border
  interface eth0 on outside 192.0.2.2/24
  interface lo 198.51.100.1/32
  route default via 192.0.2.1
`

// neighbors asks a router. While something changes, answers may differ.
func neighbors(c *ask.Client, to string) (ask.NeighborsAnswer, error) {
	answers, err := c.Neighbors(context.Background(), ask.NeighborsQuestion{Router: ip(to)})
	if err == nil && (len(answers) != 1 || answers[0].BadChecksum || len(answers[0].Conflicts) > 0) {
		err = fmt.Errorf("answers: %+v", answers)
	}
	if err != nil {
		return ask.NeighborsAnswer{}, err
	}
	return answers[0], nil
}

// expect asks until the router says that it has these interfaces.
func expect(t *testing.T, c *ask.Client, router, what string, want []dvmrp.Interface) {
	t.Helper()
	lab.Until(t, patience, func() error {
		a, err := neighbors(c, router)
		if err != nil {
			return err
		}
		if diff := cmp.Diff(want, a.Interfaces, addrs, cmpopts.EquateEmpty()); diff != "" {
			return fmt.Errorf("%s: -want +got:\n%s", what, diff)
		}
		// Asked at one address, it answers from there, in one packet.
		if a.From != ip(router) || a.Packets != 1 {
			return fmt.Errorf("%s: %d packets from %v", what, a.Packets, a.From)
		}
		return nil
	})
}

// What a router says of itself is true of it, at any time.
func TestNeighbors(t *testing.T) {
	t.Parallel()
	l := lab.Start(t, crossing)
	router, neighbor := l.Host("router"), l.Host("neighbor")
	start(t, router, "-d", "all")
	c := newClient(t, l.Host("asker"))
	none := []netip.Addr{ip("0.0.0.0")}
	want := []dvmrp.Interface{
		{Local: ip("10.1.0.1"), Metric: 1, Threshold: 1, Flags: dvmrp.FlagLeaf, Neighbors: none},
		{Local: ip("10.2.0.1"), Metric: 1, Threshold: 1, Flags: dvmrp.FlagLeaf, Neighbors: none},
		{Local: ip("192.0.2.1"), Metric: 1, Threshold: 1, Flags: dvmrp.FlagLeaf, Neighbors: none},
	}
	expect := func(what string) {
		t.Helper()
		expect(t, c, "10.1.0.1", what, want)
	}
	expect("at rest")
	a, err := neighbors(c, "10.2.0.1")
	if err != nil || a.From != ip("10.2.0.1") || a.Version != (dvmrp.Version{Capabilities: dvmrp.CapMtrace, Minor: 255, Major: 3}) {
		t.Errorf("another address: %+v, %v", a, err)
	}

	raw := lab.Within(t, neighbor, func() (*plane.Socket, error) { return plane.Listen(pim.Protocol) })
	defer raw.Close()
	hello := func(holdtime byte) {
		t.Helper()
		h := pim.Hello{Options: []pim.Option{{Type: pim.OptionHoldtime, Value: []byte{0, holdtime}}}}
		b, err := h.AppendBinary(nil)
		check(t, err)
		check(t, raw.Send(plane.Datagram{To: igmp.PIMRouters, IfIndex: neighbor.Wire("eth0").Index, TTL: 1, Message: b}))
	}
	hello(100)
	want[1].Flags, want[1].Neighbors = dvmrp.FlagPIM, []netip.Addr{ip("10.2.0.9")}
	expect("after a Hello")
	hello(1) // it expires
	want[1].Flags, want[1].Neighbors = dvmrp.FlagLeaf, none
	expect("after its holdtime")

	igmpSocket := lab.Within(t, neighbor, func() (*plane.Socket, error) { return plane.Listen(protocolIGMP) })
	defer igmpSocket.Close()
	query := igmp.Query{Version: 3, Group: igmp.Unspecified, MaxResponse: time.Second, Robustness: 2, Interval: 60 * time.Second}
	b, err := query.AppendBinary(nil)
	check(t, err)
	check(t, igmpSocket.Send(plane.Datagram{To: igmp.AllSystems, IfIndex: neighbor.Wire("eth0").Index, TTL: 1, Message: b}))
	want[1].Flags, want[1].Neighbors = 0, []netip.Addr{ip("10.2.0.9")}
	expect("after a query")

	// The router's own querier, whose queries it hears because they loop.
	own := lab.Within(t, router, func() (*plane.Socket, error) { return plane.Listen(protocolIGMP) })
	defer own.Close()
	check(t, own.Send(plane.Datagram{To: igmp.AllSystems, IfIndex: router.Wire("eth1").Index, TTL: 1, Loop: true, Message: b}))
	want[1].Flags = dvmrp.FlagQuerier
	expect("after its own query, from a lower address")

	check(t, router.Wire("eth2").SetCarrier(false))
	want[2].Flags |= dvmrp.FlagDown
	expect("without carrier")
	check(t, router.Wire("eth2").SetCarrier(true))
	want[2].Flags &^= dvmrp.FlagDown
	check(t, router.Wire("eth2").AddAddress(netip.MustParsePrefix("192.0.2.99/24")))
	check(t, router.Wire("eth2").RemoveAddress(netip.MustParsePrefix("192.0.2.1/24")))
	// Its other addresses of the network go with it.
	want[2].Local = ip("0.0.0.0")
	expect("without an address")
}

// A question to all routers of a link is answered after a moment.
func TestNeighborsByMulticast(t *testing.T) {
	t.Parallel()
	l := lab.Start(t, crossing)
	start(t, l.Host("router"))
	asker := l.Host("asker")
	c := newClient(t, asker)
	for _, to := range []netip.Addr{igmp.AllSystems, igmp.AllRouters, igmp.DVMRPRouters} {
		answers, err := c.Neighbors(context.Background(), ask.NeighborsQuestion{
			Router: to, Via: ask.Via{IfIndex: asker.Wire("eth0").Index}, Tries: 2, Wait: 500 * time.Millisecond,
		})
		if err != nil || len(answers) != 1 || answers[0].From != ip("10.1.0.1") {
			t.Errorf("%v: %+v, %v", to, answers, err)
		}
	}
}

// Vifs that come and go while it runs, in a table of their own.
func TestTables(t *testing.T) {
	t.Parallel()
	l := lab.Start(t, strings.ReplaceAll(crossing, "  forward", "  # forward"))
	router, asker := l.Host("router"), l.Host("asker")
	p := start(t, router, "-t", "77")
	lab.Until(t, patience, func() error {
		if !strings.Contains(p.Log(), "nothing routes multicast here yet") {
			return errors.New("no word about the empty table")
		}
		return nil
	})
	c := newClient(t, asker)
	expect(t, c, "10.1.0.1", "without vifs", nil)
	table := lab.Within(t, router, func() (*mroute.Table, error) { return mroute.Open(77) })
	defer table.Close()
	check(t, table.AddVif(4, router.Wire("eth0").Index))
	expect(t, c, "10.1.0.1", "with a vif", []dvmrp.Interface{
		{Local: ip("10.1.0.1"), Metric: 1, Threshold: 1, Flags: dvmrp.FlagLeaf, Neighbors: []netip.Addr{ip("0.0.0.0")}},
	})
	// It joins 224.0.0.2 there as soon as the kernel tells.
	lab.Until(t, patience, func() error {
		_, err := c.Neighbors(context.Background(), ask.NeighborsQuestion{
			Router: igmp.AllRouters, Via: ask.Via{IfIndex: asker.Wire("eth0").Index}, Tries: 1, Wait: 500 * time.Millisecond,
		})
		return err
	})
	check(t, table.Close())
	expect(t, c, "10.1.0.1", "after the owner", nil)
}

// Who is neither on a link nor private gets nothing, and nobody can be hit by an
// answer that somebody else asked for.
func TestPolicy(t *testing.T) {
	t.Parallel()
	l := lab.Start(t, crossing)
	p := start(t, l.Host("router"), "-d", "all")
	border, asker := l.Host("border"), l.Host("asker")
	capture, err := border.Capture("eth0", protocolIGMP)
	check(t, err)
	outside, inside := newClient(t, border), newClient(t, asker)
	far := ask.Via{Source: ip("198.51.100.1")}
	if a, err := outside.Neighbors(context.Background(), ask.NeighborsQuestion{Router: ip("192.0.2.1"), Via: far, Tries: 2}); !errors.Is(err, ask.ErrNoAnswer) {
		t.Errorf("outsider: %+v, %v", a, err)
	}
	m := mtrace.Message{Hops: 1, Group: group, Source: ip("10.1.0.9"), Receiver: ip("10.2.0.9"), Response: ip("198.51.100.1")}
	if a, err := trace(inside, ip("10.1.0.1"), m); !errors.Is(err, ask.ErrNoAnswer) {
		t.Errorf("response to a victim: %+v, %v", a, err)
	}
	// The same question for itself is answered, and so is one on the link.
	m.Response = ip("10.1.0.9")
	if _, err := trace(inside, ip("10.1.0.1"), m); err != nil {
		t.Errorf("response to the asker: %v", err)
	}
	if _, err := outside.Neighbors(context.Background(), ask.NeighborsQuestion{Router: ip("192.0.2.1")}); err != nil {
		t.Errorf("public address on the link: %v", err)
	}
	check(t, capture.Close())
	for _, f := range capture.Frames() {
		if h := f.IP(); !f.Out && netip.AddrFrom4([4]byte(h[16:])) == ip("198.51.100.1") {
			t.Errorf("the outsider gets % x", h)
		}
	}
	check(t, p.Stop(patience))
	log := p.Log()
	if want := fmt.Sprintf("%s questions.forbidden=%d\n", refusalLine, strings.Count(log, "outcome=forbidden")); !strings.Contains(log, want) {
		t.Errorf("it does not say %q:\n%s", want, log)
	}
}

// A flood of questions brings no flood of answers, and afterwards the router
// answers as before.
func TestFlood(t *testing.T) {
	const questions = 20_000
	l := lab.Start(t, crossing)
	start(t, l.Host("router"))
	asker := l.Host("asker")
	raw := lab.Within(t, asker, func() (*plane.Socket, error) { return plane.Listen(protocolIGMP, 0) })
	defer raw.Close()
	b, err := (&dvmrp.Ask{Code: dvmrp.CodeAskNeighbors2, Version: dvmrp.Mrouted}).AppendBinary(nil)
	check(t, err)
	// The kernel's counter: no capture keeps up with the questions.
	received := func() uint64 {
		link, err := asker.Netlink().LinkByName("eth0")
		check(t, err)
		return link.Attrs().Statistics.RxPackets
	}
	before := received()
	began := time.Now()
	for range questions {
		check(t, raw.Send(plane.Datagram{To: ip("10.1.0.1"), TTL: 64, Message: b}))
	}
	lab.Until(t, patience, func() error {
		_, err := newClient(t, asker).Neighbors(context.Background(), ask.NeighborsQuestion{Router: ip("10.1.0.1"), Tries: 1})
		return err
	})
	answers, elapsed := received()-before, time.Since(began)
	// The limits of package respond.
	if limit := 200 + 200*(elapsed.Seconds()+1); answers == 0 || float64(answers) > limit {
		t.Errorf("%d packets came back for %d questions in %v, want at most %.0f", answers, questions, elapsed, limit)
	}
}

// It ends when it is told to, and takes its pid file with it.
func TestSignals(t *testing.T) {
	l := lab.Start(t, crossing)
	for _, signal := range []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGQUIT} {
		file := filepath.Join(t.TempDir(), "pid")
		p := start(t, l.Host("router"), "-n", "-p", file)
		lab.Until(t, patience, func() error {
			b, err := os.ReadFile(file)
			if err == nil && strings.TrimSpace(string(b)) != strconv.Itoa(p.Process.Pid) {
				err = fmt.Errorf("pid file says %q, it is %d", b, p.Process.Pid)
			}
			return err
		})
		check(t, p.Process.Signal(signal))
		if code, err := lab.ExitCode(p.Wait()); code != 0 || err != nil {
			t.Errorf("%v: exit %d, %v", signal, code, err)
		}
		if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%v: pid file: %v", signal, err)
		}
	}
}

// keepCapabilities takes all privileges but these from the calling thread, which
// should end afterwards.
func keepCapabilities(keep ...uint) error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var sets [2]unix.CapUserData
	for _, c := range keep {
		sets[c/32].Effective |= 1 << (c % 32)
		sets[c/32].Permitted |= 1 << (c % 32)
	}
	return unix.Capset(&header, &sets[0])
}

// Without the privilege one line says what to do.
func TestNoPrivilege(t *testing.T) {
	l := lab.Start(t, crossing)
	for _, c := range []struct {
		keep []uint
		args []string
		want string
	}{
		{nil, nil, "setcap cap_net_raw+ep"},
		{[]uint{unix.CAP_NET_RAW}, []string{"-t", "77"}, "CAP_NET_ADMIN"},
	} {
		var stderr bytes.Buffer
		var code int
		check(t, l.Host("router").Do(func() error {
			if err := keepCapabilities(c.keep...); err != nil {
				return err
			}
			code = Run(t.Context(), append([]string{"--respond-only"}, c.args...), nil, &stderr, &stderr)
			return nil
		}))
		if got := stderr.String(); code != 3 || strings.Count(got, "\n") != 1 || !strings.Contains(got, c.want) {
			t.Errorf("%q: exit %d:\n%s", c.args, code, got)
		}
	}
}

// CAP_NET_RAW is enough for everything that a start needs.
func TestLeastPrivilege(t *testing.T) {
	l := lab.Start(t, crossing)
	var log bytes.Buffer
	check(t, l.Host("router").Do(func() error {
		if err := keepCapabilities(unix.CAP_NET_RAW); err != nil {
			return err
		}
		s, err := newServer(&options{level: "debug"}, &log)
		if err != nil {
			return err
		}
		defer s.close()
		known := &tables{s, 0}
		interfaces := known.vifs()
		if len(interfaces) != 3 {
			return fmt.Errorf("%d interfaces, want 3", len(interfaces))
		}
		if _, _, ok, err := known.Counts(interfaces[0].ID); !ok {
			return fmt.Errorf("no counters of %d: %w", interfaces[0].ID, err)
		}
		return nil
	}))
	if got := log.String(); strings.Contains(got, "level=WARN") || !strings.Contains(got, "forwarding=true") {
		t.Errorf("log:\n%s", got)
	}
}

func TestUsage(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"-w", "never"}, "not a number"},
		{[]string{"-i", "../mroutd"}, "not a part"},
		{[]string{"-n", "eth0"}, "eth0"},
		{[]string{"--respond-only", "-t", "-1"}, "not a number"},
		{[]string{"--respond-only", "-d", "igmp,foo"}, "not one of"},
		{[]string{"--respond-only", "-l", "loud"}, "not one of"},
		{[]string{"--respond-only", "eth0"}, "eth0"},
		{[]string{"--respond-only", "-f", "/dev/null"}, "-f has no meaning with --respond-only"},
		{[]string{"--respond-only", "-i", "mroutd"}, "-i has no meaning with --respond-only"},
		{[]string{"--respond-only", "-s"}, "-s has no meaning with --respond-only"},
		{[]string{"--respond-only", "-u", "socket"}, "-u has no meaning with --respond-only"},
		{[]string{"-w", "0", "--respond-only"}, "-w has no meaning with --respond-only"},
	} {
		var stdout, stderr bytes.Buffer
		code := Run(t.Context(), c.args, nil, &stdout, &stderr)
		if code != 2 || stdout.Len() > 0 || strings.Count(stderr.String(), "\n") != 1 || !strings.Contains(stderr.String(), c.want) {
			t.Errorf("%q: exit %d, %q, %q", c.args, code, stdout.String(), stderr.String())
		}
	}
}

// lockedBuffer may be written and read at the same time.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
