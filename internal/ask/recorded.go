package ask

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"mbone/proto/dvmrp"
	"mbone/proto/igmp"
)

// What is kept of a recording, whoever made it.
const (
	// recordedGap is the silence that ends a conversation: what comes later is
	// another answer, and not a part or a contradiction of this one.
	recordedGap = 2 * time.Second
	// maxRecordedHeld is how many bytes of answers are kept.
	maxRecordedHeld = 16 << 20
)

// Recorded finds the answers to Ask-Neighbors and Ask-Neighbors2 in a recording
// and unites them as [Client.Neighbors] does with what it hears. The zero value
// is ready to use.
type Recorded struct {
	asked   map[pair]*recordedQuestion
	open    map[pair]*conversation
	closed  []NeighborsAnswer
	newest  map[netip.Addr]int // in closed, by router
	swept   time.Time
	held    int
	limit   int // of held; 0: maxRecordedHeld
	dropped int
}

// pair is who asked and who was asked or answered.
type pair struct{ asker, router netip.Addr }

type recordedQuestion struct {
	time  time.Time
	count int // without a gap between them
}

// conversation is what one router said to one asker without a long silence.
type conversation struct {
	answers answers
	asked   netip.Addr // invalid if the question is not in the recording
	last    time.Time
}

// Add takes the next packet of the recording; those of other kinds are ignored.
func (r *Recorded) Add(p *Packet) {
	if len(p.Message) < igmp.FrameLen || len(p.Message) > maxMessage || igmp.Type(p.Message[0]) != igmp.TypeDVMRP {
		return
	}
	switch dvmrp.Code(p.Message[1]) {
	case dvmrp.CodeAskNeighbors, dvmrp.CodeAskNeighbors2:
		r.question(p)
	case dvmrp.CodeNeighbors, dvmrp.CodeNeighbors2:
		r.answer(p)
	}
}

func (r *Recorded) question(p *Packet) {
	if r.asked == nil {
		r.asked = make(map[pair]*recordedQuestion)
	}
	who := pair{p.From, p.To}
	q := r.asked[who]
	if q == nil {
		if len(r.asked) >= maxRecordedQuestions {
			clear(r.asked) // round trips get lost, no answer does
		}
		q = new(recordedQuestion)
		r.asked[who] = q
	}
	if gap(q.time, p.Time) {
		q.count = 0
	}
	q.time = p.Time
	q.count++
	if c := r.open[who]; c != nil {
		c.answers.asked()
	}
}

// maxRecordedQuestions is how many questions wait for their answers.
const maxRecordedQuestions = 1 << 16

func (r *Recorded) answer(p *Packet) {
	var parsed dvmrp.Neighbors
	if parsed.Parse(p.Message) != nil {
		return
	}
	if gap(r.swept, p.Time) {
		r.sweep(func(c *conversation) bool { return gap(c.last, p.Time) })
		r.swept = p.Time
	}
	who := pair{p.To, p.From}
	c := r.open[who]
	if c != nil && gap(c.last, p.Time) {
		r.close(who)
		c = nil
	}
	if r.held+len(p.Message) > cmp.Or(r.limit, maxRecordedHeld) {
		r.dropped++
		return
	}
	asked, q := r.questionOf(p, &parsed)
	if c == nil {
		c = &conversation{asked: asked}
		if r.open == nil {
			r.open = make(map[pair]*conversation)
		}
		r.open[who] = c
	}
	c.last = p.Time
	a := arrival{
		packet: p, parsed: &parsed, bad: !igmp.VerifyChecksum(p.Message),
		alias: asked.IsValid() && asked != p.From, lists: listsSender(&parsed, p.From), now: p.Time, round: max(q.count, 1),
		tries: q.count,
	}
	if q.count > 0 {
		a.rtt = p.Time.Sub(q.time)
	}
	before := c.answers.held
	if c.answers.add(a) == overflow {
		r.dropped++
	}
	r.held += c.answers.held - before
}

// listsSender is whether an answer names the address that it came from.
func listsSender(parsed *dvmrp.Neighbors, from netip.Addr) bool {
	return from.IsLoopback() || slices.ContainsFunc(parsed.Interfaces, func(i dvmrp.Interface) bool { return i.Local == from })
}

