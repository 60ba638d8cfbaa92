package dvmrp_test

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"

	"mbone/internal/prototest"
	"mbone/proto/dvmrp"
	"mbone/proto/igmp"
)

func TestReport(t *testing.T) {
	routes := func(list ...dvmrp.Route) dvmrp.Report { return dvmrp.Report{Version: dvmrp.Mrouted, Routes: list} }
	prototest.TestGood(t, []prototest.Good[dvmrp.Report]{
		{
			Name: "every width",
			Packet: `13 02 11 d0 00 0e ff 03   # code 2, 3.255
				00 00 00  00 83            # default, metric 3, last
				00 00 00  0a 81            # 10/8, metric 1, last
				f0 00 00  ac 10 84         # 172.16/12, metric 4, last
				ff 00 00  ac 14 82         # 172.20/16, metric 2, last
				ff ff 00  c0 a8 01 01      # 192.168.1/24, metric 1
				          c0 a8 0e a1      # 192.168.14/24, metric 1 poisoned, last
				ff ff c0  c0 a8 02 40 82   # 192.168.2.64/26, metric 2, last`,
			Want: routes(
				dvmrp.Route{net("0.0.0.0/0"), 3},
				dvmrp.Route{net("10.0.0.0/8"), 1},
				dvmrp.Route{net("172.16.0.0/12"), 4},
				dvmrp.Route{net("172.20.0.0/16"), 2},
				dvmrp.Route{net("192.168.1.0/24"), 1},
				dvmrp.Route{net("192.168.14.0/24"), 33},
				dvmrp.Route{net("192.168.2.64/26"), 2},
			),
		},
		{
			Name:   "no route",
			Packet: "13 02 ed eb 00 0e ff 03",
			Want:   routes(),
		},
		{
			Name:   "a host and infinity",
			Packet: "13 02 e5 40 00 0e ff 03 | ff ff ff  0a 00 00 09 a0",
			Want:   routes(dvmrp.Route{net("10.0.0.9/32"), 32}),
		},
		{
			Name: "lists in any order, from longest to shortest",
			Packet: `13 02 91 98 00 00 02 0c
				ff ff 00  c0 a8 01 81
				ff 00 00  ac 14 82
				00 00 00  00 83`,
			Want: dvmrp.Report{Version: dvmrp.VersionOf(0x020c), Routes: []dvmrp.Route{
				{net("192.168.1.0/24"), 1}, {net("172.20.0.0/16"), 2}, {net("0.0.0.0/0"), 3}}},
		},
		{
			Name: "default route inside the list of the /8 networks",
			Packet: `13 02 69 e1 00 0e ff 03
				00 00 00  00 03  0a 81`,
			Want: routes(dvmrp.Route{net("0.0.0.0/0"), 3}, dvmrp.Route{net("10.0.0.0/8"), 1}),
			Encoded: `13 02 60 6a 00 0e ff 03
				00 00 00  00 83
				00 00 00  0a 81`,
		},
		{
			Name: "one mask in two lists",
			Packet: `13 02 c4 8c 00 0e ff 03
				ff 00 00  ac 14 82
				ff 00 00  ac 15 83`,
			Want: routes(dvmrp.Route{net("172.20.0.0/16"), 2}, dvmrp.Route{net("172.21.0.0/16"), 3}),
			Encoded: `13 02 ab 26 00 0e ff 03
				ff 00 00  ac 14 02  ac 15 83`,
		},
		{
			Name:   "illegal metrics and duplicates are the receiver's to judge",
			Packet: "13 02 d8 7e 00 0e ff 03 | ff 00 00  ac 14 00  ac 14 40  ac 14 ff",
			Want: routes(dvmrp.Route{net("172.20.0.0/16"), 0}, dvmrp.Route{net("172.20.0.0/16"), 64},
				dvmrp.Route{net("172.20.0.0/16"), 127}),
		},
		{
			Name:   "host bits within the width",
			Packet: "13 02 dd bd 00 0e ff 03 | f0 00 00  ac 1f 81",
			Want:   routes(dvmrp.Route{net("172.31.0.0/12"), 1}),
		},
	})
	prototest.TestDamaged[dvmrp.Report](t, []prototest.Damaged{
		{Name: "half a header", Packet: "13 02 00 00 00 0e", Cause: igmp.ErrTruncated, Offset: 6},
		{Name: "a probe", Packet: "13 01 00 00 00 0e ff 03", Cause: igmp.ErrType, Offset: 1},
		{Name: "half a mask", Packet: "13 02 00 00 00 0e ff 03 ff ff", Cause: igmp.ErrTruncated, Offset: 10},
		{Name: "no route in a list", Packet: "13 02 00 00 00 0e ff 03 ff ff 00", Cause: igmp.ErrTruncated, Offset: 11},
		{Name: "half an origin", Packet: "13 02 00 00 00 0e ff 03 ff ff 00 c0 a8", Cause: igmp.ErrTruncated, Offset: 13},
		{Name: "no metric", Packet: "13 02 00 00 00 0e ff 03 ff ff 00 c0 a8 01", Cause: igmp.ErrTruncated, Offset: 14},
		{Name: "list without end", Packet: "13 02 00 00 00 0e ff 03 ff ff 00 c0 a8 01 01 c0 a8 0e 01", Cause: igmp.ErrTruncated, Offset: 19},
		{Name: "byte behind the last list", Packet: "13 02 00 00 00 0e ff 03 ff ff 00 c0 a8 01 81 00", Cause: igmp.ErrTruncated, Offset: 16},
		{Name: "hole in a mask", Packet: "13 02 00 00 00 0e ff 03 00 00 00 00 83 ff 00 ff 0a 00 00 01 81", Cause: igmp.ErrValue, Offset: 13},
		{Name: "hole in an octet", Packet: "13 02 00 00 00 0e ff 03 f7 00 00 0a 00 81", Cause: igmp.ErrValue, Offset: 8},
		{Name: "first octet of three alone 0", Packet: "13 02 00 00 00 0e ff 03 00 ff 00 0a 00 00 81", Cause: igmp.ErrValue, Offset: 8},
	})
	prototest.TestUnsayable(t, []prototest.Unsayable[dvmrp.Report]{
		{Name: "no prefix", Message: routes(dvmrp.Route{netip.Prefix{}, 1}), Error: "expected an IPv4 network"},
		{Name: "IPv6", Message: routes(dvmrp.Route{net("2001:db8::/32"), 1}), Error: "expected an IPv4 network"},
		{Name: "short mask", Message: routes(dvmrp.Route{net("10.0.0.0/8"), 1}, dvmrp.Route{net("64.0.0.0/2"), 1}), Error: "64.0.0.0/2: a mask shorter"},
		{Name: "the other default", Message: routes(dvmrp.Route{net("0.0.0.0/8"), 1}), Error: "default route"},
		{Name: "host bits", Message: routes(dvmrp.Route{net("10.1.0.0/8"), 1}), Error: "host bits"},
		{Name: "host bits of the default route", Message: routes(dvmrp.Route{net("10.0.0.0/0"), 1}), Error: "host bits"},
		{Name: "metric", Message: routes(dvmrp.Route{net("10.0.0.0/8"), 128}), Error: "metric 128"},
	})
}

