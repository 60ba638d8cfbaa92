package mapmbone_test

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"mbone/internal/cmd/cmdtest"
	"mbone/internal/lab"
	"mbone/internal/plane"
	"mbone/proto/dvmrp"
	"mbone/proto/igmp"
	"mbone/proto/pim"
	"mbone/report"
)

// patience is how long anything may take that should take a second.
const patience = 30 * time.Second

// network is a LAN of three routers, of which r1 is next to the asker and r4 is
// behind r3 and says nothing.
const network = `
lan net1
lan net2
lan net3
lan net4
host asker
  interface eth0 on net1 10.0.1.1/24 10.0.1.9/24
  route default via 10.0.1.2
host r1
  interface eth0 on net1 10.0.1.2/24
  interface eth1 on net2 10.0.2.1/24
  sysctl net.ipv4.ip_forward 1
  route 10.0.3.0/24 via 10.0.2.3
  route 10.0.4.0/24 via 10.0.2.2
  forward 10.9.9.9 239.1.2.3 from eth0 to eth1
host r2
  interface eth0 on net2 10.0.2.2/24
  interface eth1 on net4 10.0.4.2/24
  route 10.0.1.0/24 via 10.0.2.1
  forward 10.9.9.9 239.1.2.3 from eth0 to eth1
host r3
  interface eth0 on net2 10.0.2.3/24
  interface eth1 on net3 10.0.3.3/24
  sysctl net.ipv4.ip_forward 1
  route 10.0.1.0/24 via 10.0.2.1
  forward 10.9.9.9 239.1.2.3 from eth0 to eth1
host r4
  interface eth0 on net3 10.0.3.4/24
  route default via 10.0.3.3
`

// networkText is that network as the classic program shows it: sorted by address,
// interfaces in the reverse order of the answer, which is that of their making.
const networkText = `
Multicast Router Connectivity:

10.0.1.2: <v3.255>
    10.0.2.1:  10.0.2.3 [1/1]
               10.0.2.2 [1/1]
    10.0.1.2:  10.0.1.2 [1/1]

10.0.2.1: alias for 10.0.1.2

10.0.2.2: <v3.255>
    10.0.4.2:  10.0.4.2 [1/1]
    10.0.2.2:  10.0.2.3 [1/1]
               10.0.2.1 [1/1]

10.0.2.3: <v3.255>
    10.0.3.3:  10.0.3.4 [1/1]
    10.0.2.3:  10.0.2.2 [1/1]
               10.0.2.1 [1/1]

10.0.3.3: alias for 10.0.2.3

10.0.3.4: no response to query

10.0.4.2: alias for 10.0.2.2

`

// hello lets a host say once and for all that it is a PIM router on a link: that
// is how mroutd --respond-only knows its neighbours.
func hello(t *testing.T, h *lab.Host, iface string) {
	t.Helper()
	socket := lab.Within(t, h, func() (*plane.Socket, error) { return plane.Listen(pim.Protocol) })
	defer socket.Close()
	message, err := (&pim.Hello{Options: []pim.Option{{Type: pim.OptionHoldtime, Value: []byte{0xff, 0xff}}}}).AppendBinary(nil)
	if err == nil {
		err = socket.Send(plane.Datagram{To: igmp.PIMRouters, IfIndex: h.Wire(iface).Index, TTL: 1, Message: message})
	}
	if err != nil {
		t.Fatal(err)
	}
}

const protocolIGMP = 2

// questions returns the IP packets with Ask-Neighbors2 that were sent.
func questions(c *lab.Capture) [][]byte {
	var sent [][]byte
	for _, f := range c.Frames() {
		if ip := f.IP(); f.Out {
			if m := ip[4*(ip[0]&0xf):]; m[0] == byte(igmp.TypeDVMRP) && m[1] == byte(dvmrp.CodeAskNeighbors2) {
				sent = append(sent, ip)
			}
		}
	}
	return sent
}

