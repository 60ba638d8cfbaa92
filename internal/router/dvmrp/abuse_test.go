package dvmrp

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"mbone/internal/router/host"
	"mbone/proto/dvmrp"
)

// crowded returns a router that has learned so many routes on its first link, and
// has a second one. Somebody answers for the routes for as long as the tests take.
func crowded(t testing.TB, routes int) *rig {
	r := newRig(t)
	for id := range 2 {
		l := lan(id + 1)
		l.Networks[0].Prefix = netip.PrefixFrom(l.Address, 16).Masked()
		l.NeighborTimeout = time.Hour
		if id == 1 {
			l.Address = addr("172.16.0.1")
			l.Networks[0] = host.Network{Address: l.Address, Prefix: net("172.16.0.0/16")}
		}
		r.set(l)
	}
	r.run(time.Second)
	up := r.peer(1, 9)
	for _, b := range packets(t, routes, 1) {
		r.receiveBytes(1, up.addr, allRouters, b)
	}
	r.run(5 * time.Second)
	r.drop()
	return r
}

// visitor returns a router on the second link of a crowded one.
func (r *rig) visitor(number int) *peer {
	return &peer{r, 2, netip.AddrFrom4([4]byte{172, 16, byte(1 + number/200), byte(1 + number%200)}),
		addr("172.16.0.1"), dvmrp.Mrouted, 7}
}

// logTo keeps what the router logs.
func (r *rig) logTo(b *bytes.Buffer) { r.p.logTo(b) }

func (p *Protocol) logTo(b *bytes.Buffer) {
	p.env.Log = host.NewLogs(slog.New(slog.NewTextHandler(b, nil)))
}

func lines(b *bytes.Buffer, part string) (found []string) {
	for line := range strings.Lines(b.String()) {
		if strings.Contains(line, part) {
			found = append(found, line)
		}
	}
	return found
}

// wantErrors holds that so many errors were logged, all with this message.
func wantErrors(t testing.TB, b *bytes.Buffer, message string, want int) {
	t.Helper()
	errors := lines(b, "level=ERROR")
	if len(errors) != want || len(lines(b, fmt.Sprintf("level=ERROR msg=%q", message))) != want {
		t.Errorf("errors in the log: %q, want %d of %q", errors, want, message)
	}
}

// A neighbour that starts again and again, by its version, generation or
// capabilities, is not believed more than once a second after the first times.
// Others are.
func TestRestartsAreLimited(t *testing.T) {
	const seconds = 3
	for name, change := range map[string]func(p *peer, i int){
		"version":      func(p *peer, i int) { p.version.Minor = 200 + uint8(i%2) },
		"generation":   func(p *peer, i int) { p.genID++ },
		"capabilities": func(p *peer, i int) { p.version.Capabilities ^= dvmrp.CapPrune },
	} {
		t.Run(name, func(t *testing.T) {
			r := crowded(t, 100)
			s, other := r.visitor(1), r.visitor(2)
			s.probe(true)
			other.probe(true)
			r.run(time.Second)
			r.drop()
			for i := range seconds * 200 {
				r.run(5 * time.Millisecond)
				change(s, i)
				s.probe(true)
			}
			if n := len(r.neighbors); n < seconds-1 || n > restartBurst+seconds+1 {
				t.Errorf("it was believed %d times in %d s", n, seconds)
			}
			if n := r.p.refused[TooManyRestarts]; n < seconds*90 {
				t.Errorf("%d probes were refused", n)
			}
			r.drop()
			other.genID++
			other.probe(true)
			if len(r.neighbors) != 1 || r.neighbors[0] != other.addr.String() {
				t.Errorf("of the restart of another one the trees were told %v", r.neighbors)
			}
			// It is a neighbour like any other when it has calmed down.
			r.run(2 * restartPause)
			s.version = dvmrp.Mrouted
			s.probe(true)
			r.run(restartPause)
			s.probe(true)
			if n := r.p.links[1].peer(s.addr); n == nil {
				t.Error("it is no peer in the end")
			}
			if n := r.p.links[1].peers; n != 2 {
				t.Errorf("%d peers on the link, want 2", n)
			}
		})
	}
}

// However many neighbours come and go, the routes are gone over a few times a second
// on account of a link, and each link is told once of each. All is right in the end.
func TestReviewIsBounded(t *testing.T) {
	const routes, visitors, seconds = 500, 300, 3
	r := crowded(t, routes)
	for i := range visitors {
		r.run(seconds * time.Second / visitors)
		r.visitor(i).probe(true)
	}
	const rounds = reviewBurst + seconds*int(time.Second/reviewPause) + 1
	if n := len(r.downstream); n < routes || n > rounds*(routes+10) {
		t.Errorf("the trees were told %d times, want %d at most", n, rounds*routes)
	}
	r.drop()
	r.run(2 * time.Second)
	r.drop()
	l := r.p.linkOf(2).Link
	l.Up = false
	r.set(l)
	if n := len(sorted(r.downstream)); n != len(r.downstream) {
		t.Errorf("the trees were told %d times of %d things", len(r.downstream), n)
	}
}

