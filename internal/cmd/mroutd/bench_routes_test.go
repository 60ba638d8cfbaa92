package mroutd

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"mbone/internal/lab"
	"mbone/internal/peers"
)

// BenchmarkRoutes tells a router routes on one link, and measures until a fast
// neighbour on another has been told all of them, if it ever has.
func BenchmarkRoutes(b *testing.B) {
	for _, routes := range []int{10_000, 50_000} {
		b.Run(fmt.Sprint(routes), func(b *testing.B) {
			for b.Loop() {
				seconds, lost := make(map[string]float64), make(map[string]float64)
				for _, k := range kinds() {
					took, missing := passOn(b, k, routes)
					seconds[k.name], lost[k.name] = took.Seconds(), float64(missing)
					if missing > 0 && k.name == ours.name {
						b.Errorf("mroutd lost %d routes", missing)
					}
				}
				compare(b, seconds, "s")
				compare(b, lost, "lost")
			}
		})
	}
}

// passOn measures one router. After the time that mrouted needs for half of them
// those that are missing are lost.
func passOn(b *testing.B, k kind, routes int) (took time.Duration, lost int) {
	const enough = 30 * time.Second
	l := star(b, 2)
	defer l.Close()
	k.start(b, l.Host("router"))
	from, to := newNeighbor(b, l.Host("host1").Wire("eth0")), newNeighbor(b, l.Host("host2").Wire("eth0"))
	defer from.leave()
	defer to.leave()
	from.meet(1)
	to.meet(1)
	own := 1 // net1
	if !to.await(benchPatience, func() bool { return to.reached == own }) {
		b.Fatalf("%s: %d routes before any was told", k.name, to.reached)
	}
	calm(b, l.Host("router"))
	began := time.Now()
	from.report(networks(routes, 1))
	to.await(enough, func() bool { return to.reached >= own+routes })
	to.mu.Lock()
	defer to.mu.Unlock()
	return to.when.Sub(began), own + routes - to.reached
}

// BenchmarkRoutesToMrouted has a live mrouted learn 10,000 routes through mroutd.
func BenchmarkRoutesToMrouted(b *testing.B) {
	lab.PeerBinary(b, peers.MroutedVariable)
	const routes = 10_000
	for b.Loop() {
		l := star(b, 2)
		ours.start(b, l.Host("router"))
		attach(b, l, "host2", "net9", "10.0.9.1/24")
		theirs.start(b, l.Host("host2"))
		from := newNeighbor(b, l.Host("host1").Wire("eth0"))
		from.meet(1)
		peers.MroutedRoutes(b, l.Host("host2"), 3)
		began := time.Now()
		from.report(networks(routes, 1))
		peers.MroutedRoutes(b, l.Host("host2"), 3+routes)
		b.ReportMetric(time.Since(began).Seconds(), "s")
		b.ReportMetric(0, "ns/op")
		from.leave()
		must(b, l.Close())
	}
}

// attach gives a host another link: mrouted needs two.
func attach(b *testing.B, l *lab.Lab, host, lan, address string) {
	n, err := l.AddLAN(lan, 0)
	must(b, err)
	_, err = l.Host(host).Attach(n, "eth9", netip.MustParsePrefix(address))
	must(b, err)
}

// BenchmarkChain starts six routers in a row at once, and measures until both ends
// know all networks.
func BenchmarkChain(b *testing.B) {
	const routers = 6
	for b.Loop() {
		seconds := make(map[string]float64)
		for _, k := range kinds() {
			seconds[k.name] = timeChain(b, k, routers).Seconds()
		}
		compare(b, seconds, "s")
	}
}

// row is a lab of routers r0, r1 ... in a row, between the hosts first (10.0.0.1) and
// last (10.0.n.1).
func row(b *testing.B, routers int) *lab.Lab {
	b.Helper()
	var text strings.Builder
	for n := range routers + 1 {
		fmt.Fprintf(&text, "lan net%d\n", n)
	}
	fmt.Fprintf(&text, "host first\ninterface eth0 on net0 10.0.0.1/24\nhost last\ninterface eth0 on net%d 10.0.%d.1/24\n", routers, routers)
	for n := range routers {
		fmt.Fprintf(&text, "host r%d\ninterface eth0 on net%d 10.0.%d.2/24\ninterface eth1 on net%d 10.0.%d.3/24\n", n, n, n, n+1, n+1)
	}
	return lab.Start(b, text.String())
}

func timeChain(b *testing.B, k kind, routers int) time.Duration {
	l := row(b, routers)
	defer l.Close()
	ends := []*neighbor{newNeighbor(b, l.Host("first").Wire("eth0")), newNeighbor(b, l.Host("last").Wire("eth0"))}
	for _, end := range ends {
		defer end.leave()
	}
	began := time.Now()
	started := make(chan struct{})
	for n := range routers {
		go func() {
			defer func() { started <- struct{}{} }()
			k.start(b, l.Host(fmt.Sprintf("r%d", n)))
		}()
	}
	var took time.Duration
	for _, end := range ends {
		if !end.await(benchPatience, func() bool { return end.reached == routers }) {
			b.Fatalf("%s: %v was told %d networks, want %d", k.name, end.addr, end.reached, routers)
		}
		end.mu.Lock()
		took = max(took, end.when.Sub(began))
		end.mu.Unlock()
	}
	for range routers {
		<-started
	}
	return took
}
