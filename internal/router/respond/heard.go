package respond

import (
	"math"
	"net/netip"
	"slices"
	"time"

	"mbone/proto/igmp"
	"mbone/proto/pim"
)

// Heard is what can be known of the multicast routers on the links without
// asking: PIM Hellos and the queries of the IGMP querier. The zero value has
// heard nothing. It is owned by one goroutine.
type Heard struct {
	links map[int]*link
	hello pim.Hello
	query igmp.Query
}

// link is what was heard on one interface.
type link struct {
	pim      map[netip.Addr]time.Duration // until when
	queriers map[netip.Addr]time.Duration
	self     netip.Addr    // the sender of our own last query
	selfTill time.Duration // until when it counts
}

// Link is what is known of one interface at some time.
type Link struct {
	// Neighbors are the routers, sorted.
	Neighbors []netip.Addr
	// PIM is whether one of them speaks PIM.
	PIM bool
	// Querier is whether this host asks the members of the link: its own queries
	// were heard, and nobody's with a lower address.
	Querier bool
}

// Hello hears a PIM message. It takes Hellos of others whose sender is on the
// link, and says whether this was one.
func (h *Heard) Hello(now time.Duration, p Packet, networks []Network) bool {
	own, onLink := place(networks, p.Interface, p.From)
	if own || !onLink || !pim.VerifyChecksum(p.Message) || h.hello.Parse(p.Message) != nil {
		return false
	}
	l := h.link(p.Interface)
	switch hold := h.hello.Holdtime(); hold {
	case 0:
		delete(l.pim, p.From)
	case pim.Forever:
		remember(now, l.pim, p.From, never)
	default:
		remember(now, l.pim, p.From, now+hold)
	}
	return true
}

// Query hears an IGMP message. It takes queries whose sender is on the link,
// those of this host too, and says whether this was one.
func (h *Heard) Query(now time.Duration, p Packet, networks []Network) bool {
	own, onLink := place(networks, p.Interface, p.From)
	if !onLink || !igmp.VerifyChecksum(p.Message) || h.query.Parse(p.Message) != nil {
		return false
	}
	l := h.link(p.Interface)
	until := now + querierPresent(&h.query)
	if own {
		l.self, l.selfTill = p.From, until
	} else {
		remember(now, l.queriers, p.From, until)
	}
	return true
}

// never is when a neighbour expires that has said so.
const never = time.Duration(math.MaxInt64)

// querierPresent is how long the sender of q counts as querier.
func querierPresent(q *igmp.Query) time.Duration {
	if q.Robustness == 0 || q.Interval == 0 {
		return querierTime
	}
	return min(time.Duration(q.Robustness)*q.Interval+q.MaxResponse/2, maxQuerierTime)
}

// remember sets the time of a router in m; if m is full, those that have expired
// make room.
func remember(now time.Duration, m map[netip.Addr]time.Duration, from netip.Addr, until time.Duration) {
	if _, known := m[from]; !known && len(m) >= maxHeard {
		expire(now, m)
		if len(m) >= maxHeard {
			return
		}
	}
	m[from] = until
}

func expire(now time.Duration, m map[netip.Addr]time.Duration) {
	for router, until := range m {
		if until <= now {
			delete(m, router)
		}
	}
}

func (h *Heard) link(id int) *link {
	l := h.links[id]
	if l == nil {
		if h.links == nil {
			h.links = make(map[int]*link)
		}
		l = &link{pim: make(map[netip.Addr]time.Duration), queriers: make(map[netip.Addr]time.Duration)}
		h.links[id] = l
	}
	return l
}

// Link returns what is known of an interface.
func (h *Heard) Link(now time.Duration, id int) Link {
	l := h.links[id]
	if l == nil {
		return Link{}
	}
	expire(now, l.pim)
	expire(now, l.queriers)
	r := Link{PIM: len(l.pim) > 0, Querier: l.selfTill > now}
	for router := range l.pim {
		r.Neighbors = append(r.Neighbors, router)
	}
	for router := range l.queriers {
		if !slices.Contains(r.Neighbors, router) {
			r.Neighbors = append(r.Neighbors, router)
		}
		if router.Less(l.self) {
			r.Querier = false
		}
	}
	slices.SortFunc(r.Neighbors, netip.Addr.Compare)
	return r
}

// Keep forgets all interfaces but these.
func (h *Heard) Keep(ids []int) {
	for id := range h.links {
		if !slices.Contains(ids, id) {
			delete(h.links, id)
		}
	}
}