// TestKernel asks mroutd --respond-only through real sockets.
func TestKernel(t *testing.T) {
	l := lab.Start(t, network)
	asker := l.Host("asker")
	for _, name := range []string{"r1", "r2", "r3"} {
		if err := l.Host(name).Command(context.Background(), "mroutd", "--respond-only").Start(); err != nil {
			t.Fatal(err)
		}
	}
	quick := []string{"-n", "-r", "4", "-t", "0.2"}
	lab.Until(t, patience, func() error {
		for host, iface := range map[string]string{"r1": "eth1", "r2": "eth0", "r3": "eth0", "r4": "eth0"} {
			hello(t, l.Host(host), iface)
		}
		if o := cmdtest.At(t, asker, "map-mbone", append(quick, "-f", "10.0.1.2")...); o.Stdout != networkText {
			return fmt.Errorf("got\n%s\nwant\n%s", o.Stdout, networkText)
		}
		return nil
	})

	t.Run("flood", func(t *testing.T) {
		if o := cmdtest.At(t, asker, "map-mbone", append(quick, "-f", "10.0.1.2")...); o.Code != 0 || o.Stderr != "" || o.Stdout != networkText {
			t.Errorf("got %d\n%s%s", o.Code, o.Stdout, o.Stderr)
		}
	})
	t.Run("from the link on", func(t *testing.T) {
		if o := cmdtest.At(t, asker, "map-mbone", quick...); o.Code != 0 || o.Stderr != "" || o.Stdout != networkText {
			t.Errorf("got %d\n%s%s", o.Code, o.Stdout, o.Stderr)
		}
	})
	t.Run("the LAN and the link", func(t *testing.T) {
		d := cmdtest.Document[report.Map](t, cmdtest.At(t, asker, "map-mbone", append(quick, "--json", "-f", "10.0.3.3")...))
		kinds := make(map[report.LinkKind][]string)
		for _, link := range d.Links {
			var ends []string
			for _, e := range link.Ends {
				ends = append(ends, e.Interface.String())
			}
			kinds[link.Kind] = append(kinds[link.Kind], strings.Join(ends, " "))
		}
		if lan := kinds[report.LinkLAN]; len(lan) != 1 || !sameWords(lan[0], "10.0.2.1 10.0.2.2 10.0.2.3") {
			t.Errorf("LANs %q", lan)
		}
		if p := kinds[report.LinkPointToPoint]; len(p) != 1 || !sameWords(p[0], "10.0.3.3 10.0.3.4") {
			t.Errorf("point-to-point links %q", p)
		}
		if start := []netip.Addr{netip.MustParseAddr("10.0.3.3")}; !slices.Equal(d.Start, start) {
			t.Errorf("start %v", d.Start)
		}
	})
	t.Run("within a network", func(t *testing.T) {
		d := cmdtest.Document[report.Map](t, cmdtest.At(t, asker, "map-mbone", append(quick, "--json", "--within", "10.0.2.0/24", "10.0.1.2")...))
		for _, r := range d.Routers {
			if want := r.Address == netip.MustParseAddr("10.0.3.4"); (r.State == report.RouterNotAsked) != want {
				t.Errorf("%s: %s", r.Address, r.State)
			}
		}
	})
	t.Run("how questions leave", func(t *testing.T) {
		tests := []struct {
			args   []string
			source string
			to     string
			alert  bool
		}{
			{[]string{"10.0.1.2"}, "10.0.1.1", "10.0.1.2", false},
			{[]string{"--source", "10.0.1.9", "10.0.1.2"}, "10.0.1.9", "10.0.1.2", false},
			{[]string{"--router-alert", "10.0.1.2"}, "10.0.1.1", "10.0.1.2", true},
			{[]string{"--interface", "eth0", "224.0.0.1"}, "10.0.1.1", "224.0.0.1", false},
		}
		for _, tt := range tests {
			capture, err := asker.Capture("eth0", protocolIGMP)
			if err != nil {
				t.Fatal(err)
			}
			o := cmdtest.At(t, asker, "map-mbone", append(quick, tt.args...)...)
			if err := capture.Close(); err != nil {
				t.Error(err)
			}
			sent := questions(capture)
			if o.Code != 0 || len(sent) == 0 {
				t.Errorf("%q: got %d, %d questions", tt.args, o.Code, len(sent))
			}
			for _, ip := range sent {
				from, to := netip.AddrFrom4([4]byte(ip[12:16])), netip.AddrFrom4([4]byte(ip[16:20]))
				alert := ip[0]&0xf > 5 && ip[20] == 0x94 // RFC 2113
				if from.String() != tt.source || to.String() != tt.to || alert != tt.alert {
					t.Errorf("%q: %s asks %s, Router Alert %v", tt.args, from, to, alert)
				}
			}
		}
	})
	t.Run("interrupted", func(t *testing.T) { interrupted(t, asker) })
}

