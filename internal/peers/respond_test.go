package peers

import (
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"mbone/internal/lab"
	"mbone/report"
)

// TestRespondOnly runs our responder beside other people's routers, two in a
// row, of which it says what is true: vifs, neighbours, counters. The asker is
// on no link of theirs, so that FRR leaves all answers to us; pimd gives its own
// as well, which are damaged.
func TestRespondOnly(t *testing.T) {
	group := netip.MustParseAddr("232.1.1.1")
	for _, test := range []struct {
		name     string
		start    func(t *testing.T, h *lab.Host)
		protocol string
		want     [2][]report.Interface // of either router
	}{
		{
			"FRR", func(t *testing.T, h *lab.Host) { FRR(t, h, netip.Addr{}) },
			"PIM",
			[2][]report.Interface{
				{iface(addr(1, 2), nil, "querier", "leaf"), iface(addr(2, 1), neighbors(addr(2, 2)), "pim", "querier")},
				{iface(addr(2, 2), neighbors(addr(2, 1)), "pim"), iface(addr(3, 1), nil, "querier", "leaf")},
			},
		},
		{
			// Its first queries have wrong checksums: others must follow soon.
			"pimd", func(t *testing.T, h *lab.Host) { Pimd(t, h, "igmp-query-interval 2") },
			"PIM",
			[2][]report.Interface{
				{iface(addr(1, 2), nil, "querier", "leaf"), iface(addr(2, 1), neighbors(addr(2, 2)), "pim", "querier")},
				{iface(addr(2, 2), neighbors(addr(2, 1)), "pim"), iface(addr(3, 1), nil, "querier", "leaf")},
			},
		},
		{
			"smcroute", func(t *testing.T, h *lab.Host) {
				Smcroute(t, h, fmt.Sprintf("mroute from eth0 source %s group %s to eth1", addr(1, 1), group))
			},
			"None",
			[2][]report.Interface{
				{iface(addr(1, 2), nil, "leaf"), iface(addr(2, 1), nil, "leaf")},
				{iface(addr(2, 2), nil, "leaf"), iface(addr(3, 1), nil, "leaf")},
			},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			h := row(t, "source", "router1", "router2", "receiver", "asker")
			routers, receiver, asker := h[1:3], h[3], h[4]
			for _, r := range routers {
				respondOnly(t, r)
			}
			for _, r := range routers {
				test.start(t, r)
			}
			flow := Flow{addr(1, 1), group}
			// pimd deletes entries that are idle when its timer ticks.
			lab.Until(t, Patience, Slowly(func() error {
				Establish(t, flow, true, h[0].Wire("eth1"), receiver.Wire("eth0")).Deliver(100)
				r := runQuietly(t, asker, "mtrace", "-n", "-s", "--json", "-g", addr(3, 1).String(),
					flow.Source.String(), addr(3, 2).String(), group.String())
				path := decode[report.Path](t, r)
				if r.code != 0 || !path.Reached || len(path.Hops) != 2 {
					return fmt.Errorf("mtrace: exit code %d, reached %t, %d hops:\n%s", r.code, path.Reached, len(path.Hops), r.stderr)
				}
				for i, hop := range path.Hops {
					n := 2 - i // the router's place in the row
					vifs, err := Vifs(h[n])
					must(t, err)
					entries, err := Entries(h[n])
					must(t, err)
					previous := addr(n, 1).String()
					if n == 1 {
						previous = "?" // the source is on the link
					}
					want := fmt.Sprintf("%s from %s at %s, %s ^1 no_error 10.0.1.0/24, in %d out %d group %d",
						addr(n+1, 1), previous, addr(n, 2), test.protocol, vifs["eth0"].PacketsIn, vifs["eth1"].PacketsOut, entries[flow].Packets-entries[flow].WrongIncoming)
					if got := said(hop) + " group " + value(hop.PacketsGroup); got != want {
						return fmt.Errorf("hop %d is\n%s\nwant\n%s", i+1, got, want)
					}
				}
				return nil
			}))

			// Router i has 10.0.i+1.1 towards the receiver.
			for i, want := range test.want {
				asked := addr(i+2, 1)
				lab.Until(t, Patience, Slowly(func() error { // neighbours and queriers are heard by and by
					got := decode[report.Routers](t, runQuietly(t, asker, "mrinfo", "-n", "--json", asked.String())).Routers
					if len(got) != 1 || got[0].BadChecksum || len(got[0].Conflicts) > 0 || !reflect.DeepEqual(got[0].Interfaces, want) {
						return fmt.Errorf("%s is %+v, want interfaces\n%+v", asked, got, want)
					}
					return nil
				}))
			}
		})
	}
}

// respondOnly starts our responder, which lasts until the end of the test.
func respondOnly(t *testing.T, h *lab.Host) {
	t.Helper()
	c := command(t, h, "mroutd", "--respond-only")
	must(t, c.Start())
	lab.Until(t, Patience, func() error {
		if !strings.Contains(c.Log(), "msg=answering") {
			return fmt.Errorf("%s: mroutd does not answer:\n%s", h.Name, c.Log())
		}
		return nil
	})
}
