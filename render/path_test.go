package render

import (
	"strings"
	"testing"
	"time"

	"mbone/report"
)

// The files mtrace-*.txt are what the mtrace of mrouted 4.6 printed, asking a
// responder with three hops that answered by script. The values here are what
// the responder said, so that the layout is compared with the real one.

func ms(d float64) *report.Milliseconds {
	m := report.Milliseconds(d * float64(time.Millisecond))
	return &m
}

// threeHops is the path of the script.
func threeHops() *report.Path {
	at := func(s string) report.Address { return report.Address{Addr: addr(s)} }
	hop := func(n int, in, out, previous string, elapsed, delay float64) report.Hop {
		h := report.Hop{
			Number: n, Address: at(out), Incoming: at(in), Outgoing: at(out), Protocol: "DVMRP", FwdTTL: 1,
			Elapsed: ms(elapsed), Delay: ms(delay),
		}
		if previous != "" {
			h.Previous = at(previous)
		}
		return h
	}
	return &report.Path{
		Source: at("10.4.0.9"), Receiver: at("10.1.0.9"), Group: at("224.2.2.2"), Reached: true,
		Query: report.Query{To: at("224.0.0.2"), From: at("10.1.0.9"), Response: at("10.1.0.9"), Hops: new(32), TTL: new(1)},
		RTT:   ms(0.6), Return: ms(-1.2),
		Hops: []report.Hop{
			hop(1, "10.2.0.1", "10.1.0.1", "10.2.0.2", 0.3, 0.3),
			hop(2, "10.3.0.1", "10.2.0.2", "10.3.0.2", 1.3, 1.0),
			hop(3, "10.4.0.1", "10.3.0.2", "", 2.3, 0.9),
		},
	}
}

// sample is what each counter of the script counts between two queries; a
// negative number stands for an unknown one.
type sample struct{ out, in, group, groupIn int64 }

// statistics are those of n intervals of two seconds.
func statistics(n int64, ttls [3]int, links [3]sample) *report.Statistics {
	counted := func(v, times int64) *int64 {
		if v < 0 {
			return nil
		}
		v *= times
		return &v
	}
	count := func(sent, received *int64) report.Count {
		c := report.Count{Sent: sent, Received: received}
		if sent != nil && received != nil {
			lost := *sent - *received
			c.Lost = &lost
		}
		return c
	}
	traffic := func(s sample, times int64) report.Traffic {
		return report.Traffic{
			Seconds: int(2 * times),
			All:     count(counted(s.out, times), counted(s.in, times)),
			Group:   count(counted(s.group, times), counted(s.groupIn, times)),
		}
	}
	s := &report.Statistics{
		Samples:  int(n) + 1,
		Interval: *ms(2000),
		Total:    report.Milliseconds(time.Duration(n) * 2 * time.Second),
	}
	for i, l := range links {
		s.Links = append(s.Links, report.Link{From: i + 1, To: i, TTL: ttls[i], Last: traffic(l, 1), Total: traffic(l, n)})
	}
	return s
}

func write(t *testing.T, o PathOptions, steps ...report.PathStep) string {
	t.Helper()
	var b strings.Builder
	for _, s := range steps {
		if err := PathText(&b, s, o); err != nil {
			t.Fatal(err)
		}
	}
	return b.String()
}

var numeric = PathOptions{Numeric: true}

func TestPathTextStatistics(t *testing.T) {
	lossy := [3]sample{{85, -1, 45, -1}, {100, 90, 50, 45}, {99, 100, 60, 50}}
	ttls := [3]int{3, 2, 1}
	after := func(p report.Path, n int64, ttls [3]int, links [3]sample) report.PathStep {
		p.Statistics = statistics(n, ttls, links)
		return report.PathStep{Kind: report.StepStatistics, Path: &p}
	}
	wait := report.PathStep{Kind: report.StepWait}
	begin := func(p *report.Path) []report.PathStep {
		return []report.PathStep{
			{Kind: report.StepBegin, Path: p}, {Kind: report.StepQuery, Path: p}, {Kind: report.StepReply, Path: p},
			{Kind: report.StepSource, Path: p, Hop: 4}, {Kind: report.StepEnd, Path: p},
		}
	}

	p := threeHops()
	steps := append(begin(p), wait, after(*p, 1, ttls, lossy), wait, after(*p, 2, ttls, lossy))
	golden(t, "mtrace-loop.txt", write(t, numeric, steps...))

	// Unknown counters, a source that sent nothing, more received than sent.
	partial := [3]sample{{85, -1, 50, -1}, {-1, -1, 5, 50}, {100, 300, 0, 5}}
	p = threeHops()
	p.Hops[2].Delay, p.Hops[1].Delay = ms(1), ms(0.9)
	golden(t, "mtrace-partial.txt", write(t, numeric, wait, after(*p, 1, ttls, partial), wait, after(*p, 2, ttls, partial)))

	// Only one end of each link counts.
	one := [3]sample{{85, -1, 45, -1}, {-1, 90, 50, 45}, {0, 100, 60, 50}}
	golden(t, "mtrace-one-counter.txt", write(t, numeric, wait, after(*p, 1, ttls, one)))

	// -v, clocks far apart, codes, a large threshold.
	p = threeHops()
	p.Hops[0].Protocol, p.Hops[1].Protocol = "PIM", "CBT"
	p.Hops[0].Error, p.Hops[1].Error = "Hit scope boundary", "Not forwarding"
	p.Hops[1].FwdTTL = 64
	p.Hops[1].Elapsed, p.Hops[1].Delay = ms(20500), ms(20500)
	p.Hops[2].Elapsed, p.Hops[2].Delay = ms(-20500), ms(-41000)
	p.Return = ms(20500)
	steps = append(begin(p), wait, after(*p, 1, [3]int{65, 64, 1}, lossy), wait, after(*p, 2, [3]int{65, 64, 1}, lossy))
	golden(t, "mtrace-verbose.txt", write(t, PathOptions{Numeric: true, Verbose: true}, steps...))
}

