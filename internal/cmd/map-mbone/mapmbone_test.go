package mapmbone

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

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

// world is a network in memory, and its resolver, which takes its time for
// addresses.
type world struct {
	*asktest.Network
	addrs   map[string][]netip.Addr
	names   map[netip.Addr]string
	delay   time.Duration
	openErr error
}

func newWorld() *world {
	return &world{
		Network: asktest.New(asktest.Options{Delay: time.Millisecond}),
		addrs:   make(map[string][]netip.Addr), names: make(map[netip.Addr]string),
	}
}

// Lookup implements names.Resolver.
func (w *world) Lookup(_ context.Context, host string) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a}, nil
	}
	if a, ok := w.addrs[host]; ok {
		return a, nil
	}
	return nil, errors.New("unknown name")
}

// Name implements names.Resolver.
func (w *world) Name(ctx context.Context, a netip.Addr) string {
	if w.delay == 0 {
		return w.names[a]
	}
	select {
	case <-time.After(w.delay):
		return w.names[a]
	case <-ctx.Done():
		return ""
	}
}

// add puts a router behind all of its addresses.
func (w *world) add(r *asktest.Router) { w.Handle(r.Answer, r.Addrs()...) }

// run runs map-mbone in the world.
func (w *world) run(ctx context.Context, args string) (code int, stdout, stderr string) {
	m := newCommand(
		func() (ask.Transport, error) {
			if w.openErr != nil {
				return nil, w.openErr
			}
			return w.Network, nil
		},
		func(*cli.Asking) (names.Resolver, error) { return w, nil })
	var out, err bytes.Buffer
	code = cli.Run(ctx, m.spec(), strings.Fields(args), strings.NewReader(""), &out, &err)
	return code, out.String(), err.String()
}

func iface(local string, flags dvmrp.InterfaceFlags, neighbors ...string) dvmrp.Interface {
	i := dvmrp.Interface{Local: addr(local), Metric: 1, Threshold: 1, Flags: flags}
	for _, n := range neighbors {
		i.Neighbors = append(i.Neighbors, addr(n))
	}
	return i
}

// The network of these tests: r1, r2 and r3 are on a LAN, r4 is behind r2 and
// says nothing.
func r1() *asktest.Router {
	return &asktest.Router{Interfaces: []dvmrp.Interface{
		iface("10.0.1.1", dvmrp.FlagQuerier, "0.0.0.0"), iface("10.0.2.1", dvmrp.FlagQuerier, "10.0.2.2", "10.0.2.3"),
	}}
}

func r2() *asktest.Router {
	return &asktest.Router{Interfaces: []dvmrp.Interface{
		iface("10.0.2.2", 0, "10.0.2.1", "10.0.2.3"), iface("10.0.3.2", 0, "10.0.3.3"),
	}}
}

func r3() *asktest.Router {
	return &asktest.Router{Interfaces: []dvmrp.Interface{iface("10.0.2.3", 0, "10.0.2.1", "10.0.2.2")}}
}

func newNetwork() *world {
	w := newWorld()
	for _, r := range []*asktest.Router{r1(), r2(), r3()} {
		w.add(r)
	}
	return w
}

// The classic text of these routers: interfaces and neighbours in the reverse
// order of the answer, 0.0.0.0 as the interface itself.
const (
	titleText = "\nMulticast Router Connectivity:\n\n"
	r1Text    = `10.0.1.1: <v3.255>
    10.0.2.1:  10.0.2.3 [1/1/querier]
               10.0.2.2 [1/1/querier]
    10.0.1.1:  10.0.1.1 [1/1/querier]

10.0.2.1: alias for 10.0.1.1

`
	r2Text = `10.0.2.2: <v3.255>
    10.0.3.2:  10.0.3.3 [1/1]
    10.0.2.2:  10.0.2.3 [1/1]
               10.0.2.1 [1/1]

`
	r3Text = `10.0.2.3: <v3.255>
    10.0.2.3:  10.0.2.2 [1/1]
               10.0.2.1 [1/1]

`
	r2Alias = "10.0.3.2: alias for 10.0.2.2\n\n"
	r4Text  = "10.0.3.3: no response to query\n\n"
	allText = titleText + r1Text + r2Text + r3Text + r2Alias + r4Text

	silence = "no multicast router there, or its answer is lost on the way: to a filter, or an mrouted that takes packets with Router Alert"
)

