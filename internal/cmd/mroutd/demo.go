package mroutd

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"mbone/internal/cli"
	"mbone/internal/lab"
	"mbone/internal/plane/mroute"
)

// The demonstration runs on the sample topology demo.
const (
	demoTopology = "demo"
	demoPackets  = 100
	demoInterval = 5 * time.Millisecond
	// demoLoss is how many packets of a hundred the third step loses.
	demoLoss = 20
	// demoWait is how long mtrace waits for statistics: long enough for the
	// packets, and twice as long the next time if it was not.
	demoWait  = 2 * time.Second
	demoTries = 3
	// demoPatience is how long a responder may take to start, and packets to
	// arrive.
	demoPatience = 10 * time.Second
	demoPoll     = 10 * time.Millisecond
	// demoJSON is how many lines of a document are shown.
	demoJSON = 33
)

var (
	demoSource   = netip.MustParseAddr("10.0.1.1")
	demoReceiver = netip.MustParseAddr("10.0.4.1")
	demoGroup    = netip.MustParseAddr("239.1.2.3")
	demoFlow     = netip.AddrPortFrom(demoGroup, 5000)
	// demoRouters are the routers in the order in which packets pass them.
	demoRouters = []string{"r1", "r2", "r3"}
)

const demoIntroduction = `Three multicast routers in a row, in namespaces of this machine:

  sender --net1-- r1 --net2-- r2 --net3-- r3 --net4-- receiver
  10.0.1.1  .1.254 .2.1  .2.2 .3.1  .3.2 .4.254  10.0.4.1

Their kernels forward what 10.0.1.1 sends to the group 239.1.2.3, and on
each of them runs: mroutd --respond-only
`

// demonstration is one run of mroutd lab demo.
type demonstration struct {
	out      io.Writer
	lab      *lab.Lab
	counters []*mroute.Counters // of demoRouters
	receiver *lab.Receiver
}

// demo is mroutd lab demo.
func demo(ctx context.Context, call *cli.Call) error {
	if inside, err := enter(); !inside {
		return err
	}
	topology, err := lab.Load(demoTopology)
	if err != nil {
		return err
	}
	l, err := build(topology)
	if err != nil {
		return err
	}
	defer l.Close()
	d := &demonstration{out: call.Stdout, lab: l}
	defer d.close()
	err = d.start(ctx)
	if err == nil {
		err = d.show(ctx)
	}
	if err != nil && ctx.Err() != nil {
		return &cli.Error{Code: cli.ExitIncomplete, What: cli.Interrupted(ctx)}
	}
	return err
}

func (d *demonstration) say(format string, args ...any) { fmt.Fprintf(d.out, format+"\n", args...) }

// start starts the responders and what measures the truth.
func (d *demonstration) start(ctx context.Context) error {
	d.say("%s", demoIntroduction)
	for _, name := range demoRouters {
		h := d.lab.Host(name)
		err := h.Do(func() error {
			counters, err := mroute.OpenCounters(0)
			d.counters = append(d.counters, counters)
			return err
		})
		if err != nil {
			return err
		}
		for _, c := range h.Programs() {
			if err := ready(ctx, c); err != nil {
				return err
			}
		}
	}
	var err error
	d.receiver, err = d.lab.Host("receiver").Join(demoFlow, "eth0", demoSource)
	return err
}

func (d *demonstration) close() {
	for _, c := range d.counters {
		c.Close()
	}
	if d.receiver != nil {
		d.receiver.Close()
	}
}

// ready waits until a responder says that it answers.
func ready(ctx context.Context, c *lab.Cmd) error {
	err := until(ctx, func() bool {
		select {
		case <-c.Done():
			return true
		default:
			return strings.Contains(c.Log(), "msg=answering")
		}
	})
	if err != nil || !strings.Contains(c.Log(), "msg=answering") {
		return fmt.Errorf("%s: mroutd does not answer: %s", c.Host.Name, c.Log())
	}
	return nil
}

// until waits until fn is true, but no longer than demoPatience.
func until(ctx context.Context, fn func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, demoPatience)
	defer cancel()
	tick := time.NewTicker(demoPoll)
	defer tick.Stop()
	for !fn() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// show goes through the steps.
