package mfc

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"mbone/internal/router/host"
)

var (
	source = addr("10.1.2.3")
	group  = addr("224.2.2.2")
	theNet = net("10.1.2.0/24")
)

// newRouter has links 1 to 3, and a route to theNet by way of link 1. It is the
// forwarder on 2 and 3.
func newRouter(t testing.TB) *rig {
	r := newRig(t, 1000)
	for id := range host.Interface(3) {
		r.link(id+1, nil)
	}
	r.route(theNet, 1, addr("10.1.0.9"))
	r.forward(theNet, 2, true)
	r.forward(theNet, 3, true)
	return r
}

func (r *rig) wantDelivered(when string, links ...host.Interface) {
	r.t.Helper()
	if !slices.Equal(r.delivered, links) {
		r.t.Fatalf("%s: the packet left by %v, want %v", when, r.delivered, links)
	}
}

func (r *rig) wantLog(when string, lines ...string) {
	r.t.Helper()
	for i, l := range lines {
		what, from, ok := strings.Cut(l, " ")
		if lines[i] = what + " 10.1.2.0/24 224.2.2.2"; ok {
			lines[i] += " " + from
		}
	}
	if got := r.protocol.logged(); !slices.Equal(got, lines) {
		r.t.Fatalf("%s: the protocol was told\n%s\nwant\n%s", when, strings.Join(got, "\n"), strings.Join(lines, "\n"))
	}
}

// The entry of a new flow is installed in the turn of its upcall, whoever wants it.
func TestUpcall(t *testing.T) {
	t.Run("nobody wants it", func(t *testing.T) {
		r := newRouter(t)
		r.packet(1, source, group)
		r.wantDelivered("first packet")
		r.wantLog("first packet", "new from 1", "progress from 1")
		if len(r.kernel) != 1 {
			t.Error("there is no negative entry")
		}
	})
	t.Run("a router and a member want it", func(t *testing.T) {
		r := newRouter(t)
		r.depend(theNet, group, 3, true)
		r.join(2, group, true)
		r.packet(1, source, group)
		r.wantDelivered("first packet", 2, 3)
		r.wantLog("first packet", "new from 1", "wanted from 1")
	})
	t.Run("not forwarder", func(t *testing.T) {
		r := newRouter(t)
		r.forward(theNet, 2, false)
		r.join(2, group, true)
		r.packet(1, source, group)
		r.wantDelivered("first packet")
	})
	t.Run("members on the incoming link", func(t *testing.T) {
		r := newRouter(t)
		r.join(1, group, true)
		r.forward(theNet, 1, true)
		r.depend(theNet, group, 1, true)
		r.packet(1, source, group)
		r.wantDelivered("first packet")
		if e, _, _ := r.cache.Inspect(0, source, group); e.Wanted {
			t.Error("it is wanted on the link where it comes from")
		}
	})
	t.Run("no route", func(t *testing.T) {
		r := newRouter(t)
		r.join(2, group, true)
		r.packet(3, addr("172.16.1.1"), group)
		r.wantDelivered("first packet")
		r.wantLog("first packet")
		k := r.kernel[idOf(addr("172.16.1.1"), group)]
		if k == nil || k.In != 3 || len(k.Outputs) > 0 {
			t.Errorf("kernel has %v, want a negative entry from link 3", k)
		}
	})
	t.Run("wrong link", func(t *testing.T) {
		r := newRouter(t)
		r.join(2, group, true)
		r.packet(3, source, group)
		r.wantDelivered("wrong link")
		r.packet(1, source, group)
		r.wantDelivered("right link", 2)
	})
	t.Run("martians", func(t *testing.T) {
		r := newRouter(t)
		r.route(net("0.0.0.0/0"), 1, addr("10.1.0.9"))
		r.forward(net("0.0.0.0/0"), 2, true)
		r.join(2, group, true)
		for _, s := range []string{"0.0.0.0", "127.0.0.1", "224.0.0.5", "255.255.255.255", "0.1.2.3"} {
			r.packet(1, addr(s), group)
			r.wantDelivered(s)
		}
		r.packet(1, addr("11.1.1.1"), group)
		r.wantDelivered("by the default route", 2)
	})
	t.Run("local groups", func(t *testing.T) {
		r := newRouter(t)
		r.join(2, addr("224.0.0.251"), true)
		r.packet(1, source, addr("224.0.0.251"))
		if len(r.kernel) > 0 {
			t.Error("there is an entry for a group of 224.0.0.0/24")
		}
	})
	t.Run("unknown link", func(t *testing.T) {
		r := newRouter(t)
		r.packet(9, source, group)
		if len(r.kernel) > 0 {
			t.Error("there is an entry for a link that is not known")
		}
	})
	t.Run("asked again", func(t *testing.T) {
		r := newRouter(t)
		r.packet(1, source, group)
		clear(r.kernel) // the kernel has lost it
		r.packet(1, source, group)
		if len(r.kernel) != 1 {
			t.Error("it was not installed again")
		}
	})
	t.Run("before work", func(t *testing.T) {
		// An upcall comes first, also before what a change of the route asks for.
		r := newRouter(t)
		r.join(3, group, true)
		r.packet(1, source, group)
		r.route(theNet, 2, addr("10.2.0.9"))
		r.packet(2, addr("10.1.2.9"), group)
		r.wantDelivered("other source after the change", 3)
		r.packet(2, source, group)
		r.wantDelivered("first source after the change", 3)
	})
}

