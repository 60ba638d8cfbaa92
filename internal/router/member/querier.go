package member

import (
	"net/netip"
	"time"

	"mbone/internal/router/host"
	"mbone/internal/router/timer"
	"mbone/proto/igmp"
)

// querier is who asks the hosts on a link, and when (RFC 3376 sections 6.6.2 and 8,
// RFC 2236 section 7).
type querier struct {
	variables
	other   netip.Addr    // who asks instead of this router; invalid: nobody
	since   time.Duration // since when
	startup int           // how many queries of the start are left
	next    timer.Timer   // when the next general query is sent
	present timer.Timer   // until when other counts
}

// variables are those of RFC 3376 section 8: as configured if this router is the
// querier, else as the querier says.
type variables struct {
	robustness         int
	interval, response time.Duration
}

// membership is the group membership interval: how long a group stays after its
// last report. It is the older host present interval, too.
func (v *variables) membership() time.Duration {
	return time.Duration(v.robustness)*v.interval + v.response
}

// presence is the other querier present interval, unless it was configured.
func (v *variables) presence() time.Duration {
	return time.Duration(v.robustness)*v.interval + v.response/2
}

func (l *link) own() variables {
	s := &l.m.settings.IGMP
	return variables{s.Robustness, s.QueryInterval, s.ResponseInterval}
}

// isQuerier reports whether this router asks the hosts on the link.
func (l *link) isQuerier() bool { return l.active && !l.other.IsValid() }

// start begins to ask: as many queries as robustness wants, quickly.
func (l *link) start(now time.Duration) {
	l.takeOver(now)
	l.startup = l.robustness
	l.generalQuery(now)
}

// takeOver makes this router the querier.
func (l *link) takeOver(now time.Duration) {
	l.m.env.Timers.Stop(&l.present)
	l.other, l.since, l.startup, l.variables = netip.Addr{}, now, 0, l.own()
}

// stop ends asking and listening.
func (l *link) stop() {
	l.m.env.Timers.Stop(&l.next)
	l.m.env.Timers.Stop(&l.present)
	l.other = netip.Addr{}
}

// generalQuery asks for all groups, and sets the time of the next.
func (l *link) generalQuery(now time.Duration) {
	l.send(igmp.AllSystems, &igmp.Query{Group: igmp.Unspecified, MaxResponse: l.response})
	wait := l.interval
	if l.startup > 0 {
		if l.startup--; l.startup > 0 {
			wait /= 4
		}
	}
	l.m.env.Timers.Set(&l.next, now+wait)
}

// send sends a query in the version of the link.
func (l *link) send(to netip.Addr, q *igmp.Query) {
	q.Version = l.version()
	if q.Version == 3 {
		q.Robustness, q.Interval = uint8(min(l.robustness, 255)), l.interval
	} else {
		q.MaxResponse = min(max(q.MaxResponse, minMaxResponse), maxResponseV2)
	}
	message, err := q.AppendBinary(nil)
	if err != nil {
		l.m.env.Log.Membership.Error("cannot make a query", "interface", l.Name, "error", err)
		return
	}
	l.counters.QueriesSent++
	l.m.env.Out.Send = append(l.m.env.Out.Send, host.Send{
		Interface: l.ID,
		From:      l.Address,
		To:        to,
		TTL:       1,
		Alert:     l.m.settings.RouterAlert && q.Version > 1,
		Loop:      true, // this host has members, too
		Message:   message,
	})
}

// query takes a query of another router.
func (l *link) query(now time.Duration, from netip.Addr, q *igmp.Query) {
	l.counters.QueriesHeard++
	if q.Version != l.version() {
		l.counters.OtherVersions++
		if held, ok := l.mixed.allow(now); ok {
			l.m.env.Log.Membership.Warn("a querier of another version of IGMP: all routers of a link are to be configured for the same",
				"interface", l.Name, "querier", from, "version", q.Version, "ours", l.version(), "held", held)
		}
	}
	if l.version() == 1 || !from.Less(l.Address) || l.other.IsValid() && l.other.Less(from) {
		return // version 1 has no election
	}
	if l.other != from {
		l.m.env.Log.Membership.Info("another querier", "interface", l.Name, "querier", from)
		l.m.env.Timers.Stop(&l.next)
		l.other, l.since, l.variables = from, now, l.own()
	}
	l.adopt(q)
	l.m.env.Timers.Set(&l.present, now+l.otherPresent())
	if q.Group != igmp.Unspecified {
		l.lower(now, q)
	}
}

// adopt takes over what the querier says of its variables (RFC 3376 sections 4.1.6
// and 4.1.7), as far as that can be believed.
func (l *link) adopt(q *igmp.Query) {
	own := l.own()
	if q.Group == igmp.Unspecified {
		l.response = min(max(own.response, q.MaxResponse), maxInterval)
	}
	if q.Version < 3 || l.version() < 3 {
		return
	}
	l.robustness, l.interval = own.robustness, own.interval
	if q.Robustness != 0 {
		l.robustness = max(int(q.Robustness), minRobustness)
	}
	if q.Interval != 0 {
		l.interval = min(max(q.Interval, minInterval), maxInterval)
	}
}

// otherPresent returns how long another querier counts. A time that was configured
// stands; one that follows from other variables follows from those of the querier.
func (l *link) otherPresent() time.Duration {
	own := l.own()
	if configured := l.m.settings.IGMP.OtherQuerierPresent; configured != own.presence() {
		return configured
	}
	return l.presence()
}

// otherGone becomes querier, since the other one has not been heard for long.
func (l *link) otherGone(now time.Duration) {
	l.m.env.Log.Membership.Info("the querier is gone, and this router takes over", "interface", l.Name, "querier", l.other)
	l.takeOver(now)
	l.generalQuery(now)
}

// lower shortens the timers of a group that the querier asks for: members answer
// in time, or there are none (RFC 3376 section 6.6.1). Hosts of version 1 do not
// answer such queries.
func (l *link) lower(now time.Duration, q *igmp.Query) {
	g := l.groups[number(q.Group)]
	if q.Suppress || g == nil || g.static || !g.expire(now) || g.version(now) == 1 {
		return
	}
	until := now + time.Duration(l.robustness)*max(q.MaxResponse, minMaxResponse)
	if len(q.Sources) == 0 {
		g.until = min(g.until, until)
	}
	for _, a := range q.Sources {
		if i, ok := g.find(number(a)); ok {
			g.sources[i].until = min(g.sources[i].until, until)
		}
	}
	g.rearm()
}
