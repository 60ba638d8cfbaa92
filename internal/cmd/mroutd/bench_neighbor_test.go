package mroutd

import (
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"mbone/internal/lab"
	"mbone/internal/plane"
	"mbone/proto/dvmrp"
	"mbone/proto/igmp"
)

// neighbor is a DVMRP router that routes nothing: it keeps the other routers of a
// link content, tells them routes, and remembers what it is told. It is as fast as
// the machine is.
type neighbor struct {
	b       *testing.B
	addr    netip.Addr
	index   int
	socket  *plane.Socket
	members plane.Members
	stop    chan struct{}
	leave   func() // ends it

	mu      sync.Mutex
	changed *sync.Cond
	heard   []netip.Addr // who probes; sorted
	peers   []netip.Addr // those that name us; sorted
	told    map[netip.Prefix]uint8
	reached int       // of told, those that can be reached
	when    time.Time // something was told
	acks    int
	probes  int
}

const (
	neighborProbes     = 5 * time.Second
	neighborGeneration = 7
)

// newNeighbor makes a neighbour of a wire, until the end of the benchmark.
func newNeighbor(b *testing.B, w *lab.Wire) *neighbor {
	b.Helper()
	addresses, err := w.Addresses()
	must(b, err)
	n := &neighbor{b: b, addr: addresses[0].Addr(), index: w.Index, stop: make(chan struct{}), told: make(map[netip.Prefix]uint8)}
	n.changed = sync.NewCond(&n.mu)
	must(b, w.Host.Do(func() (err error) {
		if n.socket, err = plane.Listen(protocolIGMP, byte(igmp.TypeDVMRP)); err != nil {
			return err
		}
		return n.members.Set([]int{w.Index}, []netip.Addr{igmp.DVMRPRouters})
	}))
	var tasks sync.WaitGroup
	tasks.Go(n.receive)
	tasks.Go(n.probeOn)
	n.leave = sync.OnceFunc(func() {
		close(n.stop)
		n.socket.Close()
		n.members.Close()
		tasks.Wait()
	})
	b.Cleanup(n.leave)
	return n
}

// message is any message of proto/dvmrp.
type dvmrpMessage interface {
	AppendBinary([]byte) ([]byte, error)
}

// say sends a message to all routers of the link, or to one.
func (n *neighbor) say(to netip.Addr, m dvmrpMessage) {
	message, err := m.AppendBinary(nil)
	if err == nil {
		d := plane.Datagram{To: to, Source: n.addr, IfIndex: n.index, TTL: 1, Message: message}
		if !to.IsMulticast() {
			d.IfIndex, d.TTL = 0, 255
		}
		err = n.socket.Send(d)
	}
	if err != nil {
		select {
		case <-n.stop:
		default:
			n.b.Errorf("%v: %v", n.addr, err)
		}
	}
}

func (n *neighbor) probe() {
	n.mu.Lock()
	m := &dvmrp.Probe{Version: dvmrp.Mrouted, GenID: neighborGeneration, Neighbors: slices.Clone(n.heard)}
	n.mu.Unlock()
	n.say(igmp.DVMRPRouters, m)
}

func (n *neighbor) probeOn() {
	for {
		n.probe()
		select {
		case <-time.After(neighborProbes):
		case <-n.stop:
			return
		}
	}
}

// report tells routes, in as many packets as it takes: a few at a time, so that
// neither the kernel's queues nor a router that is not slow loses any.
func (n *neighbor) report(routes []dvmrp.Route) {
	const atOnce, pause = 20, 2 * time.Millisecond
	i := 0
	for part := range dvmrp.SplitRoutes(routes) {
		n.say(igmp.DVMRPRouters, &dvmrp.Report{Version: dvmrp.Mrouted, Routes: part})
		if i++; i%atOnce == 0 {
			time.Sleep(pause)
		}
	}
}

