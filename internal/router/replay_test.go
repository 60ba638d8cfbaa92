package router_test

import (
	"encoding/binary"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"mbone/internal/ask"
	"mbone/internal/record"
	"mbone/internal/router"
	"mbone/internal/router/host"
	"mbone/proto/dvmrp"
	"mbone/proto/igmp"
)

// lab141 is where the recordings of Lab 14-1 are.
const lab141 = "../../proto/testdata/lab-14-1"

const (
	ownGeneration = 0x6d626f6e // of the router under test
	ownVersion    = "mroutd 0 (replay)"
	peerVersion   = "mrouted version 4.6"  // what the others would have said
	peerTakes     = 100 * time.Microsecond // to answer; mrouted's recorded answers took 20 to 80
	dataEvery     = 50 * time.Millisecond  // between packets of the source, as recorded in mtrace's counters
)

// TestReplay lets the engine take the part of a router of a recorded network, and
// holds what it sends against a script. The language of the scripts is described
// beside them.
func TestReplay(t *testing.T) {
	files, err := filepath.Glob("testdata/lab-14-1/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			s, err := parseScript(string(text))
			if err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			r := newReplay(t, s)
			r.run(s, recorded(t, s))
		})
	}
}

// TestReplayAgain runs a script twice: the same events give the same actions, byte
// for byte.
func TestReplayAgain(t *testing.T) {
	text, err := os.ReadFile("testdata/lab-14-1/castor.txt")
	if err != nil {
		t.Fatal(err)
	}
	var runs [2][]string
	for i := range runs {
		s, err := parseScript(string(text))
		if err != nil {
			t.Fatal(err)
		}
		r := newReplay(t, s)
		r.judge = nil
		r.run(s, recorded(t, s))
		runs[i] = r.log
	}
	if len(runs[0]) == 0 || !slices.Equal(runs[0], runs[1]) {
		t.Errorf("%d and %d actions, and they are not the same", len(runs[0]), len(runs[1]))
	}
}

// incoming is a packet of a recording.
type incoming struct {
	at    time.Duration // since the epoch of the script
	iface *face
	ask.Packet
}

// recorded reads what the router of the script heard: what others sent on its
// LANs, and what its own host said as a host.
func recorded(t *testing.T, s *script) []incoming {
	t.Helper()
	var all []incoming
	for _, f := range s.faces {
		if f.lan == "-" {
			continue
		}
		file, err := os.Open(filepath.Join(lab141, f.lan+".pcap"))
		if err != nil {
			t.Fatal(err)
		}
		err = record.Read(file, func(p *ask.Packet) error {
			if s.hears(p) {
				in := incoming{p.Time.Sub(s.epoch), f, *p}
				in.Message = slices.Clone(p.Message)
				all = append(all, in)
			}
			return nil
		})
		file.Close()
		if err != nil {
			t.Fatalf("%s: %v", f.lan, err)
		}
	}
	slices.SortStableFunc(all, func(a, b incoming) int { return int(a.at - b.at) })
	return all
}

// hears is whether the router itself would have been handed a packet of its LAN.
func (s *script) hears(p *ask.Packet) bool {
	if s.owner(p.From) != nil {
		// Of its own host it hears memberships and questions to all routers.
		switch igmp.Type(p.Message[0]) {
		case igmp.TypeReportV1, igmp.TypeReportV2, igmp.TypeReportV3, igmp.TypeLeave, igmp.TypeMtraceQuery:
			return p.To.IsMulticast()
		}
		return false
	}
	for _, f := range s.faces {
		if f.network.Contains(p.To) && p.To != f.address {
			return f.lan != lanOf(s, p.From) // in transit, or between two others
		}
	}
	return true
}

// lanOf is the LAN that an address is on, empty if it is on none of the router's.
func lanOf(s *script, a netip.Addr) string {
	for _, f := range s.faces {
		if f.network.Contains(a) {
			return f.lan
		}
	}
	return ""
}

// replay is the world of one engine.
type replay struct {
	t      *testing.T
	s      *script
	engine *router.Engine
	now    time.Duration
	began  time.Duration
	judge  *judge // nil: nobody looks
	log    []string

	packets []incoming // not yet heard
	entries map[flow]*installed
	data    []*stream
	answers []incoming // not yet arrived
	// forwards are the statements about entries that were not looked at yet.
	forwards []statement
}

type flow struct{ source, group netip.Addr }

// installed is an entry of the kernel.
type installed struct {
	in      host.Interface
	outputs []host.Interface
}

// stream is data that comes in on an interface.
type stream struct {
	flow
	iface *face
	flows bool
	next  time.Duration // of the packets
	// right and wrong count the packets so far on the incoming interface of the
	// entry, and on another one.
	right, wrong uint64
}

func newReplay(t *testing.T, s *script) *replay {
	r := &replay{t: t, s: s, judge: newJudge(t, s), entries: make(map[flow]*installed)}
	logs := host.NewLogs(slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug})))
	r.engine = router.New(rand.New(rand.NewPCG(14, 1)), r, logs)
	return r
}

