package mstat_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"mbone/internal/cmd/cmdtest"
	"mbone/internal/lab"
	"mbone/internal/plane/mroute"
	"mbone/report"
	"mbone/schema/schematest"
)

// patience is how long anything may take that should take a second.
const patience = 30 * time.Second

// network is four routers between a sender and a receiver, the third of which has
// a stand-in. The tests themselves own the tables of forwarding entries, so that
// they can let a router restart; mroutd answers for it.
const network = `
lan net1
lan net2
lan net3
lan net4
lan net5
host sender
  interface eth0 on net1 10.0.1.9/24
host r1
  interface up on net1 10.0.1.1/24
  interface down on net2 10.0.2.1/24
  sysctl net.ipv4.ip_forward 1
  route default via 10.0.2.2
host r2
  interface up on net2 10.0.2.2/24
  interface down on net3 10.0.3.1/24
  sysctl net.ipv4.ip_forward 1
  route 10.0.1.0/24 via 10.0.2.1
  route default via 10.0.3.3
host r3
  interface up on net3 10.0.3.3/24
  interface down on net4 10.0.4.3/24
  sysctl net.ipv4.ip_forward 1
  route default via 10.0.3.1
  route 10.0.5.0/24 via 10.0.4.4
host other
  interface up on net3 10.0.3.4/24
  interface down on net4 10.0.4.5/24
  sysctl net.ipv4.ip_forward 1
  route default via 10.0.3.1
  route 10.0.5.0/24 via 10.0.4.4
host r4
  interface up on net4 10.0.4.4/24
  interface down on net5 10.0.5.1/24
  sysctl net.ipv4.ip_forward 1
  route default via 10.0.4.3
host receiver
  interface eth0 on net5 10.0.5.9/24
  route default via 10.0.5.1
`

var (
	flow   = netip.MustParseAddrPort("239.1.2.3:5000")
	source = netip.MustParseAddr("10.0.1.9")
)