func TestRouteMetric(t *testing.T) {
	for metric := range 128 {
		r := dvmrp.Route{Metric: uint8(metric)}
		if want := metric >= 1 && metric <= 63; r.Legal() != want {
			t.Errorf("metric %d: Legal is %v", metric, r.Legal())
		}
		if want := metric >= 33 && metric <= 63; r.Poisoned() != want {
			t.Errorf("metric %d: Poisoned is %v", metric, r.Poisoned())
		}
	}
	for metric, want := range map[uint8]uint8{1: 1, 31: 31, 32: 32, 33: 1, 63: 31} {
		if got := (dvmrp.Route{Metric: metric}).Cost(); got != want {
			t.Errorf("metric %d: cost %d, want %d", metric, got, want)
		}
	}
}

func TestSortRoutes(t *testing.T) {
	routes := []dvmrp.Route{{net("192.168.2.64/26"), 2}, {net("192.168.14.0/24"), 33}, {net("10.0.0.0/8"), 1},
		{net("192.168.1.0/24"), 1}, {net("0.0.0.0/0"), 3}}
	dvmrp.SortRoutes(routes)
	want := []dvmrp.Route{{net("0.0.0.0/0"), 3}, {net("10.0.0.0/8"), 1}, {net("192.168.1.0/24"), 1},
		{net("192.168.14.0/24"), 33}, {net("192.168.2.64/26"), 2}}
	if !slices.Equal(routes, want) {
		t.Errorf("sorted %v, want %v", routes, want)
	}
}

