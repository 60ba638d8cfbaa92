package plane_test

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mbone/internal/lab"
	"mbone/internal/plane"
	"mbone/internal/plane/mroute"
	"mbone/internal/router/host"
)

// flowSender returns a function that sends the first packet of a flow from a host,
// whose group its number says.
func flowSender(b *testing.B, h *lab.Host) func(i int) {
	fd := lab.Within(b, h, func() (int, error) {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return -1, err
		}
		return fd, errors.Join(unix.SetsockoptIPMreqn(fd, unix.IPPROTO_IP, unix.IP_MULTICAST_IF, &unix.IPMreqn{Ifindex: int32(h.Wire("eth0").Index)}),
			unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MULTICAST_TTL, 64))
	})
	b.Cleanup(func() { unix.Close(fd) })
	to := &unix.SockaddrInet4{Port: 5000}
	return func(i int) {
		to.Addr = [4]byte{239, byte(i >> 16), byte(i >> 8), byte(i)}
		if err := unix.Sendto(fd, []byte("01234567"), 0, to); err != nil {
			b.Error(err)
		}
	}
}

// sendFlows sends the first packets of n flows, 256 at a time, whenever done says
// that those before are installed.
func sendFlows(send func(i int), n int, done *atomic.Int64) {
	for i := range n {
		for i-int(done.Load()) >= 256 {
			time.Sleep(10 * time.Microsecond)
		}
		send(i)
	}
}

// BenchmarkFlows installs an entry for each new flow: with a bare loop of recv and
// MRT_ADD_MFC, and with a Router, that does what an engine wants.
func BenchmarkFlows(b *testing.B) {
	for _, n := range []int{10_000, 100_000} {
		b.Run(fmt.Sprintf("bare/%d", n), func(b *testing.B) {
			for range b.N {
				b.StopTimer()
				l := lab.Start(b, crossing)
				h := l.Host("router")
				table := lab.Within(b, h, func() (*mroute.Table, error) { return mroute.Open(0) })
				check(b, errors.Join(table.AddVif(0, h.Wire("eth0").Index), table.AddVif(1, h.Wire("eth1").Index)))
				fd := int(table.File().Fd())
				check(b, unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 16<<20))
				var done atomic.Int64
				send := flowSender(b, l.Host("near"))
				buffer := make([]byte, 1500)
				b.StartTimer()
				go sendFlows(send, n, &done)
				for int(done.Load()) < n {
					if _, err := unix.Read(fd, buffer); err != nil && !errors.Is(err, unix.EINTR) {
						b.Fatal(err)
					}
					if buffer[9] != 0 {
						continue
					}
					e := mroute.Entry{Source: netip.AddrFrom4([4]byte(buffer[12:])), Group: netip.AddrFrom4([4]byte(buffer[16:])), Parent: int(buffer[10])}
					e.TTLs[1] = 1
					check(b, table.AddMFC(e))
					done.Add(1)
				}
				b.StopTimer()
				table.Close()
				check(b, l.Close())
			}
		})
		b.Run(fmt.Sprintf("router/%d", n), func(b *testing.B) {
			for range b.N {
				b.StopTimer()
				l := lab.Start(b, crossing)
				r := benchRouter(b, l.Host("router"))
				actions := &host.Actions{Entries: []host.Entry{{Outputs: []host.Output{{Interface: 2, TTL: 1}}}}}
				var done atomic.Int64
				send := flowSender(b, l.Host("near"))
				b.StartTimer()
				go sendFlows(send, n, &done)
				for int(done.Load()) < n {
					if answer(b, r, actions) {
						done.Add(1)
					}
				}
				b.StopTimer()
				r.Close()
				check(b, l.Close())
			}
		})
	}
}

// BenchmarkUpcall measures the time from the first packet of a flow to its entry in
// the kernel, one flow after another, while 20,000 questions come each second.
func BenchmarkUpcall(b *testing.B) {
	l := lab.Start(b, crossing)
	r := benchRouter(b, l.Host("router"))
	near := l.Host("near")
	questions := lab.Within(b, near, func() (*plane.Socket, error) { return plane.Listen(igmp, 0) })
	defer questions.Close()
	stop, installed := make(chan struct{}), make(chan time.Time, 1)
	var work sync.WaitGroup
	asked := 0
	work.Go(func() {
		for start := time.Now(); ; asked++ {
			select {
			case <-stop:
				return
			default:
			}
			if asked > int(time.Since(start)/(50*time.Microsecond)) {
				time.Sleep(time.Millisecond)
			}
			_ = questions.Send(plane.Datagram{To: ip("10.0.1.254"), TTL: 9, Message: []byte{0x13, 5, 0, 0, 0, 0, 0, 0}})
		}
	})
	work.Go(func() {
		actions := &host.Actions{Entries: []host.Entry{{Outputs: []host.Output{{Interface: 2, TTL: 1}}}}}
		for {
			select {
			case <-stop:
				return
			default:
			}
			if answer(b, r, actions) {
				installed <- time.Now()
			}
		}
	})
	send := flowSender(b, near)
	var times []time.Duration
	for i := 0; b.Loop(); i++ {
		start := time.Now()
		send(i)
		times = append(times, (<-installed).Sub(start))
	}
	close(stop)
	r.Wake()
	work.Wait()
	check(b, r.Close())
	slices.Sort(times)
	b.ReportMetric(float64(times[len(times)*99/100].Microseconds()), "us-p99")
	b.ReportMetric(float64(asked)/b.Elapsed().Seconds(), "questions/s")
}

// answer waits for what comes next, and reports whether it was an upcall, which is
// answered with an entry.
func answer(b *testing.B, r *plane.Router, actions *host.Actions) bool {
	e, err := r.Next()
	check(b, err)
	if e == nil {
		_, err := r.Wait(-1)
		check(b, err)
		return false
	}
	u, ok := e.(*host.Upcall)
	if ok {
		a := &actions.Entries[0]
		a.Source, a.Group, a.In = u.Source, u.Group, u.Interface
		r.Apply(actions)
	}
	return ok
}

func benchRouter(b *testing.B, h *lab.Host) *plane.Router {
	r := lab.Within(b, h, func() (*plane.Router, error) {
		return plane.OpenRouter(plane.RouterOptions{Log: slog.New(slog.DiscardHandler)})
	})
	check(b, h.Do(func() error {
		return errors.Join(r.AddLink(1, h.Wire("eth0").Index, "eth0", nil), r.AddLink(2, h.Wire("eth1").Index, "eth1", nil))
	}))
	return r
}
