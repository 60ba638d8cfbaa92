// Package dvmrp encodes and decodes the messages of the Distance Vector
// Multicast Routing Protocol, version 3 (draft-ietf-idmr-dvmrp-v3), as mrouted
// 3.x and 4.x speak it.
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
// Parse methods take the whole message from the type byte on, without the IP
// header. They reuse the slices of their receiver, keep nothing of the caller's
// and allocate only for bytes that are really there, whatever a count in the
// message promises. After an error, an [igmp.ParseError], the content of the
// receiver is undefined. They do not look at the checksum: see
// [igmp.VerifyChecksum].
//
// AppendBinary methods append the encoded message with a valid checksum to their
// argument; after an error they return the argument as it was. Len methods
// return how many bytes AppendBinary appends.
package dvmrp

import (
	"encoding/binary"
	"fmt"

	"mbone/proto/igmp"
)

// HeaderLen is the length of what all messages have in common.
const HeaderLen = igmp.FrameLen

// MaxData is the most data, after the header, that mrouted puts into one Report
// or Neighbors message: with the longest IP header (60 bytes) the packet has 576
// bytes, which every host must take (RFC 791 section 3.1).
const MaxData = 576 - 60 - HeaderLen

// MaxReport is the most data of a Report of ours: with an IP header that has Router
// Alert and nothing else (24 bytes) the packet has 576 bytes.
const MaxReport = 576 - 24 - HeaderLen

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

// String returns the name of the code, as in "graft-ack".
func (c Code) String() string {
	switch c {
	case CodeProbe:
		return "probe"
	case CodeReport:
		return "report"
	case CodeAskNeighbors:
		return "ask-neighbors"
	case CodeNeighbors:
		return "neighbors"
	case CodeAskNeighbors2:
		return "ask-neighbors2"
	case CodeNeighbors2:
		return "neighbors2"
	case CodePrune:
		return "prune"
	case CodeGraft:
		return "graft"
	case CodeGraftAck:
		return "graft-ack"
	case CodeInfoRequest:
		return "info-request"
	case CodeInfoReply:
		return "info-reply"
	}
	return fmt.Sprintf("code %d", uint8(c))
}

// ParseHeader reads the first eight bytes of any DVMRP message: which message it
// is and who speaks.
func ParseHeader(b []byte) (Code, Version, error) {
	if len(b) < HeaderLen {
		return 0, Version{}, &igmp.ParseError{Message: "dvmrp", Offset: len(b), Err: igmp.ErrTruncated}
	}
	if igmp.Type(b[0]) != igmp.TypeDVMRP {
		return 0, Version{}, &igmp.ParseError{Message: "dvmrp", Offset: 0, Err: igmp.ErrType}
	}
	return Code(b[1]), VersionOf(binary.BigEndian.Uint32(b[4:])), nil
}

// parseHeader reads the header of a message that must have one of two codes.
func parseHeader(b []byte, code, or Code) (Code, Version, error) {
	c, v, err := ParseHeader(b)
	if err == nil && c != code && c != or {
		err = &igmp.ParseError{Message: "dvmrp " + code.String(), Offset: 1, Err: igmp.ErrType}
	}
	return c, v, err
}

// appendHeader appends a header with an empty checksum.
func appendHeader(b []byte, c Code, v Version) []byte {
	return append(b, byte(igmp.TypeDVMRP), byte(c), 0, 0, v.Reserved, byte(v.Capabilities), v.Minor, v.Major)
}

// finish ends the encoding of a message that starts at b[start:]: it writes the
// checksum or, after an error, takes the message back.
func finish(b []byte, start int, c Code, err error) ([]byte, error) {
	if err != nil {
		return b[:start], fmt.Errorf("dvmrp %v: %w", c, err)
	}
	igmp.PutChecksum(b[start:])
	return b, nil
}

// tooShort returns the error of a message that ends at byte n, too early.
func tooShort(c Code, n int) error {
	return &igmp.ParseError{Message: "dvmrp " + c.String(), Offset: n, Err: igmp.ErrTruncated}
}

// errCode returns the error of a message to be written whose code is neither of
// these.
func errCode(code, or Code) error {
	return fmt.Errorf("expected code %d or %d", uint8(code), uint8(or))
}
