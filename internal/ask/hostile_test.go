package ask_test

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mbone/internal/ask"
	"mbone/internal/ask/asktest"
	"mbone/proto/dvmrp"
	"mbone/proto/igmp"
	"mbone/proto/mtrace"
)

// A neighbour that hears every question and answers it in every wrong way before
// the router does. The right answer comes out all the same.
func TestHostileNeighbour(t *testing.T) {
	router, evil := ip("192.168.7.7"), ip("192.168.7.66")
	random := rand.New(rand.NewPCG(3, 3))
	bytes := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(random.Uint32())
		}
		return b
	}
	sealed := func(b []byte) []byte { igmp.PutChecksum(b); return b }
	other := func(i int) dvmrp.Interface { return iface("192.168.7.66", 0, ip4(10, 9, i>>8, i&0xff).String()) }
	attacks := map[string]func(d ask.Datagram, genuine []byte, i int) asktest.Answer{
		"garbage": func(_ ask.Datagram, _ []byte, i int) asktest.Answer {
			b := bytes(random.IntN(200))
			if len(b) > 8 {
				b[0], b[1] = []byte{0x13, 0x1e, 0x1f, 0x11}[i%4], byte(i%8)
			}
			return asktest.Answer{From: router, Message: b}
		},
		"garbage with a good checksum": func(_ ask.Datagram, _ []byte, i int) asktest.Answer {
			b := bytes(8 + random.IntN(200))
			b[0], b[1] = []byte{0x1e, 0x1f, 0x11, 0x99}[i%4], byte(i%8)
			return asktest.Answer{From: router, Message: sealed(b)}
		},
		"giants": func(ask.Datagram, []byte, int) asktest.Answer {
			b := bytes(60000)
			copy(b, []byte{0x13, 6, 0, 0, 0, 0x0e, 0xff, 3})
			return asktest.Answer{From: router, Message: sealed(b)}
		},
		"duplicates": func(_ ask.Datagram, genuine []byte, _ int) asktest.Answer {
			return asktest.Answer{From: router, Message: genuine}
		},
		"damaged, all different": func(_ ask.Datagram, genuine []byte, i int) asktest.Answer {
			b := append([]byte(nil), genuine...)
			b[9], b[10] = byte(i), byte(i>>8)
			b[2] ^= 0xff
			return asktest.Answer{From: router, Message: b}
		},
		"answers of its own": func(_ ask.Datagram, _ []byte, i int) asktest.Answer {
			return asktest.Answer{From: evil, Message: message(t, dvmrp.CodeNeighbors2, dvmrp.Mrouted, other(i))}
		},
		"answers of the whole link": func(_ ask.Datagram, _ []byte, i int) asktest.Answer {
			return asktest.Answer{From: ip4(192, 168, 100+i>>8, i&0xff), Message: message(t, dvmrp.CodeNeighbors2, dvmrp.Mrouted, other(i))}
		},
		"claims to be the router, from everywhere": func(_ ask.Datagram, _ []byte, i int) asktest.Answer {
			return asktest.Answer{
				From:    ip4(10, 1, i>>8, i&0xff),
				Message: message(t, dvmrp.CodeNeighbors2, dvmrp.Mrouted, iface("192.168.7.7", 0, "0.0.0.0"), other(i)),
			}
		},
		"old answers that want to be asked anew": func(_ ask.Datagram, _ []byte, i int) asktest.Answer {
			return asktest.Answer{From: router, Message: message(t, dvmrp.CodeNeighbors, dvmrp.Mrouted, other(i))}
		},
		"old answers to no question": func(_ ask.Datagram, _ []byte, i int) asktest.Answer {
			return asktest.Answer{From: router, Message: message(t, dvmrp.CodeNeighbors, dvmrp.Version{}, other(i))}
		},
	}
	for name, attack := range attacks {
		t.Run(name, func(t *testing.T) {
			run(t, asktest.Options{Delay: ms}, ask.Options{}, func(t *testing.T, n *asktest.Network, c *ask.Client) {
				genuine := asktest.Router{Interfaces: castor}
				n.Handle(func(d ask.Datagram) []asktest.Answer {
					var all []asktest.Answer
					right := genuine.Answer(d)
					for i := range 2000 {
						all = append(all, attack(d, right[0].Message, i))
					}
					right[0].After = 10 * ms
					return append(all, right...)
				}, router)
				answer := one(t, c, ask.NeighborsQuestion{Router: router})
				if answer.From != router || answer.BadChecksum || len(answer.Conflicts) > 0 || answer.Uncertain {
					t.Errorf("from %v, bad %v, %d conflicts, uncertain %v",
						answer.From, answer.BadChecksum, len(answer.Conflicts), answer.Uncertain)
				}
				if diff := cmp.Diff(castor, answer.Interfaces, compareAddr); diff != "" {
					t.Error(diff)
				}
				if n.Dropped() > 0 {
					t.Errorf("the test's own queue dropped %d packets", n.Dropped())
				}
			})
		})
	}
}

