package ask_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"mbone/internal/ask"
	"mbone/internal/ask/asktest"
	"mbone/proto/dvmrp"
	"mbone/proto/igmp"
)

var ip = netip.MustParseAddr

var compareAddr = cmp.Comparer(func(a, b netip.Addr) bool { return a == b })

// iface makes a record: local address, metric and threshold 1, flags, neighbours.
func iface(local string, flags dvmrp.InterfaceFlags, neighbors ...string) dvmrp.Interface {
	i := dvmrp.Interface{Local: ip(local), Metric: 1, Threshold: 1, Flags: flags}
	for _, n := range neighbors {
		i.Neighbors = append(i.Neighbors, ip(n))
	}
	return i
}

// castor is a router with two interfaces.
var castor = []dvmrp.Interface{
	iface("192.168.2.7", dvmrp.FlagQuerier, "192.168.2.254"),
	iface("192.168.7.7", 0, "192.168.7.254"),
}

// wide returns a router with so many interfaces or neighbours that its answer
// comes in several packets.
func wide(interfaces, neighbors int) []dvmrp.Interface {
	var all []dvmrp.Interface
	for i := range interfaces {
		record := iface(fmt.Sprintf("10.1.%d.1", i), 0)
		for n := range neighbors {
			record.Neighbors = append(record.Neighbors, netip.AddrFrom4([4]byte{10, 1, byte(i), byte(n + 2)}))
		}
		all = append(all, record)
	}
	return all
}

// run tests on a client over a network, in time of their own.
func run(t *testing.T, o asktest.Options, options ask.Options, f func(t *testing.T, n *asktest.Network, c *ask.Client)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		n := asktest.New(o)
		c := ask.New(n, options)
		defer c.Close()
		f(t, n, c)
	})
}

// one returns the answer of the one router asked.
func one(t *testing.T, c *ask.Client, q ask.NeighborsQuestion) ask.NeighborsAnswer {
	t.Helper()
	all, err := c.Neighbors(context.Background(), q)
	if err != nil {
		t.Fatal(err)
	}
	if len(all) != 1 {
		t.Fatalf("%d answers, want 1", len(all))
	}
	return all[0]
}

// sends lists what was sent: code and milliseconds since start.
func sends(n *asktest.Network, start time.Time) string {
	var all []string
	for _, s := range n.Sent() {
		all = append(all, fmt.Sprintf("%d@%d", s.Message[1], s.Time.Sub(start).Milliseconds()))
	}
	return strings.Join(all, " ")
}

func message(t *testing.T, code dvmrp.Code, version dvmrp.Version, interfaces ...dvmrp.Interface) []byte {
	t.Helper()
	b, err := (&dvmrp.Neighbors{Code: code, Version: version, Interfaces: interfaces}).AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

const ms = time.Millisecond

func TestNeighborsAnswers(t *testing.T) {
	router := ip("192.168.7.7")
	// As pimd 2.3.2 does: its query interval over byte 9, after the checksum.
	pimd := func(b []byte) { b[9] = 12 }
	damaged := []dvmrp.Interface{iface("192.12.2.7", dvmrp.FlagQuerier, "192.168.2.254"), castor[1]}
	plain := []dvmrp.Interface{iface("192.168.2.7", 0, "192.168.2.254"), castor[1]}
	ios102 := dvmrp.Version{Major: 10, Minor: 2}
	tests := []struct {
		name   string
		router asktest.Router
		want   ask.NeighborsAnswer
		sends  string
		took   time.Duration
	}{
		{
			name:   "good",
			router: asktest.Router{Interfaces: castor},
			want:   ask.NeighborsAnswer{From: router, Version: dvmrp.Mrouted, Interfaces: castor, Tries: 1, Packets: 1},
			sends:  "5@0",
			took:   20*ms + 50*ms, // the round trip, and the time for a contradiction
		},
		{
			name:   "alias",
			router: asktest.Router{Interfaces: castor, From: ip("192.168.2.7")},
			want:   ask.NeighborsAnswer{From: ip("192.168.2.7"), Version: dvmrp.Mrouted, Interfaces: castor, Tries: 1, Packets: 1},
			sends:  "5@0",
			took:   70 * ms,
		},
		{
			name:   "no Neighbors2",
			router: asktest.Router{Interfaces: castor, OldOnly: true},
			want:   ask.NeighborsAnswer{From: router, Old: true, Interfaces: plain, Tries: 3, Packets: 1},
			sends:  "5@0 5@250 3@750 5@750",
			took:   750*ms + 70*ms,
		},
		{
			name:   "damaged by the sender, twice alike",
			router: asktest.Router{Interfaces: castor, Damage: pimd},
			want:   ask.NeighborsAnswer{From: router, Version: dvmrp.Mrouted, Interfaces: damaged, Tries: 1, Packets: 1, BadChecksum: true},
			sends:  "5@0 5@250",
			took:   750 * ms,
		},
		{
			name:   "does not list the address asked: asked again",
			router: asktest.Router{Interfaces: castor[:1]},
			want:   ask.NeighborsAnswer{From: router, Version: dvmrp.Mrouted, Interfaces: castor[:1], Tries: 1, Packets: 1},
			sends:  "5@0 5@70",
			took:   70*ms + 20*ms + 50*ms,
		},
		{
			name:   "no interfaces",
			router: asktest.Router{Interfaces: nil, Version: ios102},
			sends:  "5@0 5@250 3@750 5@750 3@1750 5@1750 3@2750 5@2750",
			took:   3750 * ms,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			run(t, asktest.Options{Delay: 10 * ms}, ask.Options{}, func(t *testing.T, n *asktest.Network, c *ask.Client) {
				n.Handle(test.router.Answer, router)
				start := time.Now()
				all, err := c.Neighbors(context.Background(), ask.NeighborsQuestion{Router: router})
				if took := time.Since(start); took != test.took {
					t.Errorf("took %v, want %v", took, test.took)
				}
				if got := sends(n, start); got != test.sends {
					t.Errorf("sent %s, want %s", got, test.sends)
				}
				if test.router.Interfaces == nil {
					if !errors.Is(err, ask.ErrNoAnswer) || len(all) != 0 {
						t.Errorf("got %v, %v, want no answer", all, err)
					}
					return
				}
				if err != nil || len(all) != 1 {
					t.Fatalf("got %v, %v, want one answer", all, err)
				}
				test.want.Asked, test.want.RTT = router, 20*ms
				all[0].Time = time.Time{}
				if diff := cmp.Diff(test.want, all[0], compareAddr); diff != "" {
					t.Error(diff)
				}
			})
		})
	}
}

