package topo_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mbone/internal/ask"
	"mbone/internal/topo"
	"mbone/report"
)

// asker is a topo.Asker that is a function.
type asker func(context.Context, ask.NeighborsQuestion) ([]ask.NeighborsAnswer, error)

func (a asker) Neighbors(ctx context.Context, q ask.NeighborsQuestion) ([]ask.NeighborsAnswer, error) {
	return a(ctx, q)
}

// after answers for a network with a delay.
func (n *network) after(d time.Duration) asker {
	return func(ctx context.Context, q ask.NeighborsQuestion) ([]ask.NeighborsAnswer, error) {
		n.mu.Lock()
		n.inFlight++
		n.most = max(n.most, n.inFlight)
		n.mu.Unlock()
		defer func() { n.mu.Lock(); n.inFlight--; n.mu.Unlock() }()
		select {
		case <-time.After(d):
			return n.Neighbors(ctx, q)
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

const chain = `
	a: 1.1>1.2
	b: 1.2>1.1  2.2>2.3
	c: 2.3>2.2  3.3>3.4
	d: 3.4>3.3  4.4>4.5
	e: 4.5>4.4`

func TestBounds(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*topo.Crawl)
		want   string
	}{
		{"depth", func(c *topo.Crawl) { c.Depth = 2 }, `
			0 1.1
			1 1.2 = 2.2
			2 2.3 = 3.3
			3 3.4 not_asked (beyond depth 2)
			p2p 1.1 1.2
			p2p 1.2@2.2 2.3
			p2p 2.3@3.3 3.4`},
		{"depth 0", func(c *topo.Crawl) { c.Depth = 0 }, `
			0 1.1
			1 1.2 not_asked (beyond depth 0)
			p2p 1.1 1.2`},
		{"no flood", func(c *topo.Crawl) { c.Flood = false }, `
			0 1.1
			1 1.2 not_asked (only the first router was asked)
			p2p 1.1 1.2`},
		{"within", func(c *topo.Crawl) {
			c.Within = []netip.Prefix{netip.MustParsePrefix("10.0.2.0/24"), netip.MustParsePrefix("10.0.1.2/32")}
		}, `
			0 1.1
			1 1.2 = 2.2
			2 2.3 = 3.3
			3 3.4 not_asked (outside of 10.0.2.0/24, 10.0.1.2/32)
			p2p 1.1 1.2
			p2p 1.2@2.2 2.3
			p2p 2.3@3.3 3.4`},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := everything("1.1")
			test.change(&c)
			m := draw(t, chain).crawl(t, c)
			expect(t, m, test.want)
			if !m.Complete || m.Reason != "" {
				t.Errorf("complete %v, reason %q: a bound that was asked for is no lack", m.Complete, m.Reason)
			}
		})
	}
}

// The way by c and d is found first, that by z is shorter: with a bound of three
// steps f, behind e, is asked only if the shorter way to e counts.
func TestDepthOfShorterWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := draw(t, `
			a: 1.1>1.2  9.1>9.9
			b: 1.2>1.1  2.2>2.3
			c: 2.3>2.2  3.3>3.5
			z: 9.9>9.1  8.9>8.5
			e: 3.5>3.3  8.5>8.9  6.5>6.6
			f: 6.6>6.5  7.7>7.8
			g: 7.8>7.7`)
		slow := asker(func(ctx context.Context, q ask.NeighborsQuestion) ([]ask.NeighborsAnswer, error) {
			d := time.Millisecond
			if q.Router == addr("9.9") {
				d = time.Second
			}
			return n.after(d)(ctx, q)
		})
		c := everything("1.1")
		c.Depth = 3
		m, err := topo.Run(t.Context(), slow, c)
		if err != nil {
			t.Fatal(err)
		}
		expect(t, m, `
			0 1.1 = 9.1
			1 1.2 = 2.2
			2 2.3 = 3.3
			2 3.5 = 6.5 8.5
			3 6.6 = 7.7
			4 7.8 not_asked (beyond depth 3)
			1 8.9 = 9.9
			p2p 1.1 1.2
			p2p 1.1@9.1 8.9@9.9
			p2p 1.2@2.2 2.3
			p2p 2.3@3.3 3.5
			p2p 3.5@6.5 6.6
			p2p 3.5@8.5 8.9
			p2p 6.6@7.7 7.8`)
	})
}

