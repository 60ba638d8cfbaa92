package dvmrp

import (
	"fmt"
	"net/netip"
	"testing"
	"time"
)

// chain returns so many routers in a row: router i has the LANs i and i+1.
func chain(t testing.TB, n int) *network {
	nw := &network{}
	for i := range n {
		r := newRig(t)
		nw.add(r)
		left, right := lan(i+1), lan(i+2)
		right.Address = netip.AddrFrom4([4]byte{192, 168, byte(i + 2), 2})
		right.Networks[0].Address = right.Address
		r.set(left)
		r.set(right)
	}
	return nw
}

// Two routers that start exchange probes and routes at once.
func TestTwoRouters(t *testing.T) {
	nw := chain(t, 2)
	nw.run(200 * time.Millisecond)
	nw.routers[0].wantWay("192.168.3.0/24", "192.168.2.1 metric 2")
	nw.routers[1].wantWay("192.168.1.0/24", "192.168.2.2 metric 2")
	nw.routers[0].wantWay("192.168.2.0/24", "eth2 metric 1")
	nw.run(10 * time.Second)
	for _, r := range nw.routers {
		for _, l := range r.p.links {
			for _, n := range l.neighbors {
				if !n.inquiry.mroutd || n.timeout() != 3500*time.Millisecond {
					t.Errorf("%v on %s: program %q, timeout %v", n.addr, l.Name, n.inquiry.program, n.timeout())
				}
			}
		}
	}
}

// Six routers in a row that start together know all networks within 1.5 s.
func TestChain(t *testing.T) {
	nw := chain(t, 6)
	nw.run(1500 * time.Millisecond)
	for i, r := range nw.routers {
		for lan := 1; lan <= 7; lan++ {
			distance := max(i+1-lan, lan-i-2, 0)
			if way := r.way(fmt.Sprintf("192.168.%d.0/24", lan)); way[len(way)-1:] != fmt.Sprint(distance+1) {
				t.Errorf("router %d: LAN %d goes by %s, want metric %d", i, lan, way, distance+1)
			}
		}
	}
}