// TestText crawls a network in memory and compares all that is printed.
func TestText(t *testing.T) {
	group := func(w *world) {
		w.Handle(func(d ask.Datagram) []asktest.Answer {
			return slices.Concat(r1().Answer(d), func() []asktest.Answer {
				r := r3()
				r.From = addr("10.0.2.3")
				return r.Answer(d)
			}())
		}, addr("224.0.0.1"))
	}
	tests := []struct {
		name, args     string
		make           func(*world)
		code           int
		stdout, stderr string
	}{
		{"flood", "-n -f 10.0.1.1", func(*world) {}, 0, allText, ""},
		{"one router", "-n 10.0.1.1", func(*world) {}, 0, "\n" + r1Text, ""},
		{"no router: the link, and on", "-n", group, 0, allText, ""},
		{"a group without -f", "-n 224.0.0.1", group, 0, "\n" + r1Text + r3Text, ""},
		{"a group and -f", "-n -f 224.0.0.1", group, 0, allText, ""},
		{"several addresses of a name", "-n -f r1", func(w *world) {
			w.addrs["r1"] = []netip.Addr{addr("10.0.99.1"), addr("10.0.1.1")}
		}, 0, allText, ""},
		{"names", "10.0.1.1", func(w *world) {
			w.names[addr("10.0.1.1")] = "r1.example"
			w.names[addr("10.0.2.3")] = "r3.example"
		}, 0, `
10.0.1.1 (r1.example): <v3.255>
    10.0.2.1:  10.0.2.3 (r3.example) [1/1/querier]
               10.0.2.2 [1/1/querier]
    10.0.1.1:  10.0.1.1 (r1.example) [1/1/querier]

10.0.2.1: alias for 10.0.1.1

`, ""},
		{"nobody on the link", "-n -t 1 -r 0", func(*world) {}, 1, titleText,
			"map-mbone: 224.0.0.1: no answer; no multicast router on this link; --interface chooses another\n"},
		{"silent router", "-n -t 2 -r 1 10.0.3.3", func(*world) {}, 1, "\n",
			"map-mbone: 10.0.3.3: no answer to 2 tries in 4s; " + silence + "\n"},
		{"silent name", "-n -f -t 2 -r 0 r4", func(w *world) { w.addrs["r4"] = []netip.Addr{addr("10.0.3.3")} }, 1, titleText + r4Text,
			"map-mbone: r4 (10.0.3.3): no answer to 1 try in 2s; " + silence + "\n"},
		{"unknown name", "-n nobody", func(*world) {}, 3, "", "map-mbone: nobody: unknown name; check the name, or give the address\n"},
		{"no permission", "-n", func(w *world) {
			w.openErr = &ask.OpError{Op: "open", Object: "raw IGMP socket", Err: fs.ErrPermission, Fix: "run as root"}
		}, 3, "", "map-mbone: open raw IGMP socket: " + fs.ErrPermission.Error() + "; run as root\n"},
		{"no such interface", "-n --interface nope0", func(*world) {}, 3, "",
			"map-mbone: --interface nope0: no such interface; ip link shows them\n"},
		{"an address of another family", "-n ::1", func(*world) {}, 3, "", "map-mbone: ask ::1: not an IPv4 address\n"},
		{"a bad checksum", "-n 10.0.2.3", func(w *world) {
			r := r3()
			r.Damage = func(b []byte) { b[2] ^= 1 } // the checksum itself
			w.add(r)
		}, 0, "\n" + r3Text, "map-mbone: 10.0.2.3: bad checksum: the answer may be damaged, as those of Debian's pimd are\n"},
		{"inconsistent metrics", "-n 10.0.2.3", func(w *world) {
			r := r3()
			other := iface("10.0.2.3", 0, "10.0.2.1")
			other.Metric = 3
			r.Interfaces = append(r.Interfaces, other)
			w.add(r)
		}, 0, "\n10.0.2.3: <v3.255>\n    10.0.2.3:  10.0.2.1 [3/1]\n               10.0.2.2 [1/1]\n               10.0.2.1 [1/1]\n\n",
			"map-mbone: inconsistent metric/threshold for neighbor 10.0.2.1 of 10.0.2.3\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newNetwork()
				tt.make(w)
				code, stdout, stderr := w.run(t.Context(), tt.args)
				if code != tt.code || stdout != tt.stdout || stderr != tt.stderr {
					t.Errorf("got  %d\n%s%s\nwant %d\n%s%s", code, stdout, stderr, tt.code, tt.stdout, tt.stderr)
				}
			})
		})
	}
}

