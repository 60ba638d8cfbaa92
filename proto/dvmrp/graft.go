package dvmrp

import (
	"net/netip"

	"mbone/proto/internal/wire"
)

// Graft and Graft-Ack (draft-ietf-idmr-dvmrp-v3, grafting): header, then
//
//	 0                   1                   2                   3
//	+---------------------------------------------------------------+
//	| source network                                                |  8
//	+---------------------------------------------------------------+
//	| group                                                         | 12
//	+---------------------------------------------------------------+
//	| source netmask, only if the sender has the netmask capability | 16
//	+---------------------------------------------------------------+
//
// mrouted takes no Graft-Ack with a netmask: send one only to a router that has
// the capability itself.

const graftLen = HeaderLen + 8

// Graft takes back a [Prune]; with Ack set, it acknowledges one that did.
type Graft struct {
	Version Version
	Ack     bool
	// Source is the network of the route, or any address inside it.
	Source netip.Addr
	Group  netip.Addr
	// Mask is the netmask of Source; the zero Addr if the message has none.
	Mask netip.Addr
}

// Origin returns the network by Source and Mask. It is not valid if the message
// has no netmask.
func (g *Graft) Origin() netip.Prefix { return origin(g.Source, g.Mask) }

// Parse reads a Graft or a Graft-Ack. Bytes after it are ignored: a netmask is
// one only if the header has [CapNetmask]. A netmask with a hole is an error.
func (g *Graft) Parse(b []byte) error {
	c, v, err := parseHeader(b, CodeGraft, CodeGraftAck)
	if err != nil {
		return err
	}
	if len(b) < graftLen {
		return tooShort(c, len(b))
	}
	g.Version, g.Ack = v, c == CodeGraftAck
	g.Source = wire.Addr(b[8:])
	g.Group = wire.Addr(b[12:])
	g.Mask, err = parseMask(b, graftLen, c, v)
	return err
}

// Len returns the length of the encoded message.
func (g *Graft) Len() int { return graftLen + netmaskLen(g.Mask) }

func (g *Graft) code() Code {
	if g.Ack {
		return CodeGraftAck
	}
	return CodeGraft
}

// AppendBinary appends the encoded message to b. It fails if an address is not an
// IPv4 address, or if there is a netmask and it has a hole or Version lacks
// [CapNetmask].
func (g *Graft) AppendBinary(b []byte) ([]byte, error) {
	start := len(b)
	b = appendHeader(b, g.code(), g.Version)
	b, err := wire.AppendAddr(b, g.Source, "source")
	if err == nil {
		b, err = wire.AppendAddr(b, g.Group, "group")
	}
	if err == nil {
		b, err = appendMask(b, g.Mask, g.Version)
	}
	return finish(b, start, g.code(), err)
}
