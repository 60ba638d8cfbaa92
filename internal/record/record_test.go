package record

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"

	"mbone/internal/ask"
	"mbone/proto/igmp"
)

const captures = "../../proto/testdata/lab-14-1"

// ipv4 makes an IPv4 datagram.
func ipv4(protocol byte, options int, message []byte) []byte {
	header := 20 + options
	b := make([]byte, header, header+len(message))
	b[0] = 4<<4 | byte(header/4)
	binary.BigEndian.PutUint16(b[2:], uint16(header+len(message)))
	b[8], b[9] = 255, protocol
	copy(b[12:], []byte{192, 168, 7, 7, 192, 168, 7, 254})
	return append(b, message...)
}

var ask2 = []byte{0x13, 0x05, 0xed, 0xf8, 0x00, 0x0e, 0xff, 0x03}

// when is a time with nanoseconds.
var when = time.Unix(1_700_000_000, 123_456_789)

// pcapOf writes frames as pcap.
func pcapOf(t testing.TB, link layers.LinkType, frames ...[]byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := pcapgo.NewWriterNanos(&b)
	if err := w.WriteFileHeader(262144, link); err != nil {
		t.Fatal(err)
	}
	for _, f := range frames {
		if err := w.WritePacket(gopacket.CaptureInfo{Timestamp: when, CaptureLength: len(f), Length: len(f)}, f); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}

func frame14(kind uint16, rest ...byte) []byte {
	return append(binary.BigEndian.AppendUint16(make([]byte, 12), kind), rest...)
}

func TestLinkTypes(t *testing.T) {
	ip := ipv4(2, 0, ask2)
	cooked := binary.BigEndian.AppendUint16(make([]byte, 14), 0x0800)
	cooked2 := append([]byte{0x08, 0x00}, make([]byte, 18)...)
	tests := []struct {
		name  string
		link  uint32
		frame []byte
		stats Stats
	}{
		{"Ethernet", 1, append(frame14(0x0800), ip...), Stats{IGMP: 1}},
		{"Ethernet, padded", 1, append(append(frame14(0x0800), ip...), make([]byte, 18)...), Stats{IGMP: 1}},
		{"VLAN", 1, append(frame14(0x8100, 0, 7, 0x08, 0), ip...), Stats{IGMP: 1}},
		{"VLAN in VLAN", 1, append(frame14(0x88a8, 0, 7, 0x81, 0, 0, 8, 0x08, 0), ip...), Stats{IGMP: 1}},
		{"ARP", 1, append(frame14(0x0806), ip...), Stats{Other: 1}},
		{"IPv6", 1, append(frame14(0x86dd), ip...), Stats{Other: 1}},
		{"UDP", 1, append(frame14(0x0800), ipv4(17, 0, ask2)...), Stats{Other: 1}},
		{"cut in the Ethernet head", 1, frame14(0x0800)[:13], Stats{Malformed: 1}},
		{"cut in the tag", 1, frame14(0x8100, 0, 7, 8), Stats{Malformed: 1}},
		{"cut in the IP header", 1, append(frame14(0x0800), ip[:19]...), Stats{Malformed: 1}},
		{"cut in the message", 1, append(frame14(0x0800), ip[:27]...), Stats{Truncated: 1}},
		{"tags without end", 1, frame14(0x8100, bytes.Repeat([]byte{0, 1, 0x81, 0}, 20)...), Stats{Other: 1}},
		{"options", 1, append(frame14(0x0800), ipv4(2, 4, ask2)...), Stats{IGMP: 1}},
		{"cooked", 113, append(cooked, ip...), Stats{IGMP: 1}},
		{"cooked 2", 276, append(cooked2, ip...), Stats{IGMP: 1}},
		{"raw", 101, ip, Stats{IGMP: 1}},
		{"raw, IPv6", 101, append([]byte{0x60}, ip...), Stats{Other: 1}},
		{"raw, other numbers", 12, ip, Stats{IGMP: 1}},
		{"IPv4", 228, ip, Stats{IGMP: 1}},
		{"null, little endian", 0, append([]byte{2, 0, 0, 0}, ip...), Stats{IGMP: 1}},
		{"null, big endian", 0, append([]byte{0, 0, 0, 2}, ip...), Stats{IGMP: 1}},
		{"null, IPv6", 0, append([]byte{24, 0, 0, 0}, ip...), Stats{Other: 1}},
		{"loop", 108, append([]byte{0, 0, 0, 2}, ip...), Stats{IGMP: 1}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			file := pcapOf(t, 0, test.frame)
			binary.LittleEndian.PutUint32(file[20:], test.link)
			var got []ask.Packet
			stats, err := ReadStats(bytes.NewReader(file), func(p *ask.Packet) error {
				got = append(got, *p)
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			test.stats.Packets = 1
			if stats != test.stats {
				t.Errorf("counted %+v, want %+v", stats, test.stats)
			}
			if len(got) != test.stats.IGMP {
				t.Fatalf("%d packets, want %d", len(got), test.stats.IGMP)
			}
			for _, p := range got {
				if !p.Time.Equal(when) || p.From != netip.MustParseAddr("192.168.7.7") ||
					p.To != netip.MustParseAddr("192.168.7.254") || p.TTL != 255 || !bytes.Equal(p.Message, ask2) {
					t.Errorf("got %+v", p)
				}
			}
		})
	}
}

// The recordings of a real network: every packet, as another reader sees it.
func TestCaptures(t *testing.T) {
	files, err := filepath.Glob(captures + "/*.pcap")
	if err != nil || len(files) != 4 {
		t.Fatalf("%d recordings, %v, want 4", len(files), err)
	}
	total := 0
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		r, err := pcapgo.NewReader(bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		var want, got []string
		for {
			data, ci, err := r.ReadPacketData()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			ip := gopacket.NewPacket(data, layers.LayerTypeEthernet, gopacket.Default).Layer(layers.LayerTypeIPv4).(*layers.IPv4)
			want = append(want, fmt.Sprintf("%d %v %v %d %x", ci.Timestamp.UnixNano(), ip.SrcIP, ip.DstIP, ip.TTL, ip.Payload))
		}
		err = Read(bytes.NewReader(b), func(p *ask.Packet) error {
			if !igmp.VerifyChecksum(p.Message) {
				t.Errorf("%s: checksum of % x", file, p.Message)
			}
			got = append(got, fmt.Sprintf("%d %v %v %d %x", p.Time.UnixNano(), p.From, p.To, p.TTL, p.Message))
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", file, diff)
		}
		total += len(got)
	}
	if total != 353 {
		t.Errorf("%d packets, want 353", total)
	}
}

// ngOf writes frames as pcapng on interfaces of several link types and
// resolutions of time.
func ngOf(t testing.TB) []byte {
	t.Helper()
	var b bytes.Buffer
	ethernet := pcapgo.NgInterface{LinkType: layers.LinkTypeEthernet, TimestampResolution: 9, Name: "eth0", SnapLength: 1500}
	w, err := pcapgo.NewNgWriterInterface(&b, ethernet, pcapgo.DefaultNgWriterOptions)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := w.AddInterface(pcapgo.NgInterface{LinkType: layers.LinkTypeRaw, TimestampResolution: 9})
	if err != nil {
		t.Fatal(err)
	}
	odd, err := w.AddInterface(pcapgo.NgInterface{LinkType: 147, TimestampResolution: 6})
	if err != nil {
		t.Fatal(err)
	}
	ip := ipv4(2, 0, ask2)
	for _, p := range []struct {
		index int
		data  []byte
	}{{0, append(frame14(0x0800), ip...)}, {raw, ip}, {odd, ip}, {raw, ip}} {
		ci := gopacket.CaptureInfo{Timestamp: when, CaptureLength: len(p.data), Length: len(p.data), InterfaceIndex: p.index}
		if err := w.WritePacket(ci, p.data); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.WriteInterfaceStats(0, pcapgo.NgInterfaceStatistics{PacketsReceived: 4}); err != nil {
		t.Fatal(err)
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestPcapng(t *testing.T) {
	file := ngOf(t)
	var times []time.Time
	read := func(file []byte) Stats {
		times = nil
		stats, err := ReadStats(bytes.NewReader(file), func(p *ask.Packet) error {
			times = append(times, p.Time)
			if !bytes.Equal(p.Message, ask2) {
				t.Errorf("message % x", p.Message)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		return stats
	}
	if got, want := read(file), (Stats{Packets: 4, IGMP: 3, Unknown: 1}); got != want {
		t.Errorf("counted %+v, want %+v", got, want)
	}
	for i, at := range times {
		if !at.Equal(when) {
			t.Errorf("packet %d at %v, want %v", i, at, when)
		}
	}
	// Two sections, with gzip.
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	w.Write(file)
	w.Write(file)
	w.Close()
	if got, want := read(z.Bytes()), (Stats{Packets: 8, IGMP: 6, Unknown: 2}); got != want {
		t.Errorf("two sections: counted %+v, want %+v", got, want)
	}
}

// A big-endian section with a simple and an obsolete packet, and an option to the
// time, byte by byte.
func TestPcapngBytes(t *testing.T) {
	ip := ipv4(2, 0, ask2) // 28 bytes
	var b []byte
	block := func(kind uint32, body ...byte) {
		n := uint32(12 + len(body))
		b = binary.BigEndian.AppendUint32(b, kind)
		b = binary.BigEndian.AppendUint32(b, n)
		b = append(b, body...)
		b = binary.BigEndian.AppendUint32(b, n)
	}
	block(0x0a0d0d0a, 0x1a, 0x2b, 0x3c, 0x4d, 0, 1, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255)
	block(0x0bad, 1, 2, 3, 4)                          // unknown
	block(1, append([]byte{0, 101, 0, 0, 0, 0, 0, 28}, // raw IP, 28 bytes of each packet
		0, 9, 0, 1, 0x81, 0, 0, 0, // time in halves of a second
		0, 14, 0, 8, 0, 0, 0, 0, 0, 0, 0, 100, // from second 100 on
		0, 0, 0, 0)...)
	block(3, append([]byte{0, 0, 0, 60}, ip...)...) // of 60 bytes, 28 recorded
	block(2, append([]byte{0, 0, 255, 255, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 28, 0, 0, 0, 28}, ip...)...)
	var times []time.Time
	stats, err := ReadStats(bytes.NewReader(b), func(p *ask.Packet) error { times = append(times, p.Time); return nil })
	if want := (Stats{Packets: 2, IGMP: 2}); err != nil || stats != want {
		t.Fatalf("counted %+v, %v, want %+v", stats, err, want)
	}
	if !times[0].IsZero() || !times[1].Equal(time.Unix(102, 500_000_000)) {
		t.Errorf("times %v, want none and 102.5 s", times)
	}
}

// fragment cuts a datagram into fragments of n bytes of payload.
func fragment(b []byte, n int) [][]byte {
	header := int(b[0]&0xf) * 4
	var all [][]byte
	for at := header; at < len(b); at += n {
		end := min(at+n, len(b))
		f := append(bytes.Clone(b[:header]), b[at:end]...)
		binary.BigEndian.PutUint16(f[2:], uint16(len(f)))
		flags := uint16((at - header) / 8)
		if end < len(b) {
			flags |= 0x2000
		}
		binary.BigEndian.PutUint16(f[6:], flags)
		all = append(all, f)
	}
	return all
}

func TestFragments(t *testing.T) {
	message := make([]byte, 8184)
	for i := range message {
		message[i] = byte(i * 7)
	}
	whole := ipv4(2, 0, message)
	pieces := fragment(whole, 1480)
	if len(pieces) != 6 {
		t.Fatalf("%d fragments, want 6", len(pieces))
	}
	reversed := make([][]byte, 0, len(pieces))
	for i := range pieces {
		reversed = append(reversed, pieces[len(pieces)-1-i])
	}
	overlapping := fragment(whole, 1472)[1]
	tests := []struct {
		name string
		in   [][]byte
		igmp int
	}{
		{"in order", pieces, 1},
		{"reversed", reversed, 1},
		{"each twice", append(append([][]byte{}, pieces[:3]...), pieces...), 1},
		{"one missing", append(append([][]byte{}, pieces[:2]...), pieces[3:]...), 0},
		{"first missing", pieces[1:], 0},
		{"last missing", pieces[:5], 0},
		{"overlapping", append([][]byte{pieces[0], overlapping}, pieces[1:]...), 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := 0
			stats, err := ReadStats(bytes.NewReader(pcapOf(t, layers.LinkTypeRaw, test.in...)), func(p *ask.Packet) error {
				got++
				if !bytes.Equal(p.Message, message) {
					t.Error("put together wrongly")
				}
				return nil
			})
			if err != nil || got != test.igmp || stats.Fragments != len(test.in) {
				t.Errorf("%d datagrams of %d fragments, %v, want %d of %d", got, stats.Fragments, err, test.igmp, len(test.in))
			}
		})
	}
}

func TestDamaged(t *testing.T) {
	good := pcapOf(t, layers.LinkTypeRaw, ipv4(2, 0, ask2), ipv4(2, 0, ask2))
	long := bytes.Clone(good)
	binary.LittleEndian.PutUint32(long[24+8:], 1<<31)
	ng := ngOf(t)
	block := bytes.Clone(ng)
	binary.LittleEndian.PutUint32(block[4:], 13)
	tests := []struct {
		name string
		file []byte
		igmp int
		want string
		is   error
	}{
		{"empty", nil, 0, "recording: neither pcap nor pcapng: it is empty", ErrFormat},
		{"text", []byte("hello, world"), 0, "recording: neither pcap nor pcapng: unexpected EOF", ErrFormat},
		{"long text", bytes.Repeat([]byte("hello"), 100), 0, "recording: neither pcap nor pcapng", ErrFormat},
		{"three bytes", good[:3], 0, "recording: neither pcap nor pcapng", ErrFormat},
		{"cut in the second packet", good[:len(good)-1], 1, "recording: packet 2: unexpected EOF", io.ErrUnexpectedEOF},
		{"cut in the second head", good[:len(good)-30], 1, "recording: packet 2: unexpected EOF", io.ErrUnexpectedEOF},
		{"a huge length", long, 0, "recording: packet 1: longer than any packet", errTooLong},
		{"pcapng cut", ng[:len(ng)-90], 2, "recording: packet 4: unexpected EOF", io.ErrUnexpectedEOF},
		{"pcapng with an odd length", block, 0, "recording: packet 1: damaged block", errBlock},
		{"unknown link type only", pcapOf(t, 147, ask2), 0, "recording: link type not supported: 147", ErrLinkType},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			stats, err := ReadStats(bytes.NewReader(test.file), func(*ask.Packet) error { return nil })
			if err == nil || err.Error() != test.want || !errors.Is(err, test.is) || stats.IGMP != test.igmp {
				t.Errorf("got %d packets, %v, want %d, %s", stats.IGMP, err, test.igmp, test.want)
			}
		})
	}
	stop := errors.New("enough")
	if err := Read(bytes.NewReader(good), func(*ask.Packet) error { return stop }); !errors.Is(err, stop) || err.Error() != stop.Error() {
		t.Errorf("got %v, want the error of the function as it is", err)
	}
}

// endless is a stream without end of what a function writes.
type endless struct {
	next  func(i int) []byte
	i     int
	limit int
	rest  []byte
	live  int // bytes in use when it ended
}

// heap returns the bytes in use.
func heap() int {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

func (e *endless) Read(b []byte) (int, error) {
	if len(e.rest) == 0 {
		if e.i == e.limit {
			e.live = heap()
			return 0, io.EOF
		}
		e.rest = e.next(e.i)
		e.i++
	}
	n := copy(b, e.rest)
	e.rest = e.rest[n:]
	return n, nil
}

// However long a recording is, and whatever it claims, memory stays flat.
func TestMemoryIsBounded(t *testing.T) {
	const most = 8 << 20 // 64 datagrams of 32 KiB, and buffers
	head := pcapOf(t, layers.LinkTypeRaw)
	first := bytes.Repeat([]byte{0}, 60000)
	fragments := func(i int) []byte {
		if i == 0 {
			return head
		}
		b := fragment(ipv4(2, 0, first), 32000)[0]
		binary.BigEndian.PutUint32(b[12:], uint32(i))
		return pcapOf(t, layers.LinkTypeRaw, b)[24:]
	}
	section := ngOf(t)
	describe := []byte{1, 0, 0, 0, 20, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 20, 0, 0, 0}
	tests := []struct {
		name  string
		limit int
		next  func(i int) []byte
		want  string
	}{
		{"fragments", 2000, fragments, ""},
		{"interfaces", 10000, func(i int) []byte {
			if i == 0 {
				return section
			}
			return describe
		}, "more than 4096 interfaces"},
		{"blocks", 200, func(i int) []byte {
			if i == 0 {
				return section
			}
			b := make([]byte, 1<<20) // name resolution
			copy(b, []byte{4, 0, 0, 0, 0, 0, 0x10, 0})
			copy(b[len(b)-4:], []byte{0, 0, 0x10, 0})
			return b
		}, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			before := heap()
			e := &endless{next: test.next, limit: test.limit}
			_, err := ReadStats(e, func(*ask.Packet) error { return nil })
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
			if grown := e.live - before; grown > most {
				t.Errorf("%d bytes are in use at the end, want at most %d", grown, most)
			}
		})
	}
	var a assembler
	for i := range 1000 {
		b := fragment(ipv4(2, 0, first), 32000)[0]
		binary.BigEndian.PutUint32(b[12:], uint32(i))
		a.add(b, when)
	}
	if len(a.open) != maxDatagrams {
		t.Errorf("%d datagrams are open, want %d", len(a.open), maxDatagrams)
	}
}

func FuzzRead(f *testing.F) {
	files, err := filepath.Glob(captures + "/*.pcap")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b[:min(len(b), 600)])
	}
	f.Add(ngOf(f))
	f.Add(pcapOf(f, layers.LinkTypeRaw, fragment(ipv4(2, 4, make([]byte, 300)), 104)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		handed := 0
		stats, err := ReadStats(bytes.NewReader(b), func(p *ask.Packet) error {
			handed++
			if !p.From.Is4() || !p.To.Is4() || len(p.Message) > maxTotal {
				t.Errorf("got %+v", p)
			}
			return nil
		})
		if handed != stats.IGMP {
			t.Errorf("%d handed on, %d counted", handed, stats.IGMP)
		}
		if sum := stats.IGMP + stats.Other + stats.Truncated + stats.Fragments + stats.Malformed + stats.Unknown; sum < stats.Packets {
			t.Errorf("%+v, %v: not all packets are counted", stats, err)
		}
	})
}

// TestReadUntil: the end of the context ends the reading of a pipe to which nobody
// writes, and packets may be kept.
func TestReadUntil(t *testing.T) {
	pipe, writer := io.Pipe()
	defer writer.Close()
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(10*time.Millisecond, cancel)
	if err := ReadUntil(ctx, pipe, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("a silent pipe: %v", err)
	}
	other := bytes.Clone(ask2)
	other[2], other[3], other[4] = 0xec, 0xf8, 1 // reserved byte, and the checksum
	recording := pcapOf(t, layers.LinkTypeRaw, ipv4(2, 0, ask2), ipv4(2, 0, other))
	var kept []*ask.Packet
	err := ReadUntil(t.Context(), bytes.NewReader(recording), func(p *ask.Packet) error {
		kept = append(kept, p)
		return nil
	})
	if err != nil || len(kept) != 2 || !bytes.Equal(kept[0].Message, ask2) || !bytes.Equal(kept[1].Message, other) {
		t.Errorf("%v, kept %v", err, kept)
	}
	enough := errors.New("enough")
	if err := ReadUntil(t.Context(), bytes.NewReader(recording), func(*ask.Packet) error { return enough }); !errors.Is(err, enough) {
		t.Errorf("the error of fn became %v", err)
	}
}
