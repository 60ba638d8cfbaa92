package peers

import (
	"bytes"
	"fmt"
	"net/netip"
	"reflect"
	"testing"

	"mbone/internal/lab"
	"mbone/report"
)

// TestMrinfoPimd asks Debian's pimd from its own link and over a plain router.
// After pimd has computed the checksum of an answer it overwrites the second
// byte of the first address with its query interval, 12 seconds.
func TestMrinfoPimd(t *testing.T) {
	t.Parallel()
	h := row(t, "near", "pimd1", "pimd2", "plain", "far")
	near, pimd1, pimd2, far := h[0], h[1], h[2], h[4]
	// The one with the lower address is heard from the start and is querier then.
	Pimd(t, pimd2)
	Pimd(t, pimd1)
	for _, test := range []struct {
		asker  *lab.Host
		router netip.Addr
		want   []report.Interface
	}{
		{near, addr(1, 2), []report.Interface{
			iface(netip.MustParseAddr("10.12.1.2"), nil, "querier"),
			iface(addr(2, 1), neighbors(addr(2, 2)), "pim", "querier"),
			iface(addr(1, 2), nil), // where PIM registers go
		}},
		{far, addr(3, 1), []report.Interface{
			iface(netip.MustParseAddr("10.12.2.2"), neighbors(addr(2, 1)), "pim"),
			iface(addr(3, 1), nil, "querier"),
			iface(addr(2, 2), nil),
		}},
	} {
		lab.Until(t, Patience, Slowly(func() error {
			r := runQuietly(t, test.asker, "mrinfo", "-n", "--json", test.router.String())
			doc := decode[report.Routers](t, r)
			if r.code != 0 || len(doc.Routers) != 1 {
				return fmt.Errorf("%s: exit code %d with %d routers", test.router, r.code, len(doc.Routers))
			}
			got := doc.Routers[0]
			switch {
			case !got.BadChecksum:
				t.Fatalf("%s: the answer is not marked as damaged", test.router)
			case !bytes.Contains(r.stderr, []byte("bad checksum")):
				t.Fatalf("%s: no warning of a bad checksum", test.router)
			case got.Address.Addr != test.router || got.Alias:
				t.Fatalf("answered by %s (alias: %t), want %s", got.Address, got.Alias, test.router)
			case got.Version == nil || got.Version.Major != 2 || got.Version.Minor != 1:
				t.Fatalf("%s: version %+v, want 2.1", test.router, got.Version)
			case !reflect.DeepEqual(got.Interfaces, test.want): // hello messages are on their way
				return fmt.Errorf("%s: interfaces are\n%+v\nwant\n%+v", test.router, got.Interfaces, test.want)
			}
			return nil
		}))
	}
}

// iface is an interface as these routers have them by default.
func iface(a netip.Addr, neighbors []report.Neighbor, flags ...string) report.Interface {
	if neighbors == nil {
		neighbors = []report.Neighbor{}
	}
	return report.Interface{Address: a, Metric: 1, Threshold: 1, Flags: append([]string{}, flags...), Neighbors: neighbors}
}

func neighbors(addrs ...netip.Addr) []report.Neighbor {
	var all []report.Neighbor
	for _, a := range addrs {
		all = append(all, report.Neighbor{Address: a})
	}
	return all
}
