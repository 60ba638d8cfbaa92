package trace

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"mbone/internal/ask"
	"mbone/internal/ask/asktest"
	"mbone/proto/dvmrp"
	"mbone/proto/mtrace"
	"mbone/report"
)

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

var (
	source   = addr("10.4.0.9")
	receiver = addr("10.1.0.9")
	group    = addr("224.2.2.2")
)

// chain is a network of routers in a row, the receiver's first. It answers as
// routers would that hand a query on from one to the next.
type chain struct {
	t   *testing.T
	net *asktest.Network

	mu      sync.Mutex
	routers []*router
	began   time.Time
	queries []mtrace.Message // as they came
	to      []netip.Addr
	vias    []ask.Via
	slow    time.Duration // of every answer
}

// router is one of the chain. Block has all but the arrival time and counters.
type router struct {
	mtrace.Block
	deaf    bool // takes no query and no request
	passes  bool // sends requests on
	alone   bool // answers queries sent to its own address
	toLocal bool // an answer from here comes back to a unicast address
	toGroup bool // and to the multicast response group
	mrinfo  *asktest.Router
	// spare is a router that drops what it should answer before the limit of
	// hops is reached, as FRR does if it is the first hop.
	spare bool
	// rates of its counters per second; 0: unknown.
	in, out, group float64
	restarted      time.Time // when its counters began at 0; zero: never
}

// newChain makes the path 10.4.0.9 -> R3 -> R2 -> R1 -> 10.1.0.9 of mrouted
// routers, which works.
func newChain(t *testing.T, n int) *chain {
	c := &chain{t: t, net: asktest.New(asktest.Options{Delay: time.Millisecond, Source: receiver}), began: time.Now()}
	for i := 1; i <= n; i++ {
		r := &router{passes: true, alone: true, toLocal: true, toGroup: true, in: 100, out: 100, group: 50}
		r.Block = mtrace.Block{
			Incoming: addr(fmt.Sprintf("10.%d.0.1", 20+i)), Outgoing: addr(fmt.Sprintf("10.%d.0.2", 19+i)),
			Previous: addr(fmt.Sprintf("10.%d.0.2", 20+i)), Protocol: mtrace.ProtocolDVMRP, FwdTTL: 1, Mask: 24,
		}
		if i == 1 {
			r.Outgoing = addr("10.1.0.2")
		}
		if i == n {
			r.Incoming, r.Previous = addr("10.4.0.1"), addr("0.0.0.0")
		}
		r.mrinfo = &asktest.Router{Interfaces: []dvmrp.Interface{{Local: r.Outgoing}, {Local: addr(fmt.Sprintf("10.200.%d.1", i))}}}
		c.routers = append(c.routers, r)
	}
	c.listen()
	return c
}

// listen lets the network answer for all routers.
func (c *chain) listen() {
	c.net.Handle(c.answer, allRouters, group)
	for _, r := range c.routers {
		c.net.Handle(c.answer, r.Outgoing)
	}
}

// at changes something after a time.
func (c *chain) at(after time.Duration, change func()) {
	time.AfterFunc(after, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		change()
	})
}

