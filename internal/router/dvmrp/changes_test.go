package dvmrp

import (
	"fmt"
	"testing"
	"time"

	"mbone/internal/router/host"
	"mbone/proto/dvmrp"
)

// reports returns the reports that were sent on a link, and drops all others.
func (r *rig) reports(id host.Interface) []sent {
	var all []sent
	for _, s := range r.sent {
		if s.Interface == id && dvmrp.Code(s.Message[1]) == dvmrp.CodeReport {
			all = append(all, s)
		}
	}
	r.sent = nil
	return all
}

// tables returns so many /24 networks with a metric, as arguments of peer.report.
func manyRoutes(n, metric int) []any {
	var routes []any
	for i := range n {
		routes = append(routes, fmt.Sprintf("10.%d.%d.0/24", i/256, i%256), metric)
	}
	return routes
}

// reportMany reports routes in full packets, without a pause.
func (p *peer) reportMany(routes []any) {
	for len(routes) > 0 {
		n := min(2*wholePacket, len(routes))
		p.report(routes[:n]...)
		routes = routes[n:]
	}
}

// A change leaves at once if there was none for a while; others within 50 ms of it
// leave together then.
func TestCoalescing(t *testing.T) {
	r, peers := threeLans(t)
	peers[2].report(n1, 3)
	if got := r.reports(2); len(got) != 1 || got[0].at != r.now {
		t.Errorf("sent %d reports", len(got))
	}
	for i := range 10 {
		r.run(2 * time.Millisecond)
		peers[2].report(fmt.Sprintf("10.%d.0.0/16", 10+i), 3)
	}
	if got := r.reports(2); len(got) != 0 {
		t.Errorf("sent %d reports too early", len(got))
	}
	start := r.now
	r.run(30 * time.Millisecond)
	got := r.reports(2)
	if len(got) != 1 || got[0].at != start+30*time.Millisecond {
		t.Fatalf("sent %d reports", len(got))
	}
	var m dvmrp.Report
	if err := m.Parse(got[0].Message); err != nil || len(m.Routes) != 10 {
		t.Errorf("%d routes, %v", len(m.Routes), err)
	}
}

// A route that changes again before it was told is told once, as it is then.
func TestChangedTwice(t *testing.T) {
	r, peers := threeLans(t)
	peers[2].report(n1, 9, "10.2.0.0/16", 3)
	r.reports(2)
	for metric := 8; metric > 3; metric-- {
		peers[2].report(n1, metric)
	}
	r.run(50 * time.Millisecond)
	if told := r.told(2, n1); told != 5 {
		t.Errorf("told %d, want 5", told)
	}
	if got := r.reports(2); len(got) != 1 {
		t.Errorf("sent %d reports", len(got))
	}
}

// Bad news do not wait.
func TestBadNews(t *testing.T) {
	r, peers := threeLans(t)
	peers[2].report(n1, 3, "10.2.0.0/16", 3)
	r.drop()
	peers[2].report("10.2.0.0/16", 32)
	if told := r.told(2, "10.2.0.0/16"); told != 32 {
		t.Errorf("told %d, want 32 at once", told)
	}
}

// A loss is told three times to an mroutd while the route is held, in case a report
// is lost, and once to others; so is what replaces it.
func TestRepeatedLoss(t *testing.T) {
	r, peers := threeLans(t)
	take[dvmrp.Info](r)
	peers[4].probe(true)
	peers[4].answer("mroutd 1.0")
	peers[2].report(n1, 3)
	peers[6].report(n1, 9)
	r.run(time.Second)
	r.drop()
	start := r.now
	peers[2].report(n1, 32)
	r.run(time.Second)
	told := make(map[host.Interface][]string)
	for _, s := range r.sent {
		var m dvmrp.Report
		if m.Parse(s.Message) == nil {
			for _, route := range m.Routes {
				told[s.Interface] = append(told[s.Interface], fmt.Sprint(route.Metric, " at ", (s.at-start).Milliseconds()))
			}
		}
	}
	if got, want := fmt.Sprint(told[2]), "[32 at 0 32 at 33 32 at 66 10 at 100]"; got != want {
		t.Errorf("told an mroutd %s, want %s", got, want)
	}
	if got, want := fmt.Sprint(told[1]), "[32 at 0 10 at 100]"; got != want {
		t.Errorf("told others %s, want %s", got, want)
	}
}

