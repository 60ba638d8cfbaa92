package mfc

import (
	"net/netip"
	"time"
)

const (
	// maxShare is the part of all flows that one source network may have, so that
	// somebody who makes up sources in his own network leaves room for the others.
	maxShare = 2 // half of them
	// maxVictims is how many flows or entries are looked at to find one that may
	// go. They are taken by chance, so that nobody can hide what he made.
	maxVictims = 16
	// minIdle is how long a flow with outputs must have been without packets to
	// make room for a new one.
	minIdle = 10 * time.Second
	// alarmInterval is between two complaints about a bound.
	alarmInterval = 10 * time.Second
)

// makeRoom reports whether there is room for another flow from net, after it took
// away an old one if need be: one that leads nowhere, or without packets.
func (c *Cache) makeRoom(now time.Duration, net netip.Prefix) bool {
	n, known := c.nets.Get(net)
	switch {
	case known && n.flows >= c.share() && !c.evict(now, n):
		c.refuse(now, net, "too many of one source network", c.share(), n.flows)
	case len(c.order) >= c.limit && !c.evict(now, nil):
		c.refuse(now, net, "too many in all", c.limit, len(c.order))
	case len(c.all) >= c.limit && !c.evictEntry(now):
		c.refuse(now, net, "too many source networks and groups", c.limit, len(c.all))
	default:
		return true
	}
	return false
}

// share returns how many flows one source network may have.
func (c *Cache) share() int { return max(1, c.limit/maxShare) }

// refuse counts a flow from net for which there is no room, and logs it seldom.
func (c *Cache) refuse(now time.Duration, net netip.Prefix, why string, limit, entries int) {
	c.stats.Refused++
	if now < c.alarm {
		return
	}
	c.alarm = now + alarmInterval
	c.env.Log.Cache.Error("no room for another forwarding entry: "+why, "network", net,
		"limit", limit, "entries", entries, "refused", c.stats.Refused, "evicted", c.stats.Evicted)
}

// evict removes a flow that matters little, of net unless it is nil. It reports
// whether it found one.
func (c *Cache) evict(now time.Duration, net *network) bool {
	f := c.firstIdle
	if f == nil || net != nil && f.entry.home != net {
		f = nil
		for n := 0; n < maxVictims && len(c.order) > 0 && f == nil; n++ {
			if k := c.order[c.env.Random.IntN(len(c.order))]; (net == nil || k.entry.home == net) && c.mayGo(now, k) {
				f = k
			}
		}
	}
	if f == nil {
		return false
	}
	c.stats.Evicted++
	e := f.entry
	c.remove(now, f)
	c.release(now, e)
	return true
}

// mayGo reports whether f may make room for another flow.
func (c *Cache) mayGo(now time.Duration, f *flow) bool {
	if len(f.outputs) == 0 {
		return true
	}
	if now-f.used < minIdle {
		return false
	}
	c.count(now, f)
	return f.used < now
}

// evictEntry drops an entry without flows, which is kept only for what neighbours
// have said. It reports whether it found one.
func (c *Cache) evictEntry(now time.Duration) bool {
	for range min(maxVictims, len(c.all)) {
		if e := c.all[c.env.Random.IntN(len(c.all))]; e.first == nil {
			c.stats.Evicted++
			c.drop(now, e)
			return true
		}
	}
	return false
}

// setIdle puts f among the flows without outputs, or takes it away from there.
func (c *Cache) setIdle(f *flow, idle bool) {
	if f.idle == idle {
		return
	}
	f.idle = idle
	if idle {
		if f.prevIdle = c.lastIdle; f.prevIdle != nil {
			f.prevIdle.nextIdle = f
		} else {
			c.firstIdle = f
		}
		c.lastIdle = f
		return
	}
	if f.nextIdle != nil {
		f.nextIdle.prevIdle = f.prevIdle
	} else {
		c.lastIdle = f.prevIdle
	}
	if f.prevIdle != nil {
		f.prevIdle.nextIdle = f.nextIdle
	} else {
		c.firstIdle = f.nextIdle
	}
	f.nextIdle, f.prevIdle = nil, nil
}
