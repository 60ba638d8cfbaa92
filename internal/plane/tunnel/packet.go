package tunnel

import (
	"encoding/binary"
	"net/netip"
)

// The header of IPv4 (RFC 791), and where its fields are:
//
//	 0 version, length   1 type of service   2 total length
//	 4 identification    6 flags, fragment offset
//	 8 time to live      9 protocol         10 checksum
//	12 source           16 destination      20 options
const (
	headerLen      = 20 // without options
	offsetTOS      = 1
	offsetLength   = 2
	offsetFragment = 6
	offsetTTL      = 8
	offsetProtocol = 9
	offsetSource   = 12
	offsetDest     = 16

	fragmentMask = 0x3fff // More Fragments and the offset

	protocolIGMP = 2
	typeDVMRP    = 0x13
)

var (
	dvmrpRouters = netip.AddrFrom4([4]byte{224, 0, 0, 4})
	localGroups  = netip.PrefixFrom(netip.AddrFrom4([4]byte{224, 0, 0, 0}), 24)
	experimental = netip.PrefixFrom(netip.AddrFrom4([4]byte{240, 0, 0, 0}), 4)
	thisNetwork  = netip.PrefixFrom(netip.AddrFrom4([4]byte{0, 0, 0, 0}), 8)
)

// packet is an inner packet that is carried.
type packet struct {
	bytes   []byte
	control bool // DVMRP
}

// checkOut looks at a packet that the kernel sends through the device. It trusts
// the kernel, which sends more than we want: its own IGMP for one.
func checkOut(b []byte, beside bool) (packet, Drop) {
	b, ok := header(b)
	if !ok {
		return packet{}, OutOther
	}
	control := !beside && isDVMRP(b)
	if !control && !isRoutable(b) {
		return packet{}, OutOther
	}
	return packet{b, control}, 0
}

// checkIn looks at a packet from the network and returns the inner one.
func checkIn(outer []byte, c *Config) ([]byte, Drop) {
	outer, ok := header(outer)
	if !ok || address(outer, offsetSource) != c.Remote || address(outer, offsetDest) != c.Local {
		return nil, InMalformed
	}
	b, ok := header(outer[length(outer):])
	if !ok || sum(b[:length(b)]) != 0xffff || b[offsetTTL] == 0 {
		return nil, InMalformed
	}
	if !isRoutable(b) && (c.Beside || !isDVMRP(b)) {
		return nil, InOther
	}
	if source := address(b, offsetSource); !isHost(source) || source == c.Local {
		return nil, InSource
	}
	return b, 0
}

// header returns b without what follows its last byte; ok is false if b does not
// begin with an IPv4 header and hold the whole packet.
func header(b []byte) (packet []byte, ok bool) {
	if len(b) < headerLen || b[0]>>4 != 4 {
		return nil, false
	}
	total := int(binary.BigEndian.Uint16(b[offsetLength:]))
	if n := length(b); n < headerLen || n > total || total > len(b) {
		return nil, false
	}
	return b[:total], true
}

// length returns the length of the header.
func length(b []byte) int { return int(b[0]&0x0f) * 4 }

func address(b []byte, offset int) netip.Addr { return netip.AddrFrom4([4]byte(b[offset:])) }

// isRoutable reports whether a packet is multicast that may leave its link.
func isRoutable(b []byte) bool {
	group := address(b, offsetDest)
	return group.IsMulticast() && !localGroups.Contains(group)
}

// isDVMRP reports whether a packet is a DVMRP message to all DVMRP routers.
func isDVMRP(b []byte) bool {
	n := length(b)
	return b[offsetProtocol] == protocolIGMP && address(b, offsetDest) == dvmrpRouters &&
		binary.BigEndian.Uint16(b[offsetFragment:])&fragmentMask == 0 &&
		len(b) > n && b[n] == typeDVMRP
}

// isHost reports whether an address can be that of a host on the network.
func isHost(a netip.Addr) bool {
	return a.Is4() && !a.IsLoopback() && !a.IsMulticast() && !thisNetwork.Contains(a) && !experimental.Contains(a)
}

// sum adds 16-bit words in one's complement; a good header gives 0xffff.
func sum(b []byte) uint16 {
	var s uint32
	for ; len(b) > 1; b = b[2:] {
		s += uint32(binary.BigEndian.Uint16(b))
	}
	s = s>>16 + s&0xffff
	return uint16(s>>16 + s)
}
