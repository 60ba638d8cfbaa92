package ask

import (
	"cmp"
	"context"
	crand "crypto/rand"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"mbone/proto/dvmrp"
	"mbone/proto/igmp"
	"mbone/proto/mtrace"
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
	// the reason, and at [LevelPackets] of every packet. nil: nobody.
	Logger *slog.Logger
	// Rand makes query ids. nil: a generator with a seed of the system.
	Rand rand.Source
}

// LevelPackets is the log level of every packet that is sent or received.
const LevelPackets = slog.LevelDebug - 4

// Client puts questions through a transport. Its methods may be called at the
// same time.
//
// One goroutine receives and hands each packet to the questions that it may
// answer, found through an index; each question is driven by the goroutine that
// asks it.
type Client struct {
	transport Transport
	log       *slog.Logger
	deadline  time.Duration
	pacer     *rate.Limiter
	slots     chan struct{}
	closed    chan struct{} // no packet will come any more
	failure   error         // why; may be read once closed is closed

	mu        sync.Mutex
	random    rand.Source
	estimate  estimator
	routers   map[netip.Addr][]*neighbors // by the address asked
	links     []*neighbors                // asked through a multicast address
	speakers  map[netip.Addr][]*neighbors // by the other address that answered
	late      map[netip.Addr]late         // by the address that may still answer
	full      map[netip.Addr]time.Time    // by the sender of a full packet, of whom nobody was asked
	traces    map[traceKey]*try
	listeners []*listener
	stats     Stats

	// Of the receiving goroutine.
	parsed dvmrp.Neighbors
	mtrace mtrace.Message
}

// New returns a client that uses and owns t: [Client.Close] closes it.
func New(t Transport, o Options) *Client {
	perSecond := cmp.Or(max(o.Rate, 0), DefaultRate)
	c := &Client{
		transport: t,
		log:       o.Logger,
		deadline:  o.Deadline,
		pacer:     rate.NewLimiter(rate.Limit(perSecond), max(1, perSecond*int(burst/time.Millisecond)/1000)),
		slots:     make(chan struct{}, cmp.Or(max(o.InFlight, 0), DefaultInFlight)),
		closed:    make(chan struct{}),
		random:    o.Rand,
		routers:   make(map[netip.Addr][]*neighbors),
		traces:    make(map[traceKey]*try),
		speakers:  make(map[netip.Addr][]*neighbors),
		late:      make(map[netip.Addr]late),
		full:      make(map[netip.Addr]time.Time),
	}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	if c.random == nil {
		var seed [32]byte
		crand.Read(seed[:]) // never fails
		c.random = rand.NewChaCha8(seed)
	}
	go c.receive()
	return c
}

// Join listens to a group on an interface (0: on all that multicast) until the
// client is closed: answers to a multicast response address need it.
func (c *Client) Join(group netip.Addr, ifIndex int) error {
	return c.transport.Join(group, ifIndex)
}

// Source returns the address that a datagram to dst would carry, and the
// interface that it would leave through.
func (c *Client) Source(dst netip.Addr, via Via) (netip.Addr, int, error) {
	return c.transport.Source(dst, via)
}

// Close closes the transport. Questions under way return what they have with
// net.ErrClosed.
func (c *Client) Close() error {
	err := c.transport.Close()
	<-c.closed
	return err
}

// enter waits for a place among the questions under way. The context that it
// returns ends with the question's deadline, too.
func (c *Client) enter(ctx context.Context) (context.Context, func(), error) {
	cancel := func() {}
	if c.deadline > 0 {
		ctx, cancel = context.WithTimeoutCause(ctx, c.deadline, errDeadline)
	}
	select {
	case c.slots <- struct{}{}:
	case <-ctx.Done():
		err := cmp.Or(overdue(context.Cause(ctx)), ErrNoAnswer)
		cancel()
		return nil, nil, err
	case <-c.closed:
		cancel()
		return nil, nil, c.failure
	}
	return ctx, func() { <-c.slots; cancel() }, nil
}

// action is what a question wants to do next.
type action int

const (
	wait action = iota
	ask
	done
)

