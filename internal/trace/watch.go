package trace

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"mbone/internal/ask"
	"mbone/proto/mtrace"
	"mbone/report"
)

// maxRestarts is how often a run without a loop begins anew because the path
// has changed.
const maxRestarts = 3

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
	// Keep lets the statistics of a loop go on over a time in which the path, or a
	// part of it, did not answer. Without it they begin anew.
	Keep bool
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
	var s *series // of the path as it was last, if it may go on
	var events []report.PathEvent
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
		if s = t.goOn(ctx, s, p); s != nil {
			events = append(events, s.told()...)
		}
		p.Events, events = append(p.Events, events...), nil
		if p.Statistics != nil {
			t.step(report.PathStep{Kind: report.StepStatistics, Path: p})
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
			if s == nil {
				t.settle(ctx)
				s = newSeries(began, t.hops)
				s.lost = endsInSilence(p)
				s.partial = s.lost
			}
			p, err = t.repeat(ctx, w, s, p, emit)
			change, events = s.change, s.told()
			if !w.Keep || s.over {
				s = nil
			}
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
func cutShort(p *report.Path) bool { return !p.Reached && endsInSilence(p) }

// endsInSilence reports whether the router behind the last hop did not answer: it
// may be known to stand next to the source all the same.
func endsInSilence(p *report.Path) bool {
	return p.Next != nil && p.Next.Verdict == report.DidNotAnswer
}

// pathLost is why a path changes, or ends, that answered before.
const pathLost = "the path does not answer any more"

// goOn lets a series go on with the path that was just traced, or returns nil if
// that is another one. A path that goes on has statistics.
func (t *Tracer) goOn(ctx context.Context, s *series, p *report.Path) *series {
	if s == nil {
		return nil
	}
	lost, n := s.lost, len(t.hops)
	s.lost = n == 0 || endsInSilence(p)
	if s.silent && !s.lost { // not for long
		lost = true
		s.note(report.EventLost, 0, netip.Addr{}, pathLost)
	}
	s.silent = false
	if n > 0 {
		if change := s.differ(t.hops, s.lost); change != nil {
			p.Change = change
			p.Change.After = report.Milliseconds(time.Since(s.began))
			p.Events = append(s.told(), changed(change, t.hops))
			return nil
		}
		p.Change = nil // it is the path that it was
		s.partial = s.partial && s.lost
	}
	switch {
	case s.lost && !lost && n == 0:
		s.note(report.EventLost, 0, netip.Addr{}, pathLost)
	case s.lost && !lost:
		s.note(report.EventLost, n+1, p.Next.Address.Addr, "does not answer any more")
	case lost && !s.lost:
		s.note(report.EventBack, 0, netip.Addr{}, "the path answers again, and is the same: statistics go on")
	}
	if n > 0 && t.settle(ctx) {
		p.Statistics = s.statistics(t.hops)
	}
	return s
}

// differ says how a path that was traced anew differs from that of the series:
// one that silence has cut short may have fewer hops, and one that was cut short
// may have more now.
func (s *series) differ(now []hop, cut bool) *report.PathChange {
	old := make([]hop, len(s.routers))
	for i, r := range s.routers {
		old[i] = r.hop
	}
	n := min(len(old), len(now))
	if len(now) < len(old) && cut || len(now) > len(old) && s.partial {
		old, now = old[:n], now[:n]
	}
	return differ(old, now)
}

// changed is the event of a path that has become another one.
func changed(c *report.PathChange, hops []hop) report.PathEvent {
	e := report.PathEvent{Kind: report.EventRouteChanged, Time: time.Now(), Hop: c.Hop, Text: c.Reason}
	if c.Hop > 0 {
		h := &hops[c.Hop-1]
		e.Address = known(h.addr())
		e.Text = fmt.Sprintf("hop %d, %s: %s", c.Hop, h.addr(), c.Reason)
		if unicast(h.Previous) {
			e.Text += fmt.Sprintf("; its previous hop is now %s", h.Previous)
		}
	}
	return e
}

// settle asks for all parts of the path again if they were answered at different
// times: what was sent and what was received is to be compared over the same
// time. It reports whether the path is as it was.
func (t *Tracer) settle(ctx context.Context) bool {
	if t.hops[0].base == t.hops[len(t.hops)-1].base {
		return true
	}
	hops, err := t.sample(ctx)
	if err != nil || differ(t.hops, hops) != nil {
		return false
	}
	t.hops = hops
	return true
}

// repeat traces the path of s again and again, once if there is no loop, until
// it changes or is lost (s.change).
func (t *Tracer) repeat(ctx context.Context, w Watch, s *series, p *report.Path, emit func(*report.Path) error) (*report.Path, error) {
	first := received(t.hops)
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
		if err == nil && w.Loop && s.lost && len(hops) == len(t.hops) {
			hops, err = t.behind(ctx, hops)
		}
		if ctx.Err() != nil || err != nil && !w.Loop && !errors.Is(err, ask.ErrNoAnswer) {
			return p, cmp.Or(ctx.Err(), err)
		}
		after := report.Milliseconds(time.Since(s.began))
		if err != nil {
			t.step(report.PathStep{Kind: report.StepLost})
			if !w.Loop {
				lost := *p
				lost.Complete, lost.Reason = false, pathLost
				return &lost, ask.ErrNoAnswer
			}
			if w.Keep { // the path that is looked for now tells what is lost
				s.silent = true
			} else {
				s.note(report.EventLost, 0, netip.Addr{}, pathLost)
			}
			s.change = &report.PathChange{After: after, Reason: pathLost}
			return p, nil
		}
		if s.change = differ(t.hops, hops); s.change != nil {
			s.change.After = after
			if w.Keep && s.lost && s.change.Hop == 0 && len(hops) > len(t.hops) {
				t.step(report.PathStep{Kind: report.StepNoWait}) // what was lost is back
				return p, nil
			}
			s.over = true
			s.events = append(s.events, changed(s.change, hops))
			t.hops = hops
			p = t.path("")
			p.Change = s.change
			t.step(report.PathStep{Kind: report.StepChanged, Path: p})
			return p, nil
		}
		var stats *report.Statistics
		if w.Statistics {
			stats = s.statistics(hops)
		} else {
			s.take(hops)
		}
		t.hops = hops
		next := t.path("")
		next.Reason, next.Complete = p.Reason, p.Complete
		next.Statistics, next.Events = stats, s.told()
		if p = next; !w.Statistics {
			t.step(report.PathStep{Kind: report.StepSame, Path: p})
			continue
		}
		t.step(report.PathStep{Kind: report.StepStatistics, Path: p})
		if !w.Loop {
			return p, nil
		}
		if err := emit(p); err != nil {
			return p, err
		}
	}
}

// behind asks once whether what silence has cut off answers again: the usual way
// for all hops, then the silent router itself. The hops it returns are more than
// the known ones if so. Nobody answering is no error.
func (t *Tracer) behind(ctx context.Context, hops []hop) ([]hop, error) {
	n := len(hops)
	last := &hops[n-1]
	b := last.base
	was := last.answer.Query.Message
	bases := []base{b}
	if t.next != nil && unicast(t.next.Address.Addr) {
		bases = append(bases, base{to: t.next.Address.Addr, receiver: last.Incoming, skip: n})
	}
	known := t.last
	for _, b := range bases {
		a, err := t.ask1(ctx, plan{tries: 1, query: func(int) ask.TraceQuery {
			return t.query(b, t.limit(), response{was.Response, was.ResponseTTL})
		}})
		switch {
		case errors.Is(err, ask.ErrNoAnswer):
			continue
		case err != nil:
			return nil, err
		case b.skip+len(a.Message.Blocks) > n:
			return append(hops[:b.skip:b.skip], hopsOf(b, a)...), nil
		}
		t.last = known // the answer that the hops are of
	}
	return hops, nil
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
