package trace

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"mbone/internal/ask"
	"mbone/proto/mtrace"
	"mbone/report"
)

// path returns what is known by now. Reason is why it is not complete.
func (t *Tracer) path(reason string) *report.Path {
	p := &report.Path{
		Document: report.Document{
			Schema: report.PathSchema, Version: report.PathVersion,
			Complete: reason == "", Reason: reason, Errors: []string{}, Time: t.begun,
		},
		Source:   report.Address{Addr: t.q.Source},
		Receiver: report.Address{Addr: t.q.Receiver},
		Group:    report.Address{Addr: t.q.Group},
		Method:   t.method,
		Query:    t.queryReport(),
		Reached:  t.atSource(),
		Hops:     make([]report.Hop, len(t.hops)),
		Events:   []report.PathEvent{},
		Causes:   append(append([]report.Cause{}, t.causes...), codeCauses(t.hops, t.q.Source)...),
	}
	if t.next != nil {
		next := t.next.NextHop
		p.Next = &next
	}
	for i := range t.hops {
		p.Hops[i] = t.hopReport(i)
	}
	if n := len(t.hops); n > 0 {
		ttl := ttlRequired(t.hops)
		p.TTLRequired = &ttl
		if a := t.last; !a.Sent.IsZero() {
			p.RTT = milliseconds(a.Received.Sub(a.Sent))
		}
		last := t.hops[n-1]
		if arrival, ok := last.arrival(); ok {
			p.Return = milliseconds(since(arrival, mtrace.Time(last.answer.Received)))
		}
	}
	return p
}

func milliseconds(d time.Duration) *report.Milliseconds {
	m := report.Milliseconds(d)
	return &m
}

// queryReport returns the query that was answered last, or was sent last.
func (t *Tracer) queryReport() report.Query {
	q, r := t.asked, report.Query{Gateway: report.Address{Addr: t.q.Gateway}, Sent: t.sent}
	if a := t.last; a != nil {
		q = a.Query
		id := a.Message.QueryID
		r.ID = &id
		if !a.Sent.IsZero() {
			r.SentAt = &a.Sent
		}
		r.AnsweredAt = &a.Received
		r.AnsweredFrom.Addr = a.From
		r.BadChecksum = a.BadChecksum
	}
	if r.To.Addr = q.To; q.To.IsValid() {
		ttl := int(q.TTL)
		switch {
		case ttl == 0 && q.To.IsMulticast():
			ttl = ask.DefaultMulticastTTL
		case ttl == 0:
			ttl = ask.DefaultUnicastTTL
		}
		r.TTL = &ttl
	}
	r.From.Addr = t.q.Local
	if q.Via.Source.IsValid() {
		r.From.Addr = q.Via.Source
	}
	r.Response.Addr = q.Message.Response
	if q.Message.Response.IsValid() {
		hops, ttl := int(q.Message.Hops), int(q.Message.ResponseTTL)
		r.Hops, r.ResponseTTL = &hops, &ttl
	}
	return r
}

