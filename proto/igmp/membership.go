package igmp

import (
	"fmt"
	"net/netip"

	"mbone/proto/internal/wire"
)

// Reports of versions 1 and 2, and the leave of version 2 (RFC 1112 appendix I,
// RFC 2236 section 2):
//
//	 0                   1                   2                   3
//	+---------------+---------------+-------------------------------+
//	| type 12,16,17 | 0             | checksum                      |
//	+---------------+---------------+-------------------------------+
//	| group                                                         |
//	+---------------------------------------------------------------+

// Membership says that a host joined a group, is in it or left it.
type Membership struct {
	Type  Type // [TypeReportV1], [TypeReportV2] or [TypeLeave]
	Group netip.Addr
}

// single reports whether messages of type t are those of [Membership].
func (t Type) single() bool { return t == TypeReportV1 || t == TypeReportV2 || t == TypeLeave }

// Parse reads a v1 report, a v2 report or a leave. Byte 1 and bytes after the
// group are ignored.
func (m *Membership) Parse(b []byte) error {
	if len(b) < FrameLen {
		return &ParseError{"igmp membership", len(b), ErrTruncated}
	}
	t := Type(b[0])
	if !t.single() {
		return &ParseError{"igmp membership", 0, ErrType}
	}
	m.Type, m.Group = t, wire.Addr(b[4:])
	return nil
}

// Len returns the length of the encoded message.
func (m *Membership) Len() int { return FrameLen }

// AppendBinary appends the encoded message to b. It fails if Type is another or
// Group is not an IPv4 address.
func (m *Membership) AppendBinary(b []byte) ([]byte, error) {
	start := len(b)
	if !m.Type.single() {
		return b, fmt.Errorf("igmp membership: expected the type of a v1 report, v2 report or leave, found %v", m.Type)
	}
	b = append(b, byte(m.Type), 0, 0, 0)
	b, err := wire.AppendAddr(b, m.Group, "group")
	if err != nil {
		return b[:start], fmt.Errorf("igmp %v: %w", m.Type, err)
	}
	PutChecksum(b[start:])
	return b, nil
}
