package member

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"mbone/internal/router/host"
	"mbone/proto/igmp"
)

// How long after the last member has left its packets are still wanted.
func TestLeaveLatency(t *testing.T) {
	for _, c := range []struct {
		name        string
		version     uint8
		join, leave appender
		latency     time.Duration
		queries     []string
	}{
		{"v1", 1, v1report(chat), leave(chat), 260 * time.Second, nil},
		{"v2", 2, v2report(chat), leave(chat), 2 * time.Second, []string{"10s 1 v2 225.1.2.3 1s", "11s 1 v2 225.1.2.3 1s"}},
		{"v3", 3, v3(igmp.Record{Type: igmp.ChangeToExclude, Group: chat}), v3(igmp.Record{Type: igmp.ChangeToInclude, Group: chat}), 2 * time.Second,
			[]string{"10s 1 v3 225.1.2.3 1s", "11s 1 v3 225.1.2.3 1s"}},
		{"v3, one source", 3, v3(igmp.Record{Type: igmp.AllowNewSources, Group: chat, Sources: srcs("a")}),
			v3(igmp.Record{Type: igmp.BlockOldSources, Group: chat, Sources: srcs("a")}), 2 * time.Second,
			[]string{"10s 1 v3 225.1.2.3{a} 1s", "11s 1 v3 225.1.2.3{a} 1s"}},
		{"v1 host among v3", 3, v1report(chat), leave(chat), 260 * time.Second, nil},
		{"v2 host among v3", 3, v2report(chat), leave(chat), 2 * time.Second, []string{"10s 1 v3 225.1.2.3 1s", "11s 1 v3 225.1.2.3 1s"}},
		// There the host speaks as it did before it heard a query.
		{"v3 host on v2", 2, v3(igmp.Record{Type: igmp.ChangeToExclude, Group: chat}), v3(igmp.Record{Type: igmp.ChangeToInclude, Group: chat}), 2 * time.Second,
			[]string{"10s 1 v2 225.1.2.3 1s", "11s 1 v2 225.1.2.3 1s"}},
		{"v3 host on v1", 1, v3(igmp.Record{Type: igmp.AllowNewSources, Group: chat, Sources: srcs("a")}), v3(igmp.Record{Type: igmp.ChangeToInclude, Group: chat}),
			260 * time.Second, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := onLAN(t, c.version)
			r.hear(anna, c.join)
			expect(t, "told of the join", r.told(), "1 225.1.2.3")
			if !r.Wants(1, src('a'), chat) {
				t.Fatal("nothing is wanted")
			}
			r.wait(10 * time.Second)
			if c.latency == 260*time.Second { // after the last report
				r.hear(anna, c.join)
			}
			r.hear(anna, c.leave)
			r.wait(c.latency - 1)
			expect(t, "told too early", r.told())
			if !r.Wants(1, src('a'), chat) {
				t.Fatal("it is not wanted any more")
			}
			r.wait(1)
			expect(t, "told of the end", r.told(), "1 225.1.2.3")
			if r.Wants(1, src('a'), chat) || r.state(chat) != "" {
				t.Errorf("it is still wanted: %q", r.state(chat))
			}
			var queries []string
			for _, q := range r.take() {
				if !strings.Contains(q, " all ") {
					queries = append(queries, q)
				}
			}
			expect(t, "queries", queries, c.queries...)
			if g, s := r.Sizes(); g != 0 || s != 0 {
				t.Errorf("%d groups and %d sources are counted", g, s)
			}
		})
	}
}

