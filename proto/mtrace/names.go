package mtrace

import (
	"fmt"
	"net/netip"
)

// Protocol is the multicast routing protocol that a router uses for the source
// (byte 28 of a block).
type Protocol uint8

// The codes of the draft.
const (
	ProtocolNone        Protocol = 0
	ProtocolDVMRP       Protocol = 1
	ProtocolMOSPF       Protocol = 2
	ProtocolPIM         Protocol = 3
	ProtocolCBT         Protocol = 4
	ProtocolPIMSpecial  Protocol = 5  // PIM using a special routing table
	ProtocolPIMStatic   Protocol = 6  // PIM using a static route
	ProtocolDVMRPStatic Protocol = 7  // DVMRP using a static route
	ProtocolPIMMBGP     Protocol = 8  // PIM using MBGP
	ProtocolCBTSpecial  Protocol = 9  // CBT using a special routing table
	ProtocolCBTStatic   Protocol = 10 // CBT using a static route
	ProtocolPIMAssert   Protocol = 11 // PIM using state from an Assert
)

// protocolTexts are what mtrace 5.2 prints.
var protocolTexts = [...]string{
	ProtocolNone:        "None",
	ProtocolDVMRP:       "DVMRP",
	ProtocolMOSPF:       "MOSPF",
	ProtocolPIM:         "PIM",
	ProtocolCBT:         "CBT",
	ProtocolPIMSpecial:  "PIM/Special",
	ProtocolPIMStatic:   "PIM/Static",
	ProtocolDVMRPStatic: "DVMRP/Static",
	ProtocolPIMMBGP:     "PIM/BGP4+",
	ProtocolCBTSpecial:  "CBT/Special",
	ProtocolCBTStatic:   "CBT/Static",
	ProtocolPIMAssert:   "PIM/Assert",
}

// String returns what mtrace 5.2 prints: "DVMRP", "PIM/Static", or "Unknown
// protocol code 77".
func (p Protocol) String() string {
	if int(p) < len(protocolTexts) {
		return protocolTexts[p]
	}
	return fmt.Sprintf("Unknown protocol code %d", uint8(p))
}

// Text46 returns what the mtrace of mrouted 4.6 prints, which knows the codes 1
// to 4 only.
func (p Protocol) Text46() string {
	if p >= ProtocolDVMRP && p <= ProtocolCBT {
		return protocolTexts[p]
	}
	return fmt.Sprintf("Unknown protocol code %d", uint8(p))
}

// Code says why a router does or does not forward (byte 31 of a block). With bit
// 0x80 set it is fatal.
type Code uint8

// The codes of the draft.
const (
	CodeNoError       Code = 0x00
	CodeWrongIf       Code = 0x01 // came in on an interface that (S,G) does not leave by
	CodePruneSent     Code = 0x02 // the router has pruned upstream
	CodePruneRcvd     Code = 0x03 // routers downstream have pruned
	CodeScoped        Code = 0x04 // the group is scoped here
	CodeNoRoute       Code = 0x05 // no route to the source
	CodeWrongLastHop  Code = 0x06 // not the last hop for the receiver
	CodeNotForwarding Code = 0x07 // does not forward, for another reason
	CodeReachedRP     Code = 0x08 // the router is the rendezvous point or core
	CodeRPFIf         Code = 0x09 // came in on the interface towards the source
	CodeNoMulticast   Code = 0x0a // the interface has no multicast
	CodeInfoHidden    Code = 0x0b // hops are hidden here
	CodeNoSpace       Code = 0x81 // no room for another block
	CodeOldRouter     Code = 0x82 // the previous hop does not know mtrace
	CodeAdminProhib   Code = 0x83 // forbidden by policy
)

// Fatal reports whether the trace ends at this router.
func (c Code) Fatal() bool { return c&0x80 != 0 }

