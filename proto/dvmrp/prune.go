package dvmrp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"time"

	"mbone/proto/igmp"
	"mbone/proto/internal/wire"
)

// Prune (draft-ietf-idmr-dvmrp-v3, pruning): header, then
//
//	 0                   1                   2                   3
//	+---------------------------------------------------------------+
//	| source network                                                |  8
//	+---------------------------------------------------------------+
//	| group                                                         | 12
//	+---------------------------------------------------------------+
//	| lifetime in seconds                                           | 16
//	+---------------------------------------------------------------+
//	| source netmask, only if the sender has the netmask capability | 20
//	+---------------------------------------------------------------+

const (
	pruneLen    = HeaderLen + 12
	maxLifetime = math.MaxUint32 * time.Second
)

// Prune asks the upstream router to stop sending a flow.
type Prune struct {
	Version Version
	// Source is the network of the route, or any address inside it.
	Source netip.Addr
	Group  netip.Addr
	// Lifetime is how long the prune lasts; in whole seconds, up to 136 years.
	Lifetime time.Duration
	// Mask is the netmask of Source; the zero Addr if the message has none.
	Mask netip.Addr
}

// Origin returns the network by Source and Mask. It is not valid if the message
// has no netmask.
func (p *Prune) Origin() netip.Prefix { return origin(p.Source, p.Mask) }

// Parse reads a Prune. Bytes after it are ignored, as mrouted does: a netmask is
// one only if the header has [CapNetmask]. A netmask with a hole is an error.
func (p *Prune) Parse(b []byte) error {
	var err error
	if _, p.Version, err = parseHeader(b, CodePrune, CodePrune); err != nil {
		return err
	}
	if len(b) < pruneLen {
		return tooShort(CodePrune, len(b))
	}
	p.Source = wire.Addr(b[8:])
	p.Group = wire.Addr(b[12:])
	p.Lifetime = time.Duration(binary.BigEndian.Uint32(b[16:])) * time.Second
	p.Mask, err = parseMask(b, pruneLen, CodePrune, p.Version)
	return err
}

// Len returns the length of the encoded message.
func (p *Prune) Len() int { return pruneLen + netmaskLen(p.Mask) }

// AppendBinary appends the encoded message to b. It fails if an address is not an
// IPv4 address, Lifetime is negative or above 136 years, or there is a netmask and
// it has a hole or Version lacks [CapNetmask]. Parts of a second are left out.
func (p *Prune) AppendBinary(b []byte) ([]byte, error) {
	start := len(b)
	b = appendHeader(b, CodePrune, p.Version)
	b, err := p.appendData(b)
	return finish(b, start, CodePrune, err)
}

func (p *Prune) appendData(b []byte) ([]byte, error) {
	if p.Lifetime < 0 || p.Lifetime > maxLifetime {
		return b, fmt.Errorf("lifetime %v cannot be said", p.Lifetime)
	}
	b, err := wire.AppendAddr(b, p.Source, "source")
	if err != nil {
		return b, err
	}
	if b, err = wire.AppendAddr(b, p.Group, "group"); err != nil {
		return b, err
	}
	b = binary.BigEndian.AppendUint32(b, uint32(p.Lifetime/time.Second))
	return appendMask(b, p.Mask, p.Version)
}

// netmaskLen returns the length of the netmask: nothing for the zero Addr.
func netmaskLen(mask netip.Addr) int {
	if !mask.IsValid() {
		return 0
	}
	return addrLen
}

// parseMask returns the netmask at offset at of a prune or graft, the zero Addr
// if there is none.
func parseMask(b []byte, at int, c Code, v Version) (netip.Addr, error) {
	if v.Capabilities&CapNetmask == 0 || len(b) < at+addrLen {
		return netip.Addr{}, nil
	}
	mask := wire.Addr(b[at:])
	if _, ok := maskOnes(mask.As4()); !ok {
		return netip.Addr{}, &igmp.ParseError{Message: "dvmrp " + c.String(), Offset: at,
			Err: fmt.Errorf("%w: netmask %v has a hole", igmp.ErrValue, mask)}
	}
	return mask, nil
}

// appendMask appends the netmask of a prune or graft, if there is one.
func appendMask(b []byte, mask netip.Addr, v Version) ([]byte, error) {
	if !mask.IsValid() {
		return b, nil
	}
	if v.Capabilities&CapNetmask == 0 {
		return b, errors.New("a netmask needs the netmask capability in the version")
	}
	b, err := wire.AppendAddr(b, mask, "netmask")
	if err != nil {
		return b, err
	}
	if _, ok := maskOnes(mask.As4()); !ok {
		return b, fmt.Errorf("netmask %v has a hole", mask)
	}
	return b, nil
}

// origin returns the network of source by mask, not valid without a mask.
func origin(source, mask netip.Addr) netip.Prefix {
	if !mask.Is4() {
		return netip.Prefix{}
	}
	ones, ok := maskOnes(mask.As4())
	if !ok {
		return netip.Prefix{}
	}
	return netip.PrefixFrom(source, ones).Masked()
}
