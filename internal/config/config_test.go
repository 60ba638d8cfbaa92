package config

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// compare compares configurations, without the places in the file.
var compare = cmp.Options{
	cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{}),
	cmpopts.IgnoreTypes(Position{}),
}

func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

func prefixes(s ...string) (all []netip.Prefix) {
	for _, p := range s {
		all = append(all, prefix(p))
	}
	return all
}

func addrs(s ...string) (all []netip.Addr) {
	for _, a := range s {
		all = append(all, addr(a))
	}
	return all
}

// mustParse reads a configuration without problems.
func mustParse(t *testing.T, text string) *Config {
	t.Helper()
	c, warnings, err := Parse("f", []byte(text))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	for _, w := range warnings {
		t.Errorf("unexpected: %v", w)
	}
	return c
}

// checkConfig compares a configuration with the one that is expected, and that
// again with what it is after it was written.
func checkConfig(t *testing.T, want, got *Config) {
	t.Helper()
	if d := cmp.Diff(want, got, compare); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	text := Format(got)
	again, _, err := Parse("again", []byte(text))
	if err != nil {
		t.Fatalf("what Format wrote is not accepted: %v\n%s", err, text)
	}
	if d := cmp.Diff(want, again, compare); d != "" {
		t.Errorf("written and read again (-want +got):\n%s\n%s", d, text)
	}
	if !got.Equal(again) {
		t.Errorf("not equal to itself when read again:\n%s", text)
	}
}

// link returns a link with the defaults of the manual.
func link(change func(*Link)) Link {
	l := Link{Metric: 1, Threshold: 1, PruneLifetime: 2 * time.Hour}
	if change != nil {
		change(&l)
	}
	return l
}

// tunnelLink is the same for tunnels, which send prunes again.
func tunnelLink(change func(*Link)) Link {
	return link(func(l *Link) {
		l.RexmitPrunes = On
		if change != nil {
			change(l)
		}
	})
}

// TestDefault holds the defaults against those of the manual and of RFC 3376.
func TestDefault(t *testing.T) {
	want := &Config{Settings: Settings{
		CacheLifetime: 300 * time.Second,
		PruneLifetime: 7200 * time.Second,
		RouterAlert:   true,
		AllInterfaces: true,
		IGMP:          IGMP{QueryInterval: 125 * time.Second, ResponseInterval: 10 * time.Second, LastMemberInterval: time.Second, Robustness: 2},
		RespondTo:     Asking{Classes: AskLocal | AskPrivate | AskRouted},
		Limits:        Limits{200000, 4096, 100000, 200000, 200000, 400000},
	}}
	checkConfig(t, want, Default())
	for _, text := range []string{"", "\n", "# nothing\n\t\n", " \r\n\v\f"} {
		checkConfig(t, want, mustParse(t, text))
	}
	if got, want := want.IGMP.OtherQuerierPresent(), 255*time.Second; got != want {
		t.Errorf("other querier present for %s, want %s", got, want)
	}
	phyint := Phyint{Enabled: true, IGMP: IGMPv3, Link: link(nil)}
	if d := cmp.Diff(phyint, want.DefaultPhyint(), compare); d != "" {
		t.Errorf("an interface without a phyint (-want +got):\n%s", d)
	}
	c := mustParse(t, "no phyint noflood prune-lifetime 120 rexmit-prunes router-timeout 7 phyint eth0 enable")
	phyint = Phyint{IGMP: IGMPv3, Link: link(func(l *Link) { l.NoFlood, l.PruneLifetime, l.RexmitPrunes = true, 2*time.Minute, On })}
	if d := cmp.Diff(phyint, c.DefaultPhyint(), compare); d != "" {
		t.Errorf("the same with other settings (-want +got):\n%s", d)
	}
	if got, want := c.IGMP.OtherQuerierPresent(), 7*time.Second; got != want {
		t.Errorf("other querier present for %s, want %s", got, want)
	}
}

