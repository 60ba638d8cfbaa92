package member

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"mbone/internal/router/host"
	"mbone/proto/igmp"
)

// Robustness queries at a quarter of the interval at first, then one an interval.
func TestGeneralQueries(t *testing.T) {
	for _, c := range []struct {
		version    uint8
		robustness int
		want       string
	}{
		{1, 2, "0s 1 v1 all 10s, 31.25s 1 v1 all 10s, 2m36.25s 1 v1 all 10s"},
		{2, 2, "0s 1 v2 all 10s, 31.25s 1 v2 all 10s, 2m36.25s 1 v2 all 10s"},
		{3, 2, "0s 1 v3 all 10s, 31.25s 1 v3 all 10s, 2m36.25s 1 v3 all 10s"},
		{3, 3, "0s 1 v3 all 10s, 31.25s 1 v3 all 10s, 1m2.5s 1 v3 all 10s, 3m7.5s 1 v3 all 10s"},
	} {
		r := start(t, func(s *host.Settings) { s.IGMP.Robustness = c.robustness })
		r.setLink(1, func(l *host.Link) { l.IGMP = c.version })
		r.wait(200 * time.Second)
		expect(t, "queries", r.take(), strings.Split(c.want, ", ")...)
	}
}

// The bytes of the fact sheet: general queries of a default querier.
func TestQueryBytes(t *testing.T) {
	for version, want := range map[uint8]string{
		1: "\x11\x00\xee\xff\x00\x00\x00\x00",
		2: "\x11\x64\xee\x9b\x00\x00\x00\x00",
		3: "\x11\x64\xec\x1e\x00\x00\x00\x00\x02\x7d\x00\x00",
	} {
		r := start(t)
		r.SetLink(0, &host.Link{ID: 1, Up: true, Address: self, LinkSettings: host.LinkSettings{Enabled: true, IGMP: version}})
		if len(r.out.Send) != 1 || string(r.out.Send[0].Message) != want {
			t.Errorf("version %d: sent %+v, want % x", version, r.out.Send, want)
		}
	}
}

// Who has the lowest address asks. The others listen for robustness times the
// interval and half a response time.
func TestElection(t *testing.T) {
	for _, version := range []uint8{2, 3} {
		r := onLAN(t, version)
		query := generalV3()
		if version == 2 {
			query = &igmp.Query{Version: 2, Group: igmp.Unspecified, MaxResponse: 10 * time.Second}
		}
		is := func(what string, want Querier) {
			t.Helper()
			if got := r.Querier(1); got != want {
				t.Errorf("version %d, %s: querier %+v, want %+v", version, what, got, want)
			}
		}
		is("start", Querier{Address: self, Self: true})
		r.wait(10 * time.Second)
		r.hear(higher, query)
		r.hear(netip.IPv4Unspecified(), query)
		r.hear(self, query) // its own
		r.hearOn(1, addr("10.0.7.1"), igmp.AllSystems, query)
		r.hearOn(1, lower, self, query) // could come from anywhere
		if n := r.Counters(1).QueriesHeard; n != 1 {
			t.Errorf("%d queries were heard, want that of another router", n)
		}
		is("no reason", Querier{Address: self, Self: true})

		r.hear(lower, query)
		is("a lower one", Querier{Address: lower, Since: 10 * time.Second, Expires: 265 * time.Second})
		r.wait(90 * time.Second)
		r.hear(lower, query)
		is("it again", Querier{Address: lower, Since: 10 * time.Second, Expires: 355 * time.Second})
		r.hear(higher, query)
		is("a higher one", Querier{Address: lower, Since: 10 * time.Second, Expires: 355 * time.Second})
		r.hear(lowest, query)
		is("a lower one yet", Querier{Address: lowest, Since: 100 * time.Second, Expires: 355 * time.Second})
		r.hear(lower, query)
		is("the one before", Querier{Address: lowest, Since: 100 * time.Second, Expires: 355 * time.Second})

		r.take()
		r.wait(255*time.Second - 1)
		expect(t, "queries of who is not querier", r.take())
		r.wait(1)
		is("it is gone", Querier{Address: self, Self: true, Since: 355 * time.Second})
		r.wait(126 * time.Second)
		v := describe(query)
		expect(t, "queries after", r.take(), "5m55s 1 "+v, "8m0s 1 "+v)
	}
}

// Version 1 knows no election.
func TestNoElection(t *testing.T) {
	r := onLAN(t, 1)
	r.hear(lower, &igmp.Query{Version: 1, Group: igmp.Unspecified})
	if q := r.Querier(1); !q.Self {
		t.Errorf("querier %+v", q)
	}
}

// Queries of another version are said in the log, not more than once a minute.
func TestOtherVersion(t *testing.T) {
	r := onLAN(t, 3)
	for range 100 {
		r.hear(lower, &igmp.Query{Version: 2, Group: igmp.Unspecified, MaxResponse: time.Second})
	}
	r.wait(time.Minute)
	r.hear(lower, &igmp.Query{Version: 2, Group: igmp.Unspecified, MaxResponse: time.Second})
	lines := strings.Count(r.log.String(), "level=WARN")
	if n := r.Counters(1).OtherVersions; n != 101 || lines != 2 || !strings.Contains(r.log.String(), "held=99") {
		t.Errorf("%d counted, log:\n%s", n, &r.log)
	}
	if r.Querier(1).Self {
		t.Error("it was not elected")
	}
}

