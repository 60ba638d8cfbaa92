package mfc

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"mbone/internal/router/host"
	"mbone/internal/router/timer"
)

// rig is a cache between a protocol, members and a kernel that do as they are told.
type rig struct {
	t        testing.TB
	now      time.Duration
	env      host.Env
	timers   timer.Queue
	actions  host.Actions
	cache    *Cache
	protocol *fakeProtocol
	members  *fakeMembers
	kernel   map[flowID]*kernelEntry
	links    map[host.Interface]*host.Link
	// delivered has the links that the last packet left by.
	delivered []host.Interface
}

type kernelEntry struct {
	host.Entry
	count host.FlowCount
}

func newRig(t testing.TB, limit int) *rig {
	r := &rig{t: t, kernel: make(map[flowID]*kernelEntry), links: make(map[host.Interface]*host.Link)}
	r.protocol = &fakeProtocol{
		t: t, routes: make(map[netip.Prefix]Route), forwards: make(map[at]bool),
		dependents: make(map[treeAt]bool), told: make(map[*Entry]bool), hold: make(map[Key]time.Duration),
	}
	r.members = &fakeMembers{groups: make(map[groupAt]*fakeGroup)}
	r.env = host.Env{
		Random: rand.New(rand.NewPCG(1, 2)), Timers: &r.timers, Out: &r.actions, Counters: r,
		Log: host.NewLogs(slog.New(slog.DiscardHandler)),
	}
	r.cache = New(&r.env, r.protocol, r.members)
	r.cache.Configure(0, &host.Settings{CacheLifetime: 300 * time.Second, Limits: host.Limits{Entries: limit}})
	return r
}

// turn is a turn of the loop: f, and the kernel does what comes out. It holds the
// actions to be changes, one for each source and group.
func (r *rig) turn(f func()) {
	r.t.Helper()
	r.actions.Reset()
	f()
	seen := make(map[flowID]bool)
	for _, a := range r.actions.Entries {
		id := idOf(a.Source, a.Group)
		if seen[id] {
			r.t.Fatalf("two actions for %v %v in a turn", a.Source, a.Group)
		}
		seen[id] = true
		k := r.kernel[id]
		switch {
		case a.In == 0:
			if k == nil {
				r.t.Fatalf("%v %v is removed, but not there", a.Source, a.Group)
			}
			delete(r.kernel, id)
			continue
		case k == nil:
			k = &kernelEntry{}
			r.kernel[id] = k
		case k.In == a.In && slices.Equal(k.Outputs, a.Outputs):
			r.t.Fatalf("%v %v is installed again: %v", a.Source, a.Group, a)
		}
		k.Entry = a
		k.Outputs = slices.Clone(a.Outputs)
	}
}

// run lets time pass, and everything settle.
func (r *rig) run(d time.Duration) {
	r.t.Helper()
	end := r.now + d
	for {
		for done := false; !done; {
			r.turn(func() {
				fired := r.timers.Run(r.now, 256)
				done = r.cache.Work(r.now) && fired
			})
		}
		at, ok := r.timers.Deadline()
		if !ok || at > end {
			break
		}
		r.now = max(r.now, at)
	}
	r.now = end
}

// Flow implements host.Counters.
func (r *rig) Flow(source, group netip.Addr) (host.FlowCount, bool) {
	k := r.kernel[idOf(source, group)]
	if k == nil {
		return host.FlowCount{}, false
	}
	return k.count, true
}

// Link implements host.Counters.
func (r *rig) Link(host.Interface) (host.LinkCount, bool) { return host.LinkCount{}, false }

// packet is a packet that comes in on a link, as Linux takes it.
func (r *rig) packet(in host.Interface, source, group netip.Addr) {
	r.t.Helper()
	r.delivered = nil
	id := idOf(source, group)
	k := r.kernel[id]
	if k == nil {
		r.turn(func() {
			r.cache.Upcall(r.now, &host.Upcall{Kind: host.NoCache, Interface: in, Source: source, Group: group})
		})
		if k = r.kernel[id]; k == nil {
			return
		}
	}
	k.count.Packets++
	k.count.Bytes += 100
	if k.In != in {
		k.count.WrongIf++
		if slices.ContainsFunc(k.Outputs, func(o host.Output) bool { return o.Interface == in }) {
			r.turn(func() {
				r.cache.Upcall(r.now, &host.Upcall{Kind: host.WrongVif, Interface: in, Source: source, Group: group})
			})
		}
		return
	}
	for _, o := range k.Outputs {
		r.delivered = append(r.delivered, o.Interface)
	}
}

// link sets up a link, or changes one.
func (r *rig) link(id host.Interface, change func(*host.Link)) {
	r.t.Helper()
	l := r.links[id]
	if l == nil {
		l = &host.Link{ID: id, Name: fmt.Sprint("eth", id), Up: true, Address: netip.AddrFrom4([4]byte{10, byte(id), 0, 1})}
		l.Enabled, l.Threshold = true, 1
		r.links[id] = l
	}
	if change != nil {
		change(l)
	}
	r.turn(func() { r.cache.SetLink(r.now, l) })
}

