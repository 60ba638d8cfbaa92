package plane_test

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"mbone/internal/lab"
	"mbone/internal/plane"
	"mbone/internal/plane/mroute"
	"mbone/internal/router/host"
)

var (
	flowGroup = ip("239.1.2.3")
	flowPort  = netip.AddrPortFrom(flowGroup, 5000)
)

// routerAt opens a router in a host. What it is told to do is done there.
type routerAt struct {
	*plane.Router
	t *testing.T
	h *lab.Host
}

func openRouter(t *testing.T, h *lab.Host, o plane.RouterOptions) routerAt {
	t.Helper()
	o.Log = slog.New(slog.NewTextHandler(testLog{t}, &slog.HandlerOptions{Level: slog.LevelDebug}))
	r := lab.Within(t, h, func() (*plane.Router, error) { return plane.OpenRouter(o) })
	t.Cleanup(func() { check(t, r.Close()) })
	return routerAt{r, t, h}
}

type testLog struct{ t *testing.T }

func (l testLog) Write(b []byte) (int, error) {
	l.t.Logf("%s", b)
	return len(b), nil
}

// add adds an interface as the link with this identity.
func (r routerAt) add(id host.Interface, name string, groups ...netip.Addr) {
	r.t.Helper()
	check(r.t, r.tryAdd(id, name, groups...))
}

func (r routerAt) tryAdd(id host.Interface, name string, groups ...netip.Addr) error {
	return r.h.Do(func() error { return r.AddLink(id, r.h.Wire(name).Index, name, groups) })
}

// next returns the next event that pick accepts.
func (r routerAt) next(what string, pick func(host.Event) bool) {
	r.t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for time.Now().Before(deadline) {
		e, err := r.Next()
		check(r.t, err)
		if e == nil {
			_, err := r.Wait(100 * time.Millisecond)
			check(r.t, err)
			continue
		}
		if pick(e) {
			return
		}
	}
	r.t.Fatalf("%s: it did not come in 10 s", what)
}

// upcall waits for an upcall.
func (r routerAt) upcall(kind host.UpcallKind, in host.Interface, source, group netip.Addr) {
	r.t.Helper()
	r.next("upcall", func(e host.Event) bool {
		u, ok := e.(*host.Upcall)
		if ok && (*u != host.Upcall{Kind: kind, Interface: in, Source: source, Group: group}) {
			r.t.Fatalf("upcall %+v", u)
		}
		return ok
	})
}

// want makes an entry wanted.
func (r routerAt) want(source netip.Addr, in host.Interface, outputs ...host.Interface) {
	e := host.Entry{Source: source, Group: flowGroup, In: in}
	for _, id := range outputs {
		e.Outputs = append(e.Outputs, host.Output{Interface: id, TTL: 1})
	}
	r.Apply(&host.Actions{Entries: []host.Entry{e}})
}

// drain handles all that has happened.
func (r routerAt) drain() {
	r.t.Helper()
	for {
		if _, err := r.Wait(0); err != nil {
			r.t.Fatal(err)
		}
		e, err := r.Next()
		check(r.t, err)
		if e == nil {
			return
		}
	}
}

// installed returns the outputs of an entry in the kernel by the names of the
// interfaces, "in > out out"; empty: there is none.
func installed(t *testing.T, h *lab.Host, table uint32, source netip.Addr) string {
	t.Helper()
	reader := lab.Within(t, h, mroute.OpenReader)
	defer reader.Close()
	e, ok, err := reader.Route(table, source, flowGroup)
	check(t, err)
	if !ok {
		return ""
	}
	name := func(index int) string {
		for _, w := range h.Wires() {
			if w.Index == index {
				return w.Interface
			}
		}
		return fmt.Sprint("interface ", index)
	}
	text := name(e.IfIndex) + " >"
	for _, o := range e.Outputs {
		text += " " + name(o.IfIndex)
	}
	return text
}

// hub is a router with n interfaces and a sender on the first one.
func hub(n int) string {
	var b strings.Builder
	b.WriteString("host sender\n  interface eth0 on lan0 10.0.0.1/24\nhost router\n")
	for i := range n {
		fmt.Fprintf(&b, "  interface eth%d on lan%d 10.0.%d.254/24\n", i, i, i)
	}
	for i := 1; i < n; i++ {
		fmt.Fprintf(&b, "host host%d\n  interface eth0 on lan%d 10.0.%d.1/24\n", i, i, i)
	}
	var lans strings.Builder
	for i := range n {
		fmt.Fprintf(&lans, "lan lan%d\n", i)
	}
	return lans.String() + b.String()
}

var sender = ip("10.0.0.1")

