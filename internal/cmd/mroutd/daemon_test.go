package mroutd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/syslog"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"

	"mbone/internal/config"
	"mbone/internal/lab"
	"mbone/internal/plane/mroute"
	"mbone/internal/router"
	"mbone/internal/router/host"
	"mbone/internal/router/respond"
)

// fakeEngine keeps what it is told.
type fakeEngine struct {
	mu       sync.Mutex
	settings host.Settings
	links    map[host.Interface]host.Link
	log      []string // "+1", "~1", "-1": links that are new, changed, removed
	upcalls  int
	ended    bool

	questions respond.Counts
	transit   router.TransitCounts
}

func (e *fakeEngine) Questions() respond.Counts {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.questions
}

func (e *fakeEngine) Transit() router.TransitCounts {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.transit
}

func (e *fakeEngine) Refused() []uint64 { return nil }

func (e *fakeEngine) Handle(_ time.Duration, event host.Event) *host.Actions {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch v := event.(type) {
	case *host.Configured:
		e.settings = v.Settings
	case *host.LinkChanged:
		sign := "+"
		if _, ok := e.links[v.Link.ID]; ok {
			sign = "~"
		}
		e.log = append(e.log, fmt.Sprint(sign, v.Link.ID))
		e.links[v.Link.ID] = v.Link
	case *host.LinkRemoved:
		e.log = append(e.log, fmt.Sprint("-", v.Interface))
		delete(e.links, v.Interface)
	case *host.Upcall:
		e.upcalls++
	case *host.Shutdown:
		e.ended = true
	}
	return &host.Actions{}
}

func (e *fakeEngine) Deadline(time.Duration) (time.Duration, bool) { return 0, false }

// link returns the link of that name.
func (e *fakeEngine) link(name string) (l host.Link, ok bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, l := range e.links {
		if l.Name == name {
			return l, true
		}
	}
	return l, false
}

// events returns and forgets the changes of links.
func (e *fakeEngine) events() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	defer func() { e.log = nil }()
	return strings.Join(e.log, " ")
}

// running is a daemon with a fake engine in a host.
type running struct {
	*daemon
	t      *testing.T
	engine *fakeEngine
	log    *lockedBuffer
	file   string // its configuration
	stop   func()
}

