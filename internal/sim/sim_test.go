package sim

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"mbone/internal/router/host"
	"mbone/internal/router/mfc"
	"mbone/proto/dvmrp"
	"mbone/proto/igmp"
)

var group = netip.MustParseAddr("224.2.2.2")

// script is an engine that does what a test says.
type script struct {
	handle   func(now time.Duration, event host.Event, out *host.Actions)
	deadline time.Duration // 0: none
	rpf      func(source netip.Addr) (mfc.Route, bool)

	out     host.Actions
	upcalls []host.Upcall
	packets []host.Packet
	ticks   []time.Duration
}

func (s *script) Handle(now time.Duration, event host.Event) *host.Actions {
	s.out.Reset()
	switch v := event.(type) {
	case *host.Upcall:
		s.upcalls = append(s.upcalls, *v)
	case *host.Packet:
		p := *v
		p.Message, p.Header = slices.Clone(p.Message), slices.Clone(p.Header)
		s.packets = append(s.packets, p)
	case *host.Tick:
		s.ticks = append(s.ticks, now)
	}
	if s.handle != nil {
		s.handle(now, event, &s.out)
	}
	return &s.out
}

func (s *script) Deadline(time.Duration) (time.Duration, bool) { return s.deadline, s.deadline > 0 }

func (s *script) RPF(source netip.Addr) (mfc.Route, bool) {
	if s.rpf == nil {
		return mfc.Route{}, false
	}
	return s.rpf(source)
}

// scripted makes s the engine of r.
func scripted(r *Router, s *script) *script {
	r.NewEngine = func(*rand.Rand, host.Counters, host.Logs) Engine { return s }
	return s
}

// flooder answers every question with an entry to all other links, whose TTL is that.
func flooder(r *Router, ttl uint8) *script {
	return scripted(r, &script{handle: func(now time.Duration, event host.Event, out *host.Actions) {
		if u, ok := event.(*host.Upcall); ok && u.Kind == host.NoCache {
			out.Entries = append(out.Entries, flood(r, u, ttl))
		}
	}})
}

func flood(r *Router, u *host.Upcall, ttl uint8) host.Entry {
	e := host.Entry{Source: u.Source, Group: u.Group, In: u.Interface}
	for id := 1; id <= len(r.ends); id++ {
		if host.Interface(id) != u.Interface {
			e.Outputs = append(e.Outputs, host.Output{Interface: host.Interface(id), TTL: ttl})
		}
	}
	return e
}

// expect holds the failures of n to words that they must have, one after the other.
func expect(t *testing.T, n *Network, words ...string) {
	t.Helper()
	failures := n.Failures()
	if len(failures) != len(words) {
		t.Errorf("%d failures, want %d:\n%s", len(failures), len(words), strings.Join(failures, "\n"))
		return
	}
	for i, f := range failures {
		if !strings.Contains(f, words[i]) {
			t.Errorf("failure %q, want %q in it", f, words[i])
		}
	}
}

// Events happen in the order of time, and those of the same time in the order in
// which they were made.
func TestAgenda(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	var a agenda
	type moment struct {
		at    time.Duration
		order uint64
	}
	var all []moment
	now := time.Duration(0)
	for range 5000 {
		if random.IntN(3) > 0 || len(all) == 0 {
			at := now + time.Duration(random.IntN(20))
			a.push(event{at: at})
			all = append(all, moment{at, a.order})
			continue
		}
		slices.SortFunc(all, func(x, y moment) int {
			if x.at != y.at {
				return int(x.at - y.at)
			}
			return int(x.order) - int(y.order)
		})
		e := a.pop()
		now = e.at
		if (moment{e.at, e.order}) != all[0] {
			t.Fatalf("popped %d at %v, want %d at %v", e.order, e.at, all[0].order, all[0].at)
		}
		all = all[1:]
	}
}

// One router between two LANs, a sender on one and a member on the other.
func one(seed uint64) (n *Network, r *Router, sender, member *Host) {
	n = New(seed)
	n.StartSpread = 0
	r = n.AddRouter()
	sender, member = n.AddHost(n.AddLAN(r)), n.AddHost(n.AddLAN(r))
	n.At(0, func() { member.Join(group) })
	return n, r, sender, member
}

