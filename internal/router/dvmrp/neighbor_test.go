package dvmrp

import (
	"bytes"
	"net/netip"
	"slices"
	"testing"
	"time"

	"mbone/internal/router/host"
	"mbone/proto/dvmrp"
)

// state returns that of the neighbour .host on a LAN, "none" if there is none.
func (r *rig) state(id host.Interface, hostNumber int) string {
	for n := range r.p.Neighbors(id) {
		if n.Address.As4()[3] == byte(hostNumber) {
			return n.State.String()
		}
	}
	return "none"
}

func (r *rig) wantState(id host.Interface, hostNumber int, want string) {
	r.t.Helper()
	if got := r.state(id, hostNumber); got != want {
		r.t.Errorf("%v: neighbour .%d is %s, want %s", r.now, hostNumber, got, want)
	}
}

func version(major, minor uint8, caps dvmrp.Capabilities) dvmrp.Version {
	return dvmrp.Version{Major: major, Minor: minor, Capabilities: caps}
}

const usual = dvmrp.CapPrune | dvmrp.CapGenID | dvmrp.CapMtrace

// What a router is after its first message (sheet, section 10 and 14).
func TestFirstMessage(t *testing.T) {
	for _, c := range []struct {
		name      string
		version   dvmrp.Version
		nonprune  bool // allow-nonpruners
		report    bool // else a probe
		hearsUs   bool
		want      string
		wantTable bool
	}{
		{"spec peer, report", dvmrp.Mrouted, false, true, false, "none", false},
		{"spec peer, names us", dvmrp.Mrouted, false, false, true, "peer", true},
		{"spec peer, does not name us", dvmrp.Mrouted, false, false, false, "waiting", false},
		{"version 4, report", version(4, 0, usual), false, true, false, "none", false},
		{"version 9, does not name us", version(9, 0, usual), false, false, false, "waiting", false},
		{"3.8, does not name us", version(3, 8, usual), false, false, false, "peer", true},
		{"3.8, report", version(3, 8, usual), false, true, false, "peer", true},
		{"3.2, probe without data", version(3, 2, 0), false, false, false, "peer", true},
		{"3.4 prunes without saying so", version(3, 4, 0), false, false, true, "peer", true},
		{"3.8 without prune", version(3, 8, dvmrp.CapGenID), false, false, true, "too-old", false},
		{"3.8 without prune, allowed", version(3, 8, dvmrp.CapGenID), true, false, true, "peer", true},
		{"2.1", version(2, 1, 0), false, false, false, "too-old", false},
		{"2.1, allowed, report", version(2, 1, 0), true, true, false, "peer", true},
		{"IOS 12.2", version(12, 2, 0), false, false, false, "too-old", false},
		{"IOS 12.2, allowed", version(12, 2, 0), true, false, false, "peer", true},
		{"IOS 11.1 that prunes, report", version(11, 1, dvmrp.CapPrune), false, true, false, "peer", true},
		{"spec peer without prune", version(3, 255, 0), false, false, true, "too-old", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			l := lan(1)
			l.AllowNonpruners = c.nonprune
			r.set(l)
			r.set(lan(2))
			r.run(time.Second)
			r.drop()
			s := r.stranger(1, 9)
			s.version = c.version
			if c.report {
				s.report("10.1.0.0/16", 1)
			} else {
				s.probe(c.hearsUs)
			}
			r.wantState(1, 9, c.want)
			r.run(200 * time.Millisecond)
			if told := r.told(1, "192.168.2.0/24") == 1; told != c.wantTable {
				t.Errorf("the table was told: %v, want %v", told, c.wantTable)
			}
			if c.want == "none" {
				if len(r.sent) > 0 {
					t.Errorf("sent %d packets to nobody", len(r.sent))
				}
				return
			}
			probes := take[dvmrp.Probe](r)
			if len(probes) != 1 || !slices.Contains(probes[0].Neighbors, s.addr) || probes[0].GenID != testSettings.Generation {
				t.Errorf("sent probes %v, want one that names the neighbour", probes)
			}
		})
	}
}

