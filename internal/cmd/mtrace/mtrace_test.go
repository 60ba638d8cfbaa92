package mtrace

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mbone/internal/ask"
	"mbone/internal/ask/asktest"
	"mbone/internal/cmd/tracing/tracingtest"
	"mbone/internal/trace"
	"mbone/proto/mtrace"
	"mbone/report"
	"mbone/schema/schematest"
)

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

// network is a network in which mtrace is run.
type network struct{ *tracingtest.Network }

var here = tracingtest.Here

func newNetwork(t *testing.T) *network { return &network{tracingtest.NewNetwork(t)} }

// run runs mtrace in the network.
func (n *network) run(ctx context.Context, args string) (code int, stdout, stderr string) {
	return tracingtest.Run(ctx, newCommand(n.World()).spec(), args)
}

const (
	start = "Mtrace from 10.4.0.9 to 10.1.0.9 via group 224.2.2.2\nQuerying full reverse path... "
	hops  = `
  0  10.1.0.9
 -1  10.1.0.1  DVMRP  thresh^ 1  
 -2  10.2.0.2  DVMRP  thresh^ 1  
 -3  10.3.0.2  DVMRP  thresh^ 1  
 -4  10.4.0.9
`
	end  = "Round trip time 2 ms\n\n"
	args = " 10.4.0.9 10.1.0.9 224.2.2.2"
)

