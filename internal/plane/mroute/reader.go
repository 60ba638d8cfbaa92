package mroute

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"syscall"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// family is RTNL_FAMILY_IPMR: links of this family are vif tables, routes are
// forwarding entries.
const family = 128

// Attributes of linux/mroute.h that x/sys lacks.
const (
	attrTableID   = 1 // IPMRA_TABLE_*
	attrTableVifs = 6
	attrVif       = 1 // IPMRA_VIF
	attrVifIndex  = 1 // IPMRA_VIFA_*
	attrVifID     = 2
	attrVifFlags  = 3
	attrBytesIn   = 4
	attrBytesOut  = 5
	attrPktsIn    = 6
	attrPktsOut   = 7
	attrLocal     = 8
	attrRemote    = 9
)

// Attributes of linux/netconf.h, and the interface index that stands for the
// setting of all.
const (
	attrConfIndex        = 1 // NETCONFA_IFINDEX
	attrConfMcForwarding = 4 // NETCONFA_MC_FORWARDING
	confAll              = ^uint32(0)
)

// Times that a dump is made again because the table changed meanwhile.
const dumpTries = 3

// Vif is an interface of multicast routing as the kernel describes it.
type Vif struct {
	ID      int
	IfIndex int // of the device, also of the one that a tunnel or register vif made
	Flags   VifFlags
	// Local and Remote are the ends of a tunnel; invalid otherwise.
	Local, Remote netip.Addr
	Count         VifCount
}

// Output is an interface that an entry forwards to.
type Output struct {
	IfIndex int
	TTL     uint8 // 1 to 254: packets with a greater TTL leave
}

// Route is a forwarding entry as the kernel describes it: with interface
// indexes, which mean the same whatever the vif numbers are.
type Route struct {
	Table         uint32
	Source, Group netip.Addr // Source is 0.0.0.0 in a (*,G) entry
	// IfIndex is the incoming interface, 0 if packets wait for a decision.
	IfIndex int
	Outputs []Output // in the order of vif numbers
	Count   SGCount
}

// Reader looks at multicast routing tables, whoever owns them, in the network
// namespace of the thread that opened it. It needs no privilege. Its methods
// may be called at the same time.
type Reader struct {
	sockets map[int]*nl.SocketHandle
}

// netlinkTimeout bounds the wait for the kernel's answer, which comes at once.
var netlinkTimeout = unix.Timeval{Sec: 5}

// OpenReader opens a netlink socket.
func OpenReader() (*Reader, error) {
	s, err := nl.Subscribe(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, &Error{opOpen, "netlink", err}
	}
	if err := errors.Join(s.SetSendTimeout(&netlinkTimeout), s.SetReceiveTimeout(&netlinkTimeout)); err != nil {
		s.Close()
		return nil, &Error{opOpen, "netlink", err}
	}
	return &Reader{sockets: map[int]*nl.SocketHandle{unix.NETLINK_ROUTE: {Socket: s}}}, nil
}

// Close closes the socket.
func (r *Reader) Close() { r.sockets[unix.NETLINK_ROUTE].Close() }

func (r *Reader) request(kind, flags int) *nl.NetlinkRequest {
	req := nl.NewNetlinkRequest(kind, flags)
	req.Sockets = r.sockets
	return req
}

// Vifs returns the vifs of a table (0: the default one) in the order of their
// numbers, with counters as of now. A table that does not exist has none.
func (r *Reader) Vifs(table uint32) ([]Vif, error) {
	if table == 0 {
		table = DefaultTable
	}
	var vifs []Vif
	var err error
	for range dumpTries {
		vifs = vifs[:0]
		req := r.request(unix.RTM_GETLINK, unix.NLM_F_DUMP)
		req.AddData(nl.NewIfInfomsg(family))
		var bad error
		err = req.ExecuteIter(unix.NETLINK_ROUTE, unix.RTM_NEWLINK, func(b []byte) bool {
			vifs, bad = appendVifs(vifs, b, table)
			return bad == nil
		})
		err = errors.Join(err, bad)
		if !errors.Is(err, nl.ErrDumpInterrupted) {
			break
		}
	}
	if noTable(err) {
		return nil, nil
	}
	if err != nil {
		return nil, &Error{opRead, fmt.Sprintf("vifs of table %d", table), err}
	}
	return vifs, nil
}

