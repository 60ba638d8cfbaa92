package sim

import (
	"runtime"
	"testing"
	"time"

	"mbone/internal/router"
)

// A day passes in a small network in which flows, members, links and routers come and
// go: nothing grows, and when it is quiet every member gets everything once.
func TestDay(t *testing.T) {
	hours := 24
	if underRace {
		hours = 2
	}
	twice(t, 1, func(n *Network) {
		n.MaxLoop = staleTime
		top, left, right, bottom := n.AddDiamond()
		shared := n.AddLAN(left, right, n.AddRouter())
		n.AddTunnel(top, bottom, true)
		n.AddHost(shared)
		for i, r := range n.Routers() {
			h := n.AddHost(n.AddLAN(r))
			h.Version = uint8(2 + i%2)
			for g := range uint32(3) {
				h.Send(address(number(group)+g), 3*time.Second)
			}
		}
		// The most that any router kept in the first hours, when everything that happens
		// has happened some times, and what was in use.
		var largest router.Size
		var memory uint64
		for hour := range hours {
			n.hour()
			n.RunUntil(time.Duration(hour+1) * time.Hour)
			var now router.Size
			n.CheckBounds()
			for _, r := range n.Routers() {
				now = most(now, r.Size())
			}
			if hour < max(1, hours/4) {
				largest, memory = most(largest, now), max(memory, inUse())
			} else if !within(&now, &largest) {
				n.fail("after %d hours a router keeps %+v, in the first ones it was %+v", hour+1, now, largest)
			}
			if n.failed > 0 {
				return
			}
		}
		if now := inUse(); now > memory+memory/4+1<<20 {
			n.fail("%d bytes are in use after %d hours, %d in the first ones", now, hours, memory)
		}
	})
}

// hour is what happens in 50 minutes: faults, until all is quiet again.
func (n *Network) hour() {
	n.RunUntil(n.Disturb(Faults{Count: 20, Every: 2 * time.Minute, Longest: 5 * time.Minute}))
	n.Run(staleTime)
	n.Settle(10 * time.Minute)
	n.Measure(10 * time.Second)
	n.story = nil
}

// most returns the larger of each.
func most(a, b router.Size) router.Size {
	return router.Size{
		Neighbors: max(a.Neighbors, b.Neighbors), Routes: max(a.Routes, b.Routes), Reports: max(a.Reports, b.Reports),
		Groups: max(a.Groups, b.Groups), Sources: max(a.Sources, b.Sources), Entries: max(a.Entries, b.Entries),
		Flows: max(a.Flows, b.Flows), Prunes: max(a.Prunes, b.Prunes), Timers: max(a.Timers, b.Timers),
	}
}

// within reports whether a is little more than b at most: what is there at a moment is
// chance.
func within(a, b *router.Size) bool {
	little := func(x, y int) bool { return x <= y+y/2+4 }
	return little(a.Neighbors, b.Neighbors) && little(a.Routes, b.Routes) && little(a.Reports, b.Reports) &&
		little(a.Groups, b.Groups) && little(a.Sources, b.Sources) && little(a.Entries, b.Entries) &&
		little(a.Flows, b.Flows) && little(a.Prunes, b.Prunes) && little(a.Timers, b.Timers)
}

// inUse returns how many bytes are in use.
func inUse() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
