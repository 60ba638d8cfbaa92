package member

import (
	"net/netip"
	"runtime"
	"testing"
	"time"

	"mbone/internal/router/host"
	"mbone/proto/igmp"
)

func groupN(i int) netip.Addr {
	return netip.AddrFrom4([4]byte{225, byte(i >> 16), byte(i >> 8), byte(i)})
}

func packets(b *testing.B, n int, message func(i int) appender) []*host.Packet {
	list := make([]*host.Packet, n)
	for i := range list {
		m, err := message(i).AppendBinary(nil)
		if err != nil {
			b.Fatal(err)
		}
		list[i] = &host.Packet{Interface: 1, From: anna, To: igmp.IGMPv3Routers, Message: m}
	}
	return list
}

// Memory of 100,000 groups, each with no or two sources.
func BenchmarkMemory(b *testing.B) {
	const groups = 100_000
	for name, sources := range map[string]string{"groups": "", "sources": "ab"} {
		b.Run(name, func(b *testing.B) {
			list := packets(b, groups, func(i int) appender {
				return v3(igmp.Record{Type: igmp.ModeIsExclude, Group: groupN(i), Sources: srcs(sources)})
			})
			for b.Loop() {
				r := onLAN(b, 3)
				r.changed = func(time.Duration, host.Interface, netip.Addr) {}
				var before, after runtime.MemStats
				runtime.GC()
				runtime.ReadMemStats(&before)
				for _, p := range list {
					r.Receive(0, p)
				}
				runtime.GC()
				runtime.ReadMemStats(&after)
				if n, _ := r.Sizes(); n != groups {
					b.Fatalf("%d groups", n)
				}
				b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/groups, "B/group")
			}
		})
	}
}

// A report that refreshes a group, among 100,000.
func BenchmarkRefresh(b *testing.B) {
	const groups = 100_000
	for name, message := range map[string]func(i int) appender{
		"v2": func(i int) appender { return v2report(groupN(i)) },
		"v3": func(i int) appender { return v3(igmp.Record{Type: igmp.ModeIsExclude, Group: groupN(i)}) },
		"v3sources": func(i int) appender {
			return v3(igmp.Record{Type: igmp.ModeIsInclude, Group: groupN(i), Sources: srcs("ab")})
		},
	} {
		b.Run(name, func(b *testing.B) {
			r := onLAN(b, 3)
			r.changed = func(time.Duration, host.Interface, netip.Addr) {}
			list := packets(b, groups, message)
			for _, p := range list {
				r.Receive(0, p)
			}
			b.ReportAllocs()
			i, now := 0, time.Duration(0)
			for b.Loop() {
				now += time.Microsecond
				r.Receive(now, list[i%groups])
				i++
			}
		})
	}
}

// The question that is asked for each entry and link.
func BenchmarkWants(b *testing.B) {
	const groups = 100_000
	r := start(b, func(s *host.Settings) { s.Limits.Sources = 8 * groups })
	r.setLink(1)
	r.changed = func(time.Duration, host.Interface, netip.Addr) {}
	for _, p := range packets(b, groups, func(i int) appender {
		return v3(igmp.Record{Type: igmp.ModeIsInclude, Group: groupN(i), Sources: srcs("abcdefgh")})
	}) {
		r.Receive(0, p)
	}
	source, net := src('d'), netip.MustParsePrefix("192.0.2.0/24")
	var list [1024]netip.Addr
	for i := range list {
		list[i] = groupN(i * 97)
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		g := list[i%len(list)]
		if !r.Wants(1, source, g) || !r.WantsAny(1, net, g) {
			b.Fatal("it is not wanted")
		}
		i++
	}
}

// Refreshing costs no memory.
func TestNoAllocs(t *testing.T) {
	r := onLAN(t, 3)
	for _, m := range []appender{
		v2report(chat), v1report(addr("225.1.2.4")),
		v3(igmp.Record{Type: igmp.ModeIsInclude, Group: addr("225.1.2.5"), Sources: srcs("abc")},
			igmp.Record{Type: igmp.ModeIsExclude, Group: addr("225.1.2.6"), Sources: srcs("abc")}),
	} {
		b, err := m.AppendBinary(nil)
		if err != nil {
			t.Fatal(err)
		}
		p := &host.Packet{Interface: 1, From: anna, To: igmp.IGMPv3Routers, Message: b}
		r.Receive(0, p)
		if n := testing.AllocsPerRun(100, func() { r.Receive(0, p) }); n != 0 {
			t.Errorf("% x costs %v allocations", b, n)
		}
		if !r.Wants(1, src('d'), chat) || testing.AllocsPerRun(100, func() { r.Wants(1, src('d'), chat) }) != 0 {
			t.Error("asking costs memory")
		}
	}
}
