package mapmbone

import (
	"context"
	"fmt"
	"net/netip"

	"mbone/internal/ask"
	"mbone/internal/cli"
	"mbone/internal/topo"
	"mbone/report"
)

// read makes the map of a recording: of all of it, or of what can be reached in
// it from a router.
func (m *command) read(ctx context.Context) (*report.Map, error) {
	if len(m.call.Args) == 0 && (len(m.within) > 0 || m.depth >= 0) {
		return nil, cli.Usage("--within and --depth with --read: name the router of the recording to begin with")
	}
	answers, lacking, err := m.asking.Answers(ctx, m.call.Stdin)
	if err != nil {
		return nil, err
	}
	m.problems = lacking
	if len(answers) > 0 {
		m.recorded = answers[0].Time
	}
	ctx = context.WithoutCancel(ctx)
	if len(m.call.Args) == 0 {
		if len(answers) == 0 && len(lacking) == 0 {
			m.problems = append(m.problems, m.asking.NoAnswers().Error())
		}
		return topo.FromAnswers(answers), nil
	}
	addrs, err := cli.Addresses(ctx, m.resolver, m.target())
	if err != nil {
		return nil, err
	}
	r := newRecording(answers)
	start := addrs[0]
	for _, a := range addrs {
		if len(r.of(a)) > 0 {
			start = a
			break
		}
	}
	if len(r.of(start)) == 0 {
		m.problems = append(m.problems, cli.NotRecorded(m.target(), answers).Error())
	}
	d, err := topo.Run(ctx, r, m.plan(start))
	if err != nil {
		return nil, err
	}
	// Nobody was asked: a recording need not hold all questions.
	d.Questions, d.Took = nil, nil
	for i := range d.Routers {
		router := &d.Routers[i]
		if router.State == report.RouterSilent {
			router.State, router.Reason = report.RouterNotAsked, "no answer of it is in the recording"
		}
	}
	return d, nil
}

// recording answers questions with what a recording holds.
type recording struct {
	routers map[netip.Addr]*ask.NeighborsAnswer // by all of their addresses
	groups  map[netip.Addr][]ask.NeighborsAnswer
}

// newRecording takes of each router the newest answer.
func newRecording(answers []ask.NeighborsAnswer) *recording {
	r := &recording{routers: make(map[netip.Addr]*ask.NeighborsAnswer), groups: make(map[netip.Addr][]ask.NeighborsAnswer)}
	for i := range answers {
		a := &answers[i]
		r.routers[a.From] = a
		if a.Asked.IsMulticast() {
			r.groups[a.Asked] = append(r.groups[a.Asked], *a)
		}
	}
	for i := range answers {
		for _, local := range answers[i].Interfaces {
			if r.routers[local.Local] == nil {
				r.routers[local.Local] = r.routers[answers[i].From]
			}
		}
	}
	return r
}

// of returns what is known of a router, or of all that a group was asked about.
func (r *recording) of(addr netip.Addr) []ask.NeighborsAnswer {
	if addr.IsMulticast() {
		return r.groups[addr]
	}
	if a := r.routers[addr]; a != nil {
		answer := *a
		answer.Asked = addr
		return []ask.NeighborsAnswer{answer}
	}
	return nil
}

// Neighbors implements [topo.Asker].
func (r *recording) Neighbors(_ context.Context, q ask.NeighborsQuestion) ([]ask.NeighborsAnswer, error) {
	answers := r.of(q.Router)
	if len(answers) == 0 {
		return nil, &ask.OpError{Op: "ask", Object: q.Router.String(), Err: errNotRecorded}
	}
	return answers, nil
}

// errNotRecorded is why a router is silent in a recording.
var errNotRecorded = fmt.Errorf("%w in the recording", ask.ErrNoAnswer)
