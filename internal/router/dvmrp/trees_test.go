package dvmrp

import (
	"bytes"
	"net/netip"
	"testing"
	"time"

	"mbone/internal/router/host"
	"mbone/internal/router/mfc"
	"mbone/proto/dvmrp"
)

func pointToPoint(l *host.Link) { l.PointToPoint, l.RexmitPrunes = true, true }

// The rows of the table of section 12 of the protocol's sheet, "Forwarding tree
// and prune/graft": first those about outgoing links.

func TestOutputs(t *testing.T) {
	t.Run("leaf", func(t *testing.T) {
		f := grown(t, nil)
		f.wantPacket(1, "[]")
	})
	t.Run("members", func(t *testing.T) {
		f := grown(t, nil)
		f.join(3, true)
		f.wantPacket(1, "[3]")
	})
	t.Run("dependent", func(t *testing.T) {
		f := grown(t, nil)
		f.depend(2, 5)
		f.wantPacket(1, "[2]")
	})
	t.Run("neighbour that does not depend", func(t *testing.T) {
		f := grown(t, nil)
		f.peer(2, 5)
		f.report(2, 5, "10.0.0.0/8", 5)
		f.wantPacket(1, "[]")
	})
	t.Run("neighbour that has said nothing yet", func(t *testing.T) {
		f := grown(t, nil)
		f.peer(2, 5)
		f.wantPacket(1, "[2]")
	})
	t.Run("another designated forwarder", func(t *testing.T) {
		f := grown(t, nil)
		f.join(2, true)
		f.depend(2, 5)
		f.wantPacket(1, "[2]")
		f.peer(2, 6)
		f.report(2, 6, "10.0.0.0/8", 1)
		f.wantPacket(1, "[]")
		f.report(2, 6, "10.0.0.0/8", 32)
		f.wantPacket(1, "[2]")
	})
	t.Run("scoped", func(t *testing.T) {
		f := grown(t, func(l *host.Link) {
			if l.ID == 2 {
				l.Boundaries = append(l.Boundaries, net("224.2.0.0/16"))
			}
		})
		f.depend(2, 5)
		f.depend(3, 5)
		f.wantPacket(1, "[3]")
		f.prune(2, 5, time.Hour)
		if n := f.p.TreeStats(); n.PrunesTaken != 0 || n.PrunesIgnored != 1 {
			t.Errorf("a prune from beyond a boundary was taken: %+v", n)
		}
	})
	t.Run("no route", func(t *testing.T) {
		f := newForest(t, nil)
		f.wantPacket(1, "[]")
		f.wantSent()
	})
	t.Run("directly connected", func(t *testing.T) {
		f := newForest(t, nil)
		if r, ok := f.p.RPF(addr("192.168.2.77")); !ok || r.In != 2 || r.Gateway.IsValid() {
			t.Errorf("packets of a connected source come from %+v", r)
		}
	})
}

