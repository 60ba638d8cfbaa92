package fake

import (
	"fmt"
	"math/rand/v2"
	"net/netip"

	"mbone/proto/dvmrp"
	"mbone/proto/igmp"
)

// The parts of a network are drawn from separate streams of random numbers, so
// that a change of one part of a plan leaves the others as they are.
const (
	streamLinks = iota
	streamBehaviors
	streamOneWay
	streamMisbehavior
)

// How networks grow: in steps out of which one in percent is a LAN, and so on.
const (
	percentLAN    = 25
	percentRing   = 20
	percentTunnel = 15 // the rest are lines between two

	minLAN, maxLAN   = 3, 8
	minRing, maxRing = 2, 6 // new routers of a ring
	crossLinks       = 8    // one for that many routers
	leafChance       = 0.5  // that a router has a network without neighbours

	// The answer of a router with much to say begins with networks without
	// neighbours, of which 42 fill a packet: one less, so that the record of a
	// LAN that follows has to be split.
	leavesOfPacket       = dvmrp.MaxData / 12
	minPackets, maxExtra = 1, 3

	// Of each liar.
	lieClaims    = 3
	lieNeighbors = 5
)

// versions are those of the routers; mrouted's is drawn more often.
var versions = []dvmrp.Version{
	dvmrp.Mrouted, dvmrp.Mrouted, dvmrp.Mrouted, dvmrp.Mrouted,
	{Capabilities: dvmrp.CapPrune | dvmrp.CapMtrace | dvmrp.CapSNMP, Minor: 2, Major: 12},
	{Minor: 2, Major: 10}, // IOS, which counts neighbours in its own way
}

// link is what joins routers.
type link struct {
	tunnel bool
	ends   []end
}

// end is a router's side of a link: one of its interfaces.
type end struct {
	router *Router
	at     int // index of the interface
}

func (e end) record() *dvmrp.Interface { return &e.router.interfaces[e.at] }

// Make makes the network of a plan. It panics if the plan has no router or too
// many of them.
func Make(p Plan) *Network {
	if p.Routers < 1 || p.Routers > MaxRouters {
		panic(fmt.Sprintf("fake: expected 1 to %d routers, found %d", MaxRouters, p.Routers))
	}
	n := &Network{plan: p, owner: make(map[netip.Addr]*Router), free: Prefix.Addr()}
	n.grow(n.stream(streamLinks))
	n.behave(n.stream(streamBehaviors))
	n.name(n.stream(streamOneWay))
	n.reach()
	n.misbehave(n.stream(streamMisbehavior))
	return n
}

func (n *Network) stream(s uint64) *rand.Rand { return rand.New(rand.NewPCG(n.plan.Seed, s)) }

// grow makes routers and links: every new router hangs on an older one, by a LAN,
// a ring, a tunnel or a line.
func (n *Network) grow(random *rand.Rand) {
	for range n.plan.Routers {
		r := &Router{number: len(n.routers), depth: -1, Version: versions[random.IntN(len(versions))]}
		n.routers = append(n.routers, r)
		if random.Float64() < n.plan.Long && r.number > 0 {
			for range leavesOfPacket*(minPackets+random.IntN(maxExtra)) - 1 {
				n.leaf(r)
			}
		} else if random.Float64() < leafChance {
			n.leaf(r)
		}
	}
	for made := 1; made < len(n.routers); {
		old, fresh := n.routers[:made], n.routers[made:]
		from := old[random.IntN(made)]
		switch kind := random.IntN(100); {
		case kind < percentLAN:
			size := minLAN - 1 + random.IntN(maxLAN-minLAN+1)
			fresh = fresh[:min(size, len(fresh))]
			n.connect(false, append([]*Router{from}, fresh...)...)
		case kind < percentLAN+percentRing:
			size := minRing + random.IntN(maxRing-minRing+1)
			fresh = fresh[:min(size, len(fresh))]
			to := old[random.IntN(made)]
			for _, r := range fresh {
				n.connect(false, from, r)
				from = r
			}
			n.connect(false, from, to)
		default:
			fresh = fresh[:1]
			n.connect(kind < percentLAN+percentRing+percentTunnel, from, fresh[0])
		}
		made += len(fresh)
	}
	for range len(n.routers) / crossLinks {
		from, to := n.routers[random.IntN(len(n.routers))], n.routers[random.IntN(len(n.routers))]
		if from != to {
			n.connect(random.IntN(2) == 0, from, to)
		}
	}
	if len(n.routers[0].interfaces) == 0 {
		n.leaf(n.routers[0])
	}
}

// network takes the next free network of at least hosts addresses and returns
// its first host.
func (n *Network) network(hosts int) netip.Addr {
	size := uint32(4)
	for int(size) < hosts+2 {
		size *= 2
	}
	at := (number(n.free) + size - 1) / size * size
	n.free = address(at + size)
	if !Prefix.Contains(n.free) {
		panic(fmt.Sprintf("fake: %d routers of this kind do not fit %s", n.plan.Routers, Prefix))
	}
	return address(at + 1)
}

func number(a netip.Addr) uint32 {
	b := a.As4()
	return uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
}

func address(v uint32) netip.Addr {
	return netip.AddrFrom4([4]byte{byte(v >> 24), byte(v >> 16), byte(v >> 8), byte(v)})
}

// add gives a router an interface.
func (n *Network) add(r *Router, i dvmrp.Interface) end {
	n.owner[i.Local] = r
	r.interfaces = append(r.interfaces, i)
	return end{r, len(r.interfaces) - 1}
}

