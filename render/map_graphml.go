package render

import (
	"encoding/xml"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"mbone/report"
)

// The GraphML format (graphml.graphdrawing.org): the keys declare what nodes and
// edges may have, and each has data for those of which something is known.
type (
	graphML struct {
		XMLName  xml.Name     `xml:"http://graphml.graphdrawing.org/xmlns graphml"`
		Instance string       `xml:"xmlns:xsi,attr"`
		Location string       `xml:"xsi:schemaLocation,attr"`
		Keys     []graphMLKey `xml:"key"`
		Graph    graphMLGraph `xml:"graph"`
	}
	graphMLKey struct {
		ID   string `xml:"id,attr"`
		For  string `xml:"for,attr"` // graph, node, edge
		Name string `xml:"attr.name,attr"`
		Type string `xml:"attr.type,attr"` // string, boolean, int, double
		Desc string `xml:"desc,omitempty"`
	}
	graphMLGraph struct {
		ID      string        `xml:"id,attr"`
		Default string        `xml:"edgedefault,attr"`
		Data    []graphMLData `xml:"data"`
		Nodes   []graphMLNode `xml:"node"`
		Edges   []graphMLEdge `xml:"edge"`
	}
	graphMLNode struct {
		ID   string        `xml:"id,attr"`
		Data []graphMLData `xml:"data"`
	}
	graphMLEdge struct {
		ID     string        `xml:"id,attr"`
		Source string        `xml:"source,attr"`
		Target string        `xml:"target,attr"`
		Data   []graphMLData `xml:"data"`
	}
	graphMLData struct {
		Key   string `xml:"key,attr"`
		Value string `xml:",chardata"`
	}
)

const (
	graphMLInstance = "http://www.w3.org/2001/XMLSchema-instance"
	graphMLLocation = "http://graphml.graphdrawing.org/xmlns http://graphml.graphdrawing.org/xmlns/1.0/graphml.xsd"
)

// mapKeys are the attributes of a map. Lists are words with spaces between them.
var mapKeys = []graphMLKey{
	{For: "graph", Name: "schema", Type: "string"},
	{For: "graph", Name: "time", Type: "string", Desc: "when the crawl began, or the first answer of a recording came"},
	{For: "graph", Name: "start", Type: "string", Desc: "addresses that the crawl began with"},
	{For: "graph", Name: "flood", Type: "boolean", Desc: "whether neighbours were asked, too"},
	{For: "graph", Name: "complete", Type: "boolean"},
	{For: "graph", Name: "reason", Type: "string", Desc: "why it is not complete"},

	{For: "node", Name: "label", Type: "string"},
	{For: "node", Name: "kind", Type: "string", Desc: "router, or lan: a link of several routers"},
	{For: "node", Name: "address", Type: "string"},
	{For: "node", Name: "name", Type: "string"},
	{For: "node", Name: "aliases", Type: "string", Desc: "other addresses of the router"},
	{For: "node", Name: "state", Type: "string", Desc: "answered, silent or not_asked"},
	{For: "node", Name: "reason", Type: "string", Desc: "why it is silent or was not asked"},
	{For: "node", Name: "depth", Type: "int", Desc: "steps from the start"},
	{For: "node", Name: "version", Type: "string", Desc: "major.minor"},
	{For: "node", Name: "version_text", Type: "string"},
	{For: "node", Name: "capabilities", Type: "string"},
	{For: "node", Name: "old_form", Type: "boolean", Desc: "it knows the old question only: no flags"},
	{For: "node", Name: "interfaces", Type: "int", Desc: "number of interfaces and tunnels"},
	{For: "node", Name: "rtt_ms", Type: "double"},
	{For: "node", Name: "tries", Type: "int"},
	{For: "node", Name: "bad_checksum", Type: "boolean"},
	{For: "node", Name: "uncertain", Type: "boolean", Desc: "the answer may lack interfaces or neighbours"},
	{For: "node", Name: "contradicted", Type: "boolean", Desc: "another answer says something else"},
	{For: "node", Name: "disputed", Type: "string", Desc: "addresses that it claims, but that are not known to be its own"},
	{For: "node", Name: "one_way", Type: "string", Desc: "pairs a>b on a LAN: a names b, but b does not name a"},

	{For: "edge", Name: "kind", Type: "string", Desc: "point_to_point, tunnel, or lan: from a router to a LAN"},
	{For: "edge", Name: "source_interface", Type: "string"},
	{For: "edge", Name: "source_metric", Type: "int"},
	{For: "edge", Name: "source_threshold", Type: "int"},
	{For: "edge", Name: "source_flags", Type: "string", Desc: "none: unknown"},
	{For: "edge", Name: "target_interface", Type: "string"},
	{For: "edge", Name: "target_metric", Type: "int"},
	{For: "edge", Name: "target_threshold", Type: "int"},
	{For: "edge", Name: "target_flags", Type: "string", Desc: "none: unknown"},
	{For: "edge", Name: "one_way", Type: "string", Desc: "a>b: a names b, but b does not name a"},
}

// graphMLID is the id of a key: names stand for several kinds of elements.
func graphMLID(of, name string) string { return of + "_" + name }

