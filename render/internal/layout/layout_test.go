package layout_test

import (
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"

	"mbone/render/internal/layout"
)

var room = layout.Box{Width: 100, Height: 50}

func chain(n int) layout.Graph {
	g := layout.Graph{Nodes: n}
	for i := 1; i < n; i++ {
		g.Edges = append(g.Edges, [2]int{i - 1, i})
	}
	return g
}

func star(n int) layout.Graph {
	g := layout.Graph{Nodes: n}
	for i := 1; i < n; i++ {
		g.Edges = append(g.Edges, [2]int{0, i})
	}
	return g
}

func complete(n int) layout.Graph {
	g := layout.Graph{Nodes: n}
	for i := range n {
		for k := range i {
			g.Edges = append(g.Edges, [2]int{i, k})
		}
	}
	return g
}

// square is a net of streets, n by n.
func square(n int) layout.Graph {
	g := layout.Graph{Nodes: n * n}
	for y := range n {
		for x := range n {
			if x > 0 {
				g.Edges = append(g.Edges, [2]int{y*n + x, y*n + x - 1})
			}
			if y > 0 {
				g.Edges = append(g.Edges, [2]int{y*n + x, y*n + x - n})
			}
		}
	}
	return g
}

// network is a tree with some cross links, as networks are.
func network(n int) layout.Graph {
	chance := rand.New(rand.NewPCG(uint64(n), 7))
	g := layout.Graph{Nodes: n}
	for i := 1; i < n; i++ {
		g.Edges = append(g.Edges, [2]int{i, chance.IntN((i + 3) / 4)})
		if i%9 == 0 {
			g.Edges = append(g.Edges, [2]int{i, chance.IntN(i)})
		}
	}
	return g
}

// scattered is n pairs of nodes, n alone, and one that is joined to itself.
func scattered(n int) layout.Graph {
	g := layout.Graph{Nodes: 3*n + 1, Edges: [][2]int{{3 * n, 3 * n}}}
	for i := range n {
		g.Edges = append(g.Edges, [2]int{2 * i, 2*i + 1}, [2]int{2*i + 1, 2 * i}, [2]int{2 * i, 2*i + 1})
	}
	return g
}

var graphs = map[string]layout.Graph{
	"nothing":   {},
	"one":       {Nodes: 1},
	"two":       chain(2),
	"triangle":  complete(3),
	"chain":     chain(80),
	"star":      star(120),
	"complete":  complete(25),
	"square":    square(10),
	"network":   network(300),
	"scattered": scattered(40),
}

// No two boxes overlap, and all are on the sheet, which is not wastefully large.
func TestRoom(t *testing.T) {
	for name, g := range graphs {
		places := layout.Place(g, room)
		if len(places) != g.Nodes {
			t.Fatalf("%s: %d places for %d nodes", name, len(places), g.Nodes)
		}
		most := (g.Nodes + 5) * room.Width * 6
		for i, a := range places {
			if a.X < room.Width/2 || a.Y < room.Height/2 || a.X > most || a.Y > most {
				t.Errorf("%s: node %d is at %v", name, i, a)
			}
			for k, b := range places[:i] {
				if x, y := abs(a.X-b.X), abs(a.Y-b.Y); x < room.Width && y < room.Height {
					t.Errorf("%s: nodes %d and %d are at %v and %v", name, i, k, a, b)
				}
			}
		}
	}
}

// The sums say nothing of whether the places are good. They were made on one
// machine, and every other one must come to the same, whether its processor fuses
// multiplications with additions (as with GOAMD64=v3, or on arm64) or not, and
// whatever the size of its words. A change of the layout changes them.
func TestSameEverywhere(t *testing.T) {
	for name, want := range map[string]uint64{
		"network":   0x21d0af1c6e7f8b3f,
		"scattered": 0x4bc136f7db971a36,
		"square":    0xdd277ecd907db2b1,
	} {
		sum := fnv.New64a()
		for range 2 {
			sum.Reset()
			for _, p := range layout.Place(graphs[name], room) {
				fmt.Fprintln(sum, p.X, p.Y)
			}
			if got := sum.Sum64(); got != want {
				t.Errorf("%s: the places sum up to %#x, not to %#x", name, got, want)
			}
		}
	}
}

