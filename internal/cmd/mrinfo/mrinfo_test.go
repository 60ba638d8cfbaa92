package mrinfo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mbone/internal/ask"
	"mbone/internal/ask/asktest"
	"mbone/internal/cli"
	"mbone/internal/names"
	"mbone/proto/dvmrp"
	"mbone/report"
	"mbone/schema/schematest"
)

// hosts is a resolver that knows some names, and takes its time for addresses.
type hosts struct {
	addrs map[string][]netip.Addr
	names map[netip.Addr]string
	delay time.Duration
}

func (h *hosts) Lookup(_ context.Context, host string) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a}, nil
	}
	if a, ok := h.addrs[host]; ok {
		return a, nil
	}
	return nil, errors.New("unknown name")
}

func (h *hosts) Name(ctx context.Context, a netip.Addr) string {
	select {
	case <-time.After(h.delay):
		return h.names[a]
	case <-ctx.Done():
		return ""
	}
}

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

func iface(local string, metric, threshold uint8, flags dvmrp.InterfaceFlags, neighbors ...string) dvmrp.Interface {
	i := dvmrp.Interface{Local: addr(local), Metric: metric, Threshold: threshold, Flags: flags}
	for _, n := range neighbors {
		i.Neighbors = append(i.Neighbors, addr(n))
	}
	return i
}

// world is a network with routers and a resolver.
type world struct {
	*asktest.Network
	hosts
	openErr error
}

func newWorld(o asktest.Options) *world {
	return &world{Network: asktest.New(o), hosts: hosts{addrs: map[string][]netip.Addr{}, names: map[netip.Addr]string{}}}
}

// add puts a router behind all of its addresses and others.
func (w *world) add(r *asktest.Router, others ...string) {
	addrs := r.Addrs()
	for _, o := range others {
		addrs = append(addrs, addr(o))
	}
	w.Handle(r.Answer, addrs...)
}

// run runs mrinfo in the world.
func (w *world) run(ctx context.Context, args string) (code int, stdout, stderr string) {
	m := newCommand(
		func() (ask.Transport, error) {
			if w.openErr != nil {
				return nil, w.openErr
			}
			return w.Network, nil
		},
		func(*cli.Asking) (names.Resolver, error) { return &w.hosts, nil })
	var out, err bytes.Buffer
	code = cli.Run(ctx, m.spec(), strings.Fields(args), strings.NewReader(""), &out, &err)
	return code, out.String(), err.String()
}

// The routers of these tests. The first is that of the classic sample.
func ios() *asktest.Router {
	return &asktest.Router{Version: dvmrp.Version{Major: 12, Minor: 2}, Interfaces: []dvmrp.Interface{
		iface("192.168.7.254", 1, 0, dvmrp.FlagPIM|dvmrp.FlagQuerier, "0.0.0.0"),
		iface("192.168.14.254", 1, 0, dvmrp.FlagPIM|dvmrp.FlagQuerier, "0.0.0.0"),
		iface("192.168.14.254", 1, 0, dvmrp.FlagTunnel, "192.168.1.254"),
	}}
}

const iosText = `192.168.14.254 (192.168.14.254) [version 12.2]:
  192.168.7.254 -> 0.0.0.0 (local) [1/0/pim/querier]
  192.168.14.254 -> 0.0.0.0 (local) [1/0/pim/querier]
  192.168.14.254 -> 192.168.1.254 (192.168.1.254) [1/0/tunnel]
`

func castor() *asktest.Router {
	return &asktest.Router{Interfaces: []dvmrp.Interface{
		iface("192.168.2.7", 1, 1, dvmrp.FlagQuerier, "192.168.2.254"),
		iface("192.168.7.7", 1, 1, dvmrp.FlagQuerier, "0.0.0.0"),
	}}
}

const castorText = `192.168.2.7 (192.168.2.7) [DVMRPv3 compliant]:
  192.168.2.7 -> 192.168.2.254 (192.168.2.254) [1/1/querier]
  192.168.7.7 -> 0.0.0.0 (local) [1/1/querier]
`