// The table of states, from one message to the next.
func TestStates(t *testing.T) {
	r := newRig(t)
	r.set(lan(1))
	r.set(lan(2))
	r.run(time.Second)
	s := r.stranger(1, 9)
	s.probe(false)
	r.wantState(1, 9, "waiting")

	r.run(10 * time.Second)
	s.probe(false)
	r.wantState(1, 9, "one-way")

	s.report("10.1.0.0/16", 1)
	r.wantWay("10.1.0.0/16", "none")

	r.run(10 * time.Second)
	r.drop()
	s.probe(true)
	r.wantState(1, 9, "peer")
	r.run(100 * time.Millisecond)
	if r.told(1, "192.168.2.0/24") != 1 {
		t.Error("the table was not told to the new peer")
	}

	s.report("10.1.0.0/16", 1)
	r.wantWay("10.1.0.0/16", "192.168.1.9 metric 2")
	s.probe(false) // known for more than 20 s
	r.wantState(1, 9, "one-way")
	r.wantWay("10.1.0.0/16", "none")

	s.probe(true)
	r.wantState(1, 9, "peer")
	r.wantWay("10.1.0.0/16", "none") // until it is reported again
	s.report("10.1.0.0/16", 1)
	r.wantWay("10.1.0.0/16", "192.168.1.9 metric 2")
}

// A peer may leave us out of its probes for 20 s after it was heard first, or
// started again.
func TestOneWayGrace(t *testing.T) {
	for _, c := range []struct {
		name   string
		known  time.Duration
		genID  uint32
		wanted string
	}{
		{"young", 19 * time.Second, 7, "peer"},
		{"old", 21 * time.Second, 7, "one-way"},
		{"restarted", 21 * time.Second, 8, "peer"},
	} {
		r := newRig(t)
		r.set(lan(1))
		s := r.peer(1, 9)
		r.run(c.known)
		s.genID = c.genID
		s.probe(false)
		if got := r.state(1, 9); got != c.wanted {
			t.Errorf("%s: %s, want %s", c.name, got, c.wanted)
		}
	}
}

// Another generation id or version means that the neighbour has started again: what
// it pruned is forgotten, it is probed and told the table. Its routes stay until it
// tells others.
func TestRestart(t *testing.T) {
	r := newRig(t)
	r.set(lan(1))
	r.set(lan(2))
	s := r.peer(1, 9)
	s.report("10.1.0.0/16", 1)
	r.run(5 * time.Second)
	r.drop()
	s.probe(true)
	if len(r.neighbors) > 0 {
		t.Error("a probe as before means nothing")
	}
	s.genID++
	s.probe(false)
	r.run(100 * time.Millisecond)
	if !slices.Equal(r.neighbors, []string{"192.168.1.9"}) {
		t.Errorf("the trees were told of %v", r.neighbors)
	}
	if len(take[dvmrp.Probe](r)) != 1 || r.told(1, "192.168.2.0/24") != 1 {
		t.Error("no probe and table after a restart")
	}
	r.wantState(1, 9, "peer")
	r.wantWay("10.1.0.0/16", "192.168.1.9 metric 2")

	s.version.Minor = 8
	s.probe(true)
	r.wantState(1, 9, "peer")
	if len(r.neighbors) != 2 {
		t.Errorf("the trees were told %d times, want 2", len(r.neighbors))
	}
	r.wantWay("10.1.0.0/16", "none")
}

// What an mroutd said before it started again counts no more: it may learn its routes
// from those who learned them from us, long before a mrouted would.
func TestRestartOfMroutd(t *testing.T) {
	r := newRig(t)
	r.set(lan(1))
	r.set(lan(2))
	r.run(time.Second)
	s := r.peer(1, 9)
	r.receive(1, s.addr, s.router, &dvmrp.Info{Version: s.version, Reply: true,
		TLVs: []dvmrp.TLV{{Type: dvmrp.InfoVersion, Value: []byte("mroutd 1.0")}}})
	s.report("10.1.0.0/16", 1)
	r.wantWay("10.1.0.0/16", "192.168.1.9 metric 2")
	s.probe(true)
	r.wantWay("10.1.0.0/16", "192.168.1.9 metric 2")
	s.genID++
	s.probe(false)
	r.wantState(1, 9, "waiting")
	r.wantWay("10.1.0.0/16", "none")
	r.run(time.Second)
	s.probe(true)
	r.wantState(1, 9, "peer")
	s.report("10.1.0.0/16", 1)
	r.wantWay("10.1.0.0/16", "192.168.1.9 metric 2")
}

