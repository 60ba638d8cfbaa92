package sim

import (
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"mbone/internal/router/host"
)

// twice runs a scenario two times at once: both must do the same, and keep all that
// must hold.
func twice(t *testing.T, seed uint64, scenario func(n *Network)) *Network {
	t.Helper()
	networks := [2]*Network{New(seed), New(seed)}
	var wait sync.WaitGroup
	for _, n := range networks {
		wait.Go(func() { scenario(n) })
	}
	wait.Wait()
	a, b := networks[0], networks[1]
	if a.Digest() != b.Digest() {
		t.Errorf("seed %d: two runs differ", seed)
	}
	if f := a.Failures(); len(f) > 0 {
		t.Errorf("%s\n  story:\n  %s", strings.Join(f, "\n"), strings.Join(a.Story(), "\n  "))
	}
	return a
}

// Two routers tell each other their networks as soon as they hear each other.
func TestTwoRouters(t *testing.T) {
	twice(t, 1, func(n *Network) {
		chain := n.AddChain(2)
		left, right := n.AddLAN(chain[0]), n.AddLAN(chain[1])
		n.Track(left.Prefix())
		n.Track(right.Prefix())
		n.Run(1500 * time.Millisecond)
		for i, l := range []*Link{right, left} {
			route, ok := chain[i].engine.RPF(l.Prefix().Addr().Next())
			if !ok || route.Net != l.Prefix() || route.In != 1 || route.Gateway != chain[1-i].Address() {
				n.fail("%v has the route %v, %v to %v", chain[i], route, ok, l)
			}
		}
	})
}

// A chain of six that is started together has all routes at both ends in 1.5 s.
func TestChain(t *testing.T) {
	twice(t, 1, func(n *Network) {
		chain := n.AddChain(6)
		first, last := n.AddLAN(chain[0]), n.AddLAN(chain[5])
		n.Track(first.Prefix())
		n.Track(last.Prefix())
		n.Run(1500 * time.Millisecond)
		if _, ok := chain[5].engine.RPF(first.Prefix().Addr().Next()); !ok {
			n.fail("%v has no route to %v", chain[5], first)
		}
		if _, ok := chain[0].engine.RPF(last.Prefix().Addr().Next()); !ok {
			n.fail("%v has no route to %v", chain[0], last)
		}
	})
}

// diamond makes a diamond with a sender above and a member below, and returns the link
// that packets come down by, when all is quiet.
func diamond(n *Network, probes time.Duration) (h *Host, f *Flow, active *Link) {
	top, _, _, bottom := n.AddDiamond()
	for _, r := range n.Routers() {
		for _, l := range n.Links() {
			for _, e := range l.ends {
				if e.node == r {
					r.OnLink(l).ProbeInterval = probes
				}
			}
		}
	}
	sender := n.AddHost(n.AddLAN(top))
	h = n.AddHost(n.AddLAN(bottom))
	n.At(0, func() { h.Join(group) })
	n.Run(5 * time.Second)
	f = sender.Send(group, 10*time.Millisecond)
	n.Settle(time.Minute)
	n.Measure(time.Second)
	h.ResetSilence(f)
	active = n.Links()[2]
	if bottom.kernel.entries[f.key] == nil || bottom.kernel.entries[f.key].in.link != active {
		active = n.Links()[3]
	}
	return h, f, active
}

// What is lost when the link in use goes down is a tenth of a second at most.
func TestDiamondCut(t *testing.T) {
	twice(t, 1, func(n *Network) {
		h, f, active := diamond(n, 0)
		active.Cut()
		n.Run(10 * time.Second)
		if s := h.Silence(f); s >= 100*time.Millisecond {
			n.fail("silence of %v after a cut, want less than 0.1 s", s)
		}
		n.Settle(time.Minute)
		n.Measure(time.Second)
		active.Restore()
		n.Settle(time.Minute)
		n.Measure(time.Second)
	})
}