func TestText(t *testing.T) {
	for _, test := range []struct {
		name, args     string
		change         func(*network)
		code           int
		stdout, stderr string
	}{
		{name: "short", args: "-ns" + args, stdout: start + hops + end},
		{name: "receiver and group swapped", args: "-ns 10.4.0.9 224.2.2.2 10.1.0.9", stdout: start + hops + end},
		{name: "defaults", args: "-ns 10.4.0.9", stdout: strings.Replace(start, "224.2.2.2", "224.2.0.1", 1) + hops + end},
		{name: "statistics", args: "-n" + args, stdout: start + hops + end + `Waiting to accumulate statistics... Results after 10 seconds:

  Source        Response Dest    Packet Statistics For     Only For Traffic
10.4.0.9        10.1.0.9         All Multicast Traffic     From 10.4.0.9
     v       __/  rtt    2 ms    Lost/Sent = Pct  Rate       To 224.2.2.2
10.4.0.1       
10.3.0.2                       
     v     ^      ttl    1        0/100  =  0%  10 pps     0/100  =  0%  10 pps
10.3.0.1       
10.2.0.2                       
     v     ^      ttl    2        0/100  =  0%  10 pps     0/100  =  0%  10 pps
10.2.0.1       
10.1.0.1                       
     v      \__   ttl    3          100         10 pps       100         10 pps
10.1.0.9        10.1.0.9
  Receiver      Query Source

`},
		{name: "names", args: "-s callisto castor 224.2.2.2", change: func(n *network) {
			n.Hosts["callisto"], n.Hosts["castor"] = []netip.Addr{addr("10.4.0.9")}, []netip.Addr{here}
			n.Names[here], n.Names[addr("10.3.0.1")] = "castor.example", "scar.example"
		}, stdout: start + `
  0  castor.example (10.1.0.9)
 -1  ? (10.1.0.1)  DVMRP  thresh^ 1  
 -2  scar.example (10.2.0.2)  DVMRP  thresh^ 1  
 -3  ? (10.3.0.2)  DVMRP  thresh^ 1  
 -4  ? (10.4.0.9)
` + end},
		{name: "verbose", args: "-nsv" + args, stdout: start + `
  0  10.1.0.9
 -1  10.1.0.1  DVMRP  thresh^ 1  0 ms  
 -2  10.2.0.2  DVMRP  thresh^ 1  0 ms  
 -3  10.3.0.2  DVMRP  thresh^ 1  0 ms  
 -4  10.4.0.9
` + end},
		{name: "limit", args: "-ns -m2" + args, code: 1,
			stdout: `Mtrace from 10.4.0.9 to 10.1.0.9 via group 224.2.2.2
Querying reverse path, maximum 2 hops... 
  0  10.1.0.9
 -1  10.1.0.1  DVMRP  thresh^ 1  
 -2  10.2.0.2  DVMRP  thresh^ 1  
 -3  * 10.3.0.2 is the next hop
` + end,
			stderr: "mtrace: the limit of 2 hops is reached\n"},
		{name: "codes are no failure", args: "-ns" + args, change: func(n *network) {
			n.Blocks[0].Code, n.Blocks[2].Code = mtrace.CodePruneSent, mtrace.CodePruneRcvd
		}, stdout: strings.NewReplacer("-1  10.1.0.1  DVMRP  thresh^ 1  ", "-1  10.1.0.1  DVMRP  thresh^ 1  Prune sent upstream",
			"-3  10.3.0.2  DVMRP  thresh^ 1  ", "-3  10.3.0.2  DVMRP  thresh^ 1  Output pruned").Replace(start + hops + end)},
		{name: "FRR's counter", args: "-ns" + args, change: func(n *network) {
			b := &n.Blocks[2]
			b.Protocol, b.Mask, b.Previous = mtrace.ProtocolPIM, 0x20, addr("10.4.0.9")
			n.Handle(func(d ask.Datagram) []asktest.Answer {
				p := asktest.Path{From: b.Incoming, Blocks: slices.Clone(n.Blocks)}
				p.Blocks[2].PacketsIn, p.Blocks[2].PacketsOut, p.Blocks[2].PacketsGroup = mtrace.Unknown, mtrace.Unknown, 0xc8000000
				return p.Answer(d)
			}, addr("224.0.0.2"))
		}, stdout: strings.Replace(start+hops+end, "-3  10.3.0.2  DVMRP", "-3  10.3.0.2  PIM", 1),
			stderr: "mtrace: hop 3, 10.3.0.2: packets_group is unreliable: FRR sends an old count, with its bytes in the order of its own machine\n" +
				"mtrace: hop 3, 10.3.0.2: previous is unreliable: FRR names the source here where there is no previous hop\n"},
		{name: "silence behind the first hop", args: "-n" + args, change: func(n *network) { n.Silent = 2 }, code: 1,
			stdout: start + `* switching to hop-by-hop:
  0  10.1.0.9
 -1  10.1.0.1  DVMRP  thresh^ 1  
 -2  * * * * * * * * * * 10.2.0.2 didn't respond
 -3  * * * 
 -4  * * * 
 -5  * * * ...giving up
` + end,
			stderr: `mtrace: hop 1, 10.1.0.1, did not pass the request on to 10.2.0.2, or no answer came back
mtrace: perhaps answers from behind hop 1, 10.1.0.1, do not come back: a Linux multicast router swallows packets with Router Alert; set "no router-alert" in the mrouted.conf of all routers
mtrace: perhaps hop 1, 10.1.0.1, does not pass requests on to 10.2.0.2
mtrace: perhaps 10.2.0.2 is down, filters IGMP, or has no way back to 10.1.0.9
`},
		{name: "not past a silent hop", args: "-ns -e0 -q1 -w1" + args, change: func(n *network) { n.Silent = 2 }, code: 1,
			stdout: start + "* switching to hop-by-hop:\n  0  10.1.0.9\n -1  10.1.0.1  DVMRP  thresh^ 1  \n -2  * * * * * * 10.2.0.2 didn't respond\n" + end,
			stderr: `mtrace: hop 1, 10.1.0.1, did not pass the request on to 10.2.0.2, or no answer came back
mtrace: perhaps answers from behind hop 1, 10.1.0.1, do not come back: a Linux multicast router swallows packets with Router Alert; set "no router-alert" in the mrouted.conf of all routers
mtrace: perhaps hop 1, 10.1.0.1, does not pass requests on to 10.2.0.2
mtrace: perhaps 10.2.0.2 is down, filters IGMP, or has no way back to 10.1.0.9
`},
		{name: "nobody", args: "-n" + args, change: func(n *network) { n.Silent = 1 }, code: 1,
			stdout: start + `* switching to hop-by-hop:
  0  10.1.0.9
 -1  * * * * * Timed out receiving responses
Perhaps no local router has a route for source 10.4.0.9
`,
			stderr: `mtrace: nobody answered
mtrace: perhaps no multicast router on the link of 10.1.0.9 knows mtrace and has a route to 10.4.0.9; name the router with -g
`},
		{name: "nobody elsewhere", args: "-n -q1 10.4.0.9 10.7.7.7 224.2.2.2", change: func(n *network) { n.Silent = 1 }, code: 1,
			stdout: `Mtrace from 10.4.0.9 to 10.7.7.7 via group 224.2.2.2
Querying full reverse path... * switching to hop-by-hop:
  0  10.7.7.7
 -1  * Timed out receiving responses
Perhaps receiver 10.7.7.7 is not a member of group 224.2.2.2,
or no router local to it has a route for source 10.4.0.9,
or multicast at ttl 64 doesn't reach its last-hop router for that source
`,
			stderr: `mtrace: nobody answered
mtrace: perhaps the query to 224.2.2.2 does not come to a router next to 10.7.7.7; name the receiver's router with -g
`},
		{name: "on one link", args: "-n 10.1.0.5", stdout: "Mtrace from 10.1.0.5 to 10.1.0.9 via group 224.2.0.1\n" +
			"Source & receiver are directly connected, no path to trace\n"},
		{name: "a gateway", args: "-ns -g 10.1.0.1" + args, stdout: start + hops + end},
		{name: "a gateway and nothing else", args: "-ns -g 10.1.0.1", stdout: `Mtrace from 10.1.0.9 to 10.1.0.9 via group 224.2.0.1
Querying full reverse path... 
  0  10.1.0.9
 -1  10.1.0.1  DVMRP  thresh^ 1  
 -2  10.2.0.2  DVMRP  thresh^ 1  
 -3  10.3.0.2  DVMRP  thresh^ 1  
` + end, code: 1, stderr: "mtrace: nothing came from behind hop 3, 10.3.0.2\n"},
		{name: "a weak trace", args: "-ns 10.4.0.9 0.0.0.0", stdout: strings.Replace(start, "224.2.2.2", "0.0.0.0", 1) + hops + end},
		{name: "this host as gateway", args: "-ns -g 10.1.0.9" + args, change: func(n *network) {
			n.Handle(n.Answer, here)
		}, stdout: start + hops + end},
		{name: "no permission", args: "-n" + args, code: 3, change: func(n *network) {
			n.OpenErr = &ask.OpError{Op: "open", Object: "raw socket", Err: errors.New("not permitted"), Fix: "be root"}
		}, stderr: "mtrace: open raw socket: not permitted; be root\n"},
		{name: "unknown name", args: "nobody", code: 3, stderr: "mtrace: nobody: unknown name; check the name, or give the address\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNetwork(t)
				if test.change != nil {
					test.change(n)
				}
				code, stdout, stderr := n.run(context.Background(), test.args)
				if code != test.code || stdout != test.stdout || stderr != test.stderr {
					t.Errorf("exit code %d\n%s%s\nwant %d\n%s%s", code, stdout, stderr, test.code, test.stdout, test.stderr)
				}
			})
		})
	}
}

