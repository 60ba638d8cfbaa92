package trace

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mbone/internal/ask"
	"mbone/proto/dvmrp"
	"mbone/proto/mtrace"
	"mbone/report"
)

// row is two routers whose counters a test sets, and the series of their samples.
type row struct {
	t       *testing.T
	s       *series
	now     time.Time
	routers [2]mtrace.Block // the receiver's first
}

func newRow(t *testing.T, in, out, group uint32) *row {
	r := &row{t: t, now: recordedAt}
	for i := range r.routers {
		r.routers[i] = mtrace.Block{
			Incoming: addr("10.21.0.1"), Outgoing: addr(fmt.Sprintf("10.%d.0.2", 20+i)), Mask: 24,
			PacketsIn: in, PacketsOut: out, PacketsGroup: group,
		}
	}
	r.s = newSeries(r.now, r.hops())
	return r
}

func (r *row) hops() []hop {
	var hops []hop
	for _, b := range r.routers {
		b.Arrival = mtrace.Time(r.now)
		hops = append(hops, hop{Block: b, answer: &ask.TraceAnswer{Received: r.now}})
	}
	return hops
}

// count lets the counters of router i count.
func (r *row) count(i int, in, out, group uint32) {
	b := &r.routers[i]
	b.PacketsIn, b.PacketsOut, b.PacketsGroup = b.PacketsIn+in, b.PacketsOut+out, b.PacketsGroup+group
}

// sample takes one so much later and returns the statistics with the events.
func (r *row) sample(after time.Duration) (*report.Statistics, string) {
	r.now = r.now.Add(after)
	stats := r.s.statistics(r.hops())
	return stats, eventText(r.s.told())
}

func eventText(events []report.PathEvent) string {
	var all []string
	for _, e := range events {
		all = append(all, fmt.Sprintf("%s %d", e.Kind, e.Hop))
	}
	return strings.Join(all, ", ")
}

// between is the link between the two, its four counts.
func between(s *report.Statistics) string {
	l := s.Links[1]
	return fmt.Sprintf("last %s; %s. total %s; %s", lossText(l.Last.All), lossText(l.Last.Group), lossText(l.Total.All), lossText(l.Total.Group))
}

// lossText is lost/sent with the marks; received alone where sent is unknown.
func lossText(c report.Count) string {
	s := "?"
	switch {
	case c.Lost != nil:
		s = fmt.Sprintf("%d/%d", *c.Lost, *c.Sent)
	case c.Sent != nil:
		s = fmt.Sprintf("?/%d", *c.Sent)
	case c.Received != nil:
		s = fmt.Sprintf("got %d", *c.Received)
	}
	for _, m := range c.Marks {
		s += " " + string(m)
	}
	return s
}

func (r *row) want(after time.Duration, wantEvents, want string) *report.Statistics {
	r.t.Helper()
	stats, events := r.sample(after)
	if got := between(stats); got != want || events != wantEvents {
		r.t.Errorf("after %v: %s, events %q\nwant %s, %q", after, got, events, want, wantEvents)
	}
	return stats
}

// TestSeriesWraps: counters of 32 bits come round; the totals have 64.
func TestSeriesWraps(t *testing.T) {
	r := newRow(t, 0, 0, 0)
	total := int64(0)
	for n := range 40 { // 8 billion packets in 40 samples
		r.count(0, 199_000_000, 0, 99_000_000)
		r.count(1, 0, 200_000_000, 100_000_000)
		total += 200_000_000
		stats, events := r.sample(20 * time.Second)
		l := stats.Links[1]
		if events != "" || *l.Last.All.Lost != 1_000_000 || *l.Total.All.Sent != total || *l.Total.All.Lost != total/200 || *l.Total.Group.Lost != total/200 {
			t.Fatalf("sample %d: %s, events %q", n, between(stats), events)
		}
	}
}

