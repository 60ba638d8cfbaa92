package mapmbone_test

import (
	"fmt"
	"os"
	"syscall"
	"testing"
	"time"

	"mbone/internal/fake"
	"mbone/internal/lab"
)

// BenchmarkCrawl maps networks whose routers are 20 ms away. It reports, beside
// the time of a run, the time of as many round trips as the farthest router is
// steps away, the memory of the program (the test binary), and how long the
// classic tool takes on the same network, if there is one.
func BenchmarkCrawl(b *testing.B) {
	const roundTrip = 20 * time.Millisecond
	for _, test := range []struct {
		routers      int
		loss, silent float64
	}{
		{1000, 0, 0}, {5000, 0, 0}, {1000, 0.02, 0.05}, {5000, 0.02, 0.05}, {50_000, 0, 0},
	} {
		b.Run(fmt.Sprintf("routers=%d/loss=%v/silent=%v", test.routers, test.loss, test.silent), func(b *testing.B) {
			l := fake.Start(b, 1)[0]
			p := fake.Typical(1, test.routers)
			p.Silent = test.silent
			n := fake.Make(p)
			l.Serve(b, n, fake.Conditions{Loss: test.loss, RoundTrip: roundTrip})
			var memory int64
			var last *crawling
			for b.Loop() {
				last = crawl(b, l, n)
				if code, err := lab.ExitCode(last.command.Wait()); err != nil || code != 0 {
					b.Fatalf("exit code %d, %v: %s", code, err, last.stderr.Bytes())
				}
				memory = max(memory, last.command.ProcessState.SysUsage().(*syscall.Rusage).Maxrss)
			}
			b.ReportMetric(b.Elapsed().Seconds()/float64(b.N), "s")
			b.ReportMetric((time.Duration(n.Depth()+1) * roundTrip).Seconds(), "s-depth")
			b.ReportMetric(float64(memory)/1024, "MiB")
			compare(b, last.wait(b), n)
			if classic := os.Getenv(classicVariable); classic != "" {
				began := time.Now()
				if out, err := l.Asker.Command(b.Context(), classic, "-f", "-n", n.Start().String()).Output(); err != nil || len(out) == 0 {
					b.Fatalf("%s: %d bytes, %v", classic, len(out), err)
				}
				b.ReportMetric(time.Since(began).Seconds(), "s-classic")
			}
		})
	}
}
