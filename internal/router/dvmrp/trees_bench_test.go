package dvmrp

import (
	"net/netip"
	"runtime"
	"testing"
	"time"

	"mbone/internal/router/host"
	"mbone/proto/dvmrp"
)

const benchEntries = 100_000

// crowd is a forest that lets in 100,000 flows of 10.1.2.3, which a router on link 2
// wants.
func crowd(b *testing.B) *forest {
	f := grown(b, nil)
	settings := testSettings
	settings.CacheLifetime = 300 * time.Second
	settings.Limits.Entries, settings.Limits.Prunes = 4*benchEntries, 4*benchEntries
	f.cache.Configure(0, &settings)
	f.p.Configure(0, &settings)
	f.depend(2, 5)
	return f
}

func benchGroup(i int) netip.Addr {
	return netip.AddrFrom4([4]byte{225, byte(i >> 16), byte(i >> 8), byte(i)})
}

// upcall leaves the actions alone: what the kernel does with them is not measured.
func (f *forest) upcall(i int) {
	f.actions.Reset()
	f.cache.Upcall(f.now, &host.Upcall{Kind: host.NoCache, Interface: 1, Source: theSource, Group: benchGroup(i)})
}

// BenchmarkTrees has 100,000 entries made, pruned by the only dependent, and
// therefore pruned upstream, and grafted again. It reports the time of each and the
// bytes of a pruned entry.
func BenchmarkTrees(b *testing.B) {
	messages := make([][2][]byte, benchEntries)
	for i := range messages {
		prune := dvmrp.Prune{Version: dvmrp.Mrouted, Source: addr("10.0.0.0"), Group: benchGroup(i), Lifetime: time.Hour}
		graft := dvmrp.Graft{Version: dvmrp.Mrouted, Source: addr("10.0.0.0"), Group: benchGroup(i)}
		messages[i][0], _ = prune.AppendBinary(nil)
		messages[i][1], _ = graft.AppendBinary(nil)
	}
	var upcalls, prunes, grafts time.Duration
	var memory uint64
	for b.Loop() {
		f := crowd(b)
		before := heapNow()
		start := time.Now()
		for i := range benchEntries {
			f.upcall(i)
		}
		upcalls += time.Since(start)
		for k, sum := range []*time.Duration{&prunes, &grafts} {
			start = time.Now()
			for i := range messages {
				f.actions.Reset()
				f.p.Receive(f.now, &host.Packet{Interface: 2, From: router(2, 5), To: router(2, 1), Message: messages[i][k]})
			}
			*sum += time.Since(start)
			if k == 0 {
				f.actions = host.Actions{}
				memory = heapNow() - before
				if s := f.p.TreeStats(); s.PrunesSent != benchEntries {
					b.Fatalf("sent %d prunes", s.PrunesSent)
				}
			}
		}
		if s := f.p.TreeStats(); s.GraftsSent != benchEntries {
			b.Fatalf("sent %d grafts", s.GraftsSent)
		}
	}
	each := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / benchEntries / float64(b.N) }
	b.ReportMetric(each(upcalls), "ns/upcall")
	b.ReportMetric(each(prunes), "ns/prune")
	b.ReportMetric(each(grafts), "ns/graft")
	b.ReportMetric(float64(memory)/benchEntries, "B/entry")
}

func heapNow() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
