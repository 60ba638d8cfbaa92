package dvmrp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"mbone/proto/igmp"
	"mbone/proto/internal/wire"
)

// Probe (draft-ietf-idmr-dvmrp-v3, probe messages): header, then
//
//	 0                   1                   2                   3
//	+---------------------------------------------------------------+
//	| generation id                                                 |  8
//	+---------------------------------------------------------------+
//	| address of each neighbour heard on this interface ...         | 12
//
// Routers before 3.3, and those that put a release of their own into the version
// (10 and above), send no data that could be relied on: see [Version.ProbeData].

const genIDLen = 4

// Probe says that its sender is there, and whom it hears.
type Probe struct {
	Version Version
	// GenID changes when the sender starts again. It is compared for equality only.
	GenID uint32
	// Neighbors are all routers heard on the interface that the probe leaves
	// by, those included that are not peers (yet).
	Neighbors []netip.Addr
}

// Parse reads a Probe. It reuses p.Neighbors. A generation id that is not
// complete or a neighbour that is not is an error: mrouted drops such a probe,
// too. Where the version has no data in probes it is ignored, and GenID is 0 and
// Neighbors is empty.
func (p *Probe) Parse(b []byte) error {
	var err error
	if _, p.Version, err = parseHeader(b, CodeProbe, CodeProbe); err != nil {
		return err
	}
	p.GenID, p.Neighbors = 0, p.Neighbors[:0]
	if !p.Version.ProbeData() {
		return nil
	}
	if len(b) < HeaderLen+genIDLen {
		return tooShort(CodeProbe, len(b))
	}
	p.GenID = binary.BigEndian.Uint32(b[HeaderLen:])
	b = b[HeaderLen+genIDLen:]
	if len(b)%addrLen != 0 {
		return &igmp.ParseError{Message: "dvmrp probe", Offset: HeaderLen + genIDLen + len(b),
			Err: fmt.Errorf("%w: neighbour %d is not whole", igmp.ErrTruncated, len(b)/addrLen)}
	}
	p.Neighbors = wire.Addrs(p.Neighbors, b)
	return nil
}

// Len returns the length of the encoded message.
func (p *Probe) Len() int {
	if !p.Version.ProbeData() {
		return HeaderLen
	}
	return HeaderLen + genIDLen + addrLen*len(p.Neighbors)
}

// AppendBinary appends the encoded message to b. It fails if a neighbour is not
// an IPv4 address, or if there is a generation id or a neighbour and the version
// has no data in probes.
func (p *Probe) AppendBinary(b []byte) ([]byte, error) {
	start := len(b)
	b = appendHeader(b, CodeProbe, p.Version)
	var err error
	if p.Version.ProbeData() {
		b = binary.BigEndian.AppendUint32(b, p.GenID)
		b, err = wire.AppendAddrs(b, p.Neighbors, "neighbour")
	} else if p.GenID != 0 || len(p.Neighbors) > 0 {
		err = errors.New("version " + p.Version.Number() + " has no data in probes")
	}
	return finish(b, start, CodeProbe, err)
}
