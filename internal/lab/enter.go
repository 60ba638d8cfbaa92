package lab

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

const (
	// stageVariable tells the program that it was started as pid 1 of a lab.
	stageVariable = "MBONE_LAB_STAGE"
	stageInit     = "init"

	// markPath exists where a lab is: pid 1 and every host have it in their own
	// /run, which nobody outside can see or make.
	markPath = "/run/mbone-lab"

	// Descriptors that the outer process hands to pid 1.
	leashFD  = 3 // signal numbers, one byte each; end of file: the outer process is gone
	statusFD = 4 // empty: the lab is ready; else a failure as JSON

	// signalled is added to a signal's number to make an exit code, as shells do.
	signalled = 128
)

// NamespaceError says why this system does not let us make the namespaces of a lab.
type NamespaceError struct {
	Op  string // what was tried, e.g. "mount /proc"
	Fix string // what the user can do about it
	Err error
}

// Error returns the operation, its cause and what can be done.
func (e *NamespaceError) Error() string {
	return fmt.Sprintf("lab: %s: %v (%s)", e.Op, e.Err, e.Fix)
}

// Unwrap returns the cause, usually a syscall.Errno.
func (e *NamespaceError) Unwrap() error { return e.Err }

// failure is how pid 1 tells the outer process that it could not prepare the lab.
type failure struct {
	Op    string
	Errno int
}

// Inside reports whether this process runs inside a lab.
func Inside() bool {
	_, err := os.Stat(markPath)
	return err == nil
}

// Rootless reports whether there is only one user here, as in the lab of an
// ordinary user: programs cannot change theirs.
func Rootless() bool {
	b, err := os.ReadFile("/proc/self/uid_map")
	fields := strings.Fields(string(b)) // per line: first user here, first user outside, how many
	return err == nil && len(fields) == 3 && fields[2] == "1"
}

// Enter starts this program again inside new namespaces, with the same
// arguments, environment and standard files, and waits for it to end.
//
// In the inner process it returns inside == true at once: build labs now. In
// the outer one it returns the exit code of the inner process, which the caller
// must exit with. If the namespaces cannot be made the error is a
// *[NamespaceError], and nothing was started.
//
// Call it before reading standard input and before any other side effect: what
// comes before it is run by the outer process, pid 1 and the inner process.
func Enter() (inside bool, code int, err error) {
	if os.Getenv(stageVariable) == stageInit && os.Getpid() == 1 {
		keepName()
		runInit()
	}
	if Inside() {
		keepName()
		return true, 0, nil
	}
	// pid 1 is to die with the thread that started it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if os.Geteuid() == 0 {
		code, err = startInit(false)
		if !errors.Is(err, syscall.EPERM) {
			return false, code, err
		}
		// Root without CAP_SYS_ADMIN, as in a container, is like any other user.
	}
	code, err = startInit(true)
	return false, code, err
}

// keepName gives this process the name that it was called by: having been
// started by way of /proc, its name is "exe".
func keepName() {
	_ = os.WriteFile("/proc/self/comm", []byte(filepath.Base(os.Args[0])), 0) // only for people who look
}

// startInit runs pid 1 and returns its exit code.
func startInit(userNamespace bool) (int, error) {
	leashRead, leashWrite, err := os.Pipe()
	if err != nil {
		return 0, fmt.Errorf("lab: %w", err)
	}
	defer leashWrite.Close()
	statusRead, statusWrite, err := os.Pipe()
	if err != nil {
		leashRead.Close()
		return 0, fmt.Errorf("lab: %w", err)
	}
	defer statusRead.Close()

	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	cmd.Env = append(os.Environ(), stageVariable+"="+stageInit)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.ExtraFiles = []*os.File{leashRead, statusWrite}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWNET | unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC,
		// The leash ends a lab too, but only if pid 1 is not stopped; and this one
		// does not work if the program has file capabilities. So both.
		Pdeathsig: syscall.SIGKILL,
	}
	if userNamespace {
		// Only our own user can be mapped without help from newuidmap.
		cmd.SysProcAttr.Cloneflags |= unix.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}}
		cmd.SysProcAttr.GidMappingsEnableSetgroups = false
	}

	// From here on the signals are the inner process's.
	signals := make(chan os.Signal, 16)
	for _, s := range []os.Signal{syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM, syscall.SIGUSR1, syscall.SIGUSR2} {
		if !signal.Ignored(s) {
			signal.Notify(signals, s)
		}
	}
	defer signal.Stop(signals)

	err = cmd.Start()
	leashRead.Close()
	statusWrite.Close()
	if err != nil {
		return 0, explain("make namespaces", err, userNamespace)
	}
	status, err := io.ReadAll(statusRead)
	if len(status) > 0 || err != nil {
		_ = cmd.Process.Kill() // it is about to exit on its own
		_ = cmd.Wait()
		var f failure
		if err := errors.Join(err, json.Unmarshal(status, &f)); err != nil {
			return 0, fmt.Errorf("lab: pid 1: %w", err)
		}
		return 0, explain(f.Op, syscall.Errno(f.Errno), userNamespace)
	}

	done := make(chan struct{})
	go func() {
		for {
			select {
			case s := <-signals:
				if !fromTerminal(s) {
					// An error means that pid 1 has gone, which Wait will tell.
					_, _ = leashWrite.Write([]byte{byte(s.(syscall.Signal))})
				}
			case <-done:
				return
			}
		}
	}()
	err = cmd.Wait()
	close(done)
	code, err := ExitCode(err)
	if err != nil {
		return 0, fmt.Errorf("lab: pid 1: %w", err)
	}
	return code, nil
}