// A member that is left answers, and nothing changes. Queries go on with the S flag;
// version 2 has none, and stops.
func TestLeaveOfOne(t *testing.T) {
	r := onLAN(t, 3)
	r.hear(anna, v2report(chat))
	r.told()
	r.hear(bert, leave(chat))
	r.wait(500 * time.Millisecond)
	r.hear(anna, v2report(chat))
	r.wait(10 * time.Second)
	expect(t, "v3 queries", r.take(), "0s 1 v3 225.1.2.3 1s", "1s 1 v3 225.1.2.3 S 1s")
	expect(t, "told", r.told())
	r.expectState("EX 250")

	r = onLAN(t, 2)
	r.hear(anna, v2report(chat))
	r.hear(bert, leave(chat))
	r.wait(500 * time.Millisecond)
	r.hear(anna, v2report(chat))
	r.wait(10 * time.Second)
	expect(t, "v2 queries", r.take(), "0s 1 v2 225.1.2.3 1s")

	// Sources: what was answered for is asked for with the S flag, the rest without.
	r = onLAN(t, 3)
	r.report(anna, igmp.AllowNewSources, chat, srcs("abc")...)
	r.report(bert, igmp.BlockOldSources, chat, srcs("ab")...)
	r.wait(500 * time.Millisecond)
	r.report(anna, igmp.ModeIsInclude, chat, srcs("bc")...)
	r.wait(10 * time.Second)
	expect(t, "v3 queries for sources", r.take(), "0s 1 v3 225.1.2.3{ab} 1s", "1s 1 v3 225.1.2.3{b} S 1s", "1s 1 v3 225.1.2.3{a} 1s")
	r.expectState("IN b:250 c:250")
}

// A leave while the group is asked for already does not begin anew; robustness says
// how often is asked.
func TestRepeatedLeave(t *testing.T) {
	r := start(t, func(s *host.Settings) { s.IGMP.Robustness = 3 })
	r.setLink(1)
	r.hear(anna, v2report(chat))
	r.take()
	for range 10 {
		r.hear(bert, leave(chat))
		r.wait(100 * time.Millisecond)
	}
	r.wait(10 * time.Second)
	expect(t, "queries", r.take(), "0s 1 v3 225.1.2.3 1s", "1s 1 v3 225.1.2.3 1s", "2s 1 v3 225.1.2.3 1s")
	expect(t, "told", r.told(), "1 225.1.2.3", "1 225.1.2.3")
}

// A router that loses the election stops to ask.
func TestLoseWhileAsking(t *testing.T) {
	r := onLAN(t, 3)
	r.hear(anna, v2report(chat))
	r.hear(anna, leave(chat))
	r.hear(lower, generalV3())
	r.wait(3 * time.Second)
	expect(t, "queries", r.take(), "0s 1 v3 225.1.2.3 1s")
	r.expectState("")
}

// More sources than a query holds are asked for in several.
func TestManySources(t *testing.T) {
	r := onLAN(t, 3)
	var list []netip.Addr
	for i := range 800 {
		list = append(list, netip.AddrFrom4([4]byte{193, 0, byte(i >> 8), byte(i)}))
	}
	r.report(anna, igmp.AllowNewSources, chat, list...)
	r.report(anna, igmp.BlockOldSources, chat, list...)
	var counts []int
	for _, q := range r.sent {
		counts = append(counts, strings.Count(q, "193.0."))
	}
	if !slices.Equal(counts, []int{366, 366, 68}) {
		t.Errorf("queries with %d sources", counts)
	}
	r.wait(2 * time.Second)
	r.expectState("")
}

// Group compatibility (RFC 3376 section 7.3.2): the oldest host that was heard
// within 260 s decides what counts.
func TestCompatibility(t *testing.T) {
	const all = "EX 260"
	to := func(t igmp.RecordType, sources string) appender {
		return v3(igmp.Record{Type: t, Group: chat, Sources: srcs(sources)})
	}
	block, exclude, include := to(igmp.BlockOldSources, "a"), to(igmp.ChangeToExclude, "a"), to(igmp.ChangeToInclude, "")
	for _, c := range []struct {
		name    string
		version uint8
		host    appender
		after   [3]string // block, exclude, include
		leave   string
	}{
		{"v1", 1, v1report(chat), [3]string{all, all, all}, all},
		{"v2", 2, v2report(chat), [3]string{all, all, "EX 2"}, "EX 2"},
		// EXCLUDE, BLOCK: (a)=group timer, and asked for
		{"v3", 3, to(igmp.ChangeToExclude, ""), [3]string{"EX 260 a:2", "EX 260 a:2", "EX 2"}, "EX 2"},
	} {
		for i, e := range []appender{block, exclude, include, leave(chat)} {
			r := onLAN(t, 3)
			r.hear(anna, c.host)
			for g := range r.Groups(r.now, 1) {
				if g.Version != c.version || g.Reporter != anna {
					t.Errorf("%s: %+v", c.name, g)
				}
			}
			r.hear(bert, e)
			r.expectState(append(c.after[:], c.leave)[i])
		}
	}

	// No host speaks a newer version than the link.
	r := onLAN(t, 1)
	r.hear(anna, v2report(chat))
	for g := range r.Groups(r.now, 1) {
		if g.Version != 1 {
			t.Errorf("version %d on a link of version 1", g.Version)
		}
	}

	// Each version counts for as long as its hosts are heard.
	r = onLAN(t, 3)
	version := func(want uint8) {
		t.Helper()
		r.report(bert, igmp.ModeIsExclude, chat) // keeps the group
		for g := range r.Groups(r.now, 1) {
			if g.Version != want {
				t.Errorf("at %v version %d, want %d", r.now, g.Version, want)
			}
		}
	}
	r.hear(anna, v1report(chat))
	version(1)
	r.wait(100 * time.Second)
	r.hear(bert, v2report(chat))
	version(1)
	r.wait(160*time.Second - 1)
	version(1)
	r.wait(1)
	version(2)
	r.wait(100*time.Second - 1)
	version(2)
	r.wait(1)
	version(3)
}