func TestPruneSent(t *testing.T) {
	t.Run("no outputs", func(t *testing.T) {
		f := grown(t, nil)
		f.packet(1)
		m := f.wantSent("prune to 192.168.1.2")
		within(t, "lifetime", m[0].lifetime, 3600*time.Second, 10800*time.Second)
		f.packet(1)
		f.wantSent()
	})
	t.Run("jitter", func(t *testing.T) {
		low, high := 10*time.Hour, time.Duration(0)
		f := grown(t, nil)
		for range 20 {
			f.packet(1)
			d := f.wantSent("prune to 192.168.1.2")[0].lifetime
			low, high = min(low, d), max(high, d)
			f.run(d + time.Second)
		}
		within(t, "shortest", low, 3600*time.Second, 5400*time.Second)
		within(t, "longest", high, 9000*time.Second, 10800*time.Second)
	})
	t.Run("not longer than those downstream", func(t *testing.T) {
		f := grown(t, nil)
		f.depend(2, 5)
		f.depend(3, 5)
		f.packet(1)
		f.prune(2, 5, 1000*time.Second)
		f.run(100 * time.Second)
		f.prune(3, 5, 2000*time.Second)
		m := f.wantSent("prune to 192.168.1.2")
		within(t, "lifetime", m[0].lifetime, 899*time.Second, 900*time.Second)
	})
	t.Run("not if it is too short", func(t *testing.T) {
		f := grown(t, nil)
		f.depend(2, 5)
		f.packet(1)
		f.prune(2, 5, 6*time.Second)
		f.wantSent("prune to 192.168.1.2")
		f = grown(t, nil)
		f.depend(2, 5)
		f.depend(3, 5)
		f.packet(1)
		f.prune(2, 5, 6*time.Second)
		f.run(2 * time.Second)
		f.prune(3, 5, 600*time.Second)
		f.wantSent() // four seconds are left of the other
		f.packet(1)
		f.prune(2, 5, 500*time.Second)
		f.packet(1)
		f.wantSent("prune to 192.168.1.2")
	})
	t.Run("not to connected sources", func(t *testing.T) {
		f := newForest(t, nil)
		f.cache.Upcall(f.now, &host.Upcall{Kind: host.NoCache, Interface: 2, Source: addr("192.168.2.77"), Group: theGroup})
		f.flush()
		f.wantSent()
	})
	t.Run("not for a packet on a wrong link", func(t *testing.T) {
		f := grown(t, nil)
		f.wantPacket(2, "wrong link")
		f.run(10 * time.Second)
		f.wantSent()
		f.packet(1)
		f.run(30 * time.Second)
		f.wantSent("prune to 192.168.1.2")
	})
	for _, v := range []struct {
		name         string
		major, minor uint8
		prunes       bool
	}{
		{"mrouted 2.2", 2, 2, false}, {"mrouted 3.4", 3, 4, true}, {"IOS 10.3", 10, 3, false}, {"IOS 12.2", 12, 2, true},
	} {
		t.Run("to "+v.name, func(t *testing.T) {
			f := newForest(t, func(l *host.Link) { l.AllowNonpruners = true })
			version := dvmrp.Version{Capabilities: dvmrp.CapPrune, Minor: v.minor, Major: v.major}
			f.peerOf(1, 2, version, 7)
			f.receive(1, 2, &dvmrp.Report{Version: version, Routes: []dvmrp.Route{{Prefix: net("10.0.0.0/8"), Metric: 1}}})
			f.run(2 * time.Second)
			f.wantPacket(1, "[]")
			if v.prunes {
				f.wantSent("prune to 192.168.1.2")
			} else {
				f.wantSent()
			}
		})
	}
}

