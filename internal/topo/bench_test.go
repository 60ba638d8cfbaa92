package topo_test

import (
	"math/rand/v2"
	"runtime"
	"testing"

	"mbone/internal/ask"
	"mbone/internal/topo"
)

// BenchmarkBuild makes maps of the answers of 5,000 and 50,000 routers: the time
// and memory of one router should be the same in both.
func BenchmarkBuild(b *testing.B) {
	for _, size := range []struct {
		name    string
		routers int
	}{{"5000", 5_000}, {"50000", 50_000}} {
		b.Run(size.name, func(b *testing.B) {
			n, _ := random(rand.New(rand.NewPCG(1, 5)), plan{routers: size.routers, old: 0.1, oneWay: 0.01})
			var answers []ask.NeighborsAnswer
			for _, r := range n.routers {
				answers = append(answers, r.answer(r.records[0].Local))
			}
			runtime.GC()
			b.ReportAllocs()
			for b.Loop() {
				if m := topo.FromAnswers(answers); len(m.Routers) < size.routers {
					b.Fatalf("%d routers", len(m.Routers))
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(size.routers), "ns/router")
		})
	}
}

// BenchmarkRun crawls 50,000 routers that answer at once: what is measured is the
// crawl itself.
func BenchmarkRun(b *testing.B) {
	n, _ := random(rand.New(rand.NewPCG(1, 5)), plan{routers: 50_000, old: 0.1})
	n.index()
	for b.Loop() {
		n.asked = nil
		m, err := topo.Run(b.Context(), n, start(n))
		if err != nil || len(m.Routers) != 50_000 {
			b.Fatal(err, len(m.Routers))
		}
		b.ReportMetric(float64(len(n.asked))/50_000, "questions/router")
	}
}
