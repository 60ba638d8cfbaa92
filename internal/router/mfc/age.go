package mfc

import (
	"time"

	"mbone/internal/router/host"
)

const (
	// firstLook is after how long it is looked whether packets of a flow that came
	// in on a wrong link first, and that nobody wants, also come in on the right
	// one. Further looks are each after twice the time.
	firstLook = 3 * time.Second
	// lookInterval is between two rounds of looks at flows, or parts of them.
	lookInterval = time.Second
	// lookRounds is in how many parts a round is cut, none of them of less than
	// minLooks flows or more than maxLooks.
	lookRounds = 10
	minLooks   = 256
	maxLooks   = 16384
)

// lookAt has flows looked at not later than check.
func (c *Cache) lookAt(now, check time.Duration) {
	check = max(check, now+lookInterval)
	if !c.look.IsSet() || c.look.Due() > check {
		c.env.Timers.Set(&c.look, check)
	}
}

// lookAround counts the packets of those flows whose time has come, among a part
// of all.
func (c *Cache) lookAround(now time.Duration) {
	n := min(max(len(c.order)/lookRounds, minLooks), maxLooks)
	whole := n >= len(c.order)
	if whole {
		n, c.looked = len(c.order), len(c.order)
	}
	next := now + lookInterval
	earliest := time.Duration(-1)
	for ; n > 0 && len(c.order) > 0; n-- {
		if c.looked == 0 {
			if whole {
				break
			}
			c.looked = len(c.order)
		}
		c.looked--
		f := c.order[c.looked]
		if f.check <= now {
			c.lookAfter(now, f)
		}
		if f.entry != nil && (earliest < 0 || f.check < earliest) {
			earliest = f.check
		}
	}
	if len(c.order) == 0 {
		return
	}
	if whole && earliest > next {
		next = earliest
	}
	c.env.Timers.Set(&c.look, next)
}

// lookAfter keeps a flow whose packets came since it was looked at last, and
// removes one without any for a lifetime.
func (c *Cache) lookAfter(now time.Duration, f *flow) {
	e := f.entry
	c.count(now, f)
	if !f.active {
		if now >= f.expires {
			c.stats.Expired++
			c.remove(now, f)
			c.release(now, e)
			return
		}
		c.lookLater(now, f)
		return
	}
	came := f.came && !f.early
	f.active, f.came, f.early = false, false, false
	f.expires = now + c.jitter(c.lifetime)
	c.lookLater(now, f)
	if came && !e.wanted && e.In != 0 {
		c.protocol.Progress(now, e)
	}
}

// lookLater puts off the next look at f: until it expires, unless it is awaited
// that packets of it come from upstream.
func (c *Cache) lookLater(now time.Duration, f *flow) {
	f.check = f.expires
	if f.entry.heard || f.entry.wanted {
		f.step = 0
	}
	if f.step > 0 {
		f.step *= 2
		f.check = min(f.expires, now+f.step)
	}
}

// count asks the host how many packets f has seen, and keeps that.
func (c *Cache) count(now time.Duration, f *flow) {
	if !f.installed {
		return
	}
	n, ok := c.env.Counters.Flow(f.addr(), f.entry.Group)
	if !ok || n == f.seen {
		return
	}
	d := n
	if n.Packets >= f.seen.Packets && n.Bytes >= f.seen.Bytes && n.WrongIf >= f.seen.WrongIf {
		d = host.FlowCount{Packets: n.Packets - f.seen.Packets, Bytes: n.Bytes - f.seen.Bytes, WrongIf: n.WrongIf - f.seen.WrongIf}
	} // else the host has added it anew
	e := f.entry
	f.seen, e.count = n, sum(e.count, d)
	f.used, f.active = now, true
	if e.In != 0 && d.Packets > d.WrongIf {
		e.heard, f.came = true, true
	}
}
