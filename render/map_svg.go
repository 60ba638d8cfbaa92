package render

import (
	"encoding/xml"
	"fmt"
	"io"
	"math"
	"net/netip"
	"strings"
	"unicode/utf8"

	"mbone/render/internal/layout"
	"mbone/report"
)

// MapSVG draws a map as a picture: routers with their names and versions, LANs as
// hubs, and the lines between them. Positions are always the same for the same map.
// A map of more than 100,000 routers and LANs is an error, before anything is
// written.
func MapSVG(w io.Writer, m *report.Map) error {
	if err := checkSize(m); err != nil {
		return err
	}
	s := &svg{m: m, graph: newMapGraph(m), versions: mapVersions(m)}
	s.head()
	s.open("g", `class="links"`)
	s.links()
	s.close("g")
	s.open("g", `class="routers"`)
	for i := range m.Routers {
		s.router(i)
	}
	s.close("g")
	s.legend()
	s.close("svg")
	_, err := io.WriteString(w, s.text.String())
	return err
}

// Measures of the picture, in pixels.
const (
	svgMargin    = 24
	svgHead      = 64 // the title and the counts
	svgLegendRow = 30
	svgMinWidth  = 640
	svgRadius    = 9  // of a router
	svgRing      = 13 // radius of the ring round a start
	svgLetter    = 6  // the width of one, about, of text without narrow letters
	svgLabel     = 18 // the most letters below a router
	svgBend      = 14 // between two links of the same two routers
)

// versionColors tell versions apart for colour-blind people, too (M. Okabe, K.
// Ito, "Color Universal Design", 2008); the last one is for all that are left.
var versionColors = []string{"#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442", "#8a94a3"}

// versionColor is the class of the version with a number in mapVersions.
func versionColor(number int) int { return min(number, len(versionColors)-1) }

const svgStyle = `
svg { background: #fff; font: 11px system-ui, "Segoe UI", Roboto, "Helvetica Neue", "DejaVu Sans", Arial, sans-serif; }
.paper { fill: #fff; }
text { fill: #1c2733; }
.title { font-size: 18px; font-weight: 600; }
.counts, .note { fill: #52606d; font-size: 12px; }
.name { font-size: 10px; text-anchor: middle; paint-order: stroke; stroke: #fff; stroke-width: 3px; stroke-linejoin: round; }
.small { font-size: 9px; fill: #52606d; }
.link { fill: none; stroke: #7b8794; stroke-width: 1.6; }
.tunnel { stroke-dasharray: 7 4; }
.down { stroke-dasharray: 1.5 4; stroke-linecap: round; }
.oneway { stroke: #b8381a; stroke-width: 2.2; }
.head { fill: #b8381a; }
.hub { fill: #52606d; }
.router { stroke: #1c2733; stroke-width: 1.4; }
.silent { fill: #fff; stroke: #b8381a; stroke-width: 1.8; stroke-dasharray: 3.5 2; }
.not_asked { fill: #fff; stroke: #52606d; stroke-width: 1.8; stroke-dasharray: 1.5 2; }
.start { fill: none; stroke: #1c2733; stroke-width: 1.4; }
.rule { stroke: #d3dae2; }
`

// svg is a picture in the making.
type svg struct {
	m        *report.Map
	graph    *mapGraph
	versions []string
	text     strings.Builder
}

func (s *svg) open(element, attributes string) {
	fmt.Fprintf(&s.text, "<%s %s>\n", element, attributes)
}
func (s *svg) close(element string) { fmt.Fprintf(&s.text, "</%s>\n", element) }

// element writes one with text in it.
func (s *svg) element(name, attributes, text string) {
	if attributes != "" {
		attributes = " " + attributes
	}
	fmt.Fprintf(&s.text, "<%s%s>%s</%s>\n", name, attributes, svgText(text), name)
}

func (s *svg) write(format string, args ...any) { fmt.Fprintf(&s.text, format+"\n", args...) }

// svgText escapes what is not markup. What has no shape is shown as U+FFFD.
func svgText(text string) string {
	var b strings.Builder
	// A strings.Builder has no errors.
	_ = xml.EscapeText(&b, []byte(report.Printable(text)))
	return b.String()
}

func (s *svg) width() int { return max(svgMinWidth, s.graph.width+2*svgMargin) }

func (s *svg) head() {
	height := svgHead + s.graph.height + 3*svgMargin + len(s.legendRows())*svgLegendRow
	s.write(`<?xml version="1.0" encoding="UTF-8"?>`)
	// As large as the window at most: a browser shows all of it. Other programs take
	// the size of the viewBox.
	s.open("svg", fmt.Sprintf(`xmlns="http://www.w3.org/2000/svg" width="100%%" height="100%%" viewBox="0 0 %d %d" preserveAspectRatio="xMidYMin meet" role="img" aria-labelledby="map-title map-desc"`,
		s.width(), height))
	s.element("title", `id="map-title"`, mapHeading(s.m))
	s.element("desc", `id="map-desc"`, mapDescription(s.m))
	s.write("<style>%ssvg { max-width: %dpx; max-height: %dpx; }\n</style>", svgStyle, s.width(), height)
	s.write(`<defs><marker id="arrow" viewBox="0 0 10 10" refX="5" refY="5" markerWidth="12" markerHeight="12" markerUnits="userSpaceOnUse" orient="auto"><path class="head" d="M0,1 L10,5 L0,9 Z"/></marker></defs>`)
	s.write(`<rect class="paper" width="%d" height="%d"/>`, s.width(), height)
	s.element("text", fmt.Sprintf(`class="title" x="%d" y="%d"`, svgMargin, svgMargin+14), mapHeading(s.m))
	s.element("text", fmt.Sprintf(`class="counts" x="%d" y="%d"`, svgMargin, svgMargin+34), mapDescription(s.m))
}

