package sim

import (
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"time"

	"mbone/internal/router"
	"mbone/internal/router/host"
	"mbone/internal/router/mfc"
	"mbone/proto/igmp"
)

// Engine is what a router does with its events: a [router.Engine], or a stand-in.
type Engine interface {
	Handle(now time.Duration, event host.Event) *host.Actions
	Deadline(now time.Duration) (time.Duration, bool)
	// RPF returns where the packets of a source come from; ok is false if there is
	// no route.
	RPF(source netip.Addr) (route mfc.Route, ok bool)
}

const (
	// turn is how long an engine that has more to do lets others go first.
	turn = 100 * time.Microsecond
	// maxTurns is how many turns without a pause are taken for a hang: ten seconds
	// of work.
	maxTurns = 100_000
	// outerTTL is the TTL around packets in a tunnel.
	outerTTL = 64
)

// Router is a host with an engine, a kernel that forwards, and links.
type Router struct {
	Name string
	// Settings are told to the engine when it starts; Generation is chosen then.
	Settings host.Settings
	// HoldReports is 0, or how far apart the moments are at which reports of routes
	// leave: mrouted's are 5 s.
	HoldReports time.Duration
	// NewEngine makes the engine at each start; by default it is a [router.Engine].
	NewEngine func(random *rand.Rand, counters host.Counters, logs host.Logs) Engine

	net    *Network
	number int
	ends   []*end // by interface, from 1 on
	kernel kernel

	wanted bool // it is running, or is to be started
	engine Engine
	life   uint32        // counts starts and stops
	boot   time.Duration // when the engine was started
	due    time.Duration // when a tick is on the agenda
	ticks  bool          // whether one is
	turns  int           // without a pause
	held   []held
	phase  time.Duration // of the moments at which reports leave

	parents []parent // for the tracked networks
	// looked is whether the engine was asked for them, moves and known how many
	// changes of ways there had been and how many networks were tracked then.
	looked  bool
	moves   uint64
	known   int
	arrived host.Packet
	asked   host.Upcall
	header  []byte
}

// held is a report that waits for its moment.
type held struct {
	e  *end
	p  *packet
	to netip.Addr
}

// AddRouter adds a router without links.
func (n *Network) AddRouter() *Router {
	r := &Router{
		Name:     fmt.Sprintf("r%d", len(n.routers)),
		Settings: DefaultSettings(),
		net:      n,
		number:   len(n.routers),
	}
	r.kernel.router = r
	n.routers = append(n.routers, r)
	n.tracked.addRouter(r)
	return r
}

// DefaultSettings are those of a router whose configuration is empty.
func DefaultSettings() host.Settings {
	return host.Settings{
		Version:       host.VersionPrefix + " in memory",
		CacheLifetime: 300 * time.Second,
		RouterAlert:   true,
		IGMP: host.IGMP{
			QueryInterval: 125 * time.Second, ResponseInterval: 10 * time.Second, LastMemberInterval: time.Second,
			Robustness: 2, OtherQuerierPresent: 255 * time.Second,
		},
		Asking:     host.Asking{Local: true, Private: true, Routed: true},
		Limits:     host.Limits{Routes: 20000, Neighbors: 1000, Groups: 10000, Sources: 100000, Entries: 100000, Prunes: 100000},
		Forwarding: true,
	}
}

// defaultLink are the settings of a link whose configuration is empty.
func defaultLink(kind linkKind) host.LinkSettings {
	return host.LinkSettings{
		Enabled: true, Metric: 1, Threshold: 1, PruneLifetime: 2 * time.Hour,
		RexmitPrunes: kind != lan, IGMP: 3,
	}
}

// String returns the name.
func (r *Router) String() string { return r.Name }

// Address returns the first address.
func (r *Router) Address() netip.Addr { return r.ends[0].addr }

