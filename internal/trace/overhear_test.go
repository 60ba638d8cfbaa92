package trace

import (
	"encoding/hex"
	"net/netip"
	"strings"
	"testing"
	"time"

	"mbone/internal/ask"
	"mbone/proto/igmp"
	"mbone/proto/mtrace"
	"mbone/report"
)

// The trace of captures lab-14-1: a query on the receiver's link, the request
// that its router sent on, and the response, all by mrouted 4.6.
const (
	recordedQuery   = `1f 20 0d c8 e0 02 02 02 c0 a8 01 01 c0 a8 07 07 c0 a8 07 07 48 0a 57 ff`
	recordedRequest = `1f 20 53 b1 e0 02 02 02 c0 a8 01 01 c0 a8 07 07 c0 a8 07 07 48 0a 57 ff
		7c d5 d0 cd c0 a8 02 07 c0 a8 07 07 c0 a8 02 fe 00 00 01 6a 00 00 01 69 00 00 02 97 01 01 18 02`
	recordedResponse = `1e 20 61 1a e0 02 02 02 c0 a8 01 01 c0 a8 07 07 c0 a8 07 07 48 0a 57 ff
		7c d5 d0 cd c0 a8 02 07 c0 a8 07 07 c0 a8 02 fe 00 00 01 6a 00 00 01 69 00 00 02 97 01 01 18 02
		7c d5 d0 d9 c0 a8 01 fe c0 a8 02 fe 00 00 00 00 00 00 02 96 00 00 01 6a 00 00 02 96 01 01 18 03`
)

// recordedAt is near the time of the recording.
var recordedAt = time.Unix(1795292757, 815_674_000)

func packet(t *testing.T, from, to, text string, at time.Time) *ask.Packet {
	t.Helper()
	message, err := hex.DecodeString(strings.Join(strings.Fields(text), ""))
	if err != nil {
		t.Fatal(err)
	}
	return &ask.Packet{Time: at, From: addr(from), To: addr(to), TTL: 1, Message: message}
}

func TestOverhear(t *testing.T) {
	var o Overhearer
	if o.Packet(packet(t, "192.168.7.7", "224.0.0.2", recordedQuery, recordedAt)) != nil {
		t.Error("a query is no answer")
	}
	if o.Packet(packet(t, "192.168.2.7", "192.168.2.254", recordedRequest, recordedAt.Add(100*time.Microsecond))) != nil {
		t.Error("a request in transit is no answer")
	}
	if n := o.Unanswered(); n != 1 {
		t.Errorf("%d unanswered queries, want 1", n)
	}
	response := packet(t, "192.168.1.254", "192.168.7.7", recordedResponse, recordedAt.Add(300*time.Microsecond))
	p := o.Packet(response)
	if p == nil {
		t.Fatal("no path")
	}
	if o.Packet(response) != nil {
		t.Error("a repeated answer gave another path")
	}
	if o.Unanswered() != 0 {
		t.Error("the answered query still waits")
	}
	if !p.Reached || !p.Complete || p.Method != report.MethodOverheard || p.Statistics != nil {
		t.Errorf("reached %v, complete %v, method %s", p.Reached, p.Complete, p.Method)
	}
	if p.Source.String() != "192.168.1.1" || p.Receiver.String() != "192.168.7.7" || p.Group.String() != "224.2.2.2" {
		t.Errorf("from %s to %s via %s", p.Source, p.Receiver, p.Group)
	}
	q := p.Query
	if q.To.String() != "224.0.0.2" || q.From.String() != "192.168.7.7" || q.Hops == nil || *q.Hops != 32 || q.AnsweredFrom.String() != "192.168.1.254" ||
		p.RTT.Duration() != 300*time.Microsecond {
		t.Errorf("query %+v, round trip %v", q, p.RTT.Duration())
	}
	if p.TTLRequired == nil || *p.TTLRequired != 3 {
		t.Errorf("TTL %v, want 3: two routers with threshold 1", p.TTLRequired)
	}
	h := p.Hops[1]
	if h.Number != 2 || h.Address.String() != "192.168.2.254" || h.Incoming.String() != "192.168.1.254" || h.Previous.IsValid() ||
		h.Protocol != "DVMRP" || h.Code != "prune_rcvd" || h.Error != "Output pruned" || h.Fatal || h.FwdTTL != 1 {
		t.Errorf("hop 2: %+v", h)
	}
	if *h.PacketsIn != 0x296 || *h.PacketsOut != 0x16a || *h.PacketsGroup != 0x296 || h.SourceNet.String() != "192.168.1.0/24" || h.WholeNet {
		t.Errorf("hop 2: in %d, out %d, group %d of %s", *h.PacketsIn, *h.PacketsOut, *h.PacketsGroup, h.SourceNet)
	}
	raw := report.RawBlock{
		Arrival: 0x7cd5d0d9, Incoming: addr("192.168.1.254"), Outgoing: addr("192.168.2.254"), Previous: addr("0.0.0.0"),
		PacketsIn: 0x296, PacketsOut: 0x16a, PacketsGroup: 0x296, Protocol: 1, FwdTTL: 1, Mask: 0x18, Code: 3,
	}
	if h.Raw != raw {
		t.Errorf("raw %+v, want %+v", h.Raw, raw)
	}
	// 12 units of 1/65536 s are 183 µs.
	if d := h.Delay.Duration(); d != 12*time.Second>>16 {
		t.Errorf("delay %v", d)
	}
	if got := h.Arrival.Unix(); got != recordedAt.Unix() {
		t.Errorf("arrival %v", h.Arrival)
	}
}

