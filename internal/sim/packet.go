package sim

import "net/netip"

// packet is on its way, to one or several nodes. Nobody changes it; how often it may
// still be forwarded is in the event of its delivery.
type packet struct {
	from, to netip.Addr
	alert    bool
	message  []byte // of IGMP; empty in a packet of a flow
	flow     *Flow
	seq      uint32
	// out is where the packet leaves a tunnel, while it is in one: until then it is
	// on its way to the address of that end.
	out   *end
	inner uint8 // its own TTL meanwhile

	users int // deliveries under way
}

// newPacket returns a packet with one user.
func (n *Network) newPacket() *packet {
	if last := len(n.packets) - 1; last >= 0 {
		p := n.packets[last]
		n.packets = n.packets[:last]
		p.users = 1
		return p
	}
	return &packet{users: 1}
}

// release is called by each user when it is done with p.
func (n *Network) release(p *packet) {
	if p.users--; p.users == 0 {
		*p = packet{message: p.message[:0]}
		n.packets = append(n.packets, p)
	}
}

// destination returns where the packet goes now.
func (p *packet) destination() netip.Addr {
	if p.out != nil {
		return p.out.addr
	}
	return p.to
}

func (p *packet) isMulticast() bool { return p.destination().IsMulticast() }
