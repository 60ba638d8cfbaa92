package topo

import (
	"encoding/binary"
	"net/netip"
)

// ip is an IPv4 address as a number: small and quick as the key of a map, and
// in the order of addresses.
type ip uint32

// ipOf returns 0.0.0.0 for what is no IPv4 address.
func ipOf(a netip.Addr) ip {
	if !a.Is4() {
		return 0
	}
	b := a.As4()
	return ip(binary.BigEndian.Uint32(b[:]))
}

func (a ip) addr() netip.Addr {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], uint32(a))
	return netip.AddrFrom4(b)
}

// isRouter is whether a may be the address of a router: neither "this network"
// (0/8), loopback, multicast nor class E, which holds the broadcast address.
func (a ip) isRouter() bool {
	top := a >> 24
	return top != 0 && top < 224 && !a.isLoopback()
}

func (a ip) isLoopback() bool { return a>>24 == 127 }

// pair is an interface's own address and one that it names.
type pair uint64

func pairOf(local, neighbor ip) pair { return pair(local)<<32 | pair(neighbor) }

func compareAddr(a, b netip.Addr) int { return a.Compare(b) }