// Hosts with IGMPv3 get the sources that they ask for.
func TestSources(t *testing.T) {
	r := newRouter(t)
	other := addr("10.1.2.4")
	r.join(2, group, false, source)
	r.join(3, group, true, source)
	r.packet(1, source, group)
	r.wantDelivered("included on 2, excluded on 3", 2)
	r.packet(1, other, group)
	r.wantDelivered("excluded on 2, included on 3", 3)
	r.join(2, group, false, other)
	r.leave(3, group)
	r.run(0)
	r.protocol.logged()
	r.packet(1, source, group)
	r.wantDelivered("nobody wants this one")
	r.wantLog("nobody wants this source, but another")
	r.packet(1, other, group)
	r.wantDelivered("after the change", 2)
	r.leave(2, group)
	r.run(0)
	r.wantLog("nobody wants any source", "empty from 1")
}

func TestScope(t *testing.T) {
	scoped := addr("239.255.1.1")
	boundary := func(l *host.Link) { l.Boundaries = []netip.Prefix{net("239.255.0.0/16")} }
	r := newRouter(t)
	r.join(2, scoped, true)
	r.join(3, scoped, true)
	r.link(2, boundary)
	r.packet(1, source, scoped)
	r.wantDelivered("boundary on 2", 3)
	r.link(2, func(l *host.Link) { l.Boundaries = nil })
	r.link(1, boundary)
	r.run(0)
	r.packet(1, source, scoped)
	r.wantDelivered("boundary on the incoming link")
	if e, _, ok := r.cache.Inspect(r.now, source, scoped); !ok || !e.Scoped || e.Wanted {
		t.Errorf("state is %+v, want it scoped", e)
	}
	r.link(1, func(l *host.Link) { l.Boundaries = nil })
	r.run(0)
	r.packet(1, source, scoped)
	r.wantDelivered("no boundary", 2, 3)
}

func TestThreshold(t *testing.T) {
	r := newRouter(t)
	r.link(2, func(l *host.Link) { l.Threshold = 16 })
	r.join(2, group, true)
	r.packet(1, source, group)
	if o := r.kernel[idOf(source, group)].Outputs; !slices.Equal(o, []host.Output{{Interface: 2, TTL: 16}}) {
		t.Errorf("outputs are %v, want link 2 for TTLs above 16", o)
	}
}