// A link that goes silent is noticed in four seconds, with fast probes in half a
// second.
func TestSilentLink(t *testing.T) {
	for _, c := range []struct{ probes, most time.Duration }{
		{0, 4 * time.Second},
		{100 * time.Millisecond, 500 * time.Millisecond},
	} {
		twice(t, 1, func(n *Network) {
			h, f, active := diamond(n, c.probes)
			active.Silent = true
			n.Run(20 * time.Second)
			if s := h.Silence(f); s >= c.most {
				n.fail("silence of %v after a link became silent with probes %v, want less than %v", s, c.probes, c.most)
			}
			n.Settle(time.Minute)
			active.Restore()
			n.Settle(time.Minute)
			n.Measure(time.Second)
		})
	}
}

// A silent link to an mrouted is noticed in forty seconds.
func TestSilentLinkLegacy(t *testing.T) {
	twice(t, 1, func(n *Network) {
		n.QuietTime = 12 * time.Second
		top, left, right, bottom := n.AddDiamond()
		left.SetLegacy()
		right.SetLegacy()
		sender, h := n.AddHost(n.AddLAN(top)), n.AddHost(n.AddLAN(bottom))
		n.At(0, func() { h.Join(group) })
		n.Run(20 * time.Second)
		f := sender.Send(group, 100*time.Millisecond)
		n.Settle(time.Minute)
		n.Measure(time.Second)
		h.ResetSilence(f)
		bottom.kernel.entries[f.key].in.link.Silent = true
		n.Run(2 * time.Minute)
		if s := h.Silence(f); s >= 40*time.Second {
			n.fail("silence of %v after a link became silent, want less than 40 s", s)
		}
	})
}

// Nobody listens: the flow is pruned back to its source. Somebody joins: it comes within
// a round trip. Somebody leaves: it goes as soon as the last-member queries were not
// answered.
func TestPruneGraft(t *testing.T) {
	for _, version := range []uint8{2, 3} {
		twice(t, 1, func(n *Network) {
			chain := n.AddChain(5)
			sender, h := n.AddHost(n.AddLAN(chain[0])), n.AddHost(n.AddLAN(chain[4]))
			h.Version = version
			n.Run(5 * time.Second)
			f := sender.Send(group, 10*time.Millisecond)
			n.Settle(time.Minute)
			n.Measure(time.Second)
			for _, r := range chain {
				if k := r.kernel.entries[f.key]; r.number > 1 && k != nil && k.count.Packets > 50 {
					n.fail("%v saw %d packets that nobody wants", r, k.count.Packets)
				}
			}
			joined := n.Now()
			h.Join(group)
			n.Run(time.Second)
			if h.Received(f) == 0 || h.got[f.number].packets < 90 {
				n.fail("%d packets in the first second after the join at %v", h.Received(f), joined)
			}
			n.Measure(time.Second)
			h.Leave(group)
			n.Run(4 * time.Second)
			n.Measure(time.Second)
			h.Join(group)
			n.Run(time.Second)
			n.Measure(time.Second)
		})
	}
}

// Several routers on a LAN with a member: one of them forwards, also when that one
// dies, and when it comes back.
func TestLANForwarders(t *testing.T) {
	twice(t, 1, func(n *Network) {
		top := n.AddRouter()
		var others []*Router
		for range 4 {
			r := n.AddRouter()
			n.AddPointToPoint(top, r)
			others = append(others, r)
		}
		shared := n.AddLAN(others...)
		sender, h := n.AddHost(n.AddLAN(top)), n.AddHost(shared)
		n.At(0, func() { h.Join(group) })
		n.Run(5 * time.Second)
		f := sender.Send(group, 10*time.Millisecond)
		n.Settle(time.Minute)
		n.Measure(time.Second)
		for _, r := range others {
			h.ResetSilence(f)
			r.Stop()
			n.Settle(time.Minute)
			if s := h.Silence(f); s >= 4*time.Second {
				n.fail("silence of %v after %v was killed", s, r)
			}
			n.Measure(time.Second)
			r.Start()
			n.Settle(time.Minute)
			n.Measure(time.Second)
		}
	})
}

