package dvmrp

import (
	"log/slog"
	"net/netip"
	"slices"
	"time"

	"mbone/internal/router/host"
	"mbone/internal/router/timer"
	"mbone/proto/dvmrp"
)

// neighbor is a router that was heard on a link.
type neighbor struct {
	link    *link
	addr    netip.Addr
	version dvmrp.Version
	// order numbers neighbours as they come.
	order uint64
	state State
	// young is whether it is a peer for so short a time that it cannot have told
	// all its routes.
	young bool
	// gone is whether it is lost. What refers to it yet has to be cleaned.
	gone bool

	// generation is that of its probes, heardUs whether one of them named this router.
	generation uint32
	heardUs    bool
	// since is when it was first heard, or started again; peered when it became a
	// peer.
	since, peered time.Duration
	heard         time.Duration // the last probe or report
	// rested is when it might start again as often as if it never had.
	rested time.Duration
	expiry timer.Timer

	rhythm  rhythm
	inquiry inquiry
}

// State says how far a neighbour has come.
type State uint8

// States of neighbours, as mrouted has them. Routes are exchanged with a Peer only.
const (
	Waiting State = iota // it has not said yet that it hears this router
	OneWay               // it does not hear this router
	TooOld               // it cannot prune, and that is not allowed on the link
	Peer
)

// String returns the state as in "one-way".
func (s State) String() string { return [...]string{"waiting", "one-way", "too-old", "peer"}[s] }

// isPeer reports whether routes are exchanged with the neighbour.
func (n *neighbor) isPeer() bool { return n.state == Peer && !n.gone }

// keepsToDraft reports whether a version is one with which routes are exchanged
// only after both sides have heard each other: 3.255 and 4 to 9. All others do not
// expect it.
func keepsToDraft(v dvmrp.Version) bool { return v.Compliant() || v.Major > 3 && v.Major < 10 }

// canPrune reports whether a router prunes. Those before 3.5 do, and do not say so.
func canPrune(v dvmrp.Version) bool {
	return v.Capabilities&dvmrp.CapPrune != 0 || v.Major == 3 && v.Minor < 5
}

// receiveProbe takes a probe.
func (p *Protocol) receiveProbe(l *link, packet *host.Packet) {
	if err := p.probe.Parse(packet.Message); err != nil {
		p.refuse(Malformed, l, packet)
		return
	}
	probe := &p.probe
	hearsUs := !probe.Version.ProbeData() || slices.ContainsFunc(probe.Neighbors, l.Owns)
	n := l.neighbor(packet.From)
	var rested time.Duration
	if n != nil {
		if p.startsAgain(n, hearsUs) && !n.mayRestart(p.now) {
			p.refuse(TooManyRestarts, l, packet)
			return
		}
		rested = n.rested
		if n.isAnother(probe) {
			p.lose(n, "it has started again")
			n = nil
		}
	}
	if n == nil {
		if n = p.meet(l, packet, probe.Version, hearsUs); n == nil {
			return
		}
		n.generation, n.rested = probe.GenID, rested
	} else {
		n.version = probe.Version
		if n.generation != probe.GenID {
			p.restarted(n, probe.GenID)
		}
		n = p.advance(n, hearsUs)
	}
	n.heardUs = n.heardUs || hearsUs
	p.observeProbe(n)
	p.keep(n)
	p.inquire(n)
}

// isAnother reports whether a probe comes from somebody who has nothing to do with
// n any more: its version changed, or it is an mroutd that has started again. That one
// learns at once what it has forgotten, maybe from those who learned it from here:
// what it said before must not lead back to it meanwhile. Others take longer, and
// are meant to forward what they did before.
func (n *neighbor) isAnother(probe *dvmrp.Probe) bool {
	return n.version.Major != probe.Version.Major || n.version.Minor != probe.Version.Minor ||
		n.generation != probe.GenID && n.inquiry.mroutd
}

// startsAgain reports whether the probe makes all that n said, or was told, count no
// more.
func (p *Protocol) startsAgain(n *neighbor, hearsUs bool) bool {
	probe := &p.probe
	return n.isAnother(probe) || n.generation != probe.GenID ||
		n.state == Peer && (!n.link.accepts(probe.Version) || p.isForgotten(n, hearsUs))
}

// mayRestart reports whether a neighbour may start again, which costs work: not more
// than once in restartPause after the first times. Somebody may play with its
// address, or two routers have the same one.
func (n *neighbor) mayRestart(now time.Duration) bool {
	if n.rested-(restartBurst-1)*restartPause > now {
		return false
	}
	n.rested = max(n.rested, now) + restartPause
	return true
}

// accepts reports whether a router of this version may be a peer: it has to prune.
func (l *link) accepts(v dvmrp.Version) bool { return l.AllowNonpruners || canPrune(v) }

// isForgotten reports whether a probe that does not name this router means that the
// peer does not hear it. An mroutd that named this router before, and does not now, has
// lost it: others may only be slow.
func (p *Protocol) isForgotten(n *neighbor, hearsUs bool) bool {
	return !hearsUs && (p.now-n.since > oneWayGrace || n.heardUs && n.inquiry.mroutd)
}

