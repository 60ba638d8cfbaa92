package topo

import (
	"cmp"
	"slices"

	"mbone/proto/dvmrp"
	"mbone/report"
)

// graph is who names whom.
type graph struct {
	*identity
	// claims are what the routers say of their neighbours, one after the other
	// router; those of node i are claims[first[i]:first[i+1]].
	claims []claim
	first  []int32
}

// claim is one name in an answer: a router says that another one is its
// neighbour.
type claim struct {
	from, to int32 // nodes
	record   int32 // of the answer of from
	local    ip    // the address of that record
	neighbor ip    // the name
	form     form
	peer     int32 // the claim by which the other names it back, or nobody
}

// form is what kind of interface a router says that it has.
type form uint8

const (
	physical form = iota
	tunnel
	unknown // the old form of answer does not tell
)

// newGraph collects the claims of all routers and pairs those that belong
// together. It adds the routers that are named only.
func newGraph(id *identity) *graph {
	g := &graph{identity: id}
	for from := 0; from < len(id.nodes); from++ { // grows
		g.first = append(g.first, int32(len(g.claims)))
		if a := id.nodes[from].answer; a != nil {
			g.collect(int32(from))
		}
	}
	g.first = append(g.first, int32(len(g.claims)))
	g.pair()
	return g
}

// collect makes the claims of one router, as far as it is followed.
func (g *graph) collect(from int32) {
	a := g.nodes[from].answer
	left := maxNames
	had := make(map[ip]bool)
	for i := range a.Interfaces {
		r := &a.Interfaces[i]
		clear(had)
		for _, n := range r.Neighbors {
			x := ipOf(n)
			if !x.isRouter() || had[x] {
				continue
			}
			had[x] = true
			if left--; left < 0 {
				return
			}
			if to := g.at(from, ipOf(r.Local), x); to != from {
				g.claims = append(g.claims, claim{
					from: from, to: to, record: int32(i), local: ipOf(r.Local), neighbor: x,
					form: formOf(r, a.Old), peer: nobody,
				})
			}
		}
	}
}

func formOf(r *dvmrp.Interface, old bool) form {
	switch {
	case old:
		return unknown
	case r.Flags&dvmrp.FlagTunnel != 0:
		return tunnel
	}
	return physical
}

// pair finds for each claim the one by which the other router names it back.
func (g *graph) pair() {
	order := make([]int32, 0, len(g.claims))
	for i := range g.claims {
		if g.nodes[g.claims[i].to].answer != nil {
			order = append(order, int32(i))
		}
	}
	ends := func(i int32) (low, high int32) {
		c := &g.claims[i]
		return min(c.from, c.to), max(c.from, c.to)
	}
	slices.SortFunc(order, func(i, j int32) int {
		il, ih := ends(i)
		jl, jh := ends(j)
		return cmp.Or(cmp.Compare(il, jl), cmp.Compare(ih, jh), cmp.Compare(i, j))
	})
	for len(order) > 0 {
		low, high := ends(order[0])
		n := 1
		for n < len(order) {
			if l, h := ends(order[n]); l != low || h != high {
				break
			}
			n++
		}
		g.pairTwo(order[:n])
		order = order[n:]
	}
}

// pairTwo pairs the claims that two routers make of each other, those that fit
// best first.
func (g *graph) pairTwo(claims []int32) {
	split, _ := slices.BinarySearchFunc(claims, g.claims[claims[0]].from, func(i, from int32) int {
		if g.claims[i].from == from {
			return -1
		}
		return 1
	})
	ours, theirs := claims[:split], claims[split:]
	for misfit := 0; misfit < misfits; misfit++ {
		for _, i := range ours {
			for _, j := range theirs {
				a, b := &g.claims[i], &g.claims[j]
				if a.peer == nobody && b.peer == nobody && misfitOf(a, b) == misfit {
					a.peer, b.peer = j, i
				}
			}
		}
	}
}

// misfits is one more than the worst misfit of two claims that still belong
// together.
const misfits = 6

// misfitOf says how well two claims fit that two routers make of each other. Both
// addresses agree, or one of them does: an interface may have several addresses,
// or borrow one. It is a tunnel for both; or one does not know; or one takes for
// an ordinary interface what the kernel made a tunnel.
func misfitOf(a, b *claim) int {
	there, back := a.neighbor == b.local, b.neighbor == a.local
	if !there && !back {
		return misfits
	}
	misfit := 0
	if !there || !back {
		misfit = 2
	}
	switch {
	case a.form == b.form && a.form != unknown:
	case a.form == unknown || b.form == unknown:
		misfit++
	default:
		misfit = misfits - 2 + misfit/2
	}
	return misfit
}

