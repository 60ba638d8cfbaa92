package dvmrp

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"mbone/internal/router/host"
	"mbone/proto/dvmrp"
)

// duty returns who forwards a route on a link and who depends, as "us for .3 .4",
// ".2" or "nobody".
func (r *rig) duty(prefix string, link host.Interface) string {
	d := r.p.Duty(net(prefix), link)
	last := func(a netip.Addr) string { return fmt.Sprint(" .", a.As4()[3]) }
	switch {
	case d.Forwarder:
		s := "us"
		if len(d.Dependents) > 0 {
			s += " for"
		}
		for _, a := range d.Dependents {
			s += last(a)
		}
		return s
	case d.Dominant.IsValid():
		return strings.TrimSpace(last(d.Dominant))
	}
	return "nobody"
}

func (r *rig) wantDuty(prefix string, link host.Interface, want string) {
	r.t.Helper()
	if got := r.duty(prefix, link); got != want {
		r.t.Errorf("%v: %s on link %d: %q, want %q", r.now, prefix, link, got, want)
	}
}

// threeLans returns a router with links 1 to 3, which has run for a while, and two
// peers on each: .2 and .3 on link 1, .4 and .5 on link 2, .6 and .7 on link 3. They
// say nothing, and are no longer young.
func threeLans(t *testing.T) (*rig, map[int]*peer) {
	r := newRig(t)
	peers := make(map[int]*peer)
	for id := 1; id <= 3; id++ {
		l := lan(id)
		l.Address = netip.AddrFrom4([4]byte{192, 168, byte(id), 10})
		l.Networks[0].Address = l.Address
		l.NeighborTimeout = time.Hour // they do not probe
		r.set(l)
	}
	for i := 2; i <= 7; i++ {
		p := r.stranger(i/2, i)
		p.router = netip.AddrFrom4([4]byte{192, 168, byte(i / 2), 10})
		p.probe(true)
		peers[i] = p
	}
	r.run(160 * time.Second)
	r.drop()
	return r, peers
}

const n1 = "10.1.0.0/16"

// said is a report: the neighbour .by says the metric.
type said struct{ by, metric int }

// The rows of the table of decisions (sheet, section 11). All metrics of links are 1.
func TestDecisions(t *testing.T) {
	for _, c := range []struct {
		name    string
		reports []said
		way     string
		duties  [3]string // on links 1 to 3
	}{
		{"1 unknown, unreachable", []said{{2, 32}}, "none", [3]string{"nobody", "nobody", "nobody"}},
		{"1 unknown, poisoned", []said{{2, 33}}, "none", [3]string{"nobody", "nobody", "nobody"}},
		{"1 unknown, as far as infinity", []said{{2, 31}}, "none", [3]string{"nobody", "nobody", "nobody"}},
		{"2 unknown, as far as can be", []said{{2, 30}}, "192.168.1.2 metric 31", [3]string{"nobody", "us for .4 .5", "us for .6 .7"}},
		{"2 unknown", []said{{2, 3}}, "192.168.1.2 metric 4", [3]string{"nobody", "us for .4 .5", "us for .6 .7"}},
		{"3 known, unreachable", []said{{2, 3}, {2, 32}, {4, 3}}, "192.168.2.4 metric 4", [3]string{"us for .3", "nobody", "us for .6 .7"}},
		{"4 gateway better", []said{{2, 3}, {2, 2}}, "192.168.1.2 metric 3", [3]string{"nobody", "us for .4 .5", "us for .6 .7"}},
		{"4 gateway worse", []said{{2, 3}, {2, 7}}, "none", [3]string{"nobody", "nobody", "nobody"}}, // for 100 ms
		{"4 gateway lost", []said{{2, 3}, {2, 32}}, "none", [3]string{"nobody", "nobody", "nobody"}},
		{"4 gateway depends on us", []said{{2, 3}, {2, 35}}, "none", [3]string{"nobody", "nobody", "nobody"}},
		{"5 better", []said{{2, 3}, {5, 2}}, "192.168.2.5 metric 3", [3]string{".2", "nobody", "us for .6 .7"}},
		{"5 better on the same link", []said{{2, 3}, {3, 2}}, "192.168.1.3 metric 3", [3]string{"nobody", "us for .4 .5", "us for .6 .7"}},
		{"5 equal, higher address", []said{{2, 3}, {3, 3}}, "192.168.1.2 metric 4", [3]string{"nobody", "us for .4 .5", "us for .6 .7"}},
		{"5 equal, lower address", []said{{3, 3}, {2, 3}}, "192.168.1.2 metric 4", [3]string{"nobody", "us for .4 .5", "us for .6 .7"}},
		{"5 equal, lower address on another link", []said{{4, 3}, {2, 3}}, "192.168.1.2 metric 4", [3]string{"nobody", ".4", "us for .6 .7"}},
		{"6 better there", []said{{2, 3}, {4, 3}}, "192.168.1.2 metric 4", [3]string{"nobody", ".4", "us for .6 .7"}},
		{"6 equal there, lower address", []said{{2, 3}, {4, 4}}, "192.168.1.2 metric 4", [3]string{"nobody", ".4", "us for .6 .7"}},
		{"6 two there", []said{{2, 3}, {4, 4}, {5, 3}}, "192.168.1.2 metric 4", [3]string{"nobody", ".5", "us for .6 .7"}},
		{"6 worse there", []said{{2, 3}, {4, 5}}, "192.168.1.2 metric 4", [3]string{"nobody", "us for .5", "us for .6 .7"}},
		{"6 unreachable there", []said{{2, 3}, {4, 32}}, "192.168.1.2 metric 4", [3]string{"nobody", "us for .5", "us for .6 .7"}},
		{"7 dependent", []said{{2, 3}, {4, 5}, {4, 36}, {5, 32}}, "192.168.1.2 metric 4", [3]string{"nobody", "us for .4", "us for .6 .7"}},
		{"7 dependent on somebody else", []said{{2, 3}, {4, 3}, {5, 36}}, "192.168.1.2 metric 4", [3]string{"nobody", ".4", "us for .6 .7"}},
		{"8 dependent no more", []said{{2, 3}, {4, 36}, {5, 36}, {4, 9}}, "192.168.1.2 metric 4", [3]string{"nobody", "us for .5", "us for .6 .7"}},
		{"9 dominant gets worse", []said{{2, 3}, {4, 3}, {5, 36}, {4, 5}}, "192.168.1.2 metric 4", [3]string{"nobody", "us for .5", "us for .6 .7"}},
		{"9 dominant gets equal, lower address", []said{{2, 3}, {4, 3}, {4, 4}}, "192.168.1.2 metric 4", [3]string{"nobody", ".4", "us for .6 .7"}},
		{"9 dominant depends", []said{{2, 3}, {4, 3}, {4, 36}}, "192.168.1.2 metric 4", [3]string{"nobody", "us for .4 .5", "us for .6 .7"}},
		{"9 dominant is lost, another one remains", []said{{2, 3}, {4, 2}, {2, 1}, {5, 1}, {5, 32}, {4, 2}}, "192.168.1.2 metric 2", [3]string{"nobody", ".4", "us for .6 .7"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, peers := threeLans(t)
			for _, s := range c.reports {
				peers[s.by].report(n1, s.metric)
			}
			r.wantWay(n1, c.way)
			for i, want := range c.duties {
				r.wantDuty(n1, host.Interface(i+1), want)
			}
		})
	}
}

