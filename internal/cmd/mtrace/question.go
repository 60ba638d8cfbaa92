package mtrace

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"mbone/internal/ask"
	"mbone/internal/cli"
	"mbone/internal/trace"
)

// link is an address of this host with its network and interface.
type link struct {
	net     netip.Prefix // the address, not masked
	ifIndex int
	name    string
	// multicast is set if the interface is up, takes multicast and is not the loopback.
	multicast bool
}

// systemLinks returns the IPv4 addresses of this host.
func systemLinks() ([]link, error) {
	interfaces, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	var links []link
	for _, i := range interfaces {
		addrs, err := i.Addrs()
		if err != nil {
			return nil, err
		}
		const need = net.FlagUp | net.FlagMulticast
		for _, a := range addrs {
			if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().Is4() {
				links = append(links, link{p, i.Index, i.Name, i.Flags&need == need && i.Flags&net.FlagLoopback == 0})
			}
		}
	}
	return links, nil
}

// question fills in what the arguments leave out, by the addresses and routes
// of this host, and joins the groups that answers may come to.
func (m *command) question(t target) (trace.Question, error) {
	q := trace.Question{
		Source: t.source, Receiver: t.receiver, Group: t.group,
		Gateway: t.gateway, Response: t.response,
		Multicast: m.multicast, Unicast: m.unicast, NoRouterAlert: m.noAlert,
		Limit: m.maxHops, Extra: m.extra, Tries: m.tries, Wait: m.wait, TTL: m.ttl,
	}
	if m.extra == 0 {
		q.Extra = -1
	}
	if !q.Group.IsValid() {
		q.Group = defaultGroup
	}
	links, err := m.links()
	if err != nil {
		return q, &cli.Error{Code: cli.ExitFailed, What: "interfaces of this host", Err: err}
	}
	if q.Via, err = m.viaOf(links); err != nil {
		return q, err
	}
	local, err := m.local(&q, links)
	if err != nil {
		return q, err
	}
	q.Local = local.net.Addr()
	q.Via.IfIndex = local.ifIndex
	if !q.Source.IsValid() { // as mtrace 5.2 does if a gateway is named
		q.Source = q.Local
	}
	if !q.Receiver.IsValid() {
		q.Receiver = q.Local
		if q.Gateway.IsValid() && !local.net.Masked().Contains(q.Gateway) {
			q.Receiver = q.Gateway
		}
	}
	for _, l := range links {
		if l.multicast && l.net.Masked().Contains(q.Receiver) && (m.chosen() == "" || l.ifIndex == local.ifIndex) {
			q.OnLink, q.ReceiverNet = true, l.net.Masked()
			q.Via.IfIndex = l.ifIndex
			break
		}
	}
	if q.Group.IsUnspecified() && !q.OnLink && !q.Gateway.IsValid() {
		return q, cli.Usage("group 0.0.0.0: receiver %s is on no link of this host, so that a router must be named with -g", q.Receiver)
	}
	m.join(&q, local.ifIndex)
	return q, nil
}

// chosen is the interface or address that the user named, empty if none.
func (m *command) chosen() string {
	switch {
	case m.via != "":
		return m.via
	case m.asking.Interface != "":
		return m.asking.Interface
	case m.asking.Source.IsValid():
		return m.asking.Source.String()
	}
	return ""
}

// viaOf is what -i, --interface and --source say: a name or an address.
func (m *command) viaOf(links []link) (ask.Via, error) {
	if m.via != "" {
		name, addr := m.via, netip.Addr{}
		if a, err := netip.ParseAddr(m.via); err == nil {
			name, addr = "", a
		}
		if name != "" && m.asking.Interface != "" && m.asking.Interface != name ||
			addr.IsValid() && m.asking.Source.IsValid() && m.asking.Source != addr {
			return ask.Via{}, cli.Usage("-i %s contradicts --interface or --source", m.via)
		}
		if name != "" {
			m.asking.Interface = name
		} else {
			m.asking.Source = addr
		}
	}
	via, err := m.asking.Via()
	if err != nil || !via.Source.IsValid() {
		return via, err
	}
	for _, l := range links {
		if l.net.Addr() == via.Source {
			via.IfIndex = cmp.Or(via.IfIndex, l.ifIndex)
			return via, nil
		}
	}
	return via, couldNot("source address "+via.Source.String(), "no address of this host", "ip address shows them")
}

