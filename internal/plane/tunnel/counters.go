package tunnel

import "sync/atomic"

// Drop is why a packet was dropped.
type Drop uint8

// Reasons, by direction. Packets from anybody but the other end never get as far.
const (
	OutOther    Drop = 1 + iota // not multicast beyond a link: other hosts' protocols, IPv6, ...
	OutLimit                    // exceeds the rate limit
	OutRefused                  // the kernel did not send it: no route, full queue, ...
	InMalformed                 // not an IPv4 packet in another one
	InOther                     // not multicast beyond a link
	InSource                    // from this end of the tunnel, or from no host
	InRefused                   // the device did not take it

	Drops // how many there are, and 1
)

var dropNames = [Drops]string{
	OutOther: "out_other", OutLimit: "out_limit", OutRefused: "out_refused",
	InMalformed: "in_malformed", InOther: "in_other", InSource: "in_source", InRefused: "in_refused",
}

// String returns a name of lower-case letters and underscores.
func (d Drop) String() string {
	if d == 0 || d >= Drops {
		return "unknown"
	}
	return dropNames[d]
}

// Count is packets and bytes of the inner packets.
type Count struct{ Packets, Bytes uint64 }

// Counters are what a tunnel has carried and dropped since it was opened.
type Counters struct {
	Out, In Count
	// Dropped has the packets of each [Drop].
	Dropped [Drops]uint64
}

// counts are Counters that are counted.
type counts struct {
	out, in count
	dropped [Drops]atomic.Uint64
}

type count struct{ packets, bytes atomic.Uint64 }

// add counts a packet of n bytes that was carried, or dropped.
func (c *count) add(n int, drop Drop, all *counts) {
	if drop != 0 {
		all.dropped[drop].Add(1)
		return
	}
	c.packets.Add(1)
	c.bytes.Add(uint64(n))
}

func (c *count) read() Count { return Count{c.packets.Load(), c.bytes.Load()} }

// Counters returns what was counted so far.
func (t *Tunnel) Counters() Counters {
	c := Counters{Out: t.counts.out.read(), In: t.counts.in.read()}
	for i := range c.Dropped {
		c.Dropped[i] = t.counts.dropped[i].Load()
	}
	return c
}