// Equal cost with a higher address wins against a gateway that is silent for 140 s.
func TestSilentGateway(t *testing.T) {
	for _, c := range []struct {
		after time.Duration
		want  string
	}{
		{139 * time.Second, "192.168.1.2 metric 4"},
		{140 * time.Second, "192.168.2.4 metric 4"},
	} {
		r, peers := threeLans(t)
		peers[2].report(n1, 3)
		peers[4].report(n1, 3)
		r.run(c.after)
		peers[4].report(n1, 3)
		r.wantWay(n1, c.want)
	}
}

// A network on a link is never reached another way (row 10), and has the metric of
// the link; the reports of others count for who forwards it.
func TestConnected(t *testing.T) {
	r, peers := threeLans(t)
	peers[4].report("192.168.1.0/24", 1)
	r.wantWay("192.168.1.0/24", "eth1 metric 1")
	r.wantDuty("192.168.1.0/24", 1, "nobody")
	r.wantDuty("192.168.1.0/24", 2, ".4") // equal, lower address
	r.wantDuty("192.168.1.0/24", 3, "us") // who said nothing so long does not depend
	peers[4].report("192.168.1.0/24", 2)
	r.wantDuty("192.168.1.0/24", 2, "us")
	peers[5].report("192.168.1.0/24", 34)
	r.wantDuty("192.168.1.0/24", 2, "us for .5")
}

// A neighbour that has said nothing of a route depends on us until it had time to,
// unless noflood.
func TestUnreported(t *testing.T) {
	for _, noflood := range []bool{false, true} {
		r := newRig(t)
		for id := 1; id <= 2; id++ {
			l := lan(id)
			l.NeighborTimeout, l.NoFlood = time.Hour, noflood
			r.set(l)
		}
		want := func(young, old string) {
			t.Helper()
			if noflood {
				young = old
			}
			r.wantDuty("192.168.1.0/24", 2, young)
		}
		two := r.peer(2, 2)
		want("us for .2", "us")
		r.run(100 * time.Second)
		r.peer(2, 3)
		want("us for .2 .3", "us")
		r.run(45 * time.Second)
		want("us for .3", "us")
		r.drop()
		r.run(100 * time.Second)
		want("us", "us")
		if told := slices.Contains(r.downstream, "192.168.1.0/24 eth2"); told != !noflood {
			t.Errorf("noflood %v: the trees were told %v", noflood, r.downstream)
		}
		// The same for a new route.
		one := r.peer(1, 2)
		one.report(n1, 1)
		two.report(n1, 34)
		if noflood {
			r.wantDuty(n1, 2, "us for .2")
		} else {
			r.wantDuty(n1, 2, "us for .2 .3")
		}
		r.drop()
		for range 5 {
			r.run(30 * time.Second)
			one.report(n1, 1)
			two.report(n1, 34)
		}
		r.wantDuty(n1, 2, "us for .2")
		if told := slices.Contains(r.downstream, n1+" eth2"); told != !noflood {
			t.Errorf("noflood %v: the trees were told %v", noflood, r.downstream)
		}
	}
}

