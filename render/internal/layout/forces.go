package layout

import "math"

const (
	// rounds is the number of times that forces move the nodes of a part. One of
	// more than largePart nodes is drawn with less care.
	rounds      = 120
	roundsLarge = 40
	largePart   = 10_000
	// firstMove is the most that a node moves in the first round, in edges; from
	// round to round it is slower times that.
	firstMove = 1.0
	slower    = 0.96
	// repulsion is how strongly nodes push each other away, at the distance of an edge.
	repulsion = 0.5
	// opening is how wide a cell of the tree may look from a node for all nodes in
	// it to be taken as one (J. Barnes, P. Hut, 1986).
	opening = 1.0
	// maxDepth ends the division of cells: nodes in one place would divide for ever.
	maxDepth = 24
)

// forces lets edges pull their ends together, and every node push all others
// away (T. M. J. Fruchterman, E. M. Reingold, "Graph Drawing by Force-directed
// Placement", 1991; Y. F. Hu, "Efficient and High Quality Force-Directed Graph
// Drawing", 2005).
func (p *part) forces() {
	n := len(p.nodes)
	if n < 3 {
		return
	}
	count := rounds
	if n > largePart {
		count = roundsLarge
	}
	moves := make([]vector, n)
	var t tree
	for most, round := firstMove, 0; round < count; most, round = mul(most, slower), round+1 {
		t.build(p.at)
		for i, at := range p.at {
			move := t.push(i, at)
			for _, o := range p.neighbours[i] {
				line := p.at[o].minus(at)
				move = move.plus(line.times(line.length()))
			}
			if length := move.length(); length > most {
				move = move.times(most / length)
			}
			moves[i] = move
		}
		for i, move := range moves {
			p.at[i] = p.at[i].plus(move)
		}
	}
}

// tree divides the plane into cells, each into four, until every node has its own.
type tree struct {
	cells []cell
	at    []vector
	stack []int32
}

type cell struct {
	centre vector // of the square
	half   float64
	sum    vector // of the positions of its nodes
	count  int32
	node   int32 // the only one, or -1
	first  int32 // of its four cells, 0: not divided
}

// build makes the tree of some positions, in the memory of the one before.
func (t *tree) build(at []vector) {
	t.at = at
	low, high := at[0], at[0]
	for _, a := range at {
		low = vector{min(low.x, a.x), min(low.y, a.y)}
		high = vector{max(high.x, a.x), max(high.y, a.y)}
	}
	half := max(high.x-low.x, high.y-low.y)/2 + tiny
	t.cells = append(t.cells[:0], cell{centre: low.plus(high).times(0.5), half: half, node: -1})
	for i := range at {
		t.insert(int32(i))
	}
}

func (t *tree) insert(i int32) {
	c := int32(0)
	for depth := 0; ; depth++ {
		k := &t.cells[c]
		k.sum = k.sum.plus(t.at[i])
		k.count++
		switch {
		case k.count == 1:
			k.node = i
			return
		case depth == maxDepth:
			k.node = -1
			return
		case k.first == 0:
			t.divide(c)
		}
		c = t.child(c, t.at[i])
	}
}

// divide makes four cells of one and hands its node on.
func (t *tree) divide(c int32) {
	k := t.cells[c]
	h := k.half / 2
	first := int32(len(t.cells))
	for _, d := range [4]vector{{-h, -h}, {h, -h}, {-h, h}, {h, h}} {
		t.cells = append(t.cells, cell{centre: k.centre.plus(d), half: h, node: -1})
	}
	t.cells[c].first, t.cells[c].node = first, -1
	child := &t.cells[t.child(c, t.at[k.node])]
	child.sum, child.count, child.node = t.at[k.node], 1, k.node
}

func (t *tree) child(c int32, at vector) int32 {
	k := &t.cells[c]
	child := k.first
	if at.x > k.centre.x {
		child++
	}
	if at.y > k.centre.y {
		child += 2
	}
	return child
}

// push is the force of all others on node i.
func (t *tree) push(i int, at vector) vector {
	var force vector
	t.stack = append(t.stack[:0], 0)
	for len(t.stack) > 0 {
		c := &t.cells[t.stack[len(t.stack)-1]]
		t.stack = t.stack[:len(t.stack)-1]
		if c.count == 0 || c.node == int32(i) {
			continue
		}
		line := at.minus(c.sum.times(1 / float64(c.count)))
		square := line.square()
		if c.first != 0 && mul(mul(4, c.half), c.half) > mul(mul(opening, opening), square) {
			t.stack = append(t.stack, c.first, c.first+1, c.first+2, c.first+3)
			continue
		}
		if square <= tiny {
			// In one place: each goes its own way.
			line, square = vector{math.Sqrt(float64(i + 1)), 1}, 1
		}
		force = force.plus(line.times(mul(repulsion, float64(c.count)) / mul(square, math.Sqrt(square))))
	}
	return force
}
