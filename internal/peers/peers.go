// Package peers starts other people's multicast routers in the hosts of a lab:
// Debian's pimd, FRR, smcroute, and mrouted 4.x. Each starts with a
// configuration made for the host's wires, and a start returns when the router
// has given the kernel a vif for each of them.
//
// Its tests hold the tools against these routers. What is true is taken from
// the kernel's own tables in /proc, never from the tools.
package peers

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"mbone/internal/lab"
)

// Patience is how long anything may take that should take a second: tests poll
// and do not wait for it.
const Patience = 60 * time.Second

// Where packages install the routers. Two different programs are called pimd.
const (
	PimdPath     = "/usr/sbin/pimd"
	SmcroutePath = "/usr/sbin/smcrouted"
	FRRZebraPath = "/usr/lib/frr/zebra"
	FRRPimdPath  = "/usr/lib/frr/pimd"
)

// Environment variables that have the path of an mrouted: 4.x, and 3.9.
const (
	MroutedVariable   = "MBONE_MROUTED"
	Mrouted39Variable = "MBONE_MROUTED39"
)

// runDir is where a router has its files: every host has a /run of its own.
const runDir = "/run/router"

// Pimd starts Debian's pimd with these lines of pimd.conf, after those that make
// it its own bootstrap router and rendezvous point. It gives the kernel a vif
// for registers after all others.
func Pimd(t lab.TB, h *lab.Host, lines ...string) *lab.Cmd {
	t.Helper()
	lab.Require(t, lab.Peers, PimdPath)
	conf := append([]string{"bsr-candidate priority 5", "rp-candidate time 10 priority 20"}, lines...)
	return start(t, h, PimdPath, "pimd.conf", strings.Join(conf, "\n")+"\n",
		"--foreground", "--config="+runDir+"/pimd.conf")
}

// Smcroute starts smcrouted with these lines of smcroute.conf, after one that
// makes each wire a vif.
func Smcroute(t lab.TB, h *lab.Host, lines ...string) *lab.Cmd {
	t.Helper()
	lab.Require(t, lab.Peers, SmcroutePath)
	var conf strings.Builder
	for _, w := range h.Wires() {
		fmt.Fprintf(&conf, "phyint %s enable\n", w.Interface)
	}
	for _, line := range lines {
		fmt.Fprintln(&conf, line)
	}
	return start(t, h, SmcroutePath, "smcroute.conf", conf.String(),
		"-n", "-N", "-f", runDir+"/smcroute.conf", "-P", runDir+"/smcroute.pid", "-u", runDir+"/smcroute.sock")
}

// Mrouted starts the mrouted that [MroutedVariable] names, with these lines of
// mrouted.conf, and skips the test if there is none. Neighbours need up to its
// probe interval of 10 s to find each other, see [MroutedRoutes].
func Mrouted(t lab.TB, h *lab.Host, lines ...string) *lab.Cmd {
	t.Helper()
	program := lab.PeerBinary(t, MroutedVariable)
	const state = "/var/lib/misc" // it keeps its generation id there
	if _, err := os.Stat(state); err == nil {
		must(t, h.Private(state))
	}
	return start(t, h, program, "mrouted.conf", strings.Join(lines, "\n")+"\n",
		"-n", "-i", h.Name, "-f", runDir+"/mrouted.conf", "-u", mroutedSocket, "-p", runDir+"/mrouted.pid")
}

// Mrouted39 starts the mrouted 3.9 that [Mrouted39Variable] names, with these lines
// of mrouted.conf, and skips the test if there is none. It forwards nothing for the
// first ten seconds.
func Mrouted39(t lab.TB, h *lab.Host, lines ...string) *lab.Cmd {
	t.Helper()
	program := lab.PeerBinary(t, Mrouted39Variable)
	must(t, h.Private("/etc")) // it keeps its generation id there
	return start(t, h, program, "mrouted.conf", strings.Join(lines, "\n")+"\n",
		"-c", runDir+"/mrouted.conf", "-d", "pruning")
}

// mroutedSocket is where mroutectl, which is beside mrouted, asks it.
const mroutedSocket = runDir + "/mrouted.sock"

