package mroutd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"mbone/internal/cli"
	mapmbone "mbone/internal/cmd/map-mbone"
	"mbone/internal/cmd/mrinfo"
	"mbone/internal/cmd/mstat"
	"mbone/internal/cmd/mtrace"
	"mbone/internal/lab"
)

// defaultShell is run where no command was named and SHELL is not set.
const defaultShell = "/bin/sh"

// toolDir is where every host of a lab has this program under the names of all
// tools: it goes by the name that it is called by, so that a lab has the tools
// although nothing was installed. Each host has a /run of its own.
const toolDir = "/run/mbone/bin"

// tools are all programs but mroutd itself.
var tools = map[string]func(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int{
	"map-mbone": mapmbone.Run,
	"mrinfo":    mrinfo.Run,
	"mstat":     mstat.Run,
	"mtrace":    mtrace.Run,
}

// Command returns the Run function of the tool that is called by this name; it is
// mroutd's for any other name.
func Command(name string) func(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	if run := tools[filepath.Base(name)]; run != nil {
		return run
	}
	return Run
}

// samples are the topologies that come with the program.
var samples = []string{"demo", "row", "lab-14-1"}

// fileNote says what FILE is.
var fileNote = "FILE describes a network (docs/topology.md), or is a sample: " + strings.Join(samples, ", ") + "."

// labSpec describes mroutd lab.
func labSpec() *cli.Spec {
	var pid int
	return &cli.Spec{
		Name:    "lab",
		Summary: "bring up networks of hosts on this machine",
		Notes:   []string{fileNote},
		Commands: []*cli.Spec{
			{
				Name: "demo", Summary: "show four routers, and the tools",
				Action: func(ctx context.Context, call *cli.Call) error { return demo(ctx, call) },
			},
			{
				Name: "up", Summary: "bring a network up, and run a command or shell in a host of it", Notes: []string{fileNote},
				Args: "FILE [HOST [COMMAND [ARGUMENT...]]]", MinArgs: 1, MaxArgs: -1, OptionsFirst: true,
				Complete: completeUp,
				Action:   func(ctx context.Context, call *cli.Call) error { return up(ctx, call) },
			},
			{
				Name: "exec", Summary: "run a command in a host of a network that is up",
				Args: "HOST COMMAND [ARGUMENT...]", MinArgs: 2, MaxArgs: -1, OptionsFirst: true,
				Flags:  []cli.Flag{cli.Int(&pid, "pid", "PID", 1, math.MaxInt32, "the process of the lab, if there are several")},
				Action: func(ctx context.Context, call *cli.Call) error { return execute(ctx, call, pid) },
			},
			{
				Name: "check", Summary: "tell what is wrong with a file, or print it in its plain form", Notes: []string{fileNote},
				Args: "FILE", MinArgs: 1, MaxArgs: 1,
				Complete: completeFile,
				Action:   func(ctx context.Context, call *cli.Call) error { return checkFile(call) },
			},
		},
	}
}

// completeFile completes FILE, beside the files that the shell knows.
func completeFile(args []string) []string {
	if len(args) > 1 {
		return nil
	}
	return samples
}

// completeUp completes FILE HOST.
func completeUp(args []string) []string {
	if len(args) != 2 {
		return completeFile(args)
	}
	t, err := lab.Load(args[0])
	if err != nil {
		return nil
	}
	var hosts []string
	for _, h := range t.Hosts {
		hosts = append(hosts, h.Name)
	}
	return hosts
}

// enter makes the lab that this process continues in: then inside is true. In
// the process outside it returns when the lab has ended, with its exit code.
func enter() (inside bool, err error) {
	inside, code, err := lab.Enter()
	if denied, ok := errors.AsType[*lab.NamespaceError](err); ok {
		return false, &cli.Error{Code: cli.ExitFailed, What: denied.Op, Err: denied.Err, Fix: denied.Fix}
	}
	if err != nil || inside {
		return inside, err
	}
	return false, exit(code)
}

// exit ends the command with a code and says nothing more.
func exit(code int) error {
	if code == cli.ExitOK {
		return nil
	}
	return cli.Exit(code)
}

// load reads a topology. Each problem of it is a line of its own.
func load(call *cli.Call, name string) (*lab.Topology, error) {
	t, err := lab.Load(name)
	if errors.Is(err, os.ErrNotExist) {
		return nil, &cli.Error{Code: cli.ExitFailed, What: name, Err: errors.New("no such file"), Fix: "the samples are " + strings.Join(samples, ", ")}
	}
	if list, ok := err.(interface{ Unwrap() []error }); ok {
		for _, err := range list.Unwrap() {
			call.Warn("%v", err)
		}
		return nil, cli.Exit(cli.ExitUsage)
	}
	return t, err
}

// checkFile is mroutd lab check.
func checkFile(call *cli.Call) error {
	t, err := load(call, call.Args[0])
	if err != nil {
		return err
	}
	_, err = io.WriteString(call.Stdout, t.String())
	return err
}

// build brings a topology up, with the tools in every host. Its programs are
// started last: they may be tools.
func build(t *lab.Topology) (*lab.Lab, error) {
	if err := installTools(); err != nil {
		return nil, err
	}
	if err := os.Setenv("PATH", toolDir+":"+os.Getenv("PATH")); err != nil {
		return nil, err
	}
	programs := withoutPrograms(t)
	l, err := lab.Build(t)
	if err != nil {
		return nil, err
	}
	for _, h := range l.Hosts() {
		err = errors.Join(err, h.Do(installTools))
	}
	if err == nil {
		err = startPrograms(l, programs)
	}
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// withoutPrograms takes the programs of all hosts out of a topology, and returns
// them.
func withoutPrograms(t *lab.Topology) map[string][][]string {
	programs := make(map[string][][]string)
	for i := range t.Hosts {
		programs[t.Hosts[i].Name], t.Hosts[i].Programs = t.Hosts[i].Programs, nil
	}
	return programs
}

// startPrograms starts programs of hosts.
func startPrograms(l *lab.Lab, programs map[string][][]string) error {
	for _, h := range l.Hosts() {
		for _, args := range programs[h.Name] {
			if err := command(context.Background(), h, args).Start(); err != nil {
				return err
			}
		}
	}
	return nil
}

// command prepares a command in a host. Where it is found is seen when it starts.
func command(ctx context.Context, h *lab.Host, args []string) *lab.Cmd {
	c := h.Command(ctx, args[0], args[1:]...)
	if path, err := lab.Find(args[0]); err == nil {
		c.Path, c.Err = path, nil
	}
	return c
}

// installTools makes this program appear under the names of all tools in the
// /run of a host, or of the lab, where programs are looked for.
func installTools() error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(toolDir, 0o755); err != nil {
		return err
	}
	for _, name := range append(slices.Collect(maps.Keys(tools)), "mroutd") {
		if err := os.Symlink(program, filepath.Join(toolDir, name)); err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
	}
	return nil
}

// up is mroutd lab up.
func up(ctx context.Context, call *cli.Call) error {
	if inside, err := enter(); !inside {
		return err
	}
	topology, err := load(call, call.Args[0])
	if err != nil {
		return err
	}
	l, err := build(topology)
	if err != nil {
		return err
	}
	defer l.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	served, err := l.Serve(ctx)
	if err != nil {
		return err
	}
	defer func() {
		cancel()
		<-served // the next lab needs the socket's name
	}()
	for _, h := range l.Hosts() {
		for _, p := range h.Programs() {
			go watch(ctx, call.Stderr, p)
		}
	}
	if len(call.Args) > 1 {
		return runIn(l, call.Args[1], call.Args[2:])
	}
	fmt.Fprintf(call.Stdout, "The lab is up with the hosts %s.\n"+
		"In another terminal: mroutd lab exec HOST COMMAND\n"+
		"Ctrl-C ends it.\n", hostNames(l))
	ended := make(chan error, 1)
	if !isNull(call.Stdin) {
		go func() {
			_, err := io.Copy(io.Discard, call.Stdin)
			ended <- err
		}()
	}
	select {
	case <-ctx.Done():
		return nil
	case err := <-ended:
		return err
	case err := <-served:
		return err
	}
}

// isNull is whether r is the null device, which shells make the input of what
// they put into the background: that it is at its end says nothing.
func isNull(r io.Reader) bool {
	f, ok := r.(*os.File)
	if !ok {
		return false
	}
	is, err := f.Stat()
	if err != nil {
		return false
	}
	null, err := os.Stat(os.DevNull)
	return err == nil && os.SameFile(is, null)
}

func hostNames(l *lab.Lab) string {
	var names []string
	for _, h := range l.Hosts() {
		names = append(names, h.Name)
	}
	return strings.Join(names, ", ")
}

// watch says that a program of the topology has ended, and what it last said.
func watch(ctx context.Context, w io.Writer, p *lab.Cmd) {
	select {
	case <-ctx.Done():
	case <-p.Done():
	}
	if ctx.Err() != nil {
		return // the lab ends
	}
	text := fmt.Sprintf("mroutd: %s: %s has ended", p.Host.Name, strings.Join(p.Args, " "))
	if code, err := lab.ExitCode(p.Wait()); err != nil {
		text += ": " + err.Error()
	} else if code != 0 {
		text += fmt.Sprintf(" with exit code %d", code)
	}
	if log := strings.TrimSpace(p.Log()); log != "" {
		text += ": " + log[strings.LastIndex(log, "\n")+1:]
	}
	fmt.Fprintln(w, text)
}

// runIn runs a command in a host, or a shell if none is given, and returns its
// exit code as an error.
func runIn(l *lab.Lab, name string, args []string) error {
	h := l.Host(name)
	if h == nil {
		return cli.Usage("no host %s: the hosts are %s", name, hostNames(l))
	}
	if len(args) == 0 {
		args = []string{cmp.Or(os.Getenv("SHELL"), defaultShell)}
	}
	c := command(context.Background(), h, args)
	code, err := c.Interact()
	if err != nil {
		return &cli.Error{Code: cli.ExitFailed, Err: err}
	}
	return exit(code)
}

// execute is mroutd lab exec.
func execute(ctx context.Context, call *cli.Call, pid int) error {
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT)
	defer signal.Stop(signals)
	code, err := lab.Exec(context.WithoutCancel(ctx), pid, call.Args[0], call.Args[1:], signals, [3]*os.File{os.Stdin, os.Stdout, os.Stderr})
	if err != nil {
		return &cli.Error{Code: cli.ExitFailed, Err: err}
	}
	return exit(code)
}
