//go:build linux

package ask

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/net/bpf"
	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"

	"mbone/proto/dvmrp"
	"mbone/proto/igmp"
)

// RawOptions of the raw socket. The zero value is ready to use.
type RawOptions struct {
	// ReceiveBuffer is the size in bytes of the socket's receive buffer that
	// is asked for; without privilege the kernel gives less
	// (net.core.rmem_max). 0: 4 MiB.
	ReceiveBuffer int
}

const (
	defaultReceiveBuffer = 4 << 20
	// sendBuffer has room for what thousands of questions send to routers on
	// the link that are not there: until ARP gives up, after three seconds, the
	// kernel keeps it, and what is sent to others has to wait.
	sendBuffer = 4 << 20
	// controlTOS marks network control traffic, as mrouted does.
	controlTOS = 0xc0
	// DefaultUnicastTTL and DefaultMulticastTTL are those of a [Datagram] without one.
	DefaultUnicastTTL   = 64
	DefaultMulticastTTL = 1
	// receiveBatch is how many packets one system call brings at most.
	receiveBatch = 32
	// receiveLen has room for any header, maxMessage and one byte more, which
	// tells a message that is too long.
	receiveLen = 60 + maxMessage + 1
	// controlLen has room for the interface and the time of a packet.
	controlLen = 128
)

// routerAlert is the IPv4 option of RFC 2113.
var routerAlert = []byte{0x94, 0x04, 0x00, 0x00}

// raw is a raw IGMP socket.
//
// It sends with IP_HDRINCL: without it the kernel, if told an interface, takes
// every destination of protocol 2 for a neighbour on that link.
type raw struct {
	conn *ipv4.RawConn

	mu     sync.Mutex
	links  *netlink.Handle  // of the same network namespace
	joins  []net.PacketConn // sockets that hold further memberships
	own    netip.Addr       // the source named last that was found to be this host's
	closed bool

	// Of Receive.
	batch       []ipv4.Message
	next, count int
}

// Open opens one raw IGMP socket, which needs CAP_NET_RAW. Without it the error
// is an [OpError] that names the fix and wraps fs.ErrPermission.
//
// Unicast goes by the route and is never bound to an interface; multicast goes
// through the interface of [Via] or of the route. Messages that answer nothing
// (reports, queries and the routing traffic of DVMRP) are filtered in the kernel.
func Open(o RawOptions) (Transport, error) {
	const object = "raw IGMP socket"
	c, err := net.ListenPacket("ip4:2", "0.0.0.0")
	if errors.Is(err, fs.ErrPermission) {
		return nil, &OpError{Op: "open", Object: object, Err: fs.ErrPermission, Fix: permissionFix()}
	}
	if err != nil {
		return nil, &OpError{Op: "open", Object: object, Err: err}
	}
	r := &raw{}
	if err := r.setUp(c, o); err != nil {
		c.Close()
		return nil, &OpError{Op: "open", Object: object, Err: err}
	}
	return r, nil
}

// permissionFix returns what gives this program its right.
func permissionFix() string {
	program, err := os.Executable()
	if err != nil {
		program = "PROGRAM"
	}
	return "run it as root, or once: sudo setcap cap_net_raw+ep " + program
}

func (r *raw) setUp(c net.PacketConn, o RawOptions) error {
	var err error
	if r.conn, err = ipv4.NewRawConn(c); err != nil {
		return err
	}
	if err := r.conn.SetControlMessage(ipv4.FlagInterface, true); err != nil {
		return err
	}
	filter, err := answersOnly()
	if err != nil {
		return err
	}
	if err := r.conn.SetBPF(filter); err != nil {
		return err
	}
	if o.ReceiveBuffer <= 0 {
		o.ReceiveBuffer = defaultReceiveBuffer
	}
	control, err := r.conn.SyscallConn()
	if err != nil {
		return err
	}
	var failure error
	if err := control.Control(func(fd uintptr) { failure = setOptions(int(fd), o.ReceiveBuffer) }); err != nil {
		return err
	}
	if failure != nil {
		return failure
	}
	if r.links, err = netlink.NewHandle(unix.NETLINK_ROUTE); err != nil {
		return err
	}
	r.batch = make([]ipv4.Message, receiveBatch)
	for i := range r.batch {
		r.batch[i].Buffers = [][]byte{make([]byte, receiveLen)}
		r.batch[i].OOB = make([]byte, controlLen)
	}
	return nil
}

