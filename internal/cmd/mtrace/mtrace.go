// Package mtrace is the command mtrace: it traces the path that multicast takes
// from a source to a receiver, watches it, listens to others' traces, or reads
// them out of a recording.
package mtrace

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/netip"
	"slices"
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

// Run runs mtrace with arguments (without its name) and returns the exit code.
func Run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	return cli.Run(ctx, Spec(), args, stdin, stdout, stderr)
}

// Spec describes the command.
func Spec() *cli.Spec {
	return newCommand(world{
		open:  func() (ask.Transport, error) { return ask.Open(ask.RawOptions{}) },
		names: (*cli.Asking).Names,
		links: systemLinks,
	}).spec()
}

// world is what the command touches; tests have their own.
type world struct {
	open  func() (ask.Transport, error)
	names func(*cli.Asking) (names.Resolver, error)
	links func() ([]link, error)
}

// command is one run of mtrace.
type command struct {
	asking *cli.Asking
	world

	// The options, by their letters.
	loop, multicast, unicast, noAlert, passive, pathOnly, short, tunnels, verbose bool
	extra, maxHops, tries, ttl                                                    int
	gateway, via, response                                                        string
	interval, wait                                                                time.Duration

	call     *cli.Call
	resolver names.Resolver
	client   *ask.Client
	remarks  []string // about the latest path, as they were printed
	shown    int      // paths
}

func newCommand(w world) *command {
	return &command{asking: cli.NewAsking(), world: w, extra: trace.DefaultExtraHops}
}

func (m *command) spec() *cli.Spec {
	return &cli.Spec{
		Name:    "mtrace",
		Summary: "Trace the path of multicast from a source to a receiver (default: this host)",
		Args:    "source [receiver] [group]",
		MaxArgs: 3,
		Flags: append([]cli.Flag{
			cli.Int(&m.extra, "e", "HOPS", 0, math.MaxUint8, "go HOPS past a silent router"),
			cli.Text(&m.gateway, "g", "HOST", "ask router HOST first"),
			cli.Text(&m.via, "i", "NAME", "interface or own address"),
			cli.Bool(&m.loop, "l", "statistics in a loop"),
			cli.Int(&m.maxHops, "m", "HOPS", 1, math.MaxUint8, "trace HOPS hops only"),
			cli.Bool(&m.multicast, "M", "multicast answers only"),
			cli.Bool(&m.noAlert, "O", "no Router Alert"),
			cli.Bool(&m.passive, "p", "print others' traces"),
			cli.Bool(&m.pathOnly, "P", "watch the path for changes"),
			cli.Int(&m.tries, "q", "COUNT", 1, maxTries, "send each query COUNT times"),
			cli.Text(&m.response, "r", "HOST", "answers go to HOST"),
			cli.Bool(&m.short, "s", "no statistics"),
			cli.Seconds(&m.interval, "S", "SEC", "statistics after SEC (10)"),
			cli.Int(&m.ttl, "t", "TTL", 1, math.MaxUint8, "of multicast (64)"),
			cli.Bool(&m.tunnels, "T", "accepted: always on"),
			cli.Bool(&m.unicast, "U", "unicast answers only"),
			cli.Bool(&m.verbose, "v", "show hop times"),
			cli.Seconds(&m.wait, "w", "SEC", "wait SEC for each answer"),
		}, m.asking.Flags()...),
		Formats:       []string{"text", "table", "json", "ndjson"},
		Schema:        report.PathSchema,
		SchemaVersion: report.PathVersion,
		Empty: func(d report.Document) any {
			return &report.Path{Document: d, Method: report.MethodNone, Hops: []report.Hop{}, Events: []report.PathEvent{}, Causes: []report.Cause{}}
		},
		Notes:  []string{"Exit: 0 the source is reached, 1 it is not, 2 bad usage, 3 could not ask."},
		Action: m.run,
	}
}

