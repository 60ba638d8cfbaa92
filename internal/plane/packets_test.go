package plane_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"mbone/internal/lab"
	"mbone/internal/plane"
	"mbone/internal/router/host"
)

// crossing is a router between two others, with a network that is reached through it.
const crossing = `
lan left
lan right
host near
  interface eth0 on left 10.0.1.1/24
  route 10.0.2.0/24 via 10.0.1.254
host router
  interface eth0 on left 10.0.1.254/24
  interface eth1 on right 10.0.2.254/24
  sysctl net.ipv4.ip_forward 1
host far
  interface eth0 on right 10.0.2.1/24
  route 10.0.1.0/24 via 10.0.2.254
`

// Every message reaches the engine once, from whichever of the two sockets; what is
// for somebody else only with Router Alert, or to a group.
func TestRouterPackets(t *testing.T) {
	l := lab.Start(t, crossing)
	near := l.Host("near")
	r := openRouter(t, l.Host("router"), plane.RouterOptions{})
	r.add(1, "eth0", ip("239.9.9.9"))
	r.add(2, "eth1")
	s := listen(t, near, igmp, 0)
	const ttl = 7
	for _, c := range []struct {
		name  string
		to    string
		alert bool
		what  []byte // type and code
		want  bool
	}{
		{"probe", "224.0.0.4", true, []byte{0x13, 1}, true},
		{"report to us", "10.0.1.254", false, []byte{0x13, 2}, true},
		{"ask to routers", "224.0.0.2", false, []byte{0x13, 5}, true},
		{"ask to us, old", "10.0.1.254", false, []byte{0x13, 3}, true},
		{"ask to us", "10.0.1.254", true, []byte{0x13, 5}, true},
		{"ask to our other address", "10.0.2.254", false, []byte{0x13, 5}, true},
		{"ask to our other address, with alert", "10.0.2.254", true, []byte{0x13, 5}, true},
		{"info to us", "10.0.1.254", false, []byte{0x13, 10}, true},
		{"info reply", "10.0.1.254", false, []byte{0x13, 11}, true},
		{"graft", "10.0.1.254", false, []byte{0x13, 8}, true},
		{"mtrace to us", "10.0.1.254", false, []byte{0x1f, 5}, true},
		{"mtrace to routers", "224.0.0.2", false, []byte{0x1f, 5}, true},
		{"mtrace to a group that nobody joined", "239.1.1.1", false, []byte{0x1f, 5}, true},
		{"mtrace to a group that we joined", "239.9.9.9", false, []byte{0x1f, 5}, true},
		{"mtrace response to a group", "224.0.1.32", true, []byte{0x1e, 5}, true},
		{"mtrace response to us", "10.0.1.254", false, []byte{0x1e, 5}, true},
		{"IGMPv3 report", "224.0.0.22", true, []byte{0x22, 0}, true},
		{"IGMPv2 report", "239.1.1.1", true, []byte{0x16, 0}, true},
		{"leave", "224.0.0.2", true, []byte{0x17, 0}, true},
		{"transit ask", "10.0.2.1", true, []byte{0x13, 5}, true},
		{"transit neighbours", "10.0.2.1", true, []byte{0x13, 6}, true},
		{"transit mtrace", "10.0.2.1", true, []byte{0x1f, 5}, true},
		{"transit response", "10.0.2.1", true, []byte{0x1e, 5}, true},
		{"transit prune without alert", "10.0.2.1", false, []byte{0x13, 7}, false},
		{"transit mtrace without alert", "10.0.2.1", false, []byte{0x1f, 5}, false},
	} {
		// The end of what comes is a message that always does, by both ways.
		want := append(slices.Clone(c.what), 0, 0, 1, 2, 3, 4)
		d := plane.Datagram{To: ip(c.to), TTL: ttl, Alert: c.alert, Message: want}
		if d.To.IsMulticast() {
			d.IfIndex, d.Source = near.Wire("eth0").Index, ip("10.0.1.1")
		}
		check(t, s.Send(d))
		got := 0
		for _, last := range [][]byte{{0x13, 9, 0, 0, 9, 9, 9, 9}, {0x13, 3, 0, 0, 9, 9, 9, 9}} {
			check(t, s.Send(plane.Datagram{To: ip("10.0.1.254"), TTL: ttl, Message: last}))
			r.next(c.name, func(e host.Event) bool {
				p, ok := e.(*host.Packet)
				if !ok || p.From != ip("10.0.1.1") {
					return false
				}
				if bytes.Equal(p.Message, last) {
					return true
				}
				if !bytes.Equal(p.Message, want) {
					return false // the host's own reports
				}
				got++
				if p.Interface != 1 || p.To != ip(c.to) || p.TTL != ttl || p.Alert != c.alert || len(p.Header) < 20 || len(p.Header) != int(p.Header[0]&15)*4 {
					t.Errorf("%s: %+v", c.name, p)
				}
				if local := p.To == ip("10.0.1.254") || p.To == ip("10.0.2.254"); p.Local != local {
					t.Errorf("%s: is for an address of this host: %v", c.name, p.Local)
				}
				if age := time.Since(p.Wall); age < -time.Second || age > time.Minute {
					t.Errorf("%s came %v ago", c.name, age)
				}
				return false
			})
		}
		if n := map[bool]int{true: 1}[c.want]; got != n {
			t.Errorf("%s came %d times, want %d", c.name, got, n)
		}
	}
}

