package peers

import (
	"bytes"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"mbone/internal/lab"
	"mbone/report"
)

// frrRow is two FRR routers between a source and a receiver, and traffic from
// one to the other. rp is the rendezvous point, if it is valid.
func frrRow(t *testing.T, rp netip.Addr) (hosts []*lab.Host, traffic *Stream) {
	t.Helper()
	h := row(t, "source", "frr1", "frr2", "receiver")
	FRR(t, h[1], rp)
	FRR(t, h[2], rp)
	flow := Flow{addr(1, 1), netip.MustParseAddr("232.1.1.1")}
	return h, Establish(t, flow, true, h[0].Wire("eth1"), h[3].Wire("eth0"))
}

// traceFRR traces the flow of frrRow at the receiver.
func traceFRR(t *testing.T, h []*lab.Host, s *Stream) (result, report.Path) {
	t.Helper()
	r := run(t, h[3], "mtrace", "-n", "-s", "--json", s.Flow.Source.String(), addr(3, 2).String(), s.Flow.Group.String())
	return r, decode[report.Path](t, r)
}

// What the two routers say. FRR counts nothing on interfaces, and names the
// source itself as the previous hop where the source is on the link.
const (
	frrLastHop  = "10.0.3.1 from 10.0.2.1 at 10.0.2.2, PIM ^1 no_error 10.0.1.1/32, in ? out ?"
	frrFirstHop = "10.0.2.1 from 10.0.1.1 at 10.0.1.2, PIM ^1 no_error 10.0.1.1/32, in ? out ?"
)

// TestMtraceFRR traces over two FRR routers. The first one answers nobody who
// is not on its link: only the last one's block can be had.
func TestMtraceFRR(t *testing.T) {
	t.Parallel()
	h, traffic := frrRow(t, netip.Addr{})
	r, path := traceFRR(t, h, traffic)
	if r.code != 1 || path.Complete || path.Reached {
		t.Errorf("exit code %d, complete %t, reached %t", r.code, path.Complete, path.Reached)
	}
	if r.took > 12*time.Second {
		t.Errorf("it took %v", r.took)
	}
	checkFRR(t, path.Hops, frrLastHop)
	if path.Next == nil || path.Next.Address.Addr != addr(2, 1) || path.Next.Verdict != report.DidNotAnswer {
		t.Errorf("next hop %+v, want %s, which did not answer", path.Next, addr(2, 1))
	}
	// It is named to a person, with the reason that is true here.
	if !bytes.Contains(r.stderr, []byte(addr(2, 1).String())) || !strings.Contains(path.Reason, addr(2, 1).String()) {
		t.Errorf("neither standard error nor the reason %q names %s", path.Reason, addr(2, 1))
	}
	if len(path.Causes) == 0 || path.Causes[0].Code != "frr_answer" {
		t.Errorf("causes %+v, want first that FRR answers on its links only", path.Causes)
	}
}

// TestMtraceFRRProxyARP is TestMtraceFRR where the router in the middle takes
// packets for the asker off the first router's link.
func TestMtraceFRRProxyARP(t *testing.T) {
	t.Parallel()
	h, traffic := frrRow(t, netip.Addr{})
	must(t, h[2].Sysctl("net.ipv4.conf.eth0.proxy_arp", "1"))
	r, path := traceFRR(t, h, traffic)
	checkFRRPath(t, r, path, frrLastHop, frrFirstHop)
	if path.Query.Response.Addr != addr(3, 2) {
		t.Errorf("answered to %s, want the asker", path.Query.Response)
	}
}

// TestMtraceFRRMulticastAnswer has the rendezvous point on the receiver's side:
// answers to 224.0.1.32 come through where unicast ones do not.
func TestMtraceFRRMulticastAnswer(t *testing.T) {
	t.Parallel()
	h, traffic := frrRow(t, addr(2, 2))
	r, path := traceFRR(t, h, traffic)
	checkFRRPath(t, r, path, strings.Replace(frrLastHop, "no_error", "reached_rp", 1), frrFirstHop)
	if want := netip.MustParseAddr("224.0.1.32"); path.Query.Response.Addr != want {
		t.Errorf("answered to %s, want %s", path.Query.Response, want)
	}
}

func checkFRRPath(t *testing.T, r result, path report.Path, want ...string) {
	t.Helper()
	if r.code != 0 || !path.Complete || !path.Reached {
		t.Errorf("exit code %d, complete %t, reached %t", r.code, path.Complete, path.Reached)
	}
	checkFRR(t, path.Hops, want...)
}

// checkFRR compares what routers say for certain, and wants their counts of
// the group to be doubted.
func checkFRR(t *testing.T, hops []report.Hop, want ...string) {
	t.Helper()
	if len(hops) != len(want) {
		t.Fatalf("%d hops, want %d", len(hops), len(want))
	}
	for i, h := range hops {
		if got := said(h); got != want[i] {
			t.Errorf("hop %d is\n%s\nwant\n%s", i+1, got, want[i])
		}
		if !slices.ContainsFunc(h.Unreliable, func(u report.Unreliable) bool { return u.Field == "packets_group" && u.Reason != "" }) {
			t.Errorf("hop %d: the count of the group is not doubted: %+v", i+1, h.Unreliable)
		}
	}
}
