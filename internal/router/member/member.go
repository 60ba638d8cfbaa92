// Package member is the querier side of IGMP, versions 1 to 3: which groups, and
// which sources of them, the hosts on each link want (RFC 3376 section 6, RFC 2236
// section 3).
package member

import (
	"net/netip"
	"time"

	"mbone/internal/router/host"
)

// Changed is told that hosts on a link want other packets of a group.
type Changed func(now time.Duration, link host.Interface, group netip.Addr)

// Membership is IGMP on all links of a router.
type Membership struct {
	env     *host.Env
	changed Changed
}

// New returns a membership without links. changed is called whenever the answer of
// Wants may have changed for a link and group.
func New(env *host.Env, changed Changed) *Membership {
	return &Membership{env: env, changed: changed}
}

// Configure takes new settings.
func (m *Membership) Configure(now time.Duration, s *host.Settings) {}

// SetLink takes a new link or a new state of one.
func (m *Membership) SetLink(now time.Duration, l *host.Link) {}

// RemoveLink forgets a link.
func (m *Membership) RemoveLink(now time.Duration, id host.Interface) {}

// Receive takes a query, report or leave of any version, also those of this host.
// Its checksum is right.
func (m *Membership) Receive(now time.Duration, p *host.Packet) {}

// Wants reports whether a host on a link wants packets of source to group.
func (m *Membership) Wants(link host.Interface, source, group netip.Addr) bool { return false }

// WantsAny reports whether a host on a link wants packets of any source in net to
// group.
func (m *Membership) WantsAny(link host.Interface, net netip.Prefix, group netip.Addr) bool {
	return false
}

// Querier returns the querier of a link (the router's own address, if it is the
// one), the zero Addr if there is none.
func (m *Membership) Querier(link host.Interface) netip.Addr { return netip.Addr{} }
