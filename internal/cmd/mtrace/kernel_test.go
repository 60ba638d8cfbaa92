package mtrace_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"mbone/internal/cmd/cmdtest"
	"mbone/internal/lab"
	"mbone/report"
	"mbone/schema/schematest"
)

// patience is how long anything may take that should take a second.
const patience = 30 * time.Second

// row is four routers between a sender and a receiver. The kernel forwards by
// the entries of the lab; mroutd answers for it.
const row = `
lan net1
lan net2
lan net3
lan net4
lan net5
host sender
  interface eth0 on net1 10.0.1.9/24
host r1
  interface eth0 on net1 10.0.1.1/24
  interface eth1 on net2 10.0.2.1/24
  sysctl net.ipv4.ip_forward 1
  route default via 10.0.2.2
  forward 10.0.1.9 239.1.2.3 from eth0 to eth1
host r2
  interface eth0 on net2 10.0.2.2/24
  interface eth1 on net3 10.0.3.1/24
  sysctl net.ipv4.ip_forward 1
  route 10.0.1.0/24 via 10.0.2.1
  route default via 10.0.3.2
  forward 10.0.1.9 239.1.2.3 from eth0 to eth1
host r3
  interface eth0 on net3 10.0.3.2/24
  interface eth1 on net4 10.0.4.1/24
  sysctl net.ipv4.ip_forward 1
  route 10.0.1.0/24 via 10.0.3.1
  route 10.0.2.0/24 via 10.0.3.1
  route default via 10.0.4.2
  forward 10.0.1.9 239.1.2.3 from eth0 to eth1
host r4
  interface eth0 on net4 10.0.4.2/24
  interface eth1 on net5 10.0.5.1/24
  sysctl net.ipv4.ip_forward 1
  route default via 10.0.4.1
  forward 10.0.1.9 239.1.2.3 from eth0 to eth1
host receiver
  interface eth0 on net5 10.0.5.9/24
  route default via 10.0.5.1
`

// path is the text of a trace over the row.
const path = `Mtrace from 10.0.1.9 to 10.0.5.9 via group 239.1.2.3
Querying full reverse path... 
  0  10.0.5.9
 -1  10.0.5.1  None  thresh^ 1  
 -2  10.0.4.1  None  thresh^ 1  
 -3  10.0.3.1  None  thresh^ 1  
 -4  10.0.2.1  None  thresh^ 1  
 -5  10.0.1.9
Round trip time `

var flow = netip.MustParseAddrPort("239.1.2.3:5000")

func mtraceAt(t *testing.T, h *lab.Host, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	o := cmdtest.At(t, h, "mtrace", append([]string{"-n"}, args...)...)
	return o.Code, o.Stdout, o.Stderr
}

