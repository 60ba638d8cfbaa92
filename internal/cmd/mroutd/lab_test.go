package mroutd

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"mbone/internal/lab"
)

// program prepares mroutd as a process of its own, inside the lab of the tests.
func program(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	lab.Require(t, lab.Netns)
	c := exec.CommandContext(t.Context(), "/proc/self/exe", args...)
	c.Args[0] = "mroutd"
	c.Env = append(os.Environ(), asProgram+"=1")
	return c
}

// run runs mroutd and returns what it printed and its exit code.
func run(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	c := program(t, args...)
	var out, errs bytes.Buffer
	c.Stdout, c.Stderr = &out, &errs
	code, err := lab.ExitCode(c.Run())
	check(t, err)
	return out.String(), errs.String(), code
}

// The demonstration succeeds only if what it shows is true.
func TestDemo(t *testing.T) {
	t.Parallel()
	began := time.Now()
	stdout, stderr, code := run(t, "lab", "demo")
	if took := time.Since(began); took > time.Minute {
		t.Errorf("it took %v, nobody watches for longer than a minute", took)
	}
	if code != 0 || stderr != "" {
		t.Fatalf("exit %d\n%s\n%s", code, stdout, stderr)
	}
	want := []string{
		// callisto and ganymed are two hops away from it, castor and scar are on it.
		"  192.168.7.0/24           2         2         1         1\n",
		"\n  192.168.2.254 -> 192.168.2.7 (192.168.2.7) [1/1]\n",
		"\n192.168.7.7: alias for 192.168.2.7\n",
		"  prune        castor -> ganymed  (211.11.117.0, 224.2.2.2) for ",
		"\n  It passes net211.\n",
		"  graft        castor -> ganymed  (211.11.117.0, 224.2.2.2)\n",
		"  graft-ack   ganymed -> castor   (211.11.117.0, 224.2.2.2)\n  It passes net2, net211, net7.\n",
		" -2  192.168.2.254  DVMRP  thresh^ 1  \n",
		"What mtrace and mstat said is what the kernels have counted.",
	}
	if f, err := os.OpenFile(tunDevice, os.O_RDWR, 0); err == nil {
		check(t, f.Close())
		want = append(want,
			"  192.168.1.254 -> 192.168.14.254 (192.168.14.254) [1/64/tunnel]\n",
			"  It passes net1 (tunnel), net14 (tunnel), net2, net211, net254, net7.\n",
			" -2  192.168.1.254  DVMRP  thresh^ 64  \n")
	} else {
		want = append(want, "There is no tunnel in this run: ", "  It passes net2, net211, net254, net7.\n")
	}
	for _, want := range want {
		if !strings.Contains(stdout, want) {
			t.Errorf("it does not say %q:\n%s", want, stdout)
		}
	}
	// 400 packets were sent twice; the first time all came, the second time some did
	// not.
	if n := strings.Count(stdout, "The sender has sent 400, "); n != 2 {
		t.Errorf("400 packets were sent %d times, want twice:\n%s", n, stdout)
	}
	if n := strings.Count(stdout, " has got 400."); n != 1 {
		t.Errorf("all packets came %d times, want once:\n%s", n, stdout)
	}
	for line := range strings.Lines(stdout) {
		if n := len([]rune(strings.TrimRight(line, "\n"))); n > 80 {
			t.Errorf("a line of %d characters: %s", n, line)
		}
	}
}

// A demonstration that is told to end says so, in whatever it was.
func TestDemoInterrupted(t *testing.T) {
	for _, when := range []string{"1. Which networks", "$ mtrace", "$ mstat"} {
		t.Run(when, func(t *testing.T) {
			t.Parallel()
			c := program(t, "lab", "demo")
			var out, errs lockedBuffer
			c.Stdout, c.Stderr = &out, &errs
			check(t, c.Start())
			lab.Until(t, patience, func() error {
				if !strings.Contains(out.String(), when) {
					return fmt.Errorf("it says %q", out.String())
				}
				return nil
			})
			check(t, c.Process.Signal(os.Interrupt))
			code, err := lab.ExitCode(c.Wait())
			check(t, err)
			if code != 1 || errs.String() != "mroutd: interrupted\n" {
				t.Errorf("exit %d, %q", code, errs.String())
			}
		})
	}
}

