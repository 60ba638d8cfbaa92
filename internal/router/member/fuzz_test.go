package member

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"mbone/internal/prototest"
	"mbone/internal/router/host"
	"mbone/proto/igmp"
)

// FuzzReceive gives random messages to a router with two links, between random
// waits: bounds and the structure hold, and in the end everything expires. The
// input is cut into events: what it is, a number, a length, and a message.
func FuzzReceive(f *testing.F) {
	event := func(kind, n byte, message []byte) []byte {
		return append([]byte{kind, n, byte(len(message) >> 8), byte(len(message))}, message...)
	}
	var seed []byte
	for i, message := range prototest.Recorded(f, "../../../proto/testdata/lab-14-1") {
		switch igmp.Type(message[0]) {
		case igmp.TypeQuery, igmp.TypeReportV1, igmp.TypeReportV2, igmp.TypeLeave, igmp.TypeReportV3:
			seed = append(seed, event(byte(i%4), byte(i), message)...)
			seed = append(seed, event(4, byte(i), nil)...)
		}
	}
	f.Add(seed)
	add := func(messages ...appender) {
		var seed []byte
		for i, m := range messages {
			b, err := m.AppendBinary(nil)
			if err != nil {
				f.Fatal(err)
			}
			seed = append(seed, event(byte(i%4), byte(i), b)...)
		}
		f.Add(append(seed, event(6, 1, nil)...))
	}
	record := func(t igmp.RecordType, sources string) igmp.Record {
		return igmp.Record{Type: t, Group: chat, Sources: srcs(sources)}
	}
	add(v3(record(igmp.AllowNewSources, "abcdefghij"), record(igmp.BlockOldSources, "a"), record(igmp.ModeIsExclude, "bz")),
		v3(record(igmp.ChangeToExclude, "abcdefg")), v3(record(igmp.ChangeToInclude, "a")), leave(chat))
	add(generalV3(), &igmp.Query{Version: 3, Group: chat, Sources: srcs("abc"), MaxResponse: time.Second}, v1report(chat), v2report(chat),
		v3(record(igmp.BlockOldSources, "a")))

	f.Fuzz(func(t *testing.T, data []byte) {
		r := start(t, func(s *host.Settings) { s.Limits.Groups, s.Limits.Sources = 8, 24 })
		froms := [][]netip.Addr{{anna, lower, lowest, igmp.Unspecified}, {addr("10.0.1.101"), addr("10.0.1.5"), addr("10.0.1.10"), anna}}
		up := [2]bool{true, true}
		set := func(i int, version uint8) {
			r.setLink(host.Interface(i+1), func(l *host.Link) {
				l.Up, l.IGMP = up[i], version
				if version == 3 {
					l.StaticGroups = []netip.Addr{addr("225.1.1.1")}
				}
			})
		}
		set(0, 3)
		set(1, 2)
		for events := 0; len(data) >= 4 && events < 200; events++ {
			kind, n, size := data[0], data[1], min(int(binary.BigEndian.Uint16(data[2:])), len(data)-4)
			message := data[4 : 4+size]
			data = data[4+size:]
			link := int(n>>4) & 1
			switch kind % 8 {
			case 0, 1, 2, 3:
				r.take()
				r.Receive(r.now, &host.Packet{Interface: host.Interface(link + 1), From: froms[link][n%4], To: igmp.IGMPv3Routers, Message: message})
				r.collect()
				if len(r.sent) > len(message) {
					t.Fatalf("%d queries for a message of %d bytes", len(r.sent), len(message))
				}
			case 4:
				r.wait(time.Duration(n) * 100 * time.Millisecond)
			case 5:
				r.wait(time.Duration(n) * 3 * time.Second)
			case 6:
				up[link] = !up[link]
				set(link, n&3)
			case 7:
				r.RemoveLink(r.now, host.Interface(link+1))
				set(link, n&3)
			}
			holds(t, r)
		}
		// Nothing lasts longer than what is believed of a querier.
		r.wait(maxRobustness*maxInterval + maxInterval)
		holds(t, r)
		if g, s := r.Sizes(); g != 0 || s != 0 {
			t.Errorf("%d groups and %d sources are left", g, s)
		}
	})
}

// maxRobustness is what QRV can say.
const maxRobustness = 7

// holds checks bounds and structure.
func holds(t *testing.T, r *router) {
	t.Helper()
	groups, sources, static, active := 0, 0, 0, 0
	for _, l := range r.links {
		if l.active {
			active++
		}
		dynamic, ofLink := 0, 0
		for i, g := range l.list {
			if g.place != int32(i) || l.groups[g.addr] != g {
				t.Fatal("list and map differ")
			}
			if g.static {
				static++
			} else {
				dynamic++
			}
			ofLink += len(g.sources)
			if !g.static && (!g.timer.IsSet() || g.timer.Due() < r.now) || !g.exclude && len(g.sources) == 0 {
				t.Fatalf("%+v lives on without reason", g.inspect(r.now))
			}
			for j, s := range g.sources {
				if j > 0 && g.sources[j-1].addr >= s.addr || !g.exclude && s.until == 0 || !sendable(address(s.addr)) {
					t.Fatalf("%+v has wrong sources", g.inspect(r.now))
				}
			}
		}
		if dynamic != l.dynamic || ofLink != l.sources || len(l.groups) != len(l.list) {
			t.Fatal("wrong counts")
		}
		groups, sources = groups+dynamic, sources+ofLink
	}
	if active != r.active || groups != r.groups || sources != r.sources {
		t.Fatalf("%d links, %d groups, %d sources; counted %d, %d, %d", active, groups, sources, r.active, r.groups, r.sources)
	}
	// A group that is not static any more is not refused.
	if groups > r.settings.Limits.Groups+1 || sources > r.settings.Limits.Sources || static > 2 {
		t.Fatalf("%d groups, %d sources", groups, sources)
	}
	if n := r.timers.Len(); n > groups+3*len(r.links) {
		t.Fatalf("%d timers for %d groups", n, groups)
	}
}
