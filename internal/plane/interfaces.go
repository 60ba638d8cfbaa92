package plane

import (
	"encoding/binary"
	"errors"
	"maps"
	"slices"

	"golang.org/x/sys/unix"
)

const (
	// interfacesBuffer is the socket buffer for changes that wait. Beyond it the
	// kernel says that some are lost, and all is read again.
	interfacesBuffer = 1 << 20
	// maxChange is the longest message of the kernel about an interface.
	maxChange = 64 << 10
	// maxChanges is how many messages are read at once.
	maxChanges = 256
)

// StrictRPFilter is the value of rp_filter that drops packets whose source is
// reached another way.
const StrictRPFilter = 1

// Interfaces follows the interfaces of the host, their addresses, and what the
// kernel is told to do with packets: what it tells is taken as it is, so that a link
// that goes down is seen at once, even while the kernel has no time for lists.
// It belongs to the network namespace of the thread that opened it, and to one
// goroutine.
type Interfaces struct {
	fd         int
	requests   netlinkSockets
	buffer     []byte
	links      map[int]Link
	rpFilter   map[int]int
	forwarding bool
}

// OpenInterfaces opens netlink sockets and lists what there is.
func OpenInterfaces() (*Interfaces, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, &Error{"open", "netlink", err}
	}
	i := &Interfaces{fd: fd, buffer: make([]byte, maxChange)}
	setReceiveBuffer(fd, interfacesBuffer)
	groups := uint32(0)
	for _, g := range []int{unix.RTNLGRP_LINK, unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV4_NETCONF} {
		groups |= 1 << (g - 1)
	}
	// The subscription first, so that no change is missed.
	if err = unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: groups}); err != nil {
		err = &Error{"watch", "interfaces", err}
	} else if i.requests, err = openNetlink(); err == nil {
		err = i.list()
	}
	if err != nil {
		i.Close()
		return nil, err
	}
	return i, nil
}

// Close closes the sockets.
func (i *Interfaces) Close() {
	if i.fd >= 0 {
		unix.Close(i.fd)
	}
	if i.requests != nil {
		i.requests.close()
	}
	i.fd, i.requests = -1, nil
}

// All returns the interfaces by their index. It is valid until the next Read.
func (i *Interfaces) All() []Link {
	return slices.SortedFunc(maps.Values(i.links), func(a, b Link) int { return a.Index - b.Index })
}

// Forwarding is whether the host forwards unicast packets (net.ipv4.ip_forward).
func (i *Interfaces) Forwarding() bool { return i.forwarding }

// RPFilter returns the reverse path filter that is in force on an interface: the
// greater of its own and that of all: 0 none, 1 strict, 2 loose.
func (i *Interfaces) RPFilter(index int) int { return max(i.rpFilter[index], i.rpFilter[confAll]) }

// Read takes what the kernel has told since the last time, and reports whether
// anything is new. It does not wait.
func (i *Interfaces) Read() (changed bool, err error) {
	for range maxChanges {
		n, _, err := unix.Recvfrom(i.fd, i.buffer, unix.MSG_DONTWAIT)
		switch {
		case errors.Is(err, unix.EAGAIN):
			return changed, nil
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.ENOBUFS): // more than could be told
			if err := i.list(); err != nil {
				return false, err
			}
			changed = true
			continue
		case err != nil:
			return false, &Error{"watch", "interfaces", err}
		}
		for b := i.buffer[:n]; len(b) >= unix.SizeofNlMsghdr; {
			length := int(binary.NativeEndian.Uint32(b))
			if length < unix.SizeofNlMsghdr || length > len(b) {
				break
			}
			if i.take(binary.NativeEndian.Uint16(b[4:]), b[unix.SizeofNlMsghdr:length]) {
				changed = true
			}
			b = b[min((length+unix.NLMSG_ALIGNTO-1)&^(unix.NLMSG_ALIGNTO-1), len(b)):]
		}
	}
	return changed, nil
}

// list reads everything anew.
func (i *Interfaces) list() (err error) {
	if i.links, err = dumpLinks(i.requests); err != nil {
		return err
	}
	return i.requests.dump("settings of interfaces", unix.RTM_GETNETCONF, unix.RTM_NEWNETCONF, confRequest{}, func() {
		i.rpFilter = make(map[int]int)
	}, func(b []byte) { i.take(unix.RTM_NEWNETCONF, b) })
}

// take takes one message and reports whether it says anything new.
func (i *Interfaces) take(kind uint16, b []byte) bool {
	switch kind {
	case unix.RTM_NEWLINK, unix.RTM_DELLINK:
		l, ok := parseLink(b)
		if !ok {
			return false
		}
		old, known := i.links[l.Index]
		if kind == unix.RTM_DELLINK {
			delete(i.links, l.Index)
			delete(i.rpFilter, l.Index)
			return known
		}
		l.Addresses = old.Addresses
		i.links[l.Index] = l
		return !known || !l.equal(&old)
	case unix.RTM_NEWADDR, unix.RTM_DELADDR:
		index, a, ok := parseAddress(b)
		l, known := i.links[index]
		if !ok || !known {
			return false
		}
		at := slices.Index(l.Addresses, a)
		switch {
		case kind == unix.RTM_NEWADDR && at < 0:
			l.Addresses = append(slices.Clone(l.Addresses), a)
		case kind == unix.RTM_DELADDR && at >= 0:
			l.Addresses = slices.Delete(slices.Clone(l.Addresses), at, at+1)
		default:
			return false
		}
		i.links[index] = l
		return true
	case unix.RTM_NEWNETCONF:
		c, ok := parseConf(b)
		if !ok {
			return false
		}
		changed := false
		if on := c.forwarding > 0; c.index == confAll && c.forwarding >= 0 && on != i.forwarding {
			i.forwarding, changed = on, true
		}
		if c.rpFilter >= 0 && c.rpFilter != i.rpFilter[c.index] {
			i.rpFilter[c.index], changed = c.rpFilter, true
		}
		return changed
	}
	return false
}

// equal compares all but the addresses.
func (a *Link) equal(b *Link) bool {
	return a.Index == b.Index && a.Name == b.Name && a.Up == b.Up && a.PointToPoint == b.PointToPoint &&
		a.Multicast == b.Multicast && a.Loopback == b.Loopback && a.Virtual == b.Virtual
}

// setReceiveBuffer asks for a buffer of a socket and returns what was got. Only
// root of the machine may exceed net.core.rmem_max, others get as much as that.
func setReceiveBuffer(fd, size int) int {
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, size) != nil {
		// An error leaves the buffer as it was.
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, size)
	}
	got, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF)
	if err != nil {
		return 0
	}
	return got / 2 // the kernel counts its own share in
}
