package render

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"mbone/proto/dvmrp"
	"mbone/report"
)

func mapText(o MapOptions) func(io.Writer, *report.Map) error {
	return func(w io.Writer, m *report.Map) error { return MapText(w, m, o) }
}

func mapGraphEd(o MapOptions) func(io.Writer, *report.Map) error {
	return func(w io.Writer, m *report.Map) error { return MapGraphEd(w, m, o) }
}

// rendered is what a format makes of a map: the same each time.
func rendered(t *testing.T, m *report.Map, format func(io.Writer, *report.Map) error) string {
	t.Helper()
	var first, second strings.Builder
	for _, b := range []*strings.Builder{&first, &second} {
		if err := format(b, m); err != nil {
			t.Fatal(err)
		}
	}
	if first.String() != second.String() {
		t.Errorf("two different outputs of one map:\n%s\n%s", first.String(), second.String())
	}
	return first.String()
}

// The files classic-*.txt are what the map-mbone of mrouted 4.6 printed, asking
// responders that answered by script what the maps here hold, and in lab-14-1
// four hosts with mrouted; only the date is that of the maps. Its order of routers is another one: the last octet counts
// most. All else must be the same.
func TestMapTextAsClassic(t *testing.T) {
	named := chainMap()
	call := func(n *report.Neighbor) {
		n.Name = new("r-" + strings.ReplaceAll(n.Address.String(), ".", "-") + ".example")
	}
	for k := range named.Routers {
		r := &named.Routers[k]
		self := report.Neighbor{Address: r.Address}
		call(&self)
		r.Name = self.Name
		for i := range r.Aliases {
			call(&r.Aliases[i])
		}
		for i := range r.Interfaces {
			for n := range r.Interfaces[i].Neighbors {
				call(&r.Interfaces[i].Neighbors[n])
			}
		}
	}
	lan := lanMap()
	for k := range lan.Routers { // it asks everybody
		if r := &lan.Routers[k]; r.State == report.RouterNotAsked {
			r.State = report.RouterSilent
		}
	}
	tunnels := tunnelMap()
	for k := range tunnels.Routers { // nobody disputes an address
		if r := &tunnels.Routers[k]; len(r.Disputed) > 0 {
			r.Interfaces = r.Interfaces[:1]
		}
	}
	alone := unansweredMap()
	alone.Flood = false

	numeric := MapOptions{Numeric: true}
	for _, tt := range []struct {
		file   string
		m      *report.Map
		format func(io.Writer, *report.Map) error
	}{
		{"classic-names.txt", named, mapText(MapOptions{})},
		{"classic-names-graphed.txt", named, mapGraphEd(MapOptions{})},
		{"classic-lab-14-1.txt", lab141Map(), mapText(numeric)},
		{"classic-lab-14-1-graphed.txt", lab141Map(), mapGraphEd(numeric)},
		{"classic-lan.txt", lan, mapText(numeric)},
		{"classic-lan-graphed.txt", lan, mapGraphEd(numeric)},
		{"classic-tunnels.txt", tunnels, mapText(numeric)},
		{"classic-tunnels-graphed.txt", tunnels, mapGraphEd(numeric)},
		{"classic-old.txt", oldMap(), mapText(numeric)},
		{"classic-single.txt", singleMap(), mapText(numeric)},
		{"classic-single-graphed.txt", singleMap(), mapGraphEd(numeric)},
		{"classic-unanswered.txt", unansweredMap(), mapText(numeric)},
		{"classic-unanswered-graphed.txt", unansweredMap(), mapGraphEd(numeric)},
		{"classic-unanswered-single.txt", alone, mapText(numeric)},
		{"classic-empty.txt", emptyMap(), mapText(numeric)},
		{"classic-empty-graphed.txt", emptyMap(), mapGraphEd(numeric)},
	} {
		want := readFile(t, tt.file)
		got := rendered(t, tt.m, tt.format)
		if !slices.Equal(sortedEntries(got), sortedEntries(want)) {
			t.Errorf("%s: got\n%s\nwant, in another order\n%s", tt.file, got, want)
		}
	}
}

