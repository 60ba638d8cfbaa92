package lab

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var compareAddresses = cmp.Options{
	cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
	cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
}

func TestParse(t *testing.T) {
	const text = `
# everything there is
lan a
lan b mtu 9000

host r1	# a comment
  interface eth0 on a 10.0.1.1/24 10.0.9.1/32
  interface eth1 on b
  interface lo 192.0.2.1/32
  sysctl net.ipv4.ip_forward 1
  sysctl net.ipv4.ping_group_range "0 100"
  route default via 10.0.1.254 metric 5
  route 10.0.2.0/24 dev eth1
  route unicast 10.0.3.0/24 via 10.0.1.253 dev eth0
  route blackhole 10.0.4.0/24
  route unreachable 10.0.5.0/24
  route local 10.0.6.0/24
  loss eth0 in 2.5%
  loss eth0 out 100 protocol udp source 10.0.0.0/8 destination 239.0.0.0/8
  loss eth1 in 1% protocol 89
  forward 10.0.1.7 239.1.2.3 from eth0 to eth1:16
  private /etc/frr /var/lib/x
  file /etc/frr/frr.conf << END
# not a comment
  router {
	END

  END
  file /run/empty << .
  .
  run sleep 100 "two words" "#" ""
host r2
`
	want := &Topology{
		LANs: []LANSpec{{Name: "a"}, {Name: "b", MTU: 9000}},
		Hosts: []HostSpec{{
			Name: "r1",
			Interfaces: []InterfaceSpec{
				{"eth0", "a", []netip.Prefix{prefix("10.0.1.1/24"), prefix("10.0.9.1/32")}},
				{"eth1", "b", nil},
				{"lo", "", []netip.Prefix{prefix("192.0.2.1/32")}},
			},
			Sysctls: []Sysctl{{"net.ipv4.ip_forward", "1"}, {"net.ipv4.ping_group_range", "0 100"}},
			Routes: []Route{
				{Type: Unicast, Destination: prefix("0.0.0.0/0"), Via: netip.MustParseAddr("10.0.1.254"), Metric: 5},
				{Type: Unicast, Destination: prefix("10.0.2.0/24"), Interface: "eth1"},
				{Type: Unicast, Destination: prefix("10.0.3.0/24"), Via: netip.MustParseAddr("10.0.1.253"), Interface: "eth0"},
				{Type: Blackhole, Destination: prefix("10.0.4.0/24")},
				{Type: Unreachable, Destination: prefix("10.0.5.0/24")},
				{Type: Local, Destination: prefix("10.0.6.0/24")},
			},
			Losses: []LossSpec{
				{"eth0", In, Loss{Percent: 2.5}},
				{"eth0", Out, Loss{Percent: 100, Protocol: 17, Source: prefix("10.0.0.0/8"), Destination: prefix("239.0.0.0/8")}},
				{"eth1", In, Loss{Percent: 1, Protocol: 89}},
			},
			Forwards: []Forward{{
				Source: netip.MustParseAddr("10.0.1.7"), Group: netip.MustParseAddr("239.1.2.3"),
				From: "eth0", To: []ForwardOutput{{"eth1", 16}},
			}},
			Private: []string{"/etc/frr", "/var/lib/x"},
			Files: []FileSpec{
				{"/etc/frr/frr.conf", "# not a comment\n  router {\n"},
				{"/run/empty", ""},
			},
			Programs: [][]string{{"sleep", "100", "two words", "#", ""}},
		}, {Name: "r2"}},
	}
	// The second END and what comes before it are no part of the file.
	fixed := strings.Replace(text, "\tEND\n\n  END\n", "\tEND\n", 1)
	got, err := Parse("test", []byte(fixed))
	check(t, err)
	if d := cmp.Diff(want, got, compareAddresses); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	again, err := Parse("again", []byte(got.String()))
	check(t, err)
	if d := cmp.Diff(want, again, compareAddresses); d != "" {
		t.Errorf("written and read again (-want +got):\n%s\n%s", d, got)
	}
}

