package plane

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"
)

// Members keeps this host a member of groups on some interfaces, so that raw
// sockets hear what is sent to them there. The kernel counts memberships by
// socket (net.ipv4.igmp_max_memberships, 20); here every interface has one of
// its own. The zero value has joined nothing. It is owned by one goroutine.
type Members struct {
	sockets map[int]int // interface index to descriptor
}

// Set joins the groups on exactly these interfaces: it leaves all others. The
// groups must be the same in every call. It goes on after an error and tries
// again in the next call.
func (m *Members) Set(ifIndexes []int, groups []netip.Addr) error {
	var errs []error
	for index, fd := range m.sockets {
		if !slices.Contains(ifIndexes, index) {
			errs = append(errs, unix.Close(fd))
			delete(m.sockets, index)
		}
	}
	for _, index := range ifIndexes {
		if _, ok := m.sockets[index]; ok {
			continue
		}
		fd, err := join(index, groups)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if m.sockets == nil {
			m.sockets = make(map[int]int)
		}
		m.sockets[index] = fd
	}
	return errors.Join(errs...)
}

// Close leaves all groups.
func (m *Members) Close() error { return m.Set(nil, nil) }

func join(ifIndex int, groups []netip.Addr) (int, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, &Error{"open", "socket for memberships", err}
	}
	for _, g := range groups {
		err := unix.SetsockoptIPMreqn(fd, unix.IPPROTO_IP, unix.IP_ADD_MEMBERSHIP,
			&unix.IPMreqn{Multiaddr: g.As4(), Ifindex: int32(ifIndex)})
		if err != nil {
			unix.Close(fd)
			return -1, &Error{"join", fmt.Sprintf("%s on interface %d", g, ifIndex), err}
		}
	}
	return fd, nil
}
