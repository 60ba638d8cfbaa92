package plane

import (
	"net/netip"
	"testing"
	"time"

	"mbone/internal/router/host"
)

// FuzzPacket hands any bytes to what reads packets: nothing that they say leads out
// of them, and what is kept is bounded.
func FuzzPacket(f *testing.F) {
	f.Add([]byte("\x45\x00\x00\x1c\x00\x01\x00\x00\x01\x00\x00\x00\xc0\x00\x02\x07\xe1\x02\x02\x02\x01\x00\x00\x00\x00\x00\x00\x00"), []byte{}) // an upcall
	f.Add([]byte("\x46\xc0\x00\x20\x00\x00\x00\x00\x01\x02\x00\x00\x0a\x00\x01\x01\xe0\x00\x00\x04\x94\x04\x00\x00\x13\x01\x00\x00\x00\x0e\xff\x03"), []byte{})
	f.Add([]byte("\x4f\x00"), []byte("\x10\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x23\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, packet, control []byte) {
		r := &Router{byIndex: map[int]host.Interface{1: 1}}
		r.slots[0].id = 1
		if r.isUpcall(packet) {
			if r.upcall.Interface != 1 || !r.upcall.Source.Is4() || !r.upcall.Group.Is4() {
				t.Errorf("%+v", r.upcall)
			}
			return
		}
		for range maxQueued + 1 {
			r.putAside(packet, control)
		}
		kept := r.control.n + r.traces.n
		if kept > maxQueued || r.control.bytes+r.traces.bytes > maxQueuedBytes {
			t.Errorf("%d packets of %d bytes are kept", kept, len(packet))
		}
		for _, q := range []*queue{&r.control, &r.traces} {
			for p := q.take(); p != nil; p = q.take() {
				if !r.fill(p.packet, p.in, p.at, p.local) || len(r.packet.Header)+len(r.packet.Message) != len(packet) || r.packet.Wall.IsZero() {
					t.Errorf("%+v", r.packet)
				}
			}
			if q.n != 0 || q.bytes != 0 {
				t.Errorf("%d packets, %d bytes are left of an empty queue", q.n, q.bytes)
			}
		}
	})
}

// FuzzNetlink hands any bytes to what reads the kernel's messages.
func FuzzNetlink(f *testing.F) {
	f.Add(uint16(16), []byte("\x00\x00\x01\x00\x02\x00\x00\x00\x43\x10\x01\x00\x00\x00\x00\x00\x09\x00\x03\x00eth0\x00"))
	f.Add(uint16(20), []byte("\x02\x18\x00\x00\x02\x00\x00\x00\x08\x00\x01\x00\x0a\x00\x00\x01\x08\x00\x02\x00\x0a\x00\x00\x01"))
	f.Add(uint16(80), []byte("\x02\x00\x00\x00\x08\x00\x01\x00\xff\xff\xff\xff\x08\x00\x02\x00\x01\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, kind uint16, message []byte) {
		i := &Interfaces{links: map[int]Link{2: {Index: 2}}, rpFilter: make(map[int]int)}
		i.take(kind, message)
		i.take(kind, message)
		for index, l := range i.links {
			if index != l.Index || index <= 0 {
				t.Errorf("interface %d: %+v", index, l)
			}
			for _, a := range l.Addresses {
				if !a.Addr.Is4() || !a.Net.IsValid() {
					t.Errorf("%+v", l)
				}
			}
		}
	})
}

// A queue gives back what was put in its order, and says when it is full.
func TestQueue(t *testing.T) {
	var q queue
	at, ours := time.Unix(1, 0), netip.MustParseAddr("10.0.0.1")
	for round := range 3 {
		for i := range maxQueued {
			if !q.put([]byte{byte(round), byte(i), byte(i >> 8)}, host.Interface(i), at, ours) {
				t.Fatalf("no room for packet %d", i)
			}
		}
		if q.put([]byte{1}, 1, at, ours) {
			t.Fatal("there is room for more than it holds")
		}
		for i := range maxQueued {
			p := q.take()
			if p == nil || string(p.packet) != string([]byte{byte(round), byte(i), byte(i >> 8)}) || p.in != host.Interface(i) || p.at != at || p.local != ours {
				t.Fatalf("packet %d: %+v", i, p)
			}
		}
		if q.take() != nil {
			t.Fatal("a packet that was not put")
		}
	}
	long := make([]byte, maxQueuedBytes/2+1)
	if !q.put(long, 1, at, ours) || q.put(long, 1, at, ours) || !q.put(long[:9], 1, at, ours) {
		t.Error("its bytes are not bounded as they should be")
	}
}
