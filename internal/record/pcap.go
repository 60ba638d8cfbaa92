package record

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"time"
)

// A pcap file (draft-ietf-opsawg-pcap): a header of 24 bytes, in the byte order
// of the machine that wrote it, and records.
//
//	 0  magic a1b2c3d4 (microseconds) or a1b23c4d (nanoseconds)
//	 4  version 2.4          8  time zone, accuracy: always 0
//	16  snap length         20  link type in the low 16 bits
//
//	 0  seconds  4  fraction  8  captured length  12  original length  16  data
//
// A pcapng file (draft-ietf-opsawg-pcapng) is a row of blocks, and each section
// of it has a byte order and interfaces of its own.
//
//	 0  type  4  total length  8  body, padded to 4 bytes  n-4  total length again
//
//	section header   0 magic 1a2b3c4d  4 version  8 length of the section
//	interface        0 link type  4 snap length  8 options
//	enhanced packet  0 interface  4 time high  8 time low  12 captured  16 original  20 data
//	simple packet    0 original  4 data
//	packet           0 interface (16 bits), drops  4 ... as the enhanced packet

// frame is one packet as recorded. Its data is valid until the next.
type frame struct {
	time     time.Time
	linkType uint32
	data     []byte
}

// source is a recording. next returns io.EOF at its end.
type source interface{ next() (frame, error) }

const (
	magicMicro = 0xa1b2c3d4
	magicNano  = 0xa1b23c4d

	pcapHeaderLen = 24
	pcapRecordLen = 16
)

var errTooLong = errors.New("longer than any packet")

// pcap reads the older form.
type pcap struct {
	r        *bufio.Reader
	order    binary.ByteOrder
	unit     time.Duration // of the fraction
	linkType uint32
	data     []byte
}

func newPcap(r *bufio.Reader) (*pcap, error) {
	var h [pcapHeaderLen]byte
	if _, err := io.ReadFull(r, h[:]); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFormat, io.ErrUnexpectedEOF)
	}
	p := &pcap{r: r, unit: time.Microsecond}
	switch {
	case binary.LittleEndian.Uint32(h[:]) == magicMicro:
		p.order = binary.LittleEndian
	case binary.BigEndian.Uint32(h[:]) == magicMicro:
		p.order = binary.BigEndian
	case binary.LittleEndian.Uint32(h[:]) == magicNano:
		p.order, p.unit = binary.LittleEndian, time.Nanosecond
	case binary.BigEndian.Uint32(h[:]) == magicNano:
		p.order, p.unit = binary.BigEndian, time.Nanosecond
	default:
		return nil, ErrFormat
	}
	p.linkType = p.order.Uint32(h[20:]) & 0xffff
	return p, nil
}

func (p *pcap) next() (frame, error) {
	var h [pcapRecordLen]byte
	if _, err := io.ReadFull(p.r, h[:]); err != nil {
		return frame{}, err // io.EOF between two records only
	}
	n := p.order.Uint32(h[8:])
	if n > maxCaptured {
		return frame{}, errTooLong
	}
	var err error
	if p.data, err = read(p.r, p.data, int(n)); err != nil {
		return frame{}, err
	}
	at := time.Unix(int64(p.order.Uint32(h[:])), int64(p.order.Uint32(h[4:]))*int64(p.unit))
	return frame{at, p.linkType, p.data}, nil
}

// read reads n bytes, at most maxCaptured or so, into b or a longer buffer.
func read(r io.Reader, b []byte, n int) ([]byte, error) {
	if cap(b) < n {
		b = make([]byte, n)
	}
	b = b[:n]
	if _, err := io.ReadFull(r, b); err != nil {
		return b, io.ErrUnexpectedEOF
	}
	return b, nil
}

// Types of blocks.
const (
	blockSection   = 0x0a0d0d0a
	blockInterface = 1
	blockPacket    = 2 // obsolete
	blockSimple    = 3
	blockEnhanced  = 6

	magicSection = 0x1a2b3c4d
)

const (
	blockFrameLen = 12 // type and both lengths
	// maxBlock is how much of a block is read; the rest are options.
	maxBlock = maxCaptured + 4096
	// maxInterfaces is how many interfaces a section may have.
	maxInterfaces = 4096
	// maxOptions is how many options of an interface are looked at.
	maxOptions = 64

	optionEnd        = 0
	optionResolution = 9
	optionOffset     = 14
)

var (
	errBlock     = errors.New("damaged block")
	errInterface = errors.New("packet of an interface that is not described")
	errMany      = fmt.Errorf("more than %d interfaces", maxInterfaces)
)

// pcapng reads the newer form.
type pcapng struct {
	r          *bufio.Reader
	order      binary.ByteOrder
	interfaces []capture
	data       []byte
}

// capture is an interface of a section.
type capture struct {
	linkType uint32
	snap     uint32
	units    uint64 // of time in a second
	offset   int64  // seconds
}

