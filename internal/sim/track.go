package sim

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"mbone/internal/router/host"
)

// tracker follows the way back to some networks through all routers, whenever it
// changes.
type tracker struct {
	nets    []netip.Prefix
	open    []loop
	found   int
	longest time.Duration
}

// parent is where a router expects the packets of a network from.
type parent struct {
	in      host.Interface // 0: there is no route
	gateway netip.Addr
	router  *Router // whose address gateway is; nil: the network is on the link
	// from and to are the ends of the link between them: a way over a link that
	// brings nothing, though nobody has noticed yet, is none.
	from, to *end
}

// up returns the router that packets would come from, nil if none can.
func (p *parent) up() *Router {
	if p.router == nil || !p.from.link.works(p.from, p.to) {
		return nil
	}
	return p.router
}

// loop is routers that expect packets from each other.
type loop struct {
	net   int // among the tracked ones
	on    *Router
	since time.Duration
	slow  bool
	text  string
}

// Track holds from now on that the routers that expect packets of a network from each
// other are no loop, whenever one of them changes its mind. The networks of flows are
// tracked anyway.
func (n *Network) Track(p netip.Prefix) { n.tracked.add(n, p) }

// Loops returns how many parent loops there were, and how long the longest one was.
func (n *Network) Loops() (count int, longest time.Duration) {
	return n.tracked.found, n.tracked.longest
}

func (t *tracker) addRouter(r *Router) { r.parents = make([]parent, len(t.nets)) }

func (t *tracker) add(n *Network, p netip.Prefix) {
	if slices.Contains(t.nets, p) {
		return
	}
	t.nets = append(t.nets, p)
	for _, r := range n.routers {
		r.parents = append(r.parents, parent{})
	}
	for _, r := range n.routers {
		t.check(r)
	}
}

// check looks whether a router has changed its mind, and what that means.
func (t *tracker) check(r *Router) {
	if e, ok := r.engine.(inspected); ok {
		moves := e.Moves()
		if r.looked && moves == r.moves && len(t.nets) == r.known {
			return // to look at all costs more than most events do
		}
		r.looked, r.moves, r.known = true, moves, len(t.nets)
	}
	for i := range t.nets {
		p := r.parent(t.nets[i])
		old := &r.parents[i]
		if p.in == old.in && p.gateway == old.gateway {
			continue
		}
		if p.gateway.IsValid() {
			p.to = r.endBy(p.in)
			if p.from = p.to.gateway(p.gateway); p.from != nil {
				p.router, _ = p.from.node.(*Router)
			}
		}
		*old = p
		r.net.changed = r.net.now
		t.close(r.net, i)
		t.walk(r, i)
	}
}

// parent asks the engine where packets of a network come from.
func (r *Router) parent(p netip.Prefix) parent {
	if r.engine != nil {
		if route, ok := r.engine.RPF(p.Addr().Next()); ok {
			return parent{in: route.In, gateway: route.Gateway}
		}
	}
	return parent{}
}

// walk follows the way back from a router, and notes a loop if it leads there again.
func (t *tracker) walk(r *Router, net int) {
	if !onLoop(r, net) {
		return
	}
	l := loop{net: net, on: r, since: r.net.now}
	var names []string
	for at := r; ; {
		names = append(names, at.Name)
		l.slow = l.slow || at.HoldReports > 0
		if at = at.parents[net].up(); at == r {
			break
		}
	}
	l.text = fmt.Sprintf("parent loop for %v: %s", t.nets[net], strings.Join(append(names, r.Name), " < "))
	t.found++
	if r.net.allowed(&l) == 0 {
		r.net.fail("%s", l.text)
	}
	t.open = append(t.open, l)
}

// onLoop reports whether the way back from r leads to r.
func onLoop(r *Router, net int) bool {
	at := r.parents[net].up()
	for range len(r.net.routers) {
		if at == nil || at == r {
			break
		}
		at = at.parents[net].up()
	}
	return at == r
}

// gateway returns the end of the same link with an address.
func (e *end) gateway(addr netip.Addr) *end {
	for _, other := range e.link.ends {
		if other.addr == addr && other != e {
			return other
		}
	}
	return nil
}

// close ends the loops that are none any more.
func (t *tracker) close(n *Network, net int) {
	t.open = slices.DeleteFunc(t.open, func(l loop) bool {
		if l.net != net || onLoop(l.on, net) {
			return false
		}
		t.judge(n, &l)
		return true
	})
}

// judge holds a loop to how long it may last.
func (t *tracker) judge(n *Network, l *loop) {
	lasted := n.now - l.since
	t.longest = max(t.longest, lasted)
	if most := n.allowed(l); most > 0 && lasted > most {
		n.fail("%s, since %v, %v long", l.text, l.since, lasted)
	}
}

func (n *Network) allowed(l *loop) time.Duration {
	if l.slow {
		return n.MaxSlowLoop
	}
	return n.MaxLoop
}

// CheckLoops holds that no loop has lasted too long that is still there, and that no
// change of a way was overlooked.
func (n *Network) CheckLoops() {
	for _, r := range n.routers {
		for i, known := range r.parents {
			if p := r.parent(n.tracked.nets[i]); p.in != known.in || p.gateway != known.gateway {
				n.fail("%v has another way to %v than when it said that ways changed last", r, n.tracked.nets[i])
			}
		}
	}
	for i := range n.tracked.open {
		n.tracked.judge(n, &n.tracked.open[i])
	}
}
