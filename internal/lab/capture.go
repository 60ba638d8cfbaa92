package lab

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

const (
	// maxFrames bounds the memory of a capture: what comes later is only counted.
	maxFrames = 1 << 17
	// snapLength is longer than any frame of a lab.
	snapLength = 1 << 16
	// captureBuffer is asked for as socket buffer; the kernel may grant less.
	captureBuffer = 8 << 20

	ethernetHeader = 14
)

// Frame is an Ethernet frame that was seen at an interface.
type Frame struct {
	Time time.Time // by the kernel
	Out  bool      // sent by this host
	Data []byte    // from the Ethernet header on
}

// IP returns the frame's IP packet.
func (f Frame) IP() []byte { return f.Data[ethernetHeader:] }

// Capture collects the IPv4 packets that pass an interface of a host, in both
// directions. UDP checksums of packets that the host sends are not filled in
// yet when they are seen.
type Capture struct {
	file *os.File
	done chan struct{}

	mu     sync.Mutex
	frames []Frame
	total  int
	closed bool
	err    error
}

// Capture begins to collect packets of one IP protocol (0: all IPv4).
func (h *Host) Capture(iface string, protocol uint8) (*Capture, error) {
	fail := func(err error) (*Capture, error) {
		return nil, fmt.Errorf("lab: host %s: capture on %s: %w", h.Name, iface, err)
	}
	w := h.Wire(iface)
	if w == nil {
		return fail(errors.New("no such interface"))
	}
	program, err := captureFilter(protocol)
	if err != nil {
		return fail(err)
	}
	c := &Capture{done: make(chan struct{})}
	err = h.Do(func() error {
		// With protocol 0 it hears nothing before the filter is in place and bind
		// switches it on.
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			return err
		}
		c.file = os.NewFile(uintptr(fd), "capture")
		raw, err := c.file.SyscallConn()
		if err != nil {
			return err
		}
		setReadBuffer(raw, captureBuffer)
		return errors.Join(
			unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1),
			unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, program),
			unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: bigEndian(unix.ETH_P_ALL), Ifindex: w.Index}))
	})
	if err != nil {
		if c.file != nil {
			c.file.Close()
		}
		return fail(err)
	}
	go c.run()
	return c, nil
}

func bigEndian(v uint16) uint16 {
	return binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, v))
}

func captureFilter(protocol uint8) (*unix.SockFprog, error) {
	instructions := []bpf.Instruction{
		bpf.LoadAbsolute{Off: 12, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.ETH_P_IP, SkipTrue: 3},
		bpf.LoadAbsolute{Off: ethernetHeader + offsetProtocol, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: uint32(protocol), SkipTrue: 1},
		bpf.RetConstant{Val: snapLength},
		bpf.RetConstant{Val: 0},
	}
	if protocol == 0 {
		instructions = []bpf.Instruction{
			bpf.LoadAbsolute{Off: 12, Size: 2},
			bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.ETH_P_IP, SkipTrue: 1},
			bpf.RetConstant{Val: snapLength},
			bpf.RetConstant{Val: 0},
		}
	}
	raw, err := bpf.Assemble(instructions)
	if err != nil {
		return nil, err
	}
	filter := make([]unix.SockFilter, len(raw))
	for i, r := range raw {
		filter[i] = unix.SockFilter{Code: r.Op, Jt: r.Jt, Jf: r.Jf, K: r.K}
	}
	return &unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}, nil
}

func (c *Capture) run() {
	defer close(c.done)
	raw, err := c.file.SyscallConn()
	b, oob := make([]byte, snapLength), make([]byte, 128)
	for err == nil {
		var n, oobn int
		var from unix.Sockaddr
		var recvErr error
		err = raw.Read(func(fd uintptr) bool {
			n, oobn, _, from, recvErr = unix.Recvmsg(int(fd), b, oob, 0)
			return !errors.Is(recvErr, unix.EAGAIN)
		})
		if err == nil {
			err = recvErr
		}
		if errors.Is(err, unix.ENETDOWN) { // the interface was set down; it may come back
			err = nil
			continue
		}
		if err == nil && n >= ethernetHeader {
			c.add(Frame{
				Time: timestamp(oob[:oobn]),
				Out:  from.(*unix.SockaddrLinklayer).Pkttype == unix.PACKET_OUTGOING,
				Data: slices.Clone(b[:n]),
			})
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed { // else err only says so
		c.err = err
	}
}

func timestamp(oob []byte) time.Time {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return time.Now()
	}
	for _, m := range messages {
		if m.Header.Level == unix.SOL_SOCKET && m.Header.Type == unix.SCM_TIMESTAMPNS && len(m.Data) >= 16 {
			return time.Unix(int64(binary.NativeEndian.Uint64(m.Data)), int64(binary.NativeEndian.Uint64(m.Data[8:])))
		}
	}
	return time.Now()
}

func (c *Capture) add(f Frame) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.total++
	if len(c.frames) < maxFrames {
		c.frames = append(c.frames, f)
	}
}

// Frames returns what was seen so far, in order.
func (c *Capture) Frames() []Frame { return c.Since(0) }

// Since returns what was seen so far without the first n frames.
func (c *Capture) Since(n int) []Frame {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.frames[min(n, len(c.frames)):])
}

// Close ends the capture. It returns an error if it is not complete: if the
// kernel's buffer or our memory did not suffice.
func (c *Capture) Close() error {
	var missed uint32
	if raw, err := c.file.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { // an error means that it was closed before
			if s, err := unix.GetsockoptTpacketStats(int(fd), unix.SOL_PACKET, unix.PACKET_STATISTICS); err == nil {
				missed = s.Drops
			}
		})
	}
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.file.Close()
	<-c.done
	c.mu.Lock()
	defer c.mu.Unlock()
	if missed += uint32(c.total - len(c.frames)); missed > 0 {
		return errors.Join(c.err, fmt.Errorf("lab: capture: %d frames are missing", missed))
	}
	return c.err
}

// WritePcap writes what was seen so far as a pcap file with nanoseconds.
func (c *Capture) WritePcap(w io.Writer) error {
	p := pcapgo.NewWriterNanos(w)
	err := p.WriteFileHeader(snapLength, layers.LinkTypeEthernet)
	for _, f := range c.Frames() {
		if err == nil {
			err = p.WritePacket(gopacket.CaptureInfo{Timestamp: f.Time, CaptureLength: len(f.Data), Length: len(f.Data)}, f.Data)
		}
	}
	if err != nil {
		return fmt.Errorf("lab: write pcap: %w", err)
	}
	return nil
}
