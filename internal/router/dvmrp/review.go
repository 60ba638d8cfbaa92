package dvmrp

import (
	"time"

	"mbone/proto/dvmrp"
)

// review goes over all routes after something has happened to a neighbour or to
// the settings of a link.
type review struct {
	ring
	neighbors []*neighbor // lost, new, started again, or no longer young
	links     []*link     // whose settings changed
}

func (v *review) neighbor(p *Protocol, n *neighbor) {
	v.neighbors = append(v.neighbors, n)
	v.whole(&p.table)
}

func (v *review) link(p *Protocol, l *link) {
	v.links = append(v.links, l)
	v.whole(&p.table)
}

// reviewRoutes goes on with the review, for as many routes as are left of this
// turn, and returns how many are left then.
func (p *Protocol) reviewRoutes(left int) int {
	v := &p.review
	for left > 0 {
		r := v.next(&p.table)
		if r == nil {
			v.neighbors, v.links = nil, nil
			return left
		}
		left -= 1 + len(v.neighbors)
		p.reviewRoute(r)
	}
	return 0
}

func (p *Protocol) reviewRoute(r *route) {
	var room [8]*link
	changed := room[:0]
	for _, n := range p.review.neighbors {
		if r.concerns(n) {
			changed = append(changed, n.link)
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
	for _, l := range append(changed, p.review.links...) {
		if r.forwarder(l) {
			p.downstreamChanged(r, l)
		}
	}
}

// concerns reports whether what became of n may change who depends on this router
// for r, or whether it is the designated forwarder on the link of n.
func (r *route) concerns(n *neighbor) bool {
	i, ok := r.find(n)
	if !ok {
		return !n.link.NoFlood
	}
	m := r.reports[i].metric
	return n.gone && (m > dvmrp.Infinity || m <= r.said(n.link))
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
				p.review.neighbor(p, n)
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
