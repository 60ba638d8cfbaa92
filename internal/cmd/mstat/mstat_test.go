package mstat

import (
	"context"
	"encoding/csv"
	"errors"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mbone/internal/ask"
	"mbone/internal/cmd/tracing/tracingtest"
	"mbone/internal/prototest"
	"mbone/proto/mtrace"
	"mbone/render"
	"mbone/report"
	"mbone/schema/schematest"
)

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

// within runs mstat in a network for a time at most.
func within(t *testing.T, n *tracingtest.Network, length time.Duration, args string) (code int, stdout, stderr string) {
	ctx, cancel := context.WithTimeout(t.Context(), length)
	defer cancel()
	return tracingtest.Run(ctx, newCommand(n.World()).spec(), args)
}

const (
	args  = " 10.4.0.9 10.1.0.9 224.2.2.2"
	begin = `Mtrace from 10.4.0.9 to 10.1.0.9 via group 224.2.2.2
Querying full reverse path... 
  0  10.1.0.9
 -1  10.1.0.1  DVMRP  thresh^ 1  
 -2  10.2.0.2  DVMRP  thresh^ 1  
 -3  10.3.0.2  DVMRP  thresh^ 1  
 -4  10.4.0.9
Round trip time 2 ms

`
	// of 10 packets a second, one in five is lost behind hop 2
	first = `Waiting to accumulate statistics... Results after 2 seconds:

  Source        Response Dest    Packet Statistics For     Only For Traffic
10.4.0.9        10.1.0.9         All Multicast Traffic     From 10.4.0.9
     v       __/  rtt    2 ms    Lost/Sent = Pct  Rate       To 224.2.2.2
10.4.0.1       
10.3.0.2                       
     v     ^      ttl    1        0/20   =  0%  10 pps     0/20   =  0%  10 pps  few packets
10.3.0.1       
10.2.0.2                       
     v     ^      ttl    2        4/20   = 20%  10 pps     4/20   = 20%  10 pps  few packets
10.2.0.1       
10.1.0.1                       
     v      \__   ttl    3          16           8 pps       16           8 pps
10.1.0.9        10.1.0.9
  Receiver      Query Source
few packets: too few to tell the loss of the link within 10 percent

`
	second = `Waiting to accumulate statistics... Results after 4 seconds:

  Source        Response Dest    Packet Statistics For     Only For Traffic
10.4.0.9        10.1.0.9         All Multicast Traffic     From 10.4.0.9
     |       __/  rtt    2 ms    Lost/Sent = Pct  Rate       To 224.2.2.2
     v      /     hop    1 ms    ---------------------     --------------------
10.4.0.1       
10.3.0.2                       
     |     ^      ttl    1        0/20   =  0%  10 pps     0/20   =  0%  10 pps  few packets
     v     |      hop    0 ms     0/40   =  0%  10 pps     0/40   =  0%  10 pps
`
)

func TestText(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := tracingtest.NewNetwork(t)
		n.Lost = 5
		began := time.Now()
		code, stdout, stderr := within(t, n, time.Minute, "-n -S2 -c2"+args)
		if want := begin + first + second; code != 0 || stderr != "" || !strings.HasPrefix(stdout, want) {
			t.Errorf("exit code %d\n%s%s\nwant\n%s", code, stdout, stderr, want)
		}
		if took := time.Since(began).Round(time.Second); took != 4*time.Second {
			t.Errorf("two reports took %v", took)
		}
		// The second line of a link is since the beginning.
		if !strings.Contains(stdout, "ttl    2        4/20   = 20%  10 pps     4/20   = 20%  10 pps  few packets\n"+
			"     v     |      hop    0 ms     8/40   = 20%  10 pps     8/40   = 20%  10 pps  few packets\n") {
			t.Errorf("no totals in\n%s", stdout)
		}
	})
}

func documents(t *testing.T, out string) []report.Path {
	t.Helper()
	all, err := schematest.Read[report.Path]([]byte(out))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range all {
		if p.Schema != report.StatsSchema || p.Version != report.StatsVersion {
			t.Fatalf("head %+v", p.Document)
		}
	}
	return all
}

