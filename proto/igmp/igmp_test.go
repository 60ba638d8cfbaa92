package igmp_test

import (
	"errors"
	"net/netip"
	"testing"

	"mbone/internal/prototest"
	"mbone/proto/igmp"
)

// recordings is where real packets are.
const recordings = "../testdata/lab-14-1"

var addr = netip.MustParseAddr

func addrs(list ...string) []netip.Addr {
	var a []netip.Addr
	for _, s := range list {
		a = append(a, addr(s))
	}
	return a
}

func TestChecksum(t *testing.T) {
	for _, c := range []struct {
		name   string
		packet string
		want   uint16
	}{
		{"v2 query", "11 64 ee 9b 00 00 00 00", 0xee9b},
		{"v3 query", "11 64 ec 1e 00 00 00 00 02 7d 00 00", 0xec1e},
		{"odd length", "13 02 11 d0 00 0e ff 03 00 00 00 00 83 00 00 00 0a 81 f0 00 00 ac 10 84 " +
			"ff 00 00 ac 14 82 ff ff 00 c0 a8 01 01 c0 a8 0e a1 ff ff c0 c0 a8 02 40 82", 0x11d0},
		{"mtrace query", "1f 20 dc 38 e0 02 02 02 c0 a8 02 07 c0 a8 0e fe c0 a8 02 07 ff ab cd ef", 0xdc38},
		{"sum 0", "ff ff 00 00 00 00 00 00", 0},
		{"all 0", "00 00 ff ff 00 00 00 00", 0xffff},
	} {
		b := prototest.Unhex(t, c.packet)
		if !igmp.VerifyChecksum(b) {
			t.Errorf("%s: the checksum is said to be wrong", c.name)
		}
		if got := igmp.Checksum(b); got != c.want {
			t.Errorf("%s: checksum %04x, want %04x", c.name, got, c.want)
		}
		for i := range b {
			for bit := range 8 {
				b[i] ^= 1 << bit
				if igmp.VerifyChecksum(b) {
					t.Errorf("%s: bit %d of byte %d is wrong, and the checksum is said to be right", c.name, bit, i)
				}
				b[i] ^= 1 << bit
			}
		}
		b[2], b[3] = 0x55, 0xaa
		if got := igmp.Checksum(b); got != c.want {
			t.Errorf("%s: with another value in its place the checksum is %04x, want %04x", c.name, got, c.want)
		}
		igmp.PutChecksum(b)
		if got := uint16(b[2])<<8 | uint16(b[3]); got != c.want {
			t.Errorf("%s: PutChecksum wrote %04x, want %04x", c.name, got, c.want)
		}
	}
	// Good in itself, but no IGMP message.
	if igmp.VerifyChecksum([]byte{0xff, 0xff, 0, 0, 0, 0, 0}) {
		t.Error("seven bytes are said to be good")
	}
	if igmp.VerifyChecksum(nil) {
		t.Error("nothing is said to be good")
	}
}

func TestFrame(t *testing.T) {
	prototest.TestGood(t, []prototest.Good[igmp.Frame]{
		{
			Name:   "nothing but the frame",
			Packet: "31 00 ce ff 00 00 00 00", // router solicitation
			Want:   igmp.Frame{Type: igmp.TypeRouterSolicitation, Group: igmp.Unspecified},
		},
		{
			Name:   "PIMv1 query with an odd body",
			Packet: "14 00 da 96 10 00 00 00 | 00 00 00 69 01",
			Want:   igmp.Frame{Type: igmp.TypePIMv1, Group: addr("16.0.0.0"), Body: []byte{0, 0, 0, 0x69, 1}},
		},
		{
			Name:   "type that nobody knows",
			Packet: "fe 80 11 84 ef ff ff fa",
			Want:   igmp.Frame{Type: 0xfe, Code: 0x80, Group: addr("239.255.255.250")},
		},
	})
	prototest.TestDamaged[igmp.Frame](t, []prototest.Damaged{
		{Name: "empty", Packet: "", Cause: igmp.ErrTruncated, Offset: 0},
		{Name: "seven bytes", Packet: "16 00 00 00 e0 02 02", Cause: igmp.ErrTruncated, Offset: 7},
	})
	prototest.TestUnsayable(t, []prototest.Unsayable[igmp.Frame]{
		{Name: "no group", Message: igmp.Frame{Type: igmp.TypePIMv1}, Error: "group: expected an IPv4 address"},
		{Name: "IPv6 group", Message: igmp.Frame{Group: addr("ff02::1")}, Error: "found ff02::1"},
	})
}

func FuzzFrame(f *testing.F) { prototest.Fuzz[igmp.Frame](f, recordings) }

func TestTypeString(t *testing.T) {
	for typ, want := range map[igmp.Type]string{
		0x11: "query", 0x12: "v1 report", 0x13: "DVMRP", 0x14: "PIMv1", 0x15: "Cisco trace", 0x16: "v2 report",
		0x17: "leave", 0x1e: "mtrace response", 0x1f: "mtrace query", 0x22: "v3 report", 0x30: "router advertisement",
		0x31: "router solicitation", 0x32: "router termination", 0x00: "type 0x00", 0xff: "type 0xff",
	} {
		if got := typ.String(); got != want {
			t.Errorf("type %02x is %q, want %q", uint8(typ), got, want)
		}
	}
}

func TestGroups(t *testing.T) {
	for group, want := range map[netip.Addr]string{
		igmp.AllSystems:      "224.0.0.1",
		igmp.AllRouters:      "224.0.0.2",
		igmp.DVMRPRouters:    "224.0.0.4",
		igmp.PIMRouters:      "224.0.0.13",
		igmp.IGMPv3Routers:   "224.0.0.22",
		igmp.AllSnoopers:     "224.0.0.106",
		igmp.MtraceResponses: "224.0.1.32",
		igmp.MBoneAudio:      "224.2.0.1",
		igmp.Unspecified:     "0.0.0.0",
	} {
		if group.String() != want {
			t.Errorf("%v, want %s", group, want)
		}
	}
	for _, c := range []struct {
		group               string
		linkLocal, specific bool
	}{
		{"224.0.0.0", true, false}, {"224.0.0.255", true, false}, {"224.0.1.0", false, false},
		{"223.255.255.255", false, false}, {"232.0.0.0", false, true}, {"232.255.255.255", false, true},
		{"233.0.0.0", false, false}, {"::ffff:224.0.0.1", false, false}, {"ff02::1", false, false},
	} {
		if got := igmp.LinkLocal(addr(c.group)); got != c.linkLocal {
			t.Errorf("LinkLocal(%s) is %v", c.group, got)
		}
		if got := igmp.SourceSpecific(addr(c.group)); got != c.specific {
			t.Errorf("SourceSpecific(%s) is %v", c.group, got)
		}
	}
}

func TestParseError(t *testing.T) {
	var q igmp.Query
	err := q.Parse([]byte{0x11, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	if err == nil || err.Error() != "igmp query: byte 10: message ends early" {
		t.Errorf("error %q", err)
	}
	if !errors.Is(err, igmp.ErrTruncated) || errors.Is(err, igmp.ErrType) {
		t.Errorf("error %#v is not of the right cause", err)
	}
}
