package ask

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"time"
)

// Options of a client. The zero value is ready to use.
type Options struct {
	// Rate is the number of packets sent per second, over all questions.
	// 0: [DefaultRate].
	Rate int
	// InFlight is the number of questions under way at once; further ones
	// wait. 0: [DefaultInFlight].
	InFlight int
	// Deadline is the longest that one question may take from the call to its
	// end, whatever its tries and waits; 0: no such bound.
	Deadline time.Duration
	// Logger is told at debug level of every packet that was not taken, with
	// the reason. nil: nobody.
	Logger *slog.Logger
	// Rand makes query ids. nil: a generator with a seed of the system.
	Rand rand.Source
}

// Client puts questions through a transport. Its methods may be called at the
// same time.
type Client struct{}

// New returns a client that uses and owns t: [Client.Close] closes it.
func New(t Transport, o Options) *Client { return &Client{} }

// Neighbors asks q.Router for its interfaces and neighbours. One router gives
// one answer; a multicast address gives every router that answered, sorted by
// address, and that may be none without an error.
//
// If ctx ends or the client is closed, what came until then is returned
// together with the error. A router that did not answer is an [OpError] with
// [ErrNoAnswer].
func (c *Client) Neighbors(ctx context.Context, q NeighborsQuestion) ([]NeighborsAnswer, error) {
	return nil, errors.ErrUnsupported
}

// Trace sends an mtrace query until it is answered. Answers to earlier tries
// count as long as the question lasts. An answer with a bad checksum is
// returned only if no better one follows it shortly.
func (c *Client) Trace(ctx context.Context, q TraceQuestion) (TraceAnswer, error) {
	return TraceAnswer{}, errors.ErrUnsupported
}

// Join listens to a group on an interface (0: on all that multicast) until the
// client is closed: answers to a multicast response address need it.
func (c *Client) Join(group netip.Addr, ifIndex int) error { return errors.ErrUnsupported }

// Source returns the address that a datagram to dst would carry, and the
// interface that it would leave through.
func (c *Client) Source(dst netip.Addr, via Via) (netip.Addr, int, error) {
	return netip.Addr{}, 0, errors.ErrUnsupported
}

// Listen joins a group (unless it is the zero Addr) on an interface and calls
// fn with every DVMRP and mtrace message that arrives, whoever asked for it,
// until ctx ends (nil), fn returns an error (which it returns) or the client is
// closed. The packet is fn's only until it returns.
func (c *Client) Listen(ctx context.Context, group netip.Addr, ifIndex int, fn func(*Packet) error) error {
	return errors.ErrUnsupported
}

// Stats returns what the client has counted so far.
func (c *Client) Stats() Stats { return Stats{} }

// Close closes the transport. Questions under way return what they have with
// net.ErrClosed.
func (c *Client) Close() error { return nil }

// Stats counts packets. Every packet received is in exactly one of Answers,
// Duplicates, Unasked, Spoofed, Corrupt, Malformed, Overflow and Other, but one
// that is corrupt and taken for lack of a better one is in Corrupt.
type Stats struct {
	Sent     uint64 // questions, of all tries
	Received uint64 // messages that the transport handed up
	Answers  uint64 // taken as an answer or a part of one
	// Duplicates are repetitions of a packet that was taken.
	Duplicates uint64
	// Unasked are answers that belong to no question under way: late ones, or
	// of a router that nobody asked and that does not own an address asked.
	Unasked uint64
	// Spoofed are answers that claim to belong to a question under way but
	// contradict it: the right query id with another source or receiver.
	Spoofed   uint64
	Corrupt   uint64 // wrong checksum
	Malformed uint64 // shorter, longer or other than the protocol allows
	Overflow  uint64 // beyond a limit of what is kept per question
	Other     uint64 // kinds of message that answer nothing
}
