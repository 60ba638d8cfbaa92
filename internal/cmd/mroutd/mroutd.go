// Package mroutd is the command mroutd: the multicast router, the answers to
// mrinfo and mtrace for whoever else owns the kernel's multicast routing table,
// and the laboratory.
package mroutd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"mbone/internal/cli"
	"mbone/internal/plane"
	"mbone/internal/plane/mroute"
)

// maxTable bounds -t as mrouted does.
const maxTable = 999_999_999

// Run runs mroutd with arguments (without its name) and returns the exit code.
func Run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	return cli.Run(ctx, Spec(), args, stdin, stdout, stderr)
}

// options are what the command line says.
type options struct {
	respondOnly bool
	foreground  bool
	syslog      bool
	list        bool // of subsystems
	debug       []string
	level       string
	ident       string
	configFile  string
	pidFile     string
	ipcFile     string
	table       uint32
	delay       time.Duration
	reportEvery time.Duration // what was refused; no option

	named, delayed bool // whether -i and -w were given
}

func newOptions() *options {
	return &options{level: "notice", ident: defaultIdent, reportEvery: reportEvery}
}

// Spec describes the command.
func Spec() *cli.Spec {
	o := newOptions()
	return &cli.Spec{
		Name:    "mroutd",
		Summary: "Route multicast with DVMRP, and answer mrinfo and mtrace",
		Flags: []cli.Flag{
			cli.Bool(&o.respondOnly, "respond-only", "answer questions, leave routing to others"),
			cli.Func("d,debug", "SYS[,SYS]", "say more about parts; ? lists them", o.setDebug),
			cli.Text(&o.configFile, "f,config", "FILE", "configuration (default /etc/mroutd.conf)"),
			cli.Func("i,ident", "NAME", "name of the files and in syslog", o.setIdent),
			cli.Choice(&o.level, "l,loglevel", "LEVEL", []string{"none", "err", "error", "warning", "notice", "info", "debug"}, "log LEVEL and worse (default notice)"),
			cli.Bool(&o.foreground, "n,foreground", "stay in the foreground"),
			cli.Text(&o.pidFile, "p,pidfile", "FILE", "process id when ready (default /run/mroutd.pid)"),
			cli.Bool(&o.syslog, "s,syslog", "log to syslog in the foreground, too"),
			cli.Func("t,table-id", "ID", "multicast routing table (default 0: the default one)", o.setTable),
			cli.Text(&o.ipcFile, "u,ipc", "FILE", "control socket: there is none yet"),
			cli.Func("w,startup-delay", "SEC", "wait before routing", o.setDelay),
		},
		Notes:    []string{"Exit: 0 told to end, 2 bad usage or configuration, 3 could not start or go on."},
		Commands: []*cli.Spec{checkSpec(), labSpec()},
		Action: func(ctx context.Context, call *cli.Call) error {
			if o.list {
				_, err := fmt.Fprintln(call.Stdout, strings.Join(subsystems, " "))
				return err
			}
			if err := o.checkTogether(); err != nil {
				return err
			}
			ctx, stop := cli.EndOnQuit(ctx)
			defer stop()
			// A second signal ends the program at once.
			context.AfterFunc(ctx, stop)
			if o.respondOnly {
				return o.respond(ctx, call.Stderr)
			}
			return o.route(ctx, call)
		},
	}
}

func (o *options) setDebug(list string) error {
	for _, s := range strings.Split(list, ",") {
		if s == "?" {
			o.list = true
			continue
		}
		if !slices.Contains(subsystems, s) {
			return fmt.Errorf("not one of %s", strings.Join(subsystems, ", "))
		}
		o.debug = append(o.debug, s)
	}
	return nil
}

// setIdent takes a name that makes names of files.
func (o *options) setIdent(name string) error {
	if name == "" || strings.ContainsAny(name, "/\x00") || strings.HasPrefix(name, ".") {
		return errors.New("not a part of the name of a file")
	}
	o.ident, o.named = name, true
	return nil
}

// maxDelay bounds -w.
const maxDelay = 3600

func (o *options) setDelay(s string) error {
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 || n > maxDelay {
		return fmt.Errorf("not a number of 0 to %d", maxDelay)
	}
	o.delay, o.delayed = time.Duration(n)*time.Second, true
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

// checkTogether finds options of routing where nothing is routed.
func (o *options) checkTogether() error {
	if !o.respondOnly {
		return nil
	}
	for _, of := range []struct {
		option string
		given  bool
	}{
		{"-f", o.configFile != ""}, {"-i", o.named}, {"-s", o.syslog}, {"-u", o.ipcFile != ""}, {"-w", o.delayed},
	} {
		if of.given {
			return cli.Usage("%s has no meaning with --respond-only: it is for routing", of.option)
		}
	}
	return nil
}

// respond is mroutd --respond-only: it runs until ctx ends.
func (o *options) respond(ctx context.Context, stderr io.Writer) error {
	s, err := newServer(o, stderr)
	if err != nil {
		return couldNot(err)
	}
	defer s.close()
	if o.pidFile != "" {
		remove, err := writePID(o.pidFile)
		if err != nil {
			return &cli.Error{Code: cli.ExitFailed, Err: err, Fix: "choose another file with -p"}
		}
		defer remove()
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
