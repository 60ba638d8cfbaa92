package record

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"time"
)

// What is kept of datagrams that came in fragments.
const (
	// maxDatagrams is how many are put together at once; the oldest gives way.
	maxDatagrams = 64
	// maxPieces is how many fragments of one datagram are kept: of the longest
	// at the least MTU of the Internet there are 120.
	maxPieces = 128
	// patience is how long the fragments of a datagram may lie apart (RFC 791).
	patience = 30 * time.Second
	maxTotal = 65535
)

// assembler puts IPv4 datagrams together (RFC 791, RFC 815).
type assembler struct{ open []*datagram } // by first fragment

// datagram is one of which fragments came.
type datagram struct {
	key    fragmentKey
	began  time.Time
	header []byte // of the first fragment; nil: it did not come yet
	pieces []piece
	length int // of the payload; -1: the last fragment did not come yet
}

type fragmentKey struct {
	from, to netip.Addr
	id       uint16
	protocol byte
}

type piece struct {
	at   int
	data []byte
}

// add takes a fragment, an IPv4 datagram with a sound header, and returns the
// whole datagram once all of it came, else nil. What does not fit together is
// dropped as a whole: nobody who means well sends it.
func (a *assembler) add(b []byte, now time.Time) []byte {
	header, total := int(b[0]&0xf)*4, int(binary.BigEndian.Uint16(b[2:]))
	flags := binary.BigEndian.Uint16(b[6:])
	at, more := int(flags&0x1fff)*8, flags&0x2000 != 0
	key := fragmentKey{netip.AddrFrom4([4]byte(b[12:])), netip.AddrFrom4([4]byte(b[16:])), binary.BigEndian.Uint16(b[4:]), b[9]}
	if len(b) < total {
		return nil // cut by the snap length
	}
	data := b[header:total]

	d := a.find(key, now)
	end := at + len(data)
	if end+header > maxTotal || more && len(data)%8 != 0 || len(d.pieces) >= maxPieces || d.length >= 0 && end > d.length {
		a.drop(d)
		return nil
	}
	for _, p := range d.pieces {
		if at < p.at+len(p.data) && p.at < end {
			if p.at == at && slices.Equal(p.data, data) {
				return nil // the same once more
			}
			a.drop(d)
			return nil
		}
	}
	d.pieces = append(d.pieces, piece{at, slices.Clone(data)})
	if at == 0 {
		d.header = slices.Clone(b[:header])
	}
	if !more {
		d.length = end
	}
	whole := d.whole()
	if whole != nil {
		a.drop(d)
	}
	return whole
}

// find returns the datagram of a fragment, perhaps a new one.
func (a *assembler) find(key fragmentKey, now time.Time) *datagram {
	a.open = slices.DeleteFunc(a.open, func(d *datagram) bool { return now.Sub(d.began).Abs() > patience })
	for _, d := range a.open {
		if d.key == key {
			return d
		}
	}
	if len(a.open) >= maxDatagrams {
		a.open = slices.Delete(a.open, 0, 1)
	}
	d := &datagram{key: key, began: now, length: -1}
	a.open = append(a.open, d)
	return d
}

func (a *assembler) drop(d *datagram) {
	a.open = slices.DeleteFunc(a.open, func(x *datagram) bool { return x == d })
}

// whole returns the datagram if all of it is there.
func (d *datagram) whole() []byte {
	have := 0
	for _, p := range d.pieces {
		have += len(p.data)
	}
	if d.header == nil || have != d.length { // pieces do not overlap
		return nil
	}
	b := make([]byte, len(d.header)+d.length)
	copy(b, d.header)
	for _, p := range d.pieces {
		if p.at+len(p.data) > d.length {
			return nil // beyond the last fragment, which came later
		}
		copy(b[len(d.header)+p.at:], p.data)
	}
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
	binary.BigEndian.PutUint16(b[6:], 0)
	return b
}
