package mroutd

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mbone/internal/lab"
	"mbone/internal/plane/mroute"
	"mbone/internal/router/respond"
	"mbone/proto/dvmrp"
	"mbone/proto/igmp"
)

// flowSources is how many hosts of net1 send; each to as many groups as it takes.
const flowSources = 10

// flowOf is one of many flows: a host of net1, and a group.
func flowOf(i int) (source, group netip.Addr) {
	g := uint32(i / flowSources)
	return netip.AddrFrom4([4]byte{10, 0, 1, byte(1 + i%flowSources)}), netip.AddrFrom4([4]byte{239, byte(1 + g>>16), byte(g >> 8), byte(g)})
}

// BenchmarkFlows begins many flows, and measures until all are in the kernel. What
// a loop of recv and MRT_ADD_MFC needs for the same is measured in the same run: the
// sender has the machine for itself as little there as with a router.
func BenchmarkFlows(b *testing.B) {
	for _, n := range []int{10_000, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				seconds, cpu := make(map[string]float64), make(map[string]float64)
				bare := beginFlows(b, nil, n, cpu)
				for _, k := range kinds() {
					seconds[k.name] = beginFlows(b, &k, n, cpu)
				}
				compare(b, seconds, "s")
				compare(b, cpu, "cpu-s")
				b.ReportMetric(bare, "bare-s")
				b.ReportMetric(seconds[ours.name]/bare, "s-bare-ratio")
			}
		})
	}
}

// beginFlows measures one router, or the bare loop if k is nil.
func beginFlows(b *testing.B, k *kind, n int, cpu map[string]float64) float64 {
	l := star(b, 2)
	defer l.Close()
	h := l.Host("router")
	if k == nil {
		defer bareLoop(b, h)()
	} else {
		c := k.start(b, h)
		before := processor(b, c)
		defer func() { cpu[k.name] = (processor(b, c) - before).Seconds() }()
	}
	f := newFlows(b, l)
	calm(b, h)
	took, installed := f.begin(n)
	if installed != n {
		name := "the bare loop"
		if k != nil {
			name = k.name
		}
		b.Errorf("%s: %d of %d flows are in the kernel", name, installed, n)
	}
	return took.Seconds()
}

// bareLoop is the least that a router does: for each upcall an entry. It runs until
// the returned function is called.
func bareLoop(b *testing.B, h *lab.Host) (stop func()) {
	b.Helper()
	table := lab.Within(b, h, func() (*mroute.Table, error) { return mroute.Open(0) })
	for i, w := range h.Wires() {
		must(b, table.AddVif(i, w.Index))
	}
	conn, err := table.File().SyscallConn()
	must(b, err)
	var fd int
	must(b, conn.Control(func(s uintptr) {
		fd = int(s)
		err = errors.Join(
			unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 4<<20),
			unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 20_000}))
	}))
	must(b, err)
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		p := make([]byte, 2048)
		for {
			n, err := unix.Read(fd, p)
			switch {
			case err != nil:
				select {
				case <-end:
					return
				default:
				}
			case n >= ipHeader && p[9] == 0: // an upcall
				e := mroute.Entry{
					Source: netip.AddrFrom4([4]byte(p[12:])), Group: netip.AddrFrom4([4]byte(p[16:])), Parent: int(p[10]),
				}
				if err := table.AddMFC(e); err != nil {
					b.Error(err)
				}
			}
		}
	}()
	return func() {
		close(end)
		<-ended
		table.Close()
	}
}

// flows are begun by a host of net1 behind the star's first link.
type flows struct {
	b       *testing.B
	gun     *gun
	kernel  *mroute.Counters // of the router
	reader  *mroute.Reader
	pending []int // those begun and not yet seen in the kernel, oldest first
}

func newFlows(b *testing.B, l *lab.Lab) *flows {
	b.Helper()
	kernel := lab.Within(b, l.Host("router"), func() (*mroute.Counters, error) { return mroute.OpenCounters(0) })
	b.Cleanup(func() { kernel.Close() })
	reader := lab.Within(b, l.Host("router"), mroute.OpenReader)
	b.Cleanup(reader.Close)
	return &flows{b: b, gun: udpGun(b, l.Host("host1"), "eth0", 5000), kernel: kernel, reader: reader}
}

// isInstalled is whether a flow has an entry.
func (f *flows) isInstalled(i int) bool {
	_, err := f.kernel.SGCount(flowOf(i))
	return err == nil
}

const (
	// flowWindow is how many flows wait for their entry at most: what the default
	// buffer of a socket holds.
	flowWindow = 200
	// flowPatience is after how long a flow is lost: its upcall was, and the
	// kernel would ask again 10 s later.
	flowPatience = 3 * time.Second
)

