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

// maxListed is how many things of one sort a note of a table names.
const maxListed = 3

// MapTable writes a row for each router, sorted by address: what is known of it
// and what is wrong with it. Who is next to whom is in the other formats.
func MapTable(w io.Writer, m *report.Map) error {
	columns := []column{
		{title: "ROUTER"}, {title: "NAME"}, {title: "STATE"}, {title: "VERSION"},
		{title: "DEPTH", right: true}, {title: "RTT", right: true},
		{title: "INTERFACES", right: true}, {title: "TUNNELS", right: true}, {title: "NEIGHBORS", right: true}, {title: "NOTES"},
	}
	x := newMapIndex(m, MapOptions{})
	mentions := x.mentions(m)
	namedBy := make([][]string, len(m.Routers))
	neighbors := make([]int, len(m.Routers))
	for k := range mentions {
		named := make(map[int]bool)
		for _, n := range mentions[k] {
			if !named[n.to] {
				named[n.to] = true
				namedBy[n.to] = append(namedBy[n.to], m.Routers[k].Address.String())
			}
		}
		neighbors[k] = len(named)
	}
	oneWay := make(map[netip.Addr]oneWays)
	for _, l := range m.Links {
		for _, o := range l.OneWay {
			from, to := oneWay[o.From], oneWay[o.To]
			from.to, to.from = append(from.to, o.To.String()), append(to.from, o.From.String())
			oneWay[o.From], oneWay[o.To] = from, to
		}
	}

	var rows [][]string
	for k := range m.Routers {
		r := &m.Routers[k]
		row := []string{
			r.Address.String(), orDash(r.Name), stateText(r.State), "-", strconv.Itoa(r.Depth), delay(r.RTT), "-", "-", "-", "",
		}
		if r.State == report.RouterAnswered {
			tunnels := 0
			for _, i := range r.Interfaces {
				if slices.Contains(i.Flags, "tunnel") {
					tunnels++
				}
			}
			if r.Version != nil {
				row[3] = fmt.Sprintf("%d.%d", r.Version.Major, r.Version.Minor)
			}
			row[6], row[7], row[8] = strconv.Itoa(len(r.Interfaces)-tunnels), strconv.Itoa(tunnels), strconv.Itoa(neighbors[k])
			if r.OldForm {
				row[7] = "-" // without flags, tunnels look like other interfaces
			}
		}
		notes := mapNotes(r)
		if len(namedBy[k]) > 0 && r.State != report.RouterAnswered {
			notes = append(notes, "named by "+listed(namedBy[k]))
		}
		if to := oneWay[r.Address].to; len(to) > 0 {
			notes = append(notes, "one way to "+listed(to))
		}
		if from := oneWay[r.Address].from; len(from) > 0 {
			notes = append(notes, "one way from "+listed(from))
		}
		for _, flag := range []string{"down", "disabled"} {
			if off := interfacesWith(r, flag); len(off) > 0 {
				notes = append(notes, flag+": "+listed(off))
			}
		}
		row[len(row)-1] = strings.Join(notes, "; ")
		rows = append(rows, row)
	}
	return table(w, columns, rows)
}

// oneWays are the routers that a router names without being named, and those
// that name it without being named.
type oneWays struct{ to, from []string }

// interfacesWith are those that have a flag; a tunnel is called by its other end.
func interfacesWith(r *report.MapRouter, flag string) []string {
	var found []string
	for _, i := range r.Interfaces {
		if !slices.Contains(i.Flags, flag) {
			continue
		}
		text := i.Address.String()
		if slices.Contains(i.Flags, "tunnel") && len(i.Neighbors) > 0 {
			text = "tunnel to " + i.Neighbors[0].Address.String()
		}
		found = append(found, text)
	}
	return found
}

// mapNotes says in words what is special about a router and its answer.
func mapNotes(r *report.MapRouter) []string {
	var notes []string
	if r.Reason != "" {
		notes = append(notes, r.Reason)
	}
	notes = append(notes, doubts(r.BadChecksum, r.OldForm, r.Uncertain, r.Contradicted)...)
	if len(r.Disputed) > 0 {
		claimed := make([]string, len(r.Disputed))
		for i, a := range r.Disputed {
			claimed[i] = a.String()
		}
		notes = append(notes, "disputed: "+listed(claimed))
	}
	return notes
}

// listed is the first few of a list, each once, and how many more there are.
func listed(names []string) string {
	seen := make(map[string]bool)
	var all []string
	for _, name := range names {
		if !seen[name] {
			seen[name] = true
			all = append(all, name)
		}
	}
	if len(all) > maxListed+1 { // one is no shorter than its number
		return fmt.Sprintf("%s and %d more", strings.Join(all[:maxListed], ", "), len(all)-maxListed)
	}
	return strings.Join(all, ", ")
}

// stateText is a state in words.
func stateText(s report.RouterState) string { return strings.ReplaceAll(string(s), "_", " ") }
