package sim

import (
	"net/netip"
	"time"

	"mbone/internal/router/host"
)

// What Linux does: net/ipv4/ipmr.c.
const (
	unresolvedPackets = 4                     // that wait for an entry
	unresolvedTime    = 10 * time.Second      // how long they do
	wrongVifPause     = 3 * time.Second       // between questions about one entry
	upcallTime        = 50 * time.Microsecond // until the engine sees a question
)

// kernel is the multicast forwarding of Linux.
type kernel struct {
	router     *Router
	entries    map[pair]*entry
	unresolved int
}

// pair is a source and group.
type pair uint64

func pairOf(source, group netip.Addr) pair {
	return pair(uint64(number(source))<<32 | uint64(number(group)))
}

func (p pair) source() netip.Addr { return address(uint32(p >> 32)) }
func (p pair) group() netip.Addr  { return address(uint32(p)) }

// entry is one of the forwarding cache.
type entry struct {
	in      *end // nil: unresolved
	outputs []host.Output
	count   host.FlowCount
	// asked is when the engine was told of a packet on a wrong interface.
	asked    time.Duration
	wasAsked bool
	waiting  []waiting
}

// waiting is a packet of an unresolved entry.
type waiting struct {
	in  *end
	p   *packet
	ttl uint8
}

// upcall is what the kernel asks.
type upcall struct {
	kind          host.UpcallKind
	in            host.Interface
	source, group netip.Addr
}

// bytesPerPacket is how long each packet of a flow is.
const bytesPerPacket = 100

// input forwards a packet of a flow that came in.
func (k *kernel) input(in *end, p *packet, ttl uint8) {
	key := p.flow.key
	e := k.entries[key]
	switch {
	case e == nil:
		k.unknown(key, in, p, ttl)
	case e.in == nil:
		k.wait(e, in, p, ttl)
	default:
		k.forward(key, e, in, p, ttl)
	}
}

// unknown makes an unresolved entry, and asks.
func (k *kernel) unknown(key pair, in *end, p *packet, ttl uint8) {
	if k.entries == nil {
		k.entries = make(map[pair]*entry)
	}
	e := &entry{}
	k.entries[key] = e
	k.unresolved++
	k.wait(e, in, p, ttl)
	k.ask(host.NoCache, in, key)
	k.router.net.After(unresolvedTime, func() {
		if k.entries[key] == e && e.in == nil {
			k.drop(key, e)
		}
	})
}

func (k *kernel) wait(e *entry, in *end, p *packet, ttl uint8) {
	if len(e.waiting) < unresolvedPackets {
		p.users++
		e.waiting = append(e.waiting, waiting{in, p, ttl})
	}
}

// drop forgets an entry and the packets that wait for it.
func (k *kernel) drop(key pair, e *entry) {
	for _, w := range e.waiting {
		k.router.net.release(w.p)
	}
	e.waiting = nil
	if e.in == nil {
		k.unresolved--
	}
	delete(k.entries, key)
}

func (k *kernel) ask(kind host.UpcallKind, in *end, key pair) {
	n := k.router.net
	n.agenda.push(event{at: n.now + upcallTime, kind: upcalling, router: k.router, life: k.router.life,
		upcall: upcall{kind, in.id, key.source(), key.group()}})
}

func (k *kernel) forward(key pair, e *entry, in *end, p *packet, ttl uint8) {
	n := k.router.net
	e.count.Packets++
	e.count.Bytes += bytesPerPacket
	if in != e.in {
		e.count.WrongIf++
		if e.sendsTo(in.id) && (!e.wasAsked || n.now-e.asked >= wrongVifPause) {
			e.wasAsked, e.asked = true, n.now
			k.ask(host.WrongVif, in, key)
		}
		return
	}
	in.count.PacketsIn++
	in.count.BytesIn += bytesPerPacket
	for _, o := range e.outputs {
		out := k.router.endBy(o.Interface)
		if o.TTL == 0 || o.TTL == 255 || ttl <= o.TTL || !out.state.Enabled || !out.isUp() {
			continue
		}
		out.count.PacketsOut++
		out.count.BytesOut += bytesPerPacket
		p.users++
		k.router.emit(out, p, ttl-1)
	}
}

func (e *entry) sendsTo(id host.Interface) bool {
	for _, o := range e.outputs {
		if o.Interface == id {
			return true
		}
	}
	return false
}

// apply adds, changes or removes an entry.
func (k *kernel) apply(w *host.Entry) {
	key := pairOf(w.Source, w.Group)
	e := k.entries[key]
	if w.In == 0 {
		if e != nil && e.in != nil {
			k.drop(key, e)
		}
		return
	}
	in := k.router.endBy(w.In)
	if in == nil || !validOutputs(k.router, w) {
		k.router.net.fail("%v wants an entry for %v to %v that cannot be: in %d, out %v", k.router, w.Source, w.Group, w.In, w.Outputs)
		return
	}
	if e == nil {
		if k.entries == nil {
			k.entries = make(map[pair]*entry)
		}
		e = &entry{}
		k.entries[key] = e
	} else if e.in == nil {
		k.unresolved--
	}
	e.in = in
	e.outputs = append(e.outputs[:0], w.Outputs...)
	queue := e.waiting
	e.waiting = nil
	for _, q := range queue {
		k.forward(key, e, q.in, q.p, q.ttl)
		k.router.net.release(q.p)
	}
}

// validOutputs reports whether the outputs exist, are sorted, and are not the input.
func validOutputs(r *Router, w *host.Entry) bool {
	last := host.Interface(0)
	for _, o := range w.Outputs {
		if o.Interface <= last || r.endBy(o.Interface) == nil || o.Interface == w.In {
			return false
		}
		last = o.Interface
	}
	return true
}

// clear forgets everything, as when the mroute socket is closed.
func (k *kernel) clear() {
	for key, e := range k.entries { // no order is seen by anybody
		k.drop(key, e)
	}
}

func (k *kernel) flow(source, group netip.Addr) (host.FlowCount, bool) {
	e := k.entries[pairOf(source, group)]
	if e == nil || e.in == nil {
		return host.FlowCount{}, false
	}
	return e.count, true
}