// TestSlowNames: nobody waits for names longer than --dns-timeout, and for all of
// a path together as long as for one.
func TestSlowNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		n.Slow = time.Hour
		began := time.Now()
		code, stdout, _ := n.run(context.Background(), "-s --dns-timeout 0.5"+args)
		// The hops and the source stand in two steps.
		if took := time.Since(began).Truncate(10 * time.Millisecond); code != 0 || took != time.Second {
			t.Errorf("exit code %d after %v\n%s", code, took, stdout)
		}
	})
}

func TestUsage(t *testing.T) {
	for args, want := range map[string]string{
		"":                               "missing argument: the source of the multicast",
		"224.2.2.2":                      "source 224.2.2.2: not the address of a host",
		"10.4.0.9 10.1.0.9 10.1.0.8":     "10.1.0.8: one receiver is enough; a group is 224.0.0.0 to 239.255.255.255, or 0.0.0.0",
		"10.4.0.9 224.2.2.2 224.2.2.3":   "224.2.2.3: one group is enough",
		"-l -P 10.4.0.9":                 "-l measures, -P watches the path only: choose one",
		"-s -S5 10.4.0.9":                "-s wants no statistics, -l and -S do: choose one",
		"-p --read x":                    "-p listens, --read reads a recording: choose one",
		"-g 224.0.0.2 10.4.0.9":          "-g 224.0.0.2: not the address of a host",
		"10.4.0.9 10.7.7.7 0.0.0.0":      "group 0.0.0.0: receiver 10.7.7.7 is on no link of this host, so that a router must be named with -g",
		"-i eth0 --interface x 10.4.0.9": "-i eth0 contradicts --interface or --source",
		"-m 0 10.4.0.9":                  "-m 0: not a number of 1 to 255",
		"-q 0 10.4.0.9":                  "-q 0: not a number of 1 to 1000",
		"-t 256 10.4.0.9":                "-t 256: not a number of 1 to 255",
	} {
		code, stdout, stderr := newNetwork(t).run(context.Background(), args)
		if code != 2 || stdout != "" || stderr != "mtrace: "+want+"; see mtrace --help\n" {
			t.Errorf("mtrace %s: exit code %d, %s%s\nwant %s", args, code, stdout, stderr, want)
		}
	}
}

