// Package host is the contract between the router's engine and the host that it
// runs on: what the host tells ([Event]), what the engine wants done ([Actions]),
// and what it may ask ([Counters]). Linux (internal/plane) and the network in
// memory (internal/sim) are two such hosts.
//
// Time is a monotonic [time.Duration] since the host started; packets carry wall
// time besides, for mtrace. Nothing here does anything.
package host

import (
	"net/netip"
	"time"
)

// Interface identifies an interface of the router. It is above 0 and never used
// again for another one; the numbers of the kernel (vif, ifindex) are the host's
// business.
type Interface int

// Network is a network that is reached over a link without a router.
type Network struct {
	// Address is the router's own address in it; invalid if it has none (altnet).
	Address netip.Addr
	Prefix  netip.Prefix
}

// Link is an interface as it is now, and as it is meant to be used.
type Link struct {
	ID   Interface
	Name string
	// Up is whether packets can pass.
	Up bool
	// PointToPoint is whether there is one neighbour at most.
	PointToPoint bool
	// Address is what the router calls itself on the link: an address of the
	// interface, or the local end of the tunnel. A link without one is not used.
	Address netip.Addr
	// Networks are those of an interface; the first one is that of Address. A
	// tunnel has none.
	Networks []Network
	// Remote is the other end of a tunnel; invalid otherwise.
	Remote netip.Addr
	// Beside is whether the control messages of a tunnel are sent to its other end
	// as they are, and not through it.
	Beside bool
	LinkSettings
}

// IsTunnel reports whether the link is a tunnel.
func (l *Link) IsTunnel() bool { return l.Remote.IsValid() }

// Owns reports whether addr is an address of the router on this link.
func (l *Link) Owns(addr netip.Addr) bool {
	if l.Address == addr {
		return true
	}
	for _, n := range l.Networks {
		if n.Address == addr {
			return true
		}
	}
	return false
}

// Has reports whether addr can be that of somebody on the link: it is in one of
// its networks and neither the network itself nor everybody, or the other end of
// the tunnel. The router's own addresses count.
func (l *Link) Has(addr netip.Addr) bool {
	if l.IsTunnel() {
		return addr == l.Remote || addr == l.Address
	}
	for _, n := range l.Networks {
		if n.Prefix.Contains(addr) && (n.Prefix.Bits() >= 31 || addr != n.Prefix.Addr() && n.Prefix.Contains(addr.Next())) {
			return true
		}
	}
	return false
}

// LinkSettings are what the configuration says of a link. The options have the
// meaning of mrouted.conf.
type LinkSettings struct {
	// Enabled is false for an interface that is known, and not to be used.
	Enabled bool
	// Metric (1 to 31) is the cost of receiving over the link, AdvertMetric (0 to
	// 31) is added to what is told there.
	Metric, AdvertMetric uint8
	// Threshold (1 to 255) is the least TTL that packets leave with.
	Threshold uint8
	// Boundaries are ranges of groups that do not cross the link.
	Boundaries                                   []netip.Prefix
	Passive, NoFlood, ForceLeaf, AllowNonpruners bool
	NoTransit, Blaster, RexmitPrunes             bool
	// PruneLifetime is the average lifetime of prunes that are sent there.
	PruneLifetime time.Duration
	Filter        Filter
	// ProbeInterval and NeighborTimeout are 0 where what the neighbours are decides.
	ProbeInterval, NeighborTimeout time.Duration
	// IGMP is the version of IGMP to be spoken, 1 to 3.
	IGMP uint8
	// StaticGroups always have members.
	StaticGroups []netip.Addr
}

// Filter says which routes are taken from a link. The zero value takes all.
type Filter struct {
	// Deny is whether Routes are those that are not taken; else only they are.
	// Without Routes all are taken.
	Deny   bool
	Routes []FilterRoute
	Bidir  bool // it also says what is told on the link
}

// FilterRoute is a route of a filter, and unless it is Exact all within it.
type FilterRoute struct {
	Prefix netip.Prefix
	Exact  bool
}

// Settings are those of the router as a whole.
type Settings struct {
	// Version is what the router says of itself when a neighbour asks, such as
	// "mroutd 1.0". It begins with [VersionPrefix].
	Version string
	// Generation is the generation id of DVMRP: another one for every start.
	Generation uint32
	// CacheLifetime is how long an unused entry stays.
	CacheLifetime time.Duration
	// RouterAlert is whether the option is sent on multicast.
	RouterAlert bool
	IGMP        IGMP
	Asking      Asking
	Limits      Limits
	// Forwarding is whether the host forwards unicast: then the engine passes on
	// packets with Router Alert that are for somebody else.
	Forwarding bool
}

// VersionPrefix is how the version of every mroutd begins: by that they recognise
// each other, and use shorter times.
const VersionPrefix = "mroutd"

