package igmp_test

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"mbone/internal/prototest"
	"mbone/proto/igmp"
)

func TestQuery(t *testing.T) {
	prototest.TestGood(t, []prototest.Good[igmp.Query]{
		{
			Name: "v3, general query of a default querier",
			Packet: `11 64 ec 1e   # max resp code 100
				00 00 00 00    # all groups
				02 7d          # QRV 2, QQIC 125
				00 00          # no source`,
			Want: igmp.Query{Version: 3, Group: igmp.Unspecified, MaxResponse: 10 * time.Second, Robustness: 2, Interval: 125 * time.Second},
		},
		{
			Name:   "v2, general",
			Packet: "11 64 ee 9b 00 00 00 00",
			Want:   igmp.Query{Version: 2, Group: igmp.Unspecified, MaxResponse: 10 * time.Second},
		},
		{
			Name:   "v2, to a group, the longest time",
			Packet: "11 ff 0b fc e0 02 02 02",
			Want:   igmp.Query{Version: 2, Group: addr("224.2.2.2"), MaxResponse: 25500 * time.Millisecond},
		},
		{
			Name:   "v1",
			Packet: "11 00 ee ff 00 00 00 00",
			Want:   igmp.Query{Version: 1, Group: igmp.Unspecified, MaxResponse: 10 * time.Second},
		},
		{
			Name: "v3, group and sources, S flag, both codes at their largest",
			Packet: `11 ff df f7 e8 01 02 03
				0f ff 00 02    # S, QRV 7, QQIC ff: (15 | 16) << 10
				0a 00 00 01  0a 00 00 02`,
			Want: igmp.Query{Version: 3, Group: addr("232.1.2.3"), MaxResponse: 3174400 * time.Millisecond, Suppress: true,
				Robustness: 7, Interval: 31744 * time.Second, Sources: addrs("10.0.0.1", "10.0.0.2")},
		},
		{
			Name:   "v3, at once, no robustness",
			Packet: "11 00 0c fb e0 02 02 02 00 00 00 00",
			Want:   igmp.Query{Version: 3, Group: addr("224.2.2.2")},
		},
		{
			Name:    "reserved bits and bytes behind the sources",
			Packet:  "11 80 06 e2 e0 02 02 02 f2 90 00 01 | 0a 00 00 01 | 01 02 03 04 05",
			Want:    igmp.Query{Version: 3, Group: addr("224.2.2.2"), MaxResponse: 12800 * time.Millisecond, Robustness: 2, Interval: 256 * time.Second, Sources: addrs("10.0.0.1")},
			Encoded: "11 80 ff e8 e0 02 02 02 02 90 00 01 | 0a 00 00 01",
		},
	})
	prototest.TestDamaged[igmp.Query](t, []prototest.Damaged{
		{Name: "empty", Packet: "", Cause: igmp.ErrTruncated, Offset: 0},
		{Name: "seven bytes", Packet: "11 64 00 00 00 00 00", Cause: igmp.ErrTruncated, Offset: 7},
		{Name: "nine bytes", Packet: "11 64 00 00 00 00 00 00 02", Cause: igmp.ErrTruncated, Offset: 9},
		{Name: "eleven bytes", Packet: "11 64 00 00 00 00 00 00 02 7d 00", Cause: igmp.ErrTruncated, Offset: 11},
		{Name: "a report", Packet: "16 64 00 00 e0 02 02 02", Cause: igmp.ErrType, Offset: 0},
		{Name: "fewer sources than counted", Packet: "11 64 00 00 e0 02 02 02 02 7d 00 02 0a 00 00 01 0a 00 00", Cause: igmp.ErrTruncated, Offset: 19},
		{Name: "65535 sources, none there", Packet: "11 64 00 00 e0 02 02 02 02 7d ff ff", Cause: igmp.ErrTruncated, Offset: 12},
	})
	prototest.TestUnsayable(t, []prototest.Unsayable[igmp.Query]{
		{Name: "no version", Message: igmp.Query{Group: igmp.Unspecified}, Error: "version 1, 2 or 3"},
		{Name: "version 4", Message: igmp.Query{Version: 4, Group: igmp.Unspecified}, Error: "version 1, 2 or 3"},
		{Name: "no group", Message: igmp.Query{Version: 1}, Error: "group"},
		{Name: "v2, at once", Message: igmp.Query{Version: 2, Group: igmp.Unspecified}, Error: "max response time 0s cannot be said in version 2"},
		{Name: "v2, 25.6 s", Message: igmp.Query{Version: 2, Group: igmp.Unspecified, MaxResponse: 25600 * time.Millisecond}, Error: "25.6s"},
		{Name: "v2 with an interval", Message: igmp.Query{Version: 2, Group: igmp.Unspecified, MaxResponse: time.Second, Interval: 1}, Error: "fields of version 3"},
		{Name: "v1 with sources", Message: igmp.Query{Version: 1, Group: igmp.Unspecified, Sources: addrs("10.0.0.1")}, Error: "fields of version 3"},
		{Name: "v3, negative time", Message: igmp.Query{Version: 3, Group: igmp.Unspecified, MaxResponse: -1}, Error: "max response time"},
		{Name: "v3, long time", Message: igmp.Query{Version: 3, Group: igmp.Unspecified, MaxResponse: 3174500 * time.Millisecond}, Error: "max response time"},
		{Name: "v3, long interval", Message: igmp.Query{Version: 3, Group: igmp.Unspecified, Interval: 31745 * time.Second}, Error: "interval"},
		{Name: "v3, IPv6 source", Message: igmp.Query{Version: 3, Group: igmp.Unspecified, Sources: addrs("::1")}, Error: "source"},
		{Name: "v3, too many sources", Message: igmp.Query{Version: 3, Group: igmp.Unspecified, Sources: make([]netip.Addr, 65536)}, Error: "65536 sources"},
	})
}