// lab141Map is the network of internal/lab/topologies/lab-14-1.lab, of which one
// router did not answer at either of its addresses.
func lab141Map() *report.Map {
	return newMap("192.168.14.254", []report.MapRouter{
		mapRouter("192.168.7.254", 0,
			iface("192.168.14.254", 1, 1, dvmrp.FlagQuerier, "192.168.14.1"),
			iface("192.168.7.254", 1, 1, dvmrp.FlagQuerier, "192.168.7.7")),
		mapRouter("192.168.2.7", 1,
			iface("192.168.2.7", 1, 1, dvmrp.FlagQuerier, "192.168.2.254"),
			iface("192.168.7.7", 1, 1, dvmrp.FlagQuerier, "192.168.7.254"),
			iface("192.168.80.1", 1, 1, dvmrp.FlagQuerier, "192.168.80.254")),
		mapRouter("192.168.2.254", 2,
			iface("192.168.1.254", 1, 1, 0, "192.168.1.1"),
			iface("192.168.2.254", 1, 1, 0, "192.168.2.7"),
			iface("192.168.80.254", 1, 1, 0, "192.168.80.1"),
			iface("211.11.117.206", 1, 1, dvmrp.FlagQuerier, "0.0.0.0")),
		unknownRouter("192.168.1.1", 3, report.RouterSilent, "no answer"),
		unknownRouter("192.168.14.1", 1, report.RouterSilent, "no answer"),
	})
}

// sortedEntries are the routers of a classic output, in an order of their own.
func sortedEntries(s string) []string {
	const end = "    ;\n" // of a router in GraphEd
	if head, rest, ok := strings.Cut(s, "UNDIRECTED\n"); ok {
		entries := strings.SplitAfter(rest, end)
		slices.Sort(entries)
		return append(entries, head)
	}
	entries := strings.SplitAfter(s, "\n\n")
	slices.Sort(entries)
	return entries
}

// Routers are sorted by address as a person does it.
func TestMapTextOrder(t *testing.T) {
	heads := regexp.MustCompile(`(?m)^\d[^:]*`).FindAllString(rendered(t, tunnelMap(), mapText(MapOptions{})), -1)
	want := []string{"10.3.0.1", "10.3.9.1", "10.3.9.2", "10.4.0.1", "172.16.0.1", "192.168.200.1"}
	if !slices.Equal(heads, want) {
		t.Errorf("the order is %v, want %v", heads, want)
	}
}

// Each pair of interfaces that name each other is one edge, with what both say.
func TestMapGraphEdParallelLinks(t *testing.T) {
	got := rendered(t, oldMap(), mapGraphEd(MapOptions{}))
	want := "    33555722 \"1/1,2/8P\"\n    33555722 \"1/1P\"\n    ;\n"
	if !strings.Contains(got, want) {
		t.Errorf("got\n%s\nwant in it\n%s", got, want)
	}

	m := oldMap()
	for i := range m.Routers[0].Interfaces {
		m.Routers[0].Interfaces[i].Flags = nil // it knows the old form only, too
	}
	got = rendered(t, m, mapGraphEd(MapOptions{}))
	if want = strings.ReplaceAll(want, "P", ""); !strings.Contains(got, want) {
		t.Errorf("got\n%s\nwant in it\n%s", got, want)
	}
}

// A physical network and a tunnel join the same addresses: each is paired with
// its own kind.
func TestMapGraphEdNetworkAndTunnel(t *testing.T) {
	m := chainMap()
	m.Routers = m.Routers[:2]
	one, two := &m.Routers[0].Interfaces, &m.Routers[1].Interfaces
	add := func(to *[]report.Interface, like report.Interface, metric int) {
		like.Metric, like.Flags = metric, []string{"tunnel"}
		*to = append(*to, like)
	}
	add(one, (*one)[1], 5)
	*two = slices.Insert(*two, 0, (*two)[0])
	(*two)[0].Metric, (*two)[0].Flags = 7, []string{"tunnel"}
	got := rendered(t, m, mapGraphEd(MapOptions{Numeric: true}))
	want := "\"10.0.0.1\" \n    33619978 \"5/1,7/1E\"\n    33619978 \"1/1P\"\n    ;\n"
	if !strings.Contains(got, want) {
		t.Errorf("got\n%s\nwant in it\n%s", got, want)
	}
}

