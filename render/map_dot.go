package render

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"mbone/report"
)

// MapDOT writes a map for Graphviz: dot draws small ones best, sfdp large ones. A
// LAN is a small node between its routers, a tunnel is dashed, and an arrow goes
// from a router to one that it names but that does not name it. An end without an
// address is at the address that the router is called by.
func MapDOT(w io.Writer, m *report.Map) error {
	g := newDOT("map", `graph [overlap=false, sep="+24"]`, "node [fontsize=11]", "edge [dir=none, fontsize=9, labelfontsize=8]")
	for i := range m.Routers {
		r := &m.Routers[i]
		var label []string
		if r.Name != nil {
			label = append(label, *r.Name)
		}
		label = append(label, r.Address.String())
		if r.Version != nil {
			label = append(label, fmt.Sprintf("version %d.%d", r.Version.Major, r.Version.Minor))
		}
		var attributes []string
		switch r.State {
		case report.RouterSilent:
			label, attributes = append(label, "silent"), append(attributes, "style=dashed")
		case report.RouterNotAsked:
			label, attributes = append(label, "not asked"), append(attributes, "style=dotted")
		}
		notes := mapNotes(r)
		if r.State != report.RouterAnswered {
			notes = nil // the state is said, and why is in the tooltip
		}
		attributes = append(attributes, "tooltip="+dotQuote(mapTooltip(r)...))
		g.node(r.Address.String(), append(label, notes...), attributes...)
	}
	ids := linkIDs(m)
	for i := range m.Links {
		l := &m.Links[i]
		if ids[i] == "" {
			g.mapEdge(l)
			continue
		}
		g.node(ids[i], []string{"LAN"}, "shape=ellipse", "fontsize=9", "margin=0", "width=0.4", "height=0.2")
		for _, e := range l.Ends {
			g.edge(e.Router.String(), ids[i], endLabel(e), endAddress("taillabel", e)...)
		}
		for _, o := range l.OneWay {
			g.edge(o.From.String(), o.To.String(), []string{"one way"}, "dir=forward", "style=dotted", "constraint=false")
		}
	}
	return g.write(w)
}

// mapEdge draws a link between two routers.
func (d *dot) mapEdge(l *report.MapLink) {
	tail, head := l.Ends[0], l.Ends[1]
	direction := ""
	if len(l.OneWay) > 0 {
		direction = "dir=forward"
		if l.OneWay[0].From != tail.Router {
			tail, head = head, tail
		}
	}
	label := endLabel(tail)
	if other := endLabel(head); !slices.Equal(label, other) {
		label = append(label, other...)
	}
	attributes := append(endAddress("taillabel", tail), endAddress("headlabel", head)...)
	if l.Kind == report.LinkTunnel {
		attributes = append(attributes, "style=dashed")
	}
	if direction != "" {
		label, attributes = append(label, "one way"), append(attributes, direction)
	}
	d.edge(tail.Router.String(), head.Router.String(), label, attributes...)
}

// endLabel is what a router says of its side of a link, in a line, or none.
func endLabel(e report.LinkEnd) []string {
	if e.Metric == nil || e.Threshold == nil {
		return nil
	}
	text := fmt.Sprintf("%d/%d", *e.Metric, *e.Threshold)
	if len(e.Flags) > 0 {
		text += " " + strings.Join(e.Flags, "/")
	}
	return []string{text}
}

// endAddress is the attribute that shows the address of an end, or none.
func endAddress(attribute string, e report.LinkEnd) []string {
	if e.Interface == e.Router {
		return nil
	}
	return []string{attribute + "=" + dotQuote(e.Interface.String())}
}

// mapTooltip is what a label of a router has no room for.
func mapTooltip(r *report.MapRouter) []string {
	text := []string{r.Address.String()}
	if r.Reason != "" {
		text = append(text, r.Reason)
	}
	if r.Version != nil {
		text = append(text, r.Version.Text)
	}
	for _, a := range r.Aliases {
		line := "alias " + a.Address.String()
		if a.Name != nil {
			line += " (" + *a.Name + ")"
		}
		text = append(text, line)
	}
	return text
}

// linkIDs are the names of the nodes that stand for links of more than two
// routers, in the order of Map.Links; empty for links that are edges. A LAN is
// called by its first address, so that its name stays as long as that router;
// GraphML wants names without spaces.
func linkIDs(m *report.Map) []string {
	ids := make([]string, len(m.Links))
	taken := make(map[string]int)
	for i := range m.Links {
		l := &m.Links[i]
		if !hasHub(l) {
			continue
		}
		id := "lan"
		if len(l.Ends) > 0 {
			id += "-" + l.Ends[0].Interface.String()
		}
		taken[id]++
		if n := taken[id]; n > 1 {
			id = fmt.Sprintf("%s-%d", id, n)
		}
		ids[i] = id
	}
	return ids
}