// At the loss of the way another one is taken: at once if its report is below our
// old metric, else after everybody had 100 ms to hear of the loss.
func TestAlternates(t *testing.T) {
	const held = holdTime
	type alternate struct {
		name    string
		reports []said // before the loss; the gateway is .2 with metric 3, ours is 4
		after   []said // at the loss, instead of 32
		at      time.Duration
		first   string // meanwhile
		then    string
	}
	for _, c := range []alternate{
		{"none", nil, nil, held, "none", "none"},
		{"safe", []said{{4, 3}}, nil, 0, "", "192.168.2.4 metric 4"},
		{"safe, the best of two", []said{{4, 3}, {3, 3}}, nil, 0, "", "192.168.1.3 metric 4"},
		{"unsafe", []said{{4, 4}}, nil, held, "none", "192.168.2.4 metric 5"},
		{"unsafe, the best of two", []said{{4, 9}, {6, 5}}, nil, held, "none", "192.168.3.6 metric 6"},
		{"poisoned", []said{{4, 36}}, nil, held, "none", "none"},
		{"poisoned and unsafe", []said{{4, 36}, {6, 8}}, nil, held, "none", "192.168.3.6 metric 9"},
		{"gateway worse, nobody else", nil, []said{{2, 9}}, held, "none", "192.168.1.2 metric 10"},
		{"gateway worse, safe", []said{{4, 3}}, []said{{2, 9}}, 0, "", "192.168.2.4 metric 4"},
		{"gateway worse, unsafe", []said{{4, 5}}, []said{{2, 9}}, held, "none", "192.168.2.4 metric 6"},
		{"gateway worse, others worse still", []said{{4, 20}}, []said{{2, 9}}, held, "none", "192.168.1.2 metric 10"},
		{"gateway a little better, others best", []said{{4, 3}}, []said{{2, 2}, {2, 3}, {4, 1}}, 0, "", "192.168.2.4 metric 2"},
		{"gateway comes back", []said{{4, 7}}, []said{{2, 32}, {2, 3}}, 0, "", "192.168.1.2 metric 4"},
		{"gateway comes back worse", nil, []said{{2, 32}, {2, 5}}, held, "none", "192.168.1.2 metric 6"},
		{"the alternate hears of the loss", []said{{4, 5}}, []said{{2, 32}, {4, 32}}, held, "none", "none"},
		{"the alternate turns out to be safe", []said{{4, 5}}, []said{{2, 32}, {4, 2}}, 0, "", "192.168.2.4 metric 3"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, peers := threeLans(t)
			peers[2].report(n1, 3)
			for _, s := range c.reports {
				peers[s.by].report(n1, s.metric)
			}
			r.wantWay(n1, "192.168.1.2 metric 4")
			r.run(time.Second)
			r.drop()
			if c.after == nil {
				c.after = []said{{2, 32}}
			}
			for _, s := range c.after {
				peers[s.by].report(n1, s.metric)
			}
			if c.at > 0 {
				r.wantWay(n1, c.first)
				if told := r.told(3, n1); told != 32 {
					t.Errorf("told %d at once, want 32", told)
				}
				r.run(c.at - time.Millisecond)
				r.wantWay(n1, c.first)
				r.run(time.Millisecond)
			}
			r.wantWay(n1, c.then)
			r.run(10 * time.Second)
			r.wantWay(n1, c.then)
		})
	}
}

// A network that was ours is reached through another router on it after others had
// time to hear: that router may have lost it, too, and think the same of us.
func TestAlternateForOwnNetwork(t *testing.T) {
	r, peers := threeLans(t)
	peers[4].report("192.168.1.0/24", 1)
	l := r.p.linkOf(1).Link
	l.Up = false
	r.set(l)
	r.wantWay("192.168.1.0/24", "none")
	r.run(holdTime)
	r.wantWay("192.168.1.0/24", "192.168.2.4 metric 2")
}

// What was said last counts, and not what was said before the way got worse.
func TestFloor(t *testing.T) {
	r, peers := threeLans(t)
	peers[2].report(n1, 10) // we say 11
	peers[2].report(n1, 20) // held, only what is below 11 is safe
	r.wantWay(n1, "none")
	peers[2].report(n1, 3) // we say 4
	r.wantWay(n1, "192.168.1.2 metric 4")
	peers[4].report(n1, 6) // from somebody who may have our 4
	peers[2].report(n1, 32)
	r.wantWay(n1, "none")
	r.run(holdTime)
	r.wantWay(n1, "192.168.2.4 metric 7")

	// A way that is safe and dearer than the old one does not make others safe.
	l := r.p.linkOf(3).Link
	l.Metric = 10
	r.set(l)
	peers[6].report(n1, 5)
	peers[5].report(n1, 9)
	peers[4].report(n1, 32)
	r.wantWay(n1, "192.168.3.6 metric 15")
	r.run(holdTime - time.Millisecond)
	r.wantWay(n1, "192.168.3.6 metric 15")
	r.run(time.Millisecond)
	r.wantWay(n1, "192.168.2.5 metric 10")
}