// setOptions asks for the time of each packet and for large buffers.
func setOptions(fd, receive int) error {
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1); err != nil {
		return os.NewSyscallError("set SO_TIMESTAMPNS", err)
	}
	// Without the first form's privilege the kernel gives what it likes.
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, sendBuffer) != nil {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, sendBuffer); err != nil {
			return os.NewSyscallError("set SO_SNDBUF", err)
		}
	}
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, receive) == nil {
		return nil
	}
	return os.NewSyscallError("set SO_RCVBUF", unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, receive))
}

// answersOnly returns the socket filter: IGMP messages of the mtrace types, and
// DVMRP ones with the codes of answers. Kernel messages of a multicast routing
// socket (protocol 0) do not pass either.
func answersOnly() ([]bpf.RawInstruction, error) {
	const accept, drop = 1 << 16, 0
	return bpf.Assemble([]bpf.Instruction{
		0:  bpf.LoadAbsolute{Off: 9, Size: 1},
		1:  bpf.JumpIf{Cond: bpf.JumpEqual, Val: protocolIGMP, SkipFalse: 8},
		2:  bpf.LoadMemShift{Off: 0}, // X is the header's length
		3:  bpf.LoadIndirect{Off: 0, Size: 1},
		4:  bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(igmp.TypeMtraceResponse), SkipTrue: 6},
		5:  bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(igmp.TypeMtraceQuery), SkipTrue: 5},
		6:  bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(igmp.TypeDVMRP), SkipFalse: 3},
		7:  bpf.LoadIndirect{Off: 1, Size: 1},
		8:  bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(dvmrp.CodeNeighbors), SkipTrue: 2},
		9:  bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(dvmrp.CodeNeighbors2), SkipTrue: 1},
		10: bpf.RetConstant{Val: drop},
		11: bpf.RetConstant{Val: accept},
	})
}

// Receive implements [Transport].
func (r *raw) Receive(p *Packet) error {
	for {
		if r.next == r.count {
			n, err := r.conn.ReadBatch(r.batch, 0)
			switch {
			case errors.Is(err, net.ErrClosed):
				return net.ErrClosed
			case err != nil:
				return &OpError{Op: "receive from", Object: "raw IGMP socket", Err: err}
			}
			r.next, r.count = 0, n
			continue
		}
		m := &r.batch[r.next]
		r.next++
		err := p.ParseIPv4(m.Buffers[0][:m.N])
		tooLong := errors.Is(err, ErrTruncated) && m.Flags&unix.MSG_TRUNC != 0
		if err != nil && !tooLong {
			continue
		}
		p.Time, p.IfIndex = time.Time{}, 0
		readControl(m.OOB[:m.NN], p)
		return nil
	}
}

// readControl takes time and interface from what the kernel says beside a packet.
func readControl(b []byte, p *Packet) {
	for len(b) >= unix.SizeofCmsghdr {
		header, data, rest, err := unix.ParseOneSocketControlMessage(b)
		if err != nil {
			return
		}
		b = rest
		switch {
		case header.Level == unix.SOL_SOCKET && header.Type == unix.SCM_TIMESTAMPNS:
			switch len(data) { // a timespec of longs
			case 16:
				p.Time = time.Unix(int64(binary.NativeEndian.Uint64(data)), int64(binary.NativeEndian.Uint64(data[8:])))
			case 8:
				p.Time = time.Unix(int64(binary.NativeEndian.Uint32(data)), int64(binary.NativeEndian.Uint32(data[4:])))
			}
		case header.Level == unix.IPPROTO_IP && header.Type == unix.IP_PKTINFO && len(data) >= unix.SizeofInet4Pktinfo:
			p.IfIndex = int(int32(binary.NativeEndian.Uint32(data)))
		}
	}
}

