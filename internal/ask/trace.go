package ask

import (
	"cmp"
	"context"
	"net/netip"
	"slices"
	"time"

	"mbone/proto/mtrace"
)

// traceKey is what an answer must repeat of a query. The source must be right as
// well, but one router damages it: see [sameSource].
type traceKey struct {
	id       uint32
	receiver netip.Addr
}

// trace is a question under way.
type trace struct {
	q     TraceQuestion
	tries int
	wake  chan struct{} // mail came; holds one token

	// These belong to who holds the client's lock.
	sent []*try
	mail []*reply

	// These belong to the goroutine that asks.
	due       time.Time
	good, bad *reply    // accepted
	until     time.Time // when bad is the answer
}

// try is one query of a trace.
type try struct {
	trace *trace
	key   traceKey
	query TraceQuery
	sent  time.Time
}

// reply is a message with the id of a query, received by now after tries queries.
type reply struct {
	try     *try
	packet  Packet // without the message
	message mtrace.Message
	bad     bool
	now     time.Time
	tries   int
}

// Trace sends an mtrace query until it is answered. Answers to earlier tries
// count as long as the question lasts. An answer with a bad checksum is
// returned only if no better one follows it shortly.
//
// If ctx ends or the client is closed, the error says so; an answer with a bad
// checksum that came until then is returned with it. Silence is an [OpError]
// with [ErrNoAnswer].
func (c *Client) Trace(ctx context.Context, q TraceQuestion) (TraceAnswer, error) {
	began := time.Now()
	ctx, leave, err := c.enter(ctx)
	if err != nil {
		return TraceAnswer{}, failed("trace", netip.Addr{}, 0, began, err)
	}
	defer leave()

	t := &trace{q: q, tries: cmp.Or(max(q.Tries, 0), DefaultTries), wake: make(chan struct{}, 1)}
	err = c.run(ctx, t.wake, func() step {
		c.readMail(t)
		return t.next(time.Now())
	}, func(step) error { return c.sendTrace(ctx, t) })

	c.mu.Lock()
	defer c.mu.Unlock()
	for _, try := range t.sent {
		delete(c.traces, try.key)
	}
	answer := cmp.Or(t.good, t.bad)
	if err == nil && answer == nil {
		err = ErrNoAnswer
	}
	if err != nil {
		var to netip.Addr
		if len(t.sent) > 0 {
			to = t.sent[len(t.sent)-1].query.To
		}
		err = failed("trace", to, len(t.sent), began, err)
	}
	if answer == nil {
		return TraceAnswer{}, err
	}
	return answer.answer(), err
}

// next says what to do at now.
func (t *trace) next(now time.Time) step {
	switch {
	case t.good != nil:
		return step{action: done}
	case t.bad != nil && now.Before(t.until):
		return step{action: wait, until: t.until}
	case t.bad != nil:
		return step{action: done}
	case now.Before(t.due):
		return step{action: wait, until: t.due}
	case len(t.sent) < t.tries:
		return step{action: ask}
	}
	return step{action: done}
}

// readMail judges what came.
func (c *Client) readMail(t *trace) {
	c.mu.Lock()
	mail := t.mail
	t.mail = nil
	patience := c.estimate.wait(0)
	c.mu.Unlock()
	for _, r := range mail {
		if t.good != nil {
			return
		}
		if t.q.Accept != nil && !t.q.Accept(&r.message) {
			continue
		}
		if !r.bad {
			t.good = r
		} else if t.bad == nil {
			t.bad, t.until = r, r.now.Add(patience)
		}
	}
}

// sendTrace sends the next query.
func (c *Client) sendTrace(ctx context.Context, t *trace) error {
	try := &try{trace: t, query: t.q.Make(len(t.sent))}
	m := &try.query.Message
	m.Type, m.Blocks = mtrace.TypeQuery, nil

	now := time.Now()
	c.mu.Lock()
	try.key = c.newKey(m.Receiver, m.ResponseTTL)
	m.QueryID = try.key.id
	message, err := m.AppendBinary(nil)
	if err == nil {
		try.sent = now
		c.traces[try.key] = try
		t.due = now.Add(cmp.Or(t.q.Wait, c.estimate.wait(len(t.sent))))
		t.sent = append(t.sent, try)
		c.stats.Sent++
	}
	c.mu.Unlock()
	if err != nil {
		return err
	}
	at, err := c.send(ctx, Datagram{To: try.query.To, Via: try.query.Via, TTL: try.query.TTL, Message: message})
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	try.sent = at
	return nil
}

// newKey returns the key of a query with an id that no query under way has. As
// [mtrace.PairedQueryID] says, only 16 bits of the id are free.
func (c *Client) newKey(receiver netip.Addr, ttl uint8) traceKey {
	random := uint16(c.random.Uint64())
	for {
		key := traceKey{mtrace.PairedQueryID(random, ttl), receiver}
		if c.traces[key] == nil {
			return key
		}
		random++
	}
}

// handleTrace hands a response, or a request in transit, to the question whose
// id it carries.
func (c *Client) handleTrace(p *Packet, now time.Time) {
	bad := c.corrupt(p)
	if err := c.mtrace.Parse(p.Message); err != nil {
		c.malformed(p, bad, err)
		return
	}
	m := &c.mtrace
	if m.Type == mtrace.TypeQuery && len(m.Blocks) == 0 {
		c.stats.Other++ // a query, perhaps our own that came back
		return
	}
	try := c.traces[traceKey{m.QueryID, m.Receiver}]
	switch {
	case try == nil:
		c.count(p, unasked, bad)
	case len(m.Blocks) == 0 || !sameSource(m.Source, try.query.Message.Source, bad):
		c.count(p, spoofed, bad)
	case len(try.trace.mail) >= maxMail:
		c.count(p, overflow, bad)
	default:
		r := &reply{try: try, packet: *p, message: *m, bad: bad, now: now, tries: len(try.trace.sent)}
		r.packet.Message = nil
		r.message.Blocks = slices.Clone(m.Blocks)
		try.trace.mail = append(try.trace.mail, r)
		if !bad {
			c.estimate.add(roundTrip(try.sent, p.Time, now))
		}
		c.count(p, taken, bad)
		signal(try.trace.wake)
	}
}

// sameSource reports whether a message with source a answers a query for source
// b. Debian's pimd writes over the second byte of the source, and leaves a bad
// checksum as the trace of it.
func sameSource(a, b netip.Addr, bad bool) bool {
	if a == b {
		return true
	}
	x, y := a.As4(), b.As4()
	x[1] = y[1]
	return bad && x == y
}

// answer returns r as an answer. The client's lock is held.
func (r *reply) answer() TraceAnswer {
	return TraceAnswer{
		Query: r.try.query, Sent: r.try.sent,
		Received: r.try.sent.Add(roundTrip(r.try.sent, r.packet.Time, r.now)),
		From:     r.packet.From, TTL: r.packet.TTL,
		Message: r.message, Tries: r.tries, BadChecksum: r.bad,
	}
}
