package topo

import (
	"cmp"
	"container/heap"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"mbone/internal/ask"
	"mbone/report"
)

// Run crawls until nothing is outstanding, or ctx ends: the map is then what is
// known, not complete, with the reason. It is not complete, either, if none of
// the start answers or a limit is hit; routers that are silent elsewhere do not
// matter. Names, and the head of the document but for Complete and Reason, are
// left open, and so are the questions sent, which the Asker counts.
//
// The error says why nobody could be asked; there is no map then.
func Run(ctx context.Context, a Asker, c Crawl) (*report.Map, error) {
	began := time.Now()
	for _, s := range c.Start {
		if !s.Is4() {
			return nil, fmt.Errorf("ask %s: not an IPv4 address", s)
		}
	}
	k := newCrawler(c)
	k.run(ctx, a)
	if err := k.failure(); err != nil {
		return nil, err
	}
	if k.broken == nil && (k.cut || k.unfinished()) {
		k.broken = context.Cause(ctx)
	}
	m := k.build()
	took := report.Milliseconds(time.Since(began))
	m.Took = &took
	if c.Tell != nil {
		c.Tell(count(m))
	}
	return m, nil
}

// crawler decides who is asked. One goroutine owns it.
//
// An address is asked if somebody names it as a neighbour, unless it is known
// whose it is: a router that answered calls it its own, and one of the neighbours
// bears that out. So a network without surprises costs a question a router. It is
// asked, too, if two routers call it their own, and if the one that does was
// found to claim what is not its own.
//
// An answer that lost a packet may look like a shorter one. So where packets get
// lost, every router is asked more often, after all others; mostly there is time
// for that, since the silent ones take long.
type crawler struct {
	Crawl
	facts    []ask.NeighborsAnswer
	borrowed map[ip][]int // those from another address than the one asked, by that
	evidence *evidence
	targets  map[ip]*target
	depths   []int32 // of speakers, if there is a bound
	caught   map[int32]bool
	queue    queue
	inFlight int
	records  int
	limits   limits
	limit    string        // which was hit
	cut      bool          // a question was cut off by the end of the context
	broken   error         // why the crawl was ended early
	singles  int           // addresses that answered the question to them
	repeated int           // those that did so only after packets got lost
	unsure   []ip          // addresses that answered, to be asked more often where packets get lost
	quickest time.Duration // round trip of a first try; 0: none yet
	progress Progress
}

// target is an address that somebody names, or several claim.
type target struct {
	steps  int32 // from the start, the fewest; farAway if it is not known
	state  state
	again  bool // asked once more, after another address answered, or to be sure
	sure   int  // how often it was asked to be sure
	fact   int  // index of the answer
	doubts int  // how often another address answered that nobody bears out
	tries  int
	err    error
	queued bool
}

// state is how far the question to an address has come:
//
//	idle --> asked --> answered     by the address itself, or by another one of the
//	                                same router
//	             |---> doubtful --> asked, once more
//	             |                  by another one that calls it its own, and
//	             |                  nobody bears it out
//	             |---> silent       nobody answered; if somebody had, for it, that
//	             |                  is taken back
//	             |---> failed       it could not be asked
//	             '---> cutOff       the crawl was ended
//
// An answered one may be asked again to be sure, and stays answered then.
type state uint8

const (
	idle state = iota
	asked
	answered
	doubtful
	silent
	failed
	cutOff
)

const farAway = 1 << 30

// outcome is what became of a question.
type outcome struct {
	router  ip
	answers []ask.NeighborsAnswer
	err     error
}

func newCrawler(c Crawl) *crawler {
	k := &crawler{
		Crawl:    c,
		evidence: newEvidence(0),
		targets:  make(map[ip]*target),
		borrowed: make(map[ip][]int),
		caught:   make(map[int32]bool),
		limits:   limits{addresses: maxAddresses, records: maxRecords},
	}
	k.InFlight = cmp.Or(max(c.InFlight, 0), ask.DefaultInFlight)
	for _, s := range c.Start {
		if t := k.target(ipOf(s)); t != nil {
			t.steps = 0
			k.push(ipOf(s), t, 0)
		}
	}
	return k
}

