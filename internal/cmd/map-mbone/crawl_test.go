package mapmbone_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mbone/internal/fake"
	"mbone/internal/lab"
	"mbone/report"
)

// crawling is a run of map-mbone over a fake network.
type crawling struct {
	network        *fake.Network
	command        *lab.Cmd
	stdout, stderr bytes.Buffer
}

// crawl starts map-mbone in the host that asks a fake network.
func crawl(t testing.TB, l fake.Lab, n *fake.Network, format string) *crawling {
	t.Helper()
	r := &crawling{network: n, command: l.Asker.Command(t.Context(), "map-mbone", "-f", "-n", "-o", format, n.Start().String())}
	r.command.Stdout, r.command.Stderr = &r.stdout, &r.stderr
	if err := r.command.Start(); err != nil {
		t.Fatal(err)
	}
	return r
}

// wait returns the map of a crawl, which must be complete.
func (r *crawling) wait(t testing.TB) *report.Map {
	t.Helper()
	code, err := lab.ExitCode(r.command.Wait())
	if err != nil || code != 0 {
		t.Fatalf("exit code %d, %v: %s", code, err, r.stderr.Bytes())
	}
	m := &report.Map{}
	if err := json.Unmarshal(r.stdout.Bytes(), m); err != nil {
		t.Fatal(err)
	}
	if !m.Complete {
		t.Errorf("not complete: %s", m.Reason)
	}
	return m
}

// addresses returns all addresses of a router, sorted, as one string.
func addresses(r *report.MapRouter) string {
	all := []netip.Addr{r.Address}
	for _, a := range r.Aliases {
		all = append(all, a.Address)
	}
	return sorted(all)
}

func sorted(all []netip.Addr) string {
	return fmt.Sprint(slices.SortedFunc(slices.Values(all), netip.Addr.Compare))
}

// compare holds a map against the truth: the routers that can be reached are
// there, each once and with all its addresses; those that are silent are named;
// and nobody else is there.
func compare(t testing.TB, m *report.Map, n *fake.Network) {
	t.Helper()
	want, got := make(map[string]report.RouterState), make(map[string]report.RouterState)
	for _, r := range n.Reachable() {
		want[sorted(r.Addresses())] = report.RouterAnswered
	}
	for _, a := range n.Silent() {
		want[sorted([]netip.Addr{a})] = report.RouterSilent
	}
	for i := range m.Routers {
		r := &m.Routers[i]
		if r.State == report.RouterNotAsked && slices.Contains(fake.NoRouters, r.Address) {
			continue // named by a liar
		}
		got[addresses(r)] = r.State
	}
	for a, state := range want {
		if got[a] != state {
			t.Errorf("%s is %q, want %q", a, got[a], state)
		}
	}
	for a, state := range got {
		if want[a] != state {
			t.Errorf("found %s, %q, want it to be %q", a, state, want[a])
		}
	}
}

// linksOf returns the links of a map between addresses of a network that answer
// and are not of those left out, as strings.
func linksOf(m *report.Map, n *fake.Network, leave func(*fake.Router) bool) map[string]int {
	fine := make(map[netip.Addr]bool)
	for _, r := range n.Reachable() {
		for _, a := range r.Addresses() {
			fine[a] = !leave(r)
		}
	}
	links := make(map[string]int)
	for _, l := range m.Links {
		if !slices.ContainsFunc(l.Ends, func(e report.LinkEnd) bool { return !fine[e.Router] || !fine[e.Interface] }) {
			var ends []string
			for _, e := range l.Ends {
				ends = append(ends, e.Interface.String())
			}
			links[fmt.Sprint(l.Kind, ends, l.OneWay)]++
		}
	}
	return links
}

// TestCrawl maps networks of 300 routers of which 5 % are silent, while 2 % of
// the packets are lost each way: first as they are, then with routers in them
// that misbehave. Ten runs go on side by side: most of their time they wait for
// the silent.
func TestCrawl(t *testing.T) {
	const seeds = 10
	labs := fake.Start(t, seeds)
	maps := func(spoil func(*fake.Plan)) (all []*report.Map, networks []*fake.Network) {
		var runs []*crawling
		var servers []*fake.Server
		for i, l := range labs {
			p := fake.Typical(uint64(i+1), 300)
			p.Silent = 0.05
			spoil(&p)
			n := fake.Make(p)
			servers = append(servers, l.Serve(t, n, fake.Conditions{Loss: 0.02, RoundTrip: 5 * time.Millisecond}))
			networks = append(networks, n)
			runs = append(runs, crawl(t, l, n, "json"))
		}
		for i, r := range runs {
			all = append(all, r.wait(t))
			servers[i].Close()
		}
		return all, networks
	}
	clean, networks := maps(func(*fake.Plan) {})
	misled, worse := maps(func(p *fake.Plan) { p.Chatting, p.Lying, p.Endless = 1, 1, 1 })
	for i := range labs {
		t.Run("seed "+strconv.Itoa(i+1), func(t *testing.T) {
			compare(t, clean[i], networks[i])
			compare(t, misled[i], worse[i])

			// Links of which no end misbehaves are the same.
			leave := func(r *fake.Router) bool { return r.Behavior >= fake.Chatting }
			got, want := linksOf(misled[i], worse[i], leave), linksOf(clean[i], worse[i], leave)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("where routers misbehave, links elsewhere differ:\n%s", diff)
			}
			if len(want) < 200 {
				t.Errorf("%d links", len(want))
			}
		})
	}
}

// TestCrawlSeen lets tcpdump count the packets of a crawl on the link.
func TestCrawlSeen(t *testing.T) {
	t.Parallel()
	lab.Require(t, lab.Peers, "tcpdump")
	l := fake.Start(t, 1)[0]
	path, err := lab.Find("tcpdump")
	if err != nil {
		t.Fatal(err)
	}
	// By default it has room for 32 packets that it has not printed yet.
	dump := l.Host.Command(t.Context(), path, "-n", "-l", "--immediate-mode", "-B", "16384", "-s", "1024", "-i", "eth0", "igmp")
	if err := dump.Start(); err != nil {
		t.Fatal(err)
	}
	lab.Until(t, patience, func() error {
		if !strings.Contains(dump.Log(), "listening on") {
			return errors.New("tcpdump does not listen")
		}
		return nil
	})
	n := fake.Make(fake.Plan{Seed: 1, Routers: 300})
	l.Serve(t, n, fake.Conditions{})
	compare(t, crawl(t, l, n, "json").wait(t), n)
	want := []string{
		fmt.Sprintf("> %s: igmp dvmrp Ask-neighbors2", n.Start()),
		fmt.Sprintf("%s > 192.0.2.1: igmp dvmrp Neighbors2", n.Start()),
	}
	lab.Until(t, patience, func() error {
		log := dump.Log()
		if n := strings.Count(log, ": igmp dvmrp"); n < 300 {
			return fmt.Errorf("%d packets", n)
		}
		for _, w := range want {
			if !strings.Contains(log, w) {
				return fmt.Errorf("no packet %q", w)
			}
		}
		return nil
	})
	if err := dump.Stop(patience); err != nil {
		t.Fatal(err)
	}
}
