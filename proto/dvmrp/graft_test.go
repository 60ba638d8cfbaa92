package dvmrp_test

import (
	"net/netip"
	"testing"

	"mbone/internal/prototest"
	"mbone/proto/dvmrp"
	"mbone/proto/igmp"
)

func TestGraft(t *testing.T) {
	prototest.TestGood(t, []prototest.Good[dvmrp.Graft]{
		{
			Name: "graft",
			Packet: `13 08 3d 38 00 0e ff 03
				c0 a8 0e 00   # source network
				e0 02 02 02   # group`,
			Want: dvmrp.Graft{Version: dvmrp.Mrouted, Source: addr("192.168.14.0"), Group: addr("224.2.2.2")},
		},
		{
			Name:   "graft-ack with a netmask",
			Packet: "13 09 3e 16 00 2e ff 03 | c0 a8 0e 00 | e0 02 02 02 | ff ff ff 00",
			Want: dvmrp.Graft{Version: withNetmask, Ack: true, Source: addr("192.168.14.0"), Group: addr("224.2.2.2"),
				Mask: addr("255.255.255.0")},
		},
		{
			Name:    "no capability: bytes behind it, whatever they are",
			Packet:  "13 09 3b 39 00 0e ff 03 | c0 a8 0e 00 | e0 02 02 02 | 00 ff 00 ff",
			Want:    dvmrp.Graft{Version: dvmrp.Mrouted, Ack: true, Source: addr("192.168.14.0"), Group: addr("224.2.2.2")},
			Encoded: "13 09 3d 37 00 0e ff 03 | c0 a8 0e 00 | e0 02 02 02",
		},
		{
			Name:   "graft with a netmask",
			Packet: "13 08 3e 17 00 2e ff 03 | c0 a8 0e 00 | e0 02 02 02 | ff ff ff 00",
			Want:   dvmrp.Graft{Version: withNetmask, Source: addr("192.168.14.0"), Group: addr("224.2.2.2"), Mask: addr("255.255.255.0")},
		},
	})
	prototest.TestDamaged[dvmrp.Graft](t, []prototest.Damaged{
		{Name: "half a header", Packet: "13 08 00 00 00 0e ff", Cause: igmp.ErrTruncated, Offset: 7},
		{Name: "a prune", Packet: "13 07 00 00 00 0e ff 03 c0 a8 0e 00 e0 02 02 02 00 00 1c 20", Cause: igmp.ErrType, Offset: 1},
		{Name: "half a group", Packet: "13 08 00 00 00 0e ff 03 c0 a8 0e 00 e0 02 02", Cause: igmp.ErrTruncated, Offset: 15},
		{Name: "hole in the netmask", Packet: "13 09 00 00 00 2e ff 03 c0 a8 0e 00 e0 02 02 02 00 00 00 01", Cause: igmp.ErrValue, Offset: 16},
	})
	prototest.TestUnsayable(t, []prototest.Unsayable[dvmrp.Graft]{
		{Name: "no source", Message: dvmrp.Graft{Group: addr("224.2.2.2")}, Error: "graft: source"},
		{Name: "no group", Message: dvmrp.Graft{Ack: true, Source: addr("10.0.0.0")}, Error: "graft-ack: group"},
		{Name: "netmask without capability", Message: dvmrp.Graft{Source: addr("10.0.0.0"), Group: addr("224.2.2.2"),
			Mask: netip.IPv4Unspecified()}, Error: "netmask capability"},
	})
}

func FuzzGraft(f *testing.F) {
	prototest.Fuzz[dvmrp.Graft](f, recordings, prototest.Unhex(f,
		"13 09 00 00 00 2e ff 03 | c0 a8 0e 00 | e0 02 02 02 | ff ff ff 00"))
}
