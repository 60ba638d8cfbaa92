// Package trace finds the path that multicast takes from a source to a receiver
// and watches it over time.
//
// A [Tracer] asks for the whole path with one query. Where that is not answered
// it asks hop by hop; past a hop that is silent it asks the router behind it
// directly, then for more hops at once; and it says which hop did not pass the
// request on and what is likely wrong. It knows neither sockets nor names nor
// terminals: it questions through an [Asker], and tells of its steps.
package trace

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"mbone/internal/ask"
	"mbone/proto/dvmrp"
	"mbone/proto/mtrace"
	"mbone/report"
)

// Asker puts questions to routers. *ask.Client satisfies it.
type Asker interface {
	Trace(context.Context, ask.TraceQuestion) (ask.TraceAnswer, error)
	Neighbors(context.Context, ask.NeighborsQuestion) ([]ask.NeighborsAnswer, error)
}

// Defaults and limits.
const (
	DefaultMaxHops   = 32 // as mrouted 4.6
	DefaultExtraHops = 3
	DefaultTTL       = 64 // of multicast queries and answers
	// DefaultInterval is the time between two traces of a path.
	DefaultInterval = 10 * time.Second

	// firstWait is how long the query for the whole path is waited for: longer
	// than the round trip of nearly any path, since hop by hop is slower.
	firstWait = time.Second
	// tries of a question that the path depends on, of one that asks a router
	// directly, and of one past a silent hop.
	tries       = 5
	directTries = 3
	extraTries  = 3
	// patience is how long nothing may come before a trace is given up. It
	// bounds a failing run whose round trips are long.
	patience = 8 * time.Second
	// typeWait bounds how long a silent router is asked for its type.
	typeWait = 2 * time.Second

	responseTTLStep = 32 // of one try over the one before
	responseTTLMax  = 192
	unicastTTL      = 255 // response TTL of queries that want a unicast answer
)

var (
	// allRouters is where a query goes if the receiver is on a link of this host.
	allRouters = netip.AddrFrom4([4]byte{224, 0, 0, 2})
	// ResponseGroup is the multicast response address.
	ResponseGroup = netip.AddrFrom4([4]byte{224, 0, 1, 32})
)

// Question says which path to trace, and how.
type Question struct {
	Source, Receiver netip.Addr
	// Group is 0.0.0.0 for a weak trace.
	Group netip.Addr
	// Gateway is the router that is asked; if it is not valid the query goes to
	// all routers of the receiver's link, if OnLink, else to the group.
	Gateway netip.Addr
	OnLink  bool
	// ReceiverNet is the network of the receiver's link; it may be unknown.
	ReceiverNet netip.Prefix

	// Local is the unicast response address, an address of this host.
	Local netip.Addr
	// Response, if valid, is the response address of every query (-r).
	Response netip.Addr
	// Multicast and Unicast let all queries ask for such answers (-M, -U).
	// Neither or both: unicast first, multicast where that stays without an answer.
	Multicast, Unicast bool

	// Via is how queries leave. Its RouterAlert is for unicast ones.
	Via ask.Via
	// NoRouterAlert leaves the option out of queries to the group, too (-O).
	NoRouterAlert bool

	// Limit is the most hops to find (-m); 0: no limit but MaxHops.
	Limit int
	// Extra is how many hops further is asked past a silent one. Negative: none.
	Extra int
	// Tries of each question (-q) and time that each waits (-w). 0: adaptive,
	// and a run in which nothing comes for some seconds is given up.
	Tries int
	Wait  time.Duration
	// TTL of multicast queries and answers (-t); 0: the default, which grows
	// from try to try for answers.
	TTL int
}

// Tracer traces one path, once or many times. It is not for use from several
// goroutines at once.
type Tracer struct {
	ask  Asker
	q    Question
	tell func(report.PathStep)

	hops []hop
	next *neighbor
	// reached is set if a router that did not answer is known to be next to the source.
	reached bool
	causes  []report.Cause
	method  report.Method
	// last is the latest answer, asked the latest query. sent counts queries.
	last  *ask.TraceAnswer
	asked ask.TraceQuery
	sent  int
	begun time.Time
	heard time.Time // when something came last
}

