package dvmrp

import (
	"math"
	"time"

	"mbone/proto/dvmrp"
)

// interval returns the time between two probes on the link.
func (l *link) interval() time.Duration {
	if l.ProbeInterval > 0 {
		return l.ProbeInterval
	}
	if l.hasMroutd() {
		return fastProbeInterval
	}
	return probeInterval
}

// hasMroutd reports whether another mroutd is on the link.
func (l *link) hasMroutd() bool {
	for _, n := range l.neighbors {
		if n.inquiry.mroutd {
			return true
		}
	}
	return false
}

// requestProbe has a probe sent on a link as soon as may be.
func (p *Protocol) requestProbe(l *link) {
	p.env.Timers.Set(&l.probe, max(p.now, l.probed+minProbeGap))
	if p.now >= l.probed+minProbeGap {
		p.sendProbe(l)
	}
}

// greet has a probe sent on a link, and then the whole table: a new peer takes no
// report before it was named.
func (p *Protocol) greet(l *link) {
	l.greet = true
	p.requestProbe(l)
}

// sendProbe sends a probe, and sees to the next one.
func (p *Protocol) sendProbe(l *link) {
	interval := l.interval()
	p.env.Timers.Set(&l.probe, p.now+interval-time.Duration(p.env.Random.Int64N(int64(interval/16)+1)))
	if l.Passive && len(l.neighbors) == 0 {
		return
	}
	probe := dvmrp.Probe{Version: p.versionOn(l), GenID: p.settings.Generation}
	for _, n := range l.neighbors {
		probe.Neighbors = append(probe.Neighbors, n.addr)
	}
	b, err := probe.AppendBinary(nil)
	if err != nil {
		p.env.Log.Neighbors.Error("cannot write a probe", "interface", l.Name, "error", err)
		return
	}
	p.send(l, allRouters, b)
	l.probed = p.now
	if p.calm == math.MaxInt64 {
		p.calm = p.now + holdTime
		p.env.Timers.Set(&p.calmer, p.calm)
	}
	if l.greet {
		l.greet = false
		p.tellAll(l)
	}
}

// rhythm is how often a neighbour sends probes, if it does so often.
type rhythm struct {
	interval time.Duration
	beats    int // how many in a row
	last     time.Duration
}

// sureBeats is how many probes in a row make it sure that a neighbour goes on like
// that, and has not just been asked for some.
const sureBeats = 2

func (r *rhythm) sure() bool { return r.beats >= sureBeats }

// observeProbe takes note of when probes come. A neighbour that once has sent them
// in a rhythm is expected to keep it until it starts again.
func (p *Protocol) observeProbe(n *neighbor) {
	r := &n.rhythm
	gap := p.now - r.last
	r.last = p.now
	interval := time.Duration(0)
	for _, i := range [...]time.Duration{n.link.ProbeInterval, fastProbeInterval} {
		if i > 0 && (i != fastProbeInterval || n.inquiry.mroutd || i == n.link.ProbeInterval) &&
			gap >= i/2 && gap <= i*3/2 {
			interval = i
			break
		}
	}
	switch {
	case r.sure() && (interval == 0 || interval >= r.interval):
	case interval == 0:
		r.beats = 0
	case interval == r.interval:
		r.beats++
	default:
		r.interval, r.beats = interval, 1
	}
}