// A new upstream is told, what is wanted comes from there at once, and what is not
// is forgotten, so that the next packet is a question.
func TestUpstreamChanges(t *testing.T) {
	r := newRouter(t)
	r.join(3, group, true)
	r.packet(1, source, group)
	r.protocol.logged()
	r.route(theNet, 2, addr("10.2.0.9"))
	r.run(0)
	r.wantLog("wanted", "new from 2")
	if k := r.kernel[idOf(source, group)]; k.In != 2 {
		t.Errorf("packets come in on %d, want 2", k.In)
	}
	r.leave(3, group)
	r.run(0)
	r.wantLog("left", "empty from 2")
	r.route(theNet, 2, addr("10.2.0.8")) // on the same link
	r.run(0)
	if len(r.kernel) > 0 {
		t.Error("the kernel does not ask about what nobody wants")
	}
	r.wantLog("other upstream on the same link", "new from 2", "drop")
	r.packet(2, source, group)
	r.wantLog("next packet", "new from 2", "progress from 2")
}

// Sources follow the most specific route.
func TestMoreSpecificRoute(t *testing.T) {
	r := newRouter(t)
	narrow := net("10.1.2.0/28")
	other := addr("10.1.2.99")
	r.depend(theNet, group, 2, true)
	r.packet(1, source, group)
	r.packet(1, other, group)
	r.protocol.logged()

	r.depend(narrow, group, 3, true)
	r.route(narrow, 2, addr("10.2.0.9"))
	r.run(0)
	r.packet(2, source, group)
	r.wantDelivered("within the new route", 3)
	r.packet(1, other, group)
	r.wantDelivered("outside of the new route", 2)
	want := []string{"new 10.1.2.0/28 224.2.2.2 from 2", "wanted 10.1.2.0/28 224.2.2.2 from 2"}
	if got := r.protocol.logged(); !slices.Equal(got, want) {
		t.Errorf("the protocol was told %q, want %q", got, want)
	}

	r.route(narrow, 0, netip.Addr{})
	r.run(0)
	r.packet(1, source, group)
	r.wantDelivered("after the route went", 2)
	if got := r.protocol.logged(); !slices.Equal(got, []string{"empty 10.1.2.0/28 224.2.2.2 from 2", "drop 10.1.2.0/28 224.2.2.2"}) {
		t.Errorf("the protocol was told %q", got)
	}
}

// Sources that nobody wants are asked about again when they get another route, so
// that its upstream router hears of it.
func TestMoreSpecificRouteUnwanted(t *testing.T) {
	r := newRouter(t)
	r.packet(1, source, group)
	r.protocol.logged()
	narrow := net("10.1.2.0/28")
	r.protocol.hold[Key{narrow, group}] = time.Hour
	r.route(narrow, 2, addr("10.2.0.9"))
	r.run(0)
	r.packet(2, source, group)
	want := []string{"drop 10.1.2.0/24 224.2.2.2", "new 10.1.2.0/28 224.2.2.2 from 2", "progress 10.1.2.0/28 224.2.2.2 from 2"}
	got := r.protocol.logged()
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("the protocol was told %q, want %q", got, want)
	}
}

// The protocol may take away flows while they are looked at.
func TestFlushWhileLooking(t *testing.T) {
	r := newRig(t, 10_000)
	r.link(1, nil)
	r.route(net("10.0.0.0/8"), 1, netip.Addr{})
	for range 2 {
		for i := range 5000 {
			g := group
			if i < 500 {
				g = addr("224.3.3.3")
			}
			r.packet(1, netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}), g)
		}
		r.run(250 * time.Second)
	}
	r.protocol.progress = func(e *Entry) {
		if e.Group == group {
			r.cache.Flush(r.now, e)
		}
	}
	r.run(500 * time.Second)
	r.check()
	if len(r.kernel) == 0 || r.cache.Lookup(Key{net("10.0.0.0/8"), group}) != nil {
		t.Errorf("%d entries are left, want some, of the other group only", len(r.kernel))
	}
}

func TestRouteComesAndGoes(t *testing.T) {
	r := newRouter(t)
	r.join(2, group, true)
	r.route(theNet, 0, netip.Addr{})
	r.packet(1, source, group)
	r.wantDelivered("no route")
	r.route(theNet, 1, addr("10.1.0.9"))
	r.run(0)
	r.packet(1, source, group)
	r.wantDelivered("route", 2)
	r.protocol.logged()
	r.route(theNet, 0, netip.Addr{})
	r.run(0)
	r.packet(1, source, group)
	r.wantDelivered("no route any more")
	r.wantLog("no route any more", "empty from 1", "drop")
}

