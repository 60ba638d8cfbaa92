package layout_test

import (
	"fmt"
	"testing"

	"mbone/render/internal/layout"
)

func BenchmarkPlace(b *testing.B) {
	for _, n := range []int{1_000, 5_000, 50_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			g := tree(n)
			for b.Loop() {
				layout.Place(g, layout.Box{Width: 90, Height: 40})
			}
		})
	}
}
func tree(n int) layout.Graph {
	g := layout.Graph{Nodes: n}
	for i := 1; i < n; i++ {
		g.Edges = append(g.Edges, [2]int{i, (i*7919 + 13) % ((i + 3) / 4 * 1)})
		if i%5 == 0 {
			g.Edges = append(g.Edges, [2]int{i, i - 1})
		}
	}
	return g
}