// TestKernel traces over real kernels, and finds the link that loses packets.
func TestKernel(t *testing.T) {
	l := lab.Start(t, row)
	for _, name := range []string{"r1", "r2", "r3", "r4"} {
		if err := l.Host(name).Command(context.Background(), "mroutd", "--respond-only").Start(); err != nil {
			t.Fatal(err)
		}
	}
	receiver := l.Host("receiver")
	arguments := []string{"10.0.1.9", "10.0.5.9", "239.1.2.3"}
	lab.Until(t, patience, func() error {
		if code, out, _ := mtraceAt(t, receiver, append([]string{"-s"}, arguments...)...); code != 0 || !strings.HasPrefix(out, path) {
			return errors.New("not the whole path")
		}
		return nil
	})

	t.Run("statistics", func(t *testing.T) { statistics(t, l, arguments) })

	t.Run("by the gateway", func(t *testing.T) {
		// The receiver's side of the second router, from one that is not on that link.
		code, out, _ := mtraceAt(t, receiver, "-s", "-g", "10.0.4.1", "10.0.1.9", "10.0.4.2", "239.1.2.3")
		if code != 0 || !strings.Contains(out, "\n -1  10.0.4.1  None  thresh^ 1  \n -2  10.0.3.1  ") || !strings.Contains(out, "\n -4  10.0.1.9\n") {
			t.Errorf("exit code %d\n%s", code, out)
		}
	})

	t.Run("a multicast answer", func(t *testing.T) {
		// Answers to 224.0.1.32 go out on one link and no further.
		code, out, _ := mtraceAt(t, receiver, "-s", "-M", "-m1", "10.0.1.9", "10.0.5.9", "239.1.2.3")
		if code != 1 || !strings.Contains(out, "\n -1  10.0.5.1  None  thresh^ 1  \n -2  10.0.4.1 [") || !strings.Contains(out, "] is the next hop\n") {
			t.Errorf("exit code %d\n%s", code, out)
		}
	})

	t.Run("a cut link", func(t *testing.T) {
		wire := l.Host("r3").Wire("eth0")
		if err := wire.Cut(); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		code, out, stderr := mtraceAt(t, receiver, arguments...)
		if took := time.Since(began); took > 12*time.Second {
			t.Errorf("took %v", took)
		}
		if code != 1 || !strings.Contains(out, "\n -3  ") || !strings.Contains(out, "10.0.3.1 didn't respond\n") ||
			!strings.Contains(stderr, "hop 2, 10.0.4.1, did not pass the request on to 10.0.3.1") {
			t.Errorf("exit code %d\n%s%s", code, out, stderr)
		}
		if err := wire.Mend(); err != nil {
			t.Fatal(err)
		}
	})
}

// statistics watches the path while one link loses packets of the flow.
func statistics(t *testing.T, l *lab.Lab, arguments []string) {
	const sent = 200
	lossy := l.Host("r3").Wire("eth0")
	if err := lossy.SetLoss(lab.In, lab.Loss{Percent: 30, Destination: netip.PrefixFrom(flow.Addr(), 32)}); err != nil {
		t.Fatal(err)
	}
	c := l.Host("receiver").Command(t.Context(), "mtrace", append([]string{"-nl", "-S0.5", "-o", "ndjson"}, arguments...)...)
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	defer c.Kill()
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	next := func() report.Path {
		if !lines.Scan() {
			t.Fatalf("mtrace ended: %v\n%s", lines.Err(), c.Log())
		}
		p, err := schematest.One[report.Path](lines.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	if p := next(); !p.Reached || p.Statistics != nil {
		t.Fatalf("the first document: %+v", p)
	}
	n, err := l.Host("sender").Send(t.Context(), lab.Flow{Group: flow, Interface: "eth0", Count: sent, Interval: time.Millisecond})
	if err != nil || n != sent {
		t.Fatalf("sent %d packets, %v", n, err)
	}
	lost, err := lossy.Drops(lab.In)
	if err != nil {
		t.Fatal(err)
	}
	if lost == 0 || lost == sent {
		t.Fatalf("the link lost %d of %d packets", lost, sent)
	}
	// The links from the receiver on; the third is the lossy one.
	come := sent - int64(lost)
	want := []string{
		fmt.Sprintf("%d sent", come),
		fmt.Sprintf("%d sent, 0 lost", come),
		fmt.Sprintf("%d sent, %d lost", sent, lost),
		fmt.Sprintf("%d sent, 0 lost", sent),
	}
	var got []string
	lab.Until(t, patience, func() error {
		p := next()
		if p.Statistics == nil {
			return errors.New("no statistics")
		}
		for _, column := range []func(report.Traffic) report.Count{
			func(t report.Traffic) report.Count { return t.All },
			func(t report.Traffic) report.Count { return t.Group },
		} {
			got = nil
			for _, link := range p.Statistics.Links {
				got = append(got, countText(column(link.Total)))
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				return fmt.Errorf("links %q, want %q", got, want)
			}
		}
		return nil
	})
	if err := lossy.SetLoss(lab.In, lab.Loss{}); err != nil {
		t.Fatal(err)
	}
}

func countText(c report.Count) string {
	if c.Sent == nil {
		return "unknown"
	}
	s := fmt.Sprintf("%d sent", *c.Sent)
	if c.Lost != nil {
		s += fmt.Sprintf(", %d lost", *c.Lost)
	}
	return s
}