// leaf gives a router a network without neighbours.
func (n *Network) leaf(r *Router) {
	n.add(r, dvmrp.Interface{Local: n.network(1), Metric: 1, Threshold: 1, Flags: dvmrp.FlagQuerier})
}

// connect joins routers by a link. The ends of a tunnel have addresses of other
// interfaces.
func (n *Network) connect(tunnel bool, routers ...*Router) {
	l := link{tunnel: tunnel}
	var at netip.Addr
	if !tunnel {
		at = n.network(len(routers))
	}
	for k, r := range routers {
		i := dvmrp.Interface{Local: at, Metric: 1, Threshold: 1}
		switch {
		case tunnel:
			if len(r.interfaces) == 0 {
				n.leaf(r)
			}
			i = dvmrp.Interface{Local: r.interfaces[0].Local, Metric: 1, Threshold: 32, Flags: dvmrp.FlagTunnel}
		case k == 0:
			i.Flags = dvmrp.FlagQuerier
			fallthrough
		default:
			at = at.Next()
		}
		l.ends = append(l.ends, n.add(r, i))
	}
	n.links = append(n.links, l)
}

// behave says who is silent, old, or answers from elsewhere.
func (n *Network) behave(random *rand.Rand) {
	p := n.plan
	for _, r := range n.routers[1:] {
		switch at := random.Float64(); {
		case at < p.Silent:
			r.Behavior = Silent
		case at < p.Silent+p.OldForm:
			r.Behavior = OldForm
			r.Version = dvmrp.Version{} // which says that it does not know Neighbors2
		case at < p.Silent+p.OldForm+p.OtherAddress:
			r.Behavior = OtherAddress
			n.leaf(r)
			r.source = r.interfaces[len(r.interfaces)-1].Local
		}
	}
}

// name fills in the neighbours. Where a link is one-way, one end names nobody;
// that is not an old router, which would not tell its address there at all.
func (n *Network) name(random *rand.Rand) {
	for _, l := range n.links {
		deaf := -1
		if way := random.IntN(2); len(l.ends) == 2 && !l.tunnel && random.Float64() < n.plan.OneWay && l.ends[way].router.Behavior != OldForm {
			deaf = way
		}
		for i, e := range l.ends {
			for j, o := range l.ends {
				if i != j && i != deaf {
					e.record().Neighbors = append(e.record().Neighbors, o.record().Local)
				}
			}
		}
	}
	for _, r := range n.routers {
		for k := range r.interfaces {
			if i := &r.interfaces[k]; len(i.Neighbors) == 0 {
				i.Neighbors = []netip.Addr{igmp.Unspecified}
				i.Flags |= dvmrp.FlagLeaf
			}
		}
	}
}

// reach says how far each router is from the start.
func (n *Network) reach() {
	n.routers[0].depth = 0
	for queue := []*Router{n.routers[0]}; len(queue) > 0; queue = queue[1:] {
		r := queue[0]
		if r.Behavior == Silent {
			continue
		}
		for a := range r.names() {
			if o := n.owner[a]; o.depth < 0 {
				o.depth = r.depth + 1
				queue = append(queue, o)
			}
		}
	}
	for _, r := range n.routers {
		if r.Behavior == Silent {
			r.depth = -1 // named, perhaps, but not reached
		}
	}
}

// misbehave makes some of the normal routers that can be reached worse.
func (n *Network) misbehave(random *rand.Rand) {
	var good []*Router
	for _, r := range n.Reachable()[1:] {
		if r.Behavior == Normal && len(r.messages(dvmrp.CodeNeighbors2)) == 1 {
			good = append(good, r)
		}
	}
	victims := n.Reachable()
	silent := n.Silent()
	random.Shuffle(len(good), func(i, j int) { good[i], good[j] = good[j], good[i] })
	for _, kind := range []struct {
		behavior Behavior
		count    int
	}{{Chatting, n.plan.Chatting}, {Lying, n.plan.Lying}, {Endless, n.plan.Endless}} {
		if kind.count > len(good) {
			panic(fmt.Sprintf("fake: too few routers for %+v", n.plan))
		}
		for _, r := range good[:kind.count] {
			r.Behavior = kind.behavior
			if kind.behavior == Lying {
				n.lie(r, victims, silent, random)
			}
		}
		good = good[kind.count:]
	}
}

// lie makes up what a liar says: it calls addresses of others its own, of some
// that answer and of one that does not, and names neighbours that do not exist
// or could not.
func (n *Network) lie(liar *Router, victims []*Router, silent []netip.Addr, random *rand.Rand) {
	claim := func(a netip.Addr, neighbors ...netip.Addr) {
		liar.lies = append(liar.lies, dvmrp.Interface{Local: a, Metric: 1, Threshold: 1, Neighbors: neighbors})
	}
	for range lieClaims {
		if v := victims[random.IntN(len(victims))]; v != liar {
			addresses := v.Addresses()
			claim(addresses[random.IntN(len(addresses))], igmp.Unspecified)
		}
	}
	if len(silent) > 0 {
		claim(silent[random.IntN(len(silent))], igmp.Unspecified)
	}
	nobody := n.network(lieNeighbors)
	var neighbors []netip.Addr
	for range lieNeighbors {
		neighbors = append(neighbors, nobody)
		nobody = nobody.Next()
	}
	n.invented = append(n.invented, neighbors...)
	claim(liar.interfaces[0].Local, append(neighbors, NoRouters...)...)
}

// NoRouters are addresses at which no router can be: liars name them, too.
var NoRouters = []netip.Addr{
	igmp.AllSystems, netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("255.255.255.255"), netip.MustParseAddr("0.0.0.1"),
}
