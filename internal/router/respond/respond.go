// Package respond answers the questions that multicast routers are asked: who
// are your neighbours (Ask-Neighbors and Ask-Neighbors2 of DVMRP), what are you
// (Info-Request of mrouted), and where does this source come from (mtrace,
// draft-ietf-idmr-traceroute-ipm).
//
// It does no I/O and has no clock. A [Responder] turns a packet into the packets
// to be sent, out of what [Tables] say at that moment; [Heard] gathers what can be
// known of other routers by listening.
//
// Everybody may send questions, so there are rules: answered is who may ask
// ([host.Asking]), and no faster than [Limits] say. A trace is answered to an
// address that may ask and to 224.0.1.32 only, whoever sent it. Whatever else is
// asked gets no answer, since that would go to a victim.
package respond

import (
	"math/rand/v2"
	"net/netip"
	"time"

	"mbone/internal/router/host"
	"mbone/proto/dvmrp"
	"mbone/proto/igmp"
	"mbone/proto/mtrace"
)

// Packet is an IGMP or PIM message that arrived.
type Packet struct {
	Time      time.Time // when the kernel received it, wall clock
	From, To  netip.Addr
	Interface int
	// Ours is whether To is an address of this router, listed in Networks or not.
	Ours    bool
	Message []byte // from the type byte on
}

// Send is a packet to be sent.
type Send struct {
	To netip.Addr
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
	Prohibited                 // a trace was answered: it ends here by policy
	Duplicate                  // a trace that was answered already
	Limited                    // too many questions
	NotLastHop                 // asked by multicast and not the last hop: others answer
	Failed                     // the tables could not be read
	numOutcomes = iota
)

// String returns what the outcome is called in logs.
func (o Outcome) String() string {
	return [numOutcomes]string{"ignored", "answered", "passed on", "damaged", "not ours", "forbidden",
		"prohibited", "duplicate", "limited", "not last hop", "failed"}[o]
}

// Counts is how many packets had each outcome.
type Counts [numOutcomes]uint64

// Result is what is to be done about a packet.
type Result struct {
	Outcome Outcome
	Err     error // why, if it is Damaged or Failed
	// After is how long to wait before sending.
	After time.Duration
	Send  []Send
}

// Identity is what a router says of itself.
type Identity struct {
	Version dvmrp.Version
	// Text is what the answer to an Info-Request says, such as "mroutd 1.0". If it
	// is empty, there is none.
	Text string
}

// KernelIdentity is that of a host that answers for what others route: it keeps to
// the draft and answers mtrace. Generation ids and prunes belong to DVMRP.
var KernelIdentity = Identity{Version: dvmrp.Version{
	Capabilities: dvmrp.CapMtrace, Minor: dvmrp.Mrouted.Minor, Major: dvmrp.Mrouted.Major,
}}

// Responder answers questions. It is owned by one goroutine.
type Responder struct {
	random    *rand.Rand
	asking    host.Asking
	identity  Identity
	near, far *Limiter
	counts    Counts
	recent    duplicates
	answers   [2]encoded // to Ask-Neighbors2 and Ask-Neighbors

	// What follows is used again and again.
	message mtrace.Message
	encoded []byte
	info    dvmrp.Info
	send    []Send
}

// New returns a responder that answers this host only, until Configure. random
// spreads the answers to multicast questions.
func New(random *rand.Rand, limits Limits) *Responder {
	r := &Responder{random: random, near: NewLimiter(limits.Near)}
	if r.far = r.near; limits.Far != (Rates{}) {
		r.far = NewLimiter(limits.Far)
	}
	return r
}

// Configure says who may ask from now on, and what the router says of itself.
func (r *Responder) Configure(asking host.Asking, identity Identity) {
	r.asking, r.identity = asking, identity
	r.answers = [2]encoded{}
}

// Counts returns how many packets had each outcome so far.
func (r *Responder) Counts() Counts { return r.counts }

// Handle says what to do about an IGMP message. now is monotonic. What it returns
// is valid until the next call; messages that are to be sent later stay. None is to be
// changed.
func (r *Responder) Handle(now time.Duration, p Packet, t Tables) Result {
	result := r.handle(now, p, t)
	r.counts[result.Outcome]++
	return result
}

func (r *Responder) handle(now time.Duration, p Packet, t Tables) Result {
	if len(p.Message) < igmp.FrameLen {
		return Result{Outcome: Damaged, Err: igmp.ErrTruncated}
	}
	switch igmp.Type(p.Message[0]) {
	case igmp.TypeDVMRP:
		switch code := dvmrp.Code(p.Message[1]); code {
		case dvmrp.CodeAskNeighbors, dvmrp.CodeAskNeighbors2, dvmrp.CodeInfoRequest:
			return r.dvmrp(now, p, t, code)
		}
	case igmp.TypeMtraceQuery:
		return r.trace(now, p, t)
	}
	return Result{Outcome: Ignored}
}

// allow counts n packets that are due to a question of somebody.
func (r *Responder) allow(now time.Duration, from netip.Addr, s standing, n int, t Tables) bool {
	if s == near {
		return r.near.Allow(now, from, n, t.Neighbor)
	}
	return r.far.Allow(now, from, n, t.Neighbor)
}