// TestJSON: one document is JSON, several are one a line; each is a report.
func TestJSON(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := tracingtest.NewNetwork(t)
		n.Lost = 5
		code, stdout, stderr := within(t, n, time.Minute, "-n --json -c1"+args)
		all := documents(t, stdout)
		if code != 0 || stderr != "" || len(all) != 1 || strings.Count(stdout, "\n") < 100 {
			t.Fatalf("exit code %d, %d documents\n%s%s", code, len(all), stdout, stderr)
		}
		c := all[0].Statistics.Links[1].Total.Group
		if *c.Sent != 100 || *c.Lost != 20 || *c.LossPercent != 20 || *c.LossLow < 13.3 || *c.LossLow > 13.4 || *c.LossHigh < 28.8 || *c.LossHigh > 28.9 ||
			c.Period.Duration().Round(10*time.Millisecond) != 10*time.Second || !slices.Equal(c.Marks, []report.Mark{report.MarkFewPackets}) {
			t.Errorf("%+v", c)
		}
		if !all[0].Complete || all[0].Events == nil || all[0].Query.SentAt == nil {
			t.Errorf("%+v", all[0].Document)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		code, stdout, _ := within(t, tracingtest.NewNetwork(t), 35*time.Second, "-n --json"+args)
		if all := documents(t, stdout); code != 0 || len(all) != 3 || strings.Count(stdout, "\n") != 3 || all[2].Statistics.Samples != 4 {
			t.Errorf("exit code %d, %d documents, %d lines", code, len(all), strings.Count(stdout, "\n"))
		}
	})
}

// TestTable and CSV have a row for each link.
func TestTable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := tracingtest.NewNetwork(t)
		n.Lost = 5
		code, stdout, stderr := within(t, n, time.Minute, "-n -o table -c1"+args)
		const want = `  10.4.0.9 > 10.1.0.9  group 224.2.2.2  interval 10.0 s, total 10.0 s
HOP  FROM      NAME  TO        ALL LOST/SENT   PPS         TOTAL LOST/SENT         GROUP LOST/SENT   PPS         TOTAL LOST/SENT  NOTES
  1  10.1.0.1  -     10.1.0.9               ?/80   8.0                    ?/80                    ?/80   8.0                    ?/80
  2  10.2.0.2  -     10.1.0.1  20/100 20.0% (13-29%)  10.0  20/100 20.0% (13-29%)  20/100 20.0% (13-29%)  10.0  20/100 20.0% (13-29%)  few packets
  3  10.3.0.2  -     10.2.0.2         0/100 0.0%  10.0              0/100 0.0%              0/100 0.0%  10.0              0/100 0.0%
few packets: too few to tell the loss of the link within 10 percent
`
		at, rest, _ := strings.Cut(stdout, " ")
		fields := func(s string) []string { return strings.Fields(s) } // widths are the table library's
		if code != 0 || stderr != "" || !slices.Equal(fields(rest), fields(want)) {
			t.Errorf("exit code %d\n%s%s\nwant\n%s", code, stdout, stderr, want)
		}
		if when, err := time.Parse(time.RFC3339, at); err != nil || time.Since(when) > 2*time.Second || strings.Contains(at, ".") {
			t.Errorf("the report is of %s, at %s", at, time.Now())
		}
	})
}

// rows reads CSV: cells by their titles.
func rows(t *testing.T, out string) []map[string]string {
	t.Helper()
	records, err := csv.NewReader(strings.NewReader(out)).ReadAll()
	if err != nil || len(records) == 0 || !slices.Equal(records[0], render.StatsColumns()) {
		t.Fatalf("%v in\n%s", err, out)
	}
	var all []map[string]string
	for _, record := range records[1:] {
		row := make(map[string]string)
		for i, cell := range record {
			row[records[0][i]] = cell
		}
		if _, err := time.Parse(time.RFC3339Nano, row["time"]); err != nil {
			t.Error(err)
		}
		all = append(all, row)
	}
	return all
}

func TestCSV(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := tracingtest.NewNetwork(t)
		n.Lost = 5
		n.Names[addr("10.3.0.2")] = "=cmd\x1b,\"x\""
		n.At(25*time.Second, func() { n.Silent = 1 })
		code, stdout, _ := within(t, n, time.Minute, "-o csv -c3"+args)
		all := rows(t, stdout)
		if code != 0 || len(all) != 7 {
			t.Fatalf("exit code %d, %d rows\n%s", code, len(all), stdout)
		}
		lossy := all[4]
		for key, want := range map[string]string{
			"source": "10.4.0.9", "receiver": "10.1.0.9", "group": "224.2.2.2", "reached": "true", "events": "",
			"from_hop": "2", "from": "10.2.0.2", "from_name": "", "to_hop": "1", "to": "10.1.0.1",
			"all_sent": "100", "all_received": "80", "all_lost": "20", "all_loss_percent": "20", "all_marks": "few_packets",
			"group_total_sent": "200", "group_total_lost": "40", "group_total_marks": "few_packets",
		} {
			if lossy[key] != want {
				t.Errorf("%s is %q, want %q", key, lossy[key], want)
			}
		}
		if name := all[5]["from_name"]; name != "'=cmd\ufffd,\"x\"" {
			t.Errorf("a hostile name is %q", name)
		}
		if last := all[6]; last["events"] != "lost@0" || last["from_hop"] != "" || last["all_sent"] != "" || last["reached"] != "false" {
			t.Errorf("the silent path is %v", last)
		}
	})
}

