// Package fake is a network of thousands of multicast routers in one process.
//
// It sits in a host of a lab that has one local route for all their addresses,
// loses and delays by a seed, and speaks through the kernel: a tool that asks it
// cannot know that they are not real.
//
//	[ asker ] eth0 ---- eth0 [ network ]  route local 10.128.0.0/9
//
// [Make] plans a network, and knows what is true of it; a [Server] answers for
// its routers; [Start] makes the hosts of both sides for a test.
package fake

import (
	"fmt"
	"net/netip"

	"mbone/proto/dvmrp"
	"mbone/proto/igmp"
)

// Prefix holds the addresses of all routers.
var Prefix = netip.MustParsePrefix("10.128.0.0/9")

// MaxRouters is the most routers of a network.
const MaxRouters = 100_000

// Plan describes a network. Networks of the same plan are the same; those that
// differ in what misbehaves have the same routers, links and silences.
type Plan struct {
	Seed    uint64
	Routers int // 1 to [MaxRouters]
	// Shares of the routers, from 0 to 1, their sum being 1 at most. The start is
	// none of them.
	Silent       float64 // they answer nothing
	OldForm      float64 // they know the old question (code 3) only
	OtherAddress float64 // they answer from another of their addresses
	Long         float64 // their answers take several packets
	// OneWay is the share of the links between two routers of which one end does
	// not name the other.
	OneWay float64
	// Numbers of routers that can be reached and answer, but also misbehave.
	Chatting, Lying, Endless int
}

// Typical is a network as one may be found: most routers are well, a few are
// old, answer from elsewhere, or have much to say.
func Typical(seed uint64, routers int) Plan {
	return Plan{Seed: seed, Routers: routers, OldForm: 0.03, OtherAddress: 0.05, Long: 0.02, OneWay: 0.02}
}

// Behavior is what a router does when it is asked.
type Behavior uint8

// The behaviours.
const (
	Normal       Behavior = iota
	Silent                // answers nothing
	OldForm               // answers the old question only
	OtherAddress          // answers from another of its addresses
	Chatting              // also sends what nobody asked for, all the time
	Lying                 // also claims the addresses of others and invents neighbours
	Endless               // sends packet after packet, each of them full
)

// Router is one router of a network.
type Router struct {
	Behavior Behavior
	Version  dvmrp.Version
	number   int
	source   netip.Addr // of its answers; invalid: the address that was asked
	// interfaces is what it tells, lies what it adds to that.
	interfaces, lies []dvmrp.Interface
	depth            int // steps from the start; -1: not to be reached
}

// Network is a plan that was carried out. It does not change.
type Network struct {
	plan    Plan
	routers []*Router
	owner   map[netip.Addr]*Router
	free    netip.Addr // the first address of Prefix that is in no network yet
	links   []link
	// Of the routers that misbehave.
	invented []netip.Addr
}

// Start returns the address at which a crawl begins.
func (n *Network) Start() netip.Addr { return n.routers[0].interfaces[0].Local }

// Reachable returns the routers that answer and that are named, from the start
// on, by others that do.
func (n *Network) Reachable() []*Router {
	var all []*Router
	for _, r := range n.routers {
		if r.depth >= 0 && r.Behavior != Silent {
			all = append(all, r)
		}
	}
	return all
}

// Silent returns the addresses that reachable routers name, but where nobody
// answers: those of silent routers and those that were invented. Nobody can know
// which of them belong to one router.
func (n *Network) Silent() []netip.Addr {
	var all []netip.Addr
	named := make(map[netip.Addr]bool)
	for _, r := range n.Reachable() {
		for a := range r.names() {
			if o := n.owner[a]; o != nil && o.Behavior == Silent && !named[a] {
				named[a] = true
				all = append(all, a)
			}
		}
	}
	return append(all, n.invented...)
}

// Depth returns the number of steps from the start to the farthest router that
// can be reached.
func (n *Network) Depth() int {
	depth := 0
	for _, r := range n.routers {
		depth = max(depth, r.depth)
	}
	return depth
}

// Depth returns the number of steps from the start; -1: it cannot be reached.
func (r *Router) Depth() int { return r.depth }

// Addresses returns the router's own addresses, in the order in which it tells
// them. An old router does not tell those of interfaces without neighbours.
func (r *Router) Addresses() []netip.Addr {
	var all []netip.Addr
	seen := make(map[netip.Addr]bool)
	for i := range r.interfaces {
		if a := r.interfaces[i].Local; !seen[a] && (r.Behavior != OldForm || inOldForm(&r.interfaces[i])) {
			seen[a] = true
			all = append(all, a)
		}
	}
	return all
}

// names yields the neighbours that the router truly names.
func (r *Router) names() func(yield func(netip.Addr) bool) {
	return func(yield func(netip.Addr) bool) {
		for i := range r.interfaces {
			for _, a := range r.interfaces[i].Neighbors {
				if a != igmp.Unspecified && !yield(a) {
					return
				}
			}
		}
	}
}

// inOldForm reports whether an answer in the old form has a record: mrouted
// leaves out interfaces without neighbours.
func inOldForm(i *dvmrp.Interface) bool { return i.Neighbors[0] != igmp.Unspecified }

// messages returns the packets of the router's answer in one form; an old one
// that has nothing to list gives none.
func (r *Router) messages(code dvmrp.Code) [][]byte {
	answer := dvmrp.Neighbors{Version: r.Version, Code: code}
	records := append(r.interfaces[:len(r.interfaces):len(r.interfaces)], r.lies...)
	if code == dvmrp.CodeNeighbors {
		records = nil
		for _, i := range r.interfaces {
			if inOldForm(&i) {
				i.Flags = 0
				records = append(records, i)
			}
		}
	}
	var all [][]byte
	for answer.Interfaces = range dvmrp.SplitInterfaces(code, records) {
		all = append(all, encode(&answer))
	}
	return all
}

// filler returns packet number i of an endless answer: full, and unlike all
// others. The first records are true, so that the router is known by them.
func (r *Router) filler(i int) []byte {
	answer := dvmrp.Neighbors{Version: r.Version, Code: dvmrp.CodeNeighbors2}
	for part := range dvmrp.SplitInterfaces(answer.Code, r.interfaces) {
		answer.Interfaces = append(answer.Interfaces, part...)
		break
	}
	for !answer.Full() {
		answer.Interfaces = append(answer.Interfaces, dvmrp.Interface{
			Local: r.interfaces[0].Local, Metric: uint8(i), Threshold: uint8(i >> 8),
			Flags: dvmrp.FlagLeaf | dvmrp.FlagDown, Neighbors: []netip.Addr{igmp.Unspecified},
		})
	}
	return encode(&answer)
}

// encode encodes what a router says, which fits by construction.
func encode(n *dvmrp.Neighbors) []byte {
	b, err := n.AppendBinary(nil)
	if err != nil {
		panic(fmt.Sprintf("fake: %v", err))
	}
	return b
}
