package mfc

import (
	"net/netip"
	"time"

	"mbone/internal/router/host"
)

// Key is a source network and group.
type Key struct {
	Net   netip.Prefix
	Group netip.Addr
}

// Entry is how the packets of a source network to a group are forwarded. In the
// kernel it is one entry for each source of the network that sends.
type Entry struct {
	Key
	// In and Gateway are those of the route.
	In      host.Interface
	Gateway netip.Addr
	// Tree is the protocol's state of the entry. Only the protocol uses it.
	Tree any
}

// Cache holds the entries.
type Cache struct {
	env      *host.Env
	protocol Protocol
	members  Members
}

// New returns an empty cache.
func New(env *host.Env, protocol Protocol, members Members) *Cache {
	return &Cache{env: env, protocol: protocol, members: members}
}

// Configure takes new settings.
func (c *Cache) Configure(now time.Duration, s *host.Settings) {}

// SetLink takes a new link or a new state of one.
func (c *Cache) SetLink(now time.Duration, l *host.Link) {}

// RemoveLink forgets a link.
func (c *Cache) RemoveLink(now time.Duration, id host.Interface) {}

// Upcall answers a question of the kernel. The entry of a NoCache is among the
// actions when it returns.
func (c *Cache) Upcall(now time.Duration, u *host.Upcall) {}

// RPFChanged is told by the protocol that the route to sources in net has another
// incoming interface or gateway, or that there is a route now, or none any more.
// The entries concerned are re-evaluated by Work.
func (c *Cache) RPFChanged(net netip.Prefix) {}

// DownstreamChanged is told by the protocol that other routers want packets of e,
// or that it is designated forwarder on other links for e. What follows from it is
// among the actions when it returns.
func (c *Cache) DownstreamChanged(now time.Duration, e *Entry) {}

// MembersChanged is told by IGMP that other hosts on a link want packets to group.
func (c *Cache) MembersChanged(now time.Duration, link host.Interface, group netip.Addr) {}

// Lookup returns the entry of a network and group, nil if there is none.
func (c *Cache) Lookup(k Key) *Entry { return nil }

// Work goes on with re-evaluating entries, for a slice of time. It reports whether
// nothing is left to do.
func (c *Cache) Work(now time.Duration) bool { return true }
