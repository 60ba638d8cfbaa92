package igmp

import "encoding/binary"

// The Internet checksum (RFC 1071) over the whole IGMP message, in bytes 2 and
// 3. An odd last byte counts as the high byte of a word that ends in zero.
//
// mrouted writes it and does not look at it when it receives; Debian's pimd
// sends DVMRP and mtrace answers in which it is wrong, because it damages byte 9
// after computing it. Hence Parse does not look at it either, and each user
// decides.

// The checksum lies between these offsets.
const (
	checksumStart = 2
	checksumEnd   = 4
)

// Checksum returns what belongs in bytes 2 and 3 of the IGMP message b, whatever
// stands there now. b must hold at least these bytes.
func Checksum(b []byte) uint16 {
	return ^fold(sum(b[:checksumStart]) + sum(b[checksumEnd:]))
}

// VerifyChecksum reports whether b is at least the eight bytes of an IGMP frame
// and its checksum is right.
func VerifyChecksum(b []byte) bool {
	return len(b) >= FrameLen && fold(sum(b)) == 0xffff
}

// PutChecksum writes the checksum of the IGMP message b into its bytes 2 and 3.
// b must hold at least these bytes.
func PutChecksum(b []byte) {
	binary.BigEndian.PutUint16(b[checksumStart:], Checksum(b))
}

// sum adds up the 16-bit words of b.
func sum(b []byte) uint64 {
	var s uint64
	for ; len(b) >= 2; b = b[2:] {
		s += uint64(b[0])<<8 | uint64(b[1])
	}
	if len(b) == 1 {
		s += uint64(b[0]) << 8
	}
	return s
}

// fold makes a one's complement sum of s.
func fold(s uint64) uint16 {
	for s > 0xffff {
		s = s&0xffff + s>>16
	}
	return uint16(s)
}
