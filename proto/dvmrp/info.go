package dvmrp

import (
	"bytes"
	"fmt"

	"mbone/proto/internal/wire"
)

// Info-Request and Info-Reply are of mrouted 3.9 and later and not in the draft:
// header, then any number of
//
//	 0                   1                   2                   3
//	+---------------+---------------+-------------------------------+
//	| type          | length n      | reserved                      |
//	+---------------+---------------+-------------------------------+
//	| value, n 32-bit words ...                                     |
//
// A request names the types that it wants, without values.

const (
	tlvLen      = 4 // without the value
	wordLen     = 4
	maxTLVWords = 255
)

// InfoType says what a [TLV] of an Info message is about.
type InfoType uint8

// The types of mrouted. It never answers InfoNeighbors.
const (
	InfoVersion   InfoType = 1 // the version as text: "mrouted version 3.9-beta3"
	InfoNeighbors InfoType = 2 // data of a Neighbors2 message
)

// TLV is one fact of an Info message.
type TLV struct {
	Type InfoType
	// Value is empty in a request. It is filled up with zeros to whole 32-bit
	// words on the wire, and so it is when it comes from there.
	Value []byte
}

// Text returns the value of a text without the zeros that fill it up.
func (t TLV) Text() string { return string(bytes.TrimRight(t.Value, "\x00")) }

// Info asks a router about itself; with Reply set, it is the answer.
type Info struct {
	Version Version
	Reply   bool
	TLVs    []TLV
	// Truncated is set by Parse if the message ends inside a TLV.
	Truncated bool
}

// Parse reads an Info-Request or Info-Reply. It reuses i.TLVs and the Value of
// each. For a type that it does not answer mrouted leaves four bytes of anything in
// the reply; hence a TLV that goes past the end is not an error: it is left out, and
// Truncated is set. TLVs of unknown types are kept.
func (i *Info) Parse(b []byte) error {
	c, v, err := parseHeader(b, CodeInfoRequest, CodeInfoReply)
	if err != nil {
		return err
	}
	i.Version, i.Reply = v, c == CodeInfoReply
	i.TLVs = i.TLVs[:0]
	for b = b[HeaderLen:]; len(b) >= tlvLen; {
		end := tlvLen + int(b[1])*wordLen
		if end > len(b) {
			break
		}
		i.TLVs = wire.Grow(i.TLVs)
		t := &i.TLVs[len(i.TLVs)-1]
		t.Type = InfoType(b[0])
		t.Value = append(t.Value[:0], b[tlvLen:end]...)
		b = b[end:]
	}
	i.Truncated = len(b) > 0
	return nil
}

// Len returns the length of the encoded message.
func (i *Info) Len() int {
	l := HeaderLen
	for _, t := range i.TLVs {
		l += tlvLen + t.words()*wordLen
	}
	return l
}

// words returns the length of the value in 32-bit words.
func (t TLV) words() int { return (len(t.Value) + wordLen - 1) / wordLen }

func (i *Info) code() Code {
	if i.Reply {
		return CodeInfoReply
	}
	return CodeInfoRequest
}

// AppendBinary appends the encoded message to b. It fails if a value is longer
// than 1020 bytes.
func (i *Info) AppendBinary(b []byte) ([]byte, error) {
	start := len(b)
	b = appendHeader(b, i.code(), i.Version)
	for n, t := range i.TLVs {
		if t.words() > maxTLVWords {
			return finish(b, start, i.code(), fmt.Errorf("value %d has %d bytes, at most %d can be said",
				n, len(t.Value), maxTLVWords*wordLen))
		}
		b = append(b, byte(t.Type), byte(t.words()), 0, 0)
		b = append(b, t.Value...)
		for pad := t.words()*wordLen - len(t.Value); pad > 0; pad-- {
			b = append(b, 0)
		}
	}
	return finish(b, start, i.code(), nil)
}
