package respond

import (
	"errors"
	"net/netip"
	"time"

	"mbone/proto/igmp"
	"mbone/proto/mtrace"
)

var (
	errChecksum = errors.New("checksum is wrong")
	errHops     = errors.New("it has as many blocks as it asks for")
	errSource   = errors.New("source is not a unicast address, or group not a multicast one")
	errNoLink   = errors.New("there is no interface for a multicast response")
)

// trace answers a query or passes a request on. The steps and their numbers are
// those of the draft, sections 5 to 7, where it says anything.
func (r *Responder) trace(now time.Duration, p Packet, t Tables) Result {
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
	outcome, asker := r.admit(m, p, networks, t)
	if outcome != Answered && outcome != Prohibited {
		return Result{Outcome: outcome}
	}
	id := traceOf(p.From, m.QueryID)
	if r.recent.has(now, id) {
		return Result{Outcome: Duplicate}
	}
	if !r.allow(now, p.From, asker, 1, t) {
		return Result{Outcome: Limited}
	}

	h := prohibited(p)
	if outcome == Answered {
		var err error
		if h, err = look(m, p, t, networks); err != nil {
			return Result{Outcome: Failed, Err: err}
		}
	}
	if p.To.IsMulticast() && !h.lastHop {
		// Somebody else on the link is asked.
		return Result{Outcome: NotLastHop}
	}
	r.recent.add(now, id)

	done := h.last
	if m.Len()+mtrace.BlockLen > maxMessage {
		m.Blocks[len(m.Blocks)-1].Code, done = mtrace.CodeNoSpace, true
	} else {
		m.Blocks = append(m.Blocks, h.block)
	}
	var send Send
	var err error
	if done || len(m.Blocks) >= int(m.Hops) {
		if send, err = h.response(m, p, networks, t); err != nil {
			return Result{Outcome: Failed, Err: err}
		}
		m.Type = mtrace.TypeResponse
	} else {
		outcome, send = PassedOn, h.request()
	}
	if r.encoded, err = m.AppendBinary(r.encoded[:0]); err != nil {
		return Result{Outcome: Failed, Err: err}
	}
	send.Message = r.encoded
	r.send = append(r.send[:0], send)
	return Result{Outcome: outcome, Send: r.send}
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
func (h *hop) response(m *mtrace.Message, p Packet, networks []Network, t Tables) (Send, error) {
	if m.Response.IsMulticast() {
		id, err := origin(networks, p.Interface, t)
		return Send{
			To: m.Response, Source: addressTowards(networks, id, p.From),
			Interface: id, TTL: min(max(m.ResponseTTL, 1), maxResponseTTL), Loop: true,
		}, err
	}
	send := Send{To: m.Response, Source: h.incoming, TTL: unicastTTL}
	if !send.Source.IsValid() && !p.To.IsMulticast() {
		send.Source = p.To
	}
	return send, nil
}

// origin returns where a multicast response to a question leaves: where that came
// from, unless it is a tunnel, whose address belongs to another interface: others
// would not expect packets of that address there. Then it is the first interface,
// as with mrouted.
func origin(networks []Network, id int, t Tables) (int, error) {
	for _, n := range networks {
		if n.Interface == id && !n.Tunnel {
			return id, nil
		}
	}
	for _, n := range networks {
		if n.Tunnel || !n.Address.IsValid() {
			continue
		}
		if _, _, ok, err := t.Counts(n.Interface); ok || err != nil {
			return n.Interface, err
		}
	}
	return 0, errNoLink
}

func isUnicast(a netip.Addr) bool { return IsHost(a) && !a.IsLoopback() }

// admit decides on the addresses of a query or request: Answered lets it in,
// Prohibited says that the trace ends here.
func (r *Responder) admit(m *mtrace.Message, p Packet, networks []Network, t Tables) (Outcome, standing) {
	request := len(m.Blocks) > 0
	switch {
	case p.Ours || isOwn(networks, p.To):
	case p.To == igmp.AllRouters:
		if request && isOwn(networks, p.From) {
			return Ignored, stranger // we asked the others on the link
		}
	case p.To.IsMulticast() && p.To == m.Group && !request:
	default:
		return NotOurs, stranger
	}
	asker := r.standing(p.From, p.Interface, networks, t)
	// Whoever sent the question, the answer goes to the response address.
	if (asker == stranger || m.Response != p.From) && !r.mayHear(m.Response, networks, t) {
		return Forbidden, stranger
	}
	switch {
	case asker != stranger:
	case request && t.Neighbor(p.From):
		asker = far
	case request && !p.To.IsMulticast() && !m.Response.IsMulticast() && IsHost(p.From):
		// A router passes on what somebody asked who may ask, and is no neighbour
		// that might: the trace cannot go on this way.
		return Prohibited, far
	default:
		return Forbidden, stranger
	}
	return Answered, asker
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

// prohibited is the hop of a router that tells nothing.
func prohibited(p Packet) hop {
	return hop{last: true, block: mtrace.Block{
		Arrival:      mtrace.Time(p.Time),
		Incoming:     igmp.Unspecified,
		Outgoing:     igmp.Unspecified,
		Previous:     igmp.Unspecified,
		PacketsIn:    mtrace.Unknown,
		PacketsOut:   mtrace.Unknown,
		PacketsGroup: mtrace.Unknown,
		Code:         mtrace.CodeAdminProhib,
	}}
}

// look makes the block of a query or request.
func look(m *mtrace.Message, p Packet, t Tables, networks []Network) (hop, error) {
	out, onLink, err := downstream(m, p, t, networks)
	if err != nil {
		return hop{}, err
	}
	path, err := t.Path(Flow{Source: m.Source, Group: m.Group, Out: out, Asker: p.From})
	if err != nil {
		return hop{}, err
	}
	h := hop{interfaceIn: path.In}
	h.outgoing = addressTowards(networks, out, m.Receiver)
	if len(m.Blocks) > 0 {
		h.outgoing = addressTowards(networks, out, p.From)
	}
	h.block = mtrace.Block{
		Arrival:      mtrace.Time(p.Time),
		Outgoing:     known(h.outgoing),
		PacketsIn:    mtrace.Unknown,
		PacketsGroup: mtrace.Unknown,
		FwdTTL:       path.TTL,
	}
	if path.TTL == 0 {
		h.block.FwdTTL = path.Threshold
	}
	enabled := links{out: true}
	h.block.PacketsOut = mtrace.Unknown
	if out != 0 {
		if _, h.block.PacketsOut, enabled.out, err = t.Counts(out); err != nil {
			return hop{}, err
		}
	}
	if path.In == 0 {
		h.block.Incoming, h.block.Previous = igmp.Unspecified, igmp.Unspecified
		h.block.Code, h.last = mtrace.CodeNoRoute, true
		return h, nil
	}
	if h.block.PacketsIn, _, enabled.in, err = t.Counts(path.In); err != nil {
		return hop{}, err
	}
	h.incoming = addressTowards(networks, path.In, path.Previous)
	if path.Previous.IsUnspecified() {
		h.incoming = addressTowards(networks, path.In, m.Source)
	}
	h.block.Incoming = known(h.incoming)
	h.block.Previous = path.Previous
	h.block.PacketsGroup = path.Packets
	h.block.Protocol = path.Protocol
	h.block.Mask = mtrace.NewMask(path.Bits)
	if path.GroupOnly {
		h.block.Mask = mtrace.MaskGroupOnly
	}
	if path.SubnetCount {
		h.block.Mask |= mtrace.MaskSubnetCount
	}
	h.lastHop = out != 0 && enabled.out && onLink && out != path.In && path.LastHop
	h.block.Code = code(m, out, &path, enabled, h.lastHop)
	h.last = path.Previous.IsUnspecified() || h.block.Code.Fatal()
	return h, nil
}

// links is whether the two interfaces of a trace take part in multicast routing.
type links struct{ in, out bool }

// code says why packets are not forwarded: the first reason in the order of the
// draft, section 6.2.2, that applies.
func code(m *mtrace.Message, out int, path *Path, enabled links, lastHop bool) mtrace.Code {
	request := len(m.Blocks) > 0
	switch {
	case path.Old:
		return mtrace.CodeOldRouter
	case !enabled.in || !enabled.out:
		return mtrace.CodeNoMulticast
	case path.In == out:
		return mtrace.CodeRPFIf
	case request && !path.Child:
		return mtrace.CodeWrongIf
	case !request && !lastHop:
		return mtrace.CodeWrongLastHop
	case path.Scoped:
		return mtrace.CodeScoped
	case path.PruneSent:
		return mtrace.CodePruneSent
	case path.TTL == 0 && path.PruneReceived:
		return mtrace.CodePruneRcvd
	case path.TTL == 0 && !m.Group.IsUnspecified():
		return mtrace.CodeNotForwarding
	}
	return mtrace.CodeNoError
}

// downstream finds the interface that packets leave by on their way to the one
// who asks, 0 if there is none, and whether that one is on its link. A request
// tells it by its arrival. For a query it is the link of the receiver; if that
// is elsewhere, the interface towards it counts if packets do leave by it.
func downstream(m *mtrace.Message, p Packet, t Tables, networks []Network) (id int, onLink bool, err error) {
	if len(m.Blocks) > 0 {
		return arrivedBy(networks, p), true, nil
	}
	if _, here := place(networks, p.Interface, m.Receiver); here {
		return p.Interface, true, nil
	}
	for i := range networks {
		if networks[i].has(m.Receiver) {
			return networks[i].Interface, true, nil
		}
	}
	if !isUnicast(m.Receiver) {
		return 0, false, nil
	}
	id, err = t.Output(m.Source, m.Group, m.Receiver)
	return id, false, err
}

// known returns addr, 0.0.0.0 if it is not valid.
func known(addr netip.Addr) netip.Addr {
	if !addr.IsValid() {
		return igmp.Unspecified
	}
	return addr
}
