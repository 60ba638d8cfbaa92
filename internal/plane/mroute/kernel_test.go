package mroute_test

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"mbone/internal/lab"
	"mbone/internal/plane/mroute"
)

func TestMain(m *testing.M) { lab.Main(m) }

const network = `
lan left
lan right
host sender
  interface eth0 on left 10.0.1.1/24
host router
  interface eth0 on left 10.0.1.2/24
  interface eth1 on right 10.0.2.2/24
host receiver
  interface eth0 on right 10.0.2.1/24
`

var (
	source = netip.MustParseAddr("10.0.1.1")
	group  = netip.MustParseAddr("239.1.2.3")
	port   = netip.AddrPortFrom(group, 5000)
)

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func openTable(t *testing.T, h *lab.Host, id uint32) *mroute.Table {
	t.Helper()
	table := lab.Within(t, h, func() (*mroute.Table, error) { return mroute.Open(id) })
	t.Cleanup(func() { table.Close() })
	return table
}

func openReader(t *testing.T, h *lab.Host) *mroute.Reader {
	t.Helper()
	r := lab.Within(t, h, mroute.OpenReader)
	t.Cleanup(r.Close)
	return r
}

// forward sends packets of an entry and waits for them behind the router.
func forward(t *testing.T, l *lab.Lab, n int) {
	t.Helper()
	r, err := l.Host("receiver").Join(port, "eth0", netip.Addr{})
	check(t, err)
	defer r.Close()
	_, err = l.Host("sender").Send(t.Context(), lab.Flow{Group: port, Interface: "eth0", Count: n, Size: 100})
	check(t, err)
	lab.Until(t, 10*time.Second, func() error {
		if s := r.Stats(); s.Packets != n {
			return fmt.Errorf("%d of %d packets came", s.Packets, n)
		}
		return nil
	})
}

func addVifs(t *testing.T, table *mroute.Table, h *lab.Host) (left, right int) {
	t.Helper()
	left, right = h.Wire("eth0").Index, h.Wire("eth1").Index
	check(t, table.AddVif(0, left))
	check(t, table.AddVif(7, right))
	return left, right
}

func entry(ttl uint8) mroute.Entry {
	e := mroute.Entry{Source: source, Group: group, Parent: 0}
	e.TTLs[7] = ttl
	return e
}

// What a table forwards is what both of the kernel's ways to look at it say.
func TestForward(t *testing.T) {
	l := lab.Start(t, network)
	router := l.Host("router")
	reader := openReader(t, router)
	if on, err := reader.Forwarding(); on || err != nil {
		t.Errorf("forwarding before anybody routes: %v, %v", on, err)
	}
	table := openTable(t, router, 0)
	left, right := addVifs(t, table, router)
	check(t, table.AddMFC(entry(3)))
	if on, err := reader.Forwarding(); !on || err != nil {
		t.Errorf("forwarding: %v, %v", on, err)
	}
	const n, bytes = 10, 10 * 128 // 100 of data, 8 of UDP, 20 of IP
	forward(t, l, n)

	count := mroute.VifCount{PacketsIn: n, BytesIn: bytes}
	if got, err := table.VifCount(0); err != nil || got != count {
		t.Errorf("vif 0: %+v (%v), want %+v", got, err, count)
	}
	countOut := mroute.VifCount{PacketsOut: n, BytesOut: bytes}
	if got, err := table.VifCount(7); err != nil || got != countOut {
		t.Errorf("vif 7: %+v (%v), want %+v", got, err, countOut)
	}
	sg := mroute.SGCount{Packets: n, Bytes: bytes}
	if got, err := table.SGCount(source, group); err != nil || got != sg {
		t.Errorf("entry: %+v (%v), want %+v", got, err, sg)
	}
	vifs, err := reader.Vifs(0)
	check(t, err)
	want := []mroute.Vif{
		{ID: 0, IfIndex: left, Flags: mroute.VifUseIfIndex, Count: count},
		{ID: 7, IfIndex: right, Flags: mroute.VifUseIfIndex, Count: countOut},
	}
	same := cmp.Comparer(func(a, b netip.Addr) bool { return a == b })
	if diff := cmp.Diff(want, vifs, same); diff != "" {
		t.Errorf("vifs: -want +got:\n%s", diff)
	}
	route := mroute.Route{
		Table: mroute.DefaultTable, Source: source, Group: group, IfIndex: left,
		Outputs: []mroute.Output{{IfIndex: right, TTL: 3}}, Count: sg,
	}
	got, ok, err := reader.Route(0, source, group)
	if diff := cmp.Diff(route, got, same); diff != "" || !ok || err != nil {
		t.Errorf("entry: %v, %v, -want +got:\n%s", ok, err, diff)
	}
	var all []mroute.Route
	check(t, reader.Routes(0, func(r *mroute.Route) {
		c := *r
		c.Outputs = append([]mroute.Output{}, r.Outputs...)
		all = append(all, c)
	}))
	if diff := cmp.Diff([]mroute.Route{route}, all, same); diff != "" {
		t.Errorf("entries: -want +got:\n%s", diff)
	}

	// Changing an entry keeps its counters, deleting it does not.
	check(t, table.AddMFC(entry(4)))
	if got, _, err := reader.Route(0, source, group); err != nil || got.Count != sg || got.Outputs[0].TTL != 4 {
		t.Errorf("changed entry: %+v, %v", got, err)
	}
	check(t, table.DelMFC(source, group))
	if _, ok, err := reader.Route(0, source, group); ok || err != nil {
		t.Errorf("deleted entry: %v, %v", ok, err)
	}
	check(t, table.DelVif(7))
	check(t, table.Close())
	if vifs, err := reader.Vifs(0); len(vifs) != 0 || err != nil {
		t.Errorf("after the owner: %v, %v", vifs, err)
	}
}

