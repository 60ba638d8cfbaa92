// Package ask puts questions to multicast routers and collects their answers.
//
// A [Client] paces, retries and matches; it knows nothing of sockets. A
// [Transport] carries IGMP messages: the raw socket of the tools, a recording,
// or a test's network in memory. Any number of questions may be under way on
// one client at once: each call below blocks its own goroutine only.
package ask

import (
	"net/netip"
	"time"

	"mbone/proto/dvmrp"
	"mbone/proto/mtrace"
)

// Packet is an IGMP message that arrived.
type Packet struct {
	Time     time.Time  // when the kernel received it (wall clock)
	From, To netip.Addr // of the IP header
	TTL      uint8
	IfIndex  int    // the interface it came in on; 0 if unknown
	Message  []byte // from the IGMP type byte on
}

// Datagram is an IGMP message to be sent.
type Datagram struct {
	To      netip.Addr
	Via     Via
	TTL     uint8 // 0: 64 unicast, 1 multicast
	Message []byte
}

// Via chooses how a question leaves this host. The zero value lets the unicast
// route decide.
type Via struct {
	// Source is the source address of the question; invalid: by the route.
	Source netip.Addr
	// IfIndex is the interface that a multicast question leaves through, and
	// whose address is the source of a unicast one: unicast is never bound to
	// an interface, since the kernel would then look for the router on that link.
	IfIndex     int
	RouterAlert bool
}

// Transport carries IGMP messages. The raw socket and the fakes of tests
// satisfy it. Send and Receive may be called at the same time.
type Transport interface {
	// Send sends d and returns when it left.
	Send(d Datagram) (time.Time, error)
	// Receive waits for the next message and fills p, whose Message it may
	// reuse. It returns net.ErrClosed after Close.
	Receive(p *Packet) error
	// Join listens to a group on an interface (0: all that multicast).
	Join(group netip.Addr, ifIndex int) error
	// Source returns the address that a datagram to dst would carry, and the
	// interface of its route.
	Source(dst netip.Addr, via Via) (src netip.Addr, ifIndex int, err error)
	Close() error
}

// NeighborsQuestion asks a router for its interfaces and neighbours.
type NeighborsQuestion struct {
	// Router is whom to ask. If it is a multicast address, every router that
	// answers until the last try has waited is returned.
	Router netip.Addr
	Via    Via
	// Tries is the least number of questions sent before the router counts as
	// silent; an answer that is damaged or may lack a part is asked for again
	// beyond it. 0: [DefaultTries], or [DefaultMulticastTries].
	Tries int
	// Wait is how long each try waits. 0: by the round trips measured so far,
	// at least 50 ms, doubled with every try; one second for a multicast address.
	Wait time.Duration
	// Linger is how long to listen on after a complete answer for another one
	// that contradicts it. 0: two round trips, at least 50 ms; negative: not at
	// all, for a crawl that would rather be fast.
	Linger time.Duration
}

// NeighborsAnswer is what one router said. Answers split over several packets
// are united.
type NeighborsAnswer struct {
	Asked netip.Addr // the address of the question
	From  netip.Addr // the address that answered: another one is an alias
	// Old is set if only the old question (code 3) was answered: flags are not known.
	Old        bool
	Version    dvmrp.Version
	Interfaces []dvmrp.Interface
	RTT        time.Duration // of the try that was answered
	Tries      int
	Packets    int // how many packets the answer came in
	// BadChecksum is set if no answer with a good checksum came: its content
	// may be damaged, as Debian's pimd does.
	BadChecksum bool
	// Uncertain is set if the answer may lack records: its last packet was full.
	Uncertain bool
	// Conflicts are other well-formed answers that say something else: one of
	// them is forged or damaged, and nobody here can tell which.
	Conflicts []NeighborsAnswer
	// Time is when the first packet of the answer came.
	Time time.Time
}

// TraceQuestion is one mtrace query, sent up to Tries times.
type TraceQuestion struct {
	Tries int           // the number of queries sent before giving up; 0: [DefaultTries]
	Wait  time.Duration // how long each try waits; 0: as in [NeighborsQuestion]
	// Make returns the query of try 0, 1, 2, ...: tries may differ in the
	// response address and TTL. The client sets a fresh query id in each.
	Make func(try int) TraceQuery
	// Accept decides on a message with the right query id, source, receiver and
	// at least one block; nil takes all. It tells a request in transit from an
	// answer. It runs on the goroutine that called [Client.Trace] and must not
	// keep the message.
	Accept func(*mtrace.Message) bool
}

// TraceQuery is an mtrace query with its envelope.
type TraceQuery struct {
	To      netip.Addr
	TTL     uint8
	Via     Via
	Message mtrace.Message // Type and QueryID are set by the client
}

// TraceAnswer is the answer to a trace question.
type TraceAnswer struct {
	Query          TraceQuery // the one that was answered
	Sent, Received time.Time
	From           netip.Addr
	TTL            uint8
	Message        mtrace.Message
	Tries          int // how many queries had been sent by then
	BadChecksum    bool
}