// A picture that is not what was counted is an error.
func TestDemoCompare(t *testing.T) {
	const picture = `
211.11.117.10   192.168.7.10     All Multicast Traffic     From 211.11.117.10
     v       __/  rtt    1 ms    Lost/Sent = Pct  Rate       To 224.2.2.2
     v     ^      ttl    1        5/105  =  5%  50 pps    24/100  = 24%  50 pps
     v      \__   ttl    3          100         38 pps       76          38 pps
`
	good := truth{flow: []int{100, 76}, in: []int{100, 100}, out: []int{105, 100}, received: 76}
	clone := func() truth { return good.minus(truth{flow: []int{0, 0}, in: []int{0, 0}, out: []int{0, 0}}) }
	d := &demonstration{out: &bytes.Buffer{}}
	if err := d.compare("mtrace", demoToPC7, 100, good, []byte(picture)); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(*truth){
		"flow":     func(t *truth) { t.flow[1]++ },
		"in":       func(t *truth) { t.in[1]++ },
		"out":      func(t *truth) { t.out[1]++ },
		"received": func(t *truth) { t.received-- },
	} {
		other := clone()
		change(&other)
		if d.compare("mtrace", demoToPC7, 100, other, []byte(picture)) == nil {
			t.Errorf("%s: a difference is not seen", name)
		}
	}
	if d.compare("mtrace", demoToPC7, 99, good, []byte(picture)) == nil {
		t.Error("another number of packets is not seen")
	}
	if d.compare("mtrace", demoToPC7, 100, good, []byte(strings.ReplaceAll(picture, "76 ", "-- "))) == nil {
		t.Error("a missing figure is not seen")
	}
}

func TestLabUp(t *testing.T) { // not parallel: one lab can be reached at a time
	stdout, stderr, code := run(t, "lab", "up", "row", "r2", "sh", "-c", "hostname; mrinfo --version; exit 7")
	if code != 7 || stderr != "" || stdout != "r2\nmrinfo (mbone) 0.1.0\n" {
		t.Errorf("exit %d, %q, %q", code, stdout, stderr)
	}
	// A program of the file that ends is told.
	file := filepath.Join(t.TempDir(), "a.lab")
	check(t, os.WriteFile(file, []byte("lan a\nhost b\n  interface eth0 on a 10.0.0.1/24\n  run mrinfo --nonsense\n"), 0o644))
	c := program(t, "lab", "up", file)
	stdin, err := c.StdinPipe()
	check(t, err)
	var errs lockedBuffer
	c.Stderr = &errs
	check(t, c.Start())
	lab.Until(t, patience, func() error {
		if got := errs.String(); !strings.HasPrefix(got, "mroutd: b: mrinfo --nonsense has ended with exit code 2: mrinfo: unknown option") {
			return fmt.Errorf("it says %q", got)
		}
		return nil
	})
	check(t, stdin.Close()) // the end of its input is its end
	check(t, c.Wait())
}

// A lab that a script puts into the background has the null device as its input:
// that it is at its end says nothing.
func TestLabUpNullInput(t *testing.T) { // not parallel: one lab can be reached at a time
	c := program(t, "lab", "up", "row")
	var out lockedBuffer
	c.Stdout, c.Stderr = &out, &out
	check(t, c.Start())
	lab.Until(t, patience, func() error {
		if !strings.Contains(out.String(), "Ctrl-C ends it.") {
			return fmt.Errorf("it says %q", out.String())
		}
		return nil
	})
	stdout, stderr, code := run(t, "lab", "exec", "r3", "hostname")
	if code != 0 || stdout != "r3\n" || stderr != "" {
		t.Errorf("exit %d, %q, %q", code, stdout, stderr)
	}
	check(t, c.Process.Signal(os.Interrupt))
	check(t, c.Wait())
}

// The command of a lab can reach the other hosts at once.
func TestLabUpExec(t *testing.T) { // not parallel: one lab can be reached at a time
	stdout, stderr, code := run(t, "lab", "up", "row", "r2", "mroutd", "lab", "exec", "r3", "hostname")
	if code != 0 || stderr != "" || stdout != "r3\n" {
		t.Errorf("exit %d, %q, %q", code, stdout, stderr)
	}
}