// run asks, at most InFlight at once, until nothing is outstanding or ctx ends. The
// start is handed to the Asker even then: what it knows by now counts.
func (k *crawler) run(ctx context.Context, a Asker) {
	outcomes := make(chan outcome, k.InFlight)
	for begun := false; ; begun = true {
		for (ctx.Err() == nil || !begun) && k.broken == nil && k.inFlight < k.InFlight {
			q, ok := k.next()
			if !ok {
				break
			}
			k.inFlight++
			go func() {
				answers, err := a.Neighbors(ctx, q)
				outcomes <- outcome{ipOf(q.Router), answers, err}
			}()
		}
		if k.inFlight == 0 {
			return
		}
		o := <-outcomes // an Asker returns when ctx ends
		k.inFlight--
		k.take(ctx, o)
		if k.Tell != nil {
			k.progress.Outstanding = k.inFlight + k.queue.Len()
			if k.lossy() {
				k.progress.Outstanding += len(k.unsure)
			}
			k.Tell(k.progress)
		}
	}
}

// unfinished is whether somebody was still to be asked.
func (k *crawler) unfinished() bool {
	return slices.ContainsFunc(k.queue.list, func(q queued) bool { return k.needed(q.router, k.targets[q.router]) })
}

// count counts the routers of a map.
func count(m *report.Map) Progress {
	var p Progress
	for i := range m.Routers {
		switch m.Routers[i].State {
		case report.RouterAnswered:
			p.Answered++
		case report.RouterSilent:
			p.Silent++
		}
	}
	return p
}

// next returns the next question that is still worth asking.
func (k *crawler) next() (ask.NeighborsQuestion, bool) {
	for k.queue.Len() > 0 {
		x := heap.Pop(&k.queue).(queued).router
		t := k.targets[x]
		t.queued = false
		if !k.needed(x, t) {
			continue
		}
		q := k.Question
		q.Router = x.addr()
		if q.Linger < 0 && len(k.evidence.claimants[x]) > 0 {
			q.Linger = 0 // time for the right one to answer, too
		}
		t.state = asked
		return q, true
	}
	for k.lossy() && len(k.unsure) > 0 {
		x := k.unsure[0]
		k.unsure = k.unsure[1:]
		if t := k.targets[x]; t.state == answered && t.sure < maxSure {
			t.again = true // it is known to be there: its state does not change
			t.sure++
			q := k.Question
			q.Router = x.addr()
			return q, true
		}
	}
	return ask.NeighborsQuestion{}, false
}

// take takes what became of a question.
func (k *crawler) take(ctx context.Context, o outcome) {
	t := k.targets[o.router]
	reached, alias := k.hearAll(&o, t)
	k.settle(ctx, o, t, reached)
	k.cut = k.cut || t.state == cutOff
	if alias == nobody || t.state != answered || slices.Contains(k.evidence.confirmed[o.router], alias) {
		return
	}
	switch {
	case !t.again || k.caught[alias] && t.doubts < maxDoubts:
		k.doubt(o.router, t)
	case k.caught[alias]:
		k.retract(o.router)
		t.state = silent
	}
}

// hearAll takes the answers to a question. It returns whether the address asked
// answered, or another one that calls it its own, and that one; else nobody.
func (k *crawler) hearAll(o *outcome, t *target) (reached bool, alias int32) {
	alias = nobody
	for i := range o.answers {
		a := &o.answers[i]
		if !speaks(a) {
			continue
		}
		if from := ipOf(a.From); t.state == answered && from != o.router && from != ipOf(k.facts[t.fact].From) {
			continue // late, to a question to somebody else: whose the address is is known
		}
		s := k.hear(a, t)
		if s == nobody {
			o.err = errors.New(k.limit)
			continue
		}
		if !a.Old && o.router.isRouter() {
			k.measure(a)
		}
		from := ipOf(a.From)
		switch {
		case from == o.router || !o.router.isRouter():
			reached = true
		case k.evidence.claims(s, o.router):
			reached, alias = true, s
		}
	}
	return reached, alias
}