// A router with neighbours whose answers to code 5 get lost says with code 4
// that it wants code 5.
func TestNeighborsAskedAnew(t *testing.T) {
	router := asktest.Router{Interfaces: castor}
	run(t, asktest.Options{Delay: 10 * ms}, ask.Options{}, func(t *testing.T, n *asktest.Network, c *ask.Client) {
		lost := 3
		n.Handle(func(d ask.Datagram) []asktest.Answer {
			if dvmrp.Code(d.Message[1]) == dvmrp.CodeAskNeighbors2 {
				if lost--; lost >= 0 {
					return nil
				}
			}
			return router.Answer(d)
		}, ip("192.168.7.7"))
		start := time.Now()
		answer := one(t, c, ask.NeighborsQuestion{Router: ip("192.168.7.7")})
		if got, want := sends(n, start), "5@0 5@250 3@750 5@750 5@820"; got != want {
			t.Errorf("sent %s, want %s", got, want)
		}
		if answer.Old || answer.Tries != 4 {
			t.Errorf("old %v, tries %d, want a new answer to the fourth", answer.Old, answer.Tries)
		}
	})
}

func TestNeighborsSchedule(t *testing.T) {
	silent, far := ip("10.0.0.9"), ip("10.0.0.8")
	router := asktest.Router{Interfaces: []dvmrp.Interface{iface("10.0.0.8", 0, "0.0.0.0")}}
	tests := []struct {
		name  string
		delay time.Duration // of a router measured before; 0: none
		q     ask.NeighborsQuestion
		sends string
		ended time.Duration
	}{
		{"nothing measured", 0, ask.NeighborsQuestion{}, "5@0 5@250 3@750 5@750 3@1750 5@1750 3@2750 5@2750", 3750 * ms},
		// RFC 6298: 20 + 4 * 20/2 = 60 ms.
		{"20 ms measured", 10 * ms, ask.NeighborsQuestion{}, "5@0 5@60 3@180 5@180 3@420 5@420 3@900 5@900", 1860 * ms},
		{"1 ms measured", ms / 2, ask.NeighborsQuestion{}, "5@0 5@50 3@150 5@150 3@350 5@350 3@750 5@750", 1550 * ms},
		{"explicit wait", 10 * ms, ask.NeighborsQuestion{Wait: 4 * time.Second, Tries: 3}, "5@0 5@4000 3@8000 5@8000", 12 * time.Second},
		{"one try", 0, ask.NeighborsQuestion{Tries: 1}, "5@0", 250 * ms},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			run(t, asktest.Options{Delay: test.delay}, ask.Options{}, func(t *testing.T, n *asktest.Network, c *ask.Client) {
				if test.delay > 0 {
					n.Handle(router.Answer, far)
					one(t, c, ask.NeighborsQuestion{Router: far})
				}
				before, start := len(n.Sent()), time.Now()
				test.q.Router = silent
				_, err := c.Neighbors(context.Background(), test.q)
				if !errors.Is(err, ask.ErrNoAnswer) {
					t.Errorf("error %v, want no answer", err)
				}
				if took := time.Since(start); took != test.ended {
					t.Errorf("gave up after %v, want %v", took, test.ended)
				}
				if got := strings.Join(strings.Fields(sends(n, start))[before:], " "); got != test.sends {
					t.Errorf("sent %s, want %s", got, test.sends)
				}
			})
		})
	}
}