// begin sends the first packet of n flows and returns how long it took until all
// were in the kernel, and how many are.
func (f *flows) begin(n int) (took time.Duration, installed int) {
	began := time.Now()
	last := began
	for i := 0; i < n || len(f.pending) > 0; {
		if i < n && len(f.pending) < flowWindow {
			source, group := flowOf(i)
			must(f.b, f.gun.fire(source, group))
			f.pending = append(f.pending, i)
			i++
			continue
		}
		now := time.Now()
		switch {
		case f.isInstalled(f.pending[0]):
			// Entries come in the order of upcalls.
			f.pending, last = f.pending[1:], now
		case now.Sub(last) > flowPatience:
			f.pending, last = nil, now
		}
	}
	took = last.Sub(began)
	for i := range n {
		if f.isInstalled(i) {
			installed++
		}
	}
	return took, installed
}

// BenchmarkUpcall measures how long the first packet of a flow needs through the
// router: from before it is sent until the receiver's kernel has it, two links and
// the entry between them. All the while 10,000 routes come, with another metric each
// time, are passed on, and a host asks questions.
func BenchmarkUpcall(b *testing.B) {
	const (
		routes    = 10_000
		count     = 1000
		every     = 5 * time.Millisecond
		questions = 2000 // a second
	)
	for b.Loop() {
		report := stolen(b)
		median, late := make(map[string]float64), make(map[string]float64)
		for _, k := range kinds() {
			times := firstPackets(b, k, routes, count, every, questions)
			median[k.name] = times[len(times)/2].Seconds() * 1e6
			late[k.name] = times[len(times)*99/100].Seconds() * 1e6
			if len(times) < count {
				b.Errorf("%s: %d of %d first packets have come", k.name, len(times), count)
			}
		}
		compare(b, median, "p50-µs")
		compare(b, late, "p99-µs")
		report()
	}
}

// firstPackets returns the times of first packets, sorted.
func firstPackets(b *testing.B, k kind, routes, count int, every time.Duration, questions int) []time.Duration {
	const groups = 10
	l := star(b, 3)
	defer l.Close()
	k.start(b, l.Host("router"))
	from, to := newNeighbor(b, l.Host("host2").Wire("eth0")), newNeighbor(b, l.Host("host3").Wire("eth0"))
	defer from.leave()
	defer to.leave()
	from.meet(1)
	to.meet(1)
	var joined []netip.Addr
	for g := range groups {
		_, group := flowOf(g * flowSources)
		joined = append(joined, group)
	}
	// The receiver is on the link of the neighbour that is told the routes.
	e := listen(b, l.Host("host3"), "eth0", 5000, joined...)
	calm(b, l.Host("router"))
	g := udpGun(b, l.Host("host1"), "eth0", 5000)
	came := 0
	warm := netip.MustParseAddr("10.0.1.250")
	lab.Until(b, benchPatience, func() error {
		g.stamp(time.Now())
		must(b, g.fire(warm, joined[groups-1]))
		if came = e.heard(came); came == 0 {
			return errors.New("nothing comes")
		}
		return nil
	})
	stop := make(chan struct{})
	finished := make(chan struct{}, 2)
	go func() {
		defer func() { finished <- struct{}{} }()
		for metric := uint8(1); ; metric = metric%8 + 1 {
			from.report(networks(routes, metric))
			select {
			case <-stop:
				return
			case <-time.After(500 * time.Millisecond):
			}
		}
	}()
	go func() {
		defer func() { finished <- struct{}{} }()
		askOn(b, l.Host("host2"), "eth0", netip.MustParseAddr("10.0.2.1"), netip.MustParseAddr("10.0.2.254"), questions, stop)
	}()
	to.await(benchPatience, func() bool { return to.reached >= routes })
	came = e.heard(came)
	first := came
	for i := range count {
		// A source that has not sent to the group yet.
		source := netip.AddrFrom4([4]byte{10, 0, 1, byte(2 + i/groups)})
		g.stamp(time.Now())
		must(b, g.fire(source, joined[i%groups]))
		time.Sleep(every)
	}
	deadline := time.Now().Add(flowPatience)
	for came < first+count && time.Now().Before(deadline) {
		came = e.heard(came)
		time.Sleep(time.Millisecond)
	}
	close(stop)
	<-finished
	<-finished
	var times []time.Duration
	for _, a := range e.arrivals[first:came] {
		times = append(times, a.came.Sub(a.sent))
	}
	slices.Sort(times)
	return times
}

// BenchmarkNewFlow begins flows of 1,000 packets a second at one end of eight routers
// in a row, one after the other, and counts what is lost on the way to the other.
func BenchmarkNewFlow(b *testing.B) {
	const routers, flows = 8, 15
	for b.Loop() {
		report := stolen(b)
		lost, whole := make(map[string]float64), make(map[string]float64)
		for _, k := range kinds() {
			for _, n := range newFlowsInRow(b, k, routers, flows) {
				lost[k.name] += float64(n) / flows
				if n == 0 {
					whole[k.name] += 100. / flows
				}
			}
		}
		compare(b, lost, "lost/flow")
		compare(b, whole, "whole-%")
		report()
	}
}

