package dvmrp

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"mbone/internal/router/host"
	"mbone/proto/dvmrp"
)

// hostile drives a router with three links by random events, made of bytes.
type hostile struct {
	r     *rig
	bytes []byte
	links []host.Link
}

func newHostile(t testing.TB, b []byte) *hostile {
	r := newRig(t)
	s := testSettings
	s.Limits = host.Limits{Routes: 40, Neighbors: 12, Groups: 10, Sources: 10, Entries: 10, Prunes: 10}
	r.p.Configure(0, &s)
	h := &hostile{r: r, bytes: b}
	for id := 1; id <= 3; id++ {
		l := lan(id)
		l.AllowNonpruners = id == 2
		h.links = append(h.links, l)
		r.set(l)
	}
	h.links = append(h.links, host.Link{ID: 4, Name: "tun", Up: true, PointToPoint: true, Address: addr("192.168.1.1"),
		Remote: addr("10.9.9.9"), Beside: true, LinkSettings: host.LinkSettings{Enabled: true, Metric: 3}})
	r.set(h.links[3])
	return h
}

func (h *hostile) byte() int {
	if len(h.bytes) == 0 {
		return 0
	}
	b := h.bytes[0]
	h.bytes = h.bytes[1:]
	return int(b)
}

func (h *hostile) take(n int) []byte {
	b := h.bytes[:min(n, len(h.bytes))]
	h.bytes = h.bytes[len(b):]
	return b
}

// event does something.
func (h *hostile) event() {
	r := h.r
	id := 1 + h.byte()%4
	from, to := netip.AddrFrom4([4]byte{192, 168, byte(id), byte(2 + h.byte()%8)}), allRouters
	if id == 4 {
		id, from, to = 1+h.byte()%2, h.links[3].Remote, h.links[3].Address
	}
	v := []dvmrp.Version{dvmrp.Mrouted, dvmrp.Mrouted, dvmrp.Mrouted, version(3, 8, usual), version(12, 0, usual), version(2, 1, 0)}[h.byte()%6]
	switch h.byte() % 8 {
	case 0, 1:
		p := dvmrp.Probe{Version: v}
		if v.ProbeData() {
			p.GenID = uint32(h.byte() % 2)
			if h.byte()%4 > 0 {
				p.Neighbors = []netip.Addr{netip.AddrFrom4([4]byte{192, 168, byte(id), 1})}
			}
		}
		r.receive(host.Interface(id), from, to, &p)
	case 2, 3, 4:
		m := dvmrp.Report{Version: v}
		for range h.byte() % 20 {
			m.Routes = append(m.Routes, dvmrp.Route{
				Prefix: netipPrefix(uint32(10+h.byte()%4)<<24|uint32(h.byte()%16)<<16, []int{8, 16, 16, 32}[h.byte()%4]),
				Metric: uint8(h.byte() % 70)})
		}
		r.receive(host.Interface(id), from, to, &m)
	case 5: // anything
		b := append([]byte{0x13, byte(h.byte() % 13), 0, 0, 0, 0x0e, 255, 3}, h.take(h.byte()%40)...)
		r.receiveBytes(host.Interface(id), from, to, b)
	case 6:
		r.run([]time.Duration{time.Millisecond, 40 * time.Millisecond, time.Second, 15 * time.Second, 70 * time.Second}[h.byte()%5])
	case 7:
		l := &h.links[h.byte()%4]
		switch h.byte() % 8 {
		case 0, 1:
			l.Up = !l.Up
		case 2:
			l.Metric = uint8(1 + h.byte()%31)
		case 3:
			l.Filter = host.Filter{Deny: h.byte()%2 > 0, Bidir: h.byte()%2 > 0,
				Routes: []host.FilterRoute{{Prefix: net("10.0.0.0/8"), Exact: h.byte()%2 > 0}}}
		case 4:
			l.NoTransit = !l.NoTransit
		case 5:
			l.Blaster = !l.Blaster
		case 6:
			r.p.RemoveLink(r.now, l.ID)
			r.turn()
			return
		case 7:
			l.AdvertMetric = uint8(h.byte() % 32)
		}
		r.set(*l)
	}
}

// check holds the state of the router to what must always be true.
func (h *hostile) check() {
	r, p := h.r, h.r.p
	fatal := func(format string, args ...any) {
		r.t.Helper()
		r.t.Fatalf("%v: "+format, append([]any{r.now}, args...)...)
	}
	neighbors := 0
	for _, l := range p.links {
		peers := 0
		for i, n := range l.neighbors {
			if n.gone || n.link != l || !l.speaks() || !l.Has(n.addr) || i > 0 && !l.neighbors[i-1].addr.Less(n.addr) {
				fatal("neighbour %v on %s", n.addr, l.Name)
			}
			if !n.expiry.IsSet() {
				fatal("neighbour %v never expires", n.addr)
			}
			if n.isPeer() {
				peers++
			}
		}
		if peers != l.peers {
			fatal("%d peers on %s, counted %d", peers, l.Name, l.peers)
		}
		neighbors += len(l.neighbors)
	}
	if neighbors != p.neighbors || neighbors > p.settings.Limits.Neighbors {
		fatal("%d neighbours, counted %d", neighbors, p.neighbors)
	}
	if n := len(p.table.order); n > p.settings.Limits.Routes || n != p.table.byNet.Size() {
		fatal("%d routes, %d by network", n, p.table.byNet.Size())
	}
	reports := 0
	for i, route := range p.table.order {
		reports += len(route.reports)
		if route.place != i || p.table.get(route.prefix) != route {
			fatal("%v is not where it should be", route.prefix)
		}
		h.checkRoute(route, fatal)
	}
	if reports != p.table.reports {
		fatal("%d reports, counted %d", reports, p.table.reports)
	}
	if len(p.changes.log) > 2*minQueue || len(p.holds.queue) > 2*minQueue {
		fatal("%d changes, %d held", len(p.changes.log), len(p.holds.queue))
	}
	h.checkSent(fatal)
}