func TestNoAnswerText(t *testing.T) {
	run(t, asktest.Options{}, ask.Options{}, func(t *testing.T, _ *asktest.Network, c *ask.Client) {
		_, err := c.Neighbors(context.Background(), ask.NeighborsQuestion{Router: ip("10.0.0.9")})
		if want := "ask 10.0.0.9: no answer to 5 tries in 3.75s"; err == nil || err.Error() != want {
			t.Errorf("got %q, want %q", err, want)
		}
		_, err = c.Neighbors(context.Background(), ask.NeighborsQuestion{Router: ip("::1")})
		if want := "ask ::1: not an IPv4 address"; err == nil || err.Error() != want {
			t.Errorf("got %q, want %q", err, want)
		}
	})
}

func TestNeighborsSplit(t *testing.T) {
	tests := []struct {
		name                  string
		interfaces, neighbors int
		packets               int
	}{
		// 508 bytes of data hold 42 records of 12 bytes, and one of 8 + 125*4.
		{"many interfaces", 100, 1, 3},
		{"many neighbours: one record cut", 1, 198, 2},
		{"both", 3, 150, 4},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			run(t, asktest.Options{Delay: 10 * ms}, ask.Options{}, func(t *testing.T, n *asktest.Network, c *ask.Client) {
				router := asktest.Router{Interfaces: wide(test.interfaces, test.neighbors)}
				n.Handle(router.Answer, ip("10.1.0.1"))
				answer := one(t, c, ask.NeighborsQuestion{Router: ip("10.1.0.1")})
				if answer.Packets != test.packets || answer.Uncertain || len(answer.Conflicts) > 0 {
					t.Errorf("%d packets, uncertain %v, %d conflicts, want %d, false, 0",
						answer.Packets, answer.Uncertain, len(answer.Conflicts), test.packets)
				}
				if diff := cmp.Diff(router.Interfaces, answer.Interfaces, compareAddr); diff != "" {
					t.Error(diff)
				}
				if sent := len(n.Sent()); sent != 2 { // once more, to see that nothing was lost
					t.Errorf("%d questions, want 2", sent)
				}
			})
		})
	}
}

// The address asked is in one packet only of a long answer from another address.
func TestNeighborsSplitAlias(t *testing.T) {
	for _, asked := range []string{"10.1.1.1", "10.1.50.1", "10.1.99.1"} {
		run(t, asktest.Options{Delay: 10 * ms}, ask.Options{}, func(t *testing.T, n *asktest.Network, c *ask.Client) {
			router := asktest.Router{Interfaces: wide(100, 1), From: ip("10.1.0.1")}
			n.Handle(router.Answer, ip(asked))
			answer := one(t, c, ask.NeighborsQuestion{Router: ip(asked), Linger: -1})
			if answer.From != router.From || answer.Packets != 3 || answer.Uncertain || len(answer.Conflicts) > 0 {
				t.Errorf("%s: from %s, %d packets, uncertain %v, %d conflicts, want %s, 3, false, 0",
					asked, answer.From, answer.Packets, answer.Uncertain, len(answer.Conflicts), router.From)
			}
			if diff := cmp.Diff(router.Interfaces, answer.Interfaces, compareAddr); diff != "" {
				t.Errorf("%s: %s", asked, diff)
			}
		})
	}
}

// That holds, too, if several of its addresses are asked at once.
func TestNeighborsSplitAliasTogether(t *testing.T) {
	run(t, asktest.Options{Delay: 10 * ms}, ask.Options{}, func(t *testing.T, n *asktest.Network, c *ask.Client) {
		router := asktest.Router{Interfaces: wide(100, 1), From: ip("10.1.0.1")}
		var running sync.WaitGroup
		for _, asked := range []string{"10.1.1.1", "10.1.50.1", "10.1.99.1"} {
			n.Handle(router.Answer, ip(asked))
			running.Go(func() {
				all, err := c.Neighbors(context.Background(), ask.NeighborsQuestion{Router: ip(asked), Linger: -1})
				if err != nil || len(all) != 1 || len(all[0].Interfaces) != len(router.Interfaces) || all[0].Uncertain {
					t.Errorf("%s: got %d interfaces, want %d, %v", asked, len(all[0].Interfaces), len(router.Interfaces), err)
				}
			})
		}
		running.Wait()
	})
}

