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
	return e
}

// Handle takes an event and returns what is to be done, which is valid until the
// next call. now never goes back. Handle works for about a millisecond at most: if
// there is more to do, Deadline is not after now.
func (e *Engine) Handle(now time.Duration, event host.Event) *host.Actions {
	e.actions.Reset()
	switch v := event.(type) {
	case *host.Upcall:
		e.cache.Upcall(now, v)
	case *host.Packet:
		e.receive(now, v)
	case *host.LinkChanged:
		e.members.SetLink(now, &v.Link)
		e.cache.SetLink(now, &v.Link)
		e.dvmrp.SetLink(now, &v.Link)
	case *host.LinkRemoved:
		e.dvmrp.RemoveLink(now, v.Interface)
		e.cache.RemoveLink(now, v.Interface)
		e.members.RemoveLink(now, v.Interface)
	case *host.Configured:
		e.members.Configure(now, &v.Settings)
		e.cache.Configure(now, &v.Settings)
		e.dvmrp.Configure(now, &v.Settings)
	case *host.Shutdown:
		e.dvmrp.Shutdown(now)
	}
	if _, urgent := event.(*host.Upcall); urgent {
		// Long work waits for the next turn: other upcalls may be waiting.
		e.more = true
		return &e.actions
	}
	e.more = !e.timers.Run(now, maxTimers)
	e.more = !e.dvmrp.Work(now) || e.more
	e.more = !e.cache.Work(now) || e.more
	return &e.actions
}

// Deadline returns when the engine wants a [host.Tick] if nothing happens before;
// ok is false if it waits for nothing.
func (e *Engine) Deadline(now time.Duration) (at time.Duration, ok bool) {
	if e.more {
		return now, true
	}
	return e.timers.Deadline()
}

func (e *Engine) receive(now time.Duration, p *host.Packet) {
	if len(p.Message) < igmp.FrameLen || !igmp.VerifyChecksum(p.Message) {
		return
	}
	switch igmp.Type(p.Message[0]) {
	case igmp.TypeDVMRP:
		switch protodvmrp.Code(p.Message[1]) {
		case protodvmrp.CodeAskNeighbors, protodvmrp.CodeAskNeighbors2, protodvmrp.CodeInfoRequest:
		default:
			e.dvmrp.Receive(now, p)
		}
	default:
		e.members.Receive(now, p)
	}
}
