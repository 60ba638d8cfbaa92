package dvmrp

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"mbone/internal/router/host"
	"mbone/proto/dvmrp"
)

// orchard is a forest with neighbours that keep what they are told, and may lose it.
type orchard struct {
	*forest
	random *rand.Rand
	loss   int // of a hundred messages
	// held is until when each upstream neighbour has a prune of ours.
	held map[netip.Addr]time.Duration
	// pruned is until when each dependent has pruned, by link and number, as this
	// router has to see it.
	pruned  map[[2]int]time.Duration
	depends map[[2]int]bool
	genID   uint32
}

var (
	orchardUpstream   = [][2]int{{1, 2}, {2, 3}}
	orchardDependents = [][2]int{{2, 5}, {2, 6}, {3, 7}, {3, 8}}
)

func newOrchard(t testing.TB, random *rand.Rand) *orchard {
	o := &orchard{
		forest: grown(t, pointToPoint), random: random, genID: 7,
		held: make(map[netip.Addr]time.Duration), pruned: make(map[[2]int]time.Duration), depends: make(map[[2]int]bool),
	}
	o.peer(2, 3)
	o.report(2, 3, "10.0.0.0/8", 3)
	for _, d := range orchardDependents {
		o.peer(d[0], d[1])
		o.report(d[0], d[1], "10.0.0.0/8", 9)
	}
	o.run(5 * time.Minute)
	return o
}

// answer has the neighbours take what was sent to them. Each graft that they get is
// acknowledged.
func (o *orchard) answer() {
	for len(o.sent) > 0 {
		m := o.sent[0]
		o.sent = o.sent[1:]
		if o.random.IntN(100) < o.loss {
			continue
		}
		switch m.code {
		case dvmrp.CodePrune:
			o.held[m.to] = m.at + m.lifetime
		case dvmrp.CodeGraft:
			delete(o.held, m.to)
			if o.random.IntN(100) >= o.loss {
				to := m.to.As4()
				o.ack(int(to[2]), int(to[3]))
			}
		}
	}
}

// step lets a second pass, with a packet if the upstream neighbour sends one.
func (o *orchard) step() {
	o.run(time.Second)
	o.answer()
	for d, until := range o.pruned {
		if until <= o.now {
			delete(o.pruned, d)
		}
	}
	r := o.p.routeOf(theKey.Net)
	if r == nil || !r.isReachable() || o.held[r.gateway.addr] > o.now {
		return
	}
	o.packet(int(r.parent.ID))
	o.answer()
}

// outputs are the links that packets have to leave by.
func (o *orchard) outputs() []host.Interface {
	var out []host.Interface
	r := o.p.routeOf(theKey.Net)
	for id := 1; id <= 3; id++ {
		l := o.p.linkOf(host.Interface(id))
		if r == nil || !r.forwarder(l) {
			continue
		}
		wants := o.members[memberAt{link: l.ID, group: theGroup}]
		for _, d := range orchardDependents {
			if _, pruned := o.pruned[d]; d[0] == id && o.depends[d] && !pruned {
				wants = true
			}
		}
		for _, u := range orchardUpstream {
			// Who cannot have said anything yet of a route that has just come back.
			n := l.peer(router(u[0], u[1]))
			wants = wants || n != nil && r.depends(n)
		}
		if wants {
			out = append(out, l.ID)
		}
	}
	return out
}

func (o *orchard) check() {
	o.t.Helper()
	want := o.outputs()
	for _, k := range o.kernel {
		var got []host.Interface
		for _, out := range k.Outputs {
			got = append(got, out.Interface)
		}
		if !slices.Equal(got, want) {
			o.t.Fatalf("%v: packets leave by %v, want %v", o.now, got, want)
		}
	}
	n := 0
	for _, b := range o.p.trees.books {
		n += len(b.received)
	}
	if n != o.p.TreeStats().Received || n != len(o.pruned) && o.cache.Lookup(theKey) != nil {
		o.t.Fatalf("%v: %d prunes in the books, %d counted, want %d", o.now, n, o.p.TreeStats().Received, len(o.pruned))
	}
}

