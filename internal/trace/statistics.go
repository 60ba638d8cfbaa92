package trace

import (
	"fmt"
	"math"
	"net/netip"
	"time"

	"mbone/proto/mtrace"
	"mbone/report"
)

// What a counter of 32 bits that is smaller than before is believed to have done:
// it has come round the end of its bits, or its router has begun anew.
const (
	// maxPacketRate is the most packets per second that a counter is believed to
	// have counted. What is more is no wrap: the counter began anew.
	maxPacketRate = 20e6
	// maxWrap is the longest step round the end that is believed of a counter
	// whose rate is not known: one that began anew somewhere looks so one time in
	// sixteen.
	maxWrap = 1 << 28
	// Where the rate is known, a short step may be maxSpeedUp times as fast as the
	// counter has ever been, and any step as fast as quietRate. A long one must
	// agree with that rate within a factor of alike: over long intervals nearly
	// every step of a counter that began anew looks like a wrap at some rate.
	maxSpeedUp = 4
	quietRate  = 10_000
	alike      = 2
)

// maxClockError and clockShare bound how far the time between two samples by a
// router's clock may be from that by our own, where the answers took their time
// or the clocks run apart. What is further off was set in between, or is none.
const (
	maxClockError = 3.0 // seconds
	clockShare    = 0.1 // of the time
)

// maxUncertainty is the width, in percent, of the interval of a loss from which
// on there are too few packets to tell it.
const maxUncertainty = 10.0

// series is a row of samples of one path: traces of it. It follows the counters
// of each router by itself, so that what happens to one concerns its links only,
// and that samples in which a router is silent cost it nothing.
type series struct {
	began time.Time // of the watch
	hops  []hop     // the latest sample
	// routers are those of the longest path known; links[i] is between router i
	// and the one before it, towards the receiver.
	routers         []*tally
	links           []*link
	first, previous time.Time // when the first and the latest sample came
	samples         int
	resets          int
	change          *report.PathChange
	// lost is set while the path is cut short, or does not answer at all, partial
	// as long as it was never seen whole, over when it has become another one.
	lost, partial, over bool
	// silent is set when a sample got no answer, before it is known what is lost.
	silent bool
	// events are those that no path has told of yet.
	events []report.PathEvent
}

// The counters of a router.
const (
	countIn = iota
	countOut
	countGroup
	counters
)

// tally is what is known of a router.
type tally struct {
	hop        // as of the latest sample that it was in
	sample int // the number of that, from 1
	// elapsed is the time since the sample before that; 0 if it was not in it.
	elapsed float64
	counts  [counters]counter
}

// counter follows a counter of 32 bits over their end.
type counter struct {
	// epoch is how often it began; 0: it was never known. anew is the sample in
	// which it was found to have begun anew; 0: it has not.
	epoch, anew int
	// value is what it said last, in a sample of this number, at this time. It is
	// not valid from when the counter began anew to when it says something again.
	value  uint32
	valid  bool
	sample int
	at     instant
	sum    int64 // of all that it was seen to count
	step   int64 // what it has counted since sample from; that is 0 if it began
	from   int
	rate   float64 // the highest per second so far
	timed  bool    // whether rate is known
}

// instant is a time by the clock of a router and by our own.
type instant struct {
	arrival  uint32
	ok       bool // whether arrival is known
	received time.Time
}

// link compares what a router sends with what the next one receives.
type link struct {
	from, to   *tally // to is nil at the receiver
	all, group column
}

// column compares one counter of the sender with one of the receiver. The
// numbers are those of when the comparison began.
type column struct {
	from, to                 *counter
	set                      bool // whether it has begun
	sent, received           int64
	sentEpoch, receivedEpoch int
	at                       instant // by the sender's clock
	sample                   int
	reset                    bool // it began because a counter began anew
}

// newSeries begins with a sample.
func newSeries(began time.Time, hops []hop) *series {
	s := &series{began: began, first: received(hops)}
	s.take(hops)
	return s
}

// instant returns when the counters of a hop were read.
func (h *hop) instant() instant {
	at, ok := h.arrival()
	return instant{at, ok, h.answer.Received}
}

// seconds returns the time from a to b: by the router's clock, if that agrees
// with ours about as well as answers take their time.
func (a instant) seconds(b instant) float64 {
	local := b.received.Sub(a.received).Seconds()
	if !a.ok || !b.ok {
		return local
	}
	// The clock of the router comes round every 18 hours.
	ours := uint32(int64(local * (1 << 16)))
	off := float64(int32(b.arrival-a.arrival-ours)) / (1 << 16)
	if math.Abs(off) > maxClockError+clockShare*local || local+off <= 0 {
		return local
	}
	return local + off
}

