// Package dvmrp is the routing protocol: who the neighbours are, which networks
// they reach at what cost (draft-ietf-idmr-dvmrp-v3, as mrouted speaks it), and
// which of them want the packets of a source and group (prunes and grafts).
//
// What differs from mrouted: every neighbour's last report of a route is kept, so
// that the choice of the way, the designated forwarder and the dependents follow
// from them at any time; changes are told at once, and not every five seconds.
package dvmrp

import (
	"math"
	"net/netip"
	"time"

	"mbone/internal/router/host"
	"mbone/internal/router/mfc"
	"mbone/internal/router/timer"
	"mbone/proto/dvmrp"
)

// allRouters is the group of all DVMRP routers.
var allRouters = netip.AddrFrom4([4]byte{224, 0, 0, 4})

// Protocol is DVMRP on all links of a router. It is an [mfc.Protocol].
type Protocol struct {
	env      *host.Env
	cache    *mfc.Cache
	trees    trees
	settings host.Settings
	now      time.Duration // of the event that is handled
	ended    bool          // good-bye was said
	// calm is when ways may be taken after the start, and calmer the timer for it.
	calm   time.Duration
	calmer timer.Timer

	// Who is told of answers that changed: the cache and the trees.
	rpfChanged        func(net netip.Prefix)
	downstreamChanged func(r *route, l *link)
	neighborChanged   func(now time.Duration, n *neighbor)

	links []*link // by id
	// neighbors counts those of all links, created all that ever were.
	neighbors int
	created   uint64

	table   table
	moves   uint64 // of routes to another way
	changes changes
	holds   holds
	review  review
	sweep   ring
	sweeper timer.Timer

	surge   surge
	refused [refusals]uint64
	alarms  [alarms]seldom

	// Used again and again.
	probe  dvmrp.Probe
	report dvmrp.Report
	info   dvmrp.Info
	out    []dvmrp.Route
}

// New returns a protocol without links. Attach must be called before anything else.
func New(env *host.Env) *Protocol {
	p := &Protocol{env: env}
	p.trees.p = p
	p.downstreamChanged, p.neighborChanged = p.trees.downstreamChanged, p.trees.neighborChanged
	p.sweeper.Fire = p.sweepSome
	p.calm = math.MaxInt64
	p.calmer.Fire = func(time.Duration) { p.review.whole(&p.table) }
	p.holds.wake.Fire = func(time.Duration) {} // Work does it
	p.review.wake.Fire = p.holds.wake.Fire
	return p
}

// Attach names the cache whose entries the protocol decides on.
func (p *Protocol) Attach(c *mfc.Cache) {
	p.cache, p.rpfChanged = c, c.RPFChanged
}

// Configure takes new settings. Another generation than before makes the
// neighbours believe that the router has started again.
func (p *Protocol) Configure(now time.Duration, s *host.Settings) {
	p.now = now
	p.settings = *s
	if !p.sweeper.IsSet() {
		p.env.Timers.Set(&p.sweeper, now+sweepStep)
	}
}

// Receive takes a DVMRP message but Ask-Neighbors, Ask-Neighbors2 and
// Info-Request. Its checksum is right.
func (p *Protocol) Receive(now time.Duration, packet *host.Packet) {
	p.now = now
	if p.ended {
		return
	}
	code, version, err := dvmrp.ParseHeader(packet.Message)
	if err != nil {
		p.refuse(Malformed, nil, packet)
		return
	}
	l, ok := p.arrival(packet)
	if !ok {
		return
	}
	switch code {
	case dvmrp.CodeProbe:
		p.receiveProbe(l, packet)
	case dvmrp.CodeReport:
		p.receiveReport(l, packet, version)
	case dvmrp.CodePrune:
		p.trees.receivePrune(now, l, l.peer(packet.From), packet)
	case dvmrp.CodeGraft:
		p.trees.receiveGraft(now, l, l.peer(packet.From), packet)
	case dvmrp.CodeGraftAck:
		p.trees.receiveGraftAck(now, l, l.peer(packet.From), packet)
	case dvmrp.CodeInfoReply:
		p.receiveInfo(l, packet)
	case dvmrp.CodeNeighbors, dvmrp.CodeNeighbors2:
		// Answers to a tool on this host.
	default:
		p.refuse(UnknownCode, l, packet)
	}
}