// TestParse reads every keyword once.
func TestParse(t *testing.T) {
	const text = `
# settings
cache-lifetime 600
prune-lifetime 3600	noflood
rexmit-prunes off
no router-alert
no phyint
igmp-query-interval 60
igmp-query-response-interval 5
igmp-query-last-member-interval 2
igmp-robustness 3
router-timeout 200
respond-to local 192.0.2.0/24 198.51.100/24
mtrace-response-group 239.1.1.1
mtrace-response-group 239.1.1.2
max-routes 1 max-neighbors 2 max-groups 3 max-sources 4 max-entries 5 max-prunes 6

name LOCAL 239.255/16
name "passive" 239.254.0.0/16

phyint eth0 enable
	netmask 255.255.255.192
	altnet 10.1.0.0/16
	altnet 172.16.15.128/26
	igmpv2
	static-group 239.1.2.3 static-group 239.1.2.4
	join-group 224.2.2.2
	force-leaf
	metric 31 advert-metric 3 threshold 16 rate-limit 1000
	boundary LOCAL boundary "passive" boundary 239.1/16
	passive
	prune-lifetime 120
	rexmit-prunes
	allow-nonpruners notransit blaster
	accept 10/8 192.168.1.0/24 exact default exact bidir
	probe-interval 0.1 neighbor-timeout 0.35
phyint 192.168.1.1 disable
phyint "10.1" enable

tunnel eth1 192.0.2.1 metric 2 threshold 64 rate-limit 500 beside off device ipip1
	deny 0/0 deny 10.0.0.0/8 exact
tunnel 192.168.1.1 Router.Example.ORG. passive notransit beside rexmit-prunes on
`
	want := &Config{
		Settings: Settings{
			CacheLifetime: 10 * time.Minute,
			PruneLifetime: time.Hour,
			NoFlood:       true,
			RexmitPrunes:  Off,
			IGMP: IGMP{
				QueryInterval: time.Minute, ResponseInterval: 5 * time.Second, LastMemberInterval: 2 * time.Second,
				Robustness: 3, RouterTimeout: 200 * time.Second,
			},
			RespondTo:            Asking{AskLocal, prefixes("192.0.2.0/24", "198.51.100.0/24")},
			MtraceResponseGroups: addrs("239.1.1.1", "239.1.1.2"),
			Limits:               Limits{1, 2, 3, 4, 5, 6},
		},
		Boundaries: []Boundary{{"LOCAL", prefix("239.255.0.0/16")}, {"passive", prefix("239.254.0.0/16")}},
		Phyints: []Phyint{
			{
				Interface: Interface{Name: "eth0"}, Enabled: true, MaskBits: 26,
				AltNets: prefixes("10.1.0.0/16", "172.16.15.128/26"), IGMP: IGMPv2,
				StaticGroups: addrs("239.1.2.3", "239.1.2.4"), JoinGroups: addrs("224.2.2.2"), ForceLeaf: true,
				Link: Link{
					Metric: 31, AdvertMetric: 3, Threshold: 16, RateLimit: 1000,
					Boundaries: []Boundary{{"LOCAL", prefix("239.255.0.0/16")}, {"passive", prefix("239.254.0.0/16")}, {"", prefix("239.1.0.0/16")}},
					Passive:    true, NoFlood: true, PruneLifetime: 2 * time.Minute, RexmitPrunes: On,
					AllowNonpruners: true, NoTransit: true, Blaster: true,
					Filter:        Filter{Accept, []FilterRoute{{prefix("10.0.0.0/8"), false}, {prefix("192.168.1.0/24"), true}, {prefix("0.0.0.0/0"), true}}, true},
					ProbeInterval: 100 * time.Millisecond, NeighborTimeout: 350 * time.Millisecond,
				},
			},
			{Interface: Interface{Addr: addr("192.168.1.1")}, IGMP: IGMPv3, Link: Link{Metric: 1, Threshold: 1, NoFlood: true, PruneLifetime: time.Hour, RexmitPrunes: Off}},
			{Interface: Interface{Name: "10.1"}, Enabled: true, IGMP: IGMPv3, Link: Link{Metric: 1, Threshold: 1, NoFlood: true, PruneLifetime: time.Hour, RexmitPrunes: Off}},
		},
		Tunnels: []Tunnel{
			{
				Local: Interface{Name: "eth1"}, Remote: Host{Addr: addr("192.0.2.1")}, Device: "ipip1",
				Link: Link{
					Metric: 2, Threshold: 64, RateLimit: 500, NoFlood: true, PruneLifetime: time.Hour, RexmitPrunes: Off,
					Filter: Filter{Deny, []FilterRoute{{prefix("0.0.0.0/0"), false}, {prefix("10.0.0.0/8"), true}}, false},
				},
			},
			{
				Local: Interface{Addr: addr("192.168.1.1")}, Remote: Host{Name: "router.example.org"}, Beside: true,
				Link: Link{Metric: 1, Threshold: 1, Passive: true, NoFlood: true, NoTransit: true, PruneLifetime: time.Hour, RexmitPrunes: On},
			},
		},
	}
	got := mustParse(t, text)
	checkConfig(t, want, got)
	for i, place := range []Position{{"f", 21, 1}, {"f", 37, 1}, {"f", 38, 1}} {
		if at := got.Phyints[i].At; at != place {
			t.Errorf("phyint %d is at %s, want %s", i, at, place)
		}
	}
	if at, want := got.Tunnels[0].At, (Position{"f", 40, 1}); at != want {
		t.Errorf("the first tunnel is at %s, want %s", at, want)
	}
	used := mustKeywords(t, text)
	for _, k := range Keywords() {
		if k.Ignored == "" && k.Refused == "" && !used[k.Name] && k.Name != "igmpv1" && k.Name != "igmpv3" {
			t.Errorf("the text has no %s", k.Name)
		}
	}
}