// TestSeriesUnknownValue: a counter that goes past 0xffffffff says "unknown" there.
func TestSeriesUnknownValue(t *testing.T) {
	r := newRow(t, mtrace.Unknown-100, mtrace.Unknown-100, 0)
	r.count(0, 100, 0, 0) // now it is 0xffffffff
	r.count(1, 0, 100, 0)
	r.want(10*time.Second, "", "last ?; 0/0. total ?; 0/0")
	r.count(0, 100, 0, 50)
	r.count(1, 0, 100, 50)
	// The interval is not known, but the total is.
	r.want(10*time.Second, "", "last ?; 0/50. total 0/200; 0/50")
	r.count(0, 90, 0, 50)
	r.count(1, 0, 100, 50)
	r.want(10*time.Second, "", "last 10/100 few_packets; 0/50. total 10/300; 0/100")
}

// TestSeriesReset: a router restarts. Only its links begin anew, and they go on
// to count from there.
func TestSeriesReset(t *testing.T) {
	for _, interval := range []time.Duration{time.Second, 10 * time.Second, time.Hour, 24 * time.Hour} {
		r := newRow(t, 3_000_000_000, 2_500_000_000, 2_000_000_000)
		r.count(0, 1000, 1000, 1000)
		r.count(1, 1000, 1000, 1000)
		r.want(interval, "", "last 0/1000; 0/1000. total 0/1000; 0/1000")
		b := &r.routers[1]
		b.PacketsIn, b.PacketsOut, b.PacketsGroup = 70, 80, 90
		r.count(0, 1000, 1000, 1000)
		stats := r.want(interval, "reset 2", "last got 1000 reset; got 1000 reset. total ? reset; ? reset")
		if stats.Resets != 1 {
			t.Errorf("%d resets", stats.Resets)
		}
		// The link to the receiver is not concerned.
		if l := stats.Links[0]; lossText(l.Last.All) != "?/1000" || lossText(l.Total.All) != "?/2000" || lossText(l.Total.Group) != "?/2000" {
			t.Errorf("interval %v: the other link has %s, %s, %s", interval, lossText(l.Last.All), lossText(l.Total.All), lossText(l.Total.Group))
		}
		r.count(0, 900, 900, 900)
		r.count(1, 1000, 1000, 1000)
		r.want(interval, "", "last 100/1000; 100/1000. total 100/1000 reset; 100/1000 reset")
	}
}

// TestSeriesGroupReset: the entry of the source and group was made anew, which
// says nothing of the other counters.
func TestSeriesGroupReset(t *testing.T) {
	r := newRow(t, 5000, 5000, 5000)
	r.count(0, 1000, 0, 1000)
	r.count(1, 0, 1000, 1000)
	r.sample(10 * time.Second)
	r.count(0, 1000, 0, 0)
	r.count(1, 0, 1000, 1000)
	r.routers[0].PacketsGroup = mtrace.Unknown // there is no entry
	r.want(10*time.Second, "", "last 0/1000; ?/1000. total 0/2000; ?/2000")
	r.count(0, 1000, 0, 0)
	r.count(1, 0, 1000, 1000)
	r.routers[0].PacketsGroup = 12
	r.want(10*time.Second, "group_reset 1", "last 0/1000; ?/1000 reset. total 0/3000; ? reset")
	r.count(0, 1000, 0, 1000)
	r.count(1, 0, 1000, 1000)
	r.want(10*time.Second, "", "last 0/1000; 0/1000. total 0/4000; 0/1000 reset")
}

// TestSeriesBeginsLate: a counter that is not known at first is compared from
// when it is: what the other one counted before is no loss.
func TestSeriesBeginsLate(t *testing.T) {
	r := newRow(t, 0, 0, 0)
	r.routers[0].PacketsGroup = mtrace.Unknown
	r.s = newSeries(r.now, r.hops())
	r.count(1, 0, 0, 1000)
	r.want(10*time.Second, "", "last 0/0; ?/1000. total 0/0; ?/1000")
	r.routers[0].PacketsGroup = 7
	r.count(1, 0, 0, 1000)
	r.want(10*time.Second, "", "last 0/0; ?/1000. total 0/0; ?")
	r.count(0, 0, 0, 990)
	r.count(1, 0, 0, 1000)
	stats := r.want(10*time.Second, "", "last 0/0; 10/1000. total 0/0; 10/1000")
	if l := stats.Links[1]; l.Total.Group.Period.Duration() != 10*time.Second || l.Total.All.Period.Duration() != 30*time.Second || *l.Total.Group.Rate != 100 {
		t.Errorf("periods %v and %v, rate %v", l.Total.Group.Period.Duration(), l.Total.All.Period.Duration(), *l.Total.Group.Rate)
	}
}

