package prototest

import (
	"bytes"
	"errors"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mbone/proto/igmp"
)

// The memory that a decoded message may need: so many bytes for each byte of the
// packet (a route has 2 bytes in a packet and 40 in memory, and append keeps room
// for as much again), and for the first steps of append.
const (
	maxGrowth = 2 * 40 / 2
	maxFixed  = 1 << 10
)

// Fuzz holds the decoder of a message to these: it never panics; it fails with
// an igmp.ParseError of a byte in or just behind the packet; it changes and keeps
// nothing of the packet; its memory is bounded by the length of the packet; what it
// decoded can be encoded, with a good checksum, and decoding that gives the same
// value and the same bytes again, whatever the value was used for before.
//
// The seeds are the packets that were recorded in a directory and the given ones.
func Fuzz[T any, M Message[T]](f *testing.F, recordings string, seeds ...[]byte) {
	seen := map[string]bool{}
	for _, b := range append(Recorded(f, recordings), seeds...) {
		if !seen[string(b)] {
			seen[string(b)] = true
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, packet []byte) {
		b := bytes.Clone(packet)
		m := M(new(T))
		err := m.Parse(b)
		if got, limit := memory(reflect.ValueOf(m)), maxFixed+maxGrowth*len(b); got > limit {
			t.Fatalf("a packet of %d bytes takes %d bytes of memory, want at most %d", len(b), got, limit)
		}
		if err != nil {
			var damage *igmp.ParseError
			if !errors.As(err, &damage) || damage.Offset < 0 || damage.Offset > len(b) {
				t.Fatalf("error %v, want a ParseError of a byte in 0 to %d", err, len(b))
			}
			return
		}
		if !bytes.Equal(b, packet) {
			t.Fatal("Parse changed the packet")
		}
		clear(b) // what was decoded must not be in there

		encoded, err := m.AppendBinary(nil)
		if err != nil {
			t.Fatalf("%v, of what was decoded: %+v", err, m)
		}
		if len(encoded) != m.Len() {
			t.Fatalf("Len is %d, but %d bytes were encoded", m.Len(), len(encoded))
		}
		if !igmp.VerifyChecksum(encoded) {
			t.Fatalf("bad checksum: % x", encoded)
		}
		again := M(new(T))
		if err := again.Parse(encoded); err != nil {
			t.Fatalf("%v, of what was encoded: % x", err, encoded)
		}
		// Only this is lost: that the packet ended early.
		if v := reflect.ValueOf(m).Elem().FieldByName("Truncated"); v.IsValid() {
			v.SetBool(false)
		}
		if !reflect.DeepEqual(m, again) { // many times faster than cmp
			t.Fatalf("decoded, encoded and decoded (-first, +again):\n%s", cmp.Diff(m, again, same))
		}
		if err := again.Parse(packet); err != nil {
			t.Fatalf("decoding into a used value: %v", err)
		}
		if twice, err := again.AppendBinary(nil); err != nil || !bytes.Equal(twice, encoded) {
			t.Fatalf("encoded again\n% x (%v), want\n% x", twice, err, encoded)
		}
	})
}

// memory returns the size of all that v points to.
func memory(v reflect.Value) int {
	n := 0
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			n = int(v.Type().Elem().Size()) + memory(v.Elem())
		}
	case reflect.Slice:
		n = v.Cap() * int(v.Type().Elem().Size())
		for i := range v.Len() {
			n += memory(v.Index(i))
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() { // netip.Addr points to shared zones
				n += memory(v.Field(i))
			}
		}
	}
	return n
}