// runDaemon starts a daemon with a configuration.
func runDaemon(t *testing.T, h *lab.Host, text string, change ...func(*options)) *running {
	t.Helper()
	r := &running{t: t, engine: &fakeEngine{links: make(map[host.Interface]host.Link)}, log: &lockedBuffer{}}
	r.file = filepath.Join(t.TempDir(), "mroutd.conf")
	check(t, os.WriteFile(r.file, []byte(text), 0o644))
	o := newOptions()
	o.configFile, o.level = r.file, "info"
	for _, fn := range change {
		fn(o)
	}
	log, err := o.openLogs(r.log)
	check(t, err)
	c, err := o.load(log.main)
	check(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ready, done := make(chan struct{}), make(chan error, 1)
	go func() {
		done <- h.Do(func() error {
			d, err := newDaemon(o, c, log)
			if err != nil {
				return err
			}
			defer d.close()
			d.engine, r.daemon = r.engine, d
			return d.run(ctx, func() error {
				close(ready)
				return nil
			})
		})
	}()
	r.stop = sync.OnceFunc(func() {
		cancel()
		check(t, <-done)
	})
	t.Cleanup(r.stop)
	select {
	case <-ready:
	case err := <-done:
		done <- nil
		t.Fatalf("it has ended: %v\n%s", err, r.log)
	}
	return r
}

// until waits for something about a link.
func (r *running) until(name, what string, is func(l host.Link, ok bool) bool) {
	r.t.Helper()
	lab.Until(r.t, patience, func() error {
		if l, ok := r.engine.link(name); !is(l, ok) {
			return fmt.Errorf("%s: %s: %+v, %v\n%s", name, what, l, ok, r.log)
		}
		return nil
	})
}

// reconfigure lets it read another configuration.
func (r *running) reconfigure(text string) {
	r.t.Helper()
	check(r.t, os.WriteFile(r.file, []byte(text), 0o644))
	c, err := r.options.load(r.daemon.log.main)
	check(r.t, err)
	r.reloaded <- c
	r.router.Wake()
}

const hostOfThree = `
lan a
lan b
lan c
host router
  interface eth0 on a 10.0.1.254/24 10.0.1.253/24
  interface eth1 on b 192.0.2.1/28 10.0.2.254/24
  interface eth2 on c 10.0.3.254/24
`

// The links that the engine is told are the interfaces, as the configuration has
// them.
func TestLinksOfConfiguration(t *testing.T) {
	h := lab.Start(t, hostOfThree).Host("router")
	r := runDaemon(t, h, `
cache-lifetime 400
prune-lifetime 600
name local 239.255.0.0/16
no router-alert
igmp-robustness 3
respond-to local 198.51.100.0/24
mtrace-response-group 239.0.0.1
max-routes 99
phyint eth0 metric 3 advert-metric 2 threshold 16 boundary local boundary 239.1.0.0/16 passive igmpv2 static-group 239.2.2.2
  accept 10.0.0.0/8 172.16.0.0/12 exact bidir probe-interval 0.5 neighbor-timeout 2
phyint 10.0.2.254 netmask 255.255.0.0 altnet 10.9.0.0/16 force-leaf noflood rexmit-prunes on prune-lifetime 300 notransit blaster allow-nonpruners
phyint eth2 disable
`)
	want := map[string]host.Link{
		"eth0": {
			ID: 1, Name: "eth0", Up: true, Address: ip("10.0.1.254"),
			Networks: []host.Network{{Address: ip("10.0.1.254"), Prefix: prefix("10.0.1.0/24")}, {Address: ip("10.0.1.253"), Prefix: prefix("10.0.1.0/24")}},
			LinkSettings: host.LinkSettings{
				Enabled: true, Metric: 3, AdvertMetric: 2, Threshold: 16, Boundaries: []netip.Prefix{prefix("239.255.0.0/16"), prefix("239.1.0.0/16")},
				Passive: true, PruneLifetime: 600 * time.Second, IGMP: 2, StaticGroups: []netip.Addr{ip("239.2.2.2")},
				Filter:        host.Filter{Bidir: true, Routes: []host.FilterRoute{{Prefix: prefix("10.0.0.0/8")}, {Prefix: prefix("172.16.0.0/12"), Exact: true}}},
				ProbeInterval: 500 * time.Millisecond, NeighborTimeout: 2 * time.Second,
			},
		},
		"eth1": {
			ID: 2, Name: "eth1", Up: true, Address: ip("10.0.2.254"),
			Networks: []host.Network{
				{Address: ip("10.0.2.254"), Prefix: prefix("10.0.0.0/16")}, {Address: ip("192.0.2.1"), Prefix: prefix("192.0.2.0/28")}, {Prefix: prefix("10.9.0.0/16")},
			},
			LinkSettings: host.LinkSettings{
				Enabled: true, Metric: 1, Threshold: 1, NoFlood: true, ForceLeaf: true, AllowNonpruners: true, NoTransit: true, Blaster: true, RexmitPrunes: true,
				PruneLifetime: 300 * time.Second, IGMP: 3,
			},
		},
		"eth2": {
			ID: 3, Name: "eth2", Up: true, Address: ip("10.0.3.254"), Networks: []host.Network{{Address: ip("10.0.3.254"), Prefix: prefix("10.0.3.0/24")}},
			LinkSettings: host.LinkSettings{Metric: 1, Threshold: 1, PruneLifetime: 600 * time.Second, IGMP: 3},
		},
	}
	for name, want := range want {
		got, _ := r.engine.link(name)
		if diff := cmp.Diff(want, got, addrs, prefixes); diff != "" {
			t.Errorf("%s: -want +got:\n%s", name, diff)
		}
	}
	r.stop()
	s := r.engine.settings
	if !strings.HasPrefix(s.Version, host.VersionPrefix+" ") || s.CacheLifetime != 400*time.Second || s.RouterAlert || s.IGMP.Robustness != 3 ||
		s.IGMP.QueryInterval != 125*time.Second || s.IGMP.OtherQuerierPresent != 380*time.Second || // 3 x 125 s + 10 s / 2
		!s.Asking.Local || s.Asking.Private || s.Asking.Any || len(s.Asking.Networks) != 1 || len(s.Asking.ResponseGroups) != 1 || s.Limits.Routes != 99 || s.Limits.Prunes == 0 {
		t.Errorf("settings: %+v", s)
	}
	if !r.engine.ended {
		t.Error("it did not say good-bye")
	}
}

func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }

var prefixes = cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })

// Links are followed: each keeps its identity under another name and with other
// addresses, and one that comes again is another one.
func TestLinksFollowed(t *testing.T) {
	l := lab.Start(t, hostOfThree)
	h := l.Host("router")
	r := runDaemon(t, h, "phyint eth3 metric 7\n")
	if got := r.engine.events(); got != "+1 +2 +3" {
		t.Errorf("at first: %s", got)
	}
	if !strings.Contains(r.log.String(), "interface eth3 is not here, or has no IPv4 address: waiting for it") {
		t.Errorf("log:\n%s", r.log)
	}
	eth0 := h.Wire("eth0")
	check(t, eth0.SetCarrier(false))
	r.until("eth0", "down", func(l host.Link, ok bool) bool { return ok && !l.Up && l.ID == 1 })
	check(t, eth0.SetCarrier(true))
	r.until("eth0", "up", func(l host.Link, ok bool) bool { return ok && l.Up && l.ID == 1 })

	check(t, eth0.AddAddress(prefix("172.16.0.1/30")))
	r.until("eth0", "new network", func(l host.Link, ok bool) bool { return ok && len(l.Networks) == 3 })
	if got := r.engine.events(); got != "~1 ~1 ~1" {
		t.Errorf("eth0 was changed three times: %s", got)
	}
	rename := func(from, to string) {
		t.Helper()
		nl := h.Netlink()
		link, err := nl.LinkByName(from)
		check(t, err)
		check(t, errors.Join(nl.LinkSetDown(link), nl.LinkSetName(link, to), nl.LinkSetUp(link)))
	}
	rename("eth1", "eth3")
	r.until("eth3", "renamed, as configured", func(l host.Link, ok bool) bool { return ok && l.ID == 2 && l.Metric == 7 && l.Up })

	// Without an address it is no link.
	r.engine.events()
	check(t, h.Wire("eth2").RemoveAddress(prefix("10.0.3.254/24")))
	r.until("eth2", "no address", func(_ host.Link, ok bool) bool { return !ok })
	check(t, h.Wire("eth2").AddAddress(prefix("10.0.4.254/24")))
	r.until("eth2", "address", func(l host.Link, ok bool) bool { return ok && l.ID == 4 && l.Address == ip("10.0.4.254") })

	check(t, eth0.Detach())
	r.until("eth0", "removed", func(_ host.Link, ok bool) bool { return !ok })
	lan, err := l.AddLAN("d", 0)
	check(t, err)
	_, err = h.Attach(lan, "eth0", prefix("10.0.5.254/24"))
	check(t, err)
	r.until("eth0", "another one", func(l host.Link, ok bool) bool { return ok && l.ID == 5 && l.Up })
	// Forwarding of unicast is followed, too.
	check(t, h.Sysctl("net.ipv4.ip_forward", "1"))
	lab.Until(t, patience, func() error {
		r.engine.mu.Lock()
		defer r.engine.mu.Unlock()
		if !r.engine.settings.Forwarding {
			return errors.New("it does not know that the host forwards")
		}
		return nil
	})
}

