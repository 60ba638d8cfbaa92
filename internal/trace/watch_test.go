package trace

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mbone/internal/ask"
	"mbone/internal/ask/asktest"
	"mbone/proto/mtrace"
	"mbone/report"
)

// watched runs a watch over a chain; emitted are the paths of a loop.
func watched(ctx context.Context, c *chain, q Question, w Watch) (p *report.Path, emitted []*report.Path, steps string, err error) {
	c.listen()
	client := ask.New(c.net, ask.Options{})
	defer client.Close()
	var s transcript
	p, err = New(client, q, s.tell).Run(ctx, w, func(p *report.Path) error {
		emitted = append(emitted, p)
		return nil
	})
	return p, emitted, s.String(), err
}

func countText(c report.Count) string {
	v := func(n *int64) string {
		if n == nil {
			return "?"
		}
		return fmt.Sprint(*n)
	}
	rate := "?"
	if c.Rate != nil {
		rate = fmt.Sprintf("%.0f", *c.Rate)
	}
	s := fmt.Sprintf("%s/%s lost %s at %s", v(c.Received), v(c.Sent), v(c.Lost), rate)
	if c.LossPercent != nil {
		s += fmt.Sprintf(" %.0f%%", *c.LossPercent)
	}
	return s
}

// TestStatistics: the counters of the chain wrap around 32 bits between the two
// traces.
func TestStatistics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newChain(t, 3)
		c.routers[2].out = 100 // what the source's router sends to the second
		c.routers[1].in = 90   // what that one gets of it
		c.routers[1].out, c.routers[0].in = 50, 60
		c.routers[2].group, c.routers[1].group, c.routers[0].group = 40, 30, 0
		p, _, steps, err := watched(context.Background(), c, question(), Watch{Statistics: true})
		if err != nil {
			t.Fatal(err)
		}
		if want := "query 0 1=10.1.0.2 2=10.21.0.2 3=10.22.0.2\n4: source\nend\nwait statistics 2\n"; steps != want {
			t.Errorf("steps %q, want %q", steps, want)
		}
		s := p.Statistics
		if s.Samples != 2 || s.Interval.Duration().Truncate(time.Second) != 10*time.Second || s.Resets != 0 {
			t.Errorf("%d samples, %v, %d resets", s.Samples, s.Interval.Duration(), s.Resets)
		}
		want := []string{
			"1 to 0: ?/1000 lost ? at 100; ?/? lost ? at ?; ttl 3",
			"2 to 1: 600/500 lost -100 at 50 -20%; ?/300 lost ? at 30; ttl 2",
			"3 to 2: 900/1000 lost 100 at 100 10%; 300/400 lost 100 at 40 25%; ttl 1",
		}
		for i, l := range s.Links {
			got := fmt.Sprintf("%d to %d: %s; %s; ttl %d", l.From, l.To, countText(l.Last.All), countText(l.Last.Group), l.TTL)
			if got != want[i] || l.Last.Seconds != 10 {
				t.Errorf("%s in %d s, want %s in 10 s", got, l.Last.Seconds, want[i])
			}
		}
		// The second trace asks for the known hops, in the same way.
		if q := c.queries[1]; q.Hops != 3 || q.Response != receiver {
			t.Errorf("second query for %d hops to %s", q.Hops, q.Response)
		}
	})
}

func TestStatisticsUnreliable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newChain(t, 2)
		for _, r := range c.routers { // all the marks of FRR
			r.Protocol, r.Mask, r.in, r.out = mtrace.ProtocolPIM, 32, 0, 0
		}
		p, _, _, err := watched(context.Background(), c, question(), Watch{Statistics: true})
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range p.Statistics.Links {
			if g := l.Total.Group; g.Reliable || g.Sent != nil || g.Lost != nil {
				t.Errorf("link %d: %s, reliable %v; FRR's counts are no statistics", l.From, countText(g), g.Reliable)
			}
		}
		for _, h := range p.Hops {
			if h.PacketsIn != nil || h.PacketsGroup == nil || len(h.Unreliable) != 1 || h.Unreliable[0].Field != "packets_group" {
				t.Errorf("hop %d: in %v, group %v, unreliable %v", h.Number, h.PacketsIn, h.PacketsGroup, h.Unreliable)
			}
		}
	})
}

// TestStatisticsUnknown has routers like FRR but for the counter of the source and
// group: who counts nothing does not count wrongly.
func TestStatisticsUnknown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newChain(t, 2)
		for _, r := range c.routers {
			r.Protocol, r.Mask, r.in, r.out, r.group = mtrace.ProtocolPIM, 32, 0, 0, 0
		}
		p, _, _, err := watched(context.Background(), c, question(), Watch{Statistics: true})
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range p.Statistics.Links {
			for _, g := range []report.Count{l.Last.Group, l.Total.Group} {
				if !g.Reliable || len(g.Marks) > 0 || g.Sent != nil || g.Received != nil {
					t.Errorf("link %d: %s, reliable %v, %v; nothing is known", l.From, countText(g), g.Reliable, g.Marks)
				}
			}
		}
		for _, h := range p.Hops {
			if h.PacketsGroup != nil || len(h.Unreliable) > 0 {
				t.Errorf("hop %d: group %v, unreliable %v", h.Number, h.PacketsGroup, h.Unreliable)
			}
		}
	})
}