// Many changes leave in a burst of 100 packets, and then 200 a second; none is lost
// and none is told twice.
func TestPace(t *testing.T) {
	r, peers := threeLans(t)
	const n = 30000
	peers[2].reportMany(manyRoutes(n, 3))
	start := r.now
	r.run(900 * time.Millisecond)
	got := r.reports(2)
	told := make(map[string]int)
	for i, s := range got {
		// A packet more: what is left of the last one of a run.
		if allowed := burst + 1 + int((s.at-start)/pace); i >= allowed {
			t.Fatalf("packet %d left after %v", i, s.at-start)
		}
		if i > 0 && s.at-got[i-1].at > 50*time.Millisecond {
			t.Errorf("a pause of %v", s.at-got[i-1].at)
		}
		var m dvmrp.Report
		if err := m.Parse(s.Message); err != nil || len(s.Message) > dvmrp.HeaderLen+dvmrp.MaxReport {
			t.Fatalf("%v, %d bytes", err, len(s.Message))
		}
		for _, route := range m.Routes {
			told[route.Prefix.String()]++
			if route.Metric != 4 {
				t.Fatalf("told %v", route)
			}
		}
	}
	if len(told) != n {
		t.Errorf("told %d routes, want %d", len(told), n)
	}
	for net, times := range told {
		if times != 1 {
			t.Fatalf("%s was told %d times", net, times)
		}
	}
	packets := (n + wholePacket - 1) / wholePacket
	if len(got) > packets+packets/50 {
		t.Errorf("%d packets, %d would do", len(got), packets)
	}
	if limit := start + time.Duration(packets-burst+10)*pace; got[len(got)-1].at > limit {
		t.Errorf("the last one left after %v", got[len(got)-1].at-start)
	}
}

// The whole table goes out once a minute, spread, whatever its size.
func TestSpread(t *testing.T) {
	for _, n := range []int{1, 100, 1000, 20000} {
		r, peers := threeLans(t)
		peers[2].reportMany(manyRoutes(n, 3))
		r.run(5 * time.Second)
		r.drop()
		start := r.now
		r.run(60 * time.Second)
		told := make(map[string]int)
		got := r.reports(3)
		seconds := make(map[int]int)
		for _, s := range got {
			var m dvmrp.Report
			if err := m.Parse(s.Message); err != nil {
				t.Fatal(err)
			}
			seconds[int((s.at-start)/time.Second)] += len(m.Routes)
			for _, route := range m.Routes {
				told[route.Prefix.String()]++
			}
		}
		if want := n + 2; len(told) != want { // not that of the link itself
			t.Errorf("%d routes: told %d, want %d", n, len(told), want)
		}
		for second, routes := range seconds {
			if routes > max(2*wholePacket, n/60+wholePacket) {
				t.Errorf("%d routes: %d in second %d", n, routes, second)
			}
		}
		if limit := n/wholePacket + n/wholePacket/10 + 60; len(got) > limit {
			t.Errorf("%d routes in %d packets", n, len(got))
		}
	}
}

// Nothing is told where nobody listens, and a new neighbour is told all once.
func TestListeners(t *testing.T) {
	r := newRig(t)
	r.set(lan(1))
	r.set(lan(2))
	one := r.peer(1, 2)
	one.report(manyRoutes(500, 3)...)
	r.run(time.Second)
	if got := r.reports(2); len(got) > 0 {
		t.Errorf("%d reports to nobody", len(got))
	}
	r.peer(2, 2)
	r.run(time.Second)
	if got := r.reports(2); len(got) < 4 || len(got) > 6 {
		t.Errorf("%d reports, want a table", len(got))
	}
	// A second one on the link is told, too.
	r.peer(2, 3)
	r.run(time.Second)
	if got := r.reports(2); len(got) < 4 || len(got) > 6 {
		t.Errorf("%d reports, want a table", len(got))
	}
	if len(r.p.changes.log) > minQueue {
		t.Errorf("%d changes are kept", len(r.p.changes.log))
	}
}

// The log of changes and the queue of held routes do not grow with the number of
// changes.
func TestFlapping(t *testing.T) {
	r, peers := threeLans(t)
	for i := range 20000 {
		peers[2].report(n1, 3+i%20)
		if len(r.p.changes.log) > 2*minQueue || len(r.p.holds.queue) > 2*minQueue {
			t.Fatalf("%d changes, %d held", len(r.p.changes.log), len(r.p.holds.queue))
		}
	}
	sent := len(r.reports(2))
	if sent > burst+10 {
		t.Errorf("%d reports in no time", sent)
	}
	r.run(2 * time.Second)
	if len(r.p.holds.queue) > 0 || r.p.routeOf(net(n1)).floor != 0 {
		t.Error("still held")
	}
	if told := r.told(2, n1); told != 3+19999%20+1 { // once it is not held
		t.Errorf("told %d", told)
	}
}

