package dvmrp_test

import (
	"testing"

	"mbone/internal/prototest"
	"mbone/proto/dvmrp"
	"mbone/proto/igmp"
)

func TestProbe(t *testing.T) {
	prototest.TestGood(t, []prototest.Good[dvmrp.Probe]{
		{
			Name: "two neighbours",
			Packet: `13 01 64 01  00 0e ff 03  # header, capabilities prune, genid, mtrace; 3.255
				3f f0 c5 a1                # generation id
				c0 a8 01 fe                # heard
				c0 a8 01 0a                # heard`,
			Want: dvmrp.Probe{Version: dvmrp.Mrouted, GenID: 0x3ff0c5a1, Neighbors: addrs("192.168.1.254", "192.168.1.10")},
		},
		{
			Name:   "nobody heard",
			Packet: "13 01 ed ea 00 0f ff 03 | 00 00 00 01",
			Want:   dvmrp.Probe{Version: dvmrp.VersionOf(0x000fff03), GenID: 1},
		},
		{
			Name:   "mrouted 3.3",
			Packet: "13 01 df eb 00 0e 03 03 | 00 00 00 01 | 0a 00 00 01",
			Want:   dvmrp.Probe{Version: dvmrp.VersionOf(0x000e0303), GenID: 1, Neighbors: addrs("10.0.0.1")},
		},
		{
			Name:   "before 3.3, no data",
			Packet: "13 01 ea fb 00 00 02 03",
			Want:   dvmrp.Probe{Version: dvmrp.VersionOf(0x00000203)},
		},
		{
			Name:    "before 3.3, data that means something else",
			Packet:  "13 01 a6 d9 00 00 02 03 | 11 22 33",
			Want:    dvmrp.Probe{Version: dvmrp.VersionOf(0x00000203)},
			Encoded: "13 01 ea fb 00 00 02 03",
		},
		{
			Name:    "IOS, data that means something else",
			Packet:  "13 01 a2 86 00 00 02 0c | 11 22 33 44 | 01 02 03 04",
			Want:    dvmrp.Probe{Version: dvmrp.VersionOf(0x0000020c)},
			Encoded: "13 01 ea f2 00 00 02 0c",
		},
	})
	prototest.TestDamaged[dvmrp.Probe](t, []prototest.Damaged{
		{Name: "empty", Packet: "", Cause: igmp.ErrTruncated, Offset: 0},
		{Name: "half a header", Packet: "13 01 00 00 00 0e ff", Cause: igmp.ErrTruncated, Offset: 7},
		{Name: "not DVMRP", Packet: "11 01 00 00 00 0e ff 03 00 00 00 01", Cause: igmp.ErrType, Offset: 0},
		{Name: "a report", Packet: "13 02 00 00 00 0e ff 03 00 00 00 01", Cause: igmp.ErrType, Offset: 1},
		{Name: "no generation id", Packet: "13 01 00 00 00 0e ff 03", Cause: igmp.ErrTruncated, Offset: 8},
		{Name: "half a generation id", Packet: "13 01 00 00 00 0e ff 03 00 00", Cause: igmp.ErrTruncated, Offset: 10},
		{Name: "half a neighbour", Packet: "13 01 00 00 00 0e ff 03 00 00 00 01 0a 00 00 01 0a 00", Cause: igmp.ErrTruncated, Offset: 18},
	})
	prototest.TestUnsayable(t, []prototest.Unsayable[dvmrp.Probe]{
		{Name: "IPv6 neighbour", Message: dvmrp.Probe{Version: dvmrp.Mrouted, Neighbors: addrs("::1")}, Error: "neighbour: expected an IPv4 address, found ::1"},
		{Name: "generation id before 3.3", Message: dvmrp.Probe{Version: dvmrp.VersionOf(0x0203), GenID: 1}, Error: "version 3.2 has no data"},
		{Name: "neighbours before 3.3", Message: dvmrp.Probe{Version: dvmrp.VersionOf(0x0203), Neighbors: addrs("10.0.0.1")}, Error: "version 3.2 has no data"},
	})
}

func TestProbeAllocs(t *testing.T) {
	prototest.TestNoAllocs[dvmrp.Probe](t, prototest.Unhex(t,
		"13 01 64 01 00 0e ff 03 | 3f f0 c5 a1 | c0 a8 01 fe | c0 a8 01 0a"))
}

func FuzzProbe(f *testing.F) { prototest.Fuzz[dvmrp.Probe](f, recordings) }