// A clean network costs one question a router, if they are asked one by one.
func TestOneQuestionARouter(t *testing.T) {
	n := draw(t, chain+`
		f: 2.2>2.3  5.1>5.2
		l: 4.5>4.4  6.1>6.2,6.3
		m: 6.2>6.1,6.3
		n: 6.3>6.1,6.2`)
	n.routers = slices.Delete(n.routers, 5, 6) // f doubles an address of b
	n.routers[4].records = append(n.routers[4].records, n.routers[5].records[1:]...)
	n.routers = slices.Delete(n.routers, 5, 6)
	m := n.crawl(t, everything("1.1"))
	if len(m.Routers) != 7 || len(n.asked) != 7 {
		t.Errorf("%d routers, asked %v, want 7 each", len(m.Routers), n.asked)
	}
}

// It takes the depth of the network times the round trip, and asks no more at
// once than it may.
func TestTimeAndPlaces(t *testing.T) {
	for _, inFlight := range []int{0, 1, 2} {
		synctest.Test(t, func(t *testing.T) {
			n := draw(t, `
				a: 1.1>1.2,1.3,1.4,1.5
				b: 1.2>1.1,1.3,1.4,1.5
				c: 1.3>1.1,1.2,1.4,1.5
				d: 1.4>1.1,1.2,1.3,1.5
				e: 1.5>1.1,1.2,1.3,1.4`)
			c := everything("1.1")
			c.InFlight = inFlight
			var last topo.Progress
			c.Tell = func(p topo.Progress) { last = p }
			began := time.Now()
			m, err := topo.Run(t.Context(), n.after(time.Second), c)
			if err != nil {
				t.Fatal(err)
			}
			want := map[int]struct {
				took time.Duration
				most int
			}{0: {2 * time.Second, 4}, 1: {5 * time.Second, 1}, 2: {3 * time.Second, 2}}[inFlight]
			if took := time.Since(began); took != want.took || m.Took.Duration() != took {
				t.Errorf("%d in flight: took %v and says %v, want %v", inFlight, took, m.Took.Duration(), want.took)
			}
			if n.most != want.most {
				t.Errorf("%d in flight: asked %d at once, want %d", inFlight, n.most, want.most)
			}
			if want := (topo.Progress{Answered: 5}); last != want {
				t.Errorf("told %+v at last, want %+v", last, want)
			}
		})
	}
}

func TestEndOfContext(t *testing.T) {
	because := errors.New("time is up")
	for _, test := range []struct {
		name, reason string
		end          func(context.Context) (context.Context, context.CancelFunc)
	}{
		{"cause", "time is up", func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeoutCause(ctx, 2500*time.Millisecond, because)
		}},
		{"cancel", "interrupted", func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(ctx)
			time.AfterFunc(2500*time.Millisecond, cancel)
			return ctx, cancel
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := test.end(t.Context())
				defer cancel()
				c := everything("1.1")
				c.InFlight = 1
				n := draw(t, "a: 1.1>1.2,1.3,1.4\n b: 1.2>1.1\n c: 1.3>1.1\n d: 1.4>1.1")
				m, err := topo.Run(ctx, n.after(time.Second), c)
				if err != nil {
					t.Fatal(err)
				}
				expect(t, m, `
					0 1.1
					1 1.2
					1 1.3 not_asked (the crawl was ended before it answered)
					1 1.4 not_asked (the crawl was ended before it was asked)
					lan 1.1 1.2 1.3 1.4`)
				if m.Complete || m.Reason != test.reason {
					t.Errorf("complete %v, reason %q, want %q", m.Complete, m.Reason, test.reason)
				}
			})
		})
	}
	t.Run("after all is done", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		c := everything("1.1")
		n := draw(t, "a: 1.1")
		m, err := topo.Run(ctx, asker(func(ctx context.Context, q ask.NeighborsQuestion) ([]ask.NeighborsAnswer, error) {
			defer cancel()
			return n.Neighbors(ctx, q)
		}), c)
		if err != nil || !m.Complete {
			t.Errorf("%v, complete %v, reason %q: nothing was outstanding any more", err, m.Complete, m.Reason)
		}
	})
}