// TestParseErrors holds every error to its place and to what it expects.
func TestParseErrors(t *testing.T) {
	const base = "lan a\nhost h\ninterface eth0 on a 10.0.0.1/24\ninterface eth1 on a\n" // lines 1 to 4
	tests := []struct{ line, want string }{
		{"router r1", `5:1: expected lan, host, interface, sysctl, route, loss, forward, private, file or run, found "router"`},
		{"lan", `5:4: expected the name of a LAN, found the end of the line`},
		{"lan   # nothing", `5:4: expected the name of a LAN, found the end of the line`},
		{"lan a", `5:5: LAN a is there already`},
		{"lan b mtu 67", `5:11: expected an MTU from 68 to 65535, found "67"`},
		{"lan b 5", `5:7: expected the end of the line, found "5"`},
		{"host h", `5:6: host h is there already`},
		{"host -h", `5:6: expected the name of a host, found "-h": a name begins with a letter or digit; hyphens, underscores and dots may follow`},
		{"host " + strings.Repeat("h", 64), `5:6: expected the name of a host, found "` + strings.Repeat("h", 64) + `": a name has 1 to 63 characters`},
		{"interface eth0 on a", `5:11: interface h:eth0 is there already`},
		{"interface eth2 at a", `5:16: expected "on", found "at"`},
		{"interface eth2 on b", `5:19: there is no LAN b`},
		{"interface interface0123456 on a", `5:11: expected the name of an interface, found "interface0123456": a name has 1 to 15 characters`},
		{"interface eth2 on a 10.0.0.1", `5:21: expected an address with its prefix length such as 192.0.2.0/24, found "10.0.0.1"`},
		{"interface eth2 on a 2001:db8::1/64", `5:21: expected an address with its prefix length such as 192.0.2.0/24, found "2001:db8::1/64"`},
		{"interface eth2 on a 239.0.0.1/24", `5:21: expected an address of a host, found 239.0.0.1/24`},
		{"interface eth2 on a 10.0.0.2/24 10.0.0.1/32", `5:33: on LAN a, address 10.0.0.1 is there already`},
		{"sysctl kernel.hostname x", `5:8: expected a kernel parameter of a host, such as net.ipv4.ip_forward, found "kernel.hostname"`},
		{"sysctl net/../kernel/hostname x", `5:8: expected a kernel parameter of a host, such as net.ipv4.ip_forward, found "net/../kernel/hostname"`},
		{"sysctl net.ipv4.ip_forward", `5:27: expected a value, found the end of the line`},
		{"route 10.0.0.1/24 via 10.0.0.2", `5:7: expected a network, found 10.0.0.1/24, which has bits behind its mask: did you mean 10.0.0.0/24?`},
		{"route default", `5:14: expected "via" or "dev", found the end of the line`},
		{"route default over 10.0.0.2", `5:15: expected "via" or "dev", found "over"`},
		{"route default via gateway", `5:19: expected the address of a gateway such as 192.0.2.1, found "gateway"`},
		{"route default dev eth7", `5:19: host h has no interface eth7`},
		{"route blackhole 10.1.0.0/16 via 10.0.0.2", `5:29: expected the end of the line, found "via"`},
		{"route default dev eth0 metric -1", `5:31: expected a metric from 0 to 1073741824, found "-1"`},
		{"loss eth0 both 5%", `5:11: expected "in" or "out", found "both"`},
		{"loss eth0 in 101%", `5:14: expected a percentage from 0% to 100%, found "101%"`},
		{"loss eth0 in NaN", `5:14: expected a percentage from 0% to 100%, found "NaN"`},
		{"loss lo in 5%", `5:9: lo has no wire that could lose packets`},
		{"loss eth0 in 5% protocol dvmrp", `5:26: expected udp, tcp, icmp, igmp, pim or a protocol number from 1 to 255, found "dvmrp"`},
		{"loss eth0 in 5%\nloss eth0 in 6%", `6:11: loss of h:eth0 in is there already`},
		{"forward 239.1.1.1 239.1.2.3 from eth0 to eth1", `5:9: expected the address of a source, found 239.1.1.1`},
		{"forward 10.0.0.1 10.0.0.2 from eth0 to eth1", `5:18: expected a group such as 239.1.2.3, found "10.0.0.2"`},
		{"forward 10.0.0.1 224.0.0.5 from eth0 to eth1", `5:18: groups in 224.0.0.0/24 such as 224.0.0.5 are never forwarded`},
		{"forward 10.0.0.1 239.1.2.3 from eth0 to", `5:40: expected an outgoing interface, found the end of the line`},
		{"forward 10.0.0.1 239.1.2.3 from eth0 to eth0", `5:41: interface eth0 is there already`},
		{"forward 10.0.0.1 239.1.2.3 from eth0 to eth1:255", `5:41: expected INTERFACE:TTL with a TTL from 1 to 254, found "eth1:255"`},
		{"forward 10.0.0.1 239.1.2.3 from eth0 to eth7", `5:41: host h has no interface eth7`},
		{"private etc", `5:9: expected a directory that begins with / and has no . or .., found "etc"`},
		{"private /etc/../usr", `5:9: expected a directory that begins with / and has no . or .., found "/etc/../usr"`},
		{"file /etc/x << E\nE", `5:6: /etc/x is not below /run or a private directory of the host`},
		{"file /run/../etc/x << E\nanything\nE", `5:6: expected a path that begins with / and has no . or .., found "/run/../etc/x"`},
		{"file /run/x << E\nlan", `5:16: expected a line "E" after the lines of the file, found the end`},
		{"file /run/x", `5:12: expected "<<", found the end of the line`},
		{"run", `5:4: expected a program, found the end of the line`},
		{`run "a`, `5:5: expected a word in quotes that ends on this line`},
		{`run "a\x00"`, `5:5: expected a word in quotes without NUL`},
		{"run a\x01", `5:6: unexpected control character '\x01'`},
	}
	for _, test := range tests {
		_, err := Parse("f", []byte(base+test.line))
		if got := fmt.Sprint(err); got != "f:"+test.want {
			t.Errorf("%s\n got %s\nwant f:%s", test.line, got, test.want)
		}
	}
	_, err := Parse("f", []byte("sysctl a b"))
	if got, want := fmt.Sprint(err), "f:1:1: sysctl belongs to a host: expected a host line before it"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	_, err = Parse("f", []byte(base+"interface x on b\nfrob\n"))
	if got, want := fmt.Sprint(err), "f:5:16: there is no LAN b\nf:6:1: expected lan,"; !strings.HasPrefix(got, want) {
		t.Errorf("two problems: got %s, want %s...", got, want)
	}
	if _, err := Parse("f", []byte(strings.Repeat("frob\n", 1000))); strings.Count(err.Error(), "\n")+1 != maxProblems {
		t.Errorf("1000 problems are told as %d lines, want %d", strings.Count(err.Error(), "\n")+1, maxProblems)
	}
	if _, err := Parse("f", make([]byte, maxTopology+1)); err == nil {
		t.Error("a topology of more than the limit is accepted")
	}
}