func (c *chain) answer(d ask.Datagram) []asktest.Answer {
	c.mu.Lock()
	defer c.mu.Unlock()
	var m mtrace.Message
	if m.Parse(d.Message) != nil {
		for _, r := range c.routers {
			if r.Outgoing == d.To && r.mrinfo != nil && r.toLocal {
				return r.mrinfo.Answer(d)
			}
		}
		return nil
	}
	c.queries, c.to, c.vias = append(c.queries, m), append(c.to, d.To), append(c.vias, d.Via)
	at := slices.IndexFunc(c.routers, func(r *router) bool { return r.Outgoing == d.To })
	if at < 0 {
		at = 0 // to all routers or the group: the last hop's
	} else if !c.routers[at].alone {
		return nil
	}
	seconds := time.Since(c.began).Seconds()
	count := func(r *router, rate float64) uint32 {
		if rate == 0 {
			return mtrace.Unknown
		}
		if !r.restarted.IsZero() {
			return uint32(rate * time.Since(r.restarted).Seconds())
		}
		return uint32(uint64(4294967000 + rate*seconds)) // wraps around after three seconds
	}
	for i := at; i < len(c.routers); i++ {
		r := c.routers[i]
		if r.deaf {
			return nil
		}
		b := r.Block
		b.Arrival = mtrace.Time(time.Now().Add(time.Duration(i+1) * time.Millisecond))
		b.PacketsIn, b.PacketsOut, b.PacketsGroup = count(r, r.in), count(r, r.out), count(r, r.group)
		m.Blocks = append(m.Blocks, b)
		last := b.Previous.IsUnspecified() || b.Previous == source || b.Code == mtrace.CodeNoRoute
		if len(m.Blocks) < int(m.Hops) && last && r.spare {
			return nil
		}
		if len(m.Blocks) == int(m.Hops) || last || b.Code.Fatal() {
			if back := m.Response == receiver && r.toLocal || m.Response == ResponseGroup && r.toGroup; !back {
				return nil
			}
			m.Type = mtrace.TypeResponse
			message, err := m.AppendBinary(nil)
			if err != nil {
				c.t.Error(err)
			}
			return []asktest.Answer{{From: b.Incoming, To: m.Response, After: c.slow, Message: message}}
		}
		if !r.passes {
			return nil
		}
	}
	return nil
}

// transcript notes the steps of a trace, a line for each phase.
type transcript struct{ strings.Builder }

func (s *transcript) tell(step report.PathStep) {
	hops := func(from int) string {
		var all []string
		for _, h := range step.Path.Hops[from-1:] {
			all = append(all, fmt.Sprintf("%d=%s", h.Number, h.Address))
		}
		return strings.Join(all, " ")
	}
	text := ""
	switch step.Kind {
	case report.StepQuery:
		text = fmt.Sprintf("query %d ", step.Limit)
	case report.StepTimeout:
		text = "* "
	case report.StepReply:
		text = hops(1) + "\n"
	case report.StepHopByHop:
		text = "hop by hop\n"
	case report.StepAsking:
		text = fmt.Sprintf("%d: ", step.Hop)
	case report.StepHop:
		text = hops(step.Hop) + "\n"
	case report.StepSilent, report.StepNext:
		text = fmt.Sprintf("%s %s\n", step.Path.Next.Address, step.Path.Next.Verdict)
	case report.StepUnanswered:
		text = "\n"
	case report.StepGiveUp:
		text = "gives up\n"
	case report.StepResume:
		text = "resumes " + hops(step.Hop) + "\n"
	case report.StepReroute:
		text = "reroutes " + hops(1) + "\n"
	case report.StepSource:
		text = fmt.Sprintf("%d: source\n", step.Hop)
	case report.StepNoAnswer:
		text = "no answer\n"
	case report.StepEnd:
		text = "end\n"
	case report.StepWait:
		text = "wait "
	case report.StepNoWait:
		text = "no wait "
	case report.StepLost:
		text = "lost\n"
	case report.StepStatistics:
		text = fmt.Sprintf("statistics %d\n", step.Path.Statistics.Samples)
	case report.StepChanged:
		text = fmt.Sprintf("%s at hop %d: %s\n", step.Path.Change.Reason, step.Path.Change.Hop, hops(1))
	case report.StepWatch:
		text = "watch"
	case report.StepSame:
		text = "."
	}
	s.WriteString(text)
}

func question() Question {
	return Question{
		Source: source, Receiver: receiver, Group: group, OnLink: true, Local: receiver,
		ReceiverNet: netip.MustParsePrefix("10.1.0.0/24"),
	}
}

