package peers

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"mbone/internal/lab"
	"mbone/proto/dvmrp"
	"mbone/proto/igmp"
)

// daemon is a DVMRP router of some make.
type daemon struct {
	name  string
	start func(t *testing.T, h *lab.Host, conf ...string) *lab.Cmd
}

var (
	mrouted46 = daemon{"mrouted 4.6", func(t *testing.T, h *lab.Host, conf ...string) *lab.Cmd {
		return Mrouted(t, h, append(conf, "no router-alert")...)
	}}
	mrouted39 = daemon{"mrouted 3.9", func(t *testing.T, h *lab.Host, conf ...string) *lab.Cmd { return Mrouted39(t, h, conf...) }}
	mroutdNow = daemon{"mroutd", startMroutd}
)

func startMroutd(t *testing.T, h *lab.Host, conf ...string) *lab.Cmd {
	t.Helper()
	const file = runDir + "/mroutd.conf"
	must(t, h.WriteFile(file, []byte(strings.Join(conf, "\n")+"\n"), 0o644))
	c := command(t, h, "mroutd", "-n", "-f", file, "-p", runDir+"/mroutd.pid", "-u", runDir+"/mroutd.sock", "-d", "neighbors,pruning")
	must(t, c.Start())
	lab.Until(t, Patience, func() error {
		vifs, err := Vifs(h)
		if err == nil && len(vifs) < len(h.Wires()) {
			err = fmt.Errorf("%s: mroutd has made %d vifs, want %d:\n%s", h.Name, len(vifs), len(h.Wires()), c.Log())
		}
		return err
	})
	return c
}

// withEach runs a test with mroutd and each mrouted that there is.
func withEach(t *testing.T, test func(t *testing.T, other daemon)) {
	t.Parallel()
	for _, other := range []struct {
		variable string
		daemon
	}{{MroutedVariable, mrouted46}, {Mrouted39Variable, mrouted39}} {
		t.Run(other.name, func(t *testing.T) {
			t.Parallel()
			lab.PeerBinary(t, other.variable)
			test(t, other.daemon)
		})
	}
}

// TestMixedChain has three routers in a row, mroutd and mrouted by turns: they learn
// all networks, packets pass in both directions, prunes and grafts too, and it all
// comes back when a router starts again.
func TestMixedChain(t *testing.T) {
	withEach(t, func(t *testing.T, other daemon) {
		for _, makes := range [][]daemon{{mroutdNow, other, mroutdNow}, {other, mroutdNow, other}} {
			t.Run("with "+makes[1].name+" in the middle", func(t *testing.T) {
				t.Parallel()
				testMixedChain(t, makes)
			})
		}
	})
}

func testMixedChain(t *testing.T, makes []daemon) {
	const networks = 4
	h := row(t, "west", "r1", "r2", "r3", "east")
	routers := h[1:4]
	said := make([]*lab.Capture, len(routers))
	running := make([]*lab.Cmd, len(routers))
	var started []func()
	for i, r := range routers {
		c, err := r.Capture("eth0", protocolIGMP)
		must(t, err)
		said[i] = c
		started = append(started, func() { running[i] = makes[i].start(t, r) })
	}
	allAtOnce(started...)
	for i, r := range routers {
		knowsNetworks(t, makes[i], r, said[i], networks)
	}

	group := netip.MustParseAddr("224.2.2.2")
	eastward := Establish(t, Flow{addr(1, 1), group}, false, h[0].Wire("eth1"), h[4].Wire("eth0"))
	westward := Establish(t, Flow{addr(4, 2), group}, false, h[4].Wire("eth0"), h[0].Wire("eth1"))
	deliver := func() {
		t.Helper()
		eastward.Deliver(100)
		westward.Deliver(100)
	}
	deliver()

	// The member leaves, and the prunes reach the first router; then a graft does.
	for _, s := range []struct {
		*Stream
		first *lab.Host
	}{{eastward, h[1]}, {westward, h[3]}} {
		s.Leave()
		pruned(t, s.Stream, s.first)
		s.Join()
	}
	deliver()

	// Whichever router is killed and started again: its neighbours tell it what it
	// has forgotten, and the other way round.
	for i, r := range routers {
		running[i].Kill()
		running[i] = makes[i].start(t, r)
		eastward.Leave()
		eastward.Join()
		westward.Leave()
		westward.Join()
		deliver()
	}
}