// An interface that goes and comes again with the same index, faster than anybody
// looks, is another one.
func TestLinkReplaced(t *testing.T) {
	h := lab.Start(t, hostOfThree).Host("router")
	r := runDaemon(t, h, "")
	nl := h.Netlink()
	bridge := func(address string) {
		t.Helper()
		link := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "br0", Index: 77}}
		check(t, nl.LinkAdd(link))
		addr, err := netlink.ParseAddr(address)
		check(t, err)
		check(t, errors.Join(nl.AddrAdd(link, addr), nl.LinkSetUp(link)))
	}
	bridge("10.7.0.1/24")
	var first host.Interface
	r.until("br0", "new", func(l host.Link, ok bool) bool { first = l.ID; return ok })
	link, err := nl.LinkByName("br0")
	check(t, err)
	check(t, nl.LinkDel(link))
	bridge("10.7.0.1/24")
	r.until("br0", "replaced", func(l host.Link, ok bool) bool { return ok && l.ID > first })
}

// Reading the configuration again touches only what differs.
func TestReconfigure(t *testing.T) {
	h := lab.Start(t, hostOfThree).Host("router")
	r := runDaemon(t, h, "phyint eth1 disable\n")
	r.engine.events()
	r.reconfigure("cache-lifetime 500\nphyint eth1 disable phyint eth0 metric 9\n")
	r.until("eth0", "metric", func(l host.Link, ok bool) bool { return ok && l.Metric == 9 })
	if got := r.engine.events(); got != "~1" {
		t.Errorf("metric of one link: %s", got)
	}
	r.reconfigure("phyint eth0 metric 9 phyint eth2 disable\n")
	r.until("eth2", "disabled", func(l host.Link, ok bool) bool { return ok && !l.Enabled })
	r.until("eth1", "enabled", func(l host.Link, ok bool) bool { return ok && l.Enabled })
	vifs := vifsOf(t, h, 0)
	if want := []string{"eth0", "eth1"}; !slices.Equal(vifs, want) {
		t.Errorf("vifs %v, want %v", vifs, want)
	}
	// A configuration that is wrong changes nothing.
	check(t, os.WriteFile(r.file, []byte("phyint"), 0o644))
	if _, err := r.options.load(r.daemon.log.main); err == nil {
		t.Error("a wrong configuration is taken")
	}
}

// vifsOf returns the names of the interfaces that are vifs, sorted.
func vifsOf(t *testing.T, h *lab.Host, table uint32) []string {
	t.Helper()
	reader := lab.Within(t, h, mroute.OpenReader)
	defer reader.Close()
	vifs, err := reader.Vifs(table)
	check(t, err)
	var names []string
	for _, v := range vifs {
		link, err := h.Netlink().LinkByIndex(v.IfIndex)
		check(t, err)
		names = append(names, link.Attrs().Name)
	}
	slices.Sort(names)
	return names
}

// The 33rd interface is left out with one line that names it, and comes in when
// there is room.
func TestTooManyLinks(t *testing.T) {
	var b strings.Builder
	b.WriteString("lan a\nhost router\n")
	for i := range 34 {
		fmt.Fprintf(&b, "  interface eth%d on a 10.0.%d.1/24\n", i, i)
	}
	h := lab.Start(t, b.String()).Host("router")
	r := runDaemon(t, h, "")
	for i := range 34 {
		if _, ok := r.engine.link(fmt.Sprint("eth", i)); ok != (i < 32) {
			t.Errorf("eth%d is a link: %v", i, ok)
		}
	}
	check(t, h.Wire("eth5").Detach())
	r.until("eth32", "room", func(_ host.Link, ok bool) bool { return ok })
	if _, ok := r.engine.link("eth33"); ok {
		t.Error("eth33 is a link, too")
	}
	r.stop()
	if n := strings.Count(r.log.String(), "room for 32 interfaces"); n != 2 {
		t.Errorf("it is said %d times that there is no room, want once for each interface:\n%s", n, r.log)
	}
}

