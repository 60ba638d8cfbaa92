package dvmrp

import (
	"iter"
	"net/netip"
	"time"

	"mbone/internal/router/host"
	"mbone/proto/dvmrp"
)

// link is a link of the router with its neighbours.
type link struct {
	host.Link
}

// neighbor is a router that was heard on a link.
type neighbor struct {
	link    *link
	addr    netip.Addr
	version dvmrp.Version
}

// isPeer reports whether routes are exchanged with the neighbour.
func (n *neighbor) isPeer() bool { return false }

// route is a network and how it is reached.
type route struct {
	prefix  netip.Prefix
	parent  *link
	gateway *neighbor // nil: it is on the link
	metric  uint8     // 1 to dvmrp.Infinity
}

// isReachable reports whether there is a way to the network.
func (r *route) isReachable() bool { return r.metric < dvmrp.Infinity }

// forwarder reports whether this router is the designated forwarder of r on l:
// never on the parent link, or if r is not reachable.
func (r *route) forwarder(l *link) bool { return false }

// dependents returns the neighbours on l that depend on this router for r, by
// address: none unless it is the forwarder there.
func (r *route) dependents(l *link) iter.Seq[*neighbor] { return func(func(*neighbor) bool) {} }

// lookup returns the longest reachable route to source, nil if there is none.
func (p *Protocol) lookup(source netip.Addr) *route { return nil }

// routeOf returns the route of exactly this network, nil if it is not known.
func (p *Protocol) routeOf(net netip.Prefix) *route { return nil }

// linkOf returns a link, nil if it is not known.
func (p *Protocol) linkOf(id host.Interface) *link { return nil }

// send sends a message to a neighbour, or to all on a link (to is 224.0.0.4), the
// way that the link wants it.
func (p *Protocol) send(l *link, to netip.Addr, message []byte) {}

// capabilities of what this router says of itself on a link.
func (p *Protocol) versionOn(l *link) dvmrp.Version { return dvmrp.Mrouted }

var _ = time.Second
