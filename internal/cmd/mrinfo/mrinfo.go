// Package mrinfo is the command mrinfo: it asks multicast routers for their
// interfaces and neighbours, or reads answers out of a recording.
package mrinfo

import (
	"context"
	"errors"
	"io"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"mbone/internal/ask"
	"mbone/internal/cli"
	"mbone/internal/names"
	"mbone/render"
	"mbone/report"
)

const (
	// defaultRouter is asked if none is named, as always: the one on this host.
	defaultRouter = "127.0.0.1"
	// maxRetries bounds -r.
	maxRetries = 1000
)

// Run runs mrinfo with arguments (without its name) and returns the exit code.
func Run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	return cli.Run(ctx, Spec(), args, stdin, stdout, stderr)
}

// Spec describes the command.
func Spec() *cli.Spec {
	return newCommand(func() (ask.Transport, error) { return ask.Open(ask.RawOptions{}) }, (*cli.Asking).Names).spec()
}

// command is one run of mrinfo.
type command struct {
	asking  *cli.Asking
	retries int           // -r; below 0: not given
	timeout time.Duration // -t; 0: not given

	// The doors to the world.
	open  func() (ask.Transport, error)
	names func(*cli.Asking) (names.Resolver, error)

	call     *cli.Call
	resolver names.Resolver
	routers  []report.Router // in the order of the targets, as they are printed
	failures []failure
	answered int // targets
}

// failure is a target without an answer.
type failure struct {
	text   string
	silent bool // it could be asked
}

func newCommand(open func() (ask.Transport, error), resolver func(*cli.Asking) (names.Resolver, error)) *command {
	return &command{asking: cli.NewAsking(), retries: -1, open: open, names: resolver}
}

func (m *command) spec() *cli.Spec {
	return &cli.Spec{
		Name:    "mrinfo",
		Summary: "Ask multicast routers for their interfaces and neighbours (default: " + defaultRouter + ")",
		Args:    "[router...]",
		MaxArgs: -1,
		Flags: append([]cli.Flag{
			cli.Int(&m.retries, "r", "COUNT", 0, maxRetries, "ask again at least COUNT times"),
			cli.Seconds(&m.timeout, "t", "SEC", "wait SEC for an answer to each try"),
		}, m.asking.Flags()...),
		Formats:       []string{"text", "table", "json", "dot"},
		Schema:        report.RoutersSchema,
		SchemaVersion: report.RoutersVersion,
		Empty:         func(d report.Document) any { return &report.Routers{Document: d, Routers: []report.Router{}} },
		Notes:         []string{"Exit: 0 all answered, 1 not all did, 2 bad usage, 3 could not ask."},
		Action:        m.run,
	}
}

// run is the Action.
func (m *command) run(ctx context.Context, call *cli.Call) error {
	m.call = call
	ctx, cancel := m.asking.Context(ctx)
	defer cancel()
	var err error
	if m.resolver, err = m.names(m.asking); err != nil {
		return err
	}
	if m.asking.Read != "" {
		err = m.read(ctx)
	} else {
		err = m.ask(ctx)
	}
	if err != nil {
		return err
	}
	return m.finish()
}

// ask asks all targets at once and prints them in their order.
func (m *command) ask(ctx context.Context) error {
	via, err := m.asking.Via()
	if err != nil {
		return err
	}
	transport, err := m.open()
	if err != nil {
		return cli.CouldNotAsk(err)
	}
	log := m.asking.Logger(m.call.Stderr)
	client := ask.New(transport, m.asking.Options(log))
	defer client.Close()
	targets := m.call.Args
	if len(targets) == 0 {
		targets = []string{defaultRouter}
	}
	results := make([]chan result, len(targets))
	for i, target := range targets {
		results[i] = make(chan result, 1)
		go func() { results[i] <- m.target(ctx, client, via, target) }()
	}
	for i := range results {
		if err := m.print(<-results[i]); err != nil {
			return err
		}
	}
	if ctx.Err() != nil && len(m.failures) > 0 {
		m.call.Warn("%s: %d of %d answered", cli.Interrupted(ctx), m.answered, len(targets))
	}
	cli.LogStats(log, client.Stats())
	return nil
}

