package mfc

import (
	"net/netip"
	"runtime"
	"testing"
	"time"

	"github.com/gaissmai/bart"

	"mbone/internal/router/host"
)

// tableProtocol has 10,000 routes and floods to one of the links.
type tableProtocol struct {
	fakeProtocol
	table bart.Table[Route]
}

func (p *tableProtocol) RPF(source netip.Addr) (Route, bool)        { return p.table.Lookup(source) }
func (p *tableProtocol) Route(net netip.Prefix) (Route, bool)       { return p.table.Get(net) }
func (p *tableProtocol) Forwarder(*Entry, host.Interface) bool      { return true }
func (p *tableProtocol) Downstream(_ *Entry, l host.Interface) bool { return l == 2 }
func (p *tableProtocol) NewFlow(time.Duration, *Entry)              {}
func (p *tableProtocol) OutputsEmpty(time.Duration, *Entry)         {}
func (p *tableProtocol) OutputsNonEmpty(time.Duration, *Entry)      {}
func (p *tableProtocol) Progress(time.Duration, *Entry)             {}
func (p *tableProtocol) Drop(time.Duration, *Entry)                 {}
func (p *tableProtocol) Hold(*Entry) time.Duration                  { return 0 }

const benchFlows = 100_000

func newBench(b testing.TB) *rig {
	r := newRig(b, 2*benchFlows)
	p := &tableProtocol{}
	for i := range 10_000 {
		net := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), 0}), 24)
		p.table.Insert(net, Route{net, 1, netip.AddrFrom4([4]byte{192, 168, 1, 2})})
	}
	r.cache.protocol = p
	for id := range host.Interface(4) {
		r.link(id+1, nil)
	}
	return r
}

// upcalls are of flows from all networks, to ten groups each.
func benchUpcall(i int) host.Upcall {
	net, group := i%10_000, i/10_000
	return host.Upcall{
		Kind: host.NoCache, Interface: 1, Source: netip.AddrFrom4([4]byte{10, byte(net >> 8), byte(net), 7}),
		Group: netip.AddrFrom4([4]byte{225, 1, 1, byte(group)}),
	}
}

// BenchmarkUpcall is one new flow of 100,000.
func BenchmarkUpcall(b *testing.B) {
	b.ReportAllocs()
	r := newBench(b)
	n := 0
	for b.Loop() {
		if n == benchFlows {
			b.StopTimer()
			r, n = newBench(b), 0
			b.StartTimer()
		}
		u := benchUpcall(n)
		n++
		r.actions.Reset()
		r.cache.Upcall(r.now, &u)
	}
}

// BenchmarkMemory reports the bytes of an entry with a flow, of 100,000.
func BenchmarkMemory(b *testing.B) {
	for b.Loop() {
		r := newBench(b)
		before := heap()
		for i := range benchFlows {
			u := benchUpcall(i)
			r.actions.Reset()
			r.cache.Upcall(r.now, &u)
		}
		r.actions = host.Actions{}
		b.ReportMetric(float64(heap()-before)/benchFlows, "B/entry")
		runtime.KeepAlive(r)
	}
}

// BenchmarkLinkChanged re-evaluates 100,000 entries.
func BenchmarkLinkChanged(b *testing.B) {
	r := newBench(b)
	for i := range benchFlows {
		u := benchUpcall(i)
		r.actions.Reset()
		r.cache.Upcall(r.now, &u)
	}
	slices := 0
	for b.Loop() {
		l := *r.links[2]
		l.Up = !l.Up
		*r.links[2] = l
		r.cache.SetLink(r.now, &l)
		for done := false; !done; slices++ {
			r.actions.Reset()
			done = r.cache.Work(r.now)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(slices), "µs/slice")
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
