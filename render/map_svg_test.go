package render

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"image/png"
	"io"
	"os/exec"
	"slices"
	"strconv"
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

// A map too large to draw is an error before anything is written; a smaller one
// is not.
func TestMapTooLargeToDraw(t *testing.T) {
	m := emptyMap()
	m.Routers, m.Links = make([]report.MapRouter, 60_000), make([]report.MapLink, 50_000)
	for i := range m.Links {
		m.Links[i].Kind = report.LinkLAN
	}
	for name, draw := range map[string]func(io.Writer, *report.Map) error{"MapSVG": MapSVG, "MapHTML": MapHTML} {
		var b strings.Builder
		if err := draw(&b, m); err == nil || b.Len() > 0 ||
			!strings.HasPrefix(err.Error(), "too large to draw: 60000 routers and 50000 LANs, at most 100000 together; --within ") {
			t.Errorf("%s: %v, and %d bytes", name, err, b.Len())
		}
	}
	m.Links = m.Links[:40_000]
	if err := checkSize(m); err != nil {
		t.Error(err)
	}
	m.Links = append(m.Links, mapLink(report.LinkTunnel, unknownEnd("10.0.0.1"), unknownEnd("10.0.0.2"))) // is a line
	if err := checkSize(m); err != nil {
		t.Error(err)
	}
}

// The start has a ring, in the picture and in the legend, and its name is below it.
func TestMapSVGStart(t *testing.T) {
	_, root := drawSVG(t, chainMap())
	number := func(e *svgElement, attribute string) int {
		n, err := strconv.Atoi(e.attr(attribute))
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	routers := root.all("routers")[0]
	for _, part := range []*svgElement{routers, root.all("legend")[0]} {
		rings := part.all("start")
		if len(rings) != 1 {
			t.Fatalf("%d rings", len(rings))
		}
		inside := slices.ContainsFunc(part.all("router"), func(disc *svgElement) bool {
			return disc.attr("cx") == rings[0].attr("cx") && disc.attr("cy") == rings[0].attr("cy") && number(disc, "r")+2 < number(rings[0], "r")
		})
		if !inside {
			t.Error("no router is in the ring")
		}
	}
	// Letters of 10 pixels rise less than 8 above their line; the edges of both take 3.
	ring, name := routers.all("start")[0], routers.Children[0].all("name")[0]
	if gap := number(name, "y") - 8 - 3 - (number(ring, "cy") + number(ring, "r")); gap < 0 {
		t.Errorf("the name runs %d pixels into the ring", -gap)
	}
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
		text, root := drawSVG(t, tt.make())
		cmd := exec.Command(rsvg)
		cmd.Stdin = strings.NewReader(text)
		var complaints strings.Builder
		cmd.Stderr = &complaints
		out, err := cmd.Output()
		if err != nil || complaints.Len() > 0 {
			t.Errorf("%s: %v: %s", tt.name, err, complaints.String())
			continue
		}
		img, err := png.DecodeConfig(bytes.NewReader(out))
		if err != nil {
			t.Fatal(err)
		}
		if size := fmt.Sprintf("0 0 %d %d", img.Width, img.Height); size != root.attr("viewBox") {
			t.Errorf("%s: drawn as %q, not in its natural size %q", tt.name, size, root.attr("viewBox"))
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