// TestText asks in a network in memory and compares all that is printed.
func TestText(t *testing.T) {
	tests := []struct {
		name, args     string
		make           func(*world)
		code           int
		stdout, stderr string
	}{
		{"one router", "-n 192.168.14.254", func(w *world) { w.add(ios()) }, 0, iosText, ""},
		{"this host", "-n", func(w *world) { w.add(castor(), "127.0.0.1") }, 0,
			strings.Replace(castorText, "192.168.2.7 (192.168.2.7)", "127.0.0.1 (127.0.0.1)", 1), ""},
		{"in the order asked", "-n 192.168.2.7 192.168.14.254", func(w *world) {
			w.add(ios())
			slow := castor()
			w.Handle(func(d ask.Datagram) []asktest.Answer {
				a := slow.Answer(d)
				a[0].After = 200 * time.Millisecond
				return a
			}, addr("192.168.2.7"))
		}, 0, castorText + iosText, ""},
		{"names", "192.168.2.7", func(w *world) {
			w.add(castor())
			w.names[addr("192.168.2.7")] = "castor.nerdzone.org"
		}, 0, `192.168.2.7 (castor.nerdzone.org) [DVMRPv3 compliant]:
  192.168.2.7 -> 192.168.2.254 (N/A) [1/1/querier]
  192.168.7.7 -> 0.0.0.0 (local) [1/1/querier]
`, ""},
		{"slow names", "--dns-timeout 0.1 192.168.2.7", func(w *world) {
			w.add(castor())
			w.names[addr("192.168.2.7")] = "castor.nerdzone.org"
			w.delay = time.Hour
		}, 0, strings.NewReplacer("(192.168.2.7)", "(N/A)", "(192.168.2.254)", "(N/A)").Replace(castorText), ""},
		{"a name with several addresses", "-n castor", func(w *world) {
			w.add(castor())
			w.addrs["castor"] = []netip.Addr{addr("192.168.99.1"), addr("192.168.2.7")}
		}, 0, castorText, ""},
		{"another address answers", "-n 192.168.7.7", func(w *world) {
			r := castor()
			r.From = addr("192.168.2.7")
			w.add(r)
		}, 0, castorText, "mrinfo: got reply from 192.168.2.7 instead of 192.168.7.7\n"},
		{"the old form only", "-n 192.168.2.7", func(w *world) {
			r := castor()
			r.OldOnly = true
			w.add(r)
		}, 0, `192.168.2.7 (192.168.2.7):
  192.168.2.7 -> 192.168.2.254 (192.168.2.254) [1/1]
`, ""},
		{"a group", "-n 224.0.0.1", func(w *world) {
			answers := []*asktest.Router{castor(), ios()}
			w.Handle(func(d ask.Datagram) []asktest.Answer {
				return slices.Concat(answers[1].Answer(d), answers[0].Answer(d))
			}, addr("224.0.0.1"))
		}, 0, castorText + strings.Replace(iosText, "192.168.14.254 (192.168.14.254)", "192.168.7.254 (192.168.7.254)", 1), ""},
		{"a group without routers", "-n -t 1 -r 0 224.0.0.1", func(*world) {}, 1, "",
			"mrinfo: 224.0.0.1: no answer; no multicast router on this link; --interface chooses another\n"},
		{"a bad checksum", "-n 192.168.2.7", func(w *world) {
			r := castor()
			r.Damage = func(b []byte) { b[9] = 12 }
			w.add(r)
		}, 0, strings.Replace(castorText, "  192.168.2.7 ->", "  192.12.2.7 ->", 1),
			"mrinfo: 192.168.2.7: bad checksum: the answer may be damaged, as those of Debian's pimd are\n"},
		{"a contradiction", "-n 192.168.2.7", func(w *world) {
			r, forged := castor(), ios()
			forged.From = addr("192.168.2.7")
			w.Handle(func(d ask.Datagram) []asktest.Answer {
				return append(r.Answer(d), forged.Answer(d)...)
			}, addr("192.168.2.7"))
		}, 0, castorText, "mrinfo: 192.168.2.7: contradicted by 1 other answer: some are forged or damaged; --json shows all\n"},
		{"silence", "-n -t 2 -r 1 192.168.2.9", func(*world) {}, 1, "",
			"mrinfo: 192.168.2.9: no answer to 2 tries in 4s; no multicast router there, or its answer is lost on the way: to a filter, or an mrouted that takes packets with Router Alert\n"},
		{"one of two is silent", "-n -t 1 -r 0 192.168.2.9 192.168.2.7", func(w *world) { w.add(castor()) }, 1, castorText,
			"mrinfo: 192.168.2.9: no answer to 1 try in 1s; no multicast router there, or its answer is lost on the way: to a filter, or an mrouted that takes packets with Router Alert\n"},
		{"unknown name", "-n nobody", func(*world) {}, 3, "",
			"mrinfo: nobody: unknown name; check the name, or give the address\n"},
		{"unknown name and a router", "-n nobody 192.168.2.7", func(w *world) { w.add(castor()) }, 1, castorText,
			"mrinfo: nobody: unknown name; check the name, or give the address\n"},
		{"no permission", "-n 192.168.2.7", func(w *world) {
			w.openErr = &ask.OpError{Op: "open", Object: "raw IGMP socket", Err: fs.ErrPermission, Fix: "run as root"}
		}, 3, "", "mrinfo: open raw IGMP socket: permission denied; run as root\n"},
		{"no such interface", "-n --interface nope0 192.168.2.7", func(*world) {}, 3, "",
			"mrinfo: --interface nope0: no such interface; ip link shows them\n"},
		{"an address of another family", "-n ::1", func(*world) {}, 3, "", "mrinfo: ask ::1: not an IPv4 address\n"},
		{"deadline", "-n --deadline 0.3 192.168.2.9 192.168.2.7", func(w *world) { w.add(castor()) }, 1, castorText,
			"mrinfo: the time of --deadline is over: 1 of 2 answered\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(asktest.Options{Delay: time.Millisecond})
				tt.make(w)
				tt.stderr = strings.ReplaceAll(tt.stderr, "permission denied", fs.ErrPermission.Error())
				code, stdout, stderr := w.run(t.Context(), tt.args)
				if code != tt.code || stdout != tt.stdout || stderr != tt.stderr {
					t.Errorf("got  %d\n%s%s\nwant %d\n%s%s", code, stdout, stderr, tt.code, tt.stdout, tt.stderr)
				}
			})
		})
	}
}