// What is sent is what the engine says, unicast by the routes of the host.
func TestRouterSend(t *testing.T) {
	l := lab.Start(t, crossing)
	near, far := l.Host("near"), l.Host("far")
	r := openRouter(t, l.Host("router"), plane.RouterOptions{})
	r.add(1, "eth0")
	r.add(2, "eth1")
	var capture [2]*lab.Capture
	for i, h := range []*lab.Host{near, far} {
		var err error
		capture[i], err = h.Capture("eth0", igmp)
		check(t, err)
	}
	message := []byte{0x13, 1, 0, 0, 1, 2, 3, 4}
	// seen waits for a packet with this message at a host and returns its header.
	seen := func(what string, at int, message []byte) (header []byte) {
		t.Helper()
		lab.Until(t, 10*time.Second, func() error {
			for _, f := range capture[at].Frames() {
				h := f.IP()
				if n := int(h[0]&15) * 4; !f.Out && bytes.HasPrefix(h[n:], message) {
					header = h[:n]
					return nil
				}
			}
			return errors.New(what + " did not come")
		})
		return header
	}
	send := func(s host.Send) { r.Apply(&host.Actions{Send: []host.Send{s}}) }
	is := func(what string, h []byte, ttl, tos byte, from string, options []byte) {
		t.Helper()
		if h[8] != ttl || h[1] != tos || netip.AddrFrom4([4]byte(h[12:])) != ip(from) || !bytes.Equal(h[20:], options) || h[6]&0x40 != 0 {
			t.Errorf("%s has the header % x", what, h)
		}
	}
	alert := []byte{148, 4, 0, 0}

	send(host.Send{Interface: 2, From: ip("10.0.2.254"), To: ip("224.0.0.4"), TTL: 1, Alert: true, Message: message})
	is("multicast with alert", seen("multicast", 1, message), 1, 0xc0, "10.0.2.254", alert)
	message[1] = 2
	send(host.Send{Interface: 1, From: ip("10.0.2.254"), To: ip("224.0.0.4"), TTL: 1, Message: message})
	is("multicast from an address of another link", seen("multicast", 0, message), 1, 0xc0, "10.0.2.254", nil)
	message[1] = 7
	send(host.Send{From: ip("10.0.1.254"), To: ip("10.0.2.1"), TTL: 255, Message: message})
	is("unicast", seen("unicast", 1, message), 255, 0xc0, "10.0.1.254", nil)

	// Its own multicast, if it is to hear it.
	heard := func(want bool) {
		t.Helper()
		message[1]++
		send(host.Send{Interface: 1, From: ip("10.0.1.254"), To: ip("224.0.0.2"), TTL: 1, Loop: want, Message: message})
		send(host.Send{Interface: 1, From: ip("10.0.1.254"), To: ip("224.0.0.2"), TTL: 1, Loop: true, Message: []byte{0x13, 99}})
		got := false
		r.next("what is sent", func(e host.Event) bool {
			p, ok := e.(*host.Packet)
			if ok && bytes.Equal(p.Message, message) {
				got = p.Interface == 1
			}
			return ok && bytes.Equal(p.Message, []byte{0x13, 99})
		})
		if got != want {
			t.Errorf("it hears its own: %v, want %v", got, want)
		}
	}
	heard(true)
	heard(false)

	// A packet of somebody else goes on as it was, but for the TTL; too long for the
	// link, in pieces.
	header := func(ihl byte) []byte {
		h := make([]byte, 20, 24)
		h[0], h[1], h[8], h[9] = 0x40|ihl, 0x20, 33, igmp
		binary.BigEndian.PutUint16(h[4:], 4711)
		copy(h[12:], []byte{192, 0, 2, 77, 10, 0, 2, 1})
		return h
	}
	message[1] = 50
	send(host.Send{To: ip("10.0.2.1"), TTL: 32, Header: append(header(6), alert...), Message: message})
	h := seen("what is passed on", 1, message)
	is("what is passed on", h, 32, 0x20, "192.0.2.77", alert)
	if id := binary.BigEndian.Uint16(h[4:]); id != 4711 {
		t.Errorf("its id is %d", id)
	}
	message[1] = 51
	group := header(5)
	copy(group[16:], []byte{239, 1, 1, 1})
	send(host.Send{Interface: 1, To: ip("239.1.1.1"), TTL: 9, Header: group, Message: message})
	is("multicast that is passed on", seen("multicast that is passed on", 0, message), 9, 0x20, "192.0.2.77", nil)

	raw := listen(t, far, igmp, 0x1f)
	long := make([]byte, 3000)
	for i := range long {
		long[i] = byte(i / 7)
	}
	long[0] = 0x1f
	send(host.Send{To: ip("10.0.2.1"), TTL: 32, Header: append(header(6), alert...), Message: long})
	if p := receive(t, raw); p.From != ip("192.0.2.77") || !bytes.Equal(p.Message, long) {
		t.Errorf("what is passed on in pieces: from %v, %d bytes, want 3000", p.From, len(p.Message))
	}
	if n := r.Counts().Unsent; n != 0 {
		t.Errorf("%d packets were not sent", n)
	}
	send(host.Send{To: ip("203.0.113.1"), TTL: 32, Message: message}) // no route
	send(host.Send{Interface: 9, To: ip("224.0.0.4"), TTL: 32, Message: message})
	if n := r.Counts().Unsent; n != 2 {
		t.Errorf("%d packets were not sent, want 2", n)
	}
}

