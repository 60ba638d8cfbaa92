package ask_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"

	"mbone/internal/ask"
	"mbone/internal/ask/asktest"
	"mbone/internal/lab"
	"mbone/proto/dvmrp"
	"mbone/proto/igmp"
	"mbone/proto/mtrace"
)

func TestMain(m *testing.M) { lab.Main(m) }

// The asker has no default route. far is behind gate; near is on the asker's link.
const network = `
lan one
lan two
host asker
  interface eth0 on one 10.0.1.1/24 10.0.3.1/24
  route 10.0.2.0/24 via 10.0.1.254
  route unreachable 10.4.0.0/16
host near
  interface eth0 on one 10.0.1.7/24
host gate
  interface eth0 on one 10.0.1.254/24
  interface eth1 on two 10.0.2.254/24
  sysctl net.ipv4.ip_forward 1
host far
  interface eth0 on two 10.0.2.7/24
  route default via 10.0.2.254
`

// respond lets a host answer through the kernel what h answers.
func respond(t *testing.T, host *lab.Host, h asktest.Handler, groups ...string) {
	t.Helper()
	var conn *ipv4.RawConn
	ended := make(chan struct{})
	err := host.Do(func() error {
		c, err := net.ListenPacket("ip4:2", "0.0.0.0")
		if err != nil {
			return err
		}
		t.Cleanup(func() { c.Close(); <-ended })
		if conn, err = ipv4.NewRawConn(c); err != nil {
			return err
		}
		link, err := net.InterfaceByName("eth0")
		if err != nil {
			return err
		}
		for _, g := range groups {
			if err := conn.JoinGroup(link, &net.IPAddr{IP: ip(g).AsSlice()}); err != nil {
				return err
			}
		}
		return conn.SetMulticastInterface(link)
	})
	if err != nil {
		close(ended)
		t.Fatal(err)
	}
	go func() {
		defer close(ended)
		b := make([]byte, 65536)
		for {
			header, message, _, err := conn.ReadFrom(b)
			if err != nil {
				return
			}
			to, _ := netip.AddrFromSlice(header.Dst.To4())
			for _, a := range h(ask.Datagram{To: to, Message: message}) {
				answer := &ipv4.Header{
					Version: 4, Len: 20, TTL: 255, Protocol: 2, TotalLen: 20 + len(a.Message),
					Src: a.From.AsSlice(), Dst: header.Src,
				}
				if a.To.IsValid() {
					answer.Dst = a.To.AsSlice()
				}
				err := conn.WriteTo(answer, a.Message, nil)
				if errors.Is(err, net.ErrClosed) {
					return
				}
				if err != nil {
					t.Errorf("answer to %v: %v", header.Src, err)
				}
			}
		}
	}()
}

// open returns a client over the raw socket of a host.
func open(t *testing.T, host *lab.Host) *ask.Client {
	t.Helper()
	c := ask.New(lab.Within(t, host, func() (ask.Transport, error) { return ask.Open(ask.RawOptions{}) }), ask.Options{})
	t.Cleanup(func() { c.Close() })
	return c
}

// index returns the index of a host's eth0.
func index(t *testing.T, host *lab.Host) int {
	t.Helper()
	link, err := host.Netlink().LinkByName("eth0")
	if err != nil {
		t.Fatal(err)
	}
	return link.Attrs().Index
}

