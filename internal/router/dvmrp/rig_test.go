package dvmrp

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"mbone/internal/router/host"
	"mbone/internal/router/mfc"
	"mbone/internal/router/timer"
	"mbone/proto/dvmrp"
)

// rig runs one protocol on a virtual clock, and keeps what it sends.
type rig struct {
	t       testing.TB
	p       *Protocol
	timers  timer.Queue
	actions host.Actions
	now     time.Duration
	sent    []sent
	// What it told the cache and the trees, in order.
	rpf        []netip.Prefix
	downstream []string // "10.1.0.0/16 eth1"
	neighbors  []string
	// deliver, if set, is given all that is sent.
	deliver func(s host.Send)
}

// sent is a packet that was sent, and when.
type sent struct {
	at time.Duration
	host.Send
}

type nobody struct{}

func (nobody) Wants(host.Interface, netip.Addr, netip.Addr) bool      { return false }
func (nobody) WantsAny(host.Interface, netip.Prefix, netip.Addr) bool { return false }
func (nobody) Flow(netip.Addr, netip.Addr) (n host.FlowCount, ok bool) {
	return host.FlowCount{}, false
}
func (nobody) Link(host.Interface) (host.LinkCount, bool) { return host.LinkCount{}, false }

var testSettings = host.Settings{Version: "mroutd test", Generation: 1000, RouterAlert: true,
	Limits: host.Limits{Routes: 200000, Neighbors: 4096, Groups: 100, Sources: 100, Entries: 100, Prunes: 100}}

// newRig returns a router without links.
func newRig(t testing.TB) *rig {
	r := &rig{t: t}
	env := &host.Env{Random: rand.New(rand.NewPCG(1, 2)), Timers: &r.timers, Out: &r.actions,
		Counters: nobody{}, Log: host.NewLogs(slog.New(slog.DiscardHandler))}
	r.p = New(env)
	r.p.Attach(mfc.New(env, r.p, nobody{}))
	tell := r.p.rpfChanged
	r.p.rpfChanged = func(net netip.Prefix) {
		r.rpf = append(r.rpf, net)
		tell(net)
	}
	downstream := r.p.downstreamChanged
	r.p.downstreamChanged = func(route *route, l *link) {
		r.downstream = append(r.downstream, fmt.Sprint(route.prefix, " ", l.Name))
		downstream(route, l)
	}
	neighbor := r.p.neighborChanged
	r.p.neighborChanged = func(now time.Duration, n *neighborType) {
		r.neighbors = append(r.neighbors, n.addr.String())
		neighbor(now, n)
	}
	r.p.Configure(0, &testSettings)
	return r
}

type neighborType = neighbor

func addr(s string) netip.Addr  { return netip.MustParseAddr(s) }
func net(s string) netip.Prefix { return netip.MustParsePrefix(s) }

// lan returns a LAN with the number id: the router is .1 of 192.168.id.0/24.
func lan(id int) host.Link {
	address := netip.AddrFrom4([4]byte{192, 168, byte(id), 1})
	return host.Link{ID: host.Interface(id), Name: fmt.Sprint("eth", id), Up: true, Address: address,
		Networks:     []host.Network{{Address: address, Prefix: netip.PrefixFrom(address, 24).Masked()}},
		LinkSettings: host.LinkSettings{Enabled: true, Metric: 1, Threshold: 1, IGMP: 3}}
}

// set gives the router a link.
func (r *rig) set(l host.Link) {
	r.p.SetLink(r.now, &l)
	r.turn()
}

// turn does what the engine does at the end of an event.
func (r *rig) turn() {
	for more := true; more; {
		more = !r.timers.Run(r.now, 256)
		more = !r.p.Work(r.now) || more
		r.flush()
	}
}

func (r *rig) flush() {
	for _, s := range r.actions.Send {
		r.sent = append(r.sent, sent{r.now, s})
		if r.deliver != nil {
			r.deliver(s)
		}
	}
	r.actions.Reset()
}

// run lets time pass.
func (r *rig) run(d time.Duration) {
	end := r.now + d
	for {
		due, ok := r.timers.Deadline()
		if !ok || due > end {
			break
		}
		r.now = max(r.now, due)
		r.turn()
	}
	r.now = end
	r.turn()
}

// receive gives the router a message.
func (r *rig) receive(id host.Interface, from, to netip.Addr, m interface {
	AppendBinary([]byte) ([]byte, error)
}) {
	b, err := m.AppendBinary(nil)
	if err != nil {
		r.t.Fatal(err)
	}
	r.receiveBytes(id, from, to, b)
}

func (r *rig) receiveBytes(id host.Interface, from, to netip.Addr, b []byte) {
	r.p.Receive(r.now, &host.Packet{Interface: id, From: from, To: to, TTL: 1, Message: b})
	r.turn()
}

// take returns the messages of one kind sent since the last call of take or drop.
func take[T any, P interface {
	*T
	Parse([]byte) error
}](r *rig) []T {
	var all []T
	rest := r.sent[:0]
	for _, s := range r.sent {
		var m T
		if P(&m).Parse(s.Message) == nil {
			all = append(all, m)
		} else {
			rest = append(rest, s)
		}
	}
	r.sent = rest
	return all
}

func (r *rig) drop() { r.sent, r.rpf, r.downstream, r.neighbors = nil, nil, nil, nil }

