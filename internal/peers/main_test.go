package peers

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"mbone/internal/cli"
	mapmbone "mbone/internal/cmd/map-mbone"
	"mbone/internal/cmd/mrinfo"
	"mbone/internal/cmd/mroutd"
	"mbone/internal/cmd/mtrace"
	"mbone/internal/lab"
	"mbone/report"
	"mbone/schema/schematest"
)

// programVariable makes the test binary one of our programs, so that a program
// runs in a host of the lab as it does elsewhere: as a process.
const programVariable = "MBONE_TEST_PROGRAM"

var programs = map[string]func(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int{
	"mrinfo":    mrinfo.Run,
	"mtrace":    mtrace.Run,
	"map-mbone": mapmbone.Run,
	"mroutd":    mroutd.Run,
}

func TestMain(m *testing.M) {
	if run, ok := programs[os.Getenv(programVariable)]; ok {
		cli.Main(run)
	}
	lab.Main(m)
}

// result is what a program left behind.
type result struct {
	code           int
	stdout, stderr []byte
	took           time.Duration
}

// run runs one of our programs in a host and logs what it left behind.
func run(t *testing.T, h *lab.Host, program string, args ...string) result {
	t.Helper()
	r := runQuietly(t, h, program, args...)
	t.Logf("%s: %s %q: exit code %d after %v\n%s%s", h.Name, program, args, r.code, r.took.Round(time.Millisecond), r.stdout, r.stderr)
	return r
}

// runQuietly is run for those who ask again and again.
func runQuietly(t *testing.T, h *lab.Host, program string, args ...string) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	c := command(t, h, program, args...)
	c.Stdout, c.Stderr = &stdout, &stderr
	began := time.Now()
	code, err := lab.ExitCode(c.Run())
	if err != nil {
		t.Fatalf("%s: %v\n%s", program, err, stderr.Bytes())
	}
	return result{code, stdout.Bytes(), stderr.Bytes(), time.Since(began)}
}

// command prepares one of our programs to run in a host.
func command(t *testing.T, h *lab.Host, program string, args ...string) *lab.Cmd {
	t.Helper()
	self, err := os.Executable()
	must(t, err)
	c := h.Command(t.Context(), self, args...)
	c.Env = append(os.Environ(), programVariable+"="+program)
	return c
}

// decode reads the one JSON document that a program has printed.
func decode[T any](t *testing.T, r result) T {
	t.Helper()
	v, err := schematest.One[T](r.stdout)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// said is what a hop says, save times and the count of the group.
func said(h report.Hop) string {
	return fmt.Sprintf("%s from %s at %s, %s ^%d %s %s, in %s out %s",
		known(h.Outgoing), known(h.Previous), known(h.Incoming), h.Protocol, h.FwdTTL, h.Code, value(h.SourceNet), value(h.PacketsIn), value(h.PacketsOut))
}

func known(a report.Address) string {
	if !a.IsValid() {
		return "?"
	}
	return a.String()
}

// value is what a pointer of a document holds.
func value[T any](p *T) string {
	if p == nil {
		return "?"
	}
	return fmt.Sprint(*p)
}

// row makes hosts in a row, with a LAN between any two that follow each other:
// host i (from 0 on) has 10.0.i.2 at eth0 towards the one before and 10.0.i+1.1
// at eth1 towards the one after. All but the ends forward unicast packets.
func row(t *testing.T, names ...string) []*lab.Host {
	t.Helper()
	var topology strings.Builder
	say := func(format string, args ...any) { fmt.Fprintf(&topology, format+"\n", args...) }
	for i, name := range names {
		if i > 0 {
			say("lan net%d", i)
		}
		say("host %s", name)
		if i > 0 {
			say("interface eth0 on net%d %s/24", i, addr(i, 2))
		}
		if i < len(names)-1 {
			say("interface eth1 on net%d %s/24", i+1, addr(i+1, 1))
		}
		if i > 0 && i < len(names)-1 {
			say("sysctl net.ipv4.ip_forward 1")
		}
		for n := 1; n < len(names); n++ {
			switch {
			case n < i:
				say("route %s/24 via %s", addr(n, 0), addr(i, 1))
			case n > i+1:
				say("route %s/24 via %s", addr(n, 0), addr(i+1, 2))
			}
		}
	}
	return lab.Start(t, topology.String()).Hosts()
}

// addr is 10.0.net.host.
func addr(net, host int) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, byte(net), byte(host)}) }