// documents reads what was printed: nothing but whole documents of mtrace.
func documents(t *testing.T, out string) []report.Path {
	t.Helper()
	all, err := schematest.Read[report.Path]([]byte(out))
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestJSON(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		n.Names[here] = "castor.example"
		code, stdout, stderr := n.run(context.Background(), "--json"+args)
		all := documents(t, stdout)
		if code != 0 || stderr != "" || len(all) != 1 {
			t.Fatalf("exit code %d, %d documents, %s", code, len(all), stderr)
		}
		p := all[0]
		if !p.Reached || len(p.Hops) != 3 || p.Statistics == nil || *p.Statistics.Links[1].Total.Group.Sent != 100 ||
			*p.ReceiverName != "castor.example" || p.SourceName != nil || p.Next != nil || p.RTT.Duration() != 2*time.Millisecond {
			t.Errorf("%s", stdout)
		}
		for _, key := range []string{`"previous": null`, `"previous": "0.0.0.0"`, `"code": "no_error"`, `"source_net": "10.4.0.0/24"`, `"rtt_ms": 2`, `"query_id": `} {
			if !strings.Contains(stdout, key) {
				t.Errorf("no %s in\n%s", key, stdout)
			}
		}
	})
}

// TestJSONFailures: each outcome is one document.
func TestJSONFailures(t *testing.T) {
	for _, test := range []struct {
		name, args string
		change     func(*network)
		code       int
		reason     string
		errors     int
	}{
		{"usage", "", nil, 2, "missing argument: the source of the multicast; see mtrace --help", 1},
		{"unknown name", "nobody", nil, 3, "nobody: unknown name; check the name, or give the address", 1},
		{"nobody", "10.4.0.9", func(n *network) { n.Silent = 1 }, 1, "nobody answered", 2},
		{"silence", "10.4.0.9", func(n *network) { n.Silent = 2 }, 1,
			"hop 1, 10.1.0.1, did not pass the request on to 10.2.0.2, or no answer came back", 4},
		{"one link", "10.1.0.5", nil, 0, "", 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNetwork(t)
				if test.change != nil {
					test.change(n)
				}
				code, stdout, stderr := n.run(context.Background(), "--json "+test.args)
				all := documents(t, stdout)
				if len(all) != 1 || code != test.code {
					t.Fatalf("exit code %d, %d documents\n%s", code, len(all), stdout)
				}
				if p := all[0]; p.Reason != test.reason || len(p.Errors) != test.errors || strings.Count(stderr, "\n") != test.errors {
					t.Errorf("reason %q, errors %q\nwant %q, %d", p.Reason, p.Errors, test.reason, test.errors)
				}
			})
		})
	}
}

