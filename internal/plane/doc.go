// Package plane is the doors to Linux that a multicast router needs: raw
// sockets of IGMP and PIM, memberships, links, unicast routes, and, in
// plane/mroute, multicast routing itself.
//
// Everything here belongs to the network namespace of the thread that opened it.
package plane

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// Error is something that Linux refused.
type Error struct {
	Op     string // what was tried: "open", "join", ...
	Object string // what it was about: "raw IGMP socket", "224.0.0.2 on interface 3"
	Err    error
}

func (e *Error) Error() string { return fmt.Sprintf("%s %s: %v", e.Op, e.Object, e.Err) }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Fix says what a person can do about it; empty if nothing is known to help.
func (e *Error) Fix() string {
	if !errors.Is(e.Err, fs.ErrPermission) {
		return ""
	}
	program, err := os.Executable()
	if err != nil {
		program = "PROGRAM"
	}
	return "run it as root, or once: sudo setcap cap_net_raw+ep " + program
}