// TestEvents: what happens is told in text and in JSON.
func TestEvents(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*tracingtest.Network)
		length time.Duration
		text   []string // on standard output or error
		want   []string // events of each report
	}{
		{"silence and back", func(n *tracingtest.Network) {
			n.At(15*time.Second, func() { n.Silent = 1 })
			n.At(45*time.Second, func() { n.Silent = 0 })
		}, 70 * time.Second, []string{"Timed out.\n", "mstat: the path does not answer any more\n", "mstat: the path answers again, and is the same: statistics go on\n"},
			[]string{"", "lost 0", "", "back 0", "", ""}},
		{"a hop is silent", func(n *tracingtest.Network) {
			n.At(15*time.Second, func() { n.Silent = 3 })
			n.At(45*time.Second, func() { n.Silent = 0 })
		}, 70 * time.Second, []string{"mstat: hop 3, 10.3.0.2: does not answer any more\n", "mstat: the path answers again, and is the same"},
			[]string{"", "lost 3", "", "", "back 0", ""}},
		{"another path", func(n *tracingtest.Network) {
			n.At(15*time.Second, func() { n.Blocks[1].Incoming, n.Blocks[1].Previous = addr("10.7.0.1"), addr("10.7.0.2") })
		}, 35 * time.Second, []string{"Route changed:\n", "mstat: hop 2, 10.2.0.2: route changed; its previous hop is now 10.7.0.2\n"},
			[]string{"", "route_changed 2", ""}},
		{"a longer path", func(n *tracingtest.Network) {
			n.At(15*time.Second, func() {
				n.Blocks[2].Previous, n.Blocks[2].Mask = addr("10.5.0.2"), 24
				n.Blocks[2].Incoming = addr("10.5.0.1")
				b := n.Blocks[2]
				b.Outgoing, b.Incoming, b.Previous = addr("10.5.0.2"), addr("10.4.0.1"), addr("0.0.0.0")
				n.Blocks = append(n.Blocks, b)
			})
		}, 35 * time.Second, []string{"Route changed:\n"}, []string{"", "route_changed 3", ""}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := tracingtest.NewNetwork(t)
				test.change(n)
				code, stdout, stderr := within(t, n, test.length, "-n"+args)
				for _, want := range test.text {
					if code != 0 || !strings.Contains(stdout+stderr, want) {
						t.Errorf("exit code %d, no %q in\n%s%s", code, want, stdout, stderr)
					}
				}
			})
			synctest.Test(t, func(t *testing.T) {
				n := tracingtest.NewNetwork(t)
				test.change(n)
				code, stdout, _ := within(t, n, test.length, "-n --json"+args)
				var got []string
				for _, p := range documents(t, stdout) {
					var kinds []string
					for _, e := range p.Events {
						kinds = append(kinds, string(e.Kind)+" "+string(rune('0'+e.Hop)))
					}
					got = append(got, strings.Join(kinds, ", "))
					if measured := p.Statistics != nil; !measured && p.Complete {
						t.Error("a report without statistics is complete")
					}
				}
				if code != 0 || !slices.Equal(got, test.want) {
					t.Errorf("exit code %d, events %q, want %q", code, got, test.want)
				}
			})
		})
	}
}