// result is what became of one target.
type result struct {
	routers []report.Router // at least one: the target itself if nobody answered
	failure *failure
	quiet   bool // nothing is to be said about the failure: the run was ended
}

// target asks one target, which may be a name with several addresses or a
// multicast address.
func (m *command) target(ctx context.Context, client *ask.Client, via ask.Via, target string) result {
	addrs, err := cli.Addresses(ctx, m.resolver, target)
	switch {
	case err != nil && ctx.Err() != nil:
		return interrupted(ctx, target, netip.Addr{})
	case err != nil:
		return unanswered(target, netip.Addr{}, failureOf(err))
	}
	answers, err := client.NeighborsOfAny(ctx, addrs, m.question(via))
	switch {
	case len(answers) > 0:
	case ctx.Err() != nil:
		return interrupted(ctx, target, addrs[0])
	default:
		r := unanswered(target, addrs[0], failureOf(cli.Unanswered(target, addrs[0], err)))
		if op, ok := errors.AsType[*ask.OpError](err); ok && op.Tries > 0 {
			r.routers[0].Tries = &op.Tries
		}
		return r
	}
	r := answeredBy(target, answers)
	m.name(ctx, []result{r})
	return r
}

// answeredBy is the result of a target with answers; names are left open.
func answeredBy(target string, answers []ask.NeighborsAnswer) result {
	r := result{routers: make([]report.Router, len(answers))}
	for i := range answers {
		r.routers[i] = routerOf(target, &answers[i])
	}
	return r
}

// question is what the options say about tries and times: as in the old mrinfo
// -r counts the repetitions and -t is the time of each try.
func (m *command) question(via ask.Via) ask.NeighborsQuestion {
	q := ask.NeighborsQuestion{Via: via, Wait: m.timeout}
	if m.retries >= 0 {
		q.Tries = 1 + m.retries
	}
	return q
}

// unanswered is the result of a target without an answer.
func unanswered(target string, asked netip.Addr, f failure) result {
	r := report.Router{Target: target, Asked: report.Address{Addr: asked}, Error: f.text, Conflicts: []report.Router{}}
	return result{routers: []report.Router{r}, failure: &f}
}

// interrupted is the result of a target whose question did not end. Nothing is
// said about it: one line tells of the end of the run.
func interrupted(ctx context.Context, target string, asked netip.Addr) result {
	r := unanswered(target, asked, failure{target + ": " + cli.Interrupted(ctx), true})
	r.quiet = true
	return r
}

// failureOf is the failure of a target whose addresses, or whose answer, could
// not be got.
func failureOf(err error) failure {
	known, ok := errors.AsType[*cli.Error](err)
	return failure{err.Error(), ok && known.Code == cli.ExitIncomplete}
}

// print prints a result, as text at once, else it is kept for the document.
func (m *command) print(r result) error {
	switch {
	case r.failure == nil:
		m.answered++
	case r.quiet:
		m.failures = append(m.failures, *r.failure)
	default:
		m.fail(*r.failure)
	}
	for i := range r.routers {
		router := &r.routers[i]
		m.warn(router)
		m.routers = append(m.routers, *router)
		if m.call.Format == "text" {
			if err := render.RouterText(m.call.Stdout, router, m.asking.Numeric); err != nil {
				return err
			}
		}
	}
	return nil
}

// fail notes that not everything was answered, and says it.
func (m *command) fail(f failure) {
	m.failures = append(m.failures, f)
	m.call.Warn("%s", f.text)
}