// Flow implements host.Counters.
func (r *replay) Flow(source, group netip.Addr) (host.FlowCount, bool) {
	if r.entries[flow{source, group}] == nil {
		return host.FlowCount{}, false
	}
	var n host.FlowCount
	for _, d := range r.data {
		if d.flow == (flow{source, group}) {
			n.Packets += d.right + d.wrong
			n.WrongIf += d.wrong
		}
	}
	n.Bytes = 100 * n.Packets
	return n, true
}

// Link implements host.Counters.
func (r *replay) Link(host.Interface) (host.LinkCount, bool) { return host.LinkCount{}, true }

// run feeds the engine with what the script and the recording say, in the order of
// time.
func (r *replay) run(s *script, packets []incoming) {
	r.packets = packets
	running := false
	r.forwards = s.outputs()
	for i, st := range s.statements {
		for len(r.packets) > 0 && r.packets[0].at < st.at {
			in := r.packets[0]
			r.packets = r.packets[1:]
			if running && in.iface.up {
				r.until(in.at)
				r.receive(&in)
			}
		}
		if running {
			r.until(st.at)
		}
		r.now = st.at
		if r.judge != nil && (i == 0 || s.statements[i-1].at < st.at) {
			// What is expected from now on, before the engine hears what happened.
			for _, same := range s.statements[i:] {
				if same.at == st.at {
					r.judge.take(&same)
				}
			}
		}
		switch st.verb {
		case "start":
			running, r.began = true, st.at
			r.handle(&host.Configured{Settings: settings()})
			for _, f := range s.faces {
				r.setLink(f, true)
			}
		case "up", "down":
			r.setLink(st.face, st.verb == "up")
		case "data":
			d := &stream{flow: flow{st.addrs[0], st.addrs[1]}, iface: st.face, flows: true, next: st.at}
			r.data = append(slices.DeleteFunc(r.data, func(o *stream) bool { return o.flow == d.flow && !o.flows }), d)
		case "stops":
			for _, d := range r.data {
				if d.iface == st.face && d.flow == (flow{st.addrs[0], st.addrs[1]}) {
					d.flows = false
				}
			}
		case "shutdown":
			r.handle(&host.Shutdown{})
			running = false
		case "end":
			if r.judge != nil {
				r.judge.end(st.at)
			}
			return
		}
	}
}

// outputs are the statements about entries, in the order in which they are looked
// at.
func (s *script) outputs() (all []statement) {
	for _, st := range s.statements {
		if st.verb == "forwards" {
			all = append(all, st)
		}
	}
	slices.SortStableFunc(all, func(a, b statement) int { return int(a.window.to - b.window.to) })
	return all
}

// until lets time pass, and looks at the entries that are to be as they should.
func (r *replay) until(at time.Duration) {
	for len(r.forwards) > 0 && r.forwards[0].window.to < at {
		st := r.forwards[0]
		r.forwards = r.forwards[1:]
		r.pass(st.window.to)
		e := r.entries[flow{st.addrs[0], st.addrs[1]}]
		if e == nil || !slices.Equal(e.outputs, st.outputs) {
			r.t.Errorf("%.6f line %d: the entry of the flow is %+v, want outputs %v", st.window.to.Seconds(), st.line, e, st.outputs)
		}
	}
	r.pass(at)
}

// pass lets time pass: deadlines, data and answers that come before at.
func (r *replay) pass(at time.Duration) {
	for turn := 0; ; turn++ {
		if turn > 100_000 {
			r.t.Fatalf("%v: the engine does not come to rest", r.now)
		}
		next, do := at, func() {}
		if due, ok := r.engine.Deadline(r.now - r.began); ok && due+r.began < next {
			next, do = max(due+r.began, r.now), func() { r.handle(&host.Tick{}) }
		}
		for _, d := range r.data {
			if d.flows && d.next < next {
				next, do = d.next, func() { r.arrive(d) }
			}
		}
		if len(r.answers) > 0 && r.answers[0].at < next {
			next, do = r.answers[0].at, func() {
				in := r.answers[0]
				r.answers = r.answers[1:]
				r.receive(&in)
			}
		}
		if next >= at {
			return
		}
		r.now = next
		do()
	}
}

// arrive is a packet of a stream: if the kernel has no entry for it, it asks.
func (r *replay) arrive(d *stream) {
	d.next += dataEvery
	up := host.Upcall{Kind: host.NoCache, Interface: d.iface.id, Source: d.source, Group: d.group}
	if e := r.entries[d.flow]; e != nil {
		if e.in == d.iface.id {
			d.right++
			return
		}
		d.wrong++
		up.Kind = host.WrongVif
	}
	r.handle(&up)
}