func TestPruneReceived(t *testing.T) {
	t.Run("stops the link, and prunes upstream", func(t *testing.T) {
		f := grown(t, nil)
		f.depend(2, 5)
		f.wantPacket(1, "[2]")
		f.prune(2, 5, time.Hour)
		f.wantPacket(1, "[]")
		f.wantSent("prune to 192.168.1.2")
	})
	t.Run("waits for all dependents", func(t *testing.T) {
		f := grown(t, nil)
		f.depend(2, 5)
		f.depend(2, 6)
		f.packet(1)
		f.prune(2, 6, time.Hour)
		f.wantPacket(1, "[2]")
		f.wantSent()
		f.prune(2, 5, time.Hour)
		f.wantPacket(1, "[]")
	})
	t.Run("members stay", func(t *testing.T) {
		f := grown(t, nil)
		f.depend(2, 5)
		f.join(2, true)
		f.packet(1)
		f.prune(2, 5, time.Hour)
		f.wantPacket(1, "[2]")
		f.wantSent()
		f.join(2, false)
		f.wantPacket(1, "[]")
		f.wantSent("prune to 192.168.1.2")
	})
	t.Run("for what is not known", func(t *testing.T) {
		f := grown(t, nil)
		f.depend(2, 5)
		f.prune(2, 5, time.Hour)
		f.wantPacket(1, "[2]")
		if f.p.TreeStats().PrunesIgnored != 1 {
			t.Error("it was taken")
		}
	})
	t.Run("from who does not depend", func(t *testing.T) {
		f := grown(t, nil)
		f.depend(2, 5)
		f.peer(2, 6)
		f.report(2, 6, "10.0.0.0/8", 9)
		f.packet(1)
		f.prune(2, 6, time.Hour)
		f.prune(2, 9, time.Hour) // no neighbour
		f.prune(1, 2, time.Hour) // upstream
		if n := f.p.TreeStats(); n.PrunesTaken != 0 || n.Received != 0 {
			t.Errorf("it was taken: %+v", n)
		}
	})
	t.Run("too short", func(t *testing.T) {
		f := grown(t, nil)
		f.depend(2, 5)
		f.packet(1)
		f.prune(2, 5, 5*time.Second)
		f.wantPacket(1, "[2]")
	})
	t.Run("replaces the one before", func(t *testing.T) {
		f := grown(t, nil)
		f.depend(2, 5)
		f.packet(1)
		f.prune(2, 5, 100*time.Second)
		f.prune(2, 5, 1000*time.Second)
		f.run(500 * time.Second)
		f.wantPacket(1, "[]")
		f.prune(2, 5, 20*time.Second)
		f.run(21 * time.Second)
		f.wantPacket(1, "[2]")
		if n := f.p.TreeStats().Received; n != 0 {
			t.Errorf("%d prunes are kept", n)
		}
	})
	t.Run("with a host instead of the network", func(t *testing.T) {
		f := grown(t, nil)
		f.depend(2, 5)
		f.packet(1)
		f.receive(2, 5, &dvmrp.Prune{Version: dvmrp.Mrouted, Source: addr("10.77.1.1"), Group: theGroup, Lifetime: time.Hour})
		f.wantPacket(1, "[]")
	})
	t.Run("with a netmask", func(t *testing.T) {
		v := dvmrp.Mrouted
		v.Capabilities |= dvmrp.CapNetmask
		f := grown(t, nil)
		f.depend(2, 5)
		f.packet(1)
		f.receive(2, 5, &dvmrp.Prune{Version: v, Source: addr("10.0.0.0"), Group: theGroup, Lifetime: time.Hour, Mask: addr("255.255.0.0")})
		f.wantPacket(1, "[2]")
		f.receive(2, 5, &dvmrp.Prune{Version: v, Source: addr("10.0.0.0"), Group: theGroup, Lifetime: time.Hour, Mask: addr("255.0.0.0")})
		f.wantPacket(1, "[]")
	})
	t.Run("for a network with the address of a more specific one", func(t *testing.T) {
		f := grown(t, nil)
		f.report(1, 2, "10.0.0.0/16", 1)
		f.depend(2, 5)
		f.packet(1)
		f.prune(2, 5, time.Hour) // nothing is known of 10.0.0.0/16
		f.wantPacket(1, "[]")
	})
	t.Run("bound", func(t *testing.T) {
		f := grown(t, nil)
		var log bytes.Buffer
		f.p.logTo(&log)
		f.p.settings.Limits.Prunes = 1
		f.depend(2, 5)
		f.depend(3, 5)
		f.packet(1)
		f.prune(2, 5, time.Hour)
		f.prune(3, 5, time.Hour)
		f.prune(3, 5, time.Hour)
		f.prune(2, 5, 2*time.Hour)
		f.wantPacket(1, "[3]")
		if n := f.p.TreeStats(); n.Received != 1 || n.PrunesRefused != 2 || n.PrunesTaken != 2 {
			t.Errorf("counted %+v", n)
		}
		const message = "too many prunes: a new one is ignored"
		wantErrors(t, &log, message, 1)
		f.run(alarmInterval)
		f.prune(3, 5, time.Hour)
		wantErrors(t, &log, message, 2)
	})
	t.Run("ends", func(t *testing.T) {
		f := grown(t, nil)
		f.depend(2, 5)
		f.packet(1)
		f.prune(2, 5, 100*time.Second)
		f.wantSent("prune to 192.168.1.2")
		f.run(99 * time.Second)
		f.wantPacket(1, "[]")
		f.run(2 * time.Second)
		f.wantPacket(1, "[2]")
	})
	t.Run("ends while our own runs", func(t *testing.T) {
		f := grown(t, nil)
		f.depend(2, 5)
		f.packet(1)
		f.prune(2, 5, 1000*time.Second)
		f.wantSent("prune to 192.168.1.2")
		f.prune(2, 5, 100*time.Second)
		f.run(101 * time.Second)
		f.wantSent("graft to 192.168.1.2")
	})
}

