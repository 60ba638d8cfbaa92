// Package record reads recordings of IGMP traffic: files in pcap or pcapng form,
// as tcpdump and Wireshark write them.
//
// A recording is as hostile as the network it was made on. What is kept of one is
// bounded by the constants of this package, whatever its length fields say.
package record

import (
	"bufio"
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	"mbone/internal/ask"
)

// Stats counts the packets of a recording.
type Stats struct {
	Packets   int // in the recording
	IGMP      int // handed on
	Other     int // of another protocol
	Truncated int // IGMP, but cut by the snap length
	Fragments int // of datagrams that were put together again, or could not be
	Malformed int // no IPv4 where the link layer promises it, or a damaged header
	Unknown   int // of a link type that is not known here
}

// Errors of recordings.
var (
	ErrFormat   = errors.New("neither pcap nor pcapng")
	ErrLinkType = errors.New("link type not supported")
)

// Read calls fn with every IGMP message of a recording in pcap or pcapng form
// (compressed with gzip or not), in the order of the recording. It ends at the
// end of r, or with the first error of fn, which it returns as it is, or with
// an error that says at which packet the recording is damaged or ends too early
// (io.ErrUnexpectedEOF). The packet is fn's only until it returns; IfIndex is 0.
//
// Link types are Ethernet (with VLAN tags), Linux cooked v1 and v2, raw IP, and
// the loopback types of BSD. A recording in which no packet has one of them is
// an error; among others such packets are left out.
func Read(r io.Reader, fn func(*ask.Packet) error) error {
	_, err := ReadStats(r, fn)
	return err
}

// ReadUntil is [Read] that ends with ctx, too, although r may be a pipe to which
// nobody writes: a goroutine that waits for r stays behind then. fn is called by
// the goroutine of the caller, and may keep the packets.
func ReadUntil(ctx context.Context, r io.Reader, fn func(*ask.Packet) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	packets := make(chan ask.Packet)
	ended := make(chan error, 1)
	go func() {
		ended <- Read(r, func(p *ask.Packet) error {
			copied := *p
			copied.Message = slices.Clone(p.Message)
			select {
			case packets <- copied:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	}()
	for {
		select {
		case p := <-packets:
			if err := fn(&p); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		case err := <-ended:
			return err
		}
	}
}

// ReadStats is [Read] that also counts.
func ReadStats(r io.Reader, fn func(*ask.Packet) error) (Stats, error) {
	var s Stats
	source, err := open(r)
	if err != nil {
		return s, fmt.Errorf("recording: %w", err)
	}
	var fragments assembler
	var p ask.Packet
	unknown := uint32(0)
	for {
		f, err := source.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return s, fmt.Errorf("recording: packet %d: %w", s.Packets+1, err)
		}
		s.Packets++
		p = ask.Packet{Time: f.time}
		datagram, err := network(f.linkType, f.data)
		if err == nil {
			err = p.ParseIPv4(datagram)
		}
		if errors.Is(err, ask.ErrFragment) {
			s.Fragments++
			if datagram = fragments.add(datagram, f.time); datagram == nil {
				continue
			}
			err = p.ParseIPv4(datagram)
		}
		switch {
		case err == nil:
			s.IGMP++
			if err := fn(&p); err != nil {
				return s, err
			}
		case errors.Is(err, ask.ErrNotIGMP), errors.Is(err, errOther):
			s.Other++
		case errors.Is(err, ask.ErrTruncated):
			s.Truncated++
		case errors.Is(err, ErrLinkType):
			s.Unknown++
			unknown = f.linkType
		default:
			s.Malformed++
		}
	}
	if s.Unknown > 0 && s.Unknown == s.Packets {
		return s, fmt.Errorf("recording: %w: %d", ErrLinkType, unknown)
	}
	return s, nil
}

// open tells the forms apart by their first bytes.
func open(r io.Reader) (source, error) {
	b := bufio.NewReaderSize(r, readBuffer)
	if magic, err := b.Peek(2); err == nil && magic[0] == 0x1f && magic[1] == 0x8b {
		z, err := gzip.NewReader(b)
		if err != nil {
			return nil, err
		}
		b = bufio.NewReaderSize(z, readBuffer)
	}
	magic, err := b.Peek(4)
	if err == io.EOF && len(magic) > 0 || err == nil && len(magic) < 4 {
		return nil, ErrFormat
	}
	if err == io.EOF {
		return nil, fmt.Errorf("%w: it is empty", ErrFormat)
	}
	if err != nil {
		return nil, err
	}
	if binary.BigEndian.Uint32(magic) == blockSection {
		return &pcapng{r: b}, nil
	}
	return newPcap(b)
}

const (
	readBuffer = 16 << 10
	// maxCaptured is the longest packet, in bytes: the most that libpcap records.
	maxCaptured = 256 << 10
)
