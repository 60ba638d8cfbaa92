package lab

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The tests of this file start the test binary as a program that enters a lab.
// Its scenes are below. They run in a host that looks like a machine without a lab.
const (
	sceneVariable = "MBONE_LAB_SCENE"
	// actVariable is in the environment of every process of a scene, to find them.
	actVariable = "MBONE_LAB_ACT"
	nobody      = 65534
)

// onlyRoot maps root of a new user namespace to root of the old one.
var onlyRoot = []syscall.SysProcIDMap{{ContainerID: 0, HostID: 0, Size: 1}}

// play runs a scene and returns the exit code.
func play(scene string) int {
	inside, code, err := Enter()
	if err != nil {
		fmt.Println(err)
		return 99
	}
	if !inside {
		return code
	}
	if err := scenes[scene](); err != nil {
		fmt.Println(err)
		return 98
	}
	return 7
}

var scenes = map[string]func() error{
	// echo shows that arguments and files are passed on.
	"echo": func() error {
		fmt.Println(strings.Join(os.Args[1:], " "))
		_, err := io.Copy(os.Stdout, os.Stdin)
		return err
	},
	// signal waits for one.
	"signal": func() error {
		c := make(chan os.Signal, 1)
		signal.Notify(c)
		fmt.Println("ready")
		for s := range c {
			if s != syscall.SIGURG && s != syscall.SIGCHLD { // the runtime's own
				fmt.Println(s)
				return nil
			}
		}
		return nil
	},
	// path shows where programs are looked for.
	"path": func() error {
		fmt.Println(os.Getenv("PATH"))
		return nil
	},
	// die is ended by a signal.
	"die": func() error { return syscall.Kill(os.Getpid(), syscall.SIGKILL) },
	// hold is busy until it is killed.
	"hold": func() error {
		t, err := Parse("hold", []byte("lan a\nhost h\n interface eth0 on a 10.0.0.1/24\n loss eth0 in 1%\n run sleep 1000\nhost g"))
		if err != nil {
			return err
		}
		l, err := Build(t)
		if err != nil {
			return err
		}
		if err := exec.Command("sh", "-c", "sleep 1000 & sleep 1000 &").Run(); err != nil {
			return err
		}
		fmt.Println("ready")
		return l.Host("h").Programs()[0].Wait()
	},
	// leak builds many labs where only few network namespaces may be at once.
	"leak": func() error {
		if err := os.WriteFile("/proc/sys/user/max_net_namespaces", []byte("12"), 0); err != nil {
			return err
		}
		t, err := Parse("leak", []byte(Sample("row")))
		if err != nil {
			return err
		}
		for range 5 {
			var l *Lab
			// The kernel takes its time to remove a namespace.
			for deadline := time.Now().Add(20 * time.Second); l == nil; time.Sleep(pollInterval) {
				if l, err = Build(t); err != nil && (!errors.Is(err, syscall.ENOSPC) || time.Now().After(deadline)) {
					return err
				}
			}
			if err := l.Close(); err != nil {
				return err
			}
		}
		return nil
	},
	// denied tries to enter where no network namespaces are left.
	"denied": func() error {
		if err := os.WriteFile("/proc/sys/user/max_net_namespaces", []byte("0"), 0); err != nil {
			return err
		}
		if err := os.Remove(markPath); err != nil {
			return err
		}
		_, _, err := Enter()
		if e, ok := errors.AsType[*NamespaceError](err); ok {
			fmt.Println(e)
			return nil
		}
		return fmt.Errorf("entered, with error %w", err)
	},
	// hidden tries to enter where parts of /proc are hidden, as in a container.
	"hidden": func() error {
		if err := syscall.Mount("tmpfs", "/proc/sys", "tmpfs", 0, ""); err != nil {
			return err
		}
		if err := os.Remove(markPath); err != nil {
			return err
		}
		cmd := exec.Command("/proc/self/exe")
		cmd.Env = append(os.Environ(), sceneVariable+"=echo")
		// A user namespace of its own sees these mounts as locked.
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
			UidMappings: onlyRoot, GidMappings: onlyRoot,
		}
		out, err := cmd.Output()
		fmt.Print(string(out))
		if code, err := ExitCode(err); code != 99 {
			return fmt.Errorf("exit code %d, %w", code, err)
		}
		return nil
	},
}