// at is where a node stands in the picture.
func (s *svg) at(p layout.Point) layout.Point {
	return layout.Point{X: p.X + (s.width()-s.graph.width)/2, Y: p.Y + svgHead + svgMargin}
}

func (s *svg) links() {
	drawn := make(map[[2]int]int) // links between the same two routers
	for i := range s.m.Links {
		l := &s.m.Links[i]
		if hasHub(l) {
			s.lan(l, s.at(s.graph.hubs[i]))
			continue
		}
		a, okA := s.graph.number[l.Ends[0].Router]
		b, okB := s.graph.number[l.Ends[1].Router]
		if !okA || !okB || a == b {
			continue
		}
		pair := [2]int{min(a, b), max(a, b)}
		bend := (drawn[pair] + 1) / 2 * svgBend
		if drawn[pair]%2 == 1 {
			bend = -bend
		}
		drawn[pair]++
		from, to := s.at(s.graph.routers[pair[0]]), s.at(s.graph.routers[pair[1]])
		there, back := namesOnly(l, s.m.Routers[pair[0]].Address), namesOnly(l, s.m.Routers[pair[1]].Address)
		s.write("<g>")
		s.element("title", "", linkText(l))
		s.line(linkClasses(l), from, to, float64(bend), there, back)
		s.close("g")
	}
}

// namesOnly is whether a router names another one of a link that does not name it.
func namesOnly(l *report.MapLink, from netip.Addr) bool {
	for _, o := range l.OneWay {
		if o.From == from {
			return true
		}
	}
	return false
}

// lan draws a hub and a line to each router on it. Of a pair of which only one
// names the other, an arrow goes from that one through the hub to the other.
func (s *svg) lan(l *report.MapLink, hub layout.Point) {
	s.write("<g>")
	s.element("title", "", linkText(l))
	for _, e := range l.Ends {
		n, ok := s.graph.number[e.Router]
		if !ok {
			continue
		}
		var out, in bool
		for _, o := range l.OneWay {
			out, in = out || o.From == e.Router, in || o.To == e.Router
		}
		s.line(linkClasses(&report.MapLink{Kind: l.Kind, Ends: []report.LinkEnd{e}}), s.at(s.graph.routers[n]), hub, 0, out, in)
	}
	s.write(`<rect class="hub" x="%d" y="%d" width="22" height="8" rx="2"/>`, hub.X-11, hub.Y-4)
	s.close("g")
}

// linkClasses are the classes of a line.
func linkClasses(l *report.MapLink) string {
	classes := "link"
	if l.Kind == report.LinkTunnel {
		classes += " tunnel"
	}
	if linkIsDown(l) {
		classes += " down"
	}
	return classes
}

// linkIsDown is whether an end says that it is not in use.
func linkIsDown(l *report.MapLink) bool {
	for _, e := range l.Ends {
		for _, f := range e.Flags {
			if f == "down" || f == "disabled" {
				return true
			}
		}
	}
	return false
}

// line draws one between two nodes, bent aside by some pixels. If only one end
// names the other, an arrow head in the middle shows which.
func (s *svg) line(classes string, from, to layout.Point, bend float64, there, back bool) {
	dx, dy := float64(to.X-from.X), float64(to.Y-from.Y)
	length := math.Sqrt(float64(dx*dx) + float64(dy*dy))
	if length == 0 {
		return
	}
	if back {
		// The head points along the line: draw one from the other end.
		s.line(classes, to, from, -bend, true, false)
		if !there {
			return
		}
	}
	head := ""
	if there {
		classes += " oneway"
		head = ` marker-mid="url(#arrow)"`
	}
	// Two curves that meet in the middle, halfway to the point that bends them.
	x, y := float64(from.X+to.X)/2, float64(from.Y+to.Y)/2
	x, y = x-bend*dy/length, y+bend*dx/length
	bendX, bendY := -bend*dy/length/2, bend*dx/length/2
	s.write(`<path class="%s" d="M%d,%d Q%.1f,%.1f %.1f,%.1f Q%.1f,%.1f %d,%d"%s/>`, classes, from.X, from.Y,
		(float64(from.X)+x)/2+bendX, (float64(from.Y)+y)/2+bendY, x, y,
		(float64(to.X)+x)/2+bendX, (float64(to.Y)+y)/2+bendY, to.X, to.Y, head)
}