func TestSilentStart(t *testing.T) {
	m := draw(t, "a silent: 1.1").crawl(t, everything("1.1"))
	if want := "no answer from 10.0.1.1"; m.Complete || m.Reason != want {
		t.Errorf("complete %v, reason %q, want %q", m.Complete, m.Reason, want)
	}
}

func TestLinkStart(t *testing.T) {
	n := draw(t, `
		a: 1.1>1.2  2.1>2.3
		b: 1.2>1.1
		c: 2.3>2.1`)
	all := netip.MustParseAddr("224.0.0.1")
	var asked []netip.Addr
	link := asker(func(ctx context.Context, q ask.NeighborsQuestion) ([]ask.NeighborsAnswer, error) {
		asked = append(asked, q.Router)
		if q.Router != all {
			return n.Neighbors(ctx, q)
		}
		var answers []ask.NeighborsAnswer
		for i, from := range []string{"1.1", "1.2"} {
			a := n.routers[i].answer(all)
			a.From = addr(from)
			answers = append(answers, a)
		}
		return answers, nil
	})
	c := everything("1.1")
	c.Start, c.InFlight = []netip.Addr{all}, 1
	m, err := topo.Run(t.Context(), link, c)
	if err != nil {
		t.Fatal(err)
	}
	expect(t, m, `
		0 1.1 = 2.1
		0 1.2
		1 2.3
		p2p 1.1 1.2
		p2p 1.1@2.1 2.3`)
	if !m.Complete || !slices.Equal(asked, []netip.Addr{all, addr("2.3")}) || !slices.Equal(m.Start, c.Start) {
		t.Errorf("complete %v, asked %v, start %v", m.Complete, asked, m.Start)
	}

	m, err = topo.Run(t.Context(), asker(func(context.Context, ask.NeighborsQuestion) ([]ask.NeighborsAnswer, error) { return nil, nil }), c)
	if err != nil {
		t.Fatal(err)
	}
	if want := "no answer from 224.0.0.1"; len(m.Routers) != 0 || m.Complete || m.Reason != want {
		t.Errorf("%d routers, complete %v, reason %q, want %q", len(m.Routers), m.Complete, m.Reason, want)
	}
}

// The router on the own host answers from the loopback address, which nobody
// else names.
func TestLoopbackStart(t *testing.T) {
	n := draw(t, `
		a: 1.1>1.2  2.1>2.3
		b: 1.2>1.1  3.2>3.3
		c: 2.3>2.1  3.3>3.2`)
	own := netip.MustParseAddr("127.0.0.1")
	m, err := topo.Run(t.Context(), asker(func(ctx context.Context, q ask.NeighborsQuestion) ([]ask.NeighborsAnswer, error) {
		if q.Router == own {
			return []ask.NeighborsAnswer{n.routers[0].answer(own)}, nil
		}
		return n.Neighbors(ctx, q)
	}), topo.Crawl{Start: []netip.Addr{own}, Flood: true, Depth: -1})
	if err != nil {
		t.Fatal(err)
	}
	expect(t, m, `
		0 1.1 = 2.1
		1 1.2 = 3.2
		1 2.3 = 3.3
		p2p 1.1 1.2
		p2p 1.1@2.1 2.3
		p2p 1.2@3.2 2.3@3.3`)
}

