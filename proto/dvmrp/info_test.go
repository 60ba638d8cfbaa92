package dvmrp_test

import (
	"bytes"
	"testing"

	"mbone/internal/prototest"
	"mbone/proto/dvmrp"
	"mbone/proto/igmp"
)

func TestInfo(t *testing.T) {
	version := []byte("mrouted version 3.9-beta3\x00\x00\x00")
	prototest.TestGood(t, []prototest.Good[dvmrp.Info]{
		{
			Name:   "request for the version",
			Packet: "13 0a ec e3 00 0e ff 03 | 01 00 00 00",
			Want:   dvmrp.Info{Version: dvmrp.Mrouted, TLVs: []dvmrp.TLV{{Type: dvmrp.InfoVersion}}},
		},
		{
			Name: "reply with the version",
			Packet: `13 0b 00 e3 00 0e ff 03
				01 07 00 00                                             # version, seven words
				6d 72 6f 75 74 65 64 20  76 65 72 73 69 6f 6e 20        # "mrouted version "
				33 2e 39 2d 62 65 74 61  33 00 00 00                    # "3.9-beta3"`,
			Want: dvmrp.Info{Version: dvmrp.Mrouted, Reply: true, TLVs: []dvmrp.TLV{{dvmrp.InfoVersion, version}}},
		},
		{
			Name:   "unknown type between others, something in the reserved bytes",
			Packet: "13 0b 3a c1 00 0e ff 03 | 01 01 00 00 61 62 63 00 | 63 00 be ef | 01 01 00 00 64 65 66 67",
			Want: dvmrp.Info{Version: dvmrp.Mrouted, Reply: true, TLVs: []dvmrp.TLV{
				{dvmrp.InfoVersion, []byte("abc\x00")}, {0x63, nil}, {dvmrp.InfoVersion, []byte("defg")}}},
			Encoded: "13 0b f9 b0 00 0e ff 03 | 01 01 00 00 61 62 63 00 | 63 00 00 00 | 01 01 00 00 64 65 66 67",
		},
		{
			Name:    "four bytes of anything for a type without answer",
			Packet:  "13 0b 25 80 00 0e ff 03 | 01 01 00 00 61 62 63 00 | 02 ff ff ff",
			Want:    dvmrp.Info{Version: dvmrp.Mrouted, Reply: true, Truncated: true, TLVs: []dvmrp.TLV{{dvmrp.InfoVersion, []byte("abc\x00")}}},
			Encoded: "13 0b 28 7f 00 0e ff 03 | 01 01 00 00 61 62 63 00",
		},
		{
			Name:    "bytes that are no TLV",
			Packet:  "13 0a ea e3 00 0e ff 03 | 01 00 00 00 | 02 00 00",
			Want:    dvmrp.Info{Version: dvmrp.Mrouted, Truncated: true, TLVs: []dvmrp.TLV{{Type: dvmrp.InfoVersion}}},
			Encoded: "13 0a ec e3 00 0e ff 03 | 01 00 00 00",
		},
	})
	prototest.TestDamaged[dvmrp.Info](t, []prototest.Damaged{
		{Name: "half a header", Packet: "13 0a 00 00 00 0e ff", Cause: igmp.ErrTruncated, Offset: 7},
		{Name: "a graft-ack", Packet: "13 09 00 00 00 0e ff 03", Cause: igmp.ErrType, Offset: 1},
	})
	prototest.TestUnsayable(t, []prototest.Unsayable[dvmrp.Info]{
		{Name: "long value", Message: dvmrp.Info{TLVs: []dvmrp.TLV{{1, make([]byte, 1020)}, {1, make([]byte, 1021)}}}, Error: "value 1 has 1021 bytes"},
	})
	// A text is filled up with zeros, and Text takes them off again.
	i := dvmrp.Info{Version: dvmrp.Mrouted, Reply: true, TLVs: []dvmrp.TLV{{dvmrp.InfoVersion, bytes.TrimRight(version, "\x00")}}}
	b, err := i.AppendBinary(nil)
	if err != nil || len(b) != 40 || i.Len() != 40 {
		t.Fatalf("% x, %v, Len %d, want 40 bytes", b, err, i.Len())
	}
	if err := i.Parse(b); err != nil || i.TLVs[0].Text() != "mrouted version 3.9-beta3" {
		t.Errorf("%q, %v", i.TLVs, err)
	}
}

func FuzzInfo(f *testing.F) {
	prototest.Fuzz[dvmrp.Info](f, recordings,
		prototest.Unhex(f, "13 0a 00 00 00 0e ff 03 | 01 00 00 00"),
		prototest.Unhex(f, "13 0b 00 00 00 0e ff 03 | 01 01 00 00 61 62 63 00 | 02 ff ff ff"))
}
