package dvmrp_test

import (
	"net/netip"
	"testing"
	"time"

	"mbone/internal/prototest"
	"mbone/proto/dvmrp"
	"mbone/proto/igmp"
)

func TestPrune(t *testing.T) {
	prototest.TestGood(t, []prototest.Good[dvmrp.Prune]{
		{
			Name: "mrouted",
			Packet: `13 07 21 19 00 0e ff 03
				c0 a8 0e 00   # source network
				e0 02 02 02   # group
				00 00 1c 20   # 7200 s`,
			Want: dvmrp.Prune{Version: dvmrp.Mrouted, Source: addr("192.168.14.0"), Group: addr("224.2.2.2"), Lifetime: 2 * time.Hour},
		},
		{
			Name:   "with a netmask, the longest lifetime",
			Packet: "13 07 2e dc 00 2e ff 03 | c0 a8 0e 80 | ef ff 00 01 | ff ff ff ff | ff ff ff c0",
			Want: dvmrp.Prune{Version: withNetmask, Source: addr("192.168.14.128"), Group: addr("239.255.0.1"),
				Lifetime: 4294967295 * time.Second, Mask: addr("255.255.255.192")},
		},
		{
			Name:   "with the netmask of the default route",
			Packet: "13 07 f3 c4 00 2e ff 03 | 0a 00 00 01 | ef ff 00 01 | 00 00 00 00 | 00 00 00 00",
			Want:   dvmrp.Prune{Version: withNetmask, Source: addr("10.0.0.1"), Group: addr("239.255.0.1"), Mask: addr("0.0.0.0")},
		},
		{
			Name:   "the capability alone makes no netmask",
			Packet: "13 07 3d 18 00 2e ff 03 | c0 a8 0e 00 | e0 02 02 02 | 00 00 00 01",
			Want:   dvmrp.Prune{Version: withNetmask, Source: addr("192.168.14.0"), Group: addr("224.2.2.2"), Lifetime: time.Second},
		},
		{
			Name:    "no capability: bytes behind it, whatever they are",
			Packet:  "13 07 22 17 00 0e ff 03 | c0 a8 0e 00 | e0 02 02 02 | 00 00 1c 20 | ff 00 ff 00 | 01",
			Want:    dvmrp.Prune{Version: dvmrp.Mrouted, Source: addr("192.168.14.0"), Group: addr("224.2.2.2"), Lifetime: 2 * time.Hour},
			Encoded: "13 07 21 19 00 0e ff 03 | c0 a8 0e 00 | e0 02 02 02 | 00 00 1c 20",
		},
		{
			Name:    "three bytes are no netmask",
			Packet:  "13 07 3e 17 00 2e ff 03 | c0 a8 0e 00 | e0 02 02 02 | 00 00 00 01 | ff ff ff",
			Want:    dvmrp.Prune{Version: withNetmask, Source: addr("192.168.14.0"), Group: addr("224.2.2.2"), Lifetime: time.Second},
			Encoded: "13 07 3d 18 00 2e ff 03 | c0 a8 0e 00 | e0 02 02 02 | 00 00 00 01",
		},
	})
	prototest.TestDamaged[dvmrp.Prune](t, []prototest.Damaged{
		{Name: "half a header", Packet: "13 07", Cause: igmp.ErrTruncated, Offset: 2},
		{Name: "a graft", Packet: "13 08 00 00 00 0e ff 03 c0 a8 0e 00 e0 02 02 02 00 00 1c 20", Cause: igmp.ErrType, Offset: 1},
		{Name: "no lifetime", Packet: "13 07 00 00 00 0e ff 03 c0 a8 0e 00 e0 02 02 02", Cause: igmp.ErrTruncated, Offset: 16},
		{Name: "half a lifetime", Packet: "13 07 00 00 00 0e ff 03 c0 a8 0e 00 e0 02 02 02 00 00 1c", Cause: igmp.ErrTruncated, Offset: 19},
		{Name: "hole in the netmask", Packet: "13 07 00 00 00 2e ff 03 c0 a8 0e 00 e0 02 02 02 00 00 1c 20 ff 00 ff 00", Cause: igmp.ErrValue, Offset: 20},
	})
	prune := func(change func(*dvmrp.Prune)) dvmrp.Prune {
		p := dvmrp.Prune{Version: withNetmask, Source: addr("10.0.0.0"), Group: addr("224.2.2.2"), Mask: addr("255.0.0.0")}
		change(&p)
		return p
	}
	prototest.TestUnsayable(t, []prototest.Unsayable[dvmrp.Prune]{
		{Name: "no source", Message: prune(func(p *dvmrp.Prune) { p.Source = netip.Addr{} }), Error: "source"},
		{Name: "IPv6 group", Message: prune(func(p *dvmrp.Prune) { p.Group = addr("ff02::1") }), Error: "group"},
		{Name: "negative lifetime", Message: prune(func(p *dvmrp.Prune) { p.Lifetime = -1 }), Error: "lifetime"},
		{Name: "long lifetime", Message: prune(func(p *dvmrp.Prune) { p.Lifetime = 4294967296 * time.Second }), Error: "lifetime"},
		{Name: "netmask without capability", Message: prune(func(p *dvmrp.Prune) { p.Version = dvmrp.Mrouted }), Error: "netmask capability"},
		{Name: "netmask with a hole", Message: prune(func(p *dvmrp.Prune) { p.Mask = addr("255.0.255.0") }), Error: "hole"},
		{Name: "IPv6 netmask", Message: prune(func(p *dvmrp.Prune) { p.Mask = addr("ffff::") }), Error: "netmask"},
	})
	// Parts of a second are left out.
	p := prune(func(p *dvmrp.Prune) { p.Lifetime = 2*time.Second - 1 })
	if b, err := p.AppendBinary(nil); err != nil || b[19] != 1 {
		t.Errorf("1.999999999 s became % x, %v", b, err)
	}
}

func TestOrigin(t *testing.T) {
	for _, c := range []struct {
		source, mask netip.Addr
		want         netip.Prefix
	}{
		{addr("192.168.14.129"), addr("255.255.255.192"), net("192.168.14.128/26")},
		{addr("192.168.14.129"), addr("0.0.0.0"), net("0.0.0.0/0")},
		{addr("192.168.14.129"), addr("255.255.255.255"), net("192.168.14.129/32")},
		{addr("192.168.14.129"), netip.Addr{}, netip.Prefix{}},
		{addr("192.168.14.129"), addr("255.0.255.0"), netip.Prefix{}},
	} {
		p := dvmrp.Prune{Source: c.source, Mask: c.mask}
		g := dvmrp.Graft{Source: c.source, Mask: c.mask}
		if p.Origin() != c.want || g.Origin() != c.want {
			t.Errorf("%v by %v: %v and %v, want %v", c.source, c.mask, p.Origin(), g.Origin(), c.want)
		}
	}
}

func FuzzPrune(f *testing.F) {
	prototest.Fuzz[dvmrp.Prune](f, recordings, prototest.Unhex(f,
		"13 07 00 00 00 2e ff 03 | c0 a8 0e 80 | ef ff 00 01 | ff ff ff ff | ff ff ff c0"))
}
