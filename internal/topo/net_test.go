package topo_test

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"mbone/internal/ask"
	"mbone/internal/topo"
	"mbone/proto/dvmrp"
	"mbone/report"
)

// A network of these tests is drawn in lines, a router each:
//
//	NAME [silent] [old] [from=ADDR] [badsum] [lies] [true=N]: LOCAL>NEIGHBOR,NEIGHBOR[/FLAG...] LOCAL ...
//
// An address of two numbers, 1.2, stands for 10.0.1.2. LOCAL/stub stands for an
// interface without neighbours, METRIC and THRESHOLD are 1 unless /m=N, /t=N.
// lies: it has no address but the first N, one by default; it merely claims the
// others.
type network struct {
	routers []*router
	owners  map[netip.Addr]*router // see index

	mu       sync.Mutex
	asked    []netip.Addr // in order
	inFlight int
	most     int // in flight at once
}

type router struct {
	name                      string
	silent, old, badsum, lies bool
	from                      netip.Addr
	records                   []dvmrp.Interface
	truth                     int // of a liar: how many of them are true; 0: the first
}

// addr reads an address.
func addr(s string) netip.Addr {
	if strings.Count(s, ".") == 1 {
		s = "10.0." + s
	}
	return netip.MustParseAddr(s)
}

// short is the reverse of addr.
func short(a netip.Addr) string { return strings.TrimPrefix(a.String(), "10.0.") }

var flags = map[string]dvmrp.InterfaceFlags{
	"tunnel": dvmrp.FlagTunnel, "srcrt": dvmrp.FlagSrcRt, "pim": dvmrp.FlagPIM, "down": dvmrp.FlagDown,
	"disabled": dvmrp.FlagDisabled, "querier": dvmrp.FlagQuerier, "leaf": dvmrp.FlagLeaf,
}

// draw reads a network.
func draw(t testing.TB, drawing string) *network {
	t.Helper()
	n := new(network)
	for line := range strings.Lines(drawing) {
		head, rest, ok := strings.Cut(strings.TrimSpace(line), ":")
		if !ok {
			continue
		}
		r := new(router)
		for i, word := range strings.Fields(head) {
			value, isFrom := strings.CutPrefix(word, "from=")
			switch {
			case i == 0:
				r.name = word
			case isFrom:
				r.from = addr(value)
			case word == "silent":
				r.silent = true
			case word == "old":
				r.old = true
			case word == "badsum":
				r.badsum = true
			case word == "lies":
				r.lies = true
			case strings.HasPrefix(word, "true="):
				r.truth, _ = strconv.Atoi(word[len("true="):])
			default:
				t.Fatalf("%q: unknown word %q", line, word)
			}
		}
		for _, word := range strings.Fields(rest) {
			parts := strings.Split(word, "/")
			local, neighbors, _ := strings.Cut(parts[0], ">")
			record := dvmrp.Interface{Local: addr(local), Metric: 1, Threshold: 1}
			for _, x := range strings.FieldsFunc(neighbors, func(r rune) bool { return r == ',' }) {
				record.Neighbors = append(record.Neighbors, addr(x))
			}
			if len(record.Neighbors) == 0 {
				record.Neighbors = []netip.Addr{netip.IPv4Unspecified()}
			}
			for _, p := range parts[1:] {
				name, value, assigned := strings.Cut(p, "=")
				number, _ := strconv.Atoi(value)
				switch {
				case p == "stub":
				case assigned && name == "m":
					record.Metric = uint8(number)
				case assigned && name == "t":
					record.Threshold = uint8(number)
				default:
					f, known := flags[p]
					if !known {
						t.Fatalf("%q: unknown flag %q", line, p)
					}
					record.Flags |= f
				}
			}
			r.records = append(r.records, record)
		}
		n.routers = append(n.routers, r)
	}
	return n
}

// owns is whether questions to an address reach a router.
func (r *router) owns(a netip.Addr) bool {
	if r.lies {
		return r.from == a || slices.ContainsFunc(r.records[:min(max(r.truth, 1), len(r.records))], func(i dvmrp.Interface) bool { return i.Local == a })
	}
	return r.from == a || slices.ContainsFunc(r.records, func(i dvmrp.Interface) bool { return i.Local == a })
}

// at returns the router that questions to an address reach: the first one in the
// drawing that has it.
func (n *network) at(a netip.Addr) *router {
	if n.owners != nil {
		return n.owners[a]
	}
	for _, r := range n.routers {
		if r.owns(a) {
			return r
		}
	}
	return nil
}

