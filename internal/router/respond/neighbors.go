package respond

import (
	"net/netip"
	"time"

	"mbone/proto/dvmrp"
	"mbone/proto/igmp"
)

// neighbors answers Ask-Neighbors and Ask-Neighbors2.
func (r *Responder) neighbors(now time.Time, p Packet, t Tables, code dvmrp.Code) Result {
	if !igmp.VerifyChecksum(p.Message) {
		return Result{Outcome: Damaged, Err: errChecksum}
	}
	networks := t.Networks()
	source := p.To
	var after time.Duration
	switch {
	case isOwn(networks, p.To):
		if !mayAsk(networks, p.From) {
			return Result{Outcome: Forbidden}
		}
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
	// The first packet is paid for before the tables are read, the others when
	// it is known how many there are.
	if !r.limiter.AllowN(now, 1) {
		return Result{Outcome: Limited}
	}
	interfaces, err := t.Interfaces()
	if err != nil {
		return Result{Outcome: Failed, Err: err}
	}
	messages, err := neighborMessages(interfaces, code)
	if err != nil {
		return Result{Outcome: Failed, Err: err}
	}
	if more := len(messages) - 1; more > 0 && !r.limiter.AllowN(now, more) {
		return Result{Outcome: Limited}
	}
	result := Result{Outcome: Answered}
	for _, m := range messages {
		result.Send = append(result.Send, Send{After: after, To: p.From, Source: source, TTL: unicastTTL, Message: m})
	}
	return result
}

// neighborMessages encodes the answer to a question: at least one message, also
// if there is nothing to list, so that the asker knows that somebody is here.
func neighborMessages(interfaces []Interface, question dvmrp.Code) ([][]byte, error) {
	answer := dvmrp.Neighbors{Version: version, Code: dvmrp.CodeNeighbors2}
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
			record.Neighbors = []netip.Addr{igmp.Unspecified}
		}
		record.Flags |= dvmrp.FlagLeaf
	}
	return record, true
}
