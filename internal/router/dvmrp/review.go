package dvmrp

import (
	"time"

	"mbone/internal/router/timer"
	"mbone/proto/dvmrp"
)

// review goes over all routes after something has happened to neighbours or to the
// settings of links. Whatever happens meanwhile makes it go round once more, but only
// so often on account of each link: the rest waits, and is looked after at once.
type review struct {
	ring
	links []*link // those that it is about, by id
	// waits is whether links have a case that is not taken up, and wake when one is.
	waits bool
	wake  timer.Timer
}

// affair is what has happened on a link. The neighbours themselves are not kept:
// there may be very many in a short time.
type affair struct {
	lost     int  // how many peers were
	news     bool // peers are new, have started again, or are no longer young
	settings bool // are others
	// host is whether the host brought it about: that never waits.
	host bool
}

func (a affair) and(b affair) affair {
	return affair{a.lost + b.lost, a.news || b.news, a.settings || b.settings, a.host || b.host}
}

// cases are the affairs of a link: that which the review is about, and the next.
type cases struct {
	reviewed, next affair
	// free is when the link might have the routes reviewed as often again as if it
	// never had.
	free time.Duration
}

// happened has all routes reviewed for what happened on a link.
func (v *review) happened(l *link, what affair) {
	l.next = l.next.and(what)
	v.waits = true
}

// takeUp makes the next affairs those that the review is about, as far as the links
// have not had too many lately.
func (v *review) takeUp(p *Protocol) {
	if !v.waits {
		return
	}
	v.waits, v.links = false, v.links[:0]
	var wake time.Duration
	for _, l := range p.links {
		if at := l.free - (reviewBurst-1)*reviewPause; l.next != (affair{}) && at > p.now && !l.next.host {
			if !v.waits || at < wake {
				wake = at
			}
			v.waits = true
		} else if l.next != (affair{}) {
			l.reviewed, l.next = l.reviewed.and(l.next), affair{}
			l.free = max(l.free, p.now) + reviewPause
			v.whole(&p.table)
		}
		if l.reviewed != (affair{}) {
			v.links = append(v.links, l)
		}
	}
	if v.waits {
		p.env.Timers.Set(&v.wake, wake)
	}
}

// reviewRoutes goes on with the review, for as many routes as are left of this
// turn, and returns how many are left then.
func (p *Protocol) reviewRoutes(left int) int {
	v := &p.review
	v.takeUp(p)
	for left > 0 {
		r := v.next(&p.table)
		if r == nil {
			for _, l := range v.links {
				l.reviewed = affair{}
			}
			clear(v.links)
			v.links = v.links[:0]
			return left
		}
		// Routes with very many reports cost more, and those that change.
		left -= 1 + len(r.reports)/8
		last := p.changes.last
		p.reviewRoute(r)
		left -= int(p.changes.last - last)
	}
	return 0
}

func (p *Protocol) reviewRoute(r *route) {
	var room [8]*link
	changed := room[:0]
	for _, l := range p.review.links {
		if r.concerns(l) {
			changed = append(changed, l)
		}
	}
	kept := r.reports[:0]
	for _, k := range r.reports {
		if !k.by.gone {
			kept = append(kept, k)
		}
	}
	p.table.reports -= len(r.reports) - len(kept)
	clear(r.reports[len(kept):])
	r.reports = kept
	p.choose(r)
	for _, l := range changed {
		if l.reviewed.settings || r.forwarder(l) {
			p.downstreamChanged(r, l)
		}
	}
}

// concerns reports whether what happened on l may change who depends on this router
// for r there, or whether it is the designated forwarder. Of a neighbour that has not
// reported the route, that is so unless the link is noflood.
func (r *route) concerns(l *link) bool {
	if l.reviewed.settings {
		return true
	}
	said, lost := 0, 0
	for i := range r.reports {
		switch k := &r.reports[i]; {
		case k.by.link != l:
		case !k.by.gone:
			said++
		case k.metric > dvmrp.Infinity || k.metric <= r.said(l):
			return true
		default:
			lost++
		}
	}
	return !l.NoFlood && (lost < l.reviewed.lost || l.reviewed.news && said < l.peers)
}

// sweepSome has a part of the routes looked after, so that all are once in
// sweepInterval.
func (p *Protocol) sweepSome(now time.Duration) {
	p.now = now
	p.env.Timers.Set(&p.sweeper, now+sweepStep)
	const parts = int(sweepInterval / sweepStep)
	p.sweep.left = min(p.sweep.left+(len(p.table.order)+parts-1)/parts, len(p.table.order))
	for _, l := range p.links {
		for _, n := range l.neighbors {
			if n.young && now-n.peered >= floodTime {
				n.young = false
				p.review.happened(l, affair{news: true})
			}
		}
	}
}

// sweepRoutes looks after routes that time has passed by.
func (p *Protocol) sweepRoutes(left int) int {
	for left > 0 {
		r := p.sweep.next(&p.table)
		if r == nil {
			return left
		}
		left--
		p.age(r)
	}
	return 0
}

// age does what time does to a route: reports expire, neighbours that have said
// nothing do not depend on this router, a lost route is forgotten.
func (p *Protocol) age(r *route) {
	if p.expire(r) {
		p.choose(r)
	}
	if r.young && p.now-r.since >= floodTime {
		p.growUp(r)
	}
	if r.own == nil && r.metric >= dvmrp.Infinity && p.now-r.since >= garbageTime {
		p.forget(r)
	}
}

// growUp ends the time in which those depend on this router who have said nothing
// of a route.
func (p *Protocol) growUp(r *route) {
	var room [8]*link
	changed := room[:0]
	for _, l := range p.links {
		if l.peers == 0 || !r.forwarder(l) {
			continue
		}
		for _, n := range l.neighbors {
			if _, said := r.find(n); n.isPeer() && !said && r.depends(n) {
				changed = append(changed, l)
				break
			}
		}
	}
	r.young = false
	for _, l := range changed {
		p.downstreamChanged(r, l)
	}
}

// expire drops reports that were not repeated, and reports whether there were any.
func (p *Protocol) expire(r *route) bool {
	old := func(k *report) bool { return p.now-k.heard >= reportLifetime }
	some := false
	for i := range r.reports {
		some = some || old(&r.reports[i])
	}
	if !some {
		return false
	}
	var room [8]duty
	before := r.duties(room[:0])
	kept := make([]report, 0, len(r.reports))
	var dropped []report
	for _, k := range r.reports {
		if old(&k) {
			dropped = append(dropped, k)
		} else {
			kept = append(kept, k)
		}
	}
	p.table.reports -= len(dropped)
	r.reports = kept
	for _, d := range before {
		depended := false
		for _, k := range dropped {
			depended = depended || k.by.link == d.link && k.metric > dvmrp.Infinity
		}
		if now := r.forwarder(d.link); now != d.forwarder || now && depended {
			p.downstreamChanged(r, d.link)
		}
	}
	return true
}

// forget removes a route that has been unreachable for long.
func (p *Protocol) forget(r *route) {
	p.table.reports -= len(r.reports)
	p.table.remove(r)
	r.change = 0
}
