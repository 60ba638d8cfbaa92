package member

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket/pcapgo"

	"mbone/internal/router/host"
	"mbone/proto/igmp"
)

// recorded returns the IGMP packets of a recording (Ethernet) and their times,
// counted from the first one.
func recorded(t *testing.T, name string) (list []host.Packet, times []time.Duration) {
	f, err := os.Open("../../../proto/testdata/lab-14-1/" + name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := pcapgo.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	for {
		frame, info, err := r.ReadPacketData()
		if errors.Is(err, io.EOF) {
			return list, times
		}
		if err != nil {
			t.Fatal(err)
		}
		packet := frame[14:]
		packet = packet[:binary.BigEndian.Uint16(packet[2:])]
		p := host.Packet{Interface: 1, TTL: packet[8], Wall: info.Timestamp, Header: packet[:packet[0]&15*4]}
		p.From, _ = netip.AddrFromSlice(packet[12:16])
		p.To, _ = netip.AddrFromSlice(packet[16:20])
		p.Message = packet[len(p.Header):]
		list = append(list, p)
		times = append(times, info.Timestamp.Sub(list[0].Wall))
	}
}

// On net7 of Lab 14-1 castor (192.168.7.7) joins 224.2.2.2 with IGMPv2, and leaves
// 15 s later. Heard by scar (192.168.7.254), castor is the querier, and the group
// ends 2 s after its first query. Heard by castor itself, which hears its own
// reports, the same queries are sent that mrouted sent there.
func TestRecorded(t *testing.T) {
	list, times := recorded(t, "net7.pcap")
	member := addr("224.2.2.2")
	castor, scar := addr("192.168.7.7"), addr("192.168.7.254")
	for _, us := range []netip.Addr{castor, scar} {
		r := start(t)
		r.setLink(1, func(l *host.Link) {
			l.Address = us
			l.Networks = []host.Network{{Address: us, Prefix: netip.PrefixFrom(us, 24).Masked()}}
		})
		var joined, left, asked time.Duration
		var queries []string // of the recording
		for i, p := range list {
			r.wait(times[i] - r.now)
			r.Receive(r.now, &p)
			r.collect()
			var q igmp.Query
			var m igmp.Membership
			switch {
			case q.Parse(p.Message) == nil:
				if q.Group == member {
					queries = append(queries, describe(&q))
					if asked == 0 {
						asked = r.now
					}
				}
			case m.Parse(p.Message) == nil && m.Group == member:
				if m.Type == igmp.TypeLeave {
					left = r.now
				} else if joined == 0 {
					joined = r.now
				}
			}
		}
		if joined == 0 || left == 0 || len(queries) != 2 {
			t.Fatalf("recorded: joined %v, left %v, queries %q", joined, left, queries)
		}

		end := asked + 2*time.Second
		var sent []string
		if us == castor {
			end = left + 2*time.Second
			for i, q := range queries {
				sent = append(sent, fmt.Sprintf("%v 1 %s", left+time.Duration(i)*time.Second, q))
			}
		}
		expect(t, us.String()+": told", r.when, fmt.Sprintf("%v %v", joined, member), fmt.Sprintf("%v %v", end, member))
		var specific []string
		for _, q := range r.take() {
			if !strings.Contains(q, " all ") {
				specific = append(specific, q)
			}
		}
		expect(t, us.String()+": queries", specific, sent...)
		if q := r.Querier(1); q.Address != castor || q.Self != (us == castor) {
			t.Errorf("%v: querier %+v", us, q)
		}
		if c := r.Counters(1); c.Malformed != 0 || c.Foreign != 0 || c.ReportsV2 == 0 || c.ReportsV3 == 0 {
			t.Errorf("%v: %+v", us, c)
		}
		if groups, _ := r.Sizes(); groups != 0 {
			t.Errorf("%v: %d groups, though all others were of 224.0.0.0/24", us, groups)
		}
	}
}
