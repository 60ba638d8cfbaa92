package config

import (
	"slices"
	"strconv"
	"time"
)

// Scope is where a keyword may stand.
type Scope uint8

// Scopes, a set.
const (
	Global   Scope = 1 << iota // a statement of its own
	OnPhyint                   // an option of phyint
	OnTunnel                   // an option of tunnel
	OnLink   = OnPhyint | OnTunnel
)

// String names the scopes.
func (s Scope) String() string {
	switch s {
	case Global:
		return "general"
	case OnPhyint:
		return "phyint"
	case OnTunnel:
		return "tunnel"
	case OnLink:
		return "phyint and tunnel"
	case Global | OnLink:
		return "general, phyint and tunnel"
	}
	return "nowhere"
}

// Argument is what follows a keyword.
type Argument uint8

// Kinds of arguments.
const (
	ArgNone       Argument = iota
	ArgNumber              // a whole number
	ArgSeconds             // whole seconds
	ArgFraction            // seconds, with up to three decimals
	ArgKilobits            // kbit/s
	ArgToggle              // on or off; nothing means on
	ArgMask                // of a network, four octets
	ArgNetwork             // a.b.c.d/length
	ArgGroup               // the address of a group
	ArgScoped              // the name of a boundary, or its network
	ArgNamedScope          // the name of a boundary and its network
	ArgRoutes              // networks, each perhaps with exact; perhaps bidir
	ArgAskers              // any, none, or classes and networks of hosts
	ArgInterface           // an interface, by name or address
	ArgDevice              // an interface, by name
	ArgTunnel              // an interface, and the address or name of a host
	ArgText                // any word, perhaps in quotes
)

// String returns how a manual writes the argument.
func (a Argument) String() string {
	return [...]string{
		ArgNone: "", ArgNumber: "NUMBER", ArgSeconds: "SECONDS", ArgFraction: "SECONDS", ArgKilobits: "KBIT/S", ArgToggle: "[on | off]",
		ArgMask: "MASK", ArgNetwork: "NETWORK/LENGTH", ArgGroup: "GROUP", ArgScoped: "NAME | NETWORK/LENGTH", ArgNamedScope: "NAME NETWORK/LENGTH",
		ArgRoutes: "NETWORK/LENGTH [exact] ... [bidir]", ArgAskers: "any | none | {local | private | routed | NETWORK/LENGTH} ...",
		ArgInterface: "INTERFACE", ArgDevice: "NAME", ArgTunnel: "INTERFACE HOST", ArgText: "TEXT",
	}[a]
}

// Keyword is a row of the table of keywords.
type Keyword struct {
	Name     string
	Old      []string // other spellings that are accepted
	Scope    Scope
	Argument Argument
	Min, Max float64 // of a number or a time, in the unit of the file
	// Lenient is whether a number out of range is replaced by the nearest one, with
	// a warning: mrouted goes on there too.
	Lenient bool
	Default string // as it would be written; "" where there is none or Doc says it
	Repeats bool   // may be given several times, each adds to the others
	Since   string // 3.9 and 4.x of mrouted, or mroutd for keywords of our own
	// Ignored and Refused say why a keyword that is known has no meaning: with a
	// warning, or as an error.
	Ignored, Refused string
	Doc              string // what it does, for the manual
}

// Syntax returns the keyword with its argument as a manual writes it.
func (k *Keyword) Syntax() string {
	if k.Argument == ArgNone {
		return k.Name
	}
	return k.Name + " " + k.Argument.String()
}

// Keywords returns the table of all keywords of the language: general settings,
// statements, then options, those of both kinds of links last.
func Keywords() []Keyword { return slices.Clone(keywords) }