// An answer that fills its last packet cannot show that nothing follows.
func TestNeighborsLastPacketFull(t *testing.T) {
	run(t, asktest.Options{Delay: 10 * ms}, ask.Options{}, func(t *testing.T, n *asktest.Network, c *ask.Client) {
		router := asktest.Router{Interfaces: wide(42, 1)} // 504 bytes
		n.Handle(router.Answer, ip("10.1.0.1"))
		start := time.Now()
		answer := one(t, c, ask.NeighborsQuestion{Router: ip("10.1.0.1"), Wait: 4 * time.Second})
		if !answer.Uncertain || len(answer.Interfaces) != 42 {
			t.Errorf("uncertain %v with %d interfaces, want true with 42", answer.Uncertain, len(answer.Interfaces))
		}
		if sent, took := len(n.Sent()), time.Since(start); sent != 4 || took > time.Second {
			t.Errorf("%d questions in %v, want 4 in less than a second", sent, took)
		}
	})
}

// With one packet in ten lost each way, what is not called uncertain is whole and
// in order, but for those of which the same packet was lost twice: one in 100.
func TestNeighborsSplitLoss(t *testing.T) {
	router := asktest.Router{Interfaces: wide(100, 1)}
	const seeds = 200
	certain, wrong := 0, 0
	for seed := range uint64(seeds) {
		run(t, asktest.Options{Delay: 10 * ms, Loss: 0.1, Seed: seed}, ask.Options{}, func(t *testing.T, n *asktest.Network, c *ask.Client) {
			n.Handle(router.Answer, ip("10.1.0.1"))
			answer := one(t, c, ask.NeighborsQuestion{Router: ip("10.1.0.1"), Tries: 10})
			if len(answer.Conflicts) > 0 {
				t.Errorf("seed %d: %d conflicts", seed, len(answer.Conflicts))
			}
			if answer.Uncertain {
				return
			}
			certain++
			if !cmp.Equal(router.Interfaces, answer.Interfaces, compareAddr) {
				wrong++
			}
		})
	}
	if certain < seeds*8/10 || wrong > seeds/50 {
		t.Errorf("of %d answers %d are certain and %d of these are wrong, want at least 80 %% and at most 2 %%", seeds, certain, wrong)
	}
	t.Logf("of %d answers %d are certain, %d of these are wrong", seeds, certain, wrong)
}

func TestNeighborsConflict(t *testing.T) {
	router := ip("192.168.7.7")
	real := asktest.Router{Interfaces: castor}
	forged := []dvmrp.Interface{iface("192.168.7.7", 0, "10.9.9.9")}
	run(t, asktest.Options{Delay: 10 * ms}, ask.Options{}, func(t *testing.T, n *asktest.Network, c *ask.Client) {
		n.Handle(func(d ask.Datagram) []asktest.Answer {
			return append(real.Answer(d), asktest.Answer{
				From: router, After: 40 * ms, Message: message(t, dvmrp.CodeNeighbors2, dvmrp.Mrouted, forged...),
			})
		}, router)
		answer := one(t, c, ask.NeighborsQuestion{Router: router})
		if len(answer.Conflicts) != 1 {
			t.Fatalf("%d conflicts, want 1", len(answer.Conflicts))
		}
		if diff := cmp.Diff([][]dvmrp.Interface{castor, forged},
			[][]dvmrp.Interface{answer.Interfaces, answer.Conflicts[0].Interfaces}, compareAddr); diff != "" {
			t.Error(diff)
		}
		// Who would rather be fast does not wait for it.
		start := time.Now()
		answer = one(t, c, ask.NeighborsQuestion{Router: router, Linger: -1})
		if took := time.Since(start); took != 20*ms || len(answer.Conflicts) != 0 {
			t.Errorf("%d conflicts after %v, want none after 20ms", len(answer.Conflicts), took)
		}
	})
}

// A better answer wins if it comes in the time: good over damaged, the address
// asked over an alias.
func TestNeighborsBetter(t *testing.T) {
	router := ip("192.168.7.7")
	good := message(t, dvmrp.CodeNeighbors2, dvmrp.Mrouted, castor...)
	bad := message(t, dvmrp.CodeNeighbors2, dvmrp.Mrouted, iface("192.168.7.7", 0, "10.9.9.9"))
	bad[9] ^= 0xff
	alias := message(t, dvmrp.CodeNeighbors2, dvmrp.Mrouted, iface("192.168.7.7", 0, "10.9.9.9"), iface("10.6.6.6", 0, "10.9.9.9"))
	for name, worse := range map[string]asktest.Answer{
		"damaged": {From: router, Message: bad},
		"alias":   {From: ip("10.6.6.6"), Message: alias},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, asktest.Options{}, ask.Options{}, func(t *testing.T, n *asktest.Network, c *ask.Client) {
				n.Handle(func(ask.Datagram) []asktest.Answer {
					return []asktest.Answer{worse, {From: router, After: 45 * ms, Message: good}}
				}, router)
				answer := one(t, c, ask.NeighborsQuestion{Router: router})
				if answer.From != router || answer.BadChecksum || len(answer.Conflicts) > 0 {
					t.Errorf("from %v, bad checksum %v, %d conflicts", answer.From, answer.BadChecksum, len(answer.Conflicts))
				}
				if diff := cmp.Diff(castor, answer.Interfaces, compareAddr); diff != "" {
					t.Error(diff)
				}
			})
		})
	}
}