// fromTerminal reports whether a signal was most likely sent by the terminal
// that we are in the foreground of. Then every process of the lab has it too,
// and passing it on would deliver it twice.
func fromTerminal(s os.Signal) bool {
	if s != syscall.SIGINT && s != syscall.SIGQUIT {
		return false
	}
	tty, err := os.Open("/dev/tty")
	if err != nil {
		return false
	}
	defer tty.Close()
	foreground, err := unix.IoctlGetInt(int(tty.Fd()), unix.TIOCGPGRP)
	return err == nil && foreground == unix.Getpgrp()
}

// explain turns the errno of a denied namespace into what can be done about it.
func explain(op string, err error, userNamespace bool) error {
	e := &NamespaceError{Op: op, Err: err}
	if pathErr, ok := errors.AsType[*os.PathError](err); ok {
		e.Err = pathErr.Err
	}
	zero := func(name string) bool { return sysctlIs(name, "0") }
	switch {
	case zero("user/max_user_namespaces") && userNamespace:
		e.Fix = "set sysctl user.max_user_namespaces above 0, or run as root"
	case zero("user/max_net_namespaces"):
		e.Fix = "set sysctl user.max_net_namespaces above 0"
	case errors.Is(err, syscall.ENOSPC):
		e.Fix = "raise sysctl user.max_user_namespaces, user.max_net_namespaces, user.max_pid_namespaces or user.max_mnt_namespaces"
	case zero("kernel/unprivileged_userns_clone") && userNamespace:
		e.Fix = "set sysctl kernel.unprivileged_userns_clone to 1, or run as root"
	case sysctlIs("kernel/apparmor_restrict_unprivileged_userns", "1") && userNamespace:
		e.Fix = "set sysctl kernel.apparmor_restrict_unprivileged_userns to 0, or run as root"
	case op == opMountProc:
		e.Fix = "this container hides parts of /proc: run it privileged or with unmasked paths, or run as root outside it"
	case errors.Is(err, syscall.EINVAL):
		e.Fix = "the kernel needs CONFIG_NET_NS, CONFIG_PID_NS and CONFIG_USER_NS"
	default:
		e.Fix = "run as root, or where user namespaces are allowed: a container or security module may forbid them here"
	}
	return e
}

func sysctlIs(name, value string) bool {
	b, err := os.ReadFile("/proc/sys/" + name)
	return err == nil && strings.TrimSpace(string(b)) == value
}

const opMountProc = "mount /proc"

// runInit is the life of pid 1. It does not return.
func runInit() {
	os.Unsetenv(stageVariable)
	os.Setenv("PATH", completePath(os.Getenv("PATH")))
	unix.CloseOnExec(leashFD)
	unix.CloseOnExec(statusFD)
	leash, status := os.NewFile(leashFD, "leash"), os.NewFile(statusFD, "status")
	// Signals are for the inner process and come over the leash. Those of the
	// terminal come here as well and must not end us; being handled, not ignored,
	// they are back to normal in the inner process.
	signal.Notify(make(chan os.Signal, 1))

	inner := 0
	op, err := prepareLab()
	if err == nil {
		op = "start " + os.Args[0]
		inner, err = syscall.ForkExec("/proc/self/exe", os.Args, &syscall.ProcAttr{
			Env: os.Environ(), Files: []uintptr{0, 1, 2},
		})
	}
	if err != nil {
		f := failure{Op: op}
		if errno, ok := errors.AsType[syscall.Errno](err); ok {
			f.Errno = int(errno)
		}
		_ = json.NewEncoder(status).Encode(f) // if it cannot be told, the exit code is all there is
		os.Exit(1)
	}
	status.Close()

	go func() {
		b := make([]byte, 1)
		for {
			if _, err := leash.Read(b); err != nil {
				os.Exit(signalled + int(syscall.SIGKILL))
			}
			_ = syscall.Kill(inner, syscall.Signal(b[0])) // it may just have ended
		}
	}()
	for {
		var ws syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &ws, 0, nil)
		switch {
		case errors.Is(err, syscall.EINTR):
		case err != nil:
			os.Exit(1)
		case pid == inner && ws.Exited():
			os.Exit(ws.ExitStatus())
		case pid == inner && ws.Signaled():
			os.Exit(signalled + int(ws.Signal()))
		}
	}
}

// completePath appends the directories of system programs that a PATH lacks: those
// of administrators for ordinary users, all of them where PATH was made for one job.
func completePath(path string) string {
	dirs := filepath.SplitList(path)
	for _, dir := range systemDirs {
		if !slices.Contains(dirs, dir) {
			dirs = append(dirs, dir)
		}
	}
	return strings.Join(dirs, string(filepath.ListSeparator))
}

// prepareLab makes the new mount and network namespaces of pid 1 usable. On
// failure it returns the operation that failed.
func prepareLab() (op string, err error) {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return "make mounts private", err
	}
	if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return opMountProc, err
	}
	if err := mountRun(); err != nil {
		return "mount /run", err
	}
	// The inner process is no host of the lab, but its loopback should work.
	h, err := netlink.NewHandle()
	if err != nil {
		return "open netlink", err
	}
	defer h.Close()
	if err := linkUp(h, "lo"); err != nil {
		return "set lo up", err
	}
	return "", nil
}

// mountRun gives this mount namespace an empty /run with the mark of a lab in it.
func mountRun() error {
	if err := unix.Mount("tmpfs", "/run", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=0755"); err != nil {
		return err
	}
	return os.Mkdir(markPath, 0o700)
}
