package dvmrp

import (
	"net/netip"
	"time"

	"mbone/internal/router/host"
	"mbone/internal/router/mfc"
)

// trees is the part of the protocol that is about sources and groups: prunes and
// grafts.
type trees struct{ p *Protocol }

// Route implements [mfc.Protocol].
func (p *Protocol) Route(net netip.Prefix) (mfc.Route, bool) {
	r := p.routeOf(net)
	if r == nil || !r.isReachable() {
		return mfc.Route{}, false
	}
	route := mfc.Route{Net: net, In: r.parent.ID}
	if r.gateway != nil {
		route.Gateway = r.gateway.addr
	}
	return route, true
}

// Downstream implements [mfc.Protocol].
func (p *Protocol) Downstream(e *mfc.Entry, link host.Interface) bool { return false }

// NewFlow implements [mfc.Protocol].
func (p *Protocol) NewFlow(now time.Duration, e *mfc.Entry) {}

// OutputsEmpty implements [mfc.Protocol].
func (p *Protocol) OutputsEmpty(now time.Duration, e *mfc.Entry) {}

// OutputsNonEmpty implements [mfc.Protocol].
func (p *Protocol) OutputsNonEmpty(now time.Duration, e *mfc.Entry) {}

// WrongVif implements [mfc.Protocol].
func (p *Protocol) WrongVif(now time.Duration, e *mfc.Entry, source netip.Addr, link host.Interface) {
}

// Progress implements [mfc.Protocol].
func (p *Protocol) Progress(now time.Duration, e *mfc.Entry) {}

// Hold implements [mfc.Protocol].
func (p *Protocol) Hold(e *mfc.Entry) time.Duration { return 0 }

// Drop implements [mfc.Protocol].
func (p *Protocol) Drop(now time.Duration, e *mfc.Entry) {}

// What neighbours and routes tell the trees.

// receivePrune, receiveGraft and receiveGraftAck take a message of its code. n is
// nil if the sender is not a peer.
func (t *trees) receivePrune(now time.Duration, l *link, n *neighbor, packet *host.Packet)    {}
func (t *trees) receiveGraft(now time.Duration, l *link, n *neighbor, packet *host.Packet)    {}
func (t *trees) receiveGraftAck(now time.Duration, l *link, n *neighbor, packet *host.Packet) {}

// neighborChanged is told that n was lost, or has started again: what it pruned
// and what it was sent counts no more.
func (t *trees) neighborChanged(now time.Duration, n *neighbor) {}

// downstreamChanged is told that other neighbours on link l depend on this router
// for r, or that it became or ceased to be designated forwarder there. Many calls
// in one turn are cheap: entries are re-evaluated once.
func (t *trees) downstreamChanged(r *route, l *link) {}
