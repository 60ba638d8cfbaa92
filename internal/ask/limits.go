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