func TestLinkDown(t *testing.T) {
	r := newRouter(t)
	r.join(2, group, true)
	r.join(3, group, true)
	r.packet(1, source, group)
	r.link(2, func(l *host.Link) { l.Up = false })
	r.turn(func() { r.cache.Work(r.now) })
	r.packet(1, source, group)
	r.wantDelivered("link 2 is down", 3)
	r.link(2, func(l *host.Link) { l.Up = true })
	r.removeLink(3)
	r.turn(func() { r.cache.Work(r.now) })
	r.packet(1, source, group)
	r.wantDelivered("link 2 is up, 3 is gone", 2)
}

// An entry lives as long as packets come, and after that for its lifetime, 300 s
// and up to half of it more or less.
func TestLifetime(t *testing.T) {
	r := newRouter(t)
	r.join(2, group, true)
	for range 100 {
		r.packet(1, source, group)
		r.run(20 * time.Second)
	}
	if len(r.kernel) != 1 || r.cache.Stats().Upcalls != 1 {
		t.Fatalf("%d entries after %d upcalls, want one after one", len(r.kernel), r.cache.Stats().Upcalls)
	}
	r.run(900 * time.Second) // the last packet may just have been seen: twice 450 s
	if len(r.kernel) != 0 {
		t.Error("it is there without packets")
	}
	r.packet(1, source, group)
	r.run(149 * time.Second)
	if len(r.kernel) != 1 {
		t.Error("it went before half a lifetime")
	}
}

// An entry that the protocol needs stays without packets, with nothing in the
// kernel.
func TestHold(t *testing.T) {
	r := newRouter(t)
	r.protocol.hold[Key{theNet, group}] = 5000 * time.Second
	r.packet(1, source, group)
	r.run(1000 * time.Second)
	e := r.cache.Lookup(Key{theNet, group})
	if e == nil || len(r.kernel) > 0 {
		t.Fatalf("entry %v with %d in the kernel, want one with none", e, len(r.kernel))
	}
	r.turn(func() { r.cache.Flush(r.now, e) })
	if e.IsHeard() {
		t.Error("nothing was heard since it was flushed")
	}
	r.protocol.logged()
	r.packet(1, source, group)
	r.wantLog("next packet", "progress from 1")
	r.run(4000 * time.Second)
	r.turn(func() { r.cache.DownstreamChanged(r.now, e) })
	if r.cache.Lookup(e.Key) != nil {
		t.Error("it is there after the protocol needs it")
	}
}

// What nobody wants and came on a wrong link first is noticed when it comes on the
// right one.
func TestProgressAfterWrongLink(t *testing.T) {
	r := newRouter(t)
	r.packet(2, source, group)
	r.wantLog("wrong link", "new from 1")
	for range 10 { // packets on the wrong link say nothing
		r.packet(2, source, group)
		r.run(time.Second)
	}
	r.wantLog("more on the wrong link")
	r.packet(1, source, group)
	r.run(15 * time.Second)
	r.wantLog("right link", "progress from 1")
}

// What came on a wrong link first while somebody wanted it, and nobody does any more,
// is noticed when it comes on the right one.
func TestProgressAfterWrongLinkOfWanted(t *testing.T) {
	r := newRouter(t)
	r.depend(theNet, group, 3, true)
	r.packet(2, source, group)
	r.depend(theNet, group, 3, false)
	r.wantLog("wrong link", "new from 1", "wanted from 1", "empty from 1")
	r.packet(1, source, group)
	r.run(4 * time.Second)
	r.wantLog("right link", "progress from 1")
}

// Packets that nobody wants are told of as long as they go on, but not those that may
// be older than what the protocol did about them.
func TestProgressGoesOn(t *testing.T) {
	r := newRouter(t)
	r.packet(1, source, group)
	r.packet(1, source, group)
	r.wantLog("first packet", "new from 1", "progress from 1")
	r.run(460 * time.Second)
	r.wantLog("no further packet")
	r.packet(1, source, group)
	for range 20 {
		r.packet(1, source, group)
		r.run(30 * time.Second)
	}
	if n := len(r.protocol.logged()); n < 1 || n > 4 {
		t.Errorf("the protocol was told %d times in 600 s", n)
	}
}

