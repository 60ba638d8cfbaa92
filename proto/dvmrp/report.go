package dvmrp

import (
	"cmp"
	"errors"
	"fmt"
	"iter"
	"math/bits"
	"net/netip"
	"slices"

	"mbone/proto/igmp"
)

// Report (draft-ietf-idmr-dvmrp-v3, route exchange; packing as mrouted does it):
// header, then lists of routes with the same netmask:
//
//	+-----------+-----------+-----------+
//	| 2nd, 3rd and 4th octet of netmask |  the 1st is 255
//	+-----------+-----------+-----------+
//	| origin, w octets ...  |E| metric  |  E: this is the last of the list
//	+-----------+-----------+-----------+
//	| origin, w octets ...  |E| metric  |
//	 ...
//
// The width w is the number of octets up to the last one of the netmask that is
// not 0: 1 for mask bytes 00 00 00, 2 for xx 00 00, 3 for xx xx 00, else 4.
//
// The default route is 00 00 00 with origin 00. Networks of a mask shorter than
// eight bits, and 0.0.0.0/8, cannot be said. mrouted sends the default route and
// the /8 networks as two lists, although their mask bytes are the same.
//
// The metric has seven bits: 1 to 31 the cost, 32 unreachable, 33 to 63 poison
// reverse (the sender depends on the receiver for this origin; the cost is 32
// less). All others are illegal.

const (
	maskLen     = 3
	lastOfList  = 0x80
	metricBits  = 0x7f
	minMaskBits = 8
)

// Infinity is the metric of a network that cannot be reached, and what poison
// reverse adds to a metric.
const Infinity = 32

// Route is one network of a report.
type Route struct {
	Prefix netip.Prefix // may have host bits, if the sender put them there
	Metric uint8        // as it came, 0 to 127: see [Route.Legal] and [Route.Cost]
}

// Legal reports whether the metric is one that a router may send, 1 to 63. A
// route with any other is to be ignored; the rest of its report is good.
func (r Route) Legal() bool { return r.Metric >= 1 && r.Metric < 2*Infinity }

// Poisoned reports whether the sender depends on the receiver for this network.
func (r Route) Poisoned() bool { return r.Metric > Infinity && r.Metric < 2*Infinity }

// Cost returns the metric without poison: 1 to 31, or [Infinity]. It is of use
// only if the route is legal.
func (r Route) Cost() uint8 {
	if r.Poisoned() {
		return r.Metric - Infinity
	}
	return r.Metric
}

// Report says which networks its sender reaches, and at what cost.
type Report struct {
	Version Version
	Routes  []Route // in the order of the message
}

// Parse reads a Report. It reuses r.Routes. A message that ends inside a list, or
// has a netmask with a hole, is an error and no route of it is to be used, as
// mrouted does. Lists may come in any order; an illegal metric stays in its route;
// 0.0.0.0/8 is the default route.
func (r *Report) Parse(b []byte) error {
	var err error
	if _, r.Version, err = parseHeader(b, CodeReport, CodeReport); err != nil {
		return err
	}
	r.Routes = r.Routes[:0]
	for at := HeaderLen; at < len(b); {
		if len(b)-at < maskLen {
			return tooShort(CodeReport, len(b))
		}
		mask := [4]byte{255, b[at], b[at+1], b[at+2]}
		ones, ok := maskOnes(mask)
		if !ok {
			return &igmp.ParseError{Message: "dvmrp report", Offset: at,
				Err: fmt.Errorf("%w: netmask %v has a hole", igmp.ErrValue, netip.AddrFrom4(mask))}
		}
		at += maskLen
		width := originWidth(ones)
		for last := false; !last; at += width + 1 {
			if len(b)-at < width+1 {
				return tooShort(CodeReport, len(b))
			}
			var origin [4]byte
			copy(origin[:], b[at:at+width])
			n := ones
			if n == minMaskBits && origin[0] == 0 {
				n = 0
			}
			metric := b[at+width]
			last = metric&lastOfList != 0
			r.Routes = append(r.Routes, Route{netip.PrefixFrom(netip.AddrFrom4(origin), n), metric & metricBits})
		}
	}
	return nil
}

// Len returns the length of the encoded message.
func (r *Report) Len() int {
	l := HeaderLen
	for i := range r.Routes {
		l += routeLen(r.Routes[:i], r.Routes[i])
	}
	return l
}

