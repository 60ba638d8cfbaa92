package mroutd

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mbone/internal/lab"
)

// Ends of the chain, and how many routers are between them.
const chainRouters = 8

var (
	chainSender   = ip("10.0.0.10")
	chainReceiver = ip("10.0.8.10")
	chainGroup    = netip.MustParseAddrPort("239.1.2.3:5000")
)

// chainUp is the address of router i towards the sender, chainDown that towards the
// receiver.
func chainUp(i int) string   { return fmt.Sprintf("10.0.%d.%d", i-1, i) }
func chainDown(i int) string { return fmt.Sprintf("10.0.%d.%d", i, i) }

// startChain starts eight routers in a row and waits until the last one knows the
// way to the sender.
func startChain(t *testing.T) *routing {
	n := startRouting(t, "chain")
	var way []string
	for i := chainRouters; i > 0; i-- {
		way = append(way, chainUp(i))
	}
	n.path("receiver", ip(chainDown(chainRouters)), chainSender, chainReceiver, way...)
	return n
}

// Of a flow that begins at full speed nothing is lost on the way through eight
// routers that have never seen it: each kernel keeps four packets while it asks
// what to do with them. A machine that stops one of the routers for 4 ms loses a
// packet all the same, so it is tried until the machine lets it be seen;
// BenchmarkNewFlow counts how often that is.
//
// It is not run beside the other tests of this package: they disturb it most.
func TestRouteNewFlow(t *testing.T) {
	n := startChain(t)
	const (
		limit = time.Minute
		most  = 256 // groups
	)
	began := time.Now()
	var lost []int // packets of each try
	for i := 0; i < most && time.Since(began) < limit; i++ {
		f := lab.Flow{
			Group:     netip.AddrPortFrom(netip.AddrFrom4([4]byte{239, 1, 2, byte(i)}), 5000),
			Interface: "eth0", Source: chainSender, Count: 300, Interval: time.Millisecond,
		}
		r := n.join("receiver", f.Group, netip.Addr{})
		n.heard("net8", f.Group.Addr())
		n.run("receiver", "mrinfo", "-n", chainDown(chainRouters)) // by then it has handled that
		_, err := n.Host("sender").Send(t.Context(), f)
		check(t, err)
		got := settled(t, r, f.Count)
		if got.Duplicates > 0 || got.Packets > f.Count {
			t.Errorf("%+v", got)
		}
		if got.Packets == f.Count {
			t.Logf("packets lost in the tries before: %v", lost)
			return
		}
		lost = append(lost, f.Count-got.Packets)
	}
	t.Errorf("each new flow has lost packets: %v", lost)
}

// settled returns what a receiver has got of so many packets that were all sent: what
// has not come after window is lost.
func settled(t testing.TB, r *lab.Receiver, count int) (got lab.ReceiverStats) {
	t.Helper()
	end := time.Now()
	lab.Until(t, patience, func() error {
		if got = r.Stats(); got.Packets < count && time.Since(end) < window {
			return fmt.Errorf("%d of %d packets came", got.Packets, count)
		}
		return nil
	})
	return got
}