func (r *replay) setLink(f *face, up bool) {
	f.up = up
	r.handle(&host.LinkChanged{Link: host.Link{
		ID: f.id, Name: f.name, Up: up, Address: f.address,
		Networks: []host.Network{{Address: f.address, Prefix: f.network}},
		LinkSettings: host.LinkSettings{
			Enabled: true, Metric: f.metric, Threshold: 1, PruneLifetime: 2 * time.Hour, IGMP: 3,
		},
	}})
}

// settings are mroutd's defaults.
func settings() host.Settings {
	return host.Settings{
		Version: ownVersion, Generation: ownGeneration, CacheLifetime: 5 * time.Minute,
		RouterAlert: true, Forwarding: true,
		IGMP: host.IGMP{
			QueryInterval: 125 * time.Second, ResponseInterval: 10 * time.Second, LastMemberInterval: time.Second,
			Robustness: 2, OtherQuerierPresent: 255 * time.Second,
		},
		Asking: host.Asking{Local: true, Private: true, Routed: true},
		Limits: host.Limits{Routes: 1000, Neighbors: 100, Groups: 1000, Sources: 1000, Entries: 1000, Prunes: 1000},
	}
}

// receive gives the engine a packet.
func (r *replay) receive(in *incoming) {
	r.now = max(r.now, in.at)
	r.handle(&host.Packet{
		Interface: in.iface.id, From: in.From, To: in.To, TTL: in.TTL, Alert: true,
		Header: header(&in.Packet), Wall: in.Time, Message: slices.Clone(in.Message),
	})
}

// header is the IP header of a packet, which had Router Alert, as all of the
// recording had.
func header(p *ask.Packet) []byte {
	h := make([]byte, 24)
	h[0], h[1], h[8], h[9] = 0x46, 0xc0, p.TTL, 2
	binary.BigEndian.PutUint16(h[2:], uint16(len(h)+len(p.Message)))
	copy(h[12:], p.From.AsSlice())
	copy(h[16:], p.To.AsSlice())
	copy(h[20:], []byte{0x94, 4, 0, 0})
	binary.BigEndian.PutUint16(h[10:], igmp.Checksum(h))
	return h
}

// handle gives the engine an event, and does what it wants done.
func (r *replay) handle(e host.Event) {
	actions := r.engine.Handle(r.now-r.began, e)
	for _, e := range actions.Entries {
		f := flow{e.Source, e.Group}
		delete(r.entries, f)
		if e.In != 0 {
			k := &installed{in: e.In}
			for _, o := range e.Outputs {
				k.outputs = append(k.outputs, o.Interface)
			}
			r.entries[f] = k
		}
	}
	for i := range actions.Send {
		r.sent(&actions.Send[i])
	}
}

// sent is a packet that the engine wants sent: the network reacts to it.
func (r *replay) sent(p *host.Send) {
	m := describe(p)
	r.log = append(r.log, r.now.String()+" "+m.String())
	if r.judge != nil {
		r.judge.sent(r.now, p, m)
	}
	if igmp.Type(p.Message[0]) != igmp.TypeDVMRP || p.Header != nil {
		return
	}
	code := dvmrp.Code(p.Message[1])
	if code == dvmrp.CodeGraft && !r.willAcknowledge(p.To) {
		r.answer(p.To, &dvmrp.Graft{Version: dvmrp.Mrouted, Ack: true, Source: r.data[0].source, Group: r.data[0].group})
	}
	switch code {
	case dvmrp.CodePrune, dvmrp.CodeGraft:
		for _, d := range r.data {
			if d.iface.network.Contains(p.To) && m.about(d.flow) {
				d.flows, d.next = dvmrp.Code(p.Message[1]) == dvmrp.CodeGraft, r.now+dataEvery
			}
		}
	case dvmrp.CodeInfoRequest:
		r.answer(p.To, &dvmrp.Info{
			Version: dvmrp.Mrouted, Reply: true, TLVs: []dvmrp.TLV{{Type: dvmrp.InfoVersion, Value: []byte(peerVersion)}},
		})
	}
}

// willAcknowledge is whether the recording has an acknowledgement of a graft that
// is sent now.
func (r *replay) willAcknowledge(from netip.Addr) bool {
	for _, in := range r.packets {
		if in.at > r.now+time.Second {
			break
		}
		if in.From == from && igmp.Type(in.Message[0]) == igmp.TypeDVMRP && dvmrp.Code(in.Message[1]) == dvmrp.CodeGraftAck {
			return true
		}
	}
	return false
}

// answer is what a neighbour would have said to something that mrouted did not say
// when it was recorded.
func (r *replay) answer(from netip.Addr, m interface{ AppendBinary([]byte) ([]byte, error) }) {
	message, err := m.AppendBinary(nil)
	if err != nil {
		r.t.Fatal(err)
	}
	for _, f := range r.s.faces {
		if f.network.Contains(from) {
			r.answers = append(r.answers, incoming{r.now + peerTakes, f, ask.Packet{
				Time: r.s.epoch.Add(r.now + peerTakes), From: from, To: f.address, TTL: 255, Message: message,
			}})
		}
	}
}
