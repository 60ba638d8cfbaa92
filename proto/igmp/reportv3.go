package igmp

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"mbone/proto/internal/wire"
)

// Report of version 3 (RFC 3376 section 4.2):
//
//	 0                   1                   2                   3
//	+---------------+---------------+-------------------------------+
//	| type 0x22     | reserved      | checksum                      |  0
//	+---------------+---------------+-------------------------------+
//	| reserved                      | number of group records       |  4
//	+-------------------------------+-------------------------------+
//	| group records ...                                             |  8
//
// A group record:
//
//	+---------------+---------------+-------------------------------+
//	| record type   | aux length a  | number of sources n           |  0
//	+---------------+---------------+-------------------------------+
//	| group                                                         |  4
//	+---------------------------------------------------------------+
//	| n source addresses ...                                        |  8
//	+---------------------------------------------------------------+
//	| auxiliary data, a 32-bit words ...                            |  8 + 4n
//	+---------------------------------------------------------------+

const (
	reportV3Len = 8
	recordLen   = 8
	maxRecords  = 1<<16 - 1
	wordLen     = 4
	maxAuxWords = 255
)

// RecordType says what a record of a v3 report means.
type RecordType uint8

// The record types of RFC 3376 section 4.2.12.
const (
	ModeIsInclude   RecordType = 1
	ModeIsExclude   RecordType = 2
	ChangeToInclude RecordType = 3
	ChangeToExclude RecordType = 4
	AllowNewSources RecordType = 5
	BlockOldSources RecordType = 6
)

// String returns the name of RFC 3376: "MODE_IS_INCLUDE", or "record type 7".
func (t RecordType) String() string {
	switch t {
	case ModeIsInclude:
		return "MODE_IS_INCLUDE"
	case ModeIsExclude:
		return "MODE_IS_EXCLUDE"
	case ChangeToInclude:
		return "CHANGE_TO_INCLUDE_MODE"
	case ChangeToExclude:
		return "CHANGE_TO_EXCLUDE_MODE"
	case AllowNewSources:
		return "ALLOW_NEW_SOURCES"
	case BlockOldSources:
		return "BLOCK_OLD_SOURCES"
	}
	return fmt.Sprintf("record type %d", uint8(t))
}

// Record is what a host says of one group.
type Record struct {
	Type    RecordType
	Group   netip.Addr
	Sources []netip.Addr
	Aux     []byte // whole 32-bit words; version 3 defines none
}

// ReportV3 is a version 3 membership report.
type ReportV3 struct {
	Records []Record
	// Truncated is set by Parse if the message holds fewer records than it counts.
	Truncated bool
}

// Parse reads a v3 report. It reuses r.Records and the slices of each. A record
// that goes past the end of the message, and whatever is counted after it, is left
// out, and Truncated is set. Records of unknown types are kept: they are to be
// ignored. Bytes after the last record are ignored (RFC 3376 section 4.2.11).
func (r *ReportV3) Parse(b []byte) error {
	if len(b) < reportV3Len {
		return &ParseError{"igmp v3 report", len(b), ErrTruncated}
	}
	if Type(b[0]) != TypeReportV3 {
		return &ParseError{"igmp v3 report", 0, ErrType}
	}
	r.Records, r.Truncated = r.Records[:0], false
	n := int(binary.BigEndian.Uint16(b[6:]))
	b = b[reportV3Len:]
	for range n {
		if len(b) < recordLen {
			r.Truncated = true
			break
		}
		sourcesEnd := recordLen + 4*int(binary.BigEndian.Uint16(b[2:]))
		end := sourcesEnd + wordLen*int(b[1])
		if end > len(b) {
			r.Truncated = true
			break
		}
		r.Records = wire.Grow(r.Records)
		c := &r.Records[len(r.Records)-1]
		c.Type = RecordType(b[0])
		c.Group = wire.Addr(b[4:])
		c.Sources = wire.Addrs(c.Sources[:0], b[recordLen:sourcesEnd])
		c.Aux = append(c.Aux[:0], b[sourcesEnd:end]...)
		b = b[end:]
	}
	return nil
}

// Len returns the length of the encoded message.
func (r *ReportV3) Len() int {
	l := reportV3Len
	for i := range r.Records {
		l += recordLen + 4*len(r.Records[i].Sources) + len(r.Records[i].Aux)
	}
	return l
}

// AppendBinary appends the encoded message to b. It fails if there is more of
// anything than can be counted, an address is not an IPv4 address, or auxiliary
// data is not whole 32-bit words.
func (r *ReportV3) AppendBinary(b []byte) ([]byte, error) {
	start := len(b)
	if len(r.Records) > maxRecords {
		return b, fmt.Errorf("igmp v3 report: %d records, at most %d can be counted", len(r.Records), maxRecords)
	}
	b = append(b, byte(TypeReportV3), 0, 0, 0, 0, 0)
	b = binary.BigEndian.AppendUint16(b, uint16(len(r.Records)))
	var err error
	for i := range r.Records {
		if b, err = r.Records[i].append(b); err != nil {
			return b[:start], fmt.Errorf("igmp v3 report: record %d: %w", i, err)
		}
	}
	PutChecksum(b[start:])
	return b, nil
}

func (c *Record) append(b []byte) ([]byte, error) {
	if len(c.Sources) > maxSources {
		return b, fmt.Errorf("%d sources, at most %d can be counted", len(c.Sources), maxSources)
	}
	if len(c.Aux)%wordLen != 0 || len(c.Aux) > maxAuxWords*wordLen {
		return b, fmt.Errorf("%d bytes of auxiliary data, expected up to %d whole words", len(c.Aux), maxAuxWords)
	}
	b = append(b, byte(c.Type), byte(len(c.Aux)/wordLen))
	b = binary.BigEndian.AppendUint16(b, uint16(len(c.Sources)))
	b, err := wire.AppendAddr(b, c.Group, "group")
	if err != nil {
		return b, err
	}
	if b, err = wire.AppendAddrs(b, c.Sources, "source"); err != nil {
		return b, err
	}
	return append(b, c.Aux...), nil
}
