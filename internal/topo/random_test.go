package topo_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mbone/internal/ask"
	"mbone/internal/topo"
	"mbone/proto/dvmrp"
	"mbone/report"
)

// plan says what a random network is like.
type plan struct {
	routers                   int
	silent, old, from, oneWay float64 // shares
}

// random makes a network of routers with point-to-point links, LANs and tunnels.
// Router 0 is the start. The links are those of the expected map.
func random(r *rand.Rand, p plan) (*network, []wire) {
	n := new(network)
	var wires []wire
	next := 0
	address := func() netip.Addr {
		next++
		return netip.AddrFrom4([4]byte{10, byte(1 + next>>16), byte(next >> 8), byte(next)})
	}
	for i := range p.routers {
		x := &router{name: fmt.Sprint(i)}
		if r.IntN(2) == 0 || i == 0 { // not every router has one
			x.records = append(x.records, dvmrp.Interface{Local: address(), Metric: 1, Threshold: 1, Neighbors: []netip.Addr{netip.IPv4Unspecified()}})
		}
		x.silent = i > 0 && r.Float64() < p.silent
		x.old = r.Float64() < p.old
		n.routers = append(n.routers, x)
	}
	join := func(kind report.LinkKind, members ...int) {
		members = slices.Compact(slices.Sorted(slices.Values(members)))
		if len(members) < 2 {
			return
		}
		w := wire{kind: kind}
		for _, m := range members {
			w.ends = append(w.ends, wireEnd{m, address()})
		}
		for i, e := range w.ends {
			record := dvmrp.Interface{Local: e.addr, Metric: uint8(1 + r.IntN(3)), Threshold: 1}
			if kind == report.LinkTunnel {
				record.Flags = dvmrp.FlagTunnel
				record.Flags |= []dvmrp.InterfaceFlags{0, dvmrp.FlagDown, dvmrp.FlagDisabled}[r.IntN(3)]
			}
			for j, other := range w.ends {
				if i != j && r.Float64() >= p.oneWay {
					record.Neighbors = append(record.Neighbors, other.addr)
				}
			}
			x := n.routers[e.router]
			x.records = slices.Insert(x.records, r.IntN(len(x.records)+1), record)
		}
		wires = append(wires, w)
	}
	for i := 1; i < p.routers; i++ {
		switch r.IntN(6) {
		case 0:
			join(report.LinkTunnel, i, r.IntN(i))
		case 1:
			join(report.LinkLAN, i, r.IntN(i), r.IntN(p.routers), r.IntN(p.routers))
		default:
			join(report.LinkPointToPoint, i, r.IntN(i))
		}
		if r.IntN(2) == 0 {
			join(report.LinkPointToPoint, i, r.IntN(p.routers))
		}
	}
	for _, x := range n.routers {
		if len(x.records) > 0 && r.Float64() < p.from {
			x.from = x.records[r.IntN(len(x.records))].Local
		}
	}
	return n, wires
}

// wire is a link of a random network.
type wire struct {
	kind report.LinkKind
	ends []wireEnd
}

type wireEnd struct {
	router int
	addr   netip.Addr
}

// truth is the text of the map that a network without one-way links has: worked
// out from the drawing, with none of the code under test.
func truth(n *network, wires []wire, start netip.Addr) string {
	depth := map[int]int{0: 0}
	for todo := []int{0}; len(todo) > 0; todo = todo[1:] {
		if n.routers[todo[0]].silent {
			continue
		}
		for _, w := range wires {
			if slices.ContainsFunc(w.ends, func(e wireEnd) bool { return e.router == todo[0] }) {
				for _, e := range w.ends {
					if _, seen := depth[e.router]; !seen {
						depth[e.router] = depth[todo[0]] + 1
						todo = append(todo, e.router)
					}
				}
			}
		}
	}
	var routers, links []string
	for i, d := range depth {
		if x := n.routers[i]; !x.silent {
			var all []netip.Addr
			for _, record := range x.records {
				all = append(all, record.Local)
			}
			slices.SortFunc(all, netip.Addr.Compare)
			first := n.name(i, all[0])
			all = slices.DeleteFunc(all, func(a netip.Addr) bool { return a == first })
			routers = append(routers, fmt.Sprint(first, all, d, " answered ", x.old))
		}
	}
	for _, w := range wires {
		best := -1 // depth of the member that names the silent ones
		for _, e := range w.ends {
			if d, reached := depth[e.router]; reached && !n.routers[e.router].silent && (best < 0 || d < best) {
				best = d
			}
		}
		if best < 0 {
			continue
		}
		var ends []string
		for _, e := range w.ends {
			name := n.name(e.router, e.addr)
			if n.routers[e.router].silent {
				name = e.addr
				routers = append(routers, fmt.Sprint(name, []netip.Addr{}, best+1, " silent ", false))
			}
			ends = append(ends, fmt.Sprint(name, "@", e.addr))
		}
		slices.Sort(ends)
		kind := w.kind
		told := slices.ContainsFunc(w.ends, func(e wireEnd) bool {
			_, reached := depth[e.router]
			return reached && !n.routers[e.router].silent && !n.routers[e.router].old
		})
		if kind != report.LinkTunnel || !told { // the old form does not tell a tunnel
			kind = report.LinkPointToPoint
			if len(ends) > 2 {
				kind = report.LinkLAN
			}
		}
		links = append(links, fmt.Sprint(kind, ends, []report.OneWay{}))
	}
	slices.Sort(routers)
	slices.Sort(links)
	return strings.Join(append(routers, links...), "\n")
}

