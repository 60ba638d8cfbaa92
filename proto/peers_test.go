package proto_test

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"mbone/internal/prototest"
	"mbone/proto/dvmrp"
	"mbone/proto/igmp"
	"mbone/proto/mtrace"
)

var addr = netip.MustParseAddr

func addrs(list ...string) []netip.Addr {
	var a []netip.Addr
	for _, s := range list {
		a = append(a, addr(s))
	}
	return a
}

// sent is a message and what others say of it.
type sent struct {
	message message
	// tcpdump is what tcpdump -vv prints, its lines joined by one space; with ...
	// at the end only the beginning.
	tcpdump string
	// tshark are fields of tshark and their values; several values of one field are
	// joined by commas.
	tshark map[string]string
}

// allSent is every kind of message that we send. Info messages are not among
// them: neither tcpdump nor tshark knows codes 10 and 11.
func allSent() []sent {
	version, netmask := dvmrp.Mrouted, dvmrp.Mrouted
	netmask.Capabilities |= dvmrp.CapNetmask
	sources, group := addrs("10.0.0.1", "10.0.0.2"), addr("232.1.2.3")

	// A network of every length that can be said, and one message that is full.
	routes := []dvmrp.Route{{Prefix: netip.MustParsePrefix("0.0.0.0/0"), Metric: 32}}
	routesText := "igmp dvmrp Report Mask 255.0.0.0 0.0.0.0 metric 32"
	for bits := 8; bits <= 32; bits++ {
		p := netip.PrefixFrom(addr("172.21.85.85"), bits).Masked()
		routes = append(routes, dvmrp.Route{Prefix: p, Metric: uint8(2*bits - 1)})
		mask := netip.PrefixFrom(addr("255.255.255.255"), bits).Masked().Addr()
		routesText += fmt.Sprintf(" Mask %v %v metric %d", mask, p.Addr(), 2*bits-1)
	}
	var full []dvmrp.Route
	for i := range 126 {
		full = append(full, dvmrp.Route{Prefix: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, byte(i)}), 24), Metric: 1})
	}

	interfaces := []dvmrp.Interface{
		{Local: addr("192.168.2.7"), Metric: 1, Threshold: 1, Flags: dvmrp.FlagQuerier, Neighbors: addrs("192.168.2.254")},
		{Local: addr("192.168.2.7"), Metric: 3, Threshold: 64, Flags: dvmrp.FlagTunnel | dvmrp.FlagDown, Neighbors: addrs("10.1.1.1", "10.1.1.2")},
		{Local: addr("192.168.7.7"), Metric: 1, Neighbors: addrs("0.0.0.0")},
	}
	old := slices.Clone(interfaces)
	for i := range old {
		old[i].Flags = 0
	}

	query := mtrace.Message{Type: mtrace.TypeQuery, Hops: 32, Group: addr("224.2.2.2"), Source: addr("192.168.2.7"),
		Receiver: addr("192.168.14.254"), Response: igmp.MtraceResponses, ResponseTTL: 127, QueryID: mtrace.PairedQueryID(0xabcd, 127)}
	block := mtrace.Block{Arrival: mtrace.Time(time.Unix(1<<16, 500_000_000)), Incoming: addr("192.168.7.254"), Outgoing: addr("192.168.14.254"),
		Previous: addr("192.168.7.7"), PacketsIn: 1000, PacketsOut: 1001, PacketsGroup: mtrace.Unknown,
		Protocol: mtrace.ProtocolDVMRP, FwdTTL: 64, Mask: mtrace.NewMask(24) | mtrace.MaskSubnetCount, Code: mtrace.CodePruneRcvd}
	traced := func(typ mtrace.Type, blocks int) *mtrace.Message {
		m := query
		m.Type = typ
		m.Blocks = slices.Repeat([]mtrace.Block{block}, blocks)
		return &m
	}
	const trace = " 11259263: 192.168.2.7 to 192.168.14.254 reply-to 224.0.1.32 with-ttl 127" // 11259263 is abcd7f

	return []sent{
		{&igmp.Query{Version: 1, Group: igmp.Unspecified},
			"igmp query v1", map[string]string{"igmp.version": "1", "igmp.maddr": "0.0.0.0"}},
		{&igmp.Query{Version: 2, Group: igmp.Unspecified, MaxResponse: 10 * time.Second},
			"igmp query v2", map[string]string{"igmp.version": "2", "igmp.max_resp": "100", "igmp.maddr": "0.0.0.0"}},
		{&igmp.Query{Version: 2, Group: group, MaxResponse: time.Second},
			"igmp query v2 [max resp time 10] [gaddr 232.1.2.3]",
			map[string]string{"igmp.version": "2", "igmp.max_resp": "10", "igmp.maddr": "232.1.2.3"}},
		{&igmp.Query{Version: 3, Group: igmp.Unspecified, MaxResponse: 10 * time.Second, Robustness: 2, Interval: 125 * time.Second},
			"igmp query v3",
			map[string]string{"igmp.version": "3", "igmp.max_resp": "100", "igmp.s": "0", "igmp.qrv": "2", "igmp.qqic": "125", "igmp.num_src": "0"}},
		{&igmp.Query{Version: 3, Group: group, MaxResponse: 25 * time.Second, Suppress: true, Robustness: 7, Interval: 300 * time.Second, Sources: sources},
			"igmp query v3 [max resp time 24.8s] [gaddr 232.1.2.3 { 10.0.0.1 10.0.0.2 }]",
			map[string]string{"igmp.maddr": "232.1.2.3", "igmp.s": "1", "igmp.qrv": "7", "igmp.qqic": "146", "igmp.saddr": "10.0.0.1,10.0.0.2"}},
		{&igmp.Membership{Type: igmp.TypeReportV1, Group: group}, "igmp v1 report 232.1.2.3", map[string]string{"igmp.maddr": "232.1.2.3"}},
		{&igmp.Membership{Type: igmp.TypeReportV2, Group: group}, "igmp v2 report 232.1.2.3", map[string]string{"igmp.maddr": "232.1.2.3"}},
		{&igmp.Membership{Type: igmp.TypeLeave, Group: group}, "igmp leave 232.1.2.3", map[string]string{"igmp.maddr": "232.1.2.3"}},
		// tcpdump does not step over auxiliary data: only the last record has some.
		{&igmp.ReportV3{Records: []igmp.Record{
			{Type: igmp.ModeIsInclude, Group: group, Sources: sources},
			{Type: igmp.ModeIsExclude, Group: group},
			{Type: igmp.ChangeToInclude, Group: group},
			{Type: igmp.ChangeToExclude, Group: group, Sources: sources},
			{Type: igmp.AllowNewSources, Group: group, Sources: sources[:1]},
			{Type: igmp.BlockOldSources, Group: group, Sources: sources[1:], Aux: []byte{1, 2, 3, 4, 5, 6, 7, 8}},
		}},
			"igmp v3 report, 6 group record(s) [gaddr 232.1.2.3 is_in { 10.0.0.1 10.0.0.2 }] [gaddr 232.1.2.3 is_ex { }] " +
				"[gaddr 232.1.2.3 to_in { }] [gaddr 232.1.2.3 to_ex { 10.0.0.1 10.0.0.2 }] " +
				"[gaddr 232.1.2.3 allow { 10.0.0.1 }] [gaddr 232.1.2.3 block { 10.0.0.2 }]",
			map[string]string{"igmp.num_grp_recs": "6", "igmp.record_type": "1,2,3,4,5,6", "igmp.num_src": "2,0,0,2,1,1",
				"igmp.aux_data_len": "0,0,0,0,0,2", "igmp.aux_data": "0102030405060708"}},
		{&dvmrp.Probe{Version: version, GenID: 0x3ff0c5a1, Neighbors: sources},
			"igmp dvmrp Probe genid 1072743841 neighbor 10.0.0.1 neighbor 10.0.0.2",
			map[string]string{"dvmrp.v3.code": "0x01", "dvmrp.capabilities": "0x0e", "dvmrp.min_ver": "0xff", "dvmrp.maj_ver": "0x03",
				"dvmrp.genid": "1072743841", "dvmrp.neighbor": "10.0.0.1,10.0.0.2"}},
		{&dvmrp.Probe{Version: version, GenID: 1}, "igmp dvmrp Probe genid 1", map[string]string{"dvmrp.genid": "1"}},
		{&dvmrp.Report{Version: version, Routes: routes}, routesText, map[string]string{"dvmrp.v3.code": "0x02"}},
		{&dvmrp.Report{Version: version, Routes: full}, "igmp dvmrp Report Mask 255.255.255.0 10.0.0.0 metric 1 10.0.1.0 metric 1...", nil},
		{&dvmrp.Ask{Version: version, Code: dvmrp.CodeAskNeighbors}, "igmp dvmrp Ask-neighbors(old)", map[string]string{"dvmrp.v3.code": "0x03"}},
		{&dvmrp.Ask{Version: version, Code: dvmrp.CodeAskNeighbors2}, "igmp dvmrp Ask-neighbors2", map[string]string{"dvmrp.v3.code": "0x05"}},
		{&dvmrp.Neighbors{Version: version, Code: dvmrp.CodeNeighbors, Interfaces: old},
			"igmp dvmrp Neighbors(old) [192.168.2.7 -> 192.168.2.254, (1/1)] [192.168.2.7 -> 10.1.1.1, (3/64)] " +
				"[192.168.2.7 -> 10.1.1.2, (3/64)] [192.168.7.7 -> 0.0.0.0, (1/0)]",
			map[string]string{"dvmrp.v3.code": "0x04"}},
		{&dvmrp.Neighbors{Version: version, Code: dvmrp.CodeNeighbors2, Interfaces: interfaces},
			"igmp dvmrp Neighbors2 (v 3.255): [192.168.2.7 -> 192.168.2.254 (1/1/querier)] [192.168.2.7 -> 10.1.1.1 (3/64/tunnel/down)] " +
				"[192.168.2.7 -> 10.1.1.2 (3/64/tunnel/down)] [192.168.7.7 -> 0.0.0.0 (1/0)]",
			map[string]string{"dvmrp.local": "192.168.2.7,192.168.2.7,192.168.7.7", "dvmrp.metric": "1,3,1", "dvmrp.threshold": "1,64,0",
				"dvmrp.flag.tunnel": "0,1,0", "dvmrp.flag.down": "0,1,0", "dvmrp.flag.querier": "1,0,0", "dvmrp.ncount": "1,2,1",
				"dvmrp.neighbor": "192.168.2.254,10.1.1.1,10.1.1.2,0.0.0.0"}},
		{&dvmrp.Prune{Version: version, Source: addr("192.168.14.0"), Group: group, Lifetime: 2 * time.Hour},
			"igmp dvmrp Prune src 192.168.14.0 grp 232.1.2.3 timer 2h",
			map[string]string{"dvmrp.saddr": "192.168.14.0", "dvmrp.maddr": "232.1.2.3", "dvmrp.lifetime": "7200", "dvmrp.netmask": ""}},
		{&dvmrp.Prune{Version: netmask, Source: addr("192.168.14.0"), Group: group, Lifetime: 90 * time.Second, Mask: addr("255.255.255.0")},
			"igmp dvmrp Prune src 192.168.14.0 grp 232.1.2.3 timer 1m30s",
			map[string]string{"dvmrp.reserved": "0x002e", "dvmrp.lifetime": "90", "dvmrp.netmask": "255.255.255.0"}},
		{&dvmrp.Graft{Version: version, Source: addr("192.168.14.0"), Group: group},
			"igmp dvmrp Graft src 192.168.14.0 grp 232.1.2.3",
			map[string]string{"dvmrp.saddr": "192.168.14.0", "dvmrp.maddr": "232.1.2.3", "dvmrp.netmask": ""}},
		{&dvmrp.Graft{Version: netmask, Source: addr("192.168.14.0"), Group: group, Mask: addr("255.255.255.0")},
			"igmp dvmrp Graft src 192.168.14.0 grp 232.1.2.3", map[string]string{"dvmrp.netmask": "255.255.255.0"}},
		{&dvmrp.Graft{Version: version, Ack: true, Source: addr("192.168.14.0"), Group: group},
			"igmp dvmrp Graft-ACK src 192.168.14.0 grp 232.1.2.3", map[string]string{"dvmrp.v3.code": "0x09"}},
		{traced(mtrace.TypeQuery, 0), "mtrace" + trace,
			map[string]string{"igmp.type": "0x1f", "igmp.mtrace.max_hops": "32", "igmp.maddr": "224.2.2.2", "igmp.mtrace.saddr": "192.168.2.7",
				"igmp.mtrace.raddr": "192.168.14.254", "igmp.mtrace.rspaddr": "224.0.1.32", "igmp.mtrace.resp_ttl": "127",
				"igmp.mtrace.q_id": "11259263", "igmp.mtrace.q_arrival": ""}},
		{traced(mtrace.TypeQuery, 1), "mtrace" + trace,
			map[string]string{"igmp.mtrace.q_arrival": "2122350592", // 0x7e808000
				"igmp.mtrace.q_inaddr": "192.168.7.254", "igmp.mtrace.q_outaddr": "192.168.14.254", "igmp.mtrace.q_prevrtr": "192.168.7.7",
				"igmp.mtrace.q_inpkt": "1000", "igmp.mtrace.q_outpkt": "1001", "igmp.mtrace.q_total": "4294967295",
				"igmp.mtrace.q_rtg_proto": "1", "igmp.mtrace.q_fwd_ttl": "64", "igmp.mtrace.q_mbz": "0x00", "igmp.mtrace.q_s": "0x01",
				"igmp.mtrace.q_src_mask": "0x18", "igmp.mtrace.q_fwd_code": "0x03"}},
		{traced(mtrace.TypeResponse, 8), "mresp" + trace,
			map[string]string{"igmp.type": "0x1e", "igmp.mtrace.q_fwd_code": strings.TrimSuffix(strings.Repeat("0x03,", 8), ",")}},
		{traced(mtrace.TypeResponse, mtrace.MaxBlocks), "mresp" + trace, nil},
	}
}