// take adds a sample of the path, or of its first hops.
func (s *series) take(hops []hop) {
	s.samples++
	s.hops, s.previous = hops, received(hops)
	for i := range hops {
		if i == len(s.routers) {
			s.grow()
		}
		router, h := s.routers[i], &hops[i]
		if router.sample > 0 && h.Arrival != 0 && mtrace.NoFraction(router.Arrival, h.Arrival) {
			h.noFraction = true
		}
		switch reset, group := router.take(s.samples, *h); {
		case reset:
			s.resets++
			s.note(report.EventReset, i+1, h.addr(), "the counters began anew, as when a router restarts")
		case group:
			s.resets++
			s.note(report.EventGroupReset, i+1, h.addr(), "the counter of the source and group began anew, as when its entry is made anew")
		}
	}
	for _, l := range s.links[:len(hops)] {
		l.all.follow(s.samples, l.from)
		l.group.follow(s.samples, l.from)
	}
}

// grow makes room for one router more.
func (s *series) grow() {
	l := &link{from: new(tally)}
	l.all, l.group = column{to: new(counter)}, column{to: new(counter)}
	if n := len(s.routers); n > 0 {
		l.to = s.routers[n-1]
		l.all.to, l.group.to = &l.to.counts[countIn], &l.to.counts[countGroup]
	}
	l.all.from, l.group.from = &l.from.counts[countOut], &l.from.counts[countGroup]
	s.routers, s.links = append(s.routers, l.from), append(s.links, l)
}

// told returns the events, which a path is going to tell of.
func (s *series) told() []report.PathEvent {
	events := s.events
	s.events = nil
	return append([]report.PathEvent{}, events...)
}

// note adds an event at a hop; 0: at none.
func (s *series) note(kind report.PathEventKind, n int, at netip.Addr, text string) {
	e := report.PathEvent{Kind: kind, Time: time.Now(), Hop: n, Text: text}
	if e.Address.Addr = at; at.IsValid() {
		e.Text = fmt.Sprintf("hop %d, %s: %s", n, at, text)
	}
	s.events = append(s.events, e)
}

// take adds a sample and reports whether the router's counters began anew, or
// that of the source and group did.
func (t *tally) take(n int, h hop) (reset, group bool) {
	at := h.instant()
	t.elapsed = 0
	if t.sample > 0 && t.sample == n-1 {
		t.elapsed = t.instant().seconds(at)
	}
	now := [counters]uint32{h.PacketsIn, h.PacketsOut, h.group()}
	for i := range t.counts {
		c := &t.counts[i]
		if !c.valid || now[i] == mtrace.Unknown {
			continue
		}
		// What counts something else now does not go on.
		if !c.follows(now[i], at) || i == countGroup && t.counted() != h.counted() {
			reset = reset || i != countGroup
			group = group || i == countGroup
		}
	}
	for i := range t.counts {
		t.counts[i].take(n, now[i], at, reset || group && i == countGroup)
	}
	t.hop, t.sample = h, n
	return reset, group
}

// follows reports whether a counter may have come to now since it was known last.
func (c *counter) follows(now uint32, at instant) bool {
	n := float64(now - c.value)
	rate := n / max(c.at.seconds(at), 1)
	switch {
	case rate > maxPacketRate:
		return false
	case now >= c.value:
		return true
	case !c.timed:
		return n <= maxWrap
	case n > maxWrap:
		return rate >= c.rate/alike && rate <= c.rate*alike
	}
	return rate <= max(quietRate, maxSpeedUp*c.rate)
}

// take adds what a counter says in sample n.
func (c *counter) take(n int, now uint32, at instant, anew bool) {
	if anew && c.epoch > 0 {
		c.epoch++
		c.anew, c.valid = n, false
	}
	if now == mtrace.Unknown {
		return
	}
	c.from = 0
	if c.epoch == 0 {
		c.epoch = 1
	}
	if c.valid {
		c.step, c.from = int64(now-c.value), c.sample
		c.sum += c.step
		c.rate, c.timed = max(c.rate, float64(c.step)/max(c.at.seconds(at), 1)), true
	}
	c.value, c.valid, c.sample, c.at = now, true, n, at
}

// known reports whether the counter was known in sample n.
func (c *counter) known(n int) bool { return c.valid && c.sample == n }

// group is the (S,G) counter, unless it is known to be wrong.
func (h *hop) group() uint32 {
	if h.frr() {
		return mtrace.Unknown
	}
	return h.PacketsGroup
}

// counted is what the (S,G) counter of a hop counts: the source alone, its
// network, or all sources.
func (h *hop) counted() mtrace.Mask {
	switch {
	case h.Mask.GroupOnly():
		return mtrace.MaskGroupOnly
	case h.Mask.SubnetCount():
		return h.Mask
	}
	return 0
}

// follow lets the column begin with sample n, or begin anew, if its counters have
// done so. Each that was ever known must be known then.
func (c *column) follow(n int, sender *tally) {
	from, to := c.from, c.to
	if c.set && c.sentEpoch == from.epoch && c.receivedEpoch == to.epoch {
		return
	}
	c.set = (from.epoch == 0 || from.known(n)) && (to.epoch == 0 || to.known(n))
	c.reset = c.reset || c.sentEpoch > 0 && from.anew > 0 || c.receivedEpoch > 0 && to.anew > 0
	c.sent, c.received, c.sentEpoch, c.receivedEpoch = from.sum, to.sum, from.epoch, to.epoch
	c.at, c.sample = sender.instant(), n
}

