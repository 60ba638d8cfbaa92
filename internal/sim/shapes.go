package sim

import "slices"

// Networks of a certain shape. Each function adds routers that are joined by
// point-to-point links, unless it says otherwise.

// AddChain adds routers in a row.
func (n *Network) AddChain(length int) []*Router {
	routers := n.addRouters(length)
	for i := range length - 1 {
		n.AddPointToPoint(routers[i], routers[i+1])
	}
	return routers
}

// AddRing adds routers in a ring.
func (n *Network) AddRing(length int) []*Router {
	routers := n.AddChain(length)
	n.AddPointToPoint(routers[length-1], routers[0])
	return routers
}

// AddGrid adds routers row by row, each joined to those beside, above and below.
func (n *Network) AddGrid(width, height int) []*Router {
	routers := n.addRouters(width * height)
	for i, r := range routers {
		if (i+1)%width != 0 {
			n.AddPointToPoint(r, routers[i+1])
		}
		if i+width < len(routers) {
			n.AddPointToPoint(r, routers[i+width])
		}
	}
	return routers
}

// AddDiamond adds a router, two that are joined to it, and one that is joined to both
// of these.
func (n *Network) AddDiamond() (top, left, right, bottom *Router) {
	r := n.addRouters(4)
	n.AddPointToPoint(r[0], r[1])
	n.AddPointToPoint(r[0], r[2])
	n.AddPointToPoint(r[1], r[3])
	n.AddPointToPoint(r[2], r[3])
	return r[0], r[1], r[2], r[3]
}

// AddTree adds routers of which each is joined to so many new ones.
func (n *Network) AddTree(size, fanout int) []*Router {
	routers := n.addRouters(size)
	for i := 1; i < size; i++ {
		n.AddPointToPoint(routers[(i-1)/fanout], routers[i])
	}
	return routers
}

// AddRandom adds routers that are all connected, with links between two routers or, one
// in ten, LANs of three to five; degree is to how many links a router is joined on
// average, about.
func (n *Network) AddRandom(size int, degree float64) []*Router {
	routers := n.addRouters(size)
	for i := 1; i < size; i++ {
		n.AddPointToPoint(routers[n.random.IntN(i)], routers[i])
	}
	ends := 2 * (size - 1)
	for ends < int(degree*float64(size)) {
		k := 2
		if n.random.IntN(10) == 0 {
			k = 3 + n.random.IntN(3)
		}
		some := n.pick(routers, min(k, size))
		if k == 2 {
			n.AddPointToPoint(some[0], some[1])
		} else {
			n.AddLAN(some...)
		}
		ends += k
	}
	return routers
}

func (n *Network) addRouters(count int) []*Router {
	routers := make([]*Router, count)
	for i := range routers {
		routers[i] = n.AddRouter()
	}
	return routers
}

// pick returns count different routers.
func (n *Network) pick(routers []*Router, count int) []*Router {
	var some []*Router
	for len(some) < count {
		r := routers[n.random.IntN(len(routers))]
		if !slices.Contains(some, r) {
			some = append(some, r)
		}
	}
	return some
}
