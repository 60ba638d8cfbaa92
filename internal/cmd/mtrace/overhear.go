package mtrace

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"mbone/internal/ask"
	"mbone/internal/cli"
	"mbone/internal/record"
	"mbone/internal/trace"
	"mbone/report"
)

// listen prints the traces of others until the run ends (-p).
func (m *command) listen(ctx context.Context, t target) error {
	links, err := m.links()
	if err != nil {
		return &cli.Error{Code: cli.ExitFailed, What: "interfaces of this host", Err: err}
	}
	via, err := m.viaOf(links)
	if err != nil {
		return err
	}
	group := trace.ResponseGroup
	if t.response.IsMulticast() {
		group = t.response
	}
	o := trace.Overhearer{Match: t.matches}
	err = m.client.Listen(ctx, group, via.IfIndex, func(p *ask.Packet) error {
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
	t, err := m.target(ctx)
	if err != nil {
		return err
	}
	file, err := m.asking.Recording(ctx, m.call.Stdin)
	if err != nil {
		return err
	}
	defer file.Close()
	o := trace.Overhearer{Match: t.matches}
	reached := true
	var paths []*report.Path // for JSON: the form depends on how many there are
	damage := m.packets(ctx, file, func(p *ask.Packet) error {
		path := o.Packet(p)
		if path == nil {
			return nil
		}
		reached = reached && path.Reached
		if m.call.JSON() {
			paths = append(paths, path)
			return nil
		}
		if err := m.recorded(ctx, path); err != nil {
			return err
		}
		return m.show(ctx, path)
	})
	found := m.shown + len(paths)
	switch {
	case errors.Is(damage, errOutput):
		return damage
	case damage != nil && ctx.Err() != nil:
		m.call.Warn("%s: %s; shown is what came before", m.asking.RecordingName(), cli.Interrupted(ctx))
	case damage != nil && found == 0:
		return &cli.Error{
			Code: cli.ExitFailed, What: m.asking.RecordingName(), Err: damage,
			Fix: "a recording is a file in pcap or pcapng form, as tcpdump -w makes it",
		}
	case damage != nil:
		m.call.Warn("%s: %v; shown is what came before", m.asking.RecordingName(), damage)
	}
	if found == 0 {
		what := "; record while somebody asks: tcpdump -w FILE igmp"
		if n := o.Unanswered(); n > 0 {
			what = fmt.Sprintf(", but %d without; record where the answers come by", n)
		}
		return &cli.Error{Code: cli.ExitIncomplete, What: fmt.Sprintf("%s: no answered query for %s in it%s", m.asking.RecordingName(), t.describe(), what)}
	}
	if len(paths) > 1 {
		m.call.Format = "ndjson"
	}
	for _, p := range paths {
		if err := m.show(context.WithoutCancel(ctx), p); err != nil {
			return err
		}
	}
	if damage != nil || !reached {
		return cli.Exit(cli.ExitIncomplete)
	}
	return nil
}

// errOutput marks an error of the output among those of the input.
var errOutput = errors.New("output")

// packets calls fn with every packet of a recording until ctx ends.
func (m *command) packets(ctx context.Context, r io.Reader, fn func(*ask.Packet) error) error {
	packets := make(chan ask.Packet)
	ended := make(chan error, 1)
	go func() { // it may hang in r, which may be a pipe
		ended <- record.Read(r, func(p *ask.Packet) error {
			copied := *p
			copied.Message = slices.Clone(p.Message)
			select {
			case packets <- copied:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	}()
	for {
		select {
		case p := <-packets:
			if err := fn(&p); err != nil {
				return fmt.Errorf("%w: %w", errOutput, err)
			}
		case <-ctx.Done():
			return ctx.Err()
		case err := <-ended:
			return err
		}
	}
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