// What keeps a router from its work is said once, with the fix.
func TestWarnings(t *testing.T) {
	h := lab.Start(t, `
lan a
host router
  interface eth0 on a 10.0.1.254/24
  interface eth1 on a 10.0.1.253/24
  interface eth2 on a 10.0.2.254/24
  sysctl net.ipv4.conf.eth0.rp_filter 1
`).Host("router")
	r := runDaemon(t, h, "phyint eth0 rate-limit 500\n")
	check(t, h.Wire("eth0").SetCarrier(false))
	r.until("eth0", "down", func(l host.Link, ok bool) bool { return ok && !l.Up })
	for _, name := range []string{"eth1", "eth2"} {
		check(t, h.Wire(name).Detach())
		r.until(name, "gone", func(_ host.Link, ok bool) bool { return !ok })
	}
	r.stop()
	if strings.Contains(r.log.String(), "eth2: ") || strings.Contains(r.log.String(), "conf.eth1") {
		t.Errorf("it warns of what is well:\n%s", r.log)
	}
	for _, want := range []string{
		"sysctl -w net.ipv4.conf.eth0.rp_filter=2",
		"fewer than two links",
		"rate-limit of phyint eth0 has no effect",
		"10.0.1.0/24 is on eth0 and on eth1",
	} {
		if n := strings.Count(r.log.String(), want); n != 1 {
			t.Errorf("%q is said %d times:\n%s", want, n, r.log)
		}
	}
}

// A tunnel is a link with its own device, which goes with its statement, and comes
// with its local address.
func TestTunnelLinks(t *testing.T) {
	lab.Require(t, lab.Tun)
	h := lab.Start(t, hostOfThree).Host("router")
	r := runDaemon(t, h, "tunnel eth0 198.51.100.1 metric 4 threshold 64\ntunnel 10.0.9.1 198.51.100.2 beside off\n")
	r.until("dvmrp0", "tunnel", func(l host.Link, ok bool) bool {
		return ok && l.IsTunnel() && l.Address == ip("10.0.1.254") && l.Remote == ip("198.51.100.1") && l.Beside && l.Metric == 4 && l.Threshold == 64 &&
			l.PointToPoint && l.Up && l.RexmitPrunes && len(l.Networks) == 0
	})
	if _, ok := r.engine.link("dvmrp1"); ok {
		t.Error("a tunnel without its local address is a link")
	}
	check(t, h.Wire("eth1").AddAddress(prefix("10.0.9.1/24")))
	r.until("dvmrp1", "with its address", func(l host.Link, ok bool) bool { return ok && !l.Beside && l.Remote == ip("198.51.100.2") })
	if got := vifsOf(t, h, 0); !slices.Equal(got, []string{"dvmrp0", "dvmrp1", "eth0", "eth1", "eth2"}) {
		t.Errorf("vifs: %v", got)
	}
	check(t, h.Wire("eth0").SetCarrier(false))
	r.until("dvmrp0", "down with its interface", func(l host.Link, ok bool) bool { return ok && !l.Up })
	other, err := h.Netlink().LinkByName("dvmrp1")
	check(t, err)
	check(t, h.Netlink().LinkSetDown(other))
	r.until("dvmrp1", "set down", func(l host.Link, ok bool) bool { return ok && !l.Up })
	check(t, h.Netlink().LinkSetUp(other))
	r.until("dvmrp1", "set up", func(l host.Link, ok bool) bool { return ok && l.Up })
	r.reconfigure("tunnel 10.0.9.1 198.51.100.2 beside off metric 2\n")
	r.until("dvmrp0", "gone", func(_ host.Link, ok bool) bool { return !ok })
	r.until("dvmrp1", "metric", func(l host.Link, ok bool) bool { return ok && l.Metric == 2 })
	// Somebody removes the device: there is another one at once.
	old, _ := r.engine.link("dvmrp1")
	link, err := h.Netlink().LinkByName("dvmrp1")
	check(t, err)
	check(t, h.Netlink().LinkDel(link))
	lab.Until(t, patience, func() error {
		r.engine.mu.Lock()
		defer r.engine.mu.Unlock()
		for _, l := range r.engine.links {
			if l.Remote == ip("198.51.100.2") && l.ID != old.ID {
				return nil
			}
		}
		return fmt.Errorf("no other device: %+v\n%s", r.engine.links, r.log)
	})
}

// A device of the kernel is waited for and followed, and is no interface beside that.
func TestTunnelDevice(t *testing.T) {
	l := lab.Start(t, hostOfThree)
	h := l.Host("router")
	r := runDaemon(t, h, "tunnel eth0 198.51.100.1 device ipip1 metric 4\n")
	lab.Until(t, patience, func() error {
		if !strings.Contains(r.log.String(), "device ipip1 is not here: waiting for it") {
			return errors.New(r.log.String())
		}
		return nil
	})
	lan, err := l.AddLAN("wire", 0)
	check(t, err)
	device, err := h.Attach(lan, "ipip1", prefix("10.0.9.1/30"))
	check(t, err)
	var first host.Interface
	r.until("ipip1", "there", func(l host.Link, ok bool) bool {
		first = l.ID
		return ok && l.IsTunnel() && l.Up && l.PointToPoint && l.Metric == 4 && l.Address == ip("10.0.1.254") && l.Remote == ip("198.51.100.1") && len(l.Networks) == 0
	})
	check(t, device.SetCarrier(false))
	r.until("ipip1", "down", func(l host.Link, ok bool) bool { return ok && !l.Up })
	check(t, device.SetCarrier(true))
	r.until("ipip1", "up", func(l host.Link, ok bool) bool { return ok && l.Up })
	if got := vifsOf(t, h, 0); !slices.Equal(got, []string{"eth0", "eth1", "eth2", "ipip1"}) {
		t.Errorf("vifs: %v", got)
	}
	check(t, h.Wire("eth0").SetCarrier(false))
	r.until("ipip1", "down with its local end", func(l host.Link, ok bool) bool { return ok && !l.Up && l.ID == first })
	check(t, device.Detach())
	r.until("ipip1", "gone", func(_ host.Link, ok bool) bool { return !ok })
	_, err = h.Attach(lan, "ipip1", prefix("10.0.9.1/30"))
	check(t, err)
	r.until("ipip1", "back", func(l host.Link, ok bool) bool { return ok && l.ID > first && l.IsTunnel() })
}

