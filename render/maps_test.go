package render

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"mbone/internal/lab"
	"mbone/proto/dvmrp"
	"mbone/report"
)

// Some tests run Graphviz and other programs that must read our output.
func TestMain(m *testing.M) { lab.Main(m) }

// The maps that all formats are tested with. They are written by hand, as
// package topo would make them of the answers of such routers.
var testMaps = []struct {
	name string
	make func() *report.Map
}{
	{"chain", chainMap},
	{"lan", lanMap},
	{"tunnels", tunnelMap},
	{"old", oldMap},
	{"hostile", hostileMap},
	{"single", singleMap},
	{"unanswered", unansweredMap},
	{"empty", emptyMap},
}

func newMap(start string, routers []report.MapRouter, links ...report.MapLink) *report.Map {
	m := &report.Map{
		Document: report.Document{
			Schema: report.MapSchema, Version: report.MapVersion, Complete: true, Errors: []string{},
			Time: time.Date(2026, time.March, 2, 10, 11, 12, 0, time.UTC),
		},
		Start: []netip.Addr{addr(start)}, Flood: true, Within: []netip.Prefix{},
		Routers: routers, Links: links, Questions: new(len(routers)), Took: ms(42),
	}
	slices.SortFunc(m.Routers, func(a, b report.MapRouter) int { return a.Address.Compare(b.Address) })
	return m
}

// mapRouter is one that answered; its addresses other than the first are aliases.
func mapRouter(address string, depth int, interfaces ...dvmrp.Interface) report.MapRouter {
	r := report.MapRouter{
		Address: addr(address), Aliases: []report.Neighbor{}, State: report.RouterAnswered, Depth: depth,
		Version:    report.VersionOf(dvmrp.Version{Major: 3, Minor: 255, Capabilities: dvmrp.CapPrune | dvmrp.CapGenID | dvmrp.CapMtrace}),
		Interfaces: report.InterfacesOf(interfaces, false), RTT: ms(1.5), Tries: new(1), Disputed: []netip.Addr{},
	}
	for _, i := range r.Interfaces {
		alias := report.Neighbor{Address: i.Address}
		if i.Address != r.Address && !slices.Contains(r.Aliases, alias) {
			r.Aliases = append(r.Aliases, alias)
		}
	}
	slices.SortFunc(r.Aliases, func(a, b report.Neighbor) int { return a.Address.Compare(b.Address) })
	return r
}

// unknownRouter is one that did not answer, or was not asked.
func unknownRouter(address string, depth int, state report.RouterState, reason string) report.MapRouter {
	r := report.MapRouter{
		Address: addr(address), Aliases: []report.Neighbor{}, State: state, Depth: depth, Reason: reason,
		Interfaces: []report.Interface{}, Disputed: []netip.Addr{},
	}
	if state == report.RouterSilent {
		r.Tries = new(5)
	}
	return r
}

func mapLink(kind report.LinkKind, ends ...report.LinkEnd) report.MapLink {
	return report.MapLink{Kind: kind, Ends: ends, OneWay: []report.OneWay{}}
}

// oneWay adds that the first of each pair of routers names the second, but not
// the reverse.
func oneWay(l report.MapLink, pairs ...[2]string) report.MapLink {
	for _, p := range pairs {
		l.OneWay = append(l.OneWay, report.OneWay{From: addr(p[0]), To: addr(p[1])})
	}
	return l
}

func linkEnd(router, iface string, metric, threshold int, flags ...string) report.LinkEnd {
	return report.LinkEnd{
		Router: addr(router), Interface: addr(iface), Metric: &metric, Threshold: &threshold, Flags: append([]string{}, flags...),
	}
}

// unknownEnd is that of a router that did not say anything of it.
func unknownEnd(router string) report.LinkEnd {
	return report.LinkEnd{Router: addr(router), Interface: addr(router)}
}

