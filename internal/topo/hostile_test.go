package topo

import (
	"net/netip"
	"testing"
	"time"

	"mbone/internal/ask"
	"mbone/proto/dvmrp"
)

// Routers that agree to make the build slow do not make it slow. What took minutes
// takes a second or two.
func TestHostileWork(t *testing.T) {
	const enough = 15 * time.Second
	for _, test := range []struct {
		name           string
		answers        []ask.NeighborsAnswer
		routers, links int
	}{
		// Of each neighbour of the network it was looked up whether it is among them.
		{"a network of many", crowd(60, 4000), 60 * 4001, 1},
		// The addresses of each claimant were gone through for each of its interfaces
		// that the witness names. It belongs to nobody, then, and is a router of its own
		// that the witness names; the claimants name the witness.
		{"many claimants of many addresses", alibis(20, 4000), 21 + 4000, 21 * 4000},
	} {
		t.Run(test.name, func(t *testing.T) {
			began := time.Now()
			m := FromAnswers(test.answers)
			if took := time.Since(began); took > enough {
				t.Errorf("took %v, want a tenth of %v", took, enough)
			}
			if len(m.Routers) != test.routers || len(m.Links) != test.links {
				t.Errorf("%d routers and %d links, want %d and %d", len(m.Routers), len(m.Links), test.routers, test.links)
			}
		})
	}
}

// crowd are routers of one network, each with so many neighbours that are silent.
func crowd(routers, silent int) []ask.NeighborsAnswer {
	const first, firstSilent = ip(10 << 24), ip(11 << 24)
	var answers []ask.NeighborsAnswer
	for n := range ip(routers) {
		i := dvmrp.Interface{Local: (first + n).addr(), Metric: 1, Threshold: 1}
		if n > 0 {
			i.Neighbors = append(i.Neighbors, (first + n - 1).addr())
		}
		if n < ip(routers)-1 {
			i.Neighbors = append(i.Neighbors, (first + n + 1).addr())
		}
		for k := range ip(silent) {
			i.Neighbors = append(i.Neighbors, (firstSilent + n*ip(silent) + k).addr())
		}
		answers = append(answers, ask.NeighborsAnswer{Asked: i.Local, From: i.Local, Interfaces: []dvmrp.Interface{i}})
	}
	return answers
}

// alibis are routers that all claim the same addresses, and one that bears out
// each address of each of them, over an interface of its own.
func alibis(claimants, addresses int) []ask.NeighborsAnswer {
	const first, claimed, witness = ip(10 << 24), ip(11 << 24), ip(12 << 24)
	var claims, witnessed []dvmrp.Interface
	for n := range ip(addresses) {
		a, b := (claimed + n).addr(), (witness + n).addr()
		claims = append(claims, dvmrp.Interface{Local: a, Neighbors: []netip.Addr{b}})
		witnessed = append(witnessed, dvmrp.Interface{Local: b, Neighbors: []netip.Addr{a}})
	}
	answers := []ask.NeighborsAnswer{{Asked: witness.addr(), From: witness.addr(), Interfaces: witnessed}}
	for n := range ip(claimants) {
		from := (first + n).addr()
		answers = append(answers, ask.NeighborsAnswer{Asked: from, From: from, Interfaces: claims})
	}
	return answers
}