// The name of the other end is looked up as long as a tunnel has it.
func TestTunnelNames(t *testing.T) {
	began, ended := make(chan string), make(chan string)
	r := &tunnels{}
	r.init(func() {}, testLogs(t).iface)
	r.lookup = func(ctx context.Context, _, name string) ([]netip.Addr, error) {
		if name == "known.example" {
			return []netip.Addr{ip("198.51.100.1")}, nil
		}
		began <- name
		<-ctx.Done()
		ended <- name
		return nil, ctx.Err()
	}
	to := func(names ...string) (list []config.Tunnel) {
		for _, name := range names {
			list = append(list, config.Tunnel{Remote: config.Host{Name: name}})
		}
		return list
	}
	r.follow(to("lost.example", "known.example"), nil)
	if got := <-began; got != "lost.example" {
		t.Errorf("%s is looked up", got)
	}
	lab.Until(t, patience, func() error {
		if !r.changed() {
			return errors.New("nobody is told of the address")
		}
		return nil
	})
	if got := r.resolve(config.Host{Name: "known.example"}); got != ip("198.51.100.1") {
		t.Errorf("the known one is %v", got)
	}
	r.follow(to("known.example"), nil)
	if got := <-ended; got != "lost.example" || len(r.names) != 1 {
		t.Errorf("the look-up of %s ended, there are %d names", got, len(r.names))
	}
	r.follow(to("lost.example"), nil) // again
	<-began
	r.close()
	if got := <-ended; got != "lost.example" || len(r.names) != 0 {
		t.Errorf("the look-up of %s ended, there are %d names", got, len(r.names))
	}
}

// An interface whose end the kernel has not told yet is no error.
func TestLinkGone(t *testing.T) {
	h := lab.Start(t, hostOfThree).Host("router")
	var log lockedBuffer
	logs, err := newOptions().openLogs(&log)
	check(t, err)
	engine := &fakeEngine{links: make(map[host.Interface]host.Link)}
	check(t, h.Do(func() error {
		d, err := newDaemon(newOptions(), config.Default(), logs)
		if err != nil {
			return err
		}
		defer d.close()
		d.engine = engine
		if err := d.follow(); err != nil {
			return err
		}
		if err := h.Wire("eth2").Detach(); err != nil {
			return err
		}
		return d.follow()
	}))
	if _, ok := engine.link("eth2"); ok {
		t.Error("an interface that is gone is a link")
	}
	if _, ok := engine.link("eth1"); !ok || strings.Contains(log.String(), "level=ERROR") {
		t.Errorf("log:\n%s", &log)
	}
}

// Where nothing takes the log it says so.
func TestNoSyslog(t *testing.T) {
	old := openSyslog
	defer func() { openSyslog = old }()
	openSyslog = func(syslog.Priority, string) (*syslog.Writer, error) { return nil, errors.New("delivery error") }
	if _, stderr, code := run(t, "-n", "-s"); code != 3 || stderr != "mroutd: -s: no syslog listens on this host; start syslogd or journald, or leave out -s\n" {
		t.Errorf("exit %d, %q", code, stderr)
	}
}

// daemonCommand prepares the program in a host, with a /run of its own.
func daemonCommand(h *lab.Host, args ...string) *lab.Cmd {
	c := h.Command(context.Background(), "/proc/self/exe", args...)
	c.Env = append(os.Environ(), asProgram+"=1")
	return c
}

// startDaemon runs the program in a host and waits until it routes.
func startDaemon(t *testing.T, h *lab.Host, args ...string) *lab.Cmd {
	t.Helper()
	return startUntil(t, "msg=routing", h, append([]string{"-n"}, args...)...)
}

// startUntil runs the program in a host and waits until it says something.
func startUntil(t *testing.T, said string, h *lab.Host, args ...string) *lab.Cmd {
	t.Helper()
	c := daemonCommand(h, args...)
	check(t, c.Start())
	lab.Until(t, patience, func() error {
		select {
		case <-c.Done():
			t.Fatalf("%s: it has ended:\n%s", h.Name, c.Log())
		default:
		}
		if !strings.Contains(c.Log(), said) {
			return fmt.Errorf("%s has not said %q:\n%s", h.Name, said, c.Log())
		}
		return nil
	})
	return c
}

