package lab

import (
	"bytes"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/gopacket/gopacket/pcapgo"
)

// segment makes a LAN with hosts a and b on it, each with an interface eth0.
func segment(t *testing.T) (a, b *Host) {
	t.Helper()
	l := Start(t, "")
	lan := must[*LAN](t)(l.AddLAN("net", 0))
	for i, h := range []**Host{&a, &b} {
		*h = must[*Host](t)(l.AddHost(string(rune('a' + i))))
		must[*Wire](t)((*h).Attach(lan, "eth0", prefix(fmt.Sprintf("10.0.0.%d/24", i+1))))
	}
	return a, b
}

var (
	group      = netip.MustParseAddrPort("239.1.2.3:4000")
	otherGroup = netip.MustParseAddrPort("239.1.2.4:4000")
)

func send(t *testing.T, h *Host, f Flow) int {
	t.Helper()
	f.Interface = "eth0"
	n := must[int](t)(h.Send(t.Context(), f))
	if n != f.Count {
		t.Fatalf("sent %d packets of %d", n, f.Count)
	}
	return n
}

func drops(t *testing.T, w *Wire, d Direction) int {
	t.Helper()
	return int(must[uint64](t)(w.Drops(d)))
}

// arrived waits for want packets and fails if it is another number.
func arrived(t *testing.T, r *Receiver, want int) {
	t.Helper()
	Until(t, 10*time.Second, func() error {
		if s := r.Stats(); s.Packets+s.Missed != want {
			return fmt.Errorf("%+v arrived, want %d packets", s, want)
		}
		return nil
	})
}

func TestMulticastOnLAN(t *testing.T) {
	a, b := segment(t)
	r := must[*Receiver](t)(b.Join(group, "eth0", netip.Addr{}))
	defer r.Close()
	other := must[*Receiver](t)(b.Join(otherGroup, "eth0", netip.Addr{}))
	defer other.Close()
	wrong := must[*Receiver](t)(b.Join(netip.MustParseAddrPort("232.1.1.1:4000"), "eth0", netip.MustParseAddr("10.0.0.77")))
	defer wrong.Close()
	right := must[*Receiver](t)(b.Join(netip.MustParseAddrPort("232.1.1.1:4000"), "eth0", netip.MustParseAddr("10.0.0.1")))
	defer right.Close()

	send(t, a, Flow{Group: group, Count: 100, TTL: 1})
	send(t, a, Flow{Group: netip.MustParseAddrPort("232.1.1.1:4000"), Count: 7})
	arrived(t, r, 100)
	arrived(t, right, 7)
	if n := other.Stats().Packets; n != 0 {
		t.Errorf("%d packets of a group went to a receiver of another group", n)
	}
	if n := wrong.Stats().Packets; n != 0 {
		t.Errorf("%d packets went to a receiver that wants another source", n)
	}
	send(t, a, Flow{Group: group, Count: 3})
	arrived(t, r, 103)
	if s := r.Stats(); s.Duplicates != 3 {
		t.Errorf("numbers 0, 1 and 2 were sent twice, but %d duplicates are counted", s.Duplicates)
	}
}

// TestLoss compares, for every wire and direction on the way, what the wire
// says it lost with what did not arrive.
func TestLoss(t *testing.T) {
	const count = 1000
	tests := []struct {
		name     string
		host     string
		d        Direction
		loss     Loss
		min, max int // how many may be lost
	}{
		{"sender, 10 percent", "a", Out, Loss{Percent: 10}, count / 20, count / 5},
		{"receiver, 10 percent", "b", In, Loss{Percent: 10}, count / 20, count / 5},
		{"half, UDP only", "a", Out, Loss{Percent: 50, Protocol: 17}, count * 4 / 10, count * 6 / 10},
		{"all of the group", "b", In, Loss{Percent: 100, Destination: prefix("239.1.2.0/25")}, count, count},
		{"all of the source", "b", In, Loss{Percent: 100, Source: prefix("10.0.0.1/32")}, count, count},
		{"another group", "b", In, Loss{Percent: 100, Destination: prefix("239.1.3.3/32")}, 0, 0},
		{"another source", "b", In, Loss{Percent: 100, Source: prefix("10.0.0.2/32")}, 0, 0},
		{"another protocol", "b", In, Loss{Percent: 100, Protocol: 6}, 0, 0},
		{"the other direction", "b", Out, Loss{Percent: 100, Protocol: 17}, 0, 0},
		{"very little", "a", Out, Loss{Percent: 0.0001}, 0, 2},
	}
	a, b := segment(t)
	r := must[*Receiver](t)(b.Join(group, "eth0", netip.Addr{}))
	defer r.Close()
	total := 0
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := map[string]*Host{"a": a, "b": b}[test.host].Wire("eth0")
			before := drops(t, w, test.d)
			check(t, w.SetLoss(test.d, test.loss))
			send(t, a, Flow{Group: group, Count: count, Interval: 10 * time.Microsecond})
			lost := drops(t, w, test.d) - before
			if lost < test.min || lost > test.max {
				t.Errorf("lost %d of %d, want %d to %d", lost, count, test.min, test.max)
			}
			total += count - lost
			arrived(t, r, total)
			check(t, w.Mend())
		})
	}
}

