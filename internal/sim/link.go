package sim

import (
	"fmt"
	"net/netip"
	"time"

	"mbone/internal/router/host"
)

// Link carries packets between the nodes that have an end of it. Its fields may be
// changed at any time and count for packets that are sent afterwards.
type Link struct {
	// Delay is how long packets travel, Jitter is up to how much longer: they
	// overtake each other within that.
	Delay, Jitter time.Duration
	// Loss and Duplicates are shares of the packets, 0 to 1, for each receiver.
	Loss, Duplicates float64
	// Silent is whether everything gets lost, and nobody notices.
	Silent bool

	Name   string
	net    *Network
	number int
	kind   linkKind
	prefix netip.Prefix // not valid for a tunnel
	last   uint32       // address that was given away
	cut    bool
	ends   []*end

	carried map[*Flow][]uint8 // how often, while the network is watched
}

type linkKind uint8

const (
	lan linkKind = iota
	pointToPoint
	tunnel
)

// Delays of links, unless the scenario sets others.
const (
	linkDelay   = time.Millisecond
	lanDelay    = 100 * time.Microsecond
	carrierTime = time.Millisecond // until a cut is noticed
)

// LAN bits, unless a scenario says otherwise, and those of a point-to-point link.
const (
	lanBits          = 24
	pointToPointBits = 30
)

// end is where a node is joined to a link.
type end struct {
	link *Link
	node node
	addr netip.Addr
	// id is the node's number of the link, above 0.
	id host.Interface
	// peer is the other end of a tunnel.
	peer *end
	// unplugged is whether there is no carrier here; mute and deaf whether nothing
	// leaves or arrives, and nobody notices.
	unplugged, mute, deaf bool

	count host.LinkCount // of the kernel of a router
	state host.Link      // as the router was told last
}

// node is a router or host.
type node interface {
	receive(e *end, p *packet, ttl uint8)
	carrierChanged(e *end)
	join(e *end)
	String() string
}

// AddLAN adds a LAN with these routers on it, in a network of its own.
func (n *Network) AddLAN(routers ...*Router) *Link { return n.AddLANOf(lanBits, routers...) }

// AddLANOf adds a LAN whose network has so many bits.
func (n *Network) AddLANOf(bits int, routers ...*Router) *Link {
	l := n.addLink(lan, lanDelay)
	l.prefix = n.prefix(bits)
	l.last = number(l.prefix.Addr())
	for _, r := range routers {
		l.Add(r)
	}
	return l
}

// AddPointToPoint adds a link between two routers, in a network of its own.
func (n *Network) AddPointToPoint(a, b *Router) *Link {
	l := n.addLink(pointToPoint, linkDelay)
	l.prefix = n.prefix(pointToPointBits)
	l.last = number(l.prefix.Addr())
	l.Add(a)
	l.Add(b)
	return l
}

// AddTunnel adds a tunnel between the first addresses of two routers. Its packets
// go by way of the other links; its own Delay and Loss add to theirs. Control
// messages go beside it or through it.
func (n *Network) AddTunnel(a, b *Router, beside bool) *Link {
	l := n.addLink(tunnel, 0)
	at := &end{link: l, node: a, addr: a.ends[0].addr}
	bt := &end{link: l, node: b, addr: b.ends[0].addr}
	at.peer, bt.peer = bt, at
	for _, e := range []*end{at, bt} {
		e.state.Beside = beside
		l.ends = append(l.ends, e)
		e.node.join(e)
	}
	return l
}

func (n *Network) addLink(kind linkKind, delay time.Duration) *Link {
	l := &Link{net: n, number: len(n.links), kind: kind, Delay: delay, Name: fmt.Sprintf("link%d", len(n.links))}
	n.links = append(n.links, l)
	n.paths.forget()
	return l
}

// Add joins a router to a LAN.
func (l *Link) Add(r *Router) { l.add(r) }

// add gives a node the next address on the link.
func (l *Link) add(v node) *end {
	l.last++
	e := &end{link: l, node: v, addr: address(l.last)}
	if !l.prefix.Contains(e.addr.Next()) {
		panic(fmt.Sprintf("sim: %s is full", l))
	}
	l.ends = append(l.ends, e)
	l.net.byAddr[e.addr] = e
	l.net.paths.forget()
	v.join(e)
	return e
}

// String returns the name and network of the link.
func (l *Link) String() string {
	if l.kind == tunnel {
		return l.Name
	}
	return fmt.Sprintf("%s (%v)", l.Name, l.prefix)
}

// Prefix returns the network of the link; it is not valid for a tunnel.
func (l *Link) Prefix() netip.Prefix { return l.prefix }

// Cut takes the carrier away from all ends.
func (l *Link) Cut() { l.setCut(true) }

// Restore gives it back, and ends Silent, and what Unplug, Mute and Deafen did.
func (l *Link) Restore() {
	l.Silent = false
	for _, e := range l.ends {
		e.mute, e.deaf = false, false
		if e.unplugged {
			e.unplugged = false
			l.net.paths.forget()
			e.notice()
		}
	}
	l.setCut(false)
}

func (l *Link) setCut(cut bool) {
	if l.cut == cut {
		return
	}
	l.cut = cut
	l.net.paths.forget()
	for _, e := range l.ends {
		e.notice()
	}
}

// Unplug takes the carrier away from one router, Mute loses what it sends, Deafen
// what it is sent.
func (l *Link) Unplug(r *Router) {
	e := l.endOf(r)
	e.unplugged = true
	l.net.paths.forget()
	e.notice()
}

// Mute loses what a router sends there.
func (l *Link) Mute(r *Router) { l.endOf(r).mute = true }

// Deafen loses what others send to a router there.
func (l *Link) Deafen(r *Router) { l.endOf(r).deaf = true }

func (l *Link) endOf(v node) *end {
	for _, e := range l.ends {
		if e.node == v {
			return e
		}
	}
	panic(fmt.Sprintf("sim: %v is not on %v", v, l))
}

// notice tells the node of its carrier a moment later.
func (e *end) notice() {
	e.link.net.After(carrierTime, func() { e.node.carrierChanged(e) })
}

// isUp reports whether there is a carrier.
func (e *end) isUp() bool { return !e.link.cut && !e.unplugged }

// works reports whether packets get from one end to another.
func (l *Link) works(from, to *end) bool {
	return !l.Silent && from.isUp() && to.isUp() && !from.mute && !to.deaf && l.Loss < 1
}

// transmit sends p to all others on the link. It takes over one use of p.
func (e *end) transmit(p *packet, ttl uint8) {
	l := e.link
	l.note(p)
	if e.isUp() && !e.mute && !l.Silent {
		for _, to := range l.ends {
			if to != e {
				l.carry(to, p, ttl)
			}
		}
	}
	l.net.release(p)
}

// transmitTo sends p to one of the others. It takes over one use of p.
func (e *end) transmitTo(to *end, p *packet, ttl uint8) {
	if e.isUp() && !e.mute && !e.link.Silent {
		e.link.carry(to, p, ttl)
	}
	e.link.net.release(p)
}

// carry brings p to an end, or loses it.
func (l *Link) carry(to *end, p *packet, ttl uint8) {
	copies := 1
	if l.Loss > 0 && l.net.random.Float64() < l.Loss {
		return
	}
	if l.Duplicates > 0 && l.net.random.Float64() < l.Duplicates {
		copies = 2
	}
	for range copies {
		p.users++
		l.net.agenda.push(event{at: l.net.now + l.Delay + l.net.upTo(l.Jitter), kind: delivery, end: to, packet: p, ttl: ttl})
	}
}
