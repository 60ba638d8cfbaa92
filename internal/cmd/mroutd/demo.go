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
	"mbone/internal/plane"
	"mbone/internal/plane/mroute"
	"mbone/proto/igmp"
	"mbone/report"
)

// The demonstration runs on the sample topology demo.
const (
	demoTopology = "demo"
	// demoPackets are enough for mstat to tell any loss within 10 percent.
	demoPackets  = 400
	demoInterval = 2 * time.Millisecond
	// demoLoss is how many packets of a hundred the fourth step loses.
	demoLoss = 20
	// demoWait is how long mtrace and mstat wait for statistics: long enough for the
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
	// demoAddresses are those of the routers, in the same order, two of each.
	demoAddresses = []string{"10.0.1.254", "10.0.2.1", "10.0.2.2", "10.0.3.1", "10.0.3.2", "10.0.4.254"}
)

// demoNeighbors is how many neighbours the routers have, all together.
const demoNeighbors = 4

// demoQuery is what the routers ask the hosts on their links when they start,
// with the times of RFC 3376 section 8.
var demoQuery = igmp.Query{Version: 3, Group: igmp.Unspecified, MaxResponse: 10 * time.Second, Robustness: 2, Interval: 125 * time.Second}

const demoIntroduction = `Three multicast routers in a row, in namespaces of this machine:

  sender --net1-- r1 --net2-- r2 --net3-- r3 --net4-- receiver
  10.0.1.1  .1.254 .2.1  .2.2 .3.1  .3.2 .4.254  10.0.4.1

Their kernels forward what 10.0.1.1 sends to the group 239.1.2.3. On each
of them runs mroutd --respond-only; it knows the router next to it by the
IGMP queries that routers send.
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
	if err := d.introduce(ctx); err != nil {
		return err
	}
	var err error
	d.receiver, err = d.lab.Host("receiver").Join(demoFlow, "eth0", demoSource)
	return err
}

// introduce lets the routers hear of each other: each sends an IGMP query over its
// two links, as whatever program owns its routing table would do.
func (d *demonstration) introduce(ctx context.Context) error {
	message, err := demoQuery.AppendBinary(nil)
	if err != nil {
		return err
	}
	for _, name := range demoRouters {
		h := d.lab.Host(name)
		err := h.Do(func() error {
			s, err := plane.Listen(protocolIGMP)
			if err != nil {
				return err
			}
			defer s.Close()
			for _, wire := range []string{"eth0", "eth1"} {
				err := s.Send(plane.Datagram{To: igmp.AllSystems, IfIndex: h.Wire(wire).Index, TTL: 1, Loop: true, Message: message})
				if err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	var known int
	err = until(ctx, func() bool {
		var r report.Routers
		output, err := d.run(ctx, io.Discard, append([]string{"mrinfo", "-n", "--json"}, demoAddresses...)...)
		if err != nil || json.Unmarshal(output, &r) != nil {
			return false
		}
		known = 0
		for i := range r.Routers {
			for _, at := range r.Routers[i].Interfaces {
				known += len(at.Neighbors)
			}
		}
		known /= 2 // each router was asked at both its addresses
		return known == demoNeighbors
	})
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("the routers have heard of %d neighbours, not of %d", known, demoNeighbors)
	}
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
	d.say("\n2. Who else is there?\n")
	if err := d.mapNetwork(ctx); err != nil {
		return err
	}
	d.say("3. Which way do packets come to the receiver, and are any lost?\n"+
		"   (Meanwhile the sender sends %d packets.)\n", demoPackets)
	if err := d.measure(ctx, "mtrace", "-n"); err != nil {
		return err
	}
	wire := d.lab.Host("r3").Wire("eth0")
	err := wire.SetLoss(lab.In, lab.Loss{Percent: demoLoss, Source: netip.PrefixFrom(demoSource, demoSource.BitLen())})
	if none, ok := errors.AsType[*lab.LossError](err); ok {
		d.say("\n4. This kernel cannot lose packets for us: %v", none)
	} else if err != nil {
		return err
	} else {
		d.say("\n4. Now about %d%% of the packets from r2 to r3 are lost. Where?\n"+
			"   (mstat goes on measuring until Ctrl-C, unless -c says how often.)\n", demoLoss)
		if err := d.measure(ctx, "mstat", "-n", "-c", "1"); err != nil {
			return err
		}
		if err := wire.Mend(); err != nil {
			return err
		}
	}
	d.say("\n5. The same for programs: the tools speak JSON.\n")
	document, err := d.command(ctx, io.Discard, "mrinfo", "-n", "--json", "10.0.2.2")
	if err != nil {
		return err
	}
	if !json.Valid(document) {
		return errors.New("mrinfo --json has not printed a JSON document")
	}
	lines := strings.SplitAfterN(string(document), "\n", demoJSON+1)
	d.say("%s...\n", strings.Join(lines[:len(lines)-1], ""))
	d.say("What mtrace and mstat said is what the kernels have counted.\n" +
		"Go on by yourself: mroutd lab up demo receiver\n" +
		"(Nobody sends IGMP queries there: the routers name no neighbours.)")
	return nil
}

// command shows a tool on the receiver: its command line and its output, which
// goes to w.
func (d *demonstration) command(ctx context.Context, w io.Writer, args ...string) ([]byte, error) {
	d.say("receiver$ %s", strings.Join(args, " "))
	return d.run(ctx, w, args...)
}

// run runs a tool on the receiver, copies its output to w and returns it. The tool
// must succeed.
func (d *demonstration) run(ctx context.Context, w io.Writer, args ...string) ([]byte, error) {
	var output, failure bytes.Buffer
	c := command(ctx, d.lab.Host("receiver"), args)
	c.Stdout, c.Stderr = io.MultiWriter(w, &output), &failure
	if err := c.Run(); err != nil {
		return nil, fmt.Errorf("%s: %w: %s", args[0], err, strings.TrimSpace(failure.String()))
	}
	return output.Bytes(), nil
}

// mapNetwork draws a map of the network. It is an error if that lacks a router or
// does not know whose an address is.
func (d *demonstration) mapNetwork(ctx context.Context) error {
	output, err := d.command(ctx, d.out, "map-mbone", "-nf", demoAddresses[len(demoAddresses)-1])
	if err != nil {
		return err
	}
	for i, address := range demoAddresses {
		// The first of a router's addresses in the map is its own, the other one
		// is an alias.
		other := demoAddresses[i^1]
		if !bytes.Contains(output, []byte("\n"+address+": <v")) && !bytes.Contains(output, []byte("\n"+address+": alias for "+other+"\n")) {
			return fmt.Errorf("map-mbone has not found %s", address)
		}
	}
	return nil
}

// measure runs mtrace or mstat while packets are sent, and compares what it says
// with what the kernels have counted.
func (d *demonstration) measure(ctx context.Context, tool ...string) error {
	wait := demoWait
	for range demoTries {
		before, err := d.count(ctx)
		if err != nil {
			return err
		}
		// The tool says when it has seen the counters for the first time.
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
		output, err := d.command(ctx, begin, append(tool[:len(tool):len(tool)], "-S", strconv.Itoa(int(wait.Seconds())),
			demoSource.String(), demoReceiver.String(), demoGroup.String())...)
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
		return d.compare(tool[0], s.packets, after.minus(before), output)
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

// figure is what mtrace and mstat say of a link: "lost/sent = percent", or on the last one
// only how many were sent.
var figure = regexp.MustCompile(`(?:(-?\d+)/(\d+)\s*=|\s(\d+)\s+\d+ pps)`)

// said finds the figures in the picture of mtrace or mstat: for each link from the source on,
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

// compare prints the truth beside what the tool said. It is an error if they differ.
func (d *demonstration) compare(tool string, packets int, t truth, picture []byte) error {
	lost, sent := said(picture)
	last := len(demoRouters) - 1
	if len(sent) != len(demoRouters) {
		return fmt.Errorf("%s has given figures for %d links, want %d", tool, len(sent), len(demoRouters))
	}
	agree := packets == t.flow[0] && t.received == t.flow[last]
	d.say("  the flow       kernels: sent  lost   %7s: sent  lost", tool)
	for i := range demoRouters {
		// The tool cannot know what the receiver got, and we know what it says.
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
		return &cli.Error{Code: cli.ExitIncomplete, Err: fmt.Errorf("%s says something else than the kernels have counted", tool)}
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
