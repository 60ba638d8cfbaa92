package ask

import (
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"mbone/proto/dvmrp"
	"mbone/proto/mtrace"
)

// mute is a transport without a network.
type mute chan struct{}

func (m mute) Send(Datagram) (time.Time, error) { return time.Now(), nil }
func (m mute) Receive(*Packet) error            { <-m; return net.ErrClosed }
func (m mute) Join(netip.Addr, int) error       { return nil }
func (m mute) Source(netip.Addr, Via) (netip.Addr, int, error) {
	return netip.Addr{}, 0, nil
}
func (m mute) Close() error { close(m); return nil }

func address(i int) netip.Addr {
	return netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
}

func neighbors2(tb testing.TB, interfaces ...dvmrp.Interface) []byte {
	tb.Helper()
	b, err := (&dvmrp.Neighbors{Code: dvmrp.CodeNeighbors2, Version: dvmrp.Mrouted, Interfaces: interfaces}).AppendBinary(nil)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func iface(local, neighbor netip.Addr) dvmrp.Interface {
	return dvmrp.Interface{Local: local, Metric: 1, Threshold: 1, Neighbors: []netip.Addr{neighbor}}
}

// heap returns the bytes in use.
func heap() int {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// However much comes, what is kept for a question stays within its limits.
func TestFloodsAreBounded(t *testing.T) {
	const packets, most = 20_000, 16 << 20
	router, link := address(1), netip.MustParseAddr("224.0.0.1")
	now := time.Now()
	full := make([]dvmrp.Interface, 42)
	for i := range full {
		full[i] = iface(router, address(i))
	}
	floods := []struct {
		name string
		to   netip.Addr
		make func(i int) (from netip.Addr, message []byte)
	}{
		{"one sender", router, func(i int) (netip.Addr, []byte) {
			return router, neighbors2(t, iface(router, address(i)))
		}},
		{"one sender, full packets", router, func(i int) (netip.Addr, []byte) {
			full[0].Neighbors[0] = address(i)
			return router, neighbors2(t, full...)
		}},
		{"one sender, bad checksums", router, func(i int) (netip.Addr, []byte) {
			b := neighbors2(t, iface(router, address(i)))
			b[2] ^= 0xff
			return router, b
		}},
		{"aliases", router, func(i int) (netip.Addr, []byte) {
			return address(i + 2), neighbors2(t, iface(router, address(i)))
		}},
		{"link", link, func(i int) (netip.Addr, []byte) {
			return address(i + 2), neighbors2(t, iface(address(i+2), address(i)))
		}},
		{"link, one sender", link, func(i int) (netip.Addr, []byte) {
			full[0].Neighbors[0] = address(i)
			return router, neighbors2(t, full...)
		}},
	}
	for _, flood := range floods {
		t.Run(flood.name, func(t *testing.T) {
			c := New(make(mute), Options{})
			defer c.Close()
			n := newNeighbors(NeighborsQuestion{Router: flood.to}, &c.estimate)
			c.mu.Lock()
			c.addNeighbors(n)
			n.sending(dvmrp.CodeAskNeighbors2, now)
			c.mu.Unlock()
			before := heap()
			for i := range packets {
				from, message := flood.make(i)
				c.handle(&Packet{Time: now, From: from, To: address(0), Message: message}, now)
			}
			if grown := heap() - before; grown > most {
				t.Errorf("memory grew by %d bytes, want at most %d", grown, most)
			}
			c.mu.Lock()
			defer c.mu.Unlock()
			a := &n.answers
			if n.link && (len(a.order) > maxLinkSenders || a.held > maxLinkHeld) || !n.link && len(a.order) > maxAliases+2 {
				t.Errorf("%d senders with %d bytes are kept", len(a.order), a.held)
			}
			for _, s := range a.order {
				if len(s.parts) > maxParts || s.held > maxHeld {
					t.Errorf("%d packets with %d bytes of %v are kept", len(s.parts), s.held, s.from)
				}
			}
			for _, answer := range n.result() {
				if len(answer.Conflicts) > maxConflicts {
					t.Errorf("%d conflicts, want at most %d", len(answer.Conflicts), maxConflicts)
				}
			}
			if c.stats.Overflow+c.stats.Corrupt < packets/2 {
				t.Errorf("%+v: the flood was not refused", c.stats)
			}
		})
	}
}

func TestTraceFloodIsBounded(t *testing.T) {
	c := New(make(mute), Options{})
	defer c.Close()
	tr := &trace{tries: 1, wake: make(chan struct{}, 1), q: TraceQuestion{Make: func(int) TraceQuery {
		return TraceQuery{To: address(1), Message: mtrace.Message{
			Hops: 32, Group: address(2), Source: address(3), Receiver: address(4), Response: address(5),
		}}
	}}}
	if err := c.sendTrace(t.Context(), tr); err != nil {
		t.Fatal(err)
	}
	m := tr.sent[0].query.Message
	m.Type, m.Blocks = mtrace.TypeResponse, []mtrace.Block{{Incoming: address(1), Outgoing: address(1), Previous: address(1)}}
	b, err := m.AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	for range 1000 {
		c.handle(&Packet{From: address(1), Message: b}, time.Now())
	}
	if len(tr.mail) != maxMail || c.Stats().Overflow != 1000-maxMail {
		t.Errorf("%d messages wait and %d were refused, want %d and %d", len(tr.mail), c.Stats().Overflow, maxMail, 1000-maxMail)
	}
}

func TestEstimator(t *testing.T) {
	var e estimator
	wait := func(want ...time.Duration) {
		t.Helper()
		for try, w := range want {
			if got := e.wait(try); got != w {
				t.Errorf("try %d waits %v, want %v", try, got, w)
			}
		}
	}
	const ms = time.Millisecond
	wait(250*ms, 500*ms, time.Second, time.Second)
	e.add(100 * ms) // RFC 6298 2.2: 100 + 4 * 50
	wait(300*ms, 600*ms, time.Second)
	e.add(100 * ms) // 2.3: the deviation falls by a quarter
	wait(250 * ms)
	for range 100 {
		e.add(10 * ms)
	}
	wait(minWait, 2*minWait)
	e.add(time.Hour)
	wait(time.Second, time.Second)
}

// A clock that was set between a question and its answer does no harm.
func TestRoundTrip(t *testing.T) {
	sent := time.Unix(1000, 0)
	for _, test := range []struct {
		received, now time.Time
		want          time.Duration
	}{
		{sent.Add(20), sent.Add(30), 20},
		{sent.Add(-5), sent.Add(30), 30},
		{sent.Add(40), sent.Add(30), 30},
		{time.Time{}, sent.Add(30), 30},
		{sent.Add(-5), sent.Add(-30), 0},
	} {
		if got := roundTrip(sent, test.received, test.now); got != test.want {
			t.Errorf("received at %v, now %v: %v, want %v", test.received, test.now, got, test.want)
		}
	}
}

// BenchmarkMatch measures what one packet costs with 10,000 questions under way.
func BenchmarkMatch(b *testing.B) {
	const questions = 10_000
	c := New(make(mute), Options{InFlight: questions})
	defer c.Close()
	now := time.Now()
	traces := make([]*trace, questions)
	for i := range questions {
		n := newNeighbors(NeighborsQuestion{Router: address(i)}, &c.estimate)
		c.mu.Lock()
		c.addNeighbors(n)
		n.sending(dvmrp.CodeAskNeighbors2, now)
		c.mu.Unlock()
		traces[i] = &trace{wake: make(chan struct{}, 1), q: TraceQuestion{Make: func(int) TraceQuery {
			return TraceQuery{To: address(i), Message: mtrace.Message{
				Hops: 32, Group: address(2), Source: address(3), Receiver: address(i), Response: address(5),
			}}
		}}}
		if err := c.sendTrace(b.Context(), traces[i]); err != nil {
			b.Fatal(err)
		}
	}
	answers := func(from, local func(i int) netip.Addr) []Packet {
		all := make([]Packet, questions)
		for i := range all {
			all[i] = Packet{Time: now, From: from(i), Message: neighbors2(b, iface(local(i), address(0)), iface(address(1<<20), address(0)))}
		}
		return all
	}
	unknown := func(i int) netip.Addr { return address(1<<20 + i) }
	responses := make([]Packet, questions)
	for i, t := range traces {
		m := t.sent[0].query.Message
		m.Type, m.Blocks = mtrace.TypeResponse, make([]mtrace.Block, 8)
		for k := range m.Blocks {
			m.Blocks[k] = mtrace.Block{Incoming: address(1), Outgoing: address(2), Previous: address(3)}
		}
		message, err := m.AppendBinary(nil)
		if err != nil {
			b.Fatal(err)
		}
		responses[i] = Packet{Time: now, From: address(i), Message: message}
	}
	for _, kind := range []struct {
		name    string
		packets []Packet
	}{
		{"direct", answers(address, address)},
		{"alias", answers(unknown, address)},
		{"unasked", answers(unknown, unknown)},
		{"trace", responses},
	} {
		b.Run(fmt.Sprintf("%s/%d", kind.name, questions), func(b *testing.B) {
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				c.handle(&kind.packets[i%questions], now)
				i++
			}
		})
	}
}

// A try is not over as long as answers that came in time wait for their turn.
func TestBacklog(t *testing.T) {
	var e estimator
	now := time.Now()
	n := newNeighbors(NeighborsQuestion{Router: address(1)}, &e)
	n.sending(dvmrp.CodeAskNeighbors2, now)
	later := now.Add(firstWait)
	if s := n.next(later); s.action != ask {
		t.Errorf("nothing waits: %+v", s)
	}
	e.took(later.Add(-100*time.Millisecond), later)
	if s := n.next(later); s.action != wait || !s.until.Equal(later.Add(100*time.Millisecond)) {
		t.Errorf("a packet has waited for 100 ms: %+v", s)
	}
	if s := n.next(later.Add(100 * time.Millisecond)); s.action != ask {
		t.Errorf("no more packets came: %+v", s)
	}
	e.took(later.Add(-time.Hour), later) // the clock was set
	if s := n.next(later); s.until.After(later.Add(maxWait)) {
		t.Errorf("a packet has waited for an hour: %+v", s)
	}
}