// A flood of questions takes no room from upcalls, and they come first.
func TestRouterFlood(t *testing.T) {
	const flows, questions = 500, 5000
	l := lab.Start(t, crossing)
	near := l.Host("near")
	r := openRouter(t, l.Host("router"), plane.RouterOptions{})
	r.add(1, "eth0")
	r.add(2, "eth1")
	s := listen(t, near, igmp, 0)
	ask := plane.Datagram{To: ip("10.0.1.254"), TTL: 64, Message: []byte{0x13, 5, 0, 0, 0, 0, 0, 0}}
	trace := plane.Datagram{To: ip("10.0.1.254"), TTL: 64, Message: make([]byte, 24)}
	trace.Message[0] = 0x1f
	for i := range questions {
		check(t, s.Send(ask))
		check(t, s.Send(trace))
		if i%(questions/flows) == 0 {
			n := i / (questions / flows)
			group := netip.AddrPortFrom(netip.AddrFrom4([4]byte{239, 5, byte(n >> 8), byte(n)}), 5000)
			_, err := near.Send(t.Context(), lab.Flow{Group: group, Interface: "eth0", Count: 1})
			check(t, err)
		}
	}
	asked := make(map[netip.Addr]bool)
	first := 0 // upcalls before the first question
	other := false
	r.next("upcalls", func(e host.Event) bool {
		switch v := e.(type) {
		case *host.Upcall:
			asked[v.Group] = true
			if !other {
				first++
			}
		case *host.Packet:
			other = other || v.Message[0] != 0x22
		}
		return len(asked) == flows
	})
	if first != flows {
		t.Errorf("%d of %d upcalls come before questions", first, flows)
	}
}