// Started, reconfigured and told to end as root: it has two privileges left, can
// still read its file, and takes its pid file with it.
func TestDaemon(t *testing.T) {
	h := lab.Start(t, hostOfThree).Host("router")
	file := filepath.Join(t.TempDir(), "router.conf")
	check(t, os.WriteFile(file, []byte("phyint eth0 disable\n"), 0o600))
	c := startDaemon(t, h, "-f", file, "-l", "info")
	const pidFile = "/run/mroutd.pid"
	read := func(path string) string {
		b := lab.Within(t, h, func() ([]byte, error) { return os.ReadFile(path) })
		return strings.TrimSpace(string(b))
	}
	if got := read(pidFile); got != strconv.Itoa(c.Process.Pid) {
		t.Errorf("pid file: %s, want %d", got, c.Process.Pid)
	}
	if got := vifsOf(t, h, 0); !slices.Equal(got, []string{"eth1", "eth2"}) {
		t.Errorf("vifs: %v", got)
	}
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", c.Process.Pid))
	check(t, err)
	for _, thread := range threads {
		// CAP_NET_ADMIN is 12, CAP_NET_RAW 13.
		b, err := os.ReadFile(thread)
		if text := string(b); err != nil || !strings.Contains(text, "CapEff:\t0000000000003000") || !strings.Contains(text, "CapPrm:\t0000000000003000") {
			t.Errorf("privileges of %s: %v\n%s", thread, err, text)
		}
	}
	check(t, os.WriteFile(file, nil, 0o600))
	check(t, c.Process.Signal(syscall.SIGHUP))
	lab.Until(t, patience, func() error {
		if got := vifsOf(t, h, 0); len(got) != 3 {
			return fmt.Errorf("vifs: %v\n%s", got, c.Log())
		}
		return nil
	})
	check(t, os.WriteFile(file, []byte("phyint eth0 wrong"), 0o600))
	check(t, c.Process.Signal(syscall.SIGHUP))
	lab.Until(t, patience, func() error {
		if !strings.Contains(c.Log(), "the old one stays") || !strings.Contains(c.Log(), file+":1:13: ") {
			return errors.New(c.Log())
		}
		return nil
	})
	// Another one for the same table says what to do.
	var stderr lockedBuffer
	second := daemonCommand(h, "-n", "-f", os.DevNull)
	second.Stderr = &stderr
	code, err := lab.ExitCode(second.Run())
	check(t, err)
	if got := stderr.String(); code != 3 || strings.Count(got, "\n") != 1 || !strings.Contains(got, "another program routes multicast here: stop it") {
		t.Errorf("the second: exit %d\n%s", code, got)
	}
	if got := read(pidFile); got != strconv.Itoa(c.Process.Pid) {
		t.Errorf("pid file after that: %s", got)
	}

	// The signals that make mrouted say what it knows do not end it.
	for _, dump := range []syscall.Signal{syscall.SIGUSR1, syscall.SIGUSR2} {
		check(t, c.Process.Signal(dump))
		lab.Until(t, patience, func() error {
			if !strings.Contains(c.Log(), "signal=\""+dump.String()+"\"") {
				return errors.New(c.Log())
			}
			return nil
		})
	}

	check(t, c.Process.Signal(syscall.SIGTERM))
	if code, err := lab.ExitCode(c.Wait()); code != 0 || err != nil {
		t.Errorf("exit %d, %v", code, err)
	}
	err = h.Do(func() error { _, err := os.Stat(pidFile); return err })
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("pid file at the end: %v", err)
	}
	if got := vifsOf(t, h, 0); len(got) != 0 {
		t.Errorf("vifs at the end: %v", got)
	}
}

// Without -n it returns when it is ready in the background, or with the error that
// keeps it from that.
func TestBackground(t *testing.T) {
	h := lab.Start(t, hostOfThree).Host("router")
	launch := func(args ...string) (code int, stderr string) {
		t.Helper()
		var errs lockedBuffer
		c := daemonCommand(h, args...)
		c.Stderr = &errs
		code, err := lab.ExitCode(c.Run())
		check(t, err)
		return code, errs.String()
	}
	code, stderr := launch("-f", "/nowhere.conf")
	if code != 3 || !strings.Contains(stderr, "/nowhere.conf") {
		t.Errorf("without its file: exit %d\n%s", code, stderr)
	}
	code, stderr = launch("-f", os.DevNull, "-i", "other")
	if code != 0 {
		t.Fatalf("exit %d\n%s", code, stderr)
	}
	b := lab.Within(t, h, func() ([]byte, error) { return os.ReadFile("/run/other.pid") })
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	check(t, err)
	if got := vifsOf(t, h, 0); len(got) != 3 {
		t.Errorf("vifs: %v", got)
	}
	if cwd, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", pid)); cwd != "/" || err != nil {
		t.Errorf("working directory: %s, %v", cwd, err)
	}
	code, stderr = launch("-f", os.DevNull)
	if code != 3 || !strings.Contains(stderr, "another program routes multicast here") {
		t.Errorf("a second one: exit %d\n%s", code, stderr)
	}
	check(t, syscall.Kill(pid, syscall.SIGTERM))
	lab.Until(t, patience, func() error {
		if got := vifsOf(t, h, 0); len(got) != 0 {
			return fmt.Errorf("vifs: %v", got)
		}
		return nil
	})
}

