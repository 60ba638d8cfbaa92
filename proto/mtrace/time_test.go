package mtrace_test

import (
	"testing"
	"time"

	"mbone/proto/mtrace"
)

func TestTime(t *testing.T) {
	for _, c := range []struct {
		name  string
		time  time.Time
		value uint32
	}{
		// 2208988800 seconds from 1900 to 1970; modulo 65536 they are 32384, 0x7e80.
		{"the epoch", time.Unix(0, 0), 0x7e800000},
		{"half a second", time.Unix(0, 500_000_000), 0x7e808000},
		{"before the seconds wrap", time.Unix(33151, 999_999_000), 0xffffffff},
		{"after the seconds wrap", time.Unix(33152, 0), 0x00000000},
		{"before 1970", time.Unix(-1, 250_000_000), 0x7e7f4000},
		// 0x8455 + 0x7e80 = 0x102d5.
		{"now-a-days", time.Unix(27394*65536+0x8455, 125_000_000), 0x02d52000},
		{"microseconds", time.Unix(0, 15_625_000), 0x7e800400},
	} {
		if got := mtrace.Time(c.time); got != c.value {
			t.Errorf("%s: %08x, want %08x", c.name, got, c.value)
		}
		for _, hours := range []time.Duration{-9, -1, 0, 1, 9} {
			got := mtrace.TimeNear(c.value, c.time.Add(hours*time.Hour))
			if d := c.time.Sub(got); d < 0 || d > 16*time.Microsecond {
				t.Errorf("%s: %v from %v hours away, want %v", c.name, got, hours, c.time)
			}
		}
	}
	// 18.2 hours later the same value means another time.
	at := time.Unix(1_000_000_000, 0)
	if got, want := mtrace.TimeNear(mtrace.Time(at), at.Add(15*time.Hour)), at.Add(65536*time.Second); !got.Equal(want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestDiffMS(t *testing.T) {
	for _, c := range []struct {
		a, b uint32
		want int
	}{
		{0x00010000, 0x00000000, 1000},
		{0x00000000, 0x00010000, -1000},
		{0x00008000, 0x00000000, 500},
		{0x00000000, 0x00000001, -1}, // rounded down: 15 µs
		{0x00000001, 0x00000000, 0},
		{0x00000042, 0x00000000, 1}, // 66 / 65536 s
		{0x00000000, 0xffff0000, 1000},
		{0x7fffffff, 0x00000000, 32767999},
		{0x80000000, 0x00000000, -32768000},
	} {
		if got := mtrace.DiffMS(c.a, c.b); got != c.want {
			t.Errorf("%08x - %08x is %d ms, want %d", c.a, c.b, got, c.want)
		}
	}
}

func TestRepairTime(t *testing.T) {
	sent := mtrace.Time(time.Unix(1_000_000_000, 0))
	for _, c := range []struct {
		name          string
		arrival, want uint32
	}{
		{"right", sent + 0x8000, sent + 0x8000},
		{"4.5 hours off, either way", sent + 0x3fffffff, sent + 0x3fffffff},
		{"4.5 hours before", sent - 0x3fffffff, sent - 0x3fffffff},
		// 1000000000 & 0xffff = 0xca00 seconds; half a second is 0x7a12 times 16 µs.
		{"mrouted 3.3", 0xca007a12, sent + 0x8000},
	} {
		if got := mtrace.RepairTime(c.arrival, sent); got != c.want {
			t.Errorf("%s: %08x, want %08x", c.name, got, c.want)
		}
	}
}

func TestNoFraction(t *testing.T) {
	for _, c := range []struct {
		first, second uint32
		want          bool
	}{
		{0x12340000, 0x12440000, true},
		{0x12340100, 0x12440000, true},
		{0x12340100, 0x12440100, true},
		{0x12340101, 0x12440000, false},
		{0x12340000, 0x12440200, false},
		{0x12348000, 0x12440000, false},
	} {
		if got := mtrace.NoFraction(c.first, c.second); got != c.want {
			t.Errorf("%08x and %08x: %v", c.first, c.second, got)
		}
	}
}