// All tools tell the truth at every router of a long way.
func TestRouteChain(t *testing.T) {
	t.Parallel()
	n := startChain(t)
	flow := lab.Flow{Group: chainGroup, Interface: "eth0", Source: chainSender, TTL: 32, Count: 100, Interval: time.Millisecond}
	links := []string{"net0"}
	for i := 1; i <= chainRouters; i++ {
		links = append(links, fmt.Sprintf("net%d", i))
		up := fmt.Sprintf("  %s -> %s (%[2]s) [1/1]\n", chainUp(i), chainDown(i-1))
		down := fmt.Sprintf("  %s -> %s (%[2]s) [1/1/querier]\n", chainDown(i), chainUp(i+1))
		if i == 1 {
			up = fmt.Sprintf("  %s -> 0.0.0.0 (local) [1/1/querier/leaf]\n", chainUp(i))
		}
		if i == chainRouters {
			down = fmt.Sprintf("  %s -> 0.0.0.0 (local) [1/1/querier/leaf]\n", chainDown(i))
		}
		n.says("receiver", chainDown(i), up+down)
	}

	n.join("receiver", chainGroup, netip.Addr{})
	n.heard("net8", chainGroup.Addr())
	stop := n.send("sender", flow)
	n.tree(stream{source: chainSender, group: chainGroup.Addr()}, links...)
	stop()
	n.exactly("sender", flow, links...)

	// mtrace: every hop, every packet, on every link.
	lost, picture := n.measure("mtrace", flow)
	if len(lost) != chainRouters {
		t.Fatalf("figures of %d links, want %d:\n%s", len(lost), chainRouters, picture)
	}
	for i, got := range lost {
		if want := (chainLink{sent: flow.Count}); got != want {
			t.Errorf("mtrace: link %d: %+v, want %+v:\n%s", i+1, got, want, picture)
		}
	}
	for i := 1; i <= chainRouters; i++ {
		if want := fmt.Sprintf("-%d  %s  ", chainRouters+1-i, chainDown(i)); !strings.Contains(picture, want) {
			t.Errorf("mtrace does not say %q:\n%s", want, picture)
		}
	}

	// mstat: the loss of each link is found where it is.
	wire := n.Host("r5").Wire("up")
	check(t, wire.SetLoss(lab.In, lab.Loss{Percent: 30, Protocol: unix.IPPROTO_UDP}))
	lost, picture = n.measure("mstat", flow, "-c", "1")
	dropped, err := wire.Drops(lab.In)
	check(t, err)
	check(t, wire.Mend())
	var want []chainLink
	for i := 1; i <= chainRouters; i++ {
		l := chainLink{sent: flow.Count}
		switch {
		case i == 4:
			l.lost = int(dropped)
		case i > 4:
			l.sent -= int(dropped)
		}
		want = append(want, l)
	}
	if dropped == 0 || !slices.Equal(lost, want) {
		t.Errorf("mstat: %+v, want %+v:\n%s", lost, want, picture)
	}

	// map-mbone finds all of them, and whose all addresses are.
	got := n.run("receiver", "map-mbone", "-n", "-f", chainDown(chainRouters))
	for i := 1; i <= chainRouters; i++ {
		if up, down := chainUp(i), chainDown(i); !strings.Contains(got, "\n"+up+": <v") && !strings.Contains(got, "\n"+down+": <v") ||
			!strings.Contains(got, "\n"+up+": alias for "+down+"\n") && !strings.Contains(got, "\n"+down+": alias for "+up+"\n") && i > 1 && i < chainRouters {
			t.Errorf("map-mbone does not know r%d:\n%s", i, got)
		}
		if want := fmt.Sprintf("%s:  %s [1/1/querier]", chainDown(i), chainUp(i+1)); i < chainRouters && !strings.Contains(got, want) {
			t.Errorf("map-mbone does not say %q:\n%s", want, got)
		}
	}
}

// chainLink is what mtrace or mstat said of the flow on a link.
type chainLink struct{ lost, sent int }

// measure runs mtrace or mstat while a flow is sent.
func (n *routing) measure(tool string, f lab.Flow, args ...string) (flow []chainLink, picture string) {
	n.t.Helper()
	var out lockedBuffer
	begin := &trigger{w: &out, text: []byte("Waiting to accumulate"), fire: make(chan struct{})}
	c := n.program(n.t.Context(), "receiver", tool, append(args, "-n", "-S", "1", chainSender.String(), chainReceiver.String(), chainGroup.Addr().String())...)
	c.Stdout = begin
	check(n.t, c.Start())
	select {
	case <-begin.fire:
	case <-c.Done():
		n.t.Fatalf("%s: %v\n%s%s", tool, c.Wait(), out.String(), c.Log())
	}
	_, err := n.Host("sender").Send(context.Background(), f)
	check(n.t, err)
	if err := c.Wait(); err != nil {
		n.t.Fatalf("%s: %v\n%s%s", tool, err, out.String(), c.Log())
	}
	lost, sent := said([]byte(out.String()))
	for i := range lost {
		flow = append(flow, chainLink{lost[i][1], sent[i][1]})
	}
	return flow, out.String()
}
