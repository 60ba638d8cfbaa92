package tunnel_test

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/ipv4"

	"mbone/internal/lab"
	"mbone/internal/plane"
	"mbone/internal/plane/mroute"
	"mbone/internal/plane/tunnel"
)

func TestMain(m *testing.M) { lab.Main(m) }

// Two gateways with a router between them that knows no multicast.
const network = `
lan west
lan left
lan right
lan east
host sender
  interface eth0 on west 10.1.0.1/24
host a
  interface eth0 on west 10.1.0.2/24
  interface eth1 on left 192.0.2.1/24
  route default via 192.0.2.254
host router
  interface eth0 on left 192.0.2.254/24
  interface eth1 on right 198.51.100.254/24
  sysctl net.ipv4.ip_forward 1
host b
  interface eth0 on east 10.2.0.2/24
  interface eth1 on right 198.51.100.2/24
  route default via 198.51.100.254
host receiver
  interface eth0 on east 10.2.0.1/24
`

var (
	source = netip.MustParseAddr("10.1.0.1")
	here   = netip.MustParseAddr("192.0.2.1")
	there  = netip.MustParseAddr("198.51.100.2")
	group  = netip.MustParseAddrPort("239.1.2.3:5000")
)

const limit = 10 * time.Second

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func start(t *testing.T) *lab.Lab {
	t.Helper()
	lab.Require(t, lab.Tun)
	return lab.Start(t, network)
}

func open(t *testing.T, h *lab.Host, config tunnel.Config) *tunnel.Tunnel {
	t.Helper()
	tun := lab.Within(t, h, func() (*tunnel.Tunnel, error) { return tunnel.Open(config) })
	t.Cleanup(func() { tun.Close() })
	return tun
}

// ends opens both ends of a tunnel between a and b.
func ends(t *testing.T, l *lab.Lab, config tunnel.Config) (a, b *tunnel.Tunnel) {
	t.Helper()
	config.Name = "dvmrp0"
	config.Local, config.Remote = here, there
	a = open(t, l.Host("a"), config)
	config.Local, config.Remote = there, here
	return a, open(t, l.Host("b"), config)
}

// route makes a host forward the flow from one interface to another.
func route(t *testing.T, h *lab.Host, in, out int) *mroute.Table {
	t.Helper()
	table := lab.Within(t, h, func() (*mroute.Table, error) { return mroute.Open(0) })
	t.Cleanup(func() { table.Close() })
	check(t, table.AddVif(0, in))
	check(t, table.AddVif(1, out))
	e := mroute.Entry{Source: source, Group: group.Addr()}
	e.TTLs[1] = 1
	check(t, table.AddMFC(e))
	return table
}

// carry starts a lab where the flow goes from sender to receiver through a tunnel.
func carry(t *testing.T, config tunnel.Config) (l *lab.Lab, a, b *tunnel.Tunnel) {
	t.Helper()
	l = start(t)
	a, b = ends(t, l, config)
	route(t, l.Host("a"), l.Host("a").Wire("eth0").Index, a.Index())
	route(t, l.Host("b"), b.Index(), l.Host("b").Wire("eth0").Index)
	return l, a, b
}

// within returns what fn returns inside a host.
func within(h *lab.Host, fn func() (*tunnel.Tunnel, error)) (tun *tunnel.Tunnel, err error) {
	err = h.Do(func() error {
		tun, err = fn()
		return err
	})
	return tun, err
}

// wantError fails the test unless err has that cause and says how to mend it.
func wantError(t *testing.T, err, cause error, fix string) {
	t.Helper()
	e, ok := errors.AsType[*tunnel.Error](err)
	if !ok || !errors.Is(err, cause) || !strings.Contains(e.Fix(), fix) {
		t.Errorf("%v, want %v", err, cause)
	}
}

func dropped(t *testing.T, tun *tunnel.Tunnel, d tunnel.Drop, want uint64) {
	t.Helper()
	lab.Until(t, limit, func() error {
		if got := tun.Counters().Dropped[d]; got != want {
			return fmt.Errorf("%d packets of %v were dropped, want %d: %+v", got, d, want, tun.Counters())
		}
		return nil
	})
}