// OnLink returns the router's settings of a link, to be changed before it starts;
// afterwards [Router.Reconfigure] tells them.
func (r *Router) OnLink(l *Link) *host.LinkSettings { return &l.endOf(r).state.LinkSettings }

// Reconfigure tells the engine its settings, and those of all links, again.
func (r *Router) Reconfigure() {
	r.handle(&host.Configured{Settings: r.Settings})
	for _, e := range r.ends {
		r.tellLink(e)
	}
}

// join takes a new link.
func (r *Router) join(e *end) {
	r.ends = append(r.ends, e)
	e.id = host.Interface(len(r.ends))
	beside := e.state.Beside
	e.state = host.Link{
		ID: e.id, Name: fmt.Sprintf("if%d", e.id), PointToPoint: e.link.kind != lan,
		Address: e.addr, LinkSettings: defaultLink(e.link.kind),
	}
	if e.peer != nil {
		e.state.Remote, e.state.Beside = e.peer.addr, beside
	} else {
		e.state.Networks = []host.Network{{Address: e.addr, Prefix: e.link.prefix}}
	}
	r.tellLink(e)
}

func (r *Router) carrierChanged(e *end) { r.tellLink(e) }

// tellLink tells the engine how a link is now.
func (r *Router) tellLink(e *end) {
	e.state.Up = e.isUp()
	r.handle(&host.LinkChanged{Link: e.state})
}

// Running reports whether there is an engine.
func (r *Router) Running() bool { return r.engine != nil }

// Start starts the engine, if it is not running.
func (r *Router) Start() {
	r.wanted = true
	if r.engine != nil {
		return
	}
	r.life++
	r.looked = false
	r.boot = r.net.now
	random := rand.New(rand.NewPCG(r.net.seed, uint64(r.number)<<32|uint64(r.life)))
	r.Settings.Generation = random.Uint32()
	r.phase = time.Duration(random.Int64N(int64(max(r.HoldReports, 1))))
	if r.NewEngine != nil {
		r.engine = r.NewEngine(random, r, r.logs())
	} else {
		r.engine = router.New(random, r, r.logs())
	}
	r.handle(&host.Configured{Settings: r.Settings})
	for _, e := range r.ends {
		r.tellLink(e)
	}
}

func (r *Router) logs() host.Logs {
	if r.net.Logger == nil {
		return host.NewLogs(slog.New(slog.NewTextHandler(io.Discard, &slog.HandlerOptions{Level: slog.LevelError + 1})))
	}
	return host.NewLogs(r.net.Logger.With("router", r.Name))
}

// Stop ends the engine without a word, and the kernel's forwarding with it: as
// kill -9 does.
func (r *Router) Stop() {
	r.wanted = true
	if r.engine == nil {
		return
	}
	r.life++
	r.engine = nil
	r.ticks = false
	for _, h := range r.held {
		r.net.release(h.p)
	}
	r.held = nil
	r.kernel.clear()
	r.net.tracked.check(r)
}

// Shutdown ends the engine after it said good-bye.
func (r *Router) Shutdown() {
	r.handle(&host.Shutdown{})
	r.Stop()
}

// Restart stops the engine, and starts another one with a generation id of its own
// after a time.
func (r *Router) Restart(after time.Duration) {
	r.Stop()
	r.net.After(after, r.Start)
}

// handle gives the engine an event, and does what it wants done.
func (r *Router) handle(event host.Event) {
	if r.engine == nil {
		return
	}
	now := r.net.now - r.boot
	actions := r.engine.Handle(now, event)
	for i := range actions.Entries {
		r.apply(&actions.Entries[i])
	}
	for i := range actions.Send {
		r.send(&actions.Send[i])
	}
	r.net.tracked.check(r)
	r.schedule(now)
}

