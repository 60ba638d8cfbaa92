package tunnel

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"
)

var (
	here  = netip.MustParseAddr("192.0.2.1")
	there = netip.MustParseAddr("198.51.100.2")
)

// ip returns an IPv4 packet with a good checksum.
func ip(source, dest netip.Addr, protocol byte, payload ...byte) []byte {
	s, d := source.As4(), dest.As4()
	b := []byte{0x45, 0, 0, byte(20 + len(payload)), 0, 1, 0, 0, 9, protocol, 0, 0}
	b = append(append(b, s[:]...), d[:]...)
	return append(seal(b), payload...)
}

// seal writes the checksum of a header.
func seal(b []byte) []byte {
	b[10], b[11] = 0, 0
	binary.BigEndian.PutUint16(b[10:], ^sum(b[:length(b)]))
	return b
}

// with returns a packet with one byte changed and a good checksum.
func with(b []byte, offset int, value byte) []byte {
	b = bytes.Clone(b)
	b[offset] = value
	return seal(b)
}

const udp = 17

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

func TestCheckIn(t *testing.T) {
	source, group := addr("10.1.2.3"), addr("239.1.2.3")
	data := ip(source, group, udp, 1, 2, 3, 4)
	probe := ip(there, dvmrpRouters, protocolIGMP, 0x13, 1, 0, 0)
	options := append(with(data[:20:20], 0, 0x46), 0x94, 4, 0, 0, 9)
	options[3] = byte(len(options))
	seal(options)
	through, beside := &Config{Local: here, Remote: there}, &Config{Local: here, Remote: there, Beside: true}
	for _, c := range []struct {
		what   string
		inner  []byte
		config *Config
		want   Drop
	}{
		{"data", data, beside, 0},
		{"data", data, through, 0},
		{"Router Alert", options, beside, 0},
		{"padding", append(bytes.Clone(data), 0, 0), beside, 0},
		{"Don't Fragment", with(data, 6, 0x40), beside, 0},
		{"a fragment", with(data, 7, 5), beside, 0},
		{"IGMP to a group beyond the link", ip(source, group, protocolIGMP, 0x1f, 0, 0, 0), beside, 0},
		{"DVMRP beside the tunnel", probe, beside, InOther},
		{"DVMRP through the tunnel", probe, through, 0},
		{"a part of DVMRP", with(probe, 7, 5), through, InOther},
		{"the first part of DVMRP", with(probe, 6, 0x20), through, InOther},
		{"IGMP to all DVMRP routers", ip(there, dvmrpRouters, protocolIGMP, 0x16, 0, 0, 0), through, InOther},
		{"UDP to all DVMRP routers", ip(there, dvmrpRouters, udp, 0x13, 0, 0, 0), through, InOther},
		{"DVMRP without a byte", ip(there, dvmrpRouters, protocolIGMP), through, InOther},
		{"unicast", ip(source, here, udp, 1), through, InOther},
		{"all hosts", ip(source, addr("224.0.0.1"), udp, 1), through, InOther},
		{"the last group of the link", ip(source, addr("224.0.0.255"), udp, 1), beside, InOther},
		{"the first group beyond", ip(source, addr("224.0.1.0"), udp, 1), beside, 0},
		{"the last group", ip(source, addr("239.255.255.255"), udp, 1), beside, 0},
		{"broadcast", ip(source, addr("255.255.255.255"), udp, 1), beside, InOther},
		{"this end as source", ip(here, group, udp, 1), beside, InSource},
		{"the other end as source", ip(there, group, udp, 1), beside, 0},
		{"source 0.0.0.0", ip(addr("0.0.0.0"), group, udp, 1), beside, InSource},
		{"source 127.0.0.1", ip(addr("127.0.0.1"), group, udp, 1), beside, InSource},
		{"a group as source", ip(group, group, udp, 1), beside, InSource},
		{"source 255.255.255.255", ip(addr("255.255.255.255"), group, udp, 1), beside, InSource},
		{"nothing", nil, beside, InMalformed},
		{"a short header", data[:19], beside, InMalformed},
		{"a short packet", data[:len(data)-1], beside, InMalformed},
		{"IPv6", with(data, 0, 0x65), beside, InMalformed},
		{"header length 16", with(data, 0, 0x44), beside, InMalformed},
		{"header longer than the packet", append([]byte{0x4f}, data[1:]...), beside, InMalformed},
		{"packet shorter than its header", with(data, 3, 19), beside, InMalformed},
		{"TTL 0", with(data, 8, 0), beside, InMalformed},
		{"a bad checksum", append(append(bytes.Clone(data[:4]), 0, 2), data[6:]...), beside, InMalformed},
	} {
		outer := ip(there, here, 4, c.inner...)
		got, drop := checkIn(outer, c.config)
		if drop != c.want {
			t.Errorf("%s, beside %v: dropped for %v, want %v", c.what, c.config.Beside, drop, c.want)
		}
		if want := c.inner; drop == 0 && !bytes.Equal(got, want[:min(len(want), int(want[3]))]) {
			t.Errorf("%s: % x, want % x", c.what, got, want)
		}
	}
	// The filter of the socket is not there from the first moment.
	for _, outer := range [][]byte{ip(addr("198.51.100.3"), here, 4, data...), ip(there, addr("192.0.2.9"), 4, data...), data[:3], {}} {
		if _, drop := checkIn(outer, beside); drop != InMalformed {
			t.Errorf("% x: dropped for %v, want %v", outer, drop, InMalformed)
		}
	}
	// The outer header may have options, too.
	outer := ip(there, here, 4, append([]byte{1, 1, 1, 1}, data...)...)
	if got, drop := checkIn(with(outer, 0, 0x46), beside); drop != 0 || !bytes.Equal(got, data) {
		t.Errorf("with options: dropped for %v: % x", drop, got)
	}
}

