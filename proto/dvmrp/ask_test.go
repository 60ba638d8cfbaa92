package dvmrp_test

import (
	"testing"

	"mbone/internal/prototest"
	"mbone/proto/dvmrp"
	"mbone/proto/igmp"
)

func TestAsk(t *testing.T) {
	prototest.TestGood(t, []prototest.Good[dvmrp.Ask]{
		{
			Name:   "old question of mrouted 4.6",
			Packet: "13 03 ed ea 00 0e ff 03",
			Want:   dvmrp.Ask{Code: dvmrp.CodeAskNeighbors, Version: dvmrp.Mrouted},
		},
		{
			Name:   "new question of mtrace 5.2",
			Packet: "13 05 ed f6 00 00 ff 03",
			Want:   dvmrp.Ask{Code: dvmrp.CodeAskNeighbors2, Version: dvmrp.Version{Minor: 255, Major: 3}},
		},
		{
			Name:    "bytes behind it",
			Packet:  "13 05 eb f5 00 00 ff 03 | 00 01 02",
			Want:    dvmrp.Ask{Code: dvmrp.CodeAskNeighbors2, Version: dvmrp.Version{Minor: 255, Major: 3}},
			Encoded: "13 05 ed f6 00 00 ff 03",
		},
	})
	prototest.TestDamaged[dvmrp.Ask](t, []prototest.Damaged{
		{Name: "half a header", Packet: "13 05 00 00 00 0e ff", Cause: igmp.ErrTruncated, Offset: 7},
		{Name: "an answer", Packet: "13 06 00 00 00 0e ff 03", Cause: igmp.ErrType, Offset: 1},
		{Name: "not DVMRP", Packet: "14 05 00 00 00 0e ff 03", Cause: igmp.ErrType, Offset: 0},
	})
	prototest.TestUnsayable(t, []prototest.Unsayable[dvmrp.Ask]{
		{Name: "no code", Message: dvmrp.Ask{Version: dvmrp.Mrouted}, Error: "expected code 5 or 3"},
		{Name: "an answer", Message: dvmrp.Ask{Code: dvmrp.CodeNeighbors2}, Error: "expected code 5 or 3"},
	})
}

func FuzzAsk(f *testing.F) { prototest.Fuzz[dvmrp.Ask](f, recordings) }