// schedule puts the engine's deadline on the agenda.
func (r *Router) schedule(now time.Duration) {
	at, ok := r.engine.Deadline(now)
	if !ok {
		return
	}
	if at <= now {
		at = now + turn
		if r.turns++; r.turns == maxTurns {
			r.net.fail("%v had more to do in each of %d turns", r, r.turns)
		}
	} else {
		r.turns = 0
	}
	at += r.boot
	if r.ticks && r.due <= at {
		return // it looks again then
	}
	r.ticks, r.due = true, at
	r.net.agenda.push(event{at: at, kind: ticking, router: r, life: r.life})
}

// tick gives the engine a tick if it still wants one.
func (r *Router) tick(e *event) {
	if e.life != r.life || !r.ticks || e.at != r.due {
		return
	}
	r.ticks = false
	if now := r.net.now - r.boot; r.turns == 0 {
		if at, ok := r.engine.Deadline(now); !ok || at > now {
			r.schedule(now) // it was put off
			return
		}
	}
	r.handle(&host.Tick{})
}

// upcall gives the engine a question of the kernel.
func (r *Router) upcall(e *event) {
	if e.life != r.life {
		return
	}
	r.asked = host.Upcall{Kind: e.upcall.kind, Interface: e.upcall.in, Source: e.upcall.source, Group: e.upcall.group}
	r.handle(&r.asked)
}

// apply does to the kernel what the engine wants.
func (r *Router) apply(e *host.Entry) {
	d := &r.net.digest
	r.net.changed = r.net.now
	d.mix(uint64(r.net.now))
	d.mix(uint64(r.number)<<32 | uint64(e.In))
	d.mixAddr(e.Source)
	d.mixAddr(e.Group)
	for _, o := range e.Outputs {
		d.mix(uint64(o.Interface)<<8 | uint64(o.TTL))
	}
	r.kernel.apply(e)
}

// send sends what the engine wants sent.
func (r *Router) send(s *host.Send) {
	d := &r.net.digest
	d.mix(uint64(r.net.now))
	d.mix(uint64(r.number)<<32 | uint64(s.Interface)<<16 | uint64(s.TTL))
	d.mixAddr(s.From)
	d.mixAddr(s.To)
	d.mixBytes(s.Message)

	p := r.net.newPacket()
	p.from, p.to, p.alert = s.From, s.To, s.Alert
	p.message = append(p.message, s.Message...)
	ttl := s.TTL
	if len(s.Header) >= ipHeaderLen {
		p.from = netip.AddrFrom4([4]byte(s.Header[12:16]))
		p.alert = len(s.Header) > ipHeaderLen
	}
	e := r.endBy(s.Interface)
	if !p.from.IsValid() {
		p.from = r.sourceFor(e, s.To)
	}
	r.checkSend(s, e)
	if !isPeriodic(s.Message) {
		r.net.changed = r.net.now
	}
	if s.Loop && e != nil {
		p.users++
		r.net.agenda.push(event{at: r.net.now, kind: delivery, end: e, packet: p, ttl: ttl})
	}
	if r.HoldReports > 0 && isReport(p) {
		r.hold(e, p, s.To)
		return
	}
	r.emit(e, p, ttl)
}

// checkSend holds a packet to what the contract says of packets.
func (r *Router) checkSend(s *host.Send, e *end) {
	switch {
	case s.To.IsMulticast() == (s.Interface == 0):
		r.net.fail("%v sends to %v on interface %d", r, s.To, s.Interface)
	case s.Interface != 0 && e == nil:
		r.net.fail("%v sends to %v on interface %d, which does not exist", r, s.To, s.Interface)
	case s.Header == nil && s.Alert && !s.To.IsMulticast():
		r.net.fail("%v sends to %v with Router Alert", r, s.To)
	case s.TTL == 0:
		r.net.fail("%v sends to %v with TTL 0", r, s.To)
	case !igmp.VerifyChecksum(s.Message):
		r.net.fail("%v sends to %v with a wrong checksum", r, s.To)
	}
}

