package trace

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mbone/internal/ask"
	"mbone/internal/ask/asktest"
	"mbone/proto/dvmrp"
	"mbone/proto/mtrace"
)

// traced runs one trace through a chain and returns the chain.
func traced(t *testing.T, hops int, change func(*chain, *Question)) *chain {
	t.Helper()
	c, q := newChain(t, hops), question()
	if change != nil {
		change(c, &q)
	}
	c.listen()
	client := ask.New(c.net, ask.Options{})
	defer client.Close()
	if _, err := New(client, q, nil).Trace(context.Background()); err != nil {
		t.Fatal(err)
	}
	return c
}

// TestDestination follows section 7 of the protocol sheet: a gateway, else the
// link of the receiver, else the group.
func TestDestination(t *testing.T) {
	gateway := addr("10.21.0.2")
	for _, test := range []struct {
		name   string
		change func(*Question)
		to     netip.Addr
		ttl    uint8
		alert  bool
	}{
		{"the receiver's link", func(*Question) {}, allRouters, 1, false},
		{"the receiver's link, Router Alert", func(q *Question) { q.Via.RouterAlert = true }, allRouters, 1, true},
		{"elsewhere", func(q *Question) { q.OnLink = false }, group, 64, true},
		{"elsewhere, TTL", func(q *Question) { q.OnLink, q.TTL = false, 9 }, group, 9, true},
		{"elsewhere, no Router Alert", func(q *Question) { q.OnLink, q.NoRouterAlert = false, true }, group, 64, false},
		{"gateway", func(q *Question) { q.Gateway = gateway }, gateway, 0, false},
		{"gateway, Router Alert", func(q *Question) { q.Gateway, q.Via.RouterAlert = gateway, true }, gateway, 0, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := traced(t, 3, func(_ *chain, q *Question) { test.change(q) })
				if c.to[0] != test.to || c.vias[0].RouterAlert != test.alert {
					t.Errorf("to %s, Router Alert %v; want %s, %v", c.to[0], c.vias[0].RouterAlert, test.to, test.alert)
				}
				sent := c.net.Sent()
				if i := slices.IndexFunc(sent, func(d asktest.Sent) bool { return d.To == test.to && d.Message[0] == 0x1f }); sent[i].TTL != test.ttl {
					t.Errorf("TTL %d, want %d", sent[i].TTL, test.ttl)
				}
			})
		})
	}
}

// asked is what a query wants: hops, and where the answer goes.
type asked struct {
	hops     uint8
	response netip.Addr
	ttl      uint8
}

func (a asked) String() string { return fmt.Sprintf("%d:%s/%d", a.hops, a.response, a.ttl) }

func askedBy(queries []mtrace.Message) []asked {
	var all []asked
	for _, m := range queries {
		all = append(all, asked{m.Hops, m.Response, m.ResponseTTL})
	}
	return all
}

// TestResponseAddress follows the retry schedule of mrouted 4.6: unicast in the
// first half of the tries, then multicast, the last of them with a greater TTL.
func TestResponseAddress(t *testing.T) {
	deaf := func(q func(*Question)) func(*chain, *Question) {
		return func(c *chain, question *Question) {
			for _, r := range c.routers {
				r.toLocal, r.toGroup = false, false
			}
			q(question)
		}
	}
	u := func(hops uint8) asked { return asked{hops, receiver, 255} }
	m := func(hops, ttl uint8) asked { return asked{hops, ResponseGroup, ttl} }
	elsewhere := addr("239.1.2.3")
	for _, test := range []struct {
		name   string
		change func(*chain, *Question)
		want   []asked
	}{
		{"three tries", deaf(func(q *Question) { q.Tries = 3 }), []asked{u(32), u(1), m(1, 64), m(1, 96)}},
		{"five tries", deaf(func(*Question) {}), []asked{u(32), u(1), u(1), m(1, 64), m(1, 96), m(1, 96)}},
		{"limited", deaf(func(q *Question) { q.Limit, q.Tries = 4, 3 }), []asked{u(4), m(4, 64), m(4, 96)}},
		{"multicast only", deaf(func(q *Question) { q.Multicast, q.Tries = true, 2 }), []asked{m(32, 64), m(1, 64), m(1, 96)}},
		{"unicast only", deaf(func(q *Question) { q.Unicast, q.Tries = true, 2 }), []asked{u(32), u(1), u(1)}},
		{"an address of the user", deaf(func(q *Question) { q.Response, q.TTL, q.Tries = elsewhere, 7, 2 }),
			[]asked{{32, elsewhere, 7}, {1, elsewhere, 7}, {1, elsewhere, 7}}},
		// Once multicast has brought an answer it comes first: at the second hop,
		// asked of the first one's own address before, too.
		{"after a multicast answer", func(c *chain, q *Question) {
			q.Tries = 2
			for _, r := range c.routers {
				r.toLocal = false
			}
		}, []asked{u(32), u(1), m(1, 96), m(2, 64), m(3, 64)}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := traced(t, 3, test.change)
				if got := askedBy(c.queries); !slices.Equal(got, test.want) {
					t.Errorf("asked %v\nwant %v", got, test.want)
				}
			})
		})
	}
}

