package dvmrp

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"mbone/internal/router/host"
	"mbone/internal/router/mfc"
	"mbone/internal/router/timer"
	"mbone/proto/dvmrp"
)

// forest is a router with all that prunes and grafts concern: the protocol, the
// cache, members and a kernel. Link 1 is where packets of 10.0.0.0/8 come from,
// by the neighbour .2 there.
type forest struct {
	t       testing.TB
	p       *Protocol
	cache   *mfc.Cache
	timers  timer.Queue
	actions host.Actions
	now     time.Duration
	members map[memberAt]bool
	kernel  map[memberAt]*kernelFlow
	sent    []treeMessage
	said    []repeated
}

// repeated is what a neighbour said last of a route: it goes on saying so.
type repeated struct {
	link, number int
	prefix       string
	metric       int
}

type memberAt struct {
	link          host.Interface
	source, group netip.Addr
}

type kernelFlow struct {
	host.Entry
	count host.FlowCount
}

// treeMessage is a prune, graft or ack that was sent.
type treeMessage struct {
	at       time.Duration
	text     string // "prune 10.0.0.0 224.2.2.2 to 192.168.1.2"
	code     dvmrp.Code
	to       netip.Addr
	lifetime time.Duration
}

var (
	theGroup  = addr("224.2.2.2")
	theSource = addr("10.1.2.3")
	theKey    = mfc.Key{Net: net("10.0.0.0/8"), Group: theGroup}
)

// newForest has links 1 to 3, LANs as lan makes them, after change.
func newForest(t testing.TB, change func(*host.Link)) *forest {
	f := &forest{t: t, members: make(map[memberAt]bool), kernel: make(map[memberAt]*kernelFlow)}
	env := &host.Env{Random: rand.New(rand.NewPCG(3, 4)), Timers: &f.timers, Out: &f.actions,
		Counters: f, Log: host.NewLogs(slog.New(slog.DiscardHandler))}
	f.p = New(env)
	f.cache = mfc.New(env, f.p, f)
	f.p.Attach(f.cache)
	settings := testSettings
	settings.CacheLifetime = 300 * time.Second
	settings.Limits.Entries, settings.Limits.Prunes = 10000, 10000
	f.cache.Configure(0, &settings)
	f.p.Configure(0, &settings)
	for id := range 3 {
		l := lan(id + 1)
		l.PruneLifetime = 7200 * time.Second
		l.NeighborTimeout = 1000 * time.Hour // of virtual time: nobody has to repeat his probes
		if change != nil {
			change(&l)
		}
		f.setLink(l)
	}
	return f
}

// grown is a forest with an upstream neighbour.
func grown(t testing.TB, change func(*host.Link)) *forest {
	f := newForest(t, change)
	f.peer(1, 2)
	f.report(1, 2, "10.0.0.0/8", 1)
	f.run(5 * time.Minute) // nobody is young any more
	return f
}

// Wants implements mfc.Members: of all sources.
func (f *forest) Wants(link host.Interface, source, group netip.Addr) bool {
	return f.members[memberAt{link: link, group: group}]
}

// WantsAny implements mfc.Members.
func (f *forest) WantsAny(link host.Interface, net netip.Prefix, group netip.Addr) bool {
	return f.Wants(link, net.Addr(), group)
}

// Flow implements host.Counters.
func (f *forest) Flow(source, group netip.Addr) (host.FlowCount, bool) {
	k := f.kernel[memberAt{source: source, group: group}]
	if k == nil {
		return host.FlowCount{}, false
	}
	return k.count, true
}

// Link implements host.Counters.
func (f *forest) Link(host.Interface) (host.LinkCount, bool) { return host.LinkCount{}, false }

func (f *forest) setLink(l host.Link) {
	f.cache.SetLink(f.now, &l)
	f.p.SetLink(f.now, &l)
	f.turn()
}

// turn ends the turn of an event as the engine does, and takes further ones until
// there is no more to do.
func (f *forest) turn() {
	for more := true; more; {
		more = !f.timers.Run(f.now, 256)
		more = !f.p.Work(f.now) || more
		more = !f.cache.Work(f.now) || more
		f.flush()
	}
}

// flush does what came out of a turn.
func (f *forest) flush() {
	for _, a := range f.actions.Entries {
		at := memberAt{source: a.Source, group: a.Group}
		if a.In == 0 {
			delete(f.kernel, at)
			continue
		}
		if f.kernel[at] == nil {
			f.kernel[at] = &kernelFlow{}
		}
		f.kernel[at].Entry = a
	}
	for _, s := range f.actions.Send {
		var prune dvmrp.Prune
		var graft dvmrp.Graft
		m := treeMessage{at: f.now, to: s.To, code: dvmrp.Code(s.Message[1])}
		switch {
		case prune.Parse(s.Message) == nil:
			m.text = fmt.Sprintf("prune %v %v to %v", prune.Source, prune.Group, s.To)
			m.lifetime = prune.Lifetime
			if prune.Mask.IsValid() {
				f.t.Fatal("a prune with a netmask was sent")
			}
		case graft.Parse(s.Message) == nil:
			m.text = fmt.Sprintf("%s %v %v to %v", map[bool]string{false: "graft", true: "ack"}[graft.Ack], graft.Source, graft.Group, s.To)
			if len(s.Message) != 16 {
				f.t.Fatal("a graft with a netmask was sent")
			}
		default:
			continue
		}
		if s.TTL != 255 || s.Alert || s.Interface != 0 {
			f.t.Fatalf("%s was not sent as unicast: %+v", m.text, s)
		}
		f.sent = append(f.sent, m)
	}
	f.actions.Reset()
}

