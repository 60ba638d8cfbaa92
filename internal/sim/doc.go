// Package sim is a network in memory with a clock of its own: routers (the engine
// of mroutd), hosts that send and join groups, and links between them, with
// whatever can go wrong there. It is the other host of the engine beside Linux: a
// minute of the protocol takes milliseconds, and what happens is a function of the
// seed alone.
//
//	n := sim.New(1)
//	a, b := n.AddRouter(), n.AddRouter()
//	wire := n.AddPointToPoint(a, b)
//	sender, member := n.AddHost(n.AddLAN(a)), n.AddHost(n.AddLAN(b))
//	n.At(time.Second, func() { member.Join(group) })
//	n.At(10*time.Second, wire.Cut)
//	n.At(20*time.Second, wire.Restore)
//	n.Settle(time.Minute)
//	n.Measure(time.Second)
//	failures := n.Failures()
//
// What must hold is checked while the network runs (see [Network.Track] and
// [Network.CheckBounds]) or when it is quiet ([Network.Measure],
// [Network.CheckExpired]); each failure names seed, time and routers. Nothing depends
// on the order of maps or on real time: [Network.Digest] is the same in every run.
package sim
