package sim

import (
	"fmt"
	"net/netip"
	"time"
)

// Flow is packets that a host sends to a group at equal intervals.
type Flow struct {
	// TTL is that of the packets, by default 64.
	TTL uint8

	net      *Network
	number   int
	host     *Host
	group    netip.Addr
	key      pair
	interval time.Duration
	seq      uint32 // of the last packet
	running  bool
	due      bool // the next packet is on the agenda
	from     uint32
}

const flowTTL = 64

// Send makes a host send a packet to group in each interval, until it is stopped.
func (h *Host) Send(group netip.Addr, interval time.Duration) *Flow {
	f := &Flow{
		TTL: flowTTL, net: h.net, number: len(h.net.flows), host: h, group: group,
		key: pairOf(h.end.addr, group), interval: interval,
	}
	h.net.flows = append(h.net.flows, f)
	h.net.tracked.add(h.net, h.end.link.prefix)
	f.Resume()
	return f
}

// String returns source and group.
func (f *Flow) String() string { return fmt.Sprintf("%v > %v", f.host.end.addr, f.group) }

// Stop sends no more.
func (f *Flow) Stop() { f.running = false }

// Resume goes on after Stop.
func (f *Flow) Resume() {
	f.running = true
	if !f.due {
		f.due = true
		f.net.agenda.push(event{at: f.net.now, kind: sending, flow: f})
	}
}

// Sent returns how many packets were sent.
func (f *Flow) Sent() int { return int(f.seq) }

// next sends a packet.
func (f *Flow) next() {
	f.due = false
	if !f.running {
		return
	}
	f.seq++
	p := f.net.newPacket()
	p.from, p.to, p.flow, p.seq = f.host.end.addr, f.group, f, f.seq
	f.host.end.transmit(p, f.TTL)
	f.due = true
	f.net.agenda.push(event{at: f.net.now + f.interval, kind: sending, flow: f})
}

// receipts is what a host got of a flow.
type receipts struct {
	packets int
	last    time.Duration
	silence time.Duration // the longest between two packets
	seen    []uint8       // how often, while the network is watched
}

func grown(r []receipts, i int) []receipts {
	for len(r) <= i {
		r = append(r, receipts{})
	}
	return r
}

func (r *receipts) note(n *Network, p *packet) {
	if r.packets > 0 {
		r.silence = max(r.silence, n.now-r.last)
	}
	r.packets++
	r.last = n.now
	if n.watched {
		r.seen = counted(r.seen, p)
	}
}

// Received returns how many packets of f the host got while it listened.
func (h *Host) Received(f *Flow) int {
	h.got = grown(h.got, f.number)
	return h.got[f.number].packets
}

// Silence returns the longest time for which the host got nothing of f since
// ResetSilence, up to now.
func (h *Host) Silence(f *Flow) time.Duration {
	h.got = grown(h.got, f.number)
	r := &h.got[f.number]
	return max(r.silence, h.net.now-r.last)
}

// ResetSilence makes Silence begin now.
func (h *Host) ResetSilence(f *Flow) {
	h.got = grown(h.got, f.number)
	h.got[f.number].silence, h.got[f.number].last = 0, h.net.now
}
