package fake

import (
	"maps"
	"math"
	"net/netip"
	"reflect"
	"slices"
	"testing"

	"mbone/internal/lab"
	"mbone/proto/dvmrp"
	"mbone/proto/igmp"
)

func TestMain(m *testing.M) { lab.Main(m) }

// bad is a network that has everything.
func bad(seed uint64, routers int) Plan {
	p := Typical(seed, routers)
	p.Silent = 0.05
	p.Chatting, p.Lying, p.Endless = 1, 1, 1
	return p
}

// told parses the packets of a router's answer and unites their records.
func told(t *testing.T, r *Router, code dvmrp.Code) []dvmrp.Interface {
	t.Helper()
	var all []dvmrp.Interface
	for _, m := range r.messages(code) {
		var n dvmrp.Neighbors
		if err := n.Parse(m); err != nil || !igmp.VerifyChecksum(m) || n.Truncated || n.Version != r.Version {
			t.Fatalf("router %d sends %+v, %v", r.number, n, err)
		}
		all = append(all, n.Interfaces...)
	}
	return all
}

// TestTruth crawls networks in memory, by the packets that their routers send,
// and compares what is found with what the network says of itself.
func TestTruth(t *testing.T) {
	for seed := range uint64(20) {
		n := Make(bad(seed, 300))
		depths := map[*Router]int{n.owner[n.Start()]: 0}
		silent := make(map[netip.Addr]bool)
		for queue := []*Router{n.owner[n.Start()]}; len(queue) > 0; queue = queue[1:] {
			r := queue[0]
			code := dvmrp.CodeNeighbors2
			if r.Behavior == OldForm {
				code = dvmrp.CodeNeighbors
			}
			own := make(map[netip.Addr]bool)
			for _, i := range told(t, r, code) {
				if n.owner[i.Local] == r {
					own[i.Local] = true
				} else if r.Behavior != Lying {
					t.Errorf("seed %d: router %d calls %s its own", seed, r.number, i.Local)
				}
				for _, a := range i.Neighbors {
					o := n.owner[a]
					_, seen := depths[o]
					switch {
					case a == igmp.Unspecified || slices.Contains(NoRouters, a):
					case o == nil && r.Behavior != Lying:
						t.Errorf("seed %d: router %d names %s, which is nobody", seed, r.number, a)
					case o == nil || o.Behavior == Silent:
						silent[a] = true
					case !seen:
						depths[o] = depths[r] + 1
						queue = append(queue, o)
					}
				}
			}
			if got := r.Addresses(); len(got) != len(own) || slices.ContainsFunc(got, func(a netip.Addr) bool { return !own[a] }) {
				t.Errorf("seed %d: addresses of router %d are %v, it tells %v", seed, r.number, got, own)
			}
		}
		reachable := n.Reachable()
		if len(reachable) != len(depths) || len(reachable) < 100 || len(reachable) > 295 {
			t.Errorf("seed %d: %d routers can be reached, found %d", seed, len(reachable), len(depths))
		}
		for _, r := range reachable {
			if d, ok := depths[r]; !ok || d != r.Depth() {
				t.Errorf("seed %d: router %d has depth %d, found at %d", seed, r.number, r.Depth(), d)
			}
		}
		if d := slices.Max(slices.Collect(maps.Values(depths))); d != n.Depth() {
			t.Errorf("seed %d: depth %d, found %d", seed, n.Depth(), d)
		}
		if got := n.Silent(); len(got) != len(silent) || slices.ContainsFunc(got, func(a netip.Addr) bool { return !silent[a] }) {
			t.Errorf("seed %d: silent are %v, found %v", seed, got, silent)
		}
	}
}

// TestLinks looks at links from both ends.
func TestLinks(t *testing.T) {
	n := Make(Plan{Seed: 1, Routers: 2000, OneWay: 0.1})
	kinds := make(map[string]int)
	for _, l := range n.links {
		for _, e := range l.ends {
			for _, o := range l.ends {
				if o != e && !slices.Contains(e.record().Neighbors, o.record().Local) {
					kinds["one-way"]++
				}
			}
		}
		switch {
		case l.tunnel:
			kinds["tunnel"]++
		case len(l.ends) > 2:
			kinds["LAN"]++
		default:
			kinds["line"]++
		}
	}
	for kind, least := range map[string]int{"tunnel": 100, "LAN": 100, "line": 400, "one-way": 40} {
		if kinds[kind] < least {
			t.Errorf("%d of kind %s, want at least %d", kinds[kind], kind, least)
		}
	}
	if len(n.Reachable()) < 1700 {
		t.Errorf("%d routers can be reached", len(n.Reachable()))
	}
}

// TestSeed makes networks again: what misbehaves changes nothing else.
func TestSeed(t *testing.T) {
	p := bad(7, 300)
	a, b := Make(p), Make(p)
	if !reflect.DeepEqual(a.routers, b.routers) {
		t.Error("one plan made two networks")
	}
	if p.Seed++; reflect.DeepEqual(Make(p).routers, a.routers) {
		t.Error("two seeds made one network")
	}
	p = bad(7, 300)
	p.Chatting, p.Lying, p.Endless = 0, 0, 0
	clean := Make(p)
	count := make(map[Behavior]int)
	for i, r := range a.routers {
		count[r.Behavior]++
		if c := clean.routers[i]; c.depth != r.depth || !reflect.DeepEqual(c.interfaces, r.interfaces) ||
			c.Behavior != r.Behavior && (c.Behavior != Normal || r.Behavior < Chatting) {
			t.Errorf("router %d differs", i)
		}
	}
	if count[Chatting] != 1 || count[Lying] != 1 || count[Endless] != 1 {
		t.Errorf("behaviours %v", count)
	}
	if invented := len(a.Silent()) - len(clean.Silent()); invented != lieNeighbors {
		t.Errorf("%d silent routers more, want the %d that were invented", invented, lieNeighbors)
	}
}

// TestFiller reads an endless answer: no packet has room, no two are the same,
// and each tells who sent it.
func TestFiller(t *testing.T) {
	n := Make(Plan{Seed: 3, Routers: 50, Endless: 1})
	seen := make(map[string]bool)
	for _, r := range n.routers {
		if r.Behavior != Endless {
			continue
		}
		for i := range 1000 {
			b := r.filler(i)
			var m dvmrp.Neighbors
			if err := m.Parse(b); err != nil || !m.Full() || len(b) > dvmrp.HeaderLen+dvmrp.MaxData || m.Interfaces[0].Local != r.interfaces[0].Local {
				t.Fatalf("packet %d of %d bytes: %+v, %v", i, len(b), m, err)
			}
			seen[string(b)] = true
		}
	}
	if len(seen) != 1000 {
		t.Errorf("%d different packets of 1000", len(seen))
	}
}

// TestChance draws numbers as [Server] does to lose packets.
func TestChance(t *testing.T) {
	const draws, share = 100_000, 0.02
	var sum float64
	both, lost := 0, 0
	for i := range uint64(draws) {
		v := chance(1, i/10, i%10)
		sum += v
		if v < share {
			lost++
			if chance(1, i/10, i%10+1) < share {
				both++
			}
		}
	}
	if mean := sum / draws; math.Abs(mean-0.5) > 0.01 {
		t.Errorf("mean %f", mean)
	}
	if math.Abs(float64(lost)-share*draws) > 300 { // about seven standard deviations
		t.Errorf("%d of %d lost", lost, draws)
	}
	if both > 100 { // 40 of 100,000 if they have nothing to do with each other
		t.Errorf("the next one is lost, too, %d times of %d", both, lost)
	}
}
