package sim

import (
	"iter"
	"net/netip"

	"mbone/internal/router"
	"mbone/internal/router/dvmrp"
	protodvmrp "mbone/proto/dvmrp"
)

// inspected is what the checks ask an engine that is a [router.Engine].
type inspected interface {
	Size() router.Size
	Moves() uint64
	Routes() iter.Seq[dvmrp.Route]
}

// Size returns how much the engine of a router keeps, nothing if there is none.
func (r *Router) Size() router.Size {
	if e, ok := r.engine.(inspected); ok {
		return e.Size()
	}
	return router.Size{}
}

// CheckBounds holds that no router keeps more than its limits allow, or sets more timers
// than there are things to wait for.
func (n *Network) CheckBounds() {
	for _, r := range n.routers {
		n.checkBounds(r)
	}
}

func (n *Network) checkBounds(r *Router) {
	s, limits := r.Size(), &r.Settings.Limits
	for _, c := range []struct {
		what     string
		has, max int
	}{
		{"neighbors", s.Neighbors, limits.Neighbors},
		{"routes", s.Routes, limits.Routes},
		{"groups", s.Groups, limits.Groups},
		{"sources", s.Sources, limits.Sources},
		{"entries", s.Entries, limits.Entries},
		{"flows", s.Flows, limits.Entries},
		{"prunes", s.Prunes, limits.Prunes},
		{"reports", s.Reports, s.Routes * s.Neighbors},
		{"timers", s.Timers, timersOf(r, &s)},
	} {
		if c.has > c.max {
			n.fail("%v has %d %s, at most %d are allowed", r, c.has, c.what, c.max)
		}
	}
}

// timersOf returns how many timers a router of this size may have.
func timersOf(r *Router, s *router.Size) int {
	const periodic, perLink, perThing = 16, 8, 2
	return periodic + perLink*len(r.ends) + perThing*(s.Neighbors+s.Groups+s.Sources+s.Entries+s.Flows+s.Prunes)
}

// CheckExpired holds that nothing is left of what has ended: no flow, prune, group,
// neighbour or route.
func (n *Network) CheckExpired() {
	n.CheckBounds()
	for _, r := range n.routers {
		if _, ok := r.engine.(inspected); !ok {
			continue
		}
		s := r.Size()
		if len(r.kernel.entries) > 0 {
			n.fail("the kernel of %v still has %d entries", r, len(r.kernel.entries))
		}
		if neighbors := r.neighbors(); s.Neighbors != neighbors {
			n.fail("%v has %d neighbors, of which %d are there", r, s.Neighbors, neighbors)
		}
		s.Neighbors, s.Routes, s.Reports, s.Timers = 0, 0, 0, 0
		if s != (router.Size{}) {
			n.fail("%v still keeps %+v", r, s)
		}
	}
	n.CheckRoutes()
}

// neighbors counts the routers that r should hear.
func (r *Router) neighbors() (count int) {
	for _, e := range r.ends {
		for _, f := range e.link.ends {
			if v, ok := f.node.(*Router); ok && v != r && v.isEngine() && e.link.works(f, e) {
				count++
			}
		}
	}
	return count
}

// isEngine reports whether a router runs a [router.Engine].
func (r *Router) isEngine() bool {
	_, ok := r.engine.(inspected)
	return ok
}

// CheckRoutes holds that every router has the shortest way to every network, and to no
// network that cannot be reached. All metrics must be 1, and the network quiet.
func (n *Network) CheckRoutes() {
	costs := make(map[netip.Prefix][]uint8)
	for _, l := range n.links {
		if l.kind != tunnel {
			costs[l.prefix] = n.costs(l)
		}
	}
	for _, r := range n.routers {
		e, ok := r.engine.(inspected)
		if !ok {
			continue
		}
		reached := 0
		for route := range e.Routes() {
			if route.Metric == protodvmrp.Infinity {
				continue
			}
			reached++
			cost := costs[route.Prefix]
			if cost == nil || cost[r.number] == 0 {
				n.fail("%v has a route to %v, which cannot be reached", r, route.Prefix)
			} else if cost[r.number] != route.Metric {
				n.fail("%v has a route to %v with metric %d, want %d", r, route.Prefix, route.Metric, cost[r.number])
			}
		}
		want := 0
		for _, cost := range costs {
			if cost[r.number] > 0 {
				want++
			}
		}
		if reached != want {
			n.fail("%v has routes to %d networks, %d can be reached", r, reached, want)
		}
	}
}

// costs returns for each router the metric of its shortest way to a link, 0 if there
// is none.
func (n *Network) costs(l *Link) []uint8 {
	cost := make([]uint8, len(n.routers))
	var queue []*Router
	for _, e := range l.ends {
		if r, ok := e.node.(*Router); ok && e.isUp() && r.isEngine() {
			cost[r.number] = 1
			queue = append(queue, r)
		}
	}
	for len(queue) > 0 {
		r := queue[0]
		queue = queue[1:]
		if cost[r.number] == protodvmrp.Infinity-1 {
			continue
		}
		for _, near := range r.ends {
			for _, far := range near.link.ends {
				v, ok := far.node.(*Router)
				if ok && v.isEngine() && cost[v.number] == 0 && near.link.works(near, far) && near.link.works(far, near) {
					cost[v.number] = cost[r.number] + 1
					queue = append(queue, v)
				}
			}
		}
	}
	return cost
}
