package config

import (
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Config is a configuration with nothing left open: what the file does not say has
// its default. [Default] returns one without a file, [Parse] and [Load] read one,
// [Format] writes one.
type Config struct {
	Settings
	// Boundaries are the names that the file gives to ranges of groups.
	Boundaries []Boundary
	// Phyints are the interfaces that the file names, Tunnels the tunnels, in its
	// order. What holds for other interfaces says [Config.DefaultPhyint].
	Phyints []Phyint
	Tunnels []Tunnel
}

// Settings are those of the router as a whole. PruneLifetime, NoFlood and
// RexmitPrunes are in force in the links already.
type Settings struct {
	CacheLifetime time.Duration // of entries in the kernel
	PruneLifetime time.Duration
	NoFlood       bool
	RexmitPrunes  Switch
	RouterAlert   bool // send the option
	AllInterfaces bool // use those that no phyint disables, not only those that one enables
	IGMP          IGMP
	RespondTo     Asking
	// MtraceResponseGroups are where answers may be sent to besides 224.0.1.32.
	MtraceResponseGroups []netip.Addr
	Limits               Limits
}

// IGMP holds the variables of RFC 3376 section 8.
type IGMP struct {
	QueryInterval      time.Duration
	ResponseInterval   time.Duration // less than QueryInterval
	LastMemberInterval time.Duration
	Robustness         int
	RouterTimeout      time.Duration // 0: by the formula, see OtherQuerierPresent
}

// OtherQuerierPresent is how long another querier counts as present after its
// last query.
func (i IGMP) OtherQuerierPresent() time.Duration {
	if i.RouterTimeout != 0 {
		return i.RouterTimeout
	}
	return time.Duration(i.Robustness)*i.QueryInterval + i.ResponseInterval/2
}

// Limits bound what the router keeps, in total.
type Limits struct {
	Routes, Neighbors, Groups, Sources, Entries, Prunes int
}

// Asking is who gets answers to questions: hosts of the classes, and those in the
// networks.
type Asking struct {
	Classes  AskerClass
	Networks []netip.Prefix
}

// AskerClass is a set of classes of hosts.
type AskerClass uint8

// Classes of hosts that ask. This host is always answered.
const (
	AskLocal   AskerClass = 1 << iota // on a link of this router, or the other end of a tunnel
	AskPrivate                        // with an address of RFC 1918 or RFC 3927
	AskRouted                         // within a DVMRP route
	AskAny                            // whoever it is
)

// askerWords are the classes as the file calls them.
var askerWords = []struct {
	class AskerClass
	word  string
}{{AskAny, wordAny}, {AskLocal, wordLocal}, {AskPrivate, wordPrivate}, {AskRouted, wordRouted}}

// String returns the words of the file.
func (c AskerClass) String() string {
	var words []string
	for _, a := range askerWords {
		if c&a.class != 0 {
			words = append(words, a.word)
		}
	}
	if words == nil {
		return wordNone
	}
	return strings.Join(words, " ")
}

// Switch is on, off, or as it is best for the kind of link.
type Switch uint8

// Values of a switch.
const (
	ByLink Switch = iota
	On
	Off
)

// String returns by-link, on or off.
func (s Switch) String() string {
	switch s {
	case On:
		return wordOn
	case Off:
		return wordOff
	}
	return "by-link"
}

// IGMPVersion is a version of IGMP.
type IGMPVersion uint8

// Versions of IGMP.
const (
	IGMPv1 IGMPVersion = 1 + iota
	IGMPv2
	IGMPv3
)

// String returns igmpv1, igmpv2 or igmpv3.
func (v IGMPVersion) String() string { return "igmpv" + string('0'+rune(v)) }

// Kbps is a rate in kbit/s.
type Kbps uint32

// Boundary is a range of groups that does not cross a link.
type Boundary struct {
	Name   string // "" if the range was given without one
	Groups netip.Prefix
}

// Interface says which interface of the host is meant: it has one of the two.
type Interface struct {
	Name string
	Addr netip.Addr
}

// String returns the name or the address.
func (i Interface) String() string {
	if i.Addr.IsValid() {
		return i.Addr.String()
	}
	return i.Name
}

// Is reports whether an interface of the host is the one that is meant.
func (i Interface) Is(name string, addrs []netip.Addr) bool {
	if i.Addr.IsValid() {
		return slices.Contains(addrs, i.Addr)
	}
	return i.Name == name
}

// Host is another router: it has one of the two. A name is in lower case without a
// final dot, and is to have exactly one address.
type Host struct {
	Name string
	Addr netip.Addr
}

// String returns the name or the address.
func (h Host) String() string {
	if h.Addr.IsValid() {
		return h.Addr.String()
	}
	return h.Name
}

// Phyint is an interface of the host.
type Phyint struct {
	At        Position // of the first statement about it
	Interface Interface
	Enabled   bool
	// MaskBits is the length of the network mask; 0: that of the interface.
	MaskBits     int
	AltNets      []netip.Prefix // further networks on the link
	IGMP         IGMPVersion
	StaticGroups []netip.Addr // that always have members
	JoinGroups   []netip.Addr // that the router is a member of
	ForceLeaf    bool         // no other routers
	Link
}

// Tunnel is a tunnel to another router.
type Tunnel struct {
	At     Position // of its statement
	Local  Interface
	Remote Host
	Beside bool   // control messages do not go through the tunnel
	Device string // of the kernel, by name; "": one of the router's own
	Link
}

// Link is what phyints and tunnels have in common.
type Link struct {
	Metric        uint8
	AdvertMetric  uint8
	Threshold     uint8 // least TTL that packets leave with
	RateLimit     Kbps  // 0: none
	Boundaries    []Boundary
	Passive       bool
	NoFlood       bool
	PruneLifetime time.Duration
	// RexmitPrunes is ByLink only for phyints, where it means on for
	// point-to-point links and off for others.
	RexmitPrunes    Switch
	AllowNonpruners bool
	NoTransit       bool
	Blaster         bool
	Filter          Filter
	ProbeInterval   time.Duration // 0: by what the neighbours are
	NeighborTimeout time.Duration // 0: by what the neighbour is
}

// Filter says which routes are taken from a link.
type Filter struct {
	Action FilterAction
	Routes []FilterRoute
	Bidir  bool // it also says which routes are told on the link
}

// FilterAction is what a filter does with the routes that it lists.
type FilterAction uint8

// Actions of filters.
const (
	AcceptAll FilterAction = iota // no filter
	Accept                        // take these routes only
	Deny                          // take all other routes
)

// String returns all, accept or deny.
func (a FilterAction) String() string {
	return [...]string{"all", "accept", "deny"}[a]
}

// FilterRoute is a route of a filter, and unless it is Exact all within it.
type FilterRoute struct {
	Network netip.Prefix
	Exact   bool
}

// Default returns the configuration that holds without a file: every interface
// that can multicast is used, there are no tunnels.
func Default() *Config {
	return &Config{Settings: Settings{
		CacheLifetime: DefaultCacheLifetime,
		PruneLifetime: DefaultPruneLifetime,
		RouterAlert:   true,
		AllInterfaces: true,
		IGMP: IGMP{
			QueryInterval:      DefaultQueryInterval,
			ResponseInterval:   DefaultResponseInterval,
			LastMemberInterval: DefaultLastMemberInterval,
			Robustness:         DefaultRobustness,
		},
		RespondTo: Asking{Classes: AskLocal | AskPrivate | AskRouted},
		Limits: Limits{
			Routes:    DefaultRoutes,
			Neighbors: DefaultNeighbors,
			Groups:    DefaultGroups,
			Sources:   DefaultSources,
			Entries:   DefaultEntries,
			Prunes:    DefaultPrunes,
		},
	}}
}

// DefaultPhyint returns what holds for an interface that the file does not name.
func (c *Config) DefaultPhyint() Phyint {
	return Phyint{Enabled: c.AllInterfaces, IGMP: IGMPv3, Link: c.defaultLink()}
}

// defaultTunnel returns a tunnel without options.
func (c *Config) defaultTunnel() Tunnel {
	t := Tunnel{Beside: true, Link: c.defaultLink()}
	if t.RexmitPrunes == ByLink {
		t.RexmitPrunes = On
	}
	return t
}

func (c *Config) defaultLink() Link {
	return Link{
		Metric:        DefaultMetric,
		AdvertMetric:  DefaultAdvertMetric,
		Threshold:     DefaultThreshold,
		RateLimit:     DefaultRateLimit,
		NoFlood:       c.NoFlood,
		PruneLifetime: c.PruneLifetime,
		RexmitPrunes:  c.RexmitPrunes,
	}
}

// Equal reports whether two configurations say the same, wherever in files.
func (c *Config) Equal(d *Config) bool { return Format(c) == Format(d) }