// TestSeriesMarks: losses that are none, and counters that cannot be compared.
func TestSeriesMarks(t *testing.T) {
	r := newRow(t, 0, 0, 0)
	r.count(0, 1200, 0, 1000)
	r.count(1, 0, 1000, 1000)
	r.routers[1].Mask |= 0x40 // the count is of the whole network
	r.s = newSeries(recordedAt, newRow(t, 0, 0, 0).hops())
	r.s.routers[1].Mask |= 0x40
	stats := r.want(10*time.Second, "", "last -200/1000 more_received; ?/1000 other_count. total -200/1000 more_received; ?/1000 other_count")
	c := stats.Links[1].Total
	if c.All.LossLow != nil || *c.All.LossPercent != -20 || !c.All.Reliable || c.Group.Reliable || c.Group.LossPercent != nil {
		t.Errorf("all %+v, group %+v", c.All, c.Group)
	}
}

// TestFollows: what is a wrap and what is a new beginning, by the rate known.
func TestFollows(t *testing.T) {
	at := func(after time.Duration) instant { return instant{received: recordedAt.Add(after)} }
	for _, test := range []struct {
		old, now uint32
		after    time.Duration
		rate     float64 // negative: not known
		want     bool
	}{
		{5, 8, time.Second, -1, true},
		{8, 5, 10 * time.Second, -1, false},                // 4 billion packets in ten seconds
		{0xffff0000, 0x1000, 10 * time.Second, -1, true},   // wrapped
		{0xfffffffe, 0, 10 * time.Second, 0, true},         // past the value for unknown
		{0xf0000000, 5, 10 * time.Second, -1, false},       // 268 million in ten seconds
		{0, 199_999_999, 10 * time.Second, -1, true},       // just below what is believed
		{0, 200_000_009, 10 * time.Second, -1, false},      //
		{3_000_000_000, 5000, time.Hour, -1, false},        // 360,000 a second, for all we know
		{3_000_000_000, 5000, time.Hour, 1000, false},      //
		{3_000_000_000, 5000, time.Hour, 300_000, true},    // as fast as ever
		{3_000_000_000, 5000, time.Hour, 3_000_000, false}, // far slower: it would have come round more than once
		{0xf8000000, 5, 10 * time.Second, 100, false},      // 13 million a second where there were 100
		{0xffff0000, 5, 10 * time.Second, 100, true},       // 6,554 a second
		{0xf8000000, 5, time.Minute, 1_000_000, true},      //
	} {
		c := counter{epoch: 1, value: test.old, valid: true, at: at(0), rate: max(test.rate, 0), timed: test.rate >= 0}
		if got := c.follows(test.now, at(test.after)); got != test.want {
			t.Errorf("%d to %d in %v at %.0f a second: %v", test.old, test.now, test.after, test.rate, got)
		}
	}
}

// TestInstant: times are by the router's clock unless that is no clock. It comes
// round every 18 hours.
func TestInstant(t *testing.T) {
	for _, test := range []struct {
		ours   time.Duration
		theirs time.Duration // what the router's clock did
		want   float64
	}{
		{10 * time.Second, 10 * time.Second, 10},
		{10 * time.Second, 11 * time.Second, 11}, // the answer came a second earlier
		{10 * time.Second, time.Hour, 10},        // it was set
		{10 * time.Second, -time.Hour, 10},
		{20 * time.Hour, 20*time.Hour + time.Second, 72001},
		{100 * time.Hour, 100*time.Hour - time.Second, 359999},
		{time.Second, 0, 1}, // it stands
	} {
		start := instant{mtrace.Time(recordedAt), true, recordedAt}
		end := instant{mtrace.Time(recordedAt.Add(test.theirs)), true, recordedAt.Add(test.ours)}
		if got := start.seconds(end); math.Abs(got-test.want) > 0.001 {
			t.Errorf("ours %v, theirs %v: %v s, want %v", test.ours, test.theirs, got, test.want)
		}
	}
}