// A router that answers for itself and claims the address of another one, which
// is being asked, does not answer for that one.
func TestNeighborsClaimed(t *testing.T) {
	run(t, asktest.Options{Delay: ms}, ask.Options{}, func(t *testing.T, n *asktest.Network, c *ask.Client) {
		liar, victim := ip("10.6.6.6"), ip("192.168.7.7")
		claims := asktest.Router{Interfaces: []dvmrp.Interface{iface("10.6.6.6", 0, "10.9.9.9"), iface("192.168.7.7", 0, "10.9.9.9")}}
		n.Handle(claims.Answer, liar)
		good := asktest.Router{Interfaces: castor}
		n.Handle(func(d ask.Datagram) []asktest.Answer {
			all := good.Answer(d)
			for i := range all {
				all[i].After = 40 * ms // long after the liar's
			}
			return all
		}, victim)
		var running sync.WaitGroup
		for _, router := range []netip.Addr{victim, liar} {
			running.Go(func() {
				all, err := c.Neighbors(context.Background(), ask.NeighborsQuestion{Router: router, Linger: -1})
				if err != nil || len(all) != 1 || all[0].From != router {
					t.Errorf("%s: got %+v, %v", router, all, err)
				}
			})
		}
		running.Wait()
	})
}

// Nor does the answer to a second try, which comes when the first was answered,
// whether that question is over or waits for a contradiction.
func TestNeighborsLate(t *testing.T) {
	for _, linger := range []time.Duration{-1, time.Second} {
		run(t, asktest.Options{}, ask.Options{}, func(t *testing.T, n *asktest.Network, c *ask.Client) {
			liar, victim := ip("10.6.6.6"), ip("192.168.7.7")
			claims := asktest.Router{Interfaces: []dvmrp.Interface{iface("10.6.6.6", 0, "10.9.9.9"), iface("192.168.7.7", 0, "10.9.9.9")}}
			n.Handle(func(d ask.Datagram) []asktest.Answer {
				all := claims.Answer(d)
				for i := range all {
					all[i].After = 300 * ms // a try waits 250 ms at first
				}
				return all
			}, liar)
			var running sync.WaitGroup
			running.Go(func() {
				if all, err := c.Neighbors(context.Background(), ask.NeighborsQuestion{Router: victim}); !errors.Is(err, ask.ErrNoAnswer) {
					t.Errorf("somebody answers for a silent router: %+v, %v", all, err)
				}
			})
			all, err := c.Neighbors(context.Background(), ask.NeighborsQuestion{Router: liar, Linger: linger})
			if err != nil || len(all) != 1 || all[0].From != liar {
				t.Errorf("got %+v, %v", all, err)
			}
			running.Wait()
			if s := c.Stats(); s.Received != 2 || s.Answers != 1 {
				t.Errorf("%d packets, of which %d answer something, want 2 and 1", s.Received, s.Answers)
			}
		})
	}
}

// What claims to answer but does not list the address asked is not taken: a
// multicast router on the way may answer for another if the question carried
// Router Alert.
func TestNeighborsForeign(t *testing.T) {
	run(t, asktest.Options{}, ask.Options{}, func(t *testing.T, n *asktest.Network, c *ask.Client) {
		foreign := asktest.Router{Interfaces: castor, From: ip("192.168.2.7")}
		n.Handle(foreign.Answer, ip("10.5.5.5"))
		_, err := c.Neighbors(context.Background(), ask.NeighborsQuestion{Router: ip("10.5.5.5")})
		if !errors.Is(err, ask.ErrNoAnswer) {
			t.Errorf("error %v, want no answer", err)
		}
		if s := c.Stats(); s.Unasked != 8 || s.Answers != 0 || s.Received != 8 {
			t.Errorf("unasked %d, answers %d of %d, want 8, 0 of 8", s.Unasked, s.Answers, s.Received)
		}
	})
}