// A second one with the same name leaves the pid file of the first alone. A file of
// somebody who does not run any more is nobody's.
func TestPIDFile(t *testing.T) {
	h := lab.Start(t, hostOfThree).Host("router")
	const pidFile = "/run/mroutd.pid"
	holds := func(when string, c *lab.Cmd) {
		t.Helper()
		b := lab.Within(t, h, func() ([]byte, error) { return os.ReadFile(pidFile) })
		if got := string(b); got != fmt.Sprintln(c.Process.Pid) {
			t.Errorf("%s the pid file says %q, want %d", when, got, c.Process.Pid)
		}
	}
	ended := exec.Command("/proc/self/exe", "-test.run=^$")
	check(t, ended.Run())
	check(t, h.Do(func() error { return os.WriteFile(pidFile, fmt.Appendln(nil, ended.Process.Pid), 0o644) }))
	first := startDaemon(t, h, "-f", os.DevNull)
	holds("after one that has ended", first)
	second := startDaemon(t, h, "-f", os.DevNull, "-t", "100")
	holds("beside a second one", first)
	if log := second.Log(); !strings.Contains(log, "no pid file: choose another with -p, or another name for all files with -i") ||
		!strings.Contains(log, fmt.Sprintf("%s is that of process %d, which runs", pidFile, first.Process.Pid)) {
		t.Errorf("the second says:\n%s", log)
	}
	check(t, second.Stop(patience))
	holds("after the second one", first)
	// Whoever has taken the file meanwhile keeps it.
	check(t, h.Do(func() error { return os.WriteFile(pidFile, []byte("1\n"), 0o644) }))
	check(t, first.Process.Signal(syscall.SIGQUIT))
	if code, err := lab.ExitCode(first.Wait()); code != 0 || err != nil || !strings.Contains(first.Log(), "told to end") {
		t.Errorf("told to quit: exit %d, %v\n%s", code, err, first.Log())
	}
	b := lab.Within(t, h, func() ([]byte, error) { return os.ReadFile(pidFile) })
	if string(b) != "1\n" {
		t.Errorf("the pid file of another one says %q", b)
	}
}

// It goes on with the socket of an earlier process, whose vifs it keeps as they are.
func TestDaemonInherits(t *testing.T) {
	h := lab.Start(t, hostOfThree).Host("router")
	table := lab.Within(t, h, func() (*mroute.Table, error) { return mroute.Open(0) })
	check(t, errors.Join(table.AddVif(7, h.Wire("eth1").Index), table.AddVif(9, h.Wire("eth0").Index)))
	entry := mroute.Entry{Source: source, Group: group, Parent: 7}
	entry.TTLs[9] = 1
	check(t, table.AddMFC(entry))
	c := daemonCommand(h, "-n", "-f", os.DevNull)
	c.ExtraFiles = []*os.File{table.File()}
	c.Env = append(c.Env, inheritedVariable+"=3")
	check(t, c.Start())
	check(t, table.Close())
	reader := lab.Within(t, h, mroute.OpenReader)
	defer reader.Close()
	lab.Until(t, patience, func() error {
		vifs, err := reader.Vifs(0)
		if err == nil && len(vifs) != 3 {
			err = fmt.Errorf("vifs: %+v\n%s", vifs, c.Log())
		}
		return err
	})
	vifs, err := reader.Vifs(0)
	check(t, err)
	for _, v := range vifs {
		if v.IfIndex == h.Wire("eth1").Index && v.ID != 7 || v.IfIndex == h.Wire("eth0").Index && v.ID != 9 {
			t.Errorf("a vif has another number: %+v", vifs)
		}
	}
	if got := installedAt(t, h); !slices.Equal(got, []string{"eth0"}) {
		t.Errorf("the flow goes to %v", got)
	}
	check(t, c.Stop(patience))
	if got := vifsOf(t, h, 0); len(got) != 0 {
		t.Errorf("vifs at the end: %v", got)
	}
}

// Two of them share a host.
func TestTwoInstances(t *testing.T) {
	h := lab.Start(t, hostOfThree).Host("router")
	dir := t.TempDir()
	for i, text := range []string{"no phyint phyint eth0 enable\n", "no phyint phyint eth1 enable phyint eth2 enable\n"} {
		file := filepath.Join(dir, strconv.Itoa(i))
		check(t, os.WriteFile(file, []byte(text), 0o644))
		startDaemon(t, h, "-f", file, "-t", strconv.Itoa(100+i), "-i", "router"+strconv.Itoa(i))
	}
	if a, b := vifsOf(t, h, 100), vifsOf(t, h, 101); !slices.Equal(a, []string{"eth0"}) || !slices.Equal(b, []string{"eth1", "eth2"}) {
		t.Errorf("vifs: %v, %v", a, b)
	}
	for _, name := range []string{"router0", "router1"} {
		lab.Within(t, h, func() ([]byte, error) { return os.ReadFile("/run/" + name + ".pid") })
	}
}

// It says what it lacks, and how to get it.
func TestDaemonWithoutPrivilege(t *testing.T) {
	h := lab.Start(t, hostOfThree).Host("router")
	err := h.Do(func() error {
		if err := keepCapabilities(); err != nil {
			return err
		}
		_, err := newDaemon(newOptions(), config.Default(), testLogs(t))
		return err
	})
	if got := couldNot(err).Error(); !strings.Contains(got, "CAP_NET_ADMIN") {
		t.Error(got)
	}
}

func testLogs(t *testing.T) logs {
	t.Helper()
	l, err := newOptions().openLogs(io.Discard)
	check(t, err)
	return l
}

