package trace

import (
	"cmp"
	"context"
	"errors"
	"math"
	"net"
	"time"

	"mbone/internal/ask"
	"mbone/proto/mtrace"
	"mbone/report"
)

// maxRestarts is how often a run without a loop begins anew because the path
// has changed.
const maxRestarts = 3

// maxPacketRate is the most packets per second that a counter is believed to
// have counted. What is more is no wrap around 32 bits: the counter began anew.
const maxPacketRate = 20e6

// Watch says what [Tracer.Run] does once the path is known.
type Watch struct {
	// Interval between the traces; 0: the default.
	Interval time.Duration
	// Loop goes on until the context ends; else one more trace is made.
	Loop bool
	// Statistics compare the traces; else the path alone is watched for changes.
	Statistics bool
	// Partial makes statistics also of a path that silence has cut short.
	Partial bool
}

// Run traces the path, and again after each interval. It returns the latest
// path, whose Statistics are those of all traces since the path last changed.
// In a loop, emit is called with every path that is new or has new statistics.
//
// The error is as with [Tracer.Trace], or ErrNoAnswer if a path that had been
// there stayed without an answer. If the context ends before the statistics are
// there, its error comes with the path as it was; in a loop that is no error.
func (t *Tracer) Run(ctx context.Context, w Watch, emit func(*report.Path) error) (*report.Path, error) {
	if w.Interval == 0 {
		w.Interval = DefaultInterval
	}
	began := time.Now()
	var last *report.Path
	var change *report.PathChange
	for restarts := 0; ; restarts++ {
		p, err := t.Trace(ctx)
		p.Change = change
		switch again := w.Loop && last != nil; {
		case err == nil:
		case again && ctx.Err() != nil:
			return last, nil
		case !again || errors.Is(err, net.ErrClosed):
			return p, err
		default: // a link of this host is down: it may come back
			t.step(report.PathStep{Kind: report.StepLost, Path: p})
		}
		if w.Loop {
			if err := emit(p); err != nil {
				return p, err
			}
		} else if len(p.Hops) == 0 || restarts == maxRestarts || !w.Partial && cutShort(p) {
			return p, nil
		}
		if len(p.Hops) == 0 {
			change = nil
			err = t.wait(ctx, time.Now().Add(w.Interval))
		} else {
			s := &series{began: began, base: t.hops, previous: t.hops, samples: 1}
			p, err = t.repeat(ctx, w, s, p, emit)
			change = s.change
		}
		switch {
		case err != nil && w.Loop && ctx.Err() != nil:
			return p, nil
		case err != nil || !w.Loop && change == nil:
			return p, err
		}
		last = p
	}
}

// cutShort reports whether silence keeps a path from reaching the source.
func cutShort(p *report.Path) bool {
	return !p.Reached && p.Next != nil && p.Next.Verdict == report.DidNotAnswer
}

// pathLost is why a path changes, or ends, that answered before.
const pathLost = "the path does not answer any more"

// series is a row of traces of one path.
type series struct {
	began time.Time // of the watch
	// base is the first trace, or the first one after counters began anew.
	base, previous []hop
	samples        int
	resets         int
	change         *report.PathChange
}

// repeat traces the path of s again and again, once if there is no loop, until
// it changes or is lost (s.change).
func (t *Tracer) repeat(ctx context.Context, w Watch, s *series, p *report.Path, emit func(*report.Path) error) (*report.Path, error) {
	if t.hops[0].base != t.hops[len(t.hops)-1].base {
		// The parts were answered at different times: what was sent and what
		// was received is to be compared over the same time.
		hops, err := t.sample(ctx)
		if err != nil && !errors.Is(err, ask.ErrNoAnswer) {
			return p, err
		}
		if err == nil && differ(t.hops, hops) == nil {
			t.hops, s.base, s.previous = hops, hops, hops
		}
	}
	first := received(s.base)
	if !w.Statistics {
		t.step(report.PathStep{Kind: report.StepWatch})
	}
	for n := 1; ; n++ {
		if err := t.await(ctx, w, first.Add(time.Duration(n)*w.Interval)); err != nil {
			return p, err
		}
		if w.Loop {
			t.begun = time.Now()
		}
		hops, err := t.sample(ctx)
		if ctx.Err() != nil || err != nil && !w.Loop && !errors.Is(err, ask.ErrNoAnswer) {
			return p, cmp.Or(ctx.Err(), err)
		}
		after := time.Since(s.began)
		if err != nil {
			t.step(report.PathStep{Kind: report.StepLost})
			if !w.Loop {
				lost := *p
				lost.Complete, lost.Reason = false, pathLost
				return &lost, ask.ErrNoAnswer
			}
			s.change = &report.PathChange{After: report.Milliseconds(after), Reason: pathLost}
			return p, nil
		}
		if s.change = differ(t.hops, hops); s.change != nil {
			s.change.After = report.Milliseconds(after)
			t.hops = hops
			p = t.path("")
			p.Change = s.change
			t.step(report.PathStep{Kind: report.StepChanged, Path: p})
			return p, nil
		}
		s.markFractions(hops)
		t.hops = hops
		s.samples++
		next := t.path("")
		next.Reason, next.Complete = p.Reason, p.Complete
		if p = next; !w.Statistics {
			t.step(report.PathStep{Kind: report.StepSame, Path: p})
			continue
		}
		p.Statistics = s.statistics(hops)
		t.step(report.PathStep{Kind: report.StepStatistics, Path: p})
		if !w.Loop {
			return p, nil
		}
		if err := emit(p); err != nil {
			return p, err
		}
	}
}

