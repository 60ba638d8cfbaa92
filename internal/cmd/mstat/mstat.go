// Package mstat is the command mstat: it watches the path that multicast takes
// from a source to a receiver, and shows packet rates and losses of each hop.
package mstat

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"mbone/internal/ask"
	"mbone/internal/cli"
	"mbone/internal/cmd/tracing"
	"mbone/internal/trace"
	"mbone/render"
	"mbone/report"
)

// Run runs mstat with arguments (without its name) and returns the exit code.
func Run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	return cli.Run(ctx, Spec(), args, stdin, stdout, stderr)
}

// Spec describes the command.
func Spec() *cli.Spec {
	return newCommand(tracing.System()).spec()
}

// command is one run of mstat.
type command struct {
	*tracing.Tool

	count    int           // -c; 0: no end
	interval time.Duration // -S

	reports  int
	measured bool // one of them had statistics
}

func newCommand(w tracing.World) *command {
	return &command{Tool: tracing.New("mstat", w)}
}

func (m *command) spec() *cli.Spec {
	return &cli.Spec{
		Name:    "mstat",
		Summary: "Show the loss and the rate of multicast from a source to a receiver (default: this host), hop by hop and over time",
		Args:    "source [receiver] [group]",
		MaxArgs: 3,
		Flags: m.Flags(
			cli.Int(&m.count, "c", "COUNT", 1, math.MaxInt, "end after COUNT reports"),
			cli.Seconds(&m.interval, "S", "SEC", "report every SEC (10)"),
		),
		Formats:       []string{"text", "table", "json", "ndjson", "csv"},
		Schema:        report.StatsSchema,
		SchemaVersion: report.StatsVersion,
		Empty:         func(d report.Document) any { return tracing.Empty(d) },
		Notes:         []string{"Exit: 0 it measured, 1 it did not, 2 bad usage, 3 could not ask."},
		Action:        m.run,
	}
}

// errEnough ends a watch after the reports of -c.
var errEnough = errors.New("enough reports")

// run is the Action.
func (m *command) run(ctx context.Context, call *cli.Call) error {
	m.Call = call
	ctx, cancel := m.Asking.Context(ctx)
	defer cancel()
	read := m.Asking.Read != ""
	switch {
	case m.MissingSource():
		return cli.Usage("missing argument: the source of the multicast")
	case read && m.interval > 0:
		return cli.Usage("-S asks in intervals, --read reads a recording: choose one")
	}
	if m.Call.Format == "json" && m.count != 1 {
		m.Call.Format = "ndjson"
	}
	if err := m.Start(call); err != nil {
		return err
	}
	target, err := m.Target(ctx)
	if err != nil {
		return err
	}
	if read {
		return m.read(ctx, target)
	}
	end, err := m.Connect()
	if err != nil {
		return err
	}
	defer end()
	q, err := m.Question(target)
	if err != nil {
		return err
	}
	return m.watch(ctx, q)
}

// watch measures until the context ends or there are as many reports as -c says.
func (m *command) watch(ctx context.Context, q trace.Question) error {
	begin := m.Begin(q)
	if err := m.step(ctx, report.PathStep{Kind: report.StepBegin, Path: begin}); err != nil {
		return err
	}
	if tracing.OnLink(q) {
		begin.Complete, begin.Reason = false, "source and receiver are on one link: no router is between them that counts"
		if err := m.step(ctx, report.PathStep{Kind: report.StepOnLink, Path: begin}); err != nil {
			return err
		}
		return m.end(m.show(ctx, begin))
	}
	step := func(s report.PathStep) error { return m.step(ctx, s) }
	p, err := m.Run(ctx, q, step, func(ctx context.Context, tracer *trace.Tracer) (*report.Path, error) {
		w := trace.Watch{Interval: m.interval, Loop: true, Statistics: true, Partial: true, Keep: true}
		return tracer.Run(ctx, w, func(p *report.Path) error { return m.take(ctx, p) })
	})
	switch {
	case p == nil:
		return err
	case errors.Is(err, errEnough):
		return m.end(nil)
	case err != nil && ctx.Err() == nil && !errors.Is(err, ask.ErrNoAnswer):
		return tracing.CouldNotTrace(err)
	}
	// Interrupted.
	if m.Call.Format == "text" {
		fmt.Fprintln(m.Call.Stdout)
	}
	if m.reports > 0 {
		return m.end(nil)
	}
	p.Complete, p.Reason = false, cli.Interrupted(ctx)
	return m.end(m.show(context.WithoutCancel(ctx), p))
}

// end is the error of a run whose output ended with err.
func (m *command) end(err error) error {
	if err == nil && !m.measured {
		return cli.Exit(cli.ExitIncomplete)
	}
	return err
}

// take takes a path of the watch. One that was only just found is no report: what
// it loses comes with the next.
func (m *command) take(ctx context.Context, p *report.Path) error {
	if p.Statistics == nil && len(p.Hops) > 0 && len(p.Events) == 0 {
		m.remark(p)
		return nil
	}
	if err := m.show(ctx, p); err != nil {
		return err
	}
	if m.count > 0 && m.reports >= m.count {
		return errEnough
	}
	return nil
}

// read measures by the traces of a recording.
func (m *command) read(ctx context.Context, target tracing.Target) error {
	whole, err := m.Recorded(ctx, target, func(p *report.Path) error {
		if p.Statistics == nil || m.count > 0 && m.reports >= m.count {
			return nil
		}
		if m.Call.Format == "text" {
			begin := report.PathStep{Kind: report.StepBegin, Path: p}
			if err := m.step(ctx, begin); err != nil {
				return err
			}
			if err := m.step(ctx, report.PathStep{Kind: report.StepStatistics, Path: p}); err != nil {
				return err
			}
		}
		return m.show(ctx, p)
	})
	switch {
	case err != nil:
		return err
	case !m.measured:
		return &cli.Error{
			Code: cli.ExitIncomplete, What: m.Asking.RecordingName(),
			Err: errors.New("no path was traced twice in it"), Fix: "record while somebody runs mstat, or mtrace -l",
		}
	case !whole:
		return cli.Exit(cli.ExitIncomplete)
	}
	return nil
}

// step prints one step, if the output is text.
func (m *command) step(ctx context.Context, s report.PathStep) error {
	return m.Step(ctx, s, render.PathOptions{Marks: true})
}

// remark says on standard error what happened, and what is the matter.
func (m *command) remark(p *report.Path) {
	m.Remark(p, report.EventReset, report.EventGroupReset, report.EventRouteChanged, report.EventLost, report.EventBack)
}

// show prints a report; as text only what goes to standard error.
func (m *command) show(ctx context.Context, p *report.Path) error {
	if p.Statistics == nil && p.Complete {
		p.Complete, p.Reason = false, "nothing was measured: the path is not the one before"
	}
	m.remark(p)
	m.reports++
	m.measured = m.measured || p.Statistics != nil
	if m.Call.Format == "text" {
		return nil
	}
	m.Name(ctx, p)
	switch {
	case m.Call.JSON():
		return m.Call.WriteJSON(p)
	case m.Call.Format == "csv":
		return render.StatsCSV(m.Call.Stdout, p, m.reports == 1)
	case p.Statistics == nil:
		return nil
	}
	if m.reports > 1 {
		if _, err := fmt.Fprintln(m.Call.Stdout); err != nil {
			return err
		}
	}
	return render.StatsTable(m.Call.Stdout, p)
}