// emit brings a packet on its way. It takes over one use of p.
func (r *Router) emit(e *end, p *packet, ttl uint8) {
	switch {
	case e == nil:
		r.forwardUnicast(p, ttl)
	case e.peer != nil:
		r.intoTunnel(e, p, ttl)
	default:
		e.transmit(p, ttl)
	}
}

// intoTunnel sends p to the other end of a tunnel. It takes over one use of p.
func (r *Router) intoTunnel(e *end, p *packet, ttl uint8) {
	n, l := r.net, e.link
	l.note(p)
	if e.isUp() && !l.Silent && !(l.Loss > 0 && n.random.Float64() < l.Loss) {
		q := n.newPacket()
		q.from, q.to, q.alert, q.flow, q.seq = p.from, p.to, p.alert, p.flow, p.seq
		q.message = append(q.message, p.message...)
		q.out, q.inner = e.peer, ttl
		if l.Delay+l.Jitter == 0 {
			r.forwardUnicast(q, outerTTL)
		} else {
			n.After(l.Delay+n.upTo(l.Jitter), func() { r.forwardUnicast(q, outerTTL) })
		}
	}
	n.release(p)
}

func (r *Router) endBy(id host.Interface) *end {
	if id <= 0 || int(id) > len(r.ends) {
		return nil
	}
	return r.ends[id-1]
}

// sourceFor returns the address that a packet without one gets.
func (r *Router) sourceFor(e *end, to netip.Addr) netip.Addr {
	if e != nil {
		return e.addr
	}
	for _, e := range r.ends {
		if e.peer == nil && e.link.prefix.Contains(to) {
			return e.addr
		}
	}
	return r.ends[0].addr
}

// receive takes what arrives on a link.
func (r *Router) receive(e *end, p *packet, ttl uint8) {
	switch {
	case !p.isMulticast():
		r.receiveUnicast(e, p, ttl)
	case p.flow != nil:
		if r.engine != nil && e.state.Enabled {
			r.kernel.input(e, p, ttl)
		}
	default:
		r.deliver(e, p, ttl)
	}
}

// deliver gives the engine an IGMP packet.
func (r *Router) deliver(e *end, p *packet, ttl uint8) {
	if r.engine == nil || !e.state.Enabled {
		return
	}
	r.arrived = host.Packet{
		Interface: e.id, From: p.from, To: p.to, TTL: ttl, Alert: p.alert,
		Header: r.ipHeader(p, ttl), Wall: wall.Add(r.net.now), Message: p.message,
	}
	r.handle(&r.arrived)
}

const ipHeaderLen = 20

// ipHeader returns the header of p as it arrives.
func (r *Router) ipHeader(p *packet, ttl uint8) []byte {
	n := ipHeaderLen
	if p.alert {
		n += 4
	}
	size := n + len(p.message)
	h := append(r.header[:0], byte(0x40|n/4), 0xc0, byte(size>>8), byte(size), 0, 0, 0, 0, ttl, 2, 0, 0)
	from, to := p.from.As4(), p.to.As4()
	h = append(append(h, from[:]...), to[:]...)
	if p.alert {
		h = append(h, 0x94, 4, 0, 0)
	}
	r.header = h
	return h
}

// Inject lets the engine receive a message as if it had come in on a link.
func (r *Router) Inject(l *Link, from, to netip.Addr, message []byte) {
	p := r.net.newPacket()
	p.from, p.to = from, to
	p.message = append(p.message, message...)
	ttl := uint8(1)
	if !to.IsMulticast() {
		ttl = 255
	}
	r.deliver(l.endOf(r), p, ttl)
	r.net.release(p)
}

// Flow implements [host.Counters].
func (r *Router) Flow(source, group netip.Addr) (host.FlowCount, bool) {
	return r.kernel.flow(source, group)
}

// Link implements [host.Counters].
func (r *Router) Link(id host.Interface) (host.LinkCount, bool) {
	e := r.endBy(id)
	if e == nil {
		return host.LinkCount{}, false
	}
	return e.count, true
}