// name returns the address that stands for a router.
func (n *network) name(i int, none netip.Addr) netip.Addr {
	if x := n.routers[i]; !x.silent && len(x.records) > 0 {
		if i == 0 {
			return x.answer(x.records[0].Local).From
		}
		return slices.MinFunc(x.records, func(a, b dvmrp.Interface) int { return a.Local.Compare(b.Local) }).Local
	}
	return none
}

// found is the text of a map in the form of truth.
func found(m *report.Map) string {
	var routers, links []string
	for _, r := range m.Routers {
		aliases := []netip.Addr{}
		for _, a := range r.Aliases {
			aliases = append(aliases, a.Address)
		}
		routers = append(routers, fmt.Sprint(r.Address, aliases, r.Depth, " ", r.State, " ", r.OldForm))
	}
	for _, l := range m.Links {
		var ends []string
		for _, e := range l.Ends {
			ends = append(ends, fmt.Sprint(e.Router, "@", e.Interface))
		}
		slices.Sort(ends)
		links = append(links, fmt.Sprint(l.Kind, ends, l.OneWay))
	}
	slices.Sort(routers)
	slices.Sort(links)
	return strings.Join(append(routers, links...), "\n")
}

// shuffled crawls a network whose answers arrive in an order by seed.
func shuffled(t *testing.T, n *network, c topo.Crawl, seed uint64) *report.Map {
	t.Helper()
	var m *report.Map
	synctest.Test(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(seed, 1))
		delays := make(map[netip.Addr]time.Duration)
		ask := asker(func(ctx context.Context, q ask.NeighborsQuestion) ([]ask.NeighborsAnswer, error) {
			n.mu.Lock()
			if delays[q.Router] == 0 {
				delays[q.Router] = time.Duration(1 + r.IntN(1e6))
			}
			d := delays[q.Router]
			n.mu.Unlock()
			time.Sleep(d) // by the clock of synctest: the order of arrival is what varies
			return n.Neighbors(ctx, q)
		})
		var err error
		if m, err = topo.Run(t.Context(), ask, c); err != nil {
			t.Fatal(err)
		}
	})
	return m
}

func start(n *network) topo.Crawl {
	return everything(n.routers[0].records[0].Local.String())
}

// The map of a random network is what its drawing says, whatever the order of
// answers: the routers that can be reached without passing a silent one, with all
// of their addresses, the silent ones beside them, and the links.
func TestRandomNetworks(t *testing.T) {
	for seed := range uint64(25) {
		r := rand.New(rand.NewPCG(seed, 0))
		n, wires := random(r, plan{routers: 2 + r.IntN(80), silent: 0.1, old: 0.2, from: 0.3})
		want := truth(n, wires, n.routers[0].records[0].Local)
		for order := range uint64(3) {
			if got := found(shuffled(t, n, start(n), order)); got != want {
				t.Fatalf("seed %d, order %d: %s", seed, order, firstDifference(got, want))
			}
		}
	}
}

