package mroutd

import (
	"errors"
	"net/netip"
	"time"

	"mbone/internal/plane/mroute"
	"mbone/internal/router/respond"
	"mbone/proto/dvmrp"
	"mbone/proto/igmp"
)

// tables is the kernel's multicast routing and what was heard on the links, as
// of one question: counters and routes are read at that moment, the rate of
// questions bounds the work. Interfaces are those of the last view, which is
// renewed when the kernel tells of a change.
type tables struct {
	*server
	now time.Time
}

// Networks implements [respond.Tables].
func (t *tables) Networks() []respond.Network { return t.view.networks }

// Interfaces implements [respond.Tables]: they are the vifs, whoever made them,
// but for the register vif of PIM, which is on no link. A host that routes no
// multicast has none.
func (t *tables) Interfaces() ([]respond.Interface, error) {
	var list []respond.Interface
	for _, v := range t.view.vifs {
		link, ok := t.view.links[v.IfIndex]
		if !ok || v.Flags == mroute.VifRegister {
			continue
		}
		count, err := t.counters.VifCount(v.ID)
		switch {
		case errors.Is(err, mroute.ErrNotFound):
			continue // it has just gone
		case err != nil:
			return nil, err
		}
		heard := t.heard.Link(t.now, v.IfIndex)
		i := respond.Interface{
			ID: v.IfIndex,
			// The kernel knows no metric, and its thresholds belong to entries.
			Metric: 1, Threshold: 1,
			Neighbors: heard.Neighbors,
			PacketsIn: count.PacketsIn, PacketsOut: count.PacketsOut,
		}
		if len(link.Addresses) > 0 {
			i.Local = link.Addresses[0].Addr
		}
		if v.Flags == mroute.VifTunnel {
			i.Flags |= dvmrp.FlagTunnel
			i.Local, i.Remote = v.Local, v.Remote
		}
		if heard.PIM {
			i.Flags |= dvmrp.FlagPIM
		}
		if heard.Querier {
			i.Flags |= dvmrp.FlagQuerier
		}
		if !link.Up {
			i.Flags |= dvmrp.FlagDown
		}
		if !t.view.forwarding {
			i.Flags |= dvmrp.FlagDisabled
		}
		list = append(list, i)
	}
	return list, nil
}

// Entry implements [respond.Tables]: the kernel's choice is the entry of the
// source and group, and else the one of the group.
func (t *tables) Entry(source, group netip.Addr) (respond.Entry, bool, error) {
	r, ok, err := t.reader.Route(t.table, source, group)
	if err == nil && !ok {
		r, ok, err = t.reader.Route(t.table, igmp.Unspecified, group)
	}
	if err != nil || !ok {
		return respond.Entry{}, false, err
	}
	e := respond.Entry{
		Interface: r.IfIndex, Outputs: make(map[int]uint8, len(r.Outputs)),
		Packets: r.Count.Packets, GroupOnly: r.Source.IsUnspecified(),
	}
	for _, o := range r.Outputs {
		e.Outputs[o.IfIndex] = o.TTL
	}
	return e, true, nil
}

// Route implements [respond.Tables].
func (t *tables) Route(to netip.Addr) (respond.Route, bool, error) {
	r, ok, err := t.links.Route(to)
	if err != nil || !ok {
		return respond.Route{}, false, err
	}
	route := respond.Route{Bits: r.Bits}
	for _, h := range r.Hops {
		hop := respond.Hop{Interface: h.IfIndex, Gateway: h.Gateway}
		if h.Gateway.IsUnspecified() && t.view.links[h.IfIndex].PointToPoint && !t.onLink(h.IfIndex, to) {
			// Routes through a tunnel name no gateway, and yet there is one.
			hop.Gateway = netip.Addr{}
		}
		route.Hops = append(route.Hops, hop)
	}
	return route, true, nil
}

// onLink is whether an address is on the network of an interface.
func (t *tables) onLink(index int, addr netip.Addr) bool {
	for _, a := range t.view.links[index].Addresses {
		if a.Net.Contains(addr) {
			return true
		}
	}
	return false
}