// run is the Action.
func (m *command) run(ctx context.Context, call *cli.Call) error {
	m.call = call
	ctx, cancel := m.asking.Context(ctx)
	defer cancel()
	if err := m.check(); err != nil {
		return err
	}
	var err error
	if m.resolver, err = m.names(m.asking); err != nil {
		return err
	}
	if m.asking.Read != "" {
		return m.read(ctx)
	}
	target, err := m.target(ctx)
	if err != nil {
		return err
	}
	transport, err := m.open()
	if err != nil {
		return cli.CouldNotAsk(err)
	}
	log := m.asking.Logger(call.Stderr)
	m.client = ask.New(transport, m.asking.Options(log))
	defer m.client.Close()
	if m.passive {
		err = m.listen(ctx, target)
	} else {
		err = m.trace(ctx, target)
	}
	cli.LogStats(log, m.client.Stats())
	return err
}

// check refuses options that contradict each other.
func (m *command) check() error {
	switch {
	case m.passive && m.asking.Read != "":
		return cli.Usage("-p listens, --read reads a recording: choose one")
	case m.pathOnly && m.loop:
		return cli.Usage("-l measures, -P watches the path only: choose one")
	case m.short && (m.loop || m.interval > 0):
		return cli.Usage("-s wants no statistics, -l and -S do: choose one")
	case len(m.call.Args) == 0 && !m.passive && m.asking.Read == "" && m.gateway == "":
		return cli.Usage("missing argument: the source of the multicast")
	}
	if m.repeats() && m.call.Format == "json" {
		m.call.Format = "ndjson"
	}
	return nil
}

// repeats is whether there may be any number of paths.
func (m *command) repeats() bool { return m.loop || m.pathOnly || m.passive }

// target is what the arguments name. What they leave out is not valid.
type target struct {
	source, receiver, group netip.Addr
	gateway, response       netip.Addr
}

// target looks the arguments up.
func (m *command) target(ctx context.Context) (target, error) {
	var t target
	for i, arg := range m.call.Args {
		a, err := m.lookup(ctx, arg)
		if err != nil {
			return t, err
		}
		group := a.IsMulticast() || a.IsUnspecified()
		switch {
		case i == 0 && group:
			return t, cli.Usage("source %s: not the address of a host", arg)
		case i == 0:
			t.source = a
		case group && t.group.IsValid():
			return t, cli.Usage("%s: one group is enough", arg)
		case group:
			t.group = a
		case t.receiver.IsValid():
			return t, cli.Usage("%s: one receiver is enough; a group is 224.0.0.0 to 239.255.255.255, or 0.0.0.0", arg)
		default:
			t.receiver = a
		}
	}
	for _, o := range []struct {
		flag, host string
		addr       *netip.Addr
	}{{"-g", m.gateway, &t.gateway}, {"-r", m.response, &t.response}} {
		if o.host == "" {
			continue
		}
		a, err := m.lookup(ctx, o.host)
		if err != nil {
			return t, err
		}
		if a.IsUnspecified() || o.flag == "-g" && a.IsMulticast() {
			return t, cli.Usage("%s %s: not the address of a host", o.flag, o.host)
		}
		*o.addr = a
	}
	return t, nil
}

// lookup returns the first address of a host.
func (m *command) lookup(ctx context.Context, host string) (netip.Addr, error) {
	addrs, err := m.resolver.Lookup(ctx, host)
	if err == nil && len(addrs) == 0 {
		err = errors.New("no IPv4 address")
	}
	if lookup, ok := errors.AsType[*names.LookupError](err); ok {
		err = lookup.Err // the host is named already
	}
	if err != nil {
		return netip.Addr{}, &cli.Error{Code: cli.ExitFailed, What: host, Err: err, Fix: "check the name, or give the address"}
	}
	return addrs[0], nil
}

