package ask

import "time"

// What a client does unless its options or a question say otherwise.
const (
	// DefaultRate is the number of packets sent per second. A question is 28
	// bytes on the wire, so that is about a quarter of a Mbit/s.
	DefaultRate = 1000
	// DefaultInFlight is the number of questions under way at once.
	DefaultInFlight = 1000
	// DefaultTries is how often a question that matters is sent: with one packet
	// in ten lost each way, one question in 4,000 stays without an answer.
	DefaultTries = 5
	// DefaultMulticastTries is how often a question to a multicast address is
	// sent: twice the new form, once the old one.
	DefaultMulticastTries = 3
	// DefaultMulticastWait is how long each of these tries waits: routers may
	// spread their answers over time.
	DefaultMulticastWait = time.Second
)

// The times of an adaptive question.
const (
	// firstWait is what a try waits before any round trip was measured: longer
	// than most paths, shorter than patience.
	firstWait = 250 * time.Millisecond
	// minWait is the least that a try waits, and the least time for the rest of
	// an answer or for one that contradicts it.
	minWait = 50 * time.Millisecond
	// maxWait is the most that a try waits: five tries end in under five seconds.
	maxWait = time.Second
	// burst is the time whose packets may leave at once when the line was idle.
	burst = 20 * time.Millisecond
)

// What a client keeps. All of it is bounded, whoever sends whatever.
const (
	// maxMessage is the longest message that is looked at, in bytes: an mtrace
	// response with 255 blocks has 8184, and mrouted receives no more than 8192.
	maxMessage = 8192
	// maxParts is how many different packets of one sender are kept for one
	// question: at 508 bytes of data a packet, 5,000 interfaces.
	maxParts = 128
	// maxAliases is how many other addresses may claim to be the router asked.
	maxAliases = 8
	// maxLinkSenders is how many routers are collected from one link.
	maxLinkSenders = 1024
	// maxHeld is how many bytes of answers of one sender are kept for one
	// question, and maxLinkHeld of all senders for one to a multicast address.
	maxHeld     = 128 << 10
	maxLinkHeld = 4 << 20
	// partOverhead is what a packet that is kept counts beside its bytes.
	partOverhead = 128
	// maxConflicts is how many other versions of an answer are returned.
	maxConflicts = 8
	// maxAgain is how often an answer that may lack a part is asked for again.
	maxAgain = 3
	// maxLate is how many routers are remembered that may answer late.
	maxLate = 4096
	// maxFull is how many senders of full packets are remembered.
	maxFull = 4096
	// maxMail is how many mtrace messages wait for a question's goroutine.
	maxMail = 32
	// maxListen is how many packets wait for a listener.
	maxListen = 1024
)