// What is left of a neighbour that is lost: nothing, at once, though there are many
// routes, and the trees and the cache are told of what changes.
func TestLostNeighbour(t *testing.T) {
	r, peers := threeLans(t)
	var routes []any
	for i := range 5000 {
		routes = append(routes, fmt.Sprintf("10.%d.%d.0/24", i/250, i%250), 3)
	}
	for i := 0; i < len(routes); i += 200 {
		peers[2].report(routes[i : i+200]...)
		peers[4].report(routes[i : i+200]...)
	}
	peers[6].report("10.0.1.0/24", 3)
	peers[6].report("10.0.2.0/24", 36)
	r.run(time.Second)
	r.drop()

	l := r.p.linkOf(1).Link
	l.Up = false
	r.p.SetLink(r.now, &l) // and no turn of the engine yet
	for i := 0; i < 5000; i += 777 {
		prefix := net(routes[2*i].(string))
		got, ok := r.p.RPF(prefix.Addr().Next())
		if !ok || got.Net != prefix || got.In != 2 || got.Gateway != addr("192.168.2.4") {
			t.Errorf("%v goes by %v", prefix, got)
		}
	}
	r.turn()
	if want := 5000 + 1; len(r.rpf) != want { // and the network of the link
		t.Errorf("the cache was told of %d routes, want %d", len(r.rpf), want)
	}
	if _, reports := r.p.RouteCount(); reports != 5002 {
		t.Errorf("%d reports are kept, want 5002", reports)
	}
	r.drop()

	l = r.p.linkOf(3).Link
	l.Filter = host.Filter{} // nothing new
	r.set(l)
	if len(r.rpf)+len(r.downstream) > 0 {
		t.Error("something was told though nothing changed")
	}
	r.p.lose(r.p.linkOf(3).neighbor(peers[6].addr), "test")
	r.turn()
	got := sorted(r.downstream)
	if !slices.Equal(got, []string{"10.0.1.0/24 eth3", "10.0.2.0/24 eth3"}) && !slices.Contains(got, "10.0.1.0/24 eth3") {
		t.Errorf("the trees were told of %v", got)
	}
	if !slices.Contains(got, "10.0.2.0/24 eth3") {
		t.Errorf("the trees were not told that a dependent is lost: %v", got)
	}
	r.wantDuty("10.0.1.0/24", 3, "us for .7")
}

// Routes expire 200 s after the last report, and are forgotten 140 s later; both
// are noticed within ten seconds.
func TestExpiry(t *testing.T) {
	r, peers := threeLans(t)
	peers[2].report(n1, 3)
	r.run(150 * time.Second)
	peers[2].report(n1, 3)
	r.run(200*time.Second - time.Millisecond)
	r.wantWay(n1, "192.168.1.2 metric 4")
	r.run(12 * time.Second)
	r.wantWay(n1, "none")
	if r.told(3, n1) != 32 {
		t.Error("the loss was not told")
	}
	if routes, _ := r.p.RouteCount(); routes != 4 {
		t.Errorf("%d routes, want 4", routes)
	}
	r.run(139*time.Second - 12*time.Second)
	r.drop()
	r.run(60 * time.Second)
	if routes, reports := r.p.RouteCount(); routes != 3 || reports != 0 {
		t.Errorf("%d routes and %d reports, want 3 and none", routes, reports)
	}
}

// An unreachable route is told for 140 s, and then not any more.
func TestGarbage(t *testing.T) {
	r, peers := threeLans(t)
	peers[2].report(n1, 3)
	r.run(time.Second)
	peers[2].report(n1, 32)
	r.run(65 * time.Second)
	r.drop()
	r.run(65 * time.Second)
	if r.told(3, n1) != 32 {
		t.Error("not told any more")
	}
	r.run(30 * time.Second)
	r.drop()
	r.run(65 * time.Second)
	if r.told(3, n1) != -1 {
		t.Error("still told")
	}
}

// A report that expires makes room for another forwarder, and a dependent none.
func TestExpiryOfOthers(t *testing.T) {
	r, peers := threeLans(t)
	peers[4].report("192.168.1.0/24", 1)
	peers[6].report("192.168.1.0/24", 34)
	r.wantDuty("192.168.1.0/24", 2, ".4")
	r.wantDuty("192.168.1.0/24", 3, "us for .6")
	r.drop()
	r.run(212 * time.Second)
	r.wantDuty("192.168.1.0/24", 2, "us")
	r.wantDuty("192.168.1.0/24", 3, "us")
	if got := sorted(r.downstream); !slices.Equal(got, []string{"192.168.1.0/24 eth2", "192.168.1.0/24 eth3"}) {
		t.Errorf("the trees were told of %v", got)
	}
}

