package sim

import (
	"net/netip"
	"runtime"
	"testing"
	"time"

	"mbone/internal/router/host"
)

// Thousands of routers that are all started at once learn 200 networks, and one link is
// cut. The networks between the routers are not passed on, as an operator of so many
// would have it.
func BenchmarkRouters(b *testing.B) {
	for _, c := range []struct {
		name string
		size int
	}{{"500", 500}, {"5000", 5000}} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				benchmarkRouters(b, c.size)
			}
		})
	}
}

func benchmarkRouters(b *testing.B, size int) {
	const networks, senders, members = 200, 3, 10
	n := New(1)
	before := inUse()
	n.AddRandom(size, 2.4)
	between := host.Filter{Deny: true, Routes: []host.FilterRoute{{Prefix: netip.MustParsePrefix("10.0.0.0/8")}}}
	for _, l := range n.Links() {
		for _, e := range l.ends {
			e.state.Filter = between
		}
	}
	n.space = number(netip.MustParseAddr("172.16.0.0"))
	for range networks - senders - members {
		n.AddLAN(n.pick(n.Routers(), 1)...)
	}
	populate(n, senders, members)
	start := time.Now()
	n.Run(15 * time.Second)
	n.cutOne(5 * time.Second)
	n.Run(10 * time.Second)
	n.Measure(time.Second)
	took := time.Since(start)
	for _, f := range n.Failures() {
		b.Error(f)
	}
	routes := 0
	for _, r := range n.Routers() {
		routes += r.Size().Routes
	}
	b.ReportMetric(took.Seconds()/n.Now().Seconds(), "s/virtual-s")
	b.ReportMetric(float64(routes)/float64(size), "routes/router")
	b.ReportMetric(float64(inUse()-before)/float64(size)/1024, "KB/router")
	runtime.KeepAlive(n)
}