// await waits for the time of the next trace.
func (t *Tracer) await(ctx context.Context, w Watch, at time.Time) error {
	if w.Statistics {
		kind := report.StepWait
		if time.Until(at) <= 0 {
			kind = report.StepNoWait
		}
		t.step(report.PathStep{Kind: kind})
	}
	return t.wait(ctx, at)
}

func (t *Tracer) wait(ctx context.Context, at time.Time) error {
	timer := time.NewTimer(time.Until(at))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// received returns when the first answer of a trace came, by this host's clock.
func received(hops []hop) time.Time { return hops[0].answer.Received }

// sample traces the known path again: each part is asked for by the query that
// brought it, with the exact number of hops.
func (t *Tracer) sample(ctx context.Context) ([]hop, error) {
	t.heard = time.Now()
	var hops []hop
	for start := 0; start < len(t.hops); {
		first := &t.hops[start]
		end := start + 1
		for end < len(t.hops) && t.hops[end].base == first.base {
			end++
		}
		was := first.answer.Query.Message
		a, err := t.ask1(ctx, plan{tries: orDefault(t.q.Tries, tries), query: func(int) ask.TraceQuery {
			return t.query(first.base, end, response{was.Response, was.ResponseTTL})
		}})
		if err != nil {
			return nil, err
		}
		if hops = append(hops, hopsOf(first.base, a)...); len(hops) < end {
			break
		}
		start = end
	}
	return hops, nil
}

// differ says how a path differs from what it was; nil if it does not.
func differ(old, now []hop) *report.PathChange {
	for i := range min(len(old), len(now)) {
		was, is := &old[i].Block, &now[i].Block
		if was.Incoming != is.Incoming || was.Outgoing != is.Outgoing && !is.Outgoing.IsUnspecified() || was.Previous != is.Previous ||
			(was.Code == mtrace.CodeNoRoute) != (is.Code == mtrace.CodeNoRoute) {
			return &report.PathChange{Hop: i + 1, Reason: "route changed"}
		}
	}
	if len(old) != len(now) {
		return &report.PathChange{Reason: "trace length changed"}
	}
	return nil
}

// markFractions finds routers whose times have no fraction in two samples.
func (s *series) markFractions(hops []hop) {
	for i := range hops {
		if hops[i].Arrival != 0 && mtrace.NoFraction(s.previous[i].Arrival, hops[i].Arrival) {
			hops[i].noFraction = true
		}
	}
}

// statistics compares the newest trace with the ones before, and keeps it.
func (s *series) statistics(now []hop) *report.Statistics {
	links := make([]report.Link, len(now))
	ttls := linkTTLs(now)
	reset := false
	for i := range now {
		links[i] = report.Link{From: i + 1, To: i, TTL: ttls[i]}
		var began bool
		links[i].Last, began = traffic(s.previous, now, i)
		reset = reset || began
		links[i].Total, began = traffic(s.base, now, i)
		reset = reset || began
	}
	at := received(now)
	stats := &report.Statistics{
		Samples:  s.samples,
		Interval: report.Milliseconds(at.Sub(received(s.previous))),
		Total:    report.Milliseconds(at.Sub(received(s.base))),
		Links:    links,
	}
	if reset {
		s.resets++
		s.base = now
	}
	stats.Resets = s.resets
	s.previous = now
	return stats
}

// traffic returns what went over link i between two traces, and whether a
// counter began anew in between.
func traffic(old, now []hop, i int) (t report.Traffic, reset bool) {
	seconds := received(now).Sub(received(old)).Seconds()
	a, okA := old[i].arrival()
	b, okB := now[i].arrival()
	if d := since(a, b); okA && okB && d > 0 {
		seconds = d.Seconds()
	}
	t.Seconds = max(1, int(math.Round(seconds)))
	d := differences{seconds: max(seconds, 1)}
	out := d.between(old[i].PacketsOut, now[i].PacketsOut)
	group := d.between(old[i].group(), now[i].group())
	var in, groupIn *int64
	reliable := !now[i].frr()
	if i > 0 {
		in = d.between(old[i-1].PacketsIn, now[i-1].PacketsIn)
		groupIn = d.between(old[i-1].group(), now[i-1].group())
		reliable = reliable && !now[i-1].frr() && now[i].Mask.SubnetCount() == now[i-1].Mask.SubnetCount()
	}
	t.All = count(out, in, seconds)
	t.Group = count(group, groupIn, seconds)
	t.All.Reliable, t.Group.Reliable = true, reliable
	return t, d.reset
}

// group is the (S,G) counter, unless it is known to be wrong.
func (h *hop) group() uint32 {
	if h.frr() {
		return mtrace.Unknown
	}
	return h.PacketsGroup
}

// differences subtracts counters.
type differences struct {
	seconds float64
	reset   bool
}

// between returns how much a 32-bit counter has counted; nil if it is unknown
// or began anew.
func (d *differences) between(old, now uint32) *int64 {
	if old == mtrace.Unknown || now == mtrace.Unknown {
		return nil
	}
	n := int64(now - old)
	if float64(n)/d.seconds > maxPacketRate {
		d.reset = true
		return nil
	}
	return &n
}

// count compares what was sent with what was received; either may be unknown.
func count(sent, received *int64, seconds float64) report.Count {
	c := report.Count{Sent: sent, Received: received}
	base := sent
	if sent == nil {
		base = received
	}
	if base != nil && seconds > 0 {
		rate := float64(*base) / seconds
		c.Rate = &rate
	}
	if sent != nil && received != nil {
		lost := *sent - *received
		c.Lost = &lost
		if *sent > 0 {
			percent := 100 * float64(lost) / float64(*sent)
			c.LossPercent = &percent
		}
	}
	return c
}