// warn says what the classic text does not show.
func (m *command) warn(r *report.Router) {
	if r.Alias {
		m.call.Warn("got reply from %s instead of %s", r.Address, r.Asked)
	}
	if r.BadChecksum {
		m.call.Warn("%s: bad checksum: the answer may be damaged, as those of Debian's pimd are", r.Address)
	}
	if r.Uncertain {
		m.call.Warn("%s: the answer may be incomplete: a packet of it may be lost", r.Address)
	}
	if n := len(r.Conflicts); n > 0 {
		answers := "answer"
		if n > 1 {
			answers = "answers"
		}
		m.call.Warn("%s: contradicted by %d other %s: some are forged or damaged; --json shows all", r.Address, n, answers)
	}
}

// finish prints the document and returns how the run ended.
func (m *command) finish() error {
	d := &report.Routers{Document: m.call.Document(m.reason()), Routers: m.routers}
	if d.Routers == nil {
		d.Routers = []report.Router{}
	}
	var err error
	switch m.call.Format {
	case "json":
		err = m.call.WriteJSON(d)
	case "table":
		err = render.RoutersTable(m.call.Stdout, d)
	case "dot":
		err = render.RoutersDOT(m.call.Stdout, d)
	}
	if err != nil {
		return err
	}
	if len(m.failures) == 0 {
		return nil
	}
	for _, f := range m.failures {
		if f.silent || m.answered > 0 {
			return cli.Exit(cli.ExitIncomplete)
		}
	}
	return cli.Exit(cli.ExitFailed)
}

// reason says why not everything was answered; empty if it was.
func (m *command) reason() string {
	switch n := len(m.failures); n {
	case 0:
		return ""
	case 1:
		return m.failures[0].text
	default:
		texts := make([]string, 0, n)
		for _, f := range m.failures {
			texts = append(texts, f.text)
		}
		return strings.Join(texts, ", ")
	}
}

// routerOf makes a report of an answer; names are left open.
func routerOf(target string, a *ask.NeighborsAnswer) report.Router {
	r := report.Router{
		Target:      target,
		Asked:       report.Address{Addr: a.Asked},
		Answered:    true,
		Address:     report.Address{Addr: a.From},
		Alias:       a.Asked.IsValid() && !a.Asked.IsMulticast() && a.From != a.Asked,
		OldForm:     a.Old,
		Interfaces:  report.InterfacesOf(a.Interfaces, a.Old),
		Packets:     a.Packets,
		Time:        &a.Time,
		BadChecksum: a.BadChecksum,
		Uncertain:   a.Uncertain,
		Conflicts:   make([]report.Router, 0, len(a.Conflicts)),
	}
	if rtt := report.Milliseconds(a.RTT); rtt > 0 { // else the recording lacks the question
		r.RTT, r.Tries = &rtt, &a.Tries
	}
	if a.Version.Level() != 0 {
		r.Version = report.VersionOf(a.Version)
	}
	for i := range a.Conflicts {
		r.Conflicts = append(r.Conflicts, routerOf(target, &a.Conflicts[i]))
	}
	return r
}

// name fills in the host names, all look-ups at once: together they take no
// longer than --dns-timeout.
func (m *command) name(ctx context.Context, results []result) {
	if m.asking.Numeric {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, m.asking.DNSTimeout)
	defer cancel()
	shown := make(map[netip.Addr]bool)
	for _, r := range results {
		each(r.routers, func(a netip.Addr, _ **string) { shown[a] = true })
	}
	found, _ := names.All(ctx, m.resolver, slices.Collect(maps.Keys(shown))) // a name that is missing is seen
	for _, r := range results {
		each(r.routers, func(a netip.Addr, name **string) {
			if n, ok := found[a]; ok {
				*name = &n
			}
		})
	}
}

// each calls fn with every address that may have a name and the place of it.
func each(routers []report.Router, fn func(netip.Addr, **string)) {
	for i := range routers {
		r := &routers[i]
		if r.Address.IsValid() {
			fn(r.Address.Addr, &r.Name)
		}
		for j := range r.Interfaces {
			for k := range r.Interfaces[j].Neighbors {
				n := &r.Interfaces[j].Neighbors[k]
				fn(n.Address, &n.Name)
			}
		}
		each(r.Conflicts, fn)
	}
}