// What is not to be listened to.
func TestIgnored(t *testing.T) {
	other := addr("225.1.2.9")
	for _, c := range []struct {
		name     string
		from, to netip.Addr
		message  appender
		count    func(Counters) uint64
	}{
		{"not on the link", addr("10.0.1.101"), chat, v2report(chat), func(c Counters) uint64 { return c.Foreign }},
		{"broadcast address", addr("10.0.0.255"), chat, v2report(chat), func(c Counters) uint64 { return c.Foreign }},
		{"unicast", anna, self, v3(igmp.Record{Type: igmp.ModeIsExclude, Group: chat}), func(c Counters) uint64 { return c.Foreign }},
		{"224.0.0.0/24", anna, igmp.DVMRPRouters, v2report(igmp.DVMRPRouters), func(c Counters) uint64 { return c.Ignored }},
		{"no group", anna, chat, v2report(addr("10.0.0.1")), func(c Counters) uint64 { return c.Ignored }},
		{"v3, 224.0.0.0/24", anna, igmp.IGMPv3Routers, v3(igmp.Record{Type: igmp.ModeIsExclude, Group: igmp.IGMPv3Routers}), func(c Counters) uint64 { return c.Ignored }},
		{"record type 7", anna, igmp.IGMPv3Routers, v3(igmp.Record{Type: 7, Group: chat}), func(c Counters) uint64 { return c.Ignored }},
		{"record type 0", anna, igmp.IGMPv3Routers, v3(igmp.Record{Group: chat}), func(c Counters) uint64 { return c.Ignored }},
		{"impossible sources", anna, igmp.IGMPv3Routers, v3(igmp.Record{Type: igmp.AllowNewSources, Group: chat,
			Sources: []netip.Addr{addr("0.0.0.0"), addr("127.0.0.1"), addr("225.0.0.1"), addr("255.255.255.255")}}), func(c Counters) uint64 { return c.Ignored / 4 }},
		{"mtrace", anna, igmp.AllRouters, &igmp.Frame{Type: igmp.TypeMtraceQuery, Group: chat}, func(Counters) uint64 { return 1 }},
		{"specific query for no group", lower, igmp.AllSystems, &igmp.Query{Version: 2, Group: addr("10.0.0.1"), MaxResponse: 1e9}, func(c Counters) uint64 { return c.Ignored }},
		{"another link", anna, chat, v2report(chat), func(Counters) uint64 { return 1 }},
	} {
		r := onLAN(t, 3)
		link := host.Interface(1)
		if c.name == "another link" {
			link = 2
		}
		r.hearOn(link, c.from, c.to, c.message)
		if g, _ := r.Sizes(); g != 0 || len(r.told()) > 0 || !r.Querier(1).Self {
			t.Errorf("%s: it was listened to", c.name)
		}
		if n := c.count(r.Counters(1)); n != 1 {
			t.Errorf("%s: counted %d times", c.name, n)
		}
	}

	// What comes with or after nonsense counts: aux data, unknown records.
	r := onLAN(t, 3)
	r.hear(anna, v3(
		igmp.Record{Type: 9, Group: chat, Sources: srcs("ab"), Aux: make([]byte, 8)},
		igmp.Record{Type: igmp.AllowNewSources, Group: other, Sources: append(srcs("ba"), addr("0.0.0.0"), src('a')), Aux: make([]byte, 4)},
		igmp.Record{Type: igmp.ModeIsExclude, Group: chat}))
	r.expectState("EX 260")
	if got := r.state(other); got != "IN a:260 b:260" {
		t.Errorf("after nonsense: %q", got)
	}
	// A report that ends early: what was whole counts.
	b, _ := v3(igmp.Record{Type: igmp.ModeIsExclude, Group: addr("225.1.2.8")}, igmp.Record{Type: igmp.ModeIsExclude, Group: other}).AppendBinary(nil)
	r.Receive(r.now, &host.Packet{Interface: 1, From: anna, To: igmp.IGMPv3Routers, Message: b[:len(b)-1]})
	if r.state(addr("225.1.2.8")) != "EX 260" || r.state(other) != "IN a:260 b:260" || r.Counters(1).Malformed != 1 {
		t.Errorf("a report that ends early: %q, %q", r.state(addr("225.1.2.8")), r.state(other))
	}
}