// settle sets the state of an address after the question to it.
func (k *crawler) settle(ctx context.Context, o outcome, t *target, reached bool) {
	op, _ := errors.AsType[*ask.OpError](o.err)
	switch {
	case t.state == answered: // and was only asked to be sure
		k.unsure = append(k.unsure, o.router)
	case reached:
		t.state = answered
		if o.router.isRouter() {
			k.unsure = append(k.unsure, o.router)
		}
	case ctx.Err() != nil && o.err != nil && !errors.Is(o.err, ask.ErrNoAnswer):
		t.state = cutOff
		if t.again {
			t.state = answered // by another address, the first time
		}
	case o.err == nil || errors.Is(o.err, ask.ErrNoAnswer):
		t.state = silent
		if t.again {
			k.retract(o.router)
		}
		if op != nil {
			t.tries = op.Tries
		}
		if o.router.isRouter() {
			k.progress.Silent++
		}
	default:
		t.state, t.err = failed, o.err
		if op == nil || !strings.HasPrefix(op.Op, "send") { // not for the sake of one address
			k.broken = o.err
		}
	}
}

// hear takes an answer to the question to a target, and decides who is asked
// because of it. It returns the speaker, or nobody if there is no room.
func (k *crawler) hear(a *ask.NeighborsAnswer, t *target) int32 {
	for i := range a.Interfaces {
		k.records += 1 + len(a.Interfaces[i].Neighbors)
	}
	if k.records > k.limits.records {
		k.limit = fmt.Sprintf("more than %d interfaces and neighbours were named", k.limits.records)
		return nobody
	}
	if t.again && sameSpeech(&k.facts[t.fact], a) {
		unite(&k.facts[t.fact], a)
	} else {
		t.fact = len(k.facts)
		k.facts = append(k.facts, *a)
		if asked := ipOf(a.Asked); asked != ipOf(a.From) {
			k.borrowed[asked] = append(k.borrowed[asked], t.fact)
		}
	}
	e := k.evidence
	before := len(e.speakers)
	s := e.add(a)
	if len(e.speakers) > before {
		k.depths = append(k.depths, farAway)
		if e.root(s) == s {
			k.progress.Answered++
		}
	}
	k.catch(s)
	var confirmed []pair // of an address and its claimant
	e.confirm(s, func(x ip, claimant int32) { confirmed = append(confirmed, pairOf(x, ip(claimant))) })
	if !k.Flood {
		return s
	}
	for _, p := range e.speakers[s].pairs {
		k.target(ip(p))
	}
	k.nearer(s, t.steps)
	for _, c := range confirmed {
		if t := k.targets[ip(c>>32)]; t != nil {
			k.nearer(int32(ip(c)), t.steps)
		}
	}
	for i, p := range e.speakers[s].pairs {
		if t := k.targets[ip(p)]; t != nil {
			k.consider(ip(p), t, i)
		}
	}
	for i, x := range e.speakers[s].locals {
		t := k.targets[x]
		if t == nil && e.sole(e.claimants[x]) == contested {
			t = k.target(x)
		}
		if t != nil {
			k.consider(x, t, i)
		}
	}
	return s
}

// catch finds out who claims an address at which another router answered, now
// that s did. Nothing more is taken from those on the word of a neighbour.
func (k *crawler) catch(s int32) {
	e := k.evidence
	for _, t := range e.claimants[e.speakers[s].from] {
		if e.root(t) != e.root(s) {
			k.catches(t)
		}
	}
	for _, x := range e.speakers[s].locals {
		if t, ok := e.byFrom[x]; ok && e.root(t) != e.root(s) {
			k.catches(s)
		}
	}
}

