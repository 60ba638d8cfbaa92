package pim

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func unhex(s string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		panic(err)
	}
	return b
}

func TestHello(t *testing.T) {
	for _, c := range []struct {
		name     string
		wire     string
		hello    Hello
		holdtime time.Duration
	}{
		{
			"as pimd-dense sends it and a DR priority",
			// version and type, checksum | holdtime 105 | DR priority 1 | generation id
			"20 00 8a 38  00 01 00 02 00 69  00 13 00 04 00 00 00 01  00 14 00 04 12 34 42 f7",
			Hello{[]Option{
				{OptionHoldtime, []byte{0, 105}},
				{OptionDRPriority, []byte{0, 0, 0, 1}},
				{OptionGenerationID, []byte{0x12, 0x34, 0x42, 0xf7}},
			}},
			105 * time.Second,
		},
		{"good-bye", "20 00 df fc  00 01 00 02 00 00", Hello{[]Option{{OptionHoldtime, []byte{0, 0}}}}, 0},
		{"for ever", "20 00 df fc  00 01 00 02 ff ff", Hello{[]Option{{OptionHoldtime, []byte{0xff, 0xff}}}}, Forever},
		{"no option", "20 00 df ff", Hello{}, DefaultHoldtime},
		{"empty and unknown options, odd length", "20 00 9c ea  00 16 00 00  41 fe 00 01 01",
			Hello{[]Option{{22, nil}, {0x41fe, []byte{1}}}}, DefaultHoldtime},
		{"holdtime of the wrong length", "20 00 da fa  00 01 00 04 05 00 00 00",
			Hello{[]Option{{OptionHoldtime, []byte{5, 0, 0, 0}}}}, DefaultHoldtime},
	} {
		t.Run(c.name, func(t *testing.T) {
			wire := unhex(c.wire)
			if !VerifyChecksum(wire) {
				t.Error("checksum is said to be wrong")
			}
			var h Hello
			if err := h.Parse(wire); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.hello, h, cmp.Transformer("nil", func(b []byte) string { return string(b) })); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if got := h.Holdtime(); got != c.holdtime {
				t.Errorf("holdtime: got %v, want %v", got, c.holdtime)
			}
			got, err := c.hello.AppendBinary(nil)
			if err != nil || !bytes.Equal(got, wire) {
				t.Errorf("encoded as % x (%v), want % x", got, err, wire)
			}
			if c.hello.Len() != len(wire) {
				t.Errorf("Len is %d, want %d", c.hello.Len(), len(wire))
			}
		})
	}
}

func TestHelloDamaged(t *testing.T) {
	for _, c := range []struct{ name, wire string }{
		{"empty", ""},
		{"header cut", "20 00 df"},
		{"join/prune", "23 00 dc ff"},
		{"version 1", "10 00 ef ff"},
		{"option header cut", "20 00 00 00 00 01 00"},
		{"value cut", "20 00 00 00 00 01 00 02 00"},
		{"length beyond everything", "20 00 00 00 00 01 ff ff 00 69"},
	} {
		var h Hello
		if err := h.Parse(unhex(c.wire)); err == nil {
			t.Errorf("%s: taken as %+v", c.name, h)
		}
	}
	if VerifyChecksum(unhex("20 00 df fe")) || VerifyChecksum(unhex("20 00")) {
		t.Error("a wrong checksum is said to be right")
	}
	long := Hello{[]Option{{22, make([]byte, 1<<16)}}}
	if b, err := long.AppendBinary([]byte{1}); err == nil || len(b) != 1 {
		t.Errorf("an option of 65,536 bytes: %d bytes, %v", len(b), err)
	}
}

// What parses encodes to the same bytes but for reserved byte and checksum.
func FuzzHello(f *testing.F) {
	f.Add(unhex("20 00 8a 38  00 01 00 02 00 69  00 13 00 04 00 00 00 01  00 14 00 04 12 34 42 f7"))
	f.Add(unhex("20 00 9c ea  00 16 00 00  41 fe 00 01 01"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var h Hello
		if h.Parse(b) != nil {
			return
		}
		got, err := h.AppendBinary(nil)
		if err != nil || len(got) != h.Len() || !VerifyChecksum(got) {
			t.Fatalf("% x, %v", got, err)
		}
		if !bytes.Equal(got[HeaderLen:], b[HeaderLen:]) {
			t.Errorf("encoded as % x, came as % x", got, b)
		}
	})
}
