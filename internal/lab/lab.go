package lab

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Limits of a lab.
const (
	maxName      = 63 // of hosts and LANs: a host's name is its hostname too (RFC 1123)
	maxInterface = unix.IFNAMSIZ - 1
	maxWires     = 1 << 16 // the wire's number is the last two bytes of its MAC address
)

// linkLimit is how long the kernel may take to make a wire work: on a busy
// machine its work queues can lag by seconds.
const linkLimit = 30 * time.Second

// Lab is a network of hosts. Its methods may be called from any goroutine.
type Lab struct {
	mu     sync.Mutex
	hub    *Host // no host of the network: the namespace where the bridges are
	hosts  []*Host
	lans   []*LAN
	wires  int // ever made
	closed bool

	filter wireTable // loses packets
}

// LAN is an Ethernet segment: what one host sends, all others hear. It does no
// multicast snooping.
type LAN struct {
	Name string
	MTU  int // bytes, 0: 1500

	bridge *netlink.Bridge
}

// Host is a computer of the lab.
type Host struct {
	Name string

	lab           *Lab
	net, mnt, uts *os.File // its namespaces
	netlink       *netlink.Handle
	wires         []*Wire
	private       []string
	programs      []*Cmd
	forwards      *forwarding // nil: the lab does not own its multicast routing table
}

// Wire joins an interface of a host to a LAN.
type Wire struct {
	Host      *Host
	LAN       *LAN
	Interface string // its name in the host
	Index     int    // its index in the host
	MAC       net.HardwareAddr

	port  string // the other end, in the hub
	order int
}

// New makes an empty lab. The process must be inside (see [Enter]).
func New() (*Lab, error) {
	if !Inside() {
		return nil, errors.New("lab: this process is not inside a lab: call lab.Enter (commands) or lab.Main (tests) first")
	}
	l := &Lab{}
	hub, err := newHost(l, "hub")
	if err != nil {
		return nil, err
	}
	l.hub = hub
	return l, nil
}

// Close ends every program and removes all hosts and LANs. Sockets that are
// still open keep their host's namespace alive until they are closed.
func (l *Lab) Close() error {
	l.mu.Lock()
	hosts := append(slices.Clone(l.hosts), l.hub)
	closed := l.closed
	l.closed = true
	l.mu.Unlock()
	if closed {
		return nil
	}
	var errs []error
	for _, h := range hosts {
		errs = append(errs, h.killAll())
	}
	for _, h := range hosts {
		h.release()
	}
	return errors.Join(errs...)
}