// hopReport interprets hop i.
func (t *Tracer) hopReport(i int) report.Hop {
	h := &t.hops[i]
	r := report.Hop{
		Number:       i + 1,
		Incoming:     known(h.Incoming),
		Outgoing:     known(h.Outgoing),
		Previous:     known(h.Previous),
		Protocol:     h.Protocol.String(),
		FwdTTL:       int(h.FwdTTL),
		Code:         codeWord(h.Code),
		Error:        h.Code.Text(),
		Fatal:        h.Code.Fatal(),
		WholeNet:     h.Mask.SubnetCount(),
		GroupOnly:    h.Mask.GroupOnly(),
		PacketsIn:    knownCount(h.PacketsIn),
		PacketsOut:   knownCount(h.PacketsOut),
		PacketsGroup: knownCount(h.PacketsGroup),
		Asked:        report.Address{Addr: h.base.to},
		Tries:        h.tries,
		Unreliable:   []report.Unreliable{},
		Raw: report.RawBlock{
			Arrival:      h.Arrival,
			Incoming:     h.Incoming,
			Outgoing:     h.Outgoing,
			Previous:     h.Previous,
			PacketsIn:    h.PacketsIn,
			PacketsOut:   h.PacketsOut,
			PacketsGroup: h.PacketsGroup,
			Protocol:     uint8(h.Protocol),
			FwdTTL:       h.FwdTTL,
			Mask:         uint8(h.Mask),
			Code:         uint8(h.Code),
		},
	}
	if r.Address = r.Outgoing; !r.Address.IsValid() {
		r.Address = r.Incoming
	}
	if net := h.Mask.Prefix(t.q.Source); net.IsValid() {
		r.SourceNet = &net
	}
	t.times(i, &r)
	t.doubts(h, &r)
	return r
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// codeWord is the name of a code as JSON has words: "wrong_if", "code_0x42".
func codeWord(c mtrace.Code) string {
	return strings.ReplaceAll(strings.ToLower(c.String()), " ", "_")
}

// known returns an address of a block; 0.0.0.0 stands for an unknown one.
func known(a netip.Addr) report.Address {
	if a.IsUnspecified() {
		return report.Address{}
	}
	return report.Address{Addr: a}
}

func knownCount(v uint32) *uint64 {
	if v == mtrace.Unknown {
		return nil
	}
	n := uint64(v)
	return &n
}

// arrival returns when the query came to the hop, as it should have been
// written; false if it is unknown.
func (h *hop) arrival() (uint32, bool) {
	switch {
	case h.Arrival == 0 || h.noFraction:
		return 0, false
	case h.answer.Sent.IsZero():
		return h.Arrival, true
	}
	return mtrace.RepairTime(h.Arrival, mtrace.Time(h.answer.Sent)), true
}

// since returns b - a, both in the unit of the protocol.
func since(a, b uint32) time.Duration {
	return time.Duration(int64(int32(b-a)) * int64(time.Second) >> 16)
}

// times fills in the times of hop i.
func (t *Tracer) times(i int, r *report.Hop) {
	h := &t.hops[i]
	arrival, ok := h.arrival()
	if !ok {
		return
	}
	at := mtrace.TimeNear(arrival, h.answer.Received).UTC()
	r.Arrival = &at
	if !h.answer.Sent.IsZero() {
		r.Elapsed = milliseconds(since(mtrace.Time(h.answer.Sent), arrival))
	}
	if i == h.base.skip {
		r.Delay = r.Elapsed
	} else if before, ok := t.hops[i-1].arrival(); ok && t.hops[i-1].answer == h.answer {
		r.Delay = milliseconds(since(before, arrival))
	}
}

// doubts marks what is known to be wrong in a block.
func (t *Tracer) doubts(h *hop, r *report.Hop) {
	doubt := func(field, format string, args ...any) {
		r.Unreliable = append(r.Unreliable, report.Unreliable{Field: field, Reason: fmt.Sprintf(format, args...)})
	}
	if h.answer.BadChecksum {
		doubt("raw", "the checksum of the answer is wrong")
	}
	if h.noFraction {
		doubt("arrival", "mrouted 3.5 to 3.8 sends no fraction of seconds")
	} else if a, ok := h.arrival(); ok && a != h.Arrival {
		doubt("arrival", "mrouted 3.3 sends Unix time: repaired")
	}
	if h.frr() {
		doubt("packets_group", "FRR sends an old count, with its bytes in the order of its own machine")
		if h.Previous == t.q.Source {
			doubt("previous", "FRR names the source here where there is no previous hop")
		}
	}
}

// frr reports whether a block has all the marks of FRR 8: PIM, threshold 1, no
// interface counters beside one of the source and group, a mask of 32 bits or of
// (*,G) state. Who counts nothing at all may be any router.
func (h *hop) frr() bool {
	return h.Protocol == mtrace.ProtocolPIM && h.FwdTTL == 1 &&
		h.PacketsIn == mtrace.Unknown && h.PacketsOut == mtrace.Unknown && h.PacketsGroup != mtrace.Unknown &&
		(h.Mask.Len() == 32 || h.Mask.GroupOnly())
}

// ttlRequired returns the TTL that a packet of the source needs to come to the
// receiver, as mtrace 5.2 computes it: at every router it must exceed the
// threshold, and each takes one off.
func ttlRequired(hops []hop) int {
	ttl := 1
	for i := range hops {
		ttl = max(ttl, max(1, int(hops[i].FwdTTL))+len(hops)-i)
	}
	return ttl
}

// reason says why a path is not complete; empty if it is.
func reason(p *report.Path) string {
	n := len(p.Hops)
	loop := slices.IndexFunc(p.Causes, func(c report.Cause) bool { return c.Code == loopCode })
	switch {
	case n == 0:
		return "nobody answered"
	case p.Reached && p.Next != nil:
		return fmt.Sprintf("hop %d, %s, did not answer", n+1, p.Next.Address)
	case p.Reached:
		return ""
	case loop >= 0:
		return p.Causes[loop].Text
	case p.Next != nil && p.Next.Verdict == report.IsNext && p.Query.Hops != nil && n >= *p.Query.Hops:
		return "the limit of " + plural(n, "hop") + " is reached"
	case p.Hops[n-1].Error != "":
		return fmt.Sprintf("hop %d, %s: %s", n, p.Hops[n-1].Address, p.Hops[n-1].Error)
	case p.Next != nil && p.Next.Address.IsValid():
		return fmt.Sprintf("hop %d, %s, did not pass the request on to %s, or no answer came back", n, p.Hops[n-1].Address, p.Next.Address)
	}
	return fmt.Sprintf("nothing came from behind hop %d, %s", n, p.Hops[n-1].Address)
}