// Packets as long as an Ethernet carries, which Linux sends with Don't Fragment,
// arrive whole: the outer packets are fragmented.
func TestCarry(t *testing.T) {
	l, a, b := carry(t, tunnel.Config{Beside: true})
	receiver, err := l.Host("receiver").Join(group, "eth0", netip.Addr{})
	check(t, err)
	wire, err := l.Host("router").Capture("eth0", 4)
	check(t, err)
	last, err := l.Host("receiver").Capture("eth0", 17)
	check(t, err)
	const n, size = 20, 1472
	if sent, err := l.Host("sender").Send(t.Context(), lab.Flow{Group: group, Interface: "eth0", Count: n, Size: size, TTL: 9}); sent != n {
		t.Fatalf("sent %d: %v", sent, err)
	}
	lab.Until(t, limit, func() error {
		if s := receiver.Stats(); s.Packets != n || s.Duplicates != 0 {
			return fmt.Errorf("%+v of %d; out %+v, in %+v", s, n, a.Counters(), b.Counters())
		}
		return nil
	})
	for i, c := range []tunnel.Count{a.Counters().Out, b.Counters().In} {
		if want := (tunnel.Count{Packets: n, Bytes: n * 1500}); c != want {
			t.Errorf("end %d counts %+v, want %+v", i, c, want)
		}
	}
	lab.Until(t, limit, func() error {
		if got := len(wire.Frames()); got != 2*n {
			return fmt.Errorf("%d frames for %d packets", got, n)
		}
		return nil
	})
	for i, f := range wire.Frames() {
		h := f.IP()
		// Only the first of two has More Fragments, none has Don't Fragment.
		if more := h[6]&0x20 != 0; h[8] != 64 || h[6]&0x40 != 0 || more != (i%2 == 0) || h[1] != 0 ||
			netip.AddrFrom4([4]byte(h[12:])) != here || netip.AddrFrom4([4]byte(h[16:])) != there {
			t.Fatalf("outer header % x", h[:20])
		}
	}
	for _, f := range last.Frames() {
		if h := f.IP(); h[8] != 9-2 || h[6]&0x40 == 0 {
			t.Errorf("inner header % x: want TTL 7 and Don't Fragment", h[:20])
		}
	}
	check(t, errors.Join(receiver.Close(), wire.Close(), last.Close()))
}

// The outer packet has the type of service of the inner one, less ECN.
func TestTOS(t *testing.T) {
	l, a, _ := carry(t, tunnel.Config{Beside: true})
	wire, err := l.Host("router").Capture("eth0", 4)
	check(t, err)
	conn := lab.Within(t, l.Host("sender"), func() (*ipv4.PacketConn, error) {
		c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: source.AsSlice()})
		if err != nil {
			return nil, err
		}
		p := ipv4.NewPacketConn(c)
		return p, errors.Join(p.SetMulticastTTL(8), p.SetMulticastInterface(&net.Interface{Index: l.Host("sender").Wire("eth0").Index}))
	})
	defer conn.Close()
	want := []byte{0xb8, 0xb8, 0, 0x28}
	for i, tos := range []int{0xb8, 0xba, 1, 0x28} {
		check(t, conn.SetTOS(tos))
		_, err := conn.WriteTo([]byte{byte(i)}, nil, net.UDPAddrFromAddrPort(group))
		check(t, err)
	}
	lab.Until(t, limit, func() error {
		if n := len(wire.Frames()); n != len(want) {
			return fmt.Errorf("%d of %d packets: %+v", n, len(want), a.Counters())
		}
		return nil
	})
	for i, f := range wire.Frames() {
		if got := f.IP()[1]; got != want[i] {
			t.Errorf("packet %d: type of service %#x, want %#x", i, got, want[i])
		}
	}
	check(t, wire.Close())
}

func TestRateLimit(t *testing.T) {
	l, a, b := carry(t, tunnel.Config{Beside: true, RateLimit: 100})
	receiver, err := l.Host("receiver").Join(group, "eth0", netip.Addr{})
	check(t, err)
	const n, size = 100, 980 // 1008 bytes inside, 1028 outside
	send := func() {
		t.Helper()
		before := a.Counters()
		_, err := l.Host("sender").Send(t.Context(), lab.Flow{Group: group, Interface: "eth0", Count: n, Size: size})
		check(t, err)
		lab.Until(t, limit, func() error {
			c := a.Counters()
			if got := c.Out.Packets + c.Dropped[tunnel.OutLimit] - before.Out.Packets - before.Dropped[tunnel.OutLimit]; got != n {
				return fmt.Errorf("%d of %d packets were looked at", got, n)
			}
			return nil
		})
	}
	begin := time.Now()
	send()
	took := time.Since(begin)
	// A bucket of 10,000 bytes lets nine packets through at once, and each 82 ms one more.
	c := a.Counters()
	if most := uint64(9 + took/(82*time.Millisecond) + 1); c.Out.Packets < 9 || c.Out.Packets > most {
		t.Errorf("%d packets in %v, want 9 to %d: %+v", c.Out.Packets, took, most, c)
	}
	a.SetRate(0)
	send()
	if got := a.Counters(); got.Out.Packets != c.Out.Packets+n || got.Dropped[tunnel.OutLimit] != c.Dropped[tunnel.OutLimit] {
		t.Errorf("without a limit: %+v after %+v", got, c)
	}
	lab.Until(t, limit, func() error {
		if got, want := b.Counters().In.Packets, a.Counters().Out.Packets; got != want {
			return fmt.Errorf("%d of %d packets came", got, want)
		}
		return nil
	})
	check(t, receiver.Close())
}

