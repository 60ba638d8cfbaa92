package fake

import (
	"fmt"
	"strings"

	"mbone/internal/lab"
)

// Lab is two hosts on one LAN: an asker, which sends all by default to the other,
// and the host of a fake network.
type Lab struct {
	Asker, Host *lab.Host
}

// Start makes count such pairs of hosts, which do not hear each other, for a test.
func Start(t lab.TB, count int) []Lab {
	t.Helper()
	var b strings.Builder
	for i := range count {
		fmt.Fprintf(&b, `lan net%[1]d
host asker%[1]d
  interface eth0 on net%[1]d 192.0.2.1/24
  route default via 192.0.2.2
host network%[1]d
  interface eth0 on net%[1]d 192.0.2.2/24
  route local %[2]s
`, i, Prefix)
	}
	hosts := lab.Start(t, b.String()).Hosts()
	var labs []Lab
	for i := range count {
		labs = append(labs, Lab{hosts[2*i], hosts[2*i+1]})
	}
	return labs
}

// Serve serves a network in a lab until the end of the test, or until the server
// is closed.
func (l Lab) Serve(t lab.TB, n *Network, c Conditions) *Server {
	t.Helper()
	s := lab.Within(t, l.Host, func() (*Server, error) { return Open(n, c) })
	t.Cleanup(s.Close)
	return s
}
