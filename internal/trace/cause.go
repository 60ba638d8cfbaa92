package trace

import (
	"fmt"
	"net/netip"
	"slices"

	"mbone/proto/mtrace"
	"mbone/report"
)

// nobody says what is likely wrong if no router answered at all.
func (t *Tracer) nobody() report.Cause {
	c := report.Cause{Code: "no_last_hop"}
	switch {
	case t.q.Gateway.IsValid():
		c.Text = fmt.Sprintf("router %s does not answer mtrace, or has no way back to %s", t.q.Gateway, t.q.Local)
		c.Fix = "ask it with mrinfo"
	case t.q.OnLink:
		c.Text = fmt.Sprintf("no multicast router on the link of %s knows mtrace and has a route to %s", t.q.Receiver, t.q.Source)
		c.Fix = "name the router with -g"
	default:
		c.Text = fmt.Sprintf("the query to %s does not come to a router next to %s", t.q.Group, t.q.Receiver)
		c.Fix = "name the receiver's router with -g"
	}
	const elsewhere = "leave out %s: answers to %s may not come here; or %s"
	switch {
	case t.q.Response.IsValid() && t.q.Response != t.q.Local:
		c.Fix = fmt.Sprintf(elsewhere, "-r", t.q.Response, c.Fix)
	case t.q.Multicast && !t.q.Unicast:
		c.Fix = fmt.Sprintf(elsewhere, "-M", ResponseGroup, c.Fix)
	}
	return c
}

// suspects says what is likely wrong if hop n did not answer, though the router
// before it sent the request on to it, the likeliest first.
func (t *Tracer) suspects(n int) []report.Cause {
	last := &t.hops[n-2]
	at := n - 1
	var causes []report.Cause
	add := func(hop int, code, text, fix string) {
		causes = append(causes, report.Cause{Hop: hop, Code: code, Text: text, Fix: fix})
	}
	next := t.next.Address
	if !next.IsValid() {
		add(at, "unknown_previous", fmt.Sprintf("hop %d, %s, does not know its previous hop", at, last.addr()), "")
		return causes
	}
	if t.next.version != nil {
		// Its answer came back, so that an answer to mtrace would, too.
		add(n, "no_mtrace", fmt.Sprintf("%s answers mrinfo but not mtrace", next), "")
		add(at, "not_passed_on", fmt.Sprintf("hop %d, %s, does not pass requests on to %s", at, last.addr(), next), "")
		return causes
	}
	silent := func() {
		add(n, "silent", fmt.Sprintf("%s is down, filters IGMP, or has no way back to %s", next, t.q.Local), "")
	}
	swallowed := func() {
		fix := fmt.Sprintf("ask from a link of %s", next)
		if last.Protocol == mtrace.ProtocolDVMRP {
			fix = "set \"no router-alert\" in the mrouted.conf of all routers"
		}
		add(at, "router_alert", fmt.Sprintf("answers from behind hop %d, %s, do not come back: "+
			"a Linux multicast router swallows packets with Router Alert", at, last.addr()), fix)
	}
	passing := func() {
		add(at, "not_passed_on", fmt.Sprintf("hop %d, %s, does not pass requests on to %s", at, last.addr(), next), "")
	}
	switch {
	case last.frr():
		add(n, "frr_answer", fmt.Sprintf("%s is likely FRR, as hop %d is: it answers askers on its own links only", next, at),
			fmt.Sprintf("ask from the link between them, or set proxy_arp on %s at hop %d", last.Incoming, at))
		passing()
		silent()
	case at == 1 && last.Protocol != mtrace.ProtocolNone:
		swallowed()
		passing()
		silent()
	default:
		// Either nothing routes here that would swallow answers, or another
		// router lets those from behind it come through.
		silent()
		passing()
		swallowed()
	}
	return causes
}

func (h *hop) addr() netip.Addr {
	if h.Outgoing.IsUnspecified() {
		return h.Incoming
	}
	return h.Outgoing
}

// codeCauses explains forwarding codes that keep traffic or traces from going on.
func codeCauses(hops []hop, source netip.Addr) []report.Cause {
	var causes []report.Cause
	for i := range hops {
		h := &hops[i]
		text, fix := "", ""
		before := again(hops[:i+1])
		if before > 0 && hops[before-1].Code == h.Code {
			continue // it was said
		}
		switch h.Code {
		case mtrace.CodeNoRoute:
			text = fmt.Sprintf("has no route to %s", source)
			fix = "look at its routing table"
		case mtrace.CodeScoped:
			text = "is a scope boundary for this group"
		case mtrace.CodeNoMulticast:
			text = "has multicast disabled on the interface"
		case mtrace.CodeAdminProhib:
			text = "forbids traces by policy"
		case mtrace.CodeReachedRP:
			text = "is the rendezvous point: no traffic of this source comes through it now"
		}
		if text != "" {
			causes = append(causes, report.Cause{Hop: i + 1, Code: codeWord(h.Code), Fix: fix,
				Text: fmt.Sprintf("hop %d, %s, %s", i+1, h.addr(), text)})
		}
	}
	if at, before := loop(hops); at > 0 {
		causes = append(causes, report.Cause{Hop: at, Code: loopCode,
			Text: fmt.Sprintf("hop %d, %s, is hop %d again: a routing loop", at, hops[at-1].addr(), before)})
	}
	return causes
}

// loopCode is the code of a cause: the path comes by a router twice.
const loopCode = "routing_loop"

// loop returns the first hop that was a hop before, and which; 0: there is none.
func loop(hops []hop) (at, before int) {
	for n := range hops {
		if before := again(hops[:n+1]); before > 0 {
			return n + 1, before
		}
	}
	return 0, 0
}

// again returns which earlier hop the last one is, as its outgoing address
// tells; 0: none.
func again(hops []hop) int {
	n := len(hops) - 1
	out := hops[n].Outgoing
	return 1 + slices.IndexFunc(hops[:n], func(h hop) bool { return h.Outgoing == out && unicast(out) })
}
