package sim

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"time"
)

// Network is routers, hosts and links, and their clock.
type Network struct {
	// Logger is nil, or where the engines log, with the attribute router. It counts
	// for routers that start later.
	Logger *slog.Logger
	// StartSpread is within which time the routers start after the first Run.
	StartSpread time.Duration
	// MaxLoop is how long a parent loop for a tracked network may last: 0, none may
	// be at all. MaxSlowLoop is the same for those with a router that holds reports.
	MaxLoop, MaxSlowLoop time.Duration
	// QuietTime is for how long nothing must change until the network is quiet: hosts
	// take up to ten seconds to answer the query of a router that has started.
	QuietTime time.Duration

	seed   uint64
	random *rand.Rand
	now    time.Duration
	agenda agenda
	digest digest

	routers []*Router
	hosts   []*Host
	links   []*Link
	flows   []*Flow
	byAddr  map[netip.Addr]*end
	space   uint32 // the next free address

	paths   paths
	packets []*packet // not in use
	tracked tracker
	watched bool

	changed  time.Duration // when anything did that matters to Settle
	story    []string
	failures []string
	failed   int
}

// maxFailures is how many failures are kept with their text.
const maxFailures = 20

// wall is the time of day at which every network begins.
var wall = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// New returns an empty network. All chance in it comes from seed.
func New(seed uint64) *Network {
	return &Network{
		StartSpread: 100 * time.Millisecond,
		MaxSlowLoop: 2*mroutedTick + time.Second,
		QuietTime:   11 * time.Second,
		seed:        seed,
		random:      rand.New(rand.NewPCG(seed, 0x6d626f6e65)),
		byAddr:      make(map[netip.Addr]*end),
		space:       10 << 24,
	}
}

// Now returns the time since the network was made.
func (n *Network) Now() time.Duration { return n.now }

// Random returns the source of all chance, for scenarios.
func (n *Network) Random() *rand.Rand { return n.random }

// Routers returns all routers, in the order in which they were added.
func (n *Network) Routers() []*Router { return n.routers }

// Links returns all links, in the order in which they were added.
func (n *Network) Links() []*Link { return n.links }

// At calls do at a time, or now if that is over.
func (n *Network) At(at time.Duration, do func()) {
	n.agenda.push(event{at: max(at, n.now), kind: calling, call: do})
}

// After calls do after a time.
func (n *Network) After(d time.Duration, do func()) { n.At(n.now+d, do) }

// Run lets the network run for a time.
func (n *Network) Run(d time.Duration) { n.RunUntil(n.now + d) }

// RunUntil lets the network run until a time.
func (n *Network) RunUntil(end time.Duration) {
	n.startRouters()
	for {
		at, ok := n.agenda.next()
		if !ok || at > end {
			break
		}
		e := n.agenda.pop()
		n.now = e.at
		n.happen(&e)
	}
	n.now = max(n.now, end)
}

// startRouters starts those that never were.
func (n *Network) startRouters() {
	for _, r := range n.routers {
		if !r.wanted {
			r.wanted = true
			n.After(n.upTo(n.StartSpread), r.Start)
		}
	}
}

func (n *Network) happen(e *event) {
	switch e.kind {
	case calling:
		e.call()
	case delivery:
		if e.end.isUp() && !e.end.deaf {
			e.end.node.receive(e.end, e.packet, e.ttl)
		}
		n.release(e.packet)
	case ticking:
		e.router.tick(e)
	case upcalling:
		e.router.upcall(e)
	case sending:
		e.flow.next()
	}
}

// upTo returns a random time between 0 and d.
func (n *Network) upTo(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return time.Duration(n.random.Int64N(int64(d) + 1))
}

// fail notes that something does not hold.
func (n *Network) fail(format string, args ...any) {
	n.failed++
	if len(n.failures) < maxFailures {
		n.failures = append(n.failures, fmt.Sprintf("seed %d, at %v: ", n.seed, n.now)+fmt.Sprintf(format, args...))
	}
}

// Failures returns what did not hold so far: the first ones in full.
func (n *Network) Failures() []string {
	f := n.failures
	if more := n.failed - len(f); more > 0 {
		f = append(f[:len(f):len(f)], fmt.Sprintf("seed %d: and %d more", n.seed, more))
	}
	return f
}

// Digest returns a fingerprint of all that the engines did, and when. Two runs with
// the same seed have the same.
func (n *Network) Digest() uint64 { return uint64(n.digest) }

// prefix returns a network of so many bits that nobody has.
func (n *Network) prefix(bits int) netip.Prefix {
	size := uint32(1) << (32 - bits)
	n.space = (n.space + size - 1) / size * size
	p := netip.PrefixFrom(address(n.space), bits)
	n.space += size
	return p
}

func address(v uint32) netip.Addr {
	return netip.AddrFrom4([4]byte{byte(v >> 24), byte(v >> 16), byte(v >> 8), byte(v)})
}

func number(a netip.Addr) uint32 {
	b := a.As4()
	return uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
}

// digest is a running fingerprint.
type digest uint64

func (d *digest) mix(v uint64) {
	h := (uint64(*d) ^ v) * 0x9e3779b97f4a7c15
	*d = digest(h ^ h>>29)
}

func (d *digest) mixBytes(b []byte) {
	d.mix(uint64(len(b)))
	for ; len(b) >= 8; b = b[8:] {
		d.mix(uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16 | uint64(b[3])<<24 |
			uint64(b[4])<<32 | uint64(b[5])<<40 | uint64(b[6])<<48 | uint64(b[7])<<56)
	}
	var rest uint64
	for i, c := range b {
		rest |= uint64(c) << (8 * i)
	}
	d.mix(rest)
}

func (d *digest) mixAddr(a netip.Addr) {
	if a.Is4() {
		d.mix(uint64(number(a)))
	}
}
