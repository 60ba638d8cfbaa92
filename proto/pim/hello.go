// Package pim encodes and decodes the Hello of Protocol Independent Multicast,
// version 2 (RFC 7761 section 4.9, RFC 3973 section 4.7.5): what it takes to know
// the PIM routers on a link.
//
// PIM has an IP protocol number of its own, 103, and the checksum of IGMP.
package pim

import (
	"encoding/binary"
	"fmt"
	"math"
	"time"

	"mbone/proto/igmp"
)

// A Hello is a header of four bytes and options one after the other:
//
//	 0                   1                   2                   3
//	+-------+-------+---------------+-------------------------------+
//	| ver 2 | type 0| reserved      | checksum                      |
//	+-------+-------+---------------+-------------------------------+
//	| option type                   | length of the value n         |
//	+-------------------------------+-------------------------------+
//	| n bytes ...

// Protocol is the IP protocol number of PIM.
const Protocol = 103

// Lengths of the header and of an option without its value.
const (
	HeaderLen = 4
	optionLen = 4
)

// typeHello is the first byte of a Hello: version 2, type 0.
const typeHello = 0x20

// OptionType says what an option is.
type OptionType uint16

// Options that routers send most (RFC 7761 section 4.9.2).
const (
	OptionHoldtime      OptionType = 1  // 2 bytes: seconds
	OptionLANPruneDelay OptionType = 2  // 4 bytes
	OptionDRPriority    OptionType = 19 // 4 bytes
	OptionGenerationID  OptionType = 20 // 4 bytes
)

// DefaultHoldtime is how long a neighbour counts as present after a Hello that
// does not say it: 3.5 times the usual 30 s between two of them.
const DefaultHoldtime = 105 * time.Second

// Forever is the holdtime of a neighbour that never expires, 0xffff on the wire.
const Forever = time.Duration(math.MaxInt64)

const holdtimeForever = 0xffff

// Option is one option of a Hello. Its value is at most 65,535 bytes long.
type Option struct {
	Type  OptionType
	Value []byte
}

// Hello is what a PIM router says of itself on a link.
type Hello struct {
	Options []Option // in the order of the wire
}

// Parse reads a Hello. It reuses h.Options and their values, and takes options
// of any type and length. It does not look at the checksum: see [VerifyChecksum].
func (h *Hello) Parse(b []byte) error {
	if len(b) < HeaderLen {
		return &igmp.ParseError{Message: "pim hello", Offset: len(b), Err: igmp.ErrTruncated}
	}
	if b[0] != typeHello {
		return &igmp.ParseError{Message: "pim hello", Offset: 0, Err: igmp.ErrType}
	}
	h.Options = h.Options[:0]
	for at := HeaderLen; at < len(b); {
		if len(b)-at < optionLen {
			return &igmp.ParseError{Message: "pim hello", Offset: len(b), Err: igmp.ErrTruncated}
		}
		n := int(binary.BigEndian.Uint16(b[at+2:]))
		value := b[at+optionLen:]
		if n > len(value) {
			return &igmp.ParseError{Message: "pim hello", Offset: len(b), Err: igmp.ErrTruncated}
		}
		o := h.grow()
		o.Type = OptionType(binary.BigEndian.Uint16(b[at:]))
		o.Value = append(o.Value[:0], value[:n]...)
		at += optionLen + n
	}
	return nil
}

// grow adds an option to h and returns it, with the value slice of one that was
// there before.
func (h *Hello) grow() *Option {
	if n := len(h.Options); n < cap(h.Options) {
		h.Options = h.Options[:n+1]
	} else {
		h.Options = append(h.Options, Option{})
	}
	return &h.Options[len(h.Options)-1]
}

// Holdtime returns how long the sender wants to count as present: 0 is good-bye,
// [Forever] means what it says.
func (h *Hello) Holdtime() time.Duration {
	for _, o := range h.Options {
		if o.Type == OptionHoldtime && len(o.Value) == 2 {
			seconds := binary.BigEndian.Uint16(o.Value)
			if seconds == holdtimeForever {
				return Forever
			}
			return time.Duration(seconds) * time.Second
		}
	}
	return DefaultHoldtime
}

// Len returns the length of the encoded message.
func (h *Hello) Len() int {
	n := HeaderLen
	for _, o := range h.Options {
		n += optionLen + len(o.Value)
	}
	return n
}

// AppendBinary appends the encoded message to b, with a valid checksum. It fails
// if the value of an option is too long.
func (h *Hello) AppendBinary(b []byte) ([]byte, error) {
	start := len(b)
	b = append(b, typeHello, 0, 0, 0)
	for _, o := range h.Options {
		if len(o.Value) > math.MaxUint16 {
			return b[:start], fmt.Errorf("pim hello: option %d: value of %d bytes, at most %d can be said", o.Type, len(o.Value), math.MaxUint16)
		}
		b = binary.BigEndian.AppendUint16(b, uint16(o.Type))
		b = binary.BigEndian.AppendUint16(b, uint16(len(o.Value)))
		b = append(b, o.Value...)
	}
	igmp.PutChecksum(b[start:])
	return b, nil
}

// VerifyChecksum reports whether b is at least a header and its checksum is
// right. It is for all messages but the Register, whose checksum covers less.
func VerifyChecksum(b []byte) bool {
	return len(b) >= HeaderLen && igmp.Checksum(b) == binary.BigEndian.Uint16(b[2:])
}