const protocolIGMP = 2

// allAtOnce runs functions at the same time.
func allAtOnce(fns ...func()) {
	done := make(chan struct{})
	for _, fn := range fns {
		go func() {
			defer func() { done <- struct{}{} }()
			fn()
		}()
	}
	for range fns {
		<-done
	}
}

// knowsNetworks waits until a router knows so many networks: mrouted 4.6 by what it
// says itself, the others by what they have told their neighbours on a link: all
// networks but the link's own.
func knowsNetworks(t *testing.T, d daemon, h *lab.Host, said *lab.Capture, networks int) {
	t.Helper()
	if d.name == mrouted46.name {
		MroutedRoutes(t, h, networks)
		return
	}
	own, err := h.Wire("eth0").Addresses()
	must(t, err)
	lab.Until(t, Patience, Slowly(func() error {
		told := reports(said, own[0].Addr())
		n := 0
		for net, metric := range told {
			if metric != dvmrp.Infinity && net != own[0].Masked() {
				n++
			}
		}
		if n != networks-1 && len(told) > 0 {
			return fmt.Errorf("%s, %s: has told %v, want %d networks", h.Name, d.name, told, networks-1)
		}
		if len(told) == 0 && h.Name != "r1" { // nobody is on its first link to be told
			return fmt.Errorf("%s, %s: has told nothing", h.Name, d.name)
		}
		return nil
	}))
}

// reports returns what a router has told on a link, the last metric of each network.
func reports(said *lab.Capture, from netip.Addr) map[netip.Prefix]uint8 {
	told := make(map[netip.Prefix]uint8)
	for _, f := range said.Frames() {
		ip := f.IP()
		header := int(ip[0]&15) * 4
		if netip.AddrFrom4([4]byte(ip[12:])) != from || len(ip) < header+dvmrp.HeaderLen {
			continue
		}
		message := ip[header:]
		if igmp.Type(message[0]) != igmp.TypeDVMRP || dvmrp.Code(message[1]) != dvmrp.CodeReport {
			continue
		}
		var r dvmrp.Report
		if r.Parse(message) == nil {
			for _, route := range r.Routes {
				told[route.Prefix] = route.Metric
			}
		}
	}
	return told
}

// pruned waits until packets of the flow, which go on, leave a router no more.
func pruned(t *testing.T, s *Stream, h *lab.Host) {
	t.Helper()
	var next time.Time
	lab.Until(t, Patience, func() error {
		if now := time.Now(); now.After(next) {
			s.Probe()
			next = now.Add(probeInterval)
		}
		entries, err := Entries(h)
		if err != nil {
			return err
		}
		e, ok := entries[s.Flow]
		if !ok || len(e.Out) > 0 {
			return fmt.Errorf("%s: the entry of %v is %+v (%t), want one without outputs", h.Name, s.Flow, e, ok)
		}
		return nil
	})
}

// twoForwarders has two routers between the same two LANs.
const twoForwarders = `
lan net1
lan net2
host source
  interface eth0 on net1 10.0.1.1/24
host low
  interface eth0 on net1 10.0.1.2/24
  interface eth1 on net2 10.0.2.2/24
host high
  interface eth0 on net1 10.0.1.3/24
  interface eth1 on net2 10.0.2.3/24
host receiver
  interface eth0 on net2 10.0.2.9/24
`

// TestMixedLAN has mroutd and mrouted between the same LANs: one of them forwards,
// that with the lower address, and the other one takes over when it has gone.
func TestMixedLAN(t *testing.T) {
	withEach(t, func(t *testing.T, other daemon) {
		for _, makes := range [][]daemon{{mroutdNow, other}, {other, mroutdNow}} {
			t.Run(makes[0].name+" forwards", func(t *testing.T) {
				t.Parallel()
				l := lab.Start(t, twoForwarders)
				low, high := l.Host("low"), l.Host("high")
				said, err := high.Capture("eth1", protocolIGMP)
				must(t, err)
				var first *lab.Cmd
				allAtOnce(func() { first = makes[0].start(t, low) }, func() { makes[1].start(t, high) })
				// Each has told the other of net1, so they agree on who forwards.
				lab.Until(t, Patience, func() error {
					for _, a := range []netip.Addr{addr(2, 2), addr(2, 3)} {
						if told := reports(said, a); len(told) == 0 {
							return fmt.Errorf("%v has told nothing", a)
						}
					}
					return nil
				})
				s := Establish(t, Flow{addr(1, 1), netip.MustParseAddr("224.2.2.2")}, false,
					l.Host("source").Wire("eth0"), l.Host("receiver").Wire("eth0"))
				s.Deliver(200) // no more than were sent
				forwards(t, s.Flow, low, high)

				first.Kill()
				s.Leave()
				s.Join()
				s.Deliver(200)
			})
		}
	})
}

