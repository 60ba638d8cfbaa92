package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"mbone/report"
)

// The command of these tests. It prints its arguments, and ends as asked for.
type sample struct {
	numeric bool
	count   int
	wait    time.Duration
	end     string
	via     string
}

func (s *sample) spec() *Spec {
	return &Spec{
		Name: "sample", Summary: "Do nothing", Args: "[thing...]", MaxArgs: 2,
		Flags: []Flag{
			Bool(&s.numeric, "n", "numbers"),
			Int(&s.count, "c,count", "N", 1, 9, "how often"),
			Seconds(&s.wait, "w", "SEC", "how long"),
			Text(&s.end, "end", "HOW", "how it ends"),
			Text(&s.via, "v,via", "HOST", "which way"),
		},
		Formats: []string{"text", "json", "dot"},
		Schema:  "mbone/sample",
		Empty: func(d report.Document) any {
			return struct {
				report.Document
				Things []string `json:"things"`
			}{d, []string{}}
		},
		Notes: []string{"A note."},
		Commands: []*Spec{{
			Name: "sub", Summary: "Do less", Args: "one", MinArgs: 1, MaxArgs: 1,
			Action: func(_ context.Context, c *Call) error {
				fmt.Fprintln(c.Stdout, "sub", c.Args)
				return nil
			},
		}},
		Action: func(_ context.Context, c *Call) error {
			switch s.end {
			case "warn":
				c.Warn("a\x1b[2J\nb")
			case "refuse":
				return &Error{Code: ExitFailed, What: "socket", Err: os.ErrPermission, Fix: "become root"}
			case "part":
				c.Warn("thing 2: silent")
				if c.JSON() {
					if err := c.WriteJSON(c.Document("1 of 2")); err != nil {
						return err
					}
				}
				return Exit(ExitIncomplete)
			case "other":
				return errors.New("odd")
			}
			if c.JSON() {
				return c.WriteJSON(c.Document(""))
			}
			fmt.Fprintln(c.Stdout, c.Args, s.numeric, s.count, s.wait, c.Format)
			return nil
		},
	}
}

// run runs the sample command and returns what came of it.
func run(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	code = Run(t.Context(), new(sample).spec(), args, strings.NewReader(""), &out, &err)
	return code, out.String(), err.String()
}

func TestRun(t *testing.T) {
	tests := []struct {
		name, args     string
		code           int
		stdout, stderr string
	}{
		{"defaults", "", 0, "[] false 0 0s text\n", ""},
		{"all flags", "a -nc3 b -w 0.25 -o dot", 0, "[a b] true 3 250ms dot\n", ""},
		{"long name, unit", "--count=4 -w2m", 0, "[] false 4 2m0s text\n", ""},
		{"both names", "--count=4 -c 5", 0, "[] false 5 0s text\n", ""},
		{"arguments like commands and options", "-- help -n", 0, "[help -n] false 0 0s text\n", ""},
		{"same format twice", "-o dot --format dot", 0, "[] false 0 0s dot\n", ""},
		{"subcommand", "sub x", 0, "sub [x]\n", ""},
		{"version", "--version", 0, "sample (mbone) " + Version + "\n", ""},
		{"warning is cleaned", "--end warn", 0, "[] false 0 0s text\n", "sample: a\ufffd[2J\ufffdb\n"},

		{"unknown option", "-x", 2, "", "sample: unknown option -x; see sample --help\n"},
		{"unknown option of a subcommand", "sub -n x", 2, "", "sample: unknown option -n; see sample sub --help\n"},
		{"not a number", "-c x", 2, "", "sample: -c x: not a number of 1 to 9; see sample --help\n"},
		{"number too big", "--count 10", 2, "", "sample: -c 10: not a number of 1 to 9; see sample --help\n"},
		{"no time", "-w 0", 2, "", "sample: -w 0: not a number of seconds above 0 and at most a day (2, 0.5, 250ms); see sample --help\n"},
		{"endless time", "-w 1e300", 2, "", "sample: -w 1e300: not a number of seconds above 0 and at most a day (2, 0.5, 250ms); see sample --help\n"},
		{"no number at all", "-w nan", 2, "", "sample: -w nan: not a number of seconds above 0 and at most a day (2, 0.5, 250ms); see sample --help\n"},
		{"unknown format", "-o png", 2, "", "sample: -o png: not one of text, json, dot; see sample --help\n"},
		{"too many arguments", "a b c", 2, "", "sample: unexpected argument c: usage: sample [command] [option...] [thing...]; see sample --help\n"},
		{"too few arguments", "sub", 2, "", "sample: missing argument: usage: sample sub [option...] one; see sample sub --help\n"},
		{"option before a command", "a -n b sub", 2, "", "sample: options of sample sub go after its name; see sample --help\n"},
		{"could not", "--end refuse", 3, "", "sample: socket: permission denied; become root\n"},
		{"in part", "--end part", 1, "", "sample: thing 2: silent\n"},
		{"any other error", "--end other", 3, "", "sample: odd\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			code, stdout, stderr := run(t, strings.Fields(tt.args)...)
			if code != tt.code || stdout != tt.stdout || stderr != tt.stderr {
				t.Errorf("got  %d %q %q\nwant %d %q %q", code, stdout, stderr, tt.code, tt.stdout, tt.stderr)
			}
		})
	}
}