// statistics adds a sample and returns what all of them say of its routers.
func (s *series) statistics(hops []hop) *report.Statistics {
	interval := received(hops).Sub(s.previous)
	s.take(hops)
	links := make([]report.Link, len(hops))
	ttls := linkTTLs(hops)
	for i := range links {
		l := s.links[i]
		seconds := interval.Seconds()
		if l.from.elapsed > 0 {
			seconds = l.from.elapsed
		}
		r := report.Link{From: i + 1, To: i, TTL: ttls[i]}
		r.Last.All, r.Total.All = l.all.counts(s.samples, seconds, l.from)
		r.Last.Group, r.Total.Group = l.group.counts(s.samples, seconds, l.from)
		l.doubt(&r.Last.Group)
		l.doubt(&r.Total.Group)
		r.Last.Seconds = wholeSeconds(&r.Last, seconds)
		r.Total.Seconds = wholeSeconds(&r.Total, s.previous.Sub(s.first).Seconds())
		links[i] = r
	}
	return &report.Statistics{
		Samples:  s.samples,
		Interval: report.Milliseconds(interval),
		Total:    report.Milliseconds(s.previous.Sub(s.first)),
		Links:    links,
		Resets:   s.resets,
	}
}

// wholeSeconds returns the longer period of the two counts; if there is none, or.
func wholeSeconds(t *report.Traffic, or float64) int {
	longest := 0.0
	for _, c := range []*report.Count{&t.All, &t.Group} {
		if c.Period != nil {
			longest = max(longest, c.Period.Duration().Seconds())
		}
	}
	if longest == 0 {
		longest = or
	}
	return max(1, int(math.Round(longest)))
}

// counts returns what the column has counted in the time before sample n, that
// is so many seconds, and since the comparison began.
func (c *column) counts(n int, seconds float64, sender *tally) (last, total report.Count) {
	step := func(k *counter) *int64 {
		if !k.known(n) || k.from == 0 || k.from != n-1 {
			return nil
		}
		return new(k.step)
	}
	last = count(step(c.from), step(c.to), seconds)
	if c.from.anew == n || c.to.anew == n {
		last.Marks = append(last.Marks, report.MarkReset)
	}
	since := func(k *counter, epoch int, sum int64) *int64 {
		if !c.set || c.sample == n || epoch == 0 || !k.known(n) {
			return nil
		}
		return new(k.sum - sum)
	}
	total = count(since(c.from, c.sentEpoch, c.sent), since(c.to, c.receivedEpoch, c.received), c.at.seconds(sender.instant()))
	if c.reset {
		total.Marks = append(total.Marks, report.MarkReset)
	}
	return last, total
}

// doubt marks a count of the source and group that is known to be wrong, or of
// which the two routers count different things.
func (l *link) doubt(c *report.Count) {
	if l.from.frr() || l.to != nil && l.to.frr() {
		c.Reliable = false
		c.Marks = append(c.Marks, report.MarkWrongCounter)
	}
	if l.to == nil || l.from.counted() == l.to.counted() || c.Sent == nil || c.Received == nil {
		return
	}
	c.Lost, c.LossPercent, c.LossLow, c.LossHigh = nil, nil, nil, nil
	c.Reliable, c.Marks = false, []report.Mark{report.MarkOtherCount}
}

// count compares what was sent with what was received; either may be unknown.
func count(sent, received *int64, seconds float64) report.Count {
	c := report.Count{Sent: sent, Received: received, Reliable: true, Marks: []report.Mark{}}
	base := sent
	if sent == nil {
		base = received
	}
	if base == nil {
		return c
	}
	c.Period = milliseconds(time.Duration(seconds * float64(time.Second)))
	if seconds > 0 {
		c.Rate = new(report.Decimal(float64(*base) / seconds))
	}
	if sent == nil || received == nil {
		return c
	}
	c.Lost = new(*sent - *received)
	if *sent > 0 {
		c.LossPercent = new(report.Decimal(100 * float64(*c.Lost) / float64(*sent)))
	}
	switch {
	case *c.Lost < 0:
		c.Marks = append(c.Marks, report.MarkMoreReceived)
	case *sent > 0:
		low, high := wilson(*c.Lost, *sent)
		c.LossLow, c.LossHigh = new(report.Decimal(low)), new(report.Decimal(high))
		if high-low > maxUncertainty {
			c.Marks = append(c.Marks, report.MarkFewPackets)
		}
	}
	return c
}

// wilson returns the interval of Wilson's score for k of n, in percent: the
// chances with which k of n lie within what is to be expected in 95 of 100 cases.
func wilson(k, n int64) (low, high float64) {
	const z = 1.959964 // of the normal distribution, two-sided, 95 percent
	p, m := float64(k)/float64(n), float64(n)
	middle := (p + z*z/(2*m)) / (1 + z*z/m)
	half := z / (1 + z*z/m) * math.Sqrt(p*(1-p)/m+z*z/(4*m*m))
	low, high = 100*max(0, middle-half), 100*min(1, middle+half)
	switch k { // exactly, where rounding would leave a trace
	case 0:
		low = 0
	case n:
		high = 100
	}
	return low, high
}
