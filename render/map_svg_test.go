package render

import (
	"encoding/xml"
	"io"
	"os/exec"
	"strings"
	"testing"

	"mbone/internal/lab"
	"mbone/report"
)

// svgElement is an element of a picture.
type svgElement struct {
	XMLName  xml.Name
	Attrs    []xml.Attr   `xml:",any,attr"`
	Text     string       `xml:",chardata"`
	Children []svgElement `xml:",any"`
}

func (e *svgElement) attr(name string) string {
	for _, a := range e.Attrs {
		if a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}

// all returns the elements of a class, in their order.
func (e *svgElement) all(class string) []*svgElement {
	var found []*svgElement
	if strings.Contains(" "+e.attr("class")+" ", " "+class+" ") {
		found = append(found, e)
	}
	for i := range e.Children {
		found = append(found, e.Children[i].all(class)...)
	}
	return found
}

func drawSVG(t *testing.T, m *report.Map) (text string, root *svgElement) {
	t.Helper()
	var b strings.Builder
	if err := MapSVG(&b, m); err != nil {
		t.Fatal(err)
	}
	d := xml.NewDecoder(strings.NewReader(b.String()))
	root = new(svgElement)
	if err := d.Decode(root); err != nil {
		t.Fatalf("%v in\n%s", err, b.String())
	}
	if rest, err := d.Token(); err == nil { // a line end is all that may come after the root
		if space, ok := rest.(xml.CharData); !ok || strings.TrimSpace(string(space)) != "" {
			t.Errorf("after the picture comes %v", rest)
		}
	}
	return b.String(), root
}

func TestMapSVG(t *testing.T) {
	for _, tt := range testMaps {
		t.Run(tt.name, func(t *testing.T) {
			m := tt.make()
			text, root := drawSVG(t, m)
			if again, _ := drawSVG(t, tt.make()); again != text {
				t.Error("the same map is drawn in another way")
			}
			if root.XMLName.Space != "http://www.w3.org/2000/svg" || root.attr("role") != "img" || root.attr("aria-labelledby") != "map-title map-desc" ||
				root.Children[0].attr("id") != "map-title" || root.Children[1].attr("id") != "map-desc" || !strings.Contains(root.Children[1].Text, "answered") {
				t.Error("people who do not see the picture are told nothing of it")
			}
			routers := root.all("routers")[0].Children
			if len(routers) != len(m.Routers) {
				t.Fatalf("%d routers are drawn, of %d", len(routers), len(m.Routers))
			}
			for i, r := range m.Routers {
				class := map[report.RouterState]string{report.RouterAnswered: "router", report.RouterSilent: "silent", report.RouterNotAsked: "not_asked"}[r.State]
				if len(routers[i].all(class)) != 1 {
					t.Errorf("%s is %s, and not drawn so", r.Address, r.State)
				}
				if title := routers[i].Children[0]; title.XMLName.Local != "title" || !strings.HasPrefix(title.Text, r.Address.String()) {
					t.Errorf("the router at %s is called %q", r.Address, title.Text)
				}
			}
			if links := root.all("links")[0].Children; len(links) != len(m.Links) {
				t.Errorf("%d links are drawn, of %d", len(links), len(m.Links))
			}
		})
	}
}

// Tunnels, links that are down and one-way links have their own strokes, a LAN has
// a hub with a line to each router, and two links of the same routers two lines.
func TestMapSVGLinks(t *testing.T) {
	_, root := drawSVG(t, tunnelMap())
	links := root.all("links")[0]
	if tunnels, down, oneWay := links.all("tunnel"), links.all("down"), links.all("oneway"); len(tunnels) != 3 || len(down) != 1 || len(oneWay) != 1 ||
		oneWay[0].attr("marker-mid") != "url(#arrow)" {
		t.Errorf("%d tunnels, %d down, %d one-way", len(tunnels), len(down), len(oneWay))
	}
	_, root = drawSVG(t, lanMap())
	links = root.all("links")[0]
	if hubs, lines, oneWay := links.all("hub"), links.all("link"), links.all("oneway"); len(hubs) != 1 || len(lines) != 4+1 || len(oneWay) != 2 {
		t.Errorf("%d hubs, %d lines, %d one-way", len(hubs), len(lines), len(oneWay))
	}
	_, root = drawSVG(t, oldMap())
	links = root.all("links")[0]
	if lines := links.all("link"); len(lines) != 2 || lines[0].attr("d") == lines[1].attr("d") {
		t.Error("two links of the same routers are one line")
	}
}

// A map may name routers and ends that it does not have: they are left out.
func TestMapSVGOdd(t *testing.T) {
	m := chainMap()
	m.Links[0].Ends[0].Router = addr("192.0.2.1")
	m.Links = append(m.Links, report.MapLink{Kind: "new"}, mapLink(report.LinkTunnel, unknownEnd("10.0.0.1"), unknownEnd("10.0.0.1")))
	_, root := drawSVG(t, m)
	if lines := root.all("links")[0].all("link"); len(lines) != 1 {
		t.Errorf("%d lines are drawn", len(lines))
	}
	drawPage(t, m)
}

func TestMapSVGHostile(t *testing.T) {
	text, root := drawSVG(t, hostileMap())
	for _, bad := range []string{"<script", "\x1b", "\u202e", "<!--"} {
		if strings.Contains(text, bad) {
			t.Errorf("the picture contains %q", bad)
		}
	}
	if title := root.all("routers")[0].Children[1].Children[0].Text; !strings.Contains(title, "<script>alert(1)</script>") {
		t.Errorf("the name of the second router is lost: %q", title)
	}
}

// A program that draws pictures reads ours.
func TestMapSVGWithRsvg(t *testing.T) {
	lab.Require(t, lab.Peers, "rsvg-convert")
	rsvg, err := lab.Find("rsvg-convert")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range testMaps {
		text, _ := drawSVG(t, tt.make())
		cmd := exec.Command(rsvg, "--width=400")
		cmd.Stdin = strings.NewReader(text)
		var complaints strings.Builder
		cmd.Stderr = &complaints
		out, err := cmd.Output()
		if err != nil || complaints.Len() > 0 || !strings.HasPrefix(string(out), "\x89PNG") {
			t.Errorf("%s: %v: %s", tt.name, err, complaints.String())
		}
	}
}

func BenchmarkMapSVG(b *testing.B) {
	m := randomMap(1, 1000)
	for b.Loop() {
		if err := MapSVG(io.Discard, m); err != nil {
			b.Fatal(err)
		}
	}
}