// forwards checks that of two routers one has an output for a flow, the first, and
// the other has none.
func forwards(t *testing.T, flow Flow, one, other *lab.Host) {
	t.Helper()
	for _, c := range []struct {
		host *lab.Host
		want int
	}{{one, 1}, {other, 0}} {
		entries, err := Entries(c.host)
		must(t, err)
		if e := entries[flow]; len(e.Out) != c.want {
			t.Errorf("%s forwards %v to %v, want %d outputs", c.host.Name, flow, e.Out, c.want)
		}
	}
}

// mixedDiamond has two ways from the source to the receiver; that by r2 is shorter
// for r4, by configuration.
const mixedDiamond = `
lan net1
lan net2
lan net3
lan net4
lan net5
lan net6
host source
  interface eth0 on net1 10.0.1.1/24
host r1
  interface eth0 on net1 10.0.1.254/24
  interface eth1 on net2 10.0.2.1/24
  interface eth2 on net3 10.0.3.1/24
host r2
  interface eth0 on net2 10.0.2.2/24
  interface eth1 on net4 10.0.4.2/24
host r3
  interface eth0 on net3 10.0.3.3/24
  interface eth1 on net5 10.0.5.3/24
host r4
  interface eth0 on net4 10.0.4.4/24
  interface eth1 on net5 10.0.5.4/24
  interface eth2 on net6 10.0.6.254/24
host receiver
  interface eth0 on net6 10.0.6.1/24
`

// TestMixedDiamond has mroutd and mrouted on two ways from a source to a receiver:
// packets come once, by the shorter way, and by the other one when that is cut.
func TestMixedDiamond(t *testing.T) {
	withEach(t, func(t *testing.T, other daemon) {
		for _, makes := range [][]daemon{{mroutdNow, other, mroutdNow, other}, {other, mroutdNow, other, mroutdNow}} {
			t.Run("with "+makes[3].name+" at the end", func(t *testing.T) {
				t.Parallel()
				l := lab.Start(t, mixedDiamond)
				said, err := l.Host("r4").Capture("eth1", protocolIGMP)
				must(t, err)
				var started []func()
				for i, name := range []string{"r1", "r2", "r3", "r4"} {
					var conf []string
					if name == "r4" {
						conf = []string{"phyint eth1 metric 3"}
					}
					started = append(started, func() { makes[i].start(t, l.Host(name), conf...) })
				}
				allAtOnce(started...)
				source := netip.MustParsePrefix("10.0.1.0/24")
				// r4 has taken the way by r2: it does not depend on r3, and tells r3 so.
				lab.Until(t, Patience, Slowly(func() error {
					if metric := reports(said, addr(5, 4))[source]; metric != 3 {
						return fmt.Errorf("r4 has told r3 %v=%d, want 3", source, metric)
					}
					if metric := reports(said, addr(5, 3))[source]; metric != 2 {
						return fmt.Errorf("r3 has told r4 %v=%d, want 2", source, metric)
					}
					return nil
				}))
				s := Establish(t, Flow{addr(1, 1), netip.MustParseAddr("224.2.2.2")}, false,
					l.Host("source").Wire("eth0"), l.Host("receiver").Wire("eth0"))
				s.Deliver(200)
				comesBy(t, s.Flow, l.Host("r4"), "eth0")
				must(t, l.Host("r4").Wire("eth0").SetUp(false))
				s.Leave()
				s.Join()
				s.Deliver(200)
				comesBy(t, s.Flow, l.Host("r4"), "eth1")
			})
		}
	})
}

// comesBy checks where a flow comes in.
func comesBy(t *testing.T, flow Flow, h *lab.Host, iface string) {
	t.Helper()
	entries, err := Entries(h)
	must(t, err)
	if e := entries[flow]; e.In != iface {
		t.Errorf("%s: %v comes in by %q, want %s", h.Name, flow, e.In, iface)
	}
}