func TestGraftReceived(t *testing.T) {
	t.Run("resumes the link, and grafts upstream", func(t *testing.T) {
		f := grown(t, nil)
		f.depend(2, 5)
		f.packet(1)
		f.prune(2, 5, time.Hour)
		f.wantSent("prune to 192.168.1.2")
		f.graft(2, 5)
		f.wantSent("ack to 192.168.2.5", "graft to 192.168.1.2")
		f.wantPacket(1, "[2]")
	})
	t.Run("of one of two", func(t *testing.T) {
		f := grown(t, nil)
		f.depend(2, 5)
		f.depend(3, 5)
		f.packet(1)
		f.prune(2, 5, time.Hour)
		f.graft(2, 5)
		f.wantSent("ack to 192.168.2.5") // nothing had been pruned upstream
		f.wantPacket(1, "[2 3]")
	})
	t.Run("of what is not known", func(t *testing.T) {
		f := grown(t, nil)
		f.depend(2, 5)
		f.graft(2, 5)
		f.wantSent("ack to 192.168.2.5")
	})
	t.Run("of who is no neighbour", func(t *testing.T) {
		f := grown(t, nil)
		f.graft(2, 200)
		f.wantSent("ack to 192.168.2.200")
	})
	t.Run("of who cannot be on the link", func(t *testing.T) {
		f := grown(t, nil)
		b, _ := (&dvmrp.Graft{Version: dvmrp.Mrouted, Source: addr("10.0.0.0"), Group: theGroup}).AppendBinary(nil)
		f.p.Receive(f.now, &host.Packet{Interface: 2, From: addr("8.8.8.8"), To: router(2, 1), Message: b})
		f.turn()
		f.wantSent()
	})
}

func TestJoinAndLeave(t *testing.T) {
	f := grown(t, nil)
	f.packet(1)
	f.wantSent("prune to 192.168.1.2")
	f.join(3, true)
	f.wantSent("graft to 192.168.1.2")
	f.ack(1, 2)
	f.wantPacket(1, "[3]")
	f.join(3, false)
	f.wantSent("prune to 192.168.1.2")
	f.run(time.Minute)
	f.wantSent()
}

// A graft is repeated after 5 s, and each time twice as long, until it is
// acknowledged by whom it was sent to.
func TestGraftAgain(t *testing.T) {
	f := grown(t, nil)
	f.packet(1)
	f.join(3, true)
	f.wantSent("prune to 192.168.1.2", "graft to 192.168.1.2")
	start := f.now
	f.run(160 * time.Second)
	sent := f.wantSent("graft to 192.168.1.2", "graft to 192.168.1.2", "graft to 192.168.1.2", "graft to 192.168.1.2", "graft to 192.168.1.2")
	for i, want := range []time.Duration{5, 15, 35, 75, 155} {
		if at := sent[i].at - start; at != want*time.Second {
			t.Errorf("graft %d was sent again after %v, want %d s", i+1, at, want)
		}
	}
	f.peer(1, 9)
	f.ack(1, 9) // not the upstream neighbour
	f.run(160 * time.Second)
	f.wantSent("graft to 192.168.1.2")
	f.ack(1, 2)
	f.run(3 * time.Hour)
	f.wantSent()
}