func TestNeighborsLink(t *testing.T) {
	all := ip("224.0.0.1")
	run(t, asktest.Options{Delay: ms}, ask.Options{}, func(t *testing.T, n *asktest.Network, c *ask.Client) {
		a := asktest.Router{Interfaces: []dvmrp.Interface{iface("10.0.0.3", 0, "0.0.0.0")}}
		b := asktest.Router{Interfaces: []dvmrp.Interface{iface("10.0.0.2", 0, "0.0.0.0")}}
		old := asktest.Router{Interfaces: []dvmrp.Interface{iface("10.0.0.4", 0, "10.0.0.2")}, OldOnly: true}
		bad := asktest.Router{Interfaces: []dvmrp.Interface{iface("10.0.0.5", 0, "0.0.0.0")}, Damage: func(b []byte) { b[9] = 1 }}
		n.Handle(func(d ask.Datagram) []asktest.Answer {
			var answers []asktest.Answer
			for _, r := range []asktest.Router{a, b, old, bad} {
				answers = append(answers, r.Answer(d)...)
			}
			// One of another link.
			other := asktest.Router{Interfaces: []dvmrp.Interface{iface("10.7.0.1", 0, "0.0.0.0")}}
			for _, o := range other.Answer(d) {
				o.IfIndex = 7
				answers = append(answers, o)
			}
			return answers
		}, all)
		start := time.Now()
		answers, err := c.Neighbors(context.Background(), ask.NeighborsQuestion{Router: all, Via: ask.Via{IfIndex: 1}})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, a := range answers {
			got = append(got, fmt.Sprintf("%v old=%v bad=%v", a.From, a.Old, a.BadChecksum))
		}
		want := []string{
			"10.0.0.2 old=false bad=false", "10.0.0.3 old=false bad=false",
			"10.0.0.4 old=true bad=false", "10.0.0.5 old=false bad=true",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		if got, want := sends(n, start), "5@0 5@1000 3@2000 5@2000"; got != want {
			t.Errorf("sent %s, want %s", got, want)
		}
		if took := time.Since(start); took != 3*time.Second {
			t.Errorf("took %v, want 3s", took)
		}
	})
}

func TestPace(t *testing.T) {
	run(t, asktest.Options{}, ask.Options{Rate: 100}, func(t *testing.T, n *asktest.Network, c *ask.Client) {
		const questions = 50
		start := time.Now()
		done := make(chan error, questions)
		for i := range questions {
			go func() {
				_, err := c.Neighbors(context.Background(), ask.NeighborsQuestion{
					Router: netip.AddrFrom4([4]byte{10, 0, 1, byte(i)}), Tries: 1,
				})
				done <- err
			}()
		}
		for range questions {
			if err := <-done; !errors.Is(err, ask.ErrNoAnswer) {
				t.Error(err)
			}
		}
		// 100 a second, of which 20 ms worth may leave at once: 2.
		for i, s := range n.Sent() {
			if want := time.Duration(max(0, i-1)) * 10 * ms; s.Time.Sub(start) != want {
				t.Errorf("packet %d left after %v, want %v", i, s.Time.Sub(start), want)
			}
		}
	})
}

func TestInFlight(t *testing.T) {
	run(t, asktest.Options{}, ask.Options{InFlight: 4}, func(t *testing.T, n *asktest.Network, c *ask.Client) {
		start := time.Now()
		done := make(chan struct{})
		for i := range 12 {
			go func() {
				defer func() { done <- struct{}{} }()
				c.Neighbors(context.Background(), ask.NeighborsQuestion{
					Router: netip.AddrFrom4([4]byte{10, 0, 1, byte(i)}), Tries: 1, Wait: time.Second,
				})
			}()
		}
		for range 12 {
			<-done
		}
		perSecond := map[time.Duration]int{}
		for _, s := range n.Sent() {
			perSecond[s.Time.Sub(start).Truncate(time.Second)]++
		}
		if diff := cmp.Diff(map[time.Duration]int{0: 4, time.Second: 4, 2 * time.Second: 4}, perSecond); diff != "" {
			t.Error(diff)
		}
	})
}

// jammed is a transport that sends nothing before it is closed.
type jammed struct {
	*asktest.Network
	closed chan struct{}
}

func (j *jammed) Send(ask.Datagram) (time.Time, error) { <-j.closed; return time.Time{}, net.ErrClosed }

func (j *jammed) Close() error { close(j.closed); return j.Network.Close() }

// A question ends in time though its packet cannot leave.
func TestCancelJammed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := ask.New(&jammed{asktest.New(asktest.Options{}), make(chan struct{})}, ask.Options{Deadline: time.Second})
		defer c.Close()
		start := time.Now()
		_, err := c.Neighbors(t.Context(), ask.NeighborsQuestion{Router: ip("192.168.7.7")})
		if got := time.Since(start); !errors.Is(err, ask.ErrNoAnswer) || got != time.Second {
			t.Errorf("%v after %v", err, got)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*ms)
		defer cancel()
		_, err = c.Trace(ctx, question(ask.TraceQuestion{}))
		if got := time.Since(start); !errors.Is(err, context.DeadlineExceeded) || got != time.Second+10*ms {
			t.Errorf("%v after %v", err, got)
		}
	})
}

