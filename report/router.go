package report

import (
	"net/netip"
	"time"

	"mbone/proto/dvmrp"
)

// RoutersSchema and RoutersVersion name the document of mrinfo.
const (
	RoutersSchema  = "mbone/mrinfo"
	RoutersVersion = 1
)

// Routers is the document of mrinfo: what routers say of themselves, in the
// order in which they were asked.
type Routers struct {
	Document
	Routers []Router `json:"routers"`
}

// Router is what one router said to Ask-Neighbors2, or that it said nothing.
type Router struct {
	// Target is what the user named: a host or an address. In a recording it is
	// the address that answered, if the user named none.
	Target string `json:"target"`
	// Asked is the address of the question; null if the target has none, or if
	// a recording does not hold the question.
	Asked Address `json:"asked"`
	// Answered is false for a silent router: all that follows is then unknown,
	// and Error says why.
	Answered bool   `json:"answered"`
	Error    string `json:"error"`
	// Address is the one that answered, Name its host name.
	Address Address `json:"address"`
	Name    *string `json:"name"`
	// Alias is set if Address is not the one that was asked, but another one of
	// the same router.
	Alias bool `json:"alias"`
	// Version is null if the router did not say, as those that know the old form
	// only.
	Version *Version `json:"version"`
	// OldForm is set if the router knows the old question only (Ask-Neighbors,
	// code 3): the flags of its interfaces are unknown.
	OldForm    bool        `json:"old_form"`
	Interfaces []Interface `json:"interfaces"`
	// RTT is the time from the question that was answered to the answer; null in
	// a recording that does not hold the question.
	RTT     *Milliseconds `json:"rtt_ms"`
	Tries   *int          `json:"tries"`   // questions sent; null if nothing was asked, or in a recording
	Packets int           `json:"packets"` // that the answer came in
	Time    *time.Time    `json:"time"`    // when the first of them came
	// BadChecksum is set if only an answer with a wrong checksum came. Its
	// content may be damaged.
	BadChecksum bool `json:"bad_checksum"`
	// Uncertain is set if the answer may lack interfaces or neighbours: it came in
	// several packets, which have no numbers, and one of them may be lost.
	Uncertain bool `json:"uncertain"`
	// Conflicts are other well-formed answers to the same question that say
	// something else: one of them all is forged or damaged.
	Conflicts []Router `json:"conflicts"`
}

// Version is what a router says of its software.
type Version struct {
	Major int `json:"major"`
	Minor int `json:"minor"`
	// Text is what mrinfo prints of it: "DVMRPv3 compliant" for 3.255.
	Text         string   `json:"text"`
	Capabilities []string `json:"capabilities"` // "prune", "genid", "mtrace", ...
	Level        uint32   `json:"level"`        // the four bytes as they came, as one number
}

// Interface is one interface or tunnel of a router. Several may have the same
// local address: tunnels share it with a physical interface.
type Interface struct {
	Address   netip.Addr `json:"address"`
	Metric    int        `json:"metric"`
	Threshold int        `json:"threshold"`
	// Flags are of "tunnel", "srcrt", "pim", "querier", "disabled", "down" and
	// "leaf", in this order; null if unknown.
	Flags []string `json:"flags"`
	// Neighbors are the routers on the link; empty if there are none, which is
	// 0.0.0.0 on the wire. Of a tunnel that is down it is the other end.
	Neighbors []Neighbor `json:"neighbors"`
}

// Neighbor is a router next to another one.
type Neighbor struct {
	Address netip.Addr `json:"address"`
	Name    *string    `json:"name"`
}

// VersionOf interprets the version of an answer.
func VersionOf(v dvmrp.Version) *Version {
	return &Version{
		Major:        int(v.Major),
		Minor:        int(v.Minor),
		Text:         v.String(),
		Capabilities: append([]string{}, v.Capabilities.Words()...),
		Level:        v.Level(),
	}
}

// InterfacesOf interprets the records of an answer; those of the old form have
// no flags. Names are left open.
func InterfacesOf(records []dvmrp.Interface, old bool) []Interface {
	interfaces := make([]Interface, 0, len(records))
	for _, r := range records {
		i := Interface{
			Address:   r.Local,
			Metric:    int(r.Metric),
			Threshold: int(r.Threshold),
			Neighbors: make([]Neighbor, 0, len(r.Neighbors)),
		}
		if !old {
			i.Flags = append([]string{}, r.Flags.Words()...)
		}
		for _, n := range r.Neighbors {
			if !n.IsUnspecified() {
				i.Neighbors = append(i.Neighbors, Neighbor{Address: n})
			}
		}
		interfaces = append(interfaces, i)
	}
	return interfaces
}