var keywords = []Keyword{
	// Settings of mrouted.
	{Name: "cache-lifetime", Old: []string{"cache_lifetime"}, Scope: Global, Argument: ArgSeconds, Since: "3.9",
		Min: secs(MinCacheLifetime), Max: secs(MaxCacheLifetime), Lenient: true, Default: decimal(DefaultCacheLifetime),
		Doc: "How long an unused entry stays in the forwarding cache of the kernel."},
	{Name: "prune-lifetime", Old: []string{"prune_lifetime"}, Scope: Global | OnLink, Argument: ArgSeconds, Since: "3.9",
		Min: secs(MinPruneLifetime), Max: secs(MaxPruneLifetime), Lenient: true, Default: decimal(DefaultPruneLifetime),
		Doc: "The average lifetime of the prunes that are sent; each takes one from half to one and a half times of it."},
	{Name: "noflood", Scope: Global | OnLink, Since: "3.9",
		Doc: "After a start, do not assume to be the forwarder of a link until its neighbours were heard."},
	{Name: "rexmit-prunes", Old: []string{"rexmit_prunes"}, Scope: Global | OnLink, Argument: ArgToggle, Since: "3.9",
		Doc: "Send prunes again until they have an effect. Without it: on tunnels and point-to-point links, but not on LANs."},
	{Name: "no router-alert", Scope: Global, Since: "4.x",
		Doc: "Send no Router Alert option, for switches and routers that cannot stand it."},
	{Name: "no phyint", Scope: Global, Since: "4.x",
		Doc: "Use no interface but those that a phyint enables."},
	{Name: "igmp-query-interval", Scope: Global, Argument: ArgSeconds, Since: "4.x",
		Min: secs(MinIGMPTime), Max: secs(MaxIGMPTime), Default: decimal(DefaultQueryInterval),
		Doc: "The time between IGMP queries; all queriers of a link have the same, longer than igmp-query-response-interval."},
	{Name: "igmp-query-response-interval", Old: []string{"igmp-query-reponse-interval"}, Scope: Global, Argument: ArgSeconds, Since: "4.x",
		Min: secs(MinIGMPTime), Max: secs(MaxIGMPTime), Default: decimal(DefaultResponseInterval),
		Doc: "The time in which hosts answer a query. The misspelling of mrouted 4.6 is accepted."},
	{Name: "igmp-query-last-member-interval", Scope: Global, Argument: ArgSeconds, Since: "4.x",
		Min: secs(MinIGMPTime), Max: secs(MaxIGMPTime), Default: decimal(DefaultLastMemberInterval),
		Doc: "The time between queries for one group after a host has left it."},
	{Name: "igmp-robustness", Scope: Global, Argument: ArgNumber, Since: "4.x",
		Min: MinRobustness, Max: MaxRobustness, Default: strconv.Itoa(DefaultRobustness),
		Doc: "How often a message of IGMP is repeated so that one of them arrives."},
	{Name: "router-timeout", Scope: Global, Argument: ArgSeconds, Since: "4.x",
		Min: secs(MinIGMPTime), Max: secs(MaxIGMPTime),
		Doc: "How long a querier counts as present. Without it: robustness x query interval + half the response interval."},

	// Settings of our own.
	{Name: "respond-to", Scope: Global, Argument: ArgAskers, Since: "mroutd", Default: "local private routed",
		Doc: "Whose questions (mrinfo, mtrace) are answered: local hosts (own links and tunnel ends), hosts with private addresses, " +
			"hosts that a DVMRP route leads to, networks. This host is always answered."},
	{Name: "mtrace-response-group", Scope: Global, Argument: ArgGroup, Repeats: true, Since: "mroutd",
		Doc: "A group, besides 224.0.1.32, that answers to mtrace may be sent to."},
	{Name: "max-routes", Scope: Global, Argument: ArgNumber, Since: "mroutd",
		Min: MinBound, Max: MaxRoutes, Default: strconv.Itoa(DefaultRoutes), Doc: "How many routes are kept."},
	{Name: "max-neighbors", Scope: Global, Argument: ArgNumber, Since: "mroutd",
		Min: MinBound, Max: MaxNeighbors, Default: strconv.Itoa(DefaultNeighbors), Doc: "How many neighbours are kept, on all links together."},
	{Name: "max-groups", Scope: Global, Argument: ArgNumber, Since: "mroutd",
		Min: MinBound, Max: MaxGroups, Default: strconv.Itoa(DefaultGroups), Doc: "How many groups with members are kept; one on two links counts twice."},
	{Name: "max-sources", Scope: Global, Argument: ArgNumber, Since: "mroutd",
		Min: MinBound, Max: MaxSources, Default: strconv.Itoa(DefaultSources), Doc: "How many sources that members have named are kept, in all groups together."},
	{Name: "max-entries", Scope: Global, Argument: ArgNumber, Since: "mroutd",
		Min: MinBound, Max: MaxEntries, Default: strconv.Itoa(DefaultEntries), Doc: "How many entries of source and group are kept."},
	{Name: "max-prunes", Scope: Global, Argument: ArgNumber, Since: "mroutd",
		Min: MinBound, Max: MaxPrunes, Default: strconv.Itoa(DefaultPrunes), Doc: "How many prunes of neighbours are kept."},

	// Statements.
	{Name: "name", Scope: Global, Argument: ArgNamedScope, Repeats: true, Since: "3.9",
		Doc: "Name the boundary of a range of scoped groups."},
	{Name: "phyint", Scope: Global, Argument: ArgInterface, Repeats: true, Since: "3.9",
		Doc: "Set options of an interface, which is named by its name or one of its addresses."},
	{Name: "tunnel", Scope: Global, Argument: ArgTunnel, Repeats: true, Since: "3.9",
		Doc: "Set up a tunnel from an interface or address of this host to another router."},

	// Options of phyint.
	{Name: "disable", Scope: OnPhyint, Since: "3.9", Doc: "Do not use this interface."},
	{Name: "enable", Scope: OnPhyint, Since: "3.9", Doc: "Use this interface: the default unless there is a no phyint."},
	{Name: "netmask", Scope: OnPhyint, Argument: ArgMask, Since: "3.9",
		Doc: "The mask of the network of the link, where that of the interface is wrong."},
	{Name: "altnet", Scope: OnPhyint, Argument: ArgNetwork, Repeats: true, Since: "3.9",
		Doc: "Another network on the same link."},
	{Name: "igmpv1", Scope: OnPhyint, Since: "4.x", Doc: "Speak IGMP version 1 on the link."},
	{Name: "igmpv2", Scope: OnPhyint, Since: "4.x", Doc: "Speak IGMP version 2 on the link."},
	{Name: "igmpv3", Scope: OnPhyint, Since: "4.x", Doc: "Speak IGMP version 3 on the link: the default."},
	{Name: "static-group", Scope: OnPhyint, Argument: ArgGroup, Repeats: true, Since: "4.x",
		Doc: "Forward a group to the link as if it always had members."},
	{Name: "join-group", Scope: OnPhyint, Argument: ArgGroup, Repeats: true, Since: "4.x",
		Doc: "Join a group on the link, so that switches that snoop send it here."},
	{Name: "force-leaf", Old: []string{"force_leaf"}, Scope: OnPhyint, Since: "3.9",
		Doc: "Neither send probes and reports to the link nor accept them from it."},

	// Options of tunnel.
	{Name: "beside", Scope: OnTunnel, Argument: ArgToggle, Since: "3.9", Default: "on",
		Doc: "Send control messages as unicast beside the tunnel, as older routers do; off: through it."},
	{Name: "device", Scope: OnTunnel, Argument: ArgDevice, Since: "mroutd",
		Doc: "Use a device of the kernel, which somebody has made for this tunnel, instead of one of the router's own."},
	{Name: "srcrt", Old: []string{"sourceroute"}, Scope: OnTunnel, Since: "3.9",
		Refused: "there are no tunnels by source route any more: remove it, the tunnel is then IP in IP",
		Doc:     "A tunnel by source route."},

	// Options of phyint and tunnel.
	{Name: "metric", Scope: OnLink, Argument: ArgNumber, Since: "3.9",
		Min: MinMetric, Max: MaxMetric, Default: strconv.Itoa(DefaultMetric), Doc: "The cost of receiving over the link."},
	{Name: "advert-metric", Old: []string{"advert_metric"}, Scope: OnLink, Argument: ArgNumber, Since: "3.9",
		Min: MinAdvertMetric, Max: MaxAdvertMetric, Default: strconv.Itoa(DefaultAdvertMetric), Doc: "A cost added to what is told the neighbours on the link."},
	{Name: "threshold", Scope: OnLink, Argument: ArgNumber, Since: "3.9",
		Min: MinThreshold, Max: MaxThreshold, Default: strconv.Itoa(DefaultThreshold), Doc: "The least TTL that packets leave with: they must come with more."},
	{Name: "rate-limit", Old: []string{"rate_limit"}, Scope: OnLink, Argument: ArgKilobits, Since: "3.9",
		Min: MinRateLimit, Max: MaxRateLimit, Default: strconv.Itoa(DefaultRateLimit), Doc: "How much multicast is forwarded to the link; 0: no limit."},
	{Name: "boundary", Scope: OnLink, Argument: ArgScoped, Repeats: true, Since: "3.9",
		Doc: "Scoped groups that are not forwarded over the link in either direction."},
	{Name: "passive", Scope: OnLink, Since: "3.9", Doc: "Be silent on the link until the other end is heard."},
	{Name: "allow-nonpruners", Old: []string{"allow_nonpruners"}, Scope: OnLink, Since: "3.9",
		Doc: "Also be a neighbour of routers that cannot prune."},
	{Name: "notransit", Scope: OnLink, Since: "3.9",
		Doc: "Do not tell a route that was learnt on a notransit link on another notransit link."},
	{Name: "blaster", Scope: OnLink, Since: "3.9",
		Doc: "The neighbour sends its whole table at once."},
	{Name: "accept", Scope: OnLink, Argument: ArgRoutes, Repeats: true, Since: "3.9",
		Doc: "Take only routes within these networks, or exactly these; bidir: also tell no others."},
	{Name: "deny", Scope: OnLink, Argument: ArgRoutes, Repeats: true, Since: "3.9",
		Doc: "Take all routes but those within these networks, or exactly these; bidir: also do not tell them."},
	{Name: "probe-interval", Scope: OnLink, Argument: ArgFraction, Since: "mroutd",
		Min: secs(MinProbeInterval), Max: secs(MaxProbeInterval),
		Doc: "The time between probes. Without it: 10 for neighbours that expect that, less for those of our kind."},
	{Name: "neighbor-timeout", Scope: OnLink, Argument: ArgFraction, Since: "mroutd",
		Min: secs(MinNeighborTimeout), Max: secs(MaxNeighborTimeout),
		Doc: "How long a silent neighbour counts as present. Without it: by what the neighbour is, and by probe-interval."},

	// Keywords without a meaning.
	{Name: "allow-black-holes", Old: []string{"allow_black_holes"}, Scope: Global | OnLink, Since: "3.9",
		Ignored: "it is for debugging mrouted", Doc: "For debugging mrouted."},
	{Name: "pruning", Scope: Global, Argument: ArgToggle, Since: "3.x",
		Ignored: "this router always prunes", Doc: "Whether prunes are sent."},
	{Name: "sysName", Scope: Global, Argument: ArgText, Since: "3.x", Ignored: noSNMP, Doc: "The name told by SNMP."},
	{Name: "sysContact", Scope: Global, Argument: ArgText, Since: "3.x", Ignored: noSNMP, Doc: "The contact told by SNMP."},
	{Name: "sysVersion", Scope: Global, Argument: ArgText, Since: "3.x", Ignored: noSNMP, Doc: "The version told by SNMP."},
	{Name: "sysLocation", Scope: Global, Argument: ArgText, Since: "3.x", Ignored: noSNMP, Doc: "The location told by SNMP."},
}

const noSNMP = "this router does not speak SNMP"

// spellings maps every spelling to its row.
var spellings = func() map[string]*Keyword {
	m := make(map[string]*Keyword)
	for i := range keywords {
		k := &keywords[i]
		m[k.Name] = k
		for _, old := range k.Old {
			m[old] = k
		}
	}
	return m
}()

// prefixNo is the first word of the keywords of two words.
const prefixNo = "no"

// slot names what keywords that replace each other set.
func (k *Keyword) slot() string {
	switch k.Name {
	case "disable", "enable":
		return "enable or disable"
	case "igmpv1", "igmpv2", "igmpv3":
		return "a version of IGMP"
	}
	return k.Name
}

// secs is a time as the file writes it. The division is of whole numbers, so that
// its result is the float64 nearest to the decimal fraction.
func secs(d time.Duration) float64 { return float64(d/timeStep) / float64(time.Second/timeStep) }

// decimal writes a time in seconds.
func decimal(d time.Duration) string { return short(secs(d)) }
