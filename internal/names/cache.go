package names

import (
	"net/netip"
	"sync"
	"time"
)

// How long names are remembered, and how many.
const (
	// minLifetime is the least, whatever the name server says, and that of the
	// knowledge that an address has no name.
	minLifetime = time.Minute
	maxLifetime = time.Hour
	// forgetFailure is how long an address whose name could not be found out
	// has none.
	forgetFailure = 10 * time.Second
	maxCached     = 1 << 16
)

// cache remembers the newest names. The zero value is ready to use.
type cache struct {
	mu      sync.Mutex
	entries map[netip.Addr]entry
	order   []netip.Addr // a ring of the keys of entries, once it is full
	oldest  int
}

type entry struct {
	name  string
	until time.Time
}

func (c *cache) get(addr netip.Addr, now time.Time) (string, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.entries[addr]
	return e.name, ok && now.Before(e.until)
}

func (c *cache) put(addr netip.Addr, name string, until time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.entries == nil {
		c.entries = make(map[netip.Addr]entry)
	}
	if _, ok := c.entries[addr]; !ok {
		if len(c.order) < maxCached {
			c.order = append(c.order, addr)
		} else {
			delete(c.entries, c.order[c.oldest])
			c.order[c.oldest] = addr
			c.oldest = (c.oldest + 1) % maxCached
		}
	}
	c.entries[addr] = entry{name, until}
}
