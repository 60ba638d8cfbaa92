// Package tracing is what mtrace and mstat share: the options that say whom to
// ask and how, the question that these make of the arguments, host names, and
// what is said beside the path.
package tracing

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"mbone/internal/ask"
	"mbone/internal/cli"
	"mbone/internal/names"
	"mbone/internal/trace"
	"mbone/proto/igmp"
	"mbone/render"
	"mbone/report"
)

const (
	// maxTries bounds -q.
	maxTries = 1000
	// maxLookups is how many names of one path are looked up at once.
	maxLookups = 64
)

// defaultGroup is traced if none is named, as in mrouted 4.6.
var defaultGroup = igmp.MBoneAudio

// World is what a command touches of the machine; tests have their own.
type World struct {
	Open  func() (ask.Transport, error)
	Names func(*cli.Asking) (names.Resolver, error)
	Links func() ([]Link, error)
}

// System is the machine that the program runs on.
func System() World {
	return World{
		Open:  func() (ask.Transport, error) { return ask.Open(ask.RawOptions{}) },
		Names: (*cli.Asking).Names,
		Links: systemLinks,
	}
}

// Tool is one run of a command that traces.
type Tool struct {
	World
	Asking *cli.Asking
	// Call and Resolver are there after Start, Client after Connect.
	Call     *cli.Call
	Resolver names.Resolver
	Client   *ask.Client

	name string
	// The options.
	multicast, unicast, noAlert bool
	extra, maxHops, tries, ttl  int
	gateway, via, response      string
	wait                        time.Duration

	remarks []string // about the latest path, as they were printed
}

// New returns a run of the program of this name with the defaults of the options.
func New(name string, w World) *Tool {
	return &Tool{World: w, name: name, Asking: cli.NewAsking(), extra: trace.DefaultExtraHops}
}

// Flags returns the options of the tool, own ones of the command among them, in
// the order of their letters.
func (t *Tool) Flags(own ...cli.Flag) []cli.Flag {
	flags := append([]cli.Flag{
		cli.Int(&t.extra, "e", "HOPS", 0, math.MaxUint8, "go HOPS past a silent router"),
		cli.Text(&t.gateway, "g", "HOST", "ask router HOST first"),
		cli.Text(&t.via, "i", "NAME", "interface or own address"),
		cli.Int(&t.maxHops, "m", "HOPS", 1, math.MaxUint8, "trace HOPS hops only"),
		cli.Bool(&t.multicast, "M", "multicast answers only"),
		cli.Bool(&t.noAlert, "O", "no Router Alert"),
		cli.Int(&t.tries, "q", "COUNT", 1, maxTries, "send each query COUNT times"),
		cli.Text(&t.response, "r", "HOST", "answers go to HOST"),
		cli.Int(&t.ttl, "t", "TTL", 1, math.MaxUint8, "of multicast (64)"),
		cli.Bool(&t.unicast, "U", "unicast answers only"),
		cli.Seconds(&t.wait, "w", "SEC", "wait SEC for each answer"),
	}, own...)
	letter := func(f cli.Flag) string { return f.Names()[0] }
	slices.SortStableFunc(flags, func(a, b cli.Flag) int {
		return cmp.Or(strings.Compare(strings.ToLower(letter(a)), strings.ToLower(letter(b))), strings.Compare(letter(b), letter(a)))
	})
	return append(flags, t.Asking.Flags()...)
}

// MissingSource is whether the arguments lack the source, though nothing else
// says what to trace.
func (t *Tool) MissingSource() bool {
	return len(t.Call.Args) == 0 && t.Asking.Read == "" && t.gateway == ""
}

// Start takes the call and finds out how names are looked up.
func (t *Tool) Start(call *cli.Call) (err error) {
	t.Call = call
	t.Resolver, err = t.Names(t.Asking)
	return err
}

// Connect opens the socket. The function that it returns closes it.
func (t *Tool) Connect() (end func(), err error) {
	transport, err := t.Open()
	if err != nil {
		return nil, cli.CouldNotAsk(err)
	}
	log := t.Asking.Logger(t.Call.Stderr)
	t.Client = ask.New(transport, t.Asking.Options(log))
	return func() {
		cli.LogStats(log, t.Client.Stats())
		t.Client.Close()
	}, nil
}

// Target is what the arguments name. What they leave out is not valid.
type Target struct {
	Source, Receiver, Group netip.Addr
	Response                netip.Addr // of -r
	gateway                 netip.Addr // of -g
}

// Target looks the arguments up.
func (t *Tool) Target(ctx context.Context) (Target, error) {
	var to Target
	for i, arg := range t.Call.Args {
		a, err := t.lookup(ctx, arg)
		if err != nil {
			return to, err
		}
		group := a.IsMulticast() || a.IsUnspecified()
		switch {
		case i == 0 && group:
			return to, cli.Usage("source %s: not the address of a host", arg)
		case i == 0:
			to.Source = a
		case group && to.Group.IsValid():
			return to, cli.Usage("%s: one group is enough", arg)
		case group:
			to.Group = a
		case to.Receiver.IsValid():
			return to, cli.Usage("%s: one receiver is enough; a group is 224.0.0.0 to 239.255.255.255, or 0.0.0.0", arg)
		default:
			to.Receiver = a
		}
	}
	for _, o := range []struct {
		flag, host string
		addr       *netip.Addr
	}{{"-g", t.gateway, &to.gateway}, {"-r", t.response, &to.Response}} {
		if o.host == "" {
			continue
		}
		a, err := t.lookup(ctx, o.host)
		if err != nil {
			return to, err
		}
		if a.IsUnspecified() || o.flag == "-g" && a.IsMulticast() {
			return to, cli.Usage("%s %s: not the address of a host", o.flag, o.host)
		}
		*o.addr = a
	}
	return to, nil
}

