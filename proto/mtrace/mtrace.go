// Package mtrace encodes and decodes multicast traceroute, version 1, the
// traceroute that rides in IGMP (draft-ietf-idmr-traceroute-ipm).
package mtrace

import "net/netip"

// Type is the IGMP type of an mtrace message.
type Type uint8

// A query and a request share one type: a query carries no block.
const (
	TypeResponse Type = 0x1e
	TypeQuery    Type = 0x1f
)

// Unknown is the value of a counter that a router does not have.
const Unknown uint32 = 0xffffffff

// Message is a query (no blocks), a request or a response.
type Message struct {
	Type     Type
	Hops     uint8 // the most blocks wanted, 1 to 255
	Group    netip.Addr
	Source   netip.Addr
	Receiver netip.Addr // "destination" in the draft
	// Response is where the answer is to be sent: unicast or multicast.
	Response netip.Addr
	// ResponseTTL is byte 20. It counts only if Response is multicast.
	ResponseTTL uint8
	QueryID     uint32 // 24 bits: bytes 21 to 23
	// Blocks come in the order of the wire: the last-hop router first.
	Blocks []Block
}

// Protocol is the multicast routing protocol that a router uses for the source.
type Protocol uint8

// Code says why a router does or does not forward.
type Code uint8

// Block is what one router says of itself.
type Block struct {
	// Arrival is when the query came: the middle 32 bits of an NTP time.
	Arrival uint32
	// Incoming is the address of the interface towards the source, 0.0.0.0 if unknown.
	Incoming netip.Addr
	// Outgoing is the address of the interface towards the receiver.
	Outgoing netip.Addr
	// Previous is the upstream router: 0.0.0.0 where the source is on the
	// link, 224.0.0.2 where it is not known.
	Previous     netip.Addr
	PacketsIn    uint32 // all multicast in on Incoming; Unknown
	PacketsOut   uint32 // all multicast out on Outgoing; Unknown
	PacketsGroup uint32 // packets of (source, group); Unknown
	Protocol     Protocol
	FwdTTL       uint8 // threshold of Outgoing
	// Mask is byte 30 as it came: bit 7 must be zero, bit 6 is S (PacketsGroup
	// counts the whole source net), bits 5-0 are the length of the source mask.
	Mask uint8
	Code Code
}
