package peers

import (
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"mbone/internal/lab"
	"mbone/report"
)

// mroutedRow is four mrouted between a source and a receiver, and traffic from
// one to the other.
func mroutedRow(t *testing.T, conf ...string) (hosts []*lab.Host, traffic *Stream) {
	t.Helper()
	lab.PeerBinary(t, MroutedVariable)
	h := row(t, "source", "mrouted1", "mrouted2", "mrouted3", "mrouted4", "receiver")
	for _, router := range h[1:5] {
		Mrouted(t, router, conf...)
	}
	for _, router := range h[1:5] {
		MroutedRoutes(t, router, 5)
	}
	flow := Flow{addr(1, 1), netip.MustParseAddr("224.2.2.2")}
	return h, Establish(t, flow, false, h[0].Wire("eth1"), h[5].Wire("eth0"))
}

// TestMtraceMrouted traces over four mrouted whose answers come through.
func TestMtraceMrouted(t *testing.T) {
	t.Parallel()
	h, traffic := mroutedRow(t, "no router-alert", "igmp-query-interval 11")
	before := traceMrouted(t, h, traffic)
	const sent = 100
	traffic.Deliver(sent)
	after := traceMrouted(t, h, traffic)
	for i := range after {
		got := []uint64{
			*after[i].PacketsIn - *before[i].PacketsIn,
			*after[i].PacketsOut - *before[i].PacketsOut,
			*after[i].PacketsGroup - *before[i].PacketsGroup,
		}
		if !reflect.DeepEqual(got, []uint64{sent, sent, sent}) {
			t.Errorf("hop %d counted %d packets in, out and of the group, want %d of each", i+1, got, sent)
		}
	}

	// A router behind two others answers for itself. It finds out by and by that
	// it is not the querier of a link.
	interfaces := []report.Interface{
		iface(addr(2, 2), neighbors(addr(2, 1))),
		iface(addr(3, 1), neighbors(addr(3, 2)), "querier"),
	}
	lab.Until(t, Patience, Slowly(func() error {
		r := runQuietly(t, h[5], "mrinfo", "-n", "--json", addr(3, 1).String())
		routers := decode[report.Routers](t, r).Routers
		if r.code != 0 || len(routers) != 1 || !reflect.DeepEqual(routers[0].Interfaces, interfaces) {
			return fmt.Errorf("exit code %d, routers %+v, want interfaces\n%+v", r.code, routers, interfaces)
		}
		return nil
	}))
}

// traceMrouted traces the flow of mroutedRow at the receiver while nothing is
// sent, and compares all that the hops say with what is true.
func traceMrouted(t *testing.T, h []*lab.Host, s *Stream) []report.Hop {
	t.Helper()
	r := run(t, h[5], "mtrace", "-n", "-s", "--json", s.Flow.Source.String(), addr(5, 2).String(), s.Flow.Group.String())
	path := decode[report.Path](t, r)
	if r.code != 0 || !path.Complete || !path.Reached || path.Method != report.MethodFull {
		t.Errorf("exit code %d, complete %t, reached %t, method %s", r.code, path.Complete, path.Reached, path.Method)
	}
	if len(path.Hops) != 4 {
		t.Fatalf("%d hops, want 4", len(path.Hops))
	}
	for i, hop := range path.Hops {
		n := 4 - i // the router's place in the row
		vifs, err := Vifs(h[n])
		must(t, err)
		entries, err := Entries(h[n])
		must(t, err)
		previous := addr(n, 1).String()
		if n == 1 {
			previous = "?" // the source is on the link
		}
		want := fmt.Sprintf("%s from %s at %s, DVMRP ^1 no_error 10.0.1.0/24, in %d out %d group %d",
			addr(n+1, 1), previous, addr(n, 2), vifs["eth0"].PacketsIn, vifs["eth1"].PacketsOut, entries[s.Flow].Packets)
		if got := said(hop) + " group " + value(hop.PacketsGroup); got != want {
			t.Errorf("hop %d is\n%s\nwant\n%s", i+1, got, want)
		}
		if len(hop.Unreliable) > 0 {
			t.Errorf("hop %d: what is true is doubted: %+v", i+1, hop.Unreliable)
		}
	}
	return path.Hops
}

// TestMtraceMroutedRouterAlert leaves mrouted as it is: each router takes the
// answers of those behind it off the wire, since they carry Router Alert.
func TestMtraceMroutedRouterAlert(t *testing.T) {
	t.Parallel()
	h, traffic := mroutedRow(t)
	r := run(t, h[5], "mtrace", "-n", "-s", "--json", traffic.Flow.Source.String(), addr(5, 2).String(), traffic.Flow.Group.String())
	path := decode[report.Path](t, r)
	if r.code != 1 || path.Complete || path.Reached {
		t.Errorf("exit code %d, complete %t, reached %t", r.code, path.Complete, path.Reached)
	}
	if r.took > 12*time.Second {
		t.Errorf("it took %v", r.took)
	}
	if len(path.Hops) != 1 || path.Hops[0].Previous.Addr != addr(4, 1) {
		t.Errorf("hops %+v, want the last one alone", path.Hops)
	}
	if len(path.Causes) == 0 || path.Causes[0].Code != "router_alert" || path.Causes[0].Hop != 1 ||
		!strings.Contains(path.Causes[0].Fix, "no router-alert") {
		t.Errorf("causes %+v, want first that answers from behind hop 1 do not come back", path.Causes)
	}
	if !strings.Contains(string(r.stderr), "answers from behind hop 1") {
		t.Error("standard error does not say that answers from behind hop 1 do not come back")
	}

	r = run(t, h[5], "mrinfo", "-n", addr(4, 1).String())
	if r.code != 1 || r.took > 12*time.Second || !strings.Contains(string(r.stderr), "Router Alert") {
		t.Errorf("mrinfo of the router behind hop 1: exit code %d after %v, want 1, and Router Alert as a reason", r.code, r.took)
	}
}
