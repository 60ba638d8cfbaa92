package mroutd

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
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
	// demoPackets are enough for mstat to tell any loss within 10 percent. With this
	// interval they are less than the tunnel may carry.
	demoPackets  = 400
	demoInterval = 2 * time.Millisecond
	// demoTTL is more than the threshold of the tunnel.
	demoTTL = 128
	// demoLoss is how many packets of a hundred one step loses.
	demoLoss = 20
	// demoWait is how long mtrace and mstat wait for statistics: long enough for the
	// packets, and twice as long the next time if it was not.
	demoWait  = 2 * time.Second
	demoTries = 3
	// demoPatience is how long anything may take that takes the routers a second or
	// two.
	demoPatience = 20 * time.Second
	demoPoll     = 10 * time.Millisecond
	// demoSilence is how long the flow is not seen on a link that it does not pass.
	demoSilence = 500 * time.Millisecond
	// demoJSON is how many lines of a document are shown.
	demoJSON = 27

	// tunDevice is what tunnels need.
	tunDevice = "/dev/net/tun"
)

var (
	demoSource = netip.MustParseAddr("211.11.117.10")
	demoGroup  = netip.MustParseAddr("224.2.2.2")
	demoFlow   = netip.AddrPortFrom(demoGroup, 34000)
	// demoRouters run mroutd.
	demoRouters = []string{"callisto", "ganymed", "castor", "scar"}
	// demoTunnel are the two of them at the ends of the tunnel.
	demoTunnel   = [2]string{"ganymed", "scar"}
	demoNetworks = []netip.Prefix{
		netip.MustParsePrefix("192.168.1.0/24"), netip.MustParsePrefix("192.168.2.0/24"),
		netip.MustParsePrefix("192.168.7.0/24"), netip.MustParsePrefix("192.168.14.0/24"),
		netip.MustParsePrefix("192.168.80.0/24"), netip.MustParsePrefix("192.168.254.0/24"),
		netip.MustParsePrefix("211.11.117.0/24"),
	}
	// demoAddresses are of all the routers, one of each.
	demoAddresses = []string{"192.168.1.1", "211.11.117.206", "192.168.7.7", "192.168.254.1"}
)

// demoHop is a router on the way of the flow, and the interfaces that it comes in and
// goes out by.
type demoHop struct{ router, in, out string }

// The ways to the hosts that listen. That by the tunnel is there if it is.
var (
	demoToPC7   = demoWay{"pc7", "192.168.7.10", []demoHop{{"ganymed", "ne5", "ne4"}, {"castor", "xl0", "xl1"}}}
	demoToPC254 = demoWay{"pc254", "192.168.254.10", []demoHop{{"ganymed", "ne5", "dvmrp0"}, {"scar", "dvmrp0", "e2"}}}
)

type demoWay struct {
	host, address string
	hops          []demoHop
}

const demoIntroduction = `Lab 14-1: four multicast routers in namespaces of this machine. mroutd runs
on each of them and routes with DVMRP.

               pc211
                 |       net211 is 211.11.117.0/24, netN is 192.168.N.0/24
  callisto -- ganymed == castor       net1, net2 and net80
     |          :          |
   net14        :         net7 -- pc7
     |          :          |
     +-------- scar -------+
                |
              pc254      net254

The tunnel from ganymed to scar has the threshold 64 and carries 500 kbit/s.
`

// demonstration is one run of mroutd lab demo.
type demonstration struct {
	out       io.Writer
	lab       *lab.Lab
	watch     *watcher
	tunnel    bool // there are TUN devices
	receivers map[string]*lab.Receiver
	counters  map[string]*mroute.Counters
	readers   map[string]*mroute.Reader
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
	d := &demonstration{
		out: call.Stdout, receivers: map[string]*lab.Receiver{},
		counters: map[string]*mroute.Counters{}, readers: map[string]*mroute.Reader{},
	}
	programs := withoutPrograms(topology)
	if d.lab, err = build(topology); err != nil {
		return err
	}
	defer d.lab.Close()
	defer d.close()
	err = d.start(programs)
	if err == nil {
		err = d.show(ctx)
	}
	if err != nil && ctx.Err() != nil {
		return &cli.Error{Code: cli.ExitIncomplete, What: cli.Interrupted(ctx)}
	}
	return err
}