// An entry that nobody makes is asked for again after ten seconds, not before.
func TestUnresolvedExpires(t *testing.T) {
	n, r, sender, member := one(1)
	s := scripted(r, &script{})
	f := sender.Send(group, 100*time.Millisecond)
	n.Run(35 * time.Second)
	want := host.Upcall{Kind: host.NoCache, Interface: 1, Source: sender.Address(), Group: group}
	if len(s.upcalls) != 4 || s.upcalls[0] != want {
		t.Errorf("upcalls %v, want four times %v", s.upcalls, want)
	}
	if member.Received(f) != 0 {
		t.Errorf("%d packets were forwarded without an entry", member.Received(f))
	}
}

// Four packets wait for their entry, the others are lost.
func TestUnresolvedQueue(t *testing.T) {
	for _, c := range []struct{ late, lost int }{{350, 0}, {550, 2}} {
		n, r, sender, member := one(1)
		s := scripted(r, &script{})
		f := sender.Send(group, 100*time.Millisecond)
		n.At(time.Duration(c.late)*time.Millisecond, func() {
			e := flood(r, &s.upcalls[0], 1)
			r.apply(&e)
		})
		n.Run(1050 * time.Millisecond)
		if got := f.Sent() - member.Received(f); got != c.lost {
			t.Errorf("entry after %d ms: %d packets lost, want %d", c.late, got, c.lost)
		}
		if count, ok := r.Flow(sender.Address(), group); !ok || count.Packets != uint64(f.Sent()-c.lost) {
			t.Errorf("the kernel counts %v, %v, want %d packets", count, ok, f.Sent()-c.lost)
		}
	}
}

// A packet is forwarded if its TTL is above that of the output.
func TestThreshold(t *testing.T) {
	for ttl, want := range map[uint8]bool{5: false, 6: true} {
		n, r, sender, member := one(1)
		flooder(r, 5)
		f := sender.Send(group, time.Second)
		f.TTL = ttl
		n.Run(500 * time.Millisecond)
		if got := member.Received(f) == 1; got != want {
			t.Errorf("TTL %d over an output of 5: forwarded %v", ttl, got)
		}
	}
}

// In a triangle that floods, packets come to the wrong side of entries: each kernel
// says so every three seconds, and the network notices that links carry packets twice.
func TestWrongVif(t *testing.T) {
	n := New(1)
	n.StartSpread = 0
	ring := n.AddRing(3)
	sender := n.AddHost(n.AddLAN(ring[0]))
	member := n.AddHost(n.AddLAN(ring[2]))
	n.At(0, func() { member.Join(group) })
	var engines []*script
	for _, r := range ring {
		engines = append(engines, flooder(r, 1))
	}
	sender.Send(group, 100*time.Millisecond)
	n.Run(10 * time.Second)
	var wrong int
	for _, u := range engines[2].upcalls {
		if u.Kind == host.WrongVif {
			wrong++
		}
	}
	if wrong != 4 {
		t.Errorf("%d questions about packets on a wrong interface in 10 s, want 4", wrong)
	}
	n.Measure(time.Second)
	expect(t, n, "link1 (10.0.0.4/30) carried 10 of 10 packets of 10.0.1.2 > 224.2.2.2 twice", "that nobody needs there")
}