func (n *neighbor) receive() {
	var p plane.Packet
	var probe dvmrp.Probe
	var report dvmrp.Report
	for n.socket.Receive(&p) == nil {
		if p.From == n.addr || p.IfIndex != n.index {
			continue
		}
		code, _, err := dvmrp.ParseHeader(p.Message)
		if err != nil {
			continue
		}
		switch code {
		case dvmrp.CodeProbe:
			if probe.Parse(p.Message) == nil {
				n.hear(p.From, slices.Contains(probe.Neighbors, n.addr))
			}
		case dvmrp.CodeReport:
			if report.Parse(p.Message) == nil {
				n.learn(report.Routes)
			}
		case dvmrp.CodeGraftAck:
			n.mu.Lock()
			n.acks++
			n.changed.Broadcast()
			n.mu.Unlock()
		}
	}
}

// hear takes a probe of a router that names us, or does not yet.
func (n *neighbor) hear(from netip.Addr, named bool) {
	n.mu.Lock()
	n.probes++
	i, known := slices.BinarySearchFunc(n.heard, from, netip.Addr.Compare)
	if !known {
		n.heard = slices.Insert(n.heard, i, from)
	}
	if i, is := slices.BinarySearchFunc(n.peers, from, netip.Addr.Compare); named && !is {
		n.peers = slices.Insert(n.peers, i, from)
	} else if !named && is {
		n.peers = slices.Delete(n.peers, i, i+1)
	}
	n.changed.Broadcast()
	n.mu.Unlock()
	if !known {
		n.probe()
	}
}

func (n *neighbor) learn(routes []dvmrp.Route) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, r := range routes {
		old, known := n.told[r.Prefix]
		was, is := known && old < dvmrp.Infinity, r.Metric < dvmrp.Infinity
		n.told[r.Prefix] = r.Metric
		switch {
		case is && !was:
			n.reached++
		case was && !is:
			n.reached--
		}
	}
	n.when = time.Now()
	n.changed.Broadcast()
}

// await waits until ok, which is called with the lock held; it says whether it
// came true in time.
func (n *neighbor) await(limit time.Duration, ok func() bool) bool {
	deadline := time.Now().Add(limit)
	wake := time.AfterFunc(limit, n.changed.Broadcast)
	defer wake.Stop()
	n.mu.Lock()
	defer n.mu.Unlock()
	for !ok() {
		if time.Now().After(deadline) {
			return false
		}
		n.changed.Wait()
	}
	return true
}

// meet waits until so many routers are neighbours both ways.
func (n *neighbor) meet(routers int) {
	n.b.Helper()
	if !n.await(benchPatience, func() bool { return len(n.peers) == routers }) {
		n.b.Fatalf("%v: neighbours %v, want %d", n.addr, n.peers, routers)
	}
}

// networks are n routes that nobody has, with a metric.
func networks(n int, metric uint8) []dvmrp.Route {
	routes := make([]dvmrp.Route, n)
	for i := range routes {
		a := uint32(20<<24 + i<<8)
		addr := netip.AddrFrom4([4]byte{byte(a >> 24), byte(a >> 16), byte(a >> 8), 0})
		routes[i] = dvmrp.Route{Prefix: netip.PrefixFrom(addr, 24), Metric: metric}
	}
	return routes
}

// star is a router between LANs net1, net2, ..., each with a host of the same
// number: the router has 10.0.N.254 at ethN, host N 10.0.N.1 at eth0.
func star(b *testing.B, hosts int) *lab.Lab {
	b.Helper()
	text := "host router\nsysctl net.ipv4.ip_forward 1\n"
	for n := 1; n <= hosts; n++ {
		text += fmt.Sprintf("interface eth%d on net%d 10.0.%d.254/24\n", n, n, n)
	}
	for n := 1; n <= hosts; n++ {
		text += fmt.Sprintf("lan net%d\nhost host%d\ninterface eth0 on net%d 10.0.%d.1/24\nroute default via 10.0.%d.254\n", n, n, n, n, n)
	}
	return lab.Start(b, text)
}
