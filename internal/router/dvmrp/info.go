package dvmrp

import (
	"strings"

	"mbone/internal/router/host"
	"mbone/proto/dvmrp"
)

// inquiry is what was asked and heard of the program that a neighbour is.
type inquiry struct {
	asked   int
	program string
	mroutd  bool
}

// maxProgram is how much of a version text is kept.
const maxProgram = 64

// inquire asks a peer for its version, until it answers or has been asked often
// enough. Routers before mrouted 3.9 do not know the question.
func (p *Protocol) inquire(n *neighbor) {
	q := &n.inquiry
	if !n.isPeer() || !n.version.Compliant() || q.program != "" || q.asked >= infoTries {
		return
	}
	q.asked++
	request := dvmrp.Info{Version: p.versionOn(n.link), TLVs: []dvmrp.TLV{{Type: dvmrp.InfoVersion}}}
	b, err := request.AppendBinary(nil)
	if err != nil {
		p.env.Log.Neighbors.Error("cannot write a question", "interface", n.link.Name, "error", err)
		return
	}
	p.send(n.link, n.addr, b)
}

// receiveInfo takes the answer to inquire.
func (p *Protocol) receiveInfo(l *link, packet *host.Packet) {
	n := l.peer(packet.From)
	if n == nil || n.inquiry.asked == 0 || n.inquiry.program != "" {
		p.refuse(Unasked, l, packet)
		return
	}
	if err := p.info.Parse(packet.Message); err != nil {
		p.refuse(Malformed, l, packet)
		return
	}
	for _, t := range p.info.TLVs {
		if t.Type == dvmrp.InfoVersion {
			p.learnProgram(n, t.Text())
			return
		}
	}
}

func (p *Protocol) learnProgram(n *neighbor, text string) {
	text = text[:min(len(text), maxProgram)]
	n.inquiry.program = strings.Map(func(c rune) rune {
		if c < ' ' || c > '~' {
			return '?'
		}
		return c
	}, text)
	n.inquiry.mroutd = strings.HasPrefix(text, host.VersionPrefix)
	p.env.Log.Neighbors.Debug("neighbor says what it is", "interface", n.link.Name, "neighbor", n.addr,
		"program", n.inquiry.program)
	if next := p.now + n.link.interval(); n.link.probe.Due() > next {
		p.env.Timers.Set(&n.link.probe, next)
	}
}