// mustKeywords returns the names of the keywords of a text.
func mustKeywords(t *testing.T, text string) map[string]bool {
	t.Helper()
	p := &problems{}
	used := make(map[string]bool)
	for _, s := range parse(text, p) {
		used[s.key.Name] = true
		for _, o := range s.options {
			used[o.key.Name] = true
		}
	}
	for _, e := range p.errors {
		t.Errorf("unexpected: %v", e)
	}
	return used
}

// TestSeed reads the file of ganymed in Lab 14-1, and those that the other end and
// the tunnel to the outside world would have.
func TestSeed(t *testing.T) {
	ganymed := `#
# DVMRP IP-IP tunnel ganymed <--> scar with a multicast rate_limit of 500 kbps
tunnel 192.168.1.254 192.168.14.254 metric 1 threshold 64 rate_limit 500
`
	limited := func(l *Link) { l.Threshold, l.RateLimit = 64, 500 }
	want := Default()
	want.Tunnels = []Tunnel{{
		Local: Interface{Addr: addr("192.168.1.254")}, Remote: Host{Addr: addr("192.168.14.254")},
		Beside: true, Link: tunnelLink(limited),
	}}
	checkConfig(t, want, mustParse(t, ganymed))

	// As its dump shows it: two tunnels, the second one from another interface.
	want.Tunnels = append(want.Tunnels, Tunnel{
		Local: Interface{Addr: addr("211.11.117.206")}, Remote: Host{Addr: addr("62.178.158.124")},
		Beside: true, Link: tunnelLink(limited),
	})
	checkConfig(t, want, mustParse(t, ganymed+"tunnel 211.11.117.206 62.178.158.124 metric 1 threshold 64 rate_limit 500\n"))

	scar := Default()
	scar.Tunnels = []Tunnel{{
		Local: Interface{Name: "eth1"}, Remote: Host{Addr: addr("192.168.1.254")},
		Beside: true, Link: tunnelLink(limited),
	}}
	checkConfig(t, scar, mustParse(t, "tunnel eth1 192.168.1.254 threshold 64 rate-limit 500"))
}

// TestSpellings reads every old spelling as the new one.
func TestSpellings(t *testing.T) {
	old := mustParse(t, `cache_lifetime 301 prune_lifetime 302 rexmit_prunes off igmp-query-reponse-interval 11
		phyint eth0 advert_metric 1 rate_limit 2 prune_lifetime 303 rexmit_prunes on force_leaf allow_nonpruners`)
	now := mustParse(t, `cache-lifetime 301 prune-lifetime 302 rexmit-prunes off igmp-query-response-interval 11
		phyint eth0 advert-metric 1 rate-limit 2 prune-lifetime 303 rexmit-prunes on force-leaf allow-nonpruners`)
	checkConfig(t, now, old)
	if old.Equal(Default()) {
		t.Error("equal to the default")
	}
	for _, k := range Keywords() {
		if strings.Contains(k.Name, "-") && k.Since == "3.9" && len(k.Old) == 0 && !strings.HasPrefix(k.Name, "no ") {
			t.Errorf("%s of 3.9 has no spelling with underscores", k.Name)
		}
		for _, name := range append([]string{k.Name}, k.Old...) {
			if spellings[name].Name != k.Name {
				t.Errorf("%s means %s, want %s", name, spellings[name].Name, k.Name)
			}
		}
	}
}