// A graft is not repeated when the prune that it takes back is over.
func TestGraftEnds(t *testing.T) {
	f := grown(t, nil)
	f.packet(1)
	lifetime := f.wantSent("prune to 192.168.1.2")[0].lifetime
	f.run(lifetime - 10*time.Second)
	f.join(3, true)
	f.run(30 * time.Second)
	f.wantSent("graft to 192.168.1.2", "graft to 192.168.1.2")
}

// A prune ends the repeating of a graft.
func TestPruneCancelsGraft(t *testing.T) {
	f := grown(t, nil)
	f.packet(1)
	f.join(3, true)
	f.run(time.Second)
	f.join(3, false)
	f.wantSent("prune to 192.168.1.2", "graft to 192.168.1.2", "prune to 192.168.1.2")
	f.run(10 * time.Minute)
	f.wantSent()
	f.join(3, true)
	f.wantSent("graft to 192.168.1.2")

	// Also where nothing was heard since: the graft may have arrived.
	f = grown(t, pointToPoint)
	f.packet(1)
	f.run(10 * time.Second)
	f.join(3, true)
	f.join(3, false)
	f.wantSent("prune to 192.168.1.2", "graft to 192.168.1.2", "prune to 192.168.1.2")
}

// A prune is sent again where packets come all the same: on links that say so, for
// what is left of its lifetime, at growing intervals.
func TestPruneAgain(t *testing.T) {
	t.Run("point to point", func(t *testing.T) {
		f := grown(t, pointToPoint)
		f.packet(1)
		first := f.wantSent("prune to 192.168.1.2")[0]
		last, delay := first.at, 3*time.Second
		for range 6 {
			for len(f.sent) == 0 {
				f.run(100 * time.Millisecond)
				f.packet(1)
			}
			m := f.wantSent("prune to 192.168.1.2")[0]
			within(t, "interval", m.at-last, delay/2-time.Millisecond, delay*3/2+200*time.Millisecond)
			within(t, "lifetime", m.lifetime, first.at+first.lifetime-m.at-time.Second*7, first.at+first.lifetime-m.at)
			last, delay = m.at, 2*delay
		}
	})
	t.Run("without packets", func(t *testing.T) {
		f := grown(t, pointToPoint)
		f.packet(1)
		f.wantSent("prune to 192.168.1.2")
		f.run(30 * time.Minute)
		f.wantSent()
		if len(f.kernel) > 0 {
			t.Error("the kernel would not ask")
		}
	})
	t.Run("LAN", func(t *testing.T) {
		// Only when a look at the counters, every five minutes or so, says that they
		// come: others may want them there.
		f := grown(t, nil)
		f.packet(1)
		first := f.wantSent("prune to 192.168.1.2")[0]
		for range 3000 {
			f.run(time.Second)
			f.packet(1)
		}
		if n := len(f.sent); n < 3000/460 || n > 3000/149 {
			t.Errorf("sent %d prunes again in 3000 s", n)
		}
		for _, m := range f.sent {
			within(t, "end of the prune", m.at+m.lifetime, first.at+first.lifetime-time.Minute, first.at+first.lifetime)
		}
	})
}

// When a prune is over, the next packet leads to another, and not before.
func TestPruneEnds(t *testing.T) {
	f := grown(t, nil)
	f.packet(1)
	lifetime := f.wantSent("prune to 192.168.1.2")[0].lifetime
	f.run(lifetime - time.Second)
	f.packet(1)
	f.run(3 * time.Second)
	f.wantSent()
	if len(f.kernel) > 0 {
		t.Error("the kernel would not ask")
	}
	f.packet(1)
	f.wantSent("prune to 192.168.1.2")
}

// A short prune may not arrive, and leave a longer one in force that was sent before.
func TestPruneThatDoesNotArrive(t *testing.T) {
	f := grown(t, nil)
	f.packet(1)
	f.wantSent("prune to 192.168.1.2") // for an hour at least
	f.depend(2, 5)
	f.prune(2, 5, 100*time.Second)
	f.wantSent("graft to 192.168.1.2", "prune to 192.168.1.2")
	f.run(102 * time.Second)
	f.wantSent("graft to 192.168.1.2")
	f.ack(1, 2)
	f.run(time.Hour)
	f.wantSent()
}

