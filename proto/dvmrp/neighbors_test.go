package dvmrp_test

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"mbone/internal/prototest"
	"mbone/proto/dvmrp"
	"mbone/proto/igmp"
)

func TestNeighbors(t *testing.T) {
	none := addrs("0.0.0.0")
	ios102 := dvmrp.VersionOf(0x0000020a)
	prototest.TestGood(t, []prototest.Good[dvmrp.Neighbors]{
		{
			Name: "mrouted 4.6, leaf querier and peer",
			Packet: `13 06 1d dd 00 0e ff 03
				c0 a8 02 07  01 01 40 01   # 192.168.2.7, metric 1, threshold 1, querier, one neighbour
				c0 a8 02 fe
				c0 a8 07 07  01 01 40 01
				00 00 00 00                # nobody`,
			Want: dvmrp.Neighbors{Version: dvmrp.Mrouted, Code: dvmrp.CodeNeighbors2, Interfaces: []dvmrp.Interface{
				{addr("192.168.2.7"), 1, 1, dvmrp.FlagQuerier, addrs("192.168.2.254")},
				{addr("192.168.7.7"), 1, 1, dvmrp.FlagQuerier, none},
			}},
		},
		{
			Name: "IOS 12.2 with a tunnel",
			Packet: `13 06 48 f7 00 00 02 0c
				c0 a8 07 fe  01 00 44 01  00 00 00 00
				c0 a8 0e fe  01 00 01 01  c0 a8 01 fe`,
			Want: dvmrp.Neighbors{Version: dvmrp.VersionOf(0x020c), Code: dvmrp.CodeNeighbors2, Interfaces: []dvmrp.Interface{
				{addr("192.168.7.254"), 1, 0, dvmrp.FlagPIM | dvmrp.FlagQuerier, none},
				{addr("192.168.14.254"), 1, 0, dvmrp.FlagTunnel, addrs("192.168.1.254")},
			}},
		},
		{
			Name: "old form: a router without Neighbors2",
			Packet: `13 04 3e 5d 00 00 00 00
				c0 a8 01 01  01 02 02  c0 a8 01 0a  c0 a8 01 fe
				c0 a8 02 01  03 01 00
				c0 a8 03 01  20 ff 01  00 00 00 00`,
			Want: dvmrp.Neighbors{Code: dvmrp.CodeNeighbors, Interfaces: []dvmrp.Interface{
				{addr("192.168.1.1"), 1, 2, 0, addrs("192.168.1.10", "192.168.1.254")},
				{addr("192.168.2.1"), 3, 1, 0, nil},
				{addr("192.168.3.1"), 32, 255, 0, none},
			}},
		},
		{
			Name:   "old form: ask me with Neighbors2",
			Packet: "13 04 ed e9 00 0e ff 03",
			Want:   dvmrp.Neighbors{Version: dvmrp.Mrouted, Code: dvmrp.CodeNeighbors},
		},
		{
			Name: "unassigned flag, no neighbours, one address twice",
			Packet: `13 06 0a 8c 01 20 ff 03
				0a 00 00 01  01 40 08 00
				0a 00 00 01  00 00 b1 02  0a 00 00 02  0a 00 00 03`,
			Want: dvmrp.Neighbors{Version: dvmrp.VersionOf(0x0120ff03), Code: dvmrp.CodeNeighbors2, Interfaces: []dvmrp.Interface{
				{addr("10.0.0.1"), 1, 64, 0x08, nil},
				{addr("10.0.0.1"), 0, 0, dvmrp.FlagTunnel | dvmrp.FlagDown | dvmrp.FlagDisabled | dvmrp.FlagLeaf, addrs("10.0.0.2", "10.0.0.3")},
			}},
		},
		{
			Name: "a count that promises more than there is",
			Packet: `13 06 ab dc 00 0e ff 03
				0a 00 00 01  01 01 00 01  0a 00 00 02
				0a 00 01 01  01 01 00 ff  0a 00 01 02  0a 00 01 03  0a`,
			Want: dvmrp.Neighbors{Version: dvmrp.Mrouted, Code: dvmrp.CodeNeighbors2, Truncated: true, Interfaces: []dvmrp.Interface{
				{addr("10.0.0.1"), 1, 1, 0, addrs("10.0.0.2")},
				{addr("10.0.1.1"), 1, 1, 0, addrs("10.0.1.2", "10.0.1.3")},
			}},
			Encoded: `13 06 b6 d9 00 0e ff 03
				0a 00 00 01  01 01 00 01  0a 00 00 02
				0a 00 01 01  01 01 00 02  0a 00 01 02  0a 00 01 03`,
		},
		{
			Name: "bytes that are no record",
			Packet: `13 06 cc e0 00 0e ff 03
				0a 00 00 01  01 01 00 01  0a 00 00 02
				0a 00 01 01  01 01 00`,
			Want: dvmrp.Neighbors{Version: dvmrp.Mrouted, Code: dvmrp.CodeNeighbors2, Truncated: true, Interfaces: []dvmrp.Interface{
				{addr("10.0.0.1"), 1, 1, 0, addrs("10.0.0.2")},
			}},
			Encoded: "13 06 d8 e2 00 0e ff 03 | 0a 00 00 01  01 01 00 01  0a 00 00 02",
		},
		{
			Name: "IOS 10.2: count 0 means 1, of larger ones than 15 four bits count",
			Packet: `13 06 f0 bb 00 00 02 0a
				0a 00 00 01  01 00 00 00  0a 00 00 02
				0a 00 01 01  01 00 00 0f  0a 00 01 02  0a 00 01 03  0a 00 01 04  0a 00 01 05  0a 00 01 06
				                          0a 00 01 07  0a 00 01 08  0a 00 01 09  0a 00 01 0a  0a 00 01 0b
				                          0a 00 01 0c  0a 00 01 0d  0a 00 01 0e  0a 00 01 0f  0a 00 01 10
				0a 00 02 01  01 00 00 82  0a 00 02 02  0a 00 02 03
				0a 00 03 01  01 00 00 10`,
			Want: dvmrp.Neighbors{Version: ios102, Code: dvmrp.CodeNeighbors2, Interfaces: []dvmrp.Interface{
				{addr("10.0.0.1"), 1, 0, 0, addrs("10.0.0.2")},
				{addr("10.0.1.1"), 1, 0, 0, addrs("10.0.1.2", "10.0.1.3", "10.0.1.4", "10.0.1.5", "10.0.1.6", "10.0.1.7",
					"10.0.1.8", "10.0.1.9", "10.0.1.10", "10.0.1.11", "10.0.1.12", "10.0.1.13", "10.0.1.14", "10.0.1.15", "10.0.1.16")},
				{addr("10.0.2.1"), 1, 0, 0, addrs("10.0.2.2", "10.0.2.3")},
				{addr("10.0.3.1"), 1, 0, 0, nil},
			}},
			Encoded: `13 06 f1 3a 00 00 02 0a
				0a 00 00 01  01 00 00 01  0a 00 00 02
				0a 00 01 01  01 00 00 0f  0a 00 01 02  0a 00 01 03  0a 00 01 04  0a 00 01 05  0a 00 01 06
				                          0a 00 01 07  0a 00 01 08  0a 00 01 09  0a 00 01 0a  0a 00 01 0b
				                          0a 00 01 0c  0a 00 01 0d  0a 00 01 0e  0a 00 01 0f  0a 00 01 10
				0a 00 02 01  01 00 00 02  0a 00 02 02  0a 00 02 03
				0a 00 03 01  01 00 00 10`,
		},
		{
			Name:   "old form of 10.2: counts as they are",
			Packet: "13 04 d3 e1 00 00 02 0a | 0a 00 00 01 01 00 00 | 0a 00 01 01 01 00 01 0a 00 01 02",
			Want: dvmrp.Neighbors{Version: ios102, Code: dvmrp.CodeNeighbors, Interfaces: []dvmrp.Interface{
				{addr("10.0.0.1"), 1, 0, 0, nil},
				{addr("10.0.1.1"), 1, 0, 0, addrs("10.0.1.2")},
			}},
		},
		{
			Name:   "nothing behind the header",
			Packet: "13 06 ed e7 00 0e ff 03",
			Want:   dvmrp.Neighbors{Version: dvmrp.Mrouted, Code: dvmrp.CodeNeighbors2},
		},
	})
	prototest.TestDamaged[dvmrp.Neighbors](t, []prototest.Damaged{
		{Name: "half a header", Packet: "13 06 00 00 00 0e ff", Cause: igmp.ErrTruncated, Offset: 7},
		{Name: "a question", Packet: "13 05 00 00 00 0e ff 03", Cause: igmp.ErrType, Offset: 1},
		{Name: "not DVMRP", Packet: "1e 06 00 00 00 0e ff 03", Cause: igmp.ErrType, Offset: 0},
	})
	record := func(code dvmrp.Code, v dvmrp.Version, i dvmrp.Interface) dvmrp.Neighbors {
		return dvmrp.Neighbors{Version: v, Code: code, Interfaces: []dvmrp.Interface{i}}
	}
	many := slices.Repeat(none, 256)
	prototest.TestUnsayable(t, []prototest.Unsayable[dvmrp.Neighbors]{
		{Name: "no code", Message: dvmrp.Neighbors{}, Error: "expected code 6 or 4"},
		{Name: "no local address", Message: record(6, dvmrp.Mrouted, dvmrp.Interface{}), Error: "record 0: local address: expected an IPv4 address"},
		{Name: "IPv6 neighbour", Message: record(6, dvmrp.Mrouted, dvmrp.Interface{Local: none[0], Neighbors: addrs("::")}), Error: "neighbour"},
		{Name: "256 neighbours", Message: record(6, dvmrp.Mrouted, dvmrp.Interface{Local: none[0], Neighbors: many}), Error: "at most 255"},
		{Name: "16 neighbours in 10.2", Message: record(6, ios102, dvmrp.Interface{Local: none[0], Neighbors: many[:16]}), Error: "at most 15"},
		{Name: "flags in the old form", Message: record(4, dvmrp.Mrouted, dvmrp.Interface{Local: none[0], Flags: dvmrp.FlagPIM}), Error: `flags "pim"`},
	})
}

