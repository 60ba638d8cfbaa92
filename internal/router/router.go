// Package router is the engine of mroutd: DVMRP, IGMP, the forwarding cache and
// the answers to mrinfo and mtrace, put together. It has no sockets, no goroutines
// and no clock: a host (package host) gives it events and does what it wants done.
package router

import (
	"math/rand/v2"
	"net/netip"
	"time"

	"mbone/internal/router/dvmrp"
	"mbone/internal/router/host"
	"mbone/internal/router/member"
	"mbone/internal/router/mfc"
	"mbone/internal/router/respond"
	"mbone/internal/router/timer"
	protodvmrp "mbone/proto/dvmrp"
	"mbone/proto/igmp"
)

// maxTimers is how many timers fire in one turn; the others wait for the next,
// so that an upcall never waits long.
const maxTimers = 256

// Engine is a multicast router. It is owned by one goroutine. The same events
// give the same actions.
type Engine struct {
	env     host.Env
	timers  timer.Queue
	actions host.Actions

	members *member.Membership
	cache   *mfc.Cache
	dvmrp   *dvmrp.Protocol

	tables    tables
	responder *respond.Responder
	transit   transit
	delayed   int    // answers that wait
	crowded   uint64 // answers that could not
	// alert and forwarding are host.Settings.RouterAlert and Forwarding.
	alert, forwarding bool

	more bool // the last turn left something to do
}

// New returns a router without links. The first event must be a
// [host.Configured]. random is used for jitter and generation of ids.
func New(random *rand.Rand, counters host.Counters, logs host.Logs) *Engine {
	e := &Engine{}
	e.env = host.Env{Random: random, Timers: &e.timers, Out: &e.actions, Counters: counters, Log: logs}
	e.dvmrp = dvmrp.New(&e.env)
	e.members = member.New(&e.env, func(now time.Duration, link host.Interface, group netip.Addr) {
		e.cache.MembersChanged(now, link, group)
	})
	e.cache = mfc.New(&e.env, e.dvmrp, e.members)
	e.dvmrp.Attach(e.cache)
	e.tables.e = e
	e.responder = respond.New(random, respond.RouterLimits)
	e.transit.limiter = respond.NewLimiter(transitRates)
	return e
}

// Handle takes an event and returns what is to be done, which is valid until the
// next call. now never goes back. Handle works for about a millisecond at most: if
// there is more to do, Deadline is not after now.
func (e *Engine) Handle(now time.Duration, event host.Event) *host.Actions {
	e.actions.Reset()
	e.tables.now = now
	due, ok := e.timers.Deadline()
	changes := e.more || ok && due <= now
	switch v := event.(type) {
	case *host.Upcall:
		e.cache.Upcall(now, v)
	case *host.Packet:
		if !e.receive(now, v) {
			// A question changes nothing. What is due waits for the next turn: an
			// upcall may be waiting until all questions that came together are answered.
			e.more = changes
			return &e.actions
		}
		changes = true
	case *host.LinkChanged:
		e.tables.setLink(&v.Link)
		e.members.SetLink(now, &v.Link)
		e.cache.SetLink(now, &v.Link)
		e.dvmrp.SetLink(now, &v.Link)
		changes = true
	case *host.LinkRemoved:
		e.tables.removeLink(v.Interface)
		e.dvmrp.RemoveLink(now, v.Interface)
		e.cache.RemoveLink(now, v.Interface)
		e.members.RemoveLink(now, v.Interface)
		changes = true
	case *host.Configured:
		e.configure(&v.Settings)
		e.members.Configure(now, &v.Settings)
		e.cache.Configure(now, &v.Settings)
		e.dvmrp.Configure(now, &v.Settings)
	case *host.Shutdown:
		e.dvmrp.Shutdown(now)
		changes = true
	}
	if _, urgent := event.(*host.Upcall); urgent {
		// Long work waits for the next turn: other upcalls may be waiting.
		e.more = true
		return &e.actions
	}
	e.more = !e.timers.Run(now, maxTimers)
	e.more = !e.dvmrp.Work(now) || e.more
	e.more = !e.cache.Work(now) || e.more
	if changes {
		e.tables.changed()
	}
	return &e.actions
}

// configure takes what is not the business of one part.
func (e *Engine) configure(s *host.Settings) {
	e.alert, e.forwarding = s.RouterAlert, s.Forwarding
	e.responder.Configure(s.Asking, respond.Identity{Version: protodvmrp.Mrouted, Text: s.Version})
}

// Deadline returns when the engine wants a [host.Tick] if nothing happens before;
// ok is false if it waits for nothing.
func (e *Engine) Deadline(now time.Duration) (at time.Duration, ok bool) {
	if e.more {
		return now, true
	}
	return e.timers.Deadline()
}

// receive takes a packet, and reports whether it was for the protocols: a question
// changes nothing.
func (e *Engine) receive(now time.Duration, p *host.Packet) bool {
	if len(p.Message) < igmp.FrameLen {
		return false
	}
	// What is not sent to this router, the kernel gives to it for the sake of the
	// Router Alert option only.
	ours := !p.To.IsMulticast() && (!p.Alert || p.Local || e.tables.owns(p.To))
	kind := igmp.Type(p.Message[0])
	switch {
	case p.To.IsMulticast():
		if (kind == igmp.TypeMtraceQuery || kind == igmp.TypeMtraceResponse) && !igmp.LinkLocal(p.To) {
			e.forward(now, p)
		}
	case !ours:
		e.pass(now, p)
		return false
	}
	if !igmp.VerifyChecksum(p.Message) {
		return false
	}
	switch kind {
	case igmp.TypeDVMRP:
		switch protodvmrp.Code(p.Message[1]) {
		case protodvmrp.CodeAskNeighbors, protodvmrp.CodeAskNeighbors2, protodvmrp.CodeInfoRequest:
			e.answer(now, p, ours)
			return false
		}
		e.dvmrp.Receive(now, p)
	case igmp.TypeMtraceQuery:
		e.answer(now, p, ours)
		return false
	case igmp.TypeMtraceResponse:
		return false // for a tool on this host, if for anybody
	default:
		e.members.Receive(now, p)
	}
	return true
}