func TestCancel(t *testing.T) {
	link := ip("224.0.0.1")
	router := asktest.Router{Interfaces: castor}
	t.Run("silence", func(t *testing.T) {
		run(t, asktest.Options{}, ask.Options{}, func(t *testing.T, _ *asktest.Network, c *ask.Client) {
			ctx, cancel := context.WithTimeout(context.Background(), 100*ms)
			defer cancel()
			start := time.Now()
			answers, err := c.Neighbors(ctx, ask.NeighborsQuestion{Router: ip("10.0.0.9")})
			if !errors.Is(err, context.DeadlineExceeded) || len(answers) != 0 || time.Since(start) != 100*ms {
				t.Errorf("got %v, %v after %v", answers, err, time.Since(start))
			}
		})
	})
	t.Run("what the link said so far", func(t *testing.T) {
		run(t, asktest.Options{Delay: ms}, ask.Options{}, func(t *testing.T, n *asktest.Network, c *ask.Client) {
			n.Handle(router.Answer, link)
			ctx, cancel := context.WithCancel(context.Background())
			time.AfterFunc(1500*ms, cancel)
			start := time.Now()
			answers, err := c.Neighbors(ctx, ask.NeighborsQuestion{Router: link})
			if !errors.Is(err, context.Canceled) || len(answers) != 1 || time.Since(start) != 1500*ms {
				t.Errorf("got %v, %v after %v", answers, err, time.Since(start))
			}
		})
	})
	t.Run("an answer that only lingers is whole", func(t *testing.T) {
		run(t, asktest.Options{Delay: ms}, ask.Options{}, func(t *testing.T, n *asktest.Network, c *ask.Client) {
			n.Handle(router.Answer, ip("192.168.7.7"))
			ctx, cancel := context.WithTimeout(context.Background(), 10*ms)
			defer cancel()
			answers, err := c.Neighbors(ctx, ask.NeighborsQuestion{Router: ip("192.168.7.7")})
			if err != nil || len(answers) != 1 || answers[0].Uncertain {
				t.Errorf("got %v, %v", answers, err)
			}
		})
	})
	t.Run("while it waits for its turn", func(t *testing.T) {
		run(t, asktest.Options{}, ask.Options{Rate: 1}, func(t *testing.T, n *asktest.Network, c *ask.Client) {
			ctx, cancel := context.WithTimeout(context.Background(), 1500*ms)
			defer cancel()
			start := time.Now()
			for i := range 4 {
				_, err := c.Neighbors(ctx, ask.NeighborsQuestion{Router: ip("10.0.0.9"), Tries: 1, Wait: ms})
				if want := i < 2; errors.Is(err, ask.ErrNoAnswer) != want {
					t.Errorf("question %d: %v", i, err)
				}
			}
			if took := time.Since(start); took != 1500*ms || len(n.Sent()) != 2 {
				t.Errorf("sent %d in %v, want 2 in 1.5s", len(n.Sent()), took)
			}
		})
	})
	t.Run("deadline", func(t *testing.T) {
		run(t, asktest.Options{Delay: ms}, ask.Options{Deadline: 2 * time.Second, InFlight: 1}, func(t *testing.T, n *asktest.Network, c *ask.Client) {
			start := time.Now()
			_, err := c.Neighbors(context.Background(), ask.NeighborsQuestion{Router: ip("10.0.0.9")})
			if !errors.Is(err, ask.ErrNoAnswer) || time.Since(start) != 2*time.Second {
				t.Errorf("got %v after %v, want no answer after 2s", err, time.Since(start))
			}
			n.Handle(router.Answer, link)
			answers, err := c.Neighbors(context.Background(), ask.NeighborsQuestion{Router: link})
			if err != nil || len(answers) != 1 || time.Since(start) != 4*time.Second {
				t.Errorf("got %v, %v after %v, want one answer after 4s", answers, err, time.Since(start))
			}
		})
	})
	t.Run("close", func(t *testing.T) {
		run(t, asktest.Options{}, ask.Options{}, func(t *testing.T, _ *asktest.Network, c *ask.Client) {
			time.AfterFunc(100*ms, func() { c.Close() })
			start := time.Now()
			_, err := c.Neighbors(context.Background(), ask.NeighborsQuestion{Router: ip("10.0.0.9")})
			if !errors.Is(err, net.ErrClosed) || time.Since(start) != 100*ms {
				t.Errorf("got %v after %v", err, time.Since(start))
			}
			if _, err = c.Neighbors(context.Background(), ask.NeighborsQuestion{Router: ip("10.0.0.9")}); !errors.Is(err, net.ErrClosed) {
				t.Errorf("after Close: %v", err)
			}
		})
	})
}