// Hosts without an address and this host itself are members like others.
func TestWhoReports(t *testing.T) {
	for _, from := range []netip.Addr{igmp.Unspecified, self} {
		r := onLAN(t, 3)
		r.hear(from, v2report(chat))
		r.expectState("EX 260")
	}
	// Another network of the link, where the router has no address.
	r := start(t)
	r.setLink(1, func(l *host.Link) {
		l.Networks = append(l.Networks, host.Network{Prefix: netip.MustParsePrefix("172.16.5.0/24")})
	})
	r.hear(addr("172.16.5.9"), v2report(chat))
	r.expectState("EX 260")
}

// Filter modes, source by source and for networks.
func TestWants(t *testing.T) {
	r := onLAN(t, 3)
	in, ex, full := addr("225.0.0.1"), addr("225.0.0.2"), addr("225.0.0.3")
	r.report(anna, igmp.AllowNewSources, in, addr("192.0.2.5"), addr("192.0.2.200"))
	r.report(anna, igmp.ModeIsExclude, ex, addr("192.0.2.5"), addr("192.0.2.4"), addr("192.0.2.6"))
	r.report(anna, igmp.AllowNewSources, ex, addr("192.0.2.6"))
	var list []netip.Addr
	for i := range 256 {
		list = append(list, netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}))
	}
	r.report(anna, igmp.ModeIsExclude, full, list...)
	for _, c := range []struct {
		group  netip.Addr
		net    string
		wanted bool
	}{
		{in, "192.0.2.5/32", true},
		{in, "192.0.2.6/32", false},
		{in, "192.0.2.4/31", true},
		{in, "192.0.2.6/31", false},
		{in, "192.0.2.0/25", true},
		{in, "192.0.2.128/25", true},
		{in, "192.0.2.128/26", false},
		{in, "192.0.3.0/24", false},
		{in, "0.0.0.0/0", true},
		{in, "10.0.0.0/8", false},
		{ex, "192.0.2.5/32", false},
		{ex, "192.0.2.6/32", true},
		{ex, "192.0.2.7/32", true},
		{ex, "192.0.2.4/31", false},
		{ex, "192.0.2.6/31", true},
		{ex, "192.0.2.4/30", true},
		{ex, "0.0.0.0/0", true},
		{full, "192.0.2.0/24", false},
		{full, "192.0.2.77/32", false},
		{full, "192.0.2.0/23", true},
		{full, "192.0.3.0/24", true},
		{addr("225.0.0.4"), "0.0.0.0/0", false},
	} {
		net := netip.MustParsePrefix(c.net)
		if got := r.WantsAny(1, net, c.group); got != c.wanted {
			t.Errorf("%v from %v: %v", c.group, net, got)
		}
		if net.IsSingleIP() && r.Wants(1, net.Addr(), c.group) != c.wanted {
			t.Errorf("%v from %v: not %v", c.group, net.Addr(), c.wanted)
		}
		if r.WantsAny(2, net, c.group) || r.Wants(2, net.Addr(), c.group) {
			t.Errorf("%v from %v is wanted on another link", c.group, net)
		}
	}
}

