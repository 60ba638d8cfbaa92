// Package tunnel is the IP-in-IP tunnels (RFC 2003) of mrouted.conf without a
// kernel module: a TUN device that multicast routing uses like any interface, and
// a raw socket of protocol 4 that carries its packets to the other end.
//
//	multicast routing             [Tunnel]               the other end
//	  vif of dvmrp0  -- TUN -- check, rate limit -- protocol 4 -->
//	                 <-------- check ------------- protocol 4 ---
//
// A packet of 1500 bytes with Don't Fragment gets through: the device has the MTU
// of an Ethernet, the outer packet may be fragmented.
//
// Everything here belongs to the network namespace of the thread that opened it.
package tunnel

import (
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	"golang.org/x/time/rate"
)

// Config says what a tunnel is.
type Config struct {
	// Name is that of the device, such as "dvmrp0"; 1 to 15 bytes.
	Name string
	// Local is an address of this host, Remote that of the other end.
	Local, Remote netip.Addr
	// RateLimit is how much is sent at most, in kbit/s of outer packets; 0: no
	// limit. What exceeds it is dropped, but never DVMRP.
	RateLimit int
	// Beside is whether DVMRP goes beside the tunnel. Otherwise its multicast goes
	// through, and the device carries IGMP of type 0x13 to 224.0.0.4.
	Beside bool
}

// Tunnel is an open tunnel. Its methods may be called from any goroutine.
type Tunnel struct {
	config  Config
	index   int
	device  *os.File // TUN: a read or write is an inner packet
	socket  *os.File // raw: a read is an outer packet
	out     *sender
	limiter *rate.Limiter
	counts  counts
	done    chan struct{}
	closing sync.Once
	work    sync.WaitGroup
}

// Open makes the device, sets it up and begins to carry packets. It needs
// CAP_NET_ADMIN, CAP_NET_RAW and the TUN driver. The error is an [*Error]; it is
// [ErrNoAddress] as long as this host does not have the local address.
func Open(config Config) (*Tunnel, error) {
	if err := config.check(); err != nil {
		return nil, &Error{opOpen, config.String(), err}
	}
	t := &Tunnel{config: config, done: make(chan struct{}), limiter: rate.NewLimiter(bucket(config.RateLimit))}
	var raw syscall.RawConn
	var err error
	// The socket first: if it fails because of the address, no device comes and goes.
	if t.socket, err = openSocket(config.Local, config.Remote); err == nil {
		raw, err = t.socket.SyscallConn()
	}
	if err == nil {
		t.device, t.index, err = openDevice(config.Name)
	}
	if err != nil {
		if t.socket != nil {
			t.socket.Close()
		}
		return nil, &Error{opOpen, config.String(), err}
	}
	t.out = newSender(raw, config.Remote)
	t.work.Go(t.outward)
	t.work.Go(t.inward)
	return t, nil
}

// Index returns the interface index of the device.
func (t *Tunnel) Index() int { return t.index }

// String returns the name of the device and both ends.
func (t *Tunnel) String() string { return t.config.String() }

// String returns the name of the device and both ends.
func (c Config) String() string {
	return "tunnel " + c.Name + " from " + c.Local.String() + " to " + c.Remote.String()
}

func (c Config) check() error {
	switch {
	case c.Name == "" || len(c.Name) >= unix.IFNAMSIZ:
		return errName
	case !isHost(c.Local) || !isHost(c.Remote) || c.Local == c.Remote:
		return errEnds
	}
	return nil
}

// The bucket of a rate limit holds what is sent in burstTime, and as much as that
// of the kernel that mrouted was made for (10,000 bytes) at least: six of the
// longest packets.
const (
	minBurst  = 10_000
	burstTime = 50 * time.Millisecond
)

// bucket returns the rate in bytes each second and the size in bytes of the bucket
// of a rate limit.
func bucket(kbps int) (rate.Limit, int) {
	if kbps <= 0 {
		return rate.Inf, minBurst
	}
	bytes := float64(kbps) * 1000 / 8
	return rate.Limit(bytes), max(minBurst, int(bytes*burstTime.Seconds()))
}

// SetRate changes the rate limit: kbit/s, 0 for none.
func (t *Tunnel) SetRate(kbps int) {
	limit, burst := bucket(kbps)
	t.limiter.SetBurst(burst)
	t.limiter.SetLimit(limit)
}

// Done is closed when the tunnel carries nothing any more: after Close, or because
// somebody has removed the device.
func (t *Tunnel) Done() <-chan struct{} { return t.done }

// Close removes the device, and returns when all is gone.
func (t *Tunnel) Close() error {
	t.stop()
	t.work.Wait()
	return nil
}

// stop ends both directions.
func (t *Tunnel) stop() {
	t.closing.Do(func() {
		// Errors are of no use to anybody: both files are gone afterwards.
		t.device.Close()
		t.socket.Close()
		close(t.done)
	})
}

// maxPacket is the longest IPv4 packet.
const maxPacket = 64 << 10

// outward carries packets from the device to the other end until it is closed.
func (t *Tunnel) outward() {
	defer t.stop()
	b := make([]byte, maxPacket)
	for {
		n, err := t.device.Read(b)
		if err != nil {
			return
		}
		p, drop := checkOut(b[:n], t.config.Beside)
		size := len(p.bytes) + headerLen
		switch {
		case drop != 0:
		case !p.control && !t.limiter.AllowN(time.Now(), size):
			drop = OutLimit
		case t.out.send(p.bytes) != nil:
			drop = OutRefused
		}
		t.counts.out.add(len(p.bytes), drop, &t.counts)
	}
}

// inward carries packets from the other end to the device until it is closed.
func (t *Tunnel) inward() {
	defer t.stop()
	b := make([]byte, maxPacket)
	for {
		n, err := t.socket.Read(b)
		if err != nil {
			if isClosed(err) {
				return
			}
			continue // told once: what an earlier packet of ours met with
		}
		inner, drop := checkIn(b[:n], &t.config)
		if drop == 0 {
			if _, err := t.device.Write(inner); err != nil {
				drop = InRefused
			}
		}
		t.counts.in.add(len(inner), drop, &t.counts)
	}
}