// Products of floating-point numbers may only be made by mul, which rounds them.
func TestNoFusedProducts(t *testing.T) {
	files := token.NewFileSet()
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	var sources []*ast.File
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(files, name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		sources = append(sources, file)
	}
	info := &types.Info{Types: make(map[ast.Expr]types.TypeAndValue)}
	if _, err := (&types.Config{Importer: importer.ForCompiler(files, "source", nil)}).Check("layout", files, sources, info); err != nil {
		t.Fatal(err)
	}
	products := 0
	for _, file := range sources {
		ast.Inspect(file, func(n ast.Node) bool {
			if f, ok := n.(*ast.FuncDecl); ok && f.Name.Name == "mul" {
				products++
				return false
			}
			b, binary := n.(*ast.BinaryExpr)
			a, assigned := n.(*ast.AssignStmt)
			var of ast.Expr
			switch {
			case binary && b.Op == token.MUL:
				of = b
			case assigned && a.Tok == token.MUL_ASSIGN:
				of = a.Lhs[0]
			default:
				return true
			}
			v := info.Types[of]
			if basic, ok := v.Type.Underlying().(*types.Basic); ok && basic.Info()&types.IsFloat != 0 && v.Value == nil {
				t.Errorf("%s: a product that may be fused with an addition", files.Position(n.Pos()))
			}
			return true
		})
	}
	if products != 1 {
		t.Error("there is no mul")
	}
}

func TestChainIsLong(t *testing.T) {
	const n = 100
	places := layout.Place(chain(n), room)
	way := 0.0
	for i := 1; i < n; i++ {
		way += distance(places[i-1], places[i])
	}
	if ends := distance(places[0], places[n-1]); ends < 0.8*way {
		t.Errorf("the ends of a chain are %.0f apart, on a way of %.0f", ends, way)
	}
	if first, last := places[0], places[n-1]; abs(first.X-last.X) < 4*abs(first.Y-last.Y) {
		t.Errorf("a chain is drawn from %v to %v, not across", first, last)
	}
}

// Neighbours are nearer than others, by far.
func TestNeighboursAreNear(t *testing.T) {
	for _, name := range []string{"square", "network"} {
		g := graphs[name]
		places := layout.Place(g, room)
		var edges, all, pairs float64
		for _, e := range g.Edges {
			edges += distance(places[e[0]], places[e[1]]) / float64(len(g.Edges))
		}
		for i, a := range places {
			for _, b := range places[:i] {
				all += distance(a, b)
				pairs++
			}
		}
		if all /= pairs; edges > all/3 {
			t.Errorf("%s: neighbours are %.0f apart, others %.0f", name, edges, all)
		}
	}
}

// Parts that nothing joins are side by side: no part stands on another one.
func TestPartsAreApart(t *testing.T) {
	g := square(6)
	other := star(30)
	for _, e := range other.Edges {
		g.Edges = append(g.Edges, [2]int{e[0] + g.Nodes, e[1] + g.Nodes})
	}
	first := g.Nodes
	g.Nodes += other.Nodes
	places := layout.Place(g, room)
	low, high := bounds(places[:first])
	otherLow, otherHigh := bounds(places[first:])
	if low.X < otherHigh.X && otherLow.X < high.X && low.Y < otherHigh.Y && otherLow.Y < high.Y {
		t.Errorf("parts from %v to %v and from %v to %v", low, high, otherLow, otherHigh)
	}
}

func bounds(places []layout.Point) (low, high layout.Point) {
	low, high = places[0], places[0]
	for _, p := range places {
		low = layout.Point{X: min(low.X, p.X), Y: min(low.Y, p.Y)}
		high = layout.Point{X: max(high.X, p.X), Y: max(high.Y, p.Y)}
	}
	return low, high
}

func distance(a, b layout.Point) float64 { return math.Hypot(float64(a.X-b.X), float64(a.Y-b.Y)) }

func abs(i int) int { return max(i, -i) }

func BenchmarkPlace(b *testing.B) {
	for _, n := range []int{1_000, 5_000, 50_000} {
		g := network(n)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				layout.Place(g, room)
			}
		})
	}
}
