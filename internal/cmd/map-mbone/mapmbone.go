// Package mapmbone is the command map-mbone: it asks multicast routers for their
// neighbours, and these for theirs, and draws a map of what they say.
package mapmbone

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	"mbone/internal/ask"
	"mbone/internal/cli"
	"mbone/internal/names"
	"mbone/internal/topo"
	"mbone/render"
	"mbone/report"
)

const (
	// defaultStart is where a crawl begins if no router is named, as always: with
	// all routers of this host's link.
	defaultStart = "224.0.0.1"
	// defaultRate is the number of packets sent per second, about 13 Mbit/s on an
	// Ethernet: at ask.DefaultRate a large network would take minutes. It spreads
	// over the network: each router is asked once.
	defaultRate = 20_000
	// maxRetries bounds -r.
	maxRetries = 1000
	// maxWarnings is how many lines about doubtful answers are printed.
	maxWarnings = 20
	// namesFactor is how much longer than one name all of them together may take.
	namesFactor = 5
)

// Run runs map-mbone with arguments (without its name) and returns the exit code.
func Run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	return cli.Run(ctx, Spec(), args, stdin, stdout, stderr)
}

// Spec describes the command.
func Spec() *cli.Spec {
	return newCommand(func() (ask.Transport, error) { return ask.Open(ask.RawOptions{}) }, (*cli.Asking).Names).spec()
}

// command is one run of map-mbone.
type command struct {
	asking  *cli.Asking
	flood   bool           // -f
	retries int            // -r; below 0: not given
	timeout time.Duration  // -t; 0: not given
	within  []netip.Prefix // --within
	depth   int            // --depth; below 0: not given

	// The doors to the world.
	open  func() (ask.Transport, error)
	names func(*cli.Asking) (names.Resolver, error)

	call     *cli.Call
	resolver names.Resolver
	began    time.Time
	recorded time.Time // of the first answer in a recording
	progress atomic.Pointer[topo.Progress]
	naming   atomic.Bool // the crawl is over
	problems []string    // lines that say why the map is not complete
}

func newCommand(open func() (ask.Transport, error), resolver func(*cli.Asking) (names.Resolver, error)) *command {
	asking := cli.NewAsking()
	asking.MaxPPS = defaultRate
	return &command{asking: asking, retries: -1, depth: -1, open: open, names: resolver}
}

func (m *command) spec() *cli.Spec {
	return &cli.Spec{
		Name:    "map-mbone",
		Summary: "Draw a map of multicast routers (default: those on this link, and on from there)",
		Args:    "[router]",
		MaxArgs: 1,
		Flags: append([]cli.Flag{
			cli.Bool(&m.flood, "f", "ask the neighbours of the router, too, and theirs"),
			cli.Int(&m.retries, "r", "COUNT", 0, maxRetries, "ask again at least COUNT times"),
			cli.Seconds(&m.timeout, "t", "SEC", "wait SEC for an answer to each try"),
			cli.Prefixes(&m.within, "within", "CIDR", "-f, but ask nobody outside of these networks"),
			cli.Int(&m.depth, "depth", "N", 0, math.MaxInt, "-f, but go at most N steps from the router"),
		}, m.asking.Flags()...),
		Formats:       []string{"text", "graphed", "table", "json", "dot", "graphml", "svg", "html"},
		FormatLetters: []cli.FormatLetter{{Letter: "g", Format: "graphed"}},
		Schema:        report.MapSchema,
		SchemaVersion: report.MapVersion,
		Empty:         func(d report.Document) any { return empty(d) },
		Notes:         []string{"Exit: 0 ended and the first router answered, 1 not, 2 bad usage, 3 could not ask."},
		Action:        m.run,
	}
}

// empty is the document of a run that ended before there was a map.
func empty(d report.Document) *report.Map {
	return &report.Map{
		Document: d, Start: []netip.Addr{}, Within: []netip.Prefix{},
		Routers: []report.MapRouter{}, Links: []report.MapLink{},
	}
}

