package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"sync"
	"syscall"
	"time"
)

// maxLog bounds what is kept of a program's output: its last bytes count.
const maxLog = 1 << 20

// logDelay is how long Wait waits for the last output of a program whose
// output is held open by children that live on, as daemons do.
const logDelay = 200 * time.Millisecond

// Cmd is a program that runs in a host. It is prepared like an exec.Cmd; where
// Stdout or Stderr are nil, that output is kept for [Cmd.Log].
type Cmd struct {
	*exec.Cmd
	Host *Host

	log  log
	done chan struct{} // closed when the program has ended; nil: not started
	err  error
}

// Command prepares a program in the host. It is looked for in PATH as usual, or
// give the path that [Find] returns. When ctx ends it is killed.
func (h *Host) Command(ctx context.Context, name string, args ...string) *Cmd {
	return &Cmd{Cmd: exec.CommandContext(ctx, name, args...), Host: h}
}

// Start starts the program. It ends with the lab at the latest.
func (c *Cmd) Start() error {
	if c.done != nil {
		return fmt.Errorf("lab: host %s: %s: already started", c.Host.Name, c.Path)
	}
	logRead, logWrite, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("lab: host %s: %w", c.Host.Name, err)
	}
	// A pipe of our own: exec's would make Wait wait for all that hold it.
	defer logWrite.Close()
	if c.Stdout == nil {
		c.Stdout = logWrite
	}
	if c.Stderr == nil {
		c.Stderr = logWrite
	}
	l := c.Host.lab
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		logRead.Close()
		return fmt.Errorf("lab: host %s: %s: the lab is closed", c.Host.Name, c.Path)
	}
	// The new process inherits the namespaces of the thread that starts it.
	if err := c.Host.Do(c.Cmd.Start); err != nil {
		logRead.Close()
		return fmt.Errorf("lab: host %s: %w", c.Host.Name, err)
	}
	c.done = make(chan struct{})
	c.Host.programs = append(c.Host.programs, c)
	logged := make(chan struct{})
	go func() {
		defer close(logged)
		defer logRead.Close()
		_, _ = io.Copy(&c.log, logRead) // it ends with the last writer
	}()
	go func() {
		c.err = c.Cmd.Wait()
		select {
		case <-logged:
		case <-time.After(logDelay):
		}
		close(c.done)
	}()
	return nil
}

// Wait waits until a started program has ended and returns its error, as
// exec.Cmd does. It may be called any number of times.
func (c *Cmd) Wait() error {
	if c.done == nil {
		return fmt.Errorf("lab: host %s: %s: not started", c.Host.Name, c.Path)
	}
	<-c.done
	return c.err
}

// Done is closed when a started program has ended.
func (c *Cmd) Done() <-chan struct{} { return c.done }

// Run starts the program and waits for its end.
func (c *Cmd) Run() error {
	if err := c.Start(); err != nil {
		return err
	}
	return c.Wait()
}

// Programs returns all programs that were started in the host, in that order,
// also those that have ended.
func (h *Host) Programs() []*Cmd {
	h.lab.mu.Lock()
	defer h.lab.mu.Unlock()
	return slices.Clone(h.programs)
}

// Output runs the program and returns its standard output.
func (c *Cmd) Output() ([]byte, error) {
	var b bytes.Buffer
	c.Stdout = &b
	err := c.Run()
	return b.Bytes(), err
}

// CombinedOutput runs the program and returns all its output.
func (c *Cmd) CombinedOutput() ([]byte, error) {
	var b bytes.Buffer
	c.Stdout, c.Stderr = &b, &b
	err := c.Run()
	return b.Bytes(), err
}

// Log returns the output so far, or the last mebibyte of it.
func (c *Cmd) Log() string { return c.log.String() }

// Kill ends a started program at once and waits until it has gone.
func (c *Cmd) Kill() {
	if c.done == nil {
		return
	}
	// The only error is that it has ended.
	_ = c.Process.Kill()
	<-c.done
}

// Stop asks a started program to end (SIGTERM), and kills it if it has not
// within grace. It returns an error only if the program had to be killed.
func (c *Cmd) Stop(grace time.Duration) error {
	if c.done == nil {
		return nil
	}
	if err := c.Process.Signal(syscall.SIGTERM); err != nil {
		<-c.done
		return nil
	}
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-c.done:
		return nil
	case <-timer.C:
		c.Kill()
		return fmt.Errorf("lab: host %s: %s did not end within %v of SIGTERM", c.Host.Name, c.Path, grace)
	}
}

// ExitCode returns the exit code of a program from what Run or Wait returned:
// 128 + n if signal n ended it, as shells do. Any other error is returned.
func ExitCode(err error) (int, error) {
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok {
		return 0, err
	}
	if ws := exit.Sys().(syscall.WaitStatus); ws.Signaled() {
		return signalled + int(ws.Signal()), nil
	}
	return exit.ExitCode(), nil
}

// log keeps the end of what is written to it.
type log struct {
	mu sync.Mutex
	b  []byte
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.b = append(l.b, p...)
	if len(l.b) > 2*maxLog {
		l.b = append(l.b[:0], l.b[len(l.b)-maxLog:]...)
	}
	return len(p), nil
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.b[max(0, len(l.b)-maxLog):])
}