// An mroutd that has named us and does not any more has lost us, and forgotten what
// we said.
func TestForgottenByMroutd(t *testing.T) {
	for _, program := range []string{"mroutd 1.0", "mrouted version 4.6"} {
		r := newRig(t)
		r.set(lan(1))
		r.run(time.Second)
		s := r.peer(1, 9)
		s.answer(program)
		s.report(n1, 1)
		s.probe(false)
		if program == "mroutd 1.0" {
			r.wantState(1, 9, "one-way")
			r.wantWay(n1, "none")
		} else {
			r.wantState(1, 9, "peer")
		}
	}
}

// A silent neighbour is lost after the time that fits its version, and its routes
// with it.
func TestTimeout(t *testing.T) {
	for _, c := range []struct {
		version dvmrp.Version
		after   time.Duration
		setting time.Duration
	}{
		{dvmrp.Mrouted, 30 * time.Second, 0},
		{version(3, 3, usual), 30 * time.Second, 0},
		{version(4, 0, usual), 30 * time.Second, 0},
		{version(3, 2, usual), 140 * time.Second, 0},
		{version(12, 0, usual), 140 * time.Second, 0},
		{version(2, 0, usual), 140 * time.Second, 0},
		{dvmrp.Mrouted, 7 * time.Second, 7 * time.Second},
		{version(12, 0, usual), 7 * time.Second, 7 * time.Second},
	} {
		r := newRig(t)
		l := lan(1)
		l.AllowNonpruners = true
		l.NeighborTimeout = c.setting
		r.set(l)
		s := r.stranger(1, 9)
		s.version = c.version
		s.probe(true)
		r.run(3 * time.Second)
		s.report("10.1.0.0/16", 1) // counts as a sign of life
		r.run(c.after - time.Millisecond)
		r.wantState(1, 9, "peer")
		r.wantWay("10.1.0.0/16", "192.168.1.9 metric 2")
		r.run(time.Millisecond)
		r.wantState(1, 9, "none")
		r.wantWay("10.1.0.0/16", "none")
	}
}

// An mroutd that is lost is told so by a probe at once: it may hear us yet, and believe
// that we are its way.
func TestProbeAfterLoss(t *testing.T) {
	for _, program := range []string{"mroutd 1.0", "mrouted version 4.6"} {
		r := newRig(t)
		r.set(lan(1))
		s := r.peer(1, 9)
		s.answer(program)
		r.run(30*time.Second - time.Millisecond)
		r.p.linkOf(1).probed = 0 // whatever the last one was
		r.drop()
		r.run(time.Millisecond)
		r.wantState(1, 9, "none")
		if probes := take[dvmrp.Probe](r); len(probes) > 0 != (program == "mroutd 1.0") {
			t.Errorf("%s: sent probes %v", program, probes)
		}
	}
}

// A router that may not be a peer is forgotten like others, though it was heard by a
// report.
func TestTooOldTimeout(t *testing.T) {
	r := newRig(t)
	r.set(lan(1))
	s := r.stranger(1, 9)
	s.version = version(2, 1, 0)
	s.report("10.1.0.0/16", 1)
	r.wantState(1, 9, "too-old")
	r.run(141 * time.Second)
	r.wantState(1, 9, "none")
}

// Several neighbours on a link are all named, whatever their state.
func TestProbeNames(t *testing.T) {
	r := newRig(t)
	r.set(lan(1))
	var want []netip.Addr
	for i := 2; i < 202; i++ {
		s := r.stranger(1, i)
		s.probe(i%2 == 0)
		want = append(want, s.addr)
	}
	r.run(time.Second)
	probes := take[dvmrp.Probe](r)
	if last := probes[len(probes)-1]; !slices.Equal(last.Neighbors, want) {
		t.Errorf("the probe names %v", last.Neighbors)
	}
	if len(probes) > 4 {
		t.Errorf("%d probes for 200 neighbours that came at once", len(probes))
	}
}

// Probes leave every ten seconds, as multicast with TTL 1 and Router Alert.
func TestProbesOut(t *testing.T) {
	r := newRig(t)
	r.set(lan(1))
	r.run(60 * time.Second)
	if n := len(r.sent); n < 6 || n > 8 {
		t.Errorf("%d probes in a minute", n)
	}
	for _, s := range r.sent {
		if s.Interface != 1 || s.From != addr("192.168.1.1") || s.To != allRouters || s.TTL != 1 || !s.Alert || s.Loop {
			t.Errorf("sent %+v", s.Send)
		}
	}
}

