// Package asktest is a network in memory for tests of what asks questions: a
// transport with routers behind it that answer by script, with delays, and with
// losses by seed. Under testing/synctest its time costs nothing and its runs
// repeat exactly.
package asktest

import (
	"container/heap"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"mbone/internal/ask"
)

// Options of a network. The zero value is a perfect network.
type Options struct {
	// Delay is how long a packet travels, each way.
	Delay time.Duration
	// Loss is the share of packets that get lost, each way, 0 to 1, chosen by Seed.
	Loss float64
	Seed uint64
	// Queue is how many packets wait to be received before further ones are
	// lost, as in a socket buffer. 0: 4096.
	Queue int
	// Source is the address of the host that asks, by default 192.0.2.1, and
	// IfIndex its interface, by default 1.
	Source  netip.Addr
	IfIndex int
}

// Answer is a packet that a router sends back.
type Answer struct {
	From    netip.Addr
	To      netip.Addr    // by default the asking host
	After   time.Duration // beside the delay of the network
	TTL     uint8         // as it arrives; by default 64
	IfIndex int           // by default the only one
	Message []byte
}

// Handler answers what is sent to an address. It may be called at any time, by
// one goroutine at a time, and must not call the network's Handle.
type Handler func(d ask.Datagram) []Answer

// Network is an [ask.Transport].
type Network struct {
	o Options

	mu       sync.Mutex
	random   *rand.Rand
	handlers map[netip.Addr]Handler
	joined   map[netip.Addr]bool
	sent     []Sent
	queue    queue
	count    uint64
	dropped  int
	closed   bool
	wake     chan struct{} // the queue changed; holds one token
}

// Sent is a datagram with the time when it left.
type Sent struct {
	ask.Datagram
	Time time.Time
}

// New returns a network without routers: all is silent.
func New(o Options) *Network {
	if !o.Source.IsValid() {
		o.Source = netip.AddrFrom4([4]byte{192, 0, 2, 1})
	}
	if o.IfIndex == 0 {
		o.IfIndex = 1
	}
	if o.Queue == 0 {
		o.Queue = 4096
	}
	return &Network{
		o:        o,
		random:   rand.New(rand.NewPCG(o.Seed, o.Seed)),
		handlers: make(map[netip.Addr]Handler),
		joined:   make(map[netip.Addr]bool),
		wake:     make(chan struct{}, 1),
	}
}

// Handle lets h answer what is sent to the addresses, instead of who did before.
func (n *Network) Handle(h Handler, addrs ...netip.Addr) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, a := range addrs {
		n.handlers[a] = h
	}
}

// Inject lets a packet arrive that nobody asked for, as if it were sent now.
func (n *Network) Inject(a Answer) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.push(a)
}

// Sent returns what was sent so far.
func (n *Network) Sent() []Sent {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.sent)
}

// Dropped returns how many packets found the queue full.
func (n *Network) Dropped() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.dropped
}

// Joined reports whether the transport listens to a group.
func (n *Network) Joined(group netip.Addr) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.joined[group]
}

// Send implements [ask.Transport].
func (n *Network) Send(d ask.Datagram) (time.Time, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	now := time.Now()
	if n.closed {
		return now, net.ErrClosed
	}
	d.Message = slices.Clone(d.Message)
	n.sent = append(n.sent, Sent{d, now})
	h := n.handlers[d.To]
	if h == nil || n.lost() {
		return now, nil
	}
	for _, a := range h(d) {
		a.After += n.o.Delay
		n.push(a)
	}
	return now, nil
}

func (n *Network) lost() bool { return n.o.Loss > 0 && n.random.Float64() < n.o.Loss }

// push lets a arrive, unless it is lost.
func (n *Network) push(a Answer) {
	if n.lost() {
		return
	}
	if len(n.queue) >= n.o.Queue {
		n.dropped++
		return
	}
	p := ask.Packet{
		Time: time.Now().Add(n.o.Delay + a.After), From: a.From, To: a.To,
		TTL: a.TTL, IfIndex: a.IfIndex, Message: a.Message,
	}
	if !p.To.IsValid() {
		p.To = n.o.Source
	}
	if p.TTL == 0 {
		p.TTL = 64
	}
	if p.IfIndex == 0 {
		p.IfIndex = n.o.IfIndex
	}
	n.count++
	heap.Push(&n.queue, arrival{p, n.count})
	select {
	case n.wake <- struct{}{}:
	default:
	}
}

// Receive implements [ask.Transport].
func (n *Network) Receive(p *ask.Packet) error {
	for {
		n.mu.Lock()
		if n.closed {
			n.mu.Unlock()
			return net.ErrClosed
		}
		var timer <-chan time.Time
		if len(n.queue) > 0 {
			due := time.Until(n.queue[0].Time)
			if due <= 0 {
				next := heap.Pop(&n.queue).(arrival).Packet
				n.mu.Unlock()
				next.Message = append(p.Message[:0], next.Message...)
				*p = next
				return nil
			}
			timer = time.After(due)
		}
		n.mu.Unlock()
		select {
		case <-n.wake:
		case <-timer:
		}
	}
}

// Join implements [ask.Transport].
func (n *Network) Join(group netip.Addr, _ int) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.joined[group] = true
	return nil
}

// Source implements [ask.Transport].
func (n *Network) Source(_ netip.Addr, via ask.Via) (netip.Addr, int, error) {
	if via.Source.IsValid() {
		return via.Source, n.o.IfIndex, nil
	}
	return n.o.Source, n.o.IfIndex, nil
}

// Close implements [ask.Transport].
func (n *Network) Close() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.closed = true
	select {
	case n.wake <- struct{}{}:
	default:
	}
	return nil
}

// arrival is a packet with its number, which orders those that arrive at once.
type arrival struct {
	ask.Packet
	number uint64
}

// queue is a heap of packets, the earliest first.
type queue []arrival

func (q queue) Len() int { return len(q) }
func (q queue) Less(i, j int) bool {
	if q[i].Time.Equal(q[j].Time) {
		return q[i].number < q[j].number
	}
	return q[i].Time.Before(q[j].Time)
}
func (q queue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *queue) Push(x any)   { *q = append(*q, x.(arrival)) }
func (q *queue) Pop() any {
	last := len(*q) - 1
	x := (*q)[last]
	(*q)[last] = arrival{}
	*q = (*q)[:last]
	return x
}