// base is whom hops are asked of. The zero value is the usual destination.
type base struct {
	to netip.Addr // valid: this router, directly
	// receiver stands in a query to a router in the middle of the path: an
	// address on the link between it and the hop before it.
	receiver netip.Addr
	skip     int // hops of the path before it
}

// hop is a block with what is known of how it came.
type hop struct {
	mtrace.Block
	base   base
	tries  int
	answer *ask.TraceAnswer
	// noFraction is set if two samples of this router have whole seconds only.
	noFraction bool
}

// New returns a tracer. Tell is called with every step, or is nil. It must not
// keep the path of a step.
func New(a Asker, q Question, tell func(report.PathStep)) *Tracer {
	if tell == nil {
		tell = func(report.PathStep) {}
	}
	if q.Extra == 0 {
		q.Extra = DefaultExtraHops
	}
	return &Tracer{ask: a, q: q, tell: tell}
}

// Trace traces the path once. A path that does not reach the source is no error:
// its Reason says why it ends. The error is that of the context, whose path is
// what was known by then, or says why no question could be asked.
func (t *Tracer) Trace(ctx context.Context) (*report.Path, error) {
	t.hops, t.next, t.causes, t.last, t.reached = nil, nil, nil, nil, false
	t.begun = time.Now()
	t.heard = t.begun
	t.method = report.MethodFull
	if t.q.Limit > 0 {
		t.method = report.MethodLimited
	}
	err := t.trace(ctx)
	if ctx.Err() != nil {
		return t.path("interrupted"), ctx.Err()
	}
	if err != nil && !errors.Is(err, ask.ErrNoAnswer) {
		return t.path(err.Error()), err
	}
	p := t.path("")
	if err != nil {
		p.Causes = append(p.Causes, t.nobody())
		t.step(report.PathStep{Kind: report.StepNoAnswer, Path: p})
	} else {
		t.step(report.PathStep{Kind: report.StepEnd, Path: p})
	}
	p.Reason = reason(p)
	p.Complete = p.Reason == ""
	return p, nil
}

// ErrUnsafe is the error of a trace through a gateway that must not be asked.
var ErrUnsafe = errors.New("a query to a router without a route crashes mrouted 3.3 and 3.5")

// probe asks the gateway once for its version, as mrouted 4.6 does, and refuses
// those that a query may crash.
func (t *Tracer) probe(ctx context.Context) error {
	if !t.q.Gateway.IsValid() {
		return nil
	}
	got, err := t.ask.Neighbors(ctx, ask.NeighborsQuestion{Router: t.q.Gateway, Via: t.q.Via, Tries: 1})
	if err != nil || len(got) == 0 {
		return nil // most routers do not answer, and may be asked
	}
	if v := got[0].Version; v.Major == 3 && (v.Minor == 3 || v.Minor == 5) {
		return fmt.Errorf("gateway %s is mrouted %d.%d: %w", t.q.Gateway, v.Major, v.Minor, ErrUnsafe)
	}
	return nil
}

// trace fills in the hops. It fails with ErrNoAnswer if there are none.
func (t *Tracer) trace(ctx context.Context) error {
	if err := t.probe(ctx); err != nil {
		return err
	}
	t.step(report.PathStep{Kind: report.StepQuery, Limit: t.q.Limit})
	a, err := t.question(ctx, base{}, t.limit(), fullTries(t.q), t.q.Limit == 0)
	if err == nil {
		t.merge(base{}, a, 0)
		t.step(report.PathStep{Kind: report.StepReply})
		return t.beyond(ctx)
	}
	if !errors.Is(err, ask.ErrNoAnswer) || t.q.Limit > 0 {
		return err
	}
	t.method = report.MethodHopByHop
	t.step(report.PathStep{Kind: report.StepHopByHop})
	return t.hopByHop(ctx, base{})
}