// Links that do not probe.
func TestSilentLinks(t *testing.T) {
	for name, change := range map[string]func(*host.Link){
		"disabled":    func(l *host.Link) { l.Enabled = false },
		"down":        func(l *host.Link) { l.Up = false },
		"no address":  func(l *host.Link) { l.Address = netip.Addr{} },
		"force-leaf":  func(l *host.Link) { l.ForceLeaf = true },
		"passive":     func(l *host.Link) { l.Passive = true },
		"both wishes": func(l *host.Link) { l.ForceLeaf, l.Passive = true, true },
	} {
		r := newRig(t)
		l := lan(1)
		change(&l)
		r.set(l)
		r.run(time.Minute)
		if len(r.sent) > 0 {
			t.Errorf("%s: sent %d packets", name, len(r.sent))
		}
	}
}

// A passive link answers who is heard; force-leaf ignores everybody.
func TestPassiveAndForceLeaf(t *testing.T) {
	r := newRig(t)
	l := lan(1)
	l.Passive = true
	r.set(l)
	r.run(time.Minute)
	s := r.stranger(1, 9)
	s.probe(false)
	if n := len(take[dvmrp.Probe](r)); n != 1 {
		t.Errorf("%d probes to a stranger, want 1", n)
	}
	s.probe(true)
	r.wantState(1, 9, "peer")
	r.run(31 * time.Second)
	r.drop()
	r.run(time.Minute)
	if len(r.sent) > 0 {
		t.Error("probes though nobody is there any more")
	}

	l.Passive, l.ForceLeaf = false, true
	r.set(l)
	s.probe(true)
	r.wantState(1, 9, "none")
	if r.p.refused[WrongLink] != 1 {
		t.Error("the packet was not counted")
	}
}

// A router with neighbours on one link only says that it is a leaf, there.
func TestLeafBit(t *testing.T) {
	r := newRig(t)
	r.set(lan(1))
	r.set(lan(2))
	leaf := func(id host.Interface) bool {
		return r.p.versionOn(r.p.linkOf(id)).Capabilities&dvmrp.CapLeaf != 0
	}
	if leaf(1) || leaf(2) {
		t.Error("a leaf without neighbours")
	}
	r.peer(1, 9)
	if !leaf(1) || leaf(2) {
		t.Error("want a leaf on link 1 only")
	}
	r.peer(2, 9)
	if leaf(1) || leaf(2) {
		t.Error("a leaf with neighbours on two links")
	}
}

// Who may speak, and to whom.
func TestArrival(t *testing.T) {
	tunnel := host.Link{ID: 3, Name: "tun", Up: true, PointToPoint: true, Address: addr("192.168.1.1"),
		Remote: addr("10.9.9.9"), Beside: true, LinkSettings: host.LinkSettings{Enabled: true, Metric: 1}}
	for _, c := range []struct {
		name     string
		link     host.Interface
		from, to string
		refusal  Refusal
		ok       bool
	}{
		{"neighbour", 1, "192.168.1.9", "224.0.0.4", 0, true},
		{"neighbour, unicast", 1, "192.168.1.9", "192.168.1.1", 0, true},
		{"neighbour, another address of ours", 1, "192.168.1.9", "192.168.2.1", 0, true},
		{"in an altnet", 1, "172.16.5.9", "224.0.0.4", 0, true},
		{"to all systems", 1, "192.168.1.9", "224.0.0.1", WrongGroup, false},
		{"to somebody else", 1, "192.168.1.9", "192.168.2.7", NotForUs, false},
		{"off the link", 1, "192.168.2.9", "224.0.0.4", WrongSender, false},
		{"the network", 1, "192.168.1.0", "224.0.0.4", WrongSender, false},
		{"everybody", 1, "192.168.1.255", "224.0.0.4", WrongSender, false},
		{"ourselves", 1, "192.168.1.1", "224.0.0.4", OwnPacket, false},
		{"ourselves on another link", 1, "192.168.2.1", "224.0.0.4", OwnPacket, false},
		{"no link of ours", 0, "192.168.1.9", "224.0.0.4", WrongLink, false},
		{"unknown link", 7, "192.168.1.9", "224.0.0.4", WrongLink, false},
		{"beside a tunnel", 1, "10.9.9.9", "192.168.1.1", 0, true},
		{"beside a tunnel, over no link of ours", 0, "10.9.9.9", "192.168.1.1", 0, true},
		{"beside a tunnel, to another address", 2, "10.9.9.9", "192.168.2.1", WrongSender, false},
		{"within a tunnel", 3, "10.9.9.9", "224.0.0.4", 0, true},
		{"within a tunnel, from elsewhere", 3, "10.9.9.8", "224.0.0.4", WrongSender, false},
	} {
		r := newRig(t)
		l := lan(1)
		l.Networks = append(l.Networks, host.Network{Prefix: net("172.16.5.0/24")})
		r.set(l)
		r.set(lan(2))
		r.set(tunnel)
		r.receive(c.link, addr(c.from), addr(c.to), &dvmrp.Probe{Version: dvmrp.Mrouted, GenID: 1})
		if known := r.p.neighbors == 1; known != c.ok {
			t.Errorf("%s: known %v, want %v; refused %v", c.name, known, c.ok, r.p.Refused())
		}
		if !c.ok && r.p.Refused()[c.refusal] != 1 {
			t.Errorf("%s: refused %v, want %v", c.name, r.p.Refused(), c.refusal)
		}
	}
}

