package layout

import "math"

const (
	// pivots is the number of nodes to which every node keeps its distance. With a
	// hundred of them the picture is hardly worse than with all (M. Ortmann,
	// M. Klimenta, U. Brandes, "A Sparse Stress Model", 2016).
	// A part of more than largePart nodes has fewer.
	pivots      = 100
	pivotsLarge = 30
	// cooling is how much less distances are corrected from round to round, and
	// lastStep the correction, in steps of the longest distance, that is the last
	// one worth while.
	cooling  = 0.65
	lastStep = 0.1
)

// stress moves the nodes to distances that are proportional to the number of
// edges between them, by stochastic gradient descent (J. X. Zheng, S. Pawar,
// D. F. M. Goodman, "Graph Drawing by Stochastic Gradient Descent", 2018).
func (p *part) stress() {
	n := len(p.nodes)
	side := math.Sqrt(float64(n))
	for i := range p.at {
		p.at[i] = vector{mul(side, p.chance.Float64()), mul(side, p.chance.Float64())}
	}
	if n < 2 {
		return
	}
	chosen, steps := p.pivots()
	longest := 1.0
	for _, d := range steps {
		longest = max(longest, float64(d))
	}
	order := p.chance.Perm(n)
	for eta := mul(longest, longest); eta > lastStep; eta = mul(eta, cooling) {
		p.chance.Shuffle(n, func(i, k int) { order[i], order[k] = order[k], order[i] })
		for _, i := range order {
			for _, o := range p.neighbours[i] {
				move := p.correction(i, o, 1, eta)
				p.at[i] = p.at[i].plus(move)
				p.at[o] = p.at[o].minus(move)
			}
			for k, d := range steps[i*len(chosen):][:len(chosen)] {
				if d > 1 {
					p.at[i] = p.at[i].plus(p.correction(i, chosen[k], float64(d), eta))
				}
			}
		}
	}
}

// correction is by how much node i moves for its distance from node o to become
// the wanted one, or as far as eta, divided by the distance squared, allows: near
// nodes matter more. Both are meant to move half of the way.
func (p *part) correction(i, o int, wanted, eta float64) vector {
	line := p.at[i].minus(p.at[o])
	length := line.length()
	if length <= tiny {
		line, length = vector{p.chance.Float64() - 0.5, p.chance.Float64() - 0.5}, 1
	}
	weight := min(1, eta/mul(wanted, wanted))
	return line.times(mul(weight, wanted-length) / mul(2, length))
}

// pivots chooses nodes that are far from each other, and counts the edges
// between every node, one after the other, and each of them.
func (p *part) pivots() (chosen []int, steps []int32) {
	n := len(p.nodes)
	count := min(n, pivots)
	if n > largePart {
		count = pivotsLarge
	}
	steps = make([]int32, n*count)
	row := make([]int32, n)
	nearest := make([]int32, n) // to one of the chosen
	for i := range nearest {
		nearest[i] = math.MaxInt32
	}
	next := 0
	for len(chosen) < count {
		p.steps(next, row)
		for i, d := range row {
			steps[i*count+len(chosen)] = d
			nearest[i] = min(nearest[i], d)
		}
		chosen = append(chosen, next)
		for i, d := range nearest {
			if d > nearest[next] {
				next = i
			}
		}
	}
	return chosen, steps
}

// steps counts the edges between a node and every other one.
func (p *part) steps(from int, steps []int32) {
	for i := range steps {
		steps[i] = -1
	}
	steps[from] = 0
	queue := []int{from}
	for k := 0; k < len(queue); k++ {
		for _, n := range p.neighbours[queue[k]] {
			if steps[n] < 0 {
				steps[n] = steps[queue[k]] + 1
				queue = append(queue, n)
			}
		}
	}
}