// IGMP holds the variables of RFC 3376 section 8.
type IGMP struct {
	QueryInterval, ResponseInterval, LastMemberInterval time.Duration
	Robustness                                          int
	// OtherQuerierPresent is how long another querier counts after its last query.
	OtherQuerierPresent time.Duration
}

// Asking is who gets answers to questions. The router itself always does.
type Asking struct {
	Local   bool // hosts on the links of the router and the other ends of tunnels
	Private bool // hosts with addresses of RFC 1918 or RFC 3927
	Routed  bool // hosts within a route of DVMRP
	Any     bool
	// Networks are further hosts.
	Networks []netip.Prefix
	// ResponseGroups are where multicast answers may go besides 224.0.1.32.
	ResponseGroups []netip.Addr
}

// Limits bound what the router keeps, in total. All are above 0.
type Limits struct {
	Routes, Neighbors, Groups, Sources, Entries, Prunes int
}

// Event is something that the host tells: one of *Packet, *Upcall, *LinkChanged,
// *LinkRemoved, *Configured and *Tick.
type Event interface{ event() }

// Packet is an IGMP packet that arrived. The engine keeps nothing of it.
type Packet struct {
	Interface Interface // 0: not one of the router's links
	From, To  netip.Addr
	TTL       uint8
	// Alert is whether it has the Router Alert option.
	Alert bool
	// Local is whether the host knows To for one of its own addresses, on a link of
	// the router or not.
	Local bool
	// Header is the IP header with its options, as it came.
	Header []byte
	// Wall is when the kernel received it.
	Wall    time.Time
	Message []byte // from the type byte on
}

// Upcall is a question of the kernel about a packet.
type Upcall struct {
	Kind          UpcallKind
	Interface     Interface // where the packet came in
	Source, Group netip.Addr
}

// UpcallKind says what the kernel asks.
type UpcallKind uint8

// Kinds of upcalls.
const (
	NoCache  UpcallKind = 1 + iota // there is no entry
	WrongVif                       // the entry says another incoming interface
)

// LinkChanged tells a new link, or a new state or new settings of one.
type LinkChanged struct{ Link Link }

// LinkRemoved tells that a link does not exist any more.
type LinkRemoved struct{ Interface Interface }

// Configured tells the settings: before anything else, and when they change.
type Configured struct{ Settings Settings }

// Tick tells that the deadline has passed. It is not an error if it has not.
type Tick struct{}

// Shutdown tells that the router is going to end: it says good-bye.
type Shutdown struct{}

func (*Packet) event()      {}
func (*Upcall) event()      {}
func (*LinkChanged) event() {}
func (*LinkRemoved) event() {}
func (*Configured) event()  {}
func (*Tick) event()        {}
func (*Shutdown) event()    {}

// Actions are what the engine wants done after an event, entries first. They are
// valid until the next event.
type Actions struct {
	// Entries are in the order in which they are to be applied.
	Entries []Entry
	Send    []Send
}

// Reset empties a, and keeps its room.
func (a *Actions) Reset() { a.Entries, a.Send = a.Entries[:0], a.Send[:0] }

// Entry is a forwarding entry of the kernel that is to be added, changed or
// removed.
type Entry struct {
	Source, Group netip.Addr
	// In is where packets come in; 0: remove the entry.
	In Interface
	// Outputs are where they leave, sorted by interface; not kept by the host.
	Outputs []Output
}

// Output is an interface that packets leave by if their TTL is greater than TTL.
type Output struct {
	Interface Interface
	TTL       uint8
}

// Send is an IGMP packet to be sent.
type Send struct {
	// Interface is where a multicast packet leaves; 0 for unicast, which goes by
	// route.
	Interface Interface
	// From is an address of the router; invalid: the host chooses.
	From netip.Addr
	To   netip.Addr
	TTL  uint8
	// Alert is whether it has the Router Alert option: multicast only.
	Alert bool
	// Loop is whether this host hears its own multicast.
	Loop bool
	// Header is nil, or the IP header of a packet of somebody else that is passed
	// on: then From, TTL and Alert are those of it.
	Header  []byte
	Message []byte
}

// Counters is what the engine may ask the host at any time.
type Counters interface {
	// Flow returns how many packets an entry of the kernel has seen since it was
	// added; ok is false if there is no such entry.
	Flow(source, group netip.Addr) (n FlowCount, ok bool)
	// Link returns how many packets were forwarded in from and out to a link.
	Link(id Interface) (LinkCount, bool)
}

// FlowCount counts the packets of an entry.
type FlowCount struct{ Packets, Bytes, WrongIf uint64 }

// LinkCount counts the multicast packets that were forwarded.
type LinkCount struct{ PacketsIn, PacketsOut, BytesIn, BytesOut uint64 }