// trace traces the path, once or as often as the options say.
func (m *command) trace(ctx context.Context, t target) error {
	q, err := m.question(t)
	if err != nil {
		return err
	}
	begin := &report.Path{
		Document: report.Document{Schema: report.PathSchema, Version: report.PathVersion, Complete: true, Time: time.Now()},
		Source:   report.Address{Addr: q.Source}, Receiver: report.Address{Addr: q.Receiver}, Group: report.Address{Addr: q.Group},
		Method: report.MethodNone, Hops: []report.Hop{}, Events: []report.PathEvent{}, Causes: []report.Cause{},
	}
	if err := m.step(ctx, report.PathStep{Kind: report.StepBegin, Path: begin}); err != nil {
		return err
	}
	if !q.Gateway.IsValid() && q.ReceiverNet.IsValid() && q.ReceiverNet.Contains(q.Source) {
		begin.Reached = true
		if err := m.step(ctx, report.PathStep{Kind: report.StepOnLink, Path: begin}); err != nil {
			return err
		}
		return m.show(ctx, begin)
	}
	run, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	tracer := trace.New(m.client, q, func(s report.PathStep) {
		if err := m.step(ctx, s); err != nil {
			cancel(err) // nobody reads any more
		}
	})
	var p *report.Path
	if m.short {
		p, err = tracer.Trace(run)
	} else {
		w := trace.Watch{
			Interval: m.interval, Loop: m.loop || m.pathOnly, Statistics: !m.pathOnly,
			Partial: m.loop || m.pathOnly || m.interval > 0,
		}
		p, err = tracer.Run(run, w, func(p *report.Path) error { return m.show(ctx, p) })
	}
	switch {
	case run.Err() != nil && ctx.Err() == nil:
		return context.Cause(run)
	case err == nil && m.repeats():
		return nil
	case ctx.Err() != nil && err != nil:
		if m.call.Format == "text" {
			fmt.Fprintln(m.call.Stdout)
		}
		p.Complete, p.Reason = false, cli.Interrupted(ctx)
	case errors.Is(err, ask.ErrNoAnswer): // the path was there, and is no more
	case errors.Is(err, trace.ErrUnsafe):
		return &cli.Error{Code: cli.ExitFailed, Err: err, Fix: "trace through another router"}
	case err != nil:
		return cli.CouldNotAsk(err)
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
	if m.call.Format != "text" {
		return nil
	}
	if s.Kind.ShowsHosts() {
		m.name(ctx, s.Path)
	}
	o := render.PathOptions{Numeric: m.asking.Numeric, Verbose: m.verbose, PathOnly: m.pathOnly}
	return render.PathText(m.call.Stdout, s, o)
}

// show prints a path that is done, as text only what goes to standard error.
func (m *command) show(ctx context.Context, p *report.Path) error {
	m.shown++
	remarks := remarksOf(p)
	if !slices.Equal(remarks, m.remarks) {
		for _, r := range remarks {
			fmt.Fprintf(m.call.Stderr, "mtrace: %s\n", report.Printable(r))
		}
	}
	m.remarks = remarks
	p.Errors = append(m.call.Document("").Errors, remarks...)
	if m.call.Format == "text" {
		return nil
	}
	m.name(ctx, p)
	if m.call.JSON() {
		return m.call.WriteJSON(p)
	}
	if m.shown > 1 {
		if _, err := fmt.Fprintln(m.call.Stdout); err != nil {
			return err
		}
	}
	return render.PathTable(m.call.Stdout, p)
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
	if p.Statistics != nil && p.Statistics.Resets > 0 {
		lines = append(lines, fmt.Sprintf("counters began anew %d times: statistics are since then", p.Statistics.Resets))
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

// name fills in the host names, all look-ups at once and none longer than
// --dns-timeout.
func (m *command) name(ctx context.Context, p *report.Path) {
	if m.asking.Numeric {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, m.asking.DNSTimeout)
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
				if name := m.resolver.Name(ctx, a.Addr); name != "" {
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