// index makes at quick, in a network that does not change any more.
func (n *network) index() {
	owners := make(map[netip.Addr]*router)
	for _, r := range slices.Backward(n.routers) {
		for _, i := range r.records {
			owners[i.Local] = r
		}
	}
	n.owners = owners
}

// answer is what a router says, asked at an address.
func (r *router) answer(asked netip.Addr) ask.NeighborsAnswer {
	a := ask.NeighborsAnswer{
		Asked: asked, From: asked, Version: dvmrp.Mrouted, Old: r.old, BadChecksum: r.badsum,
		Interfaces: slices.Clone(r.records), RTT: 1e6, Tries: 1, Packets: 1,
	}
	if r.from.IsValid() {
		a.From = r.from
	}
	if r.old {
		a.Version = dvmrp.Version{}
		for i := range a.Interfaces {
			a.Interfaces[i].Flags = 0
		}
	}
	return a
}

// silence is what ask.Client returns of a router that does not answer.
func silence(a netip.Addr) error {
	return &ask.OpError{Op: "ask", Object: a.String(), Err: ask.ErrNoAnswer, Tries: 5}
}

// Neighbors implements topo.Asker.
func (n *network) Neighbors(_ context.Context, q ask.NeighborsQuestion) ([]ask.NeighborsAnswer, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.asked = append(n.asked, q.Router)
	if r := n.at(q.Router); r != nil && !r.silent {
		return []ask.NeighborsAnswer{r.answer(q.Router)}, nil
	}
	return nil, silence(q.Router)
}

// everything is a crawl without bounds from an address.
func everything(start string) topo.Crawl {
	return topo.Crawl{Start: []netip.Addr{addr(start)}, Flood: true, Depth: -1, Question: ask.NeighborsQuestion{Linger: -1}}
}

// crawl crawls a network, one router after the other.
func (n *network) crawl(t testing.TB, c topo.Crawl) *report.Map {
	t.Helper()
	c.InFlight = 1
	m, err := topo.Run(t.Context(), n, c)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// text writes a map in lines:
//
//	DEPTH ROUTER [= ALIAS ...] [! DISPUTED ...] [silent|not_asked (REASON)] [old] ...
//	KIND ROUTER[@INTERFACE] ... [FROM-/>TO ...]
func text(m *report.Map) string {
	var b strings.Builder
	for _, r := range m.Routers {
		fmt.Fprintf(&b, "%d %s", r.Depth, short(r.Address))
		for i, a := range r.Aliases {
			if i == 0 {
				b.WriteString(" =")
			}
			b.WriteString(" " + short(a.Address))
		}
		for i, a := range r.Disputed {
			if i == 0 {
				b.WriteString(" !")
			}
			b.WriteString(" " + short(a))
		}
		if r.State != report.RouterAnswered {
			fmt.Fprintf(&b, " %s (%s)", r.State, r.Reason)
		}
		if r.OldForm {
			b.WriteString(" old")
		}
		if r.Contradicted {
			b.WriteString(" contradicted")
		}
		b.WriteString("\n")
	}
	for _, l := range m.Links {
		b.WriteString(map[report.LinkKind]string{report.LinkPointToPoint: "p2p", report.LinkLAN: "lan", report.LinkTunnel: "tunnel"}[l.Kind])
		for _, e := range l.Ends {
			b.WriteString(" " + short(e.Router))
			if e.Interface != e.Router {
				b.WriteString("@" + short(e.Interface))
			}
		}
		for _, o := range l.OneWay {
			fmt.Fprintf(&b, " %s-/>%s", short(o.From), short(o.To))
		}
		b.WriteString("\n")
	}
	return b.String()
}

// expect compares a map with the text of one.
func expect(t testing.TB, m *report.Map, want string) {
	t.Helper()
	var lines []string
	for line := range strings.Lines(want) {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	if got := strings.TrimSpace(text(m)); got != strings.Join(lines, "\n") {
		t.Errorf("got\n%s\nwant\n%s", got, strings.Join(lines, "\n"))
	}
}

// conflict is a network in which a second answer contradicts the first.
type conflict struct {
	*network
	answer ask.NeighborsAnswer
}

func (c *conflict) Neighbors(ctx context.Context, q ask.NeighborsQuestion) ([]ask.NeighborsAnswer, error) {
	answers, err := c.network.Neighbors(ctx, q)
	if len(answers) > 0 && answers[0].From == c.answer.From {
		answers[0].Conflicts = []ask.NeighborsAnswer{c.answer}
	}
	return answers, err
}