func TestLoopJSON(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(context.Background(), 25*time.Second)
		defer cancel()
		code, stdout, stderr := newNetwork(t).run(ctx, "--json -nl"+args)
		all := documents(t, stdout)
		if code != 0 || stderr != "" || len(all) != 3 || strings.Count(stdout, "\n") != 3 {
			t.Fatalf("exit code %d, %d documents\n%s%s", code, len(all), stdout, stderr)
		}
		if all[0].Statistics != nil || all[2].Statistics.Samples != 3 || *all[2].Statistics.Links[0].Last.All.Sent != 100 {
			t.Errorf("%s", stdout)
		}
	})
}

func TestWatchText(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(context.Background(), 40*time.Second)
		defer cancel()
		n := newNetwork(t)
		n.At(15*time.Second, func() { n.Blocks[1].Incoming = addr("10.3.0.7") })
		code, stdout, stderr := n.run(ctx, "-nP"+args)
		lines := strings.TrimPrefix(hops, "\n  0  10.1.0.9\n")
		lines = strings.TrimSuffix(lines, " -4  10.4.0.9\n")
		want := start + hops + end + "Monitoring path...\nRoute changed after 20 seconds:\n" + lines +
			"Restarting.\n\nQuerying full reverse path... " + hops + end + "Monitoring path..."
		if code != 0 || stdout != want || stderr != "" {
			t.Errorf("exit code %d\n%s\nwant\n%s%s", code, stdout, want, stderr)
		}
	})
}

// TestInterrupted: what is known is printed at once.
func TestInterrupted(t *testing.T) {
	for _, test := range []struct {
		name, args string
		after      time.Duration
		hops       int
	}{
		{"while hops are asked for", "-n", 2 * time.Second, 1},
		{"while statistics accumulate", "-n", 5 * time.Second, 3},
	} {
		synctest.Test(t, func(t *testing.T) {
			n := newNetwork(t)
			if test.hops == 1 {
				n.Silent = 2
			}
			ctx, cancel := context.WithTimeout(context.Background(), test.after)
			defer cancel()
			began := time.Now()
			code, stdout, _ := n.run(ctx, "--json "+test.args+args)
			all := documents(t, stdout)
			if code != 1 || len(all) != 1 || len(all[0].Hops) != test.hops || all[0].Reason != "interrupted" {
				t.Errorf("%s: exit code %d\n%s", test.name, code, stdout)
			}
			if took := time.Since(began); took != test.after {
				t.Errorf("%s: ended after %v", test.name, took)
			}
		})
	}
}

