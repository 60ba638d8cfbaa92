package router

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"mbone/internal/router/host"
	"mbone/internal/router/respond"
	"mbone/internal/router/timer"
	"mbone/proto/dvmrp"
	"mbone/proto/igmp"
)

// maxDelayed is how many answers to multicast questions wait at a time. They wait
// 200 ms at most, and mostly it is one for each host on the links that has just
// asked all routers.
const maxDelayed = 256

// delayedAnswer is an answer that waits, so that not all routers of a link speak
// at once.
type delayedAnswer struct {
	timer timer.Timer
	sends []host.Send
}

// Questions counts what became of questions: Ask-Neighbors, Ask-Neighbors2,
// Info-Request and mtrace.
func (e *Engine) Questions() respond.Counts {
	c := e.responder.Counts()
	c[respond.Answered] -= e.crowded
	c[respond.Limited] += e.crowded
	return c
}

// answer answers a question, if it is this router's to answer.
func (e *Engine) answer(now time.Duration, p *host.Packet, ours bool) {
	r := e.responder.Handle(now, respond.Packet{
		Time: p.Wall, From: p.From, To: p.To, Interface: int(p.Interface), Ours: ours, Message: p.Message,
	}, &e.tables)
	e.logQuestion(p, r)
	if r.After == 0 {
		for i := range r.Send {
			e.actions.Send = e.appendAnswer(e.actions.Send, &r.Send[i])
		}
		return
	}
	if e.delayed == maxDelayed {
		e.crowded++
		return
	}
	e.delayed++
	d := &delayedAnswer{}
	for i := range r.Send {
		d.sends = e.appendAnswer(d.sends, &r.Send[i])
	}
	d.timer.Fire = func(time.Duration) {
		e.delayed--
		e.actions.Send = append(e.actions.Send, d.sends...)
	}
	e.timers.Set(&d.timer, now+r.After)
}

// appendAnswer appends the packets that make a packet of an answer.
func (e *Engine) appendAnswer(sends []host.Send, s *respond.Send) []host.Send {
	send := host.Send{Interface: host.Interface(s.Interface), From: s.Source, To: s.To, TTL: s.TTL, Loop: s.Loop, Message: s.Message}
	send.Alert = s.To.IsMulticast() && e.alert
	sends = append(sends, send)
	if s.To.IsMulticast() && !igmp.LinkLocal(s.To) {
		sends = e.spread(sends, send)
	}
	return sends
}

func (e *Engine) logQuestion(p *host.Packet, r respond.Result) {
	log, level := e.env.Log.Traceroute, slog.LevelDebug
	var question fmt.Stringer = igmp.Type(p.Message[0])
	if question == igmp.TypeDVMRP {
		log, question = e.env.Log.Neighbors, dvmrp.Code(p.Message[1])
	}
	if r.Outcome == respond.Failed {
		level = slog.LevelWarn
	}
	if !log.Enabled(context.Background(), level) {
		return
	}
	attrs := []any{"kind", question, "from", p.From, "to", p.To}
	if l := e.tables.link(p.Interface); l != nil {
		attrs = append(attrs, "interface", l.Name)
	}
	attrs = append(attrs, "outcome", r.Outcome)
	if r.Err != nil {
		attrs = append(attrs, "error", r.Err)
	}
	log.Log(context.Background(), level, "question", attrs...)
}