func TestMapFormats(t *testing.T) {
	formats := map[string]func(io.Writer, *report.Map) error{
		".txt": mapText(MapOptions{}), "-graphed.txt": mapGraphEd(MapOptions{}), "-table.txt": MapTable,
		".dot": MapDOT, ".graphml": MapGraphML,
	}
	goldens := map[string][]string{
		"chain":      {".txt", "-table.txt"},
		"lan":        {".txt", "-table.txt", ".dot", ".graphml"},
		"tunnels":    {"-table.txt", ".dot", ".graphml"},
		"old":        {"-table.txt"},
		"hostile":    {".txt", "-graphed.txt", "-table.txt", ".dot", ".graphml"},
		"unanswered": {"-table.txt"},
	}
	for _, tm := range testMaps {
		for ending, format := range formats {
			t.Run(tm.name+ending, func(t *testing.T) {
				got := rendered(t, tm.make(), format)
				if slices.Contains(goldens[tm.name], ending) {
					golden(t, "map-mbone-"+tm.name+ending, got)
				}
				for _, r := range got {
					if r != '\n' && !report.IsPrintable(r) {
						t.Errorf("the character %q is written as it is", r)
					}
				}
			})
		}
	}
}

// A note names a few routers and the number of the rest.
func TestMapTableOfMany(t *testing.T) {
	silent := unknownRouter("10.1.0.9", 1, report.RouterSilent, "no answer")
	m := newMap("10.0.0.0", []report.MapRouter{silent})
	for i := range 6 {
		m.Routers = append(m.Routers, mapRouter(fmt.Sprintf("10.2.0.%d", i), 0, iface(fmt.Sprintf("10.2.0.%d", i), 1, 1, 0, "10.1.0.9")))
	}
	got := rendered(t, m, MapTable)
	if want := "no answer; named by 10.2.0.0, 10.2.0.1, 10.2.0.2 and 3 more\n"; !strings.Contains(got, want) {
		t.Errorf("got\n%s\nwant in it\n%s", got, want)
	}
}

// Routers that do not hear each other on several links are named once.
func TestMapTableOfParallelLinks(t *testing.T) {
	one := mapRouter("192.0.2.1", 0, iface("192.0.2.1", 1, 1, 0), iface("192.0.2.3", 1, 1, 0))
	two := mapRouter("192.0.2.2", 1, iface("192.0.2.2", 1, 1, 0, "192.0.2.1"), iface("192.0.2.4", 1, 1, 0, "192.0.2.3"))
	link := func(a, b string) report.MapLink {
		return oneWay(mapLink(report.LinkPointToPoint, linkEnd("192.0.2.1", a, 1, 1), linkEnd("192.0.2.2", b, 1, 1)), [2]string{"192.0.2.2", "192.0.2.1"})
	}
	m := newMap("192.0.2.1", []report.MapRouter{one, two}, link("192.0.2.1", "192.0.2.2"), link("192.0.2.3", "192.0.2.4"))
	got := rendered(t, m, MapTable)
	for _, want := range []string{" one way from 192.0.2.2\n", " one way to 192.0.2.1\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("got\n%s\nwant in it %q", got, want)
		}
	}
}

// Graphviz takes the graphs, and shows names as they are.
func TestMapDOTDrawn(t *testing.T) {
	for _, tm := range testMaps {
		m := tm.make()
		graph := rendered(t, m, MapDOT)
		for _, program := range []string{"dot", "sfdp"} {
			t.Run(tm.name+"/"+program, func(t *testing.T) {
				shown := svgTexts(t, drawn(t, program, graph))
				for _, r := range m.Routers {
					name := r.Address.String()
					if r.Name != nil {
						name = report.Printable(*r.Name)
					}
					if !slices.Contains(shown, name) {
						t.Errorf("%q is not in the picture: %q", name, shown)
					}
				}
			})
		}
	}
}

// svgTexts are the texts in an SVG picture.
func svgTexts(t *testing.T, svg string) []string {
	t.Helper()
	var texts []string
	d := xml.NewDecoder(strings.NewReader(svg))
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return texts
		}
		if err != nil {
			t.Fatal(err)
		}
		if start, ok := token.(xml.StartElement); ok && start.Name.Local == "text" {
			var s string
			if err := d.DecodeElement(&s, &start); err != nil {
				t.Fatal(err)
			}
			texts = append(texts, strings.ReplaceAll(s, "\u00a0", " ")) // Graphviz keeps spaces so
		}
	}
}

