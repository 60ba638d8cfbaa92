package ask

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"mbone/proto/dvmrp"
)

// neighbors is a question under way. Its fields belong to who holds the
// client's lock. It does no I/O and reads no clock: packets and times go in,
// what to do next comes out.
type neighbors struct {
	q        NeighborsQuestion
	link     bool // q.Router is a multicast address
	tries    int
	estimate *estimator
	wake     chan struct{} // something came; holds one token

	answers answers
	// speakers are the other addresses that began to answer.
	speakers []netip.Addr
	tried    int       // tries begun
	half     bool      // the old form of this try was sent, the new one is to follow
	due      time.Time // when the try is over
	again    int       // questions beyond tries, to complete an answer
	sent     int       // questions in all
	// When the question of each form was sent first and last.
	asked [dvmrp.CodeAskNeighbors2 + 1]struct{ first, last time.Time }
	// wantsNew is set by an old answer that says: ask me with code 5.
	wantsNew bool
}

func newNeighbors(q NeighborsQuestion, e *estimator) *neighbors {
	n := &neighbors{q: q, link: q.Router.IsMulticast(), tries: q.Tries, estimate: e, wake: make(chan struct{}, 1)}
	n.answers.link = n.link
	if n.tries <= 0 {
		n.tries = DefaultTries
		if n.link {
			n.tries = DefaultMulticastTries
		}
	}
	return n
}

// next says what to do at now.
func (n *neighbors) next(now time.Time) step {
	s := n.answers.best()
	if n.link || s == nil || s.bad {
		if !n.link && s != nil && s.repeated() && !now.Before(n.due) {
			return step{action: done}
		}
		return n.silence(now)
	}
	until := n.settled(s)
	switch {
	case now.Before(until):
		return step{action: wait, until: until}
	case !s.completed.IsZero() || n.again >= maxAgain:
		return step{action: done}
	}
	return step{action: ask, code: s.code - 1}
}

// silence is next as long as there is no good answer. A try is a question in the
// new form; from the third on the old form goes before it, until an answer says
// that the router knows better. (mrinfo sends the old form alone, which a mrouted
// without neighbours does not answer.)
func (n *neighbors) silence(now time.Time) step {
	over, due := n.estimate.over(n.due, now)
	switch {
	case n.half:
		return step{action: ask, code: dvmrp.CodeAskNeighbors2}
	case !over:
		return step{action: wait, until: due}
	case n.tried >= n.tries:
		return step{action: done}
	case n.tried >= 2 && !n.wantsNew:
		return step{action: ask, code: dvmrp.CodeAskNeighbors}
	}
	return step{action: ask, code: dvmrp.CodeAskNeighbors2}
}

// settled returns the time until which a good answer waits: for one that
// contradicts it, or for its other packets.
func (n *neighbors) settled(s *set) time.Time {
	if !s.completed.IsZero() {
		switch {
		case n.q.Linger < 0:
			return s.completed
		case n.q.Linger > 0:
			return s.completed.Add(n.q.Linger)
		}
		return s.completed.Add(settle(s.rtt))
	}
	until := s.changed.Add(settle(s.rtt))
	if limit := s.began.Add(maxWait); until.After(limit) {
		until = limit
	}
	if n.again > 0 && until.Before(n.due) {
		return n.due
	}
	return until
}

// sending notes that a question leaves at now.
func (n *neighbors) sending(code dvmrp.Code, now time.Time) {
	s := n.answers.best()
	switch {
	case s != nil && !s.bad && !n.link:
		n.due = now.Add(n.estimate.wait(n.again)) // it is known to be there
		n.again++
	case code == dvmrp.CodeAskNeighbors:
		n.half = true
	default:
		n.half = false
		n.due = now.Add(n.waits(n.tried))
		n.tried++
	}
	n.answers.asked()
	n.sent++
	n.left(code, now)
}

// left notes when a question left.
func (n *neighbors) left(code dvmrp.Code, at time.Time) {
	a := &n.asked[code]
	if a.first.IsZero() {
		a.first = at
	}
	a.last = at
}

// waits returns how long a try waits.
func (n *neighbors) waits(try int) time.Duration {
	switch {
	case n.q.Wait > 0:
		return n.q.Wait
	case n.link:
		return DefaultMulticastWait
	}
	return n.estimate.wait(try)
}

// packet takes a well-formed answer with code 4 or 6.
func (n *neighbors) packet(p *Packet, parsed *dvmrp.Neighbors, bad, alias bool, now time.Time) verdict {
	asked := n.asked[parsed.Code-1]
	if asked.first.IsZero() {
		return unasked
	}
	v := n.take(p, parsed, bad, alias, now)
	if v == taken {
		signal(n.wake)
	}
	return v
}

