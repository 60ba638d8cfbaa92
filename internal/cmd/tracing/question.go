package tracing

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

// Link is an address of this host with its network and interface.
type Link struct {
	Net     netip.Prefix // the address, not masked
	IfIndex int
	Name    string
	// Multicast is set if the interface is up, takes multicast and is not the loopback.
	Multicast bool
}

// systemLinks returns the IPv4 addresses of this host.
func systemLinks() ([]Link, error) {
	interfaces, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	var links []Link
	for _, i := range interfaces {
		addrs, err := i.Addrs()
		if err != nil {
			return nil, err
		}
		const need = net.FlagUp | net.FlagMulticast
		for _, a := range addrs {
			if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().Is4() {
				links = append(links, Link{p, i.Index, i.Name, i.Flags&need == need && i.Flags&net.FlagLoopback == 0})
			}
		}
	}
	return links, nil
}

// links returns the addresses of this host.
func (t *Tool) links() ([]Link, error) {
	links, err := t.Links()
	if err != nil {
		return nil, &cli.Error{Code: cli.ExitFailed, What: "interfaces of this host", Err: err}
	}
	return links, nil
}

// Question fills in what the arguments leave out, by the addresses and routes
// of this host, and joins the groups that answers may come to.
func (t *Tool) Question(to Target) (trace.Question, error) {
	q := trace.Question{
		Source: to.Source, Receiver: to.Receiver, Group: to.Group,
		Gateway: to.gateway, Response: to.Response,
		Multicast: t.multicast, Unicast: t.unicast, NoRouterAlert: t.noAlert,
		Limit: t.maxHops, Extra: t.extra, Tries: t.tries, Wait: t.wait, TTL: t.ttl,
	}
	if t.extra == 0 {
		q.Extra = -1
	}
	if !q.Group.IsValid() {
		q.Group = defaultGroup
	}
	links, err := t.links()
	if err != nil {
		return q, err
	}
	if q.Via, err = t.viaOf(links); err != nil {
		return q, err
	}
	local, err := t.local(&q, links)
	if err != nil {
		return q, err
	}
	q.Local = local.Net.Addr()
	q.Via.IfIndex = local.IfIndex
	if !q.Source.IsValid() { // as mtrace 5.2 does if a gateway is named
		q.Source = q.Local
	}
	if !q.Receiver.IsValid() {
		q.Receiver = q.Local
		if q.Gateway.IsValid() && !local.Net.Masked().Contains(q.Gateway) {
			q.Receiver = q.Gateway
		}
	}
	for _, l := range links {
		if l.Multicast && l.Net.Masked().Contains(q.Receiver) && (t.chosen() == "" || l.IfIndex == local.IfIndex) {
			q.OnLink, q.ReceiverNet = true, l.Net.Masked()
			q.Via.IfIndex = l.IfIndex
			break
		}
	}
	if q.Group.IsUnspecified() && !q.OnLink && !q.Gateway.IsValid() {
		return q, cli.Usage("group 0.0.0.0: receiver %s is on no link of this host, so that a router must be named with -g", q.Receiver)
	}
	t.join(&q, local.IfIndex)
	return q, nil
}

// chosen is the interface or address that the user named, empty if none.
func (t *Tool) chosen() string {
	switch {
	case t.via != "":
		return t.via
	case t.Asking.Interface != "":
		return t.Asking.Interface
	case t.Asking.Source.IsValid():
		return t.Asking.Source.String()
	}
	return ""
}

// ViaOf is how the options say that packets leave this host.
func (t *Tool) ViaOf() (ask.Via, error) {
	links, err := t.links()
	if err != nil {
		return ask.Via{}, err
	}
	return t.viaOf(links)
}

