package dvmrp

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"mbone/internal/router/host"
)

// Two links with a network in common lead to one LAN: what comes from there never
// goes back there by the other link, and is not offered there.
func TestLinksOfOneLan(t *testing.T) {
	for name, network := range map[string]string{
		"same network": "192.168.1.0/24", "within it": "192.168.1.0/25", "around it": "192.168.0.0/23",
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			var log bytes.Buffer
			r.logTo(&log)
			r.set(lan(1))
			other := lan(2)
			apart := other
			other.Address = addr("192.168.1.9")
			other.Networks = []host.Network{{Address: other.Address, Prefix: net(network)}}
			r.set(lan(3))
			r.set(apart)
			r.run(time.Second)
			s := r.peer(1, 5)
			r.peer(3, 5)
			r.peer(2, 5)
			s.report("10.1.0.0/16", 1)
			forwards := func(prefix string, id int, want bool) {
				t.Helper()
				if got := r.p.Duty(net(prefix), host.Interface(id)).Forwarder; got != want {
					t.Errorf("forwarder of %s on eth%d: %v, want %v", prefix, id, got, want)
				}
			}
			if m := r.told(3, "10.1.0.0/16"); m != 2 {
				t.Errorf("the metric that is told elsewhere is %d, want 2", m)
			}
			forwards("10.1.0.0/16", 2, true)
			if log.Reset(); len(r.rpf) == 0 {
				t.Fatal("no way")
			}
			r.drop()

			r.set(other)
			if got := lines(&log, "level=WARN"); len(got) != 1 {
				t.Errorf("logged %q, want one warning", got)
			}
			if !slices.Contains(r.downstream, "10.1.0.0/16 eth2") {
				t.Errorf("the trees were told of %q", r.downstream)
			}
			(&peer{r, 2, addr("192.168.1.7"), other.Address, s.version, 7}).probe(true)
			r.run(5 * time.Second)
			for prefix, want := range map[string]bool{"10.1.0.0/16": false, "192.168.1.0/24": false, "192.168.3.0/24": true} {
				forwards(prefix, 2, want)
			}
			forwards("10.1.0.0/16", 3, true)
			forwards("192.168.1.0/24", 3, true)
			forwards("192.168.3.0/24", 1, true)
			if m := r.told(2, "10.1.0.0/16"); m != 32 {
				t.Errorf("the metric that is told on the other link is %d, want 32", m)
			}

			r.drop()
			r.set(apart)
			forwards("10.1.0.0/16", 2, true)
			if !slices.Contains(r.downstream, "10.1.0.0/16 eth2") {
				t.Errorf("the trees were told of %q", r.downstream)
			}
			r.p.RemoveLink(r.now, 2)
			r.turn()
			if n := len(r.p.linkOf(1).same); n != 0 {
				t.Errorf("%d links share a network", n)
			}
		})
	}
}

// Neighbours are told at once if a link turns out to lead to the LAN of another one,
// and if it does no more.
func TestLinkJoinsLan(t *testing.T) {
	r := newRig(t)
	r.set(lan(1))
	r.set(lan(2))
	r.run(time.Second)
	s := r.peer(1, 5)
	r.peer(2, 5)
	s.report("10.1.0.0/16", 1)
	r.run(5 * time.Second)
	joined := lan(2)
	joined.Networks = append(joined.Networks, host.Network{Prefix: net("192.168.1.0/24")})
	for _, c := range []struct {
		link host.Link
		want int
	}{{joined, 32}, {lan(2), 2}} {
		r.drop()
		r.set(c.link)
		r.run(time.Second)
		if m := r.told(2, "10.1.0.0/16"); m != c.want {
			t.Errorf("metric %d is told, want %d", m, c.want)
		}
	}
}