// TestOverhearWithoutQuery: the recording began too late.
func TestOverhearWithoutQuery(t *testing.T) {
	var o Overhearer
	p := o.Packet(packet(t, "192.168.1.254", "192.168.7.7", recordedResponse, recordedAt))
	if p == nil || p.RTT != nil || p.Query.SentAt != nil || p.Hops[0].Elapsed != nil || p.Hops[1].Delay == nil || !p.Reached {
		t.Errorf("path %+v", p)
	}
}

func TestOverhearMatch(t *testing.T) {
	o := Overhearer{Match: func(source, _, _ netip.Addr) bool { return source == addr("192.168.1.2") }}
	if o.Packet(packet(t, "192.168.1.254", "192.168.7.7", recordedResponse, recordedAt)) != nil {
		t.Error("another source's path")
	}
}

// later is the recorded response with another id and more packets counted.
func later(t *testing.T, id uint32, at time.Time, change func(*mtrace.Message)) *ask.Packet {
	t.Helper()
	p := packet(t, "192.168.1.254", "192.168.7.7", recordedResponse, at)
	var m mtrace.Message
	if err := m.Parse(p.Message); err != nil {
		t.Fatal(err)
	}
	m.QueryID = id
	for i := range m.Blocks {
		m.Blocks[i].PacketsIn += 100
		m.Blocks[i].PacketsOut += 100
		m.Blocks[i].Arrival += 10 << 16
	}
	if change != nil {
		change(&m)
	}
	message, err := m.AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	p.Message = message
	return p
}

func TestOverhearStatistics(t *testing.T) {
	start := func() *Overhearer {
		var o Overhearer
		o.Packet(packet(t, "192.168.1.254", "192.168.7.7", recordedResponse, recordedAt))
		return &o
	}
	tenLater := recordedAt.Add(10 * time.Second)
	p := start().Packet(later(t, 1, tenLater, nil))
	if p.Statistics == nil {
		t.Fatal("no statistics")
	}
	if all := p.Statistics.Links[1].Total.All; *all.Sent != 100 || *all.Received != 100 || *all.Lost != 0 || p.Statistics.Links[1].Total.Seconds != 10 {
		t.Errorf("%+v", p.Statistics.Links[1].Total)
	}
	if p := start().Packet(later(t, 1, recordedAt.Add(501*time.Second), nil)); p.Statistics != nil {
		t.Error("statistics after more than 500 s")
	}
	other := func(m *mtrace.Message) { m.Blocks[0].Incoming = addr("192.168.2.8") }
	if p := start().Packet(later(t, 1, tenLater, other)); p.Statistics != nil {
		t.Error("statistics of another path")
	}
	shorter := func(m *mtrace.Message) { m.Blocks = m.Blocks[:1]; m.Hops = 1 }
	if p := start().Packet(later(t, 1, tenLater, shorter)); p.Statistics != nil || p.Reached ||
		p.Next == nil || p.Next.Verdict != report.WouldBeNext || p.Reason != "hop 1, 192.168.7.7: Prune sent upstream" {
		t.Errorf("a shorter path: %+v", p)
	}
}