func TestLoad(t *testing.T) {
	row := must[*Topology](t)(Load("row"))
	if len(row.Hosts) != 5 || len(row.LANs) != 4 {
		t.Errorf("the sample row has %d hosts and %d LANs, want 5 and 4", len(row.Hosts), len(row.LANs))
	}
	t.Chdir(t.TempDir())
	check(t, os.WriteFile("row", []byte("lan mine"), 0o600))
	if file := must[*Topology](t)(Load("row")); len(file.LANs) != 1 {
		t.Errorf("a file is not preferred to a sample: %v", file)
	}
	for path, want := range map[string]string{
		"none": "lab: topology: open none: no such file or directory",
		".":    "lab: topology: read .: is a directory",
	} {
		if _, err := Load(path); fmt.Sprint(err) != want {
			t.Errorf("%s: %v, want %s", path, err, want)
		}
	}
}

// TestDocumentation has the example of the documentation parsed, and every
// statement of it described there.
func TestDocumentation(t *testing.T) {
	text := string(must[[]byte](t)(os.ReadFile("../../docs/topology.md")))
	_, example, _ := strings.Cut(text, "```lab\n")
	example, _, ok := strings.Cut(example, "```\n")
	if !ok {
		t.Fatal("docs/topology.md has no example")
	}
	must[*Topology](t)(Parse("docs/topology.md", []byte(example)))
	for _, file := range must[[]os.DirEntry](t)(samples.ReadDir("topologies")) {
		name := strings.TrimSuffix(file.Name(), ".lab")
		must[*Topology](t)(Parse(file.Name(), []byte(Sample(name))))
		if !strings.Contains(text, "`"+name+"`") {
			t.Errorf("docs/topology.md does not name the sample %s", name)
		}
	}
	keywords := []string{"lan", "host"}
	for k := range hostStatements {
		keywords = append(keywords, k)
	}
	for _, k := range keywords {
		if !strings.Contains(text, "\n`"+k+" ") {
			t.Errorf("docs/topology.md does not describe %s", k)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, name := range []string{"row", "lab-14-1"} {
		f.Add(Sample(name))
	}
	f.Add("lan a mtu 100\nhost b\ninterface c on a 1.2.3.4/5\nloss c in 1e-3 protocol 5 source 1.0.0.0/8\nfile /run/a << b\n\n b\nrun \"\\n\"")
	f.Add("host a\nprivate /x\nfile /x/y << END\nEND_\nEND\nroute local 1.1.1.1/32 dev lo metric 3\nsysctl net/a.b/c \"\"")
	f.Fuzz(func(t *testing.T, text string) {
		first, err := Parse("first", []byte(text))
		if err != nil {
			return
		}
		second, err := Parse("second", []byte(first.String()))
		if err != nil {
			t.Fatalf("what String wrote is not accepted: %v\n%s", err, first)
		}
		if !reflect.DeepEqual(first, second) {
			t.Fatalf("what String wrote is something else:\n%s\n%s", first, second)
		}
	})
}

// TestRow sends over the three routers of the sample, and loses on a wire of one.
func TestRow(t *testing.T) {
	l := Start(t, Sample("row"))
	flow := netip.AddrPortFrom(netip.MustParseAddr("239.1.2.3"), 5000)
	r := must[*Receiver](t)(l.Host("receiver").Join(flow, "eth0", netip.Addr{}))
	defer r.Close()
	send(t, l.Host("sender"), Flow{Group: flow, Count: 100, TTL: 5})
	arrived(t, r, 100)
	w := l.Host("r2").Wire("eth1")
	check(t, w.SetLoss(Out, Loss{Percent: 30, Protocol: 17}))
	send(t, l.Host("sender"), Flow{Group: flow, Count: 1000, TTL: 5, Interval: 20 * time.Microsecond})
	arrived(t, r, 1100-drops(t, w, Out))
	// Another source has no entry and must not come through.
	before := r.Stats().Packets
	check(t, l.Host("sender").Wire("eth0").AddAddress(prefix("10.0.1.2/24")))
	send(t, l.Host("sender"), Flow{Group: flow, Count: 10, TTL: 5, Source: netip.MustParseAddr("10.0.1.2")})
	check(t, w.SetLoss(Out, Loss{}))
	send(t, l.Host("sender"), Flow{Group: flow, Count: 1, TTL: 5})
	arrived(t, r, before+1)
}

// TestLab141 has every address of the ring reached from every host.
func TestLab141(t *testing.T) {
	l := Start(t, Sample("lab-14-1"))
	for _, to := range l.Hosts() {
		for _, w := range to.Wires() {
			addresses := must[[]netip.Prefix](t)(w.Addresses())
			for _, from := range l.Hosts() {
				if from != to {
					reach(t, from, to, addresses[0].Addr())
				}
			}
		}
	}
}

func TestBuild(t *testing.T) {
	dir := t.TempDir()
	l := Start(t, `
lan a mtu 1400
lan b
host h
  interface eth0 on a 10.0.0.1/24
  interface eth1 on b
  interface lo 192.0.2.1/32
  sysctl net.ipv4.conf.eth0.rp_filter 2
  route blackhole 10.9.0.0/16
  route local 10.8.0.0/16
  loss eth0 in 100% protocol udp
  private `+dir+`
  file `+dir+`/sub/conf << END
one
two
END
  run cat `+dir+`/sub/conf /proc/sys/net/ipv4/conf/eth0/rp_filter
host g
  interface eth0 on a 10.0.0.2/24
  route 10.8.0.0/16 via 10.0.0.1
  run sleep 1000
`)
	h, g := l.Host("h"), l.Host("g")
	cat := h.Programs()[0]
	check(t, cat.Wait())
	if got, want := cat.Log(), "one\ntwo\n2\n"; got != want {
		t.Errorf("the program printed %q, want %q", got, want)
	}
	if files := must[[]os.DirEntry](t)(os.ReadDir(dir)); len(files) != 0 {
		t.Errorf("the private directory has %v outside of the host", files)
	}
	if err := h.WriteFile(filepath.Join(t.TempDir(), "x"), nil, 0o644); err == nil {
		t.Error("a file is written to the machine")
	}
	reachLimit(t, g, h, netip.MustParseAddr("10.8.7.6"), false) // lost on the wire
	check(t, h.Wire("eth0").Mend())
	reach(t, g, h, netip.MustParseAddr("10.8.7.6"))
	links := must[[]byte](t)(h.Command(t.Context(), "cat", "/sys/class/net/eth0/mtu").Output())
	if strings.TrimSpace(string(links)) != "1400" {
		t.Errorf("the MTU of eth0 is %s, want 1400", links)
	}
	err := h.Do(func() error { return dial("10.9.1.1:9") })
	if err == nil {
		t.Error("a blackhole takes packets")
	}
	if n := len(must[[]*Wire](t)(h.Wires(), nil)); n != 2 {
		t.Errorf("%d wires, want 2", n)
	}
}
