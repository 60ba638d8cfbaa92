package router

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"mbone/internal/router/dvmrp"
	"mbone/internal/router/host"
	"mbone/internal/router/mfc"
	"mbone/internal/router/respond"
	protodvmrp "mbone/proto/dvmrp"
	"mbone/proto/igmp"
	"mbone/proto/mtrace"
)

// tables is what an engine knows, as those who ask it see it. It is a
// [respond.Tables].
type tables struct {
	e     *Engine
	now   time.Duration // of the event that is handled
	links []*host.Link  // by id

	wouldBe    mfc.Entry // what entry returns
	networks   []respond.Network
	interfaces []respond.Interface // nil: something may have changed since
}

func byID(l *host.Link, id host.Interface) int { return cmp.Compare(l.ID, id) }

// setLink takes a new link or a new state of one.
func (t *tables) setLink(l *host.Link) {
	l = new(*l)
	i, known := slices.BinarySearchFunc(t.links, l.ID, byID)
	if known {
		t.links[i] = l
	} else {
		t.links = slices.Insert(t.links, i, l)
	}
	t.readdress()
}

// removeLink forgets a link.
func (t *tables) removeLink(id host.Interface) {
	if i, known := slices.BinarySearchFunc(t.links, id, byID); known {
		t.links = slices.Delete(t.links, i, i+1)
	}
	t.readdress()
}

// readdress lists the networks anew.
func (t *tables) readdress() {
	t.networks = t.networks[:0]
	for _, l := range t.links {
		if l.IsTunnel() {
			t.networks = append(t.networks, respond.Network{
				Interface: int(l.ID), Address: l.Address, Prefix: netip.PrefixFrom(l.Remote, l.Remote.BitLen()), Tunnel: true,
			})
			continue
		}
		for _, n := range l.Networks {
			t.networks = append(t.networks, respond.Network{Interface: int(l.ID), Address: n.Address, Prefix: n.Prefix})
		}
	}
}

// link returns a link, nil if it is not known.
func (t *tables) link(id host.Interface) *host.Link {
	if i, known := slices.BinarySearchFunc(t.links, id, byID); known {
		return t.links[i]
	}
	return nil
}

// isUsable reports whether packets can pass over a link, and shall.
func isUsable(l *host.Link) bool { return l.Enabled && l.Up && l.Address.IsValid() }

// owns reports whether addr is an address of this router.
func (t *tables) owns(addr netip.Addr) bool {
	return addr.IsLoopback() || slices.ContainsFunc(t.links, func(l *host.Link) bool { return l.Owns(addr) })
}

// changed tells that neighbours or queriers may be others now.
func (t *tables) changed() { t.interfaces = nil }

// Networks implements [respond.Tables].
func (t *tables) Networks() []respond.Network { return t.networks }

// Routed implements [respond.Tables].
func (t *tables) Routed(addr netip.Addr) bool {
	r, ok := t.e.dvmrp.RPF(addr)
	return ok && r.Net.Bits() > 0
}

// Interfaces implements [respond.Tables]. As with mrouted, all links are listed,
// also those that are down or disabled.
func (t *tables) Interfaces() ([]respond.Interface, error) {
	if t.interfaces != nil {
		return t.interfaces, nil
	}
	t.interfaces = make([]respond.Interface, 0, len(t.links))
	for _, l := range t.links {
		if l.Address.IsValid() {
			t.interfaces = append(t.interfaces, t.describe(l))
		}
	}
	return t.interfaces, nil
}

// describe says what a link is to others. Neighbours that do not hear this router
// are left out but on a tunnel, which is called down then, as it is without a
// neighbour.
func (t *tables) describe(l *host.Link) respond.Interface {
	i := respond.Interface{Local: l.Address, Remote: l.Remote, Metric: l.Metric, Threshold: l.Threshold}
	oneWay := false
	for n := range t.e.dvmrp.Neighbors(l.ID) {
		if n.State == dvmrp.OneWay {
			oneWay = true
			if !l.IsTunnel() {
				continue
			}
		}
		i.Neighbors = append(i.Neighbors, n.Address)
	}
	if l.IsTunnel() {
		i.Flags |= protodvmrp.FlagTunnel
	}
	if !l.Up || l.IsTunnel() && (oneWay || len(i.Neighbors) == 0) {
		i.Flags |= protodvmrp.FlagDown
	}
	if !l.Enabled {
		i.Flags |= protodvmrp.FlagDisabled
	}
	if t.e.members.Querier(l.ID).Self {
		i.Flags |= protodvmrp.FlagQuerier
	}
	return i
}

// Counts implements [respond.Tables].
func (t *tables) Counts(id int) (in, out uint32, ok bool, err error) {
	l := t.link(host.Interface(id))
	if l == nil || !l.Enabled {
		return mtrace.Unknown, mtrace.Unknown, false, nil
	}
	n, known := t.e.env.Counters.Link(l.ID)
	if !known {
		return mtrace.Unknown, mtrace.Unknown, true, nil
	}
	return uint32(n.PacketsIn), uint32(n.PacketsOut), true, nil
}