func TestUpstreamChanges(t *testing.T) {
	// There is another way, by a neighbour on link 2, that other takes.
	grown := func(t *testing.T, change func(*host.Link)) *forest {
		f := grown(t, change)
		f.peer(2, 3)
		f.report(2, 3, "10.0.0.0/8", 3)
		return f
	}
	other := func(f *forest) {
		f.report(2, 3, "10.0.0.0/8", 1)
		f.report(1, 2, "10.0.0.0/8", 5)
	}
	t.Run("nobody wants it", func(t *testing.T) {
		f := grown(t, nil)
		f.packet(1)
		f.wantSent("prune to 192.168.1.2")
		other(f)
		f.wantSent()
		f.wantPacket(2, "[]")
		f.wantSent("prune to 192.168.2.3")
	})
	t.Run("somebody wants it", func(t *testing.T) {
		f := grown(t, nil)
		f.join(3, true)
		f.packet(1)
		other(f)
		f.wantPacket(2, "[3]")
		f.wantSent()
	})
	t.Run("a graft is under way", func(t *testing.T) {
		f := grown(t, nil)
		f.packet(1)
		f.join(3, true)
		f.wantSent("prune to 192.168.1.2", "graft to 192.168.1.2")
		other(f)
		f.run(6 * time.Second)
		f.wantSent("graft to 192.168.2.3", "graft to 192.168.2.3")
		f.ack(2, 3)
		f.run(time.Hour)
		f.wantSent()
	})
	t.Run("back to whom the prune was sent", func(t *testing.T) {
		f := grown(t, nil)
		f.packet(1)
		other(f)
		f.packet(2)
		f.wantSent("prune to 192.168.1.2", "prune to 192.168.2.3")
		f.join(3, true)
		f.wantSent("graft to 192.168.2.3")
		f.ack(2, 3)
		f.report(1, 2, "10.0.0.0/8", 1)
		f.report(2, 3, "10.0.0.0/8", 5)
		f.wantSent("graft to 192.168.1.2") // it may remember the prune
		f.wantPacket(1, "[3]")
	})
	t.Run("route lost", func(t *testing.T) {
		f := grown(t, nil)
		f.depend(3, 5)
		f.packet(1)
		f.prune(3, 5, time.Hour)
		f.wantSent("prune to 192.168.1.2")
		f.report(1, 2, "10.0.0.0/8", 32)
		f.wantPacket(1, "[]")
		if n := f.p.TreeStats().Received; n != 0 {
			t.Errorf("%d prunes are kept of a route that is lost", n)
		}
	})
}

func TestNeighborChanges(t *testing.T) {
	t.Run("dependent starts again", func(t *testing.T) {
		f := grown(t, nil)
		f.depend(2, 5)
		f.packet(1)
		f.prune(2, 5, time.Hour)
		f.wantSent("prune to 192.168.1.2")
		f.peerOf(2, 5, dvmrp.Mrouted, 8)
		f.wantPacket(1, "[2]")
		f.wantSent("graft to 192.168.1.2")
	})
	t.Run("dependent is lost", func(t *testing.T) {
		f := grown(t, nil)
		f.depend(2, 5)
		f.depend(3, 5)
		f.packet(1)
		f.prune(2, 5, time.Hour)
		l := f.p.linkOf(3).Link
		l.Up = false
		f.setLink(l)
		f.wantPacket(1, "[]")
		f.wantSent("prune to 192.168.1.2")
		l.Up = true
		f.setLink(l)
		f.wantPacket(1, "[]")
		f.depend(3, 5)
		f.wantPacket(1, "[3]")
		f.wantSent("graft to 192.168.1.2")
	})
	t.Run("upstream starts again", func(t *testing.T) {
		f := grown(t, nil)
		f.packet(1)
		f.wantSent("prune to 192.168.1.2")
		f.peerOf(1, 2, dvmrp.Mrouted, 8)
		f.packet(1)
		f.wantSent("prune to 192.168.1.2")
		f.packet(1)
		f.wantSent()
	})
	t.Run("does not depend for a while", func(t *testing.T) {
		f := grown(t, nil)
		f.depend(2, 5)
		f.packet(1)
		f.prune(2, 5, time.Hour)
		f.report(2, 5, "10.0.0.0/8", 5)
		f.report(2, 5, "10.0.0.0/8", 34)
		f.wantPacket(1, "[2]") // it has forgotten its prune
	})
	t.Run("another forwarder for a while", func(t *testing.T) {
		f := grown(t, nil)
		f.depend(2, 5)
		f.packet(1)
		f.prune(2, 5, time.Hour)
		f.peer(2, 6)
		f.report(2, 6, "10.0.0.0/8", 1)
		f.report(2, 6, "10.0.0.0/8", 32)
		f.wantPacket(1, "[2]")
	})
}

