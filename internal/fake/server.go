package fake

import (
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"mbone/internal/plane"
	"mbone/proto/dvmrp"
	"mbone/proto/igmp"
)

// Conditions are those of the way between the asker and the routers.
type Conditions struct {
	// Loss is the share of packets lost each way, from 0 to 1. Which ones depends
	// on the seed of the network, the router, and how many came before on that way.
	Loss float64
	// RoundTrip is the time from a question to its answer.
	RoundTrip time.Duration
}

const (
	// maxDelayed is how many questions wait for their answers: more than come in
	// a second.
	maxDelayed = 1 << 16
	// noise is the time between two packets of a router that sends more than it
	// should.
	noise = time.Millisecond
	// endless is how long after the last question an endless answer goes on.
	endless = 10 * time.Second

	protocolIGMP = 2
	unicastTTL   = 64
	// badChecksum is what a chatting router does to the checksum now and then.
	badChecksum = 0x55
)

// Server answers for the routers of a network.
type Server struct {
	network    *Network
	conditions Conditions
	socket     *plane.Socket
	delayed    chan question
	stop       chan struct{}
	once       sync.Once
	running    sync.WaitGroup
	asker      atomic.Pointer[netip.Addr]            // who asked last
	asked      map[*Router]*atomic.Pointer[question] // of endless ones: what they answer
	heard      []uint64                              // questions on the way to each router; of receive
	said       []uint64                              // packets on the way from each; of answer

	questions, answers, lost, overflow atomic.Int64
}

// question waits for its answer.
type question struct {
	router    *Router
	to, asker netip.Addr
	code      dvmrp.Code
	due       time.Time
}

// Stats counts packets.
type Stats struct {
	Questions int // that came to an address of a router, also those that were lost then
	Answers   int // sent, without noise
	Lost      int // of both
	Overflow  int // questions dropped since too many were waiting
}

// Open opens the network's socket and begins to answer. It is called inside the
// host that has a local route for [Prefix], see [lab.Host.Do].
func Open(n *Network, c Conditions) (*Server, error) {
	socket, err := plane.Listen(protocolIGMP, byte(igmp.TypeDVMRP))
	if err != nil {
		return nil, err
	}
	s := &Server{
		network: n, conditions: c, socket: socket,
		delayed: make(chan question, maxDelayed), stop: make(chan struct{}),
		heard: make([]uint64, len(n.routers)), said: make([]uint64, len(n.routers)),
		asked: make(map[*Router]*atomic.Pointer[question]),
	}
	for _, r := range n.routers {
		if r.Behavior == Endless {
			s.asked[r] = &atomic.Pointer[question]{}
		}
	}
	s.running.Go(s.receive)
	s.running.Go(s.answer)
	s.running.Go(s.disturb)
	return s, nil
}

// Close ends the server within a round trip. It may be called again.
func (s *Server) Close() {
	s.once.Do(func() {
		close(s.stop)
		s.socket.Close()
	})
	s.running.Wait()
}

// Stats returns what was counted so far.
func (s *Server) Stats() Stats {
	return Stats{int(s.questions.Load()), int(s.answers.Load()), int(s.lost.Load()), int(s.overflow.Load())}
}

// receive takes questions until the socket is closed. One to a multicast address
// is for the start, which is the only router of the asker's link.
func (s *Server) receive() {
	defer close(s.delayed)
	var p plane.Packet
	for {
		err := s.socket.Receive(&p)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		var ask dvmrp.Ask
		if err != nil || !igmp.VerifyChecksum(p.Message) || ask.Parse(p.Message) != nil {
			continue
		}
		if p.To.IsMulticast() {
			p.To = s.network.Start()
		}
		r := s.network.owner[p.To]
		if r == nil {
			continue
		}
		s.questions.Add(1)
		asker := p.From
		s.asker.Store(&asker)
		if s.loses(r, s.heard, 0) {
			continue
		}
		select {
		case s.delayed <- question{r, p.To, asker, ask.Code, p.Time.Add(s.conditions.RoundTrip)}:
		default:
			s.overflow.Add(1)
		}
	}
}

// answer answers each question when its time has come: all are delayed alike, so
// that they are due in the order in which they came.
func (s *Server) answer() {
	for q := range s.delayed {
		time.Sleep(time.Until(q.due)) // the way there and back, which is what is imitated
		r := q.router
		code := q.code + 1 // of the answer
		from := q.to
		switch r.Behavior {
		case Silent:
			continue
		case OldForm:
			if code != dvmrp.CodeNeighbors {
				continue
			}
		case OtherAddress:
			from = r.source
		case Endless:
			s.asked[r].Store(&q)
			continue
		}
		for _, m := range r.messages(code) {
			if !s.loses(r, s.said, 1) {
				s.answers.Add(1)
				s.send(from, q.asker, m)
			}
		}
	}
}

// disturb sends what chatting and endless routers have to say.
func (s *Server) disturb() {
	var loud []*Router
	for _, r := range s.network.routers {
		if r.Behavior == Chatting || r.Behavior == Endless {
			loud = append(loud, r)
		}
	}
	if len(loud) == 0 {
		return
	}
	tick := time.NewTicker(noise)
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-tick.C:
		case <-s.stop:
			return
		}
		asker := s.asker.Load()
		if asker == nil {
			continue
		}
		for _, r := range loud {
			if r.Behavior == Chatting {
				s.send(r.interfaces[0].Local, *asker, r.chat(i))
			} else if q := s.asked[r].Load(); q != nil && time.Since(q.due) < endless {
				s.send(q.to, q.asker, r.filler(i))
			}
		}
	}
}

// chat returns message number i of a chatting router: its answer, also damaged,
// the invitation to ask in the new form, and what is no answer, whole and half.
func (r *Router) chat(i int) []byte {
	const kinds = 5
	b := r.messages(dvmrp.CodeNeighbors2)[0]
	switch i % kinds {
	case 0:
		return b
	case 1:
		return encode(&dvmrp.Neighbors{Version: r.Version, Code: dvmrp.CodeNeighbors})
	case 2:
		b[2] ^= badChecksum
		return b
	case 3:
		b = b[:dvmrp.HeaderLen+(len(b)-dvmrp.HeaderLen)/2]
	}
	b[1] = byte(dvmrp.CodeReport)
	igmp.PutChecksum(b)
	return b
}

// send sends one packet. What the kernel does not take is lost.
func (s *Server) send(from, to netip.Addr, message []byte) {
	if err := s.socket.Send(plane.Datagram{To: to, Source: from, TTL: unicastTTL, Message: message}); err != nil {
		s.lost.Add(1)
	}
}

// loses decides whether the next packet of a router on a way, whose packets
// counts are of, is lost.
func (s *Server) loses(r *Router, counts []uint64, way uint64) bool {
	counts[r.number]++
	if chance(s.network.plan.Seed, uint64(r.number)<<1|way, counts[r.number]) >= s.conditions.Loss {
		return false
	}
	s.lost.Add(1)
	return true
}

// chance returns a number from 0 to less than 1 that depends on three others
// (the finaliser of SplitMix64).
func chance(a, b, c uint64) float64 {
	x := a
	for _, v := range []uint64{b, c} {
		x += 0x9e3779b97f4a7c15 * (v + 1)
		x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
		x = (x ^ x>>27) * 0x94d049bb133111eb
		x ^= x >> 31
	}
	return float64(x>>11) / (1 << 53)
}