// networks returns n networks of so many bits, one behind the other.
func networks(n, bits int) []dvmrp.Route {
	var routes []dvmrp.Route
	for i := range n {
		a := binary.BigEndian.AppendUint32(nil, 10<<24+uint32(i)<<(32-bits))
		routes = append(routes, dvmrp.Route{netip.PrefixFrom(netip.AddrFrom4([4]byte(a)), bits), 1})
	}
	return routes
}

func TestSplitRoutes(t *testing.T) {
	for _, c := range []struct {
		name   string
		routes []dvmrp.Route
		parts  []int // the number of routes in each
	}{
		{"none", nil, nil},
		{"one", networks(1, 24), []int{1}},
		// 3 bytes of mask and 4 a route: 135 of them make 543 bytes, 136 would make 547.
		{"135 of /24", networks(135, 24), []int{135}},
		{"136 of /24", networks(136, 24), []int{135, 1}},
		// 3 and 5 a route: 108 make 543.
		{"216 of /32", networks(216, 32), []int{108, 108}},
		{"217 of /32", networks(217, 32), []int{108, 108, 1}},
		// 100 of /24 make 403; a list of /32 has room for 3 + 27 * 5.
		{"two masks", append(networks(100, 24), networks(30, 32)...), []int{127, 3}},
		// 134 of /24 make 539: no room for a list of /32 (8), but for one more /24.
		{"list at the end", append(networks(134, 24), networks(1, 32)...), []int{134, 1}},
	} {
		var parts []int
		var all []dvmrp.Route
		for part := range dvmrp.SplitRoutes(c.routes) {
			r := dvmrp.Report{Version: dvmrp.Mrouted, Routes: part}
			if data := r.Len() - dvmrp.HeaderLen; data > dvmrp.MaxReport {
				t.Errorf("%s: a report with %d bytes of data", c.name, data)
			}
			parts, all = append(parts, len(part)), append(all, part...)
		}
		if !slices.Equal(parts, c.parts) {
			t.Errorf("%s: reports of %v routes, want %v", c.name, parts, c.parts)
		}
		if !slices.Equal(all, c.routes) {
			t.Errorf("%s: routes were lost or changed", c.name)
		}
	}
	for range dvmrp.SplitRoutes(networks(300, 24)) {
		break // must not go on
	}
}

func TestReportAllocs(t *testing.T) {
	r := dvmrp.Report{Version: dvmrp.Mrouted, Routes: append(networks(60, 24), networks(30, 28)...)}
	packet, err := r.AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	prototest.TestNoAllocs[dvmrp.Report](t, packet)
}

func FuzzReport(f *testing.F) {
	prototest.Fuzz[dvmrp.Report](f, recordings, prototest.Unhex(f,
		"13 02 11 d0 00 0e ff 03 00 00 00 00 83 00 00 00 0a 81 f0 00 00 ac 10 84 ff 00 00 ac 14 82 "+
			"ff ff 00 c0 a8 01 01 c0 a8 0e a1 ff ff c0 c0 a8 02 40 82"))
}