// A flood of neighbours on a link does not put off what is lost on another one.
func TestReviewOfOtherLinks(t *testing.T) {
	r := crowded(t, 500)
	for i := range 300 {
		r.visitor(i).probe(true)
	}
	if !r.p.review.waits {
		t.Fatal("nothing waits")
	}
	up := r.stranger(1, 9)
	up.version.Minor = 8
	up.probe(true) // what it said before counts no more
	if routes, reports := r.p.RouteCount(); routes != 502 || reports != 0 {
		t.Fatalf("%d routes, %d reports", routes, reports)
	}
}

// What many neighbours do is logged for the first of them; how many lines were left
// out is said later.
func TestLogIsBounded(t *testing.T) {
	r := crowded(t, 10)
	var log bytes.Buffer
	r.logTo(&log)
	const visitors = 200
	for i := range visitors {
		s := r.visitor(i)
		if i%2 == 0 {
			s.version.Capabilities &^= dvmrp.CapPrune
		}
		s.probe(true)
	}
	l := r.p.linkOf(2).Link
	l.Up = false
	r.set(l)
	happened := map[string]int{
		"heard a neighbor": visitors, "a neighbor cannot prune": visitors / 2,
		"neighbor is up": visitors / 2, "neighbor is lost": visitors,
	}
	for message := range happened {
		if got := len(lines(&log, message)); got != linkLines {
			t.Errorf("%q was logged %d times, want %d", message, got, linkLines)
		}
	}
	log.Reset()
	r.run(alarmInterval)
	l.Up = true
	r.set(l)
	for i := range 2 {
		s := r.visitor(i)
		if i == 0 {
			s.version.Capabilities &^= dvmrp.CapPrune
		}
		s.probe(true)
	}
	l.Up = false
	r.set(l)
	for message, n := range happened {
		if got := lines(&log, message); len(got) == 0 || !strings.Contains(got[0], fmt.Sprint("left_out=", n-linkLines)) {
			t.Errorf("%q was logged later as %q, want that %d were left out", message, got, n-linkLines)
		}
	}
}

// An error says that another router has an address of this one: it cannot be a
// probe of our own, which have our generation id and are not looped back.
func TestAddressInUse(t *testing.T) {
	r := newRig(t)
	r.set(lan(1))
	r.set(lan(2))
	var log bytes.Buffer
	r.logTo(&log)
	own := testSettings.Generation
	probe := func(id int, from string, generation uint32) {
		r.receive(host.Interface(id), addr(from), allRouters, &dvmrp.Probe{Version: dvmrp.Mrouted, GenID: generation})
	}
	probe(1, "192.168.1.1", own)
	probe(2, "192.168.1.1", own)
	if log.Len() > 0 {
		t.Errorf("our own probe was logged: %s", log.String())
	}
	for range 100 {
		probe(1, "192.168.1.1", own+1)
	}
	got := lines(&log, "level=ERROR")
	if len(got) != 1 || !strings.Contains(got[0], "address=192.168.1.1") || !strings.Contains(got[0], "interface=eth1") {
		t.Errorf("logged %q", got)
	}
	r.run(alarmInterval)
	probe(1, "192.168.1.1", own+1)
	if got := lines(&log, "level=ERROR"); len(got) != 2 || !strings.Contains(got[1], "left_out=99") {
		t.Errorf("logged %q", got)
	}
}

// The reports that wait on a blaster link are bounded by their bytes, too.
func TestBlasterBytes(t *testing.T) {
	r := newRig(t)
	l := lan(1)
	l.Blaster = true
	r.set(l)
	s := r.peer(1, 9)
	b, err := (&dvmrp.Report{Version: dvmrp.Mrouted, Routes: []dvmrp.Route{{Prefix: net(n1), Metric: 1}}}).AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	b = append(b, make([]byte, 60000-len(b))...)
	for range 2 {
		refused := r.p.refused[TooManyReports]
		for range 100 {
			r.p.Receive(r.now, &host.Packet{Interface: 1, From: s.addr, To: allRouters, Message: b})
		}
		bytes := 0
		for _, m := range r.p.links[0].blasted {
			bytes += len(m)
		}
		if bytes > maxBlastedBytes || bytes < maxBlastedBytes-len(b) {
			t.Errorf("%d bytes wait, want %d at most", bytes, maxBlastedBytes)
		}
		if r.p.refused[TooManyReports] == refused {
			t.Error("none was refused")
		}
		r.turn() // there is room again
	}
}