// What is wrong is said: packets that come twice, not at all, or where nobody wants
// them.
func TestMeasure(t *testing.T) {
	t.Run("twice", func(t *testing.T) {
		n := New(1)
		a, b := n.AddRouter(), n.AddRouter()
		sender, member := n.AddHost(n.AddLAN(a, b)), n.AddHost(n.AddLAN(a, b))
		n.At(0, func() { member.Join(group) })
		flooder(a, 1)
		flooder(b, 1)
		sender.Send(group, 100*time.Millisecond)
		n.Run(time.Second)
		n.Measure(time.Second)
		expect(t, n, "member h1", "link1")
	})
	t.Run("missing", func(t *testing.T) {
		n, r, sender, _ := one(7)
		scripted(r, &script{})
		sender.Send(group, 100*time.Millisecond)
		n.Run(time.Second)
		n.Measure(time.Second)
		expect(t, n, "seed 7, at 4s: member h1 (10.0.1.2) on link1 (10.0.1.0/24) got 0 of 10 packets of 10.0.0.2 > 224.2.2.2")
	})
	t.Run("not wanted", func(t *testing.T) {
		n, r, sender, member := one(1)
		flooder(r, 1)
		sender.Send(group, 100*time.Millisecond)
		n.Run(time.Second)
		member.Leave(group)
		n.Measure(time.Second)
		expect(t, n, "link1 (10.0.1.0/24) carried 10 of 10 packets")
	})
	t.Run("cut off", func(t *testing.T) {
		n := New(1)
		chain := n.AddChain(2)
		sender, member := n.AddHost(n.AddLAN(chain[0])), n.AddHost(n.AddLAN(chain[1]))
		n.At(0, func() { member.Join(group) })
		flooder(chain[0], 1)
		flooder(chain[1], 1)
		n.Links()[0].Cut()
		sender.Send(group, 100*time.Millisecond)
		n.Run(time.Second)
		n.Measure(time.Second)
		expect(t, n)
	})
}

// Bounds are looked at while a network settles, and where it is measured.
func TestBounds(t *testing.T) {
	for name, look := range map[string]func(n *Network){
		"Settle":  func(n *Network) { n.Settle(time.Minute) },
		"Measure": func(n *Network) { n.Measure(time.Second) },
	} {
		t.Run(name, func(t *testing.T) {
			n := New(1)
			r := n.AddChain(3)[1]
			n.Run(5 * time.Second)
			n.CheckBounds()
			expect(t, n)
			r.Settings.Limits.Neighbors = 1 // of which its engine is not told
			look(n)
			if f := n.Failures(); len(f) == 0 || !strings.Contains(f[0], "r1 has 2 neighbors, at most 1 are allowed") {
				t.Errorf("failures %q", f)
			}
		})
	}
}

// towards makes an engine whose route to every source goes to one neighbour.
func towards(r, up *Router, l *Link) *script {
	s := &script{}
	s.rpf = func(netip.Addr) (mfc.Route, bool) {
		if up == nil {
			return mfc.Route{}, false
		}
		return mfc.Route{In: l.endOf(r).id, Gateway: l.endOf(up).addr}, true
	}
	return scripted(r, s)
}

// A loop is noticed at once, and how long it lasts.
func TestLoop(t *testing.T) {
	n := New(3)
	ring := n.AddRing(4)
	var engines []*script
	for i, r := range ring {
		engines = append(engines, towards(r, ring[(i+1)%4], n.Links()[i]))
	}
	way := engines[2].rpf
	engines[2].rpf = nil
	n.Track(netip.MustParsePrefix("192.0.2.0/24"))
	n.Run(time.Second)
	expect(t, n)
	engines[2].rpf = way
	ring[2].Reconfigure()
	expect(t, n, "seed 3, at 1s: parent loop for 192.0.2.0/24: r2 < r3 < r0 < r1 < r2")
	n.Run(time.Second)
	engines[0].rpf = nil
	ring[0].Reconfigure()
	if count, longest := n.Loops(); count != 1 || longest != time.Second {
		t.Errorf("%d loops, the longest %v, want one of 1 s", count, longest)
	}
}

// A loop with a router that holds its reports may last until its second update.
func TestSlowLoop(t *testing.T) {
	for _, c := range []struct {
		lasts time.Duration
		words []string
	}{{10 * time.Second, nil}, {12 * time.Second, []string{"12s long"}}} {
		n := New(1)
		chain := n.AddChain(2)
		chain[1].SetLegacy()
		a, b := towards(chain[0], chain[1], n.Links()[0]), towards(chain[1], chain[0], n.Links()[0])
		way := b.rpf
		b.rpf = nil
		n.Track(netip.MustParsePrefix("192.0.2.0/24"))
		n.Run(time.Second)
		b.rpf = way
		chain[1].Reconfigure()
		n.Run(c.lasts)
		a.rpf = nil
		chain[0].Reconfigure()
		expect(t, n, c.words...)
	}
}

