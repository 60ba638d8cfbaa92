package mroutd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"kernel.org/pub/linux/libs/security/libcap/cap"

	"mbone/internal/cli"
	"mbone/internal/config"
	"mbone/internal/lab"
	"mbone/internal/plane"
)

const (
	// readyVariable names the descriptor on which a process in the background tells
	// that it is ready.
	readyVariable = "MROUTD_READY_FD"
	// inheritedVariable names the descriptor of a multicast routing socket that owns
	// the table already.
	inheritedVariable = "MROUTD_MROUTE_FD"
)

// background is the pipe on which this process tells that it is ready; nil: it is in
// the foreground.
var background = descriptor(readyVariable)

// descriptor returns the file of an inherited descriptor that a variable names, and
// takes the variable away.
func descriptor(variable string) *os.File {
	s := os.Getenv(variable)
	os.Unsetenv(variable)
	n, err := strconv.Atoi(s)
	if err != nil || n <= 2 {
		return nil
	}
	return os.NewFile(uintptr(n), variable)
}

// inheritedSocket returns the multicast routing socket of an earlier process, nil if
// there is none.
func inheritedSocket() (*os.File, error) {
	s, ok := os.LookupEnv(inheritedVariable)
	f := descriptor(inheritedVariable)
	if ok && f == nil {
		return nil, fmt.Errorf("%s: expected the number of a descriptor, found %q", inheritedVariable, s)
	}
	return f, nil
}

// startInBackground starts this program again, and returns when that is ready, or
// with its exit code.
func (o *options) startInBackground(ctx context.Context, call *cli.Call) error {
	// By its name, which process lists show.
	program, err := os.Executable()
	if err != nil {
		return err
	}
	c := exec.Command(program, os.Args[1:]...)
	c.Args[0] = os.Args[0]
	read, write, err := os.Pipe()
	if err != nil {
		return err
	}
	defer read.Close()
	defer write.Close()
	c.Env = append(os.Environ(), readyVariable+"=3")
	c.ExtraFiles = []*os.File{write}
	errs, err := c.StderrPipe()
	if err != nil {
		return err
	}
	c.SysProcAttr = plane.Detached()
	if err := c.Start(); err != nil {
		return &cli.Error{Code: cli.ExitFailed, What: "start in the background", Err: err, Fix: "use -n"}
	}
	write.Close()
	stop := context.AfterFunc(ctx, func() {
		// The only error is that it has ended.
		_ = c.Process.Kill()
	})
	defer stop()
	told := make(chan struct{})
	go func() {
		defer close(told)
		_, _ = io.Copy(call.Stderr, errs) // it ends with the writer
	}()
	if n, _ := read.Read(make([]byte, 1)); n == 1 {
		<-told
		return nil
	}
	<-told
	code, err := lab.ExitCode(c.Wait())
	if err == nil && code == 0 {
		code, err = cli.ExitFailed, errNotReady
	}
	if err != nil {
		return err
	}
	return cli.Exit(code)
}

// tellReady tells the process that has started this one in the background that it
// may go.
func tellReady() error {
	if background == nil {
		return nil
	}
	if err := plane.CloseOutput(); err != nil {
		return err
	}
	_, err := background.Write([]byte{0})
	return errors.Join(err, background.Close())
}

// keptPrivileges are all that routing needs. Files of root can be read and written
// without any.
var keptPrivileges = []cap.Value{cap.NET_ADMIN, cap.NET_RAW}

// dropPrivileges gives up all privileges but those.
func dropPrivileges(log *slog.Logger) {
	have, keep := cap.GetProc(), cap.NewSet()
	for _, v := range keptPrivileges {
		if has, err := have.GetFlag(cap.Permitted, v); err != nil || !has {
			continue
		}
		for _, flag := range []cap.Flag{cap.Permitted, cap.Effective} {
			if err := keep.SetFlag(flag, true, v); err != nil {
				log.Warn("privileges not given up", "error", err)
				return
			}
		}
	}
	if err := keep.SetProc(); err != nil {
		log.Warn("privileges not given up", "error", err)
	}
}

// defaultIdent is the name that files go by if none was given.
const defaultIdent = "mroutd"

