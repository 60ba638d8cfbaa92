package config

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestFormat shows the canonical form.
func TestFormat(t *testing.T) {
	c := mustParse(t, `cache_lifetime 600 rexmit-prunes respond-to 192.0.2/24 private no phyint
		name LOCAL 239.255/16
		phyint "metric" enable boundary LOCAL altnet 10/8 rate_limit 5 accept default exact 10.1/16 bidir
		phyint "10" disable tunnel 192.168.1.254 192.168.14.254 metric 1 threshold 64 neighbor-timeout 10.250 device "device"`)
	const want = `cache-lifetime 600
rexmit-prunes on
no phyint
respond-to private 192.0.2.0/24
name LOCAL 239.255.0.0/16

phyint "metric"
	enable
	altnet 10.0.0.0/8
	rate-limit 5
	boundary LOCAL
	accept default exact 10.1.0.0/16 bidir

phyint "10"
	disable

tunnel 192.168.1.254 192.168.14.254
	device "device"
	threshold 64
	neighbor-timeout 10.25
`
	if d := cmp.Diff(want, Format(c)); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if got := Format(Default()); got != "" {
		t.Errorf("the default is written as %q, want nothing", got)
	}
}

// TestFormatAnything writes random configurations, and reads them again.
func TestFormatAnything(t *testing.T) {
	for seed := range uint64(500) {
		want := randomConfig(rand.New(rand.NewPCG(seed, 1)))
		text := Format(want)
		got, _, err := Parse("f", []byte(text))
		if err != nil {
			t.Fatalf("seed %d: %v\n%s", seed, err, text)
		}
		if d := cmp.Diff(want, got, compare); d != "" {
			t.Fatalf("seed %d (-want +got):\n%s\n%s", seed, d, text)
		}
	}
}

// randomConfig returns a configuration that a file could be of.
func randomConfig(r *rand.Rand) *Config {
	g := generator{r}
	c := Default()
	if g.sometimes() {
		c.CacheLifetime = g.seconds(MinCacheLifetime, MaxCacheLifetime)
		c.PruneLifetime = g.seconds(MinPruneLifetime, MaxPruneLifetime)
	}
	c.NoFlood, c.RouterAlert, c.AllInterfaces = g.sometimes(), g.sometimes(), g.sometimes()
	c.RexmitPrunes = Switch(r.IntN(3))
	if g.sometimes() {
		c.IGMP.QueryInterval = g.seconds(2*time.Second, MaxIGMPTime)
		c.IGMP.ResponseInterval = g.seconds(MinIGMPTime, c.IGMP.QueryInterval-time.Second)
		c.IGMP.LastMemberInterval = g.seconds(MinIGMPTime, MaxIGMPTime)
		c.IGMP.RouterTimeout = g.seconds(MinIGMPTime, MaxIGMPTime)
		c.IGMP.Robustness = g.number(MinRobustness, MaxRobustness)
	}
	if g.sometimes() {
		c.RespondTo = Asking{Classes: AskAny}
	} else {
		c.RespondTo = Asking{Classes: AskerClass(r.IntN(8)), Networks: some(g, func() netip.Prefix { return g.network(0) })}
	}
	c.MtraceResponseGroups = some(g, g.group)
	if g.sometimes() {
		c.Limits = Limits{
			g.number(MinBound, MaxRoutes), g.number(MinBound, MaxNeighbors), g.number(MinBound, MaxGroups),
			g.number(MinBound, MaxSources), g.number(MinBound, MaxEntries), g.number(MinBound, MaxPrunes),
		}
	}
	for _, name := range some(g, g.name) {
		if !isNumeric(name) {
			c.Boundaries = append(c.Boundaries, Boundary{name, g.scope()})
		}
	}
	for i, name := range some(g, g.name) {
		p := c.DefaultPhyint()
		p.Interface = Interface{Name: name}
		if g.sometimes() {
			p.Interface = Interface{Addr: netip.AddrFrom4([4]byte{192, 168, byte(i), byte(g.number(1, 254))})}
		}
		p.Enabled = g.sometimes()
		if g.sometimes() {
			p.MaskBits = g.number(8, 24)
		}
		p.AltNets = some(g, func() netip.Prefix { return g.network(16) })
		p.IGMP = IGMPVersion(g.number(1, 3))
		p.StaticGroups, p.JoinGroups = some(g, g.group), some(g, g.group)
		p.ForceLeaf = g.sometimes()
		g.link(c, &p.Link)
		c.Phyints = append(c.Phyints, p)
	}
	for i, name := range some(g, g.name) {
		tunnel := c.defaultTunnel()
		tunnel.Local = Interface{Name: name}
		tunnel.Remote = Host{Addr: netip.AddrFrom4([4]byte{203, 0, byte(i), byte(g.number(0, 255))})}
		if g.sometimes() {
			tunnel.Remote = Host{Name: fmt.Sprintf("r%d.example", i)}
		} else if i == 0 && g.sometimes() {
			tunnel.Remote = Host{Name: "passive"}
		}
		tunnel.Beside = g.sometimes()
		g.link(c, &tunnel.Link)
		c.Tunnels = append(c.Tunnels, tunnel)
	}
	return c
}

type generator struct{ *rand.Rand }