// encoded returns the packets of all messages.
func encoded(t *testing.T, messages []sent) [][]byte {
	var packets [][]byte
	for _, s := range messages {
		b, err := s.message.AppendBinary(nil)
		if err != nil {
			t.Fatal(err)
		}
		packets = append(packets, b)
	}
	return packets
}

// run runs a program that reads a recording of packets, and returns its output.
func run(t *testing.T, packets [][]byte, program string, args ...string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "packets.pcap")
	prototest.Record(t, name, packets)
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var stderr bytes.Buffer
	cmd := exec.Command(program, append([]string{"-n", "-r", "-"}, args...)...)
	cmd.Stdin, cmd.Stderr = f, &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", program, err, &stderr)
	}
	return string(out)
}

// wrong is a good answer with another checksum.
func wrong(t *testing.T) []byte {
	return prototest.Unhex(t, "13 06 1d de 00 0e ff 03 | c0a80207 01 01 40 01 c0a802fe | c0a80707 01 01 40 01 00000000")
}

func TestTcpdump(t *testing.T) {
	program := prototest.Program(t, "tcpdump")
	dump := func(packets [][]byte) []string {
		var texts []string
		for line := range strings.Lines(run(t, packets, program, "-t", "-vv")) {
			if strings.HasPrefix(line, "IP ") {
				texts = append(texts, "")
				continue
			}
			line = strings.TrimPrefix(strings.TrimSpace(line), "192.0.2.1 > 192.0.2.2: ")
			last := &texts[len(texts)-1]
			*last = strings.TrimSpace(*last + " " + line)
		}
		return texts
	}
	if got := dump([][]byte{wrong(t)}); len(got) != 1 || !strings.HasSuffix(got[0], "bad igmp cksum 1dde!") {
		t.Errorf("of a wrong checksum tcpdump says %q", got)
	}
	messages := allSent()
	got := dump(encoded(t, messages))
	if len(got) != len(messages) {
		t.Fatalf("tcpdump shows %d packets, want %d", len(got), len(messages))
	}
	for i, s := range messages {
		for _, word := range []string{"bad", "invalid", "malformed", "[|", "<"} {
			if strings.Contains(got[i], word) {
				t.Errorf("tcpdump says %q of %+v:\n%s", word, s.message, got[i])
			}
		}
		if want, begins := strings.CutSuffix(s.tcpdump, "..."); got[i] != want && (!begins || !strings.HasPrefix(got[i], want)) {
			t.Errorf("tcpdump shows\n%s, want\n%s", got[i], s.tcpdump)
		}
	}
}