// AddLAN makes a LAN. mtu is in bytes; 0 means 1500.
func (l *Lab) AddLAN(name string, mtu int) (*LAN, error) {
	if err := checkName(name, maxName); err != nil {
		return nil, fmt.Errorf("lab: LAN %q: %w", name, err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if slices.ContainsFunc(l.lans, func(o *LAN) bool { return o.Name == name }) {
		return nil, fmt.Errorf("lab: LAN %q exists already", name)
	}
	lan := &LAN{Name: name, MTU: mtu}
	noSnooping := false
	lan.bridge = &netlink.Bridge{LinkAttrs: netlink.NewLinkAttrs(), MulticastSnooping: &noSnooping}
	lan.bridge.Name = fmt.Sprintf("lan%d", len(l.lans))
	lan.bridge.MTU = mtu
	lan.bridge.HardwareAddr = net.HardwareAddr{0x02, 0x6d, 0x62, 0xff, byte(len(l.lans) >> 8), byte(len(l.lans))}
	err := l.hub.netlink.LinkAdd(lan.bridge)
	if err == nil {
		err = l.hub.netlink.LinkSetAlias(lan.bridge, name)
	}
	if err == nil {
		err = l.hub.netlink.LinkSetUp(lan.bridge)
	}
	if err != nil {
		return nil, fmt.Errorf("lab: LAN %s: make bridge: %w", name, err)
	}
	l.lans = append(l.lans, lan)
	return lan, nil
}

// LAN returns the LAN of that name, or nil.
func (l *Lab) LAN(name string) *LAN {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, lan := range l.lans {
		if lan.Name == name {
			return lan
		}
	}
	return nil
}

// AddHost makes a host with a loopback interface and nothing else. It does not
// forward, filters no source addresses (rp_filter 0) and has no IPv6.
func (l *Lab) AddHost(name string) (*Host, error) {
	if err := checkName(name, maxName); err != nil {
		return nil, fmt.Errorf("lab: host %q: %w", name, err)
	}
	if l.Host(name) != nil {
		return nil, fmt.Errorf("lab: host %q exists already", name)
	}
	h, err := newHost(l, name)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.hosts = append(l.hosts, h)
	return h, nil
}

// Host returns the host of that name, or nil.
func (l *Lab) Host(name string) *Host {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, h := range l.hosts {
		if h.Name == name {
			return h
		}
	}
	return nil
}

// Hosts returns all hosts in the order in which they were made.
func (l *Lab) Hosts() []*Host {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.hosts)
}

// initialSysctls are what a host begins with. IPv4 settings of a new namespace
// are copied from the machine, so those that decide who gets a packet are set
// to the kernel's own defaults. IPv6 would only make noise.
var initialSysctls = []struct{ key, value string }{
	{"net.ipv4.ip_forward", "0"},
	{"net.ipv4.conf.all.rp_filter", "0"},
	{"net.ipv4.conf.default.rp_filter", "0"},
	{"net.ipv4.conf.all.force_igmp_version", "0"},
	{"net.ipv4.conf.default.force_igmp_version", "0"},
	{"net.ipv6.conf.all.disable_ipv6", "1"},
	{"net.ipv6.conf.default.disable_ipv6", "1"},
}

func newHost(l *Lab, name string) (*Host, error) {
	h := &Host{Name: name, lab: l}
	err := onThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET | unix.CLONE_NEWNS | unix.CLONE_NEWUTS); err != nil {
			return fmt.Errorf("unshare: %w", err)
		}
		// Whatever is mounted below must not reach anybody else.
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			return fmt.Errorf("make mounts private: %w", err)
		}
		if err := mountRun(); err != nil {
			return fmt.Errorf("mount /run: %w", err)
		}
		// Only for programs that look into /sys/class/net. Some containers do not
		// allow it; then these see the machine's interfaces there.
		_ = unix.Mount("sysfs", "/sys", "sysfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "")
		if err := unix.Sethostname([]byte(name)); err != nil {
			return fmt.Errorf("sethostname: %w", err)
		}
		for _, s := range initialSysctls {
			if err := writeSysctl(s.key, s.value); err != nil && !errors.Is(err, os.ErrNotExist) {
				return err
			}
		}
		var err error
		for _, ns := range []struct {
			file **os.File
			name string
		}{{&h.net, "net"}, {&h.mnt, "mnt"}, {&h.uts, "uts"}} {
			if *ns.file, err = os.Open("/proc/thread-self/ns/" + ns.name); err != nil {
				return err
			}
		}
		if h.netlink, err = netlink.NewHandle(unix.NETLINK_ROUTE); err != nil {
			return fmt.Errorf("open netlink: %w", err)
		}
		return linkUp(h.netlink, "lo")
	})
	if err != nil {
		h.release()
		return nil, fmt.Errorf("lab: host %s: %w", name, err)
	}
	return h, nil
}

func (h *Host) release() {
	if h.forwards != nil {
		h.forwards.table.Close()
	}
	for _, f := range []*os.File{h.net, h.mnt, h.uts} {
		if f != nil {
			f.Close()
		}
	}
	if h.netlink != nil {
		h.netlink.Close()
	}
}

// onThread runs fn on an operating system thread of its own, which ends with
// it: whatever fn does to the namespaces of its thread, nobody inherits.
func onThread(fn func() error) error {
	err := errors.New("lab: the function ended its goroutine (t.FailNow?) instead of returning")
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		if unix.Gettid() == os.Getpid() {
			// The main thread cannot end, and /proc/PID shows where it is. Now that
			// it is locked, another one is taken.
			err = onThread(fn)
			runtime.UnlockOSThread()
			return
		}
		// Never unlocked: the runtime ends the thread together with the goroutine.
		err = fn()
	}()
	<-done
	return err
}