// Two questions at once to one router, and one to another address of it.
func TestNeighborsTogether(t *testing.T) {
	run(t, asktest.Options{Delay: 10 * ms}, ask.Options{}, func(t *testing.T, n *asktest.Network, c *ask.Client) {
		router := asktest.Router{Interfaces: castor, From: ip("192.168.2.7")}
		n.Handle(router.Answer, router.Addrs()...)
		asked := []string{"192.168.2.7", "192.168.2.7", "192.168.7.7"}
		done := make(chan ask.NeighborsAnswer)
		for _, a := range asked {
			go func() { done <- one(t, c, ask.NeighborsQuestion{Router: ip(a)}) }()
		}
		got := map[string]int{}
		for range asked {
			a := <-done
			got[fmt.Sprintf("%v from %v", a.Asked, a.From)] += len(a.Interfaces)
		}
		want := map[string]int{"192.168.2.7 from 192.168.2.7": 4, "192.168.7.7 from 192.168.2.7": 2}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	})
}

// 500 routers with one packet in ten lost each way: all are found.
func TestNeighborsLoss(t *testing.T) {
	run(t, asktest.Options{Delay: 10 * ms, Loss: 0.1, Seed: 7}, ask.Options{}, func(t *testing.T, n *asktest.Network, c *ask.Client) {
		const routers = 500
		errs := make(chan error)
		for i := range routers {
			a := netip.AddrFrom4([4]byte{10, 3, byte(i >> 8), byte(i)})
			r := asktest.Router{Interfaces: []dvmrp.Interface{iface(a.String(), 0, "0.0.0.0")}}
			n.Handle(r.Answer, a)
			go func() {
				_, err := c.Neighbors(context.Background(), ask.NeighborsQuestion{Router: a})
				errs <- err
			}()
		}
		missing := 0
		for range routers {
			if err := <-errs; err != nil {
				missing++
			}
		}
		if missing > 1 { // 1 in 4,000 is expected
			t.Errorf("%d of %d routers missing", missing, routers)
		}
	})
}

func TestSendError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := ask.New(broken{asktest.New(asktest.Options{})}, ask.Options{})
		defer c.Close()
		_, err := c.Neighbors(context.Background(), ask.NeighborsQuestion{Router: ip("10.0.0.9")})
		if want := "send to 10.0.0.9: network is unreachable (add a route)"; err == nil || err.Error() != want {
			t.Errorf("got %q, want %q", err, want)
		}
	})
}

// broken is a transport without a route.
type broken struct{ *asktest.Network }

func (broken) Send(d ask.Datagram) (time.Time, error) {
	return time.Time{}, &ask.OpError{Op: "send to", Object: d.To.String(), Err: errors.New("network is unreachable"), Fix: "add a route"}
}

// Whatever arrives is counted once, under the right name.
func TestStats(t *testing.T) {
	router := ip("192.168.7.7")
	good := message(t, dvmrp.CodeNeighbors2, dvmrp.Mrouted, castor...)
	bad := append([]byte(nil), good...)
	bad[20] ^= 1
	malformed := []byte{0x13, 6, 0, 0, 0, 0, 0}
	giant := make([]byte, 9000)
	copy(giant, []byte{0x13, 6})
	igmp.PutChecksum(giant)
	report, err := (&igmp.Membership{Type: igmp.TypeReportV2, Group: ip("224.2.2.2")}).AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	run(t, asktest.Options{}, ask.Options{}, func(t *testing.T, n *asktest.Network, c *ask.Client) {
		n.Handle(func(ask.Datagram) []asktest.Answer {
			from := func(a netip.Addr, m []byte) asktest.Answer { return asktest.Answer{From: a, Message: m} }
			return []asktest.Answer{
				from(router, good), from(router, good), from(router, bad), from(router, malformed),
				from(router, giant), from(ip("10.6.6.6"), message(t, dvmrp.CodeNeighbors2, dvmrp.Mrouted)), from(router, report),
			}
		}, router)
		one(t, c, ask.NeighborsQuestion{Router: router})
		n.Inject(asktest.Answer{From: router, Message: good}) // late
		synctest.Wait()
		want := ask.Stats{Sent: 1, Received: 8, Answers: 1, Duplicates: 1, Unasked: 2, Corrupt: 1, Malformed: 2, Other: 1}
		if diff := cmp.Diff(want, c.Stats()); diff != "" {
			t.Error(diff)
		}
	})
}