// run lets time pass, in which the neighbours repeat their reports.
func (f *forest) run(d time.Duration) {
	const minute = time.Minute
	for end := f.now + d; ; {
		next := (f.now/minute + 1) * minute
		if next > end {
			f.pass(end)
			return
		}
		f.pass(next)
		for _, s := range f.said {
			f.tell(s)
		}
	}
}

func (f *forest) pass(end time.Duration) {
	for {
		due, ok := f.timers.Deadline()
		if !ok || due > end {
			break
		}
		f.now = max(f.now, due)
		f.turn()
	}
	f.now = end
	f.turn()
}

func router(link, number int) netip.Addr {
	return netip.AddrFrom4([4]byte{192, 168, byte(link), byte(number)})
}

// receive gives the router a message of a neighbour, by its number on a link.
func (f *forest) receive(link, number int, m interface {
	AppendBinary([]byte) ([]byte, error)
}) {
	b, err := m.AppendBinary(nil)
	if err != nil {
		f.t.Fatal(err)
	}
	f.p.Receive(f.now, &host.Packet{Interface: host.Interface(link), From: router(link, number), To: router(link, 1), Message: b})
	f.turn()
}

// peer makes a router a peer, or one that has started again if it was one.
func (f *forest) peer(link, number int) { f.peerOf(link, number, dvmrp.Mrouted, 7) }

func (f *forest) peerOf(link, number int, v dvmrp.Version, generation uint32) {
	probe := dvmrp.Probe{Version: v}
	if v.ProbeData() {
		probe.GenID, probe.Neighbors = generation, []netip.Addr{router(link, 1)}
	}
	f.receive(link, number, &probe)
}

func (f *forest) report(link, number int, prefix string, metric int) {
	s := repeated{link, number, prefix, metric}
	f.said = slices.DeleteFunc(f.said, func(k repeated) bool { return k.link == link && k.number == number && k.prefix == prefix })
	f.said = append(f.said, s)
	f.tell(s)
}

func (f *forest) tell(s repeated) {
	f.receive(s.link, s.number, &dvmrp.Report{Version: dvmrp.Mrouted, Routes: []dvmrp.Route{{Prefix: net(s.prefix), Metric: uint8(s.metric)}}})
}

// depend makes a peer of a router that depends on this one for 10.0.0.0/8.
func (f *forest) depend(link, number int) {
	f.peer(link, number)
	f.report(link, number, "10.0.0.0/8", 2+32)
}

func (f *forest) prune(link, number int, lifetime time.Duration) {
	f.receive(link, number, &dvmrp.Prune{Version: dvmrp.Mrouted, Source: addr("10.0.0.0"), Group: theGroup, Lifetime: lifetime})
}

func (f *forest) graft(link, number int) {
	f.receive(link, number, &dvmrp.Graft{Version: dvmrp.Mrouted, Source: addr("10.0.0.0"), Group: theGroup})
}

func (f *forest) ack(link, number int) {
	f.receive(link, number, &dvmrp.Graft{Version: dvmrp.Mrouted, Ack: true, Source: addr("10.0.0.0"), Group: theGroup})
}

func (f *forest) join(link int, joins bool) {
	f.members[memberAt{link: host.Interface(link), group: theGroup}] = joins
	f.cache.MembersChanged(f.now, host.Interface(link), theGroup)
	f.turn()
}

// packet is a packet of theSource to theGroup that comes in on a link. It returns
// the links that it leaves by, as "[2 3]".
func (f *forest) packet(in int) string {
	at := memberAt{source: theSource, group: theGroup}
	k := f.kernel[at]
	if k == nil {
		f.cache.Upcall(f.now, &host.Upcall{Kind: host.NoCache, Interface: host.Interface(in), Source: theSource, Group: theGroup})
		f.flush()
		f.turn()
		if k = f.kernel[at]; k == nil {
			return "no entry"
		}
	}
	k.count.Packets++
	if k.In != host.Interface(in) {
		k.count.WrongIf++
		return "wrong link"
	}
	var out []host.Interface
	for _, o := range k.Outputs {
		out = append(out, o.Interface)
	}
	return fmt.Sprint(out)
}

func (f *forest) wantPacket(in int, want string) {
	f.t.Helper()
	if got := f.packet(in); got != want {
		f.t.Fatalf("%v: a packet from link %d leaves by %v, want %v", f.now, in, got, want)
	}
}

// wantSent holds the prunes, grafts and acks since the last call against want, and
// returns them.
func (f *forest) wantSent(want ...string) []treeMessage {
	f.t.Helper()
	var got []string
	for _, m := range f.sent {
		got = append(got, strings.Replace(m.text, " 10.0.0.0 224.2.2.2", "", 1))
	}
	if !slices.Equal(got, want) {
		f.t.Fatalf("%v: sent %q, want %q", f.now, got, want)
	}
	sent := f.sent
	f.sent = nil
	return sent
}

func within(t testing.TB, what string, d, low, high time.Duration) {
	t.Helper()
	if d < low || d > high {
		t.Fatalf("%s is %v, want %v to %v", what, d, low, high)
	}
}