// TestOverhearHostile: garbage costs nothing, and floods are forgotten.
func TestOverhearHostile(t *testing.T) {
	var o Overhearer
	for _, text := range []string{"", "1e", "1e 20 00 00", recordedResponse[:100], "ff" + recordedResponse[2:]} {
		p := packet(t, "192.168.1.254", "192.168.7.7", "", recordedAt)
		p.Message, _ = hex.DecodeString(strings.Join(strings.Fields(text), ""))
		if o.Packet(p) != nil {
			t.Errorf("%q gave a path", text)
		}
	}
	for id := range uint32(maxPending + 2*maxPaths) {
		o.Packet(later(t, id, recordedAt, func(m *mtrace.Message) {
			m.Source = netip.AddrFrom4([4]byte{10, byte(id >> 16), byte(id >> 8), byte(id)})
		}))
	}
	if q, p := len(o.queries.values), len(o.paths.values); q > maxPending || p > maxPaths || len(o.queries.order) != q || len(o.paths.order) != p {
		t.Errorf("%d queries, %d paths kept", q, p)
	}
}

// TestDamagedAnswer: Debian's pimd writes over a byte and leaves a bad checksum.
func TestDamagedAnswer(t *testing.T) {
	var o Overhearer
	p := packet(t, "192.168.1.254", "192.168.7.7", recordedResponse, recordedAt)
	p.Message[9] = 125
	path := o.Packet(p)
	if path == nil || !path.Query.BadChecksum || path.Source.String() != "192.125.1.1" || path.Hops[0].Unreliable[0].Field != "raw" {
		t.Errorf("path %+v", path)
	}
}

// TestOldTimes: mrouted 3.3 wrote Unix time, mrouted 3.5 no fraction.
func TestOldTimes(t *testing.T) {
	sent := recordedAt
	tracer := func(arrival uint32) *Tracer {
		tr := New(nil, question(), nil)
		tr.last = &ask.TraceAnswer{Sent: sent, Received: sent.Add(5 * time.Millisecond)}
		tr.hops = []hop{{Block: mtrace.Block{Arrival: arrival, Incoming: addr("10.20.0.1"), Outgoing: addr("10.1.0.2"), Previous: addr("10.20.0.2")}, answer: tr.last}}
		return tr
	}
	arrived := sent.Add(2 * time.Millisecond)
	good := tracer(mtrace.Time(arrived)).hopReport(0)
	if d := good.Elapsed.Duration().Round(time.Millisecond); d != 2*time.Millisecond || len(good.Unreliable) != 0 {
		t.Errorf("good time: %v, %v", d, good.Unreliable)
	}
	unix := uint32(arrived.Unix()) << 16
	repaired := tracer(unix).hopReport(0)
	if d := repaired.Elapsed.Duration(); d > time.Second || d < -time.Second || len(repaired.Unreliable) != 1 {
		t.Errorf("Unix time: %v, %v", d, repaired.Unreliable)
	}
	unknown := tracer(0).hopReport(0)
	if unknown.Arrival != nil || unknown.Elapsed != nil || unknown.Delay != nil {
		t.Errorf("no time: %v", unknown.Arrival)
	}
	a, b := tracer(0x7cd50000), tracer(0x7cdf0100)
	newSeries(sent, a.hops).take(b.hops)
	if r := b.hopReport(0); r.Arrival != nil || len(r.Unreliable) != 1 || r.Unreliable[0].Field != "arrival" {
		t.Errorf("whole seconds: %v, %v", r.Arrival, r.Unreliable)
	}
}

func TestRecordedChecksums(t *testing.T) {
	for _, text := range []string{recordedQuery, recordedRequest, recordedResponse} {
		if !igmp.VerifyChecksum(packet(t, "192.168.1.254", "192.168.7.7", text, recordedAt).Message) {
			t.Errorf("copied wrongly: %s", text)
		}
	}
}