// TestTrace traces through chains with faults and compares every step.
func TestTrace(t *testing.T) {
	hidden := func(c *chain) { // answers from behind the first hop do not come back
		for _, r := range c.routers[1:] {
			r.toLocal, r.toGroup = false, false
		}
	}
	frr := func(r *router) {
		r.Protocol, r.Mask, r.in, r.out, r.spare = mtrace.ProtocolPIM, 32, 0, 0, true
	}
	tests := []struct {
		name    string
		hops    int
		change  func(*chain, *Question)
		steps   string
		reached bool
		reason  string
		causes  string
		within  time.Duration
	}{
		{
			name: "all in order", hops: 3,
			steps:   "query 0 1=10.1.0.2 2=10.21.0.2 3=10.22.0.2\n4: source\nend\n",
			reached: true, within: 10 * time.Millisecond,
		},
		{
			name: "limit", hops: 3, change: func(_ *chain, q *Question) { q.Limit = 2 },
			steps:  "query 2 1=10.1.0.2 2=10.21.0.2\n3: 10.22.0.2 next\nend\n",
			reason: "the limit of 2 hops is reached", within: 200 * time.Millisecond,
		},
		{
			name: "limit and silence", hops: 3, change: func(c *chain, q *Question) { q.Limit = 2; c.routers[0].deaf = true },
			steps:  "query 2 * * * * * no answer\n",
			reason: "nobody answered", causes: "0 no_last_hop", within: 5 * time.Second,
		},
		{
			name: "the answers of the second hop do not come back", hops: 3, change: func(c *chain, _ *Question) { hidden(c) },
			steps: "query 0 * hop by hop\n1: 1=10.1.0.2\n2: * * * * * * * * * * 10.21.0.2 no_answer\n" +
				"3: * * * \n4: * * * \n5: * * * gives up\nend\n",
			reason: "hop 1, 10.1.0.2, did not pass the request on to 10.21.0.2, or no answer came back",
			causes: "1 router_alert, 1 not_passed_on, 2 silent", within: 8 * time.Second,
		},
		{
			name: "multicast answers come back", hops: 3, change: func(c *chain, _ *Question) {
				for _, r := range c.routers[1:] {
					r.toLocal = false
				}
			},
			steps:   "query 0 * hop by hop\n1: 1=10.1.0.2\n2: * * * 2=10.21.0.2\n3: 3=10.22.0.2\n4: source\nend\n",
			reached: true, within: 3 * time.Second,
		},
		{
			name: "requests are not passed on", hops: 4, change: func(c *chain, _ *Question) {
				for _, r := range c.routers {
					r.passes = false
				}
			},
			steps: "query 0 * hop by hop\n1: 1=10.1.0.2\n2: * * * * * * * 2=10.21.0.2\n3: * 3=10.22.0.2\n4: 4=10.23.0.2\n5: source\nend\n",
			// Each is asked for the rest, then for its own block; the last has no rest.
			reached: true, within: 5 * time.Second,
		},
		{
			name: "one hop does not pass requests on", hops: 4, change: func(c *chain, _ *Question) { c.routers[0].passes = false },
			steps:   "query 0 * hop by hop\n1: 1=10.1.0.2\n2: * * * * * * 2=10.21.0.2 3=10.22.0.2 4=10.23.0.2\n3: 3=10.22.0.2 4=10.23.0.2\n4: 4=10.23.0.2\n5: source\nend\n",
			reached: true, within: 4 * time.Second,
		},
		{
			name: "past a silent hop", hops: 3, change: func(c *chain, _ *Question) {
				c.routers[1].toLocal, c.routers[1].toGroup, c.routers[1].alone = false, false, false
				c.routers[1].mrinfo = nil
				c.routers[2].spare = true
			},
			steps: "query 0 * hop by hop\n1: 1=10.1.0.2\n2: * * * * * * * * * * 10.21.0.2 no_answer\n" +
				"3: resumes 2=10.21.0.2 3=10.22.0.2\n4: source\nend\n",
			reached: true, within: 6 * time.Second,
		},
		{
			name: "a silent hop next to the source", hops: 2, change: func(c *chain, _ *Question) {
				c.routers[1].deaf = true
				c.routers[1].mrinfo.Interfaces = append(c.routers[1].mrinfo.Interfaces, dvmrp.Interface{Local: addr("10.4.0.1")})
			},
			steps: "query 0 * hop by hop\n1: 1=10.1.0.2\n2: * * * * * * * * * 10.21.0.2 no_answer\n3: source\nend\n",
			// What follows from mrinfo is not what the hop itself says.
			reached: true, reason: "hop 2, 10.21.0.2, did not answer", within: 6 * time.Second,
		},
		{
			name: "a hop further on is silent", hops: 3, change: func(c *chain, _ *Question) { c.routers[2].deaf, c.routers[2].mrinfo = true, nil },
			steps: "query 0 * hop by hop\n1: 1=10.1.0.2\n2: 2=10.21.0.2\n3: * * * * * * * * * 10.22.0.2 no_answer\n" +
				"4: * * * \n5: * * * \n6: * * * gives up\nend\n",
			reason: "hop 2, 10.21.0.2, did not pass the request on to 10.22.0.2, or no answer came back",
			// The second hop's answers come through the first.
			causes: "3 silent, 2 not_passed_on, 2 router_alert", within: 8 * time.Second,
		},
		{
			name: "a hop too old for mtrace", hops: 2, change: func(c *chain, _ *Question) {
				c.routers[1].deaf = true
				c.routers[1].mrinfo.Version = dvmrp.Version{Major: 3, Minor: 2}
			},
			steps:  "query 0 * hop by hop\n1: 1=10.1.0.2\n2: * * * * * * * * * 10.21.0.2 no_mtrace\nend\n",
			reason: "hop 1, 10.1.0.2, did not pass the request on to 10.21.0.2, or no answer came back",
			causes: "2 no_mtrace, 1 not_passed_on", within: 6 * time.Second,
		},
		{
			name: "a routing loop", hops: 8, change: func(c *chain, _ *Question) {
				for i := 3; i < 8; i++ {
					c.routers[i].Block = c.routers[i-2].Block
				}
				c.routers[7].passes = false // nobody sends a request on for ever
			},
			steps:  "query 0 * hop by hop\n1: 1=10.1.0.2\n2: 2=10.21.0.2\n3: 3=10.22.0.2\n4: 4=10.21.0.2\nend\n",
			reason: "hop 4, 10.21.0.2, is hop 2 again: a routing loop",
			causes: "4 routing_loop", within: 2 * time.Second,
		},
		{
			name: "FRR counts hops exactly", hops: 1, change: func(c *chain, _ *Question) {
				frr(c.routers[0])
				c.routers[0].Previous = source
			},
			steps:   "query 0 * hop by hop\n1: 1=10.1.0.2\n2: source\nend\n",
			reached: true, within: 2 * time.Second,
		},
		{
			name: "two FRR", hops: 2, change: func(c *chain, _ *Question) {
				hidden(c)
				frr(c.routers[0])
				frr(c.routers[1])
				c.routers[1].alone = false
				c.routers[1].mrinfo = nil
			},
			steps: "query 0 * hop by hop\n1: 1=10.1.0.2\n2: * * * * * * * * * * 10.21.0.2 no_answer\n" +
				"3: * * * \n4: * * * \n5: * * * gives up\nend\n",
			reason: "hop 1, 10.1.0.2, did not pass the request on to 10.21.0.2, or no answer came back",
			causes: "2 frr_answer, 1 not_passed_on, 2 silent", within: 8 * time.Second,
		},
		{
			name: "no route", hops: 2, change: func(c *chain, _ *Question) {
				b := &c.routers[1].Block
				b.Code, b.Incoming, b.Previous = mtrace.CodeNoRoute, addr("0.0.0.0"), addr("0.0.0.0")
			},
			steps:  "query 0 1=10.1.0.2 2=10.21.0.2\nend\n",
			reason: "hop 2, 10.21.0.2: No route", causes: "2 no_route", within: 10 * time.Millisecond,
		},
		{
			name: "no room in the packet", hops: 3, change: func(c *chain, _ *Question) { c.routers[1].Code = mtrace.CodeNoSpace },
			// The rest is asked of the next router itself.
			steps:   "query 0 1=10.1.0.2 2=10.21.0.2\n3: 3=10.22.0.2\n4: source\nend\n",
			reached: true, within: 20 * time.Millisecond,
		},
		{
			name: "an old router", hops: 3, change: func(c *chain, _ *Question) {
				c.routers[1].Code = mtrace.CodeOldRouter
				c.routers[2].deaf = true
			},
			steps:  "query 0 1=10.1.0.2 2=10.21.0.2\n3: * * * 10.22.0.2 no_mtrace\nend\n",
			reason: "hop 2, 10.21.0.2: Next router no mtrace", within: 2 * time.Second,
		},
		{
			name: "forbidden", hops: 3, change: func(c *chain, _ *Question) {
				c.routers[1].Code = mtrace.CodeAdminProhib
				c.routers[2].alone = false
			},
			steps:  "query 0 1=10.1.0.2 2=10.21.0.2\n3: * * * 10.22.0.2 would_be\nend\n",
			reason: "hop 2, 10.21.0.2: Admin. Prohibited", causes: "2 admin_prohib", within: 2 * time.Second,
		},
		{
			name: "the previous hop is not known", hops: 2, change: func(c *chain, _ *Question) {
				c.routers[0].Previous = allRouters
				hidden(c)
			},
			steps: "query 0 * hop by hop\n1: 1=10.1.0.2\n2: * * * * * * invalid IP no_answer\n" +
				"3: * * * \n4: * * * \n5: * * * gives up\nend\n",
			reason: "nothing came from behind hop 1, 10.1.0.2",
			causes: "1 unknown_previous", within: 8 * time.Second,
		},
		{
			name: "nobody", hops: 1, change: func(c *chain, _ *Question) { c.routers[0].deaf = true },
			steps:  "query 0 * hop by hop\n1: * * * * * no answer\n",
			reason: "nobody answered", causes: "0 no_last_hop", within: 6 * time.Second,
		},
		{
			name: "nobody, and the user waits long", hops: 1, change: func(c *chain, q *Question) {
				c.routers[0].deaf = true
				q.Tries, q.Wait = 2, 9*time.Second
			},
			steps:  "query 0 * hop by hop\n1: * * no answer\n",
			reason: "nobody answered", causes: "0 no_last_hop", within: 28 * time.Second,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, q := newChain(t, test.hops), question()
				if test.change != nil {
					test.change(c, &q)
				}
				c.listen()
				client := ask.New(c.net, ask.Options{})
				defer client.Close()
				var steps transcript
				began := time.Now()
				p, err := New(client, q, steps.tell).Trace(context.Background())
				if err != nil {
					t.Fatal(err)
				}
				if took := time.Since(began); took > test.within {
					t.Errorf("took %v, want at most %v", took, test.within)
				}
				if got := steps.String(); got != test.steps {
					t.Errorf("steps:\n%s\nwant\n%s", got, test.steps)
				}
				if p.Reached != test.reached || p.Reason != test.reason || p.Complete != (test.reason == "") {
					t.Errorf("reached %v, complete %v, reason %q; want %v, %q", p.Reached, p.Complete, p.Reason, test.reached, test.reason)
				}
				var causes []string
				for _, cause := range p.Causes {
					causes = append(causes, fmt.Sprintf("%d %s", cause.Hop, cause.Code))
				}
				if got := strings.Join(causes, ", "); got != test.causes {
					t.Errorf("causes %s, want %s", got, test.causes)
				}
			})
		})
	}
}

