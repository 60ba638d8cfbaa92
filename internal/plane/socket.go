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

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

const (
	// receiveBuffer is what is asked for; the kernel may give less. It holds
	// about a thousand small packets.
	receiveBuffer = 1 << 20
	// maxPacket is the longest packet that is received, header included.
	maxPacket = 64 << 10
	// maxControl has room for the interface and the time of a packet.
	maxControl = 128
	// controlTOS marks network control traffic (CS6), as mrouted does.
	controlTOS = 0xc0
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
		err = s.control(func(fd int) error { return setUp(fd, types) })
	}
	if err != nil {
		conn.Close()
		return nil, &Error{"open", object, err}
	}
	return s, nil
}

func setUp(fd int, types []byte) error {
	for _, o := range []struct {
		name              string
		level, opt, value int
	}{
		{"SO_TIMESTAMPNS", unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1},
		{"IP_PKTINFO", unix.IPPROTO_IP, unix.IP_PKTINFO, 1},
		{"IP_TOS", unix.IPPROTO_IP, unix.IP_TOS, controlTOS},
		// No Don't Fragment: some tunnels drop what has it and is too long.
		{"IP_MTU_DISCOVER", unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_DONT},
		{"IP_MULTICAST_LOOP", unix.IPPROTO_IP, unix.IP_MULTICAST_LOOP, 0},
	} {
		if err := unix.SetsockoptInt(fd, o.level, o.opt, o.value); err != nil {
			return os.NewSyscallError("set "+o.name, err)
		}
	}
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, receiveBuffer) != nil {
		// The usual way has a limit, net.core.rmem_max, and needs no privilege.
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, receiveBuffer); err != nil {
			return os.NewSyscallError("set SO_RCVBUF", err)
		}
	}
	if len(types) == 0 {
		return nil
	}
	filter, err := typeFilter(types)
	if err != nil {
		return err
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
	raw, err := bpf.Assemble(program)
	if err != nil {
		return nil, err
	}
	filter := make([]unix.SockFilter, len(raw))
	for i, r := range raw {
		filter[i] = unix.SockFilter{Code: r.Op, Jt: r.Jt, Jf: r.Jf, K: r.K}
	}
	return &unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}, nil
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
			p.control(s.oob[:oobn])
			return nil
		}
	}
}

// minHeader is the length of an IPv4 header without options.
const minHeader = 20

// parse takes the IP header off b; it says whether there was one.
func (p *Packet) parse(b []byte) bool {
	if len(b) < minHeader || b[0]>>4 != 4 {
		return false
	}
	n := int(b[0]&0x0f) * 4
	if n < minHeader || n > len(b) {
		return false
	}
	p.From = netip.AddrFrom4([4]byte(b[12:]))
	p.To = netip.AddrFrom4([4]byte(b[16:]))
	p.Message = append(p.Message[:0], b[n:]...)
	return true
}

// control takes time and interface from what the kernel says beside a packet.
func (p *Packet) control(b []byte) {
	p.Time, p.IfIndex = time.Now(), 0
	messages, err := unix.ParseSocketControlMessage(b)
	if err != nil {
		return
	}
	for _, m := range messages {
		switch {
		case m.Header.Level == unix.SOL_SOCKET && m.Header.Type == unix.SCM_TIMESTAMPNS:
			switch len(m.Data) { // a timespec of longs
			case 16:
				p.Time = time.Unix(int64(binary.NativeEndian.Uint64(m.Data)), int64(binary.NativeEndian.Uint64(m.Data[8:])))
			case 8:
				p.Time = time.Unix(int64(binary.NativeEndian.Uint32(m.Data)), int64(binary.NativeEndian.Uint32(m.Data[4:])))
			}
		case m.Header.Level == unix.IPPROTO_IP && m.Header.Type == unix.IP_PKTINFO && len(m.Data) >= unix.SizeofInet4Pktinfo:
			p.IfIndex = int(int32(binary.NativeEndian.Uint32(m.Data)))
		}
	}
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
	info := unix.Inet4Pktinfo{Ifindex: int32(d.IfIndex)}
	if d.Source.IsValid() {
		info.Spec_dst = d.Source.As4()
	}
	oob := append(unix.PktInfo4(&info), ttlControl(d.TTL)...)
	if _, _, err := s.conn.WriteMsgIP(d.Message, oob, &net.IPAddr{IP: d.To.AsSlice()}); err != nil {
		return &Error{"send to", d.To.String(), withoutAddresses(err)}
	}
	return nil
}

// ttlControl asks for the TTL of one packet.
func ttlControl(ttl uint8) []byte {
	b := make([]byte, unix.CmsgSpace(4))
	h := unix.Cmsghdr{Level: unix.IPPROTO_IP, Type: unix.IP_TTL}
	h.SetLen(unix.CmsgLen(4))
	// An error is not possible: the header fits.
	n, _ := binary.Encode(b, binary.NativeEndian, h)
	binary.NativeEndian.PutUint32(b[n:], uint32(ttl))
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
