package dvmrp

import (
	"fmt"
	"iter"
	"net/netip"
	"strings"

	"mbone/proto/internal/wire"
)

// Neighbors2 (code 6) is a header and any number of records
// (draft-ietf-idmr-dvmrp-v3, tracing and troubleshooting):
//
//	 0                   1                   2                   3
//	+---------------------------------------------------------------+
//	| local address                                                 |  0
//	+---------------+---------------+---------------+---------------+
//	| metric        | threshold     | flags         | count n       |  4
//	+---------------+---------------+---------------+---------------+
//	| n neighbour addresses ...                                     |  8
//
// Neighbors (code 4) is the old form; its records have no flags:
//
//	+---------------------------------------------------------------+
//	| local address                                                 |  0
//	+---------------+---------------+---------------+---------------+
//	| metric        | threshold     | count n       |                  4
//	+---------------+---------------+---------------+
//	| n neighbour addresses ...                                        7
//
// A long answer comes in several messages; a record that is split repeats its
// first fields with a count of its own. There is neither a sequence number nor a
// mark of the end: see [Neighbors.Full].

const (
	addrLen = 4

	// The length of a record without neighbours.
	recordLen    = 8 // in Neighbors2
	oldRecordLen = 7 // in Neighbors

	// The largest count of neighbours.
	maxCount    = 255
	maxCount102 = 15 // of IOS 10.2
	// emptyCount102 is a count that means 0 in version 10.2, where 0 means 1.
	emptyCount102 = 16
)

// InterfaceFlags describe one interface in a Neighbors2 answer.
type InterfaceFlags uint8

// Interface flags, in the order of their values. 0x08 is unassigned.
const (
	FlagTunnel   InterfaceFlags = 0x01
	FlagSrcRt    InterfaceFlags = 0x02 // tunnel by source route, obsolete
	FlagPIM      InterfaceFlags = 0x04
	FlagDown     InterfaceFlags = 0x10
	FlagDisabled InterfaceFlags = 0x20
	FlagQuerier  InterfaceFlags = 0x40 // the sender is the IGMP querier there
	FlagLeaf     InterfaceFlags = 0x80 // no neighbours there
)

// flagWords are in the order in which mrinfo prints them.
var flagWords = []named[InterfaceFlags]{
	{FlagTunnel, "tunnel"},
	{FlagSrcRt, "srcrt"},
	{FlagPIM, "pim"},
	{FlagQuerier, "querier"},
	{FlagDisabled, "disabled"},
	{FlagDown, "down"},
	{FlagLeaf, "leaf"},
}

// Words returns the names of the flags in the order in which mrinfo prints them,
// nil if there is none. The unassigned bit is left out.
func (f InterfaceFlags) Words() []string { return words(f, flagWords) }

// String returns the words joined by slashes: "pim/querier".
func (f InterfaceFlags) String() string { return strings.Join(f.Words(), "/") }

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

// Neighbors is an answer to [Ask], or a part of one.
type Neighbors struct {
	Version    Version
	Code       Code // [CodeNeighbors] or [CodeNeighbors2]
	Interfaces []Interface
	// Truncated is set by Parse if the message ends inside a record.
	Truncated bool
}

// Parse reads a Neighbors or Neighbors2 message. It reuses n.Interfaces and the
// Neighbors of each.
//
// It is tolerant, as the tools always were: of a record that promises more
// neighbours than there are it takes those that are there, and of one that is
// not even complete up to its count nothing; Truncated is set in both cases. In
// Neighbors2 of version 10.2, IOS 10.2, a count of 0 means 1 and of a count above
// 15 only the low four bits are taken.
func (n *Neighbors) Parse(b []byte) error {
	var err error
	if n.Code, n.Version, err = parseHeader(b, CodeNeighbors2, CodeNeighbors); err != nil {
		return err
	}
	n.Truncated = false
	n.Interfaces = n.Interfaces[:0]
	fixed := n.fixedLen()
	for b = b[HeaderLen:]; len(b) >= fixed; {
		n.Interfaces = wire.Grow(n.Interfaces)
		i := &n.Interfaces[len(n.Interfaces)-1]
		i.Local = wire.Addr(b)
		i.Metric, i.Threshold = b[4], b[5]
		i.Flags = 0
		if n.Code == CodeNeighbors2 {
			i.Flags = InterfaceFlags(b[6])
		}
		count := int(b[fixed-1])
		if n.of102() {
			switch {
			case count == 0:
				count = 1
			case count > maxCount102:
				count &= maxCount102
			}
		}
		b = b[fixed:]
		if have := len(b) / addrLen; count > have {
			n.Truncated = true
			count = have
			b = b[:count*addrLen]
		}
		i.Neighbors = wire.Addrs(i.Neighbors[:0], b[:count*addrLen])
		b = b[count*addrLen:]
	}
	n.Truncated = n.Truncated || len(b) > 0
	return nil
}