// A group stays for 260 s after the last report. Refreshing it is told nobody.
func TestExpiry(t *testing.T) {
	r := onLAN(t, 3)
	r.hear(anna, v2report(chat))
	expect(t, "told", r.told(), "1 225.1.2.3")
	for range 10 {
		r.wait(125 * time.Second)
		r.hear(anna, v2report(chat))
	}
	expect(t, "told of what is not new", r.told())
	r.wait(260*time.Second - 1)
	r.expectState("EX 1e-09")
	r.wait(1)
	r.expectState("")
	expect(t, "told", r.told(), "1 225.1.2.3")

	// EXCLUDE(X, Y) becomes INCLUDE(X) when nobody excludes any more; X becomes
	// blocked when nobody wants it by name.
	r = onLAN(t, 3)
	r.report(anna, igmp.ModeIsExclude, chat, srcs("cd")...)
	r.report(anna, igmp.AllowNewSources, chat, srcs("a")...)
	r.wait(100 * time.Second)
	r.report(bert, igmp.AllowNewSources, chat, srcs("bd")...)
	r.told()
	r.wait(160*time.Second - 1)
	expect(t, "told too early", r.told())
	r.wait(1)
	r.expectState("IN b:100 d:100")
	expect(t, "told", r.told(), "1 225.1.2.3")
	r.wait(100 * time.Second)
	r.expectState("")

	r = onLAN(t, 3)
	r.report(anna, igmp.AllowNewSources, chat, srcs("a")...)
	r.wait(10 * time.Second)
	r.report(bert, igmp.ModeIsExclude, chat, srcs("ab")...)
	r.expectState("EX 260 a:250 | b")
	r.told()
	r.wait(250 * time.Second)
	r.expectState("EX 10 | ab")
	expect(t, "told", r.told(), "1 225.1.2.3")
}

// Static groups have members without reports, and in spite of leaves.
func TestStatic(t *testing.T) {
	static := func(groups ...netip.Addr) func(*host.Link) {
		return func(l *host.Link) { l.StaticGroups = groups }
	}
	other := addr("225.1.2.9")
	r := onLAN(t, 3)
	r.report(anna, igmp.AllowNewSources, other, src('a'))
	r.told()
	r.setLink(1, static(chat, other, igmp.AllRouters, addr("10.0.0.1")))
	expect(t, "told", r.told(), "1 225.1.2.3", "1 225.1.2.9")
	r.hear(anna, v2report(chat))
	r.hear(anna, leave(chat))
	r.report(anna, igmp.ModeIsExclude, chat, srcs("a")...)
	r.report(anna, igmp.ChangeToInclude, chat)
	r.wait(1000 * time.Second)
	r.expectState("EX")
	if !r.Wants(1, src('a'), chat) || !r.Wants(1, src('z'), other) || !r.WantsAny(1, netip.MustParsePrefix("192.0.2.0/24"), chat) {
		t.Error("nothing is wanted")
	}
	expect(t, "told of nothing", r.told())
	if g, s := r.Sizes(); g != 0 || s != 0 {
		t.Errorf("%d groups and %d sources are counted", g, s)
	}

	// Those that are not static any more are asked for: there may be members.
	r.take()
	r.setLink(1, static(other))
	expect(t, "asked", r.take(), "16m40s 1 v3 225.1.2.3 1s")
	expect(t, "told", r.told())
	r.expectState("EX 2")
	r.wait(2 * time.Second)
	r.expectState("")
	expect(t, "told", r.told(), "1 225.1.2.3")
	if r.state(other) != "EX" {
		t.Errorf("the other one is %q", r.state(other))
	}
}

// A link that goes down wants nothing; when it comes back it is queried at once,
// and what was not forgotten meanwhile counts again.
func TestFlap(t *testing.T) {
	r := onLAN(t, 3)
	other := addr("225.1.2.9")
	r.hear(anna, v2report(chat))
	r.wait(100 * time.Second)
	r.hear(anna, v2report(other))
	r.hear(lower, generalV3())
	r.told()
	r.take()
	down := func(l *host.Link) { l.Up = false }
	r.setLink(1, down)
	expect(t, "told", r.told(), "1 225.1.2.9", "1 225.1.2.3")
	if r.Wants(1, src('a'), chat) || r.WantsAny(1, netip.MustParsePrefix("0.0.0.0/0"), chat) || r.Querier(1) != (Querier{}) {
		t.Error("something is wanted, or asked for")
	}
	r.hear(anna, v2report(addr("225.1.2.8")))
	r.wait(200 * time.Second) // chat expires, nobody needs to know
	expect(t, "told", r.told())
	r.setLink(1)
	expect(t, "queries", r.take(), "5m0s 1 v3 all 10s")
	expect(t, "told", r.told(), "1 225.1.2.9")
	if r.Wants(1, src('a'), chat) || !r.Wants(1, src('a'), other) || !r.Querier(1).Self {
		t.Error("what was left does not count")
	}
	r.wait(time.Minute)
	expect(t, "queries", r.take(), "5m31.25s 1 v3 all 10s")

	// Removed: nothing goes on.
	r.RemoveLink(r.now, 1)
	if r.Wants(1, src('a'), other) {
		t.Error("something is wanted on a link that is removed")
	}
	r.wait(time.Hour)
	g, s := r.Sizes()
	if expect(t, "queries", r.take()); g != 0 || s != 0 || r.timers.Len() != 0 {
		t.Errorf("%d groups, %d sources and %d timers are left", g, s, r.timers.Len())
	}
}

