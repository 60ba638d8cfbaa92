package dvmrp

import (
	"fmt"
	"strings"
)

// Version is who speaks: bytes 4 to 7 of every message, in that order.
// mrouted reads the same four bytes as one number and calls it the level.
type Version struct {
	Reserved     uint8 // 0 on the wire; kept so that a message encodes as it came
	Capabilities Capabilities
	Minor, Major uint8
}

// Mrouted is what mrouted 3.9 and later says of itself: version 3.255, which
// stands for a router that keeps to the draft.
var Mrouted = Version{Capabilities: CapPrune | CapGenID | CapMtrace, Minor: 255, Major: 3}

// VersionOf returns the version that the level word stands for.
func VersionOf(level uint32) Version {
	return Version{uint8(level >> 24), Capabilities(level >> 16), uint8(level >> 8), uint8(level)}
}

// Level returns bytes 4 to 7 as one big-endian number. In a Neighbors (code 4)
// message level 0 says that the router does not know Neighbors2; any other says
// that it wants to be asked with [CodeAskNeighbors2].
func (v Version) Level() uint32 {
	return uint32(v.Reserved)<<24 | uint32(v.Capabilities)<<16 | uint32(v.Minor)<<8 | uint32(v.Major)
}

// Number returns major and minor, "3.255". IOS puts its own release there: "12.2".
func (v Version) Number() string { return fmt.Sprintf("%d.%d", v.Major, v.Minor) }

// Compliant reports whether the version is 3.255: a router that keeps to the
// draft, as mrouted does from 3.9 on.
func (v Version) Compliant() bool { return v.Major == 3 && v.Minor == 255 }

// String returns what mrinfo prints between the brackets: "DVMRPv3 compliant"
// for 3.255, else "version 12.2".
func (v Version) String() string {
	if v.Compliant() {
		return "DVMRPv3 compliant"
	}
	return "version " + v.Number()
}

// ProbeData reports whether probes of this version carry a generation id and
// neighbours: 3.3 and later up to 9. mrouted ignores the data of all others.
func (v Version) ProbeData() bool {
	return v.Major == 3 && v.Minor > 2 || v.Major > 3 && v.Major < 10
}

// countsOf102 reports whether the neighbour counts of this version are those of
// IOS 10.2, see [Neighbors.Parse].
func (v Version) countsOf102() bool { return v.Major == 10 && v.Minor == 2 }

// Capabilities is the sixth byte of a message: what its sender can do.
type Capabilities uint8

// Capability bits, in the order of their values.
const (
	CapLeaf    Capabilities = 0x01 // has neighbours on one interface only
	CapPrune   Capabilities = 0x02
	CapGenID   Capabilities = 0x04 // probes carry a generation id
	CapMtrace  Capabilities = 0x08
	CapSNMP    Capabilities = 0x10
	CapNetmask Capabilities = 0x20 // prunes and grafts may carry a netmask
)

// named is a bit with its name.
type named[T ~uint8] struct {
	bit  T
	name string
}

// words returns the names of the bits that are set in v, in the order of names.
func words[T ~uint8](v T, names []named[T]) []string {
	var w []string
	for _, n := range names {
		if v&n.bit != 0 {
			w = append(w, n.name)
		}
	}
	return w
}

var capabilityWords = []named[Capabilities]{
	{CapLeaf, "leaf"},
	{CapPrune, "prune"},
	{CapGenID, "genid"},
	{CapMtrace, "mtrace"},
	{CapSNMP, "snmp"},
	{CapNetmask, "netmask"},
}

// capabilityLetters are in the order of IOS, which prints "GPM".
var capabilityLetters = []named[Capabilities]{
	{CapGenID, "G"},
	{CapPrune, "P"},
	{CapMtrace, "M"},
	{CapSNMP, "S"},
	{CapLeaf, "L"},
	{CapNetmask, "N"},
}

// Words returns the names of the capabilities, nil if there is none. Bits without
// a name are left out.
func (c Capabilities) Words() []string { return words(c, capabilityWords) }

// String returns the words joined by commas, "prune,genid,mtrace", as mrinfo 3.8
// prints them after the version.
func (c Capabilities) String() string { return strings.Join(c.Words(), ",") }

// Letters returns the capabilities as IOS prints them: "GPM".
func (c Capabilities) Letters() string { return strings.Join(words(c, capabilityLetters), "") }