// step is an action with its time (of wait) or form (of ask).
type step struct {
	action action
	until  time.Time
	code   dvmrp.Code
}

// sleep waits for d, a wake, the end of ctx or that of the client: the last two
// are errors.
func (c *Client) sleep(ctx context.Context, d time.Duration, wake <-chan struct{}) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-wake:
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-c.closed:
		return c.failure
	}
	return nil
}

// run does what a question wants until it is done or its time is over. next and
// send are called without the lock.
func (c *Client) run(ctx context.Context, wake <-chan struct{}, next func() step, send func(step) error) error {
	for {
		todo := next()
		var err error
		switch todo.action {
		case done:
			return nil
		case wait:
			err = c.sleep(ctx, time.Until(todo.until), wake)
		case ask:
			var paced bool
			paced, err = c.pace(ctx, wake, func() bool { todo = next(); return todo.action == ask })
			if paced {
				err = send(todo)
			}
		}
		if err != nil {
			return overdue(err)
		}
	}
}

// pace waits until a packet may leave and reports whether it still should: a
// wake makes it ask.
func (c *Client) pace(ctx context.Context, wake <-chan struct{}, should func() bool) (bool, error) {
	if err := context.Cause(ctx); err != nil {
		return false, err
	}
	now := time.Now()
	turn := c.pacer.ReserveN(now, 1)
	at := now.Add(turn.DelayFrom(now))
	for now.Before(at) {
		err := c.sleep(ctx, at.Sub(now), wake)
		if now = time.Now(); err != nil || !should() {
			turn.CancelAt(now)
			return false, err
		}
	}
	return should(), nil
}

// signal leaves one token in wake.
func signal(wake chan<- struct{}) {
	select {
	case wake <- struct{}{}:
	default:
	}
}

func (c *Client) addNeighbors(n *neighbors) {
	if n.link {
		c.links = append(c.links, n)
	} else {
		c.routers[n.q.Router] = append(c.routers[n.q.Router], n)
	}
}

func (c *Client) removeNeighbors(n *neighbors) {
	if n.link {
		c.links = slices.DeleteFunc(c.links, func(m *neighbors) bool { return m == n })
		return
	}
	remove(c.routers, n.q.Router, n)
	for _, speaker := range n.speakers {
		remove(c.speakers, speaker, n)
	}
}

// remove takes n out of the list of an address.
func remove(lists map[netip.Addr][]*neighbors, addr netip.Addr, n *neighbors) {
	left := slices.DeleteFunc(lists[addr], func(m *neighbors) bool { return m == n })
	if len(left) > 0 {
		lists[addr] = left
	} else {
		delete(lists, addr)
	}
}

// receive hands every packet on until the transport ends.
func (c *Client) receive() {
	defer close(c.closed)
	var p Packet
	for {
		if err := c.transport.Receive(&p); err != nil {
			c.failure = err
			return
		}
		c.handle(&p, time.Now())
	}
}

// handle hands one packet to whom it concerns.
func (c *Client) handle(p *Packet, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stats.Received++
	c.estimate.took(p.Time, now)
	c.show(LevelPackets, "packet received", p)
	if len(p.Message) < igmp.FrameLen || len(p.Message) > maxMessage {
		c.malformed(p, false, errLength)
		return
	}
	c.hear(p)
	switch igmp.Type(p.Message[0]) {
	case igmp.TypeDVMRP:
		c.handleNeighbors(p, now)
	case igmp.TypeMtraceQuery, igmp.TypeMtraceResponse:
		c.handleTrace(p, now)
	default:
		c.stats.Other++
	}
}

