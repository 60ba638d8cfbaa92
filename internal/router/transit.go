package router

import (
	"net/netip"
	"time"

	"mbone/internal/router/host"
	"mbone/internal/router/respond"
	"mbone/proto/igmp"
	"mbone/proto/mtrace"
)

// transitRates bound what is passed on for others, in packets: a crawl of the old
// map-mbone asks a thousand routers at once, with Router Alert, and answers come
// from as many. Each packet costs this router as much as a question of its own.
var transitRates = respond.Rates{
	Source:  respond.Rate{PerSecond: 1_000, Burst: 1_000},
	All:     respond.Rate{PerSecond: 10_000, Burst: 5_000},
	Reserve: respond.Rate{PerSecond: 2_000, Burst: 1_000},
}

// An IPv4 header (RFC 791 section 3.1), as far as it matters here.
const (
	minHeader = 20
	ttlOffset = 8
)

// TransitCounts count packets for others.
type TransitCounts struct {
	// Unicast packets were passed on, Multicast ones forwarded along the tree;
	// Copies are the packets that were sent for the latter.
	Unicast, Multicast, Copies uint64
	// Expired had no TTL left; Refused were for, or from, an address that nothing
	// is passed on for, or the host does not forward; WrongInterface did not come
	// from where their source is; Limited were too many.
	Expired, Refused, WrongInterface, Limited uint64
}

// transit passes on packets for others that the kernel gives to the daemon instead
// of forwarding them.
type transit struct {
	limiter *respond.Limiter
	counts  TransitCounts
	buffer  []byte // header and message of the packet that is passed on
}

// Transit returns the counts of packets for others.
func (e *Engine) Transit() TransitCounts { return e.transit.counts }

// pass passes a unicast packet with Router Alert on: the kernel gives it to who
// owns multicast routing, and to nobody else.
func (e *Engine) pass(now time.Duration, p *host.Packet) {
	t := &e.transit
	switch {
	case !e.forwarding || p.Interface == 0 || !isTransit(p.From) || !isTransit(p.To) || !hasHeader(p) ||
		e.tables.owns(p.From) || e.isEdge(p.To):
		t.counts.Refused++
	case p.TTL <= 1:
		t.counts.Expired++
	case !t.limiter.Allow(now, p.From, 1, e.tables.Neighbor):
		t.counts.Limited++
	default:
		t.counts.Unicast++
		header, message := t.copy(p)
		e.actions.Send = append(e.actions.Send, host.Send{From: p.From, To: p.To, TTL: p.TTL - 1, Alert: p.Alert, Header: header, Message: message})
	}
}

// forward sends an mtrace packet to a group along the tree of its sender: the
// kernel forwards no IGMP.
func (e *Engine) forward(now time.Duration, p *host.Packet) {
	t := &e.transit
	in := e.tables.link(p.Interface)
	if in == nil || !isUsable(in) || len(p.Message) < mtrace.HeaderLen || !hasHeader(p) || !isTransit(p.From) {
		t.counts.Refused++
		return
	}
	if igmp.Type(p.Message[0]) == igmp.TypeMtraceResponse && e.tables.owns(p.From) {
		return // it was sent everywhere already
	}
	entry, _ := e.tables.entry(p.From, p.To)
	if entry == nil || entry.In != in.ID {
		t.counts.WrongInterface++
		return
	}
	if p.TTL <= 1 {
		t.counts.Expired++
		return
	}
	n := 0
	for _, l := range e.tables.links {
		if p.TTL > l.Threshold && e.tables.leaves(entry, p.From, l) {
			n++
		}
	}
	if n == 0 {
		return
	}
	if !t.limiter.Allow(now, p.From, n, e.tables.Neighbor) {
		t.counts.Limited++
		return
	}
	t.counts.Multicast++
	t.counts.Copies += uint64(n)
	header, message := t.copy(p)
	for _, l := range e.tables.links {
		if p.TTL > l.Threshold && e.tables.leaves(entry, p.From, l) {
			e.actions.Send = append(e.actions.Send, host.Send{
				Interface: l.ID, From: p.From, To: p.To, TTL: p.TTL - 1, Alert: p.Alert, Header: header, Message: message,
			})
		}
	}
}

// spread appends the copies of a multicast packet of this router's own for the
// links where its group has members, but the one where it is sent anyway.
func (e *Engine) spread(sends []host.Send, s host.Send) []host.Send {
	entry, _ := e.tables.entry(s.From, s.To)
	if entry == nil || entry.In != s.Interface {
		return sends
	}
	for _, l := range e.tables.links {
		if s.TTL > l.Threshold && e.tables.leaves(entry, s.From, l) {
			c := s
			c.Interface, c.TTL, c.Loop = l.ID, s.TTL-1, false
			sends = append(sends, c)
		}
	}
	return sends
}

// copy returns what is sent on of p: its header with a TTL that is one less, and
// its message. The kernel makes the checksum of the header.
func (t *transit) copy(p *host.Packet) (header, message []byte) {
	t.buffer = append(append(t.buffer[:0], p.Header...), p.Message...)
	header, message = t.buffer[:len(p.Header):len(p.Header)], t.buffer[len(p.Header):]
	header[ttlOffset]--
	return header, message
}

// hasHeader reports whether the header of p is one, and that of p.
func hasHeader(p *host.Packet) bool {
	h := p.Header
	return len(h) >= minHeader && h[0]>>4 == 4 && int(h[0]&0xf)*4 == len(h) && h[ttlOffset] == p.TTL
}

// isTransit reports whether a packet from or for addr may be on its way through a
// router.
func isTransit(addr netip.Addr) bool {
	return respond.IsHost(addr) && !addr.IsLoopback() && !addr.IsLinkLocalUnicast()
}

// isEdge reports whether addr is everybody on a link, or the network.
func (e *Engine) isEdge(addr netip.Addr) bool {
	for _, l := range e.tables.links {
		for _, n := range l.Networks {
			if n.Prefix.Contains(addr) && !l.Has(addr) {
				return true
			}
		}
	}
	return false
}
