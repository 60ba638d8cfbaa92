package render

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"mbone/render/internal/layout"
	"mbone/report"
)

// mapGraph is a map as the picture and the page draw it: its routers and the hubs
// of its links that join more than two are nodes.
type mapGraph struct {
	routers []layout.Point // as in Map.Routers
	hubs    []layout.Point // as in Map.Links; nothing at links without a hub
	width   int
	height  int
	number  map[netip.Addr]int // of a router, by MapRouter.Address
}

// nodeRoom is the room of a node and the two short lines of text below it.
var nodeRoom = layout.Box{Width: 112, Height: 58}

// hasHub is whether a link is drawn as a node with a line to each of its ends.
func hasHub(l *report.MapLink) bool { return l.Kind == report.LinkLAN || len(l.Ends) != 2 }

// maxDrawn is the most nodes of a drawing, routers and hubs: with more it takes
// minutes, and nobody sees anything in it.
const maxDrawn = 100_000

// checkSize returns an error if a map is too large to be drawn.
func checkSize(m *report.Map) error {
	hubs := 0
	for i := range m.Links {
		if hasHub(&m.Links[i]) {
			hubs++
		}
	}
	if len(m.Routers)+hubs <= maxDrawn {
		return nil
	}
	return fmt.Errorf("too large to draw: %s and %s, at most %d together; --within and --depth bound a crawl, the other formats have no such limit",
		plural(len(m.Routers), "router"), plural(hubs, "LAN"), maxDrawn)
}

func newMapGraph(m *report.Map) *mapGraph {
	g := &mapGraph{number: make(map[netip.Addr]int, len(m.Routers)), hubs: make([]layout.Point, len(m.Links))}
	for i := range m.Routers {
		g.number[m.Routers[i].Address] = i
	}
	graph := layout.Graph{Nodes: len(m.Routers)}
	var withHub []int
	for i := range m.Links {
		l := &m.Links[i]
		var ends []int
		for _, e := range l.Ends {
			if n, ok := g.number[e.Router]; ok {
				ends = append(ends, n)
			}
		}
		switch {
		case hasHub(l):
			for _, n := range ends {
				graph.Edges = append(graph.Edges, [2]int{n, graph.Nodes})
			}
			withHub = append(withHub, i)
			graph.Nodes++
		case len(ends) == 2:
			graph.Edges = append(graph.Edges, [2]int{ends[0], ends[1]})
		}
	}
	places := layout.Place(graph, nodeRoom)
	g.routers = places[:len(m.Routers)]
	for k, i := range withHub {
		g.hubs[i] = places[len(m.Routers)+k]
	}
	for _, p := range places {
		g.width, g.height = max(g.width, p.X+nodeRoom.Width/2), max(g.height, p.Y+nodeRoom.Height/2)
	}
	return g
}

// noVersion is the version of routers that do not say theirs.
const noVersion = ""

// versionOf is the number by which a router's version is drawn, "3.255".
func versionOf(r *report.MapRouter) string {
	if r.Version == nil {
		return noVersion
	}
	return fmt.Sprintf("%d.%d", r.Version.Major, r.Version.Minor)
}

// mapVersions are the versions in a map, the most frequent first.
func mapVersions(m *report.Map) []string {
	count := make(map[string]int)
	var versions []string
	for i := range m.Routers {
		if r := &m.Routers[i]; r.State == report.RouterAnswered {
			v := versionOf(r)
			if count[v] == 0 {
				versions = append(versions, v)
			}
			count[v]++
		}
	}
	slices.SortStableFunc(versions, func(a, b string) int { return cmp.Compare(count[b], count[a]) })
	return versions
}

// versionName is a version as a legend has it.
func versionName(v string) string {
	if v == noVersion {
		return "version unknown"
	}
	return "version " + v
}

// mapHeading is the heading of a picture.
func mapHeading(m *report.Map) string {
	var start []string
	for _, a := range m.Start {
		start = append(start, a.String())
	}
	if len(start) > maxStarts {
		start = append(start[:maxStarts], "…")
	}
	if len(start) == 0 {
		return "Multicast routers"
	}
	return "Multicast routers from " + strings.Join(start, ", ")
}

// maxStarts is how many starting points a heading names.
const maxStarts = 3

// mapDescription says in words what a map holds, and whether that is all.
func mapDescription(m *report.Map) string {
	count := make(map[report.RouterState]int)
	for i := range m.Routers {
		count[m.Routers[i].State]++
	}
	text := fmt.Sprintf("%s: %d answered, %d silent, %d not asked; %s.", plural(len(m.Routers), "router"),
		count[report.RouterAnswered], count[report.RouterSilent], count[report.RouterNotAsked], plural(len(m.Links), "link"))
	if !m.Time.IsZero() {
		text += " " + m.Time.UTC().Format("2006-01-02 15:04:05 UTC") + "."
	}
	if !m.Complete {
		text += " Not complete: " + m.Reason + "."
	}
	return text
}

func plural(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// routerLabel is what a router is called in a picture.
func routerLabel(r *report.MapRouter) string {
	if r.Name != nil && *r.Name != "" {
		return *r.Name
	}
	return r.Address.String()
}

// routerNote is the second line below a router: its version, or why it has none.
func routerNote(r *report.MapRouter) string {
	switch {
	case r.State == report.RouterSilent:
		return "silent"
	case r.State == report.RouterNotAsked:
		return "not asked"
	case r.Version == nil:
		return "old form"
	}
	return versionOf(r)
}

// routerText says in a line what there is to know of a router.
func routerText(r *report.MapRouter) string {
	text := r.Address.String()
	if r.Name != nil {
		text += " (" + *r.Name + ")"
	}
	for _, a := range r.Aliases {
		text += ", " + a.Address.String()
	}
	text += ": " + routerNote(r)
	if r.Reason != "" {
		text += ", " + r.Reason
	}
	return text
}

// linkText says in a line what there is to know of a link.
func linkText(l *report.MapLink) string {
	kind := map[report.LinkKind]string{report.LinkLAN: "LAN", report.LinkTunnel: "tunnel"}[l.Kind]
	if kind == "" {
		kind = "link"
	}
	ends := make([]string, len(l.Ends))
	for i, e := range l.Ends {
		ends[i] = e.Router.String()
		if e.Interface != e.Router {
			ends[i] += " (" + e.Interface.String() + ")"
		}
		if e.Metric != nil && e.Threshold != nil {
			ends[i] += fmt.Sprintf(" [%d/%d%s]", *e.Metric, *e.Threshold, flagText(e.Flags))
		}
	}
	text := kind + ": " + strings.Join(ends, " - ")
	for _, o := range l.OneWay {
		text += fmt.Sprintf("; %s does not name %s", o.To, o.From)
	}
	return text
}

// flagText is "/tunnel/down".
func flagText(flags []string) string {
	if len(flags) == 0 {
		return ""
	}
	return "/" + strings.Join(flags, "/")
}