func (d *demonstration) show(ctx context.Context) error {
	d.say("1. Who is r2, and what are its interfaces?\n")
	if _, err := d.command(ctx, d.out, "mrinfo", "-n", "10.0.2.2"); err != nil {
		return err
	}
	d.say("\n2. Which way do packets come to the receiver, and are any lost?\n"+
		"   (Meanwhile the sender sends %d packets.)\n", demoPackets)
	if err := d.measure(ctx); err != nil {
		return err
	}
	wire := d.lab.Host("r3").Wire("eth0")
	err := wire.SetLoss(lab.In, lab.Loss{Percent: demoLoss, Source: netip.PrefixFrom(demoSource, demoSource.BitLen())})
	if none, ok := errors.AsType[*lab.LossError](err); ok {
		d.say("\n3. This kernel cannot lose packets for us: %v", none)
	} else if err != nil {
		return err
	} else {
		d.say("\n3. Now about %d%% of the packets from r2 to r3 are lost. Where?\n", demoLoss)
		if err := d.measure(ctx); err != nil {
			return err
		}
		if err := wire.Mend(); err != nil {
			return err
		}
	}
	d.say("\n4. The same for programs: the tools speak JSON.\n")
	document, err := d.command(ctx, io.Discard, "mrinfo", "-n", "--json", "10.0.2.2")
	if err != nil {
		return err
	}
	if !json.Valid(document) {
		return errors.New("mrinfo --json has not printed a JSON document")
	}
	lines := strings.SplitAfterN(string(document), "\n", demoJSON+1)
	d.say("%s...\n", strings.Join(lines[:len(lines)-1], ""))
	d.say("What mtrace said is what the kernels have counted.\n" +
		"Go on by yourself: mroutd lab up demo receiver")
	return nil
}

// command runs a tool on the receiver, copies its output to w and returns it.
// The tool must succeed.
func (d *demonstration) command(ctx context.Context, w io.Writer, args ...string) ([]byte, error) {
	d.say("receiver$ %s", strings.Join(args, " "))
	var output, failure bytes.Buffer
	c := command(ctx, d.lab.Host("receiver"), args)
	c.Stdout, c.Stderr = io.MultiWriter(w, &output), &failure
	if err := c.Run(); err != nil {
		return nil, fmt.Errorf("%s: %w: %s", args[0], err, strings.TrimSpace(failure.String()))
	}
	return output.Bytes(), nil
}

// measure runs mtrace while packets are sent, and compares what it says with
// what the kernels have counted.
func (d *demonstration) measure(ctx context.Context) error {
	wait := demoWait
	for range demoTries {
		before, err := d.count(ctx)
		if err != nil {
			return err
		}
		// mtrace says when it has seen the counters for the first time.
		begin := &trigger{w: d.out, text: []byte("Waiting to accumulate"), fire: make(chan struct{})}
		type sending struct {
			packets int
			late    bool
			err     error
		}
		sent := make(chan sending, 1)
		traced, cancel := context.WithCancel(ctx)
		go func() {
			var s sending
			select {
			case <-begin.fire:
				start := time.Now()
				s.packets, s.err = d.lab.Host("sender").Send(ctx, lab.Flow{
					Group: demoFlow, Interface: "eth0", Count: demoPackets, Interval: demoInterval,
				})
				s.late = time.Since(start) > wait*3/4
			case <-traced.Done():
			}
			sent <- s
		}()
		output, err := d.command(ctx, begin, "mtrace", "-n", "-S", strconv.Itoa(int(wait.Seconds())),
			demoSource.String(), demoReceiver.String(), demoGroup.String())
		cancel()
		s := <-sent
		if err := errors.Join(err, s.err); err != nil {
			return err
		}
		if s.late {
			d.say("This machine was too busy to send in time. Once more, with more time.\n")
			wait *= 2
			continue
		}
		after, err := d.count(ctx)
		if err != nil {
			return err
		}
		return d.compare(s.packets, after.minus(before), output)
	}
	return fmt.Errorf("this machine is too busy: %d packets took more than %v", demoPackets, wait/2)
}

