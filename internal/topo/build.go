package topo

import (
	"net/netip"
	"slices"

	"mbone/internal/ask"
	"mbone/report"
)

// facts are what a map is made of.
type facts struct {
	answers []ask.NeighborsAnswer
	// start are the addresses that were asked first; nil in a recording, where
	// every router that answered is a beginning.
	start []ip
	// trusting believes an address to be who alone claims it, since nobody could
	// be asked to check.
	trusting bool
	// fate says what became of an address without an answer.
	fate func(x ip) fate
}

// fate is what became of an address that nobody answers for.
type fate struct {
	state  report.RouterState
	reason string
	tries  int // 0: not asked
}

// FromAnswers makes a map of answers in a recording. Of several answers from one
// address the latest counts. Neighbours without an answer are in the map as not
// asked: a recording need not hold all questions.
func FromAnswers(answers []ask.NeighborsAnswer) *report.Map {
	answers = slices.DeleteFunc(slices.Clone(answers), func(a ask.NeighborsAnswer) bool { return !speaks(&a) })
	f := &facts{
		answers:  answers,
		trusting: true,
		fate: func(ip) fate {
			return fate{state: report.RouterNotAsked, reason: "no answer of it is in the recording"}
		},
	}
	m := build(f)
	m.Complete = true
	m.Flood = true
	for i := range m.Routers {
		if r := m.Routers[i]; r.State == report.RouterAnswered {
			m.Start = append(m.Start, r.Address)
		}
	}
	return m
}

// speaks is whether an answer comes from an address that a router can have.
func speaks(a *ask.NeighborsAnswer) bool {
	from := ipOf(a.From)
	return from.isRouter() || from.isLoopback()
}

// build makes the map. It depends on the set of answers, not on their order.
func build(f *facts) *report.Map {
	id := identify(f)
	for _, x := range f.start {
		if owner, claimed := id.owners[x]; (!claimed || owner < 0) && (x.isRouter() || x.isLoopback()) {
			id.silentAt(x)
		}
	}
	g := newGraph(id)
	depths := g.depths()
	order := make([]int32, len(id.nodes))
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortFunc(order, func(a, b int32) int { return int(int64(id.nodes[a].primary) - int64(id.nodes[b].primary)) })

	m := &report.Map{
		Start:   []netip.Addr{},
		Within:  []netip.Prefix{},
		Routers: make([]report.MapRouter, 0, len(id.nodes)),
		Links:   g.links(),
	}
	for _, i := range order {
		m.Routers = append(m.Routers, router(f, &id.nodes[i], depths[i]))
	}
	return m
}

// router describes a node.
func router(f *facts, n *node, depth int) report.MapRouter {
	r := report.MapRouter{
		Address:  n.primary.addr(),
		Aliases:  make([]report.Neighbor, 0, len(n.aliases)),
		Disputed: addrs(n.disputed),
		Depth:    depth,
	}
	a := n.answer
	if a == nil {
		fate := f.fate(n.primary)
		r.State, r.Reason = fate.state, fate.reason
		if fate.tries > 0 {
			r.Tries = &fate.tries
		}
		return r
	}
	for _, x := range n.aliases {
		r.Aliases = append(r.Aliases, report.Neighbor{Address: x.addr()})
	}
	r.State = report.RouterAnswered
	r.OldForm = a.Old
	if a.Version.Level() != 0 {
		r.Version = report.VersionOf(a.Version)
	}
	r.Interfaces = report.InterfacesOf(a.Interfaces, a.Old)
	if rtt, tries := report.Milliseconds(a.RTT), a.Tries; rtt > 0 { // else a recording lacks the question
		r.RTT, r.Tries = &rtt, &tries
	}
	r.BadChecksum, r.Uncertain, r.Contradicted = a.BadChecksum, a.Uncertain, n.differs
	return r
}

func addrs(list []ip) []netip.Addr {
	a := make([]netip.Addr, 0, len(list))
	for _, x := range list {
		a = append(a, x.addr())
	}
	return a
}