func TestRawNeighbors(t *testing.T) {
	l := lab.Start(t, network)
	asker := l.Host("asker")
	near := asktest.Router{Interfaces: []dvmrp.Interface{iface("10.0.1.7", dvmrp.FlagLeaf, "0.0.0.0")}}
	far := asktest.Router{Interfaces: []dvmrp.Interface{iface("10.0.2.7", dvmrp.FlagLeaf, "0.0.0.0")}}
	respond(t, l.Host("near"), near.Answer, "224.0.0.1")
	respond(t, l.Host("far"), far.Answer)
	capture, err := asker.Capture("eth0", 2)
	if err != nil {
		t.Fatal(err)
	}
	c := open(t, asker)
	eth0 := index(t, asker)
	tests := []struct {
		name   string
		q      ask.NeighborsQuestion
		source string // of the question
		ttl    byte
		from   string // of the answer
	}{
		{"on the link", ask.NeighborsQuestion{Router: ip("10.0.1.7")}, "10.0.1.1", 64, "10.0.1.7"},
		{"behind a gateway", ask.NeighborsQuestion{Router: ip("10.0.2.7")}, "10.0.1.1", 64, "10.0.2.7"},
		// Bound to the interface, these would look for 10.0.2.7 on the link.
		{"behind a gateway, by interface", ask.NeighborsQuestion{Router: ip("10.0.2.7"), Via: ask.Via{IfIndex: eth0}}, "10.0.1.1", 64, "10.0.2.7"},
		{"behind a gateway, by source", ask.NeighborsQuestion{Router: ip("10.0.2.7"), Via: ask.Via{Source: ip("10.0.1.1")}}, "10.0.1.1", 64, "10.0.2.7"},
		{"with Router Alert", ask.NeighborsQuestion{Router: ip("10.0.1.7"), Via: ask.Via{RouterAlert: true}}, "10.0.1.1", 64, "10.0.1.7"},
		// No route says where this leaves, but there is one link only.
		{"all on the link", ask.NeighborsQuestion{Router: ip("224.0.0.1"), Wait: 200 * ms}, "10.0.1.1", 1, "10.0.1.7"},
		{"all, by interface", ask.NeighborsQuestion{Router: ip("224.0.0.1"), Wait: 200 * ms, Via: ask.Via{IfIndex: eth0}}, "10.0.1.1", 1, "10.0.1.7"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			before := len(capture.Frames())
			answer := one(t, c, test.q)
			if answer.From != ip(test.from) || answer.RTT <= 0 || answer.RTT > time.Minute || time.Since(answer.Time).Abs() > time.Minute {
				t.Errorf("from %v, round trip %v, at %v", answer.From, answer.RTT, answer.Time)
			}
			var question []byte
			lab.Until(t, 10*time.Second, func() error {
				for _, f := range capture.Frames()[before:] {
					if b := f.IP(); f.Out && len(b) > 20 && b[len(b)-8] == 0x13 {
						question = b
						return nil
					}
				}
				return errors.New("the question was not captured")
			})
			header := 20
			if test.q.Via.RouterAlert {
				header = 24
				if option := question[20:24]; !slices.Equal(option, []byte{0x94, 4, 0, 0}) {
					t.Errorf("option % x, want Router Alert", option)
				}
			}
			source, _ := netip.AddrFromSlice(question[12:16])
			if len(question) != header+8 || question[1] != 0xc0 || question[8] != test.ttl || source != ip(test.source) {
				t.Errorf("%d bytes, TOS %#x, TTL %d, source %v, want %d, 0xc0, %d, %s",
					len(question), question[1], question[8], source, header+8, test.ttl, test.source)
			}
		})
	}
}

func TestRawSource(t *testing.T) {
	l := lab.Start(t, network)
	asker := l.Host("asker")
	c := open(t, asker)
	eth0 := index(t, asker)
	tests := []struct {
		name, dst string
		via       ask.Via
		want      string
	}{
		{"on the link", "10.0.1.7", ask.Via{}, "10.0.1.1"},
		{"in the second subnet", "10.0.3.7", ask.Via{}, "10.0.3.1"},
		{"behind a gateway", "10.0.2.7", ask.Via{}, "10.0.1.1"},
		{"by interface, in the second subnet", "10.0.3.7", ask.Via{IfIndex: eth0}, "10.0.3.1"},
		{"by source", "10.0.2.7", ask.Via{Source: ip("10.0.3.1")}, "10.0.3.1"},
		{"multicast", "224.0.0.2", ask.Via{}, "10.0.1.1"},
		{"multicast, by source", "224.0.0.2", ask.Via{Source: ip("10.0.3.1")}, "10.0.3.1"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			source, ifIndex, err := c.Source(ip(test.dst), test.via)
			if err != nil || source != ip(test.want) || ifIndex != eth0 {
				t.Errorf("got %v on %d, %v, want %s on %d", source, ifIndex, err, test.want, eth0)
			}
		})
	}
}