func TestTshark(t *testing.T) {
	program := prototest.Program(t, "tshark")
	messages := allSent()
	// These show damage, and must be empty, or 1 of the one that a message has.
	const status1, status2 = "igmp.checksum.status", "dvmrp.checksum.status"
	fields := []string{"_ws.malformed", "_ws.expert", "_ws.col.Info", status1, status2}
	for _, s := range messages {
		for field := range s.tshark {
			if !slices.Contains(fields, field) {
				fields = append(fields, field)
			}
		}
	}
	decode := func(packets [][]byte) []map[string]string {
		args := []string{"-T", "fields", "-E", "separator=|"}
		for _, field := range fields {
			args = append(args, "-e", field)
		}
		var decoded []map[string]string
		for line := range strings.Lines(run(t, packets, program, args...)) {
			values := map[string]string{}
			for i, value := range strings.Split(strings.TrimSuffix(line, "\n"), "|") {
				values[fields[i]] = value
			}
			decoded = append(decoded, values)
		}
		return decoded
	}
	if got := decode([][]byte{wrong(t)}); len(got) != 1 || got[0][status2] != "0" || got[0]["_ws.expert"] == "" {
		t.Errorf("of a wrong checksum tshark says %q", got)
	}
	got := decode(encoded(t, messages))
	if len(got) != len(messages) {
		t.Fatalf("tshark shows %d packets, want %d", len(got), len(messages))
	}
	for i, s := range messages {
		if got[i]["_ws.malformed"] != "" || got[i]["_ws.expert"] != "" || strings.Contains(got[i]["_ws.col.Info"], "alformed") {
			t.Errorf("tshark says of %+v: %v", s.message, got[i])
		}
		if status := got[i][status1] + got[i][status2]; status != "1" {
			t.Errorf("checksum status %q of %+v, want 1: good", status, s.message)
		}
		for field, want := range s.tshark {
			if got[i][field] != want {
				t.Errorf("%s is %q in %+v, want %q", field, got[i][field], s.message, want)
			}
		}
	}
}
