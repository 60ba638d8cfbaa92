package topo

import (
	"context"
	"net/netip"
	"strings"
	"testing"

	"mbone/internal/ask"
	"mbone/proto/dvmrp"
	"mbone/report"
)

// endless is a network in which every router names ten others that nobody else
// names.
type endless struct{ asked int }

func (e *endless) Neighbors(_ context.Context, q ask.NeighborsQuestion) ([]ask.NeighborsAnswer, error) {
	e.asked++
	const first = ip(10 << 24)
	i := dvmrp.Interface{Local: q.Router}
	for n := range ip(10) {
		i.Neighbors = append(i.Neighbors, (first + (ipOf(q.Router)-first)*10 + n + 1).addr())
	}
	return []ask.NeighborsAnswer{{Asked: q.Router, From: q.Router, Interfaces: []dvmrp.Interface{i}}}, nil
}

// A network without an end ends at the limits, and the map says so.
func TestLimits(t *testing.T) {
	for _, test := range []struct {
		limits limits
		asked  int // at most
		reason string
	}{
		{limits{addresses: 500, records: 1e6}, 500, "more than 500 addresses were named"},
		{limits{addresses: 1e6, records: 2200}, 2200, "more than 2200 interfaces and neighbours were named"},
	} {
		k := newCrawler(Crawl{
			Start: []netip.Addr{netip.MustParseAddr("10.0.0.0")}, Flood: true, Depth: -1, InFlight: 1,
			Within: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")},
		})
		k.limits = test.limits
		e := new(endless)
		k.run(t.Context(), e)
		m := k.build()
		if e.asked > test.asked || m.Complete || m.Reason != test.reason {
			t.Errorf("%d asked, complete %v, reason %q, want at most %d and %q", e.asked, m.Complete, m.Reason, test.asked, test.reason)
		}
		silenced := 0
		for _, r := range m.Routers {
			if r.State == report.RouterNotAsked && strings.Contains(r.Reason, "more than") {
				silenced++
			}
		}
		if silenced == 0 {
			t.Errorf("%s: no router of the map says that it was not asked for that", test.reason)
		}
	}
}