// A tick comes when the engine wants it, also if it changes its mind.
func TestTicks(t *testing.T) {
	n := New(1)
	n.StartSpread = 0
	r := n.AddRouter()
	n.AddLAN(r)
	s := scripted(r, &script{deadline: 2 * time.Second})
	s.handle = func(now time.Duration, event host.Event, _ *host.Actions) {
		if _, ok := event.(*host.Tick); ok {
			s.deadline = 0
		}
	}
	n.At(time.Second, func() { s.deadline = 3 * time.Second; r.Reconfigure() })
	n.At(4*time.Second, func() { s.deadline = 6 * time.Second; r.Reconfigure() })
	n.At(4500*time.Millisecond, func() { s.deadline = 5 * time.Second; r.Reconfigure() })
	n.Run(10 * time.Second)
	if want := []time.Duration{3 * time.Second, 5 * time.Second}; !slices.Equal(s.ticks, want) {
		t.Errorf("ticks at %v, want %v", s.ticks, want)
	}
}

// An engine that always has more to do is a failure, not a hang.
func TestBusy(t *testing.T) {
	n := New(1)
	r := n.AddRouter()
	n.AddLAN(r)
	scripted(r, &script{deadline: 1})
	n.Run(11 * time.Second)
	expect(t, n, "r0 had more to do")
}

// probe returns a message that is nobody's business here.
func probe() []byte {
	b, err := (&dvmrp.Probe{Version: dvmrp.Mrouted, GenID: 1}).AppendBinary(nil)
	if err != nil {
		panic(err)
	}
	return b
}

// Links lose, delay, repeat and reorder as they are told, and are noticed when they are
// cut.
func TestLink(t *testing.T) {
	const sent = 2000
	run := func(change func(l *Link, a, b *Router)) (arrived []host.Packet, states int) {
		n := New(1)
		n.StartSpread = 0
		a, b := n.AddRouter(), n.AddRouter()
		l := n.AddPointToPoint(a, b)
		s := scripted(b, &script{})
		s.handle = func(_ time.Duration, event host.Event, _ *host.Actions) {
			if c, ok := event.(*host.LinkChanged); ok && !c.Link.Up {
				states++
			}
		}
		scripted(a, &script{})
		n.At(10*time.Millisecond, func() { change(l, a, b) })
		for i := range sent {
			n.At(time.Second+time.Duration(i)*time.Millisecond, func() {
				m := probe()
				m[8], m[9] = byte(i>>8), byte(i)
				igmp.PutChecksum(m)
				a.send(&host.Send{Interface: 1, From: a.Address(), To: igmp.DVMRPRouters, TTL: 1, Alert: true, Message: m})
			})
		}
		n.Run(10 * time.Second)
		expect(t, n)
		return s.packets, states
	}
	order := func(p []host.Packet) (back int) {
		last := -1
		for _, p := range p {
			i := int(p.Message[8])<<8 | int(p.Message[9])
			if i < last {
				back++
			}
			last = i
		}
		return back
	}
	if p, _ := run(func(l *Link, a, b *Router) {}); len(p) != sent || order(p) != 0 {
		t.Errorf("a good link brings %d of %d packets, %d in wrong order", len(p), sent, order(p))
	} else if at := p[0].Wall.Sub(wall); at != time.Second+linkDelay || !p[0].Alert || p[0].TTL != 1 || len(p[0].Header) != 24 {
		t.Errorf("the first packet came after %v: %+v", at, p[0])
	}
	if p, _ := run(func(l *Link, a, b *Router) { l.Loss = 0.25 }); len(p) < sent*70/100 || len(p) > sent*80/100 {
		t.Errorf("a link that loses a quarter brings %d of %d packets", len(p), sent)
	}
	if p, _ := run(func(l *Link, a, b *Router) { l.Duplicates = 0.25 }); len(p) < sent*120/100 || len(p) > sent*130/100 {
		t.Errorf("a link that repeats a quarter brings %d packets for %d", len(p), sent)
	}
	if p, _ := run(func(l *Link, a, b *Router) { l.Jitter = 10 * time.Millisecond }); len(p) != sent || order(p) < sent/10 {
		t.Errorf("with 10 ms of jitter %d of %d packets came, %d in wrong order", len(p), sent, order(p))
	}
	silent := map[string]func(l *Link, a, b *Router){
		"silent": func(l *Link, a, b *Router) { l.Silent = true },
		"mute":   func(l *Link, a, b *Router) { l.Mute(a) },
		"deaf":   func(l *Link, a, b *Router) { l.Deafen(b) },
	}
	for name, change := range silent {
		if p, states := run(change); len(p) != 0 || states != 0 {
			t.Errorf("%s: %d packets, %d times down", name, len(p), states)
		}
	}
	if p, states := run(func(l *Link, a, b *Router) { l.Cut() }); len(p) != 0 || states != 1 {
		t.Errorf("cut: %d packets, %d times down", len(p), states)
	}
	if p, states := run(func(l *Link, a, b *Router) { l.Unplug(b) }); len(p) != 0 || states != 1 {
		t.Errorf("unplugged: %d packets, %d times down", len(p), states)
	}
	if p, _ := run(func(l *Link, a, b *Router) { l.Silent = true; l.Mute(a); l.Unplug(b); l.Cut(); l.Restore() }); len(p) != sent {
		t.Errorf("a restored link brings %d of %d packets", len(p), sent)
	}
}

