// Package mroutd is the command mroutd. It does not route yet: it answers
// mrinfo and mtrace for whoever owns the kernel's multicast routing table, and
// has the laboratory.
package mroutd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"strings"

	"mbone/internal/cli"
	"mbone/internal/plane"
	"mbone/internal/plane/mroute"
)

// maxTable bounds -t as mrouted does.
const maxTable = 999_999_999

// levelNotice is what a daemon says by default: that it started, that something
// is not as it should be.
const levelNotice = slog.LevelInfo + 2

// levels are the names of -l, which are mrouted's.
var levels = map[string]slog.Level{
	"none": slog.LevelError + 1, "err": slog.LevelError, "notice": levelNotice, "info": slog.LevelInfo, "debug": slog.LevelDebug,
}

// Subsystems of -d, with mrouted's names.
const (
	debugInterface  = "interface"  // vifs and memberships
	debugNeighbors  = "neighbors"  // Ask-Neighbors, and routers that were heard
	debugTraceroute = "traceroute" // mtrace
	debugAll        = "all"
)

var subsystems = []string{debugInterface, debugNeighbors, debugTraceroute, debugAll}

// Run runs mroutd with arguments (without its name) and returns the exit code.
func Run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	return cli.Run(ctx, Spec(), args, stdin, stdout, stderr)
}

// options are what the command line says.
type options struct {
	respondOnly bool
	foreground  bool
	debug       []string
	level       string
	pidFile     string
	table       uint32
}

// Spec describes the command.
func Spec() *cli.Spec {
	o := options{level: "notice"}
	return &cli.Spec{
		Name:    "mroutd",
		Summary: "Answer mrinfo and mtrace for the multicast router of this host",
		Flags: []cli.Flag{
			cli.Bool(&o.respondOnly, "respond-only", "answer questions, leave routing to others"),
			cli.Func("d,debug", "SYS[,SYS]", "say more about "+strings.Join(subsystems, ", "), o.setDebug),
			cli.Choice(&o.level, "l,loglevel", "LEVEL", []string{"none", "err", "notice", "info", "debug"}, "log LEVEL and worse (default notice)"),
			cli.Bool(&o.foreground, "n,foreground", "stay in the foreground: it always does"),
			cli.Text(&o.pidFile, "p,pidfile", "FILE", "write the process id to FILE when ready"),
			cli.Func("t,table-id", "ID", "multicast routing table (default 0: the default one)", o.setTable),
		},
		Notes: []string{
			"Only --respond-only and lab exist so far.",
			"Exit: 0 told to end, 2 bad usage, 3 could not start or go on.",
		},
		Commands: []*cli.Spec{labSpec()},
		Action: func(ctx context.Context, call *cli.Call) error {
			if !o.respondOnly {
				return cli.Usage("only --respond-only and lab exist so far")
			}
			return o.respond(ctx, call.Stderr)
		},
	}
}

func (o *options) setDebug(list string) error {
	for _, s := range strings.Split(list, ",") {
		if !slices.Contains(subsystems, s) {
			return fmt.Errorf("not one of %s", strings.Join(subsystems, ", "))
		}
		o.debug = append(o.debug, s)
	}
	return nil
}

func (o *options) setTable(s string) error {
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil || n > maxTable {
		return fmt.Errorf("not a number of 0 to %d", maxTable)
	}
	o.table = uint32(n)
	return nil
}

// logger returns the log of a subsystem (empty: of what has none).
func (o *options) logger(w io.Writer, subsystem string) *slog.Logger {
	level := levels[o.level]
	if subsystem != "" && (slices.Contains(o.debug, subsystem) || slices.Contains(o.debug, debugAll)) {
		level = min(level, slog.LevelDebug)
	}
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: level, ReplaceAttr: logAttr}))
}

// logAttr leaves the time to the supervisor and gives notices their name.
func logAttr(groups []string, a slog.Attr) slog.Attr {
	switch {
	case len(groups) > 0:
	case a.Key == slog.TimeKey:
		return slog.Attr{}
	case a.Key == slog.LevelKey && a.Value.Any() == levelNotice:
		a.Value = slog.StringValue("NOTICE")
	}
	return a
}

// respond is mroutd --respond-only: it runs until ctx ends.
func (o *options) respond(ctx context.Context, stderr io.Writer) error {
	s, err := newServer(o, stderr)
	if err != nil {
		return couldNot(err)
	}
	defer s.close()
	if o.pidFile != "" {
		if err := os.WriteFile(o.pidFile, []byte(strconv.Itoa(os.Getpid())+"\n"), 0o644); err != nil {
			return &cli.Error{Code: cli.ExitFailed, Err: err, Fix: "choose another file with -p"}
		}
		defer os.Remove(o.pidFile)
	}
	return couldNot(s.run(ctx))
}

// couldNot words an error of the kernel's doors.
func couldNot(err error) error {
	if err == nil {
		return nil
	}
	e := &cli.Error{Code: cli.ExitFailed, Err: err}
	if p, ok := errors.AsType[*plane.Error](err); ok {
		e.What, e.Err, e.Fix = p.Op+" "+p.Object, p.Err, p.Fix()
	} else if m, ok := errors.AsType[*mroute.Error](err); ok {
		e.What, e.Err, e.Fix = m.Op+" "+m.Object, m.Err, m.Fix()
	}
	return e
}
