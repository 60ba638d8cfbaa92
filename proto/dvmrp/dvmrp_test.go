package dvmrp_test

import (
	"errors"
	"net/netip"
	"testing"

	"mbone/internal/prototest"
	"mbone/proto/dvmrp"
	"mbone/proto/igmp"
)

// recordings is where real packets are.
const recordings = "../testdata/lab-14-1"

var (
	addr = netip.MustParseAddr
	net  = netip.MustParsePrefix
)

func addrs(list ...string) []netip.Addr {
	var a []netip.Addr
	for _, s := range list {
		a = append(a, addr(s))
	}
	return a
}

// withNetmask is mrouted's version with the netmask capability.
var withNetmask = dvmrp.Version{Capabilities: 0x2e, Minor: 255, Major: 3}

func TestParseHeader(t *testing.T) {
	b := prototest.Unhex(t, "13 06 1d dd 00 0e ff 03 c0a80207 01 01 40 01 c0a802fe c0a80707 01 01 40 01 00000000")
	code, version, err := dvmrp.ParseHeader(b)
	if err != nil || code != dvmrp.CodeNeighbors2 || version != dvmrp.Mrouted {
		t.Errorf("got %v %+v %v, want %v %+v", code, version, err, dvmrp.CodeNeighbors2, dvmrp.Mrouted)
	}
	if _, _, err := dvmrp.ParseHeader(b[:7]); !errors.Is(err, igmp.ErrTruncated) {
		t.Errorf("seven bytes: %v, want %v", err, igmp.ErrTruncated)
	}
	b[0] = 0x16
	if _, _, err := dvmrp.ParseHeader(b); !errors.Is(err, igmp.ErrType) {
		t.Errorf("a v2 report: %v, want %v", err, igmp.ErrType)
	}
}

func TestMaxData(t *testing.T) {
	// The figure of mrouted.
	if dvmrp.MaxData != 508 {
		t.Errorf("MaxData is %d, want 508", dvmrp.MaxData)
	}
}

func TestCodeString(t *testing.T) {
	for code, want := range map[dvmrp.Code]string{
		1: "probe", 2: "report", 3: "ask-neighbors", 4: "neighbors", 5: "ask-neighbors2", 6: "neighbors2",
		7: "prune", 8: "graft", 9: "graft-ack", 10: "info-request", 11: "info-reply", 0: "code 0", 12: "code 12",
	} {
		if got := code.String(); got != want {
			t.Errorf("code %d is %q, want %q", uint8(code), got, want)
		}
	}
}
