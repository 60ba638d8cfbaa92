package mtrace

import (
	"context"

	"mbone/internal/ask"
	"mbone/internal/cli"
	"mbone/internal/cmd/tracing"
	"mbone/internal/trace"
	"mbone/report"
)

// listen prints the traces of others until the run ends (-p).
func (m *command) listen(ctx context.Context, t tracing.Target) error {
	via, err := m.ViaOf()
	if err != nil {
		return err
	}
	group := trace.ResponseGroup
	if t.Response.IsMulticast() {
		group = t.Response
	}
	o := trace.Overhearer{Match: t.Matches}
	err = m.Client.Listen(ctx, group, via.IfIndex, func(p *ask.Packet) error {
		path := o.Packet(p)
		if path == nil {
			return nil
		}
		if err := m.step(ctx, report.PathStep{Kind: report.StepOverheard, Path: path}); err != nil {
			return err
		}
		if path.Statistics != nil && !m.short {
			if err := m.step(ctx, report.PathStep{Kind: report.StepStatistics, Path: path}); err != nil {
				return err
			}
		}
		return m.show(ctx, path)
	})
	if err != nil && ctx.Err() == nil {
		return cli.CouldNotAsk(err)
	}
	return nil
}

// read prints the traces of a recording.
func (m *command) read(ctx context.Context) error {
	t, err := m.Target(ctx)
	if err != nil {
		return err
	}
	reached := true
	var paths []*report.Path // for JSON: the form depends on how many there are
	whole, err := m.Recorded(ctx, t, func(path *report.Path) error {
		reached = reached && path.Reached
		if m.Call.JSON() {
			paths = append(paths, path)
			return nil
		}
		if err := m.recorded(ctx, path); err != nil {
			return err
		}
		return m.show(ctx, path)
	})
	if err != nil {
		return err
	}
	if len(paths) > 1 {
		m.Call.Format = "ndjson"
	}
	for _, p := range paths {
		if err := m.show(context.WithoutCancel(ctx), p); err != nil {
			return err
		}
	}
	if !whole || !reached {
		return cli.Exit(cli.ExitIncomplete)
	}
	return nil
}

// recorded prints a trace of a recording as the program printed it that asked.
// A second one of the same path brings its statistics, unless -s is given.
func (m *command) recorded(ctx context.Context, p *report.Path) error {
	if p.Statistics != nil && !m.short {
		if err := m.step(ctx, report.PathStep{Kind: report.StepWait}); err != nil {
			return err
		}
		return m.step(ctx, report.PathStep{Kind: report.StepStatistics, Path: p})
	}
	query := report.PathStep{Kind: report.StepQuery}
	if hops := p.Query.Hops; hops != nil && *hops < trace.DefaultMaxHops {
		query.Limit = *hops
	}
	steps := []report.PathStep{{Kind: report.StepBegin}, query, {Kind: report.StepReply}}
	n := len(p.Hops) + 1
	switch {
	case p.Reached:
		steps = append(steps, report.PathStep{Kind: report.StepSource, Hop: n})
	case p.Next != nil:
		steps = append(steps, report.PathStep{Kind: report.StepAsking, Hop: n}, report.PathStep{Kind: report.StepNext})
	}
	for _, s := range append(steps, report.PathStep{Kind: report.StepEnd}) {
		s.Path = p
		if err := m.step(ctx, s); err != nil {
			return err
		}
	}
	return nil
}