// TestLoop watches a path through a change of the route, a router that answers
// no more and comes back, until the user ends it.
func TestLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, q := newChain(t, 3), question()
		ctx, cancel := context.WithCancel(context.Background())
		c.at(15*time.Second, func() { c.routers[1].Incoming = addr("10.21.0.7") })
		c.at(35*time.Second, func() { c.routers[0].deaf = true })
		c.at(45*time.Second, func() { c.routers[0].deaf = false })
		time.AfterFunc(75*time.Second, cancel)
		p, emitted, steps, err := watched(ctx, c, q, Watch{Interval: 10 * time.Second, Loop: true, Statistics: true})
		if err != nil {
			t.Fatal(err)
		}
		want := `query 0 1=10.1.0.2 2=10.21.0.2 3=10.22.0.2
4: source
end
wait statistics 2
wait route changed at hop 2: 1=10.1.0.2 2=10.21.0.2 3=10.22.0.2
query 0 1=10.1.0.2 2=10.21.0.2 3=10.22.0.2
4: source
end
wait statistics 2
wait * * * * * lost
query 0 * hop by hop
1: * * * * * no answer
query 0 1=10.1.0.2 2=10.21.0.2 3=10.22.0.2
4: source
end
wait statistics 2
wait statistics 3
wait `
		if steps != want {
			t.Errorf("steps\n%s\nwant\n%s", steps, want)
		}
		var changes []string
		for _, p := range emitted {
			text := "first"
			if p.Statistics != nil {
				text = fmt.Sprintf("statistics %d", p.Statistics.Samples)
			}
			if p.Change != nil {
				text = fmt.Sprintf("%s at hop %d", p.Change.Reason, p.Change.Hop)
			}
			changes = append(changes, text)
		}
		wantEmitted := "first, statistics 2, route changed at hop 2, statistics 2, the path does not answer any more at hop 0, first, statistics 2, statistics 3"
		if got := strings.Join(changes, ", "); got != wantEmitted {
			t.Errorf("emitted %s\nwant %s", got, wantEmitted)
		}
		if p != emitted[len(emitted)-1] || !p.Complete {
			t.Errorf("the last path is not the one returned, or not complete: %v", p.Reason)
		}
	})
}

// TestWatchPath looks at the path alone.
func TestWatchPath(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, q := newChain(t, 3), question()
		ctx, cancel := context.WithCancel(context.Background())
		c.at(25*time.Second, func() { c.routers[0].Previous = addr("0.0.0.0") })
		time.AfterFunc(45*time.Second, cancel)
		_, emitted, steps, err := watched(ctx, c, q, Watch{Interval: 10 * time.Second, Loop: true})
		if err != nil {
			t.Fatal(err)
		}
		want := `query 0 1=10.1.0.2 2=10.21.0.2 3=10.22.0.2
4: source
end
watch..route changed at hop 1: 1=10.1.0.2
query 0 1=10.1.0.2
end
watch.`
		if steps != want {
			t.Errorf("steps\n%s\nwant\n%s", steps, want)
		}
		if len(emitted) != 2 || emitted[1].Change == nil || emitted[1].Change.After.Duration() < 30*time.Second {
			t.Errorf("%d paths emitted", len(emitted))
		}
	})
}

func TestRunOnce(t *testing.T) {
	for _, test := range []struct {
		name    string
		change  func(*chain, *Watch)
		steps   string
		err     error
		within  time.Duration
		sampled bool
	}{
		{"a path that silence cuts short has no statistics", func(c *chain, _ *Watch) {
			c.routers[1].toLocal, c.routers[1].toGroup = false, false
		}, "end\n", nil, 9 * time.Second, false},
		{"unless the user wants them", func(c *chain, w *Watch) {
			c.routers[1].toLocal, c.routers[1].toGroup = false, false
			w.Partial, w.Interval = true, time.Second
		}, "end\nno wait statistics 2\n", nil, 10 * time.Second, true},
		{"an error code is no silence", func(c *chain, _ *Watch) {
			c.routers[1].Code, c.routers[1].Previous = mtrace.CodeNoRoute, addr("0.0.0.0")
		}, "end\nwait statistics 2\n", nil, 11 * time.Second, true},
		{"the path is lost", func(c *chain, _ *Watch) {
			c.at(5*time.Second, func() { c.routers[0].deaf = true })
		}, "end\nwait * * * * * lost\n", ask.ErrNoAnswer, 15 * time.Second, false},
		{"the path changes all the time", func(c *chain, w *Watch) {
			w.Interval = time.Second
			for i := range 10 {
				c.at(time.Duration(i)*900*time.Millisecond, func() {
					c.routers[0].Incoming = addr(fmt.Sprintf("10.20.0.%d", 10+i))
				})
			}
		}, "end\n", nil, 10 * time.Second, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newChain(t, 2)
				w := Watch{Statistics: true}
				test.change(c, &w)
				began := time.Now()
				p, _, steps, err := watched(context.Background(), c, question(), w)
				if took := time.Since(began); !errors.Is(err, test.err) || took > test.within {
					t.Errorf("error %v after %v; want %v within %v", err, took, test.err, test.within)
				}
				if !strings.HasSuffix(steps, test.steps) {
					t.Errorf("steps %q, want the end %q", steps, test.steps)
				}
				if got := p.Statistics != nil; got != test.sampled {
					t.Errorf("statistics: %v, want %v", got, test.sampled)
				}
			})
		})
	}
}

