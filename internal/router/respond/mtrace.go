package respond

import (
	"errors"
	"net/netip"
	"slices"
	"time"

	"mbone/proto/dvmrp"
	"mbone/proto/igmp"
	"mbone/proto/mtrace"
)

var (
	errChecksum = errors.New("checksum is wrong")
	errHops     = errors.New("it has as many blocks as it asks for")
	errSource   = errors.New("source is not a unicast address, or group not a multicast one")
)

// traceID is what tells one try of a trace from another.
type traceID struct {
	from netip.Addr
	id   uint32
	at   time.Time
}

// trace answers a query or passes a request on. The steps and their numbers are
// those of the draft, sections 5 to 7, where it says anything.
func (r *Responder) trace(now time.Time, p Packet, t Tables) Result {
	m := &r.message
	if !igmp.VerifyChecksum(p.Message) {
		return Result{Outcome: Damaged, Err: errChecksum}
	}
	if err := m.Parse(p.Message); err != nil {
		return Result{Outcome: Damaged, Err: err}
	}
	if len(m.Blocks) >= int(m.Hops) {
		return Result{Outcome: Damaged, Err: errHops}
	}
	if !isUnicast(m.Source) || !m.Group.IsMulticast() && !m.Group.IsUnspecified() {
		return Result{Outcome: Damaged, Err: errSource}
	}
	networks := t.Networks()
	if outcome := admit(m, p, networks); outcome != Answered {
		return Result{Outcome: outcome}
	}
	if r.isDuplicate(now, p.From, m.QueryID) {
		return Result{Outcome: Duplicate}
	}
	if !r.limiter.AllowN(now, 1) {
		return Result{Outcome: Limited}
	}

	hop, err := look(m, p, t, networks)
	if err != nil {
		return Result{Outcome: Failed, Err: err}
	}
	if p.To.IsMulticast() && !hop.lastHop {
		// Somebody else on the link is asked.
		return Result{Outcome: NotLastHop}
	}
	r.remember(now, p.From, m.QueryID)

	done := hop.last
	if m.Len()+mtrace.BlockLen > maxMessage {
		m.Blocks[len(m.Blocks)-1].Code, done = mtrace.CodeNoSpace, true
	} else {
		m.Blocks = append(m.Blocks, hop.block)
	}
	outcome, send := PassedOn, hop.request()
	if done || len(m.Blocks) >= int(m.Hops) {
		outcome, send = Answered, hop.response(m, p, networks)
		m.Type = mtrace.TypeResponse
	}
	if send.Message, err = m.AppendBinary(nil); err != nil {
		return Result{Outcome: Failed, Err: err}
	}
	return Result{Outcome: outcome, Send: []Send{send}}
}

// request addresses the request to the previous hop: to all routers on the link
// towards the source if it is not known.
func (h *hop) request() Send {
	if h.block.Previous.IsMulticast() {
		return Send{To: h.block.Previous, Source: h.incoming, Interface: h.interfaceIn, TTL: 1}
	}
	return Send{To: h.block.Previous, Source: h.incoming, TTL: unicastTTL}
}

// response addresses the response. A multicast one leaves towards the sender of
// the question, and is heard on this host.
func (h *hop) response(m *mtrace.Message, p Packet, networks []Network) Send {
	if m.Response.IsMulticast() {
		return Send{
			To: m.Response, Source: addressTowards(networks, p.Interface, p.From),
			Interface: p.Interface, TTL: min(max(m.ResponseTTL, 1), maxResponseTTL), Loop: true,
		}
	}
	send := Send{To: m.Response, Source: h.incoming, TTL: unicastTTL}
	if !send.Source.IsValid() && !p.To.IsMulticast() {
		send.Source = p.To
	}
	return send
}

func isUnicast(a netip.Addr) bool {
	return a.IsValid() && !a.IsMulticast() && !a.IsUnspecified() && !a.IsLoopback() && a != broadcast
}

var broadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})

// admit decides on the addresses of a query or request: Answered lets it in.
func admit(m *mtrace.Message, p Packet, networks []Network) Outcome {
	request := len(m.Blocks) > 0
	switch {
	case isOwn(networks, p.To):
	case p.To == igmp.AllRouters:
		if request && isOwn(networks, p.From) {
			return Ignored // we asked the others on the link
		}
	case p.To.IsMulticast() && p.To == m.Group && !request:
	default:
		return NotOurs
	}
	if !mayAsk(networks, p.From) || !mayAsk(networks, m.Response) && m.Response != igmp.MtraceResponses {
		return Forbidden
	}
	return Answered
}

// isDuplicate is whether a trace was answered already.
func (r *Responder) isDuplicate(now time.Time, from netip.Addr, id uint32) bool {
	return slices.ContainsFunc(r.recent, func(t traceID) bool {
		return t.id == id && t.from == from && now.Sub(t.at) < duplicateTime
	})
}

func (r *Responder) remember(now time.Time, from netip.Addr, id uint32) {
	if len(r.recent) == maxDuplicates {
		r.recent = slices.Delete(r.recent, 0, 1)
	}
	r.recent = append(r.recent, traceID{from, id, now})
}

// hop is what this router has to say about a trace.
type hop struct {
	block mtrace.Block
	// lastHop is whether a question asked by multicast is this router's to answer.
	lastHop bool
	// last is whether the trace ends here.
	last bool
	// interfaceIn is the interface towards the source, 0 if there is none.
	interfaceIn        int
	incoming, outgoing netip.Addr // invalid if not known
}