func (p *pcapng) next() (frame, error) {
	for {
		var h [8]byte
		if _, err := io.ReadFull(p.r, h[:]); err != nil {
			return frame{}, err // io.EOF between two blocks only
		}
		if binary.BigEndian.Uint32(h[:]) == blockSection { // alike in both orders
			if err := p.section(); err != nil {
				return frame{}, err
			}
		}
		kind, total := p.order.Uint32(h[:]), p.order.Uint32(h[4:])
		if total < blockFrameLen || total%4 != 0 {
			return frame{}, errBlock
		}
		body, rest := int64(total-blockFrameLen), int64(4)
		switch kind {
		case blockInterface, blockPacket, blockSimple, blockEnhanced:
			part := min(body, maxBlock)
			rest += body - part
			var err error
			if p.data, err = read(p.r, p.data, int(part)); err != nil {
				return frame{}, err
			}
		default:
			rest += body
		}
		if _, err := io.CopyN(io.Discard, p.r, rest); err != nil {
			return frame{}, io.ErrUnexpectedEOF
		}
		switch kind {
		case blockInterface:
			if err := p.describe(p.data); err != nil {
				return frame{}, err
			}
		case blockPacket, blockSimple, blockEnhanced:
			return p.packet(kind, p.data)
		}
	}
}

// section looks at the byte order that follows the head of a section's block.
func (p *pcapng) section() error {
	magic, err := p.r.Peek(4)
	if err != nil {
		return io.ErrUnexpectedEOF
	}
	switch {
	case binary.LittleEndian.Uint32(magic) == magicSection:
		p.order = binary.LittleEndian
	case binary.BigEndian.Uint32(magic) == magicSection:
		p.order = binary.BigEndian
	default:
		return errBlock
	}
	p.interfaces = p.interfaces[:0]
	return nil
}

// describe reads the body of an interface's block.
func (p *pcapng) describe(b []byte) error {
	if len(b) < 8 {
		return errBlock
	}
	if len(p.interfaces) >= maxInterfaces {
		return errMany
	}
	c := capture{linkType: uint32(p.order.Uint16(b)), snap: p.order.Uint32(b[4:]), units: 1e6}
	b = b[8:]
	for range maxOptions {
		if len(b) < 4 {
			break
		}
		code, n := p.order.Uint16(b), int(p.order.Uint16(b[2:]))
		b = b[4:]
		if code == optionEnd || n > len(b) {
			break
		}
		switch {
		case code == optionResolution && n == 1:
			c.units = units(b[0])
		case code == optionOffset && n == 8:
			c.offset = int64(p.order.Uint64(b))
		}
		b = b[min(len(b), (n+3)&^3):]
	}
	p.interfaces = append(p.interfaces, c)
	return nil
}

// units returns how many units of time make a second: a power of ten or, with
// the highest bit set, of two. One that does not fit is taken for a microsecond.
func units(resolution byte) uint64 {
	exponent := resolution & 0x7f
	switch {
	case resolution&0x80 != 0 && exponent < 64:
		return 1 << exponent
	case resolution&0x80 != 0 || exponent > 19:
		return 1e6
	}
	u := uint64(1)
	for range exponent {
		u *= 10
	}
	return u
}

// packet reads the body of a packet's block.
func (p *pcapng) packet(kind uint32, b []byte) (frame, error) {
	head := 20
	if kind == blockSimple {
		head = 4
	}
	if len(b) < head {
		return frame{}, errBlock
	}
	index, n := 0, uint32(0)
	switch kind {
	case blockEnhanced:
		index, n = int(p.order.Uint32(b)), p.order.Uint32(b[12:])
	case blockPacket:
		index, n = int(p.order.Uint16(b)), p.order.Uint32(b[12:])
	case blockSimple:
		n = p.order.Uint32(b)
	}
	if index < 0 || index >= len(p.interfaces) {
		return frame{}, errInterface
	}
	c := &p.interfaces[index]
	f := frame{linkType: c.linkType}
	if kind == blockSimple {
		if c.snap > 0 {
			n = min(n, c.snap)
		}
		n = min(n, uint32(len(b)-head)) // the original length is all there is
	} else {
		f.time = c.at(uint64(p.order.Uint32(b[4:]))<<32 | uint64(p.order.Uint32(b[8:])))
	}
	if uint64(n) > uint64(len(b)-head) {
		return frame{}, errBlock
	}
	f.data = b[head:][:n]
	return f, nil
}

// at returns the time of a packet.
func (c *capture) at(units uint64) time.Time {
	seconds, fraction := units/c.units, units%c.units
	high, low := bits.Mul64(fraction, 1e9)
	nano, _ := bits.Div64(high, low, c.units)
	return time.Unix(int64(seconds)+c.offset, int64(nano))
}
