package plane

import (
	"context"
	"encoding/binary"
	"errors"
	"log/slog"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
	"golang.org/x/time/rate"

	"mbone/internal/router/host"
)

// fragmentLen is the longest packet that is made of one that is too long for a link
// and passed on: what every host must take (RFC 791).
const fragmentLen = 576

// outgoing is what sending needs again and again.
type outgoing struct {
	loop bool
	own  *outbox
	// What follows is of packets with the header of somebody else.
	to      unix.SockaddrInet4
	control []byte
	packet  []byte
	// failures bounds how often the log tells that something was not sent.
	failures *rate.Limiter
}

func newOutgoing() outgoing {
	return outgoing{own: newOutbox(), failures: rate.NewLimiter(rate.Every(time.Second), 5)}
}

// openPassing opens the socket for packets that come with their header. It receives
// nothing.
func openPassing() (fd int, err error) {
	fd, err = unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
	if err != nil {
		return -1, err
	}
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MULTICAST_LOOP, 0); err != nil {
		unix.Close(fd)
		return -1, err
	}
	setSendBuffer(fd)
	return fd, nil
}

// send sends a packet of the engine, one of its own with the next flush.
func (r *Router) send(s *host.Send) {
	d := Datagram{To: s.To, Source: s.From, TTL: s.TTL, Loop: s.Loop, Alert: s.Alert, Message: s.Message}
	if s.Interface != 0 {
		v := r.links[s.Interface]
		if v == nil {
			r.counts.Unsent++
			return // the link has just gone
		}
		d.IfIndex = v.ifIndex
	}
	if s.Header == nil {
		r.sendOwn(&d)
		return
	}
	r.flush()
	if err := r.pass(&d, s.Header); err != nil {
		r.unsent(s.To, err)
	}
}

// unsent counts and logs a packet that the kernel has refused.
func (r *Router) unsent(to netip.Addr, err error) {
	r.counts.Unsent++
	level := slog.LevelInfo
	if errors.Is(err, unix.ENETUNREACH) || errors.Is(err, unix.EHOSTUNREACH) || errors.Is(err, unix.ENETDOWN) {
		level = slog.LevelDebug // the other one has gone, or a link: that is no fault of ours
	}
	ctx := context.Background()
	if r.log.Enabled(ctx, level) && r.out.failures.Allow() {
		r.log.Log(ctx, level, "packet not sent", "error", &Error{"send to", to.String(), err}, "unsent", r.counts.Unsent)
	}
}

// sendOwn sends a message with the next flush. What is too long for the link leaves
// in fragments.
func (r *Router) sendOwn(d *Datagram) {
	turns := d.To.IsMulticast() && d.Loop != r.out.loop
	if turns || r.out.own.full() {
		r.flush()
	}
	if turns {
		if err := unix.SetsockoptInt(r.sending, unix.IPPROTO_IP, unix.IP_MULTICAST_LOOP, boolInt(d.Loop)); err != nil {
			r.unsent(d.To, err)
			return
		}
		r.out.loop = d.Loop
	}
	r.out.own.put(d)
}

// flush sends what waits.
func (r *Router) flush() {
	if r.out.own.n > 0 {
		r.out.own.send(r.sending, r.unsent)
		r.together = false
	}
}

// sendMessage sends once. A full buffer is an error like any other: nothing here
// waits, and the protocols bear loss.
func sendMessage(fd int, b, control []byte, to *unix.SockaddrInet4) error {
	for {
		_, err := unix.SendmsgN(fd, b, control, to, unix.MSG_DONTWAIT)
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// Fields of the IPv4 header.
const (
	offsetID       = 4
	offsetFragment = 6
	offsetTTL      = 8
	flagDont       = 0x4000
	flagMore       = 0x2000
)

// pass sends a packet of somebody else with its header, but for the TTL.
func (r *Router) pass(d *Datagram, header []byte) error {
	if headerLen(header) != len(header) {
		return unix.EINVAL
	}
	b := append(append(r.out.packet[:0], header...), d.Message...)
	r.out.packet = b
	b[offsetTTL] = d.TTL
	// It came whole, whatever it was on the way here. The kernel fills in length
	// and checksum.
	fragment := binary.BigEndian.Uint16(b[offsetFragment:]) & flagDont
	binary.BigEndian.PutUint16(b[offsetFragment:], fragment)
	r.out.control = r.out.control[:0]
	if d.IfIndex != 0 {
		own := Datagram{IfIndex: d.IfIndex}
		r.out.control = own.appendInterface(r.out.control)
	}
	r.out.to.Addr = d.To.As4()
	err := sendMessage(r.passing, b, r.out.control, &r.out.to)
	if !errors.Is(err, unix.EMSGSIZE) || fragment != 0 {
		return err
	}
	return r.passFragments(b, len(header))
}

// passFragments sends a packet in pieces, whose header is n bytes long. All options
// that pass here are copied into each: Router Alert is one that must be (RFC 2113).
func (r *Router) passFragments(b []byte, n int) error {
	if binary.BigEndian.Uint16(b[offsetID:]) == 0 {
		// The kernel would choose another one for each piece.
		binary.BigEndian.PutUint16(b[offsetID:], uint16(r.counts.Packets+r.counts.Questions)|1)
	}
	const unit = 8 // bytes, of the offset
	step := (fragmentLen - n) / unit * unit
	piece := make([]byte, 0, fragmentLen)
	for at := n; at < len(b); at += step {
		end := min(at+step, len(b))
		fragment := uint16((at - n) / unit)
		if end < len(b) {
			fragment |= flagMore
		}
		piece = append(append(piece[:0], b[:n]...), b[at:end]...)
		binary.BigEndian.PutUint16(piece[offsetFragment:], fragment)
		if err := sendMessage(r.passing, piece, r.out.control, &r.out.to); err != nil {
			return err
		}
	}
	return nil
}
