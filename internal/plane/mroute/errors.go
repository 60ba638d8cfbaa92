package mroute

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// Error is a request that the kernel refused.
type Error struct {
	Op     string // what was asked for: "add vif", "own", ...
	Object string // what it was about: "table 253", "vif 3", "(10.0.0.1, 239.1.1.1)"
	Err    error  // the kernel's answer
}

func (e *Error) Error() string {
	return fmt.Sprintf("mroute: %s %s: %v", e.Op, e.Object, e.Err)
}

// Unwrap returns the kernel's answer.
func (e *Error) Unwrap() error { return e.Err }

// ErrNotFound is what errors of [Counters] are if there is no such vif or entry.
var ErrNotFound = errors.New("no such vif or entry")

// Is implements errors.Is.
func (e *Error) Is(target error) bool {
	return target == ErrNotFound && e.Op == opCount && (e.Err == unix.EADDRNOTAVAIL || e.Err == unix.EINVAL)
}

// Fix says what a person can do about it; empty if nothing is known to help.
func (e *Error) Fix() string {
	switch {
	case errors.Is(e.Err, unix.EPERM), errors.Is(e.Err, unix.EACCES):
		return "run it as root, or give the program CAP_NET_ADMIN and CAP_NET_RAW"
	case errors.Is(e.Err, unix.EADDRINUSE) && e.Op == opOwn:
		return "another program routes multicast here: stop it, or choose another table with -t"
	case errors.Is(e.Err, unix.ENOPROTOOPT) && e.Op == opTable:
		return "this needs a kernel with CONFIG_IP_MROUTE_MULTIPLE_TABLES"
	case errors.Is(e.Err, unix.ENOPROTOOPT), errors.Is(e.Err, unix.EAFNOSUPPORT), errors.Is(e.Err, unix.EOPNOTSUPP):
		return "this needs a kernel with CONFIG_IP_MROUTE"
	case errors.Is(e.Err, unix.EADDRNOTAVAIL) && e.Op == opAdd:
		return "the interface must exist and have an IPv4 address"
	}
	return ""
}

// Operations that Fix tells apart.
const (
	opOpen   = "open socket for"
	opTable  = "choose"
	opOwn    = "own"
	opAssert = "set assert of"
	opAdd    = "add"
	opDelete = "delete"
	opCount  = "count"
	opRead   = "read"
)