// newFlowsInRow returns how many packets of each flow were lost.
func newFlowsInRow(b *testing.B, k kind, routers, flows int) (lost []int) {
	const count = 300
	l := row(b, routers)
	defer l.Close()
	for n := range routers {
		k.start(b, l.Host(fmt.Sprintf("r%d", n)))
	}
	end := newNeighbor(b, l.Host("last").Wire("eth0"))
	defer end.leave()
	if !end.await(benchPatience, func() bool { return end.reached == routers }) {
		b.Fatalf("%s: told %d networks, want %d", k.name, end.reached, routers)
	}
	var groups []netip.AddrPort
	var members []*lab.Receiver
	for i := range flows {
		group := netip.AddrPortFrom(netip.AddrFrom4([4]byte{239, 1, 2, byte(i)}), 5000)
		r, err := l.Host("last").Join(group, "eth0", netip.Addr{})
		must(b, err)
		defer r.Close()
		groups, members = append(groups, group), append(members, r)
	}
	for i, r := range members {
		calm(b, l.Host("r0"))
		_, err := l.Host("first").Send(b.Context(), lab.Flow{Group: groups[i], Interface: "eth0", Count: count, Interval: time.Millisecond})
		must(b, err)
		lost = append(lost, count-settled(b, r, count).Packets)
	}
	return lost
}

// askOn asks a router so many questions a second from an address.
func askOn(b *testing.B, h *lab.Host, iface string, from, to netip.Addr, perSecond int, stop <-chan struct{}) {
	ask := &dvmrp.Ask{Code: dvmrp.CodeAskNeighbors2, Version: dvmrp.Mrouted}
	g := newGun(b, h, iface, protocolIGMP, ask.Len())
	message, err := ask.AppendBinary(nil)
	must(b, err)
	copy(g.payload(), message)
	pace(perSecond, stop, func(int) { must(b, g.fire(from, to)) })
}

// pace calls fn so many times a second until stop is closed. What is late comes at
// once.
func pace(perSecond int, stop <-chan struct{}, fn func(i int)) {
	began := time.Now()
	for i := 0; ; {
		select {
		case <-stop:
			return
		case <-time.After(time.Millisecond):
		}
		for due := int(time.Since(began).Seconds() * float64(perSecond)); i < due; i++ {
			fn(i)
		}
	}
}

// BenchmarkHostile lets 500 flows begin while 100,000 questions a second come from
// addresses that are not the sender's, and counts what is lost: flows, and prunes and
// grafts of a neighbour, which is to stay one. What is sent back is bounded by policy.
func BenchmarkHostile(b *testing.B) {
	const questions = 100_000
	for b.Loop() {
		lost := map[string]map[string]float64{"flows": {}, "prunes": {}, "grafts": {}, "neighbors": {}}
		rate, answered := make(map[string]float64), make(map[string]float64)
		for _, k := range kinds() {
			h := hostile(b, k, questions)
			rate[k.name], answered[k.name] = h.asked, h.answered
			for what, n := range h.lost {
				lost[what][k.name] = float64(n)
				if n > 0 && k.name == ours.name {
					b.Errorf("mroutd lost %d %s", n, what)
				}
			}
			// A burst counts once for a flood that lasts a second or longer.
			far := respond.RouterLimits.Far
			if most := far.All.PerSecond + far.Reserve.PerSecond + far.All.Burst + far.Reserve.Burst; k.name == ours.name && h.answered > float64(most) {
				b.Errorf("mroutd sent %.0f packets/s because of questions, want at most %d", h.answered, most)
			}
		}
		for what, figures := range lost {
			compare(b, figures, "lost-"+what)
		}
		compare(b, rate, "asked/s")
		compare(b, answered, "sent/s")
	}
}

// endured is how a router stood a flood.
type endured struct {
	lost            map[string]int
	asked, answered float64 // packets per second
}

