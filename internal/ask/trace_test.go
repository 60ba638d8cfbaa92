package ask_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"mbone/internal/ask"
	"mbone/internal/ask/asktest"
	"mbone/proto/igmp"
	"mbone/proto/mtrace"
)

// The trace of captures: from castor's LAN to scar's.
var (
	lastHop  = ip("192.168.7.7")
	template = mtrace.Message{
		Hops: 32, Group: ip("224.2.2.2"), Source: ip("192.168.1.1"), Receiver: ip("192.168.7.7"),
		Response: ip("192.0.2.1"), ResponseTTL: 255,
	}
	blocks = []mtrace.Block{
		{Arrival: 1, Incoming: ip("192.168.2.7"), Outgoing: ip("192.168.7.7"), Previous: ip("192.168.2.254"), Protocol: 1, FwdTTL: 1},
		{Arrival: 2, Incoming: ip("192.168.1.254"), Outgoing: ip("192.168.2.254"), Previous: ip("0.0.0.0"), Protocol: 1, FwdTTL: 1},
	}
)

func question(q ask.TraceQuestion) ask.TraceQuestion {
	if q.Make == nil {
		q.Make = func(int) ask.TraceQuery { return ask.TraceQuery{To: lastHop, Message: template} }
	}
	return q
}

func TestTrace(t *testing.T) {
	run(t, asktest.Options{Delay: 10 * ms}, ask.Options{Rand: rand.NewPCG(1, 1)}, func(t *testing.T, n *asktest.Network, c *ask.Client) {
		path := asktest.Path{From: lastHop, Blocks: blocks}
		n.Handle(path.Answer, lastHop)
		start := time.Now()
		a, err := c.Trace(context.Background(), question(ask.TraceQuestion{}))
		if err != nil {
			t.Fatal(err)
		}
		if a.From != lastHop || a.Tries != 1 || a.BadChecksum || !a.Sent.Equal(start) || a.Received.Sub(a.Sent) != 20*ms {
			t.Errorf("from %v, tries %d, bad %v, %v to %v", a.From, a.Tries, a.BadChecksum, a.Sent, a.Received)
		}
		if diff := cmp.Diff(blocks, a.Message.Blocks, compareAddr); diff != "" {
			t.Error(diff)
		}
		if a.Message.Type != mtrace.TypeResponse || a.Query.Message.Type != mtrace.TypeQuery ||
			a.Query.Message.QueryID != a.Message.QueryID || a.Query.To != lastHop {
			t.Errorf("answer %+v to query %+v", a.Message, a.Query)
		}
	})
}

// Each try has an id of its own that no other query under way has, and the
// response TTL in byte 20 as well as in byte 23, where mrouted on little-endian
// machines looks for it.
func TestTraceQueryIDs(t *testing.T) {
	run(t, asktest.Options{}, ask.Options{}, func(t *testing.T, n *asktest.Network, c *ask.Client) {
		const questions = 200
		done := make(chan error)
		for range questions {
			go func() {
				_, err := c.Trace(context.Background(), question(ask.TraceQuestion{Make: func(try int) ask.TraceQuery {
					m := template
					if try > 0 {
						m.Response, m.ResponseTTL = ip("224.0.1.32"), 64
					}
					return ask.TraceQuery{To: lastHop, TTL: 7, Message: m}
				}}))
				done <- err
			}()
		}
		for range questions {
			if err := <-done; !errors.Is(err, ask.ErrNoAnswer) {
				t.Error(err)
			}
		}
		ids := map[[3]byte]bool{}
		for _, s := range n.Sent() {
			m := s.Message
			if len(m) != 24 || m[0] != 0x1f || m[20] != m[23] || (m[20] != 255 && m[20] != 64) || s.TTL != 7 {
				t.Fatalf("sent % x with TTL %d", m, s.TTL)
			}
			ids[[3]byte(m[21:])] = true
		}
		if len(n.Sent()) != 5*questions || len(ids) != 5*questions {
			t.Errorf("%d ids in %d queries, want %d", len(ids), len(n.Sent()), 5*questions)
		}
	})
}

