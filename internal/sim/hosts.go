package sim

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"mbone/proto/igmp"
)

// Host is a host on a LAN: it sends flows, joins groups and answers queries (RFC 2236
// section 3, RFC 3376 section 5).
type Host struct {
	// Version is the version of IGMP that it speaks, 2 or 3.
	Version uint8

	net    *Network
	number int
	end    *end
	groups []*membership // sorted
	old    time.Duration // until when it speaks version 2, because a querier does
	reply  time.Duration // when it answers a general query; 0: it does not

	got []receipts // by flow
}

// membership is a group that a host listens to.
type membership struct {
	group   netip.Addr
	exclude bool // all but sources; else only sources
	sources []netip.Addr
	reply   time.Duration // when it is reported; 0: it is not asked
}

// How often and when a host says what has changed.
const (
	hostRobustness = 2
	unsolicitedV2  = 10 * time.Second
	unsolicitedV3  = time.Second
	oldQuerierTime = 260 * time.Second
)

// AddHost adds a host to a LAN.
func (n *Network) AddHost(l *Link) *Host {
	h := &Host{Version: 3, net: n, number: len(n.hosts)}
	n.hosts = append(n.hosts, h)
	l.add(h)
	return h
}

// String returns the name and address of the host.
func (h *Host) String() string { return fmt.Sprintf("h%d (%v)", h.number, h.end.addr) }

// Address returns the address of the host.
func (h *Host) Address() netip.Addr { return h.end.addr }

// Link returns the LAN of the host.
func (h *Host) Link() *Link { return h.end.link }

func (h *Host) join(e *end)           { h.end = e }
func (h *Host) carrierChanged(e *end) {}
func (h *Host) speaks() uint8 {
	if h.net.now < h.old {
		return 2
	}
	return h.Version
}

// Join listens to a group, whatever the source.
func (h *Host) Join(group netip.Addr) { h.listen(group, true, nil) }

// JoinSources listens to these sources of a group only.
func (h *Host) JoinSources(group netip.Addr, sources ...netip.Addr) { h.listen(group, false, sources) }

// JoinBut listens to a group, but not to these sources of it.
func (h *Host) JoinBut(group netip.Addr, sources ...netip.Addr) { h.listen(group, true, sources) }

// Leave listens no more.
func (h *Host) Leave(group netip.Addr) { h.listen(group, false, nil) }

// listen changes what the host wants of a group, and says so.
func (h *Host) listen(group netip.Addr, exclude bool, sources []netip.Addr) {
	sources = slices.Clone(sources)
	slices.SortFunc(sources, netip.Addr.Compare)
	i, found := slices.BinarySearchFunc(h.groups, group, func(m *membership, g netip.Addr) int { return m.group.Compare(g) })
	if !found {
		h.groups = slices.Insert(h.groups, i, &membership{group: group})
	}
	m := h.groups[i]
	was := *m
	m.exclude, m.sources = exclude, sources
	gone := !exclude && len(sources) == 0
	if gone {
		h.groups = slices.Delete(h.groups, i, i+1)
	}
	if h.speaks() < 3 {
		if gone {
			h.send(igmp.AllRouters, &igmp.Membership{Type: igmp.TypeLeave, Group: group})
		} else {
			h.unsolicitedV2(m)
		}
		return
	}
	h.unsolicitedV3(changes(&was, m))
}

// unsolicitedV2 reports a group that was joined, and once more.
func (h *Host) unsolicitedV2(m *membership) {
	h.send(m.group, &igmp.Membership{Type: igmp.TypeReportV2, Group: m.group})
	h.net.After(h.net.upTo(unsolicitedV2), func() {
		if slices.Contains(h.groups, m) {
			h.send(m.group, &igmp.Membership{Type: igmp.TypeReportV2, Group: m.group})
		}
	})
}

// unsolicitedV3 reports changes, as often as robustness says; a later change of the
// group does not matter: it is reported later.
func (h *Host) unsolicitedV3(records []igmp.Record) {
	if len(records) == 0 {
		return
	}
	group := records[0].Group
	m := h.find(group)
	h.send(igmp.IGMPv3Routers, &igmp.ReportV3{Records: records})
	var snapshot membership
	if m != nil {
		snapshot = *m
	}
	for i := 1; i < hostRobustness; i++ {
		h.net.After(h.net.upTo(unsolicitedV3), func() {
			now := h.find(group)
			if now == m && (m == nil || now.exclude == snapshot.exclude && slices.Equal(now.sources, snapshot.sources)) {
				h.send(igmp.IGMPv3Routers, &igmp.ReportV3{Records: records})
			}
		})
	}
}