// MapGraphML writes a map as GraphML, for programs that draw and examine graphs.
// Routers and LANs are nodes. All edges are undirected, as many of these programs
// know no graphs of both kinds: data say which links are one-way.
func MapGraphML(w io.Writer, m *report.Map) error {
	g := graphML{Instance: graphMLInstance, Location: graphMLLocation, Graph: graphMLGraph{ID: "map", Default: "undirected"}}
	for _, k := range mapKeys {
		k.ID = graphMLID(k.For, k.Name)
		g.Keys = append(g.Keys, k)
	}
	d := dataOf("graph")
	d.text("schema", fmt.Sprintf("%s %d", report.MapSchema, report.MapVersion))
	d.text("time", m.Time.Format(time.RFC3339Nano))
	d.text("start", spaced(m.Start))
	d.flag("flood", m.Flood)
	d.flag("complete", m.Complete)
	d.text("reason", m.Reason)
	g.Graph.Data = d.data
	for i := range m.Routers {
		r := &m.Routers[i]
		g.Graph.Nodes = append(g.Graph.Nodes, graphMLNode{ID: r.Address.String(), Data: routerData(r)})
	}
	ids := linkIDs(m)
	edge := func(source, target string, data []graphMLData) {
		id := fmt.Sprintf("e%d", len(g.Graph.Edges))
		g.Graph.Edges = append(g.Graph.Edges, graphMLEdge{ID: id, Source: source, Target: target, Data: data})
	}
	for i := range m.Links {
		l := &m.Links[i]
		oneWay := make([]string, len(l.OneWay))
		for k, o := range l.OneWay {
			oneWay[k] = fmt.Sprintf("%s>%s", o.From, o.To)
		}
		if ids[i] == "" {
			d := dataOf("edge")
			d.text("kind", string(l.Kind))
			d.end("source", l.Ends[0])
			d.end("target", l.Ends[1])
			d.text("one_way", strings.Join(oneWay, " "))
			edge(l.Ends[0].Router.String(), l.Ends[1].Router.String(), d.data)
			continue
		}
		d := dataOf("node")
		d.text("label", "LAN")
		d.text("kind", string(report.LinkLAN))
		d.text("one_way", strings.Join(oneWay, " "))
		g.Graph.Nodes = append(g.Graph.Nodes, graphMLNode{ID: ids[i], Data: d.data})
		for _, e := range l.Ends {
			d := dataOf("edge")
			d.text("kind", string(report.LinkLAN))
			d.end("source", e)
			edge(e.Router.String(), ids[i], d.data)
		}
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	e := xml.NewEncoder(w)
	e.Indent("", "  ")
	if err := e.Encode(g); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

func routerData(r *report.MapRouter) []graphMLData {
	d := dataOf("node")
	if r.Name != nil {
		d.text("label", *r.Name)
	} else {
		d.text("label", r.Address.String())
	}
	d.text("kind", "router")
	d.text("address", r.Address.String())
	if r.Name != nil {
		d.text("name", *r.Name)
	}
	aliases := make([]string, len(r.Aliases))
	for i, a := range r.Aliases {
		aliases[i] = a.Address.String()
	}
	d.text("aliases", strings.Join(aliases, " "))
	d.text("state", string(r.State))
	d.text("reason", r.Reason)
	d.number("depth", &r.Depth)
	if r.Version != nil {
		d.text("version", fmt.Sprintf("%d.%d", r.Version.Major, r.Version.Minor))
		d.text("version_text", r.Version.Text)
		d.text("capabilities", strings.Join(r.Version.Capabilities, " "))
	}
	if r.State == report.RouterAnswered {
		d.flag("old_form", r.OldForm)
		interfaces := len(r.Interfaces)
		d.number("interfaces", &interfaces)
	}
	if r.RTT != nil {
		d.add("rtt_ms", strconv.FormatFloat(r.RTT.Duration().Seconds()*1000, 'f', 3, 64))
	}
	d.number("tries", r.Tries)
	if r.State == report.RouterAnswered {
		d.flag("bad_checksum", r.BadChecksum)
		d.flag("uncertain", r.Uncertain)
		d.flag("contradicted", r.Contradicted)
	}
	d.text("disputed", spaced(r.Disputed))
	return d.data
}

// elementData are the data of an element of a kind, in the order of mapKeys.
type elementData struct {
	of   string
	data []graphMLData
}

func dataOf(kind string) *elementData { return &elementData{of: kind} }

func (d *elementData) add(name, value string) {
	d.data = append(d.data, graphMLData{Key: graphMLID(d.of, name), Value: value})
}

// text adds what came from anywhere; nothing if it is empty.
func (d *elementData) text(name, value string) {
	if value != "" {
		d.add(name, report.Printable(value))
	}
}

func (d *elementData) flag(name string, value bool) { d.add(name, strconv.FormatBool(value)) }

// number adds a number unless it is unknown.
func (d *elementData) number(name string, value *int) {
	if value != nil {
		d.add(name, strconv.Itoa(*value))
	}
}

// end adds one end of a link.
func (d *elementData) end(side string, e report.LinkEnd) {
	d.text(side+"_interface", e.Interface.String())
	d.number(side+"_metric", e.Metric)
	d.number(side+"_threshold", e.Threshold)
	if e.Flags != nil {
		d.add(side+"_flags", report.Printable(strings.Join(e.Flags, " ")))
	}
}

// spaced are values with spaces between them.
func spaced[T fmt.Stringer](values []T) string {
	all := make([]string, len(values))
	for i, v := range values {
		all[i] = v.String()
	}
	return strings.Join(all, " ")
}