// An answer that is longer than a packet is shown whole.
func TestLongAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(asktest.Options{Delay: time.Millisecond})
		r := &asktest.Router{Interfaces: []dvmrp.Interface{iface("10.0.0.1", 1, 1, dvmrp.FlagQuerier)}}
		want := "10.0.0.1 (10.0.0.1) [DVMRPv3 compliant]:\n"
		for i := range 198 {
			n := fmt.Sprintf("10.0.0.%d", 2+i)
			r.Interfaces[0].Neighbors = append(r.Interfaces[0].Neighbors, addr(n))
			want += fmt.Sprintf("  10.0.0.1 -> %s (%s) [1/1/querier]\n", n, n)
		}
		w.add(r)
		if code, stdout, stderr := w.run(t.Context(), "-n 10.0.0.1"); code != 0 || stdout != want || stderr != "" {
			t.Errorf("got %d, %d lines\n%s", code, strings.Count(stdout, "\n"), stderr)
		}
	})
}

// A run that is interrupted ends at once, with what it has.
func TestInterrupted(t *testing.T) {
	for _, format := range []string{"text", "json"} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(asktest.Options{Delay: time.Millisecond})
			w.add(castor())
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(300*time.Millisecond, cancel)
			began := time.Now()
			code, stdout, stderr := w.run(ctx, "-n -t 60 -o "+format+" 192.168.2.7 192.168.2.9")
			if took := time.Since(began); took > 310*time.Millisecond {
				t.Errorf("went on for %v", took)
			}
			if code != 1 || stderr != "mrinfo: interrupted: 1 of 2 answered\n" {
				t.Errorf("got %d %q", code, stderr)
			}
			if format == "text" {
				if stdout != castorText {
					t.Errorf("got %q", stdout)
				}
				return
			}
			d, err := schematest.One[report.Routers]([]byte(stdout))
			if err != nil {
				t.Fatal(err)
			}
			if len(d.Routers) != 2 || !d.Routers[0].Answered || d.Routers[1].Answered || d.Complete || d.Reason == "" {
				t.Errorf("got %+v", d)
			}
		})
	}
}