func (r *rig) removeLink(id host.Interface) {
	delete(r.links, id)
	for net, route := range r.protocol.routes {
		if route.In == id {
			r.route(net, 0, netip.Addr{})
		}
	}
	r.turn(func() { r.cache.RemoveLink(r.now, id) })
}

// route sets the route of a network; in 0 takes it away.
func (r *rig) route(net netip.Prefix, in host.Interface, gateway netip.Addr) {
	if in == 0 {
		delete(r.protocol.routes, net)
	} else {
		r.protocol.routes[net] = Route{net, in, gateway}
	}
	r.turn(func() { r.cache.RPFChanged(net) })
}

// depend says whether a router on a link wants packets.
func (r *rig) depend(net netip.Prefix, group netip.Addr, link host.Interface, wants bool) {
	k := Key{net, group}
	r.protocol.dependents[treeAt{k, link}] = wants
	r.turn(func() {
		if e := r.cache.Lookup(k); e != nil {
			r.cache.DownstreamChanged(r.now, e)
		}
	})
}

func (r *rig) forward(net netip.Prefix, link host.Interface, does bool) {
	r.protocol.forwards[at{net, link}] = does
	r.turn(func() { r.cache.OutputsChanged(net) })
}

// join says what members on a link want of a group: exclude or include sources.
func (r *rig) join(link host.Interface, group netip.Addr, exclude bool, sources ...netip.Addr) {
	r.members.groups[groupAt{link, group}] = &fakeGroup{exclude, sources}
	r.turn(func() { r.cache.MembersChanged(r.now, link, group) })
}

func (r *rig) leave(link host.Interface, group netip.Addr) { r.join(link, group, false) }

type at struct {
	net  netip.Prefix
	link host.Interface
}

type treeAt struct {
	Key
	link host.Interface
}

// fakeProtocol has no state of its own, and writes down what it is told.
type fakeProtocol struct {
	t          testing.TB
	routes     map[netip.Prefix]Route
	forwards   map[at]bool
	dependents map[treeAt]bool
	told       map[*Entry]bool // whether somebody wants it
	hold       map[Key]time.Duration
	log        []string
	progress   func(*Entry) // what it does then
}

func (p *fakeProtocol) RPF(source netip.Addr) (r Route, ok bool) {
	for bits := 32; bits >= 0 && !ok; bits-- {
		r, ok = p.routes[netip.PrefixFrom(source, bits).Masked()]
	}
	return r, ok
}

func (p *fakeProtocol) Route(net netip.Prefix) (Route, bool) {
	r, ok := p.routes[net]
	return r, ok
}

func (p *fakeProtocol) write(what string, e *Entry) {
	if e.In == 0 {
		p.t.Fatalf("%s of %v, which has no route", what, e.Key)
	}
	p.log = append(p.log, fmt.Sprintf("%s %v %v from %d", what, e.Net, e.Group, e.In))
}

func (p *fakeProtocol) NewFlow(now time.Duration, e *Entry) {
	p.write("new", e)
	if _, known := p.told[e]; !known {
		p.told[e] = false
	}
}

func (p *fakeProtocol) Forwarder(e *Entry, link host.Interface) bool {
	return p.forwards[at{e.Net, link}]
}

func (p *fakeProtocol) Downstream(e *Entry, link host.Interface) bool {
	return p.dependents[treeAt{e.Key, link}]
}

func (p *fakeProtocol) tell(what string, e *Entry, wanted bool) {
	p.write(what, e)
	if before, known := p.told[e]; !known || before == wanted {
		p.t.Fatalf("%s is told twice of %v, or too early", what, e.Key)
	}
	p.told[e] = wanted
}

func (p *fakeProtocol) OutputsEmpty(now time.Duration, e *Entry)    { p.tell("empty", e, false) }
func (p *fakeProtocol) OutputsNonEmpty(now time.Duration, e *Entry) { p.tell("wanted", e, true) }

func (p *fakeProtocol) WrongVif(now time.Duration, e *Entry, source netip.Addr, link host.Interface) {
	p.write(fmt.Sprintf("wrong-link-%d", link), e)
}

func (p *fakeProtocol) Progress(now time.Duration, e *Entry) {
	if p.told[e] {
		p.t.Fatalf("progress of %v, which is wanted", e.Key)
	}
	p.write("progress", e)
	if p.progress != nil {
		p.progress(e)
	}
}

func (p *fakeProtocol) Hold(e *Entry) time.Duration { return p.hold[e.Key] }

func (p *fakeProtocol) Drop(now time.Duration, e *Entry) {
	p.log = append(p.log, fmt.Sprintf("drop %v %v", e.Net, e.Group))
	if _, known := p.told[e]; !known {
		p.t.Fatalf("%v is dropped, but was never new", e.Key)
	}
	delete(p.told, e)
}

