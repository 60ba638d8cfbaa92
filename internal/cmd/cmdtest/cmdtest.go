// Package cmdtest runs the tests of commands inside a lab: in a host of one, and
// the script tests (testdata/script/*.txt, in the language of testscript).
//
// Beside testscript's own, scripts have these commands:
//
//	exits CODE program [args...]  runs a program, which must end with CODE; the
//	                              documents that it prints are as their schema says
//	[!] document [FILE]           standard output, or the file, is exactly one
//	                              document, and a complete one (with !: not)
//	screen                        standard output fits 24 lines of 80 columns
//
// "unprivileged program [args...]" runs a program that may not open raw sockets,
// the condition [netns] holds where hosts can be made, and $LAB is the directory
// of the recordings of Lab 14-1.
package cmdtest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"unicode/utf8"

	"github.com/rogpeppe/go-internal/testscript"

	"mbone/internal/cli"
	"mbone/internal/lab"
	"mbone/report"
	"mbone/schema/schematest"
)

// Run is the Run function of a command.
type Run = func(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int

// Main is TestMain: it runs the tests inside a lab, where raw sockets need no
// root, with the test binary in PATH as each of the programs. It does not return.
func Main(m *testing.M, programs map[string]Run) {
	lab.Main(runner{m, programs})
}

type runner struct {
	m        *testing.M
	programs map[string]Run
}

// Run implements the interface that lab.Main needs.
func (r runner) Run() int {
	commands := map[string]func(){"unprivileged": unprivileged}
	for name, run := range r.programs {
		commands[name] = func() { cli.Main(run) }
	}
	testscript.Main(r.m, commands)
	return 0 // never: testscript.Main exits
}

// unprivileged runs the program that its arguments name in a user namespace of
// its own, which has no right to the host's network.
func unprivileged() {
	cmd := exec.Command(os.Args[1], os.Args[2:]...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER}
	code, err := lab.ExitCode(cmd.Run())
	if err != nil {
		panic(err)
	}
	os.Exit(code)
}

// Outcome is what a run of a program left behind.
type Outcome struct {
	Code           int
	Stdout, Stderr string
}

// At runs one of the programs of [Main] in a host to its end, and logs its outcome.
func At(t *testing.T, h *lab.Host, program string, args ...string) Outcome {
	t.Helper()
	var stdout, stderr bytes.Buffer
	c := h.Command(t.Context(), program, args...)
	c.Stdout, c.Stderr = &stdout, &stderr
	code, err := lab.ExitCode(c.Run())
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s %s: %d\n%s%s", program, strings.Join(args, " "), code, &stdout, &stderr)
	return Outcome{code, stdout.String(), stderr.String()}
}

// Document returns the one document of type T that the program printed, which is
// as its schema says.
func Document[T any](t *testing.T, o Outcome) *T {
	t.Helper()
	d, err := schematest.One[T]([]byte(o.Stdout))
	if err != nil {
		t.Fatal(err)
	}
	return &d
}

// Scripts runs the scripts below testdata/script. The documents of the command
// name the schema.
func Scripts(t *testing.T, schema string) {
	recordings, err := filepath.Abs("../../../proto/testdata/lab-14-1")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			e.Setenv("LAB", recordings)
			return nil
		},
		Condition: func(cond string) (bool, error) {
			if cond == "netns" {
				return lab.Inside(), nil
			}
			return false, errors.New("unknown condition")
		},
		RequireExplicitExec: true,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":  exits,
			"screen": screen,
			"document": func(ts *testscript.TestScript, neg bool, args []string) {
				head, err := schematest.One[report.Document]([]byte(ts.ReadFile(append(args, "stdout")[0])))
				ts.Check(err)
				if head.Schema != schema || head.Complete == neg {
					ts.Fatalf("schema is %s, want %s; complete is %v", head.Schema, schema, head.Complete)
				}
			},
		},
	})
}

func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits code program [args...]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got, err := lab.ExitCode(ts.Exec(args[1], args[2:]...))
	ts.Check(err)
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
	if out := ts.ReadFile("stdout"); strings.HasPrefix(out, "{") {
		_, err := schematest.Read[report.Document]([]byte(out))
		ts.Check(err)
	}
}

func screen(ts *testscript.TestScript, _ bool, _ []string) {
	out := ts.ReadFile("stdout")
	if n := strings.Count(out, "\n"); n > 24 {
		ts.Fatalf("%d lines", n)
	}
	for line := range strings.Lines(out) {
		if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > 80 {
			ts.Fatalf("%d columns: %s", n, line)
		}
	}
}