func TestRawErrors(t *testing.T) {
	l := lab.Start(t, network)
	c := open(t, l.Host("asker"))
	gate := open(t, l.Host("gate"))
	ctx := context.Background()
	neighbors := func(c *ask.Client, q ask.NeighborsQuestion) error {
		start := time.Now()
		_, err := c.Neighbors(ctx, q)
		if took := time.Since(start); took > time.Second && !errors.Is(err, ask.ErrNoAnswer) {
			t.Errorf("%v: took %v", err, took)
		}
		return err
	}
	tests := []struct {
		name string
		err  error
		want string
		is   error
	}{
		{
			"no route", neighbors(c, ask.NeighborsQuestion{Router: ip("10.9.9.9")}),
			"send to 10.9.9.9: network is unreachable (there is no route to it: see ip route get 10.9.9.9)", unix.ENETUNREACH,
		},
		{
			"unreachable by the table", neighbors(c, ask.NeighborsQuestion{Router: ip("10.4.4.4")}),
			"send to 10.4.4.4: no route to host (there is no route to it: see ip route get 10.4.4.4)", unix.EHOSTUNREACH,
		},
		{
			"foreign source, multicast", neighbors(c, ask.NeighborsQuestion{Router: ip("224.0.0.1"), Via: ask.Via{Source: ip("10.77.0.1")}}),
			"use source 10.77.0.1: no interface of this host has this address (ip address shows those there are)", nil,
		},
		{
			"foreign source, unicast", neighbors(c, ask.NeighborsQuestion{Router: ip("10.0.1.7"), Via: ask.Via{Source: ip("10.77.0.1")}}),
			"use source 10.77.0.1: no interface of this host has this address (ip address shows those there are)", nil,
		},
		{
			"two links to choose from", neighbors(gate, ask.NeighborsQuestion{Router: ip("224.0.0.1")}),
			"send to 224.0.0.1: network is unreachable (there is no route for multicast: name the interface)", unix.ENETUNREACH,
		},
		{
			"no such interface", neighbors(c, ask.NeighborsQuestion{Router: ip("224.0.0.1"), Via: ask.Via{IfIndex: 4711}}),
			"use interface 4711: Link not found", nil,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var op *ask.OpError
			if test.err == nil || test.err.Error() != test.want || !errors.As(test.err, &op) {
				t.Errorf("got %q, want %q", test.err, test.want)
			}
			if test.is != nil && !errors.Is(test.err, test.is) {
				t.Errorf("%v is not %v", test.err, test.is)
			}
		})
	}
}

// Without the right to open the socket, the error says how to get it.
func TestRawPermission(t *testing.T) {
	lab.Require(t, lab.Netns)
	result := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlock: the thread ends with its loss
		header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var none [2]unix.CapUserData
		if err := unix.Capset(&header, &none[0]); err != nil {
			result <- err
			return
		}
		_, err := ask.Open(ask.RawOptions{})
		result <- err
	}()
	err := <-result
	if !errors.Is(err, fs.ErrPermission) || !strings.HasPrefix(err.Error(),
		"open raw IGMP socket: permission denied (run it as root, or once: sudo setcap cap_net_raw+ep /") {
		t.Errorf("got %q", err)
	}
}

