// Package mtrace encodes and decodes multicast traceroute, version 1, the
// traceroute that rides in IGMP (draft-ietf-idmr-traceroute-ipm-07), as mrouted
// 3.x and 4.x, IOS, FRR and pimd speak it.
package mtrace

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"mbone/proto/igmp"
	"mbone/proto/internal/wire"
)

// A message (the draft's header), 24 bytes and then any number of blocks:
//
//	 0                   1                   2                   3
//	+---------------+---------------+-------------------------------+
//	| type 1f, 1e   | hops          | checksum                      |  0
//	+---------------+---------------+-------------------------------+
//	| group; 0.0.0.0: follow the reverse path only                  |  4
//	+---------------------------------------------------------------+
//	| source                                                        |  8
//	+---------------------------------------------------------------+
//	| receiver, the draft's destination                             | 12
//	+---------------------------------------------------------------+
//	| response address                                              | 16
//	+---------------+-----------------------------------------------+
//	| response TTL  | query id                                      | 20
//	+---------------+-----------------------------------------------+
//
// A block (the draft's response data), 32 bytes; the last-hop router's is the first:
//
//	+---------------------------------------------------------------+
//	| query arrival time, the middle 32 bits of an NTP time         |  0
//	+---------------------------------------------------------------+
//	| incoming interface address, towards the source                |  4
//	+---------------------------------------------------------------+
//	| outgoing interface address, towards the receiver              |  8
//	+---------------------------------------------------------------+
//	| previous-hop router address                                   | 12
//	+---------------------------------------------------------------+
//	| packets in on the incoming interface                          | 16
//	+---------------------------------------------------------------+
//	| packets out on the outgoing interface                         | 20
//	+---------------------------------------------------------------+
//	| packets for this source and group                             | 24
//	+---------------+---------------+-+-+-----------+---------------+
//	| protocol      | FwdTTL        |M|S| src mask  | forwarding    | 28
//	|               |               |B| |           | code          |
//	|               |               |Z| |           |               |
//	+---------------+---------------+-+-+-----------+---------------+

// Lengths in bytes, and the limit of blocks.
const (
	HeaderLen = 24
	BlockLen  = 32
	// MaxBlocks is the most blocks a message may have: the hop count that a
	// query asks for is one byte. It bounds what Parse stores.
	MaxBlocks = 255
)

// maxQueryID is the largest query id: 24 bits.
const maxQueryID = 1<<24 - 1

// Type is the IGMP type of an mtrace message.
type Type uint8

// A query and a request share one type: a query carries no block.
const (
	TypeResponse = Type(igmp.TypeMtraceResponse)
	TypeQuery    = Type(igmp.TypeMtraceQuery)
)

// String returns "response" or "query".
func (t Type) String() string {
	switch t {
	case TypeResponse:
		return "response"
	case TypeQuery:
		return "query"
	}
	return fmt.Sprintf("type 0x%02x", uint8(t))
}

// Unknown is the value of a counter that a router does not have.
const Unknown uint32 = 0xffffffff

// Message is a query (no blocks), a request or a response.
type Message struct {
	Type     Type
	Hops     uint8 // the most blocks wanted, 1 to 255
	Group    netip.Addr
	Source   netip.Addr
	Receiver netip.Addr // "destination" in the draft
	// Response is where the answer is to be sent: unicast or multicast.
	Response netip.Addr
	// ResponseTTL is byte 20. It counts only if Response is multicast. mrouted
	// 4.6 on little-endian machines takes byte 23 instead: see [PairedQueryID].
	ResponseTTL uint8
	QueryID     uint32 // 24 bits: bytes 21 to 23
	// Blocks come in the order of the wire: the last-hop router first.
	Blocks []Block
}

// Block is what one router says of itself.
type Block struct {
	// Arrival is when the query came: the middle 32 bits of an NTP time, 0 if
	// unknown. See [TimeNear] and [RepairTime].
	Arrival uint32
	// Incoming is the address of the interface towards the source, 0.0.0.0 if unknown.
	Incoming netip.Addr
	// Outgoing is the address of the interface towards the receiver.
	Outgoing netip.Addr
	// Previous is the upstream router: 0.0.0.0 where the source is on the
	// link, 224.0.0.2 where it is not known.
	Previous     netip.Addr
	PacketsIn    uint32 // all multicast in on Incoming; Unknown
	PacketsOut   uint32 // all multicast out on Outgoing; Unknown
	PacketsGroup uint32 // packets of (source, group); Unknown
	Protocol     Protocol
	FwdTTL       uint8 // threshold of Outgoing
	Mask         Mask
	Code         Code
}

