package dvmrp

import (
	"math"
	"time"

	"mbone/internal/router/host"
	"mbone/internal/router/timer"
	"mbone/proto/dvmrp"
)

// choose takes the best way to r by what the neighbours said last.
//
// No way may lead back here, not even for a moment. It does not if whoever offers
// it says less than the lowest metric that any neighbour may still believe of this
// router: going on along the way, that lowest metric falls from router to router.
// It is the metric now, or, while the route is held, the one before it got worse;
// and it is held until all neighbours had time to hear that it did
// ([Protocol.releaseRoutes]). That goes for the gateway, too: if it gets worse,
// that may be because it depends on this router by now. After the start nobody
// knows what the neighbours believe from before, so that no way is taken until they
// had time to hear that this router has started again.
func (p *Protocol) choose(r *route) {
	floor := r.floor
	switch {
	case p.now < p.calm:
		floor = 1
	case floor == 0:
		floor = r.metric
	}
	parent, gateway, metric := r.parent, (*neighbor)(nil), uint8(dvmrp.Infinity)
	if r.own != nil {
		parent, metric = r.own, r.own.Metric
	} else if best := p.best(r, floor); best != nil {
		parent, gateway, metric = best.by.link, best.by, r.cost(best)
	}
	if metric <= floor {
		r.floor = 0
	} else if r.metric < dvmrp.Infinity {
		r.floor = floor
	}
	p.set(r, parent, gateway, metric)
}

// best returns the report of the best way among those below a metric, nil if there
// is none.
func (p *Protocol) best(r *route, floor uint8) *report {
	var best *report
	cost := uint8(dvmrp.Infinity)
	for i := range r.reports {
		k := &r.reports[i]
		if k.metric >= floor {
			continue
		}
		if c := r.cost(k); c < cost || c == cost && best != nil && p.breaksTie(k, best) {
			best, cost = k, c
		}
	}
	return best
}

// breaksTie reports whether k wins against best, which costs as much: it was heard
// lately, and best was not, or else it has the lower address.
func (p *Protocol) breaksTie(k, best *report) bool {
	if a, b := p.isSilent(k), p.isSilent(best); a != b {
		return b
	}
	if k.by.addr != best.by.addr {
		return k.by.addr.Less(best.by.addr)
	}
	return k.by.link.ID < best.by.link.ID
}

func (p *Protocol) isSilent(k *report) bool { return p.now-k.heard >= silence }

// set gives r a way, and tells everybody whom that concerns.
func (p *Protocol) set(r *route, parent *link, gateway *neighbor, metric uint8) {
	if r.parent == parent && r.gateway == gateway && r.metric == metric {
		return
	}
	var room [8]duty
	before := r.duties(room[:0])
	reachable := metric < dvmrp.Infinity
	appears, disappears := reachable && r.metric >= dvmrp.Infinity, !reachable && r.metric < dvmrp.Infinity
	moved := appears || disappears || r.parent != parent || r.gateway != gateway
	said, worse := r.parent != parent || r.metric != metric, metric > r.metric
	r.parent, r.gateway, r.metric = parent, gateway, metric
	if appears || disappears {
		r.since, r.young = p.now, appears
	}
	if log := p.env.Log.Routing; said && host.Debugs(log) {
		log.Debug("route", r.described()...)
	}
	if said {
		p.changed(r, false)
	}
	if worse {
		p.changes.worse = r.change
	}
	if r.floor != 0 {
		p.hold(r)
	}
	if moved {
		p.moves++
		p.rpfChanged(r.prefix)
	}
	for _, d := range before {
		if r.forwarder(d.link) != d.forwarder {
			p.downstreamChanged(r, d.link)
		}
	}
}

// described says in a log where r leads.
func (r *route) described() []any {
	attrs := []any{"network", r.prefix, "metric", r.metric}
	if r.parent != nil {
		attrs = append(attrs, "interface", r.parent.Name)
	}
	if r.gateway != nil {
		attrs = append(attrs, "via", r.gateway.addr)
	}
	return attrs
}

// duty is whether this router was designated forwarder of a route on a link.
type duty struct {
	link      *link
	forwarder bool
}

// duties appends to d the duties for r on the links where somebody said something
// of it, and on its parent link: on others they change with the way itself.
func (r *route) duties(d []duty) []duty {
	if r.parent != nil {
		d = append(d, duty{r.parent, false})
	}
next:
	for i := range r.reports {
		l := r.reports[i].by.link
		for _, known := range d {
			if known.link == l {
				continue next
			}
		}
		d = append(d, duty{l, r.forwarder(l)})
	}
	return d
}

// holds are the routes whose way got worse, in the order in which they are told.
type holds struct {
	queue []held
	// told is how many of the queue everybody has been told.
	told int
	wake timer.Timer
}

type held struct {
	route  *route
	change uint64
	// When all neighbours have been told, until when it is held, and when and how
	// often that is told again.
	until, again time.Duration
	repeats      int
}

// hold keeps r from taking a way that may lead back here. If it changes again
// meanwhile it is held from then on.
func (p *Protocol) hold(r *route) {
	h := &p.holds
	if len(h.queue) > 2*len(p.table.order)+minQueue {
		h.drop(func(k *held) bool { return k.route.change != k.change })
	}
	h.queue = append(h.queue, held{route: r, change: r.change})
}

// drop removes entries of the queue.
func (h *holds) drop(useless func(*held) bool) {
	kept, told := h.queue[:0], 0
	for i := range h.queue {
		if useless(&h.queue[i]) {
			continue
		}
		if i < h.told {
			told++
		}
		kept = append(kept, h.queue[i])
	}
	clear(h.queue[len(kept):])
	h.queue, h.told = kept, told
}

// releaseRoutes makes the routes choose freely that were held long enough: holdTime
// after the last neighbour was told that the way got worse.
func (p *Protocol) releaseRoutes(left int) int {
	h := &p.holds
	told := p.toldAll()
	for h.told < len(h.queue) && h.queue[h.told].change <= told {
		k := &h.queue[h.told]
		k.until, k.again = p.now+holdTime, p.now+repeatGap
		h.told++
	}
	n := 0
	for ; n < h.told && h.queue[n].until <= p.now && left > 0; n++ {
		left--
		if r := h.queue[n].route; r.floor != 0 && r.change == h.queue[n].change {
			r.floor = 0
			p.choose(r)
		}
	}
	if n > 0 {
		kept := copy(h.queue, h.queue[n:])
		clear(h.queue[kept:])
		h.queue = h.queue[:kept]
		h.told -= n
	}
	if h.told > 0 && left > 0 {
		p.env.Timers.Set(&h.wake, min(h.queue[0].until, p.repeatHeld()))
	}
	return left
}

// repeatHeld has routes that are held told again, since a report may be lost and
// somebody who missed it may close a loop. It returns when that is to be done again.
// If there are very many, the first time has to do.
func (p *Protocol) repeatHeld() (next time.Duration) {
	next = math.MaxInt64
	if p.holds.told > maxRepeated {
		return next
	}
	for i := range p.holds.queue[:p.holds.told] {
		k := &p.holds.queue[i]
		if k.repeats == repeats || k.route.change != k.change {
			continue
		}
		if k.again <= p.now {
			k.repeats++
			k.again += repeatGap
			p.changed(k.route, true)
			p.changes.worse = p.changes.last
			k.change = k.route.change
		}
		if k.repeats < repeats {
			next = min(next, k.again)
		}
	}
	return next
}