// A trace to the link whose answer comes by multicast, and reports in between
// that the kernel's filter keeps away.
func TestRawTraceMulticast(t *testing.T) {
	l := lab.Start(t, network)
	asker := l.Host("asker")
	path := asktest.Path{From: ip("10.0.1.7"), Blocks: blocks}
	report, err := (&igmp.Membership{Type: igmp.TypeReportV2, Group: ip("224.0.1.32")}).AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	respond(t, l.Host("near"), func(d ask.Datagram) []asktest.Answer {
		var all []asktest.Answer
		for _, a := range path.Answer(d) {
			all = append(all, asktest.Answer{From: a.From, Message: report}, asktest.Answer{From: a.From, To: a.To, Message: report}, a)
		}
		return all
	}, "224.0.0.2")
	c := open(t, asker)
	q := ask.TraceQuestion{Tries: 1, Wait: 300 * ms, Make: func(int) ask.TraceQuery {
		m := template
		m.Response, m.ResponseTTL = ip("224.0.1.32"), 1
		return ask.TraceQuery{To: ip("224.0.0.2"), Message: m}
	}}
	if _, err := c.Trace(context.Background(), q); !errors.Is(err, ask.ErrNoAnswer) {
		t.Errorf("before the group is joined: %v, want no answer", err)
	}
	if err := c.Join(ip("224.0.1.32"), index(t, asker)); err != nil {
		t.Fatal(err)
	}
	if err := c.Join(ip("224.0.1.32"), index(t, asker)); err != nil {
		t.Errorf("joined twice: %v", err)
	}
	q.Wait = 10 * time.Second
	a, err := c.Trace(context.Background(), q)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(blocks, a.Message.Blocks, compareAddr); diff != "" {
		t.Error(diff)
	}
	if d := a.Received.Sub(a.Sent); d <= 0 || d > time.Minute {
		t.Errorf("round trip %v", d)
	}
	if s := c.Stats(); s.Other > 1 { // our own query that comes back
		t.Errorf("%d messages of other kinds passed the filter", s.Other)
	}
}

// A host may be a member of a group on more interfaces than one socket may join.
func TestRawJoinMany(t *testing.T) {
	const links = 45 // a socket has 20 memberships
	text := "host asker\n"
	lans := ""
	for i := range links {
		name := "n" + string(rune('a'+i/26)) + string(rune('a'+i%26))
		lans += "lan " + name + "\n"
		text += "  interface e" + name + " on " + name + " " + netip.AddrFrom4([4]byte{10, 1, byte(i), 1}).String() + "/24\n"
	}
	l := lab.Start(t, lans+text)
	asker := l.Host("asker")
	c := open(t, asker)
	if err := asker.Do(func() error { return c.Join(ip("224.0.1.32"), 0) }); err != nil {
		t.Error(err)
	}
}