func (h *hostile) checkRoute(route *route, fatal func(string, ...any)) {
	p := h.r.p
	if !slices.IsSortedFunc(route.reports, func(a, b report) int { return int(a.by.order) - int(b.by.order) }) {
		fatal("reports of %v are not in order", route.prefix)
	}
	for _, k := range route.reports {
		if k.by.gone && p.review.waits {
			continue // not for long
		}
		if !k.by.isPeer() || k.metric < 1 || k.metric > 63 || h.r.now-k.heard > reportLifetime+2*sweepInterval {
			fatal("report of %v by %v: %+v", route.prefix, k.by.addr, k)
		}
	}
	if route.metric < 1 || route.metric > dvmrp.Infinity {
		fatal("metric %d", route.metric)
	}
	in, ok := p.Route(route.prefix)
	if ok != (route.metric < dvmrp.Infinity) {
		fatal("%v with metric %d is reachable: %v", route.prefix, route.metric, ok)
	}
	if ok {
		if route.gateway == nil {
			if route.own != route.parent || !route.own.has(route.prefix) || route.metric != route.own.Metric {
				fatal("%v is not on %s", route.prefix, route.parent.Name)
			}
		} else {
			i, said := route.find(route.gateway)
			if !said || route.parent != route.gateway.link || route.own != nil ||
				route.parent.neighbor(route.gateway.addr) != route.gateway || route.cost(&route.reports[i]) != route.metric {
				fatal("%v goes by %v with metric %d", route.prefix, in, route.metric)
			}
		}
	}
	for _, l := range p.links {
		d := p.Duty(route.prefix, l.ID)
		if d.Forwarder && (!ok || l.ID == in.In || d.Dominant.IsValid() || !l.isUsable()) || !d.Forwarder && len(d.Dependents) > 0 {
			fatal("%v on %s: %+v", route.prefix, l.Name, d)
		}
		for _, a := range d.Dependents {
			if l.peer(a) == nil {
				fatal("%v: %v is no peer on %s", route.prefix, a, l.Name)
			}
		}
	}
	if held := route.floor != 0; held && !slices.ContainsFunc(p.holds.queue, func(k held2) bool {
		return k.route == route && k.change == route.change
	}) {
		fatal("%v is held for ever", route.prefix)
	}
}

type held2 = held

// checkSent reads what was sent: messages that can be read, with metrics that may be
// said, and no network told on its own link.
func (h *hostile) checkSent(fatal func(string, ...any)) {
	for _, s := range h.r.sent {
		var report dvmrp.Report
		var probe dvmrp.Probe
		var info dvmrp.Info
		var graft dvmrp.Graft
		if !h.r.p.owns(s.From) {
			// A link that is gone by now.
			continue
		}
		switch code := dvmrp.Code(s.Message[1]); code {
		case dvmrp.CodeReport:
			if err := report.Parse(s.Message); err != nil || len(report.Routes) == 0 {
				fatal("%d routes, %v", len(report.Routes), err)
			}
			for _, r := range report.Routes {
				if !r.Legal() || !isNetwork(r.Prefix) {
					fatal("told %v", r)
				}
			}
		case dvmrp.CodeProbe:
			if err := probe.Parse(s.Message); err != nil || slices.ContainsFunc(probe.Neighbors, h.r.p.owns) {
				fatal("probe %v, %v", probe, err)
			}
		case dvmrp.CodeInfoRequest:
			if err := info.Parse(s.Message); err != nil || s.To.IsMulticast() {
				fatal("question to %v, %v", s.To, err)
			}
		case dvmrp.CodeGraftAck:
			if err := graft.Parse(s.Message); err != nil || s.To.IsMulticast() {
				fatal("acknowledgement to %v, %v", s.To, err)
			}
		default:
			fatal("sent %v", code)
		}
	}
	h.r.drop()
}

// finish lets all expire that can.
func (h *hostile) finish() {
	h.r.run(10 * time.Minute)
	h.check()
	networks := 0
	for _, route := range h.r.p.table.order {
		if route.own != nil {
			networks++
		}
	}
	routes, reports := h.r.p.RouteCount()
	if h.r.p.neighbors != 0 || routes != networks || reports != 0 || len(h.r.p.holds.queue) > 0 {
		h.r.t.Fatalf("after all: %d neighbours, %d routes of %d, %d reports", h.r.p.neighbors, routes, networks, reports)
	}
}

// FuzzProtocol feeds packets, time and changes of links in random order.
func FuzzProtocol(f *testing.F) {
	for seed := range uint64(4) {
		random := rand.New(rand.NewPCG(seed, 0))
		b := make([]byte, 600)
		for i := range b {
			b[i] = byte(random.Uint32())
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		h := newHostile(t, b[:min(len(b), 4000)])
		for len(h.bytes) > 0 {
			h.event()
			h.check()
		}
		h.finish()
	})
}

// Random events in random order keep all bounds and what must always be true.
func TestHostile(t *testing.T) {
	for seed := range uint64(60) {
		random := rand.New(rand.NewPCG(seed, 1))
		b := make([]byte, 1500)
		for i := range b {
			b[i] = byte(random.Uint32())
		}
		h := newHostile(t, b)
		for len(h.bytes) > 0 {
			h.event()
			h.check()
		}
		h.finish()
	}
}