// The document has every fact, and null for what is not known.
func TestJSON(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(asktest.Options{Delay: 5 * time.Millisecond})
		w.add(ios())
		w.addrs["scar"] = []netip.Addr{addr("192.168.14.254")}
		w.names[addr("192.168.1.254")] = "ganymed"
		code, stdout, stderr := w.run(t.Context(), "--json scar 192.168.2.9 -t1 -r0")
		if code != 1 || strings.Count(stderr, "\n") != 1 {
			t.Errorf("got %d %q", code, stderr)
		}
		want := `{
  "schema": "mbone/mrinfo",
  "version": 1,
  "complete": false,
  "reason": "192.168.2.9: no answer to 1 try in 1s; no multicast router there, or its answer is lost on the way: to a filter, or an mrouted that takes packets with Router Alert",
  "errors": [
    "192.168.2.9: no answer to 1 try in 1s; no multicast router there, or its answer is lost on the way: to a filter, or an mrouted that takes packets with Router Alert"
  ],
  "time": "2000-01-01T00:00:00Z",
  "routers": [
    {
      "target": "scar",
      "asked": "192.168.14.254",
      "answered": true,
      "error": "",
      "address": "192.168.14.254",
      "name": null,
      "alias": false,
      "version": {
        "major": 12,
        "minor": 2,
        "text": "version 12.2",
        "capabilities": [],
        "level": 524
      },
      "old_form": false,
      "interfaces": [
        {
          "address": "192.168.7.254",
          "metric": 1,
          "threshold": 0,
          "flags": [
            "pim",
            "querier"
          ],
          "neighbors": []
        },
        {
          "address": "192.168.14.254",
          "metric": 1,
          "threshold": 0,
          "flags": [
            "pim",
            "querier"
          ],
          "neighbors": []
        },
        {
          "address": "192.168.14.254",
          "metric": 1,
          "threshold": 0,
          "flags": [
            "tunnel"
          ],
          "neighbors": [
            {
              "address": "192.168.1.254",
              "name": "ganymed"
            }
          ]
        }
      ],
      "rtt_ms": 10,
      "tries": 1,
      "packets": 1,
      "time": "2000-01-01T00:00:00.01Z",
      "bad_checksum": false,
      "uncertain": false,
      "conflicts": []
    },
    {
      "target": "192.168.2.9",
      "asked": "192.168.2.9",
      "answered": false,
      "error": "192.168.2.9: no answer to 1 try in 1s; no multicast router there, or its answer is lost on the way: to a filter, or an mrouted that takes packets with Router Alert",
      "address": null,
      "name": null,
      "alias": false,
      "version": null,
      "old_form": false,
      "interfaces": null,
      "rtt_ms": null,
      "tries": 1,
      "packets": 0,
      "time": null,
      "bad_checksum": false,
      "uncertain": false,
      "conflicts": []
    }
  ]
}
`
		if stdout != want {
			t.Errorf("got\n%s\nwant\n%s", stdout, want)
		}
	})
}

// -d tells of packets that were not taken, and how many.
func TestDebug(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(asktest.Options{})
		w.add(castor())
		stray := ios().Answer(ask.Datagram{To: addr("192.168.14.254"), Message: must(t, &dvmrp.Ask{Code: dvmrp.CodeAskNeighbors2})})
		w.Inject(stray[0])
		_, _, stderr := w.run(t.Context(), "-nd2 192.168.2.7")
		if !strings.Contains(stderr, "unasked=1") || !strings.Contains(stderr, "from=192.168.14.254") {
			t.Errorf("got %q", stderr)
		}
	})
}

func must(t *testing.T, m interface {
	AppendBinary([]byte) ([]byte, error)
}) []byte {
	t.Helper()
	b, err := m.AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
