package dvmrp

import (
	"mbone/internal/router/host"
)

// Refusal says why a packet, or a route of one, was not taken.
type Refusal uint8

// Refusals.
const (
	Malformed        Refusal = iota // it cannot be read
	UnknownCode                     // no such message
	WrongGroup                      // sent to another group than 224.0.0.4
	NotForUs                        // sent to an address that is not the router's
	WrongLink                       // no neighbours may be there
	OwnPacket                       // sent by this router
	WrongSender                     // the sender cannot be on the link
	NoPeer                          // a report of somebody who is no peer
	Unasked                         // an answer to no question
	TooManyNeighbors                // no room for another neighbour
	TooManyRestarts                 // a neighbour starts again and again
	TooManyReports                  // no room in the queue of a blaster link
	TooManyRoutes                   // no room for a route
	TooLong                         // a report with too many routes: the last ones
	IllegalMetric                   // a route
	IllegalNetwork                  // a route
	DuplicateRoute                  // a route that is twice in a report
	refusals
)

// String returns the reason as in "illegal-metric".
func (r Refusal) String() string {
	return [...]string{"malformed", "unknown-code", "wrong-group", "not-for-us", "wrong-link", "own-packet",
		"wrong-sender", "no-peer", "unasked", "too-many-neighbors", "too-many-restarts", "too-many-reports", "too-many-routes",
		"too-long", "illegal-metric", "illegal-network", "duplicate-route"}[r]
}

// Refused returns how often each thing was refused, by [Refusal].
func (p *Protocol) Refused() []uint64 {
	refused := p.refused
	return refused[:]
}

// refuse counts a packet that is not taken. l may be nil.
func (p *Protocol) refuse(why Refusal, l *link, packet *host.Packet) {
	p.refused[why]++
	if !host.Debugs(p.env.Log.Neighbors) {
		return
	}
	name := ""
	if l != nil {
		name = l.Name
	}
	p.env.Log.Neighbors.Debug("refused a packet", "interface", name, "from", packet.From, "to", packet.To, "reason", why)
}