// fullTries is how often the query for many hops is sent: once, as mrouted 4.6
// does, unless there is a limit and with it no other way.
func fullTries(q Question) int {
	if q.Limit > 0 {
		return orDefault(q.Tries, tries)
	}
	return 1
}

// limit is the most hops that the path may have.
func (t *Tracer) limit() int {
	if t.q.Limit > 0 {
		return t.q.Limit
	}
	return DefaultMaxHops
}

// hopByHop asks b for one hop more each time.
func (t *Tracer) hopByHop(ctx context.Context, b base) error {
	for len(t.hops) < t.limit() {
		n := len(t.hops) + 1
		t.step(report.PathStep{Kind: report.StepAsking, Hop: n})
		a, err := t.oneHop(ctx, &b, n)
		switch {
		case err == nil && len(a.Message.Blocks) < n-b.skip:
			t.shorter(b, a, n)
			return t.beyond(ctx)
		case err == nil:
			t.longer(b, a, n)
			if t.ended() {
				return t.beyond(ctx)
			}
			continue
		case !errors.Is(err, ask.ErrNoAnswer) || n == 1:
			return err
		}
		on, err := t.silent(ctx, b, n)
		if !on || err != nil {
			return err
		}
	}
	return t.beyond(ctx)
}

// oneHop asks b for n hops. The second is first asked of the router that is the
// first hop, whatever b is: if it answers to unicast it is asked from then on.
func (t *Tracer) oneHop(ctx context.Context, b *base, n int) (*ask.TraceAnswer, error) {
	count := orDefault(t.q.Tries, tries)
	if n != 2 || b.to.IsValid() || t.q.Gateway.IsValid() {
		return t.question(ctx, *b, n, count, false)
	}
	to := t.hops[0].Outgoing
	if !unicast(to) {
		return t.question(ctx, *b, n, count, false)
	}
	router := base{to: to, receiver: t.q.Receiver}
	a, err := t.ask1(ctx, plan{tries: count + 1, query: func(try int) ask.TraceQuery {
		if try == 0 {
			return t.query(router, n, t.response(0, count))
		}
		return t.query(*b, n, t.response(try-1, count))
	}})
	if err == nil && a.Query.To == to {
		*b = router
	}
	return a, err
}

// longer takes an answer with the n-th hop in it.
func (t *Tracer) longer(b base, a *ask.TraceAnswer, n int) {
	known := len(t.hops)
	same := t.merge(b, a, n)
	switch {
	case !same:
		t.step(report.PathStep{Kind: report.StepReroute})
	case known == n-1 && len(t.hops) == n:
		t.step(report.PathStep{Kind: report.StepHop, Hop: n})
	default:
		t.step(report.PathStep{Kind: report.StepResume, Hop: known + 1})
	}
}

// shorter takes an answer that lacks the n-th hop: the path ends before it.
func (t *Tracer) shorter(b base, a *ask.TraceAnswer, n int) {
	known := len(t.hops)
	if same := t.merge(b, a, n); same && len(t.hops) > known {
		t.step(report.PathStep{Kind: report.StepResume, Hop: known + 1})
		return
	}
	t.step(report.PathStep{Kind: report.StepReroute})
}

// merge puts the blocks of an answer to b in place and reports whether they
// agree with what was known. The queries sent count for hop asked; 0: for none.
func (t *Tracer) merge(b base, a *ask.TraceAnswer, asked int) bool {
	hops := append(slices.Clone(t.hops[:b.skip]), hopsOf(b, a)...)
	same := len(hops) >= len(t.hops)
	for i := b.skip; i < min(len(hops), len(t.hops)); i++ {
		old, h := &t.hops[i], &hops[i]
		same = same && old.Incoming == h.Incoming && old.Outgoing == h.Outgoing
		h.tries = old.tries
	}
	if 0 < asked && asked <= len(hops) {
		hops[asked-1].tries = a.Tries
	}
	t.hops, t.next = hops, nil
	return same
}

