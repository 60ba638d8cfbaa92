package plane

import (
	"errors"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Detached returns the attributes of a process in the background: it leaves the
// session, and with it the terminal.
func Detached() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }

// Runs reports whether there is a process with this id.
func Runs(pid int) bool {
	if pid <= 0 {
		return false
	}
	err := unix.Kill(pid, 0)
	return err == nil || errors.Is(err, unix.EPERM)
}

// CloseOutput turns standard output and error to the null device, so that whoever
// waits for the end of them goes on.
func CloseOutput() error {
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	for _, fd := range []int{1, 2} {
		if err := unix.Dup3(int(null.Fd()), fd, 0); err != nil {
			return &Error{"close", "standard output", err}
		}
	}
	return nil
}