// arrival returns the link that a packet came over, if it is one where its sender
// may speak.
func (p *Protocol) arrival(packet *host.Packet) (*link, bool) {
	if packet.To.IsMulticast() && packet.To != allRouters {
		p.refuse(WrongGroup, nil, packet)
		return nil, false
	}
	var l *link
	if !packet.To.IsMulticast() {
		if !p.owns(packet.To) {
			p.refuse(NotForUs, nil, packet)
			return nil, false
		}
		l = p.tunnel(packet.To, packet.From)
	}
	if l == nil {
		l = p.linkOf(packet.Interface)
	}
	switch {
	case l == nil || !l.isUsable() || l.ForceLeaf:
		p.refuse(WrongLink, l, packet)
	case p.owns(packet.From):
		p.refuse(OwnPacket, l, packet)
		p.checkAddress(l, packet)
	case !l.Has(packet.From):
		p.refuse(WrongSender, l, packet)
	default:
		return l, true
	}
	return nil, false
}

// checkAddress raises an alarm if a packet from an address of the router is a probe of
// another one. Our own are not looped back, but may come over another link to the
// same LAN.
func (p *Protocol) checkAddress(l *link, packet *host.Packet) {
	code, _, err := dvmrp.ParseHeader(packet.Message)
	if err != nil || code != dvmrp.CodeProbe || p.probe.Parse(packet.Message) != nil || p.probe.GenID == p.settings.Generation {
		return
	}
	p.alarm(addressAlarm, p.env.Log.Neighbors, "another router uses an address of this one",
		"interface", l.Name, "address", packet.From, "generation", p.probe.GenID)
}

// owns reports whether addr is one of the router's own.
func (p *Protocol) owns(addr netip.Addr) bool {
	for _, l := range p.links {
		if l.Owns(addr) {
			return true
		}
	}
	return false
}

// send sends a message to a neighbour, or to all on a link (to is 224.0.0.4), the
// way that the link wants it.
func (p *Protocol) send(l *link, to netip.Addr, message []byte) {
	s := host.Send{From: l.Address, To: to, TTL: 255, Message: message}
	if to.IsMulticast() {
		if l.IsTunnel() && l.Beside {
			s.To = l.Remote
		} else {
			s.Interface, s.TTL, s.Alert = l.ID, 1, p.settings.RouterAlert
		}
	}
	p.env.Out.Send = append(p.env.Out.Send, s)
}

// versionOn returns what this router says of itself on a link. It is a leaf if it
// has neighbours on no other link.
func (p *Protocol) versionOn(l *link) dvmrp.Version {
	v := dvmrp.Mrouted
	if l.peers == 0 {
		return v
	}
	for _, other := range p.links {
		if other != l && other.peers > 0 {
			return v
		}
	}
	v.Capabilities |= dvmrp.CapLeaf
	return v
}

// Work goes on with what takes long: full tables, sweeps. It reports whether
// nothing is left to do now.
func (p *Protocol) Work(now time.Duration) bool {
	p.now = now
	if p.ended {
		return true
	}
	left := p.reviewRoutes(workRoutes)
	left = p.sweepRoutes(left)
	left = p.readBlasted(left)
	left = p.tellLinks(left)
	if last := p.changes.last; left > 0 {
		left = p.releaseRoutes(left)
		if p.changes.last > last {
			left = p.tellLinks(left) // another way is told in the same turn
		}
	}
	return left > 0
}

// Shutdown says good-bye to the neighbours: that nothing can be reached through
// this router any more. Nothing is sent or taken afterwards.
func (p *Protocol) Shutdown(now time.Duration) {
	p.now = now
	if p.ended {
		return
	}
	p.ended = true
	for _, l := range p.links {
		p.env.Timers.Stop(&l.probe)
		p.env.Timers.Stop(&l.wake)
		for _, n := range l.neighbors {
			p.env.Timers.Stop(&n.expiry)
		}
		if l.peers == 0 {
			continue
		}
		p.out = p.out[:0]
		for _, r := range p.table.order {
			if metric, ok := r.tell(l); ok && metric != dvmrp.Infinity {
				p.out = append(p.out, dvmrp.Route{Prefix: r.prefix, Metric: dvmrp.Infinity})
			}
		}
		p.sendReports(l)
	}
	p.env.Timers.Stop(&p.sweeper)
	p.env.Timers.Stop(&p.calmer)
	p.env.Timers.Stop(&p.holds.wake)
	p.env.Timers.Stop(&p.review.wake)
}

// RPF implements [mfc.Protocol].
func (p *Protocol) RPF(source netip.Addr) (mfc.Route, bool) {
	r := p.lookup(source)
	if r == nil {
		return mfc.Route{}, false
	}
	return r.incoming(), true
}

// Forwarder implements [mfc.Protocol].
func (p *Protocol) Forwarder(e *mfc.Entry, link host.Interface) bool {
	r, l := p.routeOf(e.Net), p.linkOf(link)
	return r != nil && l != nil && r.forwarder(l)
}
