package ask

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"mbone/proto/dvmrp"
)

// A recording is written as lines of "time from to kind", with the kind "ask",
// "ask-old", or interfaces of an answer: "LOCAL>NEIGHBOR,...", with "bad:" or
// "old:" in front of it, or "advice:" for an old answer that says: ask for the new one.
func recording(t *testing.T, lines string) *Recorded {
	t.Helper()
	r := new(Recorded)
	for line := range strings.Lines(lines) {
		f := strings.Fields(line)
		if len(f) == 0 {
			continue
		}
		seconds, err := time.ParseDuration(f[0] + "s")
		if err != nil {
			t.Fatal(err)
		}
		p := &Packet{Time: time.Unix(1_000_000, 0).Add(seconds), From: netip.MustParseAddr(f[1]), To: netip.MustParseAddr(f[2])}
		var b []byte
		if question, old := strings.CutPrefix(f[3], "ask"); old {
			code := dvmrp.CodeAskNeighbors2
			if question != "" {
				code = dvmrp.CodeAskNeighbors
			}
			b, err = (&dvmrp.Ask{Code: code, Version: dvmrp.Mrouted}).AppendBinary(nil)
		} else {
			kind, bad := strings.CutPrefix(f[3], "bad:")
			n := dvmrp.Neighbors{Code: dvmrp.CodeNeighbors2, Version: dvmrp.Mrouted}
			if kind, old = strings.CutPrefix(kind, "advice:"); old {
				n.Code = dvmrp.CodeNeighbors
			}
			if kind, old = strings.CutPrefix(kind, "old:"); old {
				n.Code, n.Version = dvmrp.CodeNeighbors, dvmrp.Version{}
			}
			for _, i := range strings.Split(kind, ",") {
				local, neighbor, _ := strings.Cut(i, ">")
				n.Interfaces = append(n.Interfaces, dvmrp.Interface{
					Local: netip.MustParseAddr(local), Metric: 1, Neighbors: []netip.Addr{netip.MustParseAddr(neighbor)},
				})
			}
			b, err = n.AppendBinary(nil)
			if bad {
				b[2] ^= 0xff
			}
		}
		if err != nil {
			t.Fatal(err)
		}
		p.Message = b
		r.Add(p)
	}
	return r
}

