package respond

import (
	"net/netip"
	"time"

	"golang.org/x/time/rate"
)

// Limiter counts packets against [Rates], source by source and in total. It is
// owned by one goroutine.
type Limiter struct {
	rates        Rates
	all, reserve *rate.Limiter
	sources      map[netip.Addr]*sender
	fresh, known list
}

// NewLimiter returns a limiter that has seen nobody.
func NewLimiter(r Rates) *Limiter {
	l := &Limiter{rates: r, all: r.All.limiter(), reserve: r.Reserve.limiter(), sources: make(map[netip.Addr]*sender)}
	l.fresh.init()
	l.known.init()
	return l
}

func (r Rate) limiter() *rate.Limiter { return rate.NewLimiter(rate.Limit(r.PerSecond), r.Burst) }

// sender is somebody who was allowed packets.
type sender struct {
	addr       netip.Addr
	since      time.Duration
	known      bool
	limiter    *rate.Limiter
	prev, next *sender // in one of the two lists, by last use
}

// Allow reports whether n packets may be sent because of a packet from somebody,
// and counts them. trusted says whether from is known, whether it was seen or not;
// it is asked only if that matters.
//
// Who is refused because there are too many is not remembered, and costs no memory.
func (l *Limiter) Allow(now time.Duration, from netip.Addr, n int, trusted func(netip.Addr) bool) bool {
	at := wall(now)
	s := l.sources[from]
	if n > l.rates.Source.Burst || s != nil && !s.limiter.AllowN(at, n) {
		return false
	}
	if !l.all.AllowN(at, n) {
		known := s != nil && s.known || trusted(from)
		if !known || !l.reserve.AllowN(at, n) {
			if s != nil {
				s.limiter.AllowN(at, -n) // it has not got them
			}
			return false
		}
	}
	switch {
	case s == nil:
		l.add(now, from).limiter.AllowN(at, n) // it is full
	case s.known:
		l.known.use(s)
	case now-s.since >= knownAfter:
		l.promote(s)
	default:
		l.fresh.use(s)
	}
	return true
}

// Len returns how many sources are told apart.
func (l *Limiter) Len() int { return len(l.sources) }

// wall turns the time of an engine into that of a rate limiter.
func wall(now time.Duration) time.Time { return time.Unix(0, 0).Add(now) }

// add remembers a new source; the one that was silent longest makes room.
func (l *Limiter) add(now time.Duration, from netip.Addr) *sender {
	if l.fresh.n == maxSources/2 {
		l.forget(&l.fresh)
	}
	s := &sender{addr: from, since: now, limiter: l.rates.Source.limiter()}
	l.sources[from] = s
	l.fresh.push(s)
	return s
}

// promote makes a source a known one.
func (l *Limiter) promote(s *sender) {
	l.fresh.remove(s)
	if l.known.n == maxSources/2 {
		l.forget(&l.known)
	}
	s.known = true
	l.known.push(s)
}

func (l *Limiter) forget(from *list) {
	s := from.root.prev
	from.remove(s)
	delete(l.sources, s.addr)
}

// list is a ring of sources: the one used last stands first.
type list struct {
	root sender
	n    int
}

func (l *list) init() { l.root.prev, l.root.next = &l.root, &l.root }

func (l *list) push(s *sender) {
	s.prev, s.next = &l.root, l.root.next
	s.prev.next, s.next.prev = s, s
	l.n++
}

func (l *list) remove(s *sender) {
	s.prev.next, s.next.prev = s.next, s.prev
	l.n--
}

func (l *list) use(s *sender) {
	l.remove(s)
	l.push(s)
}