// DVMRP goes through the tunnel with `beside off`, and not otherwise; rate limits
// are not for it.
func TestControl(t *testing.T) {
	l := start(t)
	a, b := ends(t, l, tunnel.Config{RateLimit: 1})
	var members plane.Members
	routers := []netip.Addr{netip.MustParseAddr("224.0.0.4")}
	check(t, l.Host("b").Do(func() error { return members.Set([]int{b.Index()}, routers) }))
	defer members.Close()
	from := lab.Within(t, l.Host("a"), func() (*plane.Socket, error) { return plane.Listen(2) })
	defer from.Close()
	to := lab.Within(t, l.Host("b"), func() (*plane.Socket, error) { return plane.Listen(2, 0x13) })
	defer to.Close()
	probe := plane.Datagram{To: routers[0], Source: here, IfIndex: a.Index(), TTL: 1, Message: make([]byte, 1400)}
	probe.Message[0] = 0x13
	const n = 20 // 28,000 bytes: more than the bucket holds
	for i := range n {
		probe.Message[1] = byte(i)
		check(t, from.Send(probe))
	}
	received := make(chan error, 1)
	go func() {
		var p plane.Packet
		for i := range n {
			if err := to.Receive(&p); err != nil {
				received <- err
				return
			}
			if p.From != here || p.To != routers[0] || p.IfIndex != b.Index() || p.Message[1] != byte(i) {
				received <- fmt.Errorf("message %d: %+v", i, p)
				return
			}
		}
		received <- nil
	}()
	select {
	case err := <-received:
		check(t, err)
	case <-time.After(limit):
		t.Fatalf("not all came: %+v, %+v", a.Counters(), b.Counters())
	}
	// The kernel's own report of the membership at b is not carried.
	if c := b.Counters(); c.Out != (tunnel.Count{}) {
		t.Errorf("from b: %+v", c)
	}

	check(t, errors.Join(a.Close(), b.Close()))
	a, b = ends(t, l, tunnel.Config{Beside: true})
	probe.IfIndex = a.Index()
	check(t, from.Send(probe))
	dropped(t, a, tunnel.OutOther, 1)
	if c := b.Counters(); c.In != (tunnel.Count{}) {
		t.Errorf("beside the tunnel: %+v", c)
	}
}

// What anybody but the other end sends is not even looked at.
func TestStrangers(t *testing.T) {
	l, a, b := carry(t, tunnel.Config{Beside: true})
	inner := []byte{0x45, 0, 0, 28, 0, 0, 0, 0, 9, 17, 0, 0, 10, 1, 0, 1, 239, 1, 2, 3, 0, 1, 0x13, 0x88, 0, 8, 0, 0}
	var sum uint32
	for i := 0; i < 20; i += 2 {
		sum += uint32(inner[i])<<8 | uint32(inner[i+1])
	}
	sum = ^(sum>>16 + sum&0xffff)
	inner[10], inner[11] = byte(sum>>8), byte(sum)
	raw := func(h *lab.Host) *net.IPConn {
		c := lab.Within(t, h, func() (*net.IPConn, error) { return net.ListenIP("ip4:4", nil) })
		t.Cleanup(func() { c.Close() })
		return c
	}
	stranger, other := raw(l.Host("router")), raw(l.Host("a"))
	to := &net.IPAddr{IP: there.AsSlice()}
	for range 10 {
		_, err := stranger.WriteTo(inner, to)
		check(t, err)
	}
	_, err := other.WriteTo(inner[:19], to) // the end of the sequence
	check(t, err)
	dropped(t, b, tunnel.InMalformed, 1)
	want := tunnel.Counters{}
	want.Dropped[tunnel.InMalformed] = 1
	if got := b.Counters(); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	_, err = other.WriteTo(inner, to)
	check(t, err)
	lab.Until(t, limit, func() error {
		if got := b.Counters().In.Packets; got != 1 {
			return fmt.Errorf("%d packets, want 1: %+v", got, b.Counters())
		}
		return nil
	})
	if c := a.Counters(); c.In != (tunnel.Count{}) {
		t.Errorf("at a: %+v", c)
	}
}