func (k *crawler) catches(s int32) {
	if k.caught[s] {
		return
	}
	k.caught[s] = true
	for i, x := range k.evidence.speakers[s].locals {
		t := k.targets[x]
		if t == nil {
			continue
		}
		_, speaks := k.evidence.byFrom[x]
		if t.state == answered && !speaks && slices.Contains(k.evidence.reached[x], s) && len(k.evidence.confirmed[x]) == 0 {
			k.doubt(x, t)
			continue
		}
		k.consider(x, t, i)
	}
}

// nearer notes that a router is at most so many steps away, and with it all that
// it leads to. Steps matter if there is a bound to them only.
func (k *crawler) nearer(s, steps int32) {
	if k.Depth < 0 {
		return
	}
	todo := []move{{s, steps}}
	for _, t := range k.others(s) {
		todo[0].steps = min(todo[0].steps, k.depths[t])
	}
	for i := 0; i < len(todo); i++ {
		m := todo[i]
		if m.steps >= k.depths[m.s] && i > 0 { // the first may have said something new
			continue
		}
		k.depths[m.s] = min(k.depths[m.s], m.steps)
		for _, t := range k.others(m.s) {
			todo = append(todo, move{t, m.steps})
		}
		for turn, p := range k.evidence.speakers[m.s].pairs {
			todo = k.stepTo(todo, ip(p), k.depths[m.s]+1, turn)
		}
	}
}

// move is a router with the steps to it.
type move struct{ s, steps int32 }

// others returns the other speakers of the router of s.
func (k *crawler) others(s int32) []int32 {
	e := k.evidence
	var others []int32
	for _, x := range e.speakers[s].locals {
		if t, ok := e.byFrom[x]; ok && t != s && e.root(t) == e.root(s) {
			others = append(others, t)
		}
	}
	return others
}

// stepTo notes that an address is at most so many steps away, and adds the routers
// that are nearer for it.
func (k *crawler) stepTo(todo []move, x ip, steps int32, turn int) []move {
	e := k.evidence
	t := k.targets[x]
	if t == nil || t.steps <= steps {
		return todo
	}
	t.steps = steps
	k.consider(x, t, turn)
	if s, ok := e.byFrom[x]; ok {
		todo = append(todo, move{s, steps})
	}
	for _, s := range e.reached[x] {
		todo = append(todo, move{s, steps})
	}
	for _, s := range e.confirmed[x] {
		todo = append(todo, move{s, steps})
	}
	return todo
}

// target returns what is known of an address, nil if there is no room for it.
func (k *crawler) target(x ip) *target {
	t := k.targets[x]
	if t == nil {
		if len(k.targets) >= k.limits.addresses {
			k.limit = fmt.Sprintf("more than %d addresses were named", k.limits.addresses)
			return nil
		}
		t = &target{steps: farAway}
		k.targets[x] = t
	}
	return t
}

// consider queues an address that is to be asked.
func (k *crawler) consider(x ip, t *target, turn int) {
	if k.Flood && k.needed(x, t) {
		k.push(x, t, turn)
	}
}

func (k *crawler) push(x ip, t *target, turn int) {
	if !t.queued {
		t.queued = true
		k.queue.count++
		heap.Push(&k.queue, queued{x, turn, k.queue.count})
	}
}

// needed is whether an address is to be asked, or once more.
func (k *crawler) needed(x ip, t *target) bool {
	e := k.evidence
	switch {
	case t.state == doubtful:
		_, speaks := e.byFrom[x]
		return !speaks && len(e.borneOut(x)) == 0
	case t.state != idle:
		return false
	case k.isStart(x):
		return true
	case k.bound(x, t) != "":
		return false
	}
	if _, ok := e.byFrom[x]; ok {
		return false
	}
	claimant := e.sole(e.claimants[x])
	switch claimant {
	case nobody, contested:
		return true
	}
	if len(e.namers[x]) == 0 {
		return false
	}
	return !slices.ContainsFunc(e.confirmed[x], func(s int32) bool { return !k.caught[s] })
}

func (k *crawler) isStart(x ip) bool { return slices.Contains(k.Start, x.addr()) }