// tunnels is whether a claim is of a tunnel, as either end says.
func (g *graph) tunnels(c *claim) bool {
	return c.form == tunnel || c.peer >= 0 && g.claims[c.peer].form == tunnel
}

// end is one router's end of a link: its interface by the record of its answer,
// or by an address that others name.
type end struct {
	node, record int32 // record: nobody if its answer does not have the interface
	addr         ip
}

// links returns what joins the routers.
func (g *graph) links() []report.MapLink {
	var list []link
	list = append(list, g.tunnelLinks()...)
	list = append(list, g.networks()...)
	out := make([]report.MapLink, 0, len(list))
	for i := range list {
		out = append(out, g.report(&list[i]))
	}
	slices.SortFunc(out, compareLinks)
	return out
}

// link is a link under construction.
type link struct {
	kind   report.LinkKind
	ends   []end
	oneWay [][2]int32   // nodes: who names, who does not name back
	had    map[end]bool // the ends, once they are many
}

// tunnelLinks makes a link of each tunnel.
func (g *graph) tunnelLinks() []link {
	var links []link
	for i := range g.claims {
		c := &g.claims[i]
		if !g.tunnels(c) || c.peer >= 0 && c.peer < int32(i) {
			continue
		}
		l := link{kind: report.LinkTunnel, ends: []end{g.here(c)}}
		switch {
		case c.peer >= 0:
			l.ends = append(l.ends, g.here(&g.claims[c.peer]))
		default:
			l.ends = append(l.ends, end{c.to, nobody, c.neighbor})
			if g.nodes[c.to].answer != nil {
				l.oneWay = append(l.oneWay, [2]int32{c.from, c.to})
			}
		}
		links = append(links, l)
	}
	return links
}

// here is the end of the router that makes a claim.
func (g *graph) here(c *claim) end { return end{c.from, c.record, c.local} }

// networks makes a link of each network: of the interfaces whose routers name
// each other over it, and of those that are named only.
//
// What is named only cannot join two networks, and an interface that is on a
// network of its own is not moved to that of somebody who merely names it: a
// router that names everybody gets links of its own, and no other link changes.
func (g *graph) networks() []link {
	s := newSegments(g)
	var links []link
	for number, members := range s.list {
		l := link{ends: make([]end, 0, len(members))}
		for _, m := range members {
			l.ends = append(l.ends, g.here(&g.claims[s.claims[m][0]]))
		}
		for n, m := range members {
			claims := g.claims[s.claims[m][0]:s.claims[m][1]]
			heard := heardBy(claims)
			for i := range claims {
				c := &claims[i]
				if c.peer >= 0 || g.tunnels(c) || heard[c.to] {
					continue
				}
				there := g.there(c)
				switch of := s.of(there); {
				case g.nodes[c.to].answer == nil:
					l.add(there)
				case of == int32(number):
					l.oneWay = append(l.oneWay, [2]int32{c.from, c.to})
				case of >= 0 && len(s.list[of]) > 1:
					links = append(links, link{
						kind: report.LinkPointToPoint, ends: []end{l.ends[n], there}, oneWay: [][2]int32{{c.from, c.to}},
					})
				default:
					l.add(there)
					l.oneWay = append(l.oneWay, [2]int32{c.from, c.to})
				}
			}
		}
		switch n := len(l.ends); {
		case n < 2:
			continue
		case n == 2:
			l.kind = report.LinkPointToPoint
		default:
			l.kind = report.LinkLAN
		}
		l.had = nil
		links = append(links, l)
	}
	return links
}

// there is the end of the router that a claim names: its ordinary interface with
// that address, if it has one.
func (g *graph) there(c *claim) end {
	e := end{c.to, nobody, c.neighbor}
	if a := g.nodes[c.to].answer; a != nil {
		name := c.neighbor.addr()
		e.record = int32(slices.IndexFunc(a.Interfaces, func(r dvmrp.Interface) bool {
			return r.Local == name && r.Flags&dvmrp.FlagTunnel == 0
		}))
	}
	return e
}

// heardBy returns the routers that name an interface back, of which claims are
// made: other addresses of these on the same link are no further neighbours.
func heardBy(claims []claim) map[int32]bool {
	heard := make(map[int32]bool)
	for i := range claims {
		if claims[i].peer >= 0 {
			heard[claims[i].to] = true
		}
	}
	return heard
}

// add adds an end that is not there yet.
func (l *link) add(e end) {
	const few = 16
	switch {
	case len(l.ends) < few:
		if slices.Contains(l.ends, e) {
			return
		}
	case l.had == nil:
		l.had = make(map[end]bool)
		for _, known := range l.ends {
			l.had[known] = true
		}
		fallthrough
	default:
		if l.had[e] {
			return
		}
		l.had[e] = true
	}
	l.ends = append(l.ends, e)
}

