package plane_test

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"mbone/internal/lab"
	"mbone/internal/plane"
	"mbone/internal/router/host"
)

// numbered is a message of DVMRP that has a number.
func numbered(n int) []byte {
	return binary.BigEndian.AppendUint32([]byte{0x13, 6, 0, 0}, uint32(n))
}

// inOrder waits for the messages with these numbers, and no others between.
func inOrder(t *testing.T, s *plane.Socket, numbers ...int) {
	t.Helper()
	for _, want := range numbers {
		if got := int(binary.BigEndian.Uint32(receive(t, s).Message[4:])); got != want {
			t.Fatalf("message %d came, want %d", got, want)
		}
	}
}

// isQuestion accepts packets that ask.
func isQuestion(e host.Event) bool {
	p, ok := e.(*host.Packet)
	return ok && p.Message[0] == 0x13 && p.Message[1] == 5
}

// What leaves together leaves in its order, whatever it is. Answers wait for those to
// questions that came with theirs, but not when something else is sent.
func TestRouterSendOrder(t *testing.T) {
	l := lab.Start(t, crossing)
	near := l.Host("near")
	r := openRouter(t, l.Host("router"), plane.RouterOptions{})
	r.add(1, "eth0")
	r.add(2, "eth1")
	s := listen(t, near, igmp, 0x13)
	here := ip("10.0.1.1")
	answer := func(n int) host.Send {
		return host.Send{From: ip("10.0.1.254"), To: here, TTL: 255, Message: numbered(n)}
	}
	apply := func(sends ...host.Send) { r.Apply(&host.Actions{Send: sends}) }

	// More than one system call sends, others among them.
	var sends []host.Send
	var want []int
	for i := range 100 {
		send := answer(i)
		switch {
		case i == 40:
			send.To = ip("203.0.113.1") // no route
		case i%5 == 0:
			send = host.Send{Interface: 1, From: ip("10.0.1.254"), To: ip("224.0.0.1"), TTL: 1, Loop: i%2 == 0, Message: numbered(i)}
		case i%7 == 0:
			h := make([]byte, 20)
			h[0], h[8], h[9] = 0x45, 9, igmp
			copy(h[12:], []byte{10, 0, 1, 254, 10, 0, 1, 1})
			send.Header = h
		}
		sends = append(sends, send)
		if i != 40 {
			want = append(want, i)
		}
	}
	apply(sends...)
	inOrder(t, s, want...)
	if n := r.Counts().Unsent; n != 1 {
		t.Errorf("%d packets were not sent, want 1", n)
	}

	// Questions that wait when the first is taken come with it.
	asked := func(n int) {
		t.Helper()
		for range n {
			check(t, s.Send(plane.Datagram{To: ip("10.0.1.254"), TTL: 9, Message: []byte{0x13, 5, 0, 0, 0, 0, 0, 0}}))
		}
	}
	asked(4)
	for i := range 4 {
		r.next("question", isQuestion)
		apply(answer(i))
	}
	inOrder(t, s, 0, 1, 2, 3)
	asked(3)
	r.next("question", isQuestion)
	apply(answer(4))
	apply(answer(5)) // no answer: nothing was asked since
	inOrder(t, s, 4, 5)
	r.next("question", isQuestion)
	apply(answer(6))
	r.next("question", isQuestion)
	apply() // this one gets none
	inOrder(t, s, 6)
}

// An upcall waits for a few questions at most, however many there are, and for one
// other packet.
func TestRouterUpcallFirst(t *testing.T) {
	for _, test := range []struct {
		name    string
		code    byte // of DVMRP
		packets int
		most    int // before the upcall
	}{
		{"questions", 5, 100, plane.MaxAsked - 1},
		{"probes", 1, 50, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := lab.Start(t, crossing)
			near := l.Host("near")
			r := openRouter(t, l.Host("router"), plane.RouterOptions{})
			r.add(1, "eth0")
			r.add(2, "eth1")
			s := listen(t, near, igmp, 0)
			for range test.packets {
				check(t, s.Send(plane.Datagram{To: ip("10.0.1.254"), TTL: 9, Message: []byte{0x13, test.code, 0, 0, 0, 0, 0, 0}}))
			}
			isOne := func(e host.Event) bool {
				p, ok := e.(*host.Packet)
				return ok && p.Message[0] == 0x13 && p.Message[1] == test.code
			}
			r.next("packet", isOne)
			r.Apply(&host.Actions{})
			_, err := near.Send(t.Context(), lab.Flow{Group: netip.AddrPortFrom(flowGroup, 5000), Interface: "eth0", Count: 1})
			check(t, err)
			before := 0
			r.next("upcall", func(e host.Event) bool {
				if _, ok := e.(*host.Upcall); ok {
					return true
				}
				if isOne(e) {
					before++
				}
				r.Apply(&host.Actions{})
				return false
			})
			if before > test.most {
				t.Errorf("the upcall comes after %d packets, want %d at most", before, test.most)
			}
		})
	}
}
