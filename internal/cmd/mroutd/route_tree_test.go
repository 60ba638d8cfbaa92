package mroutd

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"

	"golang.org/x/net/ipv4"

	"mbone/internal/lab"
)

// On a LAN with two forwarders one of them forwards; when it ends without a word,
// the other one does.
func TestRouteForwarders(t *testing.T) {
	t.Parallel()
	n := startRouting(t, "forwarders")
	sender := ip("10.1.0.10")
	data := stream{source: sender, group: toEverybody.Addr()}
	spec := lab.Flow{Group: toEverybody, Interface: "eth0", Source: sender, TTL: 16}
	// Both have the same metric: a has the lower address.
	n.path("leaf", ip("10.3.0.3"), sender, ip("10.3.0.10"), "10.2.0.3", "10.1.0.1")
	n.join("receiver", toEverybody, netip.Addr{})
	stop := n.send("sender", spec)
	n.tree(data, "west", "east")
	stop()
	spec.Count, spec.Interval = 50, every
	n.exactly("sender", spec, "west", "east") // and nothing twice
	n.join("leaf", toEverybody, netip.Addr{})
	stop = n.send("sender", spec)
	n.tree(data, "west", "east", "south")
	n.known("east", "10.2.0.1")
	n.routers["a"].Kill()
	n.path("leaf", ip("10.3.0.3"), sender, ip("10.3.0.10"), "10.2.0.3", "10.1.0.2")
	n.tree(data, "west", "east", "south")
	stop()
	n.exactly("sender", spec, "west", "east", "south")
	n.start("a")
	n.path("leaf", ip("10.3.0.3"), sender, ip("10.3.0.10"), "10.2.0.3", "10.1.0.1")
	stop = n.send("sender", spec)
	n.tree(data, "west", "east", "south")
	stop()
	n.exactly("sender", spec, "west", "east", "south")
}

// Hosts of all versions of IGMP get what they want, sources and all, and scopes
// hold.
func TestRouteHosts(t *testing.T) {
	t.Parallel()
	n := startRouting(t, "hosts")
	one, two, three := ip("10.0.0.10"), ip("10.0.0.20"), ip("10.0.9.30")
	n.path("v3", ip("10.3.0.1"), one, ip("10.3.0.10"), "10.0.1.2", "10.0.0.1")
	to := func(group string) netip.AddrPort { return netip.AddrPortFrom(ip(group), 5000) }
	spec := func(source netip.Addr, group string) lab.Flow {
		return lab.Flow{Group: to(group), Interface: "eth0", Source: source, TTL: 16, Count: 50, Interval: every}
	}
	all := netip.Addr{}

	// Each version joins; those that can leave do.
	data := stream{source: one, group: ip("239.1.1.1")}
	stop := n.send("one", spec(one, "239.1.1.1"))
	n.tree(data, "net0")
	n.join("v1", to("239.1.1.1"), all)
	n.tree(data, "net0", "net1", "net-v1")
	v2 := n.join("v2", to("239.1.1.1"), all)
	n.tree(data, "net0", "net1", "net-v1", "net-v2")
	v3 := n.join("v3", to("239.1.1.1"), all)
	n.tree(data, "net0", "net1", "net-v1", "net-v2", "net-v3")
	check(t, errors.Join(v2.Close(), v3.Close()))
	n.tree(data, "net0", "net1", "net-v1")
	stop()
	n.exactly("one", spec(one, "239.1.1.1"), "net0", "net1", "net-v1")

	// One source is wanted. The other one of its network comes as far as the last
	// router, as prunes are for networks; that of another network does not.
	n.join("v3", to("239.1.1.2"), one)
	// All sources but one.
	n.exclude("v3", to("239.1.1.3"), two)
	for _, c := range []struct {
		from   string
		source netip.Addr
		group  string
		want   []string
	}{
		{"one", one, "239.1.1.2", []string{"net0", "net1", "net-v3"}},
		{"two", two, "239.1.1.2", []string{"net0", "net1"}},
		{"three", three, "239.1.1.2", []string{"net9"}},
		{"one", one, "239.1.1.3", []string{"net0", "net1", "net-v3"}},
		{"two", two, "239.1.1.3", []string{"net0", "net1"}},
		{"three", three, "239.1.1.3", []string{"net1", "net9", "net-v3"}},
	} {
		stop := n.send(c.from, spec(c.source, c.group))
		// Until r1 has heard of the flow and of the prune, packets may still come to net1.
		entry := fmt.Sprintf("msg=entry source=%v group=%s ", c.source, c.group)
		lab.Until(t, patience, func() error {
			if !strings.Contains(n.routers["r1"].Log(), entry) {
				return fmt.Errorf("r1 has no entry for (%v, %s)", c.source, c.group)
			}
			return nil
		})
		n.tree(stream{source: c.source, group: ip(c.group)}, c.want...)
		stop()
		n.exactly(c.from, spec(c.source, c.group), c.want...)
	}

	// What the boundary at v3 keeps away reaches v2; what the one at r1 does, nobody.
	for _, group := range []string{"239.192.0.1", "239.196.0.1", "239.255.0.1"} {
		n.join("v2", to(group), all)
		n.join("v3", to(group), all)
	}
	for group, want := range map[string][]string{
		"239.192.0.1": {"net0", "net1", "net-v2"},           // 239.192.0.0/14: not to v3
		"239.196.0.1": {"net0", "net1", "net-v2", "net-v3"}, // just beyond
		"239.255.0.1": {"net0"},                             // 239.255.0.0/16: not from r1
	} {
		stop := n.send("one", spec(one, group))
		n.tree(stream{source: one, group: ip(group)}, want...)
		stop()
		n.exactly("one", spec(one, group), want...)
	}
}

// exclude makes a host a member of a group for all sources but one.
func (n *routing) exclude(host string, group netip.AddrPort, source netip.Addr) {
	n.t.Helper()
	h := n.Host(host)
	conn := lab.Within(n.t, h, func() (*net.UDPConn, error) {
		c, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(group))
		if err != nil {
			return nil, err
		}
		p, at, g := ipv4.NewPacketConn(c), &net.Interface{Index: h.Wire("eth0").Index}, &net.UDPAddr{IP: group.Addr().AsSlice()}
		return c, errors.Join(p.JoinGroup(at, g), p.ExcludeSourceSpecificGroup(at, g, &net.UDPAddr{IP: source.AsSlice()}))
	})
	n.t.Cleanup(func() { conn.Close() })
}
