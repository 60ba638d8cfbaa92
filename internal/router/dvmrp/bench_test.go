package dvmrp

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"mbone/internal/router/host"
	"mbone/proto/dvmrp"
)

// packets returns reports of so many routes, as full as can be.
func packets(t testing.TB, n, metric int) [][]byte {
	var routes []dvmrp.Route
	for i := range n {
		routes = append(routes, dvmrp.Route{Prefix: netipPrefix(10<<24+uint32(i)<<8, 24), Metric: uint8(metric)})
	}
	var all [][]byte
	for part := range dvmrp.SplitRoutes(routes) {
		b, err := (&dvmrp.Report{Version: dvmrp.Mrouted, Routes: part}).AppendBinary(nil)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, b)
	}
	return all
}

// unobserved stops recording what the cache and the trees are told.
func (r *rig) unobserved() {
	r.p.rpfChanged, r.p.downstreamChanged = r.p.cache.RPFChanged, r.p.trees.downstreamChanged
}

// BenchmarkPassOn measures how long routes take from one neighbour to another:
// ns/op is work, passed-ms what the clock says if work takes no time.
func BenchmarkPassOn(b *testing.B) {
	for _, n := range []int{10000, 50000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			in := packets(b, n, 3)
			var passed time.Duration
			for b.Loop() {
				b.StopTimer()
				r := newRig(b)
				r.set(lan(1))
				r.set(lan(2))
				from := r.peer(1, 9)
				r.peer(2, 9)
				r.run(time.Second)
				r.drop()
				r.unobserved()
				start := r.now
				b.StartTimer()
				for _, m := range in {
					r.p.Receive(r.now, &host.Packet{Interface: 1, From: from.addr, To: allRouters, Message: m})
					r.turn()
				}
				r.run(3 * time.Second)
				b.StopTimer()
				told := 0
				for _, s := range r.sent {
					var m dvmrp.Report
					if s.Interface != 2 || m.Parse(s.Message) != nil {
						continue
					}
					if told < n {
						passed = s.at - start
					}
					told += len(m.Routes)
				}
				if told < n {
					b.Fatalf("%d routes of %d were told", told, n)
				}
				b.StartTimer()
			}
			b.ReportMetric(float64(passed.Milliseconds()), "passed-ms")
		})
	}
}

// BenchmarkSlice measures the longest turn while a neighbour with 50,000 routes is
// lost: an upcall may wait that long.
func BenchmarkSlice(b *testing.B) {
	in, other := packets(b, 50000, 3), packets(b, 50000, 9)
	var longest time.Duration
	for b.Loop() {
		b.StopTimer()
		r := newRig(b)
		r.set(lan(1))
		r.set(lan(2))
		from, to := r.peer(1, 9), r.peer(2, 9)
		r.run(time.Second)
		for i := range in {
			r.receiveBytes(1, from.addr, allRouters, in[i])
			r.receiveBytes(2, to.addr, allRouters, other[i])
		}
		r.run(5 * time.Second)
		down := r.p.linkOf(1).Link
		down.Up = false
		r.unobserved()
		b.StartTimer()
		r.p.SetLink(r.now, &down)
		for more := true; more; {
			start := time.Now()
			more = !r.timers.Run(r.now, 256)
			more = !r.p.Work(r.now) || more
			r.actions.Reset()
			longest = max(longest, time.Since(start))
		}
	}
	b.ReportMetric(float64(longest.Microseconds()), "longest-us")
}

// BenchmarkMemory measures 100,000 routes that two neighbours have reported.
func BenchmarkMemory(b *testing.B) {
	in, other := packets(b, 100000, 3), packets(b, 100000, 9)
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	for b.Loop() {
		r := newRig(b)
		r.set(lan(1))
		r.set(lan(2))
		from, to := r.peer(1, 9), r.peer(2, 9)
		r.unobserved()
		before := heap()
		for i := range in {
			r.receiveBytes(1, from.addr, allRouters, in[i])
			r.receiveBytes(2, to.addr, allRouters, other[i])
		}
		r.run(4 * time.Second)
		r.drop()
		if routes, _ := r.p.RouteCount(); routes != 100002 {
			b.Fatalf("%d routes", routes)
		}
		b.ReportMetric(float64(heap()-before)/1e6, "MB")
		runtime.KeepAlive(r)
	}
}

// BenchmarkRPF measures a look-up among 100,000 routes.
func BenchmarkRPF(b *testing.B) {
	r := newRig(b)
	r.set(lan(1))
	r.run(time.Second)
	from := r.peer(1, 9)
	for _, m := range packets(b, 100000, 3) {
		r.receiveBytes(1, from.addr, allRouters, m)
	}
	b.ReportAllocs()
	i := uint32(0)
	for b.Loop() {
		i += 7919
		if _, ok := r.p.RPF(netipPrefix(10<<24+i%100000<<8+1, 32).Addr()); !ok {
			b.Fatal("no route")
		}
	}
}
