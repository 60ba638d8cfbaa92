package fake

import (
	"errors"
	"math"
	"net/netip"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"mbone/internal/ask"
	"mbone/internal/lab"
	"mbone/proto/dvmrp"
)

// client asks in a host as the tools do.
func client(t testing.TB, h *lab.Host) *ask.Client {
	t.Helper()
	c := ask.New(lab.Within(t, h, func() (ask.Transport, error) { return ask.Open(ask.RawOptions{}) }), ask.Options{Rate: 10_000})
	t.Cleanup(func() { c.Close() })
	return c
}

// question is one that a crawl asks.
func crawlQuestion(a netip.Addr) ask.NeighborsQuestion {
	return ask.NeighborsQuestion{Router: a, Linger: -1}
}

// withoutRepeats are records each of which is there once.
func withoutRepeats(records []dvmrp.Interface) []dvmrp.Interface {
	var all []dvmrp.Interface
	for _, i := range records {
		if !slices.ContainsFunc(all, func(o dvmrp.Interface) bool { return reflect.DeepEqual(o, i) }) {
			all = append(all, i)
		}
	}
	return all
}

// TestServe asks every router of a network through the kernel, one by its last
// address, and compares the answers with what it tells.
func TestServe(t *testing.T) {
	t.Parallel()
	l := Start(t, 1)[0]
	p := bad(11, 300)
	p.Long = 0.1
	n := Make(p)
	s := l.Serve(t, n, Conditions{RoundTrip: 20 * time.Millisecond})
	c := client(t, l.Asker)
	var running sync.WaitGroup
	for _, r := range n.routers {
		running.Go(func() {
			asked := r.interfaces[len(r.interfaces)-1].Local
			if r.Behavior == OldForm {
				asked = r.Addresses()[0]
			}
			answers, err := c.Neighbors(t.Context(), crawlQuestion(asked))
			if r.Behavior == Silent {
				if !errors.Is(err, ask.ErrNoAnswer) {
					t.Errorf("a silent router: %+v, %v", answers, err)
				}
				return
			}
			if err != nil || len(answers) != 1 {
				t.Errorf("%s: %v", asked, err)
				return
			}
			a := answers[0]
			from := asked
			if r.Behavior == OtherAddress {
				from = r.source
			}
			if a.From != from && (r.Behavior != Chatting || a.From != r.interfaces[0].Local) {
				t.Errorf("%s: answered by %s, want %s", asked, a.From, from)
			}
			if a.Old != (r.Behavior == OldForm) || a.BadChecksum || a.Version != r.Version {
				t.Errorf("%s: got %+v", asked, a)
			}
			if a.RTT < 20*time.Millisecond && a.Tries == 1 && r.Behavior != Chatting {
				t.Errorf("%s: it took %v", asked, a.RTT)
			}
			want := append(slices.Clone(r.interfaces), r.lies...)
			switch r.Behavior {
			case Endless:
				if !a.Uncertain || !reflect.DeepEqual(a.Interfaces[:len(want)], want) {
					t.Errorf("%s, endless: uncertain is %t, %+v, want first %+v", asked, a.Uncertain, a.Interfaces[:len(want)], want)
				}
			case OldForm:
				if len(a.Interfaces) != len(want)-countLeaves(r) {
					t.Errorf("%s, old: got %+v of %+v", asked, a.Interfaces, want)
				}
			default:
				// What a tool unites may be told in several records.
				if got, want := withoutRepeats(a.Interfaces), withoutRepeats(want); !reflect.DeepEqual(got, want) {
					t.Errorf("%s: got\n%+v\nwant\n%+v", asked, got, want)
				}
			}
		})
	}
	running.Wait()
	if got := s.Stats(); got.Questions < len(n.routers) || got.Answers < len(n.Reachable()) || got.Lost+got.Overflow > 0 {
		t.Errorf("got %+v of %d routers", got, len(n.routers))
	}
}

func countLeaves(r *Router) int {
	n := 0
	for i := range r.interfaces {
		if !inOldForm(&r.interfaces[i]) {
			n++
		}
	}
	return n
}

// TestLoss counts what gets lost.
func TestLoss(t *testing.T) {
	t.Parallel()
	const loss, asked = 0.1, 2000
	l := Start(t, 1)[0]
	n := Make(Plan{Seed: 5, Routers: asked})
	s := l.Serve(t, n, Conditions{Loss: loss})
	c := client(t, l.Asker)
	var mu sync.Mutex
	tries, answered := 0, 0
	var running sync.WaitGroup
	for _, r := range n.routers {
		running.Go(func() {
			q := crawlQuestion(r.interfaces[0].Local)
			q.Tries, q.Wait = 1, 2*time.Second
			_, err := c.Neighbors(t.Context(), q)
			mu.Lock()
			defer mu.Unlock()
			tries++
			if err == nil {
				answered++
			}
		})
	}
	running.Wait()
	want := (1 - loss) * (1 - loss) * asked
	if math.Abs(float64(answered)-want) > 0.05*asked { // 5.6 standard deviations
		t.Errorf("%d of %d answered, want about %.0f", answered, tries, want)
	}
	if got := s.Stats(); got.Questions != asked || got.Lost != asked-answered || got.Overflow != 0 {
		t.Errorf("got %+v, %d answered", got, answered)
	}
}

// BenchmarkServe asks 50,000 routers, 20 ms away, at 10,000 questions a second.
func BenchmarkServe(b *testing.B) {
	l := Start(b, 1)[0]
	n := Make(Typical(1, 50_000))
	reachable := n.Reachable()
	s := l.Serve(b, n, Conditions{RoundTrip: 20 * time.Millisecond})
	c := client(b, l.Asker)
	for b.Loop() {
		began := time.Now()
		var running sync.WaitGroup
		for _, r := range reachable {
			running.Go(func() {
				if _, err := c.Neighbors(b.Context(), crawlQuestion(r.Addresses()[0])); err != nil {
					b.Error(err)
				}
			})
		}
		running.Wait()
		b.ReportMetric(float64(len(reachable))/time.Since(began).Seconds(), "answers/s")
	}
	stats, asked := s.Stats(), c.Stats()
	b.ReportMetric(float64(asked.Sent)/float64(b.N)/float64(len(reachable)), "questions/router")
	if stats.Overflow > 0 {
		b.Errorf("%d questions were too many", stats.Overflow)
	}
}
