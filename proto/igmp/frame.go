package igmp

import (
	"net/netip"

	"mbone/proto/internal/wire"
)

// The frame that every IGMP message starts with (RFC 2236 section 2):
//
//	 0                   1                   2                   3
//	+---------------+---------------+-------------------------------+
//	| type          | code          | checksum                      |
//	+---------------+---------------+-------------------------------+
//	| group, or what the type puts there                            |
//	+---------------------------------------------------------------+
//	| body ...

// FrameLen is the length of the shortest IGMP message: routers drop what is
// shorter.
const FrameLen = 8

// Frame is an IGMP message of any type, not decoded further: for types that have
// no decoder (PIMv1, router discovery) and for finding out which one to use.
type Frame struct {
	Type Type
	Code uint8 // called "max resp time" in a query, hops in mtrace
	// Group is bytes 4 to 7. DVMRP and v3 reports have other things there.
	Group netip.Addr
	Body  []byte // what follows
}

// Parse reads any message of at least eight bytes.
func (f *Frame) Parse(b []byte) error {
	if len(b) < FrameLen {
		return &ParseError{"igmp", len(b), ErrTruncated}
	}
	f.Type = Type(b[0])
	f.Code = b[1]
	f.Group = wire.Addr(b[4:])
	f.Body = append(f.Body[:0], b[FrameLen:]...)
	return nil
}

// Len returns the length of the encoded message.
func (f *Frame) Len() int { return FrameLen + len(f.Body) }

// AppendBinary appends the encoded message to b. It fails if Group is not an
// IPv4 address.
func (f *Frame) AppendBinary(b []byte) ([]byte, error) {
	start := len(b)
	b = append(b, byte(f.Type), f.Code, 0, 0)
	b, err := wire.AppendAddr(b, f.Group, "igmp: group")
	if err != nil {
		return b[:start], err
	}
	b = append(b, f.Body...)
	PutChecksum(b[start:])
	return b, nil
}