// The cache is told of other ways, the trees of other duties, and nobody of what
// stays as it is.
func TestTold(t *testing.T) {
	r, peers := threeLans(t)
	for _, c := range []struct {
		name       string
		by, metric int
		rpf        bool
		downstream []string
	}{
		{"new", 2, 9, true, nil},
		{"again", 2, 9, false, nil},
		{"metric", 2, 3, false, nil},
		{"dependent", 4, 37, false, nil}, // it was one, being asked to wait for
		{"dependent no more", 4, 32, false, []string{"eth2"}},
		{"still not", 4, 9, false, nil},
		{"still not", 4, 8, false, nil},
		{"dominant", 4, 3, false, []string{"eth2"}},
		{"more so", 4, 3, false, nil},
		{"we are better", 2, 1, false, []string{"eth2"}},
		{"better way", 6, 1, false, []string{"eth3"}},
		{"the way is lost", 2, 32, true, []string{"eth1"}},
	} {
		r.drop()
		peers[c.by].report(n1, c.metric)
		if rpf := len(r.rpf) > 0; rpf != c.rpf {
			t.Errorf("%s: the cache was told: %v", c.name, r.rpf)
		}
		var want []string
		for _, l := range c.downstream {
			want = append(want, n1+" "+l)
		}
		if got := sorted(r.downstream); !slices.Equal(got, want) {
			t.Errorf("%s: the trees were told %v, want %v", c.name, got, want)
		}
	}
}

// The longest reachable network counts.
func TestLookup(t *testing.T) {
	r, peers := threeLans(t)
	peers[2].report("0.0.0.0/0", 1, "10.0.0.0/8", 1, n1, 1)
	peers[4].report("10.1.2.0/24", 2)
	for _, c := range []struct{ source, net string }{
		{"10.1.2.3", "10.1.2.0/24"}, {"10.1.3.3", n1}, {"10.2.0.1", "10.0.0.0/8"},
		{"11.0.0.1", "0.0.0.0/0"}, {"192.168.2.77", "192.168.2.0/24"},
	} {
		if got, ok := r.p.RPF(addr(c.source)); !ok || got.Net != net(c.net) {
			t.Errorf("%s is in %v, want %s", c.source, got.Net, c.net)
		}
	}
	peers[4].report("10.1.2.0/24", 32)
	peers[2].report(n1, 32)
	r.run(time.Second)
	if got, ok := r.p.RPF(addr("10.1.2.3")); !ok || got.Net != net("10.0.0.0/8") || got.Gateway != peers[2].addr {
		t.Errorf("10.1.2.3 goes by %v, want the next longer one", got)
	}
	peers[2].report("0.0.0.0/0", 32, "10.0.0.0/8", 32)
	if got, ok := r.p.RPF(addr("10.1.2.3")); ok {
		t.Errorf("10.1.2.3 goes by %v, want no way", got)
	}
}

// What a report may say.
func TestReportIn(t *testing.T) {
	for _, c := range []struct {
		name    string
		routes  []any
		refusal Refusal
		want    string // the way of n1 afterwards
	}{
		{"not in order", []any{"10.2.0.0/16", 1, n1, 2}, refusals, "192.168.1.2 metric 3"},
		{"twice: the first counts", []any{n1, 2, "10.2.0.0/16", 1, n1, 1}, DuplicateRoute, "192.168.1.2 metric 3"},
		{"metric 0", []any{n1, 0}, IllegalMetric, "none"},
		{"metric 64", []any{n1, 64}, IllegalMetric, "none"},
		{"metric 0 of another one", []any{"10.0.0.0/16", 0, n1, 2}, IllegalMetric, "192.168.1.2 metric 3"},
		{"loopback", []any{"127.0.0.0/8", 1, n1, 2}, IllegalNetwork, "192.168.1.2 metric 3"},
		{"multicast", []any{"224.0.0.0/8", 1, n1, 2}, IllegalNetwork, "192.168.1.2 metric 3"},
		{"class E", []any{"250.0.0.0/16", 1, n1, 2}, IllegalNetwork, "192.168.1.2 metric 3"},
		{"within 0/8", []any{"0.1.0.0/16", 1, n1, 2}, IllegalNetwork, "192.168.1.2 metric 3"},
	} {
		r, peers := threeLans(t)
		peers[2].report(c.routes...)
		r.wantWay(n1, c.want)
		for why, n := range r.p.Refused() {
			if want := c.refusal == Refusal(why); want != (n > 0) {
				t.Errorf("%s: refused %d times: %v", c.name, n, Refusal(why))
			}
		}
	}
	// Host bits: 10.1.0.1/16 cannot be said, 10.1.1.128/20 can.
	r, _ := threeLans(t)
	b := []byte{0x13, 2, 0, 0, 0, 0x0e, 255, 3, 0xff, 0xf0, 0, 10, 1, 1, 0x81}
	r.receiveBytes(1, addr("192.168.1.2"), allRouters, b)
	if r.p.refused[IllegalNetwork] != 1 {
		t.Errorf("refused %v", r.p.Refused())
	}
}