// Routes calls fn for each entry of a table (0: the default one), with counters
// as of now; unresolved ones have no incoming interface. fn must not keep
// route.Outputs.
func (r *Reader) Routes(table uint32, fn func(route *Route)) error {
	if table == 0 {
		table = DefaultTable
	}
	req := r.request(unix.RTM_GETROUTE, unix.NLM_F_DUMP)
	req.AddData(&nl.RtMsg{RtMsg: unix.RtMsg{Family: family}})
	var bad error
	var route Route
	err := req.ExecuteIter(unix.NETLINK_ROUTE, unix.RTM_NEWROUTE, func(b []byte) bool {
		if bad = route.parse(b); bad == nil && route.Table == table {
			fn(&route)
		}
		return bad == nil
	})
	if noTable(err) {
		return nil
	}
	if err = errors.Join(err, bad); err != nil {
		return &Error{opRead, fmt.Sprintf("entries of table %d", table), err}
	}
	return nil
}

// Route returns the resolved entry of exactly this source (0.0.0.0 for a (*,G)
// one) and group, with counters as of now; ok is false if there is none.
func (r *Reader) Route(table uint32, source, group netip.Addr) (route Route, ok bool, err error) {
	if table == 0 {
		table = DefaultTable
	}
	req := r.request(unix.RTM_GETROUTE, 0)
	req.AddData(&nl.RtMsg{RtMsg: unix.RtMsg{Family: family, Dst_len: 32, Src_len: 32}})
	req.AddData(nl.NewRtAttr(unix.RTA_SRC, source.AsSlice()))
	req.AddData(nl.NewRtAttr(unix.RTA_DST, group.AsSlice()))
	req.AddData(nl.NewRtAttr(unix.RTA_TABLE, nl.Uint32Attr(table)))
	var bad error
	err = req.ExecuteIter(unix.NETLINK_ROUTE, unix.RTM_NEWROUTE, func(b []byte) bool {
		bad = route.parse(b)
		return false
	})
	if errors.Is(err, unix.ENOENT) || noTable(err) {
		return Route{}, false, nil
	}
	if err = errors.Join(err, bad); err != nil {
		return Route{}, false, &Error{opRead, sg(source, group), err}
	}
	return route, true, nil
}

// confRequest is struct netconfmsg, which is a family and nothing else.
type confRequest struct{}

func (confRequest) Len() int          { return unix.NLMSG_ALIGNTO }
func (confRequest) Serialize() []byte { return []byte{unix.AF_INET, 0, 0, 0} }

// Forwarding is whether the kernel forwards multicast at all: whether somebody
// owns a table. Vifs and entries without an owner are there and do nothing.
func (r *Reader) Forwarding() (bool, error) {
	req := r.request(unix.RTM_GETNETCONF, 0)
	req.AddData(confRequest{})
	req.AddData(nl.NewRtAttr(attrConfIndex, nl.Uint32Attr(confAll)))
	var on bool
	var bad error
	err := req.ExecuteIter(unix.NETLINK_ROUTE, unix.RTM_NEWNETCONF, func(b []byte) bool {
		bad = walk(b[min(unix.NLMSG_ALIGNTO, len(b)):], func(kind uint16, v []byte) error {
			if kind == attrConfMcForwarding {
				on = number(v) != 0
			}
			return nil
		})
		return false
	})
	if err = errors.Join(err, bad); err != nil {
		return false, &Error{opRead, "mc_forwarding", err}
	}
	return on, nil
}

// noTable is whether err says that the kernel has no multicast routing, or no
// such table: then nothing is routed, which is an answer and no failure.
func noTable(err error) bool {
	return errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EAFNOSUPPORT)
}

// appendVifs takes the vifs of table out of one message: struct ifinfomsg, then
// IFLA_AF_SPEC { table id, ..., vifs { vif { index, number, ... }, ... } }.
func appendVifs(vifs []Vif, b []byte, table uint32) ([]Vif, error) {
	if len(b) < unix.SizeofIfInfomsg {
		return vifs, errShort
	}
	var id uint32
	var list []byte
	err := walk(b[unix.SizeofIfInfomsg:], func(kind uint16, v []byte) error {
		if kind != unix.IFLA_AF_SPEC {
			return nil
		}
		return walk(v, func(kind uint16, v []byte) error {
			switch kind {
			case attrTableID:
				id = uint32(number(v))
			case attrTableVifs:
				list = v
			}
			return nil
		})
	})
	if err != nil || id != table {
		return vifs, err
	}
	err = walk(list, func(kind uint16, v []byte) error {
		if kind != attrVif {
			return nil
		}
		vif, err := parseVif(v)
		vifs = append(vifs, vif)
		return err
	})
	return vifs, err
}

