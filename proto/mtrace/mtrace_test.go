package mtrace_test

import (
	"net/netip"
	"strings"
	"testing"

	"mbone/internal/prototest"
	"mbone/proto/igmp"
	"mbone/proto/mtrace"
)

// recordings is where real packets are.
const recordings = "../testdata/lab-14-1"

var addr = netip.MustParseAddr

// query is the fixed part of a query, 24 bytes, and what it means.
func query() mtrace.Message {
	return mtrace.Message{Type: mtrace.TypeQuery, Hops: 32, Group: addr("224.2.2.2"), Source: addr("192.168.2.7"),
		Receiver: addr("192.168.14.254"), Response: addr("192.168.2.7"), ResponseTTL: 255, QueryID: 0xabcdef}
}

// with returns the message with another type and blocks.
func with(m mtrace.Message, typ mtrace.Type, blocks ...mtrace.Block) mtrace.Message {
	m.Type, m.Blocks = typ, blocks
	return m
}

func TestMessage(t *testing.T) {
	last := mtrace.Block{
		Arrival: 0x3b2a8000, Incoming: addr("192.168.7.254"), Outgoing: addr("192.168.14.254"), Previous: addr("192.168.7.7"),
		PacketsIn: 1000, PacketsOut: 1001, PacketsGroup: 7, Protocol: mtrace.ProtocolDVMRP, FwdTTL: 64, Mask: 24,
		Code: mtrace.CodeNoError,
	}
	first := mtrace.Block{
		Arrival: 0x3b2a8001, Incoming: addr("192.168.2.254"), Outgoing: addr("192.168.7.7"), Previous: addr("0.0.0.0"),
		PacketsIn: mtrace.Unknown, PacketsOut: mtrace.Unknown, PacketsGroup: mtrace.Unknown, Protocol: mtrace.ProtocolPIM,
		FwdTTL: 1, Mask: 0x7f, Code: mtrace.CodeNoSpace,
	}
	prototest.TestGood(t, []prototest.Good[mtrace.Message]{
		{
			Name: "query",
			Packet: `1f 20 dc 38       # query, 32 hops
				e0 02 02 02        # group
				c0 a8 02 07        # source
				c0 a8 0e fe        # receiver
				c0 a8 02 07        # response address
				ff ab cd ef        # response TTL, query id`,
			Want: query(),
		},
		{
			Name:   "query without a group, all bits set",
			Packet: "1f ff fe df 00 00 00 00 ff ff ff ff ff ff ff ff e0 00 01 20 ff ff ff ff",
			Want: mtrace.Message{Type: mtrace.TypeQuery, Hops: 255, Group: igmp.Unspecified, Source: addr("255.255.255.255"),
				Receiver: addr("255.255.255.255"), Response: igmp.MtraceResponses, ResponseTTL: 255, QueryID: 0xffffff},
		},
		{
			Name: "request with one block",
			Packet: `1f 20 9f f8 e0 02 02 02 c0 a8 02 07 c0 a8 0e fe c0 a8 02 07 ff ab cd ef
				3b 2a 80 00        # arrival
				c0 a8 07 fe        # incoming
				c0 a8 0e fe        # outgoing
				c0 a8 07 07        # previous hop
				00 00 03 e8        # packets in
				00 00 03 e9        # packets out
				00 00 00 07        # packets of source and group
				01 40 18 00        # DVMRP, threshold 64, /24, no error`,
			Want: with(query(), mtrace.TypeQuery, last),
		},
		{
			Name: "response with two blocks",
			Packet: `1e 20 d7 f3 e0 02 02 02 c0 a8 02 07 c0 a8 0e fe c0 a8 02 07 ff ab cd ef
				3b 2a 80 00 c0 a8 07 fe c0 a8 0e fe c0 a8 07 07 00 00 03 e8 00 00 03 e9 00 00 00 07 01 40 18 00
				3b 2a 80 01 c0 a8 02 fe c0 a8 07 07 00 00 00 00 ff ff ff ff ff ff ff ff ff ff ff ff 03 01 7f 81`,
			Want: with(query(), mtrace.TypeResponse, last, first),
		},
		{
			Name:   "more blocks than asked for, no hops at all",
			Packet: "1e 00 a1 18 e0 02 02 02 c0 a8 02 07 c0 a8 0e fe c0 a8 02 07 ff ab cd ef | 3b 2a 80 00 c0 a8 07 fe c0 a8 0e fe c0 a8 07 07 00 00 03 e8 00 00 03 e9 00 00 00 07 01 40 18 00",
			Want: func() mtrace.Message {
				m := with(query(), mtrace.TypeResponse, last)
				m.Hops = 0
				return m
			}(),
		},
	})
	const fixed = "1f 20 dc 38 e0 02 02 02 c0 a8 02 07 c0 a8 0e fe c0 a8 02 07 ff ab cd ef"
	block := strings.Repeat("00", 32)
	prototest.TestDamaged[mtrace.Message](t, []prototest.Damaged{
		{Name: "empty", Packet: "", Cause: igmp.ErrTruncated, Offset: 0},
		{Name: "a byte is missing", Packet: fixed[:len(fixed)-3], Cause: igmp.ErrTruncated, Offset: 23},
		{Name: "another type", Packet: "16" + fixed[2:], Cause: igmp.ErrType, Offset: 0},
		{Name: "half a block", Packet: fixed + block[:32], Cause: igmp.ErrTruncated, Offset: 40},
		{Name: "a byte behind the block", Packet: fixed + block + "00", Cause: igmp.ErrTruncated, Offset: 57},
		{Name: "256 blocks", Packet: fixed + strings.Repeat(block, 256), Cause: igmp.ErrValue, Offset: 24 + 255*32},
	})
	bad := func(change func(*mtrace.Message)) mtrace.Message {
		m := with(query(), mtrace.TypeResponse, last, first)
		change(&m)
		return m
	}
	prototest.TestUnsayable(t, []prototest.Unsayable[mtrace.Message]{
		{Name: "no type", Message: bad(func(m *mtrace.Message) { m.Type = 0 }), Error: "found type 0x00"},
		{Name: "query id of 25 bits", Message: bad(func(m *mtrace.Message) { m.QueryID = 1 << 24 }), Error: "query id 0x1000000"},
		{Name: "no group", Message: bad(func(m *mtrace.Message) { m.Group = netip.Addr{} }), Error: "mtrace: group: expected an IPv4 address"},
		{Name: "IPv6 source", Message: bad(func(m *mtrace.Message) { m.Source = addr("::1") }), Error: "source"},
		{Name: "no receiver", Message: bad(func(m *mtrace.Message) { m.Receiver = netip.Addr{} }), Error: "receiver"},
		{Name: "no response address", Message: bad(func(m *mtrace.Message) { m.Response = netip.Addr{} }), Error: "response address"},
		{Name: "no incoming", Message: bad(func(m *mtrace.Message) { m.Blocks[0].Incoming = netip.Addr{} }), Error: "block 0: incoming"},
		{Name: "no outgoing", Message: bad(func(m *mtrace.Message) { m.Blocks[1].Outgoing = netip.Addr{} }), Error: "block 1: outgoing"},
		{Name: "no previous hop", Message: bad(func(m *mtrace.Message) { m.Blocks[1].Previous = netip.Addr{} }), Error: "block 1: previous hop"},
		{Name: "256 blocks", Message: bad(func(m *mtrace.Message) { m.Blocks = make([]mtrace.Block, 256) }), Error: "256 blocks"},
	})
}