var errCancelled = errors.New("cancelled")

func TestTraceCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newChain(t, 2)
		c.routers[1].toLocal, c.routers[1].toGroup = false, false
		client := ask.New(c.net, ask.Options{})
		defer client.Close()
		ctx, cancel := context.WithTimeoutCause(context.Background(), 1500*time.Millisecond, errCancelled)
		defer cancel()
		began := time.Now()
		p, err := New(client, question(), nil).Trace(ctx)
		if !errors.Is(err, context.DeadlineExceeded) || len(p.Hops) != 1 || p.Complete {
			t.Errorf("%d hops, complete %v, error %v; want the one hop that was known", len(p.Hops), p.Complete, err)
		}
		if took := time.Since(began); took != 1500*time.Millisecond {
			t.Errorf("ended after %v", took)
		}
	})
}

// TestNobodyElsewhere: who has answers sent elsewhere is told so first.
func TestNobodyElsewhere(t *testing.T) {
	own := addr("10.1.0.1")
	for name, test := range map[string]struct {
		q    Question
		want string
	}{
		"plain":      {Question{Local: own}, ""},
		"both":       {Question{Local: own, Multicast: true, Unicast: true}, ""},
		"to itself":  {Question{Local: own, Response: own}, ""},
		"-M":         {Question{Local: own, Multicast: true}, "leave out -M: answers to 224.0.1.32 may not come here; or "},
		"-r a group": {Question{Local: own, Response: addr("239.1.1.1")}, "leave out -r: answers to 239.1.1.1 may not come here; or "},
	} {
		got := (&Tracer{q: test.q}).nobody().Fix
		if want := test.want + "name the receiver's router with -g"; got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}
