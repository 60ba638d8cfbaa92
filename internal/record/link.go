package record

import (
	"encoding/binary"
	"errors"
)

// Link types (https://www.tcpdump.org/linktypes.html).
const (
	linkNull     = 0 // BSD loopback: the address family in the order of that machine
	linkEthernet = 1
	linkRawOpen  = 14  // raw IP as OpenBSD numbers it, and
	linkRawOther = 12  // as others do
	linkRaw      = 101 // raw IP, version 4 or 6
	linkLoop     = 108 // as linkNull, in network byte order
	linkCooked   = 113 // Linux "any" interface
	linkIPv4     = 228
	linkCooked2  = 276 // the same with the interface's index
)

// Heads of the link layer, in bytes, and where the type of the payload is.
const (
	ethernetLen, ethernetType = 14, 12
	cookedLen, cookedType     = 16, 14
	cooked2Len, cooked2Type   = 20, 0
	familyLen                 = 4
	tagLen                    = 4 // VLAN: 2 bytes of tag, 2 of the type that follows
)

const (
	typeIPv4   = 0x0800
	familyIPv4 = 2 // AF_INET everywhere
	// maxTags is how many VLAN tags of one frame are skipped.
	maxTags = 4
)

var (
	errShort = errors.New("shorter than its link layer")
	errOther = errors.New("not IPv4")
)

// network returns the IPv4 datagram of a frame.
func network(linkType uint32, b []byte) ([]byte, error) {
	switch linkType {
	case linkEthernet:
		return ether(b, ethernetLen, ethernetType)
	case linkCooked:
		return ether(b, cookedLen, cookedType)
	case linkCooked2:
		return ether(b, cooked2Len, cooked2Type)
	case linkRaw, linkRawOpen, linkRawOther, linkIPv4:
		if len(b) > 0 && b[0]>>4 == 6 {
			return nil, errOther
		}
		return b, nil
	case linkNull, linkLoop:
		if len(b) < familyLen {
			return nil, errShort
		}
		if binary.BigEndian.Uint32(b) != familyIPv4 && binary.LittleEndian.Uint32(b) != familyIPv4 {
			return nil, errOther
		}
		return b[familyLen:], nil
	}
	return nil, ErrLinkType
}

// ether returns the datagram behind a head of n bytes that has the type of its
// payload at offset at, and behind VLAN tags.
func ether(b []byte, n, at int) ([]byte, error) {
	if len(b) < n {
		return nil, errShort
	}
	kind, b := binary.BigEndian.Uint16(b[at:]), b[n:]
	for range maxTags {
		switch kind {
		case typeIPv4:
			return b, nil
		case 0x8100, 0x88a8, 0x9100: // 802.1Q, 802.1ad, and before it
			if len(b) < tagLen {
				return nil, errShort
			}
			kind, b = binary.BigEndian.Uint16(b[2:]), b[tagLen:]
		default:
			return nil, errOther
		}
	}
	if kind == typeIPv4 {
		return b, nil
	}
	return nil, errOther
}
