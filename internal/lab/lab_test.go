package lab

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) {
	if scene := os.Getenv(sceneVariable); scene != "" {
		os.Exit(play(scene))
	}
	Main(m)
}

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
	if code := must[int](t)(ExitCode(c.Wait())); code != 128+15 {
		t.Errorf("a program that was stopped has exit code %d, want 143", code)
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

// TestStop has a program killed that does not want to end.
func TestStop(t *testing.T) {
	h := Start(t, "host h").Host("h")
	c := h.Command(t.Context(), "sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.01; done")
	c.Kill() // not started
	check(t, c.Stop(time.Hour))
	if c.Wait() == nil {
		t.Error("waited for a program that was not started")
	}
	check(t, c.Start())
	if c.Start() == nil {
		t.Error("a program was started twice")
	}
	Until(t, 10*time.Second, func() error {
		if c.Log() != "ready\n" {
			return fmt.Errorf("log %q", c.Log())
		}
		return nil
	})
	if c.Stop(10*time.Millisecond) == nil {
		t.Error("a program that ignores SIGTERM has ended")
	}
	if code := must[int](t)(ExitCode(c.Wait())); code != 128+9 {
		t.Errorf("exit code %d, want 137", code)
	}
	check(t, c.Stop(time.Hour))
}

// TestRemoveRoute has a network out of reach again.
func TestRemoveRoute(t *testing.T) {
	a, _ := segment(t)
	for _, r := range []Route{
		{Destination: prefix("10.1.0.0/16"), Via: netip.MustParseAddr("10.0.0.2")},
		{Destination: prefix("10.1.0.0/16"), Interface: "eth0", Metric: 7},
		{Destination: prefix("10.1.0.0/16"), Type: Local},
	} {
		reaches := func() bool { return a.Do(func() error { return dial("10.1.2.3:9") }) == nil }
		if reaches() {
			t.Fatal("10.1.2.3 has a route already")
		}
		check(t, a.AddRoute(r))
		if !reaches() {
			t.Errorf("%+v: 10.1.2.3 has no route", r)
		}
		check(t, a.RemoveRoute(r))
	}
	if a.AddRoute(Route{Destination: prefix("10.1.0.0/16"), Via: netip.MustParseAddr("10.7.7.7")}) == nil {
		t.Error("a gateway that nobody can reach is accepted")
	}
}

// TestClose has programs and what they left in the background ended.
func TestClose(t *testing.T) {
	l := Start(t, "host h\n run sh -c \"sleep 1000 & echo ready; wait\"\nhost g")
	h := l.Host("h")
	h.Command(t.Context(), "true") // never started
	orphan := h.Command(t.Context(), "sh", "-c", "sleep 1001 & sleep 1002 & exit 3")
	if code := must[int](t)(ExitCode(orphan.Run())); code != 3 {
		t.Errorf("exit code %d, want 3, although its children live on", code)
	}
	Until(t, 10*time.Second, func() error {
		if got := h.Programs()[0].Log(); got != "ready\n" || len(sleepers(t)) != 3 {
			return fmt.Errorf("log %q, running %v", got, sleepers(t))
		}
		return nil
	})
	check(t, l.Close())
	check(t, l.Close())
	Until(t, 10*time.Second, func() error {
		if s := sleepers(t); len(s) > 0 {
			return fmt.Errorf("still there: %v", s)
		}
		return nil
	})
	if err := h.Command(t.Context(), "true").Start(); err == nil {
		t.Error("a program was started in a lab that is closed")
	}
}

// sleepers returns the command lines of all sleep processes.
func sleepers(t *testing.T) (found []string) {
	t.Helper()
	for _, path := range must[[]string](t)(filepath.Glob("/proc/[0-9]*/cmdline")) {
		b, _ := os.ReadFile(path) // it may end meanwhile
		if s := strings.ReplaceAll(string(b), "\x00", " "); strings.HasPrefix(s, "sleep ") {
			found = append(found, s)
		}
	}
	return found
}

func TestDetach(t *testing.T) {
	l := Start(t, "lan a\nlan b\nhost h\n interface eth0 on a 10.0.0.1/24\n interface eth1 on b\nhost g\n interface eth0 on b 10.0.0.2/24")
	h, g := l.Host("h"), l.Host("g")
	check(t, h.Wire("eth0").Detach())
	if h.Wire("eth0") != nil {
		t.Error("the wire is still there")
	}
	if _, err := h.Netlink().LinkByName("eth0"); err == nil {
		t.Error("the interface is still there")
	}
	w := must[*Wire](t)(h.Attach(l.LAN("b"), "eth0", prefix("10.0.0.1/24")))
	reach(t, g, h, netip.MustParseAddr("10.0.0.1"))
	check(t, w.RemoveAddress(prefix("10.0.0.1/24")))
	if a := must[[]netip.Prefix](t)(w.Addresses()); len(a) != 0 {
		t.Errorf("addresses %v are still there", a)
	}
}

// TestCarrier pulls a cable: the kernel of the host tells at once. A wire that
// is cut tells nothing.
func TestCarrier(t *testing.T) {
	a, b := segment(t)
	w := b.Wire("eth0")
	updates, stop := make(chan netlink.LinkUpdate, 100), make(chan struct{})
	defer close(stop)
	check(t, b.Do(func() error { return netlink.LinkSubscribe(updates, stop) }))
	wait := func(up, running bool) {
		t.Helper()
		timeout := time.After(10 * time.Second)
		for {
			select {
			case u := <-updates:
				f := u.Attrs().RawFlags
				if u.Attrs().Name == "eth0" && f&unix.IFF_UP != 0 == up && f&unix.IFF_RUNNING != 0 == running {
					return
				}
			case <-timeout:
				t.Fatalf("the host was not told that up is %v and running %v", up, running)
			}
		}
	}
	check(t, w.SetCarrier(false))
	wait(true, false)
	check(t, w.SetCarrier(true))
	wait(true, true)
	check(t, w.SetUp(false))
	wait(false, false)
	check(t, w.SetUp(true))
	wait(true, true)
	reach(t, a, b, netip.MustParseAddr("10.0.0.2"))

	check(t, w.Cut())
	reachLimit(t, a, b, netip.MustParseAddr("10.0.0.2"), false)
	if drops(t, w, In) == 0 {
		t.Error("the wire that was cut has lost nothing")
	}
	check(t, w.Mend())
	reach(t, a, b, netip.MustParseAddr("10.0.0.2"))
	for len(updates) > 0 {
		u := <-updates
		if f := u.Attrs().RawFlags; f&unix.IFF_RUNNING == 0 || f&unix.IFF_LOWER_UP == 0 {
			t.Errorf("the host was told about a silent cut: %+v", u.Attrs())
		}
	}
	link := must[netlink.Link](t)(b.Netlink().LinkByName("eth0"))
	if link.Attrs().RawFlags&unix.IFF_RUNNING == 0 {
		t.Error("the carrier has gone")
	}
}

// TestFailNowInDo has Do return although its function did not.
func TestFailNowInDo(t *testing.T) {
	h := Start(t, "host h").Host("h")
	if err := h.Do(func() error { runtime.Goexit(); return nil }); err == nil {
		t.Error("a function that did not return has no error")
	}
}

// TestDeterministic has the same topology make the same network twice.
func TestDeterministic(t *testing.T) {
	describe := func() (s string) {
		l := Start(t, Sample("lab-14-1"))
		defer l.Close()
		for _, h := range l.Hosts() {
			for _, w := range h.Wires() {
				s += fmt.Sprintln(w, w.Index, w.MAC)
			}
		}
		return s
	}
	first := describe()
	if second := describe(); first != second {
		t.Errorf("first:\n%s\nthen:\n%s", first, second)
	}
	if !strings.Contains(first, "ganymed:ne4 3 02:6d:62:00:00:04") {
		t.Errorf("indexes and MAC addresses are not in the order of the file:\n%s", first)
	}
}