// TestOrder has statements in an order that mrouted does not take or takes
// otherwise.
func TestOrder(t *testing.T) {
	want := mustParse(t, "cache-lifetime 301 name A 239.1/16 phyint eth0 boundary A metric 2 tunnel eth0 192.0.2.1")
	got := mustParse(t, "tunnel eth0 192.0.2.1 phyint eth0 metric 2 boundary A name A 239.1.0.0/16 cache-lifetime 301")
	checkConfig(t, want, got)

	// Settings count for links before them too.
	got = mustParse(t, "phyint eth0 cache-lifetime 301 noflood prune-lifetime 302 rexmit-prunes off")
	if l := got.Phyints[0].Link; !l.NoFlood || l.PruneLifetime != 302*time.Second || l.RexmitPrunes != Off {
		t.Errorf("%+v", l)
	}
	// What follows a phyint is an option of it.
	got = mustParse(t, "phyint eth0\n noflood prune-lifetime 302 rexmit-prunes off tunnel eth0 192.0.2.1")
	if got.NoFlood || got.PruneLifetime != DefaultPruneLifetime || got.RexmitPrunes != ByLink {
		t.Errorf("%+v", got.Settings)
	}
	if l := got.Tunnels[0].Link; l.NoFlood || l.PruneLifetime != DefaultPruneLifetime || l.RexmitPrunes != On {
		t.Errorf("%+v", l)
	}
}

// TestRespondTo reads who may ask.
func TestRespondTo(t *testing.T) {
	for text, want := range map[string]Asking{
		"any":                           {Classes: AskAny},
		"none":                          {},
		"local":                         {Classes: AskLocal},
		"routed private":                {Classes: AskPrivate | AskRouted},
		"10/8":                          {Networks: prefixes("10.0.0.0/8")},
		"private 192.0.2.0/24 local":    {AskLocal | AskPrivate, prefixes("192.0.2.0/24")},
		"local private routed 192.0/16": {AskLocal | AskPrivate | AskRouted, prefixes("192.0.0.0/16")},
	} {
		c := Default()
		c.RespondTo = want
		checkConfig(t, c, mustParse(t, "respond-to "+text+"\ncache-lifetime 300"))
	}
}

// TestComments has # begin a comment only after a blank, as in mrouted.
func TestComments(t *testing.T) {
	c := mustParse(t, "#metric 4\nphyint eth0#1 #metric 5\n \t#metric 6\nphyint \"#2\"#metric 7\nphyint \"#3\" # x \" \x01\n metric 2 # y")
	want := Default()
	for _, name := range []string{"eth0#1", "#2", "#3"} {
		want.Phyints = append(want.Phyints, Phyint{Interface: Interface{Name: name}, Enabled: true, IGMP: IGMPv3, Link: link(nil)})
	}
	want.Phyints[2].Metric = 2
	checkConfig(t, want, c)
}

// TestKeywords holds the table of keywords to its promises: each keyword has what
// a manual needs, takes its whole range and nothing else, and its default.
func TestKeywords(t *testing.T) {
	arguments := map[Argument]string{
		ArgNone: "", ArgToggle: "off", ArgMask: "255.0.0.0", ArgNetwork: "10/8", ArgGroup: "239.1.1.1", ArgScoped: "239.1/16",
		ArgNamedScope: "A 239.1/16", ArgRoutes: "10/8", ArgAskers: "any", ArgDevice: "ipip1", ArgInterface: "eth1", ArgTunnel: "eth1 192.0.2.1", ArgText: `"a b"`,
	}
	seen := make(map[string]bool)
	for _, k := range Keywords() {
		if seen[k.Name] || k.Doc == "" || k.Since == "" || k.Scope == 0 || k.Scope.String() == "nowhere" || !strings.HasSuffix(k.Doc, ".") {
			t.Errorf("%s: incomplete or twice: %+v", k.Name, k)
		}
		seen[k.Name] = true
		before := ""
		switch {
		case k.Scope&Global != 0:
		case k.Scope&OnPhyint != 0:
			before = "phyint eth0\n "
		default:
			before = "tunnel eth0 198.51.100.1\n "
		}
		parse := func(argument string) error {
			_, _, err := Parse("f", []byte(before+k.Name+" "+argument))
			return err
		}
		if k.Min != k.Max {
			step := 1.0
			if k.Argument == ArgFraction {
				step = 0.001
			}
			for _, v := range []float64{k.Min, k.Max} {
				// The query interval is not its least one: it is longer than the response interval.
				if err := parse(short(v)); err != nil && k.Name != "igmp-query-interval" && k.Name != "igmp-query-response-interval" {
					t.Errorf("%s: %v", k.Name, err)
				}
			}
			for _, v := range []float64{k.Min - step, k.Max + step} {
				if err := parse(short(v)); (err == nil) != k.Lenient {
					t.Errorf("%s takes %v: %v", k.Name, v, err)
				}
			}
			for _, text := range []string{"-1", "1e1", "0x10", "x", "99999999999999999999999999", "NaN", "1.5.5", "+5"} {
				if err := parse(text); err == nil && (!k.Lenient || text[0] != '9') {
					t.Errorf("%s takes %s", k.Name, text)
				}
			}
		} else if err := parse(arguments[k.Argument]); (err != nil) != (k.Refused != "") {
			t.Errorf("%s: %v", k.Name, err)
		}
		if k.Default != "" {
			c := mustParse(t, before+k.Name+" "+k.Default)
			if want := mustParse(t, before); !c.Equal(want) {
				t.Errorf("%s %s is not the default:\n%s", k.Name, k.Default, Format(c))
			}
		}
	}
}