func TestPathTextHopByHop(t *testing.T) {
	p := threeHops()
	one := *p
	one.Hops, one.Reached = p.Hops[:1], false
	one.Next = &report.NextHop{
		Address: report.Address{Addr: addr("10.2.0.2")}, Verdict: report.DidNotAnswer,
		Version: &report.Version{Major: 3, Minor: 255},
	}
	timeout := report.PathStep{Kind: report.StepTimeout}
	asking := func(n int) report.PathStep { return report.PathStep{Kind: report.StepAsking, Hop: n} }
	start := []report.PathStep{
		{Kind: report.StepBegin, Path: p}, {Kind: report.StepQuery}, timeout, {Kind: report.StepHopByHop, Path: p},
		asking(1), {Kind: report.StepHop, Path: &one, Hop: 1},
		asking(2), timeout, timeout, timeout, timeout, {Kind: report.StepSilent, Path: &one, Hop: 2},
	}
	resumed := append(start, asking(3), report.PathStep{Kind: report.StepResume, Path: p, Hop: 2},
		report.PathStep{Kind: report.StepSource, Path: p, Hop: 4}, report.PathStep{Kind: report.StepEnd, Path: p})
	golden(t, "mtrace-resume.txt", write(t, numeric, resumed...))

	silent := append(start, asking(3), timeout, timeout, timeout, report.PathStep{Kind: report.StepUnanswered},
		asking(4), timeout, timeout, timeout, report.PathStep{Kind: report.StepUnanswered},
		asking(5), timeout, timeout, timeout, report.PathStep{Kind: report.StepGiveUp})
	golden(t, "mtrace-silent.txt", write(t, numeric, silent...))
}