func TestTypeString(t *testing.T) {
	for typ, want := range map[mtrace.Type]string{0x1e: "response", 0x1f: "query", 0x16: "type 0x16"} {
		if got := typ.String(); got != want {
			t.Errorf("type %02x is %q, want %q", uint8(typ), got, want)
		}
	}
}

// The longest message there is: 255 blocks.
func TestLongestMessage(t *testing.T) {
	m := query()
	for range mtrace.MaxBlocks {
		m.Blocks = append(m.Blocks, mtrace.Block{Incoming: igmp.Unspecified, Outgoing: igmp.Unspecified, Previous: igmp.Unspecified})
	}
	b, err := m.AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	var got mtrace.Message
	if err := got.Parse(b); err != nil || len(got.Blocks) != 255 {
		t.Errorf("%d blocks, %v, want 255", len(got.Blocks), err)
	}
}

// mrouted 4.6 on a little-endian machine reads the TTL at the end of the word.
func TestPairedQueryID(t *testing.T) {
	m := query()
	m.ResponseTTL, m.QueryID = 127, mtrace.PairedQueryID(0xbeef, 127)
	b, err := m.AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(b[20:24]), "\x7f\xbe\xef\x7f"; got != want {
		t.Errorf("bytes 20 to 23 are % x, want % x", got, want)
	}
	if err := m.Parse(b); err != nil || m.LastByteTTL() != 127 || m.ResponseTTL != 127 {
		t.Errorf("TTL %d and %d, %v, want 127 twice", m.ResponseTTL, m.LastByteTTL(), err)
	}
	// What such a router wrote: query id 480a57, TTL 255.
	copy(b[20:], "\x48\x0a\x57\xff")
	if err := m.Parse(b); err != nil || m.LastByteTTL() != 255 || m.QueryID != 0x0a57ff {
		t.Errorf("last byte %d, query id %06x, %v", m.LastByteTTL(), m.QueryID, err)
	}
}

func TestMessageAllocs(t *testing.T) {
	m := with(query(), mtrace.TypeResponse)
	for i := range 8 {
		m.Blocks = append(m.Blocks, mtrace.Block{Arrival: uint32(i), Incoming: addr("10.0.0.1"), Outgoing: addr("10.0.1.1"),
			Previous: addr("10.0.0.2"), PacketsIn: 1, PacketsOut: 2, PacketsGroup: 3, Protocol: 1, FwdTTL: 1, Mask: 24, Code: 7})
	}
	packet, err := m.AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	prototest.TestNoAllocs[mtrace.Message](t, packet)
}

func FuzzMessage(f *testing.F) {
	prototest.Fuzz[mtrace.Message](f, recordings, prototest.Unhex(f,
		"1f 20 dc 38 e0 02 02 02 c0 a8 02 07 c0 a8 0e fe c0 a8 02 07 ff ab cd ef"))
}
