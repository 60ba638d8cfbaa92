package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"

	"mbone/internal/ask"
	"mbone/internal/names"
	"mbone/internal/record"
)

// maxAddresses is how many addresses of one name are asked.
const maxAddresses = 16

// Addresses returns the addresses of a router that the user named, at least one.
// The error is an [Error] that says what to do.
func Addresses(ctx context.Context, r names.Resolver, target string) ([]netip.Addr, error) {
	addrs, err := r.Lookup(ctx, target)
	if err == nil && len(addrs) == 0 {
		err = names.ErrNoAddress
	}
	if err != nil {
		if lookup, ok := errors.AsType[*names.LookupError](err); ok {
			err = lookup.Err // the target is named already
		}
		return nil, &Error{Code: ExitFailed, What: target, Err: err, Fix: "check the name, or give the address"}
	}
	return addrs[:min(len(addrs), maxAddresses)], nil
}

// Unanswered says what is likely wrong where a router that the user named did not
// answer, or why it could not be asked; err is of a question of package ask. The
// code of the error is [ExitIncomplete] or [ExitFailed].
func Unanswered(target string, asked netip.Addr, err error) *Error {
	if !errors.Is(err, ask.ErrNoAnswer) {
		return CouldNotAsk(err)
	}
	what := target
	if target != asked.String() {
		what = fmt.Sprintf("%s (%s)", target, asked)
	}
	e := &Error{Code: ExitIncomplete, What: what, Err: ask.ErrNoAnswer}
	if op, ok := errors.AsType[*ask.OpError](err); ok {
		e.Err, e.Fix = op.Err, op.Fix
	}
	if e.Fix == "" {
		e.Fix = "no multicast router there, or its answer is lost on the way: to a filter, or an mrouted that takes packets with Router Alert"
		if asked.IsMulticast() {
			e.Fix = "no multicast router on this link; --interface chooses another"
		}
	}
	return e
}

// Answers returns what routers said of themselves in the recording of --read.
// lacking says in words why that may not be all; empty if it is. The error says
// why there is nothing.
func (a *Asking) Answers(ctx context.Context, stdin io.Reader) (answers []ask.NeighborsAnswer, lacking []string, err error) {
	file, err := a.Recording(ctx, stdin)
	if err != nil {
		return nil, nil, err
	}
	defer file.Close()
	name := a.RecordingName()
	answers, dropped, err := decode(ctx, file)
	if dropped > 0 {
		lacking = append(lacking, fmt.Sprintf("%s: %d packets of answers are beyond what is kept; record less at once", name, dropped))
	}
	switch {
	case err == nil:
	case ctx.Err() != nil:
		lacking = append(lacking, name+": "+Interrupted(ctx)+"; shown is what came before")
	case len(answers) == 0:
		return nil, nil, &Error{Code: ExitFailed, What: name, Err: err, Fix: "a recording is a file in pcap or pcapng form, as tcpdump -w makes it"}
	default:
		lacking = append(lacking, fmt.Sprintf("%s: %v; shown is what came before", name, err))
	}
	return answers, lacking, nil
}

// NoAnswers is the error of a recording without answers.
func (a *Asking) NoAnswers() *Error {
	return &Error{
		Code: ExitIncomplete, What: a.RecordingName(), Err: errors.New("no answer of a multicast router in it"),
		Fix: "record while somebody asks: tcpdump -w FILE igmp",
	}
}

// NotRecorded is the error of a router whose answer is not among those of a
// recording.
func NotRecorded(target string, answers []ask.NeighborsAnswer) *Error {
	const most = 5
	var all []string
	for _, a := range answers {
		if name := a.From.String(); !slices.Contains(all, name) && len(all) <= most {
			all = append(all, name)
		}
	}
	holds := "it holds none"
	if len(all) > most {
		all[most] = "others"
	}
	if len(all) > 0 {
		holds = "it holds those of " + strings.Join(all, ", ")
	}
	return &Error{Code: ExitIncomplete, What: target, Err: errors.New("no answer in the recording"), Fix: holds}
}

// decode reads a recording to its end, or until ctx ends: then, or if it is
// damaged, what was found up to there comes with the error.
func decode(ctx context.Context, r io.Reader) (answers []ask.NeighborsAnswer, dropped int, err error) {
	var found ask.Recorded
	err = record.ReadUntil(ctx, r, func(p *ask.Packet) error {
		found.Add(p)
		return nil
	})
	return found.Answers(), found.Dropped(), err
}
