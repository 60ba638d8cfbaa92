package mtrace_test

import (
	"errors"
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
	"mbone/internal/cmd/mroutd"
	"mbone/internal/cmd/mtrace"
	"mbone/internal/lab"
)

// TestMain runs the tests inside a lab, where raw sockets need no root, with
// this binary in PATH as mtrace and mroutd.
func TestMain(m *testing.M) { lab.Main(scripts{m}) }

type scripts struct{ m *testing.M }

func (s scripts) Run() int {
	testscript.Main(s.m, map[string]func(){
		"mtrace": func() { cli.Main(mtrace.Run) },
		"mroutd": func() { cli.Main(mroutd.Run) },
		// unprivileged runs a program that may not open raw sockets here: in a
		// user namespace of its own.
		"unprivileged": func() {
			cmd := exec.Command(os.Args[1], os.Args[2:]...)
			cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
			cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER}
			err := cmd.Run()
			if exit, ok := errors.AsType[*exec.ExitError](err); ok {
				os.Exit(exit.ExitCode())
			}
			if err != nil {
				panic(err)
			}
		},
	})
	return 0 // never: testscript.Main exits
}

func TestScripts(t *testing.T) {
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
			"exits":    exits,
			"document": document,
			"screen":   screen,
		},
	})
}

// exits CODE program args... runs a program and checks its exit code.
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
}

// document checks that standard output is exactly one document of mtrace; "!
// document" that such a document is not complete.
func document(ts *testscript.TestScript, neg bool, _ []string) {
	all, err := mtrace.Decode(ts.ReadFile("stdout"))
	ts.Check(err)
	if len(all) != 1 {
		ts.Fatalf("%d documents", len(all))
	}
	if all[0].Complete == neg {
		ts.Fatalf("complete is %v, reason %q", all[0].Complete, all[0].Reason)
	}
}

// screen checks that standard output fits a screen of 24 lines of 80 columns.
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
