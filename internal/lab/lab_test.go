package lab

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"
)

func TestMain(m *testing.M) { Main(m) }

func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }

// TestRoutedUDP sends a datagram over a router, which passes it on only while
// it is told to forward.
func TestRoutedUDP(t *testing.T) {
	l := Start(t, "")
	host, lan, wire := must[*Host](t), must[*LAN](t), must[*Wire](t)
	a, r, b := host(l.AddHost("a")), host(l.AddHost("r")), host(l.AddHost("b"))
	left, right := lan(l.AddLAN("left", 0)), lan(l.AddLAN("right", 0))
	wire(a.Attach(left, "eth0", prefix("10.0.1.1/24")))
	wire(r.Attach(left, "eth0", prefix("10.0.1.254/24")))
	wire(r.Attach(right, "eth1", prefix("10.0.2.254/24")))
	wire(b.Attach(right, "eth0", prefix("10.0.2.1/24")))
	check(t, a.AddRoute(Route{Destination: prefix("0.0.0.0/0"), Via: netip.MustParseAddr("10.0.1.254")}))

	var in, out net.PacketConn
	check(t, b.Do(func() (err error) { in, err = net.ListenPacket("udp4", "10.0.2.1:4000"); return err }))
	defer in.Close()
	check(t, a.Do(func() (err error) { out, err = net.ListenPacket("udp4", "10.0.1.1:0"); return err }))
	defer out.Close()

	got := func() bool {
		t.Helper()
		must[int](t)(out.WriteTo([]byte("hello"), net.UDPAddrFromAddrPort(netip.MustParseAddrPort("10.0.2.1:4000"))))
		check(t, in.SetReadDeadline(time.Now().Add(100*time.Millisecond)))
		_, from, err := in.ReadFrom(make([]byte, 100))
		return err == nil && from.String() == out.LocalAddr().String()
	}
	if got() {
		t.Error("a datagram crossed a host that does not forward")
	}
	check(t, r.Sysctl("net.ipv4.ip_forward", "1"))
	Until(t, 10*time.Second, func() error {
		if !got() {
			return fmt.Errorf("no datagram came over the router")
		}
		return nil
	})
}

func TestCommand(t *testing.T) {
	l := Start(t, "")
	h := must[*Host](t)(l.AddHost("h"))
	must[*Wire](t)(h.Attach(must[*LAN](t)(l.AddLAN("net", 0)), "eth7"))
	b := must[[]byte](t)(h.Command(t.Context(), "cat", "/proc/net/dev").Output())
	if !strings.Contains(string(b), "eth7:") {
		t.Errorf("the program runs elsewhere: %s", b)
	}
	wd := must[string](t)(os.Getwd())
	b = must[[]byte](t)(h.Command(t.Context(), "pwd").Output())
	if strings.TrimSpace(string(b)) != wd {
		t.Errorf("it runs in directory %s, want %s", b, wd)
	}
	if err := h.Command(t.Context(), "sh", "-c", "exit 7").Run(); err == nil {
		t.Error("exit 7 is no error")
	} else if code, err := ExitCode(err); code != 7 || err != nil {
		t.Errorf("exit code %d, %v, want 7", code, err)
	}

	c := h.Command(context.Background(), "sh", "-c", "echo ready; exec sleep 1000")
	check(t, c.Start())
	Until(t, 10*time.Second, func() error {
		if c.Log() != "ready\n" {
			return fmt.Errorf("log is %q", c.Log())
		}
		return nil
	})
	check(t, c.Stop(10*time.Second))
	if code, err := ExitCode(c.Wait()); err == nil {
		t.Errorf("a program that was stopped has exit code %d", code)
	}
}

// reach sends a datagram from one host to an address of another.
func reach(t *testing.T, from, to *Host, a netip.Addr) {
	t.Helper()
	reachLimit(t, from, to, a, true)
}

func reachLimit(t *testing.T, from, to *Host, a netip.Addr, want bool) {
	t.Helper()
	limit := 10 * time.Second
	if !want {
		limit = 100 * time.Millisecond
	}
	var in, out net.PacketConn
	check(t, to.Do(func() (err error) { in, err = net.ListenPacket("udp4", "0.0.0.0:4001"); return err }))
	defer in.Close()
	check(t, from.Do(func() (err error) { out, err = net.ListenPacket("udp4", "0.0.0.0:0"); return err }))
	defer out.Close()
	must[int](t)(out.WriteTo([]byte("hello"), net.UDPAddrFromAddrPort(netip.AddrPortFrom(a, 4001))))
	check(t, in.SetReadDeadline(time.Now().Add(limit)))
	_, _, err := in.ReadFrom(make([]byte, 100))
	if (err == nil) != want {
		t.Errorf("%s to %s (%s): %v", from.Name, a, to.Name, err)
	}
}

func dial(address string) error {
	c, err := net.Dial("udp4", address)
	if err == nil {
		c.Close()
	}
	return err
}
