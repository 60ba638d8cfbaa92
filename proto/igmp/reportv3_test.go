package igmp_test

import (
	"net/netip"
	"testing"

	"mbone/internal/prototest"
	"mbone/proto/igmp"
)

func TestReportV3(t *testing.T) {
	prototest.TestGood(t, []prototest.Good[igmp.ReportV3]{
		{
			Name: "every type of record",
			Packet: `22 00 32 c9 00 00 00 06
				01 00 00 01  e8 01 02 03  0a 00 00 01
				02 00 00 00  e0 02 02 02
				03 00 00 00  e0 02 02 03
				04 00 00 02  e0 02 02 04  0a 00 00 01  0a 00 00 02
				05 00 00 01  e8 01 02 05  0a 00 00 01
				06 00 00 01  e8 01 02 06  0a 00 00 01`,
			Want: igmp.ReportV3{Records: []igmp.Record{
				{Type: igmp.ModeIsInclude, Group: addr("232.1.2.3"), Sources: addrs("10.0.0.1")},
				{Type: igmp.ModeIsExclude, Group: addr("224.2.2.2")},
				{Type: igmp.ChangeToInclude, Group: addr("224.2.2.3")},
				{Type: igmp.ChangeToExclude, Group: addr("224.2.2.4"), Sources: addrs("10.0.0.1", "10.0.0.2")},
				{Type: igmp.AllowNewSources, Group: addr("232.1.2.5"), Sources: addrs("10.0.0.1")},
				{Type: igmp.BlockOldSources, Group: addr("232.1.2.6"), Sources: addrs("10.0.0.1")},
			}},
		},
		{
			Name: "auxiliary data, unknown type",
			Packet: `22 00 f4 da 00 00 00 02
				07 02 00 01  e0 02 02 02  0a 00 00 01  01 02 03 04 05 06 07 08
				04 00 00 00  e0 02 02 03`,
			Want: igmp.ReportV3{Records: []igmp.Record{
				{Type: 7, Group: addr("224.2.2.2"), Sources: addrs("10.0.0.1"), Aux: []byte{1, 2, 3, 4, 5, 6, 7, 8}},
				{Type: igmp.ChangeToExclude, Group: addr("224.2.2.3")},
			}},
		},
		{
			Name:   "no record",
			Packet: "22 00 dd ff 00 00 00 00",
			Want:   igmp.ReportV3{},
		},
		{
			Name:    "reserved bytes and bytes behind the last record",
			Packet:  "22 01 f1 f4 02 03 00 01 | 04 00 00 00 e0 02 02 03 | 04 00 00",
			Want:    igmp.ReportV3{Records: []igmp.Record{{Type: igmp.ChangeToExclude, Group: addr("224.2.2.3")}}},
			Encoded: "22 00 f7 f8 00 00 00 01 | 04 00 00 00 e0 02 02 03",
		},
		{
			Name:    "fewer records than counted",
			Packet:  "22 00 13 f5 00 00 00 02 | 04 00 00 00 e0 02 02 03 | 04 00 00 00 e0 02",
			Want:    igmp.ReportV3{Truncated: true, Records: []igmp.Record{{Type: igmp.ChangeToExclude, Group: addr("224.2.2.3")}}},
			Encoded: "22 00 f7 f8 00 00 00 01 | 04 00 00 00 e0 02 02 03",
		},
		{
			Name:    "record with sources past the end",
			Packet:  "22 00 02 f0 00 00 00 02 | 04 00 00 00 e0 02 02 03 | 01 00 00 02 e8 01 02 03 0a 00 00 01",
			Want:    igmp.ReportV3{Truncated: true, Records: []igmp.Record{{Type: igmp.ChangeToExclude, Group: addr("224.2.2.3")}}},
			Encoded: "22 00 f7 f8 00 00 00 01 | 04 00 00 00 e0 02 02 03",
		},
		{
			Name:    "record with auxiliary data past the end, all counts at their largest",
			Packet:  "22 00 f2 f4 00 00 ff ff | 04 ff ff ff e0 02 02 03 | 01 02 03 04",
			Want:    igmp.ReportV3{Truncated: true},
			Encoded: "22 00 dd ff 00 00 00 00",
		},
	})
	prototest.TestDamaged[igmp.ReportV3](t, []prototest.Damaged{
		{Name: "seven bytes", Packet: "22 00 00 00 00 00 00", Cause: igmp.ErrTruncated, Offset: 7},
		{Name: "a v2 report", Packet: "16 00 00 00 e0 02 02 02", Cause: igmp.ErrType, Offset: 0},
	})
	one := func(r igmp.Record) igmp.ReportV3 { return igmp.ReportV3{Records: []igmp.Record{r}} }
	prototest.TestUnsayable(t, []prototest.Unsayable[igmp.ReportV3]{
		{Name: "no group", Message: one(igmp.Record{}), Error: "record 0: group"},
		{Name: "IPv6 source", Message: one(igmp.Record{Group: addr("232.1.2.3"), Sources: addrs("::1")}), Error: "source"},
		{Name: "too many sources", Message: one(igmp.Record{Group: addr("232.1.2.3"), Sources: make([]netip.Addr, 65536)}), Error: "65536 sources"},
		{Name: "half a word", Message: one(igmp.Record{Group: addr("232.1.2.3"), Aux: make([]byte, 2)}), Error: "2 bytes of auxiliary data"},
		{Name: "too many words", Message: one(igmp.Record{Group: addr("232.1.2.3"), Aux: make([]byte, 1024)}), Error: "1024 bytes of auxiliary data"},
		{Name: "too many records", Message: igmp.ReportV3{Records: make([]igmp.Record, 65536)}, Error: "65536 records"},
	})
}

func TestRecordTypeString(t *testing.T) {
	for typ, want := range map[igmp.RecordType]string{
		1: "MODE_IS_INCLUDE", 2: "MODE_IS_EXCLUDE", 3: "CHANGE_TO_INCLUDE_MODE", 4: "CHANGE_TO_EXCLUDE_MODE",
		5: "ALLOW_NEW_SOURCES", 6: "BLOCK_OLD_SOURCES", 0: "record type 0", 7: "record type 7",
	} {
		if got := typ.String(); got != want {
			t.Errorf("record type %d is %q, want %q", uint8(typ), got, want)
		}
	}
}

func FuzzReportV3(f *testing.F) {
	prototest.Fuzz[igmp.ReportV3](f, recordings,
		prototest.Unhex(f, "22 00 00 00 00 00 00 03 | 07 02 00 01 e0 02 02 02 0a 00 00 01 01 02 03 04 05 06 07 08 | 04 00 00 00 e0 02 02 03 | 04 ff ff"),
		prototest.Unhex(f, "22 00 00 00 00 00 ff ff"),
		prototest.Unhex(f, "22 00 00 00 00 00 00 01 | 04 ff ff ff e0 02 02 03"))
}