func TestWrongVif(t *testing.T) {
	r := newRouter(t)
	r.join(2, group, true)
	r.packet(1, source, group)
	r.protocol.logged()
	r.packet(2, source, group)
	r.wantLog("packet on an outgoing link", "wrong-link-2 from 1")
	r.route(theNet, 2, addr("10.2.0.9"))
	r.packet(2, source, group) // its turn has not come yet
	r.wantLog("packet on the new incoming link", "new from 2", "empty from 2", "drop")
}

// Counts never go back while the entry is there.
func TestCounts(t *testing.T) {
	r := newRouter(t)
	r.protocol.hold[Key{theNet, group}] = time.Hour
	e := func() uint64 {
		s, _, _ := r.cache.Inspect(r.now, source, group)
		return s.Count.Packets
	}
	for range 7 {
		r.packet(1, source, group)
	}
	r.packet(1, addr("10.1.2.4"), group)
	if n := e(); n != 8 {
		t.Errorf("counted %d packets, want 8", n)
	}
	r.turn(func() { r.cache.Flush(r.now, r.cache.Lookup(Key{theNet, group})) })
	if n := e(); n != 8 {
		t.Errorf("counted %d packets after the entries were removed, want 8", n)
	}
	r.packet(1, source, group)
	if n := e(); n != 9 {
		t.Errorf("counted %d packets, want 9", n)
	}
	narrow := net("10.1.2.0/28")
	r.route(narrow, 2, addr("10.2.0.9"))
	r.join(3, group, true)
	r.forward(narrow, 3, true)
	r.run(0)
	r.packet(2, source, group)
	if n := e(); n < 2 {
		t.Errorf("counted %d packets of the source after it moved, want at least 2", n)
	}
	// Being asked does not make an entry look used, nor unused.
	for range 100 {
		r.packet(2, source, group)
		e()
		r.run(20 * time.Second)
	}
	if n := r.cache.Stats().Expired; n != 0 {
		t.Errorf("%d entries went though packets came and were counted", n)
	}
}

// However many sources somebody makes up, the flows of others go on, and new ones
// find room.
func TestFlood(t *testing.T) {
	r := newRig(t, 1000)
	var log bytes.Buffer
	r.env.Log.Cache = slog.New(slog.NewTextHandler(&log, nil))
	for id := range host.Interface(3) {
		r.link(id+1, nil)
	}
	r.route(theNet, 1, addr("10.1.0.9"))
	r.forward(theNet, 2, true)
	hostile := net("11.0.0.0/8")
	r.route(hostile, 3, netip.Addr{})
	r.forward(hostile, 2, true)
	r.join(2, group, true)
	real := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, 1, 2, byte(i)}) }
	const flows = 100
	packets := func(when string) {
		for i := range flows {
			r.packet(1, real(i), group)
			r.wantDelivered(fmt.Sprint(when, " of source ", i), 2)
		}
	}
	packets("before")
	upcalls := r.cache.Stats().Upcalls
	for i := range 5000 {
		b := [4]byte{11, byte(i >> 16), byte(i >> 8), byte(i)}
		switch i % 3 {
		case 0: // to where somebody wants it
			r.packet(3, netip.AddrFrom4(b), group)
		case 1: // to where nobody does
			r.packet(3, netip.AddrFrom4(b), addr("225.1.1.1"))
		case 2: // from where there is no route
			b[0] = 12
			r.packet(3, netip.AddrFrom4(b), group)
		}
		r.now += 3 * time.Millisecond
		if len(r.kernel) > 1000 {
			t.Fatalf("%d entries, the bound is 1000", len(r.kernel))
		}
	}
	entries, _ := r.cache.Len()
	if entries > 1000 {
		t.Errorf("%d entries, the bound is 1000", entries)
	}
	packets("after")
	if r.now < minIdle || r.now > 2*minIdle {
		t.Fatalf("it took %v: flows that go on must be looked at, once", r.now)
	}
	if n := r.cache.Stats().Upcalls - upcalls; n != 5000 {
		t.Errorf("%d upcalls, want 5000 of those who flood and none of others", n)
	}
	for i := range flows {
		r.packet(1, real(100+i), group)
		r.wantDelivered(fmt.Sprint("new source ", i), 2)
	}
	if s := r.cache.Stats(); s.Evicted == 0 || s.Refused == 0 || strings.Count(log.String(), "no room") != 2 {
		t.Errorf("counted %+v and logged %q: want evictions, refusals and a line each ten seconds", s, log.String())
	}
	r.run(0)
	r.check()
}

