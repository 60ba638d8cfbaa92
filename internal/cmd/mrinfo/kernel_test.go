package mrinfo_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"mbone/internal/cmd/cmdtest"
	"mbone/internal/lab"
	"mbone/report"
)

// patience is how long anything may take that should take a second.
const patience = 30 * time.Second

// responders is two routers on the asker's link, and a third one behind the
// first. They answer from the vifs that the lab made.
const responders = `
lan net1
lan net2
lan net3
host asker
  interface eth0 on net1 10.0.1.1/24
  route 10.0.2.0/24 via 10.0.1.2
host r1
  interface eth0 on net1 10.0.1.2/24
  interface eth1 on net2 10.0.2.1/24
  sysctl net.ipv4.ip_forward 1
  forward 10.9.9.9 239.1.2.3 from eth0 to eth1
host r2
  interface eth0 on net1 10.0.1.3/24
  interface eth1 on net3 10.0.3.1/24
  forward 10.9.9.9 239.1.2.3 from eth0 to eth1
host r3
  interface eth0 on net2 10.0.2.2/24
  interface eth1 on net3 10.0.3.2/24
  forward 10.9.9.9 239.1.2.3 from eth0 to eth1
  route 10.0.1.0/24 via 10.0.2.1
`

// TestKernel asks mroutd --respond-only through real sockets.
func TestKernel(t *testing.T) {
	l := lab.Start(t, responders)
	asker := l.Host("asker")
	for _, name := range []string{"r1", "r2", "r3"} {
		if err := l.Host(name).Command(context.Background(), "mroutd", "--respond-only").Start(); err != nil {
			t.Fatal(err)
		}
	}
	all := []string{"10.0.1.2", "10.0.1.3", "10.0.2.2"}
	lab.Until(t, patience, func() error {
		if cmdtest.At(t, asker, "mrinfo", append([]string{"-n"}, all...)...).Code != 0 {
			return errors.New("not all answer")
		}
		return nil
	})

	t.Run("in the order asked", func(t *testing.T) {
		o := cmdtest.At(t, asker, "mrinfo", "-n", all[2], all[0], all[1])
		var headers []string
		for line := range strings.Lines(o.Stdout) {
			if address, rest, ok := strings.Cut(line, " ("); ok && !strings.HasPrefix(line, " ") && strings.HasPrefix(rest, address+") [") {
				headers = append(headers, address)
			}
		}
		if want := []string{all[2], all[0], all[1]}; o.Code != 0 || o.Stderr != "" || !slices.Equal(headers, want) {
			t.Errorf("routers %q, want %q, %q", headers, want, o.Stderr)
		}
	})
	t.Run("another address of a router", func(t *testing.T) {
		o := cmdtest.At(t, asker, "mrinfo", "-n", "--json", "10.0.2.1")
		r := cmdtest.Document[report.Routers](t, o).Routers
		if o.Code != 0 || len(r) != 1 || !slices.ContainsFunc(r[0].Interfaces, func(i report.Interface) bool { return i.Address.String() == "10.0.1.2" }) {
			t.Errorf("got %+v", r)
		}
	})
	t.Run("all on a link", func(t *testing.T) {
		for _, group := range []string{"224.0.0.1", "224.0.0.2"} {
			o := cmdtest.At(t, asker, "mrinfo", "-n", "--json", "--interface", "eth0", group)
			var from []string
			for _, r := range cmdtest.Document[report.Routers](t, o).Routers {
				from = append(from, r.Address.String())
			}
			if want := []string{"10.0.1.2", "10.0.1.3"}; o.Code != 0 || !slices.Equal(from, want) {
				t.Errorf("%s: answers of %q, want %q", group, from, want)
			}
		}
	})
	t.Run("one is silent", func(t *testing.T) {
		o := cmdtest.At(t, asker, "mrinfo", "-n", "--json", "-t", "0.2", "-r", "1", "10.0.1.99", all[0])
		r := cmdtest.Document[report.Routers](t, o).Routers
		if o.Code != 1 || len(r) != 2 || r[0].Answered || !r[1].Answered || strings.Count(o.Stderr, "\n") != 1 {
			t.Errorf("got %d %+v %q", o.Code, r, o.Stderr)
		}
	})
	t.Run("interrupted", func(t *testing.T) {
		c := asker.Command(t.Context(), "mrinfo", "-n", "-t", "3600", all[0], "10.0.1.99")
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		lab.Until(t, patience, func() error {
			if !strings.HasPrefix(c.Log(), all[0]+" (") {
				return errors.New("no answer is printed")
			}
			return nil
		})
		if err := c.Stop(patience); err != nil { // SIGTERM
			t.Fatal(err)
		}
		if want := "\nmrinfo: interrupted: 1 of 2 answered\n"; !strings.HasSuffix(c.Log(), want) {
			t.Errorf("got %q, want %q at its end", c.Log(), want)
		}
		if code := c.ProcessState.ExitCode(); code != 1 {
			t.Errorf("exit code %d", code)
		}
	})
}
