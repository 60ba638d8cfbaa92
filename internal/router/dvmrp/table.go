package dvmrp

import (
	"net/netip"

	"github.com/gaissmai/bart"
)

// table holds the routes: by network, and in an order without meaning.
type table struct {
	byNet bart.Table[*route]
	order []*route
	// reports counts those that are kept of all routes.
	reports int
}

func (t *table) get(net netip.Prefix) *route {
	r, _ := t.byNet.Get(net)
	return r
}

func (t *table) add(r *route) {
	r.place = len(t.order)
	t.order = append(t.order, r)
	t.byNet.Insert(r.prefix, r)
}

func (t *table) remove(r *route) {
	t.byNet.Delete(r.prefix)
	last := len(t.order) - 1
	t.order[r.place] = t.order[last]
	t.order[r.place].place = r.place
	t.order[last] = nil
	t.order = t.order[:last]
}

// ring goes round the routes of a table from the last to the first, in as many
// steps as are left. That way it misses none of those that were there at the
// start, though routes are added, and removed by putting the last in their place.
type ring struct{ at, left int }

// whole makes g go round once from here.
func (g *ring) whole(t *table) { g.left = len(t.order) }

// next returns the next route, nil if none is left.
func (g *ring) next(t *table) *route {
	if g.left <= 0 || len(t.order) == 0 {
		g.left = 0
		return nil
	}
	g.left--
	if g.at <= 0 || g.at > len(t.order) {
		g.at = len(t.order)
	}
	g.at--
	return t.order[g.at]
}

// lookup returns the longest reachable route to source, nil if there is none.
func (p *Protocol) lookup(source netip.Addr) *route {
	r, ok := p.table.byNet.Lookup(source)
	if !ok {
		return nil
	}
	if p.settled(r).isReachable() {
		return r
	}
	for _, r := range p.table.byNet.Supernets(netip.PrefixFrom(source, source.BitLen())) {
		if p.settled(r).isReachable() {
			return r
		}
	}
	return nil
}

// routeOf returns the route of exactly this network, nil if it is not known.
func (p *Protocol) routeOf(net netip.Prefix) *route {
	r := p.table.get(net)
	if r != nil {
		p.settled(r)
	}
	return r
}

// settled returns r after what the loss of its gateway means, if the review has
// not come to it yet: nobody is told of a way that is lost.
func (p *Protocol) settled(r *route) *route {
	if r.gateway != nil && r.gateway.gone {
		p.choose(r)
	}
	return r
}

// isNetwork reports whether routers may talk about a network: as mrouted, no host
// bits, the default route or at least eight bits, and addresses of hosts.
func isNetwork(n netip.Prefix) bool {
	if !n.IsValid() || !n.Addr().Is4() || n != n.Masked() {
		return false
	}
	first := n.Addr().As4()[0]
	if n.Bits() == 0 {
		return true
	}
	return n.Bits() >= 8 && first != 0 && first != 127 && first < 224
}