// TestSampleOfParts: a path that was asked for in parts is asked for in the
// same parts again.
func TestSampleOfParts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newChain(t, 4)
		c.routers[1].passes = false
		p, _, _, err := watched(context.Background(), c, question(), Watch{Statistics: true})
		if err != nil {
			t.Fatal(err)
		}
		if len(p.Statistics.Links) != 4 || p.Query.Sent != len(c.queries) {
			t.Fatalf("%d links, %d queries of %d", len(p.Statistics.Links), p.Query.Sent, len(c.queries))
		}
		n := len(c.queries)
		if a, b := c.queries[n-2], c.queries[n-1]; a.Hops != 2 || b.Hops != 2 || c.to[n-1] != addr("10.22.0.2") {
			t.Errorf("asked %s for %d hops, then %s for %d", c.to[n-2], a.Hops, c.to[n-1], b.Hops)
		}
		// Between the parts lies one round trip, in which hardly anything is sent.
		if all := p.Statistics.Links[2].Total.All; *all.Sent < 1000 || *all.Sent > 1001 || *all.Lost < -1 || *all.Lost > 1 {
			t.Errorf("between the parts: %s", countText(all))
		}
	})
}

// flaky cannot ask for a while, as if the link of this host were down.
type flaky struct {
	Asker
	from, to time.Time
}

var errDown = errors.New("network is down")

func (f *flaky) Trace(ctx context.Context, q ask.TraceQuestion) (ask.TraceAnswer, error) {
	if now := time.Now(); now.After(f.from) && now.Before(f.to) {
		return ask.TraceAnswer{}, errDown
	}
	return f.Asker.Trace(ctx, q)
}

// TestLoopLinkDown: a watch outlives its own host's links; a single run says
// why it could not ask.
func TestLoopLinkDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, q := newChain(t, 1), question()
		client := ask.New(c.net, ask.Options{})
		defer client.Close()
		now := time.Now()
		ctx, cancel := context.WithTimeout(context.Background(), 45*time.Second)
		defer cancel()
		var s transcript
		var emitted []string
		tracer := New(&flaky{client, now.Add(15 * time.Second), now.Add(25 * time.Second)}, q, s.tell)
		_, err := tracer.Run(ctx, Watch{Loop: true, Statistics: true}, func(p *report.Path) error {
			emitted = append(emitted, fmt.Sprintf("%d hops %s", len(p.Hops), p.Reason))
			return nil
		})
		want := "1 hops , 1 hops , 0 hops network is down, 1 hops , 1 hops "
		if got := strings.Join(emitted, ", "); err != nil || got != want {
			t.Errorf("error %v, emitted %s\nwant %s", err, got, want)
		}
		if p, err := New(&flaky{client, now, now.Add(time.Hour)}, q, nil).Trace(context.Background()); !errors.Is(err, errDown) || p.Reason != "network is down" {
			t.Errorf("error %v, reason %q", err, p.Reason)
		}
	})
}

// TestTooManyBlocks: a forged answer may have more hops than were asked for.
func TestTooManyBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, q := newChain(t, 3), question()
		q.Limit = 1
		c.net.Handle(func(d ask.Datagram) []asktest.Answer {
			var m mtrace.Message
			if m.Parse(d.Message) != nil {
				return nil
			}
			m.Type = mtrace.TypeResponse
			for range mtrace.MaxBlocks {
				m.Blocks = append(m.Blocks, c.routers[0].Block)
			}
			message, err := m.AppendBinary(nil)
			if err != nil {
				t.Error(err)
			}
			return []asktest.Answer{{From: addr("10.1.0.2"), Message: message}}
		}, allRouters)
		client := ask.New(c.net, ask.Options{})
		defer client.Close()
		if p, err := New(client, q, nil).Trace(context.Background()); err != nil || len(p.Hops) != 1 {
			t.Errorf("%d hops, %v", len(p.Hops), err)
		}
	})
}