// String returns the name that the draft gives to the code: "WRONG_IF", or "code
// 0x42".
func (c Code) String() string {
	switch c {
	case CodeNoError:
		return "NO_ERROR"
	case CodeWrongIf:
		return "WRONG_IF"
	case CodePruneSent:
		return "PRUNE_SENT"
	case CodePruneRcvd:
		return "PRUNE_RCVD"
	case CodeScoped:
		return "SCOPED"
	case CodeNoRoute:
		return "NO_ROUTE"
	case CodeWrongLastHop:
		return "WRONG_LAST_HOP"
	case CodeNotForwarding:
		return "NOT_FORWARDING"
	case CodeReachedRP:
		return "REACHED_RP"
	case CodeRPFIf:
		return "RPF_IF"
	case CodeNoMulticast:
		return "NO_MULTICAST"
	case CodeInfoHidden:
		return "INFO_HIDDEN"
	case CodeNoSpace:
		return "NO_SPACE"
	case CodeOldRouter:
		return "OLD_ROUTER"
	case CodeAdminProhib:
		return "ADMIN_PROHIB"
	}
	return fmt.Sprintf("code 0x%02x", uint8(c))
}

// Text46 returns what the mtrace of mrouted 4.6 prints at the end of a hop line:
// nothing for [CodeNoError], "Unknown error code 8" for a code that it does not
// know.
func (c Code) Text46() string {
	switch c {
	case CodeNoError:
		return ""
	case CodeWrongIf:
		return "Wrong interface"
	case CodePruneSent:
		return "Prune sent upstream"
	case CodePruneRcvd:
		return "Output pruned"
	case CodeScoped:
		return "Hit scope boundary"
	case CodeNoRoute:
		return "No route"
	case CodeNotForwarding:
		return "Not forwarding"
	case CodeNoSpace:
		return "No space in packet"
	case CodeOldRouter:
		return "Next router no mtrace"
	}
	return fmt.Sprintf("Unknown error code %d", uint8(c))
}

// Text52 returns what mtrace 5.2 prints at the end of a hop line: [Code.Text46]
// and four more codes.
func (c Code) Text52() string {
	switch c {
	case CodeReachedRP:
		return "Reached RP/Core"
	case CodeRPFIf:
		return "RPF Interface"
	case CodeNoMulticast:
		return "Multicast disabled"
	case CodeAdminProhib:
		return "Admin. Prohibited"
	}
	return c.Text46()
}

// Text returns [Code.Text52] and words for the two codes of the draft that neither
// program knows.
func (c Code) Text() string {
	switch c {
	case CodeWrongLastHop:
		return "Wrong last hop"
	case CodeInfoHidden:
		return "Info hidden"
	}
	return c.Text52()
}

// Mask is byte 30 of a block as it came: bit 7 must be zero, bit 6 is S, bits 5-0
// are the length of the source mask.
type Mask uint8

// Parts of a [Mask] and the lengths with a meaning of their own.
const (
	// MaskSubnetCount is the S bit: PacketsGroup counts the whole source net.
	MaskSubnetCount Mask = 0x40
	// MaskGroupOnly is the length that says: forwarded by (*,G) state alone.
	MaskGroupOnly Mask = 0x3f
	// MaskDefault is the length that mrouted writes for the default route.
	MaskDefault Mask = 1
)

// NewMask returns the byte for a source mask of so many bits: 1 for the default
// route (0 bits), as mrouted writes it.
func NewMask(bits int) Mask {
	if bits < int(MaskDefault) {
		return MaskDefault
	}
	return Mask(bits) & MaskGroupOnly
}

// Len returns bits 5-0. Only 2 to 32 are the length of a mask.
func (m Mask) Len() int { return int(m & MaskGroupOnly) }

// SubnetCount reports whether the S bit is set.
func (m Mask) SubnetCount() bool { return m&MaskSubnetCount != 0 }

// GroupOnly reports whether the router forwards by (*,G) state alone.
func (m Mask) GroupOnly() bool { return m&MaskGroupOnly == MaskGroupOnly }

// Default reports whether the source is reached by the default route: length 1,
// as mrouted writes it, or 0, which pimd writes always.
func (m Mask) Default() bool { return m.Len() <= int(MaskDefault) }

// Prefix returns the network of addr by this mask. It is not valid if the length
// is none of a mask: the default route, (*,G) state, 33 to 62.
func (m Mask) Prefix(addr netip.Addr) netip.Prefix {
	if m.Default() {
		return netip.Prefix{}
	}
	p, _ := addr.Prefix(m.Len()) // not valid if addr has fewer bits or is not valid
	return p
}

// Reaches reports whether source lies in the network of the incoming interface
// by the mask of the block: no router is between them. Where the block has no
// mask of a network it does not tell, and the answer is no.
func (k *Block) Reaches(source netip.Addr) bool {
	p := k.Mask.Prefix(k.Incoming)
	return p.IsValid() && p.Contains(source)
}