// TestFailures: each outcome has its exit code and, in JSON, is one document.
func TestFailures(t *testing.T) {
	for _, test := range []struct {
		name, args string
		change     func(*tracingtest.Network)
		length     time.Duration
		code       int
		reason     string
	}{
		{"no source", "", nil, time.Minute, 2, "missing argument: the source of the multicast; see mstat --help"},
		{"unknown name", "nobody", nil, time.Minute, 3, "nobody: unknown name; check the name, or give the address"},
		{"no permission", args, func(n *tracingtest.Network) {
			n.OpenErr = &ask.OpError{Op: "open", Object: "raw socket", Err: errors.New("not permitted"), Fix: "be root"}
		}, time.Minute, 3, "open raw socket: not permitted; be root"},
		{"nobody", args, func(n *tracingtest.Network) { n.Silent = 1 }, time.Minute, 1, "nobody answered"},
		{"one link", "10.1.0.5", nil, time.Minute, 1, "source and receiver are on one link: no router is between them that counts"},
		{"interrupted before the first report", args, nil, 5 * time.Second, 1, "interrupted"},
		{"a deadline", "--deadline 5" + args, nil, time.Minute, 1, "the time of --deadline is over"},
		{"a part only", args, func(n *tracingtest.Network) { n.Silent = 3 }, time.Minute, 0,
			"hop 2, 10.2.0.2, did not pass the request on to 10.3.0.2, or no answer came back"},
		{"a limit", "-m2" + args, nil, time.Minute, 0, "the limit of 2 hops is reached"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := tracingtest.NewNetwork(t)
				if test.change != nil {
					test.change(n)
				}
				code, stdout, stderr := within(t, n, test.length, "-n -c1 --json "+test.args)
				all := documents(t, stdout)
				if code != test.code || len(all) != 1 || all[0].Reason != test.reason || all[0].Complete {
					t.Errorf("exit code %d, want %d, %s\n%s", code, test.code, stderr, stdout)
				}
			})
		})
	}
	// A loop that has measured nothing is a failure, too; its output is nothing but documents.
	synctest.Test(t, func(t *testing.T) {
		n := tracingtest.NewNetwork(t)
		n.Silent = 1
		code, stdout, _ := within(t, n, time.Minute, "-n -o ndjson"+args)
		if all := documents(t, stdout); code != 1 || len(all) < 3 {
			t.Errorf("exit code %d, %d documents", code, len(all))
		}
	})
}

func TestUsage(t *testing.T) {
	for args, want := range map[string]string{
		"224.2.2.2":                      "source 224.2.2.2: not the address of a host",
		"10.4.0.9 10.1.0.9 10.1.0.8":     "10.1.0.8: one receiver is enough; a group is 224.0.0.0 to 239.255.255.255, or 0.0.0.0",
		"-g 224.0.0.2 10.4.0.9":          "-g 224.0.0.2: not the address of a host",
		"10.4.0.9 10.7.7.7 0.0.0.0":      "group 0.0.0.0: receiver 10.7.7.7 is on no link of this host, so that a router must be named with -g",
		"-i eth0 --interface x 10.4.0.9": "-i eth0 contradicts --interface or --source",
		"-e 256 10.4.0.9":                "-e 256: not a number of 0 to 255",
		"-m 0 10.4.0.9":                  "-m 0: not a number of 1 to 255",
		"-q 0 10.4.0.9":                  "-q 0: not a number of 1 to 1000",
		"-t 256 10.4.0.9":                "-t 256: not a number of 1 to 255",
		"-w 0 10.4.0.9":                  "-w 0: not a number of seconds above 0 and at most a day (2, 0.5, 250ms)",
	} {
		code, stdout, stderr := within(t, tracingtest.NewNetwork(t), time.Minute, args)
		if code != 2 || stdout != "" || stderr != "mstat: "+want+"; see mstat --help\n" {
			t.Errorf("mstat %s: exit code %d, %s%s\nwant %s", args, code, stdout, stderr, want)
		}
	}
}

// TestAddressing: the options say what is asked, and how.
func TestAddressing(t *testing.T) {
	for args, check := range map[string]func(ask.Datagram, mtrace.Message) bool{
		"":             func(d ask.Datagram, m mtrace.Message) bool { return d.To == addr("224.0.0.2") && d.TTL == 1 },
		"-g 10.1.0.1":  func(d ask.Datagram, m mtrace.Message) bool { return d.To == addr("10.1.0.1") },
		"-i 10.9.0.9":  func(d ask.Datagram, m mtrace.Message) bool { return m.Response == addr("10.9.0.9") },
		"-m 2":         func(d ask.Datagram, m mtrace.Message) bool { return m.Hops == 2 },
		"-M":           func(d ask.Datagram, m mtrace.Message) bool { return m.Response == addr("224.0.1.32") },
		"-M -t 7":      func(d ask.Datagram, m mtrace.Message) bool { return m.ResponseTTL == 7 },
		"-r 224.0.1.9": func(d ask.Datagram, m mtrace.Message) bool { return m.Response == addr("224.0.1.9") },
		"-U":           func(d ask.Datagram, m mtrace.Message) bool { return m.Response == tracingtest.Here },
		"-O":           func(d ask.Datagram, m mtrace.Message) bool { return !d.Via.RouterAlert },
	} {
		synctest.Test(t, func(t *testing.T) {
			n := tracingtest.NewNetwork(t)
			within(t, n, 3*time.Second, "-n -e1 -q1 -w1 "+args+" 10.4.0.9 10.1.0.9")
			for _, sent := range n.Sent() {
				var m mtrace.Message
				if m.Parse(sent.Message) == nil {
					if !check(sent.Datagram, m) {
						t.Errorf("mstat %s asks %+v, %+v", args, sent.Datagram, m)
					}
					return
				}
			}
			t.Errorf("mstat %s asks nothing", args)
		})
	}
}