func (g generator) sometimes() bool { return g.IntN(2) == 0 }

func (g generator) number(low, high int) int { return low + g.IntN(high-low+1) }

func (g generator) seconds(low, high time.Duration) time.Duration {
	return time.Duration(g.number(int(low/time.Second), int(high/time.Second))) * time.Second
}

func (g generator) milliseconds(low, high time.Duration) time.Duration {
	return time.Duration(g.number(int(low/time.Millisecond), int(high/time.Millisecond))) * time.Millisecond
}

// network returns one that no other address of the configuration is in.
func (g generator) network(bits int) netip.Prefix {
	a := netip.AddrFrom4([4]byte{10, byte(g.IntN(256)), byte(g.IntN(256)), byte(g.IntN(256))})
	return netip.PrefixFrom(a, g.number(bits, 32)).Masked()
}

func (g generator) scope() netip.Prefix {
	a := netip.AddrFrom4([4]byte{239, byte(g.IntN(4)), byte(g.IntN(256)), byte(g.IntN(256))})
	return netip.PrefixFrom(a, g.number(8, 32)).Masked()
}

func (g generator) group() netip.Addr {
	return netip.AddrFrom4([4]byte{byte(g.number(225, 239)), byte(g.IntN(256)), byte(g.IntN(256)), byte(g.IntN(256))})
}

// name returns the name of an interface, perhaps one that has to be in quotes.
func (g generator) name() string {
	names := []string{"eth0", "wlan0.7", "metric", "no", "phyint", "name", "10", "192.168.1.1", "#1", "a#b", "on", "any", "rücken", "vlan@7", "rate_limit", "10.1.1"}
	return names[g.IntN(len(names))]
}

// some returns none or a few different values.
func some[T comparable](g generator, value func() T) []T {
	var all []T
	for range g.IntN(4) {
		if v := value(); !slices.Contains(all, v) {
			all = append(all, v)
		}
	}
	return all
}

func (g generator) link(c *Config, l *Link) {
	l.Metric, l.AdvertMetric = uint8(g.number(MinMetric, MaxMetric)), uint8(g.number(MinAdvertMetric, MaxAdvertMetric))
	l.Threshold, l.RateLimit = uint8(g.number(MinThreshold, MaxThreshold)), Kbps(g.number(MinRateLimit, MaxRateLimit))
	l.Passive, l.NoFlood = g.sometimes(), c.NoFlood || g.sometimes()
	l.AllowNonpruners, l.NoTransit, l.Blaster = g.sometimes(), g.sometimes(), g.sometimes()
	if g.sometimes() {
		l.PruneLifetime = g.seconds(MinPruneLifetime, MaxPruneLifetime)
	}
	if g.sometimes() {
		l.RexmitPrunes = On + Switch(g.IntN(2))
	}
	for _, b := range append(slices.Clone(c.Boundaries), Boundary{"", g.scope()}) {
		if g.sometimes() && !slices.ContainsFunc(l.Boundaries, func(o Boundary) bool { return o.Groups == b.Groups }) {
			l.Boundaries = append(l.Boundaries, b)
		}
	}
	if routes := some(g, func() FilterRoute { return FilterRoute{g.network(0), g.sometimes()} }); len(routes) > 0 {
		l.Filter = Filter{Accept + FilterAction(g.IntN(2)), routes, g.sometimes()}
	}
	if g.sometimes() {
		l.ProbeInterval = g.milliseconds(MinProbeInterval, MaxProbeInterval)
	}
	if g.sometimes() {
		l.NeighborTimeout = g.milliseconds(max(MinNeighborTimeout, l.ProbeInterval+timeStep), MaxNeighborTimeout)
	}
}

// FuzzParse reads anything: problems have places within the file, and what is
// accepted is the same after it was written.
func FuzzParse(f *testing.F) {
	sample, err := os.ReadFile("../../man/mroutd.conf.sample")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(sample))
	for seed := range uint64(5) {
		f.Add(Format(randomConfig(rand.New(rand.NewPCG(seed, 2)))))
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, problems, err := Parse("f", []byte(text))
		var all Errors
		if err != nil && !errors.As(err, &all) {
			t.Fatalf("the error is no problem: %v", err)
		}
		if (c == nil) != (err != nil) || len(all) > maxProblems || len(problems) > maxProblems {
			t.Fatalf("%v, %d warnings, %d errors: %v", c, len(problems), len(all), err)
		}
		lines := strings.Split(text, "\n")
		for _, p := range append(problems, all...) {
			if p.File != "f" || p.Text == "" || p.Line < 1 || p.Line > len(lines) || p.Column < 1 || p.Column > len(lines[p.Line-1])+1 {
				t.Fatalf("%v is not in the file:\n%s", p, text)
			}
		}
		if err != nil {
			return
		}
		written := Format(c)
		again, _, err := Parse("again", []byte(written))
		if err != nil {
			t.Fatalf("what Format wrote is not accepted: %v\n%s", err, written)
		}
		if d := cmp.Diff(c, again, compare); d != "" {
			t.Fatalf("what Format wrote is something else:\n%s\n%s", d, written)
		}
		if twice := Format(again); twice != written {
			t.Fatalf("what Format wrote is written otherwise:\n%s\n%s", written, twice)
		}
	})
}
