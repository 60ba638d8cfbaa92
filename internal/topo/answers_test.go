package topo_test

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"mbone/internal/ask"
	"mbone/internal/topo"
	"mbone/proto/dvmrp"
)

// recorded are the answers of a network's routers, asked at the addresses given.
func (n *network) recorded(addrs ...string) []ask.NeighborsAnswer {
	var answers []ask.NeighborsAnswer
	for _, a := range addrs {
		answers = append(answers, n.at(addr(a)).answer(addr(a)))
	}
	return answers
}

func TestFromAnswers(t *testing.T) {
	n := draw(t, `
		a: 1.1>1.2
		b: 1.2>1.1  2.2>2.3
		c: 2.3  3.3>3.4
		d: 3.4>3.3`)
	m := topo.FromAnswers(n.recorded("2.2", "1.1", "3.3"))
	expect(t, m, `
		0 1.1
		0 2.2 = 1.2
		0 3.3 = 2.3
		1 3.4 not_asked (no answer of it is in the recording)
		p2p 1.1 2.2@1.2
		p2p 2.2 3.3@2.3 2.2-/>3.3
		p2p 3.3 3.4`)
	if start := []netip.Addr{addr("1.1"), addr("2.2"), addr("3.3")}; !slices.Equal(m.Start, start) || !m.Complete || !m.Flood || m.Took != nil {
		t.Errorf("start %v, complete %v, flood %v, took %v", m.Start, m.Complete, m.Flood, m.Took)
	}
	if m := topo.FromAnswers(nil); len(m.Routers) != 0 || m.Routers == nil || m.Links == nil || m.Start == nil {
		t.Errorf("of nothing: %+v", m)
	}
}

// Of several answers of a router the best one counts, and of those the latest.
func TestWhichAnswerCounts(t *testing.T) {
	n := draw(t, "a: 1.1>1.2")
	first := n.recorded("1.1")[0]
	for _, test := range []struct {
		name   string
		change func(*ask.NeighborsAnswer) // of an answer that names 1.3
		later  bool                       // it counts
	}{
		{"later", func(a *ask.NeighborsAnswer) { a.Time = first.Time.Add(time.Hour) }, true},
		{"earlier", func(a *ask.NeighborsAnswer) { a.Time = first.Time.Add(-time.Hour) }, false},
		{"damaged", func(a *ask.NeighborsAnswer) { a.Time, a.BadChecksum = first.Time.Add(time.Hour), true }, false},
		{"old", func(a *ask.NeighborsAnswer) { a.Time, a.Old = first.Time.Add(time.Hour), true }, false},
		{"uncertain", func(a *ask.NeighborsAnswer) { a.Time, a.Uncertain = first.Time.Add(time.Hour), true }, false},
	} {
		second := first
		second.Interfaces = []dvmrp.Interface{{Local: addr("1.1"), Neighbors: []netip.Addr{addr("1.3")}}}
		test.change(&second)
		want := addr("1.2")
		if test.later {
			want = addr("1.3")
		}
		m := topo.FromAnswers([]ask.NeighborsAnswer{first, second})
		if len(m.Routers) != 2 || m.Routers[1].Address != want {
			t.Errorf("%s: neighbour %+v, want %v", test.name, m.Routers[1:], want)
		}
		if m.Routers[0].Contradicted {
			t.Errorf("%s: a later answer in a recording is no contradiction", test.name)
		}
	}
}

// In a crawl a router that says different things is marked.
func TestContradictions(t *testing.T) {
	drawing := "a: 1.1>1.2\n b: 1.2  2.2"
	n := draw(t, drawing)
	other := n.routers[1].answer(addr("1.2"))
	other.Interfaces = other.Interfaces[:1]
	conflicting := &conflict{network: n, answer: other}
	m, err := topo.Run(t.Context(), conflicting, everything("1.1"))
	if err != nil {
		t.Fatal(err)
	}
	expect(t, m, `
		0 1.1
		1 1.2 = 2.2 contradicted
		p2p 1.1 1.2 1.1-/>1.2`)
	if got, want := topo.Warnings(m), []string{"10.0.1.2: contradicted by another answer: one of them may be forged or damaged"}; !slices.Equal(got, want) {
		t.Errorf("warnings %q", got)
	}
}

// A damaged address that nobody else speaks of is no alias: that of the pimd of
// Debian, whose answers have a wrong second byte in the first address.
func TestDamagedAnswer(t *testing.T) {
	n := draw(t, `
		a: 1.1>1.2
		b badsum from=1.2: 10.125.2.2>2.3  1.2>1.1`)
	m := n.crawl(t, everything("1.1"))
	expect(t, m, `
		0 1.1
		1 1.2
		2 2.3 silent (no answer to 5 tries)
		p2p 1.1 1.2
		p2p 1.2@10.125.2.2 2.3`)
	if got, want := topo.Warnings(m), []string{"10.0.1.2: bad checksum: the answer may be damaged, as those of Debian's pimd are"}; !slices.Equal(got, want) {
		t.Errorf("warnings %q", got)
	}
}

func TestWarnings(t *testing.T) {
	n := draw(t, `
		a: 1.1>1.2/m=1  1.1>1.2/m=2/tunnel  2.1>2.2/t=1  2.1>2.2/t=1/tunnel  3.1>3.2/t=1  3.1>3.2/t=9  3.1>3.2/t=1
		l lies: 1.2>1.1  2.2`)
	want := []string{
		"inconsistent metric/threshold for neighbor 10.0.1.2 of 10.0.1.1",
		"inconsistent metric/threshold for neighbor 10.0.3.2 of 10.0.1.1",
		"10.0.1.2: calls 10.0.2.2 its own, which is another router's or cannot be confirmed",
	}
	if got := topo.Warnings(n.crawl(t, everything("1.1"))); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// What the ends of a link say of it.
func TestLinkEnds(t *testing.T) {
	m := draw(t, `
		a: 1.1>1.2/m=3/t=16/pim/querier
		b old: 1.2>1.1/m=4  2.2>2.3
		c silent: 2.3`).crawl(t, everything("1.1"))
	var got []string
	for _, l := range m.Links {
		for _, e := range l.Ends {
			s := e.Interface.String()
			if e.Metric != nil {
				s += " m" + string(rune('0'+*e.Metric)) + " t" + string(rune('0'+*e.Threshold%10))
			}
			if e.Flags != nil {
				for _, f := range e.Flags {
					s += " " + f
				}
				s += "."
			}
			got = append(got, s)
		}
	}
	want := []string{"10.0.1.1 m3 t6 pim querier.", "10.0.1.2 m4 t1", "10.0.2.2 m1 t1", "10.0.2.3"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