// Send implements [Transport].
func (r *raw) Send(d Datagram) (time.Time, error) {
	h := &ipv4.Header{
		Version: ipv4.Version, Len: ipv4.HeaderLen, TOS: controlTOS, TTL: int(d.TTL),
		Protocol: protocolIGMP, Dst: d.To.AsSlice(),
	}
	if d.Via.RouterAlert {
		h.Options = routerAlert
		h.Len += len(routerAlert)
	}
	h.TotalLen = h.Len + len(d.Message)
	source, ifIndex := d.Via.Source, 0
	switch {
	case d.To.IsMulticast():
		var err error
		if source, ifIndex, err = r.Source(d.To, d.Via); err != nil {
			return time.Time{}, err
		}
		if h.TTL == 0 {
			h.TTL = DefaultMulticastTTL
		}
	case source.IsValid():
		if err := r.checkOwn(source); err != nil {
			return time.Time{}, err
		}
	case d.Via.IfIndex != 0:
		var err error
		if source, _, err = r.Source(d.To, d.Via); err != nil {
			return time.Time{}, err
		}
	}
	if h.TTL == 0 {
		h.TTL = DefaultUnicastTTL
	}
	cm := &ipv4.ControlMessage{IfIndex: ifIndex}
	if source.IsValid() {
		h.Src = source.AsSlice()
		cm.Src = h.Src // the route may depend on it
	}
	sent := time.Now()
	err := r.conn.WriteTo(h, d.Message, cm)
	if errors.Is(err, unix.ENOBUFS) {
		err = nil // lost, like a packet on the way
	}
	if err != nil {
		return sent, sendError(d, err)
	}
	return sent, nil
}

// sendError says why nothing could be sent, and what to do.
func sendError(d Datagram, err error) error {
	e := &OpError{Op: "send to", Object: d.To.String(), Err: err}
	if op, ok := errors.AsType[*net.OpError](err); ok {
		e.Err = op.Err // without the socket's own addresses, which say nothing
	}
	if call, ok := errors.AsType[*os.SyscallError](e.Err); ok {
		e.Err = call.Err
	}
	switch {
	case errors.Is(err, unix.ENETUNREACH), errors.Is(err, unix.EHOSTUNREACH):
		e.Fix = fixRoute(d.To)
	case errors.Is(err, fs.ErrPermission):
		e.Fix = "a firewall or a prohibited route of this host forbids it"
	case errors.Is(err, unix.EMSGSIZE):
		e.Fix = fmt.Sprintf("a message of %d bytes does not fit the link", len(d.Message))
	}
	return e
}

func fixRoute(to netip.Addr) string {
	if to.IsMulticast() {
		return "there is no route for multicast: name the interface"
	}
	return "there is no route to it: see ip route get " + to.String()
}

// Join implements [Transport].
func (r *raw) Join(group netip.Addr, ifIndex int) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return net.ErrClosed
	}
	if ifIndex != 0 {
		return r.join(group, ifIndex)
	}
	links, err := r.multicastLinks()
	if err != nil {
		return &OpError{Op: "join", Object: group.String(), Err: err}
	}
	for _, l := range links {
		if err := r.join(group, l.Attrs().Index); err != nil {
			return err
		}
	}
	return nil
}

// join makes one of our sockets a member. The kernel allows 20 memberships a
// socket; a raw socket also hears the groups that others have joined.
func (r *raw) join(group netip.Addr, ifIndex int) error {
	ifi, addr := &net.Interface{Index: ifIndex}, &net.IPAddr{IP: group.AsSlice()}
	err := r.conn.JoinGroup(ifi, addr)
	for i := 0; errors.Is(err, unix.ENOBUFS); i++ {
		fresh := i == len(r.joins)
		if fresh {
			c, failure := net.ListenPacket("udp4", "0.0.0.0:0")
			if failure != nil {
				err = failure
				break
			}
			r.joins = append(r.joins, c)
		}
		if err = ipv4.NewPacketConn(r.joins[i]).JoinGroup(ifi, addr); fresh {
			break
		}
	}
	if err == nil || errors.Is(err, unix.EADDRINUSE) {
		return nil
	}
	e := &OpError{Op: "join", Object: group.String() + " on " + r.linkName(ifIndex), Err: err}
	if call, ok := errors.AsType[*os.SyscallError](err); ok {
		e.Err = call.Err
	}
	if errors.Is(err, unix.ENOBUFS) {
		e.Fix = "raise net.ipv4.igmp_max_memberships"
	}
	return e
}

