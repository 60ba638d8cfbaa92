package trace

import (
	"net/netip"
	"time"

	"mbone/internal/ask"
	"mbone/proto/igmp"
	"mbone/proto/mtrace"
	"mbone/report"
)

// What an overhearer keeps.
const (
	// maxPending is how many queries wait for their answers, and maxPaths how
	// many paths are remembered for statistics. The oldest are forgotten first.
	maxPending = 4096
	maxPaths   = 256
	// pathAge is how long a path is remembered: as mtrace 5.2 does.
	pathAge = 500 * time.Second
)

// Overhearer makes paths of the answers to other hosts' traces: packets heard on
// the wire, or read from a recording. Two answers for one path give statistics.
type Overhearer struct {
	// Match limits it to some traces; nil: all.
	Match func(source, receiver, group netip.Addr) bool

	queries pending[word, sighting]
	paths   pending[pathKey, *series]
}

// word is all of the fixed part that a router copies: some programs write the
// query id and the TTL in another order, so both belong to it.
type word struct {
	id, ttl                  uint32
	source, receiver, respTo netip.Addr
}

type pathKey struct{ source, receiver, group netip.Addr }

// sighting is what is known of a query: if it was not seen itself, only what
// the answer repeats of it.
type sighting struct {
	query    ask.TraceQuery
	sent     time.Time
	answered bool
}

// Packet takes a message and returns the path that it completes; nil if it
// completes none: it is no answer, or a repeated one, or does not match.
func (o *Overhearer) Packet(p *ask.Packet) *report.Path {
	var m mtrace.Message
	if m.Parse(p.Message) != nil {
		return nil
	}
	bad := !igmp.VerifyChecksum(p.Message)
	if o.Match != nil && !o.Match(m.Source, m.Receiver, m.Group) {
		return nil
	}
	key := word{m.QueryID, uint32(m.ResponseTTL), m.Source, m.Receiver, m.Response}
	s, known := o.queries.get(key)
	switch {
	case m.Type == mtrace.TypeQuery && len(m.Blocks) == 0:
		if !known {
			s.query = ask.TraceQuery{To: p.To, TTL: p.TTL, Via: ask.Via{Source: p.From}, Message: m}
			s.sent = p.Time
			o.queries.put(key, s, maxPending)
		}
		return nil
	case m.Type == mtrace.TypeQuery: // a request in transit
		return nil
	case s.answered || len(m.Blocks) == 0:
		return nil
	}
	s.answered = true
	if !known {
		s.query.Message = m
		s.query.Message.Blocks = nil
	}
	o.queries.put(key, s, maxPending)
	return o.answer(&ask.TraceAnswer{
		Query: s.query, Sent: s.sent, Received: p.Time, From: p.From, TTL: p.TTL, Message: m, BadChecksum: bad,
	})
}

// Unanswered returns how many queries were seen to which no answer was.
func (o *Overhearer) Unanswered() int {
	n := 0
	for _, s := range o.queries.values {
		if !s.answered {
			n++
		}
	}
	return n
}

// answer makes a path of an answer, with statistics if the path is known.
func (o *Overhearer) answer(a *ask.TraceAnswer) *report.Path {
	m := &a.Message
	t := Tracer{
		q:      Question{Source: m.Source, Receiver: m.Receiver, Group: m.Group, Local: a.Query.Via.Source},
		method: report.MethodOverheard,
		last:   a,
		begun:  a.Received,
	}
	t.merge(base{}, a, 0)
	key := pathKey{m.Source, m.Receiver, m.Group}
	s, known := o.paths.get(key)
	known = known && differ(s.hops, t.hops) == nil && a.Received.Sub(s.previous) <= pathAge
	var stats *report.Statistics
	if known {
		stats = s.statistics(t.hops)
	} else {
		s = newSeries(a.Received, t.hops)
	}
	o.paths.put(key, s, maxPaths)
	if last := t.hops[len(t.hops)-1]; !t.atSource() && unicast(last.Previous) {
		t.next = &neighbor{NextHop: report.NextHop{Address: report.Address{Addr: last.Previous}, Verdict: report.IsNext}}
		if last.Code != mtrace.CodeNoError {
			t.next.Verdict = report.WouldBeNext
		}
	}
	p := t.path("")
	p.Reason = reason(p)
	p.Complete = p.Reason == ""
	p.Statistics = stats
	p.Events = s.told()
	return p
}

// pending is a map of bounded size that forgets what was put in first.
type pending[K comparable, V any] struct {
	values map[K]V
	order  []K // of the first put
}

func (p *pending[K, V]) get(k K) (V, bool) {
	v, ok := p.values[k]
	return v, ok
}

func (p *pending[K, V]) put(k K, v V, limit int) {
	if p.values == nil {
		p.values = make(map[K]V)
	}
	if _, ok := p.values[k]; !ok {
		if len(p.order) == limit {
			delete(p.values, p.order[0])
			p.order = p.order[1:]
		}
		p.order = append(p.order, k)
	}
	p.values[k] = v
}
