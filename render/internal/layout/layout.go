// Package layout finds positions for the nodes of a graph, so that its drawing
// shows its structure: neighbours near each other, long chains long, parts that
// nothing joins side by side.
//
// Every part that hangs together goes through four steps. Its nodes are drawn
// to distances that are proportional to the number of steps between them
// (stress.go); forces between the nodes even out their density (forces.go); the
// part is turned so that it is wide rather than high; and nodes that are too near
// each other are moved apart (separate.go). Then the parts are packed.
//
// The same graph has the same positions on every machine. Nothing here depends on
// the order of a map, on a clock or on global chance. Floating-point numbers are
// added, multiplied, divided, and their square root taken, which IEEE 754 defines
// to the last bit; every product goes through [mul], which keeps a compiler from
// fusing it with an addition, as Go may on some processors.
package layout

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
)

// Graph is an undirected graph. Edges of a node with itself, and all but the
// first of several edges between the same nodes, change nothing.
type Graph struct {
	Nodes int      // they are numbered from 0
	Edges [][2]int // pairs of nodes
}

// Box is the room that a node needs, centred on it.
type Box struct{ Width, Height int }

// Point is the centre of a node. X grows to the right and Y downwards.
type Point struct{ X, Y int }

// Place returns the position of every node. Boxes of the given size around the
// nodes do not overlap, and the first of them begin at X = 0 and Y = 0.
func Place(g Graph, room Box) []Point {
	neighbours := g.neighbours()
	var parts []*part
	for _, nodes := range components(neighbours) {
		p := newPart(nodes, neighbours)
		p.stress()
		p.forces()
		p.turn()
		p.separate(room)
		parts = append(parts, p)
	}
	places := make([]Point, g.Nodes)
	for i, corner := range pack(parts, room) {
		p := parts[i]
		for k, node := range p.nodes {
			places[node] = Point{corner.X + p.places[k].X, corner.Y + p.places[k].Y}
		}
	}
	return places
}

// neighbours returns the neighbours of every node, sorted.
func (g Graph) neighbours() [][]int {
	neighbours := make([][]int, g.Nodes)
	for _, e := range g.Edges {
		if e[0] != e[1] {
			neighbours[e[0]] = append(neighbours[e[0]], e[1])
			neighbours[e[1]] = append(neighbours[e[1]], e[0])
		}
	}
	for i, n := range neighbours {
		slices.Sort(n)
		neighbours[i] = slices.Compact(n)
	}
	return neighbours
}

// components returns the parts of a graph that hang together, the largest first,
// and among equals the one with the lowest node.
func components(neighbours [][]int) [][]int {
	var parts [][]int
	seen := make([]bool, len(neighbours))
	for i := range neighbours {
		if seen[i] {
			continue
		}
		seen[i] = true
		nodes := []int{i}
		for k := 0; k < len(nodes); k++ {
			for _, n := range neighbours[nodes[k]] {
				if !seen[n] {
					seen[n] = true
					nodes = append(nodes, n)
				}
			}
		}
		parts = append(parts, nodes)
	}
	slices.SortStableFunc(parts, func(a, b []int) int { return cmp.Compare(len(b), len(a)) })
	return parts
}

// part is a connected part of a graph.
type part struct {
	nodes      []int // as the graph numbers them
	neighbours [][]int
	chance     *rand.Rand
	// at are the positions while they move. The unit is the length of an edge.
	at []vector
	// places are the positions in the end, inside of size.
	places []Point
	size   Box
}

// The seed of every drawing: any other would do as well.
const seed1, seed2 = 224, 4

func newPart(nodes []int, neighbours [][]int) *part {
	number := make(map[int]int, len(nodes))
	for i, n := range nodes {
		number[n] = i
	}
	p := &part{
		nodes:      nodes,
		neighbours: make([][]int, len(nodes)),
		chance:     rand.New(rand.NewPCG(seed1, seed2)),
		at:         make([]vector, len(nodes)),
	}
	for i, n := range nodes {
		p.neighbours[i] = make([]int, len(neighbours[n]))
		for k, o := range neighbours[n] {
			p.neighbours[i][k] = number[o]
		}
	}
	return p
}

// turn turns the part round its centre so that it is widest from left to right:
// screens and pages are read that way.
func (p *part) turn() {
	var centre vector
	for _, a := range p.at {
		centre = centre.plus(a)
	}
	centre = centre.times(1 / float64(len(p.at)))
	var xx, xy, yy float64
	for i := range p.at {
		d := p.at[i].minus(centre)
		p.at[i] = d
		xx += mul(d.x, d.x)
		xy += mul(d.x, d.y)
		yy += mul(d.y, d.y)
	}
	// The direction of the largest variance is an eigenvector of the covariances.
	half := (xx - yy) / 2
	axis := vector{half + math.Sqrt(mul(half, half)+mul(xy, xy)), xy}
	length := axis.length()
	if length <= tiny {
		axis, length = vector{0, 1}, 1
		if xx >= yy {
			axis = vector{1, 0}
		}
	}
	axis = axis.times(1 / length)
	for i, a := range p.at {
		p.at[i] = vector{mul(a.x, axis.x) + mul(a.y, axis.y), mul(a.y, axis.x) - mul(a.x, axis.y)}
	}
}

// tiny is a length that is as good as none.
const tiny = 1e-9

type vector struct{ x, y float64 }

func (v vector) plus(w vector) vector   { return vector{v.x + w.x, v.y + w.y} }
func (v vector) minus(w vector) vector  { return vector{v.x - w.x, v.y - w.y} }
func (v vector) times(f float64) vector { return vector{mul(v.x, f), mul(v.y, f)} }
func (v vector) square() float64        { return mul(v.x, v.x) + mul(v.y, v.y) }
func (v vector) length() float64        { return math.Sqrt(v.square()) }

// mul is a product, rounded. (A compiler may make a multiplication of a division
// by a power of two, and fuse that: it is exact either way.)
func mul(a, b float64) float64 { return float64(a * b) }
