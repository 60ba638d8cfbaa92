package config

import "time"

// Limits of files.
const (
	maxFile      = 1 << 18 // bytes
	maxLinks     = 1024    // phyints and tunnels; Linux has room for 32 in a table
	maxProblems  = 20      // errors that are told at once, and warnings
	maxCollected = 1000    // problems that are looked at to find the first ones
	maxQuote     = 40      // bytes of a word that are shown in a problem
	maxInterface = 15      // bytes of the name of an interface: IFNAMSIZ of Linux less the final NUL
	maxHost      = 253     // characters of a host name (RFC 1035)
	maxLabel     = 63      // characters between its dots
	maxBoundary  = 63      // bytes of the name of a boundary
)

// Lifetimes: ranges and defaults of mrouted 4.6.
const (
	MinCacheLifetime     = 60 * time.Second
	MaxCacheLifetime     = 86400 * time.Second
	DefaultCacheLifetime = 300 * time.Second

	MinPruneLifetime     = 120 * time.Second
	MaxPruneLifetime     = 86400 * time.Second
	DefaultPruneLifetime = 7200 * time.Second
)

// IGMP: ranges of mrouted 4.6, defaults of RFC 3376 section 8.
const (
	MinIGMPTime = 1 * time.Second
	MaxIGMPTime = 1024 * time.Second

	DefaultQueryInterval      = 125 * time.Second
	DefaultResponseInterval   = 10 * time.Second
	DefaultLastMemberInterval = 1 * time.Second

	MinRobustness     = 2 // 1 is not allowed
	MaxRobustness     = 10
	DefaultRobustness = 2

	maxIGMPv2Response = 25500 * time.Millisecond // a byte of tenths of a second, RFC 2236
	igmpv1Response    = 10 * time.Second         // what its hosts assume, RFC 1112
)

// Links: ranges and defaults of mrouted 4.6.
const (
	MinMetric     = 1
	MaxMetric     = 31 // 32 is infinity
	DefaultMetric = 1

	MinAdvertMetric     = 0
	MaxAdvertMetric     = 31
	DefaultAdvertMetric = 0

	MinThreshold     = 1
	MaxThreshold     = 255 // a TTL
	DefaultThreshold = 1

	// The manual of mrouted 4.x says 500 on tunnels; the program has no limit.
	MinRateLimit     = 0 // none
	MaxRateLimit     = 100_000_000
	DefaultRateLimit = 0

	addressBits     = 32
	shortestNetwork = 8 // bits: a DVMRP report expresses no shorter mask but that of the default route
)

// Times of neighbours. Both have no default here: without them the engine
// chooses by what the neighbour is.
const (
	MinProbeInterval = 100 * time.Millisecond
	// MaxProbeInterval is the interval of the protocol: neighbours give up after
	// three of them.
	MaxProbeInterval   = 10 * time.Second
	MinNeighborTimeout = 200 * time.Millisecond
	MaxNeighborTimeout = 3600 * time.Second
	timeStep           = time.Millisecond // of times with a fraction
)

// Bounds of what the router keeps, in total. The defaults are about twice what it
// is tested with; the maxima keep a slip of the finger from counting as no bound.
const (
	MinBound = 1

	MaxRoutes     = 10_000_000
	DefaultRoutes = 200_000

	MaxNeighbors     = 65_536
	DefaultNeighbors = 4_096

	MaxGroups     = 10_000_000
	DefaultGroups = 100_000

	MaxSources     = 10_000_000
	DefaultSources = 200_000

	MaxEntries     = 10_000_000
	DefaultEntries = 200_000

	MaxPrunes     = 10_000_000
	DefaultPrunes = 400_000
)