// numbered returns n neighbours in the network 10.net/16.
func numbered(net, n int) []netip.Addr {
	var list []netip.Addr
	for i := range n {
		list = append(list, netip.AddrFrom4([4]byte{10, byte(net), byte(i >> 8), byte(i)}))
	}
	return list
}

func TestSplitInterfaces(t *testing.T) {
	for _, c := range []struct {
		name      string
		code      dvmrp.Code
		neighbors []int    // of each interface
		parts     []string // number of neighbours of each interface of each message
	}{
		{"none", dvmrp.CodeNeighbors2, nil, nil},
		{"one", dvmrp.CodeNeighbors2, []int{1}, []string{"[1]"}},
		{"without neighbours", dvmrp.CodeNeighbors2, []int{0, 0}, []string{"[0 0]"}},
		// 8 and 4 each: 125 neighbours make 508 bytes.
		{"one message full", dvmrp.CodeNeighbors2, []int{125}, []string{"[125]"}},
		{"split record", dvmrp.CodeNeighbors2, []int{198}, []string{"[125]", "[73]"}},
		{"300 neighbours", dvmrp.CodeNeighbors2, []int{300, 1}, []string{"[125]", "[125]", "[50 1]"}},
		// 42 records of 12 make 504.
		{"many records", dvmrp.CodeNeighbors2, slices.Repeat([]int{1}, 43),
			[]string{fmt.Sprint(slices.Repeat([]int{1}, 42)), "[1]"}},
		// 63 records of 8 make 504.
		{"many empty records", dvmrp.CodeNeighbors2, make([]int, 64), []string{fmt.Sprint(make([]int, 63)), "[0]"}},
		// 8 + 4 * 121 make 492, and 16 are left: two neighbours of the next.
		{"second record split", dvmrp.CodeNeighbors2, []int{121, 5}, []string{"[121 2]", "[3]"}},
		// 496 bytes, and 12 are left: just enough for the other record.
		{"just fits", dvmrp.CodeNeighbors2, []int{122, 1}, []string{"[122 1]"}},
		{"just fits without neighbours", dvmrp.CodeNeighbors2, []int{123, 0, 1}, []string{"[123 0]", "[1]"}},
		// 7 and 4 each: 125 neighbours make 507 bytes.
		{"old form", dvmrp.CodeNeighbors, []int{126}, []string{"[125]", "[1]"}},
	} {
		var interfaces []dvmrp.Interface
		for i, n := range c.neighbors {
			interfaces = append(interfaces, dvmrp.Interface{Local: addr("10.0.0.1"), Metric: uint8(i), Threshold: 9, Neighbors: numbered(i, n)})
		}
		want := fmt.Sprint(interfaces)
		var parts []string
		united := make([]dvmrp.Interface, 0, len(interfaces))
		for part := range dvmrp.SplitInterfaces(c.code, interfaces) {
			n := dvmrp.Neighbors{Version: dvmrp.Mrouted, Code: c.code, Interfaces: part}
			if data := n.Len() - dvmrp.HeaderLen; data > dvmrp.MaxData {
				t.Errorf("%s: a message with %d bytes of data", c.name, data)
			}
			var counts []int
			for _, i := range part {
				counts = append(counts, len(i.Neighbors))
				_ = append(i.Neighbors, addr("255.255.255.255")) // must not end up in another part
				if l := len(united); l > 0 && united[l-1].Metric == i.Metric {
					united[l-1].Neighbors = append(united[l-1].Neighbors, i.Neighbors...)
				} else {
					i.Neighbors = slices.Clone(i.Neighbors)
					united = append(united, i)
				}
			}
			parts = append(parts, fmt.Sprint(counts))
		}
		if !slices.Equal(parts, c.parts) {
			t.Errorf("%s: messages %v, want %v", c.name, parts, c.parts)
		}
		if got := fmt.Sprint(united); got != want {
			t.Errorf("%s: united, the parts are\n%s, want\n%s", c.name, got, want)
		}
	}
	for range dvmrp.SplitInterfaces(dvmrp.CodeNeighbors2, []dvmrp.Interface{{Neighbors: numbered(0, 300)}}) {
		break // must not go on
	}
}