// A generation id never comes twice.
func TestGeneration(t *testing.T) {
	path := filepath.Join(t.TempDir(), "genid")
	log := testLogs(t).main
	last := nextGeneration(path, log)
	for range 3 {
		next := nextGeneration(path, log)
		if int32(next-last) <= 0 {
			t.Errorf("%d after %d", next, last)
		}
		last = next
	}
	check(t, os.WriteFile(path, []byte("4294967295\n"), 0o644)) // an old one that has come round
	if got := nextGeneration(path, log); got == 4294967295 {
		t.Errorf("%d again", got)
	}
	check(t, os.WriteFile(path, []byte("nonsense"), 0o644))
	if got := nextGeneration(path, log); time.Since(time.Unix(int64(got), 0)).Abs() > time.Hour {
		t.Errorf("%d without a last one: it is not the time", got)
	}
}

// Mroutd check tells all problems by their place.
func TestCheck(t *testing.T) {
	dir := t.TempDir()
	good, bad := filepath.Join(dir, "good.conf"), filepath.Join(dir, "bad.conf")
	check(t, os.WriteFile(good, []byte("phyint eth0 metric 2\n"), 0o644))
	check(t, os.WriteFile(bad, []byte("phyint eth0 metric 99\nphyint eth1 foo\n"), 0o644))
	for _, c := range []struct {
		args  []string
		code  int
		lines []string
	}{
		{[]string{good}, 0, nil},
		{[]string{bad}, 1, []string{bad + ":1:20: ", bad + ":2:13: "}},
		{[]string{filepath.Join(dir, "none.conf")}, 3, nil},
		{[]string{good, bad}, 2, nil},
	} {
		stdout, stderr, code := run(t, append([]string{"check"}, c.args...)...)
		lines := strings.Split(strings.TrimSpace(stdout), "\n")
		if stdout == "" {
			lines = nil
		}
		if code != c.code || len(lines) != len(c.lines) || (stderr != "") != (code > 1) {
			t.Errorf("%q: exit %d, %q, %q", c.args, code, stdout, stderr)
			continue
		}
		for i, want := range c.lines {
			if !strings.HasPrefix(lines[i], want) {
				t.Errorf("line %q, want %q...", lines[i], want)
			}
		}
	}
	if stdout, _, code := run(t, "-d", "?"); code != 0 || stdout != "packet pruning routing route-detail neighbors kernel cache timer interface membership traceroute igmp icmp all\n" {
		t.Errorf("-d ?: exit %d, %q", code, stdout)
	}
}

const twoRouters = `
lan net1
lan net2
lan net3
host sender
  interface eth0 on net1 10.0.1.1/24
host r1
  interface eth0 on net1 10.0.1.254/24
  interface eth1 on net2 10.0.2.1/24
host r2
  interface eth0 on net2 10.0.2.2/24
  interface eth1 on net3 10.0.3.254/24
host receiver
  interface eth0 on net3 10.0.3.1/24
`

// Two routers find each other, and packets of a sender behind the one reach a member
// behind the other; no more when the link between them is cut, and again when it is
// mended.
func TestTwoRouters(t *testing.T) {
	l := lab.Start(t, twoRouters)
	for _, name := range []string{"r1", "r2"} {
		startDaemon(t, l.Host(name), "-f", os.DevNull, "-l", "debug")
	}
	r, err := l.Host("receiver").Join(sent, "eth0", netip.Addr{})
	check(t, err)
	defer r.Close()
	// arrives sends until something has come.
	arrives := func(when string) {
		t.Helper()
		lab.Until(t, patience, func() error {
			before := r.Stats().Packets
			_, err := l.Host("sender").Send(t.Context(), lab.Flow{Group: sent, Interface: "eth0", Count: 1})
			check(t, err)
			time.Sleep(20 * time.Millisecond) // between two of a stream
			if r.Stats().Packets == before {
				return fmt.Errorf("%s: nothing arrives", when)
			}
			return nil
		})
	}
	arrives("at first")
	stream, err := l.Host("receiver").Join(sent, "eth0", netip.Addr{})
	check(t, err)
	defer stream.Close()
	const n = 200
	_, err = l.Host("sender").Send(t.Context(), lab.Flow{Group: sent, Interface: "eth0", Count: n, Interval: time.Millisecond})
	check(t, err)
	lab.Until(t, patience, func() error {
		if s := stream.Stats(); s.Packets != n || s.Duplicates != 0 {
			return fmt.Errorf("%+v, want %d packets", s, n)
		}
		return nil
	})
	check(t, l.Host("r1").Wire("eth1").SetCarrier(false))
	lab.Until(t, patience, func() error {
		if got := installedAt(t, l.Host("r1")); len(got) > 0 {
			return fmt.Errorf("r1 forwards to %v without the link", got)
		}
		return nil
	})
	check(t, l.Host("r1").Wire("eth1").SetCarrier(true))
	arrives("with the link again")
}

// installedAt returns where the kernel of a host forwards the flow of the tests.
func installedAt(t *testing.T, h *lab.Host) (outputs []string) {
	t.Helper()
	reader := lab.Within(t, h, mroute.OpenReader)
	defer reader.Close()
	e, _, err := reader.Route(0, source, group)
	check(t, err)
	for _, o := range e.Outputs {
		link, err := h.Netlink().LinkByIndex(o.IfIndex)
		check(t, err)
		outputs = append(outputs, link.Attrs().Name)
	}
	return outputs
}
