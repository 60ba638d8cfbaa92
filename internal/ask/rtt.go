package ask

import "time"

// estimator follows the round trips of all questions of a client and says how
// long to wait for an answer, as RFC 6298 does for TCP.
type estimator struct {
	smoothed, deviation time.Duration
	measured            bool
	// behind is how long the latest packet lay in the transport until it was
	// taken, at taken.
	behind time.Duration
	taken  time.Time
}

// took notes that a packet that came at received is taken at now.
func (e *estimator) took(received, now time.Time) {
	e.behind, e.taken = min(roundTrip(received, now, now), maxWait), now
}

// over reports whether a try whose time ends at due is over at now, or when to look
// again: an answer that came in time may still lie in the transport behind others.
func (e *estimator) over(due, now time.Time) (bool, time.Time) {
	due = due.Add(max(0, e.behind-now.Sub(e.taken)))
	return !now.Before(due), due
}

// add takes a measured round trip. Where several tries were sent it is the time
// since the first: too long rather than too short, so that a path slower than
// the wait is learnt at all.
func (e *estimator) add(rtt time.Duration) {
	rtt = max(rtt, 0)
	if !e.measured {
		e.smoothed, e.deviation, e.measured = rtt, rtt/2, true
		return
	}
	e.deviation += ((e.smoothed - rtt).Abs() - e.deviation) / 4
	e.smoothed += (rtt - e.smoothed) / 8
}

// pick returns which of two round trips was measured, that since the first try or
// that since the last one: the latter, unless it is too short to be one, so that a
// lost packet does not make a quick path look slow.
func (e *estimator) pick(first, last time.Duration) time.Duration {
	if e.measured && last >= e.smoothed/2 {
		return last
	}
	return first
}

// wait returns how long try 0, 1, 2, ... waits.
func (e *estimator) wait(try int) time.Duration {
	w := firstWait
	if e.measured {
		w = max(e.smoothed+4*e.deviation, minWait)
	}
	for ; try > 0 && w < maxWait; try-- {
		w *= 2
	}
	return min(w, maxWait)
}

// settle returns how long to wait for what may follow a packet that took rtt.
func settle(rtt time.Duration) time.Duration {
	return min(max(2*rtt, minWait), maxWait)
}

// roundTrip returns the time from sent to received, which is the kernel's wall
// clock; now bounds it where that clock was set meanwhile or is not known.
func roundTrip(sent, received, now time.Time) time.Duration {
	most := now.Sub(sent)
	if rtt := received.Sub(sent); rtt >= 0 && rtt <= most {
		return rtt
	}
	return max(most, 0)
}
