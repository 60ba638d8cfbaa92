package dvmrp

import (
	"slices"
	"sort"
	"time"

	"mbone/proto/dvmrp"
)

// changes is the log of routes that changed, for all links: each reads it at its
// own pace. Only the last entry of a route counts, so that a route that changes
// again before it was told is told once.
type changes struct {
	log  []change // numbers ascend
	last uint64
	// worse is the last one that made a way worse: such news never waits.
	worse uint64
	// limit is when the log is cleaned.
	limit int
}

type change struct {
	route  *route
	number uint64
	// again is whether it was told before, and may have been lost.
	again bool
}

// changed notes that r has to be told, or to be told again.
func (p *Protocol) changed(r *route, again bool) {
	c := &p.changes
	c.last++
	r.change = c.last
	if len(c.log) >= max(c.limit, minQueue) {
		told := p.toldAll()
		c.log = slices.DeleteFunc(c.log, func(k change) bool {
			return k.number <= told || k.number != k.route.change
		})
		c.limit = 2 * len(c.log)
	}
	c.log = append(c.log, change{r, c.last, again})
}

// after returns the entries with numbers above n.
func (c *changes) after(n uint64) []change {
	if n == c.last {
		return nil
	}
	return c.log[sort.Search(len(c.log), func(i int) bool { return c.log[i].number > n }):]
}

// toldAll returns up to which change all neighbours have been told.
func (p *Protocol) toldAll() uint64 {
	told := p.changes.last
	for _, l := range p.links {
		if l.peers > 0 {
			told = min(told, l.told)
		}
	}
	return told
}

// outbox is what a link has to be told.
type outbox struct {
	// told is the number of the last change that was told.
	told uint64
	// full is what is to be told of the whole table now, and refresh when a further
	// part of it is.
	full    ring
	refresh time.Duration
	// quiet is until when changes wait for others, empty when the bucket of packets
	// would be full again.
	quiet, empty time.Duration
}

// allowed returns how many reports may leave now.
func (o *outbox) allowed(now time.Duration) int {
	return burst - int((max(o.empty-now, 0)+pace-1)/pace)
}

// some returns when a few reports may leave, which are better filled than one now
// and then.
func (o *outbox) some() time.Duration { return o.empty - (burst-2)*pace }

// sent counts reports that leave now.
func (o *outbox) sent(now time.Duration, n int) {
	o.empty = max(o.empty, now) + time.Duration(n)*pace
}

// wholePacket is how many routes of the most common kind, /24, are in a full
// report.
const wholePacket = (dvmrp.MaxReport - 3) / 4

// tellLinks sends what is due on all links.
func (p *Protocol) tellLinks(left int) int {
	for _, l := range p.links {
		if left <= 0 {
			return 0
		}
		if l.peers == 0 {
			l.told, l.full.left = p.changes.last, 0
			continue
		}
		left = p.tell(l, left)
	}
	return left
}

// tell sends the changes and the part of the table that are due on a link.
func (p *Protocol) tell(l *link, left int) int {
	p.refresh(l)
	pending := p.changes.after(l.told)
	if len(pending) == 0 {
		l.told = p.changes.last
		if l.full.left == 0 {
			p.wake(l, l.refresh)
			return left
		}
	}
	waits := p.now < l.quiet && len(pending) < wholePacket && p.changes.worse <= l.told
	if waits && l.full.left == 0 {
		p.wake(l, min(l.quiet, l.refresh))
		return left
	}
	packets := l.allowed(p.now)
	if packets <= 0 {
		p.wake(l, l.some())
		return left
	}
	f := newFilling(l, packets, p.out[:0])
	if !waits {
		twice, news := l.hasMroutd(), false
		for _, c := range pending {
			if left <= 0 || !f.hasRoom() {
				break
			}
			l.told = c.number
			if c.route.change == c.number && (twice || !c.again) {
				left--
				f.add(c.route)
				news = news || !c.again
			}
		}
		if news {
			l.quiet = p.now + changeGap
		}
	}
	for left > 0 && f.hasRoom() {
		r := l.full.next(&p.table)
		if r == nil {
			break
		}
		left--
		if r.change <= l.told { // else it comes with the changes
			f.add(r)
		}
	}
	p.out = f.routes
	l.sent(p.now, p.sendReports(l))
	switch rest := len(p.changes.after(l.told)) > 0; {
	case rest && waits && l.full.left == 0:
		p.wake(l, min(l.quiet, l.refresh))
	case !rest && l.full.left == 0:
		p.wake(l, l.refresh)
	case l.some() > p.now:
		p.wake(l, l.some())
	default:
		return 0
	}
	return left
}