// look makes the block of a query or request.
func look(m *mtrace.Message, p Packet, t Tables, networks []Network) (hop, error) {
	interfaces, err := t.Interfaces()
	if err != nil {
		return hop{}, err
	}
	var entry Entry
	var forwarding bool
	if !m.Group.IsUnspecified() {
		if entry, forwarding, err = t.Entry(m.Source, m.Group); err != nil {
			return hop{}, err
		}
	}
	bits, previous, interfaceIn, err := upstream(m.Source, entry.Interface, t, networks)
	if err != nil {
		return hop{}, err
	}
	interfaceOut, onLink, err := downstream(m, p, entry, t, networks)
	if err != nil {
		return hop{}, err
	}
	in, out := enabled(interfaces, interfaceIn), enabled(interfaces, interfaceOut)
	ttl := entry.Outputs[interfaceOut]

	h := hop{interfaceIn: interfaceIn}
	h.incoming = addressTowards(networks, interfaceIn, previous)
	if previous.IsUnspecified() {
		h.incoming = addressTowards(networks, interfaceIn, m.Source)
	}
	h.outgoing = addressTowards(networks, interfaceOut, m.Receiver)
	if len(m.Blocks) > 0 {
		h.outgoing = addressTowards(networks, interfaceOut, p.From)
	}
	h.block = mtrace.Block{
		Arrival:      mtrace.Time(p.Time),
		Incoming:     known(h.incoming),
		Outgoing:     known(h.outgoing),
		Previous:     previous,
		PacketsIn:    mtrace.Unknown,
		PacketsOut:   mtrace.Unknown,
		PacketsGroup: mtrace.Unknown,
		FwdTTL:       ttl,
	}
	var flags dvmrp.InterfaceFlags
	if in != nil {
		h.block.PacketsIn = uint32(in.PacketsIn)
		flags |= in.Flags
	}
	if out != nil {
		h.block.PacketsOut = uint32(out.PacketsOut)
		flags |= out.Flags
	}
	if flags&dvmrp.FlagPIM != 0 {
		h.block.Protocol = mtrace.ProtocolPIM
	}
	if interfaceIn == 0 {
		h.block.Code, h.last = mtrace.CodeNoRoute, true
		return h, nil
	}
	h.last = previous.IsUnspecified()
	h.block.Mask = mtrace.NewMask(bits)
	if forwarding {
		h.block.PacketsGroup = uint32(entry.Packets)
		if entry.GroupOnly {
			h.block.Mask = mtrace.MaskGroupOnly
		}
	}
	h.lastHop = out != nil && onLink && interfaceOut != interfaceIn &&
		(ttl > 0 || m.Group.IsUnspecified() || onlyRouter(out, p.From))
	switch {
	case in == nil || interfaceOut != 0 && out == nil:
		h.block.Code = mtrace.CodeNoMulticast
	case interfaceIn == interfaceOut:
		h.block.Code = mtrace.CodeRPFIf
	case len(m.Blocks) > 0 && forwarding && ttl == 0:
		h.block.Code = mtrace.CodeWrongIf
	case len(m.Blocks) == 0 && !h.lastHop:
		h.block.Code = mtrace.CodeWrongLastHop
	case ttl == 0 && !m.Group.IsUnspecified():
		h.block.Code = mtrace.CodeNotForwarding
	}
	return h, nil
}

// upstream finds where the packets of source come from. The entry decides on the
// interface (0: there is no entry), the unicast route on the router there if it
// leaves by that interface, and else that router is not known: 224.0.0.2. Where
// the source is on the link, or this host, it is 0.0.0.0. Without an entry or a
// route the interface is 0.
func upstream(source netip.Addr, interfaceIn int, t Tables, networks []Network) (bits int, previous netip.Addr, id int, err error) {
	for _, n := range networks {
		if n.Address == source {
			if interfaceIn == 0 {
				interfaceIn = n.Interface
			}
			return n.Prefix.Bits(), igmp.Unspecified, interfaceIn, nil
		}
	}
	route, ok, err := t.Route(source)
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

// downstream finds the interface that packets leave by on their way to the one
// who asks, 0 if there is none, and whether that one is on its link. A request
// tells it by its arrival. For a query it is the link of the receiver; if that
// is elsewhere, the interface towards it counts if packets do leave by it.
func downstream(m *mtrace.Message, p Packet, entry Entry, t Tables, networks []Network) (id int, onLink bool, err error) {
	if len(m.Blocks) > 0 {
		return p.Interface, true, nil
	}
	if _, here := place(networks, p.Interface, m.Receiver); here {
		return p.Interface, true, nil
	}
	for _, n := range networks {
		if n.has(m.Receiver) {
			return n.Interface, true, nil
		}
	}
	if !isUnicast(m.Receiver) {
		return 0, false, nil
	}
	route, _, err := t.Route(m.Receiver)
	if err != nil {
		return 0, false, err
	}
	for _, way := range route.Hops {
		if entry.Outputs[way.Interface] > 0 {
			return way.Interface, false, nil
		}
	}
	return 0, false, nil
}

// enabled returns the interface of multicast routing with an identity, nil if
// there is none or it is disabled.
func enabled(interfaces []Interface, id int) *Interface {
	i := slices.IndexFunc(interfaces, func(i Interface) bool { return i.ID == id })
	if i < 0 || interfaces[i].Flags&dvmrp.FlagDisabled != 0 {
		return nil
	}
	return &interfaces[i]
}

// onlyRouter is whether no multicast router is known on the link but this one
// and the sender: what nobody forwards there is then ours to explain.
func onlyRouter(out *Interface, sender netip.Addr) bool {
	return !slices.ContainsFunc(out.Neighbors, func(n netip.Addr) bool { return n != sender })
}

// known returns addr, 0.0.0.0 if it is not valid.
func known(addr netip.Addr) netip.Addr {
	if !addr.IsValid() {
		return igmp.Unspecified
	}
	return addr
}
