package mroutd

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mbone/proto/dvmrp"
	"mbone/proto/igmp"
	"mbone/proto/mtrace"
)

// BenchmarkAnswers counts the answers per second of a router to one asker on its
// link, with so many questions on their way.
func BenchmarkAnswers(b *testing.B) {
	const tries = 5
	for _, question := range []string{"neighbors2", "mtrace"} {
		for _, inFlight := range []int{1, 32} {
			b.Run(fmt.Sprintf("%s/%d", question, inFlight), func(b *testing.B) {
				for b.Loop() {
					// The best of some tries, in turn: what else the machine does must not
					// decide.
					rates := make(map[string]float64)
					for range tries {
						for _, k := range kinds() {
							rates[k.name] = max(rates[k.name], answers(b, k, question, inFlight))
						}
					}
					compare(b, rates, "answers/s")
				}
			})
		}
	}
}

func answers(b *testing.B, k kind, question string, inFlight int) float64 {
	const measured = time.Second
	l := star(b, 2)
	defer l.Close()
	k.start(b, l.Host("router"))
	asker, router, source := netip.MustParseAddr("10.0.1.1"), netip.MustParseAddr("10.0.1.254"), netip.MustParseAddr("10.0.2.1")
	var id uint32
	// No must from here on: its b.Helper takes so long that the asker, not the router,
	// would decide.
	ask := func(buffer []byte) []byte {
		var m dvmrpMessage = &dvmrp.Ask{Code: dvmrp.CodeAskNeighbors2, Version: dvmrp.Mrouted}
		if question == "mtrace" {
			id += 1 << 8 // mrouted 4.6 leaves the last byte out when it looks for duplicates
			m = &mtrace.Message{
				Type: mtrace.TypeQuery, Hops: 32, Source: source, Receiver: asker, Group: netip.MustParseAddr("239.1.2.3"),
				Response: asker, QueryID: id & 0xffffff,
			}
		}
		message, err := m.AppendBinary(buffer[:0])
		if err != nil {
			b.Fatal(err)
		}
		return message
	}
	var fd int
	must(b, l.Host("host1").Do(func() (err error) {
		if fd, err = unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, protocolIGMP); err != nil {
			return err
		}
		return errors.Join(
			unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 4<<20),
			unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 200_000}))
	}))
	defer unix.Close(fd)
	to := &unix.SockaddrInet4{Addr: router.As4()}
	message, packet := make([]byte, 0, 2048), make([]byte, 9000)
	send := func() {
		message = ask(message)
		if err := unix.Sendto(fd, message, 0, to); err != nil {
			b.Fatal(err)
		}
	}
	// received waits for an answer. What was lost on the way is asked again.
	received := func() bool {
		for {
			n, err := unix.Read(fd, packet)
			if err == unix.EAGAIN {
				return false
			}
			if err == unix.EINTR {
				continue
			}
			if err != nil {
				b.Fatal(err)
			}
			if n < ipHeader+igmp.FrameLen {
				continue
			}
			m := packet[int(packet[0]&15)*4 : n]
			switch igmp.Type(m[0]) {
			case igmp.TypeDVMRP:
				if dvmrp.Code(m[1]) == dvmrp.CodeNeighbors2 {
					return true
				}
			case igmp.TypeMtraceResponse:
				return true
			}
		}
	}
	for range inFlight {
		send()
	}
	count, lost := 0, 0
	began := time.Now()
	for time.Since(began) < measured {
		if received() {
			count++
			send()
			continue
		}
		lost += inFlight
		for range inFlight {
			send()
		}
	}
	if lost > count/100 {
		b.Logf("%s: %d answers, %d questions without", k.name, count, lost)
	}
	return float64(count) / time.Since(began).Seconds()
}
