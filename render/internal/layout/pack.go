package layout

import (
	"cmp"
	"math"
	"slices"
)

// aspect is how much wider than high the whole is to be.
const aspect = 1.6

// pack returns the upper left corners of parts on one sheet: each is put where it
// is highest, the highest part first, below a skyline of those before it.
func pack(parts []*part, gap Box) []Point {
	order := make([]int, len(parts))
	area, widest := 0.0, 0
	for i, p := range parts {
		order[i] = i
		area += mul(float64(p.size.Width+gap.Width), float64(p.size.Height+gap.Height))
		widest = max(widest, p.size.Width+gap.Width)
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(parts[b].size.Height, parts[a].size.Height) })
	width := max(widest, round(math.Sqrt(mul(area, aspect))))

	corners := make([]Point, len(parts))
	line := skyline{{0, width, 0}}
	for _, i := range order {
		corners[i] = line.put(parts[i].size.Width+gap.Width, parts[i].size.Height+gap.Height)
	}
	return corners
}

// skyline is the lower edge of what was put on a sheet, from left to right.
type skyline []segment

type segment struct{ x, width, y int }

// put finds the highest place for a box, the leftmost among equals, and takes it.
// The box is not wider than the sheet.
func (s *skyline) put(width, height int) Point {
	line := *s
	best, bestFrom := Point{0, math.MaxInt}, 0
	for from, first := range line {
		y, left := 0, width
		for _, g := range line[from:] {
			if left <= 0 || y >= best.Y {
				break
			}
			y = max(y, g.y)
			left -= g.width
		}
		if left <= 0 && y < best.Y {
			best, bestFrom = Point{first.x, y}, from
		}
	}
	// The box covers segments from bestFrom on, the last one perhaps in part.
	to, left := bestFrom, width
	for left > 0 && left >= line[to].width {
		left -= line[to].width
		to++
	}
	fresh := []segment{{best.X, width, best.Y + height}}
	if left > 0 {
		fresh = append(fresh, segment{line[to].x + left, line[to].width - left, line[to].y})
		to++
	}
	line = slices.Replace(line, bestFrom, to, fresh...)
	for i := len(line) - 1; i > 0; i-- {
		if line[i].y == line[i-1].y {
			line[i-1].width += line[i].width
			line = slices.Delete(line, i, i+1)
		}
	}
	*s = line
	return best
}
