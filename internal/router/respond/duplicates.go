package respond

import (
	"encoding/binary"
	"net/netip"
	"time"
)

// traceID is what tells one try of a trace from another: who asks, and the query id.
type traceID uint64

// traceOf returns the id of a trace that an IPv4 address asks for.
func traceOf(from netip.Addr, query uint32) traceID {
	a := from.As4()
	return traceID(binary.BigEndian.Uint32(a[:]))<<32 | traceID(query)
}

// duplicates remembers the last traces that were answered.
type duplicates struct {
	at   map[traceID]time.Duration
	ring []traceID
	next int // the oldest in a full ring
}

func newDuplicates() duplicates { return duplicates{at: make(map[traceID]time.Duration)} }

// has is whether a trace was answered already.
func (d *duplicates) has(now time.Duration, t traceID) bool {
	at, ok := d.at[t]
	return ok && now-at < duplicateTime
}

// add remembers a trace; the oldest one is forgotten if there are too many.
func (d *duplicates) add(now time.Duration, t traceID) {
	_, again := d.at[t]
	d.at[t] = now
	switch {
	case again:
	case len(d.ring) < maxDuplicates:
		d.ring = append(d.ring, t)
	default:
		delete(d.at, d.ring[d.next])
		d.ring[d.next] = t
		d.next = (d.next + 1) % maxDuplicates
	}
}
