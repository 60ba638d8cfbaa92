package trace

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"mbone/internal/ask"
	"mbone/proto/mtrace"
	"mbone/report"
)

// plan is a question with its tries.
type plan struct {
	tries int
	wait  time.Duration // of each try; 0: adaptive
	query func(try int) ask.TraceQuery
}

// question asks b for so many hops of the path. The first query of a trace is
// waited for longer: nothing is known of round trips yet.
func (t *Tracer) question(ctx context.Context, b base, hops, count int, first bool) (*ask.TraceAnswer, error) {
	p := plan{tries: count, query: func(try int) ask.TraceQuery {
		return t.query(b, hops, t.response(try, count))
	}}
	if first {
		p.wait = firstWait
	}
	return t.ask1(ctx, p)
}

// ask1 puts one question. Its error is ErrNoAnswer if that stayed without an
// answer, or if patience is at its end.
func (t *Tracer) ask1(ctx context.Context, p plan) (*ask.TraceAnswer, error) {
	limited, cancel := t.withPatience(ctx)
	defer cancel()
	if t.q.Wait > 0 {
		p.wait = t.q.Wait
	}
	q := ask.TraceQuestion{Tries: p.tries, Wait: p.wait, Accept: t.accept}
	q.Make = func(try int) ask.TraceQuery {
		if try > 0 {
			t.step(report.PathStep{Kind: report.StepTimeout})
		}
		t.asked = p.query(try)
		t.sent++
		return t.asked
	}
	got, err := t.ask.Trace(limited, q)
	switch {
	case err == nil:
		// Nobody may add more blocks than were asked for.
		m := &got.Message
		m.Blocks = m.Blocks[:min(len(m.Blocks), int(got.Query.Message.Hops))]
		t.last, t.heard = &got, time.Now()
		return &got, nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case errors.Is(err, context.DeadlineExceeded):
		err = ask.ErrNoAnswer
	}
	if errors.Is(err, ask.ErrNoAnswer) {
		t.step(report.PathStep{Kind: report.StepTimeout})
	}
	return nil, err
}

// withPatience bounds ctx by the time that nothing may come.
func (t *Tracer) withPatience(ctx context.Context) (context.Context, context.CancelFunc) {
	if t.patient() {
		return context.WithCancel(ctx)
	}
	return context.WithDeadline(ctx, t.heard.Add(patience))
}

// impatient reports whether that time is over.
func (t *Tracer) impatient() bool {
	return !t.patient() && time.Since(t.heard) >= patience
}

// patient reports whether the user has said how long to wait.
func (t *Tracer) patient() bool { return t.q.Tries > 0 || t.q.Wait > 0 }

// response is where an answer is to be sent to.
type response struct {
	addr netip.Addr
	ttl  uint8
}

// response returns the response address of one of count tries: as in mrouted
// 4.6 the later half asks for a multicast answer, the last of them with a
// greater TTL. Once a multicast answer has come it is the other way around.
func (t *Tracer) response(try, count int) response {
	left := count - try // tries with this one
	multicast := count > 1 && left <= (count+1)/2
	if t.last != nil && t.last.Query.Message.Response.IsMulticast() {
		multicast = !multicast
	}
	switch {
	case t.q.Response.IsValid():
		if !t.q.Response.IsMulticast() {
			return response{t.q.Response, unicastTTL}
		}
		return response{t.q.Response, t.responseTTL(left, count)}
	case t.q.Multicast != t.q.Unicast:
		multicast = t.q.Multicast
	}
	if multicast {
		return response{ResponseGroup, t.responseTTL(left, count)}
	}
	return response{t.q.Local, unicastTTL}
}

// responseTTL is the TTL of a multicast answer: what the path known by now
// needs and a step more.
func (t *Tracer) responseTTL(left, count int) uint8 {
	if t.q.TTL > 0 {
		return uint8(t.q.TTL)
	}
	ttl := DefaultTTL
	if n := len(t.hops); n > 0 {
		ttls := linkTTLs(t.hops)
		ttl = max(ttl, ttls[0]+responseTTLStep)
	}
	if count > 1 && left <= (count+3)/4 {
		ttl += responseTTLStep
	}
	return uint8(min(ttl, responseTTLMax))
}

// linkTTLs returns the TTL that a packet needs at each hop to come to the
// receiver as mrouted 4.6 counts it: one more at each hop, or the threshold.
func linkTTLs(hops []hop) []int {
	ttls := make([]int, len(hops))
	ttl := 0
	for i := len(hops) - 1; i >= 0; i-- {
		f := int(hops[i].FwdTTL)
		if ttl < f || i == len(hops)-1 {
			ttl = f
		} else {
			ttl++
		}
		ttls[i] = ttl
	}
	return ttls
}

// query makes the query for the path up to hop number hops, to b.
func (t *Tracer) query(b base, hops int, r response) ask.TraceQuery {
	q := ask.TraceQuery{
		To:  b.to,
		Via: t.q.Via,
		Message: mtrace.Message{
			Hops:        uint8(min(hops-b.skip, mtrace.MaxBlocks)),
			Group:       t.q.Group,
			Source:      t.q.Source,
			Receiver:    t.q.Receiver,
			Response:    r.addr,
			ResponseTTL: r.ttl,
		},
	}
	if b.to.IsValid() {
		q.Message.Receiver = b.receiver
		return q
	}
	switch {
	case t.q.Gateway.IsValid():
		q.To = t.q.Gateway
	case t.q.OnLink:
		q.To = allRouters
	default:
		q.To = t.q.Group
	}
	if q.To.IsMulticast() {
		q.TTL = uint8(orDefault(t.q.TTL, DefaultTTL))
		// Routers hear what goes to 224.0.0.2; elsewhere only the option makes them look.
		q.Via.RouterAlert = q.Via.RouterAlert || q.To != allRouters && !t.q.NoRouterAlert
	}
	if q.To == allRouters {
		q.TTL = 1
	}
	return q
}

// accept tells an answer from a request in transit, which comes by on a host
// that is a router itself, and from the empty answers of IOS with bug
// CSCdi68628.
func (t *Tracer) accept(m *mtrace.Message) bool {
	n := len(m.Blocks)
	if n == 0 {
		return false
	}
	last := &m.Blocks[n-1]
	if m.Type == mtrace.TypeQuery {
		return n >= int(m.Hops) || reaches(last, m.Source) || last.Previous.IsUnspecified() || last.Code.Fatal()
	}
	buggy := n == 1 && last.Protocol == mtrace.ProtocolNone && last.Previous.IsUnspecified() &&
		last.Code == mtrace.CodeNotForwarding && t.q.ReceiverNet.IsValid() && !t.q.ReceiverNet.Contains(last.Outgoing)
	return !buggy
}

// reaches reports whether the path ends at the source behind the router of a
// block. The mask says so in most; FRR names the source as its own previous
// hop; pimd sends no mask, but no previous hop either.
func reaches(b *mtrace.Block, source netip.Addr) bool {
	switch {
	case b.Code.Fatal() || b.Incoming.IsUnspecified():
		return false
	case b.Reaches(source) || b.Previous == source || b.Incoming == source:
		return true
	case b.Code == mtrace.CodeNoRoute || b.Code == mtrace.CodeReachedRP:
		return false
	}
	return b.Previous.IsUnspecified() && !b.Mask.Prefix(source).IsValid()
}