// local returns the address and the interface that queries leave by, and that
// unicast answers come to: what the user named, else the link of the receiver,
// else what the route to the gateway, the group or the source says. Without a
// route any link will do, whose routers may know the source.
func (m *command) local(q *trace.Question, links []link) (link, error) {
	find := func(accept func(link) bool) (link, bool) {
		if i := slices.IndexFunc(links, accept); i >= 0 {
			return links[i], true
		}
		return link{}, false
	}
	if q.Via.Source.IsValid() || q.Via.IfIndex != 0 {
		l, ok := find(func(l link) bool {
			if q.Via.Source.IsValid() {
				return l.net.Addr() == q.Via.Source
			}
			return l.ifIndex == q.Via.IfIndex
		})
		if !ok {
			return l, couldNot("interface "+m.chosen(), "no IPv4 address", "name another with --interface")
		}
		return l, nil
	}
	if q.Gateway.IsValid() {
		l, err := m.routeTo(q.Gateway, links)
		if err != nil {
			return l, cli.CouldNotAsk(err)
		}
		return l, nil
	}
	if q.Receiver.IsValid() {
		if l, ok := find(func(l link) bool { return l.multicast && l.net.Masked().Contains(q.Receiver) }); ok {
			return l, nil
		}
	}
	var failed error
	for _, to := range []netip.Addr{q.Group, q.Source} {
		if to.IsUnspecified() {
			continue // a weak trace
		}
		l, err := m.routeTo(to, links)
		if err == nil && l.multicast {
			return l, nil
		}
		failed = cmp.Or(failed, err)
	}
	if l, ok := find(func(l link) bool { return l.multicast }); ok {
		return l, nil
	}
	if failed != nil {
		return link{}, cli.CouldNotAsk(failed)
	}
	return link{}, couldNot("this host", "no interface that is up and takes multicast", "name one with --interface")
}

// routeTo returns the address of this host that packets to an address carry.
func (m *command) routeTo(to netip.Addr, links []link) (link, error) {
	a, ifIndex, err := m.client.Source(to, ask.Via{})
	if err != nil {
		return link{}, err
	}
	// The route to an own address is that of the loopback interface.
	found := link{net: netip.PrefixFrom(a, a.BitLen()), ifIndex: ifIndex}
	for _, l := range links {
		if l.net.Addr() == a && (found.name == "" || l.ifIndex == ifIndex) {
			found = l
		}
	}
	return found, nil
}

func couldNot(what, why, fix string) error {
	return &cli.Error{Code: cli.ExitFailed, What: what, Err: errors.New(why), Fix: fix}
}

// join listens to the multicast response address for the whole run, on the
// interface that queries leave by and on the receiver's: a router may need to
// know long before that somebody listens.
func (m *command) join(q *trace.Question, ifIndex int) {
	group := trace.ResponseGroup
	switch {
	case q.Response.IsValid():
		group = q.Response
	case q.Unicast && !q.Multicast:
		return
	}
	if !group.IsMulticast() {
		return
	}
	for _, i := range slices.Compact([]int{ifIndex, q.Via.IfIndex}) {
		if err := m.client.Join(group, i); err != nil {
			m.call.Warn("multicast answers cannot be heard: %v", err)
		}
	}
}

// describe is how lines call the filter of a run that listens.
func (t *target) describe() string {
	s := "a path"
	if t.source.IsValid() {
		s += fmt.Sprintf(" from %s", t.source)
	}
	if t.receiver.IsValid() {
		s += fmt.Sprintf(" to %s", t.receiver)
	}
	if t.group.IsValid() {
		s += fmt.Sprintf(" via group %s", t.group)
	}
	return s
}

// matches is whether an overheard trace is one that was asked for.
func (t *target) matches(source, receiver, group netip.Addr) bool {
	return (!t.source.IsValid() || t.source == source) &&
		(!t.receiver.IsValid() || t.receiver == receiver) &&
		(!t.group.IsValid() || t.group == group)
}