// TestDirectQuestion is what the router behind a hop that passes nothing on is
// asked: for a path that begins on the link between the two.
func TestDirectQuestion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := traced(t, 3, func(c *chain, _ *Question) { c.routers[0].passes = false })
		i := slices.Index(c.to, addr("10.21.0.2"))
		if i < 0 {
			t.Fatal("the second hop was not asked")
		}
		q := c.queries[i]
		if q.Receiver != c.routers[0].Incoming {
			t.Errorf("receiver %s, want %s", q.Receiver, c.routers[0].Incoming)
		}
		if q.Hops != 31 || c.vias[i].RouterAlert {
			t.Errorf("%d hops, Router Alert %v; want 31, false", q.Hops, c.vias[i].RouterAlert)
		}
	})
}

// TestUnicastAfterFirstHop: the second hop is asked of the first one's own
// address, and if that works so are the others.
func TestUnicastAfterFirstHop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first := addr("10.1.0.2")
		for _, alone := range []bool{true, false} {
			c := traced(t, 3, func(c *chain, _ *Question) {
				c.routers[0].alone = alone
				c.routers[2].spare = true // the query for the whole path is lost
			})
			want := []netip.Addr{allRouters, allRouters, first, allRouters, allRouters}
			if alone {
				want = []netip.Addr{allRouters, allRouters, first, first}
			}
			if !slices.Equal(c.to, want) {
				t.Errorf("alone %v: asked %v, want %v", alone, c.to, want)
			}
		}
	})
}

func TestResponseTTL(t *testing.T) {
	tracer := New(nil, question(), nil)
	hops := func(thresholds ...uint8) []hop {
		var all []hop
		for _, f := range thresholds {
			all = append(all, hop{Block: mtrace.Block{FwdTTL: f}})
		}
		return all
	}
	for _, test := range []struct {
		hops []hop
		want uint8
	}{
		{nil, 64},
		{hops(1, 1, 1), 64},     // 3 + 32 is less than the default
		{hops(1, 64, 1), 97},    // 65 at the receiver's end
		{hops(255, 1, 1), 192},  // the most
		{hops(1, 1, 63, 0), 97}, // 63, 64, 65 and 32
	} {
		tracer.hops = test.hops
		if got := tracer.responseTTL(3, 3); got != test.want {
			t.Errorf("%d hops: %d, want %d", len(test.hops), got, test.want)
		}
	}
}

func TestAccept(t *testing.T) {
	tracer := New(nil, question(), nil)
	block := mtrace.Block{
		Incoming: addr("10.20.0.1"), Outgoing: addr("10.1.0.2"), Previous: addr("10.20.0.2"),
		Protocol: mtrace.ProtocolDVMRP, Mask: 24,
	}
	buggy := mtrace.Block{Outgoing: addr("10.9.9.9"), Incoming: addr("0.0.0.0"), Previous: addr("0.0.0.0"), Code: mtrace.CodeNotForwarding}
	last, fatal, atSource := block, block, block
	last.Previous = addr("0.0.0.0")
	fatal.Code = mtrace.CodeNoSpace
	atSource.Incoming = addr("10.4.0.1")
	for _, test := range []struct {
		name  string
		typ   mtrace.Type
		hops  uint8
		block *mtrace.Block
		want  bool
	}{
		{"response", mtrace.TypeResponse, 32, &block, true},
		{"response without a block", mtrace.TypeResponse, 32, nil, false},
		{"request in transit", mtrace.TypeQuery, 32, &block, false},
		{"request with all hops", mtrace.TypeQuery, 1, &block, true},
		{"request without a previous hop", mtrace.TypeQuery, 32, &last, true},
		{"request with a fatal code", mtrace.TypeQuery, 32, &fatal, true},
		{"request at the source", mtrace.TypeQuery, 32, &atSource, true},
		{"IOS bug CSCdi68628", mtrace.TypeResponse, 32, &buggy, false},
	} {
		m := mtrace.Message{Type: test.typ, Hops: test.hops, Source: source}
		if test.block != nil {
			m.Blocks = []mtrace.Block{*test.block}
		}
		if got := tracer.accept(&m); got != test.want {
			t.Errorf("%s: %v", test.name, got)
		}
	}
}

