package topo

import (
	"cmp"
	"slices"

	"mbone/internal/ask"
	"mbone/proto/dvmrp"
)

// node is a router of the map under construction: one that answered, at one
// address or several, or an address that somebody named and nobody answers for.
type node struct {
	primary  ip
	answer   *ask.NeighborsAnswer // what it says; nil if it did not answer
	aliases  []ip
	disputed []ip
	start    bool // the crawl began with it
	differs  bool // it gave other answers, too
}

// identity decides whose address is it.
type identity struct {
	*evidence
	facts   *facts
	answers []*ask.NeighborsAnswer // by speaker
	nodes   []node
	number  map[int32]int32 // of the node, by the root of its speakers
	silent  map[ip]int32    // of the nodes that did not answer
	owners  map[ip]int32    // roots; nobody and contested as in sole
}

// identify finds the routers that answered. Those that did not are added by
// [identity.at] where somebody names them.
func identify(f *facts) *identity {
	id := &identity{
		evidence: newEvidence(len(f.answers)),
		facts:    f,
		number:   make(map[int32]int32),
		silent:   make(map[ip]int32),
		owners:   make(map[ip]int32),
	}
	answers := f.best()
	for _, a := range answers {
		id.add(a)
	}
	for s := range id.speakers {
		id.confirm(int32(s), func(ip, int32) {})
	}
	for i := range f.answers { // those that were not the best ones, too
		id.reach(id.byFrom[ipOf(f.answers[i].From)], ipOf(f.answers[i].Asked))
	}
	id.answers = answers
	id.gather()
	return id
}

// best returns the best answer from each address, in the order of addresses.
func (f *facts) best() []*ask.NeighborsAnswer {
	byFrom := make(map[ip]*ask.NeighborsAnswer, len(f.answers))
	for i := range f.answers {
		a := &f.answers[i]
		if b := byFrom[ipOf(a.From)]; b == nil || f.better(a, b) {
			byFrom[ipOf(a.From)] = a
		}
	}
	list := make([]*ask.NeighborsAnswer, 0, len(byFrom))
	for _, a := range byFrom {
		list = append(list, a)
	}
	slices.SortFunc(list, func(a, b *ask.NeighborsAnswer) int { return a.From.Compare(b.From) })
	return list
}

// better is whether one answer of a router says more than another: an undamaged
// one, one in the new form, a complete one, the later one. A crawl is over before
// routers change: there one with fewer packets lacks some.
func (f *facts) better(a, b *ask.NeighborsAnswer) bool {
	packets := a.Packets - b.Packets
	if f.trusting {
		packets = 0
	}
	return cmp.Or(
		yes(b.BadChecksum)-yes(a.BadChecksum),
		yes(b.Old)-yes(a.Old),
		yes(b.Uncertain)-yes(a.Uncertain),
		packets,
		a.Time.Compare(b.Time),
		b.Asked.Compare(a.Asked),
		b.From.Compare(a.From),
		compareRecords(b.Interfaces, a.Interfaces),
	) > 0
}

func yes(b bool) int {
	if b {
		return 1
	}
	return 0
}

// compareRecords puts what routers say in some order.
func compareRecords(a, b []dvmrp.Interface) int {
	return slices.CompareFunc(a, b, func(i, j dvmrp.Interface) int {
		return cmp.Or(
			i.Local.Compare(j.Local),
			cmp.Compare(i.Flags, j.Flags),
			cmp.Compare(i.Metric, j.Metric),
			cmp.Compare(i.Threshold, j.Threshold),
			slices.CompareFunc(i.Neighbors, j.Neighbors, compareAddr),
		)
	})
}

// sameRecords is whether two answers say the same, in whatever order.
func sameRecords(a, b []dvmrp.Interface) bool {
	return compareRecords(sorted(a), sorted(b)) == 0
}

func sorted(records []dvmrp.Interface) []dvmrp.Interface {
	records = slices.Clone(records)
	for i := range records {
		records[i].Neighbors = slices.SortedFunc(slices.Values(records[i].Neighbors), compareAddr)
	}
	slices.SortFunc(records, func(a, b dvmrp.Interface) int {
		return compareRecords([]dvmrp.Interface{a}, []dvmrp.Interface{b})
	})
	return records
}

// owner returns whose address x is. Who answers there is, of several the one that
// a neighbour bears out; else it belongs to who alone claims it, unless somebody, even the claimant, names it as a neighbour:
// then the claim must be confirmed, or else the address could have been asked and
// would be silent.
func (id *identity) owner(x ip) int32 {
	if s, ok := id.byFrom[x]; ok {
		return id.root(s)
	}
	if r := id.sole(id.borneOut(x)); r >= 0 {
		return r
	}
	if r := id.sole(id.reached[x]); r != nobody {
		return r
	}
	if r := id.sole(id.confirmed[x]); r != nobody {
		return r
	}
	r := id.sole(id.claimants[x])
	if r < 0 {
		return r
	}
	if len(id.namers[x]) > 0 {
		if !id.facts.trusting {
			return contested
		}
		return r
	}
	if !slices.ContainsFunc(id.claimants[x], func(s int32) bool { return !id.answers[s].BadChecksum }) {
		return nobody // an address that may never have been sent
	}
	return r
}