// document reads the JSON of a run, which must be one document.
func document(t *testing.T, stdout string) *report.Map {
	t.Helper()
	d, err := schematest.One[report.Map]([]byte(stdout))
	if err != nil {
		t.Fatal(err)
	}
	return &d
}

// states are the routers of a map with what became of them.
func states(d *report.Map) map[string]report.RouterState {
	found := make(map[string]report.RouterState)
	for _, r := range d.Routers {
		found[r.Address.String()] = r.State
	}
	return found
}

// --within and --depth imply -f and say how far it goes.
func TestBounds(t *testing.T) {
	answered, silent, not := report.RouterAnswered, report.RouterSilent, report.RouterNotAsked
	tests := []struct {
		args string
		want map[string]report.RouterState
	}{
		{"-f", map[string]report.RouterState{"10.0.1.1": answered, "10.0.2.2": answered, "10.0.2.3": answered, "10.0.3.3": silent}},
		{"--depth 0", map[string]report.RouterState{"10.0.1.1": answered, "10.0.2.2": not, "10.0.2.3": not}},
		{"--depth 1", map[string]report.RouterState{"10.0.1.1": answered, "10.0.2.2": answered, "10.0.2.3": answered, "10.0.3.3": not}},
		{"--depth 7", map[string]report.RouterState{"10.0.1.1": answered, "10.0.2.2": answered, "10.0.2.3": answered, "10.0.3.3": silent}},
		{"--within 10.0.2.0/24", map[string]report.RouterState{"10.0.1.1": answered, "10.0.2.2": answered, "10.0.2.3": answered, "10.0.3.3": not}},
		{"--within 10.0.2.3 --within 10.0.2.2/32", map[string]report.RouterState{"10.0.1.1": answered, "10.0.2.2": answered, "10.0.2.3": answered, "10.0.3.3": not}},
		{"--within 10.0.2.3", map[string]report.RouterState{"10.0.1.1": answered, "10.0.2.2": not, "10.0.2.3": answered}},
		{"--within 192.0.2.0/24", map[string]report.RouterState{"10.0.1.1": answered, "10.0.2.2": not, "10.0.2.3": not}},
	}
	for _, tt := range tests {
		t.Run(tt.args, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				code, stdout, stderr := newNetwork().run(t.Context(), "-n --json 10.0.1.1 "+tt.args)
				if code != 0 || stderr != "" {
					t.Errorf("got %d %q", code, stderr)
				}
				d := document(t, stdout)
				if got := states(d); fmt.Sprint(got) != fmt.Sprint(tt.want) {
					t.Errorf("got %v, want %v", got, tt.want)
				}
				if !d.Complete || !d.Flood {
					t.Errorf("complete %v, flood %v", d.Complete, d.Flood)
				}
			})
		})
	}
}

// A run that is ended early prints at once what is known.
func TestEndedEarly(t *testing.T) {
	for _, tt := range []struct{ args, why string }{
		{"", "interrupted"},
		{"--deadline 0.3", "the time of --deadline is over"},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newNetwork()
			w.delay = time.Hour // names do not hold it up
			ctx, cancel := context.WithCancel(t.Context())
			if tt.args == "" {
				time.AfterFunc(300*time.Millisecond, cancel)
			}
			defer cancel()
			began := time.Now()
			code, stdout, stderr := w.run(ctx, "--json -f -t 60 10.0.1.1 "+tt.args)
			if took := time.Since(began); took > 310*time.Millisecond {
				t.Errorf("went on for %v", took)
			}
			reason := tt.why + ": 3 answered, 0 silent, 1 not asked"
			d := document(t, stdout)
			if code != 1 || d.Complete || d.Reason != reason || stderr != "map-mbone: "+reason+"\n" || !slices.Equal(d.Errors, []string{reason}) {
				t.Errorf("got %d %q %q %q, want %q", code, stderr, d.Reason, d.Errors, reason)
			}
			if n := len(d.Routers); n != 4 {
				t.Errorf("%d routers", n)
			}
		})
	}
}

// A run that is ended before the first router has answered says so in its text
// and its document.
func TestEndedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		code, stdout, stderr := newNetwork().run(t.Context(), "--json -n -t 60 --deadline 1 10.0.3.3")
		d := document(t, stdout)
		if code != 1 || d.Complete || !strings.HasPrefix(d.Reason, "the time of --deadline is over") || stderr != "map-mbone: "+d.Reason+"\n" {
			t.Errorf("got %d %q %q", code, stderr, d.Reason)
		}
		if r := d.Routers; len(r) != 1 || r[0].State != report.RouterNotAsked || r[0].Reason != "the crawl was ended before it answered" {
			t.Errorf("got %+v", r)
		}
		if took := d.Took.Duration(); took != time.Second {
			t.Errorf("took %v with the question to the first router", took)
		}
	})
}