// Messages that cannot be read cost a counter and nothing else.
func TestMalformed(t *testing.T) {
	for name, b := range map[string][]byte{
		"probe without generation id": {0x13, 1, 0, 0, 0, 0x0e, 255, 3, 0, 0},
		"probe with half a neighbour": {0x13, 1, 0, 0, 0, 0x0e, 255, 3, 0, 0, 0, 1, 192, 168},
		"report cut off":              {0x13, 2, 0, 0, 0, 0x0e, 255, 3, 0xff, 0, 0, 10},
		"report with a hole":          {0x13, 2, 0, 0, 0, 0x0e, 255, 3, 0xf0, 0xff, 0, 10, 1, 0x81},
	} {
		r := newRig(t)
		r.set(lan(1))
		s := r.peer(1, 9)
		r.receiveBytes(1, s.addr, allRouters, b)
		if r.p.refused[Malformed] != 1 {
			t.Errorf("%s: refused %v", name, r.p.Refused())
		}
		if routes, _ := r.p.RouteCount(); routes != 1 {
			t.Errorf("%s: %d routes", name, routes)
		}
	}
	r := newRig(t)
	r.set(lan(1))
	r.receiveBytes(1, addr("192.168.1.9"), allRouters, []byte{0x13, 99, 0, 0, 0, 0, 255, 3})
	if r.p.refused[UnknownCode] != 1 {
		t.Errorf("refused %v", r.p.Refused())
	}
}

// The bounds of neighbours, in total and on a link. The log says so once.
func TestTooManyNeighbors(t *testing.T) {
	r := newRig(t)
	var log bytes.Buffer
	r.logTo(&log)
	s := testSettings
	s.Limits.Neighbors = 3
	r.p.Configure(0, &s)
	r.set(lan(1))
	r.set(lan(2))
	for i := range 3 {
		r.peer(1, 2+i)
		r.peer(2, 2+i)
	}
	if r.p.neighbors != 3 || r.p.refused[TooManyNeighbors] != 3 {
		t.Errorf("%d neighbours, refused %v", r.p.neighbors, r.p.Refused())
	}
	wantErrors(t, &log, "too many neighbors: a new one is ignored", 1)
	r.run(31 * time.Second)
	r.peer(2, 77)
	r.wantState(2, 77, "peer")
}

// ask lets the peer answer the question for its version.
func (p *peer) answer(program string) int {
	asked := take[dvmrp.Info](p.r)
	for _, q := range asked {
		if q.Reply || len(q.TLVs) != 1 || q.TLVs[0].Type != dvmrp.InfoVersion {
			p.r.t.Errorf("asked %+v", q)
		}
		p.r.receive(p.link, p.addr, p.router, &dvmrp.Info{Version: p.version, Reply: true,
			TLVs: []dvmrp.TLV{{Type: dvmrp.InfoVersion, Value: []byte(program)}}})
	}
	return len(asked)
}