// A new flow is asked about once, no packet of it is lost, and the counters are
// those of the kernel.
func TestRouterForward(t *testing.T) {
	l := lab.Start(t, hub(3))
	r := openRouter(t, l.Host("router"), plane.RouterOptions{})
	r.add(11, "eth0")
	r.add(12, "eth1")
	r.add(13, "eth2")
	receiver, err := l.Host("host1").Join(flowPort, "eth0", netip.Addr{})
	check(t, err)
	defer receiver.Close()
	send := func(n int) {
		t.Helper()
		_, err := l.Host("sender").Send(t.Context(), lab.Flow{Group: flowPort, Interface: "eth0", Count: n})
		check(t, err)
	}
	send(3)
	r.upcall(host.NoCache, 11, sender, flowGroup)
	if _, ok := r.Flow(sender, flowGroup); ok {
		t.Error("there is a count before there is an entry")
	}
	r.want(sender, 11, 12)
	const n = 3 + 20
	send(20)
	lab.Until(t, 10*time.Second, func() error {
		if got := receiver.Stats().Packets; got != n {
			return fmt.Errorf("%d packets of %d", got, n)
		}
		return nil
	})
	if c, ok := r.Flow(sender, flowGroup); !ok || c.Packets != n {
		t.Errorf("entry: %+v, %v", c, ok)
	}
	in, _ := r.Link(11)
	out, _ := r.Link(12)
	other, ok := r.Link(13)
	if in.PacketsIn != n || out.PacketsOut != n || other != (host.LinkCount{}) || !ok {
		t.Errorf("links: %+v, %+v, %+v", in, out, other)
	}
	if _, ok := r.Link(14); ok {
		t.Error("a link that does not exist has counters")
	}

	// Now it comes in on the wrong one, which is an output.
	r.want(sender, 13, 11, 12)
	send(1)
	r.upcall(host.WrongVif, 11, sender, flowGroup)

	r.Apply(&host.Actions{Entries: []host.Entry{{Source: sender, Group: flowGroup}}})
	if got := installed(t, r.h, 0, sender); got != "" {
		t.Errorf("removed entry: %s", got)
	}
	r.Apply(&host.Actions{Entries: []host.Entry{{Source: sender, Group: flowGroup}}}) // again does no harm
}

// Entries are what is wanted, whatever vifs come and go and whatever numbers they
// get.
func TestRouterEntries(t *testing.T) {
	l := lab.Start(t, hub(4))
	h := l.Host("router")
	r := openRouter(t, h, plane.RouterOptions{})
	is := func(when, want string) {
		t.Helper()
		r.drain()
		if got := installed(t, h, 0, sender); got != want {
			t.Errorf("%s: %q, want %q", when, got, want)
		}
	}
	r.add(1, "eth0")
	r.add(2, "eth1")
	r.want(sender, 1, 2, 3)
	is("before eth2 is there", "eth0 > eth1")
	r.add(3, "eth2")
	is("with eth2", "eth0 > eth1 eth2")
	// Another one that takes the number of eth1 does not inherit its packets.
	for id := host.Interface(4); id < 40; id++ {
		r.RemoveLink(id - 1)
		r.RemoveLink(2)
		r.add(id, "eth3")
		is("with eth3 in place of others", "eth0 >")
	}
	r.add(2, "eth1")
	r.want(sender, 1, 2, 39)
	is("again", "eth0 > eth3 eth1")
	// Without its incoming interface nothing can be forwarded.
	r.RemoveLink(1)
	is("without eth0", "")
	r.add(1, "eth0")
	is("with eth0 again", "eth0 > eth3 eth1")
}

// There is room for 32, the next one has an error that says so, and takes the place
// of one that goes.
func TestRouterFull(t *testing.T) {
	const n = 33
	var b strings.Builder
	b.WriteString("lan a\nhost router\n")
	for i := range n {
		fmt.Fprintf(&b, "  interface eth%d on a 10.0.%d.1/24\n", i, i)
	}
	l := lab.Start(t, b.String())
	h := l.Host("router")
	r := openRouter(t, h, plane.RouterOptions{})
	for i := range 32 {
		r.add(host.Interface(i+1), fmt.Sprintf("eth%d", i))
	}
	err := r.tryAdd(33, "eth32")
	if !errors.Is(err, plane.ErrNoVif) || !strings.Contains(err.Error(), "eth32") {
		t.Errorf("the 33rd: %v", err)
	}
	r.want(sender, 1, 31, 32, 33)
	if got := installed(t, h, 0, sender); got != "eth0 > eth30 eth31" {
		t.Error(got)
	}
	r.RemoveLink(31)
	r.add(33, "eth32") // takes the only number that is free, at once
	r.drain()
	if got := installed(t, h, 0, sender); got != "eth0 > eth32 eth31" {
		t.Error(got)
	}
}

