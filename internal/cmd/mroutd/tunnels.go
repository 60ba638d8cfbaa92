package mroutd

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"time"

	"mbone/internal/config"
	"mbone/internal/plane"
	"mbone/internal/plane/tunnel"
	"mbone/internal/router/host"
)

const (
	// deviceName begins the names of the devices of tunnels, as the kernel's own.
	deviceName = "dvmrp"
	// lookupLimit bounds the look-up of the other end of a tunnel, lookAgain is how
	// long after one that failed the next is made.
	lookupLimit      = 10 * time.Second
	lookupAgain      = time.Minute
	igmpOnTunnels    = 3
	maxLookupAnswers = 64
)

// tunnels are the devices of the tunnels of the configuration.
type tunnels struct {
	wake func()
	log  *slog.Logger
	open map[config.Host]*openTunnel
	// failed are tunnels that could not be opened, and why, as was logged.
	failed map[config.Host]string
	// lost are the packets that tunnels have dropped which are not open any more.
	lost [tunnel.Drops]uint64

	// lookup looks up the addresses of a name.
	lookup func(ctx context.Context, network, name string) ([]netip.Addr, error)

	mu    sync.Mutex
	names map[string]*lookup
	news  bool // a look-up or a device has ended
}

// openTunnel is a tunnel that carries packets.
type openTunnel struct {
	config tunnel.Config
	device *tunnel.Tunnel
}

// lookup is the look-up of a host name, and what came out.
type lookup struct {
	addr netip.Addr
	end  context.CancelFunc // ends the look-up
}

func (t *tunnels) init(wake func(), log *slog.Logger) {
	t.wake, t.log, t.lookup = wake, log, net.DefaultResolver.LookupNetIP
	t.open, t.failed, t.names = make(map[config.Host]*openTunnel), make(map[config.Host]string), make(map[string]*lookup)
}

// close closes all devices.
func (t *tunnels) close() {
	t.forget(nil)
	for remote := range t.open {
		t.shut(remote)
	}
}

// forget ends the look-ups of names that no tunnel has.
func (t *tunnels) forget(wanted []config.Tunnel) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for name, l := range t.names {
		if !slices.ContainsFunc(wanted, func(w config.Tunnel) bool { return w.Remote.Name == name }) {
			l.end()
			delete(t.names, name)
		}
	}
}

func (t *tunnels) shut(remote config.Host) {
	o := t.open[remote]
	delete(t.open, remote)
	if err := o.device.Close(); err != nil {
		t.log.Warn("tunnel not closed", "tunnel", o.device, "error", err)
	}
	t.lost = addDropped(t.lost, o.device)
}

// dropped returns what all tunnels have dropped since the start.
func (t *tunnels) dropped() [tunnel.Drops]uint64 {
	all := t.lost
	for _, o := range t.open {
		all = addDropped(all, o.device)
	}
	return all
}

func addDropped(to [tunnel.Drops]uint64, device *tunnel.Tunnel) [tunnel.Drops]uint64 {
	for why, n := range device.Counters().Dropped {
		to[why] += n
	}
	return to
}

// changed reports whether follow may find something else since it was called last,
// though no interface has changed.
func (t *tunnels) changed() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	news := t.news
	t.news = false
	return news
}

// tell makes changed true, from any goroutine.
func (t *tunnels) tell() {
	t.mu.Lock()
	t.news = true
	t.mu.Unlock()
	t.wake()
}

// follow makes the devices what the configuration says, and returns the links that
// they are.
func (t *tunnels) follow(wanted []config.Tunnel, interfaces []plane.Link) []*link {
	for remote := range t.open {
		if !slices.ContainsFunc(wanted, func(w config.Tunnel) bool { return w.Remote == remote }) {
			t.shut(remote)
		}
	}
	t.forget(wanted)
	var links []*link
	for i := range wanted {
		w := &wanted[i]
		base, local := ends(w.Local, interfaces)
		remote := t.resolve(w.Remote)
		if !local.IsValid() || !remote.IsValid() {
			if t.open[w.Remote] != nil {
				t.shut(w.Remote)
			}
			if !local.IsValid() {
				t.failure(w, fmt.Errorf("tunnel to %s: %s is not here, or has no address: waiting for it", w.Remote, w.Local))
			}
			continue
		}
		if w.Device != "" {
			if t.open[w.Remote] != nil {
				t.shut(w.Remote)
			}
			i := slices.IndexFunc(interfaces, func(l plane.Link) bool { return l.Name == w.Device })
			if i < 0 {
				t.failure(w, fmt.Errorf("tunnel to %s: device %s is not here: waiting for it", w.Remote, w.Device))
				continue
			}
			t.failure(w, nil)
			links = append(links, newTunnelLink(w, local, remote, w.Device, interfaces[i].Index, base.Up && interfaces[i].Up))
			continue
		}
		o, err := t.device(w, tunnel.Config{Local: local, Remote: remote, RateLimit: int(w.RateLimit), Beside: w.Beside}, interfaces)
		t.failure(w, err)
		if err != nil {
			continue
		}
		index := o.device.Index()
		links = append(links, newTunnelLink(w, local, remote, o.config.Name, index, base.Up && !isDown(index, interfaces)))
	}
	return links
}