// Output implements [respond.Tables]: it is the link of the route to the receiver,
// if packets would leave by it, or may.
func (t *tables) Output(source, group, receiver netip.Addr) (int, error) {
	back, ok := t.e.dvmrp.RPF(receiver)
	if !ok {
		return 0, nil
	}
	e, _ := t.entry(source, group)
	l := t.link(back.In)
	if e == nil || l == nil {
		return 0, nil
	}
	if group.IsUnspecified() && t.forwards(e, l) || t.leaves(e, source, l) {
		return int(l.ID), nil
	}
	return 0, nil
}

// Path implements [respond.Tables].
func (t *tables) Path(f respond.Flow) (respond.Path, error) {
	p := respond.Path{Packets: mtrace.Unknown}
	out := t.link(host.Interface(f.Out))
	if out != nil {
		p.Threshold = out.Threshold
	}
	e, cached := t.entry(f.Source, f.Group)
	if e == nil {
		return p, nil
	}
	p.In, p.Previous, p.Bits, p.Protocol = int(e.In), igmp.Unspecified, e.Net.Bits(), mtrace.ProtocolDVMRP
	if e.Gateway.IsValid() {
		p.Previous, p.Old = e.Gateway, t.isOld(e.In, e.Gateway)
	}
	p.Child = out != nil && t.forwards(e, out)
	p.LastHop = p.Child
	if f.Group.IsUnspecified() {
		return p, nil
	}
	// There may be packets of an entry that has not followed the route yet.
	p.Packets, p.SubnetCount = t.packets(f.Source, f.Group)
	p.PruneSent = cached && t.e.dvmrp.Tree(e.Key).PruneSent > t.now
	p.Scoped = t.isScoped(e, out)
	switch {
	case out == nil:
	case !p.Scoped && t.isWanted(e, f.Source, out, p.Child):
		p.TTL = out.Threshold
	case cached:
		p.PruneReceived = t.e.dvmrp.IsPruned(e.Key, out.ID)
	}
	return p, nil
}

// forwards reports whether this router brings the packets of e to a link, if
// somebody wants them there.
func (t *tables) forwards(e *mfc.Entry, l *host.Link) bool {
	return isUsable(l) && t.e.dvmrp.Forwarder(e, l.ID)
}

// entry returns the entry for packets of source to group, nil if there is no route.
// If there is none, as there have been no packets yet, or one that waits for news of
// the route, it is what it would be, valid until the next call; cached is whether
// there is one at all.
func (t *tables) entry(source, group netip.Addr) (e *mfc.Entry, cached bool) {
	r, ok := t.e.dvmrp.RPF(source)
	if !ok {
		return nil, false
	}
	k := mfc.Key{Net: r.Net, Group: group}
	e = t.e.cache.Lookup(k)
	if e != nil && e.In == r.In && e.Gateway == r.Gateway {
		return e, true
	}
	t.wouldBe = mfc.Entry{Key: k, In: r.In, Gateway: r.Gateway}
	return &t.wouldBe, e != nil
}

// isScoped reports whether a boundary is in the way of the packets of e, where they
// come in or at a link, which may be nil.
func (t *tables) isScoped(e *mfc.Entry, out *host.Link) bool {
	return t.e.cache.IsScoped(e.In, e.Group) || out != nil && t.e.cache.IsScoped(out.ID, e.Group)
}

// leaves reports whether packets of source leave by a link, as the cache decides.
func (t *tables) leaves(e *mfc.Entry, source netip.Addr, l *host.Link) bool {
	return !t.isScoped(e, l) && t.isWanted(e, source, l, t.forwards(e, l))
}

// isWanted reports whether other routers want packets of source on a link, or hosts
// do and it is this router that forwards there.
func (t *tables) isWanted(e *mfc.Entry, source netip.Addr, l *host.Link, forwards bool) bool {
	if !isUsable(l) || l.ID == e.In {
		return false
	}
	return t.e.dvmrp.Downstream(e, l.ID) || forwards && t.e.members.Wants(l.ID, source, e.Group)
}

// packets counts those of source to group that came where they belong, also of
// entries that were removed. The cache keeps these by network: once it counted
// others, too, the count is that of the network.
func (t *tables) packets(source, group netip.Addr) (n uint32, subnet bool) {
	state, one, ok := t.e.cache.Inspect(t.now, source, group)
	if !ok {
		return mtrace.Unknown, false
	}
	return uint32(state.Count.Packets - min(state.Count.WrongIf, state.Count.Packets)), one.Count.Packets != state.Count.Packets
}

// isOld reports whether a neighbour is a router that cannot answer mtrace, as
// mrouted judges: before 3.3, and those that put the release 10 of their own system
// there.
func (t *tables) isOld(id host.Interface, addr netip.Addr) bool {
	n, ok := t.neighbor(id, addr)
	v := n.Version
	return ok && (v.Major < 3 || v.Major == 3 && v.Minor < 3 || v.Major == 10)
}

// Neighbor implements [respond.Tables].
func (t *tables) Neighbor(addr netip.Addr) bool {
	for _, l := range t.links {
		if l.Has(addr) {
			if n, ok := t.neighbor(l.ID, addr); ok && n.State == dvmrp.Peer {
				return true
			}
		}
	}
	return false
}

// neighbor returns a neighbour on a link.
func (t *tables) neighbor(id host.Interface, addr netip.Addr) (dvmrp.Neighbor, bool) {
	for n := range t.e.dvmrp.Neighbors(id) {
		if n.Address == addr {
			return n, true
		}
	}
	return dvmrp.Neighbor{}, false
}