// TestReaches: how routers of several kinds say that the source is next to them.
func TestReaches(t *testing.T) {
	a := addr
	for _, test := range []struct {
		name  string
		block mtrace.Block
		want  bool
	}{
		{"mask", mtrace.Block{Incoming: a("10.4.0.1"), Previous: a("0.0.0.0"), Mask: 24}, true},
		{"mask with S bit", mtrace.Block{Incoming: a("10.4.0.1"), Previous: a("0.0.0.0"), Mask: 0x40 | 24}, true},
		{"mask of another net", mtrace.Block{Incoming: a("10.5.0.1"), Previous: a("0.0.0.0"), Mask: 24}, false},
		{"mask, and a router in between", mtrace.Block{Incoming: a("10.5.0.1"), Previous: a("10.5.0.2"), Mask: 24}, false},
		{"default route", mtrace.Block{Incoming: a("10.5.0.1"), Previous: a("10.5.0.2"), Mask: 1}, false},
		{"pimd", mtrace.Block{Incoming: a("10.4.0.1"), Previous: a("0.0.0.0"), Mask: 0}, true},
		{"pimd, group state", mtrace.Block{Incoming: a("10.4.0.1"), Previous: a("0.0.0.0"), Mask: 0x2f}, true},
		{"FRR", mtrace.Block{Incoming: a("10.4.0.1"), Previous: source, Mask: 0x20}, true},
		{"the source itself", mtrace.Block{Incoming: source, Previous: a("0.0.0.0"), Mask: 0}, true},
		{"rendezvous point", mtrace.Block{Incoming: a("10.7.0.1"), Previous: a("0.0.0.0"), Mask: 63, Code: mtrace.CodeReachedRP}, false},
		{"no route", mtrace.Block{Incoming: a("0.0.0.0"), Previous: a("0.0.0.0"), Code: mtrace.CodeNoRoute}, false},
		{"fatal", mtrace.Block{Incoming: a("10.4.0.1"), Previous: a("0.0.0.0"), Mask: 24, Code: mtrace.CodeNoSpace}, false},
	} {
		if got := reaches(&test.block, source); got != test.want {
			t.Errorf("%s: %v", test.name, got)
		}
	}
}

// TestUnsafeGateway: mrouted 3.3 and 3.5 crash of queries.
func TestUnsafeGateway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for minor, refused := range map[uint8]bool{3: true, 4: false, 5: true, 255: false} {
			c, q := newChain(t, 2), question()
			q.Gateway = c.routers[0].Outgoing
			c.routers[0].mrinfo.Version.Major, c.routers[0].mrinfo.Version.Minor = 3, minor
			client := ask.New(c.net, ask.Options{})
			p, err := New(client, q, nil).Trace(context.Background())
			client.Close()
			if got := err != nil; got != refused || refused && len(c.queries) > 0 {
				t.Errorf("3.%d: error %v, %d queries", minor, err, len(c.queries))
			}
			if p.Reached == refused {
				t.Errorf("3.%d: reached %v", minor, p.Reached)
			}
		}
	})
}

// TestPatience: round trips of a second must not keep a failing run forever.
func TestPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, q := newChain(t, 3), question()
		for _, r := range c.routers[1:] {
			r.toLocal, r.toGroup = false, false
		}
		c.slow = 900 * time.Millisecond
		c.listen()
		client := ask.New(c.net, ask.Options{})
		defer client.Close()
		var steps transcript
		began := time.Now()
		if _, err := New(client, q, steps.tell).Trace(context.Background()); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took > 11*time.Second {
			t.Errorf("took %v", took)
		}
		// The end of the time is the end of the line.
		if got := steps.String(); !strings.HasSuffix(got, "10.21.0.2 no_answer\nend\n") && !strings.HasSuffix(got, "* gives up\nend\n") {
			t.Errorf("steps\n%s", got)
		}
	})
}

func TestTooOld(t *testing.T) {
	for _, test := range []struct {
		major, minor uint8
		want         bool
	}{
		{1, 0, true}, {3, 2, true}, {3, 3, false}, {3, 255, false}, {12, 2, false}, {10, 3, false},
		{2, 1, false}, // pimd
	} {
		if got := tooOld(&dvmrp.Version{Major: test.major, Minor: test.minor}); got != test.want {
			t.Errorf("%d.%d: %v", test.major, test.minor, got)
		}
	}
	if tooOld(nil) {
		t.Error("nothing is known of a silent router")
	}
}