// change is one thing that happens.
func (o *orchard) change() {
	d := orchardDependents[o.random.IntN(len(orchardDependents))]
	u := orchardUpstream[o.random.IntN(len(orchardUpstream))]
	forwards := func() bool {
		r := o.p.routeOf(theKey.Net)
		return r != nil && r.forwarder(o.p.linkOf(host.Interface(d[0])))
	}
	switch o.random.IntN(10) {
	case 0, 1, 2:
		lifetime := time.Duration(1+o.random.IntN(200)) * time.Second
		if o.depends[d] && forwards() && lifetime > minPrune && o.cache.Lookup(theKey) != nil {
			o.pruned[d] = o.now + lifetime
		}
		o.prune(d[0], d[1], lifetime)
	case 3:
		delete(o.pruned, d)
		o.graft(d[0], d[1])
	case 4, 5:
		o.depends[d] = !o.depends[d]
		delete(o.pruned, d)
		o.report(d[0], d[1], "10.0.0.0/8", map[bool]int{false: 9, true: 36}[o.depends[d]])
	case 6:
		link := 2 + o.random.IntN(2)
		o.join(link, !o.members[memberAt{link: host.Interface(link), group: theGroup}])
	case 7:
		// Another way, or none for a moment. Whoever depended on this router where it
		// ceases to be forwarder starts anew.
		metric := []int{1, 1, 2, 3, 32}[o.random.IntN(5)]
		o.report(u[0], u[1], "10.0.0.0/8", metric)
	case 8:
		o.genID++
		o.peerOf(d[0], d[1], dvmrp.Mrouted, o.genID)
		o.report(d[0], d[1], "10.0.0.0/8", map[bool]int{false: 9, true: 36}[o.depends[d]])
		delete(o.pruned, d)
		delete(o.held, router(d[0], d[1])) // it was upstream, perhaps
	case 9:
		o.genID++
		delete(o.held, router(u[0], u[1]))
		o.peerOf(u[0], u[1], dvmrp.Mrouted, o.genID)
		for _, s := range o.said {
			o.tell(s)
		}
	}
	for _, d := range orchardDependents {
		r := o.p.routeOf(theKey.Net)
		if r == nil || !r.forwarder(o.p.linkOf(host.Interface(d[0]))) || o.cache.Lookup(theKey) == nil {
			delete(o.pruned, d)
		}
	}
	o.answer()
}

// Whatever neighbours and members do, and whatever is lost: packets go to those who
// have not pruned, the upstream neighbour has no prune when somebody wants them, and
// has one in the end when nobody does.
func TestTreesRandom(t *testing.T) {
	for seed := range uint64(8) {
		treesRandom(t, seed, 60)
	}
}

func treesRandom(t testing.TB, seed uint64, rounds int) {
	o := newOrchard(t, rand.New(rand.NewPCG(seed, 5)))
	for round := range rounds {
		o.loss = 40
		for range 1 + o.random.IntN(4) {
			o.change()
			if o.random.IntN(2) == 0 {
				o.step()
			}
			o.check()
		}
		o.loss = 0
		before := fmt.Sprint(o.outputs())
		for range 60 {
			o.step()
			o.check()
		}
		r := o.p.routeOf(theKey.Net)
		if r == nil || !r.isReachable() || fmt.Sprint(o.outputs()) != before {
			continue
		}
		switch until, held := o.held[r.gateway.addr], len(o.outputs()) > 0; {
		case held && until > o.now:
			t.Fatalf("seed %d round %d: the upstream neighbour holds back until %v what somebody wants", seed, round, until)
		case !held && until <= o.now && o.worthPruning():
			t.Fatalf("seed %d round %d: the upstream neighbour sends what nobody wants", seed, round)
		}
	}
}

// worthPruning reports whether no prune of a dependent is so short that none is sent
// upstream.
func (o *orchard) worthPruning() bool {
	for _, until := range o.pruned {
		if until-o.now < 70*time.Second {
			return false
		}
	}
	return true
}

// FuzzTrees gives the router damaged prunes and grafts.
func FuzzTrees(f *testing.F) {
	add := func(m interface {
		AppendBinary([]byte) ([]byte, error)
	}) {
		b, err := m.AppendBinary(nil)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(uint8(2), uint8(5), b)
	}
	add(&dvmrp.Prune{Version: dvmrp.Mrouted, Source: addr("10.0.0.0"), Group: theGroup, Lifetime: time.Hour})
	add(&dvmrp.Graft{Version: dvmrp.Mrouted, Source: addr("10.0.0.0"), Group: theGroup})
	add(&dvmrp.Graft{Version: dvmrp.Mrouted, Ack: true, Source: addr("10.0.0.0"), Group: theGroup})
	f.Fuzz(func(t *testing.T, link, number uint8, b []byte) {
		o := grown(t, pointToPoint)
		o.depend(2, 5)
		o.packet(1)
		for range 2 {
			o.p.Receive(o.now, &host.Packet{Interface: host.Interface(link), From: router(int(link), int(number)), To: router(int(link), 1), Message: b})
			o.turn()
			o.run(10 * time.Second)
			o.packet(1)
		}
		if len(o.sent) > 10 || o.p.TreeStats().Received > 1 {
			t.Fatalf("sent %v, %d prunes are kept", o.sent, o.p.TreeStats().Received)
		}
	})
}
