package sim

import (
	"testing"
	"time"
)

// staleTime is for how long routers may believe what is not so any more after a packet
// got lost: until the table was told twice, and some.
const staleTime = 2*time.Minute + 10*time.Second

// Hundreds of routers live through a hundred faults. While no packets get lost there is
// no loop at any time; if some do, none outlives the next two reports of the whole
// table: the first one may get lost, too. When all is over every router has the shortest
// ways, and every member gets every packet once.
func TestHundredFaults(t *testing.T) {
	size, faults := 500, 100
	if underRace {
		size, faults = 25, 10
	}
	start := time.Now()
	n := twice(t, 1, func(n *Network) {
		n.AddRandom(size, 2.6)
		for _, l := range n.Links() {
			for _, e := range l.ends {
				e.state.RexmitPrunes = true
			}
		}
		populate(n, 6, 20)
		// Of the other networks some only: to track all makes the test take nearly half as
		// long again. TestFaults tracks all of its networks.
		for range 10 {
			n.Track(n.transit().Prefix())
		}
		n.Settle(5 * time.Minute)
		n.Measure(time.Second)
		n.RunUntil(n.Disturb(Faults{Count: faults / 2, Every: time.Second, Longest: 10 * time.Second, NoLoss: true}))
		n.Settle(5 * time.Minute)
		n.Measure(time.Second)
		n.CheckRoutes()
		n.MaxLoop = staleTime
		n.RunUntil(n.Disturb(Faults{Count: faults - faults/2, Every: time.Second, Longest: 10 * time.Second}))
		n.Run(staleTime)
		n.Settle(5 * time.Minute)
		n.Measure(time.Second)
		n.CheckRoutes()
	})
	loops, longest := n.Loops()
	t.Logf("%v for two runs of %v of virtual time; %d loops, the longest %v", time.Since(start), n.Now(), loops, longest)
}

// Small networks of many shapes and seeds live through faults without loss: no loop at
// any time.
func TestFaults(t *testing.T) {
	seeds := uint64(40)
	if underRace {
		seeds = 2
	}
	for seed := range seeds {
		twice(t, seed, func(n *Network) {
			n.AddRandom(12+int(seed%10), 2.7)
			populate(n, 3, 5)
			for _, l := range n.Links() {
				n.Track(l.Prefix())
			}
			n.Settle(5 * time.Minute)
			n.RunUntil(n.Disturb(Faults{Count: 8, Every: time.Second, Longest: 8 * time.Second, NoLoss: true}))
			n.Settle(5 * time.Minute)
			n.Measure(time.Second)
			n.CheckRoutes()
		})
	}
}

// Routers that tell their changes every five seconds only are among the others: a loop
// does not outlive their next two updates.
func TestFaultsLegacy(t *testing.T) {
	seeds := uint64(10)
	if underRace {
		seeds = 1
	}
	for seed := range seeds {
		twice(t, seed, func(n *Network) {
			for i, r := range n.AddRandom(16, 2.7) {
				if i%3 == 0 {
					r.SetLegacy()
				}
			}
			populate(n, 2, 4)
			n.Settle(5 * time.Minute)
			n.Measure(time.Second)
			n.RunUntil(n.Disturb(Faults{Count: 6, Every: 5 * time.Second, Longest: 30 * time.Second, NoLoss: true}))
			n.Run(45 * time.Second) // what legacy routers need to miss each other
			n.Settle(5 * time.Minute)
			n.Measure(time.Second)
		})
	}
}

// When sources, members and routers are gone for long enough, nothing is left of them.
func TestExpiry(t *testing.T) {
	size := 15
	if underRace {
		size = 6
	}
	twice(t, 1, func(n *Network) {
		routers := n.AddRandom(size, 3)
		populate(n, 4, 6)
		n.Settle(5 * time.Minute)
		n.Run(10 * time.Minute)
		for _, f := range n.flows {
			f.Stop()
		}
		for _, h := range n.hosts {
			h.Leave(group)
		}
		for _, r := range routers[:size/3] {
			r.Stop()
		}
		n.Run(5 * time.Hour)
		n.CheckExpired()
	})
}
