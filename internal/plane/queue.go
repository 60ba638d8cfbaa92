package plane

import (
	"net/netip"
	"time"

	"mbone/internal/router/host"
)

const (
	// maxQueued and maxQueuedBytes bound the packets that wait in a queue.
	maxQueued      = 1024
	maxQueuedBytes = 4 << 20
	// keptBuffer is how much memory a place of a queue keeps for the next packet.
	keptBuffer = 2048
)

// queue holds packets that wait because something else is more urgent: a ring of
// places whose memory is used again.
type queue struct {
	places  [maxQueued]queued
	head, n int
	bytes   int
	held    *queued // what take has returned last
}

type queued struct {
	packet []byte // with its IP header
	in     host.Interface
	at     time.Time
	local  netip.Addr
}

// put copies a packet. It reports whether there was room.
func (q *queue) put(packet []byte, in host.Interface, at time.Time, local netip.Addr) bool {
	if q.n == maxQueued || q.bytes+len(packet) > maxQueuedBytes {
		return false
	}
	p := &q.places[(q.head+q.n)%maxQueued]
	p.packet, p.in, p.at, p.local = append(p.packet[:0], packet...), in, at, local
	q.n++
	q.bytes += len(packet)
	return true
}

// take returns the oldest packet, which is valid until the next call of take or
// put, or nil.
func (q *queue) take() *queued {
	if q.held != nil && cap(q.held.packet) > keptBuffer {
		q.held.packet = nil
	}
	q.held = nil
	if q.n == 0 {
		return nil
	}
	// A put may use this place, but nobody puts while a packet is looked at.
	q.held = &q.places[q.head]
	q.head = (q.head + 1) % maxQueued
	q.n--
	q.bytes -= len(q.held.packet)
	return q.held
}
