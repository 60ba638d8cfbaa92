package plane

import (
	"encoding/binary"
	"net/netip"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"mbone/internal/router/host"
)

// batchLen is how many packets one system call takes from a socket or sends at most.
const batchLen = 32

// mmsghdr is struct mmsghdr.
type mmsghdr struct {
	header unix.Msghdr
	length uint32
}

// batch takes packets from a raw socket, many with one system call. It allocates
// nothing after it was made, and must not be copied.
type batch struct {
	headers  [batchLen]mmsghdr
	vectors  [batchLen]unix.Iovec
	packets  [batchLen][]byte
	controls [batchLen][maxControl]byte
	limit    int // of packets that are taken at once
	at, n    int // packets at to n-1 are still to be looked at
	err      error
}

func newBatch(limit int) *batch {
	b := &batch{limit: limit}
	memory := make([]byte, batchLen*maxPacket)
	for i := range b.headers {
		b.packets[i] = memory[i*maxPacket : (i+1)*maxPacket]
		b.vectors[i].Base = &b.packets[i][0]
		b.vectors[i].SetLen(maxPacket)
		b.headers[i].header = unix.Msghdr{Iov: &b.vectors[i], Control: &b.controls[i][0]}
		b.headers[i].header.SetIovlen(1)
	}
	return b
}

// empty reports whether all packets that were received have been looked at.
func (b *batch) empty() bool { return b.at == b.n }

// receive takes packets from the socket, in place of those before. It does not wait.
func (b *batch) receive(fd int) {
	for i := range b.headers[:b.limit] {
		b.headers[i].header.SetControllen(maxControl)
	}
	b.at, b.n, b.err = 0, 0, nil
	for {
		n, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, uintptr(fd), uintptr(unsafe.Pointer(&b.headers)), uintptr(b.limit), unix.MSG_DONTWAIT, 0, 0)
		switch errno {
		case 0:
			b.n = int(n)
			return
		case unix.EINTR:
		case unix.EAGAIN, unix.ENOMEM, unix.ENOBUFS: // nothing, or nothing now
			return
		default:
			b.err = errno
			return
		}
	}
}

// next returns the next packet of those that were received, with what the kernel
// says beside it.
func (b *batch) next() (packet, control []byte, ok bool) {
	if b.empty() {
		return nil, nil, false
	}
	h := &b.headers[b.at]
	packet = b.packets[b.at][:h.length]
	control = b.controls[b.at][:h.header.Controllen]
	b.at++
	return packet, control, true
}

// readControl takes time, interface index and the address of this host that was
// meant from what the kernel says beside a packet.
func readControl(b []byte) (at time.Time, ifIndex int, local netip.Addr) {
	for len(b) >= unix.SizeofCmsghdr {
		h := (*unix.Cmsghdr)(unsafe.Pointer(&b[0]))
		n := int(h.Len)
		if n < unix.CmsgLen(0) || n > len(b) {
			break
		}
		data := b[unix.CmsgLen(0):n]
		switch {
		case h.Level == unix.SOL_SOCKET && h.Type == unix.SCM_TIMESTAMPNS:
			switch len(data) { // a timespec of longs
			case 16:
				at = time.Unix(int64(binary.NativeEndian.Uint64(data)), int64(binary.NativeEndian.Uint64(data[8:])))
			case 8:
				at = time.Unix(int64(binary.NativeEndian.Uint32(data)), int64(binary.NativeEndian.Uint32(data[4:])))
			}
		case h.Level == unix.IPPROTO_IP && h.Type == unix.IP_PKTINFO && len(data) >= unix.SizeofInet4Pktinfo:
			// struct in_pktinfo: interface, address of this host, destination
			ifIndex = int(int32(binary.NativeEndian.Uint32(data)))
			local = netip.AddrFrom4([4]byte(data[4:]))
		}
		b = b[min(unix.CmsgSpace(len(data)), len(b)):]
	}
	if at.IsZero() {
		at = time.Now()
	}
	return at, ifIndex, local
}

// headerLen returns the length of the IPv4 header that b begins with; 0: there is
// none.
func headerLen(b []byte) int {
	if len(b) < minHeader || b[0]>>4 != 4 {
		return 0
	}
	n := int(b[0]&0x0f) * 4
	if n < minHeader || n > len(b) {
		return 0
	}
	return n
}

// readPacket fills p from a packet with its header, whose memory it shares.
func readPacket(p *host.Packet, b []byte) bool {
	n := headerLen(b)
	if n == 0 {
		return false
	}
	p.From = netip.AddrFrom4([4]byte(b[12:]))
	p.To = netip.AddrFrom4([4]byte(b[16:]))
	p.TTL = b[8]
	p.Header, p.Message = b[:n:n], b[n:]
	p.Alert = hasAlert(b[minHeader:n])
	return true
}

// Options of IPv4 (RFC 791, RFC 2113).
const (
	optionEnd   = 0
	optionNone  = 1
	optionAlert = 148
)

// hasAlert reports whether Router Alert is among the options.
func hasAlert(options []byte) bool {
	for len(options) > 0 {
		switch options[0] {
		case optionEnd:
			return false
		case optionAlert:
			return true
		case optionNone:
			options = options[1:]
			continue
		}
		if len(options) < 2 || options[1] < 2 || int(options[1]) > len(options) {
			return false
		}
		options = options[options[1]:]
	}
	return false
}
