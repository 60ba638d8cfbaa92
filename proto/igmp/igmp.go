// Package igmp encodes and decodes the Internet Group Management Protocol,
// versions 1 to 3 (RFC 1112, RFC 2236, RFC 3376), and holds what the protocols
// that ride in IGMP share with it: the eight-byte frame, the checksum, the types
// and the well-known groups.
//
// Parse methods take a message from the type byte on, without the IP header.
// They reuse the slices of their receiver, copy what they keep and allocate
// only for bytes that are really there, whatever a count in the message
// promises. After an error the content of the receiver is undefined. They do
// not look at the checksum, so that a tool can show a damaged answer if it
// wants to: see [VerifyChecksum].
//
// AppendBinary methods append the encoded message with a valid checksum to their
// argument; after an error they return the argument as it was. Len methods
// return how many bytes AppendBinary appends.
package igmp

import (
	"errors"
	"fmt"
	"net/netip"
)

// Type is the first byte of an IGMP message.
type Type uint8

// The types of IGMP messages, and of the protocols that ride in IGMP.
const (
	TypeQuery               Type = 0x11 // RFC 1112, 2236 and 3376
	TypeReportV1            Type = 0x12 // RFC 1112
	TypeDVMRP               Type = 0x13 // see proto/dvmrp
	TypePIMv1               Type = 0x14
	TypeCiscoTrace          Type = 0x15
	TypeReportV2            Type = 0x16 // RFC 2236
	TypeLeave               Type = 0x17 // RFC 2236
	TypeMtraceResponse      Type = 0x1e // see proto/mtrace
	TypeMtraceQuery         Type = 0x1f // see proto/mtrace: query and request
	TypeReportV3            Type = 0x22 // RFC 3376
	TypeRouterAdvertisement Type = 0x30 // RFC 4286
	TypeRouterSolicitation  Type = 0x31 // RFC 4286
	TypeRouterTermination   Type = 0x32 // RFC 4286
)

// String returns the name of the type, as in "v2 report".
func (t Type) String() string {
	switch t {
	case TypeQuery:
		return "query"
	case TypeReportV1:
		return "v1 report"
	case TypeDVMRP:
		return "DVMRP"
	case TypePIMv1:
		return "PIMv1"
	case TypeCiscoTrace:
		return "Cisco trace"
	case TypeReportV2:
		return "v2 report"
	case TypeLeave:
		return "leave"
	case TypeMtraceResponse:
		return "mtrace response"
	case TypeMtraceQuery:
		return "mtrace query"
	case TypeReportV3:
		return "v3 report"
	case TypeRouterAdvertisement:
		return "router advertisement"
	case TypeRouterSolicitation:
		return "router solicitation"
	case TypeRouterTermination:
		return "router termination"
	}
	return fmt.Sprintf("type 0x%02x", uint8(t))
}

// Groups with a meaning of their own (RFC 5771 and the IANA registry).
var (
	AllSystems      = netip.AddrFrom4([4]byte{224, 0, 0, 1})   // general queries; never reported
	AllRouters      = netip.AddrFrom4([4]byte{224, 0, 0, 2})   // leaves, mtrace queries
	DVMRPRouters    = netip.AddrFrom4([4]byte{224, 0, 0, 4})   // probes and reports
	PIMRouters      = netip.AddrFrom4([4]byte{224, 0, 0, 13})  // PIM Hello and everything after it
	IGMPv3Routers   = netip.AddrFrom4([4]byte{224, 0, 0, 22})  // v3 reports
	AllSnoopers     = netip.AddrFrom4([4]byte{224, 0, 0, 106}) // RFC 4286
	MtraceResponses = netip.AddrFrom4([4]byte{224, 0, 1, 32})  // mtrace answers by multicast
	MBoneAudio      = netip.AddrFrom4([4]byte{224, 2, 0, 1})   // what mtrace asked for by default
)

// Unspecified is 0.0.0.0: the group of a general query, a neighbour that is not
// there.
var Unspecified = netip.AddrFrom4([4]byte{})

var (
	localControl   = netip.PrefixFrom(netip.AddrFrom4([4]byte{224, 0, 0, 0}), 24)
	sourceSpecific = netip.PrefixFrom(netip.AddrFrom4([4]byte{232, 0, 0, 0}), 8)
)

// LinkLocal reports whether group lies in 224.0.0.0/24, which no router
// forwards whatever the TTL (RFC 5771 section 4).
func LinkLocal(group netip.Addr) bool { return localControl.Contains(group) }

// SourceSpecific reports whether group lies in 232.0.0.0/8, which knows
// (source, group) memberships only (RFC 4607).
func SourceSpecific(group netip.Addr) bool { return sourceSpecific.Contains(group) }

// Causes of a [ParseError], for errors.Is.
var (
	// ErrType: the message is of another type or code than the receiver of Parse.
	ErrType = errors.New("another type of message")
	// ErrTruncated: the message ends before what it must hold.
	ErrTruncated = errors.New("message ends early")
	// ErrValue: a field holds what it must not.
	ErrValue = errors.New("illegal value")
)

// ParseError says why bytes are not the message that they were taken for.
type ParseError struct {
	Message string // what was to be decoded: "igmp query", "dvmrp report"
	Offset  int    // of the byte that is wrong or missing, from the type byte on
	Err     error  // wraps ErrType, ErrTruncated or ErrValue
}

func (e *ParseError) Error() string {
	return fmt.Sprintf("%s: byte %d: %v", e.Message, e.Offset, e.Err)
}

// Unwrap returns the cause.
func (e *ParseError) Unwrap() error { return e.Err }