// No IGMP where there is none to be.
func TestNoIGMP(t *testing.T) {
	for name, edit := range map[string]func(*host.Link){
		"tunnel":     func(l *host.Link) { l.Remote, l.Networks = addr("198.51.100.1"), nil },
		"disabled":   func(l *host.Link) { l.Enabled = false },
		"no address": func(l *host.Link) { l.Address, l.Networks = netip.Addr{}, nil },
		"down":       func(l *host.Link) { l.Up = false },
	} {
		r := start(t)
		r.setLink(1, edit, func(l *host.Link) { l.StaticGroups = []netip.Addr{chat} })
		r.wait(time.Hour)
		expect(t, name+": queries", r.take())
		expect(t, name+": told", r.told())
		if r.Wants(1, src('a'), chat) || r.Querier(1) != (Querier{}) {
			t.Errorf("%s: something is wanted", name)
		}
	}
}

// Another address or version is another start; other settings are not.
func TestLinkChanges(t *testing.T) {
	r := onLAN(t, 3)
	r.hear(anna, v2report(chat))
	r.hear(lower, generalV3())
	r.wait(10 * time.Second)
	r.setLink(1, func(l *host.Link) { l.Metric = 7 })
	expect(t, "queries", r.take())
	r.setLink(1, func(l *host.Link) { l.IGMP = 2 })
	expect(t, "queries", r.take(), "10s 1 v2 all 10s")
	r.setLink(1, func(l *host.Link) { l.IGMP = 2; l.Address = addr("10.0.0.3") })
	expect(t, "queries", r.take(), "10s 1 v2 all 10s")
	if q := r.Querier(1); q.Address != addr("10.0.0.3") {
		t.Errorf("querier %+v", q)
	}
	r.expectState("EX 250")
}

