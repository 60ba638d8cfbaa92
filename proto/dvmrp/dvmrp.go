// Package dvmrp encodes and decodes the messages of the Distance Vector
// Multicast Routing Protocol, version 3, as mrouted 3.x and 4.x speak it.
//
// Every message is an IGMP message of type 0x13. The first eight bytes are
// common to all of them:
//
//	 0                   1                   2                   3
//	+---------------+---------------+-------------------------------+
//	| type 0x13     | code          | checksum                      |
//	+---------------+---------------+---------------+---------------+
//	| reserved      | capabilities  | minor version | major version |
//	+---------------+---------------+---------------+---------------+
//
// Parse methods take the whole message from the type byte on, reuse the slices
// of their receiver and keep nothing of the caller's. They do not look at the
// checksum: see [mbone/proto/igmp.VerifyChecksum]. AppendBinary writes a valid
// checksum.
package dvmrp

import "net/netip"

// Code is the second byte of a DVMRP message and says which message it is.
type Code uint8

// The codes of draft-ietf-idmr-dvmrp-v3; 10 and 11 are of mrouted 3.9 and later.
const (
	CodeProbe         Code = 1
	CodeReport        Code = 2
	CodeAskNeighbors  Code = 3
	CodeNeighbors     Code = 4
	CodeAskNeighbors2 Code = 5
	CodeNeighbors2    Code = 6
	CodePrune         Code = 7
	CodeGraft         Code = 8
	CodeGraftAck      Code = 9
	CodeInfoRequest   Code = 10
	CodeInfoReply     Code = 11
)

// Capabilities is the sixth byte of a message: what its sender can do.
type Capabilities uint8

// Capability bits, in the order of their values.
const (
	CapLeaf    Capabilities = 0x01
	CapPrune   Capabilities = 0x02
	CapGenID   Capabilities = 0x04
	CapMtrace  Capabilities = 0x08
	CapSNMP    Capabilities = 0x10
	CapNetmask Capabilities = 0x20
)

// Version is who speaks: bytes 4 to 7 of every message, in that order.
// mrouted reads the same four bytes as one number and calls it the level.
type Version struct {
	Reserved     uint8 // 0 on the wire; kept so that a message encodes as it came
	Capabilities Capabilities
	Minor, Major uint8
}

// InterfaceFlags describe one interface in a [Neighbors2] answer.
type InterfaceFlags uint8

// Interface flags, in the order of their values. 0x08 is unassigned.
const (
	FlagTunnel   InterfaceFlags = 0x01
	FlagSrcRt    InterfaceFlags = 0x02
	FlagPIM      InterfaceFlags = 0x04
	FlagDown     InterfaceFlags = 0x10
	FlagDisabled InterfaceFlags = 0x20
	FlagQuerier  InterfaceFlags = 0x40
	FlagLeaf     InterfaceFlags = 0x80
)

// Interface is one record of a Neighbors or Neighbors2 answer. Several records
// may name the same local address: tunnels share it with a physical interface.
type Interface struct {
	Local     netip.Addr
	Metric    uint8
	Threshold uint8
	Flags     InterfaceFlags // 0 in a Neighbors (code 4) answer
	// Neighbors holds 0.0.0.0 alone where the sender has no neighbour.
	Neighbors []netip.Addr
}