// run is the Action.
func (m *command) run(ctx context.Context, call *cli.Call) error {
	m.call, m.began = call, time.Now()
	ctx, cancel := m.asking.Context(ctx)
	defer cancel()
	var err error
	if m.resolver, err = m.names(m.asking); err != nil {
		return err
	}
	if m.asking.Read != "" {
		d, err := m.read(ctx)
		if err != nil {
			return err
		}
		// What was read is shown, with names.
		return m.finish(d, m.name(context.WithoutCancel(ctx), d))
	}
	stop := func() {}
	if m.asking.Debug == 0 { // else its lines are there
		stop = call.Progress(m.line)
	}
	defer stop()
	d, err := m.crawl(ctx)
	if err != nil {
		return err
	}
	m.naming.Store(true)
	missing := m.name(ctx, d)
	stop()
	return m.finish(d, missing)
}

// line is the line of progress.
func (m *command) line() string {
	p := topo.Progress{Outstanding: 1} // the first router
	if told := m.progress.Load(); told != nil {
		p = *told
	}
	last := fmt.Sprintf("%d outstanding", p.Outstanding)
	if m.naming.Load() {
		last = "looking names up"
	}
	return fmt.Sprintf("%d answered, %d silent, %s, %d s", p.Answered, p.Silent, last, int(time.Since(m.began).Seconds()))
}

// target is the router that the crawl begins with.
func (m *command) target() string {
	if len(m.call.Args) > 0 {
		return m.call.Args[0]
	}
	return defaultStart
}

// plan is what the options say about the way of a crawl.
func (m *command) plan(start ...netip.Addr) topo.Crawl {
	return topo.Crawl{
		Start:    start,
		Flood:    m.flood || len(m.within) > 0 || m.depth >= 0 || len(m.call.Args) == 0,
		Within:   m.within,
		Depth:    m.depth,
		InFlight: m.asking.MaxInFlight,
		Question: ask.NeighborsQuestion{Wait: m.timeout, Linger: -1},
		Tell:     func(p topo.Progress) { m.progress.Store(&p) },
	}
}

// crawl asks routers.
func (m *command) crawl(ctx context.Context) (*report.Map, error) {
	via, err := m.asking.Via()
	if err != nil {
		return nil, err
	}
	transport, err := m.open()
	if err != nil {
		return nil, cli.CouldNotAsk(err)
	}
	log := m.asking.Logger(m.call.Stderr)
	client := ask.New(transport, m.asking.Options(log))
	defer client.Close()
	target := m.target()
	addrs, err := cli.Addresses(ctx, m.resolver, target)
	if err != nil {
		return nil, m.ended(ctx, err)
	}
	if a := addrs[0]; a.Is4() && (a.As4()[0] == 0 || a.As4()[0] >= 240) {
		return nil, cli.Usage("router %s: not the address of a host", target)
	}
	c := m.plan(addrs[0])
	c.Question.Via = via
	if m.retries >= 0 {
		c.Question.Tries = 1 + m.retries
	}
	began := time.Now()
	first := asked{Client: client, addr: addrs[0]}
	first.answers, first.err = client.NeighborsOfAny(ctx, addrs, c.Question)
	silent := len(first.answers) == 0
	if !silent {
		first.addr = first.answers[0].Asked
	} else if ctx.Err() == nil && !errors.Is(first.err, ask.ErrNoAnswer) {
		return nil, cli.CouldNotAsk(first.err)
	}
	c.Start[0] = first.addr
	d, err := topo.Run(ctx, &first, c)
	switch {
	case err != nil:
		return nil, m.ended(ctx, cli.CouldNotAsk(err))
	case ctx.Err() != nil && !d.Complete:
		m.problems = append(m.problems, fmt.Sprintf("%s: %s", cli.Interrupted(ctx), counts(d)))
	case silent:
		m.problems = append(m.problems, cli.Unanswered(target, first.addr, first.err).Error())
	case !d.Complete:
		m.problems = append(m.problems, fmt.Sprintf("%s: %s", d.Reason, counts(d)))
	}
	// The question to the first router, before topo.Run, is a part of the crawl.
	took := report.Milliseconds(time.Since(began))
	stats := client.Stats()
	questions := int(stats.Sent)
	d.Questions, d.Took = &questions, &took
	cli.LogStats(log, stats)
	return d, nil
}

// ended returns err, or that the run was ended if it is only because of that.
func (m *command) ended(ctx context.Context, err error) error {
	if ctx.Err() == nil {
		return err
	}
	return &cli.Error{Code: cli.ExitIncomplete, What: m.target(), Err: errors.New(cli.Interrupted(ctx))}
}

// asked is a client that knows what the first router said and does not ask it
// the same again.
type asked struct {
	*ask.Client
	addr    netip.Addr
	answers []ask.NeighborsAnswer
	err     error
	told    atomic.Bool
}

