package asktest

import (
	"net/netip"
	"slices"

	"mbone/internal/ask"
	"mbone/proto/dvmrp"
	"mbone/proto/igmp"
	"mbone/proto/mtrace"
)

// Router answers Ask-Neighbors and Ask-Neighbors2 as mrouted does.
type Router struct {
	// From is where its answers come from; by default from the address asked, or
	// from the local address of the first interface if that is a group.
	From       netip.Addr
	Version    dvmrp.Version // by default mrouted's
	Interfaces []dvmrp.Interface
	// OldOnly is a router that knows the old question only.
	OldOnly bool
	// Damage changes each message after its checksum was written.
	Damage func(message []byte)
}

// Addrs returns the local addresses of the router, each once.
func (r *Router) Addrs() []netip.Addr {
	var all []netip.Addr
	for _, i := range r.Interfaces {
		if !slices.Contains(all, i.Local) {
			all = append(all, i.Local)
		}
	}
	return all
}

// Answer is the router's [Handler].
func (r *Router) Answer(d ask.Datagram) []Answer {
	var q dvmrp.Ask
	if q.Parse(d.Message) != nil || !igmp.VerifyChecksum(d.Message) {
		return nil
	}
	answer := dvmrp.Neighbors{Version: r.Version, Code: dvmrp.CodeNeighbors2}
	if answer.Version == (dvmrp.Version{}) {
		answer.Version = dvmrp.Mrouted
	}
	interfaces := r.Interfaces
	switch {
	case r.OldOnly && q.Code == dvmrp.CodeAskNeighbors2:
		return nil
	case q.Code == dvmrp.CodeAskNeighbors:
		answer.Code = dvmrp.CodeNeighbors
		if r.OldOnly {
			answer.Version = dvmrp.Version{}
		}
		interfaces = withNeighbors(interfaces)
	}
	from := r.From
	if !from.IsValid() {
		if from = d.To; from.IsMulticast() {
			from = r.Interfaces[0].Local
		}
	}
	var all []Answer
	for part := range dvmrp.SplitInterfaces(answer.Code, interfaces) {
		answer.Interfaces = part
		message := must(answer.AppendBinary(nil))
		if r.Damage != nil {
			r.Damage(message)
		}
		all = append(all, Answer{From: from, Message: message})
	}
	return all
}

// withNeighbors returns the interfaces that the old answer lists, without flags.
func withNeighbors(all []dvmrp.Interface) []dvmrp.Interface {
	var some []dvmrp.Interface
	for _, i := range all {
		if i.Flags = 0; len(i.Neighbors) > 0 && !i.Neighbors[0].IsUnspecified() {
			some = append(some, i)
		}
	}
	return some
}

// Path answers mtrace queries with the blocks that the routers of a path would
// add.
type Path struct {
	// From is where the answers come from.
	From netip.Addr
	// Blocks are those of the whole path, the last-hop router first.
	Blocks []mtrace.Block
	// Silent is the first hop that does not pass requests on and does not
	// answer, counted from 1; 0: none.
	Silent int
}

// Answer is the path's [Handler], for its last-hop router's address or a group.
func (p *Path) Answer(d ask.Datagram) []Answer {
	var m mtrace.Message
	if m.Parse(d.Message) != nil || m.Type != mtrace.TypeQuery || !igmp.VerifyChecksum(d.Message) {
		return nil
	}
	hops := min(int(m.Hops), len(p.Blocks))
	if p.Silent > 0 && hops >= p.Silent {
		return nil
	}
	m.Type, m.Blocks = mtrace.TypeResponse, p.Blocks[:hops]
	return []Answer{{From: p.From, To: m.Response, Message: must(m.AppendBinary(nil))}}
}

// must returns b; a script that cannot be encoded is a mistake of the test.
func must(b []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return b
}