// A flood of new flows does not keep a message of a neighbour waiting to its end.
func TestRouterUpcallsInARow(t *testing.T) {
	const flows = 1000
	l := lab.Start(t, crossing)
	near := l.Host("near")
	r := openRouter(t, l.Host("router"), plane.RouterOptions{})
	r.add(1, "eth0")
	r.add(2, "eth1")
	probe := []byte{0x13, 1, 0, 0, 0, 0, 0, 0}
	s := listen(t, near, igmp, 0)
	check(t, s.Send(plane.Datagram{To: ip("10.0.1.254"), TTL: 64, Message: probe}))
	for i := range flows {
		group := netip.AddrPortFrom(netip.AddrFrom4([4]byte{239, 5, byte(i >> 8), byte(i)}), 5000)
		_, err := near.Send(t.Context(), lab.Flow{Group: group, Interface: "eth0", Count: 1})
		check(t, err)
	}
	upcalls := 0
	r.next("the probe", func(e host.Event) bool {
		if _, ok := e.(*host.Upcall); ok {
			upcalls++
		}
		p, ok := e.(*host.Packet)
		return ok && bytes.Equal(p.Message, probe)
	})
	if upcalls >= flows {
		t.Errorf("the probe comes after all %d upcalls", upcalls)
	}
}

// More groups than a socket has memberships, and one list after another.
func TestRouterGroups(t *testing.T) {
	const n = 50
	l := lab.Start(t, crossing)
	h := l.Host("router")
	check(t, h.Sysctl("net.ipv4.igmp_max_memberships", "4"))
	r := openRouter(t, h, plane.RouterOptions{})
	var groups []netip.Addr
	for i := range n {
		groups = append(groups, netip.AddrFrom4([4]byte{239, 7, 0, byte(i)}))
	}
	joined := func(want int) {
		t.Helper()
		text := lab.Within(t, h, func() ([]byte, error) { return os.ReadFile("/proc/thread-self/net/igmp") })
		got := 0
		for line := range strings.Lines(string(text)) {
			if f := strings.Fields(line); len(f) > 0 && len(f[0]) == 8 && strings.HasSuffix(f[0], "07EF") {
				got++
			}
		}
		if got != want {
			t.Errorf("%d groups are joined, want %d:\n%s", got, want, text)
		}
	}
	r.add(1, "eth0", groups...)
	joined(n)
	r.add(1, "eth0", groups[:7]...)
	joined(7)
	r.RemoveLink(1)
	joined(0)
}

// Nothing is allocated for an upcall and the entry that answers it, but what is kept
// of the entry.
func TestRouterAllocations(t *testing.T) {
	l := lab.Start(t, crossing)
	r := openRouter(t, l.Host("router"), plane.RouterOptions{})
	r.add(1, "eth0")
	r.add(2, "eth1")
	actions := &host.Actions{Entries: []host.Entry{{Outputs: []host.Output{{Interface: 2, TTL: 1}}}}}
	group := [4]byte{239, 1, 0, 0}
	got := testing.AllocsPerRun(500, func() {
		group[3]++
		if group[3] == 0 {
			group[2]++
		}
		e := &actions.Entries[0]
		e.Source, e.Group, e.In = sender, netip.AddrFrom4(group), 1
		r.Apply(actions)
		if _, ok := r.Flow(e.Source, e.Group); !ok {
			t.Fatal("there is no entry")
		}
	})
	if got > 1 { // the map of what is wanted grows
		t.Errorf("%v allocations for an entry", got)
	}
	if _, err := r.Next(); err != nil {
		t.Fatal(err)
	}
	if got := testing.AllocsPerRun(500, func() { _, _ = r.Next() }); got != 0 {
		t.Errorf("%v allocations to see that nothing has happened", got)
	}
}
