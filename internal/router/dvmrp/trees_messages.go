package dvmrp

import (
	"iter"
	"net/netip"
	"slices"
	"time"

	"mbone/internal/router/host"
	"mbone/internal/router/mfc"
	"mbone/proto/dvmrp"
)

const (
	// minPrune is the longest lifetime that is not worth a prune, as in mrouted.
	minPrune = 5 * time.Second
	// maxPrune is the longest lifetime that is believed: what a mrouted can be
	// configured to send, a day and by jitter half as much again.
	maxPrune = 36 * time.Hour
	// pruneAgain is after how long a prune is sent again where packets come all the
	// same, graftAgain a graft without an acknowledgement (the draft's). The times
	// double, those of prunes are jittered.
	pruneAgain = 3 * time.Second
	// sharedAgain is that of prunes on links without rexmit-prunes, LANs: others may
	// want the packets there, so it is not looked for them. But if a look at the
	// counters, or the kernel, brings up that they come, a prune may have been lost,
	// which would let them come for hours.
	sharedAgain = time.Minute
	graftAgain  = 5 * time.Second
	// maxSent is how many sent prunes are remembered of an entry: to so many
	// upstream neighbours it may go back.
	maxSent = 4
)

// entries returns the entries that a message about a source network and group may
// mean, the likeliest first: that of the route to the address, then those of less
// specific routes to networks with just this address. net is valid if the sender
// said which network it means.
func (ts *trees) entries(net netip.Prefix, source, group netip.Addr) iter.Seq[*mfc.Entry] {
	return func(yield func(*mfc.Entry) bool) {
		try := func(net netip.Prefix) bool {
			e := ts.p.cache.Lookup(mfc.Key{Net: net, Group: group})
			return e == nil || e.In == 0 || yield(e)
		}
		if net.IsValid() {
			try(net)
			return
		}
		r := ts.p.lookup(source)
		if r == nil || !try(r.prefix) {
			return
		}
		for bits := r.prefix.Bits() - 1; bits >= 0; bits-- {
			if net = netip.PrefixFrom(source, bits); net.Masked() != net || !try(net) {
				return
			}
		}
	}
}

// first returns the first entry, nil if there is none.
func first(entries iter.Seq[*mfc.Entry]) *mfc.Entry {
	for e := range entries {
		return e
	}
	return nil
}

// receivePrune, receiveGraft and receiveGraftAck take a message of its code. n is
// nil if the sender is not a peer.
func (ts *trees) receivePrune(now time.Duration, l *link, n *neighbor, packet *host.Packet) {
	p, m := ts.p, &ts.prune
	if err := m.Parse(packet.Message); err != nil {
		p.refuse(Malformed, l, packet)
		return
	}
	if n == nil {
		p.refuse(NoPeer, l, packet)
		return
	}
	e := first(ts.entries(m.Origin(), m.Source, m.Group))
	if e == nil || m.Lifetime <= minPrune || p.cache.IsScoped(l.ID, m.Group) || !p.isDependent(e, n) {
		ts.stats.PrunesIgnored++
		ts.log("ignored a prune", l, n.addr, m.Source, m.Group, m.Lifetime)
		return
	}
	t := treeOf(e)
	until := now + min(m.Lifetime, maxPrune)
	i, known := ts.place(t, n)
	if known {
		t.received[i].until = until
	} else {
		if ts.stats.Received >= p.settings.Limits.Prunes {
			ts.refuse(now, l, n)
			return
		}
		t = ts.grow(e)
		k := &prune{tree: t, with: n, until: until}
		t.received = slices.Insert(t.received, i, k)
		ts.write(k, receivedOf)
		ts.stats.Received++
	}
	ts.stats.PrunesTaken++
	ts.log("received a prune", l, n.addr, m.Source, m.Group, m.Lifetime)
	ts.settle(now, t)
	p.cache.DownstreamChanged(now, e)
	if k := t.sentTo(p.upstream(e)); known && (k == nil || k.ends <= now) {
		p.cache.Changed(e) // it was too short for one upstream
	}
}

// place is find of a tree that may be nil.
func (ts *trees) place(t *tree, n *neighbor) (int, bool) {
	if t == nil {
		return 0, false
	}
	return t.find(n)
}

// refuse counts a prune for which there is no room.
func (ts *trees) refuse(now time.Duration, l *link, n *neighbor) {
	ts.stats.PrunesRefused++
	if now >= ts.alarm {
		ts.alarm = now + alarmInterval
		ts.p.env.Log.Pruning.Error("too many prunes: a new one is ignored", "interface", l.Name, "neighbor", n.addr,
			"prunes", ts.stats.Received, "refused", ts.stats.PrunesRefused)
	}
}

// isDependent reports whether n depends on this router for packets of e.
func (p *Protocol) isDependent(e *mfc.Entry, n *neighbor) bool {
	r := p.routeOf(e.Net)
	return r != nil && r.forwarder(n.link) && n.isPeer() && r.depends(n)
}

// receiveGraft acknowledges every graft of who can be on the link, whatever it is
// about: else it would be sent again and again.
func (ts *trees) receiveGraft(now time.Duration, l *link, n *neighbor, packet *host.Packet) {
	m := &ts.graft
	if err := m.Parse(packet.Message); err != nil || m.Ack {
		ts.p.refuse(Malformed, l, packet)
		return
	}
	ts.log("received a graft", l, packet.From, m.Source, m.Group, 0)
	ts.stats.GraftsReceived++
	ts.send(l, packet.From, &dvmrp.Graft{Version: ts.p.versionOn(l), Ack: true, Source: m.Source, Group: m.Group})
	if n == nil {
		return
	}
	for e := range ts.entries(m.Origin(), m.Source, m.Group) {
		if t := treeOf(e); t != nil && ts.dropReceived(t, func(k *prune) bool { return k.with == n }) {
			ts.settle(now, t)
			ts.p.cache.DownstreamChanged(now, e)
			return
		}
	}
}

