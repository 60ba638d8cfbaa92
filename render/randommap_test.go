package render

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"

	"mbone/proto/dvmrp"
	"mbone/report"
)

// randomMap is a network of n routers, always the same for the same seed: a ring
// of cores with cross links, and round every core a region of routers behind
// routers, some of them on LANs, some joined by tunnels. One in twenty routers at
// the edge is silent, some were not asked, and a few do not name a neighbour back.
func randomMap(seed uint64, n int) *report.Map {
	g := randomNetwork{chance: rand.New(rand.NewPCG(seed, 0)), interfaces: make([][]dvmrp.Interface, n), unknown: make([]bool, n)}
	cores := max(1, min(n, n/22+2))
	for i := 1; i < cores; i++ {
		g.link(report.LinkPointToPoint, i-1, i)
	}
	if cores > 2 {
		g.link(report.LinkPointToPoint, cores-1, 0)
	}
	for range cores / 3 {
		if a, b := g.chance.IntN(cores), g.chance.IntN(cores); a != b {
			g.link(report.LinkTunnel, a, b)
		}
	}
	regions := make([][]int, cores)
	for i := range regions {
		regions[i] = []int{i}
	}
	for i := cores; i < n; {
		r := g.chance.IntN(cores)
		up := regions[r][g.chance.IntN(len(regions[r]))]
		switch chance := g.chance.IntN(100); {
		case chance < 14 && i+2 < n: // a LAN of some new routers
			members := []int{up}
			for range 2 + g.chance.IntN(4) {
				if i < n {
					members = append(members, i)
					regions[r] = append(regions[r], i)
					i++
				}
			}
			g.link(report.LinkLAN, members...)
			continue
		case chance < 20:
			g.link(report.LinkTunnel, up, i)
		default:
			g.link(report.LinkPointToPoint, up, i)
			if chance > 88 && len(regions[r]) > 2 { // a second way
				if other := regions[r][g.chance.IntN(len(regions[r]))]; other != up {
					g.link(report.LinkPointToPoint, other, i)
				}
			}
		}
		regions[r] = append(regions[r], i)
		i++
	}
	return g.report(regions)
}

type randomNetwork struct {
	chance     *rand.Rand
	links      []report.MapLink
	members    [][]int // of each link
	interfaces [][]dvmrp.Interface
	unknown    []bool
}

// link joins routers by a network of their own, or by a tunnel between addresses
// that they have.
func (g *randomNetwork) link(kind report.LinkKind, routers ...int) {
	addresses := make([]netip.Addr, len(routers))
	number := len(g.links) + 1
	for i, r := range routers {
		addresses[i] = netip.AddrFrom4([4]byte{10, byte(number >> 8), byte(number), byte(i + 1)})
		if kind == report.LinkTunnel && len(g.interfaces[r]) > 0 {
			addresses[i] = g.interfaces[r][0].Local
		}
	}
	l := mapLink(kind)
	for i, r := range routers {
		f := dvmrp.Interface{Local: addresses[i], Metric: uint8(1 + g.chance.IntN(3)/2), Threshold: 1}
		switch {
		case kind == report.LinkTunnel:
			f.Flags, f.Threshold = dvmrp.FlagTunnel, 64
		case i == 0:
			f.Flags = dvmrp.FlagQuerier
		}
		if kind != report.LinkTunnel && g.chance.IntN(5) == 0 {
			f.Flags |= dvmrp.FlagPIM
		}
		if kind == report.LinkTunnel && g.chance.IntN(6) == 0 {
			f.Flags |= dvmrp.FlagDown
		}
		for k, a := range addresses {
			if k != i {
				f.Neighbors = append(f.Neighbors, a)
			}
		}
		g.interfaces[r] = append(g.interfaces[r], f)
		l.Ends = append(l.Ends, linkEnd("0.0.0.0", f.Local.String(), int(f.Metric), int(f.Threshold), f.Flags.Words()...))
	}
	g.links, g.members = append(g.links, l), append(g.members, routers)
}

