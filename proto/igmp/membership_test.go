package igmp_test

import (
	"testing"

	"mbone/internal/prototest"
	"mbone/proto/igmp"
)

func TestMembership(t *testing.T) {
	prototest.TestGood(t, []prototest.Good[igmp.Membership]{
		{
			Name:   "v1 report",
			Packet: "12 00 0b fb e0 02 02 02",
			Want:   igmp.Membership{Type: igmp.TypeReportV1, Group: addr("224.2.2.2")},
		},
		{
			Name:   "v2 report",
			Packet: "16 00 fa 04 ef ff ff fa",
			Want:   igmp.Membership{Type: igmp.TypeReportV2, Group: addr("239.255.255.250")},
		},
		{
			Name:   "leave",
			Packet: "17 00 06 fb e0 02 02 02",
			Want:   igmp.Membership{Type: igmp.TypeLeave, Group: addr("224.2.2.2")},
		},
		{
			Name:    "something in byte 1 and behind the group",
			Packet:  "16 07 07 f4 e0 02 02 02 | 00 00 00",
			Want:    igmp.Membership{Type: igmp.TypeReportV2, Group: addr("224.2.2.2")},
			Encoded: "16 00 07 fb e0 02 02 02",
		},
	})
	prototest.TestDamaged[igmp.Membership](t, []prototest.Damaged{
		{Name: "seven bytes", Packet: "16 00 00 00 e0 02 02", Cause: igmp.ErrTruncated, Offset: 7},
		{Name: "a query", Packet: "11 00 00 00 e0 02 02 02", Cause: igmp.ErrType, Offset: 0},
		{Name: "a v3 report", Packet: "22 00 00 00 00 00 00 00", Cause: igmp.ErrType, Offset: 0},
	})
	prototest.TestUnsayable(t, []prototest.Unsayable[igmp.Membership]{
		{Name: "no type", Message: igmp.Membership{Group: addr("224.2.2.2")}, Error: "found type 0x00"},
		{Name: "a query", Message: igmp.Membership{Type: igmp.TypeQuery, Group: addr("224.2.2.2")}, Error: "found query"},
		{Name: "no group", Message: igmp.Membership{Type: igmp.TypeLeave}, Error: "igmp leave: group"},
	})
}

func FuzzMembership(f *testing.F) {
	prototest.Fuzz[igmp.Membership](f, recordings, prototest.Unhex(f, "12 00 00 00 e0 02 02 02"))
}
