package plane_test

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
	"mbone/internal/lab"
	"mbone/internal/plane"
)

func TestMain(m *testing.M) { lab.Main(m) }

const network = `
lan left
lan right
host near
  interface eth0 on left 10.0.1.1/24
  route 10.0.2.0/24 via 10.0.1.2
host router
  interface eth0 on left 10.0.1.2/24
  interface eth1 on right 10.0.2.2/24
  sysctl net.ipv4.ip_forward 1
host far
  interface eth0 on right 10.0.2.1/24 10.0.2.99/24
  route default via 10.0.2.2
`

const igmp = 2

func ip(s string) netip.Addr { return netip.MustParseAddr(s) }

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func listen(t *testing.T, h *lab.Host, protocol int, types ...byte) *plane.Socket {
	t.Helper()
	s := lab.Within(t, h, func() (*plane.Socket, error) { return plane.Listen(protocol, types...) })
	t.Cleanup(func() { s.Close() })
	return s
}

// receive returns the next packet, or fails the test.
func receive(t *testing.T, s *plane.Socket) plane.Packet {
	t.Helper()
	type result struct {
		p   plane.Packet
		err error
	}
	done := make(chan result, 1)
	go func() {
		var r result
		r.err = s.Receive(&r.p)
		done <- r
	}()
	select {
	case r := <-done:
		check(t, r.err)
		return r.p
	case <-time.After(10 * time.Second):
		t.Fatal("nothing came in 10 s")
		return plane.Packet{}
	}
}

// Unicast goes by the route, whatever the interface of its source; the TTL is
// that of the packet, and what is too long for the link comes in one piece.
func TestUnicast(t *testing.T) {
	l := lab.Start(t, network)
	near, far := listen(t, l.Host("near"), igmp), listen(t, l.Host("far"), igmp, 0x13)
	capture, err := l.Host("far").Capture("eth0", igmp)
	check(t, err)
	before := time.Now()
	check(t, near.Send(plane.Datagram{To: ip("10.0.2.1"), TTL: 7, Message: []byte{0x1f, 1}})) // another type
	check(t, near.Send(plane.Datagram{To: ip("10.0.2.1"), TTL: 7, Message: []byte{0x13, 5, 1, 2, 3, 4, 5, 6}}))
	p := receive(t, far)
	if p.From != ip("10.0.1.1") || p.To != ip("10.0.2.1") || p.IfIndex != l.Host("far").Wire("eth0").Index || len(p.Message) != 8 || p.Message[1] != 5 {
		t.Errorf("%+v", p)
	}
	if age := p.Time.Sub(before); age < -time.Second || age > time.Minute {
		t.Errorf("it came %v after it was sent", age)
	}
	long := slices.Repeat([]byte{0x13}, 5000)
	check(t, near.Send(plane.Datagram{To: ip("10.0.2.1"), TTL: 255, Message: long}))
	if p := receive(t, far); !slices.Equal(p.Message, long) {
		t.Errorf("%d bytes of 5000", len(p.Message))
	}
	check(t, far.Send(plane.Datagram{To: ip("10.0.1.1"), Source: ip("10.0.2.99"), TTL: 255, Message: []byte{0x13, 6, 0, 0, 0, 0, 0, 0}}))
	if p := receive(t, near); p.From != ip("10.0.2.99") {
		t.Errorf("from %v", p.From)
	}
	var first []byte
	lab.Until(t, 10*time.Second, func() error {
		for _, f := range capture.Frames() {
			if h := f.IP(); !f.Out && h[20] == 0x13 {
				first = h
				return nil
			}
		}
		return errors.New("not captured")
	})
	// Seven, less the router; precedence; Don't Fragment is not set; no options.
	if first[8] != 6 || first[1] != 0xc0 || first[6]&0x40 != 0 || first[0] != 0x45 {
		t.Errorf("header % x", first[:20])
	}
	check(t, capture.Close())
}

