package sim

import "net/netip"

// paths are the shortest ways for unicast over links with carrier, known to everybody
// at once: how the routers route unicast is not what this is about.
type paths struct {
	to map[*Router]map[*Router]hop
}

// hop is the next one on the way.
type hop struct{ from, to *end }

// forget is told that links have changed.
func (p *paths) forget() { clear(p.to) }

// next returns the next hop on the way between two routers.
func (p *paths) next(from, to *Router) (hop, bool) {
	if p.to == nil {
		p.to = make(map[*Router]map[*Router]hop)
	}
	hops := p.to[to]
	if hops == nil {
		hops = search(to)
		p.to[to] = hops
	}
	h, ok := hops[from]
	return h, ok
}

// search returns the next hop of each router on its way to one of them, which itself
// has the zero hop.
func search(to *Router) map[*Router]hop {
	hops := map[*Router]hop{to: {}}
	queue := []*Router{to}
	for len(queue) > 0 {
		r := queue[0]
		queue = queue[1:]
		for _, near := range r.ends {
			if near.peer != nil || !near.isUp() {
				continue
			}
			for _, far := range near.link.ends {
				f, ok := far.node.(*Router)
				if !ok || !far.isUp() {
					continue
				}
				if _, known := hops[f]; !known {
					hops[f] = hop{far, near}
					queue = append(queue, f)
				}
			}
		}
	}
	return hops
}

// forwardUnicast sends a packet on towards its destination, which is not here. It
// takes over one use of p.
func (r *Router) forwardUnicast(p *packet, ttl uint8) {
	to := r.net.byAddr[p.destination()]
	if to == nil {
		r.net.release(p)
		return
	}
	for _, e := range r.ends {
		if e.link == to.link && e.isUp() {
			e.transmitTo(to, p, ttl)
			return
		}
	}
	if h, ok := r.net.nextHop(r, to); ok && h.from != nil {
		h.from.transmitTo(h.to, p, ttl)
		return
	}
	r.net.release(p)
}

// nextHop returns the next hop from a router to an end of somebody else: a host is
// behind any router on its link.
func (n *Network) nextHop(from *Router, to *end) (hop, bool) {
	if v, ok := to.node.(*Router); ok {
		return n.paths.next(from, v)
	}
	for _, e := range to.link.ends {
		if v, ok := e.node.(*Router); ok && e.isUp() {
			if h, found := n.paths.next(from, v); found {
				return h, true
			}
		}
	}
	return hop{}, false
}

// receiveUnicast takes a packet for this router, or sends it on. What has Router
// Alert goes to the engine whoever it is for: Linux gives it to the mroute socket.
func (r *Router) receiveUnicast(e *end, p *packet, ttl uint8) {
	mine := r.owns(p.destination())
	switch {
	case mine && p.out != nil:
		r.outOfTunnel(p)
	case mine || p.alert && p.out == nil && r.engine != nil:
		r.deliver(e, p, ttl)
	case ttl > 1:
		p.users++
		r.forwardUnicast(p, ttl-1)
	}
}

func (r *Router) owns(a netip.Addr) bool {
	e := r.net.byAddr[a]
	return e != nil && e.node == r
}

// outOfTunnel takes what was in a tunnel.
func (r *Router) outOfTunnel(p *packet) {
	if !p.out.isUp() || p.out.link.Silent || p.out.deaf {
		return
	}
	q := r.net.newPacket()
	q.from, q.to, q.alert, q.flow, q.seq = p.from, p.to, p.alert, p.flow, p.seq
	q.message = append(q.message, p.message...)
	r.receive(p.out, q, p.inner)
	r.net.release(q)
}

// connected reports whether packets get from one router to another over links that
// work in both directions, through routers that run.
func (n *Network) connected(from *Router) map[*Router]bool {
	seen := map[*Router]bool{from: true}
	queue := []*Router{from}
	for len(queue) > 0 {
		r := queue[0]
		queue = queue[1:]
		for _, near := range r.ends {
			for _, far := range near.link.ends {
				f, ok := far.node.(*Router)
				if !ok || far == near || seen[f] || !f.Running() || !near.link.works(near, far) || !near.link.works(far, near) {
					continue
				}
				seen[f] = true
				queue = append(queue, f)
			}
		}
	}
	return seen
}