// routeLen returns what a route adds to a message that ends with those before it.
func routeLen(before []Route, r Route) int {
	l := originWidth(r.Prefix.Bits()) + 1
	if startsList(before, r) {
		l += maskLen
	}
	return l
}

// startsList reports whether a route that follows those before it begins a list.
func startsList(before []Route, r Route) bool {
	return len(before) == 0 || before[len(before)-1].Prefix.Bits() != r.Prefix.Bits()
}

// AppendBinary appends the encoded message to b, with the routes in the order in
// which they are: neighbours in r.Routes with the same mask make one list. Routers
// send them as [SortRoutes] puts them. It fails if a prefix is not one of IPv4, is
// shorter than eight bits but not the default route, is 0.0.0.0/8, or has host bits
// where the message has no room for them, and if a metric is above 127. It does not
// look at [MaxReport]: see [SplitRoutes].
func (r *Report) AppendBinary(b []byte) ([]byte, error) {
	start := len(b)
	b = appendHeader(b, CodeReport, r.Version)
	for i, route := range r.Routes {
		if err := route.check(); err != nil {
			return finish(b, start, CodeReport, fmt.Errorf("route %v: %w", route.Prefix, err))
		}
		ones := route.Prefix.Bits()
		if startsList(r.Routes[:i], route) {
			if i > 0 {
				b[len(b)-1] |= lastOfList
			}
			mask := maskOf(ones)
			b = append(b, mask[1:]...)
		}
		origin := route.Prefix.Addr().As4()
		b = append(b, origin[:originWidth(ones)]...)
		b = append(b, route.Metric)
	}
	if len(r.Routes) > 0 {
		b[len(b)-1] |= lastOfList
	}
	return finish(b, start, CodeReport, nil)
}

// check returns what keeps a route from being written.
func (r Route) check() error {
	if !r.Prefix.Addr().Is4() || !r.Prefix.IsValid() {
		return errors.New("expected an IPv4 network")
	}
	if r.Metric > metricBits {
		return fmt.Errorf("metric %d, at most %d can be said", r.Metric, metricBits)
	}
	ones, origin := r.Prefix.Bits(), r.Prefix.Addr().As4()
	if ones > 0 && ones < minMaskBits {
		return fmt.Errorf("a mask shorter than %d bits cannot be said", minMaskBits)
	}
	if ones == minMaskBits && origin[0] == 0 {
		return errors.New("would be read as the default route")
	}
	width := originWidth(ones)
	if ones == 0 {
		width = 0 // the one octet of the default route is 0
	}
	for _, o := range origin[width:] {
		if o != 0 {
			return errors.New("has host bits that cannot be said")
		}
	}
	return nil
}

// originWidth returns how many octets of an origin are in the message.
func originWidth(ones int) int { return max(1, (ones+7)/8) }

// maskOf returns the netmask of so many bits, as it stands in a report: the first
// octet is 255, whatever it should be.
func maskOf(ones int) [4]byte {
	m := ^uint32(0) << (32 - max(ones, minMaskBits))
	return [4]byte{byte(m >> 24), byte(m >> 16), byte(m >> 8), byte(m)}
}

// maskOnes returns the number of leading ones of a netmask, and whether nothing
// but zeros follows.
func maskOnes(mask [4]byte) (int, bool) {
	m := uint32(mask[0])<<24 | uint32(mask[1])<<16 | uint32(mask[2])<<8 | uint32(mask[3])
	ones := bits.LeadingZeros32(^m)
	return ones, uint64(m)<<ones&0xffffffff == 0
}

// SortRoutes puts routes into the order in which routers send them: ascending
// masks, and ascending origins of one mask.
func SortRoutes(routes []Route) {
	slices.SortFunc(routes, func(a, b Route) int {
		return cmp.Or(cmp.Compare(a.Prefix.Bits(), b.Prefix.Bits()), a.Prefix.Addr().Compare(b.Prefix.Addr()))
	})
}

// SplitRoutes cuts routes, in their order, into reports of at most [MaxReport] bytes
// of data. The parts are parts of routes. No routes make no report.
func SplitRoutes(routes []Route) iter.Seq[[]Route] {
	return func(yield func([]Route) bool) {
		start, room := 0, MaxReport
		for i, r := range routes {
			l := routeLen(routes[start:i], r)
			if l > room {
				if !yield(routes[start:i:i]) {
					return
				}
				start, room = i, MaxReport
				l = routeLen(nil, r)
			}
			room -= l
		}
		if start < len(routes) {
			yield(routes[start:])
		}
	}
}