func TestCouldNotAsk(t *testing.T) {
	unreachable := func(a netip.Addr) error {
		return &ask.OpError{Op: "send to", Object: a.String(), Err: errors.New("network is unreachable"), Fix: "add a route"}
	}
	t.Run("start", func(t *testing.T) {
		m, err := topo.Run(t.Context(), asker(func(_ context.Context, q ask.NeighborsQuestion) ([]ask.NeighborsAnswer, error) {
			return nil, unreachable(q.Router)
		}), everything("1.1"))
		if m != nil || err == nil || err.Error() != "send to 10.0.1.1: network is unreachable (add a route)" {
			t.Errorf("%v, %v", m, err)
		}
	})
	t.Run("not IPv4", func(t *testing.T) {
		_, err := topo.Run(t.Context(), draw(t, "a: 1.1"), topo.Crawl{Start: []netip.Addr{netip.MustParseAddr("::1")}})
		if err == nil || err.Error() != "ask ::1: not an IPv4 address" {
			t.Error(err)
		}
	})
	t.Run("neighbour", func(t *testing.T) {
		n := draw(t, "a: 1.1>1.2,1.3\n c: 1.3>1.1")
		m, err := topo.Run(t.Context(), asker(func(ctx context.Context, q ask.NeighborsQuestion) ([]ask.NeighborsAnswer, error) {
			if q.Router == addr("1.2") {
				return nil, unreachable(q.Router)
			}
			return n.Neighbors(ctx, q)
		}), everything("1.1"))
		if err != nil || !m.Complete {
			t.Fatal(err, m.Reason)
		}
		expect(t, m, `
			0 1.1
			1 1.2 not_asked (send to 10.0.1.2: network is unreachable (add a route))
			1 1.3
			lan 1.1 1.2 1.3`)
	})
	t.Run("closed", func(t *testing.T) {
		n := draw(t, "a: 1.1>1.2,1.3\n c: 1.3>1.1")
		c := everything("1.1")
		c.InFlight = 1
		m, err := topo.Run(t.Context(), asker(func(ctx context.Context, q ask.NeighborsQuestion) ([]ask.NeighborsAnswer, error) {
			if q.Router != addr("1.1") {
				return nil, &ask.OpError{Op: "ask", Object: q.Router.String(), Err: net.ErrClosed}
			}
			return n.Neighbors(ctx, q)
		}), c)
		if err != nil {
			t.Fatal(err)
		}
		if want := "ask 10.0.1.2: use of closed network connection"; m.Complete || m.Reason != want {
			t.Errorf("complete %v, reason %q, want %q", m.Complete, m.Reason, want)
		}
		expect(t, m, `
			0 1.1
			1 1.2 not_asked (ask 10.0.1.2: use of closed network connection)
			1 1.3 not_asked (the crawl was ended before it was asked)
			lan 1.1 1.2 1.3`)
	})
}

// A router that invents more neighbours than are followed costs no more than
// those, and all others are asked before most of them.
func TestInventor(t *testing.T) {
	const names = 10_000
	var invented strings.Builder
	for i := range names {
		fmt.Fprintf(&invented, ",172.16.%d.%d", i/250, 1+i%250)
	}
	n := draw(t, `
		a: 1.1>1.9,1.2
		l: 1.9>1.1,1.2`+invented.String()+`
		b: 1.2>1.1,1.9  2.2>2.3
		c: 2.3>2.2  3.3>3.4
		d: 3.4>3.3`)
	m := n.crawl(t, everything("1.1"))
	if len(n.asked) > 4096+5 {
		t.Errorf("%d questions", len(n.asked))
	}
	if at := slices.Index(n.asked, addr("3.4")); at < 0 || at > 10 {
		t.Errorf("the router three steps away was asked after %d others", at)
	}
	if want := "10.0.1.9 names more than 4096 neighbours or interfaces"; m.Reason != want || m.Complete {
		t.Errorf("complete %v, reason %q, want %q", m.Complete, m.Reason, want)
	}
	honest := slices.DeleteFunc(m.Routers, func(r report.MapRouter) bool { return r.State != report.RouterAnswered })
	if len(honest) != 5 || len(honest[1].Interfaces) != 2 {
		t.Errorf("%d routers answered", len(honest))
	}
}

// steal crawls a network in which the second router answers the first question to
// 1.2 in its place.
func steal(t *testing.T, n *network) *report.Map {
	t.Helper()
	stolen := 0
	c := everything("1.1")
	c.InFlight = 1
	m, err := topo.Run(t.Context(), asker(func(ctx context.Context, q ask.NeighborsQuestion) ([]ask.NeighborsAnswer, error) {
		if q.Router == addr("1.2") && q.Linger < 0 {
			stolen++
			a := n.routers[1].answer(addr("1.9"))
			a.Asked = q.Router
			return []ask.NeighborsAnswer{a}, nil
		}
		return n.Neighbors(ctx, q)
	}), c)
	if err != nil {
		t.Fatal(err)
	}
	if stolen != 1 {
		t.Errorf("%d answers stolen", stolen)
	}
	return m
}

