package plane

import (
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

// outbox collects packets, and sends many with one system call, in their order. It
// allocates nothing but for packets longer than all before, and must not be copied.
type outbox struct {
	headers   [batchLen]mmsghdr
	vectors   [batchLen]unix.Iovec
	addresses [batchLen]unix.RawSockaddrInet4
	controls  [batchLen][]byte
	messages  [batchLen][]byte
	n         int
}

func newOutbox() *outbox {
	b := &outbox{}
	for i := range b.headers {
		b.addresses[i].Family = unix.AF_INET
		b.controls[i] = make([]byte, 0, maxControl)
		h := &b.headers[i].header
		*h = unix.Msghdr{
			Name: (*byte)(unsafe.Pointer(&b.addresses[i])), Namelen: unix.SizeofSockaddrInet4,
			Iov: &b.vectors[i], Control: unsafe.SliceData(b.controls[i]),
		}
		h.SetIovlen(1)
	}
	return b
}

// full reports whether it must be sent before more is put.
func (b *outbox) full() bool { return b.n == batchLen }

// put copies a packet.
func (b *outbox) put(d *Datagram) {
	i := b.n
	b.n++
	b.addresses[i].Addr = d.To.As4()
	b.controls[i] = d.appendControl(b.controls[i][:0])
	b.headers[i].header.SetControllen(len(b.controls[i]))
	b.messages[i] = append(b.messages[i][:0], d.Message...)
	b.vectors[i].Base = unsafe.SliceData(b.messages[i])
	b.vectors[i].SetLen(len(b.messages[i]))
}

// send sends all, each once, and empties the outbox. failed is told of each packet
// that the kernel refuses: a full buffer is an error like any other, since nothing
// here waits, and the protocols bear loss.
func (b *outbox) send(fd int, failed func(to netip.Addr, err error)) {
	for at := 0; at < b.n; {
		n, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, uintptr(fd), uintptr(unsafe.Pointer(&b.headers[at])), uintptr(b.n-at), unix.MSG_DONTWAIT, 0, 0)
		switch errno {
		case 0:
			at += int(n)
		case unix.EINTR:
		default: // of the first of them
			failed(netip.AddrFrom4(b.addresses[at].Addr), errno)
			at++
		}
	}
	b.n = 0
}