// document is a map as JSON, without what differs from run to run.
func document(t testing.TB, m *report.Map) string {
	t.Helper()
	m.Took = nil
	b, err := json.MarshalIndent(m, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// One-way links, duplicated private addresses and liars may be what they will: the
// same answers make the same map.
func TestOrderDoesNotMatter(t *testing.T) {
	for seed := range uint64(15) {
		r := rand.New(rand.NewPCG(seed, 2))
		n, _ := random(r, plan{routers: 2 + r.IntN(60), silent: 0.1, old: 0.2, from: 0.2, oneWay: 0.1})
		for range 3 {
			a, b := n.routers[r.IntN(len(n.routers))], n.routers[r.IntN(len(n.routers))]
			private := netip.AddrFrom4([4]byte{192, 168, 1, byte(1 + r.IntN(2))})
			for _, x := range []*router{a, b} {
				x.records = append(x.records, dvmrp.Interface{Local: private, Neighbors: []netip.Addr{netip.IPv4Unspecified()}})
			}
		}
		var pool []netip.Addr
		for _, x := range n.routers {
			for _, record := range x.records {
				pool = append(pool, record.Local)
			}
		}
		lie(r, n, 1+r.IntN(len(n.routers)-1), pool)
		want := document(t, shuffled(t, n, start(n), 0))
		for order := uint64(1); order < 4; order++ {
			if got := document(t, shuffled(t, n, start(n), order)); got != want {
				t.Fatalf("seed %d, order %d: %s", seed, order, firstDifference(got, want))
			}
		}
	}
}

func firstDifference(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range min(len(g), len(w)) {
		if g[i] != w[i] {
			from := max(i-8, 0)
			return fmt.Sprintf("got\n%s\nwant\n%s", strings.Join(g[from:min(i+8, len(g))], "\n"), strings.Join(w[from:min(i+8, len(w))], "\n"))
		}
	}
	return "one is longer"
}

// lie makes a router claim addresses of a pool and name all sorts of neighbours,
// beside the truth.
func lie(r *rand.Rand, n *network, liar int, pool []netip.Addr) {
	l := n.routers[liar]
	l.lies, l.silent = true, false
	l.from = netip.Addr{}
	if len(l.records) == 0 {
		return
	}
	pick := func() netip.Addr { return pool[r.IntN(len(pool))] }
	l.truth = len(l.records)
	for range 1 + r.IntN(20) {
		record := dvmrp.Interface{Local: pick(), Metric: 1, Threshold: 1}
		for range r.IntN(4) {
			if x := pick(); !n.names(x, record.Local) { // or nothing could tell it from the truth
				record.Neighbors = append(record.Neighbors, x)
			}
		}
		l.records = append(l.records, record)
	}
	record := dvmrp.Interface{Local: l.records[0].Local, Metric: 1, Threshold: 1}
	for i := range 50 {
		record.Neighbors = append(record.Neighbors, netip.AddrFrom4([4]byte{172, 16, 0, byte(i)}), pick())
	}
	l.records = append(l.records, record)
}

// names is whether an interface names a neighbour.
func (n *network) names(iface, neighbor netip.Addr) bool {
	return slices.ContainsFunc(n.routers, func(x *router) bool {
		return slices.ContainsFunc(x.records, func(i dvmrp.Interface) bool {
			return i.Local == iface && slices.Contains(i.Neighbors, neighbor)
		})
	})
}

// A liar changes nothing but what it says itself: the other routers keep their
// addresses and depths, and the links among them stay as they are.
func TestLiarChangesNothingElse(t *testing.T) {
	for seed := range uint64(40) {
		r := rand.New(rand.NewPCG(seed, 3))
		n, _ := random(r, plan{routers: 3 + r.IntN(60), silent: 0.1, old: 0.1, from: 0.1})
		liar := 1 + r.IntN(len(n.routers)-1)
		n.routers[liar].silent, n.routers[liar].from = false, netip.Addr{}
		before := shuffled(t, n, start(n), 0)
		var pool []netip.Addr // of others that are found, so that lies alone are new
		for _, x := range before.Routers {
			if x.State == report.RouterSilent || !n.routers[liar].owns(x.Address) {
				pool = append(pool, x.Address)
				for _, a := range x.Aliases {
					pool = append(pool, a.Address)
				}
			}
		}
		lie(r, n, liar, pool)
		after := shuffled(t, n, start(n), 0)
		if len(n.routers[liar].records) == 0 {
			continue
		}
		own := n.routers[liar].records[0].Local
		got, want := others(after, own), others(before, own)
		for _, line := range strings.Split(want, "\n") {
			if !slices.Contains(strings.Split(got, "\n"), line) {
				t.Fatalf("seed %d: lost %s", seed, line)
			}
		}
		for _, line := range strings.Split(got, "\n") {
			if !slices.Contains(strings.Split(want, "\n"), line) && !strings.Contains(line, "silent") {
				t.Fatalf("seed %d: new %s", seed, line)
			}
		}
	}
}

// others is found without the router that has an address and its links, and
// without the depths of silent routers: those are as near as anybody says who
// names them.
func others(m *report.Map, own netip.Addr) string {
	n := *m
	var gone netip.Addr
	n.Routers = slices.DeleteFunc(slices.Clone(m.Routers), func(r report.MapRouter) bool {
		if r.Address != own && !slices.ContainsFunc(r.Aliases, func(a report.Neighbor) bool { return a.Address == own }) {
			return false
		}
		gone = r.Address
		return true
	})
	for i := range n.Routers {
		if n.Routers[i].State == report.RouterSilent {
			n.Routers[i].Depth = 0
		}
	}
	n.Links = slices.DeleteFunc(slices.Clone(m.Links), func(l report.MapLink) bool {
		return slices.ContainsFunc(l.Ends, func(e report.LinkEnd) bool { return e.Router == gone })
	})
	return found(&n)
}

// The order of the answers in a recording does not matter, either.
func TestFromAnswersInAnyOrder(t *testing.T) {
	for seed := range uint64(10) {
		r := rand.New(rand.NewPCG(seed, 4))
		n, _ := random(r, plan{routers: 30, old: 0.2, oneWay: 0.1})
		var answers []ask.NeighborsAnswer
		for _, x := range n.routers {
			for _, record := range x.records {
				a := x.answer(record.Local)
				if r.IntN(2) == 0 {
					a.Asked = netip.Addr{}
				}
				if r.IntN(4) > 0 {
					answers = append(answers, a)
				}
			}
		}
		want := document(t, topo.FromAnswers(answers))
		r.Shuffle(len(answers), func(i, j int) { answers[i], answers[j] = answers[j], answers[i] })
		if got := document(t, topo.FromAnswers(answers)); !bytes.Equal([]byte(got), []byte(want)) {
			t.Fatalf("seed %d: %s", seed, firstDifference(got, want))
		}
	}
}