// logged returns what was told since the last call.
func (p *fakeProtocol) logged() []string {
	l := p.log
	p.log = nil
	return l
}

type groupAt struct {
	link  host.Interface
	group netip.Addr
}

type fakeGroup struct {
	exclude bool
	sources []netip.Addr
}

type fakeMembers struct{ groups map[groupAt]*fakeGroup }

func (m *fakeMembers) Wants(link host.Interface, source, group netip.Addr) bool {
	g := m.groups[groupAt{link, group}]
	return g != nil && slices.Contains(g.sources, source) != g.exclude
}

func (m *fakeMembers) WantsAny(link host.Interface, net netip.Prefix, group netip.Addr) bool {
	g := m.groups[groupAt{link, group}]
	return g != nil && (g.exclude || slices.ContainsFunc(g.sources, net.Contains))
}

// wanted is what the entry of a network and group must lead to, from scratch: the
// links, and whether all packets go there.
func (r *rig) wanted(route Route, group netip.Addr) map[host.Interface]bool {
	links := make(map[host.Interface]bool)
	if in := r.links[route.In]; in != nil && scoped(in, group) {
		return links
	}
	for id, l := range r.links {
		if id == route.In || !l.Up || !l.Enabled || !l.Address.IsValid() || scoped(l, group) {
			continue
		}
		if r.protocol.dependents[treeAt{Key{route.Net, group}, id}] {
			links[id] = true
		} else if r.protocol.forwards[at{route.Net, id}] && r.members.WantsAny(id, route.Net, group) {
			links[id] = false
		}
	}
	return links
}

func scoped(l *host.Link, group netip.Addr) bool {
	return slices.ContainsFunc(l.Boundaries, func(b netip.Prefix) bool { return b.Contains(group) })
}

// check holds the kernel, and what the protocol was told, against what follows from
// the routes, trees, members and links.
func (r *rig) check() {
	r.t.Helper()
	for id, k := range r.kernel {
		route, ok := r.protocol.RPF(k.Source)
		var want []host.Output
		if ok && k.Source != addr("0.0.0.0") && k.Source != addr("127.0.0.1") {
			if k.In != route.In {
				r.t.Fatalf("%v %v comes in on %d, want %d", k.Source, k.Group, k.In, route.In)
			}
			for link, all := range r.wanted(route, k.Group) {
				if all || r.members.Wants(link, k.Source, k.Group) {
					want = append(want, host.Output{Interface: link, TTL: r.links[link].Threshold})
				}
			}
			slices.SortFunc(want, func(a, b host.Output) int { return int(a.Interface - b.Interface) })
		}
		if !slices.Equal(k.Outputs, want) {
			r.t.Fatalf("%v %v leaves by %v, want %v", k.Source, k.Group, k.Outputs, want)
		}
		if r.links[k.In] == nil {
			r.t.Fatalf("%v %v comes in on link %d, which is gone", k.Source, k.Group, k.In)
		}
		if r.cache.flows[id] == nil {
			r.t.Fatalf("%v %v is in the kernel only", k.Source, k.Group)
		}
	}
	idle := 0
	for f := r.cache.firstIdle; f != nil; f = f.nextIdle {
		if idle++; len(f.outputs) > 0 || f.nextIdle == nil && f != r.cache.lastIdle {
			r.t.Fatalf("%v %v is among the idle ones", f.addr(), f.entry.Group)
		}
	}
	for _, k := range r.kernel {
		if len(k.Outputs) == 0 {
			idle--
		}
	}
	if idle != 0 {
		r.t.Fatalf("%d too many among the idle flows", idle)
	}
	entries, flows := r.cache.Len()
	if flows != len(r.kernel) {
		r.t.Fatalf("%d flows in the cache, %d in the kernel", flows, len(r.kernel))
	}
	n, sources := 0, 0
	for e := range r.cache.Entries() {
		n++
		sources += e.Sources
		route, ok := r.protocol.Route(e.Net)
		if e.Routed != ok || ok && (e.In != route.In || e.Gateway != route.Gateway) {
			r.t.Fatalf("%v has the upstream %d %v, want %v", e.Key, e.In, e.Gateway, route)
		}
		if want := ok && len(r.wanted(route, e.Group)) > 0; e.Wanted != want {
			r.t.Fatalf("%v is wanted: %v, want %v", e.Key, e.Wanted, want)
		}
		if told := r.protocol.told[r.cache.Lookup(e.Key)]; told != e.Wanted {
			r.t.Fatalf("%v is wanted: %v, the protocol was told %v", e.Key, e.Wanted, told)
		}
		if e.Sources == 0 && r.protocol.hold[e.Key] <= r.now {
			r.t.Fatalf("%v is kept for nothing", e.Key)
		}
	}
	if n != entries || sources != flows {
		r.t.Fatalf("%d entries with %d flows are listed, there are %d with %d", n, sources, entries, flows)
	}
}

func addr(s string) netip.Addr  { return netip.MustParseAddr(s) }
func net(s string) netip.Prefix { return netip.MustParsePrefix(s) }