// An answer that another router gave in its place is asked for again, with time
// for the right one.
func TestStolenAnswer(t *testing.T) {
	n := draw(t, `
		a: 1.1>1.2,1.9
		l lies: 1.9>1.1  1.2
		b: 1.2>1.1  2.2>2.3
		c: 2.3>2.2`)
	m := steal(t, n)
	expect(t, m, `
		0 1.1
		1 1.2 = 2.2
		1 1.9 ! 1.2
		2 2.3
		lan 1.1 1.2 1.9
		p2p 1.2@2.2 2.3`)
}

// If an address is silent when it is asked once more, nobody answers there.
func TestStolenFromSilent(t *testing.T) {
	n := draw(t, `
		a: 1.1>1.2,1.9
		l lies: 1.9>1.1  1.2
		b silent: 1.2>1.1`)
	m := steal(t, n)
	expect(t, m, `
		0 1.1
		1 1.2 silent (no answer to 5 tries)
		1 1.9 ! 1.2
		lan 1.1 1.2 1.9`)
}

// Where packets get lost, an answer may be the end of a longer one, even twice:
// everybody is asked twice more.
func TestLossyNetwork(t *testing.T) {
	n := draw(t, `
		a: 1.1>1.2
		b: 1.2>1.1  2.2>2.3
		c: 3.3>3.4  4.4/stub  2.3>2.2
		d: 3.4>3.3`)
	const want = `
		0 1.1
		1 1.2 = 2.2
		2 2.3 = 3.3 4.4
		3 3.4
		p2p 1.1 1.2
		p2p 1.2@2.2 2.3
		p2p 2.3@3.3 3.4`
	for _, test := range []struct {
		name  string
		tries int
		rtt   time.Duration // of an answer, where others take 20 ms
		lossy bool
	}{
		{"at once", 1, 20 * time.Millisecond, false},
		{"after a second try", 2, 20 * time.Millisecond, true},
		{"late, just after a second try", 2, time.Millisecond, false},
	} {
		lossy := test.lossy
		asked := make(map[netip.Addr]int)
		c := everything("1.1")
		c.InFlight = 1
		m, err := topo.Run(t.Context(), asker(func(ctx context.Context, q ask.NeighborsQuestion) ([]ask.NeighborsAnswer, error) {
			answers, err := n.Neighbors(ctx, q)
			asked[q.Router]++
			if len(answers) == 1 && asked[q.Router] <= 2 {
				a := &answers[0]
				a.Packets, a.Tries, a.RTT = 1, 1, 20*time.Millisecond
				switch {
				case q.Router == addr("1.2") && asked[q.Router] == 1:
					a.Tries, a.RTT = test.tries, test.rtt
				case q.Router == addr("2.3") && lossy: // its first packet got lost
					a.Interfaces = a.Interfaces[2:]
				}
			}
			return answers, err
		}), c)
		if err != nil {
			t.Fatal(err)
		}
		expect(t, m, want)
		for a, times := range asked {
			if want := 1; lossy && times != want+2 || !lossy && times != want {
				t.Errorf("%s was asked %d times, where one answers %s", a, times, test.name)
			}
		}
		if len(asked) != 4 {
			t.Errorf("%d were asked, want 4", len(asked))
		}
	}
}

// A router answers at two of its addresses, and a packet of its later answer gets
// lost: the whole answer counts.
func TestLaterAnswerWithALoss(t *testing.T) {
	n := draw(t, `
		a: 1.1>1.2  9.1/stub  2.1>2.2
		b: 1.2>1.1
		c: 2.2>2.1`)
	c := everything("1.1")
	c.Start = append(c.Start, addr("9.1"))
	c.InFlight = 1
	m, err := topo.Run(t.Context(), asker(func(ctx context.Context, q ask.NeighborsQuestion) ([]ask.NeighborsAnswer, error) {
		answers, err := n.Neighbors(ctx, q)
		switch q.Router {
		case addr("1.1"):
			answers[0].Packets = 3
		case addr("9.1"): // without its last packet
			answers[0].Packets, answers[0].Interfaces = 2, answers[0].Interfaces[:2]
			answers[0].Time = answers[0].Time.Add(time.Second)
		}
		return answers, err
	}), c)
	if err != nil {
		t.Fatal(err)
	}
	expect(t, m, `
		0 1.1 = 2.1 9.1 contradicted
		1 1.2
		1 2.2
		p2p 1.1 1.2
		p2p 1.1@2.1 2.2`)
}