// TestSample reads the file that is shipped: as it is it changes nothing, and with
// all that it shows it is right, and shows all there is.
func TestSample(t *testing.T) {
	text, err := os.ReadFile("../../man/mroutd.conf.sample")
	if err != nil {
		t.Fatal(err)
	}
	checkConfig(t, Default(), mustParse(t, string(text)))
	all := regexp.MustCompile(`(?m)^(\s*)#([a-z])`).ReplaceAllString(string(text), "$1$2")
	c, warnings, err := Parse("sample", []byte(all))
	if err != nil {
		t.Fatal(err)
	}
	checkConfig(t, c, c)
	for _, w := range warnings {
		if !strings.Contains(w.Text, "replaces") && !strings.Contains(w.Text, "no phyint") && !strings.Contains(w.Text, "is there already") &&
			!strings.Contains(w.Text, "one link only") && !strings.Contains(w.Text, "IGMPv") {
			t.Errorf("unexpected: %v", w)
		}
	}
	used := mustKeywords(t, all)
	for _, k := range Keywords() {
		if shown := k.Ignored == "" && k.Refused == ""; shown != used[k.Name] {
			t.Errorf("the sample shows %s: %t, want %t", k.Name, used[k.Name], shown)
		}
		if k.Default == "" || k.Scope&Global == 0 {
			continue
		}
		if line := "\n#" + k.Name + " " + k.Default + "\n"; !strings.Contains(string(text), line) {
			t.Errorf("the sample has no line %q", strings.TrimSpace(line))
		}
	}
}

func TestInterfaceIs(t *testing.T) {
	here := addrs("10.0.0.1", "10.0.1.1")
	for _, test := range []struct {
		i    Interface
		want bool
	}{
		{Interface{Name: "eth0"}, true},
		{Interface{Name: "eth1"}, false},
		{Interface{Addr: addr("10.0.1.1")}, true},
		{Interface{Addr: addr("10.0.1.2")}, false},
		{Interface{}, false},
	} {
		if got := test.i.Is("eth0", here); got != test.want {
			t.Errorf("%s is eth0: %t, want %t", test.i, got, test.want)
		}
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	none, one, bad := filepath.Join(dir, "none"), filepath.Join(dir, "one"), filepath.Join(dir, "bad")
	for path, text := range map[string]string{one: "cache-lifetime 400", bad: "cache-lifetime"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if c, path, _, err := Load(none); err != nil || path != "" || !reflect.DeepEqual(c, Default()) {
		t.Errorf("no file: %v, %q, %v", c, path, err)
	}
	if c, path, _, err := Load(none, one, bad); err != nil || path != one || c.CacheLifetime != 400*time.Second {
		t.Errorf("the second one: %v, %q, %v", c, path, err)
	}
	if _, path, _, err := Load(bad, one); fmt.Sprint(err) != bad+":1:15: expected seconds from 60 to 86400 after cache-lifetime, found the end of the file" || path != bad {
		t.Errorf("a bad one: %q, %v", path, err)
	}
	if _, _, _, err := Load(dir); fmt.Sprint(err) != "config: read "+dir+": is a directory" {
		t.Errorf("a directory: %v", err)
	}
}