func TestSendErrors(t *testing.T) {
	l := lab.Start(t, network)
	s := listen(t, l.Host("near"), igmp)
	for _, d := range []plane.Datagram{
		{To: ip("192.0.2.1"), TTL: 1, Message: []byte{1}},                         // no route
		{To: ip("10.0.1.2"), Source: ip("192.0.2.1"), TTL: 1, Message: []byte{1}}, // not our address
		{To: ip("224.0.0.2"), IfIndex: 4711, TTL: 1, Message: []byte{1}},          // no interface
		{To: ip("10.0.1.2"), TTL: 1, Message: make([]byte, 65536)},                // too long
	} {
		err := s.Send(d)
		if e, ok := errors.AsType[*plane.Error](err); !ok || errors.Unwrap(err) == nil || e.Object != d.To.String() {
			t.Errorf("to %v: %v", d.To, err)
		}
	}
	check(t, s.Close())
	if err := s.Receive(&plane.Packet{}); !errors.Is(err, net.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

// Multicast leaves by the interface given and is heard by those who joined; the
// sender hears it if it wants to.
func TestMulticast(t *testing.T) {
	l := lab.Start(t, network)
	router, far := l.Host("router"), l.Host("far")
	group := ip("224.0.0.2")
	sender, receiver := listen(t, router, igmp), listen(t, far, igmp, 0x1f, 0x13)
	var members, own plane.Members
	check(t, far.Do(func() error { return members.Set([]int{far.Wire("eth0").Index}, []netip.Addr{group}) }))
	check(t, router.Do(func() error { return own.Set([]int{router.Wire("eth1").Index}, []netip.Addr{group}) }))
	out := plane.Datagram{To: group, Source: ip("10.0.2.2"), IfIndex: router.Wire("eth1").Index, TTL: 1}
	send := func(code byte, loop bool) {
		t.Helper()
		out.Message, out.Loop = []byte{0x1f, code, 0, 0, 0, 0, 0, 0}, loop
		check(t, sender.Send(out))
	}
	send(1, false)
	send(2, true)
	send(3, false)
	for want := byte(1); want <= 3; want++ {
		if p := receive(t, receiver); p.To != group || p.From != ip("10.0.2.2") || p.Message[1] != want {
			t.Errorf("message %d: %+v", want, p)
		}
	}
	// Memberships are reported, so other messages come in between.
	for {
		p := receive(t, sender)
		if p.Message[0] != 0x1f {
			continue
		}
		if p.Message[1] != 2 {
			t.Errorf("the sender hears message %d", p.Message[1])
		}
		break
	}
	// The interface is left again: what is sent next is not heard, the one after
	// joining is.
	check(t, members.Set(nil, []netip.Addr{group}))
	send(4, false)
	check(t, far.Do(func() error { return members.Set([]int{far.Wire("eth0").Index}, []netip.Addr{group}) }))
	send(5, false)
	if p := receive(t, receiver); p.Message[1] != 5 {
		t.Errorf("after leaving: message %d", p.Message[1])
	}
	check(t, errors.Join(members.Close(), own.Close()))
}

// More interfaces than a socket has memberships.
func TestMembersMany(t *testing.T) {
	const n = 32
	var b strings.Builder
	b.WriteString("lan a\nhost h\n")
	for i := range n {
		fmt.Fprintf(&b, "  interface eth%d on a 10.0.%d.1/24\n", i, i)
	}
	h := lab.Start(t, b.String()).Host("h")
	var m plane.Members
	var all []int
	for _, w := range h.Wires() {
		all = append(all, w.Index)
	}
	groups := []netip.Addr{ip("224.0.0.2"), ip("224.0.0.4"), ip("224.0.0.13")}
	check(t, h.Do(func() error { return m.Set(all, groups) }))
	check(t, h.Do(func() error { return m.Set(all, groups) })) // changes nothing
	// One that does not exist is told, and does no harm to the others.
	err := h.Do(func() error { return m.Set(append([]int{4711}, all...), groups) })
	if err == nil || !strings.Contains(err.Error(), "4711") {
		t.Errorf("a missing interface: %v", err)
	}
	check(t, m.Close())
}

func TestLinks(t *testing.T) {
	l := lab.Start(t, network)
	router := l.Host("router")
	links := lab.Within(t, router, plane.OpenLinks)
	defer links.Close()
	eth0, eth1 := router.Wire("eth0"), router.Wire("eth1")
	check(t, eth1.AddAddress(netip.MustParsePrefix("10.0.3.1/28")))
	prefix := netip.MustParsePrefix
	want := []plane.Link{
		{Index: 1, Name: "lo", Up: true, Loopback: true, Addresses: []plane.Address{{ip("127.0.0.1"), prefix("127.0.0.0/8")}}},
		{Index: eth0.Index, Name: "eth0", Up: true, Multicast: true, Addresses: []plane.Address{{ip("10.0.1.2"), prefix("10.0.1.0/24")}}},
		{Index: eth1.Index, Name: "eth1", Up: true, Multicast: true, Addresses: []plane.Address{{ip("10.0.2.2"), prefix("10.0.2.0/24")}, {ip("10.0.3.1"), prefix("10.0.3.0/28")}}},
	}
	compare := func(what string) {
		t.Helper()
		lab.Until(t, 10*time.Second, func() error {
			got, err := links.List()
			if err != nil {
				return err
			}
			if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b }), cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
				return fmt.Errorf("%s: -want +got:\n%s", what, diff)
			}
			return nil
		})
	}
	compare("at rest")
	check(t, eth0.SetCarrier(false))
	want[1].Up = false
	compare("without carrier")
	check(t, eth0.SetCarrier(true))
	want[1].Up = true
	compare("with carrier")

	// The other end of a point-to-point address is what is on the link.
	addr := &netlink.Addr{
		IPNet: &net.IPNet{IP: net.IPv4(10, 0, 9, 1), Mask: net.CIDRMask(32, 32)},
		Peer:  &net.IPNet{IP: net.IPv4(10, 0, 9, 2), Mask: net.CIDRMask(32, 32)},
	}
	link, err := router.Netlink().LinkByName("eth0")
	check(t, err)
	check(t, router.Netlink().AddrAdd(link, addr))
	want[1].Addresses = append(want[1].Addresses, plane.Address{Addr: ip("10.0.9.1"), Net: prefix("10.0.9.2/32")})
	compare("with a peer")
}

