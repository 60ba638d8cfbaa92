package member

import (
	"iter"
	"net/netip"
	"time"

	"mbone/internal/router/host"
)

// Querier is who asks the hosts on a link.
type Querier struct {
	// Address is the router's own if it asks itself; invalid if IGMP is not spoken
	// there.
	Address netip.Addr
	// Self is whether this router is it.
	Self bool
	// Since is when it became querier, Expires when it counts as gone if it is not
	// heard; 0 for this router.
	Since, Expires time.Duration
}

// Querier returns the querier of a link.
func (m *Membership) Querier(link host.Interface) Querier {
	l := m.links[link]
	switch {
	case l == nil || !l.active:
		return Querier{}
	case l.other.IsValid():
		return Querier{Address: l.other, Since: l.since, Expires: l.present.Due()}
	}
	return Querier{Address: l.Address, Self: true, Since: l.since}
}

// Group is a group with members on a link.
type Group struct {
	Group netip.Addr
	// Exclude is the filter mode: packets of all sources but the blocked ones are
	// wanted, else of the sources only.
	Exclude bool
	// Static is whether the configuration makes it have members.
	Static bool
	// Version is that of the oldest host that counts as present, at most that of the
	// link.
	Version uint8
	// Reporter is who reported it last; invalid if nobody did.
	Reporter netip.Addr
	// Since is when it was first reported, Expires when it stops to be wanted from
	// all sources if nobody reports it: 0 if it does not, or in mode INCLUDE.
	Since, Expires time.Duration
	// Sources are sorted.
	Sources []Source
}

// Source is a source that members have named.
type Source struct {
	Address netip.Addr
	// Expires is when it stops to be wanted by name; 0 if it is blocked.
	Expires time.Duration
}

// Blocked reports whether its packets are not wanted.
func (s Source) Blocked() bool { return s.Expires == 0 }

// Groups goes through the groups of a link, also while it is down. The order
// depends on past events only. The membership must not be given events meanwhile.
func (m *Membership) Groups(now time.Duration, link host.Interface) iter.Seq[Group] {
	return func(yield func(Group) bool) {
		l := m.links[link]
		if l == nil {
			return
		}
		for _, g := range l.list {
			if !yield(g.inspect(now)) {
				return
			}
		}
	}
}

func (g *group) inspect(now time.Duration) Group {
	v := Group{
		Group:    address(g.addr),
		Exclude:  g.exclude,
		Static:   g.static,
		Version:  g.version(now),
		Reporter: g.reporterAddr(),
		Since:    g.since,
	}
	if g.exclude && !g.static {
		v.Expires = g.until
	}
	for _, s := range g.sources {
		v.Sources = append(v.Sources, Source{address(s.addr), s.until})
	}
	return v
}

// Counters count what happened on a link.
type Counters struct {
	QueriesSent, QueriesHeard               uint64
	ReportsV1, ReportsV2, ReportsV3, Leaves uint64
	// OtherVersions are queries of another version than that of the link.
	OtherVersions uint64
	// Malformed are messages that could not be decoded, wholly or in part; Foreign
	// those from somebody who is not on the link, or to a unicast address; Ignored
	// are records, groups and sources that mean nothing.
	Malformed, Foreign, Ignored uint64
	// Refused are groups and records with sources that a limit did not allow,
	// Unchecked leaves that came too fast to be followed up by a query.
	Refused, Unchecked uint64
}

// Counters returns those of a link.
func (m *Membership) Counters(link host.Interface) Counters {
	if l := m.links[link]; l != nil {
		return l.counters
	}
	return Counters{}
}

// Sizes returns how many groups and sources are kept on all links, without static
// groups.
func (m *Membership) Sizes() (groups, sources int) { return m.groups, m.sources }