// meet notes a router that was not known. It returns nil if there are too many.
func (p *Protocol) meet(l *link, packet *host.Packet, v dvmrp.Version, hearsUs bool) *neighbor {
	if p.neighbors >= p.settings.Limits.Neighbors || len(l.neighbors) >= maxLinkNeighbors {
		p.refuse(TooManyNeighbors, l, packet)
		p.alarm(neighborsAlarm, p.env.Log.Neighbors, "too many neighbors: a new one is ignored",
			"interface", l.Name, "neighbor", packet.From, "neighbors", p.neighbors)
		return nil
	}
	n := p.addNeighbor(l, packet.From, v)
	p.logLink(l, heardLog, slog.LevelInfo, "heard a neighbor", "neighbor", n.addr, "version", v)
	p.begin(n, hearsUs)
	return n
}

func (p *Protocol) addNeighbor(l *link, addr netip.Addr, v dvmrp.Version) *neighbor {
	p.created++
	p.neighbors++
	n := &neighbor{link: l, addr: addr, version: v, order: p.created, since: p.now, heard: p.now}
	n.expiry.Fire = func(now time.Duration) {
		p.now = now
		p.lose(n, "it was silent for too long")
		if n.inquiry.mroutd {
			// It may hear this router yet, and then acts on not being named at once.
			p.requestProbe(l)
		}
	}
	i, _ := l.find(addr)
	l.neighbors = slices.Insert(l.neighbors, i, n)
	return n
}

// begin gives a new neighbour its first state.
func (p *Protocol) begin(n *neighbor, hearsUs bool) {
	switch {
	case !n.link.accepts(n.version):
		n.state = TooOld
		p.logLink(n.link, tooOldLog, slog.LevelWarn, "a neighbor cannot prune: it is ignored, see allow-nonpruners",
			"neighbor", n.addr, "version", n.version)
		p.requestProbe(n.link)
	case keepsToDraft(n.version) && !hearsUs:
		n.state = Waiting
		p.requestProbe(n.link)
	default:
		p.accept(n)
	}
}

// advance gives a known neighbour its state after a further probe. It returns the
// neighbour, which is another one if it has ceased to be a peer.
func (p *Protocol) advance(n *neighbor, hearsUs bool) *neighbor {
	old := !n.link.accepts(n.version)
	switch {
	case n.state == TooOld && !old:
		p.begin(n, hearsUs)
	case n.state == TooOld:
	case n.state == Peer && old:
		n = p.demote(n, TooOld, "it cannot prune any more")
	case n.state == Peer && p.isForgotten(n, hearsUs):
		n = p.demote(n, OneWay, "it does not hear this router")
	case n.state == Peer:
	case hearsUs:
		p.accept(n)
	case n.state == Waiting && p.now-n.since >= fastProbeInterval/2:
		// Not one that was sent before it could hear this router.
		n.state = OneWay
		p.logLink(n.link, oneWayLog, host.LevelNotice, "a neighbor does not seem to hear this router", "neighbor", n.addr)
	}
	return n
}

// accept makes a neighbour a peer: the whole table is told on the link.
func (p *Protocol) accept(n *neighbor) {
	n.state = Peer
	n.peered, n.young = p.now, true
	n.link.peers++
	p.logLink(n.link, upLog, host.LevelNotice, "neighbor is up", "neighbor", n.addr)
	p.review.happened(n.link, affair{news: true})
	p.greet(n.link)
}

// restarted is called if a neighbour has started again: it has forgotten all.
func (p *Protocol) restarted(n *neighbor, generation uint32) {
	n.generation = generation
	n.since = p.now
	n.rhythm, n.inquiry = rhythm{}, inquiry{}
	if !n.isPeer() {
		p.requestProbe(n.link)
		return
	}
	p.logLink(n.link, restartLog, host.LevelNotice, "neighbor has started again", "neighbor", n.addr)
	n.peered, n.young = p.now, true
	p.neighborChanged(p.now, n)
	p.review.happened(n.link, affair{news: true})
	p.greet(n.link)
}

// demote makes a peer a neighbour that is none, which is another object: what
// refers to the old one is cleaned as if it were lost.
func (p *Protocol) demote(n *neighbor, to State, why string) *neighbor {
	p.lose(n, why)
	again := p.addNeighbor(n.link, n.addr, n.version)
	again.state, again.generation, again.rested = to, n.generation, n.rested
	p.requestProbe(again.link)
	return again
}

// lose forgets a neighbour. Its routes are gone from now on.
func (p *Protocol) lose(n *neighbor, why string) {
	p.env.Timers.Stop(&n.expiry)
	l := n.link
	i, _ := l.find(n.addr)
	l.neighbors = slices.Delete(l.neighbors, i, i+1)
	p.neighbors--
	wasPeer := n.isPeer()
	n.gone = true
	p.logLink(l, lostLog, host.LevelNotice, "neighbor is lost", "neighbor", n.addr, "state", n.state, "reason", why)
	if !wasPeer {
		return
	}
	l.peers--
	p.neighborChanged(p.now, n)
	p.review.happened(l, affair{lost: 1})
}

// keep puts off when a neighbour is given up.
func (p *Protocol) keep(n *neighbor) {
	n.heard = p.now
	p.env.Timers.Set(&n.expiry, p.now+n.timeout())
}

// timeout returns after how long a silence the neighbour is lost.
func (n *neighbor) timeout() time.Duration {
	switch {
	case n.link.NeighborTimeout > 0:
		return n.link.NeighborTimeout
	case n.rhythm.sure():
		return n.rhythm.interval * 7 / 2
	case n.version.ProbeData():
		return neighborTimeout
	}
	return oldNeighborTimeout
}
