package topo

import (
	"math"
	"slices"

	"mbone/internal/ask"
)

// evidence is an index of who says what. It is filled with answers and draws the
// only two conclusions that need no more than two answers: which speakers are
// one router, and which claims of an address are confirmed by a neighbour.
type evidence struct {
	speakers []speaker
	byFrom   map[ip]int32
	// claimants are the speakers that call an address their own, by that address.
	claimants map[ip][]int32
	// namers are the speakers that name an address as their neighbour.
	namers map[ip][]int32
	// naming are the speakers with an interface that names a neighbour, by the
	// addresses of both.
	naming map[pair][]int32
	// confirmed are the claimants of an address that a neighbour bears out: it
	// names the address, and the claimant's interface with that address names it.
	confirmed map[ip][]int32
	// reached are the speakers that answered questions to an address that is not
	// the one they answered from.
	reached map[ip][]int32
	// capped are speakers that say more than is followed.
	capped []ip
}

// speaker is an address that answers came from.
type speaker struct {
	from   ip
	locals []ip   // the addresses that it calls its own, from included, sorted
	pairs  []pair // what its interfaces name, in its order
	names  []pair // the same, sorted
	parent int32  // in the same router; itself at the root
}

// newEvidence makes room for about so many answers.
func newEvidence(answers int) *evidence {
	const perAnswer = 4 // interfaces and names
	return &evidence{
		byFrom:    make(map[ip]int32, answers),
		claimants: make(map[ip][]int32, perAnswer*answers),
		namers:    make(map[ip][]int32, perAnswer*answers),
		naming:    make(map[pair][]int32, perAnswer*answers),
		confirmed: make(map[ip][]int32),
		reached:   make(map[ip][]int32),
	}
}

// add takes an answer: its sender, what it claims and names, and which other
// speakers are the same router. It returns the speaker.
func (e *evidence) add(a *ask.NeighborsAnswer) int32 {
	from := ipOf(a.From)
	s, known := e.byFrom[from]
	if !known {
		s = int32(len(e.speakers))
		e.speakers = append(e.speakers, speaker{from: from, parent: s})
		e.byFrom[from] = s
	}
	locals, pairs, capped := statements(a)
	if capped && !slices.Contains(e.capped, from) {
		e.capped = append(e.capped, from)
	}
	if known { // it answered more than one question: only what is new counts
		sp := &e.speakers[s]
		locals = slices.DeleteFunc(locals, func(x ip) bool { return e.claims(s, x) })
		had := make(map[pair]bool, len(sp.pairs))
		for _, p := range sp.pairs {
			had[p] = true
		}
		pairs = slices.DeleteFunc(pairs, func(p pair) bool { return had[p] })
	}
	sp := &e.speakers[s]
	for _, x := range locals {
		e.claimants[x] = append(e.claimants[x], s)
	}
	sp.locals = append(sp.locals, locals...)
	slices.Sort(sp.locals)
	for _, p := range pairs {
		e.naming[p] = append(e.naming[p], s)
		if x, n := ip(p), len(e.namers[ip(p)]); n == 0 || e.namers[x][n-1] != s {
			e.namers[x] = append(e.namers[x], s)
		}
	}
	sp.pairs = append(sp.pairs, pairs...)
	sp.names = append(sp.names, pairs...)
	slices.Sort(sp.names)
	e.reach(s, ipOf(a.Asked))
	e.unite(s)
	return s
}

// reach notes that s answered at an address that it calls its own.
func (e *evidence) reach(s int32, asked ip) {
	if asked != e.speakers[s].from && (e.claims(s, asked) || asked.isLoopback()) && !slices.Contains(e.reached[asked], s) {
		e.reached[asked] = append(e.reached[asked], s)
	}
}

// statements returns what an answer says, as far as it is followed: the
// addresses that the sender calls its own, with the one that it answered from,
// and which interface names whom, each once. Addresses that no router has are
// left out. capped is set if there is more.
func statements(a *ask.NeighborsAnswer) (locals []ip, pairs []pair, capped bool) {
	from := ipOf(a.From)
	locals = append(locals, from)
	for i := range a.Interfaces {
		local := ipOf(a.Interfaces[i].Local)
		if local.isRouter() {
			locals = append(locals, local)
		}
		for _, n := range a.Interfaces[i].Neighbors {
			if x := ipOf(n); x.isRouter() {
				pairs = append(pairs, pairOf(local, x))
			}
		}
	}
	locals, pairs = unique(locals), unique(pairs)
	capped = len(locals) > maxNames || len(pairs) > maxNames
	return locals[:min(len(locals), maxNames)], pairs[:min(len(pairs), maxNames)], capped
}

// unique drops what comes again, in place.
func unique[T comparable](list []T) []T {
	if len(list) < 16 {
		kept := list[:0]
		for _, x := range list {
			if !slices.Contains(kept, x) {
				kept = append(kept, x)
			}
		}
		return kept
	}
	had := make(map[T]bool, len(list))
	return slices.DeleteFunc(list, func(x T) bool {
		seen := had[x]
		had[x] = true
		return seen
	})
}

