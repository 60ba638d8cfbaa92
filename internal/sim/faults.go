package sim

import (
	"fmt"
	"slices"
	"time"
)

// Faults come at random, one after the other, and each one ends after a time.
type Faults struct {
	Count int
	// Every is the average time from one to the next.
	Every time.Duration
	// Longest is how long one lasts at most.
	Longest time.Duration
	// NoLoss leaves out what loses or delays packets while links seem to work.
	NoLoss bool
}

// Disturb makes faults happen from now on. It returns when the last one will be over.
func (n *Network) Disturb(f Faults) time.Duration {
	at, last := n.now, n.now
	kinds := []func(time.Duration){n.cutOne, n.cutOne, n.cutOne, n.restartOne, n.restartOne, n.shutDownOne, n.unplugOne, n.partition, n.moveMember, n.moveMember, n.pauseFlow}
	if !f.NoLoss {
		kinds = append(kinds, n.silenceOne, n.silenceOne, n.muteOne, n.worsenOne, n.worsenOne)
	}
	for range f.Count {
		at += n.upTo(2 * f.Every)
		kind := kinds[n.random.IntN(len(kinds))]
		lasts := n.upTo(f.Longest)
		last = max(last, at+lasts)
		n.At(at, func() { kind(lasts) })
	}
	return last
}

// Story returns what the faults were.
func (n *Network) Story() []string { return n.story }

func (n *Network) tell(lasts time.Duration, format string, args ...any) {
	n.story = append(n.story, fmt.Sprintf("%v for %v: ", n.now, lasts)+fmt.Sprintf(format, args...))
}

// transit returns a link between routers.
func (n *Network) transit() *Link {
	for {
		l := n.links[n.random.IntN(len(n.links))]
		routers := 0
		for _, e := range l.ends {
			if _, ok := e.node.(*Router); ok {
				routers++
			}
		}
		if routers > 1 {
			return l
		}
	}
}

// routerOn returns a router of a link.
func (n *Network) routerOn(l *Link) *Router {
	for {
		if r, ok := l.ends[n.random.IntN(len(l.ends))].node.(*Router); ok {
			return r
		}
	}
}

func (n *Network) cutOne(lasts time.Duration) {
	l := n.transit()
	n.tell(lasts, "%v is cut", l)
	l.Cut()
	n.After(lasts, l.Restore)
}

func (n *Network) silenceOne(lasts time.Duration) {
	l := n.transit()
	n.tell(lasts, "%v is silent", l)
	l.Silent = true
	n.After(lasts, l.Restore)
}

func (n *Network) muteOne(lasts time.Duration) {
	l := n.transit()
	r := n.routerOn(l)
	n.tell(lasts, "nobody hears %v on %v", r, l)
	l.Mute(r)
	n.After(lasts, l.Restore)
}

func (n *Network) unplugOne(lasts time.Duration) {
	l := n.transit()
	r := n.routerOn(l)
	n.tell(lasts, "%v is unplugged from %v", r, l)
	l.Unplug(r)
	if l.kind != lan {
		l.Cut()
	}
	n.After(lasts, l.Restore)
}

func (n *Network) worsenOne(lasts time.Duration) {
	l := n.transit()
	if l.Loss > 0 {
		return // it is bad already
	}
	n.tell(lasts, "%v loses, delays and repeats packets", l)
	jitter := l.Jitter
	l.Loss, l.Jitter, l.Duplicates = 0.2, 20*time.Millisecond, 0.1
	n.After(lasts, func() { l.Loss, l.Jitter, l.Duplicates = 0, jitter, 0 })
}

func (n *Network) restartOne(lasts time.Duration) {
	r := n.routers[n.random.IntN(len(n.routers))]
	n.tell(lasts, "%v is killed", r)
	r.Restart(lasts)
}

func (n *Network) shutDownOne(lasts time.Duration) {
	r := n.routers[n.random.IntN(len(n.routers))]
	n.tell(lasts, "%v shuts down", r)
	r.Shutdown()
	n.After(lasts, r.Start)
}

// maxIsland is how many routers a partition cuts off at most.
const maxIsland = 20

// partition cuts all links between some routers near each other and the others.
func (n *Network) partition(lasts time.Duration) {
	center := n.routers[n.random.IntN(len(n.routers))]
	island := near(center, 1+n.random.IntN(min(maxIsland, len(n.routers))))
	n.tell(lasts, "%v and %d routers near it are cut off", center, len(island)-1)
	for _, l := range n.links {
		var inside, outside bool
		for _, e := range l.ends {
			if r, ok := e.node.(*Router); ok {
				in := slices.Contains(island, r)
				inside, outside = inside || in, outside || !in
			}
		}
		if inside && outside {
			l.Cut()
			n.After(lasts, l.Restore)
		}
	}
}

// near returns a router and those that are nearest to it, so many in all.
func near(r *Router, count int) []*Router {
	some := []*Router{r}
	for i := 0; i < len(some); i++ {
		for _, e := range some[i].ends {
			for _, f := range e.link.ends {
				v, ok := f.node.(*Router)
				if len(some) < count && ok && !slices.Contains(some, v) {
					some = append(some, v)
				}
			}
		}
	}
	return some
}

// moveMember makes a host join or leave the group of a flow, for good.
func (n *Network) moveMember(time.Duration) {
	if len(n.hosts) == 0 || len(n.flows) == 0 {
		return
	}
	h, f := n.hosts[n.random.IntN(len(n.hosts))], n.flows[n.random.IntN(len(n.flows))]
	if h.find(f.group) != nil {
		n.tell(0, "%v leaves %v", h, f.group)
		h.Leave(f.group)
	} else {
		n.tell(0, "%v joins %v", h, f.group)
		h.Join(f.group)
	}
}

func (n *Network) pauseFlow(lasts time.Duration) {
	if len(n.flows) == 0 {
		return
	}
	f := n.flows[n.random.IntN(len(n.flows))]
	n.tell(lasts, "%v pauses", f)
	f.Stop()
	n.After(lasts, f.Resume)
}
