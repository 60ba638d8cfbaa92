package respond

import (
	"slices"
	"time"

	"mbone/proto/dvmrp"
)

// answerInfo answers an Info-Request: the version, if it is among what is asked
// for, and nothing about what is not known here.
func (r *Responder) answerInfo(p Packet, send Send, after time.Duration) Result {
	if r.identity.Text == "" {
		return Result{Outcome: Ignored}
	}
	if err := r.info.Parse(p.Message); err != nil {
		return Result{Outcome: Damaged, Err: err}
	}
	answer := dvmrp.Info{Version: r.identity.Version, Reply: true}
	if slices.ContainsFunc(r.info.TLVs, func(t dvmrp.TLV) bool { return t.Type == dvmrp.InfoVersion }) {
		answer.TLVs = []dvmrp.TLV{{Type: dvmrp.InfoVersion, Value: []byte(r.identity.Text)}}
	}
	var err error
	if send.Message, err = answer.AppendBinary(nil); err != nil {
		return Result{Outcome: Failed, Err: err}
	}
	r.send = append(r.send[:0], send)
	return Result{Outcome: Answered, After: after, Send: r.send}
}
