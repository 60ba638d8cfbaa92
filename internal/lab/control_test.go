package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// serve starts a lab with one host that serves until the test ends.
func serve(t *testing.T) *Lab {
	t.Helper()
	l := Start(t, "lan a\nhost h\n interface eth7 on a")
	ctx, cancel := context.WithCancel(t.Context())
	served, err := l.Serve(ctx)
	check(t, err)
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
		if pids, err := Running(); len(pids) != 0 || err != nil {
			t.Errorf("after the end of the service labs %v are running, %v", pids, err)
		}
	})
	if pids, err := Running(); len(pids) != 1 || err != nil {
		t.Fatalf("running labs: %v, %v", pids, err)
	}
	return l
}

// run executes a program in host h and returns what it printed.
func run(t *testing.T, ctx context.Context, signals <-chan os.Signal, stdin string, args ...string) (out string, code int, err error) {
	t.Helper()
	in := filepath.Join(t.TempDir(), "in")
	check(t, os.WriteFile(in, []byte(stdin), 0o600))
	var files [3]*os.File
	files[0] = must[*os.File](t)(os.Open(in))
	files[1] = must[*os.File](t)(os.Create(filepath.Join(t.TempDir(), "out")))
	files[2] = files[1]
	defer files[0].Close()
	defer files[1].Close()
	code, err = Exec(ctx, 0, "h", args, signals, files)
	return string(must[[]byte](t)(os.ReadFile(files[1].Name()))), code, err
}

func TestExec(t *testing.T) {
	serve(t)
	t.Setenv("LAB_TEST_WORD", "word")
	out, code, err := run(t, t.Context(), nil, "input", "sh", "-c", "cat; ls /sys/class/net; echo $LAB_TEST_WORD $0 $1; pwd; hostname; exit 9", "a b", "c")
	want := "inputeth7\nlo\nword a b c\n" + must[string](t)(os.Getwd()) + "\nh\n"
	if err != nil || code != 9 || out != want {
		t.Errorf("exit code %d, %v, printed %q, want 9, nil, %q", code, err, out, want)
	}

	// A signal reaches the program and its children.
	signals := make(chan os.Signal, 1)
	time.AfterFunc(0, func() {
		Until(t, 10*time.Second, func() error {
			if len(sleepers(t)) != 1 {
				return errors.New("the child is not running")
			}
			return nil
		})
		signals <- syscall.SIGINT
	})
	_, code, err = run(t, t.Context(), signals, "", "sh", "-c", "sleep 1003; sleep 1004")
	if err != nil || code != 128+2 {
		t.Errorf("after SIGINT: exit code %d, %v, want 130", code, err)
	}
}

// TestExecCancelled has a program killed, with its children, when its client goes.
func TestExecCancelled(t *testing.T) {
	serve(t)
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(0, func() {
		Until(t, 10*time.Second, func() error {
			if len(sleepers(t)) != 1 {
				return errors.New("the child is not running")
			}
			return nil
		})
		cancel()
	})
	if _, _, err := run(t, ctx, nil, "", "sh", "-c", "sleep 1005; exit 0"); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want cancelled", err)
	}
	Until(t, 10*time.Second, func() error {
		if s := sleepers(t); len(s) > 0 {
			return fmt.Errorf("still running: %v", s)
		}
		return nil
	})
}

func TestExecErrors(t *testing.T) {
	files := [3]*os.File{os.Stdin, os.Stdout, os.Stderr}
	Require(t, Netns)
	if _, err := Exec(t.Context(), 0, "h", []string{"true"}, nil, files); fmt.Sprint(err) != "lab: no lab is running, or none of this user's: mroutd lab up FILE starts one" {
		t.Errorf("without a lab: %v", err)
	}
	if _, err := Exec(t.Context(), 1, "h", []string{"true"}, nil, files); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a process that is no lab: %v", err)
	}
	serve(t)
	for _, test := range []struct {
		host string
		args []string
		want string
	}{
		{"x", []string{"true"}, `lab: there is no host "x" in this lab, only h`},
		{"h", []string{"no-such-program"}, "lab: program no-such-program is not installed"},
		{"h", nil, "lab: no program was named"},
		{"h", []string{strings.Repeat("x", maxRequest)}, "lab: arguments and environment of"},
	} {
		_, err := Exec(t.Context(), 0, test.host, test.args, nil, files)
		if !strings.HasPrefix(fmt.Sprint(err), test.want) {
			t.Errorf("%.20s %.20v: %v, want %s", test.host, test.args, err, test.want)
		}
	}
}