// TestBrokenPipe: nobody reads any more, so a watch ends.
func TestBrokenPipe(t *testing.T) {
	for _, format := range []string{"text", "table", "ndjson", "csv"} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			defer cancel()
			began := time.Now()
			n := tracingtest.NewNetwork(t)
			code, _ := tracingtest.RunTo(ctx, newCommand(n.World()).spec(), "-n -o "+format+args, &tracingtest.BrokenPipe{Left: 2})
			if took := time.Since(began); code != 3 || took > time.Minute {
				t.Errorf("%s: exit code %d after %v", format, code, took)
			}
		})
	}
}

// TestRead measures between the traces of a recording.
func TestRead(t *testing.T) {
	var messages [][]byte
	for i := range uint32(4) {
		n := tracingtest.NewNetwork(t)
		m := mtrace.Message{
			Type: mtrace.TypeResponse, Hops: 32, Group: addr("224.2.2.2"), Source: addr("10.4.0.9"), Receiver: tracingtest.Here,
			Response: tracingtest.Here, QueryID: i + 1, Blocks: n.Blocks,
		}
		for k := range m.Blocks {
			m.Blocks[k].PacketsIn, m.Blocks[k].PacketsOut, m.Blocks[k].PacketsGroup = 1000*i, 1000*i, 500*i
		}
		m.Blocks[0].PacketsIn, m.Blocks[0].PacketsGroup = 900*i, 450*i // of what hop 2 has sent
		if i == 3 {
			m.Blocks[1].PacketsIn, m.Blocks[1].PacketsOut, m.Blocks[1].PacketsGroup = 7, 8, 9
		}
		message, err := m.AppendBinary(nil)
		if err != nil {
			t.Fatal(err)
		}
		messages = append(messages, message)
	}
	file := filepath.Join(t.TempDir(), "mtrace.pcap")
	prototest.Record(t, file, messages)
	n := tracingtest.NewNetwork(t)
	n.OpenErr = errors.New("a recording needs no socket")

	code, stdout, stderr := within(t, n, time.Minute, "-n -o csv --read "+file)
	all := rows(t, stdout)
	if code != 0 || len(all) != 9 || stderr != "mstat: hop 2, 10.2.0.2: the counters began anew, as when a router restarts\n" {
		t.Fatalf("exit code %d\n%s%s", code, stdout, stderr)
	}
	for row, want := range map[int]string{
		1: "100 of 1000, 100 of 1000, ", 4: "100 of 1000, 200 of 2000, ", // hop 2 to hop 1
		7: " of , reset,  of , reset, reset@2", 8: " of 1000, reset,  of , reset, reset@2",
	} {
		r := all[row]
		got := r["all_lost"] + " of " + r["all_sent"] + ", "
		if r["all_marks"] != "" {
			got += r["all_marks"] + ", "
		}
		got += r["all_total_lost"] + " of " + r["all_total_sent"] + ", "
		if r["all_total_marks"] != "" {
			got += r["all_total_marks"] + ", "
		}
		if got += r["events"]; got != want {
			t.Errorf("row %d: %q, want %q", row, got, want)
		}
	}

	code, stdout, _ = within(t, n, time.Minute, "-n -c1 --json --read "+file+" 10.4.0.9")
	if all := documents(t, stdout); code != 0 || len(all) != 1 || all[0].Method != report.MethodOverheard || *all[0].Statistics.Links[1].Total.Group.Lost != 50 {
		t.Errorf("exit code %d\n%s", code, stdout)
	}
	code, stdout, _ = within(t, n, time.Minute, "-n --read "+file)
	if code != 0 || strings.Count(stdout, "Results after ") != 3 || !strings.Contains(stdout, "100/1000 = 10%1000 pps    50/500  = 10% 500 pps\n") {
		t.Errorf("exit code %d\n%s", code, stdout)
	}
}
