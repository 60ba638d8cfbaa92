package mroutd

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mbone/internal/lab"
	"mbone/internal/peers"
)

// The benchmarks measure mroutd as a process, in hosts of a lab, on the real
// kernel. If MBONE_MROUTED names an mrouted, it does the same work in the same run,
// and the ratio of the two is reported: absolute figures differ from machine to
// machine. One run of each is enough: go test -run '^$' -bench . -benchtime 1x.

// benchPatience is how long anything may take that is not the thing measured.
const benchPatience = 90 * time.Second

// kind is a multicast router that is measured.
type kind struct {
	name  string
	start func(b *testing.B, h *lab.Host, conf ...string) *lab.Cmd
}

var (
	ours   = kind{"mroutd", startMroutd}
	theirs = kind{"mrouted", func(b *testing.B, h *lab.Host, conf ...string) *lab.Cmd { return peers.Mrouted(b, h, conf...) }}
)

// kinds are those that can be measured here, mroutd first.
func kinds() []kind {
	if os.Getenv(peers.MroutedVariable) == "" {
		return []kind{ours}
	}
	return []kind{ours, theirs}
}

// startMroutd starts mroutd in a host with these lines of mroutd.conf, and returns
// when all of the host's wires are vifs.
func startMroutd(b *testing.B, h *lab.Host, conf ...string) *lab.Cmd {
	b.Helper()
	const file = "/run/mroutd.conf"
	must(b, h.WriteFile(file, []byte(strings.Join(conf, "\n")+"\n"), 0o644))
	c := h.Command(context.Background(), "/proc/self/exe", "-n", "-f", file, "-p", "/run/mroutd.pid", "-u", "/run/mroutd.sock")
	c.Args[0] = "mroutd"
	c.Env = append(os.Environ(), asProgram+"=1")
	must(b, c.Start())
	lab.Until(b, benchPatience, func() error {
		select {
		case <-c.Done():
			b.Fatalf("%s: mroutd ended: %v\n%s", h.Name, c.Wait(), c.Log())
		default:
		}
		vifs, err := peers.Vifs(h)
		if err == nil && len(vifs) < len(h.Wires()) {
			err = fmt.Errorf("%s: %d vifs, want %d:\n%s", h.Name, len(vifs), len(h.Wires()), c.Log())
		}
		return err
	})
	return c
}

func must(b *testing.B, err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// calm waits until the kernel has time for others: it takes apart the namespaces
// of a lab after that was closed, and each change of an entry waits for the same lock
// meanwhile.
func calm(b *testing.B, h *lab.Host) {
	b.Helper()
	const (
		quick = 2 * time.Millisecond
		quiet = 500 * time.Millisecond
	)
	lo, err := h.Netlink().LinkByName("lo")
	must(b, err)
	since := time.Now()
	for deadline := since.Add(benchPatience); time.Since(since) < quiet; time.Sleep(quick) {
		began := time.Now()
		must(b, h.Netlink().LinkSetUp(lo)) // which it is
		if now := time.Now(); now.Sub(began) > quick {
			since = now
		}
		if since.After(deadline) {
			b.Log("the kernel, or the machine, is busy all the time")
			return
		}
	}
}

// compare reports the figure of each kind, and the ratio of the first to the second.
func compare(b *testing.B, figures map[string]float64, unit string) {
	for _, k := range kinds() {
		if v, ok := figures[k.name]; ok {
			b.ReportMetric(v, k.name+"-"+unit)
		}
	}
	if mine := figures[ours.name]; mine != 0 && figures[theirs.name] != 0 {
		b.ReportMetric(mine/figures[theirs.name], unit+"-ratio")
	}
	b.ReportMetric(0, "ns/op") // says nothing here
}

// resident is the memory of a process in MiB: now, and at most.
func resident(b *testing.B, c *lab.Cmd) (now, peak float64) {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", c.Process.Pid))
	must(b, err)
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		switch kib, _ := strconv.ParseFloat(fields[1], 64); fields[0] {
		case "VmRSS:":
			now = kib / 1024
		case "VmHWM:":
			peak = kib / 1024
		}
	}
	return now, peak
}

// processor is the time that a process has computed.
func processor(b *testing.B, c *lab.Cmd) time.Duration {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", c.Process.Pid))
	must(b, err)
	fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
	user, err1 := strconv.ParseInt(string(fields[11]), 10, 64)
	system, err2 := strconv.ParseInt(string(fields[12]), 10, 64)
	must(b, errors.Join(err1, err2))
	const perSecond = 100 // USER_HZ
	return time.Duration(user+system) * time.Second / perSecond
}

// stolen begins to measure, and returns a function that reports, how much of the time
// of the processors the host of this virtual machine took for others. Where that is
// more than some percent, late packets and long waits are the host's.
func stolen(b *testing.B) (report func()) {
	b.Helper()
	read := func() (total, stolen float64) {
		text, err := os.ReadFile("/proc/stat")
		must(b, err)
		first, _, _ := bytes.Cut(text, []byte("\n"))
		const steal = 8 // proc_stat(5): user, nice, system, idle, iowait, irq, softirq, steal
		for i, field := range bytes.Fields(first)[:steal+1] {
			n, _ := strconv.ParseFloat(string(field), 64)
			total += n
			if i == steal {
				stolen = n
			}
		}
		return total, stolen
	}
	total, taken := read()
	return func() {
		t, s := read()
		b.ReportMetric(100*(s-taken)/max(t-total, 1), "stolen-%")
	}
}

