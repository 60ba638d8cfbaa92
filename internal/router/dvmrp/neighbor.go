package dvmrp

import (
	"net/netip"

	"mbone/proto/dvmrp"
)

// neighbor is a router that was heard on a link.
type neighbor struct {
	link    *link
	addr    netip.Addr
	version dvmrp.Version
	// order numbers neighbours as they come.
	order uint64
	state State
	// young is whether it is a peer for so short a time that it cannot have told
	// all its routes.
	young bool
	// gone is whether it is lost. What refers to it yet has to be cleaned.
	gone bool
}

// State says how far a neighbour has come.
type State uint8

// States of neighbours, as mrouted has them. Routes are exchanged with a Peer only.
const (
	Waiting State = iota // it has not said yet that it hears this router
	OneWay               // it does not hear this router
	TooOld               // it cannot prune, and that is not allowed on the link
	Peer
)

// String returns the state as in "one-way".
func (s State) String() string { return [...]string{"waiting", "one-way", "too-old", "peer"}[s] }

// isPeer reports whether routes are exchanged with the neighbour.
func (n *neighbor) isPeer() bool { return n.state == Peer && !n.gone }