// handleNeighbors hands an answer to the questions to its sender, to those
// whose address it calls its own, and to those asked on its link.
func (c *Client) handleNeighbors(p *Packet, now time.Time) {
	code := dvmrp.Code(p.Message[1])
	if code != dvmrp.CodeNeighbors && code != dvmrp.CodeNeighbors2 {
		c.stats.Other++
		return
	}
	bad := c.corrupt(p)
	if len(c.routers) == 0 && len(c.links) == 0 {
		c.count(p, unasked, bad)
		return
	}
	if err := c.parsed.Parse(p.Message); err != nil {
		c.malformed(p, bad, err)
		return
	}
	best := unasked
	direct := c.routers[p.From]
	// What answers a question to the sender's own address answers no other one,
	// whatever addresses the sender claims.
	answered := len(direct) == 0 && c.isLate(p.From, now)
	for _, n := range direct {
		best = min(best, n.packet(p, &c.parsed, bad, false, now))
		answered = answered || best == taken || n.owed() >= 0
	}
	if !answered {
		best = min(best, c.handleAlias(p, bad, now))
	}
	// What was asked of the router itself is no answer to the link's question.
	if len(direct) == 0 {
		for _, n := range c.links {
			if n.q.Via.IfIndex == 0 || p.IfIndex == 0 || n.q.Via.IfIndex == p.IfIndex {
				best = min(best, n.packet(p, &c.parsed, bad, false, now))
			}
		}
	}
	c.count(p, best, bad)
}

// handleAlias hands an answer to the questions to other addresses that its sender
// calls its own, and to those that it has begun to answer: the address asked is in
// one packet only of a long answer.
func (c *Client) handleAlias(p *Packet, bad bool, now time.Time) verdict {
	best := unasked
	begun := c.speakers[p.From]
	for _, n := range begun {
		best = min(best, n.packet(p, &c.parsed, bad, true, now))
	}
	for i := range c.parsed.Interfaces {
		local := c.parsed.Interfaces[i].Local
		if local == p.From {
			continue
		}
		for _, n := range c.routers[local] {
			if slices.Contains(begun, n) {
				continue
			}
			v := n.packet(p, &c.parsed, bad, true, now)
			if best = min(best, v); v == taken && !slices.Contains(n.speakers, p.From) {
				n.begin(p.From, now.Sub(c.full[p.From]) < maxWait)
				c.speakers[p.From] = append(c.speakers[p.From], n)
			}
		}
	}
	if !bad && c.parsed.Full() {
		c.expectRest(p.From, now)
	}
	return best
}

// expectRest notes that a full packet came: it may be the first half of an answer
// to a question whose address another packet of it lists.
func (c *Client) expectRest(from netip.Addr, now time.Time) {
	if len(c.full) >= maxFull {
		clear(c.full)
	}
	c.full[from] = now
}

// late are packets that a router may still send in answer to tries of a question
// that is over. They answer no other question, either.
type late struct {
	packets int
	until   time.Time
}

// expectLate notes that a router was asked more often than it has answered.
func (c *Client) expectLate(router netip.Addr, packets int, now time.Time) {
	if len(c.late) >= maxLate {
		clear(c.late)
	}
	c.late[router] = late{packets, now.Add(maxWait)}
}

// isLate reports whether a packet of a router is such a one.
func (c *Client) isLate(router netip.Addr, now time.Time) bool {
	l, ok := c.late[router]
	switch {
	case !ok:
		return false
	case l.packets == 0 || now.After(l.until):
		delete(c.late, router)
		return false
	}
	l.packets--
	c.late[router] = l
	return true
}

// corrupt reports whether the checksum of p is wrong, and counts it.
func (c *Client) corrupt(p *Packet) bool {
	if igmp.VerifyChecksum(p.Message) {
		return false
	}
	c.stats.Corrupt++
	c.drop(p, "checksum", nil)
	return true
}

// malformed counts a packet that does not parse, if it is not counted as corrupt.
func (c *Client) malformed(p *Packet, bad bool, err error) {
	if !bad {
		c.stats.Malformed++
	}
	c.drop(p, "malformed", err)
}

// count notes what became of a packet; one with a bad checksum is counted as
// such already.
func (c *Client) count(p *Packet, v verdict, bad bool) {
	if bad {
		return
	}
	switch v {
	case taken:
		c.stats.Answers++
	case duplicate:
		c.stats.Duplicates++
		c.drop(p, "duplicate", nil)
	case overflow:
		c.stats.Overflow++
		c.drop(p, "too much of it", nil)
	case spoofed:
		c.stats.Spoofed++
		c.drop(p, "contradicts the question", nil)
	case unasked:
		c.stats.Unasked++
		c.drop(p, "unasked", nil)
	}
}

