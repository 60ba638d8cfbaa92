package respond

import "time"

// Limits. They bound what a stranger can make this router do.
const (
	// packetsPerSecond is how many packets are sent in answer to questions of
	// all askers together, burst how many of them at once. mrouted has no limit,
	// and a question of 28 bytes can bring an answer of many times that.
	packetsPerSecond = 200
	burst            = 200

	// maxJitter is the most that the answer to a question asked by multicast is
	// put off, so that the routers of a link do not all speak at once.
	maxJitter = 200 * time.Millisecond

	// duplicateTime is how long the query id of a trace is remembered for each
	// sender, and maxDuplicates how many are: as many as can be answered in a
	// second. Clients choose a new id for every try.
	duplicateTime = 10 * time.Second
	maxDuplicates = packetsPerSecond

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
