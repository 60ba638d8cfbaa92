package sim

import (
	"encoding/binary"
	"net/netip"
	"sync"
	"testing"
	"time"

	"mbone/internal/router/host"
	"mbone/proto/dvmrp"
	"mbone/proto/igmp"
	"mbone/proto/mtrace"
)

// hostileLimits are so small that packets in random order come up against all of them.
var hostileLimits = host.Limits{Routes: 40, Neighbors: 6, Groups: 8, Sources: 16, Entries: 24, Prunes: 12}

// victim is one router with a LAN, a point-to-point link and a tunnel, whose neighbours
// say whatever the bytes of attack make of it.
type victim struct {
	n      *Network
	r      *Router
	links  []*Link
	attack []byte
}

func newVictim(attack []byte) *victim {
	n := New(1)
	v := &victim{n: n, r: n.AddRouter(), attack: attack}
	others := n.addRouters(3)
	for _, o := range others {
		scripted(o, &script{})
	}
	shared := n.AddLAN(v.r, others[0], others[1])
	n.AddHost(shared)
	wire := n.AddPointToPoint(v.r, others[2])
	v.links = []*Link{shared, wire, n.AddTunnel(v.r, others[2], true)}
	v.r.Settings.Limits = hostileLimits
	n.Run(time.Second)
	return v
}

// next returns the next byte of the attack; ok is false at its end.
func (v *victim) next() (b byte, ok bool) {
	if len(v.attack) == 0 {
		return 0, false
	}
	b = v.attack[0]
	v.attack = v.attack[1:]
	return b, true
}

func (v *victim) byte() byte {
	b, _ := v.next()
	return b
}

// link, from, to, group and source are mostly plausible.
func (v *victim) link() *Link { return v.links[int(v.byte())%len(v.links)] }

func (v *victim) from(l *Link) netip.Addr {
	b := v.byte()
	if b >= 0xf0 {
		return address(10<<24 | uint32(b)<<16 | 1)
	}
	if l.kind == tunnel {
		return l.ends[1].addr
	}
	if b >= 0xc0 {
		return address(number(l.prefix.Addr()) + uint32(b&0x3f))
	}
	return l.ends[int(b)%len(l.ends)].addr
}

func (v *victim) to(l *Link) netip.Addr {
	switch b := v.byte(); {
	case b < 0x80:
		return igmp.DVMRPRouters
	case b < 0xf0:
		return l.ends[0].addr
	default:
		return address(224<<24 | uint32(b&15))
	}
}

func (v *victim) group() netip.Addr {
	b := v.byte()
	if b >= 0xf8 {
		return address(224<<24 | uint32(b))
	}
	return address(224<<24 | 2<<16 | uint32(b&15))
}

func (v *victim) prefix() netip.Prefix {
	b := v.byte()
	p, err := address(10<<24 | uint32(b)<<12).Prefix([]int{0, 8, 16, 20, 24, 32}[int(b)%6])
	if err != nil {
		panic(err)
	}
	return p
}

func (v *victim) source() netip.Addr {
	return address(10<<24 | uint32(v.byte())<<12 | uint32(v.byte()))
}

func (v *victim) version() dvmrp.Version {
	version := dvmrp.Mrouted
	switch v.byte() % 8 {
	case 0:
		version.Major = v.byte()
	case 1:
		version.Minor = v.byte()
	case 2:
		version.Capabilities = dvmrp.Capabilities(v.byte())
	}
	return version
}