// What happens to interfaces is seen, and a vif that the kernel has removed with its
// interface is missed.
func TestRouterInterfaces(t *testing.T) {
	l := lab.Start(t, hub(2))
	h := l.Host("router")
	r := openRouter(t, h, plane.RouterOptions{})
	r.add(1, "eth0")
	eth0, eth1 := h.Wire("eth0"), h.Wire("eth1")
	find := func(index int) (l plane.Link) {
		for _, l := range r.Interfaces.All() {
			if l.Index == index {
				return l
			}
		}
		return l
	}
	sees := func(what string, do func() error, seen func() bool) {
		t.Helper()
		check(t, do())
		lab.Until(t, 10*time.Second, func() error {
			_, err := r.Wait(10 * time.Millisecond)
			if err == nil {
				_, err = r.Interfaces.Read()
			}
			if err == nil && !seen() {
				err = fmt.Errorf("%s is not seen: %+v", what, r.Interfaces.All())
			}
			return err
		})
	}
	link, err := h.Netlink().LinkByName("eth1")
	check(t, err)
	sees("carrier lost", func() error { return eth0.SetCarrier(false) }, func() bool { return !find(eth0.Index).Up })
	sees("carrier", func() error { return eth0.SetCarrier(true) }, func() bool { return find(eth0.Index).Up })
	sees("down", func() error { return eth0.SetUp(false) }, func() bool { return !find(eth0.Index).Up })
	sees("address", func() error { return eth1.AddAddress(netip.MustParsePrefix("192.0.2.1/28")) }, func() bool {
		a := find(eth1.Index).Addresses
		return len(a) == 2 && a[1] == plane.Address{Addr: ip("192.0.2.1"), Net: netip.MustParsePrefix("192.0.2.0/28")}
	})
	sees("address gone", func() error { return eth1.RemoveAddress(netip.MustParsePrefix("10.0.1.254/24")) }, func() bool {
		a := find(eth1.Index).Addresses
		return len(a) == 1 && a[0].Addr == ip("192.0.2.1")
	})
	sees("forwarding", func() error { return h.Sysctl("net.ipv4.ip_forward", "1") }, r.Interfaces.Forwarding)
	if got := r.Interfaces.RPFilter(eth1.Index); got != 0 {
		t.Errorf("reverse path filter at first: %d", got)
	}
	sees("reverse path filter", func() error { return h.Sysctl("net.ipv4.conf.eth1.rp_filter", "1") }, func() bool {
		return r.Interfaces.RPFilter(eth1.Index) == plane.StrictRPFilter && r.Interfaces.RPFilter(eth0.Index) == 0
	})
	sees("reverse path filter of all", func() error { return h.Sysctl("net.ipv4.conf.all.rp_filter", "2") }, func() bool {
		return r.Interfaces.RPFilter(eth1.Index) == 2 && r.Interfaces.RPFilter(eth0.Index) == 2
	})
	r.add(2, "eth1")
	sees("name", func() error {
		return errors.Join(h.Netlink().LinkSetDown(link), h.Netlink().LinkSetName(link, "up0"), h.Netlink().LinkSetUp(link))
	}, func() bool { return find(eth1.Index).Name == "up0" && find(eth1.Index).Up })
	if !r.HasVif(1) || !r.HasVif(2) {
		t.Error("a vif is lost though its interface is there")
	}
	sees("interface removed", func() error { return h.Netlink().LinkDel(link) }, func() bool { return find(eth1.Index).Index == 0 })
	if !r.HasVif(1) || r.HasVif(2) {
		t.Error("the vif of an interface that was removed is there, or that of the other is not")
	}
	r.RemoveLink(2)
}

// A bridge tells of its ports: that they leave it is not that they are gone.
func TestRouterBridgePort(t *testing.T) {
	l := lab.Start(t, hub(2))
	h := l.Host("router")
	r := openRouter(t, h, plane.RouterOptions{})
	nl := h.Netlink()
	check(t, nl.LinkAdd(&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "br0"}}))
	bridge, err := nl.LinkByName("br0")
	check(t, err)
	port, err := nl.LinkByName("eth1")
	check(t, err)
	check(t, nl.LinkSetMaster(port, bridge))
	check(t, nl.LinkSetNoMaster(port))
	check(t, nl.LinkDel(bridge))
	lab.Until(t, 10*time.Second, func() error {
		_, err := r.Interfaces.Read()
		names := ""
		for _, l := range r.Interfaces.All() {
			names += l.Name + " "
		}
		if err == nil && names != "lo eth0 eth1 " {
			err = errors.New(names)
		}
		return err
	})
}