// Parse reads a message of either type. It is strict about the length, which
// must be that of the fixed part and whole blocks, at most [MaxBlocks] of them:
// routers drop anything else. It takes any value in the fields, and more blocks
// than Hops. It reuses m.Blocks.
func (m *Message) Parse(b []byte) error {
	if len(b) < HeaderLen {
		return &igmp.ParseError{Message: "mtrace", Offset: len(b), Err: igmp.ErrTruncated}
	}
	t := Type(b[0])
	if t != TypeQuery && t != TypeResponse {
		return &igmp.ParseError{Message: "mtrace", Offset: 0, Err: igmp.ErrType}
	}
	body := b[HeaderLen:]
	if len(body)%BlockLen != 0 {
		return &igmp.ParseError{Message: "mtrace", Offset: len(b),
			Err: fmt.Errorf("%w: block %d is not whole", igmp.ErrTruncated, len(body)/BlockLen)}
	}
	if len(body)/BlockLen > MaxBlocks {
		return &igmp.ParseError{Message: "mtrace", Offset: HeaderLen + MaxBlocks*BlockLen,
			Err: fmt.Errorf("%w: %d blocks, at most %d can be asked for", igmp.ErrValue, len(body)/BlockLen, MaxBlocks)}
	}
	m.Type = t
	m.Hops = b[1]
	m.Group = wire.Addr(b[4:])
	m.Source = wire.Addr(b[8:])
	m.Receiver = wire.Addr(b[12:])
	m.Response = wire.Addr(b[16:])
	m.ResponseTTL = b[20]
	m.QueryID = binary.BigEndian.Uint32(b[20:]) & maxQueryID
	m.Blocks = m.Blocks[:0]
	for ; len(body) > 0; body = body[BlockLen:] {
		m.Blocks = append(m.Blocks, parseBlock(body))
	}
	return nil
}

// parseBlock reads the block at the start of b.
func parseBlock(b []byte) Block {
	return Block{
		Arrival:      binary.BigEndian.Uint32(b),
		Incoming:     wire.Addr(b[4:]),
		Outgoing:     wire.Addr(b[8:]),
		Previous:     wire.Addr(b[12:]),
		PacketsIn:    binary.BigEndian.Uint32(b[16:]),
		PacketsOut:   binary.BigEndian.Uint32(b[20:]),
		PacketsGroup: binary.BigEndian.Uint32(b[24:]),
		Protocol:     Protocol(b[28]),
		FwdTTL:       b[29],
		Mask:         Mask(b[30]),
		Code:         Code(b[31]),
	}
}

// Len returns the length of the encoded message.
func (m *Message) Len() int { return HeaderLen + BlockLen*len(m.Blocks) }

// AppendBinary appends the encoded message to b, with a valid checksum. It fails
// if the type is not an mtrace type, an address is not an IPv4 address, the
// query id has more than 24 bits or there are more than [MaxBlocks] blocks.
func (m *Message) AppendBinary(b []byte) ([]byte, error) {
	start := len(b)
	b, err := m.append(b)
	if err != nil {
		return b[:start], fmt.Errorf("mtrace: %w", err)
	}
	igmp.PutChecksum(b[start:])
	return b, nil
}

// append appends the message with an empty checksum.
func (m *Message) append(b []byte) ([]byte, error) {
	if m.Type != TypeQuery && m.Type != TypeResponse {
		return b, fmt.Errorf("expected the type of a query or response, found %v", m.Type)
	}
	if m.QueryID > maxQueryID {
		return b, fmt.Errorf("query id 0x%x has more than 24 bits", m.QueryID)
	}
	if len(m.Blocks) > MaxBlocks {
		return b, fmt.Errorf("%d blocks, at most %d can be asked for", len(m.Blocks), MaxBlocks)
	}
	b = append(b, byte(m.Type), m.Hops, 0, 0)
	var err error
	if b, err = wire.AppendAddr(b, m.Group, "group"); err != nil {
		return b, err
	}
	if b, err = wire.AppendAddr(b, m.Source, "source"); err != nil {
		return b, err
	}
	if b, err = wire.AppendAddr(b, m.Receiver, "receiver"); err != nil {
		return b, err
	}
	if b, err = wire.AppendAddr(b, m.Response, "response address"); err != nil {
		return b, err
	}
	b = binary.BigEndian.AppendUint32(b, uint32(m.ResponseTTL)<<24|m.QueryID)
	for i := range m.Blocks {
		if b, err = m.Blocks[i].append(b); err != nil {
			return b, fmt.Errorf("block %d: %w", i, err)
		}
	}
	return b, nil
}

func (k *Block) append(b []byte) ([]byte, error) {
	b = binary.BigEndian.AppendUint32(b, k.Arrival)
	var err error
	if b, err = wire.AppendAddr(b, k.Incoming, "incoming interface"); err != nil {
		return b, err
	}
	if b, err = wire.AppendAddr(b, k.Outgoing, "outgoing interface"); err != nil {
		return b, err
	}
	if b, err = wire.AppendAddr(b, k.Previous, "previous hop"); err != nil {
		return b, err
	}
	b = binary.BigEndian.AppendUint32(b, k.PacketsIn)
	b = binary.BigEndian.AppendUint32(b, k.PacketsOut)
	b = binary.BigEndian.AppendUint32(b, k.PacketsGroup)
	return append(b, byte(k.Protocol), k.FwdTTL, byte(k.Mask), byte(k.Code)), nil
}

// PairedQueryID returns a query id of 16 random bits whose last byte is ttl.
//
// mrouted 4.6 on little-endian machines declares the last word of the fixed part
// as bit fields, and so writes and reads the query id first (bytes 20 to 22) and
// the response TTL last (byte 23). A query whose ResponseTTL is ttl, too, is
// read alike by both kinds of routers.
func PairedQueryID(random uint16, ttl uint8) uint32 {
	return uint32(random)<<8 | uint32(ttl)
}

// LastByteTTL returns byte 23: what mrouted 4.6 on a little-endian machine means
// by, or takes for, the response TTL.
func (m *Message) LastByteTTL() uint8 { return uint8(m.QueryID) }