// message returns a message that somebody might send.
func (v *victim) message(l *Link) message {
	switch v.byte() % 12 {
	case 0, 1:
		p := &dvmrp.Probe{Version: dvmrp.Mrouted, GenID: uint32(v.byte() & 1)}
		if v.byte() < 0xe0 {
			p.Neighbors = append(p.Neighbors, l.ends[0].addr)
		}
		return p
	case 2, 3:
		r := &dvmrp.Report{Version: v.version()}
		for range v.byte() % 32 {
			r.Routes = append(r.Routes, dvmrp.Route{Prefix: v.prefix(), Metric: v.byte() & 0x7f})
		}
		return r
	case 4:
		return &dvmrp.Prune{Version: dvmrp.Mrouted, Source: v.source(), Group: v.group(), Lifetime: time.Duration(v.byte()) * time.Minute}
	case 5:
		return &dvmrp.Graft{Version: dvmrp.Mrouted, Source: v.source(), Group: v.group(), Ack: v.byte()&1 == 1}
	case 6:
		return &dvmrp.Info{Version: dvmrp.Mrouted, Reply: v.byte()&1 == 1, TLVs: []dvmrp.TLV{{Type: dvmrp.InfoVersion, Value: []byte("mroutd 1.0")}}}
	case 7:
		return &igmp.Membership{Type: []igmp.Type{igmp.TypeReportV1, igmp.TypeReportV2, igmp.TypeLeave}[v.byte()%3], Group: v.group()}
	case 8:
		r := &igmp.ReportV3{}
		for range v.byte() % 4 {
			c := igmp.Record{Type: igmp.RecordType(v.byte()%6 + 1), Group: v.group()}
			for range v.byte() % 8 {
				c.Sources = append(c.Sources, v.source())
			}
			r.Records = append(r.Records, c)
		}
		return r
	case 9:
		q := &igmp.Query{Version: 3, Group: igmp.Unspecified, MaxResponse: time.Duration(v.byte()) * time.Second / 10, Robustness: v.byte() & 7}
		if v.byte()&1 == 1 {
			q.Group = v.group()
			q.Sources = append(q.Sources, v.source())
		}
		return q
	case 10:
		return &mtrace.Message{Type: mtrace.TypeQuery, Hops: v.byte(),
			Group: v.group(), Source: v.source(), Receiver: v.source(), Response: v.source(), ResponseTTL: 64, QueryID: 1}
	default:
		b := []byte{byte(igmp.TypeDVMRP), v.byte() % 16, 0, 0, 0, 0x0e, 255, 3}
		for range v.byte() % 32 {
			b = append(b, v.byte())
		}
		igmp.PutChecksum(b)
		return raw(b)
	}
}

// raw is a message as it is.
type raw []byte

func (r raw) AppendBinary(b []byte) ([]byte, error) { return append(b, r...), nil }

// step does one thing. It reports whether the attack goes on.
func (v *victim) step() bool {
	b, ok := v.next()
	if !ok {
		return false
	}
	l := v.link()
	switch {
	case b < 0xb0:
		m, err := v.message(l).AppendBinary(nil)
		if err != nil {
			return true // it cannot be said
		}
		v.r.Inject(l, v.from(l), v.to(l), m)
	case b < 0xd0:
		v.r.handle(&host.Upcall{Kind: host.UpcallKind(b&1 + 1), Interface: l.endOf(v.r).id, Source: v.source(), Group: v.group()})
	case b < 0xe8:
		v.n.Run(time.Duration(binary.BigEndian.Uint16([]byte{v.byte(), v.byte()})) * time.Millisecond)
	case b < 0xf0:
		v.n.Run(time.Duration(v.byte()) * time.Minute / 4)
	case b < 0xf4:
		l.Cut()
	case b < 0xfc:
		l.Restore()
	default:
		v.r.Reconfigure()
	}
	return true
}

// run goes through the attack, holds the router to its bounds after each step, and lets
// everything expire in the end.
func (v *victim) run(t *testing.T) {
	for v.step() {
		v.n.CheckBounds()
		if t.Failed() || v.n.failed > 0 {
			break
		}
	}
	for _, l := range v.links {
		l.Restore()
	}
	v.n.Run(expiry)
	v.n.CheckExpired()
	if timers := v.r.Size().Timers; timers > idleTimers() {
		t.Errorf("%d timers are set in the end, %d in a router that never heard anybody", timers, idleTimers())
	}
	for _, f := range v.n.Failures() {
		t.Error(f)
	}
}

// expiry is how long everything lasts at most: prunes, of what is said here.
const expiry = 5 * time.Hour

// idleTimers returns how many timers a router sets if nothing ever happens.
var idleTimers = sync.OnceValue(func() int {
	v := newVictim(nil)
	v.n.Run(expiry)
	return v.r.Size().Timers
})

// FuzzEngine: packets in any order, with anything in them, keep the engine within its
// bounds, and leave nothing behind.
func FuzzEngine(f *testing.F) {
	for seed := range byte(8) {
		b := make([]byte, 600)
		x := uint32(seed)*2654435761 + 1
		for i := range b {
			x = x*1664525 + 1013904223
			b[i] = byte(x >> 24)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, attack []byte) {
		if len(attack) > 4096 {
			return
		}
		newVictim(attack).run(t)
	})
}