func TestRoutes(t *testing.T) {
	l := lab.Start(t, network+`
  route 10.5.0.0/16 via 10.0.2.2
  route unreachable 10.6.0.0/16
  route blackhole 10.7.0.0/16
host lost
  interface eth0 on right 10.0.2.50/24
`)
	far := l.Host("far")
	links := lab.Within(t, far, plane.OpenLinks)
	defer links.Close()
	eth0 := far.Wire("eth0").Index
	two := &netlink.Route{
		Dst: &net.IPNet{IP: net.IPv4(10, 8, 0, 0), Mask: net.CIDRMask(20, 32)},
		MultiPath: []*netlink.NexthopInfo{
			{LinkIndex: eth0, Gw: net.IPv4(10, 0, 2, 2)}, {LinkIndex: eth0, Gw: net.IPv4(10, 0, 2, 50)},
		},
	}
	check(t, far.Netlink().RouteAdd(two))
	hop := func(gateway string) plane.Hop { return plane.Hop{IfIndex: eth0, Gateway: ip(gateway)} }
	for _, c := range []struct {
		to   string
		want plane.Route
	}{
		{"10.0.2.77", plane.Route{Bits: 24, Hops: []plane.Hop{hop("0.0.0.0")}}},
		{"10.5.1.1", plane.Route{Bits: 16, Hops: []plane.Hop{hop("10.0.2.2")}}},
		{"10.0.1.1", plane.Route{Bits: 0, Hops: []plane.Hop{hop("10.0.2.2")}}},
		{"10.8.1.1", plane.Route{Bits: 20, Hops: []plane.Hop{hop("10.0.2.2"), hop("10.0.2.50")}}},
		{"10.0.2.1", plane.Route{Bits: 32, Hops: []plane.Hop{hop("0.0.0.0")}}}, // its own
		{"10.6.1.1", plane.Route{}},
		{"10.7.1.1", plane.Route{}},
	} {
		got, ok, err := links.Route(ip(c.to))
		check(t, err)
		if diff := cmp.Diff(c.want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" || ok != (len(c.want.Hops) > 0) {
			t.Errorf("%s: %v, -want +got:\n%s", c.to, ok, diff)
		}
	}
	lost := lab.Within(t, l.Host("lost"), plane.OpenLinks)
	defer lost.Close()
	if _, ok, err := lost.Route(ip("192.0.2.1")); ok || err != nil {
		t.Errorf("no route: %v, %v", ok, err)
	}
}

func TestWatch(t *testing.T) {
	l := lab.Start(t, network)
	near := l.Host("near")
	w := lab.Within(t, near, plane.Watch)
	changes := make(chan error)
	go func() {
		for {
			err := w.Wait()
			changes <- err
			if err != nil {
				return
			}
		}
	}()
	for _, change := range []struct {
		name string
		fn   func() error
	}{
		{"address", func() error { return near.Wire("eth0").AddAddress(netip.MustParsePrefix("10.9.9.9/24")) }},
		{"carrier", func() error { return near.Wire("eth0").SetCarrier(false) }},
		{"multicast routing", func() error {
			return near.Forward(lab.Forward{Source: ip("10.0.1.1"), Group: ip("239.1.1.1"), From: "eth0"})
		}},
	} {
		// Whatever the last change still has to tell.
		for quiet := false; !quiet; {
			select {
			case err := <-changes:
				check(t, err)
			case <-time.After(50 * time.Millisecond):
				quiet = true
			}
		}
		check(t, change.fn())
		select {
		case err := <-changes:
			check(t, err)
		case <-time.After(10 * time.Second):
			t.Errorf("%s: no change is told in 10 s", change.name)
		}
	}
	w.Close()
	for {
		if err := <-changes; err != nil {
			if !errors.Is(err, net.ErrClosed) {
				t.Errorf("after Close: %v", err)
			}
			break
		}
	}
}
