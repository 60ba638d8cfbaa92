package layout

import (
	"math"
	"math/bits"
)

const (
	// edgeLength is the length of an edge, in widths of a box.
	edgeLength = 0.8
	// stretch is how much longer edges are from left to right than up and down,
	// as screens are wider than high.
	stretch = 1.25
	// crowded is the share of nodes whose box may overlap another one before the
	// picture is enlarged, by the factor of enlarge at a time.
	crowded = 0.3
	enlarge = 1.15
	// shoves is the most rounds in which boxes shove each other.
	shoves = 200
)

// separate gives the nodes places on the paper, where no two boxes overlap.
func (p *part) separate(room Box) {
	width, height := float64(room.Width), float64(room.Height)
	scale := mul(edgeLength, width)
	// From here on, a box is one wide and one high, with a unit to spare for rounding.
	boxes := make([]vector, len(p.at))
	for {
		for i, a := range p.at {
			boxes[i] = vector{mul(mul(a.x, scale), stretch) / (width + 1), mul(a.y, scale) / (height + 1)}
		}
		if float64(overlapping(boxes)) <= mul(crowded, float64(len(boxes))) {
			break
		}
		scale = mul(scale, enlarge)
	}
	for range shoves {
		if !shove(boxes) {
			break
		}
	}
	p.settle(boxes, room)
}

// shove moves boxes that overlap away from each other, the shorter way of left
// and right or up and down. It returns false if none overlap.
func shove(boxes []vector) bool {
	found := false
	g := newGrid(boxes)
	for i := range boxes {
		g.near(boxes, i, func(k int) {
			d := boxes[k].minus(boxes[i])
			x, y := 1-math.Abs(d.x), 1-math.Abs(d.y)
			if x <= 0 || y <= 0 {
				return
			}
			found = true
			// A little more than needed, so that this comes to an end.
			var move vector
			if x < y {
				move.x = math.Copysign(x/2+0.01, d.x)
			} else {
				move.y = math.Copysign(y/2+0.01, d.y)
			}
			boxes[i], boxes[k] = boxes[i].minus(move), boxes[k].plus(move)
		})
	}
	return found
}

// overlapping counts the boxes that overlap another one that is before it.
func overlapping(boxes []vector) int {
	count := 0
	g := newGrid(boxes)
	for i := range boxes {
		found := false
		g.near(boxes, i, func(k int) {
			found = found || math.Abs(boxes[k].x-boxes[i].x) < 1 && math.Abs(boxes[k].y-boxes[i].y) < 1
		})
		if found {
			count++
		}
	}
	return count
}

// settle rounds the positions to whole numbers. A box that still overlaps one
// before it, because the shoving has not come to an end, goes to the nearest free
// place.
func (p *part) settle(boxes []vector, room Box) {
	p.places = make([]Point, len(boxes))
	taken := make(map[Point][]Point)
	cell := func(at Point) Point { return Point{floorDiv(at.X, room.Width), floorDiv(at.Y, room.Height)} }
	free := func(at Point) bool {
		c := cell(at)
		for x := c.X - 1; x <= c.X+1; x++ {
			for y := c.Y - 1; y <= c.Y+1; y++ {
				for _, o := range taken[Point{x, y}] {
					if abs(o.X-at.X) < room.Width && abs(o.Y-at.Y) < room.Height {
						return false
					}
				}
			}
		}
		return true
	}
	low, high := Point{math.MaxInt, math.MaxInt}, Point{math.MinInt, math.MinInt}
	for i, b := range boxes {
		at := Point{round(mul(b.x, float64(room.Width+1))), round(mul(b.y, float64(room.Height+1)))}
		at = nearestFree(at, room, free)
		c := cell(at)
		taken[c] = append(taken[c], at)
		p.places[i] = at
		low, high = Point{min(low.X, at.X), min(low.Y, at.Y)}, Point{max(high.X, at.X), max(high.Y, at.Y)}
	}
	for i, at := range p.places {
		p.places[i] = Point{at.X - low.X + room.Width/2, at.Y - low.Y + room.Height/2}
	}
	p.size = Box{high.X - low.X + room.Width, high.Y - low.Y + room.Height}
}

// nearestFree looks for a free place in wider and wider squares round a point.
func nearestFree(at Point, room Box, free func(Point) bool) Point {
	if free(at) {
		return at
	}
	stepX, stepY := max(1, room.Width/2), max(1, room.Height/2)
	for r := 1; ; r++ {
		for y := -r; y <= r; y++ {
			step := 2 * r // between the left and the right side
			if abs(y) == r {
				step = 1
			}
			for x := -r; x <= r; x += step {
				if c := (Point{at.X + x*stepX, at.Y + y*stepY}); free(c) {
					return c
				}
			}
		}
	}
}

// grid finds the boxes near a box: those in the same cell, one wide and one high,
// and in the eight around it. It is a hash table, and may find some that are far.
type grid struct {
	first []int32 // the first box in a bucket, plus one
	next  []int32 // the next one in the same bucket, plus one
}

func newGrid(boxes []vector) grid {
	g := grid{make([]int32, 1<<bits.Len(uint(len(boxes)))), make([]int32, len(boxes))}
	for i, b := range boxes {
		bucket := g.bucket(math.Floor(b.x), math.Floor(b.y))
		g.next[i], *bucket = *bucket, int32(i)+1
	}
	return g
}

func (g grid) bucket(x, y float64) *int32 {
	hash := uint64(int64(x))*0x9e3779b97f4a7c15 + uint64(int64(y))*0xc2b2ae3d27d4eb4f
	return &g.first[hash>>32&uint64(len(g.first)-1)]
}

// near calls fn with every box near box i that has a lower number.
func (g grid) near(boxes []vector, i int, fn func(k int)) {
	x, y := math.Floor(boxes[i].x), math.Floor(boxes[i].y)
	for dx := -1.0; dx <= 1; dx++ {
		for dy := -1.0; dy <= 1; dy++ {
			for k := *g.bucket(x+dx, y+dy); k > 0; k = g.next[k-1] {
				if int(k-1) < i {
					fn(int(k - 1))
				}
			}
		}
	}
}

func round(f float64) int { return int(math.Round(f)) }

func abs(i int) int { return max(i, -i) }

func floorDiv(a, b int) int {
	if a < 0 {
		return -((b - 1 - a) / b)
	}
	return a / b
}
