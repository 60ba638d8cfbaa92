package mrinfo

import (
	"context"
	"net/netip"
	"slices"

	"mbone/internal/ask"
	"mbone/internal/cli"
	"mbone/proto/dvmrp"
)

// read prints the answers of a recording: those of the targets, or all.
func (m *command) read(ctx context.Context) error {
	answers, lacking, err := m.asking.Answers(ctx, m.call.Stdin)
	if err != nil {
		return err
	}
	for _, text := range lacking {
		m.fail(failure{text, true})
	}
	ctx = context.WithoutCancel(ctx) // what was read is shown, with names
	var results []result
	if len(m.call.Args) == 0 {
		results = m.all(answers)
	}
	for _, target := range m.call.Args {
		results = append(results, m.only(ctx, target, answers))
	}
	m.name(ctx, results)
	for _, r := range results {
		if err := m.print(r); err != nil {
			return err
		}
	}
	return nil
}

// all returns all answers of a recording.
func (m *command) all(answers []ask.NeighborsAnswer) []result {
	if len(answers) == 0 && len(m.failures) == 0 {
		m.fail(failureOf(m.asking.NoAnswers()))
	}
	results := make([]result, 0, len(answers))
	for i, a := range answers {
		results = append(results, answeredBy(a.From.String(), answers[i:i+1]))
	}
	return results
}

// only returns the answers of one router, called by any of its addresses.
func (m *command) only(ctx context.Context, target string, answers []ask.NeighborsAnswer) result {
	addrs, err := cli.Addresses(ctx, m.resolver, target)
	if err != nil {
		return unanswered(target, netip.Addr{}, failureOf(err))
	}
	var its []ask.NeighborsAnswer
	for _, a := range answers {
		if i := slices.IndexFunc(addrs, func(addr netip.Addr) bool { return owns(&a, addr) }); i >= 0 {
			a.Asked = addrs[i]
			its = append(its, a)
		}
	}
	if len(its) == 0 {
		return unanswered(target, addrs[0], failureOf(cli.NotRecorded(target, answers)))
	}
	return answeredBy(target, its)
}

// owns is whether an address is of the router that gave an answer.
func owns(a *ask.NeighborsAnswer, addr netip.Addr) bool {
	return a.From == addr || slices.ContainsFunc(a.Interfaces, func(i dvmrp.Interface) bool { return i.Local == addr })
}