// Who is not querier takes robustness and interval from the one who is, as far as
// they can be, and its own when it takes over.
func TestAdopt(t *testing.T) {
	for _, c := range []struct {
		name               string
		robustness         uint8
		interval, response time.Duration
		present, group     time.Duration
	}{
		// presence: QRV*QQI + response/2, group: QRV*QQI + response
		{"the same", 2, 125 * time.Second, 10 * time.Second, 255 * time.Second, 260 * time.Second},
		{"others", 3, 60 * time.Second, 10 * time.Second, 185 * time.Second, 190 * time.Second},
		{"not said", 0, 0, 10 * time.Second, 255 * time.Second, 260 * time.Second},
		{"slow hosts", 2, 125 * time.Second, 20 * time.Second, 260 * time.Second, 270 * time.Second},
		{"quick hosts", 2, 125 * time.Second, time.Second, 255 * time.Second, 260 * time.Second},
		{"robustness 1", 1, 125 * time.Second, 10 * time.Second, 255 * time.Second, 260 * time.Second},
		{"nine hours", 7, 31744 * time.Second, 3174400 * time.Millisecond, 7*1024*time.Second + 512*time.Second, 8 * 1024 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := onLAN(t, 3)
			r.hear(lower, &igmp.Query{Version: 3, Group: igmp.Unspecified, Robustness: c.robustness, Interval: c.interval, MaxResponse: c.response})
			if q := r.Querier(1); q.Expires != c.present {
				t.Errorf("it counts until %v, want %v", q.Expires, c.present)
			}
			r.hear(anna, v2report(chat))
			for g := range r.Groups(r.now, 1) {
				if g.Expires != c.group {
					t.Errorf("the group expires at %v, want %v", g.Expires, c.group)
				}
			}
			r.wait(c.present)
			r.take()
			r.hear(anna, v2report(chat))
			r.expectState("EX 260")
		})
	}
	// A time that was configured stands.
	r := start(t, func(s *host.Settings) { s.IGMP.OtherQuerierPresent = time.Minute })
	r.setLink(1)
	r.hear(lower, &igmp.Query{Version: 3, Group: igmp.Unspecified, Robustness: 3, Interval: 60 * time.Second, MaxResponse: time.Second})
	if q := r.Querier(1); q.Expires != time.Minute {
		t.Errorf("it counts until %v, want a minute", q.Expires)
	}
}

// Who is not querier shortens timers when the querier asks, unless the S flag is
// set.
func TestLower(t *testing.T) {
	ask := func(from netip.Addr, q igmp.Query) func(*router) {
		return func(r *router) {
			q.Group = chat
			if q.Version == 3 {
				q.Robustness, q.Interval = 2, 125*time.Second
			}
			r.hear(from, &q)
		}
	}
	const before = "EX 250 a:250 b:250 | c"
	for _, c := range []struct {
		name  string
		event func(*router)
		after string
	}{
		{"group", ask(lower, igmp.Query{Version: 3, MaxResponse: time.Second}), "EX 2 a:250 b:250 | c"},
		{"version 2", ask(lower, igmp.Query{Version: 2, MaxResponse: 1500 * time.Millisecond}), "EX 3 a:250 b:250 | c"},
		{"at once", ask(lower, igmp.Query{Version: 3}), "EX 0.2 a:250 b:250 | c"},
		{"long", ask(lower, igmp.Query{Version: 3, MaxResponse: 200 * time.Second}), before},
		{"sources", ask(lower, igmp.Query{Version: 3, MaxResponse: time.Second, Sources: srcs("ace")}), "EX 250 a:2 b:250 | c"},
		{"S flag", ask(lower, igmp.Query{Version: 3, MaxResponse: time.Second, Suppress: true}), before},
		{"not the querier", ask(higher, igmp.Query{Version: 3, MaxResponse: time.Second}), before},
		{"another group", func(r *router) {
			r.hear(lower, &igmp.Query{Version: 3, Group: addr("225.1.2.4"), MaxResponse: time.Second})
		}, before},
		{"all", func(r *router) { r.hear(lower, generalV3()) }, before},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := onLAN(t, 3)
			r.hear(lower, generalV3())
			r.report(anna, igmp.ModeIsExclude, chat, src('c'))
			r.report(anna, igmp.AllowNewSources, chat, srcs("ab")...)
			r.wait(10 * time.Second)
			r.expectState(before)
			r.told()
			c.event(r)
			r.expectState(c.after)
			expect(t, "told", r.told())
		})
	}
	// Hosts of version 1 do not answer, static groups do not end.
	r := onLAN(t, 3)
	r.hear(lower, generalV3())
	r.hear(anna, v1report(chat))
	ask(lower, igmp.Query{Version: 3, MaxResponse: time.Second})(r)
	r.expectState("EX 260")
	r.setLink(1, func(l *host.Link) { l.StaticGroups = []netip.Addr{chat} })
	ask(lower, igmp.Query{Version: 3, MaxResponse: time.Second})(r)
	r.expectState("EX")
}

// Settings that change take effect at the next query.
func TestReconfigure(t *testing.T) {
	r := onLAN(t, 3)
	r.wait(32 * time.Second)
	r.take()
	s := defaults()
	s.IGMP.QueryInterval, s.IGMP.ResponseInterval, s.RouterAlert = 20*time.Second, 5*time.Second, false
	r.Configure(r.now, &s)
	r.wait(41 * time.Second)
	expect(t, "queries", r.take(), "52s 1 v3 all 5s", "1m12s 1 v3 all 5s")
	r.hear(anna, v2report(chat))
	r.expectState("EX 45")
}