// With JSON there is one document on standard output, whatever happened.
func TestRunJSON(t *testing.T) {
	tests := []struct {
		args     string
		code     int
		complete bool
		reason   string
		lines    int // of errors
	}{
		{"--json", 0, true, "", 0},
		{"-o json --json", 0, true, "", 0},
		{"--json --end part", 1, false, "1 of 2", 1},
		{"--json --end refuse", 3, false, "socket: " + os.ErrPermission.Error() + "; become root", 1},
		{"-x --json", 2, false, "unknown option -x; see sample --help", 1},
		{"-x -ojson", 2, false, "unknown option -x; see sample --help", 1},
		{"--json -c", 2, false, "option -c needs a value; see sample --help", 1},
		{"--format=json a b c", 2, false, "unexpected argument c: usage: sample [command] [option...] [thing...]; see sample --help", 1},
		{"--json -w x", 2, false, "-w x: not a number of seconds above 0 and at most a day (2, 0.5, 250ms); see sample --help", 1},
		{"-o dot --json", 2, false, "output formats dot and json contradict each other; see sample --help", 1},
		{"-o json -o text", 2, false, "output formats json and text contradict each other; see sample --help", 1},
		{"--json --out /nonexistent/x", 3, false, "/nonexistent/x: no such file or directory; choose a file that can be written with --out", 1},
	}
	for _, tt := range tests {
		t.Run(tt.args, func(t *testing.T) {
			code, stdout, stderr := run(t, strings.Fields(tt.args)...)
			if code != tt.code {
				t.Errorf("exit code %d, want %d", code, tt.code)
			}
			var d report.Document
			dec := json.NewDecoder(strings.NewReader(stdout))
			if err := dec.Decode(&d); err != nil {
				t.Fatalf("%v in %q", err, stdout)
			}
			if err := dec.Decode(&d); err != io.EOF {
				t.Errorf("more than one document: %q", stdout)
			}
			if d.Schema != "mbone/sample" || d.Version != 1 || d.Complete != tt.complete || d.Reason != tt.reason {
				t.Errorf("got %+v", d)
			}
			if d.Errors == nil || len(d.Errors) != tt.lines || strings.Count(stderr, "\n") != tt.lines {
				t.Errorf("errors %q, standard error %q, want %d lines", d.Errors, stderr, tt.lines)
			}
			if tt.code >= 2 && !strings.Contains(stdout, `"things": []`) {
				t.Errorf("the document lacks its own keys: %s", stdout)
			}
		})
	}
}

