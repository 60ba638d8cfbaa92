package respond

import (
	"net/netip"

	"mbone/proto/dvmrp"
)

// Network is an address of the host with the network that it is on.
type Network struct {
	Interface int
	Address   netip.Addr
	// Prefix is what is reached over the link: the network of the address, or
	// the other end of a point-to-point link.
	Prefix netip.Prefix
}

// has is whether addr is on the network. A network of length 0 would be everybody.
func (n *Network) has(addr netip.Addr) bool {
	return n.Address == addr || n.Prefix.Bits() > 0 && n.Prefix.Contains(addr)
}

// isBroadcast is whether addr is everybody on the network.
func (n *Network) isBroadcast(addr netip.Addr) bool {
	return n.Prefix.Bits() < 31 && n.Prefix.Contains(addr) && !n.Prefix.Contains(addr.Next())
}

// Interface is an interface of multicast routing.
type Interface struct {
	ID     int        // the same as in Network and Packet; not 0
	Local  netip.Addr // invalid if it has none
	Remote netip.Addr // the other end of a tunnel; invalid otherwise
	Metric uint8
	// Threshold is the TTL that packets must exceed to leave through it.
	Threshold uint8
	Flags     dvmrp.InterfaceFlags
	// Neighbors are the multicast routers on the link, sorted.
	Neighbors []netip.Addr
	// PacketsIn and PacketsOut count multicast packets that were forwarded in
	// from and out to this interface.
	PacketsIn, PacketsOut uint64
}

// Entry says how the packets of a source and group are forwarded.
type Entry struct {
	Interface int // incoming
	// Outputs are the interfaces that packets leave by and the TTL that they
	// must exceed.
	Outputs map[int]uint8
	Packets uint64
	// GroupOnly is whether the entry is for every source of the group.
	GroupOnly bool
}

// Route is a unicast route.
type Route struct {
	Bits int // length of the prefix
	Hops []Hop
}

// Hop is one of the ways of a route.
type Hop struct {
	Interface int
	// Gateway is the next router, 0.0.0.0 if the destination is on the link, and
	// invalid if neither is known.
	Gateway netip.Addr
}

// Tables is what a router knows, as of the question. The kernel's tables
// satisfy it, and an engine's own.
type Tables interface {
	// Networks returns the addresses of all interfaces of the host, whether they
	// take part in multicast routing or not. It is called for every packet,
	// whoever sent it, and must be cheap. The caller does not change it.
	Networks() []Network
	// Interfaces returns the interfaces of multicast routing in the order of
	// their numbers. The caller may change it.
	Interfaces() ([]Interface, error)
	// Entry returns the entry that decides on the packets of source and group;
	// ok is false if there is none.
	Entry(source, group netip.Addr) (e Entry, ok bool, err error)
	// Route returns the unicast route to an address; ok is false if there is none.
	Route(to netip.Addr) (r Route, ok bool, err error)
}
