package mrinfo_test

import (
	"bytes"
	"encoding/json"
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
	"mbone/internal/cmd/mrinfo"
	"mbone/internal/cmd/mroutd"
	"mbone/internal/lab"
	"mbone/report"
)

// TestMain runs the tests inside a lab, where raw sockets need no root, with
// this binary in PATH as mrinfo.
func TestMain(m *testing.M) {
	lab.Main(scripts{m})
}

type scripts struct{ m *testing.M }

func (s scripts) Run() int {
	testscript.Main(s.m, map[string]func(){
		"mrinfo": func() { cli.Main(mrinfo.Run) },
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
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		exit, ok := errors.AsType[*exec.ExitError](err)
		if !ok {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// document [FILE] checks that a file, by default standard output, is exactly one
// document of mrinfo; "! document" that such a document is not complete.
func document(ts *testscript.TestScript, neg bool, args []string) {
	file := "stdout"
	if len(args) > 0 {
		file = args[0]
	}
	dec := json.NewDecoder(bytes.NewReader([]byte(ts.ReadFile(file))))
	dec.DisallowUnknownFields()
	var d report.Routers
	ts.Check(dec.Decode(&d))
	if err := dec.Decode(&struct{}{}); err != io.EOF {
		ts.Fatalf("more than one document")
	}
	if d.Schema != report.RoutersSchema || d.Version != report.RoutersVersion || d.Errors == nil || d.Routers == nil || d.Time.IsZero() {
		ts.Fatalf("head %+v", d.Document)
	}
	if d.Complete == neg || d.Complete != (d.Reason == "") {
		ts.Fatalf("complete is %v, reason %q", d.Complete, d.Reason)
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
