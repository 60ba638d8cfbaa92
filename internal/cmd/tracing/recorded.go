package tracing

import (
	"context"
	"errors"
	"fmt"

	"mbone/internal/ask"
	"mbone/internal/cli"
	"mbone/internal/record"
	"mbone/internal/trace"
	"mbone/report"
)

// Recorded calls fn with each answered trace of the recording of --read that is
// for the target. A recording that cannot be read to its end is warned about and
// is whole = false; one without such a trace is an error.
func (t *Tool) Recorded(ctx context.Context, to Target, fn func(*report.Path) error) (whole bool, err error) {
	file, err := t.Asking.Recording(ctx, t.Call.Stdin)
	if err != nil {
		return false, err
	}
	defer file.Close()
	o := trace.Overhearer{Match: to.Matches}
	found := 0
	damage := record.ReadUntil(ctx, file, func(p *ask.Packet) error {
		path := o.Packet(p)
		if path == nil {
			return nil
		}
		found++
		if err := fn(path); err != nil {
			return fmt.Errorf("%w: %w", errOutput, err)
		}
		return nil
	})
	name := t.Asking.RecordingName()
	switch {
	case errors.Is(damage, errOutput):
		return false, damage
	case damage != nil && ctx.Err() != nil:
		t.Call.Warn("%s: %s; shown is what came before", name, cli.Interrupted(ctx))
	case damage != nil && found == 0:
		return false, &cli.Error{
			Code: cli.ExitFailed, What: name, Err: damage,
			Fix: "a recording is a file in pcap or pcapng form, as tcpdump -w makes it",
		}
	case damage != nil:
		t.Call.Warn("%s: %v; shown is what came before", name, damage)
	}
	if found == 0 {
		what := "; record while somebody asks: tcpdump -w FILE igmp"
		if n := o.Unanswered(); n > 0 {
			what = fmt.Sprintf(", but %d without; record where the answers come by", n)
		}
		return false, &cli.Error{Code: cli.ExitIncomplete, What: fmt.Sprintf("%s: no answered query for %s in it%s", name, to.Describe(), what)}
	}
	return damage == nil, nil
}

// errOutput marks an error of the output among those of the input.
var errOutput = errors.New("output")