// hopsOf returns the hops of an answer to b. The last router is the one that
// answered: as in mtrace 5.2 its address stands in for an outgoing one that it
// did not name.
func hopsOf(b base, a *ask.TraceAnswer) []hop {
	hops := make([]hop, len(a.Message.Blocks))
	for i, block := range a.Message.Blocks {
		hops[i] = hop{Block: block, base: b, answer: a}
	}
	if last := &hops[len(hops)-1]; last.Outgoing.IsUnspecified() && unicast(a.From) {
		last.Outgoing = a.From
	}
	return hops
}

// ended reports whether there is nothing new behind the last hop that could be
// asked for.
func (t *Tracer) ended() bool {
	last := t.hops[len(t.hops)-1]
	return t.atSource() || again(t.hops) > 0 || last.Code.Fatal() || !unicast(last.Previous) && last.Previous != allRouters
}

// atSource reports whether the path has come to the source.
func (t *Tracer) atSource() bool {
	return t.reached || len(t.hops) > 0 && reaches(&t.hops[len(t.hops)-1].Block, t.q.Source)
}

// beyond looks at what is behind the last hop of an answer that says it is the
// last: the source, a router that must be asked directly, or nothing.
func (t *Tracer) beyond(ctx context.Context) error {
	for {
		n := len(t.hops) + 1
		last := t.hops[len(t.hops)-1]
		if t.atSource() {
			t.step(report.PathStep{Kind: report.StepSource, Hop: n})
			return nil
		}
		if !unicast(last.Previous) || again(t.hops) > 0 {
			return nil
		}
		t.step(report.PathStep{Kind: report.StepAsking, Hop: n})
		if n <= t.limit() {
			if t.direct(ctx, n) {
				continue
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
		}
		t.next = t.router(ctx, last.Previous)
		t.reached = t.beside(last.Mask)
		switch {
		case last.Code == mtrace.CodeOldRouter || tooOld(t.next.version):
			t.next.Verdict = report.NoMtrace
		case last.Code != mtrace.CodeNoError && last.Code != mtrace.CodeNoSpace:
			t.next.Verdict = report.WouldBeNext
		case n > t.limit():
			t.next.Verdict = report.IsNext
		default:
			t.causes = append(t.causes, t.suspects(n)...)
		}
		t.step(report.PathStep{Kind: report.StepNext, Hop: n})
		if t.reached {
			t.step(report.PathStep{Kind: report.StepSource, Hop: n + 1})
		}
		return ctx.Err()
	}
}

// direct asks the router behind the last hop, the n-th, itself: for the rest of
// the path, then for its own block alone. It reports whether there was an
// answer, which it takes. That this one more question cannot be asked is no
// failure of the trace.
func (t *Tracer) direct(ctx context.Context, n int) bool {
	last := t.hops[len(t.hops)-1]
	b := base{to: last.Previous, receiver: last.Incoming, skip: n - 1}
	if !unicast(b.receiver) {
		b.receiver = t.q.Receiver
	}
	a, err := t.ask1(ctx, plan{tries: directTries, query: func(try int) ask.TraceQuery {
		if try == 0 {
			return t.query(b, t.limit(), t.response(0, directTries))
		}
		return t.query(b, n, t.response(try-1, directTries-1))
	}})
	if err != nil {
		return false
	}
	t.method = report.MethodHopByHop
	t.merge(b, a, n)
	for k := n; k <= len(t.hops); k++ {
		if k > n {
			t.step(report.PathStep{Kind: report.StepAsking, Hop: k})
		}
		t.step(report.PathStep{Kind: report.StepHop, Hop: k})
	}
	return true
}

// silent deals with the n-th hop, which did not answer through b: it asks it
// directly, then for its type, then for hops behind it. It reports whether the
// trace can go on as before.
func (t *Tracer) silent(ctx context.Context, b base, n int) (on bool, err error) {
	last := t.hops[len(t.hops)-1]
	t.next = &neighbor{NextHop: report.NextHop{Verdict: report.DidNotAnswer}}
	if unicast(last.Previous) {
		if t.direct(ctx, n) {
			return false, t.beyond(ctx)
		}
		if ctx.Err() == nil {
			t.next = t.router(ctx, last.Previous)
		}
		if ctx.Err() != nil {
			return false, ctx.Err()
		}
		if tooOld(t.next.version) {
			t.next.Verdict = report.NoMtrace
		}
		t.reached = t.beside(last.Mask)
	}
	t.step(report.PathStep{Kind: report.StepSilent, Hop: n})
	if t.reached {
		t.step(report.PathStep{Kind: report.StepSource, Hop: n + 1})
		return false, nil
	}
	end := min(n+t.q.Extra, t.limit())
	for extra := n + 1; t.next.Verdict == report.DidNotAnswer && extra <= end && !t.impatient(); extra++ {
		t.step(report.PathStep{Kind: report.StepAsking, Hop: extra})
		a, err := t.question(ctx, b, extra, orDefault(t.q.Tries, extraTries), false)
		switch {
		case err == nil && b.skip+len(a.Message.Blocks) >= extra:
			t.longer(b, a, extra)
			return !t.ended(), t.endOf(ctx)
		case err == nil:
			t.shorter(b, a, extra)
			return false, t.beyond(ctx)
		case !errors.Is(err, ask.ErrNoAnswer):
			return false, err
		case extra == end || t.impatient():
			t.step(report.PathStep{Kind: report.StepGiveUp, Hop: extra})
		default:
			t.step(report.PathStep{Kind: report.StepUnanswered, Hop: extra})
		}
	}
	t.causes = append(t.causes, t.suspects(n)...)
	return false, nil
}

// endOf looks beyond the last hop if the path has ended.
func (t *Tracer) endOf(ctx context.Context) error {
	if t.ended() {
		return t.beyond(ctx)
	}
	return nil
}

// neighbor is a router of which no block came, with what it said of itself.
type neighbor struct {
	report.NextHop
	version    *dvmrp.Version // nil: it did not answer
	interfaces []dvmrp.Interface
}

// router asks a router for its type.
func (t *Tracer) router(ctx context.Context, addr netip.Addr) *neighbor {
	next := &neighbor{NextHop: report.NextHop{Address: report.Address{Addr: addr}, Verdict: report.DidNotAnswer}}
	limited, cancel := t.withPatience(ctx)
	defer cancel()
	limited, cancelType := context.WithTimeout(limited, typeWait)
	defer cancelType()
	got, err := t.ask.Neighbors(limited, ask.NeighborsQuestion{Router: addr, Via: t.q.Via, Tries: t.q.Tries, Wait: t.q.Wait})
	if err != nil || len(got) == 0 {
		t.step(report.PathStep{Kind: report.StepTimeout})
		return next
	}
	t.heard = time.Now()
	next.version, next.interfaces = &got[0].Version, got[0].Interfaces
	next.Version = report.VersionOf(got[0].Version)
	return next
}

// tooOld reports whether a router is known not to know mtrace: mrouted 1, and 3
// before 3.3. What calls itself 2.1 may be pimd, which knows it.
func tooOld(v *dvmrp.Version) bool {
	return v != nil && (v.Major == 1 || v.Major == 3 && v.Minor < 3)
}

// beside reports whether the router that did not answer has an interface on the
// source's network, by the mask that the hop before it has for that.
func (t *Tracer) beside(mask mtrace.Mask) bool {
	net := mask.Prefix(t.q.Source)
	for _, i := range t.next.interfaces {
		off := i.Flags&(dvmrp.FlagDown|dvmrp.FlagDisabled|dvmrp.FlagTunnel) != 0
		if !off && net.IsValid() && net.Contains(i.Local) {
			return true
		}
	}
	return false
}

// step tells of one step. The path is made up only now: most steps need it.
func (t *Tracer) step(s report.PathStep) {
	if s.Path == nil {
		s.Path = t.path("")
	}
	t.tell(s)
}

func orDefault(n, def int) int {
	if n > 0 {
		return n
	}
	return def
}

// unicast reports whether a may be the address of one router.
func unicast(a netip.Addr) bool {
	return a.Is4() && !a.IsUnspecified() && !a.IsMulticast() && a != netip.AddrFrom4([4]byte{255, 255, 255, 255})
}
