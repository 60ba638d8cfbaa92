// Package render draws the values of package report as classic text, tables and
// graphs. Its functions write nothing but what their arguments say, in the same
// way each time; what came from a network is made harmless for a terminal.
package render

import (
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"mbone/report"
)

// RouterText writes the answer of one router as mrouted 4.6's mrinfo does, and
// nothing for a silent router. If numeric is set (option -n) addresses stand in
// the place of names.
func RouterText(w io.Writer, r *report.Router, numeric bool) error {
	if !r.Answered {
		return nil
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s (%s)", r.Address, classicName(r.Address.Addr, r.Name, numeric))
	if r.Version != nil {
		fmt.Fprintf(&b, " [%s]", report.Printable(r.Version.Text))
	}
	b.WriteString(":\n")
	for _, i := range r.Interfaces {
		for _, n := range neighborsOf(i) {
			fmt.Fprintf(&b, "  %s -> %s (%s) [%d/%d", i.Address, n.Address, classicName(n.Address, n.Name, numeric), i.Metric, i.Threshold)
			for _, f := range i.Flags {
				b.WriteString("/" + report.Printable(f))
			}
			b.WriteString("]\n")
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// classicName is what stands between parentheses after an address.
func classicName(a netip.Addr, name *string, numeric bool) string {
	switch {
	case a.IsUnspecified():
		return "local"
	case numeric:
		return a.String()
	case name == nil:
		return "N/A"
	default:
		return report.Printable(*name)
	}
}

// neighborsOf returns the neighbours of an interface, 0.0.0.0 if there are none.
func neighborsOf(i report.Interface) []report.Neighbor {
	if len(i.Neighbors) == 0 {
		return []report.Neighbor{{Address: netip.IPv4Unspecified()}}
	}
	return i.Neighbors
}

// RoutersTable writes a row for each neighbour of each router, and one for each
// router that did not answer.
func RoutersTable(w io.Writer, d *report.Routers) error {
	columns := []column{
		{title: "ROUTER"}, {title: "VERSION"}, {title: "INTERFACE"}, {title: "NEIGHBOR"}, {title: "NAME"},
		{title: "METRIC", right: true}, {title: "THRESHOLD", right: true}, {title: "FLAGS"}, {title: "NOTES"},
	}
	var rows [][]string
	add := func(r report.Router, extra string) {
		notes := notesOf(r)
		if extra != "" {
			notes = append([]string{extra}, notes...)
		}
		note := strings.Join(notes, ", ")
		if !r.Answered {
			rows = append(rows, []string{r.Target, "", "", "", "", "", "", "", note})
			return
		}
		version := "-"
		if r.Version != nil {
			version = fmt.Sprintf("%d.%d", r.Version.Major, r.Version.Minor)
		}
		before := len(rows)
		for _, i := range r.Interfaces {
			flags := "-"
			if len(i.Flags) > 0 {
				flags = strings.Join(i.Flags, ",")
			} else if i.Flags == nil {
				flags = "?"
			}
			for _, n := range neighborsOf(i) {
				neighbor, name := n.Address.String(), "-"
				if n.Address.IsUnspecified() {
					neighbor = "-"
				}
				if n.Name != nil {
					name = *n.Name
				}
				rows = append(rows, []string{r.Address.String(), version, i.Address.String(), neighbor, name,
					strconv.Itoa(i.Metric), strconv.Itoa(i.Threshold), flags, note})
			}
		}
		if len(rows) == before {
			rows = append(rows, []string{r.Address.String(), version, "-", "-", "-", "", "", "-", note})
		}
	}
	for _, r := range d.Routers {
		add(r, "")
		for _, c := range r.Conflicts {
			add(c, "contradicts the answer above")
		}
	}
	return table(w, columns, rows)
}

// notesOf says in words what is special about an answer.
func notesOf(r report.Router) []string {
	if !r.Answered {
		return []string{"no answer"}
	}
	var notes []string
	if r.Alias {
		notes = append(notes, fmt.Sprintf("alias of %s", r.Asked))
	}
	return append(notes, doubts(r.BadChecksum, r.OldForm, r.Uncertain, len(r.Conflicts) > 0)...)
}

// doubts says in words how good an answer is.
func doubts(badChecksum, oldForm, uncertain, contradicted bool) []string {
	var notes []string
	if badChecksum {
		notes = append(notes, "bad checksum")
	}
	if oldForm {
		notes = append(notes, "old form")
	}
	if uncertain {
		notes = append(notes, "may be incomplete")
	}
	if contradicted {
		notes = append(notes, "conflict")
	}
	return notes
}

// RoutersDOT writes the routers and their neighbours as a directed graph for
// Graphviz: an edge is what the router at its tail says. A neighbour that is an
// address of another router of the document is that router. An interface
// without neighbours ends in a point.
func RoutersDOT(w io.Writer, d *report.Routers) error {
	g := newDOT("mrinfo")
	owner, names := addressesOf(d.Routers)
	for _, r := range d.Routers {
		if !r.Answered {
			g.node(r.Target, []string{r.Target, "no answer"}, "style=dashed")
			continue
		}
		label := []string{r.Address.String()}
		if r.Name != nil {
			label = append(label, *r.Name)
		}
		if r.Version != nil {
			label = append(label, r.Version.Text)
		}
		g.node(r.Address.String(), append(label, notesOf(r)...))
	}
	drawn := make(map[netip.Addr]bool)
	for _, r := range d.Routers {
		if !r.Answered || drawn[r.Address.Addr] {
			continue // a router that was asked twice has its edges once
		}
		drawn[r.Address.Addr] = true
		for k, i := range r.Interfaces {
			label := []string{fmt.Sprintf("%d/%d", i.Metric, i.Threshold)}
			attributes := []string{"taillabel=" + dotQuote(i.Address.String())}
			if len(i.Flags) > 0 {
				label = append(label, strings.Join(i.Flags, "/"))
			}
			if slices.Contains(i.Flags, "tunnel") {
				attributes = append(attributes, "style=dashed")
			}
			for _, n := range i.Neighbors {
				end := n.Address
				if o, ok := owner[end]; ok {
					end = o
				}
				text := []string{end.String()}
				if name, ok := names[end]; ok {
					text = append(text, name)
				}
				g.node(end.String(), text)
				g.edge(r.Address.String(), end.String(), label, attributes...)
			}
			if len(i.Neighbors) == 0 {
				end := fmt.Sprintf("%s interface %d", r.Address, k)
				g.node(end, []string{""}, "shape=point")
				g.edge(r.Address.String(), end, label, attributes...)
			}
		}
	}
	return g.write(w)
}

// addressesOf finds out whose the addresses of interfaces are, the routers
// being called by the address that answered, and the names of neighbours.
func addressesOf(routers []report.Router) (owner map[netip.Addr]netip.Addr, names map[netip.Addr]string) {
	owner = make(map[netip.Addr]netip.Addr)
	names = make(map[netip.Addr]string)
	for _, r := range routers {
		if r.Answered {
			owner[r.Address.Addr] = r.Address.Addr
		}
	}
	for _, r := range routers {
		if !r.Answered {
			continue
		}
		for _, i := range r.Interfaces {
			if _, taken := owner[i.Address]; !taken {
				owner[i.Address] = r.Address.Addr
			}
			for _, n := range i.Neighbors {
				if n.Name != nil {
					names[n.Address] = *n.Name
				}
			}
		}
	}
	return owner, names
}