// refresh has the next part of the table told if it is time to: all of it within
// fullInterval, in parts that are worth a packet.
func (p *Protocol) refresh(l *link) {
	routes, parts := len(p.table.order), p.parts()
	if p.now >= l.refresh {
		l.full.left = min(l.full.left+(routes+parts-1)/parts, routes)
		l.refresh = p.now + fullInterval
	}
	// The table may have grown, so that there are more parts.
	l.refresh = min(l.refresh, p.now+fullInterval/time.Duration(parts))
}

// parts returns in how many parts the table is told.
func (p *Protocol) parts() int {
	return min(max(1, (len(p.table.order)+wholePacket-1)/wholePacket), int(fullInterval/time.Second))
}

// tellAll has the whole table told on a link now.
func (p *Protocol) tellAll(l *link) {
	l.full.whole(&p.table)
	l.refresh = p.now + fullInterval/time.Duration(p.parts())
}

// wake has Work look at a link again.
func (p *Protocol) wake(l *link, at time.Duration) { p.env.Timers.Set(&l.wake, at) }

// filling gathers routes for reports on a link, as many as there is room for.
type filling struct {
	link   *link
	room   int // bytes
	masks  uint64
	routes []dvmrp.Route
}

const (
	maskBytes  = 3
	routeBytes = 4 + 1 // at most
)

// newFilling has room for so many packets of routes with one mask. More masks may
// need another packet.
func newFilling(l *link, packets int, routes []dvmrp.Route) filling {
	return filling{link: l, room: packets*(dvmrp.MaxReport-maskBytes) + maskBytes, routes: routes}
}

// hasRoom reports whether another route of any of the masks so far fits.
func (f *filling) hasRoom() bool { return f.room >= routeBytes }

func (f *filling) add(r *route) {
	metric, ok := r.tell(f.link)
	if !ok {
		return
	}
	bits := r.prefix.Bits()
	if f.masks&(1<<bits) == 0 {
		f.masks |= 1 << bits
		f.room -= maskBytes
	}
	f.room -= max(1, (bits+7)/8) + 1
	f.routes = append(f.routes, dvmrp.Route{Prefix: r.prefix, Metric: metric})
}

// tell returns what a report on l says of r; ok is false if it says nothing.
func (r *route) tell(l *link) (metric uint8, ok bool) {
	switch {
	case r.own != nil && r.parent == l:
		return 0, false // everybody there has it
	case !r.isReachable():
		metric = dvmrp.Infinity
	case r.parent == l:
		return r.metric + dvmrp.Infinity, true // poison reverse
	default:
		metric = r.said(l)
	}
	return metric, !l.Filter.Bidir || accepts(&l.Filter, r.prefix)
}

// sendReports sends the routes in p.out on a link, and returns in how many
// packets.
func (p *Protocol) sendReports(l *link) int {
	dvmrp.SortRoutes(p.out)
	p.out = slices.CompactFunc(p.out, func(a, b dvmrp.Route) bool { return a.Prefix == b.Prefix })
	packets := 0
	report := dvmrp.Report{Version: p.versionOn(l)}
	for routes := range dvmrp.SplitRoutes(p.out) {
		report.Routes = routes
		b, err := report.AppendBinary(make([]byte, 0, dvmrp.HeaderLen+dvmrp.MaxReport))
		if err != nil {
			// Networks that cannot be said are not in the table.
			p.env.Log.Routing.Error("cannot write a report", "interface", l.Name, "error", err)
			continue
		}
		p.send(l, allRouters, b)
		packets++
	}
	return packets
}