// Unicast goes the shortest way, with a TTL that shrinks; what has Router Alert goes to
// the first engine on it.
func TestUnicast(t *testing.T) {
	n := New(1)
	chain := n.AddChain(4)
	var engines []*script
	for _, r := range chain {
		engines = append(engines, scripted(r, &script{}))
	}
	to := chain[3].ends[0].addr
	n.At(time.Second, func() {
		chain[0].send(&host.Send{To: to, TTL: 255, Message: probe()})
	})
	n.Run(2 * time.Second)
	if p := engines[3].packets; len(p) != 1 || p[0].From != chain[0].Address() || p[0].TTL != 253 || p[0].Interface != 1 {
		t.Errorf("the last router got %+v", p)
	}
	if len(engines[1].packets)+len(engines[2].packets) > 0 {
		t.Error("a router on the way got a packet that is not its own")
	}
	expect(t, n)
	from := chain[0].Address()
	chain[0].send(&host.Send{To: to, TTL: 255, Header: headerOf(from, to), Message: probe()})
	n.Run(time.Second)
	if p := engines[1].packets; len(p) != 1 || !p[0].Alert || p[0].To != to || len(p[0].Header) != 24 {
		t.Errorf("with Router Alert the next router got %+v", p)
	}
	n.Links()[1].Cut()
	chain[0].send(&host.Send{To: to, TTL: 255, Message: probe()})
	n.Run(time.Second)
	if len(engines[3].packets) != 1 {
		t.Error("a packet crossed a cut")
	}
}

// headerOf returns an IP header with Router Alert.
func headerOf(from, to netip.Addr) []byte {
	f, d := from.As4(), to.As4()
	h := []byte{0x46, 0xc0, 0, 0, 0, 0, 0, 0, 255, 2, 0, 0}
	h = append(append(h, f[:]...), d[:]...)
	return append(h, 0x94, 4, 0, 0)
}

// A tunnel brings data, and control messages unless they go beside it, over a router
// that knows nothing of it.
func TestTunnel(t *testing.T) {
	for _, beside := range []bool{true, false} {
		n := New(1)
		chain := n.AddChain(3)
		sender, member := n.AddHost(n.AddLAN(chain[0])), n.AddHost(n.AddLAN(chain[2]))
		l := n.AddTunnel(chain[0], chain[2], beside)
		n.At(0, func() { member.Join(group) })
		flooder(chain[0], 1)
		scripted(chain[1], &script{})
		last := flooder(chain[2], 1)
		n.Run(time.Second)
		last.packets = nil
		tunnel := l.ends[0]
		if tunnel.state.Beside != beside || tunnel.state.Remote != chain[2].Address() || !tunnel.state.IsTunnel() {
			t.Errorf("the tunnel is %+v", tunnel.state)
		}
		chain[0].send(&host.Send{Interface: tunnel.id, From: tunnel.addr, To: igmp.DVMRPRouters, TTL: 1, Message: probe()})
		f := sender.Send(group, time.Second)
		n.Run(500 * time.Millisecond)
		if member.Received(f) != 1 {
			t.Errorf("%d packets came through the tunnel, want 1", member.Received(f))
		}
		if p := last.packets; len(p) != 1 || p[0].Interface != l.ends[1].id || p[0].To != igmp.DVMRPRouters || p[0].TTL != 1 {
			t.Errorf("the message came as %+v", p)
		}
		expect(t, n)
	}
}

