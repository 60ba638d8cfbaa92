package ask

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
)

// Why an IPv4 datagram gives no packet.
var (
	// ErrIPv4 is a datagram that is no IPv4 or whose header contradicts itself.
	ErrIPv4 = errors.New("damaged IPv4 header")
	// ErrNotIGMP is a datagram of another protocol. A multicast routing socket
	// of Linux also hands up kernel messages with protocol 0.
	ErrNotIGMP = errors.New("not IGMP")
	// ErrFragment is a part of a datagram.
	ErrFragment = errors.New("fragment of a datagram")
	// ErrTruncated is a datagram of which less is there than its header says;
	// the packet is filled with what there is.
	ErrTruncated = errors.New("datagram cut short")
)

const (
	protocolIGMP  = 2
	ipv4HeaderLen = 20
	fragmentBits  = 0x3fff // more fragments, and the offset
)

// ParseIPv4 fills From, To, TTL and Message from an IPv4 datagram (RFC 791) and
// leaves the other fields alone. Options are skipped, bytes after the total
// length are ignored. Message is a part of b. The header checksum is not looked
// at: the kernel did, and a recording may hold packets from before it was set.
func (p *Packet) ParseIPv4(b []byte) error {
	if len(b) < ipv4HeaderLen || b[0]>>4 != 4 {
		return ErrIPv4
	}
	header, total := int(b[0]&0xf)*4, int(binary.BigEndian.Uint16(b[2:]))
	if header < ipv4HeaderLen || total < header || len(b) < header {
		return ErrIPv4
	}
	if b[9] != protocolIGMP {
		return fmt.Errorf("%w: protocol %d", ErrNotIGMP, b[9])
	}
	if binary.BigEndian.Uint16(b[6:])&fragmentBits != 0 {
		return ErrFragment
	}
	p.From, p.To = netip.AddrFrom4([4]byte(b[12:])), netip.AddrFrom4([4]byte(b[16:]))
	p.TTL = b[8]
	p.Message = b[header:min(total, len(b))]
	if len(b) < total {
		return fmt.Errorf("%w: %d of %d bytes", ErrTruncated, len(b), total)
	}
	return nil
}