var randomVersions = []dvmrp.Version{
	{Major: 3, Minor: 255, Capabilities: dvmrp.CapPrune | dvmrp.CapGenID | dvmrp.CapMtrace},
	{Major: 3, Minor: 255, Capabilities: dvmrp.CapPrune | dvmrp.CapGenID | dvmrp.CapMtrace},
	{Major: 3, Minor: 255, Capabilities: dvmrp.CapPrune | dvmrp.CapGenID | dvmrp.CapMtrace},
	{Major: 12, Minor: 2, Capabilities: dvmrp.CapPrune | dvmrp.CapMtrace | dvmrp.CapGenID},
	{Major: 12, Minor: 2, Capabilities: dvmrp.CapPrune | dvmrp.CapMtrace | dvmrp.CapGenID},
	{Major: 3, Minor: 8, Capabilities: dvmrp.CapPrune | dvmrp.CapGenID | dvmrp.CapMtrace},
	{Major: 11, Minor: 2, Capabilities: dvmrp.CapPrune | dvmrp.CapMtrace},
	{Major: 2, Minor: 2},
}

var randomPlaces = []string{"oslo", "wien", "bonn", "pisa", "lyon", "kyiv", "riga", "bern", "nara", "lima", "york", "gent", "graz", "brno",
	"kiel", "cork", "metz", "linz", "faro", "vigo", "bari", "umea", "oulu", "sibiu"}

// report makes the map that a crawl from the first router would make.
func (g *randomNetwork) report(regions [][]int) *report.Map {
	n := len(g.interfaces)
	depth := g.depths()
	routers := make([]report.MapRouter, n)
	for region, members := range regions {
		for k, i := range members {
			name := fmt.Sprintf("r%d.%s.example", k, randomPlaces[region%len(randomPlaces)])
			if k == 0 {
				name = fmt.Sprintf("core.%s.example", randomPlaces[region%len(randomPlaces)])
			}
			if region >= len(randomPlaces) {
				name = fmt.Sprintf("r%d.net%d.example", k, region)
			}
			stub := dvmrp.Interface{Local: netip.AddrFrom4([4]byte{172, 16 + byte(i>>8), byte(i), 1}), Metric: 1, Threshold: 1,
				Flags: dvmrp.FlagQuerier | dvmrp.FlagLeaf}
			interfaces := g.interfaces[i]
			address := interfaces[0].Local.String()
			edge := len(interfaces) == 1 && interfaces[0].Flags&dvmrp.FlagTunnel == 0 && k > 0
			switch chance := g.chance.IntN(100); {
			case edge && chance < 11:
				routers[i] = unknownRouter(address, depth[i], report.RouterSilent, "no answer to 5 questions")
				g.unknown[i] = true
			case edge && chance < 16:
				routers[i] = unknownRouter(address, depth[i], report.RouterNotAsked, "outside of the networks given with --within")
				g.unknown[i] = true
			default:
				if g.chance.IntN(3) == 0 {
					interfaces = append(interfaces, stub)
				}
				routers[i] = mapRouter(address, depth[i], interfaces...)
				routers[i].Version = report.VersionOf(randomVersions[g.chance.IntN(len(randomVersions))])
				routers[i].RTT = ms(float64(depth[i]*4) + g.chance.Float64()*3)
			}
			if g.chance.IntN(4) > 0 {
				routers[i].Name = &name
			}
		}
	}
	for k := range g.links {
		l := &g.links[k]
		for e, i := range g.members[k] {
			l.Ends[e].Router = routers[i].Address
			if g.unknown[i] {
				l.Ends[e] = unknownEnd(routers[i].Address.String())
			}
		}
		a, b := g.members[k][0], g.members[k][1]
		if !g.unknown[a] && !g.unknown[b] && g.chance.IntN(40) == 0 {
			l.OneWay = []report.OneWay{{From: routers[a].Address, To: routers[b].Address}}
		}
	}
	start := routers[0].Address.String()
	m := newMap(start, routers, g.links...)
	slices.SortFunc(m.Links, func(a, b report.MapLink) int {
		if c := a.Ends[0].Router.Compare(b.Ends[0].Router); c != 0 {
			return c
		}
		return a.Ends[0].Interface.Compare(b.Ends[0].Interface)
	})
	return m
}

// depths counts the steps from the first router.
func (g *randomNetwork) depths() []int {
	at := make([][]int, len(g.interfaces)) // the links of each router
	for k, members := range g.members {
		for _, i := range members {
			at[i] = append(at[i], k)
		}
	}
	depth := make([]int, len(g.interfaces))
	seen := map[int]bool{0: true}
	for queue := []int{0}; len(queue) > 0; queue = queue[1:] {
		for _, k := range at[queue[0]] {
			for _, o := range g.members[k] {
				if !seen[o] {
					seen[o] = true
					depth[o] = depth[queue[0]] + 1
					queue = append(queue, o)
				}
			}
		}
	}
	return depth
}