// Reports of who is no peer do not count.
func TestReportOfStranger(t *testing.T) {
	r := newRig(t)
	r.set(lan(1))
	s := r.stranger(1, 9)
	s.report(n1, 1)
	s.probe(false)
	s.report(n1, 1)
	r.wantWay(n1, "none")
	if r.p.refused[NoPeer] != 2 {
		t.Errorf("refused %v", r.p.Refused())
	}
}

func TestFilters(t *testing.T) {
	exact := func(p string) host.FilterRoute { return host.FilterRoute{Prefix: net(p), Exact: true} }
	within := func(p string) host.FilterRoute { return host.FilterRoute{Prefix: net(p)} }
	for _, c := range []struct {
		name   string
		filter host.Filter
		net    string
		want   bool
	}{
		{"no filter", host.Filter{}, n1, true},
		{"deny nothing", host.Filter{Deny: true}, n1, true},
		{"accept it", host.Filter{Routes: []host.FilterRoute{within(n1)}}, n1, true},
		{"accept what it is in", host.Filter{Routes: []host.FilterRoute{within("10.0.0.0/8")}}, n1, true},
		{"accept exactly what it is in", host.Filter{Routes: []host.FilterRoute{exact("10.0.0.0/8")}}, n1, false},
		{"accept exactly it", host.Filter{Routes: []host.FilterRoute{exact("10.0.0.0/8"), exact(n1)}}, n1, true},
		{"accept a part of it", host.Filter{Routes: []host.FilterRoute{within("10.1.1.0/24")}}, n1, false},
		{"accept another", host.Filter{Routes: []host.FilterRoute{within("10.2.0.0/16")}}, n1, false},
		{"deny it", host.Filter{Deny: true, Routes: []host.FilterRoute{within(n1)}}, n1, false},
		{"deny what it is in", host.Filter{Deny: true, Routes: []host.FilterRoute{within("10.0.0.0/8")}}, n1, false},
		{"deny exactly what it is in", host.Filter{Deny: true, Routes: []host.FilterRoute{exact("10.0.0.0/8")}}, n1, true},
		{"deny the default route only", host.Filter{Deny: true, Routes: []host.FilterRoute{exact("0.0.0.0/0")}}, n1, true},
		{"deny all", host.Filter{Deny: true, Routes: []host.FilterRoute{within("0.0.0.0/0")}}, n1, false},
		{"deny another", host.Filter{Deny: true, Routes: []host.FilterRoute{within("10.2.0.0/16")}}, n1, true},
	} {
		if got := accepts(&c.filter, net(c.net)); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

// A filtered route is not taken; that somebody depends on us always counts; with
// bidir it is not told either, but poison reverse is.
func TestFilterOnLink(t *testing.T) {
	for _, bidir := range []bool{false, true} {
		r, peers := threeLans(t)
		l := r.p.linkOf(2).Link
		l.Filter = host.Filter{Deny: true, Routes: []host.FilterRoute{{Prefix: net("10.0.0.0/8")}}, Bidir: bidir}
		r.set(l)
		peers[4].report(n1, 1)
		r.wantWay(n1, "none")
		peers[2].report(n1, 5)
		r.wantWay(n1, "192.168.1.2 metric 6")
		peers[5].report(n1, 38)
		if !bidir {
			peers[4].report(n1, 9)
		} else {
			peers[4].report(n1, 32) // whoever has a way there wins against who tells none
		}
		r.wantDuty(n1, 2, "us for .5")
		want := 6
		if bidir {
			want = -1
		}
		r.run(time.Second)
		if told := r.told(2, n1); told != want {
			t.Errorf("bidir %v: told %d, want %d", bidir, told, want)
		}
		if told := r.told(3, n1); told != 6 {
			t.Errorf("told %d on another link, want 6", told)
		}
		// A filter that comes later holds for what was taken before.
		l = r.p.linkOf(1).Link
		l.Filter = host.Filter{Routes: []host.FilterRoute{{Prefix: net("10.2.0.0/16")}}, Bidir: bidir}
		r.set(l)
		r.wantWay(n1, "none")
		r.drop()
		l.Filter = host.Filter{}
		r.set(l)
		r.run(time.Second)
		r.wantWay(n1, "192.168.1.2 metric 6")
		if told := r.told(1, n1); told != 38 {
			t.Errorf("told %d upstream, want 38", told)
		}
	}
}

// The metric of the link counts for what comes in, advert-metric for what goes out,
// and both are bounded.
func TestMetrics(t *testing.T) {
	r, peers := threeLans(t)
	peers[2].report(n1, 5, "10.2.0.0/16", 27)
	l := r.p.linkOf(1).Link
	l.Metric, l.AdvertMetric = 4, 3
	r.set(l)
	r.wantWay(n1, "192.168.1.2 metric 9")
	r.wantWay("10.2.0.0/16", "192.168.1.2 metric 31")
	r.wantWay("192.168.1.0/24", "eth1 metric 4")
	l = r.p.linkOf(3).Link
	l.AdvertMetric = 10
	r.set(l)
	r.drop()
	r.run(61 * time.Second)
	for _, c := range []struct {
		link   int
		prefix string
		want   int
	}{
		{1, n1, 9 + 32}, // what depends is not made dearer
		{2, n1, 9},
		{3, n1, 19},
		{3, "10.2.0.0/16", 32},
		{3, "192.168.1.0/24", 14},
		{1, "192.168.1.0/24", -1}, // everybody there has it
		{1, "192.168.2.0/24", 4},
	} {
		if got := r.told(c.link, c.prefix); got != c.want {
			t.Errorf("told %d of %s on link %d, want %d", got, c.prefix, c.link, c.want)
		}
	}
}

// Who forwards is decided by what is said on the link.
func TestForwarderByAdvertMetric(t *testing.T) {
	r, peers := threeLans(t)
	l := r.p.linkOf(2).Link
	l.AdvertMetric = 5
	r.set(l)
	peers[2].report(n1, 3)
	peers[4].report(n1, 8)
	r.wantDuty(n1, 2, ".4") // which says 8, we 4 + 5
	peers[4].report(n1, 10)
	r.wantDuty(n1, 2, "us for .5")
}

func TestNoTransit(t *testing.T) {
	r, peers := threeLans(t)
	for id := 1; id <= 2; id++ {
		l := r.p.linkOf(host.Interface(id)).Link
		l.NoTransit = true
		r.set(l)
	}
	r.drop()
	peers[2].report(n1, 3)
	r.run(61 * time.Second)
	for _, c := range []struct {
		link   int
		prefix string
		want   int
	}{
		{1, n1, 36},              // poison reverse
		{2, n1, 32},              // from one notransit link to another
		{3, n1, 4},               //
		{2, "192.168.1.0/24", 1}, // networks of our own are told
		{2, "192.168.3.0/24", 1},
	} {
		if got := r.told(c.link, c.prefix); got != c.want {
			t.Errorf("told %d of %s on link %d, want %d", got, c.prefix, c.link, c.want)
		}
	}
}

// Networks come and go with links and their state, altnets too; two links with the
// same network stand in for each other.
func TestNetworks(t *testing.T) {
	r := newRig(t)
	l := lan(1)
	l.Networks = append(l.Networks, host.Network{Prefix: net("172.16.5.0/24")}, host.Network{Prefix: net("127.0.0.0/8")})
	r.set(l)
	r.wantWay("192.168.1.0/24", "eth1 metric 1")
	r.wantWay("172.16.5.0/24", "eth1 metric 1")
	r.wantWay("127.0.0.0/8", "none")
	other := lan(2)
	other.Networks = append(other.Networks, host.Network{Prefix: net("172.16.5.0/24")})
	r.set(other)
	r.wantWay("172.16.5.0/24", "eth1 metric 1")
	l.Metric = 2
	r.set(l)
	r.wantWay("172.16.5.0/24", "eth2 metric 1")
	l.Metric = 1
	r.set(l)
	r.wantWay("172.16.5.0/24", "eth1 metric 1")
	l.Up = false
	r.set(l)
	r.wantWay("192.168.1.0/24", "none")
	r.wantWay("172.16.5.0/24", "eth2 metric 1")
	other.Networks = other.Networks[:1]
	r.set(other)
	r.wantWay("172.16.5.0/24", "none")
	l.Up = true
	r.set(l)
	r.wantWay("192.168.1.0/24", "eth1 metric 1")
	r.p.RemoveLink(r.now, 1)
	r.turn()
	r.wantWay("192.168.1.0/24", "none")
	if r.p.linkOf(1) != nil {
		t.Error("the link is still known")
	}
	r.run(time.Hour)
	if routes, _ := r.p.RouteCount(); routes != 1 {
		t.Errorf("%d routes, want 1", routes)
	}
}

// The bound of routes. The log says so at once, and not again for some time.
func TestTooManyRoutes(t *testing.T) {
	r, peers := threeLans(t)
	var log bytes.Buffer
	r.logTo(&log)
	s := testSettings
	s.Limits.Routes = 5
	r.p.Configure(r.now, &s)
	peers[2].report("10.1.0.0/16", 1, "10.2.0.0/16", 1, "10.3.0.0/16", 1, "10.4.0.0/16", 1)
	if routes, _ := r.p.RouteCount(); routes != 5 || r.p.refused[TooManyRoutes] != 2 {
		t.Errorf("%d routes, %d refused", routes, r.p.refused[TooManyRoutes])
	}
	r.wantWay("10.2.0.0/16", "192.168.1.2 metric 2")
	r.wantWay("10.3.0.0/16", "none")
	const message = "too many routes: a new one is ignored"
	wantErrors(t, &log, message, 1)
	r.run(alarmInterval - time.Second)
	peers[2].report("10.5.0.0/16", 1)
	wantErrors(t, &log, message, 1)
	r.run(time.Second)
	peers[2].report("10.5.0.0/16", 1)
	wantErrors(t, &log, message, 2)
}

// The bound of what neighbours say of routes, in all: the others may go on, what one more
// says is ignored until there is room. The log says so once.
func TestTooManyReportsOfRoutes(t *testing.T) {
	r := newRig(t)
	var log bytes.Buffer
	r.logTo(&log)
	s := testSettings
	s.Limits.Routes = 5
	r.p.Configure(0, &s)
	for id := range 3 {
		r.set(lan(id + 1))
	}
	r.run(5 * time.Second)
	const bound = maxReportsPerRoute * 5
	var last *peer
	for i := range bound / 4 {
		last = r.peer(1, 2+i)
		last.report(n1, 5, "192.168.1.0/24", 1, "192.168.2.0/24", 33, "192.168.3.0/24", 33)
	}
	want := func(routes, reports, refused int) {
		t.Helper()
		gotRoutes, gotReports := r.p.RouteCount()
		if got := int(r.p.refused[TooManyRoutes]); gotRoutes != routes || gotReports != reports || got != refused {
			t.Errorf("%d routes, %d reports, %d refused, want %d, %d, %d", gotRoutes, gotReports, got, routes, reports, refused)
		}
	}
	want(4, bound, 0)
	wantErrors(t, &log, "", 0)

	const n2 = "10.2.0.0/16" // one more route would be allowed
	other := r.peer(1, 100)
	other.report(n1, 1, n2, 1)
	want(4, bound, 2)
	r.wantWay(n1, "192.168.1.2 metric 6")
	r.wantWay(n2, "none")
	wantErrors(t, &log, "too many reports of routes: a new one is ignored", 1)

	last.report(n1, 3)
	r.wantWay(n1, fmt.Sprint(last.addr, " metric 4"))
	last.version.Minor = 8
	last.probe(true) // it is another one, and what it said counts no more
	r.run(time.Second)
	want(4, bound-4, 2)
	other.report(n1, 1, n2, 1)
	want(5, bound-2, 2)
	r.wantWay(n2, "192.168.1.100 metric 2")
}

// Very many new routes within a minute are an error in the log, once in that minute. It
// says whose they are.
func TestSurge(t *testing.T) {
	r := crowded(t, 0)
	r.unobserved()
	var log bytes.Buffer
	r.logTo(&log)
	all := packets(t, 5*surgeRoutes, 1)
	var routes int
	// learn has the neighbour report so many routes in all.
	learn := func(most int) {
		t.Helper()
		for ; routes < most && len(all) > 0; all = all[1:] {
			r.receiveBytes(1, addr("192.168.1.9"), allRouters, all[0])
			count, _ := r.p.RouteCount()
			routes = count - 2 // those of the links
		}
		r.sent = nil
	}
	const message = "surge of routes"
	learn(surgeRoutes - 1000)
	r.run(surgeTime)
	learn(2*surgeRoutes - 2000) // not as many in either minute
	wantErrors(t, &log, message, 0)
	learn(2*surgeRoutes - 500)
	wantErrors(t, &log, message, 1)
	if got := lines(&log, " neighbor=192.168.1.9 interface=eth1"); len(got) != 1 {
		t.Errorf("logged %q, want where the routes come from", log.String())
	}
	learn(3 * surgeRoutes)
	wantErrors(t, &log, message, 1)
	r.run(surgeTime)
	learn(4*surgeRoutes + 1000)
	wantErrors(t, &log, message, 2)
}

// On a blaster link reports wait, and all are read.
func TestBlaster(t *testing.T) {
	r, peers := threeLans(t)
	l := r.p.linkOf(1).Link
	l.Blaster = true
	r.set(l)
	for i := range maxBlasted + 10 {
		m := dvmrp.Report{Version: dvmrp.Mrouted, Routes: []dvmrp.Route{
			{Prefix: net(fmt.Sprintf("10.%d.%d.0/24", i/200, i%200)), Metric: 1}}}
		b, err := m.AppendBinary(nil)
		if err != nil {
			t.Fatal(err)
		}
		r.p.Receive(r.now, &host.Packet{Interface: 1, From: peers[2].addr, To: allRouters, Message: b})
		clear(b) // nothing of it may be kept
	}
	r.wantWay("10.0.0.0/24", "none")
	r.turn()
	if routes, _ := r.p.RouteCount(); routes != 3+maxBlasted || r.p.refused[TooManyReports] != 10 {
		t.Errorf("%d routes, refused %v", routes, r.p.Refused())
	}
}

// Routes are listed by network.
func TestRoutes(t *testing.T) {
	r, peers := threeLans(t)
	peers[2].report("10.2.0.0/16", 2, n1, 1, "10.0.0.0/8", 3)
	var got []string
	for route := range r.p.Routes() {
		got = append(got, fmt.Sprintf("%v %v %v %v", route.Prefix, route.Parent, route.Gateway, route.Metric))
	}
	want := []string{
		"10.0.0.0/8 1 192.168.1.2 4", "10.1.0.0/16 1 192.168.1.2 2", "10.2.0.0/16 1 192.168.1.2 3",
		"192.168.1.0/24 1 invalid IP 1", "192.168.2.0/24 2 invalid IP 1", "192.168.3.0/24 3 invalid IP 1",
	}
	if !slices.Equal(got, want) {
		t.Errorf("routes %q, want %q", got, want)
	}
}
