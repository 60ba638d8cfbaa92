package topo

import (
	"container/heap"
	"math"
)

// depths returns how far each router is from the start: the steps of the
// shortest way on which each router and the next name each other. Only where no
// such way leads, one that has as few one-sided steps as there must be counts: so
// a router that names everybody brings nobody nearer.
func (g *graph) depths() []int {
	best := make([]distance, len(g.nodes))
	var q distances
	reach := func(n int32, oneSided, steps int32) {
		d := distance{oneSided, steps, n}
		if d.less(best[n]) {
			best[n] = d
			heap.Push(&q, d)
		}
	}
	for i := range g.nodes {
		best[i] = distance{oneSided: math.MaxInt32}
	}
	for i := range g.nodes {
		if g.nodes[i].start {
			reach(int32(i), 0, 0)
		}
	}
	for q.Len() > 0 {
		d := heap.Pop(&q).(distance)
		if d != best[d.node] {
			continue
		}
		for i := g.first[d.node]; i < g.first[d.node+1]; i++ {
			c := &g.claims[i]
			if c.peer >= 0 {
				reach(c.to, d.oneSided, d.steps+1)
				continue
			}
			reach(c.to, d.oneSided+1, d.steps+1)
			if o, ok := g.ownerNode(c.neighbor); ok {
				reach(o, d.oneSided+1, d.steps+1)
			}
		}
		for _, x := range g.nodes[d.node].disputed {
			if o, ok := g.ownerNode(x); ok {
				reach(o, d.oneSided+1, d.steps+1)
			}
		}
	}
	depths := make([]int, len(g.nodes))
	for i := range best {
		depths[i] = int(best[i].steps)
	}
	return depths
}

// ownerNode returns the router that answered for an address.
func (g *graph) ownerNode(x ip) (int32, bool) {
	if o, ok := g.owners[x]; ok && o >= 0 {
		return g.number[o], true
	}
	return 0, false
}

// distance is how far a node is.
type distance struct{ oneSided, steps, node int32 }

func (d distance) less(e distance) bool {
	if d.oneSided != e.oneSided {
		return d.oneSided < e.oneSided
	}
	if d.steps != e.steps {
		return d.steps < e.steps
	}
	return d.node < e.node
}

// distances is a heap.
type distances []distance

func (q distances) Len() int           { return len(q) }
func (q distances) Less(i, j int) bool { return q[i].less(q[j]) }
func (q distances) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }
func (q *distances) Push(x any)        { *q = append(*q, x.(distance)) }
func (q *distances) Pop() any {
	last := len(*q) - 1
	d := (*q)[last]
	*q = (*q)[:last]
	return d
}
