// Package member is the querier side of IGMP, versions 1 to 3: which groups, and
// which sources of them, the hosts on each link want (RFC 3376 section 6, RFC 2236
// section 3).
//
// Decisions that the RFCs leave open, or that differ from them:
//
//   - A link that goes down keeps its groups until they expire, but nobody on it
//     wants anything. When it returns it is queried at once, and what did not
//     expire counts again without waiting for answers: a link that flaps costs
//     nobody a report.
//   - Where the link is to speak an older version, v3 reports are taken as what
//     they would be in that version: a host that has not heard a query yet would
//     otherwise wait for the next one.
//   - Messages to unicast addresses are ignored, though RFC 3376 section 4.2.14
//     wants reports to be taken: multicast comes from the link, the former from
//     anywhere.
//   - Groups of 232.0.0.0/8 are like any other.
//   - Tunnels have no IGMP.
package member

import (
	"maps"
	"net/netip"
	"slices"
	"time"

	"mbone/internal/router/host"
	"mbone/proto/igmp"
)

// Changed is told that hosts on a link want other packets of a group.
type Changed func(now time.Duration, link host.Interface, group netip.Addr)

// Membership is IGMP on all links of a router.
type Membership struct {
	env      *host.Env
	changed  Changed
	settings host.Settings
	links    map[host.Interface]*link

	active  int // links that are queried
	groups  int // without static ones
	sources int

	// Kept to be used again.
	query  igmp.Query
	single igmp.Membership
	report igmp.ReportV3
	list   []uint32
	merged []merged
	kept   []source
}

// New returns a membership without links. changed is called whenever the answer of
// Wants may have changed for a link and group, in the call that changed it; only
// where more groups than one slice of work are concerned, because a link goes up or
// down, it comes within some milliseconds for the others. It is not called for a
// link that is removed: whoever asks forgets it as well.
func New(env *host.Env, changed Changed) *Membership {
	return &Membership{env: env, changed: changed, links: make(map[host.Interface]*link)}
}

// Configure takes new settings. What runs goes on with its old times, but no query
// comes later than the new ones say.
func (m *Membership) Configure(now time.Duration, s *host.Settings) {
	m.settings = *s
	for _, id := range slices.Sorted(maps.Keys(m.links)) {
		m.links[id].configure(now)
	}
}

// SetLink takes a new link or a new state of one. A tunnel is no link of IGMP.
func (m *Membership) SetLink(now time.Duration, l *host.Link) {
	if l.IsTunnel() {
		m.RemoveLink(now, l.ID)
		return
	}
	k := m.links[l.ID]
	if k == nil {
		k = newLink(m, now)
		m.links[l.ID] = k
	}
	k.set(now, l)
}

// RemoveLink forgets a link.
func (m *Membership) RemoveLink(now time.Duration, id host.Interface) {
	if l := m.links[id]; l != nil {
		delete(m.links, id)
		l.remove(now)
	}
}

// Wants reports whether a host on a link wants packets of source to group.
func (m *Membership) Wants(link host.Interface, source, group netip.Addr) bool {
	if !source.Is4() {
		return false
	}
	s := number(source)
	return m.wants(link, s, s, group)
}

// WantsAny reports whether a host on a link wants packets of any source in net to
// group.
func (m *Membership) WantsAny(link host.Interface, net netip.Prefix, group netip.Addr) bool {
	if !net.IsValid() || !net.Addr().Is4() {
		return false
	}
	hosts := ^uint32(0) >> net.Bits()
	first := number(net.Addr()) &^ hosts
	return m.wants(link, first, first|hosts, group)
}

func (m *Membership) wants(link host.Interface, first, last uint32, group netip.Addr) bool {
	l := m.links[link]
	if l == nil || !l.active || !group.Is4() {
		return false
	}
	g := l.groups[number(group)]
	return g != nil && g.wants(first, last)
}

// room returns how many more of something a link may have, of which there are
// total, and ofLink on it.
func (m *Membership) room(limit, total, ofLink int) int {
	share := limit
	if m.active > 1 {
		share -= limit / restOf
	}
	return min(limit-total, share-ofLink)
}

// number returns an IPv4 address as a number: groups and sources are kept so, in
// four bytes instead of 24.
func number(a netip.Addr) uint32 {
	b := a.As4()
	return uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
}

// address is the reverse of number.
func address(n uint32) netip.Addr {
	return netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)})
}

// routable reports whether hosts can be members of a group that is forwarded.
func routable(group netip.Addr) bool {
	return group.Is4() && group.IsMulticast() && !igmp.LinkLocal(group)
}

// sendable reports whether packets can come from a source.
func sendable(source netip.Addr) bool {
	return source.Is4() && source.IsGlobalUnicast() && source.As4()[0] != 0 && source.As4()[0] < 240 ||
		source.Is4() && source.IsLinkLocalUnicast()
}