// A packet that waits for a decision is an entry without an interface.
func TestUnresolved(t *testing.T) {
	l := lab.Start(t, network)
	router := l.Host("router")
	reader := openReader(t, router)
	table := openTable(t, router, 0)
	addVifs(t, table, router)
	_, err := l.Host("sender").Send(t.Context(), lab.Flow{Group: port, Interface: "eth0", Count: 1})
	check(t, err)
	lab.Until(t, 10*time.Second, func() error {
		n := 0
		err := reader.Routes(0, func(r *mroute.Route) {
			if r.Source == source && r.Group == group && r.IfIndex == 0 && len(r.Outputs) == 0 {
				n++
			}
		})
		if err == nil && n != 1 {
			err = fmt.Errorf("%d unresolved entries", n)
		}
		return err
	})
	if _, ok, err := reader.Route(0, source, group); ok || err != nil {
		t.Errorf("taken for a resolved one: %v, %v", ok, err)
	}
}

// Tables are apart from one another, and from those that do not exist.
func TestTables(t *testing.T) {
	l := lab.Start(t, network)
	router := l.Host("router")
	reader := openReader(t, router)
	table := openTable(t, router, 77)
	addVifs(t, table, router)
	check(t, table.AddMFC(entry(1)))
	for id, want := range map[uint32]int{77: 1, 0: 0, mroute.DefaultTable: 0, 78: 0} {
		vifs, err := reader.Vifs(id)
		check(t, err)
		_, ok, err := reader.Route(id, source, group)
		check(t, err)
		n := 0
		check(t, reader.Routes(id, func(*mroute.Route) { n++ }))
		if len(vifs) != 2*want || ok != (want > 0) || n != want {
			t.Errorf("table %d: %d vifs, entry %v, %d entries", id, len(vifs), ok, n)
		}
	}
}

// A socket that is handed on keeps everything alive when its first owner goes.
func TestAdopt(t *testing.T) {
	l := lab.Start(t, network)
	router := l.Host("router")
	first := openTable(t, router, 0)
	addVifs(t, first, router)
	check(t, first.AddMFC(entry(1)))
	fd, err := unix.Dup(int(first.File().Fd()))
	check(t, err)
	second, err := mroute.Adopt(os.NewFile(uintptr(fd), "copy"), 0)
	check(t, err)
	defer second.Close()
	check(t, first.Close())
	forward(t, l, 5)
	if got, err := second.SGCount(source, group); err != nil || got.Packets != 5 {
		t.Errorf("%+v, %v", got, err)
	}

	null, err := os.Open(os.DevNull)
	check(t, err)
	if _, err := mroute.Adopt(null, 0); err == nil {
		t.Error("the null device owns a table")
	}
}

func TestRefused(t *testing.T) {
	l := lab.Start(t, network)
	router := l.Host("router")
	table := openTable(t, router, 0)
	addVifs(t, table, router)
	for _, c := range []struct {
		name string
		fn   func() error
		want error
	}{
		{"second owner", func() error {
			return router.Do(func() error {
				_, err := mroute.Open(0)
				return err
			})
		}, unix.EADDRINUSE},
		{"vif twice", func() error { return table.AddVif(0, router.Wire("eth0").Index) }, unix.EADDRINUSE},
		{"vif number too large", func() error { return table.AddVif(mroute.MaxVifs, router.Wire("eth0").Index) }, unix.ENFILE},
		{"no such interface", func() error { return table.AddVif(9, 4711) }, unix.EADDRNOTAVAIL},
		{"parent too large", func() error { return table.AddMFC(mroute.Entry{Source: source, Group: group, Parent: mroute.MaxVifs}) }, unix.ENFILE},
		{"no such entry", func() error { return table.DelMFC(source, group) }, unix.ENOENT},
		{"no such vif", func() error { return table.DelVif(-1) }, unix.EADDRNOTAVAIL},
		{"count of no entry", func() error { _, err := table.SGCount(source, group); return err }, unix.EADDRNOTAVAIL},
		{"count of no vif", func() error { _, err := table.VifCount(5); return err }, unix.EADDRNOTAVAIL},
	} {
		err := c.fn()
		if _, ok := errors.AsType[*mroute.Error](err); !ok || !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
	}
	if err := table.AddMFC(mroute.Entry{Source: netip.IPv6Loopback(), Group: group}); err == nil {
		t.Error("an IPv6 entry is accepted")
	}
	check(t, table.Close())
	if err := table.AddVif(3, 1); !errors.Is(err, os.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}
