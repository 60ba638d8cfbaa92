package mtrace

import "time"

// Times are the middle 32 bits of an NTP time: the low 16 bits of the seconds
// since 1900, and 16 bits of fraction. They wrap around every 18.2 hours.

const (
	// ntpOffset is from the epoch of NTP, 1900, to that of Unix, in seconds.
	ntpOffset = 2208988800
	// ntpOffset16 is what of it is left in 16 bits.
	ntpOffset16 = ntpOffset % (1 << 16)
)

// ntp returns t in units of 1/65536 s with all bits of the seconds, shifted by
// ntpOffset16. The fraction comes from microseconds, as in mrouted.
func ntp(t time.Time) int64 {
	usec := int64(t.Nanosecond() / 1000)
	return (t.Unix()+ntpOffset16)<<16 + (usec<<10)/15625
}

// Time returns t as a router writes it into Block.Arrival.
func Time(t time.Time) uint32 { return uint32(ntp(t)) }

// TimeNear returns the time that v stands for: the one within 9.1 hours of ref.
// The unit of v is 15 µs.
func TimeNear(v uint32, ref time.Time) time.Time {
	r := ntp(ref)
	t := r + int64(int32(v-uint32(r)))
	return time.Unix(t>>16-ntpOffset16, (t&0xffff)*int64(time.Second)>>16)
}

// DiffMS returns a - b in milliseconds, rounded down: between -9.1 and 9.1 hours.
func DiffMS(a, b uint32) int { return int(int64(int32(a-b)) * 125 >> 13) }

// RepairTime returns arrival as a router should have written it. mrouted 3.3 put
// Unix seconds without the NTP offset, and a fraction in units of 16 µs: such a
// time lies more than 4.5 hours from that of the query, sent, and is converted,
// as mtrace does it; any other is returned as it is.
func RepairTime(arrival, sent uint32) uint32 {
	const far = 0x3fffffff
	d := int64(int32(arrival - sent))
	if d <= far && d >= -far {
		return arrival
	}
	return arrival&0xffff0000 + ntpOffset16<<16 + (arrival&0xffff)<<14/15625
}

// NoFraction reports whether both arrival times of one router, from two traces,
// lack their fraction as those of mrouted 3.5 to 3.8 on little-endian machines
// do: their low 16 bits are 0 or 0x100. The local time of the response is then
// the better one.
func NoFraction(first, second uint32) bool {
	broken := func(v uint32) bool { return v&0xfeff == 0 }
	return broken(first) && broken(second)
}