func hostile(b *testing.B, k kind, questions int) (h endured) {
	const (
		begun  = 500
		pruned = 100
		grafts = 100
		// The flows that are pruned come after those that begin in the flood.
		before = begun
		pause  = 10 * time.Millisecond
	)
	l := star(b, 3)
	defer l.Close()
	router := l.Host("router")
	// Who is not there can be answered.
	must(b, router.AddRoute(lab.Route{Destination: netip.MustParsePrefix("0.0.0.0/0"), Via: netip.MustParseAddr("10.0.3.1")}))
	k.start(b, router)
	n := newNeighbor(b, l.Host("host2").Wire("eth0"))
	defer n.leave()
	n.meet(1)
	to, source := netip.MustParseAddr("10.0.2.254"), netip.MustParsePrefix("10.0.1.0/24")
	f := newFlows(b, l)
	calm(b, router)
	// The neighbour depends on the router for the source, and gets all flows.
	n.say(igmp.DVMRPRouters, &dvmrp.Report{Version: dvmrp.Mrouted, Routes: []dvmrp.Route{{Prefix: source, Metric: dvmrp.Infinity + 1}}})
	group := func(i int) netip.Addr { _, g := flowOf((before + i) * flowSources); return g }
	for i := range pruned {
		from, _ := flowOf(0)
		must(b, f.gun.fire(from, group(i)))
		time.Sleep(time.Millisecond)
	}
	forwarded := func() (outputs int) {
		for i := range pruned {
			from, _ := flowOf(0)
			r, ok, err := f.reader.Route(0, from, group(i))
			must(b, err)
			if ok && len(r.Outputs) > 0 {
				outputs++
			}
		}
		return outputs
	}
	lab.Until(b, benchPatience, func() error {
		if n := forwarded(); n < pruned {
			return fmt.Errorf("%s: %d of %d flows are forwarded", k.name, n, pruned)
		}
		return nil
	})

	ask := &dvmrp.Ask{Code: dvmrp.CodeAskNeighbors2, Version: dvmrp.Mrouted}
	g := newGun(b, l.Host("host3"), "eth0", protocolIGMP, ask.Len())
	message, err := ask.AppendBinary(nil)
	must(b, err)
	copy(g.payload(), message)
	stop, asked := make(chan struct{}), make(chan int)
	sentBefore := transmitted(b, router, "eth3")
	began := time.Now()
	go func() {
		total := 0
		pace(questions, stop, func(i int) {
			must(b, g.fire(spoofed(i), netip.MustParseAddr("10.0.3.254")))
			total++
		})
		asked <- total
	}()
	time.Sleep(time.Second) // so that what bursts allow is used up
	for i := range begun {
		from, to239 := flowOf(i)
		must(b, f.gun.fire(from, to239))
		switch each := begun / grafts; i % each {
		case 0:
			n.say(to, &dvmrp.Graft{Version: dvmrp.Mrouted, Source: source.Addr(), Group: to239})
		case 1:
			n.say(to, &dvmrp.Prune{Version: dvmrp.Mrouted, Source: source.Addr(), Group: group(i / each), Lifetime: time.Hour})
		}
		time.Sleep(pause)
	}
	time.Sleep(time.Second)
	close(stop)
	total := <-asked
	seconds := time.Since(began).Seconds()
	h.asked, h.answered = float64(total)/seconds, float64(transmitted(b, router, "eth3")-sentBefore)/seconds
	h.lost = map[string]int{"flows": begun, "prunes": forwarded()}
	for i := range begun {
		if f.isInstalled(i) {
			h.lost["flows"]--
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	h.lost["grafts"], h.lost["neighbors"] = grafts-n.acks, 1-len(n.peers)
	return h
}

// spoofed are addresses that are private, so that the router answers them, and
// nobody's.
func spoofed(i int) netip.Addr {
	x := uint32(i) * 2654435761
	return netip.AddrFrom4([4]byte{10, 128 | byte(x>>24), byte(x >> 16), 1 + byte(x>>8)%250})
}

// transmitted is how many packets a host has sent by an interface.
func transmitted(b *testing.B, h *lab.Host, iface string) uint64 {
	b.Helper()
	link, err := h.Netlink().LinkByName(iface)
	must(b, err)
	return link.Attrs().Statistics.TxPackets
}

// BenchmarkMemory is the memory of mroutd with 100,000 routes and 100,000 entries:
// mrouted never gets so far.
func BenchmarkMemory(b *testing.B) {
	const routes, entries = 100_000, 100_000
	for b.Loop() {
		l := star(b, 3)
		c := ours.start(b, l.Host("router"))
		from, to := newNeighbor(b, l.Host("host2").Wire("eth0")), newNeighbor(b, l.Host("host3").Wire("eth0"))
		from.meet(1)
		to.meet(1)
		from.report(networks(routes, 1))
		const own = 2
		if !to.await(benchPatience, func() bool { return to.reached >= own+routes }) {
			b.Errorf("%d routes are told", to.reached)
		}
		if _, installed := newFlows(b, l).begin(entries); installed < entries {
			b.Errorf("%d flows are in the kernel", installed)
		}
		now, most := resident(b, c)
		b.ReportMetric(now, "MiB")
		b.ReportMetric(most, "MiB-peak")
		b.ReportMetric(0, "ns/op")
		from.leave()
		to.leave()
		must(b, l.Close())
	}
}
