// Package mfc is the multicast forwarding cache: which packets of which source and
// group come in where and leave where. It owns the entries and tells the host what
// is to be in the kernel; a routing protocol ([Protocol]) says where packets come
// from and which routers want them, and IGMP ([Members]) which hosts do.
package mfc

import (
	"net/netip"
	"time"

	"mbone/internal/router/host"
)

// Route says where the packets of a source come from.
type Route struct {
	// Net is the network of the source, as the protocol knows it.
	Net netip.Prefix
	// In is the incoming interface.
	In host.Interface
	// Gateway is the upstream neighbour; invalid if the source is on the link.
	Gateway netip.Addr
}

// Protocol is a dense-mode multicast routing protocol as the cache sees it. It
// owns the upstream and downstream state of an entry, in [Entry.Tree].
type Protocol interface {
	// RPF returns where the packets of a source come from; ok is false if there is
	// no route.
	RPF(source netip.Addr) (r Route, ok bool)
	// Route returns where the packets of exactly this network come from; ok is
	// false if it has no route of its own. For every r of RPF, Route(r.Net) is r.
	Route(net netip.Prefix) (r Route, ok bool)
	// NewFlow is told an entry that was made, or whose upstream has changed: then
	// nothing is known of what the upstream router sends.
	NewFlow(now time.Duration, e *Entry)
	// Forwarder reports whether this router brings packets of e to the hosts on a
	// link: it is the designated forwarder there, and the link is not the incoming
	// one.
	Forwarder(e *Entry, link host.Interface) bool
	// Downstream reports whether a router on a link depends on this one for e and
	// has not pruned it.
	Downstream(e *Entry, link host.Interface) bool
	// OutputsEmpty is told that nobody wants packets of e any more, or that its route
	// is lost, OutputsNonEmpty that somebody does. A new entry is one that nobody
	// wants.
	OutputsEmpty(now time.Duration, e *Entry)
	OutputsNonEmpty(now time.Duration, e *Entry)
	// WrongVif is told that a packet of e came in on another link than e.In.
	WrongVif(now time.Duration, e *Entry, source netip.Addr, link host.Interface)
	// Progress is told that packets of e came from upstream, though nobody wants
	// them: the first one, the first one after [Cache.Flush], and now and then while
	// they go on.
	Progress(now time.Duration, e *Entry)
	// Hold returns until when the protocol needs e, whether packets come or not, and
	// whether it has a route or not.
	// When that time has come, it calls [Cache.Flush] or [Cache.DownstreamChanged].
	Hold(e *Entry) time.Duration
	// Drop is told that e is no more.
	Drop(now time.Duration, e *Entry)
}

// Members is what the cache asks IGMP.
type Members interface {
	// Wants reports whether a host on a link wants packets of source to group.
	Wants(link host.Interface, source, group netip.Addr) bool
	// WantsAny reports whether a host on a link wants packets of any source in net
	// to group.
	WantsAny(link host.Interface, net netip.Prefix, group netip.Addr) bool
}
