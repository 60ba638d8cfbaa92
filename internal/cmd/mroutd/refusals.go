package mroutd

import (
	"context"
	"log/slog"
	"time"

	"mbone/internal/plane/tunnel"
	"mbone/internal/router/dvmrp"
	"mbone/internal/router/respond"
)

// reportEvery is how often at most refused and dropped packets are logged.
const reportEvery = time.Minute

// count is how often something was refused or dropped since the start.
type count struct {
	what  string
	times uint64
}

// refusals tells the log what was refused or dropped, however much that is: a line
// says what has been so since the line before.
type refusals struct {
	every time.Duration
	next  time.Duration // when a line may come, since the start
	told  map[string]uint64
}

func newRefusals(every time.Duration) refusals {
	return refusals{every: every, next: every, told: make(map[string]uint64)}
}

// look logs what is new, if it is time for that.
func (r *refusals) look(now time.Duration, log *slog.Logger, counts func() []count) {
	if now < r.next {
		return
	}
	r.next = now + r.every
	r.tell(log, counts())
}

// tell logs what is new.
func (r *refusals) tell(log *slog.Logger, counts []count) {
	var attrs []any
	for _, c := range counts {
		if n := c.times - r.told[c.what]; n > 0 {
			attrs = append(attrs, c.what, n)
			r.told[c.what] = c.times
		}
	}
	if len(attrs) > 0 {
		log.Log(context.Background(), levelNotice, "refused or dropped since the last such line", attrs...)
	}
}

// refusedQuestions are those that got no answer though they were for this router.
func refusedQuestions(c respond.Counts) []count {
	var counts []count
	for _, o := range []respond.Outcome{respond.Damaged, respond.Forbidden, respond.Limited, respond.Failed} {
		counts = append(counts, count{"questions." + o.String(), c[o]})
	}
	return counts
}

// refusedTunnelPackets leaves out what only the host itself says on a link, such as
// IPv6: no tunnel is to carry that.
func refusedTunnelPackets(dropped [tunnel.Drops]uint64) []count {
	var counts []count
	for _, d := range []tunnel.Drop{tunnel.OutLimit, tunnel.OutRefused, tunnel.InMalformed, tunnel.InSource, tunnel.InRefused} {
		counts = append(counts, count{"tunnels." + d.String(), dropped[d]})
	}
	return counts
}

// refusedMessages leaves out what neighbours say before the two know each other:
// each start of one brings some.
func refusedMessages(refused []uint64) []count {
	var counts []count
	for why, n := range refused {
		if why := dvmrp.Refusal(why); why != dvmrp.NoPeer && why != dvmrp.Unasked {
			counts = append(counts, count{"dvmrp." + why.String(), n})
		}
	}
	return counts
}

// refusedCounts are those of the router. Packets in transit that came by another
// link than that to their source are left out: where a link has several routers,
// that is how multicast is.
func (d *daemon) refusedCounts() []count {
	counts := refusedQuestions(d.engine.Questions())
	transit, lost := d.engine.Transit(), d.router.Counts()
	counts = append(counts,
		count{"transit.expired", transit.Expired}, count{"transit.refused", transit.Refused}, count{"transit.limited", transit.Limited})
	counts = append(counts, refusedMessages(d.engine.Refused())...)
	counts = append(counts, refusedTunnelPackets(d.tunnels.dropped())...)
	return append(counts, count{"packets.dropped", lost.Dropped}, count{"packets.unsent", lost.Unsent})
}
