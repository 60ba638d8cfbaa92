package dvmrp

import (
	"net/netip"
	"slices"
	"time"

	"mbone/internal/router/host"
	"mbone/proto/dvmrp"
)

// receiveReport takes a report, on a blaster link later.
func (p *Protocol) receiveReport(l *link, packet *host.Packet, v dvmrp.Version) {
	n := l.neighbor(packet.From)
	if n == nil && !keepsToDraft(v) {
		n = p.meet(l, packet, v, true)
	}
	if n != nil {
		p.keep(n)
	}
	if n == nil || !n.isPeer() {
		p.refuse(NoPeer, l, packet)
		return
	}
	if !l.Blaster {
		p.readReport(l, n, packet.Message)
		return
	}
	if len(l.blasted) >= maxBlasted || l.blastedBytes+len(packet.Message) > maxBlastedBytes {
		p.refuse(TooManyReports, l, packet)
		return
	}
	l.blastedBytes += len(packet.Message)
	l.blasted = append(l.blasted, slices.Clone(packet.Message))
	l.blaster = append(l.blaster, n.addr)
}

// readBlasted reads some of the reports that wait on blaster links.
func (p *Protocol) readBlasted(left int) int {
	for _, l := range p.links {
		for turn := 0; len(l.blasted) > 0; turn++ {
			if left <= 0 || turn == blastedTurn {
				return 0
			}
			message, from := l.blasted[0], l.blaster[0]
			l.blasted[0] = nil
			l.blastedBytes -= len(message)
			l.blasted, l.blaster = l.blasted[1:], l.blaster[1:]
			if n := l.peer(from); n != nil {
				p.readReport(l, n, message)
				left -= len(p.report.Routes)
			}
		}
		l.blasted, l.blaster = nil, nil
	}
	return left
}

// readReport takes the routes of a report. Nothing of a damaged one counts.
func (p *Protocol) readReport(l *link, n *neighbor, message []byte) {
	if err := p.report.Parse(message); err != nil {
		p.refused[Malformed]++
		p.env.Log.Routing.Debug("cannot read a report", "interface", l.Name, "neighbor", n.addr, "error", err)
		return
	}
	if len(p.report.Routes) > maxReportRoutes {
		p.refused[TooLong]++
		p.report.Routes = p.report.Routes[:maxReportRoutes]
	}
	routes := p.report.Routes
	sorted := true
	for i := 1; i < len(routes) && sorted; i++ {
		sorted = compareNets(routes[i-1].Prefix, routes[i].Prefix) < 0
	}
	if !sorted {
		// The first of those that are for the same network counts, as in mrouted.
		slices.SortStableFunc(routes, func(a, b dvmrp.Route) int { return compareNets(a.Prefix, b.Prefix) })
	}
	for i, r := range routes {
		switch {
		case !r.Legal():
			p.refused[IllegalMetric]++
		case !isNetwork(r.Prefix):
			p.refused[IllegalNetwork]++
		case i > 0 && routes[i-1].Prefix == r.Prefix:
			p.refused[DuplicateRoute]++
		default:
			p.hear(n, r)
		}
	}
}

func compareNets(a, b netip.Prefix) int {
	if a.Bits() != b.Bits() {
		return a.Bits() - b.Bits()
	}
	return a.Addr().Compare(b.Addr())
}

// hear takes what a peer says of a route.
func (p *Protocol) hear(n *neighbor, said dvmrp.Route) {
	r := p.table.get(said.Prefix)
	if r == nil {
		if r = p.learn(n, said); r == nil {
			return
		}
	}
	i, known := r.find(n)
	if known && r.reports[i].metric == said.Metric {
		k := &r.reports[i]
		k.heard = p.now
		if r.gateway != nil && r.gateway != n && r.cost(k) == r.metric && r.gatewaySilent(p.now) {
			p.choose(r)
		}
		return
	}
	if !known && p.isFull(n, said) {
		return
	}
	l := n.link
	forwarded := r.forwarder(l)
	depended := forwarded && r.depends(n)
	if !known {
		r.reports = slices.Insert(r.reports, i, report{by: n})
		p.table.reports++
	}
	r.reports[i].metric, r.reports[i].heard = said.Metric, p.now
	forwards := r.forwarder(l)
	depends := forwards && r.depends(n)
	p.choose(r)
	if forwards != forwarded || depends != depended {
		p.downstreamChanged(r, l)
	}
}

// learn makes a route that was not known, if it can be reached by n and there is
// room for it.
func (p *Protocol) learn(n *neighbor, said dvmrp.Route) *route {
	if said.Metric+n.link.Metric >= dvmrp.Infinity || !accepts(&n.link.Filter, said.Prefix) {
		return nil
	}
	if len(p.table.order) >= p.settings.Limits.Routes {
		p.refused[TooManyRoutes]++
		p.alarm(routesAlarm, p.env.Log.Routing, "too many routes: a new one is ignored",
			"neighbor", n.addr, "route", said.Prefix, "routes", len(p.table.order))
		return nil
	}
	if p.isFull(n, said) {
		return nil
	}
	p.surge.count(p, n)
	return p.newRoute(said.Prefix)
}

// isFull reports whether there is no room for another report of a route.
func (p *Protocol) isFull(n *neighbor, said dvmrp.Route) bool {
	if p.table.reports < maxReportsPerRoute*p.settings.Limits.Routes {
		return false
	}
	p.refused[TooManyRoutes]++
	p.alarm(routesAlarm, p.env.Log.Routing, "too many reports of routes: a new one is ignored",
		"neighbor", n.addr, "route", said.Prefix, "reports", p.table.reports)
	return true
}

// gatewaySilent reports whether the gateway has not reported the route for so long
// that another one of the same cost is better.
func (r *route) gatewaySilent(now time.Duration) bool {
	i, ok := r.find(r.gateway)
	return ok && now-r.reports[i].heard >= silence
}

// surge counts new routes, and raises an alarm if there are very many in a short
// time: somebody may have let unicast routes in.
type surge struct {
	start  time.Duration
	routes int
}

func (s *surge) count(p *Protocol, n *neighbor) {
	if p.now-s.start >= surgeTime {
		s.start, s.routes = p.now, 0
	}
	if s.routes++; s.routes == surgeRoutes {
		p.env.Log.Routing.Error("surge of routes", "routes", s.routes, "within", surgeTime,
			"neighbor", n.addr, "interface", n.link.Name)
	}
}
