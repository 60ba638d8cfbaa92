package tunnel

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"os"
	"syscall"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

const (
	// outerTTL is the time to live of outer packets, whatever the inner one has
	// left: the tunnel is one hop (RFC 2003 section 3.1).
	outerTTL = 64
	// receiveBuffer is what is asked for; the kernel may give less.
	receiveBuffer = 1 << 20
	// ecn is the bits of the type of service that are not copied to the outer
	// packet, as what happens to them there would be lost (RFC 6040 section 4.1).
	ecn = 0x03
)

// openSocket opens a socket that hears only what remote sends to local in IP, and
// nothing of ICMP. A connected one would cost less where many tunnels have the
// same local address, but cannot be had before there is a route.
func openSocket(local, remote netip.Addr) (*os.File, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.IPPROTO_IPIP)
	if err != nil {
		return nil, os.NewSyscallError("open raw socket", err)
	}
	if err := setUpSocket(fd, local, remote); err != nil {
		unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), "raw socket"), nil
}

func setUpSocket(fd int, local, remote netip.Addr) error {
	filter, err := sourceFilter(remote)
	if err != nil {
		return err
	}
	if err := unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, filter); err != nil {
		return os.NewSyscallError("set SO_ATTACH_FILTER", err)
	}
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, receiveBuffer) != nil {
		// The usual way has a limit, net.core.rmem_max, and needs no privilege.
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, receiveBuffer); err != nil {
			return os.NewSyscallError("set SO_RCVBUF", err)
		}
	}
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_TTL, outerTTL); err != nil {
		return os.NewSyscallError("set IP_TTL", err)
	}
	// No Don't Fragment, whatever the inner packet has.
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_DONT); err != nil {
		return os.NewSyscallError("set IP_MTU_DISCOVER", err)
	}
	err = unix.Bind(fd, &unix.SockaddrInet4{Addr: local.As4()})
	if errors.Is(err, unix.EADDRNOTAVAIL) {
		return ErrNoAddress
	}
	return os.NewSyscallError("bind", err)
}

// sourceFilter lets packets from one host pass.
func sourceFilter(source netip.Addr) (*unix.SockFprog, error) {
	a := source.As4()
	raw, err := bpf.Assemble([]bpf.Instruction{
		bpf.LoadAbsolute{Off: offsetSource, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: binary.BigEndian.Uint32(a[:]), SkipTrue: 1},
		bpf.RetConstant{Val: maxPacket},
		bpf.RetConstant{Val: 0},
	})
	if err != nil {
		return nil, err
	}
	filter := make([]unix.SockFilter, len(raw))
	for i, r := range raw {
		filter[i] = unix.SockFilter{Code: r.Op, Jt: r.Jt, Jf: r.Jf, K: r.K}
	}
	return &unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}, nil
}

// sender sends inner packets to one destination without allocating. It is owned by
// one goroutine.
type sender struct {
	raw   syscall.RawConn
	to    unix.SockaddrInet4
	tos   byte // of the socket
	write func(fd uintptr) bool

	// Argument and result of write.
	packet []byte
	err    error
}

func newSender(raw syscall.RawConn, to netip.Addr) *sender {
	s := &sender{raw: raw, to: unix.SockaddrInet4{Addr: to.As4()}}
	s.write = func(fd uintptr) bool {
		if tos := s.packet[offsetTOS] &^ ecn; tos != s.tos {
			if s.err = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_TOS, int(tos)); s.err != nil {
				return true
			}
			s.tos = tos
		}
		s.err = unix.Sendto(int(fd), s.packet, 0, &s.to)
		return !errors.Is(s.err, unix.EAGAIN)
	}
	return s
}

// send sends an inner packet in an outer one.
func (s *sender) send(inner []byte) error {
	s.packet = inner
	if err := s.raw.Write(s.write); err != nil {
		return err
	}
	return s.err
}

func isClosed(err error) bool { return errors.Is(err, os.ErrClosed) }
