package mapmbone_test

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"mbone/internal/fake"
	"mbone/internal/lab"
)

// BenchmarkCrawl maps networks whose routers are 20 ms away. It reports, beside
// the time of a run, how long as many round trips take as the farthest router is
// steps away, the memory of the program (the test binary), the questions a
// router, and how long the classic tool takes on the same network, if there is
// one: it has no pace, and the largest networks are too large for it.
func BenchmarkCrawl(b *testing.B) {
	const roundTrip = 20 * time.Millisecond
	real := func(routers int) fake.Plan {
		p := fake.Typical(1, routers)
		p.Silent = 0.05
		return p
	}
	for _, test := range []struct {
		name string
		plan fake.Plan
		loss float64
	}{
		{"clean", fake.Plan{Seed: 1, Routers: 1000}, 0},
		{"clean", fake.Plan{Seed: 1, Routers: 5000}, 0},
		{"typical", fake.Typical(1, 5000), 0},
		{"silence and loss", real(1000), 0.02},
		{"silence and loss", real(5000), 0.02},
		{"clean", fake.Plan{Seed: 1, Routers: 50_000}, 0},
	} {
		b.Run(fmt.Sprintf("%s/%d", test.name, test.plan.Routers), func(b *testing.B) {
			l := fake.Start(b, 1)[0]
			n := fake.Make(test.plan)
			s := l.Serve(b, n, fake.Conditions{Loss: test.loss, RoundTrip: roundTrip})
			for b.Loop() {
				text := crawl(b, l, n, "text")
				if err := text.command.Wait(); err != nil {
					b.Fatalf("%v: %s", err, text.stderr.Bytes())
				}
			}
			b.ReportMetric(b.Elapsed().Seconds()/float64(b.N), "s")
			b.ReportMetric((time.Duration(n.Depth()+1) * roundTrip).Seconds(), "s-depth")
			b.ReportMetric(float64(s.Stats().Questions)/float64(b.N)/float64(len(n.Reachable())), "questions/router")
			document := crawl(b, l, n, "json")
			b.ReportMetric(float64(peak(document.command))/1024, "MiB")
			compare(b, document.wait(b), n)
			if classic := os.Getenv(classicVariable); classic != "" {
				began := time.Now()
				out, err := l.Asker.Command(b.Context(), classic, "-f", "-n", n.Start().String()).Output()
				if err != nil {
					b.Logf("the classic tool: %v", err)
					return
				}
				b.ReportMetric(time.Since(began).Seconds(), "s-classic")
				b.ReportMetric(float64(strings.Count(string(out), " <v")), "routers-classic")
			}
		})
	}
}

// peak waits for the end of a program and returns the most memory that it had
// resident, in KiB. What the system says after the end counts the memory of this
// process, too, which the new one shares until it has become the program.
func peak(c *lab.Cmd) int {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	most := 0
	for {
		select {
		case <-c.Done():
			return most
		case <-tick.C:
			status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", c.Process.Pid)) // empty: it has ended
			if _, rest, ok := strings.Cut(string(status), "VmHWM:"); ok {
				n, _ := strconv.Atoi(strings.Fields(rest)[0])
				most = max(most, n)
			}
		}
	}
}