// Sources that a host does not want are pruned, the others of the same network come.
func TestSourceFilters(t *testing.T) {
	twice(t, 1, func(n *Network) {
		chain := n.AddChain(3)
		l := n.AddLAN(chain[0])
		good, bad := n.AddHost(l), n.AddHost(l)
		h := n.AddHost(n.AddLAN(chain[2]))
		n.At(time.Second, func() { h.JoinSources(group, good.Address()) })
		n.Run(5 * time.Second)
		f, g := good.Send(group, 10*time.Millisecond), bad.Send(group, 10*time.Millisecond)
		n.Settle(time.Minute)
		out := &chain[2].ends[1].count.PacketsOut
		// Of what is under way one packet may be counted at one place and not at the next.
		check := func(what string, wanted *Flow) {
			sent, got, before := wanted.Sent(), h.Received(wanted), int(*out)
			n.Run(10 * time.Second)
			sent, got = wanted.Sent()-sent, h.Received(wanted)-got
			if sent < 1000 || got < sent-1 {
				n.fail("%s: the host got %d of %d packets of %v", what, got, sent, wanted)
			}
			if all := int(*out) - before; all > got+1 {
				n.fail("%s: %d packets went to the LAN of the member, of which it wants %d", what, all, got)
			}
		}
		check("include", f)
		h.JoinBut(group, good.Address())
		n.Run(5 * time.Second)
		check("exclude", g)
	})
}

// Routers that know nothing of multicast lie between two that have a tunnel.
func TestTunnelled(t *testing.T) {
	for _, beside := range []bool{true, false} {
		twice(t, 1, func(n *Network) {
			chain := n.AddChain(4)
			chain[1].NewEngine, chain[2].NewEngine = plain, plain
			tunnel := n.AddTunnel(chain[0], chain[3], beside)
			tunnel.Delay = 5 * time.Millisecond
			sender, h := n.AddHost(n.AddLAN(chain[0])), n.AddHost(n.AddLAN(chain[3]))
			n.Run(5 * time.Second)
			f := sender.Send(group, 10*time.Millisecond)
			n.Settle(time.Minute)
			h.Join(group)
			n.Run(time.Second)
			n.Measure(time.Second)
			h.ResetSilence(f)
			h.Leave(group)
			n.Settle(time.Minute)
			n.Measure(time.Second)
		})
	}
}

// Networks of all shapes settle, and then every member gets everything once.
func TestShapes(t *testing.T) {
	shapes := map[string]func(n *Network){
		"chain":  func(n *Network) { n.AddChain(20) },
		"ring":   func(n *Network) { n.AddRing(15) },
		"grid":   func(n *Network) { n.AddGrid(5, 4) },
		"tree":   func(n *Network) { n.AddTree(31, 2) },
		"LAN":    func(n *Network) { n.AddLAN(n.addRouters(20)...) },
		"random": func(n *Network) { n.AddRandom(40, 3.5) },
	}
	seeds := uint64(3)
	if underRace {
		seeds = 1
	}
	for name, add := range shapes {
		t.Run(name, func(t *testing.T) {
			for seed := range seeds {
				twice(t, seed, func(n *Network) {
					add(n)
					populate(n, 3, 4)
					n.Settle(time.Minute)
					n.Measure(time.Second)
				})
			}
		})
	}
}

// plain makes an engine that does nothing: its router forwards unicast.
func plain(*rand.Rand, host.Counters, host.Logs) Engine { return &script{} }

// populate adds senders and members on LANs of random routers, and lets them begin
// within the first five seconds.
func populate(n *Network, senders, members int) {
	routers := n.Routers()
	for i := range senders {
		l := n.AddLAN(n.pick(routers, 1)...)
		h := n.AddHost(l)
		n.At(n.upTo(5*time.Second), func() { h.Send(group, time.Duration(90+20*i)*time.Millisecond) })
	}
	for range members {
		h := n.AddHost(n.AddLAN(n.pick(routers, 1)...))
		if n.random.IntN(3) == 0 {
			h.Version = 2
		}
		n.At(n.upTo(5*time.Second), func() { h.Join(group) })
	}
}
