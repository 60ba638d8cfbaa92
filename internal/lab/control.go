package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// controlPath is the socket of a lab that serves. It is in the /run of the lab:
// from outside it is reached through /proc, and it is gone when the lab is.
const controlPath = markPath + "/control"

// maxRequest bounds a request: arguments and environment together.
const maxRequest = 1 << 20

// A client sends one request with its standard files attached, then signals.
// The server sends one result and closes. If the client closes first, the
// program is killed.
type execRequest struct {
	Host string   `json:"host"`
	Args []string `json:"args"`
	Env  []string `json:"env"`
	Dir  string   `json:"dir"`
}

type execSignal struct {
	Signal int `json:"signal"`
}

type execResult struct {
	Code  int    `json:"code"`
	Error string `json:"error,omitempty"`
}

// Serve lets other processes of this user run programs in the hosts of l, with
// [Exec], from its return until ctx ends. Then, or when it fails before, the
// channel has the outcome and is closed, and the control socket is gone.
func (l *Lab) Serve(ctx context.Context) (<-chan error, error) {
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: controlPath, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("lab: control socket: %w", err)
	}
	served := make(chan error, 1)
	go func() {
		defer close(served)
		err := l.accept(ctx, listener)
		listener.Close() // again, if the end of ctx has done it
		served <- err
	}()
	return served, nil
}

// accept serves the clients of a control socket until ctx ends.
func (l *Lab) accept(ctx context.Context, listener *net.UnixListener) error {
	stop := context.AfterFunc(ctx, func() { listener.Close() })
	defer stop()
	var clients sync.WaitGroup
	defer clients.Wait()
	programs, cancel := context.WithCancel(ctx)
	defer cancel()
	for {
		conn, err := listener.AcceptUnix()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("lab: control socket: %w", err)
		}
		clients.Go(func() {
			defer conn.Close()
			result := l.serve(programs, conn)
			_ = json.NewEncoder(conn).Encode(result) // the client may have gone
		})
	}
}