func (s *svg) router(i int) {
	r := &s.m.Routers[i]
	at := s.at(s.graph.routers[i])
	s.write("<g>")
	s.element("title", "", routerText(r))
	bottom := at.Y + svgRadius
	if r.Depth == 0 {
		s.ring(at)
		bottom = at.Y + svgRing
	}
	s.symbol(r.State, s.versionNumber(r), at)
	s.element("text", fmt.Sprintf(`class="name" x="%d" y="%d"`, at.X, bottom+14), shorten(routerLabel(r), svgLabel))
	s.element("text", fmt.Sprintf(`class="name small" x="%d" y="%d"`, at.X, bottom+25), routerNote(r))
	s.close("g")
}

// ring marks a start.
func (s *svg) ring(at layout.Point) {
	s.write(`<circle class="start" cx="%d" cy="%d" r="%d"/>`, at.X, at.Y, svgRing)
}

// versionNumber is the place of a router's version in the list of them.
func (s *svg) versionNumber(r *report.MapRouter) int {
	for i, v := range s.versions {
		if v == versionOf(r) {
			return i
		}
	}
	return len(versionColors) - 1
}

// symbol draws a router: a disc if it answered, a diamond if it is silent, a
// square if it was not asked.
func (s *svg) symbol(state report.RouterState, version int, at layout.Point) {
	switch state {
	case report.RouterAnswered:
		s.write(`<circle class="router" fill="%s" cx="%d" cy="%d" r="%d"/>`, versionColors[versionColor(version)], at.X, at.Y, svgRadius)
	case report.RouterSilent:
		s.write(`<path class="silent" d="M%d,%d l11,11 l-11,11 l-11,-11 Z"/>`, at.X, at.Y-11)
	default:
		s.write(`<rect class="not_asked" x="%d" y="%d" width="16" height="16" rx="2"/>`, at.X-8, at.Y-8)
	}
}

// legendEntry is a symbol with its meaning.
type legendEntry struct {
	draw func(at layout.Point)
	text string
}

// legendRows are the entries of the legend, as many in a row as there is room.
func (s *svg) legendRows() [][]legendEntry {
	var entries []legendEntry
	for i, v := range s.versions {
		if i >= len(versionColors)-1 {
			entries = append(entries, s.routerEntry(report.RouterAnswered, i, "other versions"))
			break
		}
		entries = append(entries, s.routerEntry(report.RouterAnswered, i, versionName(v)))
	}
	entries = append(entries,
		s.routerEntry(report.RouterSilent, 0, "silent"),
		s.routerEntry(report.RouterNotAsked, 0, "not asked"),
		legendEntry{func(at layout.Point) {
			s.ring(at)
			s.write(`<circle class="router" fill="#fff" cx="%d" cy="%d" r="%d"/>`, at.X, at.Y, svgRadius)
		}, "start"},
		legendEntry{func(at layout.Point) {
			s.write(`<rect class="hub" x="%d" y="%d" width="22" height="8" rx="2"/>`, at.X-11, at.Y-4)
		}, "LAN"},
		s.lineEntry("link", false, "link"),
		s.lineEntry("link tunnel", false, "tunnel"),
		s.lineEntry("link down", false, "down or disabled"),
		s.lineEntry("link", true, "only one names the other"))
	var rows [][]legendEntry
	left := 0
	for _, e := range entries {
		if left -= legendWidth(e); left < 0 {
			rows = append(rows, nil)
			left = s.width() - 2*svgMargin - legendWidth(e)
		}
		rows[len(rows)-1] = append(rows[len(rows)-1], e)
	}
	return rows
}

func (s *svg) routerEntry(state report.RouterState, version int, text string) legendEntry {
	return legendEntry{func(at layout.Point) { s.symbol(state, version, at) }, text}
}

func (s *svg) lineEntry(classes string, arrow bool, text string) legendEntry {
	return legendEntry{func(at layout.Point) {
		s.line(classes, layout.Point{X: at.X - 14, Y: at.Y}, layout.Point{X: at.X + 14, Y: at.Y}, 0, arrow, false)
	}, text}
}

func legendWidth(e legendEntry) int { return 52 + svgLetter*len(e.text) }

func (s *svg) legend() {
	top := svgHead + s.graph.height + 3*svgMargin
	s.open("g", `class="legend"`)
	s.write(`<path class="rule" d="M%d,%d H%d"/>`, svgMargin, top-20, s.width()-svgMargin)
	for row, entries := range s.legendRows() {
		x, y := svgMargin+14, top+row*svgLegendRow
		for _, e := range entries {
			e.draw(layout.Point{X: x, Y: y})
			s.element("text", fmt.Sprintf(`class="note" x="%d" y="%d"`, x+22, y+4), e.text)
			x += legendWidth(e)
		}
	}
	s.close("g")
}

// shorten cuts a text to a number of letters.
func shorten(text string, letters int) string {
	if utf8.RuneCountInString(text) <= letters {
		return text
	}
	return string([]rune(text)[:letters-1]) + "…"
}
