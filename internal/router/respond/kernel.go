package respond

import (
	"net/netip"
	"slices"

	"mbone/proto/dvmrp"
	"mbone/proto/igmp"
	"mbone/proto/mtrace"
)

// KernelInterface is an interface of the kernel's multicast routing, whoever
// uses that.
type KernelInterface struct {
	ID int // the same as in Network and Packet; not 0
	Interface
}

// Entry says how the packets of a source and group are forwarded.
type Entry struct {
	Interface int // incoming
	// Outputs are the interfaces that packets leave by and the TTL that they
	// must exceed.
	Outputs map[int]uint8
	Packets uint64
	// GroupOnly is whether the entry is for every source of the group.
	GroupOnly bool
}

// Route is a unicast route.
type Route struct {
	Bits int // length of the prefix
	Hops []Hop
}

// Hop is one of the ways of a route.
type Hop struct {
	Interface int
	// Gateway is the next router, 0.0.0.0 if the destination is on the link, and
	// invalid if neither is known.
	Gateway netip.Addr
}

// Kernel is what can be known of multicast routing that others do.
type Kernel interface {
	Networks() []Network
	// KernelInterfaces returns the interfaces of multicast routing in the order of
	// their numbers.
	KernelInterfaces() ([]KernelInterface, error)
	// Entry returns the entry that decides on the packets of source and group;
	// ok is false if there is none.
	Entry(source, group netip.Addr) (e Entry, ok bool, err error)
	// Route returns the unicast route to an address; ok is false if there is none.
	Route(to netip.Addr) (r Route, ok bool, err error)
}

// KernelOutput implements [Tables.Output]: it is an interface of the unicast route
// to the receiver if packets do leave by it.
func KernelOutput(k Kernel, source, group, receiver netip.Addr) (int, error) {
	entry, _, err := kernelEntry(k, source, group)
	if err != nil {
		return 0, err
	}
	route, _, err := k.Route(receiver)
	if err != nil {
		return 0, err
	}
	for _, way := range route.Hops {
		if entry.Outputs[way.Interface] > 0 {
			return way.Interface, nil
		}
	}
	return 0, nil
}

// KernelPath implements [Tables.Path]. The entry decides on the incoming
// interface, without one the unicast route to the source.
func KernelPath(k Kernel, f Flow) (Path, error) {
	interfaces, err := k.KernelInterfaces()
	if err != nil {
		return Path{}, err
	}
	entry, forwarded, err := kernelEntry(k, f.Source, f.Group)
	if err != nil {
		return Path{}, err
	}
	path := Path{Packets: mtrace.Unknown}
	if path.Bits, path.Previous, path.In, err = upstream(k, f.Source, entry.Interface); err != nil {
		return Path{}, err
	}
	var flags dvmrp.InterfaceFlags
	var out *Interface
	for i := range interfaces {
		switch n := &interfaces[i]; n.ID {
		case path.In:
			flags |= n.Flags
		case f.Out:
			flags |= n.Flags
			out = &n.Interface
		}
	}
	if flags&dvmrp.FlagPIM != 0 {
		path.Protocol = mtrace.ProtocolPIM
	}
	if forwarded {
		path.Packets, path.GroupOnly = uint32(entry.Packets), entry.GroupOnly
	}
	path.TTL = entry.Outputs[f.Out]
	path.Threshold = path.TTL // thresholds belong to entries
	path.Child = !forwarded || path.TTL > 0
	path.LastHop = out != nil && (path.TTL > 0 || f.Group.IsUnspecified() || onlyRouter(out, f.Asker))
	return path, nil
}

// kernelEntry returns the entry of a source and group, if the trace has a group.
func kernelEntry(k Kernel, source, group netip.Addr) (Entry, bool, error) {
	if group.IsUnspecified() {
		return Entry{}, false, nil
	}
	return k.Entry(source, group)
}

// upstream finds where the packets of source come from. The entry decides on the
// interface (0: there is no entry), the unicast route on the router there if it
// leaves by that interface, and else that router is not known: 224.0.0.2. Where
// the source is on the link, or this host, it is 0.0.0.0. Without an entry or a
// route the interface is 0.
func upstream(k Kernel, source netip.Addr, interfaceIn int) (bits int, previous netip.Addr, id int, err error) {
	for _, n := range k.Networks() {
		if n.Address == source {
			if interfaceIn == 0 {
				interfaceIn = n.Interface
			}
			return n.Prefix.Bits(), igmp.Unspecified, interfaceIn, nil
		}
	}
	route, ok, err := k.Route(source)
	if err != nil {
		return 0, netip.Addr{}, 0, err
	}
	if interfaceIn == 0 {
		if !ok || len(route.Hops) == 0 {
			return 0, igmp.Unspecified, 0, nil
		}
		interfaceIn = route.Hops[0].Interface
	}
	previous = igmp.AllRouters
	for _, way := range route.Hops {
		if way.Interface == interfaceIn && way.Gateway.IsValid() {
			previous = way.Gateway
			break
		}
	}
	return route.Bits, previous, interfaceIn, nil
}

// onlyRouter is whether no multicast router is known on the link but this one
// and the sender: what nobody forwards there is then ours to explain.
func onlyRouter(out *Interface, sender netip.Addr) bool {
	return !slices.ContainsFunc(out.Neighbors, func(n netip.Addr) bool { return n != sender })
}