// TestWholeSeconds: a loop keeps to its times, so that an answer that was late
// makes the next interval shorter. 1.9 s are not one second, nor twice the rate.
func TestWholeSeconds(t *testing.T) {
	for elapsed, want := range map[time.Duration]int{
		100 * time.Millisecond: 1, 1400 * time.Millisecond: 1, 1900 * time.Millisecond: 2, 2100 * time.Millisecond: 2, 9990 * time.Millisecond: 10,
	} {
		r := newRow(t, 0, 0, 0)
		stats, _ := r.sample(elapsed)
		if got := stats.Links[0].Last.Seconds; got != want || stats.Links[1].Total.Seconds != want {
			t.Errorf("%v: %d s, want %d", elapsed, got, want)
		}
	}
}

// TestWilson: figures from Wilson's formula, worked out by hand and in tables of
// it (for 0 of n the upper end is z²/(n+z²)).
func TestWilson(t *testing.T) {
	for _, test := range []struct {
		lost, sent int64
		low, high  float64
	}{
		{0, 10, 0, 27.75},
		{0, 100, 0, 3.70},
		{0, 1, 0, 79.35},
		{1, 1, 20.65, 100},
		{5, 10, 23.66, 76.34},
		{10, 100, 5.52, 17.44},
		{20, 100, 13.34, 28.88},
	} {
		low, high := wilson(test.lost, test.sent)
		if math.Abs(low-test.low) > 0.01 || math.Abs(high-test.high) > 0.01 {
			t.Errorf("%d of %d: %.2f to %.2f, want %.2f to %.2f", test.lost, test.sent, low, high, test.low, test.high)
		}
	}
	few := func(lost, sent int64) bool {
		return slices.Contains(count(new(sent), new(sent-lost), 10).Marks, report.MarkFewPackets)
	}
	for sent, want := range map[int64]bool{1: true, 10: true, 34: true, 35: false, 1000: false} {
		if few(0, sent) != want {
			t.Errorf("0 of %d: too few is %v", sent, !want)
		}
	}
	if !few(20, 100) || few(200, 1000) {
		t.Error("20 of 100 are too few to tell 20 percent, 200 of 1000 are not")
	}
}

// kept runs a watch with Keep for a time and returns a line for each report: its
// hops, its events, the total loss of each link from the source on.
func kept(t *testing.T, c *chain, q Question, length time.Duration) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), length)
	defer cancel()
	_, emitted, _, err := watched(ctx, c, q, Watch{Interval: 10 * time.Second, Loop: true, Statistics: true, Partial: true, Keep: true})
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, p := range emitted {
		line := fmt.Sprintf("%d hops", len(p.Hops))
		if p.Change != nil {
			line += " changed"
		}
		if events := eventText(p.Events); events != "" {
			line += " (" + events + ")"
		}
		if s := p.Statistics; s != nil {
			line += " after"
			if s.Interval.Duration() > 20*time.Second {
				line += " a gap"
			}
			for _, l := range slices.Backward(s.Links) {
				c := l.Total.All
				switch {
				case c.Lost != nil && *c.Sent > 0:
					line += fmt.Sprintf(" %.0f%%", *c.LossPercent)
				default:
					line += " -"
				}
			}
		}
		lines = append(lines, line)
	}
	return lines
}