// stage prepares a scene, as root or as an ordinary user, in a host that has
// nothing of a lab. Its processes have the act in their environment.
func stage(t *testing.T, scene string, rootless bool) (c *Cmd, act string) {
	t.Helper()
	h := Start(t, "host machine").Host("machine")
	check(t, h.Do(func() error { return os.Remove(markPath) }))
	c = h.Command(t.Context(), "/proc/self/exe", "one", "two")
	c.Dir, c.Stderr = "/", t.Output() // the log is for standard output alone
	act = fmt.Sprintf("%s-%d", strings.ReplaceAll(t.Name(), "/", "-"), time.Now().UnixNano())
	c.Env = append(os.Environ(), sceneVariable+"="+scene, actVariable+"="+act)
	switch {
	case rootless && Rootless():
		// There is no other user here: at least what the scene does to its user
		// namespace should not be done to ours.
		c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER, UidMappings: onlyRoot, GidMappings: onlyRoot}
	case rootless:
		c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	}
	return c, act
}

// asEverybody runs a test as root, if the tests are, and as an ordinary user.
func asEverybody(t *testing.T, test func(t *testing.T, rootless bool)) {
	Require(t, Netns)
	if !Rootless() {
		t.Run("root", func(t *testing.T) { test(t, false) })
	}
	t.Run("rootless", func(t *testing.T) { test(t, true) })
}

func TestEnter(t *testing.T) {
	asEverybody(t, func(t *testing.T, rootless bool) {
		c, _ := stage(t, "echo", rootless)
		c.Stdin = strings.NewReader("standard input\n")
		out, err := c.Output()
		if got, want := string(out), "one two\nstandard input\n"; got != want {
			t.Errorf("printed %q, want %q (%s)", got, want, c.Log())
		}
		if code := must[int](t)(ExitCode(err)); code != 7 {
			t.Errorf("exit code %d, want 7", code)
		}
		c, _ = stage(t, "die", rootless)
		if code := must[int](t)(ExitCode(c.Run())); code != 128+9 {
			t.Errorf("the inner process was killed: exit code %d, want 137", code)
		}
	})
}

// TestEnterPath has programs of the system found whatever the caller's PATH is.
func TestEnterPath(t *testing.T) {
	Require(t, Netns)
	for path, want := range map[string]string{
		"":                        "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n",
		"/no/such/dir:/usr/bin":   "/no/such/dir:/usr/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/sbin:/bin\n",
		"/sbin:/no/such/dir:/bin": "/sbin:/no/such/dir:/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin\n",
	} {
		c, _ := stage(t, "path", true)
		c.Env = append(c.Env, "PATH="+path)
		out, err := c.Output()
		if code := must[int](t)(ExitCode(err)); code != 7 || string(out) != want {
			t.Errorf("PATH=%s: exit code %d, inside it is %s, want %s", path, code, out, want)
		}
	}
}

func TestEnterSignals(t *testing.T) {
	asEverybody(t, func(t *testing.T, rootless bool) {
		for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT} {
			c, _ := stage(t, "signal", rootless)
			check(t, c.Start())
			ready(t, c)
			check(t, c.Process.Signal(s))
			if code := must[int](t)(ExitCode(c.Wait())); code != 7 || c.Log() != "ready\n"+s.String()+"\n" {
				t.Errorf("%v: exit code %d, want 7; it printed %q", s, code, c.Log())
			}
		}
	})
}

func ready(t *testing.T, c *Cmd) {
	t.Helper()
	Until(t, 20*time.Second, func() error {
		if !strings.HasPrefix(c.Log(), "ready\n") {
			return fmt.Errorf("not ready: %q", c.Log())
		}
		return nil
	})
}

// TestKill9 kills the outer process, which can do nothing about it, and pid 1.
func TestKill9(t *testing.T) {
	for _, victim := range []string{"outer", "pid 1", "inner"} {
		t.Run(victim, func(t *testing.T) {
			asEverybody(t, func(t *testing.T, rootless bool) {
				before := must[[]byte](t)(os.ReadFile("/proc/self/mountinfo"))
				c, act := stage(t, "hold", rootless)
				check(t, c.Start())
				ready(t, c)
				Until(t, 20*time.Second, func() error {
					if cast := actors(t, act); len(cast) != 6 { // outer, pid 1, inner and three sleeping programs
						return fmt.Errorf("%v are running, want 6 processes", cast)
					}
					return nil
				})
				switch victim {
				case "outer":
					check(t, c.Process.Kill())
				case "pid 1":
					check(t, syscall.Kill(child(t, c.Process.Pid), syscall.SIGKILL))
				case "inner":
					check(t, syscall.Kill(child(t, child(t, c.Process.Pid)), syscall.SIGKILL))
				}
				Until(t, 20*time.Second, func() error {
					if left := actors(t, act); len(left) > 0 {
						return fmt.Errorf("still running: %v", left)
					}
					return nil
				})
				if code := must[int](t)(ExitCode(c.Wait())); code != 128+9 {
					t.Errorf("exit code %d, want 137", code)
				}
				if after := must[[]byte](t)(os.ReadFile("/proc/self/mountinfo")); !bytes.Equal(before, after) {
					t.Errorf("mounts before:\n%s\nafter:\n%s", before, after)
				}
			})
		})
	}
}