// A route that got worse is held until 100 ms after the last neighbour was told.
func TestHeldUntilTold(t *testing.T) {
	r, peers := threeLans(t)
	const n = 40000 // takes about 1.1 s to tell
	peers[2].reportMany(manyRoutes(n, 3))
	peers[4].reportMany(manyRoutes(n, 9))
	r.run(5 * time.Second)
	r.drop()
	peers[2].reportMany(manyRoutes(n, 32))
	start := r.now
	last := fmt.Sprintf("10.%d.%d.0/24", (n-1)/256, (n-1)%256)
	r.run(time.Second)
	r.wantWay(last, "none")
	r.run(5 * time.Second)
	r.wantWay(last, "192.168.2.4 metric 10")
	var lost, found time.Duration
	for _, s := range r.sent {
		var m dvmrp.Report
		if s.Interface != 3 || m.Parse(s.Message) != nil {
			continue
		}
		for _, route := range m.Routes {
			if route.Prefix == net(last) && route.Metric == 32 {
				lost = s.at
			} else if route.Prefix == net(last) && route.Metric == 10 {
				found = s.at
			}
		}
	}
	if lost <= start+time.Second || found < lost+holdTime {
		t.Errorf("lost at %v, found at %v", lost, found)
	}
}

// What is sent is sorted, in any mixture of masks, and fits.
func TestMixture(t *testing.T) {
	r, peers := threeLans(t)
	want := 2
	for bits := 8; bits <= 32; bits++ {
		for i := range 200 {
			p := netipPrefix(uint32(11+i)<<24|uint32(i*77777)<<8, bits)
			if !isNetwork(p) || r.p.table.get(p) != nil {
				continue
			}
			peers[2].report(p.String(), 3)
			want++
		}
	}
	r.run(time.Second)
	r.drop()
	r.p.tellAll(r.p.linkOf(3))
	r.run(time.Second)
	routes := 0
	got := r.reports(3)
	for _, s := range got {
		var m dvmrp.Report
		if err := m.Parse(s.Message); err != nil {
			t.Fatal(err)
		}
		for i := 1; i < len(m.Routes); i++ {
			if compareNets(m.Routes[i-1].Prefix, m.Routes[i].Prefix) >= 0 {
				t.Errorf("%v before %v", m.Routes[i-1], m.Routes[i])
			}
		}
		if len(s.Message) > dvmrp.HeaderLen+dvmrp.MaxReport {
			t.Errorf("%d bytes", len(s.Message))
		}
		routes += len(m.Routes)
	}
	if routes != want {
		t.Errorf("told %d routes, want %d", routes, want)
	}
}

// To the other end of a tunnel all is unicast if it goes beside it, and multicast
// through it otherwise.
func TestTunnels(t *testing.T) {
	for _, beside := range []bool{true, false} {
		r := newRig(t)
		r.set(lan(1))
		l := host.Link{ID: 2, Name: "tun", Up: true, PointToPoint: true, Address: addr("192.168.1.1"),
			Remote: addr("10.9.9.9"), Beside: beside, LinkSettings: host.LinkSettings{Enabled: true, Metric: 1}}
		r.set(l)
		remote := &peer{r, 2, l.Remote, l.Address, dvmrp.Mrouted, 7}
		if beside {
			m := dvmrp.Probe{Version: dvmrp.Mrouted, GenID: 7}
			m.Neighbors = append(m.Neighbors, l.Address)
			r.receive(1, l.Remote, l.Address, &m)
		} else {
			remote.probe(true)
		}
		r.run(time.Second)
		codes := make(map[dvmrp.Code]int)
		for _, s := range r.sent {
			if s.Interface == 1 {
				continue
			}
			code := dvmrp.Code(s.Message[1])
			codes[code]++
			want := host.Send{From: l.Address, To: l.Remote, TTL: 255, Message: s.Message}
			if !beside && code != dvmrp.CodeInfoRequest {
				want = host.Send{Interface: 2, From: l.Address, To: allRouters, TTL: 1, Alert: true, Message: s.Message}
			}
			if fmt.Sprint(s.Send) != fmt.Sprint(want) {
				t.Errorf("beside %v: %v sent as %+v", beside, code, s.Send)
			}
		}
		if codes[dvmrp.CodeProbe] == 0 || codes[dvmrp.CodeReport] == 0 || codes[dvmrp.CodeInfoRequest] != 1 {
			t.Errorf("beside %v: sent %v", beside, codes)
		}
		if told := r.told(2, "192.168.1.0/24"); !beside && told != 1 {
			t.Errorf("told %d", told)
		}
	}
}
