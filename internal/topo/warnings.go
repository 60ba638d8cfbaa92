package topo

import (
	"fmt"
	"net/netip"

	"mbone/report"
)

// Warnings returns what a map shows of routers that contradict themselves or
// each other, a line each, in the order of the routers: for standard error.
func Warnings(m *report.Map) []string {
	var lines []string
	warn := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	for i := range m.Routers {
		r := &m.Routers[i]
		inconsistent(r, warn)
		if r.BadChecksum {
			warn("%s: bad checksum: the answer may be damaged, as those of Debian's pimd are", r.Address)
		}
		if r.Uncertain {
			warn("%s: the answer may be incomplete: a packet of it may be lost", r.Address)
		}
		if r.Contradicted {
			warn("%s: contradicted by another answer: one of them may be forged or damaged", r.Address)
		}
		for _, x := range r.Disputed {
			warn("%s: calls %s its own, which is another router's or cannot be confirmed", r.Address, x)
		}
	}
	return lines
}

// inconsistent warns of neighbours that a router names twice on one interface with
// different metrics or thresholds, in the words of mrouted's map-mbone.
func inconsistent(r *report.MapRouter, warn func(string, ...any)) {
	type way struct{ local, neighbor netip.Addr }
	type cost struct{ metric, threshold int }
	said := make(map[way]cost)
	warned := make(map[way]bool)
	for _, i := range r.Interfaces {
		for _, n := range i.Neighbors {
			w, c := way{i.Address, n.Address}, cost{i.Metric, i.Threshold}
			if before, ok := said[w]; ok && before != c && !warned[w] {
				warned[w] = true
				warn("inconsistent metric/threshold for neighbor %s of %s", n.Address, r.Address)
			}
			said[w] = c
		}
	}
}
