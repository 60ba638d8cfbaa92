package respond

import (
	"net/netip"
	"slices"

	"mbone/proto/igmp"
)

// standing is what somebody is to this router.
type standing uint8

const (
	stranger standing = iota // gets nothing
	far                      // may ask
	near                     // the same, and is on the link that the question came by
)

var (
	thisHost = netip.PrefixFrom(netip.AddrFrom4([4]byte{}), 8)    // RFC 1122 section 3.2.1.3
	classE   = netip.PrefixFrom(netip.AddrFrom4([4]byte{240}), 4) // RFC 1112 section 4
)

// IsHost reports whether addr can be that of one host, by its form.
func IsHost(addr netip.Addr) bool {
	return addr.Is4() && !addr.IsMulticast() && !thisHost.Contains(addr) && !classE.Contains(addr)
}

// standing says what addr is, whose question came by an interface.
func (r *Responder) standing(addr netip.Addr, id int, networks []Network, t Tables) standing {
	if !IsHost(addr) {
		return stranger
	}
	if addr.IsLoopback() {
		return near
	}
	onLink, place := false, far
	for i := range networks {
		n := &networks[i]
		switch {
		case n.Address == addr:
			return near // this host, which may always ask
		case !n.has(addr):
		case n.isEdge(addr):
			return stranger
		default:
			onLink = true
			if n.Interface == id && !n.Tunnel {
				place = near
			}
		}
	}
	a := &r.asking
	if a.Any || a.Local && onLink || a.Private && (addr.IsPrivate() || addr.IsLinkLocalUnicast()) ||
		slices.ContainsFunc(a.Networks, func(p netip.Prefix) bool { return p.Contains(addr) }) ||
		a.Routed && t.Routed(addr) {
		return place
	}
	return stranger
}

// mayHear reports whether a response may go to addr.
func (r *Responder) mayHear(addr netip.Addr, networks []Network, t Tables) bool {
	if addr.IsMulticast() {
		return addr == igmp.MtraceResponses || slices.Contains(r.asking.ResponseGroups, addr) && !igmp.LinkLocal(addr)
	}
	return r.standing(addr, 0, networks, t) != stranger
}
