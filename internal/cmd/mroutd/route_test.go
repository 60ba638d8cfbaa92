package mroutd

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mbone/internal/ask"
	"mbone/internal/lab"
	"mbone/proto/dvmrp"
	"mbone/proto/igmp"
	"mbone/proto/mtrace"
)

// routing is a lab of testdata where mroutd routes on each host that has a
// configuration for it. What the routers do is seen from outside: by captures on
// every LAN, by who gets what, and by the tools.
type routing struct {
	t *testing.T
	*lab.Lab
	routers map[string]*lab.Cmd
	links   []*segment
}

// conf is the configuration of a router.
const conf = "/run/mroutd.conf"

// startRouting brings a lab up, after replacing parts of its text by others (old,
// new, ...), and starts its routers.
func startRouting(t *testing.T, name string, replace ...string) *routing {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name+".lab"))
	check(t, err)
	n := &routing{t: t, Lab: lab.Start(t, strings.NewReplacer(replace...).Replace(string(text))), routers: map[string]*lab.Cmd{}}
	seen := map[*lab.LAN]bool{}
	for _, h := range n.Hosts() {
		for _, w := range h.Wires() {
			if !seen[w.LAN] {
				seen[w.LAN] = true
				n.watch(w)
			}
		}
	}
	for _, h := range n.Hosts() {
		if h.Do(func() error { _, err := os.Stat(conf); return err }) == nil {
			n.start(h.Name)
		}
	}
	return n
}

// start starts the router of a host.
func (n *routing) start(host string) {
	n.t.Helper()
	c := n.program(context.Background(), host, "mroutd", "-n", "-f", conf, "-d", "all")
	check(n.t, c.Start())
	n.routers[host] = c
}

// program prepares one of our programs in a host.
func (n *routing) program(ctx context.Context, host, name string, args ...string) *lab.Cmd {
	c := n.Host(host).Command(ctx, "/proc/self/exe", args...)
	c.Args[0] = name
	c.Env = append(os.Environ(), asProgram+"=1")
	return c
}

// run runs a tool in a host and returns what it printed. It must succeed.
func (n *routing) run(host, name string, args ...string) string {
	n.t.Helper()
	var stdout, stderr bytes.Buffer
	c := n.program(n.t.Context(), host, name, args...)
	c.Stdout, c.Stderr = &stdout, &stderr
	if err := c.Run(); err != nil {
		n.t.Fatalf("%s$ %s %s: %v\n%s%s", host, name, strings.Join(args, " "), err, &stdout, &stderr)
	}
	return stdout.String()
}

// stream is what one source sends to one group, in a tunnel or not.
type stream struct {
	source, group netip.Addr
	tunnel        bool
}

// segment is a LAN and what was seen there.
type segment struct {
	name    string
	capture *lab.Capture
	read    int // frames of the capture
	passed  map[stream]*passed
	igmp    []message
}

// message is one of IGMP and its relatives.
type message struct {
	from netip.Addr
	b    []byte
}

// passed is what has passed of a stream.
type passed struct {
	packets, twice int
	last           time.Time
	seen           map[uint64]bool // who sent which number
}

// watch captures what passes on the LAN of a wire.
func (n *routing) watch(w *lab.Wire) {
	n.t.Helper()
	c, err := w.Host.Capture(w.Interface, 0)
	check(n.t, err)
	n.t.Cleanup(func() { check(n.t, c.Close()) })
	n.links = append(n.links, &segment{name: w.LAN.Name, capture: c, passed: map[stream]*passed{}})
}

// look reads what was captured since the last time.
func (n *routing) look() {
	for _, l := range n.links {
		frames := l.capture.Since(l.read)
		l.read += len(frames)
		for _, f := range frames {
			l.note(f.Time, f.IP())
		}
	}
}