// Limits of groups and sources hold in total, and one link cannot have them all.
func TestLimits(t *testing.T) {
	r := start(t, func(s *host.Settings) { s.Limits.Groups, s.Limits.Sources = 8, 40 })
	flood := func(link host.Interface) {
		from := netip.AddrFrom4([4]byte{10, 0, byte(link - 1), 101})
		for i := range 20 {
			var list []netip.Addr
			for j := range 10 {
				list = append(list, netip.AddrFrom4([4]byte{192, 0, byte(i), byte(j)}))
			}
			g := netip.AddrFrom4([4]byte{225, 0, byte(link), byte(i)})
			r.hearOn(link, from, igmp.IGMPv3Routers, v3(igmp.Record{Type: igmp.ModeIsExclude, Group: g, Sources: list}))
		}
	}
	count := func(link host.Interface) (groups, sources int) {
		for g := range r.Groups(r.now, link) {
			groups++
			sources += len(g.Sources)
		}
		return groups, sources
	}
	r.setLink(1)
	r.setLink(2)
	flood(1)
	if g, s := count(1); g != 6 || s != 30 {
		t.Errorf("one of two links has %d groups and %d sources, want three quarters", g, s)
	}
	flood(2)
	if g, s := count(2); g != 2 || s != 10 {
		t.Errorf("the other has %d groups and %d sources, want the rest", g, s)
	}
	if g, s := r.Sizes(); g != 8 || s != 40 {
		t.Errorf("%d groups and %d sources", g, s)
	}
	// 14 groups were refused, and the sources of 3 of the 6 that were not.
	if c := r.Counters(1); c.Refused != 14+3 {
		t.Errorf("%d refused", c.Refused)
	}
	if n := strings.Count(r.log.String(), "level=ERROR"); n != 2 { // one for each link
		t.Errorf("%d lines in the log:\n%s", n, &r.log)
	}
	// Known groups are refreshed, and the rest is left when they go.
	r.wait(260 * time.Second)
	if g, s := r.Sizes(); g != 0 || s != 0 {
		t.Errorf("%d groups and %d sources are left", g, s)
	}
	r.setLink(2, func(l *host.Link) { l.Up = false })
	flood(1)
	if g, _ := count(1); g != 8 {
		t.Errorf("the only link has %d groups", g)
	}
	// What a host excludes beyond the limit is forwarded.
	if last := addr("225.0.1.7"); !r.Wants(1, addr("192.0.7.0"), last) {
		t.Error("a source that is not kept is not wanted")
	}
	// INCLUDE of what is not kept makes no group.
	r.report(anna, igmp.AllowNewSources, addr("225.0.1.99"), src('a'))
	if r.state(addr("225.0.1.99")) != "" {
		t.Error("a group of nothing")
	}

	// One group cannot have too many sources either, though it keeps those it has.
	r = onLAN(t, 3)
	var list []netip.Addr
	for i := range maxGroupSources + 10 {
		list = append(list, netip.AddrFrom4([4]byte{192, 1, byte(i >> 8), byte(i)}))
	}
	r.report(anna, igmp.AllowNewSources, chat, list[20:]...)
	r.report(anna, igmp.AllowNewSources, chat, list...)
	for g := range r.Groups(r.now, 1) {
		if len(g.Sources) != maxGroupSources || g.Sources[maxGroupSources-1].Address != list[len(list)-1] {
			t.Errorf("%d sources, want %d", len(g.Sources), maxGroupSources)
		}
	}
	// Others in their place find room.
	for i := range list {
		list[i] = netip.AddrFrom4([4]byte{193, 1, byte(i >> 8), byte(i)})
	}
	r.report(anna, igmp.ModeIsExclude, chat, list[:maxGroupSources]...)
	if r.Wants(1, list[0], chat) || r.Wants(1, list[maxGroupSources-1], chat) || !r.Wants(1, addr("192.1.0.30"), chat) {
		t.Error("the new ones found no room")
	}
}

// What one report may cost is bounded, and records that mean nothing cost nothing;
// what hosts send is never near the bound.
func TestReportWork(t *testing.T) {
	sources := make([]netip.Addr, maxGroupSources)
	for i := range sources {
		sources[i] = netip.AddrFrom4([4]byte{192, 1, byte(i >> 8), byte(i)})
	}
	records := func(n int, record igmp.Record) *igmp.ReportV3 {
		return v3(slices.Repeat([]igmp.Record{record}, n)...)
	}
	const many = 8000
	for _, mode := range []igmp.RecordType{igmp.AllowNewSources, igmp.ModeIsExclude} {
		r := onLAN(t, 3)
		r.report(anna, mode, chat, sources...)
		before := r.state(chat)
		r.told()
		for i, nothing := range []igmp.RecordType{igmp.ModeIsInclude, igmp.AllowNewSources, igmp.BlockOldSources} {
			r.hear(bert, records(many, igmp.Record{Type: nothing, Group: chat}))
			if c := r.Counters(1); c.Ignored != uint64(many*(i+1)) || c.Refused != 0 {
				t.Errorf("records without effect: %+v", c)
			}
		}
		if r.state(chat) != before || len(r.told()) > 0 || len(r.take()) > 0 {
			t.Errorf("records without effect have one: %.80q, it was %.80q", r.state(chat), before)
		}
	}
	// All that has an effect walks over 1,024 sources each time.
	for _, record := range []igmp.Record{
		{Type: igmp.BlockOldSources, Group: chat, Sources: srcs("a")},
		{Type: igmp.AllowNewSources, Group: chat, Sources: srcs("a")},
		{Type: igmp.ModeIsInclude, Group: chat, Sources: srcs("a")},
		{Type: igmp.ChangeToInclude, Group: chat},
	} {
		r := onLAN(t, 3)
		r.report(anna, igmp.AllowNewSources, chat, sources[1:]...)
		r.hear(bert, records(many/2, record))
		walked := (many/2 - int(r.Counters(1).Refused)) * (maxGroupSources - 1)
		if walked < maxReportWork/2 || walked > maxReportWork+maxGroupSources {
			t.Errorf("record type %d: %d sources are walked over, want about %d", record.Type, walked, maxReportWork)
		}
		if n := strings.Count(r.log.String(), "level=ERROR"); n != 1 {
			t.Errorf("%d lines in the log:\n%s", n, &r.log)
		}
	}
	// The largest report of groups that fits on Ethernet, each with as many sources
	// as hosts name at most.
	r := onLAN(t, 3)
	const fits = (1500 - 24 - 8) / 8
	full := func(t igmp.RecordType, sources ...netip.Addr) (list []igmp.Record) {
		for i := range fits {
			list = append(list, igmp.Record{Type: t, Group: groupN(i), Sources: sources})
		}
		return list
	}
	for _, record := range full(igmp.AllowNewSources, sources[:64]...) {
		r.hear(anna, v3(record))
	}
	r.hear(bert, v3(full(igmp.ModeIsExclude)...))
	if c := r.Counters(1); c.Refused != 0 || c.Ignored != 0 {
		t.Errorf("an ordinary report: %+v", c)
	}
	for i := range fits {
		if got := r.state(groupN(i)); got != "EX 260" {
			t.Fatalf("group %d: %s", i, got)
		}
	}
	// One record is always taken, whatever it costs.
	r = start(t, func(s *host.Settings) { s.Limits.Sources = 8 })
	r.setLink(1)
	r.report(anna, igmp.ModeIsExclude, chat, slices.Repeat(sources, 15)...)
	if !strings.HasPrefix(r.state(chat), "EX 260") {
		t.Errorf("a single record: %q", r.state(chat))
	}
}

