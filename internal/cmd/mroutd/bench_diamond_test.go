package mroutd

import (
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"mbone/internal/lab"
	"mbone/internal/peers"
)

// diamond has two ways from a source to a receiver. r4 takes that by r2, since its
// link to r3 has metric 2.
//
//	               netA      netC
//	            +------ r2 ------+
//	source -- r1                 r4 -- receiver
//	    net0    +------ r3 ------+     net5
//	               netB      netD
const diamond = `
lan net0
lan netA
lan netB
lan netC
lan netD
lan net5
host source
  interface eth0 on net0 10.0.0.1/24
host r1
  interface eth0 on net0 10.0.0.254/24
  interface eth1 on netA 10.0.1.1/24
  interface eth2 on netB 10.0.2.1/24
host r2
  interface eth0 on netA 10.0.1.2/24
  interface eth1 on netC 10.0.3.2/24
host r3
  interface eth0 on netB 10.0.2.3/24
  interface eth1 on netD 10.0.4.3/24
host r4
  interface eth0 on netC 10.0.3.4/24
  interface eth1 on netD 10.0.4.4/24
  interface eth2 on net5 10.0.5.254/24
host receiver
  interface eth0 on net5 10.0.5.1/24
`

// crew says which program each router of the diamond is.
type crew struct {
	name  string
	kinds map[string]kind
	fast  bool // probes ten times a second
}

func crewOf(name string, outer, inner kind, fast bool) crew {
	return crew{name, map[string]kind{"r1": outer, "r2": inner, "r3": inner, "r4": outer}, fast}
}

// BenchmarkDiamond sends 1,000 packets a second over the diamond, breaks the way that
// they take, and measures how long the receiver hears nothing. What is lost before
// the way is there again is the same number in milliseconds.
func BenchmarkDiamond(b *testing.B) {
	crews := []crew{crewOf("mroutd", ours, ours, false), crewOf("fast", ours, ours, true)}
	if os.Getenv(peers.MroutedVariable) != "" {
		crews = append(crews, crewOf("mixed", ours, theirs, false), crewOf("mrouted", theirs, theirs, false))
	}
	for _, accident := range []struct {
		name   string
		happen func(l *lab.Lab, c crew, running map[string]*lab.Cmd)
	}{
		// The carrier goes at both ends.
		{"last link down", func(l *lab.Lab, _ crew, _ map[string]*lab.Cmd) {
			must(b, l.Host("r4").Wire("eth0").SetCarrier(false))
			must(b, l.Host("r2").Wire("eth1").SetCarrier(false))
		}},
		{"first link down", func(l *lab.Lab, _ crew, _ map[string]*lab.Cmd) {
			must(b, l.Host("r2").Wire("eth0").SetCarrier(false))
			must(b, l.Host("r1").Wire("eth1").SetCarrier(false))
		}},
		// Packets get lost, and nobody is told.
		{"link silent", func(l *lab.Lab, _ crew, _ map[string]*lab.Cmd) {
			must(b, l.Host("r2").Wire("eth1").Cut())
		}},
		{"router killed", func(l *lab.Lab, c crew, running map[string]*lab.Cmd) {
			running["r2"].Kill()
			time.Sleep(time.Second)
			c.start(b, l, "r2")
		}},
	} {
		b.Run(accident.name, func(b *testing.B) {
			for b.Loop() {
				silence := make(map[string]float64)
				for _, c := range crews {
					silence[c.name] = breakDiamond(b, c, accident.happen).Seconds()
				}
				for _, c := range crews {
					b.ReportMetric(silence[c.name], c.name+"-s")
				}
				b.ReportMetric(0, "ns/op")
			}
		})
	}
}

// start starts a router of the crew.
func (c crew) start(b *testing.B, l *lab.Lab, name string) *lab.Cmd {
	h := l.Host(name)
	var conf []string
	for _, w := range h.Wires() {
		line := "phyint " + w.Interface
		if name == "r4" && w.LAN.Name == "netD" {
			line += " metric 2"
		}
		if c.fast {
			line += " probe-interval 0.1"
		}
		conf = append(conf, line)
	}
	return c.kinds[name].start(b, h, conf...)
}

func breakDiamond(b *testing.B, c crew, happen func(*lab.Lab, crew, map[string]*lab.Cmd)) time.Duration {
	const (
		every   = time.Millisecond
		steady  = 2 * time.Second  // after so long without a gap it is over
		longest = 75 * time.Second // that anything may take: mrouted's worst is 59 s
	)
	l := lab.Start(b, diamond)
	defer l.Close()
	running := make(map[string]*lab.Cmd)
	for _, name := range []string{"r1", "r2", "r3", "r4"} {
		running[name] = c.start(b, l, name)
	}
	source, group := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("239.1.2.3")
	e := listen(b, l.Host("receiver"), "eth0", 5000, group)
	g := udpGun(b, l.Host("source"), "eth0", 5000)
	// Everybody is to know both ways first.
	end := newNeighbor(b, l.Host("receiver").Wire("eth0"))
	defer end.leave()
	end.meet(1)
	if !end.await(benchPatience, func() bool { return end.reached == 5 }) {
		b.Fatalf("%s: %d networks are known at the end", c.name, end.reached)
	}
	time.Sleep(steadyBefore(c))
	calm(b, l.Host("r1"))

	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		pace(int(time.Second/every), stop, func(int) {
			g.stamp(time.Now())
			must(b, g.fire(source, group))
		})
	}()
	defer func() {
		close(stop)
		<-stopped
	}()
	came := 0
	lab.Until(b, benchPatience, func() error {
		if came = e.heard(came); came < int(steady/every) {
			return fmt.Errorf("%s: %d packets have come", c.name, came)
		}
		return nil
	})
	lab.Until(b, benchPatience, func() error {
		entries, err := peers.Entries(l.Host("r4"))
		if in := entries[peers.Flow{Source: source, Group: group}].In; err == nil && in != "eth0" {
			err = fmt.Errorf("%s: packets come to r4 by %q, want eth0", c.name, in)
		}
		return err
	})
	came = e.heard(came)
	before := came
	began := time.Now()
	happen(l, c, running)
	var silence, recovered time.Duration
	last := e.arrivals[before-1].came
	for now := began; now.Sub(began) < longest; now = time.Now() {
		time.Sleep(10 * time.Millisecond)
		from := came
		came = e.heard(came)
		for _, a := range e.arrivals[from:came] {
			gap := a.came.Sub(last)
			silence, last = max(silence, gap), a.came
			if gap > 20*every {
				recovered = a.came.Sub(began)
			}
		}
		if now.Sub(last) < steady/2 && now.Sub(began)-recovered > steady {
			break
		}
	}
	return max(silence, time.Since(last))
}

// steadyBefore is how long the neighbours need to know what each other is.
func steadyBefore(c crew) time.Duration {
	if strings.HasPrefix(c.name, "mrouted") || c.name == "mixed" {
		return 12 * time.Second
	}
	return 4 * time.Second
}
