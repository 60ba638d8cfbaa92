package dvmrp_test

import (
	"slices"
	"testing"

	"mbone/proto/dvmrp"
)

func TestVersion(t *testing.T) {
	for _, c := range []struct {
		name      string
		level     uint32
		text      string
		number    string
		caps      string
		letters   string
		probeData bool
	}{
		{"mrouted 4.6", 0x000eff03, "DVMRPv3 compliant", "3.255", "prune,genid,mtrace", "GPM", true},
		{"mrouted 4.6, leaf", 0x000fff03, "DVMRPv3 compliant", "3.255", "leaf,prune,genid,mtrace", "GPML", true},
		{"mtrace 5.2", 0x0000ff03, "DVMRPv3 compliant", "3.255", "", "", true},
		{"mrouted 3.8", 0x000e0803, "version 3.8", "3.8", "prune,genid,mtrace", "GPM", true},
		{"mrouted 3.3", 0x00000303, "version 3.3", "3.3", "", "", true},
		{"mrouted 3.2", 0x00000203, "version 3.2", "3.2", "", "", false},
		{"mrouted 2.255", 0x0000ff02, "version 2.255", "2.255", "", "", false},
		{"pimd", 0x00000102, "version 2.1", "2.1", "", "", false},
		{"9.0", 0x00000009, "version 9.0", "9.0", "", "", true},
		{"IOS 10.2", 0x0000020a, "version 10.2", "10.2", "", "", false},
		{"IOS 12.2", 0x0000020c, "version 12.2", "12.2", "", "", false},
		{"router without Neighbors2", 0, "version 0.0", "0.0", "", "", false},
		{"all bits", 0xffffffff, "version 255.255", "255.255", "leaf,prune,genid,mtrace,snmp,netmask", "GPMSLN", false},
	} {
		v := dvmrp.VersionOf(c.level)
		if v.Level() != c.level {
			t.Errorf("%s: level %08x became %08x", c.name, c.level, v.Level())
		}
		if v.String() != c.text || v.Number() != c.number {
			t.Errorf("%s: %q and %q, want %q and %q", c.name, v, v.Number(), c.text, c.number)
		}
		if v.Capabilities.String() != c.caps || v.Capabilities.Letters() != c.letters {
			t.Errorf("%s: %q and %q, want %q and %q", c.name, v.Capabilities, v.Capabilities.Letters(), c.caps, c.letters)
		}
		if v.ProbeData() != c.probeData {
			t.Errorf("%s: ProbeData is %v, want %v", c.name, v.ProbeData(), c.probeData)
		}
	}
	// The four bytes in the order of the wire.
	if v := dvmrp.VersionOf(0x11223344); v != (dvmrp.Version{Reserved: 0x11, Capabilities: 0x22, Minor: 0x33, Major: 0x44}) {
		t.Errorf("level 11223344 became %+v", v)
	}
}

func TestInterfaceFlags(t *testing.T) {
	for flags, want := range map[dvmrp.InterfaceFlags]string{
		0x00: "",
		0x01: "tunnel",
		0x44: "pim/querier",
		0x91: "tunnel/down/leaf",
		0x08: "",
		0xff: "tunnel/srcrt/pim/querier/disabled/down/leaf",
	} {
		if got := flags.String(); got != want {
			t.Errorf("flags %02x are %q, want %q", uint8(flags), got, want)
		}
	}
	if got, want := dvmrp.InterfaceFlags(0x34).Words(), []string{"pim", "disabled", "down"}; !slices.Equal(got, want) {
		t.Errorf("words %q, want %q", got, want)
	}
}