// Source implements [Transport].
func (r *raw) Source(dst netip.Addr, via Via) (netip.Addr, int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return netip.Addr{}, 0, net.ErrClosed
	}
	source := via.Source
	if via.IfIndex != 0 && !source.IsValid() {
		var err error
		if source, err = r.linkAddr(via.IfIndex, dst); err != nil {
			return netip.Addr{}, 0, err
		}
	}
	if dst.IsMulticast() && via.IfIndex != 0 {
		return source, via.IfIndex, nil
	}
	if dst.IsMulticast() && source.IsValid() {
		ifIndex, err := r.owner(source)
		return source, ifIndex, err
	}
	routes, err := r.links.RouteGetWithOptions(dst.AsSlice(), &netlink.RouteGetOptions{SrcAddr: source.AsSlice()})
	switch {
	case err == nil && len(routes) > 0:
		if !source.IsValid() {
			source, _ = netip.AddrFromSlice(routes[0].Src)
		}
		return source.Unmap(), routes[0].LinkIndex, nil
	case dst.IsMulticast():
		if ifIndex, source, ok := r.onlyLink(dst); ok {
			return source, ifIndex, nil
		}
	}
	return netip.Addr{}, 0, sendError(Datagram{To: dst}, cmp.Or(err, error(unix.ENETUNREACH)))
}

// onlyLink returns the interface for a multicast question where no route
// chooses one: there must not be a second.
func (r *raw) onlyLink(dst netip.Addr) (ifIndex int, source netip.Addr, ok bool) {
	links, err := r.multicastLinks()
	if err != nil {
		return 0, netip.Addr{}, false
	}
	for _, l := range links {
		addr, err := r.linkAddr(l.Attrs().Index, dst)
		if err != nil {
			continue
		}
		if ok {
			return 0, netip.Addr{}, false
		}
		ifIndex, source, ok = l.Attrs().Index, addr, true
	}
	return ifIndex, source, ok
}

// multicastLinks returns the interfaces that are up and multicast.
func (r *raw) multicastLinks() ([]netlink.Link, error) {
	all, err := r.links.LinkList()
	if err != nil {
		return nil, err
	}
	const want = net.FlagUp | net.FlagMulticast
	var some []netlink.Link
	for _, l := range all {
		if l.Attrs().Flags&(want|net.FlagLoopback) == want {
			some = append(some, l)
		}
	}
	return some, nil
}

// linkAddr returns an address of an interface: one in the subnet of dst if there
// is one, else the first.
func (r *raw) linkAddr(ifIndex int, dst netip.Addr) (netip.Addr, error) {
	link, err := r.links.LinkByIndex(ifIndex)
	if err != nil {
		return netip.Addr{}, &OpError{Op: "use", Object: fmt.Sprintf("interface %d", ifIndex), Err: err}
	}
	addrs, err := r.links.AddrList(link, netlink.FAMILY_V4)
	if err == nil && len(addrs) == 0 {
		err = errors.New("it has no IPv4 address")
	}
	if err != nil {
		return netip.Addr{}, &OpError{Op: "use", Object: "interface " + link.Attrs().Name, Err: err}
	}
	best := addrs[0]
	for _, a := range addrs {
		if a.Contains(dst.AsSlice()) {
			best = a
			break
		}
	}
	source, _ := netip.AddrFromSlice(best.IP)
	return source.Unmap(), nil
}

// checkOwn refuses a source that is not this host's: the kernel would send it,
// and the answer would go to somebody else.
func (r *raw) checkOwn(source netip.Addr) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return net.ErrClosed
	}
	if source == r.own {
		return nil
	}
	if _, err := r.owner(source); err != nil {
		return err
	}
	r.own = source
	return nil
}

// owner returns the interface that has an address.
func (r *raw) owner(addr netip.Addr) (int, error) {
	all, err := r.links.AddrList(nil, netlink.FAMILY_V4)
	for _, a := range all {
		if a.IP.Equal(addr.AsSlice()) {
			return a.LinkIndex, nil
		}
	}
	if err == nil {
		err = errors.New("no interface of this host has this address")
	}
	return 0, &OpError{Op: "use", Object: "source " + addr.String(), Err: err, Fix: "ip address shows those there are"}
}

func (r *raw) linkName(ifIndex int) string {
	if link, err := r.links.LinkByIndex(ifIndex); err == nil {
		return link.Attrs().Name
	}
	return fmt.Sprintf("interface %d", ifIndex)
}

// Close implements [Transport].
func (r *raw) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return net.ErrClosed
	}
	r.closed = true
	for _, c := range r.joins {
		c.Close()
	}
	r.links.Close()
	return r.conn.Close()
}