func TestRecorded(t *testing.T) {
	tests := []struct{ name, lines, want string }{
		{"nothing", "", ""},
		{"question and answer", `
			0     10.0.0.9 10.0.0.1 ask
			0.020 10.0.0.1 10.0.0.9 10.0.0.1>0.0.0.0`,
			"10.0.0.1 from 10.0.0.1: 1 interfaces, rtt 20ms\n"},
		{"no question", "5 10.0.0.1 10.0.0.9 10.0.0.1>0.0.0.0", "? from 10.0.0.1: 1 interfaces, rtt 0s\n"},
		{"no answer", "0 10.0.0.9 10.0.0.1 ask", ""},
		{"the last question counts", `
			0     10.0.0.9 10.0.0.1 ask
			0.500 10.0.0.9 10.0.0.1 ask
			0.530 10.0.0.1 10.0.0.9 10.0.0.1>0.0.0.0`,
			"10.0.0.1 from 10.0.0.1: 1 interfaces, rtt 30ms, 2 tries\n"},
		{"another address answers", `
			0     10.0.0.9 10.0.1.1 ask
			0.010 10.0.0.1 10.0.0.9 10.0.0.1>0.0.0.0,10.0.1.1>0.0.0.0`,
			"10.0.1.1 from 10.0.0.1: 2 interfaces, rtt 10ms\n"},
		{"a group was asked", `
			0     10.0.0.9 224.0.0.1 ask
			0.010 10.0.0.1 10.0.0.9 10.0.0.1>0.0.0.0
			0.011 10.0.0.2 10.0.0.9 10.0.0.2>0.0.0.0`,
			"224.0.0.1 from 10.0.0.1: 1 interfaces, rtt 10ms\n224.0.0.1 from 10.0.0.2: 1 interfaces, rtt 11ms\n"},
		{"the new form is better than the old one", `
			0     10.0.0.9 10.0.0.1 ask-old
			0.010 10.0.0.1 10.0.0.9 old:10.0.0.1>10.0.0.2
			0.020 10.0.0.9 10.0.0.1 ask
			0.030 10.0.0.1 10.0.0.9 10.0.0.1>10.0.0.2,10.0.1.1>0.0.0.0`,
			"10.0.0.1 from 10.0.0.1: 2 interfaces, rtt 10ms, 2 tries\n"},
		{"the old form alone", "0 10.0.0.1 10.0.0.9 old:10.0.0.1>10.0.0.2", "? from 10.0.0.1: 1 interfaces, rtt 0s, old\n"},
		{"advice to ask for the new form", "0 10.0.0.1 10.0.0.9 advice:10.0.0.1>10.0.0.2", "? from 10.0.0.1: 1 interfaces, rtt 0s, old\n"},
		{"advice beside the new form", `
			0     10.0.0.1 10.0.0.9 advice:10.0.0.1>10.0.0.2
			10    10.0.0.1 10.0.0.9 10.0.0.1>10.0.0.2`,
			"? from 10.0.0.1: 1 interfaces, rtt 0s\n"},
		{"a good checksum is better than a bad one", `
			0     10.0.0.1 10.0.0.9 bad:10.0.0.1>10.0.0.2
			0.010 10.0.0.1 10.0.0.9 10.0.0.1>10.0.0.3,10.0.1.1>0.0.0.0`,
			"? from 10.0.0.1: 2 interfaces, rtt 0s\n"},
		{"a bad checksum alone", "0 10.0.0.1 10.0.0.9 bad:10.0.0.1>10.0.0.2", "? from 10.0.0.1: 1 interfaces, rtt 0s, bad\n"},
		{"a part of an answer", "0 10.0.0.1 10.0.0.9 10.0.9.9>10.0.0.2", "? from 10.0.0.1: 1 interfaces, rtt 0s, uncertain\n"},
		{"a contradiction", `
			0     10.0.0.9 10.0.0.1 ask
			0.010 10.0.0.1 10.0.0.9 10.0.0.1>10.0.0.2
			0.011 10.0.0.1 10.0.0.9 10.0.0.1>10.0.0.3`,
			"10.0.0.1 from 10.0.0.1: 1 interfaces, rtt 10ms, 1 conflicts\n"},
		{"repetitions, by several askers", `
			0     10.0.0.1 10.0.0.9 10.0.0.1>10.0.0.2
			1     10.0.0.1 10.0.0.8 10.0.0.1>10.0.0.2
			60    10.0.0.1 10.0.0.9 10.0.0.1>10.0.0.2
			120   10.0.0.1 10.0.0.8 10.0.0.1>10.0.0.2`,
			"? from 10.0.0.1: 1 interfaces, rtt 0s\n"},
		{"changes in the course of time", `
			0     10.0.0.1 10.0.0.9 10.0.0.1>10.0.0.2
			60    10.0.0.1 10.0.0.8 10.0.0.1>10.0.0.2
			120   10.0.0.1 10.0.0.9 10.0.0.1>0.0.0.0,10.0.1.1>0.0.0.0
			180   10.0.0.1 10.0.0.9 10.0.0.1>10.0.0.2`,
			"? from 10.0.0.1: 1 interfaces, rtt 0s\n? from 10.0.0.1: 2 interfaces, rtt 0s\n? from 10.0.0.1: 1 interfaces, rtt 0s\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var b strings.Builder
			for _, a := range recording(t, tt.lines).Answers() {
				asked := "?"
				if a.Asked.IsValid() {
					asked = a.Asked.String()
				}
				fmt.Fprintf(&b, "%s from %s: %d interfaces, rtt %v", asked, a.From, len(a.Interfaces), a.RTT)
				if a.Tries > 1 {
					fmt.Fprintf(&b, ", %d tries", a.Tries)
				}
				if a.Uncertain {
					b.WriteString(", uncertain")
				}
				if a.Old {
					b.WriteString(", old")
				}
				if a.BadChecksum {
					b.WriteString(", bad")
				}
				if n := len(a.Conflicts); n > 0 {
					fmt.Fprintf(&b, ", %d conflicts", n)
				}
				b.WriteString("\n")
			}
			if b.String() != tt.want {
				t.Errorf("got\n%swant\n%s", b.String(), tt.want)
			}
		})
	}
}

// A flood of different answers is kept up to a limit.
func TestRecordedFlood(t *testing.T) {
	r := &Recorded{limit: 1 << 20}
	n := dvmrp.Neighbors{Code: dvmrp.CodeNeighbors2, Version: dvmrp.Mrouted}
	for i := range 60 {
		n.Interfaces = append(n.Interfaces, dvmrp.Interface{Local: netip.AddrFrom4([4]byte{10, 0, 0, byte(i)})})
	}
	const packets = 3000
	for i := range packets {
		from := netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)})
		n.Interfaces[0].Local = from
		message, err := n.AppendBinary(nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Add(&Packet{Time: time.Unix(int64(i), 0), From: from, To: from.Next(), Message: message})
	}
	kept := len(r.Answers())
	if kept == 0 || kept+r.Dropped() != packets || r.held > r.limit {
		t.Errorf("kept %d and dropped %d of %d, %d bytes", kept, r.Dropped(), packets, r.held)
	}
}