func TestTraceTries(t *testing.T) {
	tests := []struct {
		name    string
		q       ask.TraceQuestion
		lost    int           // queries without an answer
		late    time.Duration // of each answer
		took    time.Duration
		tries   int
		answers int // which query the answer is to
	}{
		{"second try", ask.TraceQuestion{}, 1, 0, 250*ms + 20*ms, 2, 1},
		{"answer to an earlier try", ask.TraceQuestion{}, 0, 800 * ms, 820 * ms, 3, 0},
		{"explicit wait", ask.TraceQuestion{Wait: 3 * time.Second, Tries: 3}, 2, 0, 6020 * ms, 3, 2},
		{"silence", ask.TraceQuestion{Tries: 2}, 9, 0, 750 * ms, 2, -1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			run(t, asktest.Options{Delay: 10 * ms}, ask.Options{}, func(t *testing.T, n *asktest.Network, c *ask.Client) {
				path := asktest.Path{From: lastHop, Blocks: blocks}
				lost := test.lost
				n.Handle(func(d ask.Datagram) []asktest.Answer {
					if lost--; lost >= 0 {
						return nil
					}
					answers := path.Answer(d)
					answers[0].After = test.late
					return answers
				}, lastHop)
				start := time.Now()
				a, err := c.Trace(context.Background(), question(test.q))
				if took := time.Since(start); took != test.took {
					t.Errorf("took %v, want %v", took, test.took)
				}
				if test.answers < 0 {
					if want := "trace 192.168.7.7: no answer to 2 tries in 750ms"; !errors.Is(err, ask.ErrNoAnswer) || err.Error() != want {
						t.Errorf("got %v, want %s", err, want)
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				if a.Tries != test.tries {
					t.Errorf("%d tries, want %d", a.Tries, test.tries)
				}
				if sent := n.Sent()[test.answers].Time; !a.Sent.Equal(sent) {
					t.Errorf("answer to the query of %v, want %v", a.Sent, sent)
				}
			})
		})
	}
}

// encode makes a message from the query that d carries.
func encode(t *testing.T, d ask.Datagram, change func(*mtrace.Message)) []byte {
	t.Helper()
	var m mtrace.Message
	if err := m.Parse(d.Message); err != nil {
		t.Fatal(err)
	}
	m.Type, m.Blocks = mtrace.TypeResponse, blocks
	if change != nil {
		change(&m)
	}
	b, err := m.AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestTraceJudges(t *testing.T) {
	// As pimd 2.3.2 does: its query interval over byte 9, after the checksum.
	pimd := func(b []byte) []byte { b[9] = 12; return b }
	corrupt := func(b []byte) []byte { b[40] ^= 0xff; return b }
	tests := []struct {
		name    string
		accept  func(*mtrace.Message) bool
		answers func(t *testing.T, d ask.Datagram) [][]byte
		blocks  int // of the answer; 0: none
		bad     bool
		stats   ask.Stats
	}{
		{
			name: "own query coming back",
			answers: func(t *testing.T, d ask.Datagram) [][]byte {
				return [][]byte{d.Message, encode(t, d, nil)}
			},
			blocks: 2,
			stats:  ask.Stats{Other: 1, Answers: 1},
		},
		{
			name:   "request in transit",
			accept: func(m *mtrace.Message) bool { return m.Type == mtrace.TypeResponse },
			answers: func(t *testing.T, d ask.Datagram) [][]byte {
				return [][]byte{
					encode(t, d, func(m *mtrace.Message) { m.Type, m.Blocks = mtrace.TypeQuery, blocks[:1] }),
					encode(t, d, nil),
				}
			},
			blocks: 2,
			stats:  ask.Stats{Answers: 2},
		},
		{
			name: "forged",
			answers: func(t *testing.T, d ask.Datagram) [][]byte {
				return [][]byte{
					encode(t, d, func(m *mtrace.Message) { m.QueryID ^= 0x100 }),
					encode(t, d, func(m *mtrace.Message) { m.Receiver = ip("10.0.0.1") }),
					encode(t, d, func(m *mtrace.Message) { m.Source = ip("10.0.0.1") }),
					encode(t, d, func(m *mtrace.Message) { m.Blocks = nil }),
					encode(t, d, nil)[:50],
					encode(t, d, nil),
				}
			},
			blocks: 2,
			// The checksum of the one cut short is wrong, too.
			stats: ask.Stats{Unasked: 2, Spoofed: 2, Corrupt: 1, Answers: 1},
		},
		{
			name: "damaged on the way, then good",
			answers: func(t *testing.T, d ask.Datagram) [][]byte {
				return [][]byte{
					corrupt(encode(t, d, func(m *mtrace.Message) { m.Blocks = blocks[:1] })),
					encode(t, d, nil),
				}
			},
			blocks: 2,
			stats:  ask.Stats{Corrupt: 1, Answers: 1},
		},
		{
			name: "damaged by pimd",
			answers: func(t *testing.T, d ask.Datagram) [][]byte {
				return [][]byte{pimd(encode(t, d, nil))}
			},
			blocks: 2, bad: true,
			stats: ask.Stats{Corrupt: 1},
		},
		{
			name: "another source and a bad checksum",
			answers: func(t *testing.T, d ask.Datagram) [][]byte {
				return [][]byte{corrupt(encode(t, d, func(m *mtrace.Message) { m.Source = ip("192.168.1.2") }))}
			},
			stats: ask.Stats{Corrupt: 1},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			run(t, asktest.Options{}, ask.Options{}, func(t *testing.T, n *asktest.Network, c *ask.Client) {
				n.Handle(func(d ask.Datagram) []asktest.Answer {
					var all []asktest.Answer
					for _, m := range test.answers(t, d) {
						all = append(all, asktest.Answer{From: lastHop, Message: m})
					}
					return all
				}, lastHop)
				a, err := c.Trace(context.Background(), question(ask.TraceQuestion{Tries: 1, Accept: test.accept}))
				if (err == nil) != (test.blocks > 0) || len(a.Message.Blocks) != test.blocks || a.BadChecksum != test.bad {
					t.Errorf("got %d blocks, bad %v, %v, want %d, %v", len(a.Message.Blocks), a.BadChecksum, err, test.blocks, test.bad)
				}
				synctest.Wait()
				test.stats.Sent = 1
				got := c.Stats()
				got.Received = 0
				if diff := cmp.Diff(test.stats, got); diff != "" {
					t.Error(diff)
				}
			})
		})
	}
}

func TestTraceCancel(t *testing.T) {
	run(t, asktest.Options{}, ask.Options{}, func(t *testing.T, n *asktest.Network, c *ask.Client) {
		ctx, cancel := context.WithTimeout(context.Background(), 100*ms)
		defer cancel()
		start := time.Now()
		_, err := c.Trace(ctx, question(ask.TraceQuestion{}))
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 100*ms {
			t.Errorf("got %v after %v", err, time.Since(start))
		}
		// A damaged answer is better than none.
		n.Handle(func(d ask.Datagram) []asktest.Answer {
			b := encode(t, d, nil)
			b[9] = 12
			return []asktest.Answer{{From: lastHop, Message: b}}
		}, lastHop)
		ctx, cancel = context.WithTimeout(context.Background(), 100*ms)
		defer cancel()
		a, err := c.Trace(ctx, question(ask.TraceQuestion{}))
		if !errors.Is(err, context.DeadlineExceeded) || len(a.Message.Blocks) != 2 || !a.BadChecksum {
			t.Errorf("got %v, %v", a, err)
		}
	})
}

// A query that cannot be encoded is an error at once.
func TestTraceWrong(t *testing.T) {
	run(t, asktest.Options{}, ask.Options{}, func(t *testing.T, n *asktest.Network, c *ask.Client) {
		_, err := c.Trace(context.Background(), ask.TraceQuestion{Make: func(int) ask.TraceQuery {
			m := template
			m.Source = netip.Addr{}
			return ask.TraceQuery{To: lastHop, Message: m}
		}})
		if err == nil || errors.Is(err, ask.ErrNoAnswer) || len(n.Sent()) != 0 {
			t.Errorf("got %v, sent %d", err, len(n.Sent()))
		}
	})
}

func TestListen(t *testing.T) {
	group := ip("224.0.1.32")
	response := func(t *testing.T, id uint32) asktest.Answer {
		m := template
		m.Type, m.QueryID, m.Blocks = mtrace.TypeResponse, id, blocks
		b, err := m.AppendBinary(nil)
		if err != nil {
			t.Fatal(err)
		}
		return asktest.Answer{From: lastHop, To: group, Message: b}
	}
	run(t, asktest.Options{}, ask.Options{}, func(t *testing.T, n *asktest.Network, c *ask.Client) {
		ctx, cancel := context.WithCancel(context.Background())
		var ids []uint32
		ended := make(chan error)
		go func() {
			ended <- c.Listen(ctx, group, 0, func(p *ask.Packet) error {
				var m mtrace.Message
				if err := m.Parse(p.Message); err != nil || p.To != group || !igmp.VerifyChecksum(p.Message) {
					t.Errorf("heard % x to %v: %v", p.Message, p.To, err)
				}
				ids = append(ids, m.QueryID)
				return nil
			})
		}()
		synctest.Wait()
		if !n.Joined(group) {
			t.Error("the group was not joined")
		}
		n.Inject(response(t, 1))
		n.Inject(response(t, 2))
		synctest.Wait()
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("ended with %v, want nil", err)
		}
		n.Inject(response(t, 3)) // too late
		synctest.Wait()
		if diff := cmp.Diff([]uint32{1, 2}, ids); diff != "" {
			t.Error(diff)
		}

		enough := errors.New("enough")
		go func() {
			ended <- c.Listen(context.Background(), netip.Addr{}, 0, func(*ask.Packet) error { return enough })
		}()
		synctest.Wait()
		n.Inject(response(t, 4))
		if err := <-ended; !errors.Is(err, enough) {
			t.Errorf("ended with %v, want the error of the function", err)
		}
	})
}