func TestLabExec(t *testing.T) { // not parallel: one lab can be reached at a time
	c := program(t, "lab", "up", "row")
	stdin, err := c.StdinPipe()
	check(t, err)
	var out lockedBuffer
	c.Stdout, c.Stderr = &out, &out
	check(t, c.Start())
	defer func() {
		check(t, stdin.Close())
		check(t, c.Wait())
	}()
	lab.Until(t, patience, func() error {
		if !strings.Contains(out.String(), "sender, r1, r2, r3, receiver") {
			return fmt.Errorf("it says %q", out.String())
		}
		return nil
	})
	pid := fmt.Sprint(c.Process.Pid)
	lab.Until(t, patience, func() error { // it can be reached a moment later
		stdout, stderr, code := run(t, "lab", "exec", "--pid", pid, "r3", "sh", "-c", "hostname; exit 5")
		if code != 5 || stdout != "r3\n" || stderr != "" {
			return fmt.Errorf("exit %d, %q, %q", code, stdout, stderr)
		}
		return nil
	})
	stdout, stderr, code := run(t, "lab", "exec", "--pid", pid, "r4", "true")
	if code != 3 || stdout != "" || !strings.Contains(stderr, `no host "r4"`) {
		t.Errorf("exit %d, %q, %q", code, stdout, stderr)
	}
}

func TestLabCheck(t *testing.T) {
	stdout, _, code := run(t, "lab", "check", "demo")
	if code != 0 || !strings.Contains(stdout, "\nhost ganymed\n") || !strings.Contains(stdout, "  run mroutd -n -f /run/mroutd.conf") {
		t.Errorf("exit %d\n%s", code, stdout)
	}
	file := filepath.Join(t.TempDir(), "bad.lab")
	check(t, os.WriteFile(file, []byte("lan a\nhost b\n  interface eth0 on c\nfoo\n"), 0o644))
	_, stderr, code := run(t, "lab", "check", file)
	want := []string{"mroutd: " + file + ":3:21: there is no LAN c", "mroutd: " + file + ":4:1: expected "}
	lines := strings.Split(strings.TrimSpace(stderr), "\n")
	if code != 2 || !slices.EqualFunc(lines, want, strings.HasPrefix) {
		t.Errorf("exit %d\n%s", code, stderr)
	}
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"lab"}, 2, "which command?"},
		{[]string{"lab", "down"}, 2, "unknown command"},
		{[]string{"lab", "check"}, 2, "missing argument"},
		{[]string{"lab", "check", "/no/such/file"}, 3, "/no/such/file: no such file; the samples are demo, row, lab-14-1"},
		{[]string{"lab", "up", "row", "nobody"}, 2, "sender, r1, r2, r3, receiver"},
		{[]string{"lab", "up", "row", "r1", "no-such-program"}, 3, "no-such-program"},
		{[]string{"lab", "exec", "r1"}, 2, "missing argument"},
	} {
		stdout, stderr, code := run(t, c.args...)
		if code != c.code || stdout != "" || strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, c.want) {
			t.Errorf("%q: exit %d, %q, %q", c.args, code, stdout, stderr)
		}
	}
}

// The program is the tool whose name it is called by.
func TestCommand(t *testing.T) {
	for _, name := range []string{"mroutd", "map-mbone", "mrinfo", "mstat", "mtrace", "anything"} {
		want := name
		if name == "anything" {
			want = "mroutd"
		}
		var out bytes.Buffer
		code := Command("/some/where/"+name)(t.Context(), []string{"--version"}, nil, &out, &out)
		if !strings.HasPrefix(out.String(), want+" (mbone)") || code != 0 {
			t.Errorf("%s: exit %d, %q", name, code, out.String())
		}
	}
}

// A shell completes samples, and the hosts of the file that was named.
func TestLabComplete(t *testing.T) {
	for _, c := range []struct {
		words []string
		want  string
	}{
		{[]string{"lab", "up", ""}, "demo row lab-14-1"},
		{[]string{"lab", "check", "r"}, "demo row lab-14-1"},
		{[]string{"lab", "up", "row", ""}, "sender r1 r2 r3 receiver"},
		{[]string{"lab", "up", "/no/such/file", ""}, ""},
		{[]string{"lab", "up", "row", "r1", ""}, ""},
		{[]string{"lab", "check", "row", ""}, ""},
	} {
		var stdout, stderr bytes.Buffer
		code := Run(t.Context(), append(c.words, "--generate-bash-completion"), nil, &stdout, &stderr)
		if got := strings.Join(strings.Fields(stdout.String()), " "); got != c.want || code != 0 || stderr.Len() > 0 {
			t.Errorf("%q: exit %d, %q, %q, want %q", c.words, code, got, stderr.String(), c.want)
		}
	}
}
