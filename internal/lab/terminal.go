package lab

import (
	"os"
	"os/signal"
	"syscall"
)

// Interact runs the program with the standard files of this process and returns
// its exit code, which is 128 and the number of the signal if one has killed it.
// Signals that this process gets meanwhile are for the program: those of the
// terminal it has anyway, the others are passed on. The program must have been
// prepared with a context that signals do not end.
func (c *Cmd) Interact() (int, error) {
	c.Stdin, c.Stdout, c.Stderr = os.Stdin, os.Stdout, os.Stderr
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM, syscall.SIGUSR1, syscall.SIGUSR2)
	defer signal.Stop(signals)
	if err := c.Start(); err != nil {
		return 0, err
	}
	for {
		select {
		case s := <-signals:
			if !fromTerminal(s) {
				_ = c.Process.Signal(s) // the only error is that it has ended
			}
		case <-c.Done():
			return ExitCode(c.Wait())
		}
	}
}