// chainMap is three routers in a row, with networks of hosts at both ends:
//
//	10.0.0.0/24 - one - 10.0.1.0/24 - two - 10.0.2.0/24 - three - 10.0.10.0/24
func chainMap() *report.Map {
	one := mapRouter("10.0.0.1", 0,
		iface("10.0.0.1", 1, 1, dvmrp.FlagQuerier|dvmrp.FlagLeaf, "0.0.0.0"),
		iface("10.0.1.1", 1, 1, 0, "10.0.1.2"))
	two := mapRouter("10.0.1.2", 1,
		iface("10.0.1.2", 1, 1, dvmrp.FlagQuerier, "10.0.1.1"),
		iface("10.0.2.2", 3, 16, 0, "10.0.2.3"))
	three := mapRouter("10.0.2.3", 2,
		iface("10.0.2.3", 3, 16, dvmrp.FlagPIM|dvmrp.FlagQuerier, "10.0.2.2"),
		iface("10.0.10.3", 1, 1, dvmrp.FlagDown|dvmrp.FlagDisabled, "0.0.0.0"))
	three.Version = report.VersionOf(dvmrp.Version{Major: 12, Minor: 2})
	one.Name, two.Name = new("one.example"), new("two.example")
	one.Aliases[0].Name = new("one-b.example")
	one.Interfaces[1].Neighbors[0].Name = two.Name
	two.Interfaces[0].Neighbors[0].Name = one.Aliases[0].Name
	return newMap("10.0.0.1", []report.MapRouter{one, two, three},
		mapLink(report.LinkPointToPoint, linkEnd("10.0.0.1", "10.0.1.1", 1, 1), linkEnd("10.0.1.2", "10.0.1.2", 1, 1, "querier")),
		mapLink(report.LinkPointToPoint, linkEnd("10.0.1.2", "10.0.2.2", 3, 16), linkEnd("10.0.2.3", "10.0.2.3", 3, 16, "pim", "querier")))
}

// lanMap is four routers on one network: one is silent, and one does not hear
// all the others. A fifth, behind one of them, was not asked.
func lanMap() *report.Map {
	one := mapRouter("10.1.0.1", 1, iface("10.1.0.1", 1, 1, dvmrp.FlagQuerier, "10.1.0.2", "10.1.0.3", "10.1.0.9"))
	two := mapRouter("10.1.0.2", 1, iface("10.1.0.2", 2, 1, 0, "10.1.0.1", "10.1.0.9"))
	three := mapRouter("10.1.0.3", 1,
		iface("10.1.0.3", 1, 1, 0, "10.1.0.1", "10.1.0.2", "10.1.0.9"),
		iface("10.2.0.3", 1, 1, 0, "10.2.0.4"))
	m := newMap("224.0.0.1", []report.MapRouter{one, two, three,
		unknownRouter("10.1.0.9", 2, report.RouterSilent, "no answer to 5 questions"),
		unknownRouter("10.2.0.4", 2, report.RouterNotAsked, "outside of --within 10.1.0.0/16")},
		oneWay(mapLink(report.LinkLAN, linkEnd("10.1.0.1", "10.1.0.1", 1, 1, "querier"), linkEnd("10.1.0.2", "10.1.0.2", 2, 1),
			linkEnd("10.1.0.3", "10.1.0.3", 1, 1), unknownEnd("10.1.0.9")), [2]string{"10.1.0.3", "10.1.0.2"}),
		mapLink(report.LinkPointToPoint, linkEnd("10.1.0.3", "10.2.0.3", 1, 1), unknownEnd("10.2.0.4")))
	m.Within = []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")}
	return m
}

