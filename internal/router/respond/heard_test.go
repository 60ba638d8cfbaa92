package respond

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mbone/proto/igmp"
	"mbone/proto/pim"
)

func helloOf(t testing.TB, seconds ...byte) []byte {
	var h pim.Hello
	if len(seconds) > 0 {
		h.Options = []pim.Option{{Type: pim.OptionHoldtime, Value: seconds}}
	}
	return encode(t, &h)
}

func generalQuery(t testing.TB, q igmp.Query) []byte {
	q.Group = igmp.Unspecified
	return encode(t, &q)
}

func TestHeardHellos(t *testing.T) {
	var h Heard
	networks := newFake().networks
	at := func(s int) time.Duration { return time.Duration(s) * time.Second }
	hear := func(s int, from string, message []byte) bool {
		return h.Hello(at(s), Packet{From: ip(from), To: igmp.PIMRouters, Interface: 2, Message: message}, networks)
	}
	for _, bad := range []struct {
		name, from string
		message    []byte
	}{
		{"from another link", "10.2.0.2", helloOf(t, 0, 105)},
		{"our own", "10.3.0.1", helloOf(t, 0, 105)},
		{"no address", "0.0.0.0", helloOf(t, 0, 105)},
		{"everybody's address", "10.3.0.255", helloOf(t, 0, 105)},
		{"wrong checksum", "10.3.0.66", []byte{0x20, 0, 0, 0}},
		{"join/prune", "10.3.0.66", []byte{0x23, 0, 0xdc, 0xff}},
		{"nothing", "10.3.0.66", nil},
	} {
		if hear(0, bad.from, bad.message) {
			t.Errorf("%s: taken", bad.name)
		}
	}
	for _, good := range []struct {
		from    string
		message []byte
	}{
		{"10.3.0.4", helloOf(t, 0, 30)},
		{"10.3.0.3", helloOf(t)},             // 105 s
		{"10.3.0.5", helloOf(t, 0xff, 0xff)}, // for ever
	} {
		if !hear(0, good.from, good.message) {
			t.Errorf("Hello of %s not taken", good.from)
		}
	}
	for _, c := range []struct {
		at   int
		want []netip.Addr
	}{
		{0, []netip.Addr{ip("10.3.0.3"), ip("10.3.0.4"), ip("10.3.0.5")}},
		{29, []netip.Addr{ip("10.3.0.3"), ip("10.3.0.4"), ip("10.3.0.5")}},
		{30, []netip.Addr{ip("10.3.0.3"), ip("10.3.0.5")}},
		{105, []netip.Addr{ip("10.3.0.5")}},
		{1e9, []netip.Addr{ip("10.3.0.5")}},
	} {
		if diff := cmp.Diff(Link{Neighbors: c.want, PIM: true}, h.Link(at(c.at), 2), addrs); diff != "" {
			t.Errorf("after %d s: -want +got:\n%s", c.at, diff)
		}
	}
	if !hear(0, "10.3.0.5", helloOf(t, 0, 0)) {
		t.Error("good-bye not taken")
	}
	if got := h.Link(at(0), 2); len(got.Neighbors) > 0 || got.PIM {
		t.Errorf("after good-bye: %+v", got)
	}
}

func TestHeardQueries(t *testing.T) {
	networks := newFake().networks
	v2 := generalQuery(t, igmp.Query{Version: 2, MaxResponse: 10 * time.Second})
	v3 := generalQuery(t, igmp.Query{Version: 3, MaxResponse: 10 * time.Second, Robustness: 2, Interval: 10 * time.Second})
	type step struct {
		at      int
		from    string
		message []byte
	}
	for _, c := range []struct {
		name  string
		steps []step
		at    int
		want  Link
	}{
		{"nothing", nil, 0, Link{}},
		{"ours alone", []step{{0, "10.2.0.1", v2}}, 1, Link{Querier: true}},
		{"ours long ago", []step{{0, "10.2.0.1", v2}}, 255, Link{}},
		{"another's with a higher address", []step{{0, "10.2.0.1", v2}, {0, "10.2.0.2", v2}}, 1,
			Link{Querier: true, Neighbors: []netip.Addr{upRouter}}},
		{"another's alone", []step{{0, "10.2.0.2", v2}}, 1, Link{Neighbors: []netip.Addr{upRouter}}},
		{"ours from the second address, another's in between", []step{{0, "10.2.0.3", v2}, {1, "10.2.0.2", v2}}, 2,
			Link{Neighbors: []netip.Addr{upRouter}}},
		// Other Querier Present Interval: 2 * 10 + 10/2 s.
		{"another's has not yet expired", []step{{0, "10.2.0.2", v3}}, 24, Link{Neighbors: []netip.Addr{upRouter}}},
		{"another's has expired", []step{{0, "10.2.0.2", v3}}, 25, Link{}},
		{"without an address", []step{{0, "0.0.0.0", v2}}, 0, Link{}},
		{"from elsewhere", []step{{0, "10.3.0.9", v2}}, 0, Link{}},
		{"damaged", []step{{0, "10.2.0.2", v2[:7]}}, 0, Link{}},
		{"no query", []step{{0, "10.2.0.2", helloOf(t)}}, 0, Link{}},
	} {
		var h Heard
		networks := append(slices.Clone(networks), network(1, "10.2.0.3", 24))
		for _, s := range c.steps {
			h.Query(time.Duration(s.at)*time.Second, Packet{From: ip(s.from), To: igmp.AllSystems, Interface: 1, Message: s.message}, networks)
		}
		if diff := cmp.Diff(c.want, h.Link(time.Duration(c.at)*time.Second, 1), addrs); diff != "" {
			t.Errorf("%s: -want +got:\n%s", c.name, diff)
		}
	}
}

// A flood of Hellos from as many addresses as a link has does not grow without
// bound, and new ones are heard again when the others have gone.
func TestHeardBounds(t *testing.T) {
	var h Heard
	wide := []Network{network(1, "10.0.0.1", 8)}
	m := helloOf(t, 0, 10)
	for i := range 1 << 16 {
		h.Hello(0, Packet{From: addr(0x0a010000 + uint32(i)), Interface: 1, Message: m}, wide)
	}
	if n := len(h.Link(0, 1).Neighbors); n != maxHeard {
		t.Errorf("%d neighbours, want %d", n, maxHeard)
	}
	const later = 11 * time.Second
	h.Hello(later, Packet{From: ip("10.9.9.9"), Interface: 1, Message: m}, wide)
	if got := h.Link(later, 1).Neighbors; len(got) != 1 {
		t.Errorf("later: %v", got)
	}
	h.Keep([]int{2, 3})
	if got := h.Link(later, 1); got.Neighbors != nil || len(h.links) != 0 {
		t.Errorf("a link that is gone: %+v", got)
	}
}