// Neighbors implements [topo.Asker].
func (a *asked) Neighbors(ctx context.Context, q ask.NeighborsQuestion) ([]ask.NeighborsAnswer, error) {
	if q.Router == a.addr && a.told.CompareAndSwap(false, true) {
		return a.answers, a.err
	}
	return a.Client.Neighbors(ctx, q)
}

// counts says in words how far a crawl has come.
func counts(d *report.Map) string {
	n := make(map[report.RouterState]int)
	for _, r := range d.Routers {
		n[r.State]++
	}
	return fmt.Sprintf("%d answered, %d silent, %d not asked", n[report.RouterAnswered], n[report.RouterSilent], n[report.RouterNotAsked])
}

// errNamesTime is why names are missing that could not be asked for in time.
var errNamesTime = errors.New("it takes too long")

// name fills in the host names of all addresses that are shown, those of routers
// first, within a time that does not depend on their number. It returns a line
// that says how many are missing, empty if none is.
func (m *command) name(ctx context.Context, d *report.Map) (missing string) {
	if m.asking.Numeric {
		return ""
	}
	var addrs []netip.Addr
	seen := make(map[netip.Addr]bool)
	each(d, func(a netip.Addr, _ **string) {
		if !seen[a] {
			seen[a] = true
			addrs = append(addrs, a)
		}
	})
	limited, cancel := context.WithTimeoutCause(ctx, namesFactor*m.asking.DNSTimeout, errNamesTime)
	defer cancel()
	found, err := names.All(limited, m.resolver, addrs)
	each(d, func(a netip.Addr, name **string) {
		if n, ok := found[a]; ok {
			*name = &n
		}
	})
	missed, ok := errors.AsType[*names.MissedError](err)
	switch {
	case !ok:
		return ""
	case ctx.Err() == nil:
		return missed.Error() + "; --dns-timeout gives them more time, -n looks none up"
	case len(m.problems) > 0: // the crawl was ended, and with it all else
		return ""
	}
	missed.Err = errors.New(cli.Interrupted(ctx))
	return missed.Error()
}

// each calls fn with every address that may have a name and the place of it.
func each(d *report.Map, fn func(netip.Addr, **string)) {
	for i := range d.Routers {
		fn(d.Routers[i].Address, &d.Routers[i].Name)
	}
	for i := range d.Routers {
		r := &d.Routers[i]
		for j := range r.Aliases {
			fn(r.Aliases[j].Address, &r.Aliases[j].Name)
		}
		for j := range r.Interfaces {
			for k := range r.Interfaces[j].Neighbors {
				n := &r.Interfaces[j].Neighbors[k]
				fn(n.Address, &n.Name)
			}
		}
	}
}

// finish prints the map and returns how the run ended.
func (m *command) finish(d *report.Map, missing string) error {
	m.warn(topo.Warnings(d))
	for _, p := range m.problems {
		m.call.Warn("%s", p)
	}
	if missing != "" {
		m.call.Warn("%s", missing)
	}
	reason := strings.Join(m.problems, ", ")
	d.Document = m.call.Document(reason)
	if !m.recorded.IsZero() {
		d.Time = m.recorded
	}
	if err := m.draw(d); err != nil {
		return err
	}
	if reason != "" {
		return cli.Exit(cli.ExitIncomplete)
	}
	return nil
}

// warn prints what routers say that is doubtful, not too much of it.
func (m *command) warn(lines []string) {
	for _, line := range lines[:min(len(lines), maxWarnings)] {
		m.call.Warn("%s", line)
	}
	if more := len(lines) - maxWarnings; more > 0 {
		m.call.Warn("and %d more lines like these; --json tells it of every router", more)
	}
}

// draw prints the map.
func (m *command) draw(d *report.Map) error {
	w := m.call.Stdout
	switch m.call.Format {
	case "graphed":
		return render.MapGraphEd(w, d, render.MapOptions{Numeric: m.asking.Numeric})
	case "table":
		return render.MapTable(w, d)
	case "json":
		return m.call.WriteJSON(d)
	case "dot":
		return render.MapDOT(w, d)
	case "graphml":
		return render.MapGraphML(w, d)
	case "svg":
		return render.MapSVG(w, d)
	case "html":
		return render.MapHTML(w, d)
	default:
		return render.MapText(w, d, render.MapOptions{Numeric: m.asking.Numeric})
	}
}