// TestReceiverMissed has what the buffer of a socket cannot hold counted.
func TestReceiverMissed(t *testing.T) {
	a, b := segment(t)
	r := must[*Receiver](t)(b.Join(group, "eth0", netip.Addr{}))
	defer r.Close()
	check(t, r.conn.SetReadBuffer(1))
	r.mu.Lock() // the reader reads no more than one packet
	send(t, a, Flow{Group: group, Count: 100})
	r.mu.Unlock()
	arrived(t, r, 100)
	if s := r.Stats(); s.Missed < 50 {
		t.Errorf("%+v: 100 packets of 64 bytes were in a buffer of 2 KiB", s)
	}
}

func TestLossRefused(t *testing.T) {
	a, _ := segment(t)
	for _, loss := range []Loss{{Percent: -1}, {Percent: 100.5}, {Percent: 1, Source: prefix("2001:db8::/32")}} {
		if a.Wire("eth0").SetLoss(In, loss) == nil {
			t.Errorf("loss %+v is accepted", loss)
		}
	}
}

func TestCapture(t *testing.T) {
	a, b := segment(t)
	all := must[*Capture](t)(b.Capture("eth0", 0))
	igmp := must[*Capture](t)(b.Capture("eth0", 2))
	check(t, b.Wire("eth0").SetLoss(In, Loss{Percent: 100, Destination: netip.PrefixFrom(otherGroup.Addr(), 32)}))
	r := must[*Receiver](t)(b.Join(group, "eth0", netip.Addr{}))
	defer r.Close()
	send(t, a, Flow{Group: otherGroup, Count: 5})
	send(t, a, Flow{Group: group, Count: 5, Size: 100})
	arrived(t, r, 5)
	Until(t, 10*time.Second, func() error {
		if len(igmp.Frames()) == 0 {
			return fmt.Errorf("no IGMP report was captured")
		}
		return nil
	})
	check(t, all.Close())
	check(t, igmp.Close())
	data := 0
	for _, f := range all.Frames() {
		switch ip := f.IP(); {
		case ip[offsetProtocol] != 17:
		case f.Out || netip.AddrFrom4([4]byte(ip[offsetDestination:])) != group.Addr() || len(ip) != 20+8+100:
			t.Errorf("unexpected packet %x (out: %v): the other group was lost on the wire", ip, f.Out)
		default:
			data++
		}
	}
	if data != 5 {
		t.Errorf("%d data packets captured, want 5", data)
	}
	for _, f := range igmp.Frames() {
		if ip := f.IP(); ip[offsetProtocol] != 2 || !f.Out {
			t.Errorf("IGMP capture has %x (out: %v)", ip, f.Out)
		}
	}
	var file bytes.Buffer
	check(t, all.WritePcap(&file))
	p := must[*pcapgo.Reader](t)(pcapgo.NewReader(&file))
	n := 0
	for {
		b, ci, err := p.ReadPacketData()
		if err != nil {
			break
		}
		if f := all.Frames()[n]; !bytes.Equal(b, f.Data) || !ci.Timestamp.Equal(f.Time) {
			t.Errorf("frame %d changed in the file", n)
		}
		n++
	}
	if n != len(all.Frames()) {
		t.Errorf("the file has %d frames of %d", n, len(all.Frames()))
	}
}