// interrupted sends Ctrl-C in the middle of a crawl, which waits for a silent
// router, and looks at the line of progress on a terminal.
func interrupted(t *testing.T, asker *lab.Host) {
	terminal, err := lab.NewTerminal(80)
	if err != nil {
		t.Fatal(err)
	}
	var stdout bytes.Buffer
	c := asker.Command(t.Context(), "map-mbone", "-n", "-f", "-t", "3600", "10.0.1.2")
	c.Stdout, c.Stderr = &stdout, terminal.Screen
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	const line = "\rmap-mbone: 3 answered, 0 silent, 1 outstanding, "
	lab.Until(t, patience, func() error {
		if !strings.Contains(terminal.Output(), line+"1 s") { // it goes on when nothing comes
			return fmt.Errorf("the terminal shows %q", terminal.Output())
		}
		return nil
	})
	if err := c.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	code, err := lab.ExitCode(c.Wait())
	if err != nil {
		t.Fatal(err)
	}
	output := terminal.Close()
	if code != 1 || !strings.HasPrefix(stdout.String(), networkText[:strings.Index(networkText, "10.0.3.4:")]) {
		t.Errorf("got %d\n%s", code, &stdout)
	}
	// The line is gone before anything else is said.
	last := output[strings.LastIndex(output, line):]
	drawn, said, _ := strings.Cut(last[1:], "\r")
	blank, said, _ := strings.Cut(said, "\r")
	if strings.Trim(blank, " ") != "" || len(blank) != len(drawn) {
		t.Errorf("%q was not taken away by %q", drawn, blank)
	}
	if want := "map-mbone: interrupted: 3 answered, 0 silent, 1 not asked\r\n"; said != want {
		t.Errorf("got %q, want %q", said, want)
	}
}

// A silent router on a terminal and in a pipe: progress is for terminals.
func TestProgress(t *testing.T) {
	l := lab.Start(t, "host alone")
	for _, columns := range []int{80, 20} {
		terminal, err := lab.NewTerminal(columns)
		if err != nil {
			t.Fatal(err)
		}
		c := l.Host("alone").Command(t.Context(), "map-mbone", "-n", "-f", "-t", "0.3", "-r", "1", "127.0.0.1")
		c.Stdout, c.Stderr = new(bytes.Buffer), terminal.Screen
		began := time.Now()
		code, err := lab.ExitCode(c.Run())
		if err != nil {
			t.Fatal(err)
		}
		took := time.Since(began)
		output := terminal.Close()
		var lines []string
		for _, l := range strings.Split(output[:strings.LastIndex(output, "\rmap-mbone: 127.0.0.1:")], "\r") {
			if l = strings.TrimRight(l, " "); l != "" {
				lines = append(lines, l)
			}
			if len(l) >= columns {
				t.Errorf("%d columns: %q", columns, l)
			}
		}
		if code != 1 || len(lines) == 0 || !strings.HasPrefix("map-mbone: 0 answered, 0 silent, 1 outstanding, 0 s", lines[0]) {
			t.Errorf("got %d %q", code, output)
		}
		if most := int(took/(100*time.Millisecond)) + 1; len(lines) > most {
			t.Errorf("%d lines in %v", len(lines), took)
		}
	}
	o := cmdtest.At(t, l.Host("alone"), "map-mbone", "-n", "-f", "-t", "0.3", "-r", "1", "127.0.0.1")
	if strings.Contains(o.Stderr, "\r") || strings.Count(o.Stderr, "\n") != 1 {
		t.Errorf("in a pipe: %q", o.Stderr)
	}
}

func sameWords(a, b string) bool {
	x, y := strings.Fields(a), strings.Fields(b)
	slices.Sort(x)
	slices.Sort(y)
	return slices.Equal(x, y)
}