// Do runs fn inside the host: on a thread of its own, with the host's
// interfaces and files. Sockets opened by fn stay in the host for good; they
// may be used from anywhere. What other goroutines do that fn starts happens
// outside the host: this includes name look-ups of the net package, so use
// literal addresses.
func (h *Host) Do(fn func() error) error {
	wd, err := os.Getwd()
	if err != nil {
		return fmt.Errorf("lab: host %s: %w", h.Name, err)
	}
	return onThread(func() error {
		// A thread that shares its root and working directory with others cannot
		// change its mount namespace.
		if err := unix.Unshare(unix.CLONE_FS); err != nil {
			return fmt.Errorf("lab: host %s: unshare: %w", h.Name, err)
		}
		for _, f := range []*os.File{h.net, h.uts, h.mnt} {
			if err := unix.Setns(int(f.Fd()), 0); err != nil {
				return fmt.Errorf("lab: host %s: setns: %w", h.Name, err)
			}
		}
		if err := unix.Chdir(wd); err != nil {
			return fmt.Errorf("lab: host %s: chdir %s: %w", h.Name, wd, err)
		}
		return fn()
	})
}

// Netlink returns a netlink handle of the host, for changes that have no method here.
func (h *Host) Netlink() *netlink.Handle { return h.netlink }

// Sysctl sets a kernel parameter of the host, e.g. "net.ipv4.ip_forward" to "1".
// Interface names with a dot are written with slashes instead of the dots
// around them, as sysctl(8) does: "net/ipv4/conf/eth0.1/rp_filter".
func (h *Host) Sysctl(key, value string) error {
	if err := h.Do(func() error { return writeSysctl(key, value) }); err != nil {
		return fmt.Errorf("lab: host %s: %w", h.Name, err)
	}
	return nil
}

func writeSysctl(key, value string) error {
	path, err := sysctlPath(key)
	if err == nil {
		err = os.WriteFile(path, []byte(value), 0)
	}
	if err != nil {
		return fmt.Errorf("sysctl %s=%s: %w", key, value, err)
	}
	return nil
}

func sysctlPath(key string) (string, error) {
	path := key
	if !strings.Contains(path, "/") {
		path = strings.ReplaceAll(path, ".", "/")
	}
	if !strings.HasPrefix(path, "net/") || !filepath.IsLocal(path) || filepath.Clean(path) != path {
		return "", fmt.Errorf("expected a kernel parameter of a host, such as net.ipv4.ip_forward, found %q", key)
	}
	return "/proc/sys/" + path, nil
}

// Attach makes an interface with the addresses given, wires it to a LAN and
// sets it up. Its index and MAC address depend only on the order of calls.
func (h *Host) Attach(lan *LAN, name string, addresses ...netip.Prefix) (*Wire, error) {
	w, err := h.attach(lan, name)
	if err != nil {
		return nil, fmt.Errorf("lab: host %s: interface %s: %w", h.Name, name, err)
	}
	for _, a := range addresses {
		if err := w.AddAddress(a); err != nil {
			return nil, err
		}
	}
	return w, nil
}

