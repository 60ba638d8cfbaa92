package mroutd

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mbone/internal/lab"
	"mbone/proto/dvmrp"
	"mbone/proto/igmp"
)

// toEverybody is a group of no scope.
var toEverybody = netip.MustParseAddrPort("224.2.2.2:34000")

// Lab 14-1: four routers in a ring, with a tunnel across it that has a threshold and
// a rate limit.
func TestRouteLab(t *testing.T) {
	t.Parallel()
	lab.Require(t, lab.Tun)
	n := startRouting(t, "lab-14-1")
	pc211 := ip("211.11.117.10")
	data := stream{source: pc211, group: toEverybody.Addr()}
	spec := lab.Flow{Group: toEverybody, Interface: "eth0", Source: pc211, TTL: 128}

	// Metrics: callisto and castor are one hop from ganymed, scar is so by the
	// tunnel. Castor has two equal links to ganymed: the lower address wins.
	n.path("pc7", ip("192.168.7.7"), pc211, ip("192.168.7.10"), "192.168.2.7", "211.11.117.206")
	n.path("pc14", ip("192.168.14.1"), pc211, ip("192.168.14.10"), "192.168.1.1", "211.11.117.206")
	n.path("pc254", ip("192.168.254.1"), pc211, ip("192.168.254.10"), "192.168.14.254", "211.11.117.206")

	n.says("pc211", "211.11.117.206", ganymedSays)

	stop := n.send("pc211", spec)
	// Nobody wants it: where it was flooded it is pruned.
	n.tree(data, "net211")
	// Each who joins is grafted to the tree.
	n.join("pc254", toEverybody, netip.Addr{})
	n.tree(data, "net211", "net1 (tunnel)", "net14 (tunnel)", "net254")
	at7 := n.join("pc7", toEverybody, netip.Addr{})
	n.tree(data, "net211", "net1 (tunnel)", "net14 (tunnel)", "net254", "net2", "net7")
	n.join("pc14", toEverybody, netip.Addr{})
	n.tree(data, "net211", "net1 (tunnel)", "net14 (tunnel)", "net254", "net2", "net7", "net1", "net14")
	stop()
	spec.Count, spec.Interval = 50, every
	n.exactly("pc211", spec, "net211", "net1 (tunnel)", "net14 (tunnel)", "net254", "net2", "net7", "net1", "net14")

	// What has not more than the threshold does not pass the tunnel.
	spec.TTL = 64
	n.exactly("pc211", spec, "net211", "net2", "net7", "net1", "net14")
	spec.TTL = 65
	n.exactly("pc211", spec, "net211", "net1 (tunnel)", "net14 (tunnel)", "net254", "net2", "net7", "net1", "net14")
	spec.TTL = 128

	n.rateLimit(spec)

	// Who leaves is pruned.
	stop = n.send("pc211", spec)
	check(t, at7.Close())
	n.tree(data, "net211", "net1 (tunnel)", "net14 (tunnel)", "net254", "net1", "net14")
	stop()

	// Routers that read their configuration again keep routes, flows and prunes: no
	// packet is lost, and none goes where nobody wants it.
	spec.Count, spec.Interval = 400, 10*time.Millisecond
	n.exactlyWhile("pc211", spec, func() { n.reload("ganymed", "callisto", "scar", "castor") },
		"net211", "net1 (tunnel)", "net14 (tunnel)", "net254", "net1", "net14")
	n.send("pc211", spec)

	// A router that is killed and comes back has the members again, and is grafted.
	n.routers["castor"].Kill()
	n.start("castor")
	n.join("pc7", toEverybody, netip.Addr{})
	n.tree(data, "net211", "net1 (tunnel)", "net14 (tunnel)", "net254", "net1", "net14", "net2", "net7")
	n.routers["callisto"].Kill()
	n.start("callisto")
	n.tree(data, "net211", "net1 (tunnel)", "net14 (tunnel)", "net254", "net1", "net14", "net2", "net7")

	// Without net1 callisto and the tunnel are cut off from ganymed; all goes by
	// castor and scar. And back again.
	n.known("net1", "192.168.1.1")
	cut := n.Host("ganymed").Wire("ne3")
	check(t, cut.SetCarrier(false))
	n.tree(data, "net211", "net2", "net7", "net14", "net254")
	check(t, cut.SetCarrier(true))
	n.path("pc14", ip("192.168.14.1"), pc211, ip("192.168.14.10"), "192.168.1.1", "211.11.117.206")
	n.tree(data, "net211", "net1 (tunnel)", "net14 (tunnel)", "net254", "net1", "net14", "net2", "net7")

	// A router that is told to end says good-bye, and the way around it is taken.
	check(t, n.routers["callisto"].Process.Signal(syscall.SIGTERM))
	if err := n.routers["callisto"].Wait(); err != nil {
		t.Errorf("callisto: %v", err)
	}
	n.tree(data, "net211", "net1 (tunnel)", "net14 (tunnel)", "net254", "net14", "net2", "net7")

	// What was beyond the rate limit is told in the log.
	check(t, n.routers["ganymed"].Stop(patience))
	if log := n.routers["ganymed"].Log(); !strings.Contains(log, " tunnels.out_limit=") {
		t.Errorf("ganymed says nothing of what its tunnel has dropped:\n%s", log)
	}
}

