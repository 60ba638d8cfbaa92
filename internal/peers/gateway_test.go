package peers

import (
	"bytes"
	"fmt"
	"net/netip"
	"testing"

	"mbone/internal/lab"
	"mbone/report"
)

// gatewayTopology has a router that is reached through a gateway on one of the
// asker's two links. The default route leads to the other link.
const gatewayTopology = `
lan net1
lan net2
lan net3
lan net4
host asker
  interface eth0 on net1 10.0.1.1/24
  interface eth1 on net2 10.0.2.1/24
  route 10.0.3.0/24 via 10.0.1.2
  route default via 10.0.2.2
host gateway
  interface eth0 on net1 10.0.1.2/24
  interface eth1 on net3 10.0.3.1/24
  sysctl net.ipv4.ip_forward 1
  route 10.0.2.0/24 via 10.0.1.1
host elsewhere
  interface eth0 on net2 10.0.2.2/24
  sysctl net.ipv4.ip_forward 1
host router
  interface eth0 on net3 10.0.3.2/24
  interface eth1 on net4 10.0.4.1/24
  route default via 10.0.3.1
`

// TestGateway asks a router behind a gateway. Whatever link and source are
// named, the question takes the gateway: it is never sent as if the router were
// on that link.
func TestGateway(t *testing.T) {
	t.Parallel()
	l := lab.Start(t, gatewayTopology)
	asker, gateway := l.Host("asker"), l.Host("gateway").Wire("eth0")
	router := addr(3, 2)
	Pimd(t, l.Host("router"))
	for _, test := range []struct {
		options []string
		source  netip.Addr
	}{
		{nil, addr(1, 1)},
		{[]string{"--interface", "eth0"}, addr(1, 1)},
		{[]string{"--interface", "eth1"}, addr(2, 1)},
		{[]string{"--source", addr(1, 1).String()}, addr(1, 1)},
		{[]string{"--source", addr(2, 1).String()}, addr(2, 1)},
	} {
		t.Run(fmt.Sprint(test.options), func(t *testing.T) {
			for _, program := range []struct {
				name      string
				arguments []string
				answered  func(r result) bool
			}{
				{"mrinfo", []string{"-n", "--json", router.String()}, func(r result) bool {
					routers := decode[report.Routers](t, r).Routers
					return len(routers) == 1 && routers[0].Address.Addr == router
				}},
				{"mtrace", []string{"-n", "-s", "--json", "-g", router.String(), "10.0.4.9"}, func(r result) bool {
					return decode[report.Path](t, r).Query.AnsweredFrom.Addr == router
				}},
			} {
				captures := make(map[string]*lab.Capture)
				for _, name := range []string{"eth0", "eth1"} {
					c, err := asker.Capture(name, 2)
					must(t, err)
					captures[name] = c
				}
				r := run(t, asker, program.name, append(test.options, program.arguments...)...)
				if !program.answered(r) {
					t.Fatalf("%s: %s has not answered", program.name, router)
				}
				questions := func(name string) (frames []lab.Frame) {
					for _, f := range captures[name].Frames() {
						if f.Out && bytes.Equal(f.IP()[16:20], router.AsSlice()) {
							frames = append(frames, f)
						}
					}
					return frames
				}
				lab.Until(t, Patience, func() error {
					if len(questions("eth0")) == 0 {
						return fmt.Errorf("%s: no question left eth0", program.name)
					}
					return nil
				})
				for _, f := range questions("eth0") {
					if !bytes.Equal(f.Data[:6], gateway.MAC) {
						t.Errorf("%s: a question went to %x, want the gateway, %x", program.name, f.Data[:6], gateway.MAC)
					}
					if from := f.IP()[12:16]; !bytes.Equal(from, test.source.AsSlice()) {
						t.Errorf("%s: a question came from %v, want %s", program.name, from, test.source)
					}
				}
				if n := len(questions("eth1")); n > 0 {
					t.Errorf("%s: %d questions left eth1, want none", program.name, n)
				}
				for _, c := range captures {
					must(t, c.Close())
				}
			}
		})
	}
}