// Names that nobody tells do not hold a map up, and the run says so.
func TestSlowNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newNetwork()
		w.delay = time.Hour
		began := time.Now()
		code, stdout, stderr := w.run(t.Context(), "--dns-timeout 0.2 10.0.1.1")
		if took := time.Since(began); took > 1100*time.Millisecond {
			t.Errorf("took %v", took)
		}
		want := "map-mbone: the names of 4 of 4 addresses could not be found out: it takes too long; --dns-timeout gives them more time, -n looks none up\n"
		if code != 0 || stdout != "\n"+r1Text || stderr != want {
			t.Errorf("got %d\n%s%s", code, stdout, stderr)
		}
	})
}

// A run that is ended while names are looked up has its map, and says what it
// lacks.
func TestEndedNaming(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newNetwork()
		w.delay = time.Hour
		began := time.Now()
		code, stdout, stderr := w.run(t.Context(), "--deadline 0.5 10.0.1.1")
		if took := time.Since(began); took > 510*time.Millisecond {
			t.Errorf("took %v", took)
		}
		want := "map-mbone: the names of 4 of 4 addresses could not be found out: the time of --deadline is over\n"
		if code != 0 || stdout != "\n"+r1Text || stderr != want {
			t.Errorf("got %d\n%s%s", code, stdout, stderr)
		}
	})
}

// Many warnings of one kind do not fill the screen.
func TestWarningsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		hub := &asktest.Router{Interfaces: []dvmrp.Interface{iface("10.0.0.1", 0)}}
		for i := range 50 {
			a := fmt.Sprintf("10.0.0.%d", 2+i)
			hub.Interfaces[0].Neighbors = append(hub.Interfaces[0].Neighbors, addr(a))
			w.add(&asktest.Router{Interfaces: []dvmrp.Interface{iface(a, 0, "10.0.0.1")}, Damage: func(b []byte) { b[2] ^= 1 }})
		}
		w.add(hub)
		_, _, stderr := w.run(t.Context(), "-nf 10.0.0.1")
		if n := strings.Count(stderr, "bad checksum"); n != maxWarnings {
			t.Errorf("%d warnings, want %d", n, maxWarnings)
		}
		if want := "map-mbone: and 30 more lines like these; --json tells it of every router\n"; !strings.HasSuffix(stderr, want) {
			t.Errorf("got %q", stderr)
		}
	})
}

// Two routers that call an address their own, and one that answers there.
func TestDisputed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newNetwork()
		liar := &asktest.Router{Interfaces: []dvmrp.Interface{
			iface("10.0.1.1", 0, "0.0.0.0"), iface("10.0.2.1", 0, "10.0.2.2", "10.0.2.3"), iface("10.0.2.3", 0),
		}}
		w.Handle(liar.Answer, addr("10.0.1.1"), addr("10.0.2.1"))
		code, _, stderr := w.run(t.Context(), "-nf 10.0.1.1")
		want := "map-mbone: 10.0.1.1: calls 10.0.2.3 its own, which is another router's or cannot be confirmed\n"
		if code != 0 || stderr != want {
			t.Errorf("got %d %q, want %q", code, stderr, want)
		}
	})
}

// -d shows packets, --max-pps and --max-in-flight are kept to.
func TestPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newNetwork()
		began := time.Now()
		_, _, stderr := w.run(t.Context(), "-nfd3 -r 0 -t 1 --max-pps 1 --max-in-flight 1 10.0.1.1")
		sent := w.Sent()
		for i := 1; i < len(sent); i++ {
			if between := sent[i].Time.Sub(sent[i-1].Time); between < 990*time.Millisecond {
				t.Errorf("%v between two packets", between)
			}
		}
		if n := len(sent); n < 4 || time.Since(began) < time.Duration(n-1)*990*time.Millisecond {
			t.Errorf("%d packets in %v", n, time.Since(began))
		}
		for _, want := range []string{"sending packet", "packet received", "msg=packets sent="} {
			if !strings.Contains(stderr, want) {
				t.Errorf("-d 3: no %q in %s", want, stderr)
			}
		}
	})
}