func TestPassive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		inject := func(id uint32, packets uint32) {
			m := mtrace.Message{
				Type: mtrace.TypeResponse, Hops: 32, Group: addr("224.2.2.2"), Source: addr("10.4.0.9"), Receiver: addr("10.1.0.7"),
				Response: trace.ResponseGroup, ResponseTTL: 64, QueryID: id, Blocks: slices.Clone(n.Blocks),
			}
			for i := range m.Blocks {
				m.Blocks[i].Arrival = mtrace.Time(time.Now().Add(300 * time.Millisecond))
				m.Blocks[i].PacketsOut, m.Blocks[i].PacketsIn = packets, packets
			}
			message, err := m.AppendBinary(nil)
			if err != nil {
				t.Error(err)
			}
			n.Inject(asktest.Answer{From: addr("10.1.0.1"), To: trace.ResponseGroup, Message: message})
		}
		time.AfterFunc(time.Second, func() { inject(1, 1000) })
		time.AfterFunc(2*time.Second, func() { inject(1, 1000) }) // the same again
		time.AfterFunc(11*time.Second, func() { inject(2, 1200) })
		code, stdout, stderr := n.run(ctx, "-np")
		overheard := "Mtrace from 10.1.0.7 to 10.4.0.9 via group 224.2.2.2 (mxhop=32)" + strings.Replace(hops, "10.1.0.9", "10.1.0.7", 1) + "\n"
		if code != 0 || stderr != "" || !strings.HasPrefix(stdout, overheard+overheard+"Results after 10 seconds:\n") ||
			!strings.Contains(stdout, "ttl    1        0/200  =  0%  20 pps") {
			t.Errorf("exit code %d\n%s%s", code, stdout, stderr)
		}
		if !n.Joined(trace.ResponseGroup) {
			t.Error("the response group was not joined")
		}
	})
}

// TestJoin: routers may need time to learn that somebody wants the answers, so
// the group is joined before the first query.
func TestJoin(t *testing.T) {
	for args, want := range map[string]bool{"-ns": true, "-nsM": true, "-nsU": false, "-ns -r 10.1.0.9": false} {
		synctest.Test(t, func(t *testing.T) {
			n := newNetwork(t)
			n.run(context.Background(), args+" 10.4.0.9")
			if first := slices.Equal(n.Joins, []int{0}); n.Joined(trace.ResponseGroup) != want || first != want {
				t.Errorf("mtrace %s: joined after %v datagrams, want %v", args, n.Joins, want)
			}
		})
	}
}

// TestInterface: -i takes a name or an address, and queries leave there.
func TestInterface(t *testing.T) {
	for args, want := range map[string]string{
		"-i 10.9.0.9":             "10.9.0.9",
		"--source 10.9.0.9":       "10.9.0.9",
		"-i 10.9.0.9 -g 10.1.0.1": "10.9.0.9",
		"":                        "10.1.0.9",
	} {
		synctest.Test(t, func(t *testing.T) {
			n := newNetwork(t)
			n.run(context.Background(), "-ns -q1 -w1 "+args+" 10.4.0.9")
			var q mtrace.Message
			sent := n.Sent()
			if i := slices.IndexFunc(sent, func(s asktest.Sent) bool { return q.Parse(s.Message) == nil }); i < 0 {
				t.Fatal("no query")
			} else if via := sent[i].Via; q.Response.String() != want || q.Receiver.String() != want && !strings.Contains(args, "-g") ||
				(via.IfIndex == 2) != (want == "10.9.0.9") {
				t.Errorf("mtrace %s: answers to %s, receiver %s, via %+v; want %s", args, q.Response, q.Receiver, via, want)
			}
		})
	}
	if code, _, stderr := newNetwork(t).run(context.Background(), "-i 10.8.8.8 10.4.0.9"); code != 3 || stderr != "mtrace: source address 10.8.8.8: no address of this host; ip address shows them\n" {
		t.Errorf("exit code %d, %s", code, stderr)
	}
}

// TestBrokenPipe: nobody reads any more, so a loop ends.
func TestBrokenPipe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
		defer cancel()
		began := time.Now()
		code, _ := tracingtest.RunTo(ctx, newCommand(newNetwork(t).World()).spec(), "-nl"+args, &tracingtest.BrokenPipe{Left: 5})
		if code != 3 || time.Since(began) > time.Minute {
			t.Errorf("exit code %d after %v", code, time.Since(began))
		}
	})
}