// gather makes the nodes of the routers that answered.
func (id *identity) gather() {
	for s := range id.speakers {
		r := id.root(int32(s))
		n, ok := id.number[r]
		if !ok {
			n = int32(len(id.nodes))
			id.number[r] = n
			id.nodes = append(id.nodes, node{})
		}
		if a := id.answers[s]; id.nodes[n].answer == nil || id.facts.better(a, id.nodes[n].answer) {
			id.nodes[n].answer = a
		}
	}
	for x := range id.claimants {
		id.owners[x] = id.owner(x)
		if o := id.owners[x]; o >= 0 {
			n := &id.nodes[id.number[o]]
			n.aliases = append(n.aliases, x)
		}
	}
	for x := range id.reached {
		id.owners[x] = id.owner(x) // a loopback address is claimed by nobody
	}
	for s := range id.speakers {
		n := &id.nodes[id.number[id.root(int32(s))]]
		for _, x := range id.speakers[s].locals {
			if o := id.owners[x]; o != id.root(int32(s)) && o != nobody {
				n.disputed = append(n.disputed, x)
			}
		}
	}
	began := id.beginnings()
	for i := range id.nodes {
		n := &id.nodes[i]
		slices.Sort(n.aliases)
		slices.Sort(n.disputed)
		n.disputed = slices.Compact(n.disputed)
		n.primary = id.primary(n, began)
		n.aliases = slices.DeleteFunc(n.aliases, func(x ip) bool { return x == n.primary || x.isLoopback() })
	}
	for i := range id.facts.answers {
		a := &id.facts.answers[i]
		n := &id.nodes[id.number[id.root(id.byFrom[ipOf(a.From)])]]
		n.differs = n.differs || len(a.Conflicts) > 0 && a == n.answer ||
			!id.facts.trusting && alike(a, n.answer) && !sameRecords(a.Interfaces, n.answer.Interfaces)
	}
}

// alike is whether two answers of a router should say the same.
func alike(a, b *ask.NeighborsAnswer) bool {
	return a != b && a.Old == b.Old && a.BadChecksum == b.BadChecksum && !a.Uncertain && !b.Uncertain
}

// beginnings returns the addresses that answered the first questions.
func (id *identity) beginnings() map[ip]bool {
	began := make(map[ip]bool)
	for i := range id.facts.answers {
		a := &id.facts.answers[i]
		if id.facts.start == nil || slices.Contains(id.facts.start, ipOf(a.Asked)) {
			began[ipOf(a.From)] = true
		}
	}
	return began
}

// primary returns the address that stands for a router, see
// [report.MapRouter.Address], and notes whether the crawl began with it. No
// loopback address does, if there is another one.
func (id *identity) primary(n *node, began map[ip]bool) ip {
	var first ip
	for _, x := range n.aliases {
		if !began[x] {
			continue
		}
		n.start = true
		if !x.isLoopback() {
			first = x
			break
		}
	}
	if first != 0 {
		return first
	}
	for _, x := range n.aliases {
		if !x.isLoopback() {
			return x
		}
	}
	return n.aliases[0]
}

// at returns the node at an address that one of from's interfaces, local, names.
// Of several routers with that address it is the one that names local back:
// private addresses may be used twice. If nobody has the address, it is a router
// of its own, that did not answer.
func (id *identity) at(from int32, local, x ip) int32 {
	match := int32(nobody)
	owner := int32(nobody)
	if o, ok := id.owners[x]; ok && o >= 0 {
		owner = id.number[o]
	}
	for _, s := range id.alike(pairOf(x, local)) {
		n := id.number[id.root(s)]
		switch {
		case n == from:
		case n == owner:
			return owner
		case !id.borne(from, local, x, s):
		case match == nobody || match == n:
			match = n
		default:
			match = contested
		}
	}
	switch {
	case match >= 0:
		return match
	case owner >= 0:
		return owner
	}
	return id.silentAt(x)
}

// borne is whether a speaker of the router from bears out a claimant of x.
func (id *identity) borne(from int32, local, x ip, claimant int32) bool {
	return slices.ContainsFunc(id.alike(pairOf(local, x)), func(s int32) bool {
		return id.number[id.root(s)] == from && id.bears(s, x, local, claimant)
	})
}

// silentAt returns the node of an address that nobody answers for.
func (id *identity) silentAt(x ip) int32 {
	n, ok := id.silent[x]
	if !ok {
		n = int32(len(id.nodes))
		id.silent[x] = n
		id.nodes = append(id.nodes, node{primary: x, start: slices.Contains(id.facts.start, x)})
	}
	return n
}
