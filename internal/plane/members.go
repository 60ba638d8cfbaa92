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
// socket (net.ipv4.igmp_max_memberships, 20); here every interface has sockets of
// its own. The zero value has joined nothing. It is owned by one goroutine.
type Members struct {
	joined map[int]membership // by interface index
}

// membership is what one interface has joined.
type membership struct {
	groups  []netip.Addr
	sockets []int
}

// Set joins the groups on exactly these interfaces: it leaves all others. It goes
// on after an error and tries again in the next call.
func (m *Members) Set(ifIndexes []int, groups []netip.Addr) error {
	var errs []error
	for index := range m.joined {
		if !slices.Contains(ifIndexes, index) {
			m.Leave(index)
		}
	}
	for _, index := range ifIndexes {
		errs = append(errs, m.Join(index, groups))
	}
	return errors.Join(errs...)
}

// Join joins exactly these groups on an interface. After an error the interface has
// joined what it had before.
func (m *Members) Join(ifIndex int, groups []netip.Addr) error {
	old, ok := m.joined[ifIndex]
	if ok && slices.Equal(old.groups, groups) {
		return nil
	}
	// Before the old ones are left: what is in both is never missing.
	joined, err := join(ifIndex, groups)
	if err != nil {
		return err
	}
	if m.joined == nil {
		m.joined = make(map[int]membership)
	}
	m.joined[ifIndex] = joined
	old.leave()
	return nil
}

// Leave leaves all groups on an interface.
func (m *Members) Leave(ifIndex int) {
	m.joined[ifIndex].leave()
	delete(m.joined, ifIndex)
}

// Close leaves all groups.
func (m *Members) Close() error { return m.Set(nil, nil) }

func (m membership) leave() {
	for _, fd := range m.sockets {
		unix.Close(fd) // what is to be left is left, whatever it returns
	}
}

// join joins groups with as many sockets as it takes.
func join(ifIndex int, groups []netip.Addr) (m membership, err error) {
	m.groups = slices.Clone(groups)
	fresh := false // whether the last socket has joined nothing
	for i := 0; i < len(groups); {
		if len(m.sockets) == 0 {
			if err = m.open(); err != nil {
				break
			}
			fresh = true
		}
		err = unix.SetsockoptIPMreqn(m.sockets[len(m.sockets)-1], unix.IPPROTO_IP, unix.IP_ADD_MEMBERSHIP,
			&unix.IPMreqn{Multiaddr: groups[i].As4(), Ifindex: int32(ifIndex)})
		switch {
		case err == nil, errors.Is(err, unix.EADDRINUSE): // joined already: twice in the list
			err, fresh = nil, false
			i++
			continue
		case errors.Is(err, unix.ENOBUFS) && !fresh:
			if err = m.open(); err == nil {
				fresh = true
				continue
			}
		default:
			err = &Error{"join", fmt.Sprintf("%s on interface %d", groups[i], ifIndex), err}
		}
		break
	}
	if err != nil {
		m.leave()
		return membership{}, err
	}
	return m, nil
}

// open adds a socket.
func (m *membership) open() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return &Error{"open", "socket for memberships", err}
	}
	m.sockets = append(m.sockets, fd)
	return nil
}