// The device has no address and takes packets from everywhere; it goes with the
// tunnel, which ends when somebody removes the device.
func TestDevice(t *testing.T) {
	l := start(t)
	h := l.Host("a")
	check(t, h.Sysctl("net.ipv4.conf.default.rp_filter", "1"))
	config := tunnel.Config{Name: "dvmrp7", Local: here, Remote: there}
	tun := open(t, h, config)
	links := lab.Within(t, h, plane.OpenLinks)
	defer links.Close()
	find := func() *plane.Link {
		list, err := links.List()
		check(t, err)
		for _, link := range list {
			if link.Name == config.Name {
				return &link
			}
		}
		return nil
	}
	link := find()
	if link == nil || link.Index != tun.Index() || !link.Up || !link.PointToPoint || len(link.Addresses) != 0 {
		t.Fatalf("%+v", link)
	}
	dev, err := h.Netlink().LinkByIndex(tun.Index())
	check(t, err)
	if a := dev.Attrs(); a.MTU != 1500 || a.Flags&net.FlagMulticast == 0 {
		t.Errorf("MTU %d, flags %v", a.MTU, a.Flags)
	}
	filter := lab.Within(t, h, func() ([]byte, error) { return os.ReadFile("/proc/sys/net/ipv4/conf/dvmrp7/rp_filter") })
	if got := strings.TrimSpace(string(filter)); got != "0" {
		t.Errorf("rp_filter is %s", got)
	}
	_, err = within(h, func() (*tunnel.Tunnel, error) { return tunnel.Open(config) })
	wantError(t, err, syscall.EBUSY, "another name")
	second := config
	second.Name, second.Remote = "dvmrp8", netip.MustParseAddr("198.51.100.3")
	open(t, h, second)

	check(t, tun.Close())
	check(t, tun.Close()) // again
	if link := find(); link != nil {
		t.Errorf("after Close there is %+v", link)
	}
	tun = open(t, h, config) // the same name
	dev, err = h.Netlink().LinkByIndex(tun.Index())
	check(t, err)
	check(t, h.Netlink().LinkDel(dev))
	select {
	case <-tun.Done():
	case <-time.After(limit):
		t.Error("the tunnel does not notice that its device has been removed")
	}
}

func TestOpenErrors(t *testing.T) {
	l := start(t)
	h := l.Host("a")
	address := netip.MustParsePrefix("192.0.2.77/24")
	config := tunnel.Config{Name: "dvmrp0", Local: address.Addr(), Remote: there}
	_, err := within(h, func() (*tunnel.Tunnel, error) { return tunnel.Open(config) })
	wantError(t, err, tunnel.ErrNoAddress, "the address")
	check(t, h.Wire("eth1").AddAddress(address))
	open(t, h, config) // and no device is left over from the first time
	for _, bad := range []tunnel.Config{
		{Local: here, Remote: there},
		{Name: "1234567890123456", Local: here, Remote: there},
		{Name: "x", Local: here, Remote: here},
		{Name: "x", Local: here},
		{Name: "x", Remote: there},
		{Name: "x", Local: here, Remote: group.Addr()},
		{Name: "x", Local: netip.IPv4Unspecified(), Remote: there},
		{Name: "x", Local: netip.MustParseAddr("2001:db8::1"), Remote: there},
		{Name: "x/y", Local: here, Remote: there},
	} {
		tun, err := within(h, func() (*tunnel.Tunnel, error) { return tunnel.Open(bad) })
		if _, ok := errors.AsType[*tunnel.Error](err); !ok || tun != nil {
			t.Errorf("%v: %v, %v", bad, tun, err)
		}
	}
}

// There may be no route to the other end yet.
func TestNoRoute(t *testing.T) {
	l := start(t)
	h := l.Host("a")
	check(t, h.RemoveRoute(lab.Route{Destination: netip.MustParsePrefix("0.0.0.0/0"), Via: netip.MustParseAddr("192.0.2.254")}))
	tun := open(t, h, tunnel.Config{Name: "dvmrp0", Local: here, Remote: there, Beside: true})
	route(t, h, h.Wire("eth0").Index, tun.Index())
	send := func() {
		t.Helper()
		_, err := l.Host("sender").Send(t.Context(), lab.Flow{Group: group, Interface: "eth0", Count: 1})
		check(t, err)
	}
	send()
	dropped(t, tun, tunnel.OutRefused, 1)
	// That somebody sets the device down and up again ends nothing.
	device, err := h.Netlink().LinkByIndex(tun.Index())
	check(t, err)
	check(t, h.Netlink().LinkSetDown(device))
	check(t, h.Netlink().LinkSetUp(device))
	check(t, h.AddRoute(lab.Route{Destination: netip.MustParsePrefix("0.0.0.0/0"), Via: netip.MustParseAddr("192.0.2.254")}))
	send()
	lab.Until(t, limit, func() error {
		if got := tun.Counters().Out.Packets; got != 1 {
			return fmt.Errorf("%d packets, want 1: %+v", got, tun.Counters())
		}
		return nil
	})
}