// A host says what it listens to when that changes and when it is asked, in the
// version of the querier.
func TestHostReports(t *testing.T) {
	source := netip.MustParseAddr("192.0.2.1")
	n, r, _, member := one(1)
	s := scripted(r, &script{})
	query := func(q *igmp.Query) {
		b, err := q.AppendBinary(nil)
		if err != nil {
			t.Fatal(err)
		}
		to := igmp.AllSystems
		if q.Group != igmp.Unspecified {
			to = q.Group
		}
		r.send(&host.Send{Interface: 2, From: r.ends[1].addr, To: to, TTL: 1, Alert: true, Message: b})
	}
	said := func() (lines []string) {
		for _, p := range s.packets {
			switch igmp.Type(p.Message[0]) {
			case igmp.TypeReportV3:
				var m igmp.ReportV3
				if err := m.Parse(p.Message); err != nil {
					t.Fatal(err)
				}
				for _, c := range m.Records {
					lines = append(lines, fmt.Sprintf("%v %v %v%v", p.To, c.Type, c.Group, c.Sources))
				}
			default:
				lines = append(lines, fmt.Sprint(p.To, " ", igmp.Type(p.Message[0])))
			}
		}
		s.packets = nil
		return lines
	}
	check := func(what string, want ...string) {
		t.Helper()
		n.Run(15 * time.Second)
		if got := said(); !slices.Equal(got, want) {
			t.Errorf("%s: said %q, want %q", what, got, want)
		}
	}
	const v3 = "224.0.0.22 "
	twice := func(s string) []string { return []string{v3 + s, v3 + s} }
	check("join", twice("CHANGE_TO_EXCLUDE_MODE 224.2.2.2[]")...)
	member.JoinBut(group, source)
	check("join but", twice("BLOCK_OLD_SOURCES 224.2.2.2[192.0.2.1]")...)
	member.JoinSources(group, source)
	check("join a source", twice("CHANGE_TO_INCLUDE_MODE 224.2.2.2[192.0.2.1]")...)
	if !member.Wants(source, group) || member.Wants(source.Next(), group) {
		t.Error("the host wants other sources than it says")
	}
	query(&igmp.Query{Version: 3, Group: igmp.Unspecified, MaxResponse: 10 * time.Second, Robustness: 2, Interval: 125 * time.Second})
	check("general query", v3+"MODE_IS_INCLUDE 224.2.2.2[192.0.2.1]")
	query(&igmp.Query{Version: 3, Group: group, MaxResponse: time.Second, Robustness: 2, Interval: 125 * time.Second})
	check("group query", v3+"MODE_IS_INCLUDE 224.2.2.2[192.0.2.1]")
	member.Leave(group)
	check("leave", twice("BLOCK_OLD_SOURCES 224.2.2.2[192.0.2.1]")...)
	query(&igmp.Query{Version: 2, Group: igmp.Unspecified, MaxResponse: 10 * time.Second})
	n.Run(time.Second)
	member.Join(group)
	check("join in version 2", "224.2.2.2 v2 report", "224.2.2.2 v2 report")
	other := n.AddHost(member.Link())
	other.Version = 2
	other.Join(group)
	check("join of another", "224.2.2.2 v2 report", "224.2.2.2 v2 report")
	query(&igmp.Query{Version: 2, Group: group, MaxResponse: 10 * time.Second})
	check("group query to two", "224.2.2.2 v2 report")
	other.Leave(group)
	check("leave in version 2", "224.0.0.2 leave")
	expect(t, n)
}