// Whoever reads that there is no room learns which limit was met.
func TestRefused(t *testing.T) {
	const limit = 100
	fresh := func() (*rig, *bytes.Buffer) {
		r := newRig(t, limit)
		var log bytes.Buffer
		r.env.Log.Cache = slog.New(slog.NewTextHandler(&log, nil))
		r.link(1, nil)
		r.link(2, nil)
		r.join(2, group, true)
		return r, &log
	}
	flood := func(r *rig, net byte, n int) {
		prefix := netip.PrefixFrom(netip.AddrFrom4([4]byte{net}), 8)
		r.route(prefix, 1, netip.Addr{})
		r.forward(prefix, 2, true)
		for i := range n {
			r.packet(1, netip.AddrFrom4([4]byte{net, 0, 0, byte(i + 1)}), group)
		}
	}
	r, log := fresh()
	flood(r, 11, limit/maxShare+1)
	if got := log.String(); !strings.Contains(got, "too many of one source network") || !strings.Contains(got, "network=11.0.0.0/8 limit=50 entries=50 refused=1") {
		t.Errorf("one network: %q", got)
	}
	r, log = fresh()
	for _, net := range []byte{11, 12, 13} {
		flood(r, net, limit*2/5)
	}
	if got := log.String(); !strings.Contains(got, "too many in all") || !strings.Contains(got, "network=13.0.0.0/8 limit=100 entries=100 refused=1") {
		t.Errorf("three networks: %q", got)
	}
}

// Entries are looked at a few at a time.
func TestSpread(t *testing.T) {
	r := newRig(t, 100_000)
	r.link(1, nil)
	r.route(net("10.0.0.0/8"), 1, netip.Addr{})
	const flows = 20_000
	for i := range flows {
		r.packet(1, netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}), group)
	}
	most := 0
	for len(r.kernel) > 0 {
		before := len(r.kernel)
		r.run(time.Second)
		most = max(most, before-len(r.kernel))
		if r.now > 920*time.Second {
			t.Fatalf("%d entries after %v", len(r.kernel), r.now)
		}
	}
	// They end between 300 s and 900 s: each has two lifetimes, as the packet that
	// made it counts. That is 67 a second at most.
	if most > 400 {
		t.Errorf("%d entries went within a second", most)
	}
}

// Large groups are re-evaluated in slices, those that members wait for first.
func TestSlices(t *testing.T) {
	r := newRig(t, 100_000)
	r.link(1, nil)
	r.link(2, nil)
	const nets = 5000
	at := func(i int) netip.Prefix {
		return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), 0}), 24)
	}
	for i := range nets {
		r.route(at(i), 1, addr("10.1.0.9"))
		r.forward(at(i), 2, true)
		r.packet(1, at(i).Addr().Next(), group)
		r.packet(1, at(i).Addr().Next(), addr("224.3.3.3"))
	}
	for i := range nets {
		r.route(at(i), 1, addr("10.1.0.8"))
	}
	done := true
	r.join(2, addr("224.3.3.3"), true)
	r.turn(func() { done = r.cache.Work(r.now) })
	if n := len(r.actions.Entries); done || n == 0 || n > 2*workSlice {
		t.Fatalf("%d entries in the first slice, all done: %v", n, done)
	}
	for _, a := range r.actions.Entries {
		if a.Group != addr("224.3.3.3") || len(a.Outputs) == 0 {
			t.Fatalf("%v comes before what members wait for", a)
		}
	}
	r.run(0)
	r.check()
}