// A late answer of a liar is taken for that of a router that it claims to be: of
// one that a neighbour bears out in any answer, else when it is asked to be sure.
// The router's own answer counts, whenever it comes.
func TestLateAnswerOfALiar(t *testing.T) {
	for _, test := range []struct {
		name    string
		b, lies string
		late    []int // which answer for 1.2 is the liar's
		want    string
	}{
		{"borne out", "b from=7.1: 1.2>1.1  7.1/stub", "1.2", []int{1, 2, 3}, `
			0 1.1
			1 1.9 ! 1.2
			0 7.1 = 1.2
			lan 1.1 1.9 7.1@1.2`},
		{"not borne out", "b from=7.1: 1.2/stub  7.1/stub", "1.2", []int{3}, `
			0 1.1
			1 1.9 ! 1.2
			0 7.1 = 1.2
			lan 1.1 1.9 7.1@1.2 1.1-/>7.1`},
		{"the liar is borne out", "b: 1.2>1.1  7.1/stub", "1.2>1.1", []int{1}, `
			0 1.1
			1 1.2 = 7.1
			1 1.9 ! 1.2
			lan 1.1 1.2 1.9
			p2p 1.1 1.9@1.2 1.9-/>1.1`},
	} {
		n := draw(t, `
			a: 1.1>1.2,1.9
			`+test.b+`
			l lies: 1.9>1.1  `+test.lies)
		for _, late := range test.late {
			asked := 0
			c := everything("1.1")
			if test.name != "the liar is borne out" {
				c.Start = append(c.Start, addr("7.1"))
			}
			c.InFlight = 1
			m, err := topo.Run(t.Context(), asker(func(ctx context.Context, q ask.NeighborsQuestion) ([]ask.NeighborsAnswer, error) {
				if q.Router == addr("1.2") {
					asked++
					if asked == late {
						a := n.routers[2].answer(addr("1.9"))
						a.Asked = q.Router
						return []ask.NeighborsAnswer{a}, nil
					}
				}
				answers, err := n.Neighbors(ctx, q)
				for i := range answers {
					answers[i].Tries, answers[i].RTT = 2, 20*time.Millisecond // packets get lost
				}
				return answers, err
			}), c)
			if err != nil {
				t.Fatal(err)
			}
			expect(t, m, test.want)
			if asked < late {
				t.Errorf("%s: 1.2 was asked %d times, want %d", test.name, asked, late)
			}
		}
	}
}

// A router that was found to claim what is not its own may steal several answers.
func TestStolenByOneThatWasCaught(t *testing.T) {
	n := draw(t, `
		a: 1.1>1.2,1.9
		l lies: 1.9>1.1  1.2  1.1
		b: 1.2>1.1`)
	for _, thefts := range []int{3, 1000} {
		stolen := 0
		c := everything("1.1")
		c.InFlight = 1
		m, err := topo.Run(t.Context(), asker(func(ctx context.Context, q ask.NeighborsQuestion) ([]ask.NeighborsAnswer, error) {
			if q.Router == addr("1.2") && stolen < thefts {
				stolen++
				a := n.routers[1].answer(addr("1.9"))
				a.Asked = q.Router
				return []ask.NeighborsAnswer{a}, nil
			}
			return n.Neighbors(ctx, q)
		}), c)
		if err != nil {
			t.Fatal(err)
		}
		want := map[int]string{3: "1 1.2\n", 1000: "1 1.2 silent (no answer)\n"}[thefts]
		expect(t, m, "0 1.1\n"+want+"1 1.9 ! 1.1 1.2\nlan 1.1 1.2 1.9")
		if stolen > 10 {
			t.Errorf("%d questions for one address", stolen)
		}
	}
}