// The same for a trace: the neighbour does not see the query's id.
func TestHostileNeighbourTrace(t *testing.T) {
	run(t, asktest.Options{Delay: ms}, ask.Options{Rand: rand.NewPCG(5, 5)}, func(t *testing.T, n *asktest.Network, c *ask.Client) {
		path := asktest.Path{From: lastHop, Blocks: blocks}
		n.Handle(func(d ask.Datagram) []asktest.Answer {
			var all []asktest.Answer
			for i := range 2000 {
				all = append(all, asktest.Answer{From: lastHop, Message: encode(t, d, func(m *mtrace.Message) {
					m.QueryID += uint32(i+1) << 8 & 0xffff00
				})})
			}
			right := path.Answer(d)
			right[0].After = 10 * ms
			return append(all, right...)
		}, lastHop)
		a, err := c.Trace(context.Background(), question(ask.TraceQuestion{}))
		if err != nil || a.Received.Sub(a.Sent) != 12*ms {
			t.Errorf("got %v, %v", a, err)
		}
	})
}

func ip4(a, b, c, d int) netip.Addr {
	return netip.AddrFrom4([4]byte{byte(a), byte(b), byte(c), byte(d)})
}

// What is not taken is told to the logger, with the reason.
func TestDebugLog(t *testing.T) {
	router := ip("192.168.7.7")
	var log strings.Builder
	logger := slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{
		Level: slog.LevelDebug,
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey || a.Key == slog.LevelKey {
				return slog.Attr{}
			}
			return a
		},
	}))
	good := message(t, dvmrp.CodeNeighbors2, dvmrp.Mrouted, castor...)
	bad := append([]byte(nil), good...)
	bad[2] ^= 1
	run(t, asktest.Options{}, ask.Options{Logger: logger}, func(t *testing.T, n *asktest.Network, c *ask.Client) {
		n.Handle(func(ask.Datagram) []asktest.Answer {
			return []asktest.Answer{
				{From: router, Message: bad},
				{From: router, Message: []byte{0x13}},
				{From: ip("10.6.6.6"), Message: message(t, dvmrp.CodeNeighbors2, dvmrp.Mrouted), TTL: 3, IfIndex: 2},
				{From: router, Message: good},
				{From: router, Message: good},
			}
		}, router)
		one(t, c, ask.NeighborsQuestion{Router: router})
	})
	want := `msg="packet not taken" reason=checksum from=192.168.7.7 to=192.0.2.1 ttl=64 interface=1 length=32 type=DVMRP code=6
msg="packet not taken" reason=malformed err="shorter than IGMP or longer than any answer" from=192.168.7.7 to=192.0.2.1 ttl=64 interface=1 length=1
msg="packet not taken" reason=unasked from=10.6.6.6 to=192.0.2.1 ttl=3 interface=2 length=8 type=DVMRP code=6
msg="packet not taken" reason=duplicate from=192.168.7.7 to=192.0.2.1 ttl=64 interface=1 length=32 type=DVMRP code=6
`
	if diff := cmp.Diff(want, log.String()); diff != "" {
		t.Error(diff)
	}
}