func TestKeep(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*chain)
		length time.Duration
		want   string
	}{
		{"nothing happens", func(*chain) {}, 25 * time.Second, `
3 hops
3 hops after 0% 10% -
3 hops after 0% 10% -`},
		{"the whole path is silent for a while", func(c *chain) {
			c.at(15*time.Second, func() { c.routers[0].deaf = true })
			c.at(45*time.Second, func() { c.routers[0].deaf = false })
		}, 75 * time.Second, `
3 hops
3 hops after 0% 10% -
0 hops changed (lost 0)
0 hops
3 hops (back 0) after a gap 0% 10% -
3 hops after 0% 10% -
3 hops after 0% 10% -`},
		{"so short that no sample misses it", func(c *chain) {
			c.at(12*time.Second, func() { c.routers[1].deaf = true })
			c.at(18*time.Second, func() { c.routers[1].deaf = false })
		}, 25 * time.Second, `
3 hops
3 hops after 0% 10% -
3 hops after 0% 10% -`},
		{"a router in the middle is silent for a while", func(c *chain) {
			c.at(15*time.Second, func() { c.routers[1].deaf = true })
			c.at(45*time.Second, func() { c.routers[1].deaf = false })
		}, 75 * time.Second, `
3 hops
3 hops after 0% 10% -
1 hops (lost 2) after -
1 hops after -
1 hops after -
3 hops (back 0) after 0% 10% -
3 hops after 0% 10% -
3 hops after 0% 10% -`},
		{"from the beginning on", func(c *chain) {
			c.routers[2].deaf = true
			c.at(25*time.Second, func() { c.routers[2].deaf = false })
		}, 55 * time.Second, `
2 hops
2 hops after 10% -
2 hops after 10% -
3 hops (back 0) after - 10% -
3 hops after 0% 10% -
3 hops after 0% 10% -`},
		{"for the tries of one sample", func(c *chain) {
			c.at(15*time.Second, func() { c.routers[1].deaf = true })
			c.at(24500*time.Millisecond, func() { c.routers[1].deaf = false })
		}, 35 * time.Second, `
3 hops
3 hops after 0% 10% -
3 hops (lost 0, back 0) after 0% 10% -`},
		{"a router that is known to be the last one", func(c *chain) {
			r := c.routers[2]
			r.mrinfo.Interfaces = append(r.mrinfo.Interfaces, dvmrp.Interface{Local: addr("10.4.0.1")})
			c.at(15*time.Second, func() { r.deaf = true })
			c.at(35*time.Second, func() { r.deaf = false })
		}, 45 * time.Second, `
3 hops
3 hops after 0% 10% -
2 hops (lost 3) after 10% -
2 hops after 10% -
3 hops (back 0) after 0% 10% -`},
		{"a router that is asked directly", func(c *chain) {
			c.routers[1].passes = false
			c.at(15*time.Second, func() { c.routers[2].deaf = true })
			c.at(35*time.Second, func() { c.routers[2].deaf = false })
		}, 45 * time.Second, `
3 hops
3 hops after 0% 10% -
2 hops (lost 3) after 10% -
3 hops (back 0) after 0% 10% -`},
		{"another path", func(c *chain) {
			c.at(25*time.Second, func() { c.routers[1].Incoming = addr("10.21.0.7") })
		}, 55 * time.Second, `
3 hops
3 hops after 0% 10% -
3 hops after 0% 10% -
3 hops changed (route_changed 2)
3 hops after 0% 10% -
3 hops after 0% 10% -`},
		{"another path after a silence", func(c *chain) {
			c.at(15*time.Second, func() { c.routers[0].deaf = true })
			c.at(35*time.Second, func() { c.routers[0].deaf, c.routers[2].Previous = false, addr("10.23.0.7") })
			c.at(35*time.Second, func() { c.routers[2].Incoming = addr("10.23.0.6") })
		}, 65 * time.Second, `
3 hops
3 hops after 0% 10% -
0 hops changed (lost 0)
3 hops changed (route_changed 3)
3 hops after 0% 10% -
3 hops after 0% 10% -`},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, q := newChain(t, 3), question()
				c.routers[0].in = 90 // of the 100 that come
				test.change(c)
				if got := "\n" + strings.Join(kept(t, c, q, test.length), "\n"); got != test.want {
					t.Errorf("got%s\nwant%s", got, test.want)
				}
			})
		})
	}
}

// TestKeepReset: a router restarts while it does not answer.
func TestKeepReset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, q := newChain(t, 3), question()
		c.routers[0].in = 90
		c.at(35*time.Second, func() { c.routers[1].deaf = true })
		c.at(55*time.Second, func() { c.routers[1].deaf, c.routers[1].restarted = false, time.Now() })
		want := `
3 hops
3 hops after 0% 10% -
3 hops after 0% 10% -
3 hops after 0% 10% -
1 hops (lost 2) after -
1 hops after -
3 hops (back 0, reset 2) after - - -
3 hops after 0% 10% -`
		got := "\n" + strings.Join(kept(t, c, q, 75*time.Second), "\n")
		if got != want {
			t.Errorf("got%s\nwant%s", got, want)
		}
	})
}