// world is the network with the tables of its routers.
type world struct {
	t      *testing.T
	lab    *lab.Lab
	tables map[string]*mroute.Table
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, lab: lab.Start(t, network), tables: make(map[string]*mroute.Table)}
	t.Cleanup(func() {
		for _, table := range w.tables {
			table.Close()
		}
	})
	for _, name := range []string{"r1", "r2", "r3", "r4"} {
		w.forward(name)
	}
	for _, name := range []string{"r1", "r2", "r3", "r4", "other"} {
		if err := w.lab.Host(name).Command(context.Background(), "mroutd", "--respond-only").Start(); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

// forward lets a router forward the flow from its interface up to that down, in a
// new table: its counters begin at 0.
func (w *world) forward(name string) {
	w.t.Helper()
	host := w.lab.Host(name)
	if old := w.tables[name]; old != nil {
		if err := old.Close(); err != nil {
			w.t.Fatal(err)
		}
	}
	err := host.Do(func() error {
		table, err := mroute.Open(0)
		if err != nil {
			return err
		}
		w.tables[name] = table
		entry := mroute.Entry{Source: source, Group: flow.Addr(), Parent: 0}
		entry.TTLs[1] = 1
		return errors.Join(table.AddVif(0, host.Wire("up").Index), table.AddVif(1, host.Wire("down").Index), table.AddMFC(entry))
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

// send sends packets of the flow.
func (w *world) send(n int) {
	w.t.Helper()
	sent, err := w.lab.Host("sender").Send(w.t.Context(), lab.Flow{Group: flow, Interface: "eth0", Count: n, Interval: 500 * time.Microsecond})
	if err != nil || sent != n {
		w.t.Fatalf("sent %d packets, %v", sent, err)
	}
}

var question = []string{"10.0.1.9", "10.0.5.9", "239.1.2.3"}

// mstat starts mstat at the receiver.
func (w *world) mstat(args ...string) *run {
	w.t.Helper()
	c := w.lab.Host("receiver").Command(w.t.Context(), "mstat", append(append([]string{"-n", "-S0.4"}, args...), question...)...)
	out, err := c.StdoutPipe()
	if err != nil {
		w.t.Fatal(err)
	}
	r := &run{t: w.t, Cmd: c, lines: bufio.NewScanner(out)}
	r.lines.Buffer(nil, 1<<20)
	if err := c.Start(); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(c.Kill)
	return r
}

// run is mstat while it runs.
type run struct {
	*lab.Cmd
	t     *testing.T
	lines *bufio.Scanner
}

// until reads documents up to one that is as is says.
func (r *run) until(is func(*report.Path) error) *report.Path {
	r.t.Helper()
	var last error
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		if !r.lines.Scan() {
			r.t.Fatalf("mstat ended: %v\n%s", r.lines.Err(), r.Log())
		}
		p, err := schematest.One[report.Path](r.lines.Bytes())
		if err != nil {
			r.t.Fatal(err)
		}
		if last = is(&p); last == nil {
			return &p
		}
	}
	r.t.Fatalf("%v\n%s", last, r.Log())
	return nil
}

// line reads text up to a line that ends so, and returns what came before.
func (r *run) line(end string) (before string) {
	r.t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline) && r.lines.Scan(); {
		if strings.HasSuffix(r.lines.Text(), end) {
			return before
		}
		before += r.lines.Text() + "\n"
	}
	r.t.Fatalf("no line ends with %q: %v\n%s%s", end, r.lines.Err(), before, r.Log())
	return ""
}

// measured is any report with statistics of the whole path.
func measured(p *report.Path) error {
	if p.Statistics == nil || len(p.Hops) != 4 {
		return fmt.Errorf("%d hops, %s", len(p.Hops), p.Reason)
	}
	return nil
}

// happened is a report that tells of an event at a hop.
func happened(kind report.PathEventKind, hop int) func(*report.Path) error {
	return func(p *report.Path) error {
		if slices.ContainsFunc(p.Events, func(e report.PathEvent) bool { return e.Kind == kind && e.Hop == hop }) {
			return nil
		}
		return fmt.Errorf("no %s at hop %d but %+v", kind, hop, p.Events)
	}
}

// totals is a report whose totals are these "lost/sent", from the source on, in
// both columns.
func totals(want ...string) func(*report.Path) error {
	return func(p *report.Path) error {
		if err := measured(p); err != nil {
			return err
		}
		for _, column := range []func(*report.Traffic) *report.Count{
			func(t *report.Traffic) *report.Count { return &t.All },
			func(t *report.Traffic) *report.Count { return &t.Group },
		} {
			var got []string
			for i := range slices.Backward(p.Statistics.Links) {
				c := column(&p.Statistics.Links[i].Total)
				switch {
				case c.Lost != nil:
					got = append(got, fmt.Sprintf("%d/%d", *c.Lost, *c.Sent))
				case c.Sent != nil:
					got = append(got, fmt.Sprintf("?/%d", *c.Sent))
				default:
					got = append(got, "?")
				}
			}
			if !slices.Equal(got, want) {
				return fmt.Errorf("totals %q, want %q", got, want)
			}
		}
		return nil
	}
}

func TestKernel(t *testing.T) {
	w := newWorld(t)
	lab.Until(t, patience, func() error {
		o := cmdtest.At(t, w.lab.Host("receiver"), "mtrace", append([]string{"-ns"}, question...)...)
		if o.Code != 0 || !strings.Contains(o.Stdout, "\n -5  10.0.1.9\n") {
			return errors.New("not the whole path")
		}
		return nil
	})
	for _, percent := range []float64{0, 1, 5, 20} {
		t.Run(fmt.Sprintf("loss of %v percent", percent), func(t *testing.T) { w.at(t).loss(percent) })
	}
	t.Run("text", func(t *testing.T) { w.at(t).text() })
	t.Run("a router restarts", func(t *testing.T) { w.at(t).restart() })
	t.Run("another path", func(t *testing.T) { w.at(t).reroute() })
}

// at is the world as a subtest sees it.
func (w *world) at(t *testing.T) *world {
	return &world{t: t, lab: w.lab, tables: w.tables}
}

// loss loses a share of the packets on one link and nothing elsewhere: that is
// what mstat says, to the packet.
func (w *world) loss(percent float64) {
	const sent = 2000
	lossy := w.lab.Host("r3").Wire("up")
	before, err := lossy.Drops(lab.In)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := lossy.SetLoss(lab.In, lab.Loss{Percent: percent, Destination: netip.PrefixFrom(flow.Addr(), 32)}); err != nil {
		w.t.Fatal(err)
	}
	m := w.mstat("-o", "ndjson")
	m.until(measured)
	// The first totals are of nothing.
	w.send(sent)
	if err := lossy.SetLoss(lab.In, lab.Loss{}); err != nil {
		w.t.Fatal(err)
	}
	after, err := lossy.Drops(lab.In)
	if err != nil {
		w.t.Fatal(err)
	}
	lost := int64(after - before)
	if (lost == 0) != (percent == 0) {
		w.t.Fatalf("%d of %d packets were lost", lost, sent)
	}
	come := sent - lost
	p := m.until(totals(
		fmt.Sprintf("%d/%d", 0, sent), fmt.Sprintf("%d/%d", lost, sent), fmt.Sprintf("%d/%d", 0, come), fmt.Sprintf("?/%d", come)))
	for i, l := range p.Statistics.Links[1:] {
		c := l.Total.Group
		if *c.LossLow > *c.LossPercent || *c.LossHigh < *c.LossPercent || len(c.Marks) > 0 {
			w.t.Errorf("link %d: %.2f percent is not between %.2f and %.2f, or %v", i+2, *c.LossPercent, *c.LossLow, *c.LossHigh, c.Marks)
		}
	}
	if len(p.Events) > 0 || p.Statistics.Resets > 0 {
		w.t.Errorf("events %+v", p.Events)
	}
}

// text shows the same in the picture.
func (w *world) text() {
	m := w.mstat("-c3")
	go func() {
		for range 20 {
			w.lab.Host("sender").Send(w.t.Context(), lab.Flow{Group: flow, Interface: "eth0", Count: 50, Interval: time.Millisecond})
		}
	}()
	var out strings.Builder
	for m.lines.Scan() {
		out.WriteString(m.lines.Text() + "\n")
	}
	code, err := lab.ExitCode(m.Wait())
	if err != nil || code != 0 || strings.Count(out.String(), "\n  Source        Response Dest") != 3 ||
		!strings.Contains(out.String(), "\n     v     |      hop") {
		w.t.Errorf("exit code %d, %v\n%s%s", code, err, &out, m.Log())
	}
}

// restart lets the second router begin anew while mstat runs. The links of others
// keep their numbers.
func (w *world) restart() {
	w.send(300) // so that the counters are smaller afterwards
	m, text := w.mstat("-o", "ndjson"), w.mstat()
	m.until(measured)
	text.line("Results after 0 seconds:") // 0.4, in whole ones
	w.send(100)
	m.until(totals("0/100", "0/100", "0/100", "?/100"))
	w.forward("r2")
	lab.Until(w.t, patience, func() error { // mroutd has seen it
		o := cmdtest.At(w.t, w.lab.Host("receiver"), "mtrace", append([]string{"-ns"}, question...)...)
		if o.Code != 0 || strings.Contains(o.Stdout, "Multicast disabled") {
			return errors.New("the second router does not forward yet")
		}
		return nil
	})
	p := m.until(happened(report.EventReset, 3))
	if at := p.Events[0].Address.String(); at != "10.0.3.1" {
		w.t.Errorf("the event is of %s", at)
	}
	w.send(50)
	// What r1 sends to r2 and r2 to r3 counts from the restart, the others as before.
	p = m.until(totals("0/50", "0/50", "0/150", "?/150"))
	for i, l := range p.Statistics.Links {
		want := i == 2 || i == 3
		if got := slices.Contains(l.Total.Group.Marks, report.MarkReset); got != want || slices.Contains(l.Total.All.Marks, report.MarkReset) != want {
			w.t.Errorf("link of hop %d is marked %v: %v", l.From, l.Total.All.Marks, l.Total.Group.Marks)
		}
	}
	if p.Statistics.Resets != 1 {
		w.t.Errorf("%d resets", p.Statistics.Resets)
	}
	text.line(" pps  reset")
	if log := text.Log(); strings.Count(log, "mstat: hop 3, 10.0.3.1: the counters began anew, as when a router restarts\n") != 1 {
		w.t.Errorf("standard error %q", log)
	}
}

// reroute gives the third router's place to another one while mstat runs.
func (w *world) reroute() {
	m := w.mstat("-o", "ndjson")
	text := w.mstat()
	m.until(measured)
	w.send(100)
	m.until(totals("0/100", "0/100", "0/100", "?/100"))
	r4 := w.lab.Host("r4")
	old := lab.Route{Destination: netip.MustParsePrefix("0.0.0.0/0"), Via: netip.MustParseAddr("10.0.4.3")}
	other := old
	other.Via = netip.MustParseAddr("10.0.4.5")
	w.tables["r3"].Close()
	delete(w.tables, "r3")
	w.forward("other")
	if err := errors.Join(r4.RemoveRoute(old), r4.AddRoute(other)); err != nil {
		w.t.Fatal(err)
	}
	p := m.until(happened(report.EventRouteChanged, 1))
	if p.Statistics != nil || p.Change == nil || p.Change.Hop != 1 {
		w.t.Errorf("change %+v, statistics %+v", p.Change, p.Statistics)
	}
	p = m.until(measured)
	if at := p.Hops[1].Address.String(); at != "10.0.4.5" || p.Statistics.Resets != 0 {
		w.t.Errorf("the second hop is %s, %d resets", at, p.Statistics.Resets)
	}
	// Measured anew.
	w.send(70)
	m.until(totals("0/70", "0/70", "0/70", "?/70"))
	before := text.line("Restarting.")
	if !strings.Contains(before, "Route changed:\n -1  10.0.5.1 ") || !strings.Contains(before, "\n -2  10.0.4.5 ") {
		w.t.Errorf("text\n%s", before)
	}
	if log := text.Log(); !strings.Contains(log, "mstat: hop 1, 10.0.5.1: route changed; its previous hop is now 10.0.4.5\n") {
		w.t.Errorf("standard error %q", log)
	}
}