func parseVif(b []byte) (vif Vif, err error) {
	var local, remote netip.Addr
	err = walk(b, func(kind uint16, v []byte) error {
		switch n := number(v); kind {
		case attrVifIndex:
			vif.IfIndex = int(n)
		case attrVifID:
			vif.ID = int(n)
		case attrVifFlags:
			vif.Flags = VifFlags(n)
		case attrBytesIn:
			vif.Count.BytesIn = n
		case attrBytesOut:
			vif.Count.BytesOut = n
		case attrPktsIn:
			vif.Count.PacketsIn = n
		case attrPktsOut:
			vif.Count.PacketsOut = n
		case attrLocal:
			local, _ = netip.AddrFromSlice(v)
		case attrRemote:
			remote, _ = netip.AddrFromSlice(v)
		}
		return nil
	})
	if vif.Flags == VifTunnel {
		vif.Local, vif.Remote = local, remote
	}
	return vif, err
}

// parse fills r from one message: struct rtmsg and its attributes.
func (r *Route) parse(b []byte) error {
	if len(b) < unix.SizeofRtMsg {
		return errShort
	}
	*r = Route{Outputs: r.Outputs[:0]}
	return walk(b[unix.SizeofRtMsg:], func(kind uint16, v []byte) error {
		switch kind {
		case unix.RTA_TABLE:
			r.Table = uint32(number(v))
		case unix.RTA_SRC:
			r.Source, _ = netip.AddrFromSlice(v)
		case unix.RTA_DST:
			r.Group, _ = netip.AddrFromSlice(v)
		case unix.RTA_IIF:
			r.IfIndex = int(number(v))
		case unix.RTA_MULTIPATH:
			return r.parseOutputs(v)
		case unix.RTA_MFC_STATS: // struct rta_mfc_stats: three 64-bit numbers
			if len(v) < 24 {
				return errShort
			}
			r.Count = SGCount{Packets: number(v[:8]), Bytes: number(v[8:16]), WrongIf: number(v[16:24])}
		}
		return nil
	})
}

// parseOutputs reads a list of struct rtnexthop, whose hops are the threshold.
func (r *Route) parseOutputs(b []byte) error {
	for len(b) >= unix.SizeofRtNexthop {
		n := int(binary.NativeEndian.Uint16(b))
		if n < unix.SizeofRtNexthop || n > len(b) {
			return errShort
		}
		r.Outputs = append(r.Outputs, Output{TTL: b[3], IfIndex: int(int32(binary.NativeEndian.Uint32(b[4:])))})
		b = b[min(align(n), len(b)):]
	}
	return nil
}

var errShort = errors.New("message from the kernel is too short")

// walk calls fn for each attribute of b, without the flags of its type.
func walk(b []byte, fn func(kind uint16, value []byte) error) error {
	for len(b) >= syscall.SizeofRtAttr {
		n := int(binary.NativeEndian.Uint16(b))
		if n < syscall.SizeofRtAttr || n > len(b) {
			return errShort
		}
		kind := binary.NativeEndian.Uint16(b[2:]) &^ (unix.NLA_F_NESTED | unix.NLA_F_NET_BYTEORDER)
		if err := fn(kind, b[syscall.SizeofRtAttr:n]); err != nil {
			return err
		}
		b = b[min(align(n), len(b)):]
	}
	return nil
}

// align rounds up to the four bytes that netlink aligns attributes to.
func align(n int) int { return (n + unix.NLMSG_ALIGNTO - 1) &^ (unix.NLMSG_ALIGNTO - 1) }

// number reads an integer of 2, 4 or 8 bytes; anything else is 0.
func number(b []byte) uint64 {
	switch len(b) {
	case 2:
		return uint64(binary.NativeEndian.Uint16(b))
	case 4:
		return uint64(binary.NativeEndian.Uint32(b))
	case 8:
		return binary.NativeEndian.Uint64(b)
	}
	return 0
}