// note counts a packet if it is one of a stream of the lab, which has its number in
// its first bytes.
func (l *segment) note(at time.Time, b []byte) {
	const protocolIPIP, udpHeader = 4, 8
	header := func() int { return int(b[0]&0x0f) * 4 }
	tunnel := b[9] == protocolIPIP
	if tunnel {
		b = b[header():]
	}
	if b[9] == unix.IPPROTO_IGMP && !tunnel {
		l.igmp = append(l.igmp, message{netip.AddrFrom4([4]byte(b[12:])), b[header():]})
		return
	}
	s := stream{netip.AddrFrom4([4]byte(b[12:])), netip.AddrFrom4([4]byte(b[16:])), tunnel}
	if b[9] != unix.IPPROTO_UDP || !s.group.IsMulticast() || b[6]&0x1f != 0 || b[7] != 0 || len(b) < header()+udpHeader+8 {
		return
	}
	p := l.passed[s]
	if p == nil {
		p = &passed{seen: map[uint64]bool{}}
		l.passed[s] = p
	}
	udp := b[header():]
	number := uint64(binary.BigEndian.Uint16(udp))<<48 | binary.BigEndian.Uint64(udp[udpHeader:])
	p.packets++
	p.last = at
	if p.seen[number] {
		p.twice++
	}
	p.seen[number] = true
}

// link returns the link of a LAN.
func (n *routing) link(name string) *segment {
	return n.links[slices.IndexFunc(n.links, func(l *segment) bool { return l.name == name })]
}