func TestTunnel(t *testing.T) {
	f := grown(t, nil)
	f.setLink(host.Link{ID: 9, Name: "tunnel", Up: true, PointToPoint: true, Address: router(1, 1), Remote: addr("172.16.0.9"), Beside: true,
		LinkSettings: host.LinkSettings{Enabled: true, Metric: 1, Threshold: 16, RexmitPrunes: true, PruneLifetime: 7200 * time.Second}})
	from := func(m interface {
		AppendBinary([]byte) ([]byte, error)
	}) {
		b, _ := m.AppendBinary(nil)
		f.p.Receive(f.now, &host.Packet{Interface: 1, From: addr("172.16.0.9"), To: router(1, 1), Message: b})
		f.turn()
	}
	from(&dvmrp.Probe{Version: dvmrp.Mrouted, GenID: 1, Neighbors: []netip.Addr{router(1, 1)}})
	from(&dvmrp.Report{Version: dvmrp.Mrouted, Routes: []dvmrp.Route{{Prefix: net("10.0.0.0/8"), Metric: 34}}})
	f.wantPacket(1, "[9]")
	from(&dvmrp.Prune{Version: dvmrp.Mrouted, Source: addr("10.0.0.0"), Group: theGroup, Lifetime: time.Hour})
	f.wantPacket(1, "[]")
	f.wantSent("prune to 192.168.1.2")
	from(&dvmrp.Graft{Version: dvmrp.Mrouted, Source: addr("10.0.0.0"), Group: theGroup})
	f.wantSent("ack to 172.16.0.9", "graft to 192.168.1.2")
}

// What is shown of a tree.
func TestInspect(t *testing.T) {
	f := grown(t, nil)
	f.depend(2, 5)
	f.packet(1)
	f.prune(2, 5, time.Hour)
	lifetime := f.wantSent("prune to 192.168.1.2")[0].lifetime
	v := f.p.Tree(theKey)
	if v.PruneSent != f.now+lifetime || v.Grafting || len(v.Prunes) != 1 ||
		v.Prunes[0] != (Pruned{2, router(2, 5), f.now + time.Hour}) || !f.p.IsPruned(theKey, 2) || f.p.IsPruned(theKey, 3) {
		t.Errorf("tree is %+v", v)
	}
	f.graft(2, 5)
	if v = f.p.Tree(theKey); v.PruneSent != 0 || !v.Grafting || len(v.Prunes) != 0 || f.p.IsPruned(theKey, 2) {
		t.Errorf("tree after the graft is %+v", v)
	}
	f.ack(1, 2)
	if e := f.cache.Lookup(theKey); e == nil || e.Tree != nil || len(f.p.trees.books) != 0 {
		t.Error("something is kept without any prune")
	}
	if v = f.p.Tree(mfc.Key{Net: net("11.0.0.0/8"), Group: theGroup}); v.PruneSent != 0 {
		t.Errorf("tree of what does not exist is %+v", v)
	}
}