// Two routers share a host, with a table and interfaces each.
func TestRouterTables(t *testing.T) {
	l := lab.Start(t, hub(4))
	h := l.Host("router")
	one, two := openRouter(t, h, plane.RouterOptions{}), openRouter(t, h, plane.RouterOptions{Table: 77})
	check(t, addRule(h, "eth2", 77))
	one.add(1, "eth0")
	one.add(2, "eth1")
	two.add(1, "eth2")
	two.add(2, "eth3")
	source2 := ip("10.0.2.1")
	for _, host := range []string{"sender", "host2"} {
		_, err := l.Host(host).Send(t.Context(), lab.Flow{Group: flowPort, Interface: "eth0", Count: 1})
		check(t, err)
	}
	one.upcall(host.NoCache, 1, sender, flowGroup)
	two.upcall(host.NoCache, 1, source2, flowGroup)
	one.want(sender, 1, 2)
	two.want(source2, 1, 2)
	if a, b := installed(t, h, 0, sender), installed(t, h, 77, source2); a != "eth0 > eth1" || b != "eth2 > eth3" {
		t.Errorf("%q, %q", a, b)
	}
	err := h.Do(func() error {
		_, err := plane.OpenRouter(plane.RouterOptions{Table: 77})
		return err
	})
	if e, ok := errors.AsType[*mroute.Error](err); !ok || !strings.Contains(e.Fix(), "another program routes multicast here") {
		t.Errorf("a table that has an owner: %v", err)
	}
}

// addRule lets multicast that comes in on an interface be routed by a table.
func addRule(h *lab.Host, iface string, table int) error {
	rule := netlink.NewRule()
	rule.Family, rule.IifName, rule.Table, rule.Priority = 128, iface, table, 100
	return h.Netlink().RuleAdd(rule)
}

// A router that inherits the socket of another one goes on where that stopped: no
// packet is lost, what it does not want goes.
func TestRouterInherits(t *testing.T) {
	l := lab.Start(t, hub(4))
	h := l.Host("router")
	first := openRouter(t, h, plane.RouterOptions{})
	first.add(1, "eth0")
	first.add(2, "eth1")
	first.add(3, "eth2")
	old := ip("10.0.0.77")
	first.want(sender, 1, 2)
	first.want(old, 1, 2)
	reader := lab.Within(t, h, mroute.OpenReader)
	defer reader.Close()
	receiver, err := l.Host("host1").Join(flowPort, "eth0", netip.Addr{})
	check(t, err)
	defer receiver.Close()

	fd, err := first.CopySocket()
	check(t, err)
	second := openRouter(t, h, plane.RouterOptions{Inherited: os.NewFile(uintptr(fd), "inherited")})
	check(t, first.Close())
	second.add(5, "eth1")
	second.add(6, "eth0")
	second.DropInheritedVifs()
	vifs, err := reader.Vifs(0)
	check(t, err)
	if len(vifs) != 2 || vifs[0].IfIndex != h.Wire("eth0").Index || vifs[1].IfIndex != h.Wire("eth1").Index {
		t.Errorf("vifs: %+v", vifs)
	}
	if n := second.Inherited(); n != 2 {
		t.Errorf("%d entries, want 2", n)
	}
	_, err = l.Host("sender").Send(t.Context(), lab.Flow{Group: flowPort, Interface: "eth0", Count: 5})
	check(t, err)
	second.AskInherited()
	asked := make(map[netip.Addr]bool)
	for range 2 {
		second.next("question about an entry", func(e host.Event) bool {
			u, ok := e.(*host.Upcall)
			if !ok {
				return false
			}
			if u.Kind != host.NoCache || u.Interface != 6 || u.Group != flowGroup {
				t.Errorf("%+v", u)
			}
			asked[u.Source] = true
			if u.Source == sender {
				second.want(sender, 6, 5)
			}
			return true
		})
	}
	second.drain()
	if !asked[sender] || !asked[old] {
		t.Errorf("asked about %v", asked)
	}
	if a, b := installed(t, h, 0, sender), installed(t, h, 0, old); a != "eth0 > eth1" || b != "" || second.Inherited() != 0 {
		t.Errorf("%q, %q, %d left", a, b, second.Inherited())
	}
	if c, ok := second.Flow(sender, flowGroup); !ok || c.Packets != 5 {
		t.Errorf("the entry was made anew: %+v, %v", c, ok)
	}
	lab.Until(t, 10*time.Second, func() error {
		if got := receiver.Stats().Packets; got != 5 {
			return fmt.Errorf("%d packets of 5", got)
		}
		return nil
	})
}