func TestCheckOut(t *testing.T) {
	source, group := addr("10.1.2.3"), addr("239.1.2.3")
	probe := ip(here, dvmrpRouters, protocolIGMP, 0x13, 1, 0, 0)
	for _, c := range []struct {
		what    string
		b       []byte
		beside  bool
		want    Drop
		control bool
	}{
		{"data", ip(source, group, udp, 1), true, 0, false},
		{"DVMRP", probe, false, 0, true},
		{"DVMRP that goes beside", probe, true, OutOther, false},
		{"a report of this host", ip(addr("0.0.0.0"), addr("224.0.0.22"), protocolIGMP, 0x22), false, OutOther, false},
		{"unicast", ip(here, there, udp, 1), false, OutOther, false},
		{"IPv6", append([]byte{0x60}, make([]byte, 60)...), false, OutOther, false},
		{"nothing", nil, false, OutOther, false},
	} {
		p, drop := checkOut(c.b, c.beside)
		if drop != c.want || p.control != c.control || drop == 0 && !bytes.Equal(p.bytes, c.b) {
			t.Errorf("%s: dropped for %v, want %v: %+v", c.what, drop, c.want, p)
		}
	}
}

// FuzzCheckIn holds what comes out to what may come out, and to being a part of
// what came in.
func FuzzCheckIn(f *testing.F) {
	f.Add(ip(there, here, 4, ip(addr("10.1.2.3"), addr("239.1.2.3"), udp, 1, 2)...), true)
	f.Add(ip(there, here, 4, ip(there, dvmrpRouters, protocolIGMP, 0x13, 1, 0, 0)...), false)
	f.Add(with(ip(there, here, 4, 1, 1, 1, 1), 0, 0x46), false)
	f.Fuzz(func(t *testing.T, b []byte, beside bool) {
		config := &Config{Local: here, Remote: there, Beside: beside}
		before := bytes.Clone(b)
		got, drop := checkIn(b, config)
		if !bytes.Equal(b, before) {
			t.Fatal("the packet was changed")
		}
		switch {
		case drop != 0 && (got != nil || drop < InMalformed || drop >= Drops):
			t.Fatalf("dropped for %v, and % x", drop, got)
		case drop == 0 && (!bytes.Contains(b, got) || len(got) < headerLen || len(got) > len(b)-headerLen):
			t.Fatalf("% x from % x", got, b)
		case drop == 0 && (address(got, offsetSource) == here || !address(got, offsetDest).IsMulticast()):
			t.Fatalf("% x got through", got)
		case drop == 0 && !isRoutable(got) && (beside || got[offsetProtocol] != protocolIGMP):
			t.Fatalf("% x got through", got)
		}
		checkOut(b, beside)
	})
}

func TestDropNames(t *testing.T) {
	seen := map[string]bool{"unknown": true, "": true}
	for d := Drop(1); d < Drops; d++ {
		if seen[d.String()] {
			t.Errorf("reason %d has the name %q", d, d)
		}
		seen[d.String()] = true
	}
	if Drop(0).String() != "unknown" || Drops.String() != "unknown" {
		t.Error("what is no reason has a name")
	}
}
