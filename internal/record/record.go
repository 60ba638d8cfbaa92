// Package record reads recordings of IGMP traffic.
package record

import (
	"errors"
	"io"

	"mbone/internal/ask"
)

// Stats counts the packets of a recording.
type Stats struct {
	Packets   int // in the recording
	IGMP      int // handed on
	Other     int // of another protocol
	Truncated int // cut by the snap length
	Fragments int // of IPv4 datagrams that could not be put together again
	Malformed int // no IPv4 where the link type promises it, or a damaged header
}

// Read calls fn with every IGMP message of a recording in pcap or pcapng form
// (compressed with gzip or not), in the order of the recording. It ends at the
// end of r, or with the first error of fn, which it returns as it is, or with
// an error that says at which packet the recording is damaged. The packet is
// fn's only until it returns; IfIndex is 0.
func Read(r io.Reader, fn func(*ask.Packet) error) error {
	_, err := ReadStats(r, fn)
	return err
}

// ReadStats is [Read] that also counts.
func ReadStats(r io.Reader, fn func(*ask.Packet) error) (Stats, error) {
	return Stats{}, errors.ErrUnsupported
}
