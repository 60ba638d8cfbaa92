package plane

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

const (
	// receiveBuffer is what is asked for; the kernel may give less. It holds
	// about a thousand small packets.
	receiveBuffer = 1 << 20
	// maxPacket is the longest packet that is received, header included.
	maxPacket = 64 << 10
	// minHeader is the length of an IPv4 header without options.
	minHeader = 20
	// maxControl has room for the interface and the time of a packet.
	maxControl = 128
	// controlTOS marks network control traffic (CS6), as mrouted does.
	controlTOS = 0xc0
	// unicastTTL and multicastTTL are those of nearly all that is sent. With any
	// other one the kernel needs memory for what it is told beside a packet.
	unicastTTL   = 255
	multicastTTL = 1
)

// Packet is a message that arrived on a raw socket.
type Packet struct {
	Time     time.Time // when the kernel received it, wall clock
	From, To netip.Addr
	IfIndex  int
	Message  []byte // what follows the IP header
}

// Datagram is a message to be sent.
type Datagram struct {
	To netip.Addr
	// Source is an address of this host; invalid: the route chooses.
	Source netip.Addr
	// IfIndex is the interface that multicast leaves by. It must be 0 for
	// unicast: the kernel would take the destination for a neighbour on that
	// link, whatever the routes say.
	IfIndex int
	TTL     uint8
	Loop    bool // whether this host hears its own multicast
	Alert   bool // whether it has the Router Alert option (RFC 2113)
	Message []byte
}

// Socket is a raw IPv4 socket of one protocol. Packets longer than the link
// leave in fragments. Send may be called while Receive waits.
type Socket struct {
	conn   *net.IPConn
	raw    syscall.RawConn
	object string
	buffer []byte
	oob    []byte

	mu   sync.Mutex // of Send
	loop bool
}

// Listen opens a raw socket, which needs CAP_NET_RAW. Only messages that begin
// with one of the types are received; without types all are.
func Listen(protocol int, types ...byte) (*Socket, error) {
	object := fmt.Sprintf("raw socket of protocol %d", protocol)
	conn, err := net.ListenIP(fmt.Sprintf("ip4:%d", protocol), &net.IPAddr{IP: net.IPv4zero})
	if err != nil {
		return nil, &Error{"open", object, withoutAddresses(err)}
	}
	s := &Socket{conn: conn, object: object, buffer: make([]byte, maxPacket), oob: make([]byte, maxControl)}
	if s.raw, err = conn.SyscallConn(); err == nil {
		var filter *unix.SockFprog
		if len(types) > 0 {
			filter, err = typeFilter(types)
		}
		if err == nil {
			err = s.control(func(fd int) error { return setUp(fd, receiveBuffer, filter) })
		}
	}
	if err != nil {
		conn.Close()
		return nil, &Error{"open", object, err}
	}
	return s, nil
}

// setUp sets the options of a raw socket that sends and receives. The filter is nil
// if all packets are wanted.
func setUp(fd, buffer int, filter *unix.SockFprog) error {
	for _, o := range []struct {
		name              string
		level, opt, value int
	}{
		{"SO_TIMESTAMPNS", unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1},
		{"IP_PKTINFO", unix.IPPROTO_IP, unix.IP_PKTINFO, 1},
		{"IP_TOS", unix.IPPROTO_IP, unix.IP_TOS, controlTOS},
		{"IP_TTL", unix.IPPROTO_IP, unix.IP_TTL, unicastTTL},
		{"IP_MULTICAST_TTL", unix.IPPROTO_IP, unix.IP_MULTICAST_TTL, multicastTTL},
		// No Don't Fragment: some tunnels drop what has it and is too long.
		{"IP_MTU_DISCOVER", unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_DONT},
		{"IP_MULTICAST_LOOP", unix.IPPROTO_IP, unix.IP_MULTICAST_LOOP, 0},
	} {
		if err := unix.SetsockoptInt(fd, o.level, o.opt, o.value); err != nil {
			return os.NewSyscallError("set "+o.name, err)
		}
	}
	setReceiveBuffer(fd, buffer)
	if filter == nil {
		return nil
	}
	return os.NewSyscallError("set SO_ATTACH_FILTER", unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, filter))
}

// typeFilter lets packets pass whose first byte after the IP header is one of
// types.
func typeFilter(types []byte) (*unix.SockFprog, error) {
	program := []bpf.Instruction{
		bpf.LoadMemShift{Off: 0}, // X is the length of the IP header
		bpf.LoadIndirect{Off: 0, Size: 1},
	}
	for i, t := range types {
		program = append(program, bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(t), SkipTrue: uint8(len(types) - i)})
	}
	program = append(program, bpf.RetConstant{Val: 0}, bpf.RetConstant{Val: maxPacket})
	return assemble(program)
}

