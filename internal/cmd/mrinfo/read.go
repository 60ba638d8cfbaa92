package mrinfo

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"

	"mbone/internal/ask"
	"mbone/internal/cli"
	"mbone/internal/record"
	"mbone/proto/dvmrp"
)

// read prints the answers of a recording: those of the targets, or all.
func (m *command) read(ctx context.Context) error {
	file, err := m.asking.Recording(ctx, m.call.Stdin)
	if err != nil {
		return err
	}
	answers, err := m.decode(ctx, file)
	file.Close()
	switch {
	case err == nil:
	case ctx.Err() != nil:
		m.fail(failure{m.asking.RecordingName() + ": " + cli.Interrupted(ctx) + "; shown is what came before", true})
	case len(answers) == 0:
		return &cli.Error{Code: cli.ExitFailed, What: m.asking.RecordingName(), Err: err, Fix: "a recording is a file in pcap or pcapng form, as tcpdump -w makes it"}
	default:
		m.fail(failure{fmt.Sprintf("%s: %v; shown is what came before", m.asking.RecordingName(), err), true})
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

// decode reads a recording to its end, or until ctx ends: then, or if it is
// damaged, what was found up to there comes with the error.
func (m *command) decode(ctx context.Context, r io.Reader) ([]ask.NeighborsAnswer, error) {
	var found ask.Recorded
	packets := make(chan ask.Packet)
	ended := make(chan error, 1)
	go func() { // it may hang in r, which may be a pipe
		err := record.Read(r, func(p *ask.Packet) error {
			copied := *p
			copied.Message = slices.Clone(p.Message)
			select {
			case packets <- copied:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
		ended <- err
	}()
	for {
		var err error
		select {
		case p := <-packets:
			found.Add(&p)
			continue
		case <-ctx.Done():
			err = ctx.Err()
		case err = <-ended:
		}
		if n := found.Dropped(); n > 0 {
			m.fail(failure{fmt.Sprintf("%s: %d packets of answers are beyond what is kept; record less at once", m.asking.RecordingName(), n), true})
		}
		return found.Answers(), err
	}
}

// all returns all answers of a recording.
func (m *command) all(answers []ask.NeighborsAnswer) []result {
	if len(answers) == 0 && len(m.failures) == 0 {
		m.fail(failure{m.asking.RecordingName() + ": no answer of a multicast router in it; record while somebody asks: tcpdump -w FILE igmp", true})
	}
	results := make([]result, 0, len(answers))
	for i, a := range answers {
		results = append(results, answeredBy(a.From.String(), answers[i:i+1]))
	}
	return results
}

// only returns the answers of one router, called by any of its addresses.
func (m *command) only(ctx context.Context, target string, answers []ask.NeighborsAnswer) result {
	addrs, err := m.lookup(ctx, target)
	if err != nil {
		return unanswered(target, netip.Addr{}, unknown(target, err))
	}
	var its []ask.NeighborsAnswer
	for _, a := range answers {
		if i := slices.IndexFunc(addrs, func(addr netip.Addr) bool { return owns(&a, addr) }); i >= 0 {
			a.Asked = addrs[i]
			its = append(its, a)
		}
	}
	if len(its) == 0 {
		text := fmt.Sprintf("%s: no answer in the recording; it holds %s", target, routersOf(answers))
		return unanswered(target, addrs[0], failure{text, true})
	}
	return answeredBy(target, its)
}

// owns is whether an address is of the router that gave an answer.
func owns(a *ask.NeighborsAnswer, addr netip.Addr) bool {
	return a.From == addr || slices.ContainsFunc(a.Interfaces, func(i dvmrp.Interface) bool { return i.Local == addr })
}

// routersOf names some of the routers whose answers there are.
func routersOf(answers []ask.NeighborsAnswer) string {
	const most = 5
	var all []string
	for _, a := range answers {
		if name := a.From.String(); !slices.Contains(all, name) && len(all) <= most {
			all = append(all, name)
		}
	}
	switch {
	case len(all) == 0:
		return "none"
	case len(all) > most:
		all[most] = "others"
	}
	return "those of " + strings.Join(all, ", ")
}