// serve runs the program of one client.
func (l *Lab) serve(ctx context.Context, conn *net.UnixConn) execResult {
	fail := func(format string, args ...any) execResult {
		return execResult{Error: fmt.Sprintf(format, args...)}
	}
	files, rest, err := receiveFiles(conn)
	for _, f := range files {
		defer f.Close()
	}
	if err != nil {
		return fail("request: %v", err)
	}
	limited := &io.LimitedReader{R: io.MultiReader(strings.NewReader(rest), conn), N: maxRequest}
	messages := json.NewDecoder(limited)
	var r execRequest
	if err := messages.Decode(&r); err != nil {
		return fail("request: %v", err)
	}
	h := l.Host(r.Host)
	if h == nil {
		var names []string
		for _, h := range l.Hosts() {
			names = append(names, h.Name)
		}
		return fail("there is no host %q in this lab, only %s", r.Host, strings.Join(names, " "))
	}
	if len(r.Args) == 0 {
		return fail("no program was named")
	}
	path, err := program(r.Args[0])
	if err != nil {
		return fail("%v", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c := h.Command(ctx, path, r.Args[1:]...)
	c.Args[0], c.Env, c.Dir = r.Args[0], append(r.Env, "PATH="+os.Getenv("PATH")), r.Dir
	c.Stdin, c.Stdout, c.Stderr = files[0], files[1], files[2]
	// Signals are for the program and its children, as those of a terminal.
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	c.Cancel = func() error { return syscall.Kill(-c.Process.Pid, syscall.SIGKILL) }
	if err := c.Start(); err != nil {
		return fail("%v", err)
	}
	go func() {
		defer cancel() // the client has gone
		for {
			limited.N = maxRequest
			var s execSignal
			if messages.Decode(&s) != nil {
				return
			}
			if s.Signal > 0 {
				_ = syscall.Kill(-c.Process.Pid, syscall.Signal(s.Signal)) // it may have ended
			}
		}
	}()
	code, err := ExitCode(c.Wait())
	if err != nil {
		return fail("%v", err)
	}
	return execResult{Code: code}
}

// receiveFiles reads the beginning of a request and the three files that come with it.
func receiveFiles(conn *net.UnixConn) (files []*os.File, rest string, err error) {
	b, oob := make([]byte, 4096), make([]byte, unix.CmsgSpace(3*4))
	n, oobn, _, _, err := conn.ReadMsgUnix(b, oob)
	if err != nil {
		return nil, "", err
	}
	messages, err := unix.ParseSocketControlMessage(oob[:oobn])
	if err != nil {
		return nil, "", err
	}
	for _, m := range messages {
		fds, err := unix.ParseUnixRights(&m)
		if err != nil {
			continue
		}
		for _, fd := range fds {
			unix.CloseOnExec(fd)
			files = append(files, os.NewFile(uintptr(fd), "client"))
		}
	}
	if len(files) != 3 {
		return files, "", fmt.Errorf("it comes with %d files, want 3", len(files))
	}
	return files, string(b[:n]), nil
}

// Running returns the process numbers of the labs of this user that serve.
func Running() ([]int, error) {
	paths, err := filepath.Glob("/proc/[0-9]*/root" + controlPath)
	if err != nil {
		return nil, err
	}
	var pids []int
	var sockets []os.FileInfo // pid 1 and the inner process of a lab have the same
	for _, path := range paths {
		socket, err := os.Stat(path)
		if err != nil || int(socket.Sys().(*syscall.Stat_t).Uid) != os.Geteuid() ||
			slices.ContainsFunc(sockets, func(o os.FileInfo) bool { return os.SameFile(o, socket) }) {
			continue
		}
		var pid int
		if _, err := fmt.Sscanf(path, "/proc/%d/", &pid); err != nil {
			return nil, err
		}
		pids, sockets = append(pids, pid), append(sockets, socket)
	}
	slices.Sort(pids)
	return pids, nil
}

// Exec runs a program in a host of a running lab (see [Lab.Serve]), with the files
// given and the environment and working directory of this process, but the lab's
// PATH, and returns its exit code. pid is one of [Running]; 0 stands for the only
// one. Signals are passed on. When ctx ends, the program is killed.
//
// The files may be a terminal, but not the program's controlling one: a shell
// has no job control.
func Exec(ctx context.Context, pid int, host string, args []string, signals <-chan os.Signal, files [3]*os.File) (int, error) {
	if pid == 0 {
		pids, err := Running()
		switch {
		case err != nil:
			return 0, fmt.Errorf("lab: %w", err)
		case len(pids) == 0:
			return 0, errors.New("lab: no lab is running, or none of this user's: mroutd lab up FILE starts one")
		case len(pids) > 1:
			return 0, fmt.Errorf("lab: several labs are running: choose one of %v with --pid", pids)
		}
		pid = pids[0]
	}
	dir, err := os.Getwd()
	if err != nil {
		return 0, fmt.Errorf("lab: %w", err)
	}
	request, err := json.Marshal(execRequest{Host: host, Args: args, Env: os.Environ(), Dir: dir})
	if err != nil {
		return 0, fmt.Errorf("lab: %w", err)
	}
	if len(request) > maxRequest {
		return 0, fmt.Errorf("lab: arguments and environment of %d bytes: at most %d can be passed", len(request), maxRequest)
	}
	conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: fmt.Sprintf("/proc/%d/root%s", pid, controlPath), Net: "unix"})
	if err != nil {
		return 0, fmt.Errorf("lab: process %d is no running lab: %w", pid, err)
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	rights := unix.UnixRights(int(files[0].Fd()), int(files[1].Fd()), int(files[2].Fd()))
	n, _, err := conn.WriteMsgUnix(request, rights, nil)
	if err == nil && n < len(request) {
		_, err = conn.Write(request[n:])
	}
	if err != nil {
		return 0, fmt.Errorf("lab: ask lab %d: %w", pid, err)
	}
	done := make(chan struct{})
	defer close(done)
	go func() {
		for {
			select {
			case s := <-signals:
				if n, ok := s.(syscall.Signal); ok {
					_ = json.NewEncoder(conn).Encode(execSignal{int(n)}) // the answer tells if it has gone
				}
			case <-done:
				return
			}
		}
	}()
	var r execResult
	err = json.NewDecoder(conn).Decode(&r)
	switch {
	case ctx.Err() != nil:
		return 0, fmt.Errorf("lab: %s in host %s: %w", args[0], host, ctx.Err())
	case err != nil:
		return 0, fmt.Errorf("lab: lab %d has ended: %w", pid, err)
	case r.Error != "":
		return 0, fmt.Errorf("lab: %s", strings.TrimPrefix(r.Error, "lab: "))
	}
	return r.Code, nil
}