// What GraphML demands: names without spaces, each declared once and before its
// use; data of declared keys, for the elements that these are for, of their type.
func TestMapGraphML(t *testing.T) {
	for _, tm := range testMaps {
		t.Run(tm.name, func(t *testing.T) { checkGraphML(t, tm.make()) })
	}
	// Two LANs that begin with the same address are two nodes.
	m := lanMap()
	m.Links = append(m.Links, m.Links[0])
	checkGraphML(t, m)
}

func checkGraphML(t *testing.T, m *report.Map) {
	t.Helper()
	got := rendered(t, m, MapGraphML)
	var g graphML
	d := xml.NewDecoder(strings.NewReader(got))
	if err := d.Decode(&g); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Token(); err != nil && !errors.Is(err, io.EOF) {
		t.Errorf("after the end: %v", err)
	}
	token := regexp.MustCompile(`^[\pL\pN._:-]+$`)
	seen := make(map[string]bool)
	declare := func(kind, id string) {
		t.Helper()
		if !token.MatchString(id) || seen[kind+id] {
			t.Errorf("%s %q is no name, or there are two", kind, id)
		}
		seen[kind+id] = true
	}
	keys := make(map[string]graphMLKey)
	for _, k := range g.Keys {
		declare("key ", k.ID)
		keys[k.ID] = k
		if !slices.Contains([]string{"graph", "node", "edge"}, k.For) || k.Name == "" ||
			!slices.Contains([]string{"string", "boolean", "int", "double"}, k.Type) {
			t.Errorf("the key %+v is for nothing, or has no type", k)
		}
	}
	check := func(kind string, data []graphMLData) {
		t.Helper()
		has := make(map[string]bool)
		for _, v := range data {
			k, known := keys[v.Key]
			if !known || k.For != kind || has[v.Key] {
				t.Errorf("%s has the key %q: known %v, of %q, twice %v", kind, v.Key, known, k.For, has[v.Key])
			}
			has[v.Key] = true
			var err error
			switch k.Type {
			case "boolean":
				_, err = strconv.ParseBool(v.Value)
			case "int":
				_, err = strconv.ParseInt(v.Value, 10, 32)
			case "double":
				_, err = strconv.ParseFloat(v.Value, 64)
			}
			if err != nil {
				t.Errorf("%s: %v", v.Key, err)
			}
		}
	}
	check("graph", g.Graph.Data)
	for _, n := range g.Graph.Nodes {
		declare("node ", n.ID)
		check("node", n.Data)
	}
	for _, e := range g.Graph.Edges {
		declare("edge ", e.ID)
		check("edge", e.Data)
		if !seen["node "+e.Source] || !seen["node "+e.Target] {
			t.Errorf("edge %s joins %q and %q, which are no nodes", e.ID, e.Source, e.Target)
		}
	}

	// All routers are there by their names, and each link has its ends.
	value := func(data []graphMLData, key string) string {
		for _, v := range data {
			if v.Key == key {
				return v.Value
			}
		}
		return ""
	}
	for i, r := range m.Routers {
		label := r.Address.String()
		if r.Name != nil {
			label = report.Printable(*r.Name)
		}
		if n := g.Graph.Nodes[i]; n.ID != r.Address.String() || value(n.Data, "node_label") != label ||
			value(n.Data, "node_state") != string(r.State) {
			t.Errorf("router %s is %+v", r.Address, n)
		}
	}
	edges, hubs := 0, 0
	for _, l := range m.Links {
		if l.Kind == report.LinkLAN {
			edges += len(l.Ends)
			hubs++
		} else {
			edges++
		}
	}
	if len(g.Graph.Nodes) != len(m.Routers)+hubs || len(g.Graph.Edges) != edges {
		t.Errorf("%d nodes and %d edges, want %d and %d", len(g.Graph.Nodes), len(g.Graph.Edges), len(m.Routers)+hubs, edges)
	}
}