// viaOf is what -i, --interface and --source say: a name or an address.
func (t *Tool) viaOf(links []Link) (ask.Via, error) {
	if t.via != "" {
		name, addr := t.via, netip.Addr{}
		if a, err := netip.ParseAddr(t.via); err == nil {
			name, addr = "", a
		}
		if name != "" && t.Asking.Interface != "" && t.Asking.Interface != name ||
			addr.IsValid() && t.Asking.Source.IsValid() && t.Asking.Source != addr {
			return ask.Via{}, cli.Usage("-i %s contradicts --interface or --source", t.via)
		}
		if name != "" {
			t.Asking.Interface = name
		} else {
			t.Asking.Source = addr
		}
	}
	via, err := t.Asking.Via()
	if err != nil || !via.Source.IsValid() {
		return via, err
	}
	for _, l := range links {
		if l.Net.Addr() == via.Source {
			via.IfIndex = cmp.Or(via.IfIndex, l.IfIndex)
			return via, nil
		}
	}
	return via, couldNot("source address "+via.Source.String(), "no address of this host", "ip address shows them")
}

// local returns the address and the interface that queries leave by, and that
// unicast answers come to: what the user named, else the link of the receiver,
// else what the route to the gateway, the group or the source says. Without a
// route any link will do, whose routers may know the source.
func (t *Tool) local(q *trace.Question, links []Link) (Link, error) {
	find := func(accept func(Link) bool) (Link, bool) {
		if i := slices.IndexFunc(links, accept); i >= 0 {
			return links[i], true
		}
		return Link{}, false
	}
	if q.Via.Source.IsValid() || q.Via.IfIndex != 0 {
		l, ok := find(func(l Link) bool {
			if q.Via.Source.IsValid() {
				return l.Net.Addr() == q.Via.Source
			}
			return l.IfIndex == q.Via.IfIndex
		})
		if !ok {
			return l, couldNot("interface "+t.chosen(), "no IPv4 address", "name another with --interface")
		}
		return l, nil
	}
	if q.Gateway.IsValid() {
		l, err := t.routeTo(q.Gateway, links)
		if err != nil {
			return l, cli.CouldNotAsk(err)
		}
		return l, nil
	}
	if q.Receiver.IsValid() {
		if l, ok := find(func(l Link) bool { return l.Multicast && l.Net.Masked().Contains(q.Receiver) }); ok {
			return l, nil
		}
	}
	var failed error
	for _, to := range []netip.Addr{q.Group, q.Source} {
		if to.IsUnspecified() {
			continue // a weak trace
		}
		l, err := t.routeTo(to, links)
		if err == nil && l.Multicast {
			return l, nil
		}
		failed = cmp.Or(failed, err)
	}
	if l, ok := find(func(l Link) bool { return l.Multicast }); ok {
		return l, nil
	}
	if failed != nil {
		return Link{}, cli.CouldNotAsk(failed)
	}
	return Link{}, couldNot("this host", "no interface that is up and takes multicast", "name one with --interface")
}

// routeTo returns the address of this host that packets to an address carry.
func (t *Tool) routeTo(to netip.Addr, links []Link) (Link, error) {
	a, ifIndex, err := t.Client.Source(to, ask.Via{})
	if err != nil {
		return Link{}, err
	}
	// The route to an own address is that of the loopback interface.
	found := Link{Net: netip.PrefixFrom(a, a.BitLen()), IfIndex: ifIndex}
	for _, l := range links {
		if l.Net.Addr() == a && (found.Name == "" || l.IfIndex == ifIndex) {
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
func (t *Tool) join(q *trace.Question, ifIndex int) {
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
		if err := t.Client.Join(group, i); err != nil {
			t.Call.Warn("multicast answers cannot be heard: %v", err)
		}
	}
}

// Describe is how lines call the filter of a run that listens.
func (t *Target) Describe() string {
	s := "a path"
	if t.Source.IsValid() {
		s += fmt.Sprintf(" from %s", t.Source)
	}
	if t.Receiver.IsValid() {
		s += fmt.Sprintf(" to %s", t.Receiver)
	}
	if t.Group.IsValid() {
		s += fmt.Sprintf(" via group %s", t.Group)
	}
	return s
}

// Matches is whether an overheard trace is one that was asked for.
func (t *Target) Matches(source, receiver, group netip.Addr) bool {
	return (!t.Source.IsValid() || t.Source == source) &&
		(!t.Receiver.IsValid() || t.Receiver == receiver) &&
		(!t.Group.IsValid() || t.Group == group)
}