func TestOut(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "report")
	if err := os.WriteFile(file, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink("report", link); err != nil {
		t.Fatal(err)
	}
	read := func() string {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	if code, stdout, stderr := run(t, "--out", link, "--end", "refuse"); code != 3 || stdout != "" || read() != "old" {
		t.Errorf("a run that failed changed the file: %d %q %q %q", code, stdout, stderr, read())
	}
	if code, stdout, stderr := run(t, "--out", link, "x"); code != 0 || stdout != "" || read() != "[x] false 0 0s text\n" {
		t.Errorf("got %d %q %q %q", code, stdout, stderr, read())
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link was replaced: %v, %v", info, err)
	}
	if code, stdout, _ := run(t, "--out", file, "--json", "--end", "refuse"); code != 3 || stdout != "" || !json.Valid([]byte(read())) {
		t.Errorf("got %d %q %q", code, stdout, read())
	}
	if code, stdout, _ := run(t, "--out", "-", "x"); code != 0 || stdout == "" {
		t.Errorf("a dash is not standard output: %d %q", code, stdout)
	}
	if code, _, stderr := run(t, "--out", "/dev/null", "x"); code != 0 {
		t.Errorf("a device cannot be written: %d %q", code, stderr)
	}
	if info, err := os.Stat("/dev/null"); err != nil || info.Mode().IsRegular() {
		t.Fatal("a device was replaced by a file")
	}
	if code, _, stderr := run(t, "--out", "/dev/full", "x"); code != 3 || stderr != "sample: /dev/full: no space left on device\n" {
		t.Errorf("a full device: %d %q", code, stderr)
	}
	if code, _, stderr := run(t, "--out", dir); code != 3 || !strings.HasPrefix(stderr, "sample: "+dir+": is a directory") {
		t.Errorf("got %d %q", code, stderr)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 2 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// A pipe that nobody reads does not hold a run that is told to end.
func TestOutputPipe(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	var stdout, stderr bytes.Buffer
	code := Run(ctx, new(sample).spec(), []string{"--json", "--out", pipe}, nil, &stdout, &stderr)
	if want := "sample: " + pipe + ": interrupted\n"; code != 1 || stderr.String() != want || !json.Valid(stdout.Bytes()) {
		t.Errorf("got %d %q %q, want 1 %q", code, &stderr, &stdout, want)
	}
}

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errors.New("no space left on device") }

func TestFullDisk(t *testing.T) {
	for _, args := range [][]string{nil, {"--json"}, {"--help"}} {
		var stderr bytes.Buffer
		code := Run(t.Context(), new(sample).spec(), args, nil, fullDisk{}, &stderr)
		if want := "sample: standard output: no space left on device\n"; code != 3 || stderr.String() != want {
			t.Errorf("%q: got %d %q, want 3 %q", args, code, stderr.String(), want)
		}
	}
}

// In JSON no character can steer a terminal, and none is lost.
func TestWriteJSONControls(t *testing.T) {
	var b bytes.Buffer
	c := &Call{Stdout: &b, Format: "ndjson", spec: new(sample).spec()}
	in := "a\x1b[2J\u009b2J\u202e\x7f\ufeffü日"
	if err := c.WriteJSON(in); err != nil {
		t.Fatal(err)
	}
	for _, r := range strings.TrimSuffix(b.String(), "\n") {
		if !report.IsPrintable(r) {
			t.Errorf("%q holds %q", b.String(), r)
		}
	}
	var out string
	if err := json.Unmarshal(b.Bytes(), &out); err != nil || out != in {
		t.Errorf("%q became %q, %v", in, out, err)
	}
}

func TestHelp(t *testing.T) {
	many := new(sample).spec()
	for _, letter := range "abdefgijklmpqrstuvxyz" {
		many.Flags = append(many.Flags, Int(new(int), string(letter), "NUM", 0, 1, "set what it is in the field"))
	}
	asking := &Spec{Name: "ask", Summary: "Ask", Flags: NewAsking().Flags(), Formats: []string{"text", "json"}}
	for _, spec := range []*Spec{new(sample).spec(), many, asking} {
		spec.Flags = append(spec.Flags, Common(Bool(new(bool), "very-long-name-of-a-flag", "do something special"))...)
		var out, stderr bytes.Buffer
		if code := Run(t.Context(), spec, []string{"--help"}, nil, &out, &stderr); code != 0 || stderr.Len() > 0 {
			t.Fatalf("got %d %q", code, &stderr)
		}
		lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
		if len(lines) > 23 {
			t.Errorf("%d lines do not fit a screen:\n%s", len(lines), &out)
		}
		for _, l := range lines {
			if n := utf8.RuneCountInString(l); n > 79 {
				t.Errorf("%d columns: %s", n, l)
			}
		}
		for _, f := range spec.AllFlags() {
			for _, name := range f.Names() {
				if !strings.Contains(out.String(), dashed(name)) {
					t.Errorf("%s is missing:\n%s", dashed(name), &out)
				}
			}
		}
	}
}

func TestComplete(t *testing.T) {
	tests := []struct{ args, has, hasNot string }{
		{"", "--count sub -n --json", ""},
		{"-", "--count --completion -c", ""},
		{"-o", "text json dot", ""},
		{"--format j", "json", "-n sub"},
		{"sub --", "--help", "--count"},
		{"a b", "", "sub -n text"},
	}
	for _, tt := range tests {
		_, stdout, stderr := run(t, append(strings.Fields(tt.args), "--generate-bash-completion")...)
		words := strings.Fields(stdout)
		for _, w := range strings.Fields(tt.has) {
			if !slices.Contains(words, w) {
				t.Errorf("%q: %s is missing in %q %q", tt.args, w, words, stderr)
			}
		}
		for _, w := range strings.Fields(tt.hasNot) {
			if slices.Contains(words, w) {
				t.Errorf("%q: %s should not be in %q", tt.args, w, words)
			}
		}
	}
}

// TestCompleteValues: the value of an option is completed as such, wherever it
// stands; where there are no words it is left to the shell, which knows hosts only
// where the program says so.
func TestCompleteValues(t *testing.T) {
	for _, tt := range []struct {
		args  []string
		want  string // "*": any
		hosts bool
	}{
		{[]string{"--out", ""}, "", false},
		{[]string{"--out=x"}, "", false},
		{[]string{"--out", "=", "x"}, "", false},
		{[]string{"-c", ""}, "", false},
		{[]string{"--via", ""}, "", true},
		{[]string{"-nv", "a"}, "", true},
		{[]string{"--format", ""}, "text json dot", false},
		{[]string{"-no", ""}, "text json dot", false},
		{[]string{"a", "--format=j"}, "--format=text --format=json --format=dot", false},
		{[]string{"a", "--format", "=", "j"}, "text json dot", false}, // as bash splits it
		{[]string{"a", "--format", "="}, "text json dot", false},
		{[]string{"--format", "=", "json", ""}, "", true},
		{[]string{"--format=json", "a"}, "", true},
		{[]string{"--", "-o", ""}, "", true},
		{[]string{"--out", "--format", ""}, "", true}, // the file --format
		{[]string{"--json=j"}, "*", false},            // takes no value
		{[]string{"-n", "--"}, "*", false},
		{[]string{"sub", "--completion", ""}, "bash zsh fish", false},
		{[]string{"sub", ""}, "", true},
	} {
		code, stdout, stderr := run(t, append(tt.args, completionFlag)...)
		got := strings.Join(strings.Fields(stdout), " ")
		if stderr != "" || got != tt.want && (tt.want != "*" || got == "") || (code == 1) != tt.hosts || code > 1 {
			t.Errorf("%q: exit code %d, %q %q; want %q, hosts %v", tt.args, code, got, stderr, tt.want, tt.hosts)
		}
	}
}

func TestCompletionScripts(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish"} {
		code, stdout, stderr := run(t, "--completion", shell)
		if code != 0 || stderr != "" || !strings.Contains(stdout, completionFlag) || strings.Contains(stdout, "PROG") {
			t.Errorf("%s: %d %q %q", shell, code, stdout, stderr)
		}
	}
	if code, _, stderr := run(t, "--completion", "tcsh"); code != 2 || !strings.Contains(stderr, "not one of bash, zsh, fish") {
		t.Errorf("got %d %q", code, stderr)
	}
}

// A letter of a classic program chooses a format as -o does.
func TestFormatLetters(t *testing.T) {
	tests := []struct {
		args   string
		format string
		code   int
		stderr string
	}{
		{"", "text", 0, ""},
		{"-g", "graphed", 0, ""},
		{"-g -o graphed -g", "graphed", 0, ""},
		{"-g --json", "json", 2, "sample: output formats json and graphed contradict each other; see sample --help\n"},
		{"-o text -g", "text", 2, "sample: output formats text and graphed contradict each other; see sample --help\n"},
	}
	for _, tt := range tests {
		var stdout, stderr bytes.Buffer
		format := ""
		spec := &Spec{
			Name: "sample", Formats: []string{"text", "graphed", "json"}, FormatLetters: []FormatLetter{{"g", "graphed"}},
			Action: func(_ context.Context, c *Call) error { format = c.Format; return nil },
		}
		code := Run(t.Context(), spec, strings.Fields(tt.args), nil, &stdout, &stderr)
		if code != tt.code || stderr.String() != tt.stderr || code == 0 && format != tt.format {
			t.Errorf("%q: got %d %q %q", tt.args, code, format, &stderr)
		}
		if isDocument := json.Valid(stdout.Bytes()); isDocument != (tt.format == "json") {
			t.Errorf("%q: got %q", tt.args, &stdout)
		}
	}
}

// Networks are masked, an address is the network of itself, and all that are
// given count.
func TestPrefixes(t *testing.T) {
	var got []netip.Prefix
	spec := &Spec{
		Name: "sample", Flags: []Flag{Prefixes(&got, "within", "CIDR", "networks")},
		Action: func(context.Context, *Call) error { return nil },
	}
	args := []string{"--within", "10.1.2.3/8", "--within=192.0.2.1", "--within", "0.0.0.0/0"}
	if code := Run(t.Context(), spec, args, nil, io.Discard, io.Discard); code != 0 {
		t.Errorf("exit code %d", code)
	}
	want := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("192.0.2.1/32"), netip.MustParsePrefix("0.0.0.0/0")}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	for _, bad := range []string{"", "10.0.0.0/33", "10.0.0/8", "10.0.0.0/-1", "::/0", "::1", "::ffff:10.0.0.0/104", "10.0.0.0/8,10.0.0.0/9"} {
		var stderr bytes.Buffer
		if code := Run(t.Context(), spec, []string{"--within", bad}, nil, io.Discard, &stderr); code != 2 || !strings.Contains(stderr.String(), "not an IPv4 network") {
			t.Errorf("%q: got %d %q", bad, code, &stderr)
		}
	}
}