// Routers that are mroutd recognise each other: probes go out each second, and a
// neighbour that does likewise is lost after 3.5 s of silence.
func TestRecognition(t *testing.T) {
	for _, c := range []struct {
		name    string
		program string
		every   time.Duration // its probes
		probes  int           // ours in 20 s, at least
		lost    time.Duration
	}{
		{"mroutd", "mroutd 1.0", time.Second, 20, 3500 * time.Millisecond},
		{"mroutd that does not know us yet", "mroutd 1.0", 10 * time.Second, 20, 30 * time.Second},
		{"mrouted", "mrouted version 4.6", 10 * time.Second, 2, 30 * time.Second},
		{"mrouted that probes often", "mrouted version 4.6", time.Second, 2, 30 * time.Second},
	} {
		r := newRig(t)
		r.set(lan(1))
		r.run(5 * time.Second)
		s := r.peer(1, 9)
		if n := s.answer(c.program); n != 1 {
			t.Errorf("%s: asked %d times", c.name, n)
		}
		r.run(time.Second)
		r.drop()
		for range 20 * time.Second / c.every {
			s.probe(true)
			r.run(c.every)
		}
		s.probe(true)
		if n := len(take[dvmrp.Info](r)); n != 0 {
			t.Errorf("%s: asked %d times again", c.name, n)
		}
		if n := len(take[dvmrp.Probe](r)); n < c.probes || n > c.probes+2 {
			t.Errorf("%s: sent %d probes, want %d", c.name, n, c.probes)
		}
		r.run(c.lost - time.Millisecond)
		r.wantState(1, 9, "peer")
		r.run(time.Millisecond)
		r.wantState(1, 9, "none")
	}
}

// Who does not answer is asked three times, with the probes that come.
func TestInquiry(t *testing.T) {
	r := newRig(t)
	r.set(lan(1))
	s := r.peer(1, 9)
	for range 10 {
		s.stay(10 * time.Second)
	}
	if n := len(take[dvmrp.Info](r)); n != 3 {
		t.Errorf("asked %d times, want 3", n)
	}
	old := r.stranger(1, 10)
	old.version = version(3, 8, usual)
	old.probe(true)
	if n := len(take[dvmrp.Info](r)); n != 0 {
		t.Error("asked a 3.8, which does not know the question")
	}
	r.receive(1, old.addr, old.router, &dvmrp.Info{Version: dvmrp.Mrouted, Reply: true})
	if r.p.refused[Unasked] != 1 {
		t.Error("took an answer to no question")
	}
	s.answer("x") // nothing was asked, so nothing is said
	s.probe(true)
	r.receive(1, s.addr, s.router, &dvmrp.Info{Version: dvmrp.Mrouted, Reply: true,
		TLVs: []dvmrp.TLV{{Type: dvmrp.InfoVersion, Value: []byte("mroutd \x1b[31m")}}})
	for n := range r.p.Neighbors(1) {
		if n.Address == s.addr && n.Program != "mroutd ?[31m" {
			t.Errorf("program %q", n.Program)
		}
	}
}

// With probes each 100 ms silence is noticed in less than half a second; a
// neighbour that sends them now and then is not lost by that.
func TestProbeInterval(t *testing.T) {
	r := newRig(t)
	l := lan(1)
	l.ProbeInterval = 100 * time.Millisecond
	r.set(l)
	s := r.peer(1, 9)
	r.run(time.Second)
	r.wantState(1, 9, "peer")
	r.drop()
	for range 10 {
		r.run(100 * time.Millisecond)
		s.probe(true)
	}
	if n := len(take[dvmrp.Probe](r)); n < 10 || n > 11 {
		t.Errorf("sent %d probes in a second", n)
	}
	r.run(500 * time.Millisecond)
	r.wantState(1, 9, "none")
}

// Good-bye: all that was reachable is not any more, and nothing is said after.
func TestShutdown(t *testing.T) {
	r := newRig(t)
	r.set(lan(1))
	r.set(lan(2))
	r.set(lan(3)) // nobody is there
	one, two := r.peer(1, 9), r.peer(2, 9)
	one.report("10.1.0.0/16", 1)
	r.run(time.Second)
	r.drop()
	r.p.Shutdown(r.now)
	r.turn()
	for _, c := range []struct {
		link   int
		prefix string
		want   int
	}{
		{1, "10.1.0.0/16", 32}, {2, "10.1.0.0/16", 32}, {1, "192.168.3.0/24", 32}, {1, "192.168.2.0/24", 32},
		{1, "192.168.1.0/24", -1}, {3, "10.1.0.0/16", -1},
	} {
		if got := r.told(c.link, c.prefix); got != c.want {
			t.Errorf("told %d of %s on link %d, want %d", got, c.prefix, c.link, c.want)
		}
	}
	r.drop()
	two.probe(true)
	r.run(time.Hour)
	if len(r.sent) > 0 || r.timers.Len() > 0 {
		t.Errorf("after the end: %d packets, %d timers", len(r.sent), r.timers.Len())
	}
}
