package plane

import (
	"errors"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync/atomic"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Link is a network interface.
type Link struct {
	Index int
	Name  string
	// Up is whether packets can pass: set up, and with a carrier.
	Up           bool
	PointToPoint bool
	// Multicast is whether it can carry multicast, Loopback whether it leads back
	// to this host.
	Multicast, Loopback bool
	// Virtual is whether a program is behind it: a TUN device, or the register
	// interface of a PIM router.
	Virtual   bool
	Addresses []Address // IPv4
}

// Address is an address of a link with the network that it is on.
type Address struct {
	Addr netip.Addr
	// Net is the network of the address, or the other end of a point-to-point link.
	Net netip.Prefix
}

// Route is a unicast route.
type Route struct {
	Bits int // length of the prefix
	// Hops are its ways in the order of the kernel; one if there is no multipath.
	Hops []Hop
}

// Hop is one of the ways of a route.
type Hop struct {
	IfIndex int
	// Gateway is 0.0.0.0 if there is none, invalid if it has no IPv4 address.
	Gateway netip.Addr
}

// Links looks at interfaces, addresses and unicast routes.
type Links struct {
	handle  *netlink.Handle
	sockets netlinkSockets
}

// OpenLinks opens a netlink socket.
func OpenLinks() (*Links, error) {
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, &Error{"open", "netlink", err}
	}
	sockets, err := openNetlink()
	if err != nil {
		h.Close()
		return nil, err
	}
	return &Links{h, sockets}, nil
}

// Close closes the sockets.
func (l *Links) Close() {
	l.handle.Close()
	l.sockets.close()
}

// List returns all interfaces in the order of their indexes.
func (l *Links) List() ([]Link, error) {
	links, err := dumpLinks(l.sockets)
	if err != nil {
		return nil, err
	}
	list := slices.Collect(maps.Values(links))
	slices.SortFunc(list, func(a, b Link) int { return a.Index - b.Index })
	return list, nil
}

// Route returns the unicast route to an address; ok is false if there is none
// that leads anywhere.
func (l *Links) Route(to netip.Addr) (r Route, ok bool, err error) {
	found, err := l.handle.RouteGetWithOptions(to.AsSlice(), &netlink.RouteGetOptions{FIBMatch: true})
	switch {
	case errors.Is(err, unix.ENETUNREACH), errors.Is(err, unix.EHOSTUNREACH), // none, unreachable
		errors.Is(err, unix.EINVAL), errors.Is(err, unix.EACCES): // blackhole, prohibit
		return Route{}, false, nil
	case err != nil:
		return Route{}, false, &Error{"look up", "route to " + to.String(), err}
	case len(found) == 0:
		return Route{}, false, nil
	}
	f := found[0]
	if f.Dst != nil {
		r.Bits, _ = f.Dst.Mask.Size()
	}
	add := func(ifIndex int, gateway net.IP, via netlink.Destination) {
		h := Hop{IfIndex: ifIndex, Gateway: netip.IPv4Unspecified()}
		if gateway != nil || via != nil {
			h.Gateway, _ = netip.AddrFromSlice(gateway.To4())
		}
		r.Hops = append(r.Hops, h)
	}
	if f.LinkIndex != 0 {
		add(f.LinkIndex, f.Gw, f.Via)
	}
	for _, hop := range f.MultiPath {
		add(hop.LinkIndex, hop.Gw, hop.Via)
	}
	return r, len(r.Hops) > 0, nil
}

// Watcher tells when interfaces, addresses or the state of multicast routing
// change.
type Watcher struct {
	socket *nl.NetlinkSocket
	closed atomic.Bool
}

// Watch opens a netlink socket that listens from now on.
func Watch() (*Watcher, error) {
	s, err := nl.Subscribe(unix.NETLINK_ROUTE, unix.RTNLGRP_LINK, unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV4_NETCONF)
	if err != nil {
		return nil, &Error{"watch", "interfaces", err}
	}
	return &Watcher{socket: s}, nil
}

// Wait waits for a change. It returns net.ErrClosed after Close.
func (w *Watcher) Wait() error {
	_, _, err := w.socket.Receive()
	switch {
	case w.closed.Load():
		return net.ErrClosed
	case errors.Is(err, unix.ENOBUFS): // more than could be told
		return nil
	case err != nil:
		return &Error{"watch", "interfaces", err}
	}
	return nil
}

// Close ends Wait.
func (w *Watcher) Close() {
	w.closed.Store(true)
	w.socket.Close()
}