// tunnelMap is three routers with tunnels: both ways with different metrics, one
// way, and one that is down to a router that is silent. They share local
// addresses with the networks below them. A neighbour claims an address of another
// router.
func tunnelMap() *report.Map {
	one := mapRouter("10.3.0.1", 0,
		iface("10.3.0.1", 1, 1, dvmrp.FlagQuerier|dvmrp.FlagLeaf, "0.0.0.0"),
		iface("10.3.0.1", 2, 32, dvmrp.FlagTunnel, "10.4.0.1"),
		iface("10.3.0.1", 1, 64, dvmrp.FlagTunnel|dvmrp.FlagSrcRt, "192.168.200.1"),
		iface("10.3.0.1", 1, 64, dvmrp.FlagTunnel|dvmrp.FlagDown, "172.16.0.1"),
		iface("10.3.9.1", 1, 1, 0, "10.3.9.2"))
	two := mapRouter("10.4.0.1", 1,
		iface("10.4.0.1", 1, 1, dvmrp.FlagQuerier|dvmrp.FlagLeaf, "0.0.0.0"),
		iface("10.4.0.1", 3, 64, dvmrp.FlagTunnel, "10.3.0.1"))
	two.Version = report.VersionOf(dvmrp.Version{Major: 3, Minor: 8})
	far := mapRouter("192.168.200.1", 1, iface("192.168.200.1", 1, 1, 0, "0.0.0.0"))
	next := mapRouter("10.3.9.2", 1, iface("10.3.9.2", 1, 1, dvmrp.FlagQuerier, "10.3.9.1"), iface("10.4.0.1", 1, 1, 0, "0.0.0.0"))
	next.Aliases, next.Disputed = []report.Neighbor{}, []netip.Addr{addr("10.4.0.1")}
	next.BadChecksum, next.Uncertain, next.Contradicted = true, true, true
	return newMap("10.3.0.1", []report.MapRouter{one, two, far, next,
		unknownRouter("172.16.0.1", 1, report.RouterSilent, "no answer to 5 questions")},
		mapLink(report.LinkTunnel, linkEnd("10.3.0.1", "10.3.0.1", 2, 32, "tunnel"), linkEnd("10.4.0.1", "10.4.0.1", 3, 64, "tunnel")),
		mapLink(report.LinkTunnel, linkEnd("10.3.0.1", "10.3.0.1", 1, 64, "tunnel", "down"), unknownEnd("172.16.0.1")),
		oneWay(mapLink(report.LinkTunnel, linkEnd("10.3.0.1", "10.3.0.1", 1, 64, "tunnel", "srcrt"), unknownEnd("192.168.200.1")),
			[2]string{"10.3.0.1", "192.168.200.1"}),
		mapLink(report.LinkPointToPoint, linkEnd("10.3.0.1", "10.3.9.1", 1, 1), linkEnd("10.3.9.2", "10.3.9.2", 1, 1, "querier")))
}

// oldMap is a router that knows the old question only, next to a new one, and two
// links between the same two routers.
func oldMap() *report.Map {
	one := mapRouter("10.5.0.1", 0, iface("10.5.0.1", 1, 1, 0, "10.5.0.2"), iface("10.5.1.1", 1, 1, 0, "10.5.1.2"))
	two := mapRouter("10.5.0.2", 1)
	two.Version, two.OldForm = nil, true
	two.Aliases = []report.Neighbor{{Address: addr("10.5.1.2")}}
	two.Interfaces = report.InterfacesOf([]dvmrp.Interface{
		iface("10.5.0.2", 1, 1, 0, "10.5.0.1"), iface("10.5.1.2", 2, 8, 0, "10.5.1.1")}, true)
	return newMap("10.5.0.1", []report.MapRouter{one, two},
		mapLink(report.LinkPointToPoint, linkEnd("10.5.0.1", "10.5.0.1", 1, 1), oldEnd("10.5.0.2", "10.5.0.2", 1, 1)),
		mapLink(report.LinkPointToPoint, linkEnd("10.5.0.1", "10.5.1.1", 1, 1), oldEnd("10.5.0.2", "10.5.1.2", 2, 8)))
}

// oldEnd is one of a router that knows no flags.
func oldEnd(router, iface string, metric, threshold int) report.LinkEnd {
	e := linkEnd(router, iface, metric, threshold)
	e.Flags = nil
	return e
}