// receiveGraftAck ends the repeating of a graft, if it comes from whom that is sent
// to.
func (ts *trees) receiveGraftAck(now time.Duration, l *link, n *neighbor, packet *host.Packet) {
	m := &ts.graft
	if err := m.Parse(packet.Message); err != nil || !m.Ack {
		ts.p.refuse(Malformed, l, packet)
		return
	}
	if n == nil {
		ts.p.refuse(NoPeer, l, packet)
		return
	}
	for e := range ts.entries(m.Origin(), m.Source, m.Group) {
		t := treeOf(e)
		if k := t.sentTo(n); k == nil || !k.grafting {
			continue
		}
		if n == ts.p.upstream(e) {
			t.again = 0
		}
		ts.dropSent(t, func(k *prune) bool { return k.with == n })
		ts.settle(now, t)
		ts.p.cache.DownstreamChanged(now, e) // it may be needed no more
		return
	}
	ts.p.refuse(Unasked, l, packet)
}

// pruneUp prunes e, or sends the prune again that runs, unless that cannot do any
// good.
func (ts *trees) pruneUp(now time.Duration, e *mfc.Entry, up *neighbor) {
	if up.version.Major < 3 || up.version.Major == 10 {
		return // it knows no prunes
	}
	t := treeOf(e)
	k := t.sentTo(up)
	lifetime := ts.jitter(up.link.PruneLifetime)
	runs := k != nil && k.ends > now
	if runs {
		lifetime = k.ends - now
	}
	if t != nil {
		for _, r := range t.received {
			lifetime = min(lifetime, r.until-now)
		}
	}
	lifetime = lifetime.Truncate(time.Second) // as it is said
	if lifetime <= minPrune {
		return
	}
	t = ts.grow(e)
	if k == nil {
		k = &prune{tree: t, with: up}
		ts.remember(t, k)
	}
	again := runs && t.again != 0
	k.ends, k.grafting = now+lifetime, false
	k.until = max(k.until, k.ends)
	switch {
	case !up.link.RexmitPrunes:
		t.again = now + sharedAgain
	case again:
		t.delay = max(2*t.delay, pruneAgain)
		t.again = now + ts.jitter(t.delay)
	default:
		t.delay = pruneAgain
		t.again = now + ts.jitter(t.delay)
	}
	ts.stats.PrunesSent++
	ts.log("sent a prune", up.link, up.addr, e.Net.Addr(), e.Group, lifetime)
	ts.send(up.link, up.addr, &dvmrp.Prune{
		Version: ts.p.versionOn(up.link), Source: e.Net.Addr(), Group: e.Group, Lifetime: lifetime,
	})
	ts.settle(now, t)
}

// remember keeps a sent prune, and forgets the one that ends first if they are too
// many.
func (ts *trees) remember(t *tree, k *prune) {
	if len(t.sent) == maxSent {
		out := slices.MinFunc(t.sent, func(a, b *prune) int { return int(a.until - b.until) })
		ts.dropSent(t, func(k *prune) bool { return k == out })
	}
	t.sent = append(t.sent, k)
	ts.write(k, sentOf)
}

// graftUp takes back the prune of e that may be in force upstream. If it was sent
// to a former upstream neighbour, the present one is told too: it need not know yet
// that this router depends on it.
func (ts *trees) graftUp(now time.Duration, e *mfc.Entry) {
	t, up := treeOf(e), ts.p.upstream(e)
	if up == nil || len(t.sent) == 0 {
		return
	}
	k := t.sentTo(up)
	if k == nil {
		k = &prune{tree: t, with: up}
		for _, other := range t.sent {
			k.until = max(k.until, other.until)
		}
		ts.remember(t, k)
	}
	k.ends, k.grafting, t.delay = 0, true, graftAgain
	ts.sendGraft(now, t, k)
	ts.settle(now, t)
}

func (ts *trees) sendGraft(now time.Duration, t *tree, k *prune) {
	t.again = now + t.delay
	e, l := t.entry, k.with.link
	ts.stats.GraftsSent++
	ts.log("sent a graft", l, k.with.addr, e.Net.Addr(), e.Group, 0)
	ts.send(l, k.with.addr, &dvmrp.Graft{Version: ts.p.versionOn(l), Source: e.Net.Addr(), Group: e.Group})
}

// send sends a prune or graft. None has a netmask: mrouted takes no such Graft-Ack.
func (ts *trees) send(l *link, to netip.Addr, m interface {
	AppendBinary([]byte) ([]byte, error)
	Len() int
}) {
	message, err := m.AppendBinary(make([]byte, 0, m.Len()))
	if err != nil {
		ts.p.env.Log.Pruning.Error("cannot write a message", "interface", l.Name, "neighbor", to, "error", err)
		return
	}
	ts.p.send(l, to, message)
}

// jitter returns a time from half of d to half as much again.
func (ts *trees) jitter(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (0.5 + ts.p.env.Random.Float64()))
}

func (ts *trees) log(message string, l *link, neighbor, source, group netip.Addr, lifetime time.Duration) {
	if log := ts.p.env.Log.Pruning; host.Debugs(log) {
		log.Debug(message, "interface", l.Name, "neighbor", neighbor, "source", source, "group", group, "lifetime", lifetime)
	}
}
