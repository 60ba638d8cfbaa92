package mtrace_test

import (
	"net/netip"
	"testing"

	"mbone/proto/mtrace"
)

func TestProtocol(t *testing.T) {
	for _, c := range []struct {
		protocol     mtrace.Protocol
		text, text46 string
	}{
		{0, "None", "Unknown protocol code 0"},
		{1, "DVMRP", "DVMRP"},
		{2, "MOSPF", "MOSPF"},
		{3, "PIM", "PIM"},
		{4, "CBT", "CBT"},
		{5, "PIM/Special", "Unknown protocol code 5"},
		{6, "PIM/Static", "Unknown protocol code 6"},
		{7, "DVMRP/Static", "Unknown protocol code 7"},
		{8, "PIM/BGP4+", "Unknown protocol code 8"},
		{9, "CBT/Special", "Unknown protocol code 9"},
		{10, "CBT/Static", "Unknown protocol code 10"},
		{11, "PIM/Assert", "Unknown protocol code 11"},
		{12, "Unknown protocol code 12", "Unknown protocol code 12"},
		{255, "Unknown protocol code 255", "Unknown protocol code 255"},
	} {
		if got := c.protocol.String(); got != c.text {
			t.Errorf("protocol %d is %q, want %q", uint8(c.protocol), got, c.text)
		}
		if got := c.protocol.Text46(); got != c.text46 {
			t.Errorf("protocol %d is %q to mrouted 4.6, want %q", uint8(c.protocol), got, c.text46)
		}
	}
}

func TestCode(t *testing.T) {
	for _, c := range []struct {
		code                 mtrace.Code
		name, text46, text52 string
		fatal                bool
	}{
		{0x00, "NO_ERROR", "", "", false},
		{0x01, "WRONG_IF", "Wrong interface", "Wrong interface", false},
		{0x02, "PRUNE_SENT", "Prune sent upstream", "Prune sent upstream", false},
		{0x03, "PRUNE_RCVD", "Output pruned", "Output pruned", false},
		{0x04, "SCOPED", "Hit scope boundary", "Hit scope boundary", false},
		{0x05, "NO_ROUTE", "No route", "No route", false},
		{0x06, "WRONG_LAST_HOP", "Unknown error code 6", "Unknown error code 6", false},
		{0x07, "NOT_FORWARDING", "Not forwarding", "Not forwarding", false},
		{0x08, "REACHED_RP", "Unknown error code 8", "Reached RP/Core", false},
		{0x09, "RPF_IF", "Unknown error code 9", "RPF Interface", false},
		{0x0a, "NO_MULTICAST", "Unknown error code 10", "Multicast disabled", false},
		{0x0b, "INFO_HIDDEN", "Unknown error code 11", "Unknown error code 11", false},
		{0x0c, "code 0x0c", "Unknown error code 12", "Unknown error code 12", false},
		{0x7f, "code 0x7f", "Unknown error code 127", "Unknown error code 127", false},
		{0x80, "code 0x80", "Unknown error code 128", "Unknown error code 128", true},
		{0x81, "NO_SPACE", "No space in packet", "No space in packet", true},
		{0x82, "OLD_ROUTER", "Next router no mtrace", "Next router no mtrace", true},
		{0x83, "ADMIN_PROHIB", "Unknown error code 131", "Admin. Prohibited", true},
	} {
		if got := c.code.String(); got != c.name {
			t.Errorf("code %02x is %q, want %q", uint8(c.code), got, c.name)
		}
		if got := c.code.Text46(); got != c.text46 {
			t.Errorf("code %02x is %q to mrouted 4.6, want %q", uint8(c.code), got, c.text46)
		}
		if got := c.code.Text52(); got != c.text52 {
			t.Errorf("code %02x is %q to mtrace 5.2, want %q", uint8(c.code), got, c.text52)
		}
		text := c.text52
		switch c.code { // only here a word of the draft stands for the number
		case 0x06:
			text = "Wrong last hop"
		case 0x0b:
			text = "Info hidden"
		}
		if got := c.code.Text(); got != text {
			t.Errorf("code %02x is %q to us, want %q", uint8(c.code), got, text)
		}
		if got := c.code.Fatal(); got != c.fatal {
			t.Errorf("code %02x: Fatal is %v", uint8(c.code), got)
		}
	}
}

func TestMask(t *testing.T) {
	for _, c := range []struct {
		name                         string
		mask                         mtrace.Mask
		prefix                       string // of 10.1.2.3; empty: none
		isDefault, groupOnly, subnet bool
	}{
		{"pimd", 0, "", true, false, false},
		{"default route of mrouted", 1, "", true, false, false},
		{"default route, S", 0x41, "", true, false, true},
		{"2 bits", 2, "0.0.0.0/2", false, false, false},
		{"24 bits", 24, "10.1.2.0/24", false, false, false},
		{"24 bits, S", 0x58, "10.1.2.0/24", false, false, true},
		{"FRR, (S,G)", 0x60, "10.1.2.3/32", false, false, true},
		{"33 bits", 33, "", false, false, false},
		{"pimd's constant for the group alone", 0x2f, "", false, false, false},
		{"group alone", 0x3f, "", false, true, false},
		{"group alone, S, bit 7", 0xff, "", false, true, true},
		{"24 bits, bit 7", 0x98, "10.1.2.0/24", false, false, false},
	} {
		if c.mask.Default() != c.isDefault || c.mask.GroupOnly() != c.groupOnly || c.mask.SubnetCount() != c.subnet {
			t.Errorf("%s: default %v, group only %v, subnet count %v", c.name, c.mask.Default(), c.mask.GroupOnly(), c.mask.SubnetCount())
		}
		var want netip.Prefix
		if c.prefix != "" {
			want = netip.MustParsePrefix(c.prefix)
		}
		if got := c.mask.Prefix(addr("10.1.2.3")); got != want {
			t.Errorf("%s: network %v, want %v", c.name, got, want)
		}
		if got := c.mask.Prefix(netip.Addr{}); got.IsValid() {
			t.Errorf("%s: network %v of no address", c.name, got)
		}
	}
	for bits, want := range map[int]mtrace.Mask{-1: 1, 0: 1, 1: 1, 2: 2, 24: 24, 32: 32} {
		if got := mtrace.NewMask(bits); got != want {
			t.Errorf("NewMask(%d) is %d, want %d", bits, got, want)
		}
	}
}

func TestReaches(t *testing.T) {
	for _, c := range []struct {
		incoming, source string
		mask             mtrace.Mask
		want             bool
	}{
		{"10.1.2.3", "10.1.2.77", 24, true},
		{"10.1.2.3", "10.1.3.77", 24, false},
		{"10.1.2.3", "10.1.2.77", 32, false},
		{"10.1.2.3", "10.1.2.3", 0x60, true},
		{"10.1.2.3", "10.1.2.77", 0, false},    // a shift by 32 would say yes
		{"10.1.2.3", "10.1.2.77", 1, false},    // the default route is no network
		{"10.1.2.3", "10.1.2.77", 0x3f, false}, // nor is (*,G) state
		{"10.1.2.3", "10.1.2.77", 33, false},
		{"0.0.0.0", "10.1.2.77", 24, false},
	} {
		b := mtrace.Block{Incoming: addr(c.incoming), Mask: c.mask}
		if got := b.Reaches(addr(c.source)); got != c.want {
			t.Errorf("%s by mask %d reaches %s: %v", c.incoming, c.mask, c.source, got)
		}
	}
}
