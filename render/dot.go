package render

import (
	"fmt"
	"io"
	"strings"

	"mbone/report"
)

// dot is a directed graph in the DOT language of Graphviz, written in the order
// of its making.
type dot struct {
	text  strings.Builder
	nodes map[string]bool
}

// newDOT begins a graph; the statements are for all of it, "edge [dir=none]".
func newDOT(name string, statements ...string) *dot {
	d := &dot{nodes: make(map[string]bool)}
	fmt.Fprintf(&d.text, "digraph %s {\n", name)
	for _, s := range append([]string{"node [shape=box]"}, statements...) {
		fmt.Fprintf(&d.text, "  %s;\n", s)
	}
	return d
}

// node draws a node once: later calls with the same id change nothing.
func (d *dot) node(id string, label []string, attributes ...string) {
	if d.nodes[id] {
		return
	}
	d.nodes[id] = true
	fmt.Fprintf(&d.text, "  %s%s;\n", dotQuote(id), dotAttributes(label, attributes))
}

func (d *dot) edge(from, to string, label []string, attributes ...string) {
	fmt.Fprintf(&d.text, "  %s -> %s%s;\n", dotQuote(from), dotQuote(to), dotAttributes(label, attributes))
}

// write ends the graph.
func (d *dot) write(w io.Writer) error {
	_, err := io.WriteString(w, d.text.String()+"}\n")
	return err
}

func dotAttributes(label, attributes []string) string {
	return " [" + strings.Join(append([]string{"label=" + dotQuote(label...)}, attributes...), ", ") + "]"
}

var dotEscapes = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "&", "&amp;")

// dotQuote is a quoted string of the DOT language that shows its lines as they
// are: a backslash would begin one of Graphviz' own escapes, and an ampersand a
// character of HTML.
func dotQuote(lines ...string) string {
	quoted := make([]string, len(lines))
	for i, line := range lines {
		quoted[i] = dotEscapes.Replace(report.Printable(line))
	}
	return `"` + strings.Join(quoted, `\n`) + `"`
}
