package lab

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"
)

const (
	// minFlowSize is room for the sequence number of a packet.
	minFlowSize = 8
	// maxSequence bounds the memory of a receiver: packets with higher numbers
	// are counted but not looked at for duplicates.
	maxSequence = 1 << 24
	// maxBurst is how many packets that are late are sent at once: far below what
	// the kernel queues between two interfaces (1000) and what the buffer of a
	// socket holds by default (about 270).
	maxBurst = 32
	// flowBuffer is asked for as socket buffer, so that a burst does not look
	// like loss on the wire. The kernel may grant less.
	flowBuffer = 4 << 20
)

// Flow is multicast data that one host sends.
type Flow struct {
	Group     netip.AddrPort
	Interface string        // where it leaves
	Source    netip.Addr    // invalid: the interface's first address
	TTL       int           // 0: 64
	Count     int           // packets to send
	Interval  time.Duration // from packet to packet, on average; 0: as fast as possible
	Size      int           // bytes of UDP payload, at least 8; 0: 64
}

// Send sends a flow from the host and returns how many packets left: fewer than
// Count only if ctx ended or there is an error. Packets are numbered from 0.
//
// The kernel loses what comes too fast for a busy machine: a hundred packets at
// once are safe, a thousand are not. With an interval, those that are late are
// sent in small bursts only.
func (h *Host) Send(ctx context.Context, f Flow) (sent int, err error) {
	if f.TTL == 0 {
		f.TTL = 64
	}
	if f.Size == 0 {
		f.Size = 64
	}
	fail := func(err error) (int, error) {
		return sent, fmt.Errorf("lab: host %s: send to %s: %w", h.Name, f.Group, err)
	}
	w := h.Wire(f.Interface)
	if w == nil {
		return fail(fmt.Errorf("no interface %q", f.Interface))
	}
	local := netip.AddrPortFrom(f.Source, 0)
	if !f.Source.IsValid() {
		local = netip.AddrPortFrom(netip.IPv4Unspecified(), 0)
	}
	var conn *net.UDPConn
	err = h.Do(func() (err error) {
		conn, err = net.ListenUDP("udp4", net.UDPAddrFromAddrPort(local))
		if err != nil {
			return err
		}
		p := ipv4.NewPacketConn(conn)
		return errors.Join(p.SetMulticastInterface(&net.Interface{Index: w.Index}), p.SetMulticastTTL(f.TTL))
	})
	if conn != nil {
		defer conn.Close()
	}
	if err != nil {
		return fail(err)
	}
	b := make([]byte, max(f.Size, minFlowSize))
	start := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for sent < f.Count {
		if f.Interval > 0 {
			due := start.Add(time.Duration(sent) * f.Interval)
			if late := time.Since(due); late > maxBurst*f.Interval {
				start = start.Add(late)
			}
			timer.Reset(time.Until(due))
			select {
			case <-timer.C:
			case <-ctx.Done():
				return sent, nil
			}
		} else if ctx.Err() != nil {
			return sent, nil
		}
		binary.BigEndian.PutUint64(b, uint64(sent))
		if _, err := conn.WriteToUDPAddrPort(b, f.Group); err != nil {
			return fail(err)
		}
		sent++
	}
	return sent, nil
}

// Receiver counts the packets of a flow at a host.
type Receiver struct {
	conn *net.UDPConn
	raw  syscall.RawConn
	done chan struct{}

	mu    sync.Mutex
	seen  []uint64 // one bit for each sequence number
	stats ReceiverStats
}

// ReceiverStats is what came. Packets + Missed is exactly what the network delivered.
type ReceiverStats struct {
	Packets    int       // read, duplicates too
	Duplicates int       // with a number that was read before
	Missed     int       // came while the socket's buffer was full
	Last       time.Time // when the last one was read
}