// names lists where a stream was seen: "LAN", and "LAN (tunnel)" for those that a
// tunnel crosses.
func (n *routing) names(s stream, where func(*passed) bool) []string {
	names := []string{}
	for _, l := range n.links {
		for _, s.tunnel = range []bool{false, true} {
			if p := l.passed[s]; p != nil && where(p) {
				name := l.name
				if s.tunnel {
					name += " (tunnel)"
				}
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return names
}

// window is how long a stream that is being sent must be silent on a link to be
// taken for absent: a multiple of what a busy machine stops for.
const window = 300 * time.Millisecond

// tree waits until a stream that is being sent passes exactly these links.
func (n *routing) tree(s stream, want ...string) {
	n.t.Helper()
	slices.Sort(want)
	lab.Until(n.t, patience, func() error {
		n.look()
		now := time.Now()
		got := n.names(s, func(p *passed) bool { return now.Sub(p.last) < window })
		if !slices.Equal(got, want) {
			return fmt.Errorf("(%v, %v) passes %q, want %q", s.source, s.group, got, want)
		}
		return nil
	})
}

// exactly sends packets and fails the test unless all of them pass exactly these
// links, each of them once.
func (n *routing) exactly(from string, f lab.Flow, want ...string) {
	n.t.Helper()
	n.exactlyWhile(from, f, nil, want...)
}

// exactlyWhile does so, and something else when packets have begun to flow, which must
// have come to an end before they do.
func (n *routing) exactlyWhile(from string, f lab.Flow, during func(), want ...string) {
	n.t.Helper()
	s := stream{source: f.Source, group: f.Group.Addr()}
	counts := func() map[string]int {
		n.look()
		m := map[string]int{}
		for _, l := range n.links {
			for _, s.tunnel = range []bool{false, true} {
				if p := l.passed[s]; p != nil && s.tunnel {
					m[l.name+" (tunnel)"] = p.packets
				} else if p != nil {
					m[l.name] = p.packets
				}
			}
		}
		return m
	}
	// What was sent before has arrived.
	before := counts()
	for end := time.Now().Add(window / 5); time.Now().Before(end); {
		if now := counts(); !maps.Equal(before, now) {
			before, end = now, time.Now().Add(window/5)
		}
		time.Sleep(window / 20)
	}
	sent := make(chan error, 1)
	go func() {
		_, err := n.Host(from).Send(n.t.Context(), f)
		sent <- err
	}()
	if during != nil {
		lab.Until(n.t, patience, func() error {
			if maps.Equal(before, counts()) {
				return fmt.Errorf("no packets of (%v, %v)", s.source, s.group)
			}
			return nil
		})
		during()
		if len(sent) > 0 {
			n.t.Errorf("all packets of (%v, %v) were sent too early", s.source, s.group)
		}
	}
	check(n.t, <-sent)
	wanted := func() error {
		now := counts()
		for name := range now {
			count := 0
			if slices.Contains(want, name) {
				count = f.Count
			}
			if got := now[name] - before[name]; got != count {
				return fmt.Errorf("%d packets of (%v, %v) on %s, want %d", got, s.source, s.group, name, count)
			}
		}
		for _, name := range want {
			if now[name] == 0 {
				return fmt.Errorf("no packets of (%v, %v) on %s", s.source, s.group, name)
			}
		}
		return nil
	}
	lab.Until(n.t, patience, wanted)
	for _, l := range n.links {
		for s, p := range l.passed {
			if p.twice > 0 {
				n.t.Errorf("%d packets of (%v, %v) passed %s twice", p.twice, s.source, s.group, l.name)
			}
		}
	}
}

// reload makes routers read their configuration again.
func (n *routing) reload(hosts ...string) {
	n.t.Helper()
	const said = "configuration read again"
	for _, host := range hosts {
		c := n.routers[host]
		before := strings.Count(c.Log(), said)
		check(n.t, c.Process.Signal(syscall.SIGHUP))
		lab.Until(n.t, patience, func() error {
			if strings.Count(c.Log(), said) == before {
				return fmt.Errorf("%s has not read its configuration again", host)
			}
			return nil
		})
	}
}

// every is the interval of streams.
const every = 5 * time.Millisecond

// send sends a stream from a host, until the function that it returns is called.
func (n *routing) send(from string, f lab.Flow) (stop func()) {
	n.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	f.Count, f.Interval = 1<<20, every
	go func() {
		_, err := n.Host(from).Send(ctx, f)
		done <- err
	}()
	stopped := false
	stop = func() {
		if cancel(); !stopped {
			stopped = true
			if err := <-done; err != nil {
				n.t.Error(err)
			}
		}
	}
	n.t.Cleanup(stop)
	return stop
}

// join makes a host a member of a group, of one source or (invalid) all.
func (n *routing) join(host string, group netip.AddrPort, source netip.Addr) *lab.Receiver {
	n.t.Helper()
	r, err := n.Host(host).Join(group, "eth0", source)
	check(n.t, err)
	n.t.Cleanup(func() { r.Close() })
	return r
}

// heard waits until a LAN has heard of members of a group.
func (n *routing) heard(lan string, group netip.Addr) {
	n.t.Helper()
	a := group.As4()
	n.hears(lan, 1, func(m message) bool { return m.b[0] == byte(igmp.TypeReportV3) && bytes.Contains(m.b, a[:]) })
}

// known waits until routers on a LAN that have all been there for a moment are used
// to the probes of one of them: then they miss it soon.
func (n *routing) known(lan, address string) {
	n.t.Helper()
	n.look()
	n.link(lan).igmp = nil
	n.hears(lan, 6, func(m message) bool {
		return m.from == ip(address) && m.b[0] == byte(igmp.TypeDVMRP) && dvmrp.Code(m.b[1]) == dvmrp.CodeProbe
	})
}

// hears waits until a LAN has heard messages.
func (n *routing) hears(lan string, count int, is func(message) bool) {
	n.t.Helper()
	lab.Until(n.t, patience, func() error {
		n.look()
		got := 0
		for _, m := range n.link(lan).igmp {
			if is(m) {
				got++
			}
		}
		if got < count {
			return fmt.Errorf("%s has heard %d of %d messages", lan, got, count)
		}
		return nil
	})
}

// path waits until the way from a receiver back to a source is this: the addresses
// of the routers towards the source, the router of the receiver first.
func (n *routing) path(from string, last, source, receiver netip.Addr, want ...string) {
	n.t.Helper()
	client := newClient(n.t, n.Host(from))
	lab.Until(n.t, patience, func() error {
		ctx, cancel := context.WithTimeout(n.t.Context(), window)
		defer cancel()
		m := mtrace.Message{Hops: 32, Group: netip.IPv4Unspecified(), Source: source, Receiver: receiver, ResponseTTL: 255}
		address, _, err := client.Source(last, ask.Via{})
		check(n.t, err)
		m.Response = address
		a, err := client.Trace(ctx, ask.TraceQuestion{
			Make:   func(int) ask.TraceQuery { return ask.TraceQuery{To: last, Message: m} },
			Accept: func(m *mtrace.Message) bool { return m.Type == mtrace.TypeResponse },
		})
		if err != nil && !errors.Is(err, context.DeadlineExceeded) {
			return err
		}
		var got []string
		for _, b := range a.Message.Blocks {
			got = append(got, b.Incoming.String())
			if b.Code != mtrace.CodeNoError {
				got = append(got, b.Code.String())
			}
		}
		if !slices.Equal(got, want) {
			return fmt.Errorf("the way from %v to %v is %v, want %v", receiver, source, got, want)
		}
		return nil
	})
}