// A link cannot make the router send more than so many queries for groups; groups
// whose end was not followed up stay until they expire.
func TestChecks(t *testing.T) {
	r := onLAN(t, 3)
	const groups = maxChecks + 200
	name := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{225, 0, byte(i >> 8), byte(i)}) }
	for i := range groups {
		r.hear(anna, v2report(name(i)))
	}
	for i := range groups {
		r.hear(anna, leave(name(i)))
	}
	if n := len(r.take()); n != maxChecks || r.Counters(1).Unchecked != 200 {
		t.Errorf("%d queries, %d not sent", n, r.Counters(1).Unchecked)
	}
	r.wait(2 * time.Second)
	if g, _ := r.Sizes(); g != 200 {
		t.Errorf("%d groups are left", g)
	}
	r.hear(anna, leave(name(groups-1)))
	r.wait(2 * time.Second)
	if g, _ := r.Sizes(); g != 199 {
		t.Errorf("%d groups are left after another second", g)
	}
}

// Many groups on a link that flaps: all are told, soon, though not in one turn.
func TestManyGroups(t *testing.T) {
	r := onLAN(t, 3)
	const groups = 5000
	for i := range groups {
		r.hear(anna, v2report(netip.AddrFrom4([4]byte{225, 0, byte(i >> 8), byte(i)})))
	}
	r.wait(200 * time.Second)
	// A third of them is about to expire while the link goes down.
	for i := range groups {
		if i%3 > 0 {
			r.hear(anna, v2report(netip.AddrFrom4([4]byte{225, 0, byte(i >> 8), byte(i)})))
		}
	}
	r.wait(60*time.Second - 5*time.Millisecond)
	r.told()
	all := func(what string, want int) {
		t.Helper()
		if n := len(r.changes); n != min(walkSlice, want) {
			t.Errorf("%s: %d told at once", what, n)
		}
		r.wait(20 * time.Millisecond)
		seen := make(map[string]bool)
		for _, c := range r.told() {
			seen[c] = true
		}
		if len(seen) != want {
			t.Errorf("%s: %d told, want %d", what, len(seen), want)
		}
	}
	r.setLink(1, func(l *host.Link) { l.Up = false })
	all("down", groups)
	left, _ := r.Sizes()
	if left != groups*2/3 {
		t.Errorf("%d groups are left", left)
	}
	r.setLink(1)
	all("up", left)
	r.RemoveLink(r.now, 1)
	r.wait(20 * time.Millisecond)
	expect(t, "told of a link that is removed", r.told())
	if g, _ := r.Sizes(); g != 0 || r.timers.Len() != 0 {
		t.Errorf("%d groups and %d timers are left", g, r.timers.Len())
	}
}
