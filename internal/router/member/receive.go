package member

import (
	"net/netip"
	"slices"
	"time"

	"mbone/internal/router/host"
	"mbone/proto/igmp"
)

// Receive takes a query, report or leave of any version, also those of this host.
// Its checksum is right.
func (m *Membership) Receive(now time.Duration, p *host.Packet) {
	l := m.links[p.Interface]
	if l == nil || !l.active || len(p.Message) == 0 {
		return
	}
	t := igmp.Type(p.Message[0])
	switch t {
	case igmp.TypeQuery, igmp.TypeReportV1, igmp.TypeReportV2, igmp.TypeLeave, igmp.TypeReportV3:
	default:
		return
	}
	if !p.To.IsMulticast() || !l.Has(p.From) && p.From != igmp.Unspecified && !l.Owns(p.From) {
		l.counters.Foreign++
		return
	}
	switch t {
	case igmp.TypeQuery:
		m.receiveQuery(now, l, p)
	case igmp.TypeReportV3:
		m.receiveV3(now, l, p)
	default:
		m.receiveSingle(now, l, p)
	}
}

func (m *Membership) receiveQuery(now time.Duration, l *link, p *host.Packet) {
	if l.Owns(p.From) {
		return
	}
	q := &m.query
	if q.Parse(p.Message) != nil {
		l.counters.Malformed++
		return
	}
	// Switches that snoop ask with address 0.0.0.0: they are no querier.
	if p.From == igmp.Unspecified || q.Group != igmp.Unspecified && !q.Group.IsMulticast() {
		l.counters.Ignored++
		return
	}
	l.query(now, p.From, q)
}

// receiveSingle takes a v1 or v2 report or a leave: a report is the same as
// IS_EX({}), a leave the same as TO_IN({}) (RFC 3376 section 7.3.2).
func (m *Membership) receiveSingle(now time.Duration, l *link, p *host.Packet) {
	s := &m.single
	if s.Parse(p.Message) != nil {
		l.counters.Malformed++
		return
	}
	if !routable(s.Group) {
		l.counters.Ignored++
		return
	}
	switch s.Type {
	case igmp.TypeLeave:
		l.counters.Leaves++
		l.record(now, p.From, igmp.ChangeToInclude, s.Group, nil)
	case igmp.TypeReportV1:
		l.counters.ReportsV1++
		if g := l.record(now, p.From, igmp.ModeIsExclude, s.Group, nil); g != nil {
			g.v1 = now + l.membership()
		}
	default:
		l.counters.ReportsV2++
		if g := l.record(now, p.From, igmp.ModeIsExclude, s.Group, nil); g != nil {
			g.v2 = now + l.membership()
		}
	}
}

func (m *Membership) receiveV3(now time.Duration, l *link, p *host.Packet) {
	r := &m.report
	if len(p.Message) > reuseLen {
		r = new(igmp.ReportV3)
	}
	if r.Parse(p.Message) != nil {
		l.counters.Malformed++
		return
	}
	if r.Truncated {
		l.counters.Malformed++
	}
	l.counters.ReportsV3++
	work := 0
	for i := range r.Records {
		c := &r.Records[i]
		if c.Type < igmp.ModeIsInclude || c.Type > igmp.BlockOldSources || !routable(c.Group) || idle(c) {
			l.counters.Ignored++
			continue
		}
		if work >= maxReportWork {
			l.refuse(now, "records in a report", number(c.Group), i)
			continue
		}
		work += recordWork + len(c.Sources)
		if g := l.groups[number(c.Group)]; g != nil {
			work += len(g.sources)
		}
		l.record(now, p.From, c.Type, c.Group, m.sorted(l, c.Sources))
	}
}

// idle reports whether a record says nothing: it adds, or takes away, no source.
func idle(c *igmp.Record) bool {
	if len(c.Sources) > 0 {
		return false
	}
	switch c.Type {
	case igmp.ModeIsInclude, igmp.AllowNewSources, igmp.BlockOldSources:
		return true
	}
	return false
}

// sorted returns the addresses that can be sources, in order, each once. Who names
// only others names nobody.
func (m *Membership) sorted(l *link, sources []netip.Addr) []uint32 {
	list := m.list[:0]
	for _, a := range sources {
		if sendable(a) {
			list = append(list, number(a))
		} else {
			l.counters.Ignored++
		}
	}
	slices.Sort(list)
	m.list = list
	return slices.Compact(list)
}

// record applies a record and returns its group, nil if there is none afterwards.
func (l *link) record(now time.Duration, from netip.Addr, t igmp.RecordType, addr netip.Addr, named []uint32) *group {
	g := l.groups[number(addr)]
	if g != nil && !g.expire(now) {
		g = nil
	}
	version := l.version()
	if g != nil {
		version = g.version(now)
	}
	t, named = l.translate(version, t, named)
	if t == 0 {
		return g
	}
	joins := t == igmp.ModeIsExclude || t == igmp.ChangeToExclude || len(named) > 0 && t != igmp.BlockOldSources
	if g == nil {
		if !joins {
			return nil
		}
		if g = l.join(now, number(addr)); g == nil {
			return nil
		}
	}
	if joins {
		g.reporter = number(from)
	}
	if g.static {
		return g
	}
	if !g.apply(now, t, named) {
		return nil
	}
	return g
}

// translate returns what a record means where an older version is spoken for the
// group, or on the link: 0 if nothing.
func (l *link) translate(version uint8, t igmp.RecordType, named []uint32) (igmp.RecordType, []uint32) {
	if version == 3 {
		return t, named
	}
	if l.version() < 3 && t != igmp.BlockOldSources && len(named) > 0 {
		// Hosts are not to name sources there: who wants some, wants the group.
		return igmp.ModeIsExclude, nil
	}
	switch t {
	case igmp.BlockOldSources:
		return 0, nil
	case igmp.ChangeToExclude:
		return t, nil
	case igmp.ChangeToInclude:
		if version == 1 {
			return 0, nil
		}
	}
	return t, named
}

// join makes a group that a host wants; nil if there are too many.
func (l *link) join(now time.Duration, addr uint32) *group {
	m := l.m
	limit := m.settings.Limits.Groups
	if m.room(limit, m.groups, l.dynamic) <= 0 {
		l.refuse(now, "groups", addr, limit)
		return nil
	}
	if log := m.env.Log.Membership; host.Debugs(log) {
		log.Debug("a group has members", "interface", l.Name, "group", address(addr))
	}
	return l.add(now, addr, false)
}
