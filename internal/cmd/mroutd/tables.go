package mroutd

import (
	"errors"
	"net/netip"
	"time"

	"mbone/internal/plane/mroute"
	"mbone/internal/router/respond"
	"mbone/proto/dvmrp"
	"mbone/proto/igmp"
	"mbone/proto/mtrace"
)

// tables is the kernel's multicast routing and what was heard on the links, as
// of one question: counters and routes are read at that moment, the rate of
// questions bounds the work. Interfaces are those of the last view, which is
// renewed when the kernel tells of a change.
type tables struct {
	*server
	now time.Duration
}

// Networks implements [respond.Tables].
func (t *tables) Networks() []respond.Network { return t.view.networks }

// Routed implements [respond.Tables]: nothing is known of routes but those of
// unicast, which are to everybody.
func (t *tables) Routed(netip.Addr) bool { return false }

// Neighbor implements [respond.Tables].
func (t *tables) Neighbor(netip.Addr) bool { return false }

// Interfaces implements [respond.Tables].
func (t *tables) Interfaces() ([]respond.Interface, error) {
	var list []respond.Interface
	for _, i := range t.vifs() {
		list = append(list, i.Interface)
	}
	return list, nil
}

// KernelInterfaces implements [respond.Kernel].
func (t *tables) KernelInterfaces() ([]respond.KernelInterface, error) { return t.vifs(), nil }

// vifs are the interfaces of multicast routing, whoever made them, but for the
// register vif of PIM, which is on no link. A host that routes no multicast has
// none.
func (t *tables) vifs() []respond.KernelInterface {
	var list []respond.KernelInterface
	for _, v := range t.view.vifs {
		link, ok := t.view.links[v.IfIndex]
		if !ok || v.Flags == mroute.VifRegister {
			continue
		}
		heard := t.heard.Link(t.now, v.IfIndex)
		i := respond.KernelInterface{ID: v.IfIndex, Interface: respond.Interface{
			// The kernel knows no metric, and its thresholds belong to entries.
			Metric: 1, Threshold: 1,
			Neighbors: heard.Neighbors,
		}}
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
	return list
}

// Counts implements [respond.Tables].
func (t *tables) Counts(id int) (in, out uint32, ok bool, err error) {
	for _, v := range t.view.vifs {
		if v.IfIndex != id || v.Flags == mroute.VifRegister || !t.view.forwarding {
			continue
		}
		count, err := t.counters.VifCount(v.ID)
		if errors.Is(err, mroute.ErrNotFound) {
			break // it has just gone
		}
		return uint32(count.PacketsIn), uint32(count.PacketsOut), err == nil, err
	}
	return mtrace.Unknown, mtrace.Unknown, false, nil
}

// Output implements [respond.Tables].
func (t *tables) Output(source, group, receiver netip.Addr) (int, error) {
	return respond.KernelOutput(t, source, group, receiver)
}

// Path implements [respond.Tables].
func (t *tables) Path(f respond.Flow) (respond.Path, error) { return respond.KernelPath(t, f) }

// Entry implements [respond.Kernel]: the kernel's choice is the entry of the
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
		Packets: r.Count.Packets - min(r.Count.WrongIf, r.Count.Packets), GroupOnly: r.Source.IsUnspecified(),
	}
	for _, o := range r.Outputs {
		e.Outputs[o.IfIndex] = o.TTL
	}
	return e, true, nil
}

// Route implements [respond.Kernel].
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
