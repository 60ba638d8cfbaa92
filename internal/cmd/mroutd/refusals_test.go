package mroutd

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"mbone/internal/ask"
	"mbone/internal/lab"
	"mbone/internal/router/respond"
)

// refusalLine begins what the log says of refused things.
const refusalLine = `level=NOTICE msg="refused or dropped since the last such line"`

// There is a line a minute at most, and only of what is new.
func TestRefusals(t *testing.T) {
	var log lockedBuffer
	r, to := newRefusals(time.Minute), newOptions().logger(&log)
	for _, step := range []struct {
		at          time.Duration
		times, more uint64
		want        string
	}{
		{0, 0, 0, ""},
		{59 * time.Second, 3, 0, ""},
		{60 * time.Second, 5, 0, " a=5"},
		{119 * time.Second, 6, 1, ""},
		{120 * time.Second, 6, 2, " a=1 b=2"},
		{180 * time.Second, 6, 2, ""},
		{239 * time.Second, 6, 3, ""},
		{300 * time.Second, 6, 3, " b=1"},
	} {
		before := log.String()
		r.look(step.at, to, func() []count { return []count{{"a", step.times}, {"b", step.more}} })
		want := ""
		if step.want != "" {
			want = refusalLine + step.want + "\n"
		}
		if got := strings.TrimPrefix(log.String(), before); got != want {
			t.Errorf("after %v: %q, want %q", step.at, got, want)
		}
	}
}

// A router that nothing happens to tells what it has refused all the same.
func TestRefusalsOfIdleRouter(t *testing.T) {
	// IPv6 would wake it up.
	h := lab.Start(t, `
lan a
host router
  sysctl net.ipv6.conf.all.disable_ipv6 1
  sysctl net.ipv6.conf.default.disable_ipv6 1
  interface eth0 on a 10.0.1.1/24
`).Host("router")
	r := runDaemon(t, h, "", func(o *options) { o.reportEvery = 10 * time.Millisecond })
	said := func(want string) {
		t.Helper()
		lab.Until(t, patience, func() error {
			if !strings.Contains(r.log.String(), refusalLine+want+"\n") {
				return errors.New(r.log.String())
			}
			return nil
		})
	}
	count := func(forbidden, limited uint64) {
		r.engine.mu.Lock()
		defer r.engine.mu.Unlock()
		r.engine.questions[respond.Forbidden], r.engine.transit.Limited = forbidden, limited
	}
	count(2, 0)
	said(" questions.forbidden=2")
	count(2, 3)
	said(" transit.limited=3")
	r.stop()
	if n := strings.Count(r.log.String(), refusalLine); n != 2 {
		t.Errorf("%d lines, want 2:\n%s", n, r.log)
	}
}

// What was refused is told at the end, too.
func TestRefusalsAtTheEnd(t *testing.T) {
	l := lab.Start(t, twoRouters)
	file := filepath.Join(t.TempDir(), "mroutd.conf")
	check(t, os.WriteFile(file, []byte("respond-to none\n"), 0o644))
	c := startDaemon(t, l.Host("r1"), "-f", file)
	question := ask.NeighborsQuestion{Router: ip("10.0.1.254"), Tries: 2}
	if a, err := newClient(t, l.Host("sender")).Neighbors(context.Background(), question); !errors.Is(err, ask.ErrNoAnswer) {
		t.Errorf("an answer though there is to be none: %+v, %v", a, err)
	}
	check(t, c.Process.Signal(syscall.SIGTERM))
	if code, err := lab.ExitCode(c.Wait()); code != 0 || err != nil {
		t.Errorf("exit %d, %v", code, err)
	}
	if log := c.Log(); strings.Count(log, refusalLine+" questions.forbidden=2\n") != 1 {
		t.Errorf("log:\n%s", log)
	}
}