func TestNeighborsFull(t *testing.T) {
	for _, c := range []struct {
		code      dvmrp.Code
		neighbors int // of one record
		full      bool
	}{
		{dvmrp.CodeNeighbors2, 0, false},
		{dvmrp.CodeNeighbors2, 122, false}, // 496 of 508 bytes: 12 are left
		{dvmrp.CodeNeighbors2, 123, true},
		{dvmrp.CodeNeighbors2, 125, true},
		{dvmrp.CodeNeighbors, 122, false}, // 495: 13 are left, 11 are needed
		{dvmrp.CodeNeighbors, 123, true},
	} {
		n := dvmrp.Neighbors{Code: c.code, Interfaces: []dvmrp.Interface{{Neighbors: numbered(0, c.neighbors)}}}
		if n.Full() != c.full {
			t.Errorf("%v, a record with %d neighbours: Full is %v", c.code, c.neighbors, n.Full())
		}
	}
}

// Debian's pimd 2.3.2 writes its query interval into byte 9 after it has computed
// the checksum: 10.0.2.2 becomes 10.12.2.2. The answer is decoded all the same.
func TestNeighborsOfPimd(t *testing.T) {
	packet := prototest.Unhex(t, "13 06 9a f3 00 00 01 02 | 0a 00 02 02 01 01 44 01 00 00 00 00")
	if !igmp.VerifyChecksum(packet) {
		t.Fatal("the packet is not good before the damage")
	}
	packet[9] = 12
	if igmp.VerifyChecksum(packet) {
		t.Error("the checksum of the damaged packet is said to be right")
	}
	var n dvmrp.Neighbors
	if err := n.Parse(packet); err != nil {
		t.Fatal(err)
	}
	if got := n.Interfaces[0].Local; got != addr("10.12.2.2") {
		t.Errorf("local address %v, want 10.12.2.2", got)
	}
	if n.Version.String() != "version 2.1" {
		t.Errorf("%v, want version 2.1", n.Version)
	}
}

func TestNeighborsAllocs(t *testing.T) {
	prototest.TestNoAllocs[dvmrp.Neighbors](t, prototest.Unhex(t, `13 06 c5 a7 00 0e ff 03
		c0 a8 02 07  01 01 40 02  c0 a8 02 fe  c0 a8 02 fd
		c0 a8 07 07  01 01 40 01  00 00 00 00
		c0 a8 0e fe  01 40 01 01  c0 a8 01 fe`))
}

func FuzzNeighbors(f *testing.F) {
	prototest.Fuzz[dvmrp.Neighbors](f, recordings,
		prototest.Unhex(f, "13 04 00 00 00 00 00 00 | c0 a8 01 01 01 02 02 c0 a8 01 0a c0 a8 01 fe | c0 a8 02 01 03 01 00"),
		prototest.Unhex(f, "13 06 00 00 00 0e ff 03 | 0a 00 00 01 01 01 00 ff"),
		prototest.Unhex(f, "13 06 00 00 00 00 02 0a | 0a 00 00 01 01 00 00 00 0a 00 00 02 | 0a 00 03 01 01 00 00 10"))
}