// The codes of max response time and query interval, RFC 3376 section 4.1.1.
func TestQueryCodes(t *testing.T) {
	value := func(code int) int { // mantissa and exponent, as in the RFC
		if code < 128 {
			return code
		}
		mant, exp := code&0xf, code>>4&7
		return (mant | 0x10) << (exp + 3)
	}
	for code := range 256 {
		packet := []byte{0x11, byte(code), 0, 0, 0, 0, 0, 0, 2, byte(255 - code), 0, 0}
		igmp.PutChecksum(packet)
		var q igmp.Query
		if err := q.Parse(packet); err != nil {
			t.Fatal(err)
		}
		if want := time.Duration(value(code)) * 100 * time.Millisecond; q.MaxResponse != want {
			t.Errorf("code %d is %v, want %v", code, q.MaxResponse, want)
		}
		if want := time.Duration(value(255-code)) * time.Second; q.Interval != want {
			t.Errorf("code %d is %v, want %v", 255-code, q.Interval, want)
		}
		if b, err := q.AppendBinary(nil); err != nil || !slices.Equal(b, packet) {
			t.Errorf("% x became % x, %v", packet, b, err)
		}
	}
	// Every value is rounded down to one that can be said.
	q := igmp.Query{Version: 3, Group: igmp.Unspecified}
	for seconds := 0; seconds <= 31744; seconds++ {
		q.Interval = time.Duration(seconds)*time.Second + 999*time.Millisecond
		b, err := q.AppendBinary(nil)
		if err != nil {
			t.Fatal(err)
		}
		code := int(b[9])
		if value(code) > seconds || code < 255 && value(code+1) <= seconds {
			t.Fatalf("%d s became code %d, %d s", seconds, code, value(code))
		}
	}
	// A robustness that three bits cannot say is not said.
	q.Robustness, q.Interval = 8, 0
	if b, err := q.AppendBinary(nil); err != nil || b[8] != 0 {
		t.Errorf("robustness 8 became % x, %v", b, err)
	}
}

func FuzzQuery(f *testing.F) {
	prototest.Fuzz[igmp.Query](f, recordings,
		prototest.Unhex(f, "11 00 ee ff 00 00 00 00"),
		prototest.Unhex(f, "11 ff 00 00 e8 01 02 03 0f ff 00 02 0a 00 00 01 0a 00 00 02"),
		prototest.Unhex(f, "11 64 00 00 e0 02 02 02 02 7d ff ff"))
}
