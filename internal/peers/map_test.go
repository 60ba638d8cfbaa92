package peers

import (
	"fmt"
	"net/netip"
	"reflect"
	"testing"

	"mbone/internal/lab"
	"mbone/report"
)

// TestMap crawls from Debian's pimd, whose answers are damaged, to an FRR beside
// which our responder answers. They know each other by PIM. The address that
// pimd's damage makes up is no alias.
func TestMap(t *testing.T) {
	t.Parallel()
	h := row(t, "asker", "pimd", "frr", "end")
	respondOnly(t, h[2])
	FRR(t, h[2], netip.Addr{})
	Pimd(t, h[1])
	lab.Until(t, Patience, Slowly(func() error { // neighbours are heard by and by
		r := runQuietly(t, h[0], "map-mbone", "-f", "-n", "--json", addr(1, 2).String())
		m := decode[report.Map](t, r)
		if r.code != 0 || !m.Complete || len(m.Routers) != 2 || len(m.Links) != 1 {
			return fmt.Errorf("exit code %d, complete %t, routers %+v, links %+v\n%s", r.code, m.Complete, m.Routers, m.Links, r.stderr)
		}
		for i, want := range []struct {
			primary, alias netip.Addr
			damaged        bool
		}{{addr(1, 2), addr(2, 1), true}, {addr(2, 2), addr(3, 1), false}} {
			got := m.Routers[i]
			if got.State != report.RouterAnswered || got.Address != want.primary || got.Depth != i || got.BadChecksum != want.damaged ||
				!reflect.DeepEqual(got.Aliases, neighbors(want.alias)) {
				return fmt.Errorf("router %+v, want %+v", got, want)
			}
		}
		link := m.Links[0]
		if link.Kind != report.LinkPointToPoint || len(link.OneWay) > 0 ||
			link.Ends[0].Interface != addr(2, 1) || link.Ends[1].Interface != addr(2, 2) {
			return fmt.Errorf("link %+v, want one between %s and %s", link, addr(2, 1), addr(2, 2))
		}
		return nil
	}))
}