func (d *demonstration) say(format string, args ...any) { fmt.Fprintf(d.out, format+"\n", args...) }

// start opens what sees the truth, and then starts the routers.
func (d *demonstration) start(programs map[string][][]string) (err error) {
	d.say("%s", demoIntroduction)
	if f, err := os.OpenFile(tunDevice, os.O_RDWR, 0); err != nil {
		d.say("There is no tunnel in this run: %v.\n", err)
	} else {
		f.Close()
		d.tunnel = true
	}
	if d.watch, err = watchLinks(d.lab); err != nil {
		return err
	}
	for _, name := range demoRouters {
		err := d.lab.Host(name).Do(func() (err error) {
			if d.counters[name], err = mroute.OpenCounters(0); err == nil {
				d.readers[name], err = mroute.OpenReader()
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return startPrograms(d.lab, programs)
}

func (d *demonstration) close() {
	for _, name := range demoRouters {
		if c := d.counters[name]; c != nil {
			c.Close()
		}
		if r := d.readers[name]; r != nil {
			r.Close()
		}
	}
	for _, r := range d.receivers {
		r.Close()
	}
	if d.watch != nil {
		d.watch.close()
	}
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

// await waits for something that the routers are to do. It is an error if they do
// not, or one of them ends.
func (d *demonstration) await(ctx context.Context, what string, fn func() bool) error {
	var ended *lab.Cmd
	err := until(ctx, func() bool {
		for _, name := range demoRouters {
			for _, c := range d.lab.Host(name).Programs() {
				select {
				case <-c.Done():
					ended = c
				default:
				}
			}
		}
		return ended != nil || fn()
	})
	switch {
	case ended != nil:
		return fmt.Errorf("%s: mroutd has ended: %s", ended.Host.Name, ended.Log())
	case err != nil && ctx.Err() == nil:
		return fmt.Errorf("after %v: %s", demoPatience, what)
	}
	return err
}

// show goes through the steps.
func (d *demonstration) show(ctx context.Context) error {
	steps := []func(context.Context) error{d.ways, d.who, d.mapNetwork, d.prune, d.graft, d.path, d.loss, d.document}
	for i, step := range steps {
		fmt.Fprintf(d.out, "%d. ", i+1)
		if err := step(ctx); err != nil {
			return err
		}
		d.say("")
	}
	d.say("What mtrace and mstat said is what the kernels have counted.\n" +
		"Go on by yourself: mroutd lab up demo pc211")
	return nil
}

// ways shows the routes of all routers.
func (d *demonstration) ways(ctx context.Context) error {
	d.say("Which networks do the routers know, and at what cost?\n   (From the reports that they send each other.)\n")
	want := d.costs()
	err := d.await(ctx, "the routers do not know all networks", func() bool {
		d.watch.look()
		for _, router := range demoRouters {
			for _, network := range demoNetworks {
				if got, _ := d.watch.metric(router, network); got != want[router][network] {
					return false
				}
			}
		}
		return true
	})
	if err != nil {
		return err
	}
	line := fmt.Sprintf("  %-16s", "network")
	for _, router := range demoRouters {
		line += fmt.Sprintf("%10s", router)
	}
	d.say("%s", line)
	for _, network := range demoNetworks {
		line := fmt.Sprintf("  %-16s", network)
		for _, router := range demoRouters {
			metric, _ := d.watch.metric(router, network)
			line += fmt.Sprintf("%10d", metric)
		}
		d.say("%s", line)
	}
	return nil
}

// costs returns what the routers must find out: one for each hop.
func (d *demonstration) costs() map[string]metrics {
	costs := map[string]metrics{}
	nextTo := func(a, b string) bool {
		if d.tunnel && (demoTunnel == [2]string{a, b} || demoTunnel == [2]string{b, a}) {
			return true
		}
		for _, w := range d.lab.Host(a).Wires() {
			for _, o := range d.lab.Host(b).Wires() {
				if w.LAN == o.LAN {
					return true
				}
			}
		}
		return false
	}
	for _, router := range demoRouters {
		costs[router] = metrics{}
		for addr, name := range d.watch.names {
			for _, network := range demoNetworks {
				if name == router && network.Contains(addr) {
					costs[router][network] = 1
				}
			}
		}
	}
	for range demoRouters {
		for _, router := range demoRouters {
			for _, other := range demoRouters {
				for network, cost := range costs[other] {
					if known := costs[router][network]; router != other && nextTo(router, other) && (known == 0 || cost+1 < known) {
						costs[router][network] = cost + 1
					}
				}
			}
		}
	}
	return costs
}

// who shows mrinfo.
func (d *demonstration) who(ctx context.Context) error {
	d.say("Who is ganymed, and who are its neighbors?\n")
	args := []string{"mrinfo", "-n", "211.11.117.206"}
	// All its neighbors have lower addresses: it soon leaves it to them to ask hosts.
	err := d.await(ctx, "ganymed goes on as a querier", func() bool {
		output, err := d.run(ctx, "pc211", io.Discard, args...)
		return err == nil && !bytes.Contains(output, []byte("/querier]"))
	})
	if err == nil {
		_, err = d.command(ctx, "pc211", d.out, args...)
	}
	return err
}

// mapNetwork draws a map of the network. It is an error if that lacks a router.
func (d *demonstration) mapNetwork(ctx context.Context) error {
	d.say("Who else is there?\n")
	output, err := d.command(ctx, "pc211", d.out, "map-mbone", "-nf", "211.11.117.206")
	if err != nil {
		return err
	}
	for _, address := range demoAddresses {
		if !bytes.Contains(output, []byte("\n"+address+": ")) {
			return fmt.Errorf("map-mbone has not found %s", address)
		}
	}
	return nil
}

// passes waits until the flow passes exactly these links, and shows them with the
// messages that made it so.
func (d *demonstration) passes(ctx context.Context, links ...string) error {
	slices.Sort(links)
	var got []string
	err := d.await(ctx, "", func() bool {
		got = d.watch.passing(demoSilence)
		return slices.Equal(got, links)
	})
	if err != nil {
		if ctx.Err() == nil {
			err = fmt.Errorf("packets pass %s, and ought to pass %s", strings.Join(got, ", "), strings.Join(links, ", "))
		}
		return err
	}
	d.say("%s  It passes %s.", d.watch.messages(), strings.Join(got, ", "))
	return nil
}

// tunnelled returns links with those that the way to pc254 adds.
func (d *demonstration) tunnelled(links ...string) []string {
	if d.tunnel {
		return append(links, "net1 (tunnel)", "net14 (tunnel)", "net254")
	}
	return append(links, "net254")
}

// stream sends the flow until the function that it returns is called.
func (d *demonstration) stream(ctx context.Context) (stop func() error) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() {
		_, err := d.lab.Host("pc211").Send(ctx, lab.Flow{
			Group: demoFlow, Interface: "eth0", TTL: demoTTL, Count: 1 << 30, Interval: 5 * time.Millisecond,
		})
		done <- err
	}()
	return func() error {
		cancel()
		return <-done
	}
}

// prune shows what happens to what nobody wants.
func (d *demonstration) prune(ctx context.Context) error {
	d.say("pc211 sends to %s, and nobody listens. The routers that get the first\n   packets prune themselves off the tree.\n", demoGroup)
	stop := d.stream(ctx)
	// The first packets have passed several links.
	err := d.await(ctx, "nothing was pruned", func() bool {
		d.watch.look()
		return len(d.watch.trees) > 0
	})
	if err == nil {
		err = d.passes(ctx, "net211")
	}
	return errors.Join(err, stop())
}

// graft shows how hosts that listen come to the tree.
func (d *demonstration) graft(ctx context.Context) error {
	d.say("pc7 listens, and then pc254. Their routers graft themselves onto the tree.\n")
	stop := d.stream(ctx)
	err := d.join(ctx, "pc7", "net211", "net2", "net7")
	if err == nil {
		d.say("")
		err = d.join(ctx, "pc254", d.tunnelled("net211", "net2", "net7")...)
	}
	return errors.Join(err, stop())
}

// join makes a host listen and shows what happens.
func (d *demonstration) join(ctx context.Context, host string, links ...string) error {
	r, err := d.lab.Host(host).Join(demoFlow, "eth0", netip.Addr{})
	if err != nil {
		return err
	}
	d.receivers[host] = r
	begin := time.Now()
	err = d.await(ctx, host+" gets nothing", func() bool { return r.Stats().Packets > 0 })
	if err != nil {
		return err
	}
	d.say("  %s gets packets %d ms after it has joined.", host, time.Since(begin).Milliseconds())
	return d.passes(ctx, links...)
}

// path shows mtrace.
func (d *demonstration) path(ctx context.Context) error {
	way := demoToPC254
	if !d.tunnel {
		way = demoToPC7
	}
	d.say("Which way do packets come to %s, and are any lost?\n   (Meanwhile pc211 sends %d packets.)\n", way.host, demoPackets)
	return d.measure(ctx, way, "mtrace", "-n")
}

// loss shows mstat.
func (d *demonstration) loss(ctx context.Context) error {
	wire := d.lab.Host("castor").Wire("xl0")
	err := wire.SetLoss(lab.In, lab.Loss{Percent: demoLoss, Source: netip.PrefixFrom(demoSource, demoSource.BitLen())})
	if none, ok := errors.AsType[*lab.LossError](err); ok {
		d.say("This kernel cannot lose packets for us: %v", none)
		return nil
	}
	if err != nil {
		return err
	}
	d.say("Now about %d%% of the packets from ganymed to castor are lost. Where?\n"+
		"   (mstat goes on measuring until Ctrl-C, unless -c says how often.)\n", demoLoss)
	return errors.Join(d.measure(ctx, demoToPC7, "mstat", "-n", "-c", "1"), wire.Mend())
}

// document shows JSON.
func (d *demonstration) document(ctx context.Context) error {
	d.say("The same for programs: the tools speak JSON.\n")
	document, err := d.command(ctx, "pc211", io.Discard, "mrinfo", "-n", "--json", "211.11.117.206")
	if err != nil {
		return err
	}
	if !json.Valid(document) {
		return errors.New("mrinfo --json has not printed a JSON document")
	}
	lines := strings.SplitAfterN(string(document), "\n", demoJSON+1)
	d.say("%s...", strings.Join(lines[:len(lines)-1], ""))
	return nil
}

// command shows a tool on a host: its command line and its output, which goes to w.
func (d *demonstration) command(ctx context.Context, host string, w io.Writer, args ...string) ([]byte, error) {
	d.say("%s$ %s", host, strings.Join(args, " "))
	return d.run(ctx, host, w, args...)
}

// run runs a tool on a host, copies its output to w and returns it. The tool must
// succeed.
func (d *demonstration) run(ctx context.Context, host string, w io.Writer, args ...string) ([]byte, error) {
	var output, failure bytes.Buffer
	c := command(ctx, d.lab.Host(host), args)
	c.Stdout, c.Stderr = io.MultiWriter(w, &output), &failure
	if err := c.Run(); err != nil {
		return nil, fmt.Errorf("%s: %w: %s", args[0], err, strings.TrimSpace(failure.String()))
	}
	return output.Bytes(), nil
}

// measure runs mtrace or mstat at the end of a way while packets are sent, and
// compares what it says with what the kernels have counted.
func (d *demonstration) measure(ctx context.Context, way demoWay, tool ...string) error {
	wait := demoWait
	for range demoTries {
		before, err := d.count(ctx, way)
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
				s.packets, s.err = d.lab.Host("pc211").Send(ctx, lab.Flow{
					Group: demoFlow, Interface: "eth0", TTL: demoTTL, Count: demoPackets, Interval: demoInterval,
				})
				s.late = time.Since(start) > wait*3/4
			case <-traced.Done():
			}
			sent <- s
		}()
		output, err := d.command(ctx, way.host, begin, append(tool[:len(tool):len(tool)], "-S", strconv.Itoa(int(wait.Seconds())),
			demoSource.String(), way.address, demoGroup.String())...)
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
		after, err := d.count(ctx, way)
		if err != nil {
			return err
		}
		return d.compare(tool[0], way, s.packets, after.minus(before), output)
	}
	return fmt.Errorf("this machine is too busy: %d packets took more than %v", demoPackets, wait/2)
}

// truth is what was counted without the tools: at each router of a way the packets
// of the flow, and those that came in and went out by its interfaces, and at the
// end what the receiver got.
type truth struct {
	flow, in, out []int
	received      int
}

// count takes the truth of a moment when all packets have arrived.
func (d *demonstration) count(ctx context.Context, way demoWay) (truth, error) {
	var t truth
	// Nothing comes any more. If something does, the comparison tells.
	r := d.receivers[way.host]
	_ = until(ctx, func() bool {
		stats := r.Stats()
		t.received = stats.Packets
		return time.Since(stats.Last) > demoSilence/2
	})
	for _, hop := range way.hops {
		flow, err := d.counters[hop.router].SGCount(demoSource, demoGroup)
		if err != nil {
			return truth{}, err
		}
		vifs, err := d.readers[hop.router].Vifs(0)
		if err != nil {
			return truth{}, err
		}
		count := func(name string) (mroute.VifCount, error) {
			link, err := d.lab.Host(hop.router).Netlink().LinkByName(name)
			if err != nil {
				return mroute.VifCount{}, err
			}
			i := slices.IndexFunc(vifs, func(v mroute.Vif) bool { return v.IfIndex == link.Attrs().Index })
			if i < 0 {
				return mroute.VifCount{}, fmt.Errorf("%s: there is no vif of %s", hop.router, name)
			}
			return vifs[i].Count, nil
		}
		in, err1 := count(hop.in)
		out, err2 := count(hop.out)
		if err := errors.Join(err1, err2); err != nil {
			return truth{}, err
		}
		t.in, t.out, t.flow = append(t.in, int(in.PacketsIn)), append(t.out, int(out.PacketsOut)), append(t.flow, int(flow.Packets-flow.WrongIf))
	}
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
func (d *demonstration) compare(tool string, way demoWay, packets int, t truth, picture []byte) error {
	lost, sent := said(picture)
	last := len(way.hops) - 1
	if len(sent) != len(way.hops) {
		return fmt.Errorf("%s has given figures for %d links, want %d", tool, len(sent), len(way.hops))
	}
	agree := packets == t.flow[0] && t.received == t.flow[last]
	d.say("  the flow            kernels: sent  lost   %7s: sent  lost", tool)
	for i, hop := range way.hops {
		// The tool cannot know what the receiver got, and we know what it says.
		link, lostTrue, lostAll := hop.router+" - "+way.host, 0, 0
		if i < last {
			link = hop.router + " - " + way.hops[i+1].router
			lostTrue, lostAll = t.flow[i]-t.flow[i+1], t.out[i]-t.in[i+1]
		}
		d.say("  %-18s  %13d %5d   %13d %5d", link, t.flow[i], lostTrue, sent[i][1], lost[i][1])
		agree = agree && sent[i] == [2]int{t.out[i], t.flow[i]} && lost[i] == [2]int{lostAll, lostTrue}
	}
	d.say("  The sender has sent %d, %s has got %d.", packets, way.host, t.received)
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