func TestPathText(t *testing.T) {
	p := threeHops()
	name := "castor.example"
	named := *p
	named.ReceiverName = &name
	named.Hops = append([]report.Hop{}, p.Hops...)
	named.Hops[0].Name = &name
	next := func(v report.Verdict, version *report.Version) *report.Path {
		n := *p
		n.Next = &report.NextHop{Address: report.Address{Addr: addr("10.3.0.2")}, Verdict: v, Version: version}
		return &n
	}
	toGroup := *p
	toGroup.Query.To, toGroup.Query.TTL = report.Address{Addr: addr("224.2.2.2")}, new(64)
	toGroup.Receiver = report.Address{Addr: addr("10.7.7.7")}
	toRouter := *p
	toRouter.Query.To = report.Address{Addr: addr("10.2.0.1")}
	changed := *p
	changed.Change = &report.PathChange{Hop: 2, After: *ms(4100)}
	shorter := *p
	shorter.Hops, shorter.Change = p.Hops[:2], &report.PathChange{After: *ms(4100)}
	hostile := *p
	bad := "a\x1b[2Jb"
	hostile.SourceName = &bad
	slow := *p
	slow.RTT = ms(12_345_678)
	hops := " -1  10.1.0.1  DVMRP  thresh^ 1  \n -2  10.2.0.2  DVMRP  thresh^ 1  \n"
	for _, test := range []struct {
		name string
		step report.PathStep
		o    PathOptions
		want string
	}{
		{"directly connected", report.PathStep{Kind: report.StepOnLink}, numeric,
			"Source & receiver are directly connected, no path to trace\n"},
		{"limited", report.PathStep{Kind: report.StepQuery, Limit: 4}, numeric, "Querying reverse path, maximum 4 hops... "},
		{"names", report.PathStep{Kind: report.StepReply, Path: &named}, PathOptions{},
			"\n  0  castor.example (10.1.0.9)\n -1  castor.example (10.1.0.1)  DVMRP  thresh^ 1  \n" +
				" -2  ? (10.2.0.2)  DVMRP  thresh^ 1  \n -3  ? (10.3.0.2)  DVMRP  thresh^ 1  \n"},
		{"name that steers a terminal", report.PathStep{Kind: report.StepSource, Path: &hostile, Hop: 4}, PathOptions{},
			" -4  a\ufffd[2Jb (10.4.0.9)\n"},
		{"next", report.PathStep{Kind: report.StepNext, Path: next(report.IsNext, nil)}, numeric, "10.3.0.2 is the next hop\n"},
		{"next after an error", report.PathStep{Kind: report.StepNext, Path: next(report.WouldBeNext, nil)}, numeric,
			"10.3.0.2 would be the next hop\n"},
		{"old mrouted", report.PathStep{Kind: report.StepNext, Path: next(report.NoMtrace, &report.Version{Major: 3, Minor: 2})}, numeric,
			"10.3.0.2 [mrouted 3.2] doesn't support mtrace\n"},
		{"unknown kind of router", report.PathStep{Kind: report.StepSilent, Path: next(report.DidNotAnswer, &report.Version{Major: 12, Minor: 2})}, numeric,
			"10.3.0.2 [12.2] didn't respond\n"},
		{"no answer from the link", report.PathStep{Kind: report.StepNoAnswer, Path: p}, numeric,
			"Timed out receiving responses\nPerhaps no local router has a route for source 10.4.0.9\n"},
		{"no answer from the group", report.PathStep{Kind: report.StepNoAnswer, Path: &toGroup}, numeric,
			"Timed out receiving responses\nPerhaps receiver 10.7.7.7 is not a member of group 224.2.2.2,\n" +
				"or no router local to it has a route for source 10.4.0.9,\n" +
				"or multicast at ttl 64 doesn't reach its last-hop router for that source\n"},
		{"no answer from a gateway", report.PathStep{Kind: report.StepNoAnswer, Path: &toRouter}, numeric, "Timed out receiving responses\n"},
		{"passive", report.PathStep{Kind: report.StepOverheard, Path: p}, numeric,
			"Mtrace from 10.1.0.9 to 10.4.0.9 via group 224.2.2.2 (mxhop=32)\n  0  10.1.0.9\n" + hops +
				" -3  10.3.0.2  DVMRP  thresh^ 1  \n -4  10.4.0.9\n\n"},
		{"lost", report.PathStep{Kind: report.StepLost}, numeric, "Timed out.\n"},
		{"enough time has passed", report.PathStep{Kind: report.StepNoWait}, numeric, "\n"},
		{"changed", report.PathStep{Kind: report.StepChanged, Path: &changed}, numeric,
			"Route changed:\n" + hops + " -3  10.3.0.2  DVMRP  thresh^ 1  \nRestarting.\n\n"},
		{"shorter", report.PathStep{Kind: report.StepChanged, Path: &shorter}, numeric,
			"Trace length doesn't match:\n" + hops + "Restarting.\n\n"},
		{"shorter, in a watch", report.PathStep{Kind: report.StepChanged, Path: &shorter}, PathOptions{Numeric: true, PathOnly: true},
			"\nTrace length doesn't match after 4 seconds:\n" + hops + "Restarting.\n\n"},
		{"watch", report.PathStep{Kind: report.StepWatch}, numeric, "Monitoring path.."},
		{"long round trip", report.PathStep{Kind: report.StepEnd, Path: &slow}, numeric, "Round trip time 12345s \n\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := write(t, test.o, test.step); got != test.want {
				t.Errorf("got\n%q\nwant\n%q", got, test.want)
			}
		})
	}
}

func TestPathTable(t *testing.T) {
	p := threeHops()
	p.Reached = false
	p.Hops = p.Hops[:2]
	in, out := uint64(4142), uint64(2071)
	p.Hops[0].PacketsIn, p.Hops[0].PacketsOut = &in, &out
	p.Hops[1].Error = "Not forwarding"
	p.Hops[1].Unreliable = []report.Unreliable{{Field: "packets_group", Reason: "FRR"}}
	p.Next = &report.NextHop{Address: report.Address{Addr: addr("10.3.0.2")}, Verdict: report.DidNotAnswer}
	var b strings.Builder
	if err := PathTable(&b, p); err != nil {
		t.Fatal(err)
	}
	golden(t, "mtrace-table.txt", b.String())
}