// With `beside off` DVMRP goes through the tunnel, too.
func TestRouteThrough(t *testing.T) {
	t.Parallel()
	lab.Require(t, lab.Tun)
	n := startRouting(t, "lab-14-1", "rate_limit 500", "rate_limit 500 beside off")
	pc211, pc254 := ip("211.11.117.10"), ip("192.168.254.10")
	n.path("pc254", ip("192.168.254.1"), pc211, pc254, "192.168.14.254", "211.11.117.206")
	n.join("pc254", toEverybody, netip.Addr{})
	n.send("pc211", lab.Flow{Group: toEverybody, Interface: "eth0", Source: pc211, TTL: 128})
	n.tree(stream{source: pc211, group: toEverybody.Addr()}, "net211", "net1 (tunnel)", "net14 (tunnel)", "net254")
	n.look()
	for _, m := range n.link("net14").igmp {
		if m.from == ip("192.168.1.254") && m.b[0] == byte(igmp.TypeDVMRP) && dvmrp.Code(m.b[1]) == dvmrp.CodeProbe {
			t.Error("a probe of ganymed passed beside the tunnel")
			break
		}
	}
}

// A tunnel may have a device of the kernel. A wire between the two routers stands in
// for it, as not every kernel has ipip: to the router both are interfaces.
func TestRouteDevice(t *testing.T) {
	for _, beside := range []string{"on", "off"} {
		t.Run("beside "+beside, func(t *testing.T) {
			t.Parallel()
			n := startRouting(t, "device", "BESIDE", beside)
			sender := ip("10.1.0.10")
			n.path("receiver", ip("10.3.0.2"), sender, ip("10.3.0.10"), "10.2.0.2", "10.1.0.1")
			n.join("receiver", toEverybody, netip.Addr{})
			stop := n.send("sender", lab.Flow{Group: toEverybody, Interface: "eth0", Source: sender, TTL: 16})
			n.tree(stream{source: sender, group: toEverybody.Addr()}, "west", "wire", "east")
			n.look()
			probed := slices.ContainsFunc(n.link("wire").igmp, func(m message) bool {
				return m.from == ip("10.2.0.1") && m.b[0] == byte(igmp.TypeDVMRP) && dvmrp.Code(m.b[1]) == dvmrp.CodeProbe
			})
			if probed != (beside == "off") {
				t.Errorf("probes pass the device: %v", probed)
			}
			for _, name := range []string{"r1", "r2"} {
				if got, err := n.Host(name).Netlink().LinkByName(deviceName + "0"); err == nil {
					t.Errorf("%s has a device of its own: %v", name, got)
				}
				if log := n.routers[name].Log(); !strings.Contains(log, "has no effect: Linux has none on its device ipip1") {
					t.Errorf("%s says nothing of its rate limit:\n%s", name, log)
				}
			}
			stop()
		})
	}
}

// ganymedSays is what mrinfo says of ganymed, as Example 14-6 of the lab: the querier of
// a LAN has the lowest address, the other tunnel leads nowhere.
const ganymedSays = `
  192.168.1.254 -> 192.168.1.1 (192.168.1.1) [1/1]
  192.168.2.254 -> 192.168.2.7 (192.168.2.7) [1/1]
  211.11.117.206 -> 0.0.0.0 (local) [1/1/querier/leaf]
  192.168.80.254 -> 192.168.80.1 (192.168.80.1) [1/1]
  192.168.1.254 -> 192.168.14.254 (192.168.14.254) [1/64/tunnel]
  211.11.117.206 -> 62.178.158.124 (62.178.158.124) [1/64/tunnel/down/leaf]
`

// says waits until mrinfo says of a router what it is to say, but for the first line.
func (n *routing) says(host, router, want string) {
	n.t.Helper()
	lab.Until(n.t, patience, func() error {
		_, got, _ := strings.Cut(n.run(host, "mrinfo", "-n", router), "\n")
		if diff := cmp.Diff(strings.TrimLeft(want, "\n"), got); diff != "" {
			return fmt.Errorf("mrinfo %s: -want +got:\n%s", router, diff)
		}
		return nil
	})
}

// rateLimit sends four times as much as the tunnel may carry.
func (n *routing) rateLimit(f lab.Flow) {
	n.t.Helper()
	const (
		size   = 1000
		outer  = size + 8 + 20 + 20
		bucket = 10_000         // bytes that may pass at once
		limit  = 500 * 1000 / 8 // bytes each second
	)
	f.Size, f.Count, f.Interval = size, 250, 4*time.Millisecond
	s := stream{source: f.Source, group: f.Group.Addr()}
	count := func(name string) int {
		n.look()
		return n.link(name).passed[s].packets
	}
	before7, before254 := count("net7"), count("net254")
	begin := time.Now()
	_, err := n.Host("pc211").Send(n.t.Context(), f)
	check(n.t, err)
	took := time.Since(begin)
	lab.Until(n.t, patience, func() error {
		if got := count("net7") - before7; got != f.Count {
			return fmt.Errorf("%d of %d packets passed net7", got, f.Count)
		}
		return nil
	})
	// A little less than the limit at least: it is only looked at when a packet comes.
	most := int(bucket+limit*took.Seconds())/outer + 1
	lab.Until(n.t, patience, func() error {
		if got := count("net254") - before254; got < most*3/4 || got > most {
			return fmt.Errorf("%d packets passed the tunnel in %v, want %d to %d", got, took, most*3/4, most)
		}
		return nil
	})
}