// gun sends IP packets of any source from an interface of a host, as fast as it is
// told to.
type gun struct {
	fd     int
	packet []byte
	to     unix.SockaddrInet4
}

const (
	ipHeader  = 20
	udpHeader = 8
)

// newGun makes a gun for packets of a protocol with so many bytes after the IP
// header.
func newGun(b *testing.B, h *lab.Host, iface string, protocol byte, size int) *gun {
	b.Helper()
	g := &gun{packet: make([]byte, ipHeader+size)}
	index := h.Wire(iface).Index
	must(b, h.Do(func() (err error) {
		if g.fd, err = unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW); err != nil {
			return err
		}
		return errors.Join(
			unix.SetsockoptIPMreqn(g.fd, unix.IPPROTO_IP, unix.IP_MULTICAST_IF, &unix.IPMreqn{Ifindex: int32(index)}),
			unix.SetsockoptInt(g.fd, unix.IPPROTO_IP, unix.IP_MULTICAST_LOOP, 0),
			unix.SetsockoptInt(g.fd, unix.SOL_SOCKET, unix.SO_SNDBUF, 4<<20))
	}))
	b.Cleanup(func() { unix.Close(g.fd) })
	g.packet[0], g.packet[8], g.packet[9] = 0x45, 64, protocol
	return g
}

// payload is what follows the IP header.
func (g *gun) payload() []byte { return g.packet[ipHeader:] }

// fire sends the packet. The kernel fills in length and checksum of the header.
func (g *gun) fire(from, to netip.Addr) error {
	f, t := from.As4(), to.As4()
	copy(g.packet[12:], f[:])
	copy(g.packet[16:], t[:])
	g.to.Addr = t
	for {
		err := unix.Sendto(g.fd, g.packet, 0, &g.to)
		if err != unix.ENOBUFS && err != unix.EINTR {
			return err
		}
	}
}

// udpGun is a gun for UDP packets to a port.
func udpGun(b *testing.B, h *lab.Host, iface string, port uint16) *gun {
	b.Helper()
	const data = 16
	g := newGun(b, h, iface, unix.IPPROTO_UDP, udpHeader+data)
	p := g.payload()
	binary.BigEndian.PutUint16(p[0:], port)
	binary.BigEndian.PutUint16(p[2:], port)
	binary.BigEndian.PutUint16(p[4:], udpHeader+data)
	return g
}

// stamp puts the time into the packet.
func (g *gun) stamp(now time.Time) {
	binary.BigEndian.PutUint64(g.payload()[udpHeader:], uint64(now.UnixNano()))
}

// ear receives the packets of udpGun at a host, and knows when the kernel got each.
type ear struct {
	fd   int
	done chan struct{}
	// arrivals has for each packet when it was sent and when it came. It is the
	// caller's after close.
	arrivals []arrival
	count    chan struct{} // room for what came since it was looked at: see wait
}

type arrival struct{ sent, came time.Time }

// listen joins groups at an interface until close.
func listen(b *testing.B, h *lab.Host, iface string, port uint16, groups ...netip.Addr) *ear {
	b.Helper()
	e := &ear{done: make(chan struct{}), count: make(chan struct{}, 1<<20)}
	index := h.Wire(iface).Index
	must(b, h.Do(func() (err error) {
		if e.fd, err = unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0); err != nil {
			return err
		}
		for _, group := range groups {
			m := &unix.IPMreqn{Ifindex: int32(index), Multiaddr: group.As4()}
			if err := unix.SetsockoptIPMreqn(e.fd, unix.IPPROTO_IP, unix.IP_ADD_MEMBERSHIP, m); err != nil {
				return err
			}
		}
		return errors.Join(
			unix.SetsockoptInt(e.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 16<<20),
			unix.SetsockoptInt(e.fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1),
			unix.SetsockoptTimeval(e.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 20_000}),
			unix.Bind(e.fd, &unix.SockaddrInet4{Port: int(port)}))
	}))
	stop := make(chan struct{})
	go e.run(stop)
	b.Cleanup(func() { e.close(stop) })
	return e
}

func (e *ear) close(stop chan struct{}) {
	close(stop)
	<-e.done
	unix.Close(e.fd)
}

func (e *ear) run(stop chan struct{}) {
	defer close(e.done)
	packet, control := make([]byte, 2048), make([]byte, 128)
	for {
		select {
		case <-stop:
			return
		default:
		}
		n, oobn, _, _, err := unix.Recvmsg(e.fd, packet, control, 0)
		if err != nil || n < 8 {
			continue // nothing came for a while
		}
		messages, err := unix.ParseSocketControlMessage(control[:oobn])
		if err != nil || len(messages) == 0 {
			continue
		}
		at := messages[0].Data
		came := time.Unix(int64(binary.NativeEndian.Uint64(at)), int64(binary.NativeEndian.Uint64(at[8:])))
		e.arrivals = append(e.arrivals, arrival{time.Unix(0, int64(binary.BigEndian.Uint64(packet))), came})
		e.count <- struct{}{}
	}
}

// heard returns how many packets have come. What arrivals has of those may be
// looked at.
func (e *ear) heard(before int) int {
	for {
		select {
		case <-e.count:
			before++
		default:
			return before
		}
	}
}
