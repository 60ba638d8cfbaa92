package lab

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// TB is the part of *testing.T that this package uses.
type TB interface {
	Helper()
	Name() string
	Failed() bool
	Logf(format string, args ...any)
	Skipf(format string, args ...any)
	Fatalf(format string, args ...any)
	Cleanup(func())
}

// Class is a class of tests: what they need from the machine.
type Class string

// Classes. A test whose class is not available is skipped, unless the
// environment variable MBONE_REQUIRE, a list like "netns,peers", has the class:
// then it fails.
const (
	Netns Class = "netns" // namespaces, as root or not
	Tun   Class = "tun"   // namespaces, and TUN devices
	Peers Class = "peers" // other people's routing programs, as Debian packages them, and root
)

const (
	requireVariable = "MBONE_REQUIRE"
	// peersVariable lists directories, separated by colons, where Debian packages
	// were unpacked (dpkg -x).
	peersVariable = "MBONE_PEERS"

	// tunDevice makes TUN devices; some machines keep it for root.
	tunDevice = "/dev/net/tun"

	pollInterval = 5 * time.Millisecond
)

// errOutside is why this process is not inside a lab, as Main found it.
var errOutside = errors.New("the test binary has no TestMain that calls lab.Main")

// Main is TestMain for tests that use labs:
//
//	func TestMain(m *testing.M) { lab.Main(m) }
//
// It runs the tests inside (see [Enter]); where that is not possible it runs
// them as they are, and [Require] skips those that need it. It does not return.
func Main(m interface{ Run() int }) {
	inside, code, err := Enter()
	if inside || err != nil {
		errOutside = err
		code = m.Run()
	}
	os.Exit(code)
}

// Require skips the test if the class is not available, or fails it if
// MBONE_REQUIRE says that it must be. For [Peers] name the programs.
func Require(t TB, class Class, programs ...string) {
	t.Helper()
	err := available(class, programs)
	if err == nil {
		return
	}
	if slices.Contains(strings.Split(os.Getenv(requireVariable), ","), string(class)) {
		t.Fatalf("%s=%s, but: %v", requireVariable, os.Getenv(requireVariable), err)
	}
	t.Skipf("needs %s: %v", class, err)
}

func available(class Class, programs []string) error {
	if !Inside() {
		return errOutside
	}
	switch {
	case class == Peers && Rootless():
		return errors.New("lab: Debian's routing programs change users, which needs root")
	case class == Tun:
		f, err := os.OpenFile(tunDevice, os.O_RDWR, 0)
		if err != nil {
			return fmt.Errorf("lab: %w", err)
		}
		f.Close()
	}
	for _, p := range programs {
		if _, err := Find(p); err != nil {
			return err
		}
	}
	return nil
}

// systemDirs are where programs of the system are: in a lab, PATH has them all.
var systemDirs = []string{"/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"}

// frrDir is where Debian has FRR's daemons.
const frrDir = "/usr/lib/frr"

// Find returns the path of a program: from PATH, the directories of system
// programs and of FRR, or the same below the roots listed in MBONE_PEERS. An
// absolute path is looked for as it is and below these roots: that tells
// /usr/sbin/pimd from FRR's /usr/lib/frr/pimd.
func Find(program string) (string, error) {
	roots := filepath.SplitList(os.Getenv(peersVariable))
	dirs := []string{""}
	if !filepath.IsAbs(program) {
		dirs = append(slices.Clone(systemDirs), frrDir)
	}
	if path, err := exec.LookPath(program); err == nil {
		return path, nil
	}
	for _, root := range append([]string{"/"}, roots...) {
		for _, dir := range dirs {
			if path, err := exec.LookPath(filepath.Join(root, dir, program)); err == nil {
				return path, nil
			}
		}
	}
	return "", fmt.Errorf("lab: program %s is not installed (looked in PATH, %s, %s and %s)",
		program, strings.Join(systemDirs, " "), frrDir, peersVariable)
}

// PeerBinary returns the path of a program that no package provides, from an
// environment variable like MBONE_MROUTED. The test is skipped if it is not
// set, and fails if there is no such program.
func PeerBinary(t TB, variable string) string {
	t.Helper()
	Require(t, Netns)
	name := os.Getenv(variable)
	if name == "" {
		t.Skipf("needs the path of a program in %s", variable)
	}
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("%s: %v", variable, err)
	}
	return path
}

// Within returns what fn returns inside a host, or ends the test with its error.
func Within[T any](t TB, h *Host, fn func() (T, error)) T {
	t.Helper()
	var v T
	err := h.Do(func() (err error) {
		v, err = fn()
		return err
	})
	if err != nil {
		t.Fatalf("%v", err)
	}
	return v
}

// Until calls fn until it returns nil, and fails the test with its last error
// if that takes longer than limit. Limits should be generous: they cost nothing
// when all is well.
func Until(t TB, limit time.Duration, fn func() error) {
	t.Helper()
	deadline := time.Now().Add(limit)
	for {
		err := fn()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("after %v: %v", limit, err)
		}
		time.Sleep(pollInterval)
	}
}

// Start builds a lab from the text of a topology (see [Parse]; an empty one has
// neither hosts nor LANs) and closes it at the end of the test. If the test
// failed, what its programs wrote is logged. It requires [Netns].
func Start(t TB, topology string) *Lab {
	t.Helper()
	Require(t, Netns)
	spec, err := Parse("topology", []byte(topology))
	if err != nil {
		t.Fatalf("%v", err)
	}
	l, err := Build(spec)
	if err != nil {
		t.Fatalf("%v", err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			for _, h := range l.Hosts() {
				for _, p := range h.Programs() {
					t.Logf("%s: %s:\n%s", h.Name, strings.Join(p.Args, " "), p.Log())
				}
			}
		}
		if err := l.Close(); err != nil {
			t.Logf("%v", err)
		}
	})
	return l
}