// Reports of routes of a router that is slow leave every five seconds, in their order.
func TestHoldReports(t *testing.T) {
	n := New(1)
	chain := n.AddChain(2)
	chain[0].SetLegacy()
	scripted(chain[0], &script{})
	s := scripted(chain[1], &script{})
	n.Run(time.Second)
	for i := range 20 {
		n.After(time.Duration(i)*500*time.Millisecond, func() {
			b, err := (&dvmrp.Report{Version: dvmrp.Mrouted, Routes: []dvmrp.Route{{Prefix: netip.MustParsePrefix("10.0.0.0/8"), Metric: uint8(i + 1)}}}).AppendBinary(nil)
			if err != nil {
				t.Fatal(err)
			}
			chain[0].send(&host.Send{Interface: 1, From: chain[0].Address(), To: igmp.DVMRPRouters, TTL: 1, Message: b})
			chain[0].send(&host.Send{Interface: 1, From: chain[0].Address(), To: igmp.DVMRPRouters, TTL: 1, Message: probe()})
		})
	}
	n.Run(20 * time.Second)
	var probes, reports int
	moments := make(map[time.Duration]bool)
	for _, p := range s.packets {
		if dvmrp.Code(p.Message[1]) == dvmrp.CodeProbe {
			probes++
			continue
		}
		reports++
		if metric := int(p.Message[len(p.Message)-1] & 0x7f); metric != reports {
			t.Errorf("report %d has metric %d", reports, metric)
		}
		moments[p.Wall.Sub(wall)%mroutedTick] = true
	}
	if probes != 20 || reports != 20 || len(moments) != 1 {
		t.Errorf("%d probes and %d reports at %d moments of a tick, want 20, 20 and 1", probes, reports, len(moments))
	}
}

// What an engine must not want is said.
func TestContract(t *testing.T) {
	n := New(1)
	r := n.AddRouter()
	n.AddLAN(r)
	n.AddLAN(r)
	scripted(r, &script{})
	n.Run(time.Second)
	good := host.Send{Interface: 1, From: r.Address(), To: igmp.DVMRPRouters, TTL: 1, Message: probe()}
	for _, change := range []func(s *host.Send){
		func(s *host.Send) {},
		func(s *host.Send) { s.Interface = 0 },
		func(s *host.Send) { s.Interface = 3 },
		func(s *host.Send) { s.Interface, s.To, s.Alert = 0, r.Address().Next(), true },
		func(s *host.Send) { s.TTL = 0 },
		func(s *host.Send) { s.Message = append(s.Message[:8:8], 1) },
	} {
		s := good
		change(&s)
		r.send(&s)
	}
	source := r.Address().Next()
	r.apply(&host.Entry{Source: source, Group: group, In: 1, Outputs: []host.Output{{Interface: 2, TTL: 1}}})
	r.apply(&host.Entry{Source: source, Group: group, In: 1, Outputs: []host.Output{{Interface: 1, TTL: 1}}})
	r.apply(&host.Entry{Source: source, Group: group, In: 3})
	expect(t, n, "on interface 0", "on interface 3", "Router Alert", "TTL 0", "checksum", "cannot be", "cannot be")
}

// Two runs with the same seed do the same, one with another seed does not.
func TestDigest(t *testing.T) {
	run := func(seed uint64) uint64 {
		n := New(seed)
		routers := n.AddRandom(30, 3)
		for _, r := range routers {
			flooder(r, 1)
		}
		hosts := []*Host{n.AddHost(n.AddLAN(routers[0])), n.AddHost(n.AddLAN(routers[7])), n.AddHost(n.AddLAN(routers[8]))}
		hosts[0].Send(group, 100*time.Millisecond).TTL = 5
		n.Disturb(Faults{Count: 30, Every: time.Second, Longest: 5 * time.Second})
		n.Run(40 * time.Second)
		if len(n.Story()) < 20 {
			t.Errorf("only %d faults happened:\n%s", len(n.Story()), strings.Join(n.Story(), "\n"))
		}
		return n.Digest()
	}
	a, b, c := run(1), run(1), run(2)
	if a != b || a == c {
		t.Errorf("digests %x, %x with one seed, %x with another", a, b, c)
	}
}
