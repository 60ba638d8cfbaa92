package mfc

import (
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"mbone/internal/router/host"
)

// Whatever happens to routes, links, neighbours and members, and in whatever order
// packets come, the entries that are changed bit by bit are those that one would
// compute anew.
func TestRandom(t *testing.T) {
	for seed := range uint64(30) {
		random(t, rand.New(rand.NewPCG(seed, 7)), 400)
	}
}

func FuzzCache(f *testing.F) {
	f.Add(uint64(1), uint64(2), uint16(300))
	f.Add(uint64(99), uint64(0), uint16(1000))
	f.Fuzz(func(t *testing.T, a, b uint64, steps uint16) {
		random(t, rand.New(rand.NewPCG(a, b)), int(steps%2000))
	})
}

var (
	someNets   = []netip.Prefix{net("0.0.0.0/0"), net("10.0.0.0/8"), net("10.1.0.0/16"), net("10.1.2.0/24"), net("10.1.2.3/32"), net("192.168.0.0/24")}
	someGroups = []netip.Addr{addr("224.1.1.1"), addr("239.1.1.1"), addr("239.255.0.1"), addr("232.1.2.3")}
	someSource = []netip.Addr{
		addr("10.1.2.3"), addr("10.1.2.4"), addr("10.1.3.4"), addr("10.2.3.4"), addr("192.168.0.9"), addr("172.16.5.5"),
		addr("0.0.0.0"), addr("127.0.0.1"),
	}
)

func one[T any](random *rand.Rand, of []T) T { return of[random.IntN(len(of))] }

func random(t *testing.T, random *rand.Rand, steps int) {
	r := newRig(t, 1000)
	const links = 4
	for id := range host.Interface(links) {
		r.link(id+1, nil)
	}
	link := func() host.Interface { return host.Interface(1 + random.IntN(links)) }
	for range steps {
		for range 1 + random.IntN(3) {
			n, g, id := one(random, someNets), one(random, someGroups), link()
			switch random.IntN(12) {
			case 0, 1, 2, 3:
				if r.links[id] != nil {
					r.packet(id, one(random, someSource), g)
				}
			case 4, 5:
				switch in := r.links[id]; {
				case random.IntN(3) == 0:
					r.route(n, 0, netip.Addr{})
				case in == nil || !in.Up:
				case random.IntN(4) == 0:
					r.route(n, id, netip.Addr{})
				default:
					r.route(n, id, netip.AddrFrom4([4]byte{10, byte(id), 0, byte(2 + random.IntN(2))}))
				}
			case 6:
				r.depend(n, g, id, random.IntN(2) == 0)
			case 7:
				r.forward(n, id, random.IntN(3) > 0)
			case 8:
				r.join(id, g, random.IntN(2) == 0, one(random, someSource), one(random, someSource))
			case 9:
				r.leave(id, g)
			case 10:
				if random.IntN(4) == 0 && r.links[id] != nil {
					r.removeLink(id)
					break
				}
				r.link(id, func(l *host.Link) {
					switch random.IntN(3) {
					case 0:
						l.Up = !l.Up
					case 1:
						l.Threshold = uint8(1 + random.IntN(3))
					default:
						l.Boundaries = nil
						if random.IntN(2) == 0 {
							l.Boundaries = []netip.Prefix{net("239.255.0.0/16")}
						}
					}
				})
			default:
				k := Key{n, g}
				r.protocol.hold[k] = r.now + time.Duration(random.IntN(600))*time.Second
				if random.IntN(2) == 0 {
					delete(r.protocol.hold, k)
				}
				if e := r.cache.Lookup(k); e != nil && random.IntN(2) == 0 {
					r.turn(func() { r.cache.Flush(r.now, e) })
				} else if e != nil {
					r.turn(func() { r.cache.Changed(e) })
				}
			}
		}
		passes := time.Duration(0)
		if random.IntN(4) == 0 {
			passes = time.Duration(random.IntN(400)) * time.Second
		}
		r.run(passes)
		for k, until := range r.protocol.hold {
			if e := r.cache.Lookup(k); e != nil && until <= r.now {
				r.turn(func() { r.cache.DownstreamChanged(r.now, e) })
			}
		}
		r.check()
	}
	// Without packets all goes, in the end.
	clear(r.protocol.hold)
	r.run(2 * time.Hour)
	r.turn(func() {
		for _, e := range append([]*Entry(nil), r.cache.all...) {
			r.cache.DownstreamChanged(r.now, e)
		}
	})
	if entries, flows := r.cache.Len(); entries != 0 || flows != 0 || len(r.protocol.told) != 0 || r.cache.sources.Size() != 0 ||
		r.cache.nets.Size() != 0 || len(r.cache.groups) != 0 || r.timers.Len() != 0 {
		t.Fatalf("%d entries and %d flows are left, the protocol has %d", entries, flows, len(r.protocol.told))
	}
}