// actors returns the processes of a scene.
func actors(t *testing.T, act string) (pids []string) {
	t.Helper()
	for _, path := range must[[]string](t)(filepath.Glob("/proc/[0-9]*/environ")) {
		b, _ := os.ReadFile(path) // it may end meanwhile
		if bytes.Contains(b, []byte(actVariable+"="+act+"\x00")) {
			pids = append(pids, strings.Split(path, "/")[2])
		}
	}
	return pids
}

// child returns the only child of a process.
func child(t *testing.T, pid int) int {
	t.Helper()
	for _, path := range must[[]string](t)(filepath.Glob("/proc/[0-9]*/status")) {
		b, _ := os.ReadFile(path)
		if bytes.Contains(b, fmt.Appendf(nil, "\nPPid:\t%d\n", pid)) {
			return must[int](t)(strconv.Atoi(strings.Split(path, "/")[2]))
		}
	}
	t.Fatalf("process %d has no child", pid)
	return 0
}

func TestNoLeak(t *testing.T) {
	Require(t, Netns)
	c, _ := stage(t, "leak", true)
	if code := must[int](t)(ExitCode(c.Run())); code != 7 {
		t.Errorf("exit code %d: %s", code, c.Log())
	}
}

func TestDenied(t *testing.T) {
	Require(t, Netns)
	for scene, want := range map[string]string{
		"denied": "lab: make namespaces: no space left on device (set sysctl user.max_net_namespaces above 0)\n",
		"hidden": "lab: mount /proc: operation not permitted (this container hides parts of /proc: " +
			"run it privileged or with unmasked paths, or run as root outside it)\n",
	} {
		c, _ := stage(t, scene, true)
		code := must[int](t)(ExitCode(c.Run()))
		if code != 7 || c.Log() != want {
			t.Errorf("%s: exit code %d, printed\n%s\nwant\n%s", scene, code, c.Log(), want)
		}
	}
}

// TestExplain has each way of denying namespaces told by its remedy. The host has
// kernel parameters of its own, which are plain files.
func TestExplain(t *testing.T) {
	tests := []struct {
		sysctls       string // as files below /proc/sys, name=value
		op            string
		err           error
		userNamespace bool
		want          string // part of the message
	}{
		{"", "make namespaces", syscall.EPERM, true, "run as root, or where user namespaces are allowed"},
		{"", "make namespaces", &os.PathError{Op: "fork/exec", Path: "/proc/self/exe", Err: syscall.EINVAL}, true,
			"lab: make namespaces: invalid argument (the kernel needs CONFIG_NET_NS"},
		{"user/max_user_namespaces=0", "make namespaces", syscall.ENOSPC, true, "user.max_user_namespaces above 0, or run as root"},
		{"user/max_user_namespaces=0", "make namespaces", syscall.EPERM, false, "run as root, or where"},
		{"user/max_net_namespaces=0", "make namespaces", syscall.ENOSPC, false, "user.max_net_namespaces above 0"},
		{"user/max_net_namespaces=5", "make namespaces", syscall.ENOSPC, false, "raise sysctl user.max_user_namespaces"},
		{"kernel/unprivileged_userns_clone=0", "make namespaces", syscall.EPERM, true, "kernel.unprivileged_userns_clone to 1"},
		{"kernel/apparmor_restrict_unprivileged_userns=1", "make mounts private", syscall.EACCES, true,
			"kernel.apparmor_restrict_unprivileged_userns to 0"},
		{"kernel/apparmor_restrict_unprivileged_userns=0", opMountProc, syscall.EPERM, true, "hides parts of /proc"},
	}
	for _, test := range tests {
		h := Start(t, "host h\nprivate /proc/sys").Host("h")
		check(t, h.Do(func() error {
			if name, value, ok := strings.Cut(test.sysctls, "="); ok {
				check(t, os.Mkdir("/proc/sys/"+filepath.Dir(name), 0o700))
				check(t, os.WriteFile("/proc/sys/"+name, []byte(value+"\n"), 0o600))
			}
			err := explain(test.op, test.err, test.userNamespace)
			if !strings.Contains(err.Error(), test.want) {
				t.Errorf("%s, %v: %v, want %s", test.sysctls, test.err, err, test.want)
			}
			if errno, ok := errors.AsType[syscall.Errno](err); !ok || !errors.Is(test.err, errno) {
				t.Errorf("%s, %v: the cause is %v", test.sysctls, test.err, errno)
			}
			return nil
		}))
	}
}

