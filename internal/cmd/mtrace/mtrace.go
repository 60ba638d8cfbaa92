// Package mtrace is the command mtrace: it traces the path that multicast takes
// from a source to a receiver, watches it, listens to others' traces, or reads
// them out of a recording.
package mtrace

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"mbone/internal/ask"
	"mbone/internal/cli"
	"mbone/internal/cmd/tracing"
	"mbone/internal/trace"
	"mbone/render"
	"mbone/report"
)

// Run runs mtrace with arguments (without its name) and returns the exit code.
func Run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	return cli.Run(ctx, Spec(), args, stdin, stdout, stderr)
}

// Spec describes the command.
func Spec() *cli.Spec {
	return newCommand(tracing.System()).spec()
}

// command is one run of mtrace.
type command struct {
	*tracing.Tool

	// The options, by their letters.
	loop, passive, pathOnly, short, tunnels, verbose bool
	interval                                         time.Duration

	shown int // paths
}

func newCommand(w tracing.World) *command {
	return &command{Tool: tracing.New("mtrace", w)}
}

func (m *command) spec() *cli.Spec {
	return &cli.Spec{
		Name:    "mtrace",
		Summary: "Trace the path of multicast from a source to a receiver (default: this host)",
		Args:    "source [receiver] [group]",
		MaxArgs: 3,
		Flags: m.Flags(
			cli.Bool(&m.loop, "l", "statistics in a loop"),
			cli.Bool(&m.passive, "p", "print others' traces"),
			cli.Bool(&m.pathOnly, "P", "watch the path for changes"),
			cli.Bool(&m.short, "s", "no statistics"),
			cli.Seconds(&m.interval, "S", "SEC", "statistics after SEC (10)"),
			cli.Bool(&m.tunnels, "T", "accepted: always on"),
			cli.Bool(&m.verbose, "v", "show hop times"),
		),
		Formats:       []string{"text", "table", "json", "ndjson"},
		Schema:        report.PathSchema,
		SchemaVersion: report.PathVersion,
		Empty:         func(d report.Document) any { return tracing.Empty(d) },
		Notes:         []string{"Exit: 0 the source is reached, 1 it is not, 2 bad usage, 3 could not ask."},
		Action:        m.run,
	}
}

// run is the Action.
func (m *command) run(ctx context.Context, call *cli.Call) error {
	m.Call = call
	ctx, cancel := m.Asking.Context(ctx)
	defer cancel()
	if err := m.check(); err != nil {
		return err
	}
	if err := m.Start(call); err != nil {
		return err
	}
	if m.Asking.Read != "" {
		return m.read(ctx)
	}
	target, err := m.Target(ctx)
	if err != nil {
		return err
	}
	end, err := m.Connect()
	if err != nil {
		return err
	}
	defer end()
	if m.passive {
		return m.listen(ctx, target)
	}
	return m.trace(ctx, target)
}

// check refuses options that contradict each other.
func (m *command) check() error {
	switch {
	case m.passive && m.Asking.Read != "":
		return cli.Usage("-p listens, --read reads a recording: choose one")
	case m.pathOnly && m.loop:
		return cli.Usage("-l measures, -P watches the path only: choose one")
	case m.short && (m.loop || m.interval > 0):
		return cli.Usage("-s wants no statistics, -l and -S do: choose one")
	case !m.passive && m.MissingSource():
		return cli.Usage("missing argument: the source of the multicast")
	}
	if m.repeats() && m.Call.Format == "json" {
		m.Call.Format = "ndjson"
	}
	return nil
}

// repeats is whether there may be any number of paths.
func (m *command) repeats() bool { return m.loop || m.pathOnly || m.passive }

// trace traces the path, once or as often as the options say.
func (m *command) trace(ctx context.Context, t tracing.Target) error {
	q, err := m.Question(t)
	if err != nil {
		return err
	}
	begin := m.Begin(q)
	if err := m.step(ctx, report.PathStep{Kind: report.StepBegin, Path: begin}); err != nil {
		return err
	}
	if tracing.OnLink(q) {
		begin.Reached = true
		if err := m.step(ctx, report.PathStep{Kind: report.StepOnLink, Path: begin}); err != nil {
			return err
		}
		return m.show(ctx, begin)
	}
	step := func(s report.PathStep) error { return m.step(ctx, s) }
	p, err := m.Run(ctx, q, step, func(ctx context.Context, tracer *trace.Tracer) (*report.Path, error) {
		if m.short {
			return tracer.Trace(ctx)
		}
		w := trace.Watch{
			Interval: m.interval, Loop: m.loop || m.pathOnly, Statistics: !m.pathOnly,
			Partial: m.loop || m.pathOnly || m.interval > 0,
		}
		return tracer.Run(ctx, w, func(p *report.Path) error { return m.show(ctx, p) })
	})
	switch {
	case p == nil:
		return err
	case err == nil && m.repeats():
		return nil
	case ctx.Err() != nil && err != nil:
		if m.Call.Format == "text" {
			fmt.Fprintln(m.Call.Stdout)
		}
		p.Complete, p.Reason = false, cli.Interrupted(ctx)
	case errors.Is(err, ask.ErrNoAnswer): // the path was there, and is no more
	case err != nil:
		return tracing.CouldNotTrace(err)
	}
	if showErr := m.show(context.WithoutCancel(ctx), p); showErr != nil {
		return showErr
	}
	if err != nil || !p.Reached {
		return cli.Exit(cli.ExitIncomplete)
	}
	return nil
}

// step prints one step, if the output is text.
func (m *command) step(ctx context.Context, s report.PathStep) error {
	return m.Step(ctx, s, render.PathOptions{Verbose: m.verbose, PathOnly: m.pathOnly})
}

// show prints a path that is done, as text only what goes to standard error.
func (m *command) show(ctx context.Context, p *report.Path) error {
	m.shown++
	m.Remark(p, report.EventReset, report.EventGroupReset)
	if m.Call.Format == "text" {
		return nil
	}
	m.Name(ctx, p)
	if m.Call.JSON() {
		return m.Call.WriteJSON(p)
	}
	if m.shown > 1 {
		if _, err := fmt.Fprintln(m.Call.Stdout); err != nil {
			return err
		}
	}
	return render.PathTable(m.Call.Stdout, p)
}
