package render

import (
	"encoding/binary"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"time"

	"mbone/report"
)

// MapOptions are those of the classic formats of a map.
type MapOptions struct {
	Numeric bool // option -n: no names
}

// mapTitle heads the classic formats.
const mapTitle = "Multicast Router Connectivity:"

// MapText writes a map as mrouted 4.6's map-mbone does: each router with its
// interfaces and neighbours, both in the reverse order of its answer, and each
// other address of it as an alias, sorted by address. Routers that did not
// answer are left out of a map whose Flood is false, and so is the title.
func MapText(w io.Writer, m *report.Map, o MapOptions) error {
	x := newMapIndex(m, o)
	type entry struct {
		router  *report.MapRouter
		address netip.Addr
	}
	var entries []entry
	for i := range m.Routers {
		r := &m.Routers[i]
		if !m.Flood && r.State != report.RouterAnswered {
			continue
		}
		entries = append(entries, entry{r, r.Address})
		for _, a := range r.Aliases {
			entries = append(entries, entry{r, a.Address})
		}
	}
	slices.SortStableFunc(entries, func(a, b entry) int { return a.address.Compare(b.address) })

	var b strings.Builder
	b.WriteString("\n")
	if m.Flood {
		b.WriteString(mapTitle + "\n\n")
	}
	for _, e := range entries {
		r := e.router
		b.WriteString(x.host(e.address) + ":")
		switch {
		case e.address != r.Address:
			fmt.Fprintf(&b, " alias for %s\n", r.Address)
		case r.State == report.RouterSilent:
			b.WriteString(" no response to query\n")
		case r.State == report.RouterNotAsked:
			fmt.Fprintf(&b, " not asked: %s\n", report.Printable(r.Reason))
		default:
			if r.Version != nil {
				fmt.Fprintf(&b, " <v%d.%d>", r.Version.Major, r.Version.Minor)
			}
			b.WriteString("\n")
			x.interfaces(&b, r)
		}
		b.WriteString("\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// interfaces writes those of a router; the ones that share an address, as
// tunnels do, stand together.
func (x *mapIndex) interfaces(b *strings.Builder, r *report.MapRouter) {
	var addresses []netip.Addr
	neighbors := make(map[netip.Addr][]string)
	for k := range r.Interfaces {
		i := &r.Interfaces[k]
		if _, known := neighbors[i.Address]; !known {
			addresses = append(addresses, i.Address)
		}
		values := fmt.Sprintf(" [%d/%d", i.Metric, i.Threshold)
		for _, f := range []string{"tunnel", "srcrt", "querier", "disabled", "down"} {
			if slices.Contains(i.Flags, f) {
				values += "/" + f
			}
		}
		for _, n := range neighborsOf(*i) {
			a := n.Address
			if a.IsUnspecified() {
				a = i.Address
			}
			neighbors[i.Address] = append(neighbors[i.Address], "  "+x.host(a)+values+"]\n")
		}
	}
	for _, a := range slices.Backward(addresses) {
		head := fmt.Sprintf("    %s:", a)
		for _, n := range slices.Backward(neighbors[a]) {
			b.WriteString(head + n)
			head = strings.Repeat(" ", len(head))
		}
	}
}

// MapGraphEd writes a map as mrouted 4.6's map-mbone -g does, for the drawing
// program GraphEd: each router that is known of, and each pair of routers once,
// by the one of the lower address if both name each other. IPv4 only.
func MapGraphEd(w io.Writer, m *report.Map, o MapOptions) error {
	x := newMapIndex(m, o)
	mentions := x.mentions(m)
	var b strings.Builder
	fmt.Fprintf(&b, "\nGRAPH \"%s %s\" = UNDIRECTED\n", mapTitle, m.Time.Format(time.ANSIC))
	for k := range m.Routers {
		r := &m.Routers[k]
		label := graphEdText(x.name(r.Address))
		if label == "" {
			label = r.Address.String()
		}
		if r.State != report.RouterAnswered {
			label += "*"
		}
		octets := octetsOf(r.Address)
		fmt.Fprintf(&b, "  %d {$ NP %d0 %d0 $} \"%s\" \n", graphEdID(r.Address), octets[0], octets[1], label)
		for _, n := range mentions[k] {
			if n.back != nil && n.from > n.to {
				continue
			}
			fmt.Fprintf(&b, "    %d \"%d/%d", graphEdID(m.Routers[n.to].Address), n.at.Metric, n.at.Threshold)
			if n.back != nil && (n.back.at.Metric != n.at.Metric || n.back.at.Threshold != n.at.Threshold) {
				fmt.Fprintf(&b, ",%d/%d", n.back.at.Metric, n.back.at.Threshold)
			}
			switch {
			case n.at.Flags == nil || slices.Contains(n.at.Flags, "srcrt"):
			case slices.Contains(n.at.Flags, "tunnel"):
				b.WriteString("E")
			default:
				b.WriteString("P")
			}
			if slices.Contains(n.at.Flags, "down") {
				b.WriteString("D")
			}
			b.WriteString("\"\n")
		}
		b.WriteString("    ;\n")
	}
	b.WriteString("END\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// graphEdID is an address as a signed number, its first octet the lowest: what
// it is in the memory of the machines that map-mbone was written for.
func graphEdID(a netip.Addr) int32 {
	octets := octetsOf(a)
	return int32(binary.LittleEndian.Uint32(octets[:]))
}

func octetsOf(a netip.Addr) (octets [4]byte) {
	if a.Is4() {
		octets = a.As4()
	}
	return octets
}

var graphEdEscapes = strings.NewReplacer(`"`, "\ufffd", `\`, "\ufffd")

// graphEdText is a text between quotes: GraphEd knows no way to quote a quote.
func graphEdText(s string) string { return graphEdEscapes.Replace(report.Printable(s)) }

// mapIndex finds the routers and names of a map by address.
type mapIndex struct {
	routers map[netip.Addr]int // their numbers in Map.Routers, by all their addresses
	names   map[netip.Addr]string
}

func newMapIndex(m *report.Map, o MapOptions) *mapIndex {
	x := &mapIndex{routers: make(map[netip.Addr]int), names: make(map[netip.Addr]string)}
	learn := func(a netip.Addr, name *string) {
		if _, known := x.names[a]; !known && name != nil && !o.Numeric {
			x.names[a] = *name
		}
	}
	for k := range m.Routers {
		x.routers[m.Routers[k].Address] = k
		learn(m.Routers[k].Address, m.Routers[k].Name)
	}
	for k := range m.Routers {
		for _, a := range m.Routers[k].Aliases {
			if _, taken := x.routers[a.Address]; !taken {
				x.routers[a.Address] = k
			}
			learn(a.Address, a.Name)
		}
		for _, i := range m.Routers[k].Interfaces {
			for _, n := range i.Neighbors {
				learn(n.Address, n.Name)
			}
		}
	}
	return x
}

// name is the name of an address; empty if it has none.
func (x *mapIndex) name(a netip.Addr) string { return x.names[a] }

// host is an address with its name, if it has one, between parentheses.
func (x *mapIndex) host(a netip.Addr) string {
	if name := x.name(a); name != "" {
		return fmt.Sprintf("%s (%s)", a, report.Printable(name))
	}
	return a.String()
}

// mention is one router of a map naming another one.
type mention struct {
	from, to int               // numbers in Map.Routers
	at       *report.Interface // of from
	neighbor netip.Addr        // the address of to that it names
	back     *mention          // to naming from on the same link; nil if it does not
}

// mentions are those of each router, in the reverse order of its answer, without
// its own addresses.
func (x *mapIndex) mentions(m *report.Map) [][]*mention {
	all := make([][]*mention, len(m.Routers))
	for k := range m.Routers {
		for n := range slices.Backward(m.Routers[k].Interfaces) {
			at := &m.Routers[k].Interfaces[n]
			for _, neighbor := range slices.Backward(at.Neighbors) {
				if to, known := x.routers[neighbor.Address]; known && to != k {
					all[k] = append(all[k], &mention{from: k, to: to, at: at, neighbor: neighbor.Address})
				}
			}
		}
	}
	// Two routers may have several links: first those are paired that name each
	// other's interface, of the same kind, then the rest.
	type key struct {
		from, to      int
		local, remote netip.Addr
		tunnel        bool
	}
	for _, keys := range []func(n *mention) (own, other key){
		func(n *mention) (own, other key) {
			tunnel := slices.Contains(n.at.Flags, "tunnel")
			return key{n.from, n.to, n.at.Address, n.neighbor, tunnel}, key{n.to, n.from, n.neighbor, n.at.Address, tunnel}
		},
		func(n *mention) (own, other key) {
			return key{n.from, n.to, n.at.Address, n.neighbor, false}, key{n.to, n.from, n.neighbor, n.at.Address, false}
		},
		func(n *mention) (own, other key) {
			return key{from: n.from, to: n.to}, key{from: n.to, to: n.from}
		},
	} {
		waiting := make(map[key][]*mention)
		for _, some := range all {
			for _, n := range some {
				if n.back != nil {
					continue
				}
				own, other := keys(n)
				if w := waiting[other]; len(w) > 0 {
					n.back, w[0].back = w[0], n
					waiting[other] = w[1:]
				} else {
					waiting[own] = append(waiting[own], n)
				}
			}
		}
	}
	return all
}
