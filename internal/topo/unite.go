package topo

import (
	"net/netip"
	"slices"

	"mbone/internal/ask"
	"mbone/proto/dvmrp"
)

// sameSpeech is whether two answers differ in what they list at most.
func sameSpeech(a, b *ask.NeighborsAnswer) bool {
	return a.Asked == b.Asked && a.From == b.From && a.Old == b.Old && a.BadChecksum == b.BadChecksum && a.Version == b.Version
}

// record is what tells an interface from others: tunnels may have one address and
// differ in where they lead to only.
type record struct {
	local             netip.Addr
	metric, threshold uint8
	flags             dvmrp.InterfaceFlags
	remote            netip.Addr
}

func recordOf(i *dvmrp.Interface) record {
	r := record{local: i.Local, metric: i.Metric, threshold: i.Threshold, flags: i.Flags}
	if i.Flags&dvmrp.FlagTunnel != 0 && len(i.Neighbors) > 0 {
		r.remote = i.Neighbors[0]
	}
	return r
}

// unite adds to an answer what another one of the same router has beside it. The
// longer one comes first: it has the order of the router.
func unite(a *ask.NeighborsAnswer, b *ask.NeighborsAnswer) {
	first, second := a.Interfaces, b.Interfaces
	if len(second) > len(first) {
		first, second = second, first
	}
	first = slices.Clone(first)
	index := make(map[record]int, len(first))
	for i := range first {
		index[recordOf(&first[i])] = i
	}
	for _, i := range second {
		at, known := index[recordOf(&i)]
		if !known {
			first = append(first, i)
			continue
		}
		neighbors := slices.Clone(first[at].Neighbors)
		for _, n := range i.Neighbors {
			if !slices.Contains(neighbors, n) {
				neighbors = append(neighbors, n)
			}
		}
		first[at].Neighbors = neighbors
	}
	a.Interfaces = first
	a.Packets = max(a.Packets, b.Packets)
	a.Uncertain = a.Uncertain || b.Uncertain
}
