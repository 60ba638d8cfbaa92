package respond

import (
	"net/netip"

	"mbone/proto/dvmrp"
	"mbone/proto/mtrace"
)

// Network is an address of the host with the network that it is on.
type Network struct {
	Interface int
	Address   netip.Addr // invalid if the host has none there
	// Prefix is what is reached over the link: the network of the address, or
	// the other end of a point-to-point link or tunnel.
	Prefix netip.Prefix
	// Tunnel is whether Interface is a tunnel: what the other end says may come by
	// another interface, and anybody can forge it.
	Tunnel bool
}

// has is whether addr is on the network. A network of length 0 would be everybody.
func (n *Network) has(addr netip.Addr) bool {
	return n.Address == addr || n.Prefix.Bits() > 0 && n.Prefix.Contains(addr)
}

// isEdge is whether addr is the network itself, or everybody on it.
func (n *Network) isEdge(addr netip.Addr) bool {
	return n.Prefix.Bits() < 31 && n.Prefix.Contains(addr) &&
		(addr == n.Prefix.Masked().Addr() || !n.Prefix.Contains(addr.Next()))
}

// Interface is an interface of multicast routing.
type Interface struct {
	Local  netip.Addr // invalid if it has none
	Remote netip.Addr // the other end of a tunnel; invalid otherwise
	Metric uint8
	// Threshold is the TTL that packets must exceed to leave through it.
	Threshold uint8
	Flags     dvmrp.InterfaceFlags
	// Neighbors are the multicast routers on the link, sorted.
	Neighbors []netip.Addr
}

// Flow is what a trace asks about: the packets of a source to a group, on their
// way to one interface. A group of 0.0.0.0 asks for the way alone.
type Flow struct {
	Source, Group netip.Addr
	Out           int // 0: not known
	// Asker is who sent the question.
	Asker netip.Addr
}

// Path is what the router does with the packets of a flow.
type Path struct {
	// In is the interface that they come in by, 0 if there is no route.
	In int
	// Previous is the router that they come from: 0.0.0.0 if the source is on the
	// link, 224.0.0.2 if it is not known. Old is whether it cannot answer mtrace.
	Previous netip.Addr
	Old      bool
	// Bits is the length of the source's network.
	Bits     int
	Protocol mtrace.Protocol
	// Packets counts them; it is [mtrace.Unknown] if nobody does. SubnetCount is
	// whether those of others in the network count, too; GroupOnly is whether the
	// group alone decided.
	Packets     uint32
	SubnetCount bool
	GroupOnly   bool
	// TTL is what they must exceed to leave by Flow.Out; 0: they do not leave.
	TTL uint8
	// Threshold is that of Flow.Out, whether they leave or not.
	Threshold uint8
	// Child is whether Flow.Out is an interface that they would leave by if they
	// were wanted there, and LastHop whether it is this router that hosts there
	// have them from.
	Child, LastHop bool
	// Scoped is whether they may not pass, in or out; PruneSent whether this
	// router has told Previous that it does not want them. PruneReceived is whether
	// the routers behind Flow.Out have told this one, and they do not leave.
	Scoped, PruneSent, PruneReceived bool
}

// Tables is what a router knows, as of the question. Each method is one question
// of an answer, and the kernel's tables (see [KernelPath]) and an engine's own
// have all of them.
type Tables interface {
	// Networks returns the addresses of all interfaces of the host, whether they
	// take part in multicast routing or not. It is called for every packet,
	// whoever sent it, and must be cheap. The caller does not change it.
	Networks() []Network
	// Routed reports whether an address lies within a route of multicast routing
	// that is not the default route.
	Routed(addr netip.Addr) bool
	// Neighbor reports whether an address is that of a router that routes are
	// exchanged with.
	Neighbor(addr netip.Addr) bool
	// Interfaces returns the interfaces of multicast routing in the order of
	// their numbers: the same slice again, if nothing has changed.
	Interfaces() ([]Interface, error)
	// Counts returns how many packets were forwarded in and out by an interface,
	// [mtrace.Unknown] if nobody counts; ok is false if it takes no part in
	// multicast routing.
	Counts(id int) (in, out uint32, ok bool, err error)
	// Output returns the interface that packets of source and group leave by
	// towards a receiver that is not on a link, 0 if there is none.
	Output(source, group, receiver netip.Addr) (int, error)
	// Path returns what is done with the packets of a flow.
	Path(f Flow) (Path, error)
}

// isOwn is whether addr is an address of this host.
func isOwn(networks []Network, addr netip.Addr) bool {
	for i := range networks {
		if networks[i].Address == addr {
			return true
		}
	}
	return false
}

// arrivedBy returns the interface that a packet came by in truth: a packet from the
// other end of a tunnel to this one belongs to the tunnel.
func arrivedBy(networks []Network, p Packet) int {
	for i := range networks {
		n := &networks[i]
		if n.Tunnel && n.Address == p.To && n.Prefix.Contains(p.From) {
			return n.Interface
		}
	}
	return p.Interface
}

// place says whether addr is one of the host's own on an interface, and whether
// it is that of somebody on the link at all.
func place(networks []Network, id int, addr netip.Addr) (own, onLink bool) {
	for i := range networks {
		if n := &networks[i]; n.Interface == id {
			own = own || n.Address == addr
			onLink = onLink || n.has(addr) && !n.isEdge(addr)
		}
	}
	return own, onLink
}

// addressTowards returns the address of an interface from which peer is reached:
// the one in peer's network or else the first; invalid if it has none.
func addressTowards(networks []Network, id int, peer netip.Addr) netip.Addr {
	var first netip.Addr
	for i := range networks {
		n := &networks[i]
		if n.Interface != id || !n.Address.IsValid() {
			continue
		}
		if n.has(peer) {
			return n.Address
		}
		if !first.IsValid() {
			first = n.Address
		}
	}
	return first
}