// Join makes the host a member of a group on an interface and counts what comes
// until Close. source restricts it to one source, with IGMPv3 (invalid: any).
func (h *Host) Join(group netip.AddrPort, iface string, source netip.Addr) (*Receiver, error) {
	fail := func(err error) (*Receiver, error) {
		return nil, fmt.Errorf("lab: host %s: join %s on %s: %w", h.Name, group.Addr(), iface, err)
	}
	w := h.Wire(iface)
	if w == nil {
		return fail(errors.New("no such interface"))
	}
	r := &Receiver{done: make(chan struct{})}
	err := h.Do(func() (err error) {
		// Bound to the group, the socket hears no other one of the same port.
		lc := net.ListenConfig{Control: reuseAddress}
		pc, err := lc.ListenPacket(context.Background(), "udp4", group.String())
		if err != nil {
			return err
		}
		r.conn = pc.(*net.UDPConn)
		p := ipv4.NewPacketConn(r.conn)
		at := &net.Interface{Index: w.Index}
		g := &net.UDPAddr{IP: group.Addr().AsSlice()}
		r.raw, err = r.conn.SyscallConn()
		if err != nil {
			return err
		}
		setReadBuffer(r.raw, flowBuffer)
		if source.IsValid() {
			return p.JoinSourceSpecificGroup(at, g, &net.UDPAddr{IP: source.AsSlice()})
		}
		return p.JoinGroup(at, g)
	})
	if err != nil {
		if r.conn != nil {
			r.conn.Close()
		}
		return fail(err)
	}
	go r.run()
	return r, nil
}

// reuseAddress lets several receivers of one host share a group and port, and
// keeps memberships of other sockets from feeding this one.
func reuseAddress(_, _ string, c syscall.RawConn) error {
	var err error
	if e := c.Control(func(fd uintptr) {
		err = errors.Join(
			unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEADDR, 1),
			unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_MULTICAST_ALL, 0))
	}); e != nil {
		return e
	}
	return err
}

// setReadBuffer asks for a buffer that a burst fits into. Only root may exceed
// the machine's limit; what does not fit is counted.
func setReadBuffer(c syscall.RawConn, size int) {
	_ = c.Control(func(fd uintptr) {
		if unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, size) != nil {
			_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, size)
		}
	})
}

// missed returns how many packets found no room in the socket's buffer.
func missed(c syscall.RawConn) int {
	// SK_MEMINFO_VARS and SK_MEMINFO_DROPS of linux/sock_diag.h. x/sys/unix has
	// no getsockopt for an array.
	const variables, drops = 9, 8
	var info [variables]uint32
	_ = c.Control(func(fd uintptr) { // an error means that it was closed
		size := uint32(unsafe.Sizeof(info))
		_, _, _ = unix.Syscall6(unix.SYS_GETSOCKOPT, fd, unix.SOL_SOCKET, unix.SO_MEMINFO,
			uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
	})
	return int(info[drops])
}

func (r *Receiver) run() {
	defer close(r.done)
	b := make([]byte, 1<<16)
	for {
		n, _, err := r.conn.ReadFromUDPAddrPort(b)
		if err != nil {
			return // closed
		}
		r.mu.Lock()
		r.stats.Packets++
		r.stats.Last = time.Now()
		if n >= minFlowSize {
			r.note(binary.BigEndian.Uint64(b))
		}
		r.mu.Unlock()
	}
}

func (r *Receiver) note(sequence uint64) {
	if sequence >= maxSequence {
		return
	}
	word, bit := int(sequence/64), uint64(1)<<(sequence%64)
	for len(r.seen) <= word {
		r.seen = append(r.seen, 0)
	}
	if r.seen[word]&bit != 0 {
		r.stats.Duplicates++
	}
	r.seen[word] |= bit
}

// Stats returns what came so far.
func (r *Receiver) Stats() ReceiverStats {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := missed(r.raw); n > 0 {
		r.stats.Missed = n
	}
	return r.stats
}

// Close leaves the group.
func (r *Receiver) Close() error {
	r.Stats() // the last chance to count what was missed
	err := r.conn.Close()
	<-r.done
	return err
}
