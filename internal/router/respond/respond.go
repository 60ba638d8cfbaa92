// Package respond answers the questions that multicast routers are asked: who
// are your neighbours (Ask-Neighbors and Ask-Neighbors2 of DVMRP), and where does
// this source come from (mtrace, draft-ietf-idmr-traceroute-ipm).
//
// It does no I/O and has no clock. A [Responder] turns a packet into the packets
// to be sent, out of what [Tables] say at that moment; [Heard] gathers what can be
// known of other routers by listening.
//
// Everybody may send questions, so there are rules (see also the limits):
// answered are hosts on the links of this router and hosts with private
// addresses only; a trace is answered to such addresses and to 224.0.1.32 only;
// whatever else is asked gets no answer, since that would go to a victim.
package respond

import (
	"math/rand/v2"
	"net/netip"
	"time"

	"golang.org/x/time/rate"

	"mbone/proto/dvmrp"
	"mbone/proto/igmp"
	"mbone/proto/mtrace"
)

// Packet is an IGMP or PIM message that arrived.
type Packet struct {
	Time      time.Time // when the kernel received it, wall clock
	From, To  netip.Addr
	Interface int
	Message   []byte // from the type byte on
}

// Send is a packet to be sent.
type Send struct {
	// After is how long to wait first.
	After time.Duration
	To    netip.Addr
	// Source is the address to send from; invalid: the host chooses.
	Source netip.Addr
	// Interface is where multicast leaves; 0 for unicast, which goes by route.
	Interface int
	TTL       uint8
	// Loop is whether this host hears its own multicast.
	Loop    bool
	Message []byte
}

// Outcome says what became of a packet.
type Outcome uint8

// Outcomes.
const (
	Ignored     Outcome = iota // no question
	Answered                   // with a response of our own
	PassedOn                   // a trace went on to the previous hop
	Damaged                    // length, checksum or content is wrong
	NotOurs                    // sent to an address that is not this router's
	Forbidden                  // sender or response address may not get an answer
	Duplicate                  // a trace that was answered already
	Limited                    // too many questions
	NotLastHop                 // asked by multicast and not the last hop: others answer
	Failed                     // the tables could not be read
	numOutcomes = iota
)

// String returns what the outcome is called in logs.
func (o Outcome) String() string {
	return [numOutcomes]string{"ignored", "answered", "passed on", "damaged", "not ours", "forbidden",
		"duplicate", "limited", "not last hop", "failed"}[o]
}

// Counts is how many packets had each outcome.
type Counts [numOutcomes]uint64

// Result is what is to be done about a packet.
type Result struct {
	Outcome Outcome
	Err     error // why, if it is Damaged or Failed
	Send    []Send
}

// Responder answers questions. It is owned by one goroutine.
type Responder struct {
	random  *rand.Rand
	limiter *rate.Limiter
	counts  Counts
	recent  []traceID // the last traces that were answered, oldest first
	message mtrace.Message
}

// version is what we say of ourselves: a router that keeps to the draft and
// answers mtrace. Generation ids and prunes belong to DVMRP, which this is not.
var version = dvmrp.Version{Capabilities: dvmrp.CapMtrace, Minor: dvmrp.Mrouted.Minor, Major: dvmrp.Mrouted.Major}

// New returns a responder. random spreads the answers to multicast questions.
func New(random *rand.Rand) *Responder {
	return &Responder{random: random, limiter: rate.NewLimiter(packetsPerSecond, burst)}
}

// Counts returns how many packets had each outcome so far.
func (r *Responder) Counts() Counts { return r.counts }

// Handle says what to do about an IGMP message. now is monotonic. What it returns
// is valid until the next call but for the messages, which are the caller's.
func (r *Responder) Handle(now time.Time, p Packet, t Tables) Result {
	result := r.handle(now, p, t)
	r.counts[result.Outcome]++
	return result
}

func (r *Responder) handle(now time.Time, p Packet, t Tables) Result {
	if len(p.Message) < igmp.FrameLen {
		return Result{Outcome: Damaged, Err: igmp.ErrTruncated}
	}
	switch igmp.Type(p.Message[0]) {
	case igmp.TypeDVMRP:
		if code := dvmrp.Code(p.Message[1]); code == dvmrp.CodeAskNeighbors || code == dvmrp.CodeAskNeighbors2 {
			return r.neighbors(now, p, t, code)
		}
	case igmp.TypeMtraceQuery:
		return r.trace(now, p, t)
	}
	return Result{Outcome: Ignored}
}

// isOwn is whether addr is an address of this host.
func isOwn(networks []Network, addr netip.Addr) bool {
	for _, n := range networks {
		if n.Address == addr {
			return true
		}
	}
	return false
}

// mayAsk is whether addr may be sent an answer: it is this host, one on its
// links, or private (RFC 1918, RFC 3927).
func mayAsk(networks []Network, addr netip.Addr) bool {
	if !addr.IsValid() || addr.IsUnspecified() || addr.IsMulticast() {
		return false
	}
	for _, n := range networks {
		if n.isBroadcast(addr) {
			return false
		}
	}
	if addr.IsLoopback() || addr.IsPrivate() || addr.IsLinkLocalUnicast() {
		return true
	}
	for _, n := range networks {
		if n.has(addr) {
			return true
		}
	}
	return false
}

// addressTowards returns the address of an interface from which peer is reached:
// the one in peer's network or else the first; invalid if it has none.
func addressTowards(networks []Network, id int, peer netip.Addr) netip.Addr {
	var first netip.Addr
	for _, n := range networks {
		if n.Interface != id {
			continue
		}
		if n.has(peer) {
			return n.Address
		}
		if !first.IsValid() {
			first = n.Address
		}
	}
	return first
}