// claims is whether a speaker calls x its own.
func (e *evidence) claims(s int32, x ip) bool {
	_, found := slices.BinarySearch(e.speakers[s].locals, x)
	return found
}

// unite makes s and the speakers that it lists and that list it one router, if
// they call the same addresses their own, or one of them some of those: an answer
// may lack a part. Less proves nothing: anybody can claim any address, and two
// routers may really have the same private one. What answers at a loopback
// address is this host, which does not lie about itself.
func (e *evidence) unite(s int32) {
	me := e.speakers[s].from
	for _, x := range e.speakers[s].locals {
		t, ok := e.byFrom[x]
		if !ok || e.root(s) == e.root(t) {
			continue
		}
		if me.isLoopback() || e.claims(t, me) && e.sameLocals(s, t) {
			e.join(s, t)
		}
	}
	for _, t := range e.claimants[me] {
		if e.speakers[t].from.isLoopback() {
			e.join(s, t)
		}
	}
}

// sameLocals is whether one of two speakers calls all addresses its own that the
// other does.
func (e *evidence) sameLocals(s, t int32) bool {
	if len(e.speakers[s].locals) > len(e.speakers[t].locals) {
		s, t = t, s
	}
	for _, x := range e.speakers[s].locals {
		if !e.claims(t, x) {
			return false
		}
	}
	return true
}

// root returns the speaker that stands for the router of s.
func (e *evidence) root(s int32) int32 {
	for e.speakers[s].parent != s {
		e.speakers[s].parent = e.speakers[e.speakers[s].parent].parent
		s = e.speakers[s].parent
	}
	return s
}

func (e *evidence) join(s, t int32) {
	s, t = e.root(s), e.root(t)
	e.speakers[max(s, t)].parent = min(s, t)
}

// confirm looks for neighbours that bear out what s claims, and for claims that
// s bears out, and calls fn for each that was not known.
func (e *evidence) confirm(s int32, fn func(x ip, claimant int32)) {
	note := func(x ip, claimant int32) {
		if !slices.Contains(e.confirmed[x], claimant) {
			e.confirmed[x] = append(e.confirmed[x], claimant)
			fn(x, claimant)
		}
	}
	for _, p := range e.speakers[s].pairs {
		local, neighbor := ip(p>>32), ip(p)
		for _, t := range e.alike(pairOf(neighbor, local)) {
			if e.root(s) == e.root(t) {
				continue
			}
			if e.bears(t, local, neighbor, s) {
				note(local, s)
			}
			if e.bears(s, neighbor, local, t) {
				note(neighbor, t)
			}
		}
	}
}

// borneOut returns who answered questions to x and is borne out by a neighbour.
func (e *evidence) borneOut(x ip) []int32 {
	var both []int32
	for _, s := range e.reached[x] {
		if slices.Contains(e.confirmed[x], s) {
			both = append(both, s)
		}
	}
	return both
}

// bears is whether witness's interface that names x bears out the claimant of x,
// who names that interface back. It does not if it names another address of the
// claimant, too: then two routers are on its link, or one with two interfaces
// there, and one of the two may be speaking for the other.
//
// Only a question to x could tell a claimant that repeats, word for word, what
// another router says of a link that it is not on. The crawl asks it of those that
// were found to claim what is not theirs.
func (e *evidence) bears(witness int32, x, iface ip, claimant int32) bool {
	locals, names := e.speakers[claimant].locals, e.speakers[witness].named(iface)
	if len(names) < len(locals) {
		return !slices.ContainsFunc(names, func(p pair) bool { return ip(p) != x && e.claims(claimant, ip(p)) })
	}
	return !slices.ContainsFunc(locals, func(y ip) bool {
		_, found := slices.BinarySearch(names, pairOf(iface, y))
		return y != x && found
	})
}

// named returns what an interface names, sorted.
func (s *speaker) named(iface ip) []pair {
	first, _ := slices.BinarySearch(s.names, pairOf(iface, 0))
	end, _ := slices.BinarySearch(s.names, pairOf(iface, math.MaxUint32))
	return s.names[first:end]
}

// alike returns the speakers with an interface that names a neighbour; none if
// they are too many to mean anything, as with private addresses that every
// household has.
func (e *evidence) alike(p pair) []int32 {
	if s := e.naming[p]; len(s) <= maxAlike {
		return s
	}
	return nil
}

// sole returns the one router that speakers are, by its root: nobody if there
// are none, contested if they are several.
func (e *evidence) sole(speakers []int32) int32 {
	router := int32(nobody)
	for _, s := range speakers {
		switch r := e.root(s); router {
		case nobody:
			router = r
		case r:
		default:
			return contested
		}
	}
	return router
}

// What sole returns beside roots.
const (
	nobody    = -1
	contested = -2
)