// lookup returns the first address of a host.
func (t *Tool) lookup(ctx context.Context, host string) (netip.Addr, error) {
	addrs, err := cli.Addresses(ctx, t.Resolver, host)
	if err != nil {
		return netip.Addr{}, err
	}
	return addrs[0], nil
}

// Begin returns the path of a question of which nothing is known yet.
func (t *Tool) Begin(q trace.Question) *report.Path {
	p := Empty(t.Call.Document(""))
	p.Source.Addr, p.Receiver.Addr, p.Group.Addr = q.Source, q.Receiver, q.Group
	return p
}

// Empty returns the document of a run that ended before there was a path.
func Empty(d report.Document) *report.Path {
	return &report.Path{
		Document: d, Method: report.MethodNone,
		Hops: []report.Hop{}, Events: []report.PathEvent{}, Causes: []report.Cause{},
	}
}

// OnLink is whether source and receiver are on one link of this host, so that
// there is no router between them.
func OnLink(q trace.Question) bool {
	return !q.Gateway.IsValid() && q.ReceiverNet.IsValid() && q.ReceiverNet.Contains(q.Source)
}

// Run lets a tracer work. An error of step, which is told of all it does, ends
// that: then there is no path.
func (t *Tool) Run(ctx context.Context, q trace.Question, step func(report.PathStep) error,
	work func(context.Context, *trace.Tracer) (*report.Path, error)) (*report.Path, error) {
	run, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	p, err := work(run, trace.New(t.Client, q, func(s report.PathStep) {
		if err := step(s); err != nil {
			cancel(err) // nobody reads any more
		}
	}))
	if run.Err() != nil && ctx.Err() == nil {
		return nil, context.Cause(run)
	}
	return p, err
}

// CouldNotTrace words an error of a tracer that is not the lack of an answer.
func CouldNotTrace(err error) error {
	if errors.Is(err, trace.ErrUnsafe) {
		return &cli.Error{Code: cli.ExitFailed, Err: err, Fix: "trace through another router"}
	}
	return cli.CouldNotAsk(err)
}

// Step prints one step, if the output is text.
func (t *Tool) Step(ctx context.Context, s report.PathStep, o render.PathOptions) error {
	if t.Call.Format != "text" {
		return nil
	}
	if s.Kind.ShowsHosts() {
		t.Name(ctx, s.Path)
	}
	o.Numeric = t.Asking.Numeric
	return render.PathText(t.Call.Stdout, s, o)
}

// Remark prints what the output does not show of a path to standard error, and
// puts it into the document: the events of these kinds, and what is the matter
// with the path if that is not what it was before.
func (t *Tool) Remark(p *report.Path, kinds ...report.PathEventKind) {
	var events []string
	for _, e := range p.Events {
		if slices.Contains(kinds, e.Kind) {
			events = append(events, e.Text)
		}
	}
	remarks := remarksOf(p)
	lines := events
	if !slices.Equal(remarks, t.remarks) {
		lines = slices.Concat(events, remarks)
	}
	for _, line := range lines {
		fmt.Fprintf(t.Call.Stderr, "%s: %s\n", t.name, report.Printable(line))
	}
	t.remarks = remarks
	d := t.Call.Document("")
	p.Schema, p.Version = d.Schema, d.Version
	p.Errors = append(append(d.Errors, events...), remarks...)
}

// remarksOf is what the classic text does not show of a path.
func remarksOf(p *report.Path) []string {
	var lines []string
	if p.Query.BadChecksum {
		lines = append(lines, fmt.Sprintf("%s: bad checksum: the answer may be damaged, as those of Debian's pimd are", p.Query.AnsweredFrom))
	}
	for i := range p.Hops {
		h := &p.Hops[i]
		for _, u := range h.Unreliable {
			if u.Field != "raw" {
				lines = append(lines, fmt.Sprintf("hop %d, %s: %s is unreliable: %s", h.Number, h.Address, u.Field, u.Reason))
			}
		}
	}
	if p.Complete {
		return lines
	}
	lines = append(lines, p.Reason)
	for _, c := range p.Causes {
		if c.Text == p.Reason {
			continue
		}
		line := "perhaps " + c.Text
		if c.Fix != "" {
			line += "; " + c.Fix
		}
		lines = append(lines, line)
	}
	return lines
}

// Name fills in the host names, all look-ups at once and none longer than
// --dns-timeout.
func (t *Tool) Name(ctx context.Context, p *report.Path) {
	if t.Asking.Numeric {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, t.Asking.DNSTimeout)
	defer cancel()
	var wait sync.WaitGroup
	slots := make(chan struct{}, maxLookups)
	lookup := func(to **string, addrs ...report.Address) {
		slots <- struct{}{}
		wait.Go(func() {
			defer func() { <-slots }()
			for _, a := range addrs {
				if !a.IsValid() {
					continue
				}
				if name := t.Resolver.Name(ctx, a.Addr); name != "" {
					*to = &name
					return
				}
			}
		})
	}
	lookup(&p.SourceName, p.Source)
	lookup(&p.ReceiverName, p.Receiver)
	for i := range p.Hops {
		lookup(&p.Hops[i].Name, p.Hops[i].Outgoing, p.Hops[i].Incoming)
	}
	if p.Next != nil {
		lookup(&p.Next.Name, p.Next.Address)
	}
	wait.Wait()
}
