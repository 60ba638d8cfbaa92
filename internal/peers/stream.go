package peers

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"mbone/internal/lab"
)

const (
	probePort = 5000 // of packets that find out whether the path is there
	dataPort  = 5001

	// probeInterval is short beside what routers need to build a path.
	probeInterval = 20 * time.Millisecond
	// dataInterval lets a router that has just begun to forward keep up.
	dataInterval = time.Millisecond
)

// Stream is multicast from one host to another over a path that routers have built.
type Stream struct {
	t                lab.TB
	from, to         *lab.Wire
	only             netip.Addr
	probes, receiver *lab.Receiver // both are nil while nobody is a member
	Flow             Flow
}

// Establish joins the group of the flow at the wire of the receiver (with
// sourceSpecific for that source alone) until the end of the test, sends single
// packets at the wire of the source until one has come, and returns when the
// path is there and nothing is on its way any more.
func Establish(t lab.TB, flow Flow, sourceSpecific bool, from, to *lab.Wire) *Stream {
	t.Helper()
	s := &Stream{t: t, from: from, to: to, Flow: flow}
	if sourceSpecific {
		s.only = flow.Source
	}
	t.Cleanup(s.close)
	s.Join()
	return s
}

// Join makes the receiver a member again that has left, and returns as Establish
// does.
func (s *Stream) Join() {
	s.t.Helper()
	join := func(port uint16) *lab.Receiver {
		r, err := s.to.Host.Join(netip.AddrPortFrom(s.Flow.Group, port), s.to.Interface, s.only)
		must(s.t, err)
		return r
	}
	s.probes, s.receiver = join(probePort), join(dataPort)
	var next time.Time
	lab.Until(s.t, Patience, func() error {
		if s.probes.Stats().Packets > 0 {
			return nil
		}
		if now := time.Now(); now.After(next) {
			s.send(probePort, 1)
			next = now.Add(probeInterval)
		}
		return fmt.Errorf("nothing from %v to %v has come to %v", s.Flow.Source, s.Flow.Group, s.to)
	})
	// What routers held back while they decided has left them before this.
	s.Deliver(1)
}

// Leave ends the membership of the receiver.
func (s *Stream) Leave() {
	s.close()
	s.probes, s.receiver = nil, nil
}

func (s *Stream) close() {
	for _, r := range []*lab.Receiver{s.probes, s.receiver} {
		if r != nil {
			_ = r.Close() // it was open
		}
	}
}

// Probe sends a packet that is not counted.
func (s *Stream) Probe() {
	s.t.Helper()
	s.send(probePort, 1)
}

// Deliver sends n packets and returns when all have come.
func (s *Stream) Deliver(n int) {
	s.t.Helper()
	want := s.receiver.Stats().Packets + n
	s.send(dataPort, n)
	lab.Until(s.t, Patience, func() error {
		if got := s.receiver.Stats().Packets; got != want {
			return fmt.Errorf("%d of %d packets from %v to %v are missing", want-got, n, s.Flow.Source, s.Flow.Group)
		}
		return nil
	})
}

func (s *Stream) send(port uint16, n int) {
	s.t.Helper()
	_, err := s.from.Host.Send(context.Background(), lab.Flow{
		Group: netip.AddrPortFrom(s.Flow.Group, port), Interface: s.from.Interface,
		Source: s.Flow.Source, Count: n, Interval: dataInterval,
	})
	must(s.t, err)
}
