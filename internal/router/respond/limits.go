package respond

import "time"

// Limits bound what a stranger can make this router do.
type Limits struct {
	// Near is for hosts on the link that their question came by: what they can
	// bring upon others they can do themselves. Far is for all others; where it
	// is zero, they share Near.
	Near, Far Rates
}

// Rates are the packets that may be sent to, or passed on for, askers of a kind.
type Rates struct {
	// Source is for one of them, All for all together, and Reserve what those that
	// are known may take when All is used up.
	Source, All, Reserve Rate
}

// Rate is a number of packets per second, and at once.
type Rate struct{ PerSecond, Burst int }

// RouterLimits are those of a router. Near is a ceiling on the work, beyond what
// one socket can ask: mrouted, without a limit, gives 67,000 answers per second.
// Far is what many operators with many tools need: a crawl asks a router a few
// times, and the longest answers have some dozens of packets. A flood from forged
// addresses, which nobody can tell from honest ones, gets that much and no more.
var RouterLimits = Limits{
	Near: Rates{Source: Rate{200_000, 20_000}, All: Rate{250_000, 20_000}, Reserve: Rate{50_000, 5_000}},
	Far:  Rates{Source: Rate{100, 200}, All: Rate{1_000, 1_000}, Reserve: Rate{500, 500}},
}

// KernelLimits are those of a host that answers for what others route.
var KernelLimits = Limits{Near: Rates{Source: Rate{200, 200}, All: Rate{200, 200}}}

const (
	// maxSources is how many sources a [Limiter] tells apart, for the half of them
	// that are known and the half that are new: more than there are honest ones.
	maxSources = 1024

	// knownAfter is after how long a source that asks again is known. A flood from
	// forged addresses pushes new sources out of the table sooner.
	knownAfter = time.Second

	// maxJitter is the most that the answer to a question asked by multicast is
	// put off, so that the routers of a link do not all speak at once.
	maxJitter = 200 * time.Millisecond

	// duplicateTime is how long the query id of a trace is remembered for each
	// sender, and duplicateBits the logarithm of how many are. Clients choose a new
	// id for every try: duplicates come by several links, within milliseconds.
	duplicateTime = 10 * time.Second
	duplicateBits = 10

	// maxMessage is the longest mtrace message that is sent: mrouted receives
	// into 8192 bytes, the IP header of at most 60 bytes included.
	maxMessage = 8192 - 60

	// maxResponseTTL bounds what a query can ask for in a multicast response:
	// the classic clients raise it to 192 at most. Where byte 20 is not a TTL but
	// part of a query id (mrouted's client on little-endian machines), it bounds
	// the damage.
	maxResponseTTL = 192

	// unicastTTL is the TTL of unicast packets, as mrouted has it.
	unicastTTL = 255

	// maxHeard is how many neighbours are remembered on one link.
	maxHeard = 256

	// maxQuerierTime bounds how long a querier counts as present after its last
	// query, whatever it says of its interval.
	maxQuerierTime = time.Hour

	// querierTime is the same for a query that does not say an interval: the
	// Other Querier Present Interval of RFC 3376 section 8.5 with its defaults.
	querierTime = 255 * time.Second
)