// TestReaping has pid 1 of this lab reap a child that nobody waits for.
func TestReaping(t *testing.T) {
	Require(t, Netns)
	out := must[[]byte](t)(exec.Command("sh", "-c", "sh -c 'exit 0' & echo $!").Output())
	pid := strings.TrimSpace(string(out))
	Until(t, 10*time.Second, func() error {
		if b, err := os.ReadFile("/proc/" + pid + "/stat"); err == nil {
			return fmt.Errorf("process %s is still there: %s", pid, b)
		}
		return nil
	})
}

// TestRequire has the tests of a binary that cannot enter skipped, or failed
// if they are required.
func TestRequire(t *testing.T) {
	defer func(err error) { errOutside = err }(errOutside)
	errOutside = errors.New("no reason")
	h := Start(t, "host h").Host("h")
	for _, test := range []struct {
		require  string
		class    Class
		programs []string
		want     string
	}{
		{"", Netns, nil, ""},
		{"", Peers, []string{"no-such-program"}, "skip"},
		{"netns", Peers, []string{"no-such-program"}, "skip"},
		{"netns,peers", Peers, []string{"no-such-program"}, "fail"},
	} {
		t.Setenv(requireVariable, test.require)
		if got := outcome(func(f *fakeTB) { Require(f, test.class, test.programs...) }); got != test.want {
			t.Errorf("%+v: %q", test, got)
		}
	}
	// Without the mark this is no lab.
	check(t, h.Do(func() error {
		if err := os.Remove(markPath); err != nil {
			return err
		}
		for require, want := range map[string]string{"": "skip", "peers": "skip", "peers,netns": "fail"} {
			t.Setenv(requireVariable, require)
			if got := outcome(func(f *fakeTB) { Require(f, Netns) }); got != want {
				t.Errorf("outside, %s=%s: %q, want %q", requireVariable, require, got, want)
			}
		}
		return nil
	}))
}

func TestPeerBinary(t *testing.T) {
	Require(t, Netns)
	const variable = "MBONE_LAB_TEST_PEER"
	for value, want := range map[string]string{"": "skip", "/no/such/program": "fail", "/proc/self/exe": ""} {
		t.Setenv(variable, value)
		var path string
		if got := outcome(func(f *fakeTB) { path = PeerBinary(f, variable) }); got != want || want == "" && path != value {
			t.Errorf("%q: %q, path %q, want %q", value, got, path, want)
		}
	}
}

// TestFind looks below the roots of unpacked packages.
func TestFind(t *testing.T) {
	root := t.TempDir()
	for _, path := range []string{"usr/sbin/lab-peer", "usr/lib/frr/lab-peer", "usr/lib/frr/lab-daemon"} {
		check(t, os.MkdirAll(filepath.Join(root, filepath.Dir(path)), 0o755))
		check(t, os.WriteFile(filepath.Join(root, path), []byte("#!/bin/sh\n"), 0o755))
	}
	if path, err := Find("lab-peer"); err == nil {
		t.Errorf("found %s", path)
	}
	t.Setenv(peersVariable, "/no/such/root:"+root)
	for program, want := range map[string]string{
		"lab-peer":              "usr/sbin/lab-peer",
		"lab-daemon":            "usr/lib/frr/lab-daemon",
		"/usr/lib/frr/lab-peer": "usr/lib/frr/lab-peer",
	} {
		if path := must[string](t)(Find(program)); path != filepath.Join(root, want) {
			t.Errorf("%s: found %s, want %s", program, path, want)
		}
	}
	if path, err := Find("/usr/sbin/lab-daemon"); err == nil {
		t.Errorf("/usr/sbin/lab-daemon: found %s", path)
	}
}

// fakeTB notes how a test ended.
type fakeTB struct {
	TB
	ended string
}

type ending struct{}

func (f *fakeTB) Helper()               {}
func (f *fakeTB) Skipf(string, ...any)  { f.ended = "skip"; panic(ending{}) }
func (f *fakeTB) Fatalf(string, ...any) { f.ended = "fail"; panic(ending{}) }

// outcome runs fn on this goroutine, and so in its host, and tells how it ended.
func outcome(fn func(*fakeTB)) (ended string) {
	f := &fakeTB{}
	defer func() {
		if r := recover(); r != nil && r != (ending{}) {
			panic(r)
		}
		ended = f.ended
	}()
	fn(f)
	return
}

func TestUntil(t *testing.T) {
	n := 0
	if got := outcome(func(f *fakeTB) {
		Until(f, time.Minute, func() error {
			if n++; n < 3 {
				return errors.New("not yet")
			}
			return nil
		})
	}); got != "" || n != 3 {
		t.Errorf("ended with %q after %d calls, want success after 3", got, n)
	}
	if got := outcome(func(f *fakeTB) {
		Until(f, 3*pollInterval, func() error { return errors.New("never") })
	}); got != "fail" {
		t.Errorf("ended with %q, want a failure", got)
	}
}