func (h *Host) attach(lan *LAN, name string) (*Wire, error) {
	if err := checkName(name, maxInterface); err != nil {
		return nil, err
	}
	l := h.lab
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.wires == maxWires {
		return nil, fmt.Errorf("a lab has at most %d wires", maxWires)
	}
	l.wires++
	hi, lo := byte(l.wires>>8), byte(l.wires)
	w := &Wire{
		Host: h, LAN: lan, Interface: name, order: l.wires,
		MAC:  net.HardwareAddr{0x02, 0x6d, 0x62, 0x00, hi, lo},
		port: fmt.Sprintf("port%d", l.wires),
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name = w.port
	attrs.MTU = lan.MTU
	attrs.MasterIndex = lan.bridge.Index
	attrs.HardwareAddr = net.HardwareAddr{0x02, 0x6d, 0x62, 0x01, hi, lo}
	veth := &netlink.Veth{
		LinkAttrs: attrs,
		PeerName:  name, PeerHardwareAddr: w.MAC, PeerNamespace: netlink.NsFd(h.net.Fd()), PeerMTU: uint32(lan.MTU),
	}
	if err := l.hub.netlink.LinkAdd(veth); err != nil {
		return nil, fmt.Errorf("make veth: %w", err)
	}
	if err := l.hub.netlink.LinkSetAlias(veth, h.Name+":"+name); err != nil {
		return nil, fmt.Errorf("name port: %w", err)
	}
	if err := l.hub.netlink.LinkSetUp(veth); err != nil {
		return nil, fmt.Errorf("set port up: %w", err)
	}
	link, err := h.netlink.LinkByName(name)
	if err != nil {
		return nil, err
	}
	w.Index = link.Attrs().Index
	if err := h.netlink.LinkSetUp(link); err != nil {
		return nil, fmt.Errorf("set up: %w", err)
	}
	if err := w.await(true); err != nil {
		return nil, err
	}
	h.wires = append(h.wires, w)
	return w, nil
}

// await waits until both ends of the wire work, or do not. The kernel switches
// the queues of an interface that has got its carrier on a little later, from a
// work queue; until then it drops everything.
func (w *Wire) await(running bool) error {
	deadline := time.Now().Add(linkLimit)
	for {
		var err error
		working := func(h *Host, name string) bool {
			var link netlink.Link
			if err == nil {
				link, err = h.netlink.LinkByName(name)
			}
			return err == nil && link.Attrs().RawFlags&unix.IFF_RUNNING != 0
		}
		host, port := working(w.Host, w.Interface), working(w.Host.lab.hub, w.port)
		switch {
		case err != nil:
			return err
		case host == running && port == running:
			return nil
		case time.Now().After(deadline):
			return fmt.Errorf("after %v the interface's running is %v and its port's %v, want %v", linkLimit, host, port, running)
		}
		time.Sleep(pollInterval)
	}
}

// Wire returns the wire of an interface, or nil.
func (h *Host) Wire(name string) *Wire {
	h.lab.mu.Lock()
	defer h.lab.mu.Unlock()
	for _, w := range h.wires {
		if w.Interface == name {
			return w
		}
	}
	return nil
}

// Wires returns the wires of the host in the order in which they were attached.
func (h *Host) Wires() []*Wire {
	h.lab.mu.Lock()
	defer h.lab.mu.Unlock()
	return slices.Clone(h.wires)
}

// Detach removes the interface from its host, as if its card were pulled out.
func (w *Wire) Detach() error {
	l := w.Host.lab
	l.mu.Lock()
	w.Host.wires = slices.DeleteFunc(w.Host.wires, func(o *Wire) bool { return o == w })
	l.mu.Unlock()
	link, err := l.hub.netlink.LinkByName(w.port)
	if err == nil {
		err = l.hub.netlink.LinkDel(link)
	}
	return w.wrap("detach", err)
}

// AddAddress gives the interface an address, with the broadcast address of its prefix.
func (w *Wire) AddAddress(p netip.Prefix) error {
	return w.wrap("add "+p.String(), w.Host.netlink.AddrAdd(w.link(), address(p)))
}

// RemoveAddress takes an address away.
func (w *Wire) RemoveAddress(p netip.Prefix) error {
	return w.wrap("remove "+p.String(), w.Host.netlink.AddrDel(w.link(), address(p)))
}

// Addresses returns the addresses of the interface in the order in which they were added.
func (w *Wire) Addresses() ([]netip.Prefix, error) {
	list, err := w.Host.netlink.AddrList(w.link(), unix.AF_INET)
	for errors.Is(err, netlink.ErrDumpInterrupted) { // something changed meanwhile
		list, err = w.Host.netlink.AddrList(w.link(), unix.AF_INET)
	}
	if err != nil {
		return nil, w.wrap("list addresses", err)
	}
	var prefixes []netip.Prefix
	for _, a := range list {
		ip, _ := netip.AddrFromSlice(a.IP.To4())
		bits, _ := a.Mask.Size()
		prefixes = append(prefixes, netip.PrefixFrom(ip, bits))
	}
	return prefixes, nil
}

// SetUp sets the interface up or down in its host, as an administrator does.
// It returns when the kernel has done so.
func (w *Wire) SetUp(up bool) error {
	return w.wrap("set up or down", w.set(w.Host.netlink, w.link(), up))
}

// SetCarrier plugs the cable in or pulls it out at the LAN: the interface stays
// up, loses its carrier, and the host's kernel tells everybody who listens. The
// interface must be up. It returns when the kernel has done so.
func (w *Wire) SetCarrier(on bool) error {
	hub := w.Host.lab.hub.netlink
	port, err := hub.LinkByName(w.port)
	if err == nil {
		err = w.set(hub, port, on)
	}
	return w.wrap("set carrier", err)
}

// set sets one end of the wire up or down, which the other end sees.
func (w *Wire) set(h *netlink.Handle, end netlink.Link, up bool) error {
	change := h.LinkSetDown
	if up {
		change = h.LinkSetUp
	}
	if err := change(end); err != nil {
		return err
	}
	return w.await(up)
}

// String returns host:interface.
func (w *Wire) String() string { return w.Host.Name + ":" + w.Interface }

func (w *Wire) link() netlink.Link {
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.Index = w.Interface, w.Index
	return &netlink.Veth{LinkAttrs: attrs}
}

func (w *Wire) wrap(op string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("lab: wire %s: %s: %w", w, op, err)
}

func address(p netip.Prefix) *netlink.Addr {
	return &netlink.Addr{IPNet: ipNet(p)}
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

func linkUp(h *netlink.Handle, name string) error {
	link, err := h.LinkByName(name)
	if err == nil {
		err = h.LinkSetUp(link)
	}
	if err != nil {
		return fmt.Errorf("set %s up: %w", name, err)
	}
	return nil
}

// checkName accepts what is a name to the kernel, to sysctl and to people.
func checkName(name string, limit int) error {
	if name == "" || len(name) > limit {
		return fmt.Errorf("a name has 1 to %d characters", limit)
	}
	for i, r := range name {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
		if !letter && (i == 0 || !strings.ContainsRune("-_.", r)) {
			return errors.New("a name begins with a letter or digit; hyphens, underscores and dots may follow")
		}
	}
	return nil
}

// RouteType says what happens to packets that match a route.
type RouteType uint8

// Route types.
const (
	Unicast     RouteType = unix.RTN_UNICAST
	Local       RouteType = unix.RTN_LOCAL       // they are this host's own
	Blackhole   RouteType = unix.RTN_BLACKHOLE   // they vanish
	Unreachable RouteType = unix.RTN_UNREACHABLE // the sender is told
)

// String returns the word of a topology file.
func (t RouteType) String() string {
	switch t {
	case Unicast:
		return "unicast"
	case Local:
		return "local"
	case Blackhole:
		return "blackhole"
	case Unreachable:
		return "unreachable"
	}
	return fmt.Sprintf("type %d", uint8(t))
}

// Route is an entry of a host's main routing table (type [Local]: of its local table).
type Route struct {
	Type        RouteType    // 0: Unicast
	Destination netip.Prefix // 0.0.0.0/0: the default route
	Via         netip.Addr   // the gateway; invalid: none
	Interface   string       // "": by the gateway, or lo for Local
	Metric      int
}

// AddRoute adds a route. It may be called again with another metric.
func (h *Host) AddRoute(r Route) error {
	nr, err := h.route(r)
	if err == nil {
		err = h.netlink.RouteAdd(nr)
	}
	if err != nil {
		return fmt.Errorf("lab: host %s: add route %s: %w", h.Name, r.Destination, err)
	}
	return nil
}

// RemoveRoute removes a route that was added.
func (h *Host) RemoveRoute(r Route) error {
	nr, err := h.route(r)
	if err == nil {
		err = h.netlink.RouteDel(nr)
	}
	if err != nil {
		return fmt.Errorf("lab: host %s: remove route %s: %w", h.Name, r.Destination, err)
	}
	return nil
}

func (h *Host) route(r Route) (*netlink.Route, error) {
	if r.Type == 0 {
		r.Type = Unicast
	}
	nr := &netlink.Route{Type: int(r.Type), Dst: ipNet(r.Destination.Masked()), Priority: r.Metric}
	if r.Via.IsValid() {
		nr.Gw = r.Via.AsSlice()
	}
	if r.Type == Local {
		nr.Table, nr.Scope = unix.RT_TABLE_LOCAL, netlink.SCOPE_HOST
		if r.Interface == "" {
			r.Interface = "lo"
		}
	}
	if r.Interface != "" {
		link, err := h.netlink.LinkByName(r.Interface)
		if err != nil {
			return nil, fmt.Errorf("interface %s: %w", r.Interface, err)
		}
		nr.LinkIndex = link.Attrs().Index
		if !r.Via.IsValid() && r.Type == Unicast {
			nr.Scope = netlink.SCOPE_LINK
		}
	}
	return nr, nil
}

// Private covers directories of the host with empty ones of its own, in memory,
// so that programs in several hosts do not write the same files; /run is such a
// directory from the start. The directories must exist. Programs that are
// already running see the change too.
func (h *Host) Private(dirs ...string) error {
	for _, dir := range dirs {
		err := h.Do(func() error {
			return unix.Mount("tmpfs", dir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=0755")
		})
		if err != nil {
			return fmt.Errorf("lab: host %s: private %s: %w", h.Name, dir, err)
		}
		h.lab.mu.Lock()
		h.private = append(h.private, filepath.Clean(dir))
		h.lab.mu.Unlock()
	}
	return nil
}

// WriteFile writes a file of the host. It must be below a private directory
// (see [Host.Private]), so that no lab changes a file of the machine. Missing
// directories on the way are made.
func (h *Host) WriteFile(path string, data []byte, mode os.FileMode) error {
	h.lab.mu.Lock()
	ok := isPrivate(h.private, filepath.Clean(path))
	h.lab.mu.Unlock()
	if !ok {
		return fmt.Errorf("lab: host %s: write %s: not below /run or another private directory of the host", h.Name, path)
	}
	err := h.Do(func() error {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, data, mode); err != nil {
			return err
		}
		return os.Chmod(path, mode) // whatever the umask says
	})
	if err != nil {
		return fmt.Errorf("lab: host %s: %w", h.Name, err)
	}
	return nil
}

// isPrivate reports whether a clean path is below /run or one of dirs.
func isPrivate(dirs []string, path string) bool {
	below := func(dir string) bool { return strings.HasPrefix(path, dir+"/") }
	return below("/run") || slices.ContainsFunc(dirs, below)
}

// killAll ends every process that runs in the host, also those that no longer
// belong to a program of ours because they went into the background.
func (h *Host) killAll() error {
	for _, p := range h.Programs() {
		p.Kill()
	}
	var own unix.Stat_t
	if err := unix.Fstat(int(h.net.Fd()), &own); err != nil {
		return fmt.Errorf("lab: host %s: %w", h.Name, err)
	}
	paths, err := filepath.Glob("/proc/[0-9]*/ns/net")
	if err != nil {
		return fmt.Errorf("lab: host %s: %w", h.Name, err)
	}
	for _, path := range paths {
		var st unix.Stat_t
		// What cannot be looked at has ended in between.
		if unix.Stat(path, &st) != nil || st.Dev != own.Dev || st.Ino != own.Ino {
			continue
		}
		var pid int
		if _, err := fmt.Sscanf(path, "/proc/%d/", &pid); err != nil || pid == os.Getpid() || pid == 1 {
			continue
		}
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("lab: host %s: kill %d: %w", h.Name, pid, err)
		}
	}
	return nil
}