// What is larger than the link comes in fragments, and the kernel puts them
// together; what is larger than any answer is counted.
func TestRawLarge(t *testing.T) {
	l := lab.Start(t, network)
	m := template
	m.Type = mtrace.TypeResponse
	for range mtrace.MaxBlocks {
		m.Blocks = append(m.Blocks, blocks[0])
	}
	b, err := m.AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	giant := append(slices.Clone(b), make([]byte, 20000)...)
	igmp.PutChecksum(giant)
	c := open(t, l.Host("asker"))
	heard := make(chan int, 100)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go c.Listen(ctx, netip.Addr{}, 0, func(p *ask.Packet) error { heard <- len(p.Message); return nil })
	sent := uint64(0)
	lab.Until(t, 20*time.Second, func() error {
		err := l.Host("near").Do(func() error {
			conn, err := net.Dial("ip4:2", "10.0.1.1")
			if err != nil {
				return err
			}
			defer conn.Close()
			sent++
			for _, message := range [][]byte{giant, b} {
				if _, err := conn.Write(message); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if len(heard) == 0 {
			return errors.New("the whole message was not heard")
		}
		return nil
	})
	if n := <-heard; n != len(b) {
		t.Errorf("heard %d bytes, want %d", n, len(b))
	}
	lab.Until(t, 20*time.Second, func() error {
		if s := c.Stats(); s.Malformed != sent || s.Unasked != sent {
			return fmt.Errorf("malformed %d, unasked %d, want %d each", s.Malformed, s.Unasked, sent)
		}
		return nil
	})
}

// A neighbour that answers with a flood, through the kernel: garbage, damage,
// repetitions and lies, and somewhere among them the answer.
func TestRawHostile(t *testing.T) {
	l := lab.Start(t, network)
	near := asktest.Router{Interfaces: []dvmrp.Interface{iface("10.0.1.7", dvmrp.FlagLeaf, "0.0.0.0")}}
	respond(t, l.Host("near"), func(d ask.Datagram) []asktest.Answer {
		right := near.Answer(d)
		if len(right) == 0 {
			return nil
		}
		damaged := slices.Clone(right[0].Message)
		damaged[12] ^= 0xff
		foreign := message(t, dvmrp.CodeNeighbors2, dvmrp.Mrouted, iface("10.6.6.6", 0, "0.0.0.0"))
		short := []byte{0x13, 6, 0, 0}
		var all []asktest.Answer
		for i := range 4000 {
			m := [][]byte{damaged, foreign, short, right[0].Message}[i%4]
			from := right[0].From
			if i%4 == 1 {
				from = ip("10.0.1.66")
			}
			all = append(all, asktest.Answer{From: from, Message: m})
		}
		return append(all[:2000], append(right, all[2000:]...)...)
	})
	c := open(t, l.Host("asker"))
	for range 3 {
		answer := one(t, c, ask.NeighborsQuestion{Router: ip("10.0.1.7")})
		if answer.From != ip("10.0.1.7") || answer.BadChecksum || len(answer.Conflicts) > 0 {
			t.Errorf("from %v, bad checksum %v, %d conflicts", answer.From, answer.BadChecksum, len(answer.Conflicts))
		}
		if diff := cmp.Diff(near.Interfaces, answer.Interfaces, compareAddr); diff != "" {
			t.Error(diff)
		}
	}
	if s := c.Stats(); s.Corrupt == 0 || s.Unasked == 0 || s.Malformed == 0 || s.Duplicates == 0 {
		t.Errorf("%+v: want some of each kind", s)
	}
}

// Routers that are not there hold up nobody else's question, though the kernel
// keeps what is sent to them for three seconds.
func TestRawAbsent(t *testing.T) {
	l := lab.Start(t, network)
	near := asktest.Router{Interfaces: []dvmrp.Interface{iface("10.0.1.7", dvmrp.FlagLeaf, "0.0.0.0")}}
	respond(t, l.Host("near"), near.Answer)
	c := open(t, l.Host("asker"))
	ctx, cancel := context.WithCancel(t.Context())
	var absent sync.WaitGroup
	for i := range 400 {
		absent.Go(func() {
			c.Neighbors(ctx, ask.NeighborsQuestion{Router: ip4(10, 0, 3, 10+i%200), Tries: 1, Wait: time.Minute})
		})
	}
	lab.Until(t, 10*time.Second, func() error {
		if n := c.Stats().Sent; n < 400 {
			return fmt.Errorf("%d questions sent", n)
		}
		return nil
	})
	if answer := one(t, c, ask.NeighborsQuestion{Router: ip("10.0.1.7")}); answer.Tries != 1 || answer.RTT > time.Second {
		t.Errorf("%d tries, %v", answer.Tries, answer.RTT)
	}
	cancel()
	absent.Wait()
}

// A router may ask itself: by its loopback address, as mrinfo does by default,
// or by another.
func TestRawSelf(t *testing.T) {
	l := lab.Start(t, network)
	near := asktest.Router{Interfaces: []dvmrp.Interface{iface("10.0.1.7", dvmrp.FlagLeaf, "0.0.0.0")}}
	respond(t, l.Host("near"), near.Answer)
	c := open(t, l.Host("near"))
	for _, router := range []string{"127.0.0.1", "10.0.1.7"} {
		if answer := one(t, c, ask.NeighborsQuestion{Router: ip(router)}); answer.From != ip(router) {
			t.Errorf("%s: answer from %v", router, answer.From)
		}
	}
}