// fixedLen returns the length of a record without neighbours; its last byte is
// the count.
func (n *Neighbors) fixedLen() int {
	if n.Code == CodeNeighbors {
		return oldRecordLen
	}
	return recordLen
}

func (n *Neighbors) of102() bool { return n.Code == CodeNeighbors2 && n.Version.countsOf102() }

// Len returns the length of the encoded message.
func (n *Neighbors) Len() int {
	l := HeaderLen
	for i := range n.Interfaces {
		l += n.fixedLen() + addrLen*len(n.Interfaces[i].Neighbors)
	}
	return l
}

// Full reports whether the message has no room for one more record with one
// neighbour, by [MaxData]: the answer may go on in another message.
func (n *Neighbors) Full() bool {
	return n.Len()+n.fixedLen()+addrLen > HeaderLen+MaxData
}

// AppendBinary appends the encoded message to b. It fails if Code is another, an
// address is not an IPv4 address, an interface has more than 255 neighbours (15
// in version 10.2), or flags and the message is a Neighbors message. It does not
// look at [MaxData]: see [SplitInterfaces].
func (n *Neighbors) AppendBinary(b []byte) ([]byte, error) {
	start := len(b)
	if n.Code != CodeNeighbors && n.Code != CodeNeighbors2 {
		return finish(b, start, n.Code, errCode(CodeNeighbors2, CodeNeighbors))
	}
	b = appendHeader(b, n.Code, n.Version)
	var err error
	for i := range n.Interfaces {
		if b, err = n.appendRecord(b, &n.Interfaces[i]); err != nil {
			err = fmt.Errorf("record %d: %w", i, err)
			break
		}
	}
	return finish(b, start, n.Code, err)
}

func (n *Neighbors) appendRecord(b []byte, i *Interface) ([]byte, error) {
	count, limit := len(i.Neighbors), maxCount
	if n.of102() {
		limit = maxCount102
	}
	if count > limit {
		return b, fmt.Errorf("%d neighbours, at most %d can be counted", count, limit)
	}
	if n.of102() && count == 0 {
		count = emptyCount102
	}
	b, err := wire.AppendAddr(b, i.Local, "local address")
	if err != nil {
		return b, err
	}
	b = append(b, i.Metric, i.Threshold)
	if n.Code == CodeNeighbors2 {
		b = append(b, byte(i.Flags))
	} else if i.Flags != 0 {
		return b, fmt.Errorf("flags %q cannot be said in the old form", i.Flags)
	}
	b = append(b, byte(count))
	return wire.AppendAddrs(b, i.Neighbors, "neighbour")
}

// SplitInterfaces cuts the records of an answer into messages of at most
// [MaxData] bytes of data, as mrouted does: where a record does not fit, the next
// message goes on with the rest of its neighbours. code says which form the
// messages have. The parts share the neighbours with interfaces, and each is
// valid only until the next. No interfaces make no message.
func SplitInterfaces(code Code, interfaces []Interface) iter.Seq[[]Interface] {
	fixed := recordLen
	if code == CodeNeighbors {
		fixed = oldRecordLen
	}
	return func(yield func([]Interface) bool) {
		var part []Interface
		room := MaxData
		for _, i := range interfaces {
			rest := i.Neighbors
			for first := true; first || len(rest) > 0; first = false {
				if room < fixed+min(len(rest), 1)*addrLen {
					if !yield(part) {
						return
					}
					part, room = part[:0], MaxData
				}
				n := min(len(rest), (room-fixed)/addrLen)
				i.Neighbors, rest = rest[:n:n], rest[n:]
				part = append(part, i)
				room -= fixed + n*addrLen
			}
		}
		if len(part) > 0 {
			yield(part)
		}
	}
}
