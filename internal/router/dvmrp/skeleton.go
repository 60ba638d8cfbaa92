package dvmrp

import (
	"net/netip"

	"mbone/internal/router/host"
	"mbone/proto/dvmrp"
)

func accepts(f *host.Filter, p netip.Prefix) bool { return true }

// lookup returns the longest reachable route to source, nil if there is none.
func (p *Protocol) lookup(source netip.Addr) *route { return nil }

// routeOf returns the route of exactly this network, nil if it is not known.
func (p *Protocol) routeOf(net netip.Prefix) *route { return nil }

// linkOf returns a link, nil if it is not known.
func (p *Protocol) linkOf(id host.Interface) *link { return nil }

// send sends a message to a neighbour, or to all on a link (to is 224.0.0.4), the
// way that the link wants it.
func (p *Protocol) send(l *link, to netip.Addr, message []byte) {}

// versionOn returns what this router says of itself on a link.
func (p *Protocol) versionOn(l *link) dvmrp.Version { return dvmrp.Mrouted }