// truth is what was counted without the tools: at each router the packets of the
// flow, and those that came in and went out by its interfaces, and at the end
// what the receiver got.
type truth struct {
	flow, in, out []int
	received      int
}

// count takes the truth of a moment when all packets have arrived.
func (d *demonstration) count(ctx context.Context) (truth, error) {
	var t truth
	for _, c := range d.counters {
		// The lab numbers vifs in the order of interfaces: eth0, eth1.
		in, err1 := c.VifCount(0)
		out, err2 := c.VifCount(1)
		flow, err3 := c.SGCount(demoSource, demoGroup)
		if err := errors.Join(err1, err2, err3); err != nil {
			return truth{}, err
		}
		t.in, t.out, t.flow = append(t.in, int(in.PacketsIn)), append(t.out, int(out.PacketsOut)), append(t.flow, int(flow.Packets))
	}
	// It has heard all that the last router has ever sent. If it does not, the
	// comparison tells.
	_ = until(ctx, func() bool {
		t.received = d.receiver.Stats().Packets
		return t.received >= t.out[len(t.out)-1]
	})
	return t, ctx.Err()
}

func (t truth) minus(o truth) truth {
	difference := func(a, b []int) []int {
		a = slices.Clone(a)
		for i := range a {
			a[i] -= b[i]
		}
		return a
	}
	return truth{difference(t.flow, o.flow), difference(t.in, o.in), difference(t.out, o.out), t.received - o.received}
}

// figure is what mtrace says of a link: "lost/sent = percent", or on the last one
// only how many were sent.
var figure = regexp.MustCompile(`(?:(-?\d+)/(\d+)\s*=|\s(\d+)\s+\d+ pps)`)

// said finds the figures in mtrace's picture: for each link from the source on,
// of all multicast and of the flow.
func said(picture []byte) (lost, sent [][2]int) {
	number := func(b []byte) int {
		n, _ := strconv.Atoi(string(b)) // only digits match
		return n
	}
	for line := range bytes.Lines(picture) {
		found := figure.FindAllSubmatch(line, -1)
		if len(found) != 2 {
			continue
		}
		var l, s [2]int
		for i, f := range found {
			l[i], s[i] = number(f[1]), number(f[2])+number(f[3])
		}
		lost, sent = append(lost, l), append(sent, s)
	}
	return lost, sent
}

// compare prints the truth beside what mtrace said. It is an error if they differ.
func (d *demonstration) compare(packets int, t truth, picture []byte) error {
	lost, sent := said(picture)
	last := len(demoRouters) - 1
	if len(sent) != len(demoRouters) {
		return fmt.Errorf("mtrace has given figures for %d links, want %d", len(sent), len(demoRouters))
	}
	agree := packets == t.flow[0] && t.received == t.flow[last]
	d.say("  the flow       kernels: sent  lost    mtrace: sent  lost")
	for i := range demoRouters {
		// mtrace cannot know what the receiver got, and we know what it says.
		link, lostTrue, lostAll := demoRouters[i]+" - receiver", 0, 0
		if i < last {
			link = demoRouters[i] + " - " + demoRouters[i+1]
			lostTrue, lostAll = t.flow[i]-t.flow[i+1], t.out[i]-t.in[i+1]
		}
		d.say("  %-13s  %13d %5d   %13d %5d", link, t.flow[i], lostTrue, sent[i][1], lost[i][1])
		agree = agree && sent[i] == [2]int{t.out[i], t.flow[i]} && lost[i] == [2]int{lostAll, lostTrue}
	}
	d.say("  The sender has sent %d, the receiver has got %d.", packets, t.received)
	if !agree {
		return &cli.Error{Code: cli.ExitIncomplete, Err: errors.New("mtrace says something else than the kernels have counted")}
	}
	return nil
}

// trigger passes on what is written and closes fire when it has seen a text.
type trigger struct {
	w    io.Writer
	text []byte
	fire chan struct{}
	seen []byte
	done bool
}

func (t *trigger) Write(b []byte) (int, error) {
	if !t.done {
		t.seen = append(t.seen, b...)
		if t.done = bytes.Contains(t.seen, t.text); t.done {
			close(t.fire)
		}
	}
	return t.w.Write(b)
}
