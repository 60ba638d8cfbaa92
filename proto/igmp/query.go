package igmp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"net/netip"
	"time"

	"mbone/proto/internal/wire"
)

// Query (RFC 3376 section 4.1). Versions 1 and 2 have the first eight bytes only;
// the length and byte 1 tell the versions apart (section 7.1):
//
//	 0                   1                   2                   3
//	+---------------+---------------+-------------------------------+
//	| type 0x11     | max resp code | checksum                      |  0
//	+---------------+---------------+-------------------------------+
//	| group; 0.0.0.0: all (general query)                           |  4
//	+-------+-+-----+---------------+-------------------------------+
//	| resv  |S| QRV | QQIC          | number of sources n           |  8
//	+-------+-+-----+---------------+-------------------------------+
//	| n source addresses ...                                        | 12
//
//	length      code   version
//	8           0      1: hosts answer within 10 s
//	8           not 0  2: the code is a number of 1/10 s
//	12 or more  any    3: max resp code in 1/10 s and QQIC in seconds are literal
//	                   below 128, else 1eeemmmm: (mmmm | 0x10) << (eee + 3)

const (
	queryV3Len = 12
	// suppressBit is S: routers that hear the query do not lower their timers.
	suppressBit = 0x08
	// maxQRV is the largest robustness that the three bits of QRV can say.
	maxQRV = 7
	// maxFloat is the largest value of a max resp code or QQIC: 0xff.
	maxFloat = 0x1f << 10
	// maxResponseV1 is how long hosts take to answer a v1 query (RFC 1112
	// appendix I).
	maxResponseV1 = 10 * time.Second
	// responseUnit is the unit of the max resp code.
	responseUnit = time.Second / 10
	// maxSources is the largest number of sources of a query or a record.
	maxSources = 1<<16 - 1
)

// Query asks the hosts on a link for their memberships.
type Query struct {
	Version uint8      // 1, 2 or 3
	Group   netip.Addr // 0.0.0.0 in a general query
	// MaxResponse is how long hosts may take to answer. 1: always 10 s. 2: 0.1 s
	// to 25.5 s. 3: 0 to 3174.4 s. It is rounded down to what can be said.
	MaxResponse time.Duration

	// Suppress is the S flag: routers that hear this are not to lower their
	// timers. From here on all fields are of version 3.
	Suppress bool
	// Robustness is QRV, the querier's robustness variable; 0 if it does not
	// say or is above 7.
	Robustness uint8
	// Interval is QQI, the querier's query interval: 0 to 31744 s, rounded down
	// to what can be said.
	Interval time.Duration
	Sources  []netip.Addr
}

// Parse reads a query of any version. It reuses q.Sources. A length of 9 to 11
// bytes is an error, and so is a number of sources that the message does not hold;
// bytes after the last source are ignored (RFC 3376 section 4.1.10).
func (q *Query) Parse(b []byte) error {
	if len(b) < FrameLen {
		return &ParseError{"igmp query", len(b), ErrTruncated}
	}
	if Type(b[0]) != TypeQuery {
		return &ParseError{"igmp query", 0, ErrType}
	}
	*q = Query{Group: wire.Addr(b[4:]), Sources: q.Sources[:0]}
	if len(b) == FrameLen {
		q.Version, q.MaxResponse = 2, time.Duration(b[1])*responseUnit
		if b[1] == 0 {
			q.Version, q.MaxResponse = 1, maxResponseV1
		}
		return nil
	}
	if len(b) < queryV3Len {
		return &ParseError{"igmp query", len(b), ErrTruncated}
	}
	n := int(binary.BigEndian.Uint16(b[10:]))
	if have := (len(b) - queryV3Len) / 4; n > have {
		return &ParseError{"igmp query", len(b), fmt.Errorf("%w: %d sources of %d", ErrTruncated, have, n)}
	}
	q.Version = 3
	q.MaxResponse = time.Duration(floatValue(b[1])) * responseUnit
	q.Suppress = b[8]&suppressBit != 0
	q.Robustness = b[8] & maxQRV
	q.Interval = time.Duration(floatValue(b[9])) * time.Second
	q.Sources = wire.Addrs(q.Sources, b[queryV3Len:queryV3Len+4*n])
	return nil
}

// Len returns the length of the encoded message.
func (q *Query) Len() int {
	if q.Version < 3 {
		return FrameLen
	}
	return queryV3Len + 4*len(q.Sources)
}

// AppendBinary appends the encoded message to b. It fails if a duration or the
// number of sources is more than the version can say, an address is not an IPv4
// address, or version 1 or 2 has a field of version 3. A robustness above 7 is
// written as 0 (RFC 3376 section 4.1.6).
func (q *Query) AppendBinary(b []byte) ([]byte, error) {
	start := len(b)
	b, err := q.append(b)
	if err != nil {
		return b[:start], fmt.Errorf("igmp query: %w", err)
	}
	PutChecksum(b[start:])
	return b, nil
}

// append appends the message with an empty checksum.
func (q *Query) append(b []byte) ([]byte, error) {
	code, err := q.code()
	if err != nil {
		return b, err
	}
	b = append(b, byte(TypeQuery), code, 0, 0)
	if b, err = wire.AppendAddr(b, q.Group, "group"); err != nil {
		return b, err
	}
	if q.Version < 3 {
		if q.Suppress || q.Robustness != 0 || q.Interval != 0 || len(q.Sources) > 0 {
			return b, fmt.Errorf("version %d has no fields of version 3", q.Version)
		}
		return b, nil
	}
	interval, ok := floatCode(q.Interval, time.Second)
	if !ok {
		return b, fmt.Errorf("interval %v cannot be said", q.Interval)
	}
	if len(q.Sources) > maxSources {
		return b, fmt.Errorf("%d sources, at most %d can be counted", len(q.Sources), maxSources)
	}
	var flags uint8
	if q.Suppress {
		flags = suppressBit
	}
	if q.Robustness <= maxQRV {
		flags |= q.Robustness
	}
	b = append(b, flags, interval)
	b = binary.BigEndian.AppendUint16(b, uint16(len(q.Sources)))
	return wire.AppendAddrs(b, q.Sources, "source")
}

// code returns byte 1, the max resp code.
func (q *Query) code() (uint8, error) {
	switch q.Version {
	case 1:
		return 0, nil
	case 2:
		// 0 would make it a query of version 1.
		if t := q.MaxResponse / responseUnit; t >= 1 && t <= 255 {
			return uint8(t), nil
		}
	case 3:
		if c, ok := floatCode(q.MaxResponse, responseUnit); ok {
			return c, nil
		}
	default:
		return 0, errors.New("expected version 1, 2 or 3")
	}
	return 0, fmt.Errorf("max response time %v cannot be said in version %d", q.MaxResponse, q.Version)
}

// floatValue returns the value of a v3 max resp code or QQIC.
func floatValue(code uint8) int {
	if code < 0x80 {
		return int(code)
	}
	return int(code&0x0f|0x10) << (code>>4&7 + 3)
}

// floatCode returns the code of the largest value that is not above d, counted in
// units, and whether there is one.
func floatCode(d, unit time.Duration) (uint8, bool) {
	v := d / unit
	if d < 0 || v > maxFloat {
		return 0, false
	}
	if v < 0x80 {
		return uint8(v), true
	}
	exp := bits.Len64(uint64(v)) - 8 // mantissa has five bits, and 3 are added
	return uint8(0x80 | exp<<4 | int(v>>(exp+3))&0x0f), true
}
