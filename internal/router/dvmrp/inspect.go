package dvmrp

import (
	"iter"
	"net/netip"
	"time"

	"mbone/internal/router/host"
	"mbone/proto/dvmrp"
)

// Neighbor is a router that was heard on a link.
type Neighbor struct {
	Address netip.Addr
	State   State
	Version dvmrp.Version
	// Generation is the generation id of its probes, 0 if they have none.
	Generation uint32
	// Program is what it says of itself if asked, empty if that is not known.
	Program string
	// Since is when it was first heard, or started again; Heard is when it sent the
	// last probe or report.
	Since, Heard time.Duration
	// Timeout is after how long a silence it is lost.
	Timeout time.Duration
}

// Neighbors returns the neighbours on a link, by address.
func (p *Protocol) Neighbors(link host.Interface) iter.Seq[Neighbor] {
	return func(yield func(Neighbor) bool) {
		l := p.linkOf(link)
		if l == nil {
			return
		}
		for _, n := range l.neighbors {
			if !yield(Neighbor{n.addr, n.state, n.version, n.generation, n.inquiry.program, n.since, n.heard, n.timeout()}) {
				return
			}
		}
	}
}

// NeighborCount returns how many neighbours there are on all links.
func (p *Protocol) NeighborCount() int { return p.neighbors }

// Route is a network and how it is reached.
type Route struct {
	Prefix netip.Prefix
	// Parent is where its packets come in: the last one, if it is not reachable.
	Parent host.Interface
	// Gateway is the upstream neighbour; invalid if the network is on the link.
	Gateway netip.Addr
	Metric  uint8 // 1 to 32, which is unreachable
	// Held is whether it got worse so short a time ago that not every way is taken.
	Held bool
	// Since is when it became reachable, or ceased to be; Heard is when the gateway
	// reported it last, 0 if there is none.
	Since, Heard time.Duration
}

// Routes returns all routes, by address and length. Nothing may change meanwhile.
func (p *Protocol) Routes() iter.Seq[Route] {
	return func(yield func(Route) bool) {
		for _, r := range p.table.byNet.AllSorted4() {
			if !yield(p.describe(r)) {
				return
			}
		}
	}
}

// RouteCount returns how many routes there are, and how many reports of neighbours
// are kept for them.
func (p *Protocol) RouteCount() (routes, reports int) { return len(p.table.order), p.table.reports }

// Moves counts how often a route got another way, a first one, or none any more: while
// it stays the same, so does what RPF answers, but for ways that were just lost.
func (p *Protocol) Moves() uint64 { return p.moves }

func (p *Protocol) describe(r *route) Route {
	p.settled(r)
	d := Route{Prefix: r.prefix, Metric: r.metric, Held: r.floor != 0, Since: r.since}
	if r.parent != nil {
		d.Parent = r.parent.ID
	}
	if r.gateway != nil {
		d.Gateway = r.gateway.addr
		if i, ok := r.find(r.gateway); ok {
			d.Heard = r.reports[i].heard
		}
	}
	return d
}

// Duty says who brings the packets of a route to a link.
type Duty struct {
	// Forwarder is whether this router does. If it does not since somebody else
	// does, Dominant is who.
	Forwarder bool
	Dominant  netip.Addr
	// Dependents are the neighbours there that depend on this router, by address.
	Dependents []netip.Addr
}

// Duty returns who brings the packets of exactly this network to a link.
func (p *Protocol) Duty(net netip.Prefix, link host.Interface) Duty {
	var d Duty
	r, l := p.routeOf(net), p.linkOf(link)
	if r == nil || l == nil {
		return d
	}
	d.Forwarder = r.forwarder(l)
	if r.isReachable() && l != r.parent {
		if n := r.dominant(l); n != nil {
			d.Dominant = n.addr
		}
	}
	for n := range r.dependents(l) {
		d.Dependents = append(d.Dependents, n.addr)
	}
	return d
}