var errLength = errors.New("shorter than IGMP or longer than any answer")

// drop says why a packet was not taken.
func (c *Client) drop(p *Packet, reason string, err error) {
	if !c.log.Enabled(context.Background(), slog.LevelDebug) {
		return // a flood costs no memory
	}
	args := []any{"reason", reason}
	if err != nil {
		args = append(args, "err", err)
	}
	c.show(slog.LevelDebug, "packet not taken", p, args...)
}

// show logs a packet. What is not known of one that was sent is left out.
func (c *Client) show(level slog.Level, text string, p *Packet, args ...any) {
	if !c.log.Enabled(context.Background(), level) {
		return
	}
	if p.From.IsValid() {
		args = append(args, "from", p.From)
	}
	args = append(args, "to", p.To)
	if p.TTL > 0 {
		args = append(args, "ttl", p.TTL)
	}
	if p.IfIndex > 0 {
		args = append(args, "interface", p.IfIndex)
	}
	args = append(args, "length", len(p.Message))
	if len(p.Message) > 1 {
		args = append(args, "type", igmp.Type(p.Message[0]), "code", p.Message[1])
	}
	c.log.Log(context.Background(), level, text, args...)
}

// send sends a datagram and returns when it left. A socket that is full of
// packets for routers that do not answer to ARP can hold it up for seconds: the
// end of ctx, or of the client, ends the wait.
func (c *Client) send(ctx context.Context, d Datagram) (time.Time, error) {
	c.show(LevelPackets, "sending packet", &Packet{From: d.Via.Source, To: d.To, TTL: d.TTL, IfIndex: d.Via.IfIndex, Message: d.Message})
	type result struct {
		at  time.Time
		err error
	}
	sent := make(chan result, 1)
	go func() {
		at, err := c.transport.Send(d)
		sent <- result{at, err}
	}()
	select {
	case r := <-sent:
		return r.at, r.err
	case <-ctx.Done():
		return time.Time{}, context.Cause(ctx)
	case <-c.closed:
		return time.Time{}, c.failure
	}
}

// Stats returns what the client has counted so far.
func (c *Client) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stats
}

// Stats counts packets. Every packet received is in exactly one of Answers,
// Duplicates, Unasked, Spoofed, Corrupt, Malformed, Overflow and Other; one that
// is corrupt and taken for lack of a better one is in Corrupt.
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
	// contradict it: the right query id with another source.
	Spoofed   uint64
	Corrupt   uint64 // wrong checksum
	Malformed uint64 // shorter, longer or other than the protocol allows
	Overflow  uint64 // beyond a limit of what is kept per question
	Other     uint64 // kinds of message that answer nothing
}

// Listen joins a group (unless it is the zero Addr) on an interface and calls
// fn with every message that arrives, whoever asked for it, until ctx ends
// (nil), fn returns an error (which it returns) or the client is closed. The raw
// transport hands up mtrace messages and DVMRP answers. The packet is fn's only
// until it returns; packets that come faster than fn takes them are dropped and
// counted in [Stats].Overflow, too.
func (c *Client) Listen(ctx context.Context, group netip.Addr, ifIndex int, fn func(*Packet) error) error {
	if group.IsValid() {
		if err := c.Join(group, ifIndex); err != nil {
			return err
		}
	}
	l := &listener{packets: make(chan Packet, maxListen)}
	c.mu.Lock()
	c.listeners = append(c.listeners, l)
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.listeners = slices.DeleteFunc(c.listeners, func(m *listener) bool { return m == l })
	}()
	for {
		select {
		case p := <-l.packets:
			if err := fn(&p); err != nil {
				return err
			}
		case <-ctx.Done():
			return nil
		case <-c.closed:
			if errors.Is(c.failure, net.ErrClosed) {
				return net.ErrClosed
			}
			return c.failure
		}
	}
}

// listener is a call of Listen.
type listener struct{ packets chan Packet }

// hear hands a packet to the listeners.
func (c *Client) hear(p *Packet) {
	for _, l := range c.listeners {
		copied := *p
		copied.Message = slices.Clone(p.Message)
		select {
		case l.packets <- copied:
		default:
			c.stats.Overflow++
		}
	}
}
