package respond

import (
	"net/netip"
	"time"

	"mbone/proto/dvmrp"
	"mbone/proto/igmp"
)

// dvmrp answers Ask-Neighbors, Ask-Neighbors2 and Info-Request.
func (r *Responder) dvmrp(now time.Duration, p Packet, t Tables, code dvmrp.Code) Result {
	if !igmp.VerifyChecksum(p.Message) {
		return Result{Outcome: Damaged, Err: errChecksum}
	}
	networks := t.Networks()
	asker := r.standing(p.From, p.Interface, networks, t)
	if code == dvmrp.CodeInfoRequest && asker == stranger && t.Neighbor(p.From) {
		asker = far // routers recognise each other, whoever else may ask
	}
	source := p.To
	var after time.Duration
	switch {
	case p.Ours || isOwn(networks, p.To):
	case p.To == igmp.AllSystems || p.To == igmp.AllRouters || p.To == igmp.DVMRPRouters:
		// Only who is on that very link can have sent it.
		if _, onLink := place(networks, p.Interface, p.From); !onLink {
			return Result{Outcome: Forbidden}
		}
		source = addressTowards(networks, p.Interface, p.From)
		after = time.Duration(r.random.Int64N(int64(maxJitter)))
	default:
		return Result{Outcome: NotOurs}
	}
	if asker == stranger {
		return Result{Outcome: Forbidden}
	}
	// The first packet is paid for before the tables are read, the others when
	// it is known how many there are.
	if !r.allow(now, p.From, asker, 1, t) {
		return Result{Outcome: Limited}
	}
	answer := Send{To: p.From, Source: source, TTL: unicastTTL}
	if code == dvmrp.CodeInfoRequest {
		return r.answerInfo(p, answer, after)
	}
	interfaces, err := t.Interfaces()
	if err != nil {
		return Result{Outcome: Failed, Err: err}
	}
	if err := r.answerNeighbors(interfaces, code, answer); err != nil {
		return Result{Outcome: Failed, Err: err}
	}
	if more := len(r.send) - 1; more > 0 && !r.allow(now, p.From, asker, more, t) {
		return Result{Outcome: Limited}
	}
	return Result{Outcome: Answered, After: after, Send: r.send}
}

// encoded is the answer to a question about certain interfaces.
type encoded struct {
	interfaces []Interface
	messages   [][]byte
}

// is reports whether the answer is about these interfaces.
func (e *encoded) is(interfaces []Interface) bool {
	return len(interfaces) > 0 && len(interfaces) == len(e.interfaces) && &interfaces[0] == &e.interfaces[0]
}

// answerNeighbors makes the answer to a question, in r.send.
func (r *Responder) answerNeighbors(interfaces []Interface, question dvmrp.Code, send Send) error {
	answer := &r.answers[0]
	if question == dvmrp.CodeAskNeighbors {
		answer = &r.answers[1]
	}
	if !answer.is(interfaces) {
		messages, err := r.neighborMessages(interfaces, question)
		if err != nil {
			return err
		}
		*answer = encoded{interfaces, messages}
	}
	r.send = r.send[:0]
	for _, send.Message = range answer.messages {
		r.send = append(r.send, send)
	}
	return nil
}

// neighborMessages encodes the answer to a question: at least one message, also
// if there is nothing to list, so that the asker knows that somebody is here.
func (r *Responder) neighborMessages(interfaces []Interface, question dvmrp.Code) ([][]byte, error) {
	answer := dvmrp.Neighbors{Version: r.identity.Version, Code: dvmrp.CodeNeighbors2}
	if question == dvmrp.CodeAskNeighbors {
		answer.Code = dvmrp.CodeNeighbors
	}
	var records []dvmrp.Interface
	for i := range interfaces {
		if record, ok := neighborRecord(&interfaces[i], answer.Code); ok {
			records = append(records, record)
		}
	}
	parts := dvmrp.SplitInterfaces(answer.Code, records)
	if len(records) == 0 {
		parts = func(yield func([]dvmrp.Interface) bool) { yield(nil) }
	}
	var messages [][]byte
	for answer.Interfaces = range parts {
		b, err := answer.AppendBinary(nil)
		if err != nil {
			return nil, err
		}
		messages = append(messages, b)
	}
	return messages, nil
}

// noNeighbor stands where nobody is.
var noNeighbor = []netip.Addr{igmp.Unspecified}

// neighborRecord says what an interface is to the asker. The old form has no
// flags, so it leaves out what is disabled or has no neighbours.
func neighborRecord(i *Interface, code dvmrp.Code) (dvmrp.Interface, bool) {
	record := dvmrp.Interface{Local: i.Local, Metric: i.Metric, Threshold: i.Threshold, Flags: i.Flags, Neighbors: i.Neighbors}
	if !record.Local.IsValid() {
		record.Local = igmp.Unspecified
	}
	if code == dvmrp.CodeNeighbors {
		ok := len(i.Neighbors) > 0 && i.Flags&dvmrp.FlagDisabled == 0
		record.Flags = 0
		return record, ok
	}
	if len(record.Neighbors) == 0 {
		// mrouted lists the other end of a tunnel, which is there by
		// configuration, and 0.0.0.0 on a link where nobody is.
		if i.Remote.IsValid() {
			record.Neighbors = []netip.Addr{i.Remote}
		} else {
			record.Neighbors = noNeighbor
		}
		record.Flags |= dvmrp.FlagLeaf
	}
	return record, true
}
