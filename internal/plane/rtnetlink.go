package plane

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"slices"
	"syscall"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Numbers of linux/netconf.h and linux/if_arp.h that x/sys lacks.
const (
	attrConfIndex      = 1 // NETCONFA_IFINDEX
	attrConfForwarding = 2 // NETCONFA_FORWARDING
	attrConfRPFilter   = 3 // NETCONFA_RP_FILTER
	confAll            = -1
	arphrdPimreg       = 779
)

// dumpTries is how often a list is read again that changed meanwhile.
const dumpTries = 3

// netlinkTimeout bounds the wait for the kernel's answer, which comes at once.
var netlinkTimeout = unix.Timeval{Sec: 5}

// netlinkSockets is a socket for requests, in the form that package nl wants.
type netlinkSockets map[int]*nl.SocketHandle

func openNetlink() (netlinkSockets, error) {
	s, err := nl.Subscribe(unix.NETLINK_ROUTE)
	if err == nil {
		err = errors.Join(s.SetSendTimeout(&netlinkTimeout), s.SetReceiveTimeout(&netlinkTimeout))
	}
	if err != nil {
		return nil, &Error{"open", "netlink", err}
	}
	return netlinkSockets{unix.NETLINK_ROUTE: {Socket: s}}, nil
}

func (s netlinkSockets) close() { s[unix.NETLINK_ROUTE].Close() }

// dump asks for all objects of a kind and calls fn with each, whole, in a list that
// did not change meanwhile.
func (s netlinkSockets) dump(object string, request, reply int, head nl.NetlinkRequestData, begin func(), fn func(b []byte)) error {
	var err error
	for range dumpTries {
		begin()
		req := nl.NewNetlinkRequest(request, unix.NLM_F_DUMP)
		req.Sockets = s
		req.AddData(head)
		err = req.ExecuteIter(unix.NETLINK_ROUTE, uint16(reply), func(b []byte) bool {
			fn(b)
			return true
		})
		if !errors.Is(err, nl.ErrDumpInterrupted) {
			break
		}
	}
	if err != nil {
		return &Error{"list", object, err}
	}
	return nil
}

// dumpLinks lists interfaces with their addresses, by index.
func dumpLinks(s netlinkSockets) (map[int]Link, error) {
	var links map[int]Link
	err := s.dump("interfaces", unix.RTM_GETLINK, unix.RTM_NEWLINK, nl.NewIfInfomsg(unix.AF_UNSPEC), func() {
		links = make(map[int]Link)
	}, func(b []byte) {
		if l, ok := parseLink(b); ok {
			links[l.Index] = l
		}
	})
	if err != nil {
		return nil, err
	}
	type found struct {
		index int
		Address
	}
	var addresses []found
	err = s.dump("addresses", unix.RTM_GETADDR, unix.RTM_NEWADDR, nl.NewIfAddrmsg(unix.AF_INET), func() {
		addresses = addresses[:0]
	}, func(b []byte) {
		if index, a, ok := parseAddress(b); ok {
			addresses = append(addresses, found{index, a})
		}
	})
	for _, a := range addresses {
		if l, ok := links[a.index]; ok {
			l.Addresses = append(l.Addresses, a.Address)
			links[a.index] = l
		}
	}
	return links, err
}

// parseLink reads struct ifinfomsg and its attributes. What is about the ports of a
// bridge is no interface of its own.
func parseLink(b []byte) (l Link, ok bool) {
	if len(b) < unix.SizeofIfInfomsg || b[0] != unix.AF_UNSPEC {
		return Link{}, false
	}
	kind := binary.NativeEndian.Uint16(b[2:])
	flags := binary.NativeEndian.Uint32(b[8:])
	l = Link{
		Index:        int(int32(binary.NativeEndian.Uint32(b[4:]))),
		Up:           flags&unix.IFF_UP != 0 && flags&unix.IFF_RUNNING != 0,
		PointToPoint: flags&unix.IFF_POINTOPOINT != 0,
		Multicast:    flags&unix.IFF_MULTICAST != 0,
		Loopback:     flags&unix.IFF_LOOPBACK != 0,
		Virtual:      kind == arphrdPimreg,
	}
	walkAttrs(b[unix.SizeofIfInfomsg:], func(attr uint16, v []byte) {
		switch attr {
		case unix.IFLA_IFNAME:
			l.Name = text(v)
		case unix.IFLA_LINKINFO:
			walkAttrs(v, func(attr uint16, v []byte) {
				if attr == unix.IFLA_INFO_KIND && text(v) == "tun" {
					l.Virtual = true
				}
			})
		}
	})
	return l, l.Index > 0
}

// parseAddress reads struct ifaddrmsg and its attributes.
func parseAddress(b []byte) (index int, a Address, ok bool) {
	if len(b) < unix.SizeofIfAddrmsg || b[0] != unix.AF_INET {
		return 0, Address{}, false
	}
	index = int(binary.NativeEndian.Uint32(b[4:]))
	// The address is that of the other end if it differs from the local one.
	var local, address netip.Addr
	walkAttrs(b[unix.SizeofIfAddrmsg:], func(attr uint16, v []byte) {
		switch attr {
		case unix.IFA_LOCAL:
			local, _ = netip.AddrFromSlice(v)
		case unix.IFA_ADDRESS:
			address, _ = netip.AddrFromSlice(v)
		}
	})
	if !local.IsValid() {
		local = address
	}
	if !address.IsValid() {
		address = local
	}
	a = Address{local, netip.PrefixFrom(address, int(b[1])).Masked()}
	return index, a, local.Is4() && a.Net.IsValid()
}

// conf are the settings of an interface, or of all, that one message tells.
type conf struct {
	index      int // confAll: of all
	rpFilter   int // -1: not told
	forwarding int // -1: not told
}

// confRequest is struct netconfmsg, which is a family and nothing else.
type confRequest struct{}

func (confRequest) Len() int          { return unix.NLMSG_ALIGNTO }
func (confRequest) Serialize() []byte { return []byte{unix.AF_INET, 0, 0, 0} }

func parseConf(b []byte) (c conf, ok bool) {
	c = conf{rpFilter: -1, forwarding: -1}
	if len(b) < unix.NLMSG_ALIGNTO || b[0] != unix.AF_INET {
		return c, false
	}
	walkAttrs(b[unix.NLMSG_ALIGNTO:], func(attr uint16, v []byte) {
		if len(v) < 4 {
			return
		}
		n := int(int32(binary.NativeEndian.Uint32(v)))
		switch attr {
		case attrConfIndex:
			c.index = n
		case attrConfForwarding:
			c.forwarding = n
		case attrConfRPFilter:
			c.rpFilter = n
		}
	})
	return c, c.index == confAll || c.index > 0
}

// walkAttrs calls fn for each attribute of b, without the flags of its type. It
// stops at one that is damaged.
func walkAttrs(b []byte, fn func(attr uint16, value []byte)) {
	for len(b) >= syscall.SizeofRtAttr {
		n := int(binary.NativeEndian.Uint16(b))
		if n < syscall.SizeofRtAttr || n > len(b) {
			return
		}
		fn(binary.NativeEndian.Uint16(b[2:])&^(unix.NLA_F_NESTED|unix.NLA_F_NET_BYTEORDER), b[syscall.SizeofRtAttr:n])
		b = b[min((n+unix.NLMSG_ALIGNTO-1)&^(unix.NLMSG_ALIGNTO-1), len(b)):]
	}
}

// text is a string of C.
func text(b []byte) string {
	if i := slices.Index(b, 0); i >= 0 {
		b = b[:i]
	}
	return string(b)
}