// questionOf finds the question of an answer: to its sender, to an address that
// its sender calls its own, or to a group.
func (r *Recorded) questionOf(p *Packet, parsed *dvmrp.Neighbors) (netip.Addr, recordedQuestion) {
	try := func(router netip.Addr) bool {
		q := r.asked[pair{p.To, router}]
		return q != nil && !gap(q.time, p.Time)
	}
	candidates := []netip.Addr{p.From}
	for _, i := range parsed.Interfaces {
		candidates = append(candidates, i.Local)
	}
	candidates = append(candidates, allHosts, allRouters, dvmrpRouters)
	for _, router := range candidates {
		if try(router) {
			return router, *r.asked[pair{p.To, router}]
		}
	}
	return netip.Addr{}, recordedQuestion{}
}

// The groups that are asked who is there.
var (
	allHosts     = netip.AddrFrom4([4]byte{224, 0, 0, 1})
	allRouters   = netip.AddrFrom4([4]byte{224, 0, 0, 2})
	dvmrpRouters = netip.AddrFrom4([4]byte{224, 0, 0, 4})
)

// gap is whether too much time lies between two packets; clocks may go back.
func gap(before, after time.Time) bool { return after.Sub(before).Abs() > recordedGap }

// sweep closes the conversations that are over, in the order of their ends.
func (r *Recorded) sweep(over func(*conversation) bool) {
	var ended []pair
	for who, c := range r.open {
		if over(c) {
			ended = append(ended, who)
		}
	}
	slices.SortFunc(ended, func(a, b pair) int {
		return cmp.Or(r.open[a].last.Compare(r.open[b].last), a.router.Compare(b.router), a.asker.Compare(b.asker))
	})
	for _, who := range ended {
		r.close(who)
	}
}

// close makes an answer of a conversation. One that says what the router's
// newest answer said is dropped: a recording shows what changed.
func (r *Recorded) close(who pair) {
	c := r.open[who]
	delete(r.open, who)
	s := c.answers.best()
	if s == nil {
		return
	}
	a := s.answer(c.asked)
	if i, ok := r.newest[a.From]; ok && sameAnswer(&r.closed[i], &a) {
		r.held -= c.answers.held
		return
	}
	if r.newest == nil {
		r.newest = make(map[netip.Addr]int)
	}
	r.newest[a.From] = len(r.closed)
	r.closed = append(r.closed, a)
}

// sameAnswer is whether two answers say the same.
func sameAnswer(a, b *NeighborsAnswer) bool {
	return a.From == b.From && a.Old == b.Old && a.Version == b.Version &&
		a.BadChecksum == b.BadChecksum && a.Uncertain == b.Uncertain && len(a.Conflicts) == 0 && len(b.Conflicts) == 0 &&
		slices.EqualFunc(a.Interfaces, b.Interfaces, func(i, j dvmrp.Interface) bool {
			return i.Local == j.Local && i.Metric == j.Metric && i.Threshold == j.Threshold && i.Flags == j.Flags &&
				slices.Equal(i.Neighbors, j.Neighbors)
		})
}

// Answers returns what was found, in the order of time: of each router its first
// answer and every later one that says something else. Asked is invalid and RTT
// and Tries mean nothing where the recording lacks the question. It is called
// once, at the end.
func (r *Recorded) Answers() []NeighborsAnswer {
	r.sweep(func(*conversation) bool { return true })
	slices.SortStableFunc(r.closed, func(a, b NeighborsAnswer) int { return a.Time.Compare(b.Time) })
	// A router that gave a full answer to somebody may have given an old one with
	// the advice to ask for that to others.
	full := make(map[netip.Addr]bool)
	for _, a := range r.closed {
		full[a.From] = full[a.From] || !a.Old
	}
	r.closed = slices.DeleteFunc(r.closed, func(a NeighborsAnswer) bool {
		return a.Old && a.Version.Level() != 0 && full[a.From]
	})
	// Conversations with several askers may end in another order than they began.
	newest := make(map[netip.Addr]NeighborsAnswer)
	return slices.DeleteFunc(r.closed, func(a NeighborsAnswer) bool {
		before, ok := newest[a.From]
		newest[a.From] = a
		return ok && sameAnswer(&before, &a)
	})
}

// Dropped returns how many packets of answers were beyond what is kept.
func (r *Recorded) Dropped() int { return r.dropped }