// configPaths are where the configuration is looked for.
func (o *options) configPaths() []string {
	switch {
	case o.configFile != "":
		return []string{o.configFile}
	case o.ident != defaultIdent:
		return []string{"/etc/" + o.ident + ".conf"}
	}
	return []string{"/etc/mroutd.conf", "/etc/mrouted.conf"}
}

// pidPath and generationPath are the files of a running router.
func (o *options) pidPath() string {
	if o.pidFile != "" {
		return o.pidFile
	}
	return "/run/" + o.ident + ".pid"
}

func (o *options) generationPath() string { return "/run/" + o.ident + ".genid" }

// load reads the configuration, and logs its warnings.
func (o *options) load(log *slog.Logger) (*config.Config, error) {
	c, path, warnings, err := config.Load(o.configPaths()...)
	for _, w := range warnings {
		log.Warn(w.Error())
	}
	if err != nil {
		return nil, err
	}
	if path == "" && o.configFile != "" {
		return nil, &cli.Error{Code: cli.ExitFailed, What: o.configFile, Err: os.ErrNotExist}
	}
	if path == "" {
		log.Info("no configuration: every interface is used")
	} else {
		log.Info("configuration", "file", path)
	}
	return c, nil
}

// tell prints the problems of a configuration, a line each, and returns the error
// that ends the run.
func tell(call *cli.Call, err error) error {
	var problems config.Errors
	if !errors.As(err, &problems) {
		return err
	}
	for _, p := range problems {
		call.Warn("%v", p)
	}
	return cli.Exit(cli.ExitUsage)
}

// nextGeneration returns a generation id that differs from those of earlier starts,
// as mrouted does: the time, or one more than the last, which a file holds.
func nextGeneration(path string, log *slog.Logger) uint32 {
	id := uint32(time.Now().Unix())
	if b, err := os.ReadFile(path); err == nil {
		if last, err := strconv.ParseUint(strings.TrimSpace(string(b)), 10, 32); err == nil && int32(id-uint32(last)) <= 0 {
			id = uint32(last) + 1
		}
	}
	if err := os.WriteFile(path, fmt.Appendf(nil, "%d\n", id), 0o644); err != nil {
		log.Info("generation id not written: the clock must go on", "error", err)
	}
	return id
}

// writePID writes the process id, unless the file is that of another process that
// runs, and returns what removes it.
func writePID(path string) (remove func(), err error) {
	self := os.Getpid()
	if other := readPID(path); other != self && plane.Runs(other) {
		return nil, fmt.Errorf("%s is that of process %d, which runs", path, other)
	}
	if err := os.WriteFile(path, fmt.Appendf(nil, "%d\n", self), 0o644); err != nil {
		return nil, err
	}
	return func() {
		if readPID(path) == self {
			os.Remove(path)
		}
	}, nil
}

// readPID returns the process id in a file, 0 if there is none.
func readPID(path string) int {
	b, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return 0
	}
	return pid
}

// checkSpec describes mroutd check.
func checkSpec() *cli.Spec {
	return &cli.Spec{
		Name: "check", Summary: "tell what is wrong with a configuration",
		Args: "[FILE]", MaxArgs: 1,
		Notes: []string{
			"Each problem is a line FILE:LINE:COLUMN: TEXT on standard output.",
			"Exit: 0 nothing is wrong, 1 something is, 2 bad usage, 3 no such file.",
		},
		Action: func(_ context.Context, call *cli.Call) error {
			o := newOptions()
			if len(call.Args) == 1 {
				o.configFile = call.Args[0]
			}
			return o.checkConfig(call)
		},
	}
}

// checkConfig prints the problems of the configuration.
func (o *options) checkConfig(call *cli.Call) error {
	_, path, warnings, err := config.Load(o.configPaths()...)
	var problems config.Errors
	switch {
	case err != nil && !errors.As(err, &problems):
		return err
	case path == "":
		return &cli.Error{Code: cli.ExitFailed, What: strings.Join(o.configPaths(), ", "), Err: os.ErrNotExist}
	}
	for _, p := range append(problems, warnings...) {
		if _, err := fmt.Fprintln(call.Stdout, p); err != nil {
			return err
		}
	}
	if len(problems) > 0 {
		return cli.Exit(cli.ExitIncomplete)
	}
	return nil
}

// absolute makes a path one that does not depend on the working directory.
func absolute(path string) (string, error) {
	if path == "" {
		return "", nil
	}
	return filepath.Abs(path)
}
