package render

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"html"
	"io"
	"strings"

	"mbone/render/internal/layout"
	"mbone/report"
)

// The parts of the page. Cytoscape.js draws the map; docs/dependencies.md has its
// version and licence.
var (
	//go:embed page/page.html
	pageHTML string
	//go:embed page/style.css
	pageStyle string
	//go:embed page/script.js
	pageScript string
	//go:embed page/cytoscape.min.js
	pageCytoscape string
)

// pageData is what the page's script draws: the document as it is, and what is
// computed here so that it is the same everywhere.
type pageData struct {
	Map *report.Map `json:"map"`
	// Routers and Hubs are the positions of the routers of the map and of the hubs of
	// its links; null at links without a hub.
	Routers [][2]int  `json:"routers"`
	Hubs    []*[2]int `json:"hubs"`
	// Versions are in the order of Colors; the last color is for all that are left.
	Versions []string `json:"versions"`
	Colors   []string `json:"colors"`
}

// MapHTML draws a map as a page to look around in. It is one file that needs no
// network: a browser that keeps to its Content-Security-Policy loads nothing and
// connects to nobody, and runs no other scripts than those of the page. A map of
// more than 100,000 routers and LANs is an error, before anything is written.
func MapHTML(w io.Writer, m *report.Map) error {
	if err := checkSize(m); err != nil {
		return err
	}
	g := newMapGraph(m)
	d := pageData{Map: m, Routers: make([][2]int, len(g.routers)), Hubs: make([]*[2]int, len(g.hubs)), Versions: mapVersions(m), Colors: versionColors}
	for i, p := range g.routers {
		d.Routers[i] = [2]int{p.X, p.Y}
	}
	for i, p := range g.hubs {
		if p != (layout.Point{}) {
			d.Hubs[i] = &[2]int{p.X, p.Y}
		}
	}
	// Marshal escapes <, >, &, U+2028 and U+2029, so nothing in it ends the element.
	data, err := json.Marshal(d)
	if err != nil {
		return err
	}
	policy := "default-src 'none'; base-uri 'none'; form-action 'none'; style-src " + hashOf(pageStyle) +
		"; script-src " + hashOf(pageCytoscape) + " " + hashOf(pageScript)
	_, err = strings.NewReplacer(
		"{{policy}}", policy,
		"{{title}}", html.EscapeString(report.Printable(mapHeading(m))),
		"{{description}}", html.EscapeString(report.Printable(mapDescription(m))),
		"{{style}}", pageStyle,
		"{{data}}", string(data),
		"{{cytoscape}}", pageCytoscape,
		"{{script}}", pageScript,
	).WriteString(w, pageHTML)
	return err
}

// hashOf names a style or script in a Content-Security-Policy.
func hashOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}