// Receive waits for the next message and fills p, whose Message it reuses. It
// returns net.ErrClosed after Close.
func (s *Socket) Receive(p *Packet) error {
	for {
		n, oobn, _, _, err := s.conn.ReadMsgIP(s.buffer, s.oob)
		if errors.Is(err, net.ErrClosed) {
			return net.ErrClosed
		}
		if err != nil {
			return &Error{"receive from", s.object, withoutAddresses(err)}
		}
		if p.parse(s.buffer[:n]) {
			p.Time, p.IfIndex, _ = readControl(s.oob[:oobn])
			return nil
		}
	}
}

// parse takes the IP header off b; it says whether there was one.
func (p *Packet) parse(b []byte) bool {
	n := headerLen(b)
	if n == 0 {
		return false
	}
	p.From = netip.AddrFrom4([4]byte(b[12:]))
	p.To = netip.AddrFrom4([4]byte(b[16:]))
	p.Message = append(p.Message[:0], b[n:]...)
	return true
}

// Send sends d.
func (s *Socket) Send(d Datagram) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if d.To.IsMulticast() && d.Loop != s.loop {
		err := s.control(func(fd int) error {
			return unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MULTICAST_LOOP, boolInt(d.Loop))
		})
		if err != nil {
			return &Error{"send to", d.To.String(), err}
		}
		s.loop = d.Loop
	}
	oob := d.appendControl(nil)
	if _, _, err := s.conn.WriteMsgIP(d.Message, oob, &net.IPAddr{IP: d.To.AsSlice()}); err != nil {
		return &Error{"send to", d.To.String(), withoutAddresses(err)}
	}
	return nil
}

// appendControl appends what the kernel is told beside the message.
func (d *Datagram) appendControl(b []byte) []byte {
	b = d.appendInterface(b)
	if d.TTL != usualTTL(d.To) {
		var ttl [4]byte
		binary.NativeEndian.PutUint32(ttl[:], uint32(d.TTL))
		b = appendControl(b, unix.IP_TTL, ttl[:])
	}
	if d.Alert {
		b = appendControl(b, unix.IP_RETOPTS, []byte{optionAlert, 4, 0, 0})
	}
	return b
}

// usualTTL is that of the socket.
func usualTTL(to netip.Addr) uint8 {
	if to.IsMulticast() {
		return multicastTTL
	}
	return unicastTTL
}

// appendInterface appends the interface and the source.
func (d *Datagram) appendInterface(b []byte) []byte {
	info := [unix.SizeofInet4Pktinfo]byte{}
	binary.NativeEndian.PutUint32(info[:], uint32(d.IfIndex))
	if d.Source.IsValid() {
		source := d.Source.As4()
		copy(info[4:], source[:])
	}
	return appendControl(b, unix.IP_PKTINFO, info[:])
}

// appendControl appends a control message of level IPPROTO_IP: a struct cmsghdr and
// the data, padded.
func appendControl(b []byte, kind int, data []byte) []byte {
	start := len(b)
	b = append(b, make([]byte, unix.CmsgSpace(len(data)))...)
	h := (*unix.Cmsghdr)(unsafe.Pointer(&b[start]))
	*h = unix.Cmsghdr{Level: unix.IPPROTO_IP, Type: int32(kind)}
	h.SetLen(unix.CmsgLen(len(data)))
	copy(b[start+unix.CmsgLen(0):], data)
	return b
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// SetRouterAlert chooses whether the socket hears packets in transit that have
// the Router Alert option. It takes them from the kernel: nobody forwards them
// then, unless another program has multicast routing and does so.
func (s *Socket) SetRouterAlert(on bool) error {
	err := s.control(func(fd int) error {
		return unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_ROUTER_ALERT, boolInt(on))
	})
	switch {
	case errors.Is(err, unix.EADDRINUSE) && on, errors.Is(err, unix.ENOBUFS) && !on:
		return nil // it was so already
	case err != nil:
		return &Error{"set Router Alert of", s.object, err}
	}
	return nil
}

// Close closes the socket.
func (s *Socket) Close() error { return s.conn.Close() }

func (s *Socket) control(f func(fd int) error) error {
	var inner error
	err := s.raw.Control(func(fd uintptr) { inner = f(int(fd)) })
	return errors.Join(err, inner)
}

// withoutAddresses returns the cause of an error of package net, whose text
// otherwise names sockets by addresses that say nothing.
func withoutAddresses(err error) error {
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return op.Err
	}
	return err
}