// bound says why an address is beyond what is to be asked; empty if it is not.
func (k *crawler) bound(x ip, t *target) string {
	switch {
	case !k.Flood:
		return "only the first router was asked"
	case len(k.Within) > 0 && !slices.ContainsFunc(k.Within, func(p netip.Prefix) bool { return p.Contains(x.addr()) }):
		var all []string
		for _, p := range k.Within {
			all = append(all, p.String())
		}
		return "outside of " + strings.Join(all, ", ")
	case k.Depth >= 0 && int(t.steps) > k.Depth && len(k.evidence.claimants[x]) == 0:
		return fmt.Sprintf("beyond depth %d", k.Depth)
	}
	return ""
}

// failure returns why nobody could be asked, nil if somebody could.
func (k *crawler) failure() error {
	var err error
	for _, s := range k.Start {
		t := k.targets[ipOf(s)]
		if t == nil || t.state != failed {
			return nil
		}
		err = t.err
	}
	return err
}

// build makes the map of what is known.
func (k *crawler) build() *report.Map {
	f := &facts{answers: k.facts, start: make([]ip, 0, len(k.Start)), trusting: !k.Flood, fate: k.fate}
	for _, s := range k.Start {
		f.start = append(f.start, ipOf(s))
	}
	capped := k.evidence.capped
	m := build(f)
	m.Start = slices.Clone(k.Start)
	m.Flood = k.Flood
	m.Within = append(m.Within, k.Within...)
	if k.Depth >= 0 {
		m.MaxDepth = &k.Depth
	}
	m.Reason = k.reason(capped)
	m.Complete = m.Reason == ""
	return m
}

// reason says why the map is not complete; empty if it is.
func (k *crawler) reason(capped []ip) string {
	switch {
	case errors.Is(k.broken, context.Canceled):
		return "interrupted"
	case k.broken != nil:
		return k.broken.Error()
	case k.limit != "":
		return k.limit
	case len(capped) > 0:
		return fmt.Sprintf("%s names more than %d neighbours or interfaces", slices.Min(capped).addr(), maxNames)
	}
	for _, s := range k.Start {
		if t := k.targets[ipOf(s)]; t != nil && (t.state == answered || t.state == doubtful) {
			return ""
		}
	}
	for _, s := range k.Start {
		return "no answer from " + s.String()
	}
	return "nobody to ask"
}

// fate says what became of an address that nobody answers for.
func (k *crawler) fate(x ip) fate {
	f := fate{state: report.RouterNotAsked}
	t := k.targets[x]
	switch {
	case t == nil && !k.Flood:
		f.reason = k.bound(x, &target{})
	case t == nil:
		f.reason = cmp.Or(k.limit, "too many are named")
	case t.state == silent:
		f.state, f.tries = report.RouterSilent, t.tries
		f.reason = "no answer"
		switch {
		case t.tries == 1:
			f.reason += " to 1 try"
		case t.tries > 1:
			f.reason += fmt.Sprintf(" to %d tries", t.tries)
		}
	case t.state == failed:
		f.reason = t.err.Error()
	case t.state == cutOff:
		f.reason = "the crawl was ended before it answered"
	case k.broken != nil:
		f.reason = "the crawl was ended before it was asked"
	default:
		f.reason = cmp.Or(k.bound(x, t), k.limit, "routers disagree whose address it is")
	}
	return f
}

// queue are the addresses to be asked. The n-th name of a router waits behind the
// names before the n-th of all others: a router that names thousands holds up
// nobody else.
type queue struct {
	list  []queued
	count int
}

type queued struct {
	router ip
	turn   int
	number int
}

func (q *queue) Len() int { return len(q.list) }
func (q *queue) Less(i, j int) bool {
	a, b := q.list[i], q.list[j]
	return a.turn < b.turn || a.turn == b.turn && a.number < b.number
}
func (q *queue) Swap(i, j int) { q.list[i], q.list[j] = q.list[j], q.list[i] }
func (q *queue) Push(x any)    { q.list = append(q.list, x.(queued)) }
func (q *queue) Pop() any {
	last := len(q.list) - 1
	x := q.list[last]
	q.list = q.list[:last]
	return x
}