// peer is a router that the test plays.
type peer struct {
	r       *rig
	link    host.Interface
	addr    netip.Addr
	router  netip.Addr // the address of the router under test
	version dvmrp.Version
	genID   uint32
}

// peer returns a router that is a peer already: .host on a LAN.
func (r *rig) peer(id, hostNumber int) *peer {
	p := r.stranger(id, hostNumber)
	p.probe(true)
	return p
}

// stranger returns a router that has not been heard yet.
func (r *rig) stranger(id, hostNumber int) *peer {
	a := netip.AddrFrom4([4]byte{192, 168, byte(id), byte(hostNumber)})
	return &peer{r, host.Interface(id), a, netip.AddrFrom4([4]byte{192, 168, byte(id), 1}), dvmrp.Mrouted, 7}
}

func (p *peer) probe(hearsUs bool) {
	m := dvmrp.Probe{Version: p.version, GenID: p.genID}
	if !p.version.ProbeData() {
		m.GenID = 0
	} else if hearsUs {
		m.Neighbors = []netip.Addr{p.router}
	}
	p.r.receive(p.link, p.addr, allRouters, &m)
}

// stay has the peer send probes every ten seconds for so long.
func (p *peer) stay(d time.Duration) {
	for end := p.r.now + d; p.r.now < end; {
		p.r.run(min(10*time.Second, end-p.r.now))
		p.probe(true)
	}
}

// report says routes, as in "10.1.0.0/16", 3, "10.2.0.0/16", 35.
func (p *peer) report(routes ...any) {
	m := dvmrp.Report{Version: p.version}
	for i := 0; i < len(routes); i += 2 {
		m.Routes = append(m.Routes, dvmrp.Route{Prefix: net(routes[i].(string)), Metric: uint8(routes[i+1].(int))})
	}
	p.r.receive(p.link, p.addr, allRouters, &m)
}

// told returns the last metric that was told on a link for a route, -1 if none.
func (r *rig) told(id int, prefix string) int {
	metric := -1
	for _, s := range r.sent {
		var m dvmrp.Report
		if s.Interface != host.Interface(id) || m.Parse(s.Message) != nil {
			continue
		}
		for _, route := range m.Routes {
			if route.Prefix == net(prefix) {
				metric = int(route.Metric)
			}
		}
	}
	return metric
}

// way returns how a network is reached, as "192.168.1.2 metric 3", "eth1 metric 1"
// or "none".
func (r *rig) way(prefix string) string {
	route := r.p.routeOf(net(prefix))
	switch {
	case route == nil || !route.isReachable():
		return "none"
	case route.gateway == nil:
		return fmt.Sprint(route.parent.Name, " metric ", route.metric)
	}
	return fmt.Sprint(route.gateway.addr, " metric ", route.metric)
}

func (r *rig) wantWay(prefix, want string) {
	r.t.Helper()
	if got := r.way(prefix); got != want {
		r.t.Errorf("%v: %s goes by %s, want %s", r.now, prefix, got, want)
	}
}

// network joins routers by LANs, without loss or delay.
type network struct {
	routers []*rig
	queue   []func()
}

func (n *network) add(r *rig) {
	n.routers = append(n.routers, r)
	r.deliver = func(s host.Send) { n.queue = append(n.queue, func() { n.carry(r, s) }) }
}

func (n *network) carry(from *rig, s host.Send) {
	for _, to := range n.routers {
		for _, l := range to.p.links {
			heard := s.To == l.Address || s.To.IsMulticast() && l.Has(s.From)
			if to == from || !l.isUsable() || !heard {
				continue
			}
			m := s.Message
			if s.To == l.Address && dvmrp.Code(m[1]) == dvmrp.CodeInfoRequest {
				n.answer(from, to, s)
				continue
			}
			to.now = max(to.now, from.now)
			to.p.Receive(to.now, &host.Packet{Interface: l.ID, From: s.From, To: s.To, Message: m})
			to.turn()
		}
	}
}

func (n *network) answer(asker, to *rig, s host.Send) {
	b, err := (&dvmrp.Info{Version: dvmrp.Mrouted, Reply: true,
		TLVs: []dvmrp.TLV{{Type: dvmrp.InfoVersion, Value: []byte(to.p.settings.Version)}}}).AppendBinary(nil)
	if err != nil {
		panic(err)
	}
	n.queue = append(n.queue, func() {
		n.carry(to, host.Send{From: s.To, To: s.From, Message: b})
	})
}

func (n *network) settle() {
	for len(n.queue) > 0 {
		next := n.queue[0]
		n.queue = n.queue[1:]
		next()
	}
}

// run lets time pass for all.
func (n *network) run(d time.Duration) {
	now := n.routers[0].now
	for end := now + d; ; {
		n.settle()
		next := end
		for _, r := range n.routers {
			if due, ok := r.timers.Deadline(); ok && due < next {
				next = due
			}
		}
		for _, r := range n.routers {
			r.now = max(r.now, next)
			r.turn()
		}
		n.settle()
		if next >= end {
			return
		}
	}
}

func sorted(s []string) []string {
	s = slices.Clone(s)
	slices.Sort(s)
	return slices.Compact(s)
}

func netipPrefix(a uint32, bits int) netip.Prefix {
	p, _ := netip.AddrFrom4([4]byte{byte(a >> 24), byte(a >> 16), byte(a >> 8), byte(a)}).Prefix(bits)
	return p
}
