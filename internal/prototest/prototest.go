// Package prototest is what the tests of the codecs below proto have in common:
// tables of packets in hex, recorded packets, the body of the fuzz targets, and
// programs to compare with.
package prototest

import (
	"bytes"
	"encoding/hex"
	"errors"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"mbone/proto/igmp"
)

// Message is what a pointer to every message type of proto is.
type Message[T any] interface {
	*T
	Parse([]byte) error
	AppendBinary([]byte) ([]byte, error)
	Len() int
}

// same are the options that compare messages: an empty list is as good as none.
var same = cmp.Options{
	cmpopts.EquateEmpty(),
	cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{}),
}

// Unhex reads a packet in hex. Spaces, line ends and | are left out, and so is
// everything from # to the end of a line.
func Unhex(tb testing.TB, s string) []byte {
	tb.Helper()
	var digits strings.Builder
	for line := range strings.Lines(s) {
		line, _, _ = strings.Cut(line, "#")
		digits.WriteString(strings.NewReplacer(" ", "", "\t", "", "\n", "", "|", "").Replace(line))
	}
	b, err := hex.DecodeString(digits.String())
	if err != nil {
		tb.Fatalf("%q: %v", s, err)
	}
	return b
}

// Good is a packet and what it means.
type Good[T any] struct {
	Name   string
	Packet string // see Unhex
	Want   T
	// Encoded is what Want is encoded as, if that is not Packet.
	Encoded string
}

// TestGood decodes each packet, into a new value and into one that was used for
// all before, and encodes what it is expected to be.
func TestGood[T any, M Message[T]](t *testing.T, cases []Good[T]) {
	used := M(new(T))
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			packet := Unhex(t, c.Packet)
			if !igmp.VerifyChecksum(packet) {
				t.Errorf("the checksum of the packet is %x, want %04x", packet[2:4], igmp.Checksum(packet))
			}
			want := M(&c.Want)
			for _, got := range []M{M(new(T)), used} {
				if err := got.Parse(packet); err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(want, got, same); diff != "" {
					t.Errorf("decoded (-want, +got):\n%s", diff)
				}
			}
			if c.Encoded != "" {
				packet = Unhex(t, c.Encoded)
			}
			before := []byte("before")
			got, err := want.AppendBinary(before)
			if err != nil {
				t.Fatal(err)
			}
			if rest, found := bytes.CutPrefix(got, before); !found || !bytes.Equal(rest, packet) {
				t.Errorf("encoded\n% x, want\n% x", rest, packet)
			}
			if want.Len() != len(packet) {
				t.Errorf("Len is %d, want %d", want.Len(), len(packet))
			}
		})
	}
}

// Damaged is a packet that must be refused.
type Damaged struct {
	Name   string
	Packet string // see Unhex
	Cause  error  // of the igmp.ParseError
	Offset int
}

// TestDamaged expects an igmp.ParseError of each packet.
func TestDamaged[T any, M Message[T]](t *testing.T, cases []Damaged) {
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			m := M(new(T))
			err := m.Parse(Unhex(t, c.Packet))
			var damage *igmp.ParseError
			if !errors.As(err, &damage) {
				t.Fatalf("error %v, want a ParseError; decoded %+v", err, m)
			}
			if !errors.Is(err, c.Cause) || damage.Offset != c.Offset {
				t.Errorf("error %q, want one of byte %d with cause %q", err, c.Offset, c.Cause)
			}
		})
	}
}

// Unsayable is a message that has no encoding.
type Unsayable[T any] struct {
	Name    string
	Message T
	Error   string // a part of the error's text
}

// TestUnsayable expects an error of AppendBinary for each message, and its
// argument back.
func TestUnsayable[T any, M Message[T]](t *testing.T, cases []Unsayable[T]) {
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			before := []byte("before")
			got, err := M(&c.Message).AppendBinary(before)
			if err == nil {
				t.Fatalf("encoded % x, want an error", got)
			}
			if !strings.Contains(err.Error(), c.Error) {
				t.Errorf("error %q, want one with %q", err, c.Error)
			}
			if !bytes.Equal(got, before) {
				t.Errorf("after an error AppendBinary returned % x, want its argument", got)
			}
		})
	}
}

// TestNoAllocs decodes and encodes packet into reused memory and expects that
// nothing is allocated.
func TestNoAllocs[T any, M Message[T]](t *testing.T, packet []byte) {
	m, buf := M(new(T)), []byte(nil)
	var err error
	n := testing.AllocsPerRun(100, func() {
		if err == nil {
			err = m.Parse(packet)
		}
		if err == nil {
			buf, err = m.AppendBinary(buf[:0])
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if n != 0 {
		t.Errorf("decoding and encoding allocates %v times, want 0", n)
	}
	if !bytes.Equal(buf, packet) {
		t.Errorf("encoded\n% x, want\n% x", buf, packet)
	}
}

// Program returns the path of a program that the test runs. Where there is none
// the test is skipped, or fails if MBONE_REQUIRE has "peers".
func Program(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err == nil {
		return path
	}
	if slices.Contains(strings.Split(os.Getenv("MBONE_REQUIRE"), ","), "peers") {
		t.Fatalf("MBONE_REQUIRE has peers, but: %v", err)
	}
	t.Skipf("needs peers: %v", err)
	return ""
}