// segments are the ordinary interfaces that claims speak of, joined where two
// routers name each other over them. An interface is a number: those of a router
// follow each other, as in its answer.
type segments struct {
	base   []int32    // by node: the number of its first interface
	parent []int32    // by interface: itself at the root
	claims [][2]int32 // by interface: where its claims begin and end
	list   [][]int32  // interfaces
	number []int32    // by interface: of its segment in list, or nobody
}

func newSegments(g *graph) *segments {
	s := &segments{base: make([]int32, len(g.nodes))}
	interfaces := int32(0)
	for i := range g.nodes {
		s.base[i] = interfaces
		if a := g.nodes[i].answer; a != nil {
			interfaces += int32(len(a.Interfaces))
		}
	}
	s.parent, s.number = make([]int32, interfaces), make([]int32, interfaces)
	s.claims = make([][2]int32, interfaces)
	for i := range interfaces {
		s.parent[i], s.number[i] = i, nobody
	}
	for i := range g.claims {
		c := &g.claims[i]
		own := &s.claims[s.at(g.here(c))]
		if own[1] == 0 {
			own[0] = int32(i)
		}
		own[1] = int32(i) + 1 // those of one record follow each other
		if !g.tunnels(c) && c.peer > int32(i) {
			s.parent[s.root(s.at(g.here(c)))] = s.root(s.at(g.here(&g.claims[c.peer])))
		}
	}
	for i := range interfaces {
		claims := g.claims[s.claims[i][0]:s.claims[i][1]]
		if !slices.ContainsFunc(claims, func(c claim) bool { return !g.tunnels(&c) }) {
			continue
		}
		r := s.root(i)
		if s.number[r] == nobody {
			s.number[r] = int32(len(s.list))
			s.list = append(s.list, nil)
		}
		s.number[i] = s.number[r]
		s.list[s.number[i]] = append(s.list[s.number[i]], i)
	}
	return s
}

// at returns the number of an interface, or nobody if no answer has it.
func (s *segments) at(e end) int32 {
	if e.record < 0 {
		return nobody
	}
	return s.base[e.node] + e.record
}

func (s *segments) root(i int32) int32 {
	for s.parent[i] != i {
		s.parent[i] = s.parent[s.parent[i]]
		i = s.parent[i]
	}
	return i
}

// of returns the number of the segment of an interface, or nobody.
func (s *segments) of(e end) int32 {
	if i := s.at(e); i >= 0 {
		return s.number[i]
	}
	return nobody
}

// report describes a link.
func (g *graph) report(l *link) report.MapLink {
	out := report.MapLink{Kind: l.kind, Ends: make([]report.LinkEnd, 0, len(l.ends)), OneWay: make([]report.OneWay, 0, len(l.oneWay))}
	for _, e := range l.ends {
		out.Ends = append(out.Ends, g.reportEnd(e))
	}
	for _, p := range l.oneWay {
		out.OneWay = append(out.OneWay, report.OneWay{From: g.nodes[p[0]].primary.addr(), To: g.nodes[p[1]].primary.addr()})
	}
	slices.SortFunc(out.Ends, compareEnds)
	slices.SortFunc(out.OneWay, compareOneWay)
	out.OneWay = slices.Compact(out.OneWay)
	return out
}

func (g *graph) reportEnd(e end) report.LinkEnd {
	n := &g.nodes[e.node]
	out := report.LinkEnd{Router: n.primary.addr(), Interface: e.addr.addr()}
	if e.record < 0 {
		return out
	}
	r := &n.answer.Interfaces[e.record]
	metric, threshold := int(r.Metric), int(r.Threshold)
	out.Metric, out.Threshold = &metric, &threshold
	if !n.answer.Old {
		out.Flags = append([]string{}, r.Flags.Words()...)
	}
	return out
}

func compareEnds(a, b report.LinkEnd) int {
	return cmp.Or(
		a.Router.Compare(b.Router),
		a.Interface.Compare(b.Interface),
		comparePointers(a.Metric, b.Metric),
		comparePointers(a.Threshold, b.Threshold),
		slices.Compare(a.Flags, b.Flags),
	)
}

func comparePointers(a, b *int) int {
	if a == nil || b == nil {
		return yes(a != nil) - yes(b != nil)
	}
	return cmp.Compare(*a, *b)
}

func compareOneWay(a, b report.OneWay) int {
	return cmp.Or(a.From.Compare(b.From), a.To.Compare(b.To))
}

func compareLinks(a, b report.MapLink) int {
	return cmp.Or(
		slices.CompareFunc(a.Ends, b.Ends, compareEnds),
		cmp.Compare(a.Kind, b.Kind),
		slices.CompareFunc(a.OneWay, b.OneWay, compareOneWay),
	)
}
