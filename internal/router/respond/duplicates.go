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

// duplicates remembers the last traces that were answered. Each has one place only,
// where another one may take it: a duplicate that comes after that is answered again,
// which does no harm.
type duplicates [1 << duplicateBits]struct {
	trace traceID
	until time.Duration // 0: free
}

// place is where a trace belongs: ids that follow each other do not share one.
func (t traceID) place() int {
	const odd = 0x9e3779b97f4a7c15 // 2^64 divided by the golden ratio
	return int(uint64(t) * odd >> (64 - duplicateBits))
}

// has is whether a trace was answered already.
func (d *duplicates) has(now time.Duration, t traceID) bool {
	seen := &d[t.place()]
	return seen.trace == t && now < seen.until
}

// add remembers a trace.
func (d *duplicates) add(now time.Duration, t traceID) {
	seen := &d[t.place()]
	seen.trace, seen.until = t, now+duplicateTime
}
