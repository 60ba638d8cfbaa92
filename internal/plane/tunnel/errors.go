package tunnel

import (
	"errors"
	"fmt"
	"io/fs"

	"golang.org/x/sys/unix"
)

// ErrNoAddress is the error of [Open] while this host does not have the local
// address of the tunnel.
var ErrNoAddress = errors.New("this host does not have the local address")

var (
	errName = errors.New("expected a name of 1 to 15 bytes for the device")
	errEnds = errors.New("expected IPv4 addresses of two hosts")
)

// Error is a tunnel that cannot be opened.
type Error struct {
	Op     string
	Object string // the tunnel
	Err    error
}

const opOpen = "open"

func (e *Error) Error() string { return fmt.Sprintf("%s %s: %v", e.Op, e.Object, e.Err) }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Fix says what a person can do about it; empty if nothing is known to help.
func (e *Error) Fix() string {
	var path *fs.PathError
	switch isPath := errors.As(e.Err, &path); {
	case errors.Is(e.Err, fs.ErrPermission) && isPath:
		return "make " + cloneDevice + " accessible"
	case errors.Is(e.Err, fs.ErrPermission):
		return "run it as root, or give the program CAP_NET_ADMIN and CAP_NET_RAW"
	case isPath:
		return "load the kernel module tun (CONFIG_TUN), and give a container the device " + cloneDevice
	case errors.Is(e.Err, ErrNoAddress):
		return "give an interface the address, or correct the local end of the tunnel"
	case errors.Is(e.Err, unix.EBUSY), errors.Is(e.Err, unix.EEXIST):
		return "choose another name: there is such an interface"
	}
	return ""
}