func (n *neighbors) take(p *Packet, parsed *dvmrp.Neighbors, bad, alias bool, now time.Time) verdict {
	asked := n.asked[parsed.Code-1]
	rtt := roundTrip(asked.last, p.Time, now)
	if parsed.Code == dvmrp.CodeNeighbors && parsed.Version.Level() != 0 && !n.link {
		if n.wantsNew || bad || alias {
			return duplicate
		}
		// It is there: the new question or its answer got lost, if it is not
		// just coming.
		n.wantsNew = true
		n.tries = max(n.tries, n.tried+1)
		if soon := now.Add(settle(rtt)); soon.Before(n.due) {
			n.due = soon
		}
		return taken
	}
	if !n.link && !bad && len(n.answers.order) == 0 {
		n.estimate.add(n.estimate.pick(roundTrip(asked.first, p.Time, now), rtt))
	}
	return n.answers.add(arrival{
		packet: p, parsed: parsed, bad: bad, alias: alias, lists: n.lists(p.From, parsed), now: now,
		rtt: rtt, round: n.sent, tries: max(n.tried, 1),
	})
}

// begin notes that another address than the one asked began to answer. If a full
// packet of it came just before, that was the beginning: it is to be asked for
// again, now that it is known whose it is.
func (n *neighbors) begin(speaker netip.Addr, headless bool) {
	n.speakers = append(n.speakers, speaker)
	if !headless {
		return
	}
	for _, s := range n.answers.order {
		if s.from == speaker {
			s.headless, s.completed = true, time.Time{}
		}
	}
}

// owed returns how many packets may still come from the address asked: less than
// none if more came than were asked for, or none at all.
func (n *neighbors) owed() int {
	s := n.answers.best()
	if s == nil || n.link || s.alias {
		return -1
	}
	return n.sent*len(s.parts) - s.arrivals
}

// lists reports whether an answer names the address asked, or that of its sender
// for a question to a link. No router lists its loopback address.
func (n *neighbors) lists(from netip.Addr, parsed *dvmrp.Neighbors) bool {
	want := n.q.Router
	if n.link {
		want = from
	}
	return want.IsLoopback() || slices.ContainsFunc(parsed.Interfaces, func(i dvmrp.Interface) bool { return i.Local == want })
}

// result returns what the routers said.
func (n *neighbors) result() []NeighborsAnswer {
	if !n.link {
		if s := n.answers.best(); s != nil {
			return []NeighborsAnswer{s.answer(n.q.Router)}
		}
		return nil
	}
	routers := make(map[netip.Addr]*set)
	for _, s := range n.answers.order {
		if r := routers[s.from]; r == nil || rank(s, r) < 0 {
			routers[s.from] = s
		}
	}
	var all []NeighborsAnswer
	for _, s := range routers {
		all = append(all, s.answer(n.q.Router))
	}
	slices.SortFunc(all, func(a, b NeighborsAnswer) int { return a.From.Compare(b.From) })
	return all
}

// Neighbors asks q.Router for its interfaces and neighbours. One router gives
// one answer; a multicast address gives every router that answered, sorted by
// address, and that may be none without an error.
//
// If ctx ends or the client is closed, what came until then is returned
// together with the error. A router that did not answer is an [OpError] with
// [ErrNoAnswer].
func (c *Client) Neighbors(ctx context.Context, q NeighborsQuestion) ([]NeighborsAnswer, error) {
	began := time.Now()
	if !q.Router.Is4() {
		return nil, failed("ask", q.Router, 0, began, errNotIPv4)
	}
	ctx, leave, err := c.enter(ctx)
	if err != nil {
		return nil, failed("ask", q.Router, 0, began, err)
	}
	defer leave()

	c.mu.Lock()
	n := newNeighbors(q, &c.estimate)
	c.addNeighbors(n)
	c.mu.Unlock()
	err = c.run(ctx, n.wake, func() step {
		c.mu.Lock()
		defer c.mu.Unlock()
		return n.next(time.Now())
	}, func(s step) error { return c.sendNeighbors(ctx, n, s.code) })

	c.mu.Lock()
	defer c.mu.Unlock()
	c.removeNeighbors(n)
	answers := n.result()
	if owed := n.owed(); owed > 0 {
		c.expectLate(q.Router, owed, time.Now())
	}
	switch s := n.answers.best(); {
	case err != nil && !n.link && s != nil && !s.bad && !s.completed.IsZero():
		return answers, nil // it was only lingering
	case err == nil && len(answers) == 0 && !n.link:
		err = ErrNoAnswer
	}
	if err != nil {
		err = failed("ask", q.Router, n.tried, began, err)
	}
	return answers, err
}

// sendNeighbors sends one question.
func (c *Client) sendNeighbors(ctx context.Context, n *neighbors, code dvmrp.Code) error {
	message, err := (&dvmrp.Ask{Code: code, Version: dvmrp.Mrouted}).AppendBinary(nil)
	if err != nil {
		return err
	}
	c.mu.Lock()
	n.sending(code, time.Now())
	c.stats.Sent++
	c.mu.Unlock()
	at, err := c.send(ctx, Datagram{To: n.q.Router, Via: n.q.Via, Message: message})
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	n.left(code, at)
	return nil
}