// changes returns the records that lead from one state of a group to another (RFC 3376
// section 5.1).
func changes(from, to *membership) []igmp.Record {
	if from.exclude != to.exclude {
		t := igmp.ChangeToInclude
		if to.exclude {
			t = igmp.ChangeToExclude
		}
		return []igmp.Record{{Type: t, Group: to.group, Sources: to.sources}}
	}
	added, removed := igmp.AllowNewSources, igmp.BlockOldSources
	if to.exclude {
		added, removed = removed, added
	}
	var records []igmp.Record
	if s := without(to.sources, from.sources); len(s) > 0 {
		records = append(records, igmp.Record{Type: added, Group: to.group, Sources: s})
	}
	if s := without(from.sources, to.sources); len(s) > 0 {
		records = append(records, igmp.Record{Type: removed, Group: to.group, Sources: s})
	}
	return records
}

// without returns those of a that are not in b.
func without(a, b []netip.Addr) []netip.Addr {
	var c []netip.Addr
	for _, x := range a {
		if !slices.Contains(b, x) {
			c = append(c, x)
		}
	}
	return c
}

// find returns what the host wants of a group, nil if nothing.
func (h *Host) find(group netip.Addr) *membership {
	i, found := slices.BinarySearchFunc(h.groups, group, func(m *membership, g netip.Addr) int { return m.group.Compare(g) })
	if !found {
		return nil
	}
	return h.groups[i]
}

// Wants reports whether the host listens to a source of a group.
func (h *Host) Wants(source, group netip.Addr) bool {
	m := h.find(group)
	return m != nil && slices.Contains(m.sources, source) != m.exclude
}

// message is one of IGMP.
type message interface {
	AppendBinary(b []byte) ([]byte, error)
}

func (h *Host) send(to netip.Addr, m message) {
	p := h.net.newPacket()
	p.from, p.to, p.alert = h.end.addr, to, true
	var err error
	if p.message, err = m.AppendBinary(p.message); err != nil {
		panic("sim: " + err.Error())
	}
	h.end.transmit(p, 1)
}

func (h *Host) receive(e *end, p *packet, ttl uint8) {
	if p.flow != nil {
		h.got = grown(h.got, p.flow.number)
		if h.Wants(p.flow.host.end.addr, p.flow.group) {
			h.got[p.flow.number].note(h.net, p)
		}
		return
	}
	switch igmp.Type(p.message[0]) {
	case igmp.TypeQuery:
		var q igmp.Query
		if q.Parse(p.message) == nil {
			h.asked(&q)
		}
	case igmp.TypeReportV2:
		// Somebody else has said it (RFC 2236 section 3).
		if m := h.find(p.to); m != nil && h.speaks() == 2 {
			m.reply = 0
		}
	}
}

// asked takes a query.
func (h *Host) asked(q *igmp.Query) {
	if q.Version < 3 && h.Version == 3 {
		h.old = h.net.now + oldQuerierTime
	}
	if q.Group != igmp.Unspecified {
		if m := h.find(q.Group); m != nil {
			h.answerGroup(m, q.MaxResponse)
		}
		return
	}
	if h.speaks() < 3 {
		for _, m := range h.groups {
			h.answerGroup(m, q.MaxResponse)
		}
		return
	}
	at := h.net.now + h.net.upTo(q.MaxResponse)
	if h.reply > 0 && h.reply <= at || len(h.groups) == 0 {
		return
	}
	h.reply = at
	h.net.At(at, func() {
		if h.reply != at {
			return
		}
		h.reply = 0
		var r igmp.ReportV3
		for _, m := range h.groups {
			r.Records = append(r.Records, m.record())
		}
		if len(r.Records) > 0 {
			h.send(igmp.IGMPv3Routers, &r)
		}
	})
}

// answerGroup reports one group within a time.
func (h *Host) answerGroup(m *membership, within time.Duration) {
	at := h.net.now + h.net.upTo(within)
	if m.reply > 0 && m.reply <= at {
		return
	}
	m.reply = at
	h.net.At(at, func() {
		if m.reply != at || !slices.Contains(h.groups, m) {
			return
		}
		m.reply = 0
		if h.speaks() < 3 {
			h.send(m.group, &igmp.Membership{Type: igmp.TypeReportV2, Group: m.group})
			return
		}
		h.send(igmp.IGMPv3Routers, &igmp.ReportV3{Records: []igmp.Record{m.record()}})
	})
}

// record returns the current state of a group.
func (m *membership) record() igmp.Record {
	t := igmp.ModeIsInclude
	if m.exclude {
		t = igmp.ModeIsExclude
	}
	return igmp.Record{Type: t, Group: m.group, Sources: m.sources}
}