// MroutedRoutes waits until the mrouted of a host has so many routes. Traffic
// that is sent earlier is pruned and comes late.
func MroutedRoutes(t lab.TB, h *lab.Host, routes int) {
	t.Helper()
	program := filepath.Join(filepath.Dir(lab.PeerBinary(t, MroutedVariable)), "mroutectl")
	lab.Until(t, Patience, Slowly(func() error {
		table, err := h.Command(context.Background(), program, "-u", mroutedSocket, "-p", "-t", "show", "routes").Output()
		if err != nil {
			return fmt.Errorf("%s: mroutectl: %w", h.Name, err)
		}
		if n := strings.Count(string(table), "/"); n != routes {
			return fmt.Errorf("%s: %d routes, want %d:\n%s", h.Name, n, routes, table)
		}
		return nil
	}))
}

// FRR starts FRR's zebra and pimd, with PIM and IGMP on each wire. rp is the
// rendezvous point of all groups; if it is invalid there is none, and only
// source-specific groups (232.0.0.0/8) are routed.
func FRR(t lab.TB, h *lab.Host, rp netip.Addr) {
	t.Helper()
	lab.Require(t, lab.Peers, FRRZebraPath, FRRPimdPath)
	// The daemons give up being root, and make sockets and pid files then.
	owner, err := user.Lookup("frr")
	if err != nil {
		t.Fatalf("FRR runs as the user frr: %v", err)
	}
	uid, err1 := strconv.Atoi(owner.Uid)
	gid, err2 := strconv.Atoi(owner.Gid)
	if err1 != nil || err2 != nil {
		t.Fatalf("user frr: %s:%s are no numbers", owner.Uid, owner.Gid)
	}
	must(t, h.WriteFile(runDir+"/zebra.conf", []byte("hostname "+h.Name+"\n"), 0o644))
	must(t, h.Do(func() error { return os.Chown(runDir, uid, gid) }))

	common := []string{"-z", runDir + "/zserv.api", "--vty_socket", runDir, "-P", "0", "--log", "stdout"}
	launch(t, h, FRRZebraPath, append(common, "-f", runDir+"/zebra.conf", "-i", runDir+"/zebra.pid")...)
	lab.Until(t, Patience, func() error {
		return h.Do(func() error { _, err := os.Stat(runDir + "/zserv.api"); return err })
	})

	var conf strings.Builder
	if rp.IsValid() {
		fmt.Fprintf(&conf, "ip pim rp %s 224.0.0.0/4\n", rp)
	}
	for _, w := range h.Wires() {
		// Neighbours that started before hear of this router within a second.
		fmt.Fprintf(&conf, "interface %s\n ip pim\n ip pim hello 1 4\n ip igmp\n", w.Interface)
	}
	start(t, h, FRRPimdPath, "pimd.conf", conf.String(),
		append(common, "-f", runDir+"/pimd.conf", "-i", runDir+"/pimd.pid")...)
}

// start writes a configuration, starts the program and waits for the vifs.
func start(t lab.TB, h *lab.Host, program, file, conf string, args ...string) *lab.Cmd {
	t.Helper()
	must(t, h.WriteFile(filepath.Join(runDir, file), []byte(conf), 0o644))
	c := launch(t, h, program, args...)
	lab.Until(t, Patience, func() error {
		select {
		case <-c.Done():
			t.Fatalf("%s: %s ended: %v\n%s", h.Name, program, c.Wait(), c.Log())
		default:
		}
		vifs, err := Vifs(h)
		if err != nil {
			return err
		}
		for _, w := range h.Wires() {
			if _, ok := vifs[w.Interface]; !ok {
				return fmt.Errorf("%s: %s has made no vif of %s:\n%s", h.Name, program, w.Interface, c.Log())
			}
		}
		return nil
	})
	return c
}

// launch starts a program that runs until the end of the lab.
func launch(t lab.TB, h *lab.Host, program string, args ...string) *lab.Cmd {
	t.Helper()
	path, err := lab.Find(program)
	must(t, err)
	c := h.Command(context.Background(), path, args...)
	must(t, c.Start())
	return c
}

// slow is the pace of [Slowly].
const slow = 100 * time.Millisecond

// Slowly is fn for lab.Until if each call starts a program: it is called ten
// times a second at most, and in between gives its last error.
func Slowly(fn func() error) func() error {
	var next time.Time
	var err error
	return func() error {
		if now := time.Now(); !now.Before(next) {
			next = now.Add(slow)
			err = fn()
		}
		return err
	}
}

func must(t lab.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%v", err)
	}
}