// hostileNames are what a resolver may say of an address.
var hostileNames = []string{
	`quote"s' \ \n \l \\ "; evil [label="x"]; "`,
	"two\nlines\r\n\tand \x1b[2J \x00 \x07",
	`</text><script>alert(1)</script><!-- --> ]]> &amp; &lt; <![CDATA[`,
	"\xff\xfe not UTF-8 \xed\xa0\x80 \ufffe \uffff",
	"\u202eturned\u2066 \u2028 ${x} `y` {{z}} %s %d",
}

// hostileMap has names and reasons that would break a format that does not
// quote them.
func hostileMap() *report.Map {
	one := mapRouter("10.6.0.1", 0, iface("10.6.0.1", 1, 1, 0, "10.6.0.2"), iface("10.6.1.1", 1, 1, 0, "10.6.1.2"))
	two := mapRouter("10.6.0.2", 1, iface("10.6.0.2", 1, 1, 0, "10.6.0.1"))
	three := unknownRouter("10.6.1.2", 1, report.RouterSilent, hostileNames[2]+hostileNames[1])
	one.Name, one.Aliases[0].Name, two.Name, three.Name = &hostileNames[0], &hostileNames[1], &hostileNames[2], &hostileNames[3]
	one.Version.Text = hostileNames[4]
	two.Version.Capabilities = []string{hostileNames[0], hostileNames[2]}
	two.Interfaces[0].Flags = []string{hostileNames[2]}
	one.Interfaces[0].Neighbors[0].Name, one.Interfaces[1].Neighbors[0].Name = two.Name, three.Name
	two.Interfaces[0].Neighbors[0].Name = one.Name
	m := newMap("10.6.0.1", []report.MapRouter{one, two, three},
		mapLink(report.LinkPointToPoint, linkEnd("10.6.0.1", "10.6.0.1", 1, 1), linkEnd("10.6.0.2", "10.6.0.2", 1, 1, hostileNames[2])),
		mapLink(report.LinkPointToPoint, linkEnd("10.6.0.1", "10.6.1.1", 1, 1), unknownEnd("10.6.1.2")))
	m.Complete, m.Reason, m.Errors = false, hostileNames[0], []string{hostileNames[2]}
	return m
}

// singleMap is one router that was asked alone: the classic sample.
func singleMap() *report.Map {
	one := mapRouter("192.168.14.254", 0,
		iface("192.168.7.254", 1, 0, dvmrp.FlagPIM|dvmrp.FlagQuerier, "0.0.0.0"),
		iface("192.168.14.254", 1, 0, dvmrp.FlagPIM|dvmrp.FlagQuerier, "0.0.0.0"),
		iface("192.168.14.254", 1, 0, dvmrp.FlagTunnel, "192.168.1.254"))
	one.Version = report.VersionOf(dvmrp.Version{Major: 12, Minor: 2})
	one.Aliases[0].Name = new("scar.nerdzone.org")
	m := newMap("192.168.14.254", []report.MapRouter{one,
		unknownRouter("192.168.1.254", 1, report.RouterNotAsked, "only the first router was to be asked")},
		mapLink(report.LinkTunnel, linkEnd("192.168.14.254", "192.168.14.254", 1, 0, "tunnel"), unknownEnd("192.168.1.254")))
	m.Flood = false
	return m
}

// unansweredMap is what a crawl knows whose first router is silent.
func unansweredMap() *report.Map {
	m := newMap("10.7.0.1", []report.MapRouter{unknownRouter("10.7.0.1", 0, report.RouterSilent, "no answer to 5 questions")})
	m.Complete, m.Reason, m.Links = false, "10.7.0.1 did not answer", []report.MapLink{}
	return m
}

// emptyMap is what a crawl of a link without routers knows.
func emptyMap() *report.Map {
	m := newMap("224.0.0.1", []report.MapRouter{})
	m.Complete, m.Reason, m.Links = false, "nobody answered", []report.MapLink{}
	return m
}