// newTunnelLink makes a link of a tunnel and its device.
func newTunnelLink(w *config.Tunnel, local, remote netip.Addr, name string, index int, up bool) *link {
	l := &link{index: index, Link: host.Link{
		Name: name, Up: up, PointToPoint: true, Address: local, Remote: remote, Beside: w.Beside,
		LinkSettings: linkSettings(&w.Link, true),
	}}
	l.IGMP = igmpOnTunnels
	return l
}

// failure logs once why a tunnel does not work, or that it does again.
func (t *tunnels) failure(w *config.Tunnel, err error) {
	if err == nil {
		delete(t.failed, w.Remote)
		return
	}
	if text := err.Error(); t.failed[w.Remote] != text {
		t.log.Error("tunnel not used", "at", w.At, "error", err)
		t.failed[w.Remote] = text
	}
}

// ends finds the interface of the local end of a tunnel, and the address.
func ends(local config.Interface, interfaces []plane.Link) (base *plane.Link, addr netip.Addr) {
	for i := range interfaces {
		l := &interfaces[i]
		if list := addresses(l); local.Is(l.Name, list) && len(list) > 0 {
			if local.Addr.IsValid() {
				return l, local.Addr
			}
			return l, list[0]
		}
	}
	return nil, netip.Addr{}
}

// isDown reports whether the device of a tunnel was set down. Of a new one the kernel
// has not told anything yet: it is up.
func isDown(index int, interfaces []plane.Link) bool {
	return slices.ContainsFunc(interfaces, func(l plane.Link) bool { return l.Index == index && !l.Up })
}

// device returns the device of a tunnel, a new one if it differs in more than the
// rate.
func (t *tunnels) device(w *config.Tunnel, c tunnel.Config, interfaces []plane.Link) (*openTunnel, error) {
	if o := t.open[w.Remote]; o != nil {
		c.Name = o.config.Name
		old := o.config
		old.RateLimit = c.RateLimit
		select {
		case <-o.device.Done(): // somebody has removed it
		default:
			if old == c {
				o.device.SetRate(c.RateLimit)
				o.config = c
				return o, nil
			}
		}
		t.shut(w.Remote)
	}
	c.Name = t.freeName(interfaces)
	device, err := tunnel.Open(c)
	if err != nil {
		return nil, err
	}
	o := &openTunnel{c, device}
	t.open[w.Remote] = o
	go func() {
		<-device.Done()
		t.tell()
	}()
	return o, nil
}

// freeName returns a name for a device that nobody has: several routers may share a
// host.
func (t *tunnels) freeName(interfaces []plane.Link) string {
	for n := 0; ; n++ {
		name := deviceName + strconv.Itoa(n)
		taken := slices.ContainsFunc(interfaces, func(l plane.Link) bool { return l.Name == name })
		for _, o := range t.open {
			taken = taken || o.config.Name == name
		}
		if !taken {
			return name
		}
	}
}

// resolve returns the address of a host: invalid as long as it is being looked up.
func (t *tunnels) resolve(h config.Host) netip.Addr {
	if h.Addr.IsValid() {
		return h.Addr
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if known := t.names[h.Name]; known != nil {
		return known.addr
	}
	ctx, end := context.WithCancel(context.Background())
	l := &lookup{end: end}
	t.names[h.Name] = l
	go t.lookUp(ctx, h.Name, l)
	return netip.Addr{}
}

// lookUp looks a name up until it has exactly one address, which is kept, or until
// ctx ends.
func (t *tunnels) lookUp(ctx context.Context, name string, l *lookup) {
	for {
		limited, cancel := context.WithTimeout(ctx, lookupLimit)
		addrs, err := t.lookup(limited, "ip4", name)
		cancel()
		if ctx.Err() != nil {
			return
		}
		if err == nil && len(addrs) == 1 {
			t.mu.Lock()
			l.addr = addrs[0].Unmap()
			t.mu.Unlock()
			t.tell()
			return
		}
		t.log.Error("other end of a tunnel: expected a name with exactly one address", "name", name, "found", addrs[:min(len(addrs), maxLookupAnswers)], "error", err)
		select {
		case <-time.After(lookupAgain):
		case <-ctx.Done():
			return
		}
	}
}
