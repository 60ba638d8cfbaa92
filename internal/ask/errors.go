package ask

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// ErrNoAnswer is in every error that says that a question stayed without an
// answer: test for it with errors.Is.
var ErrNoAnswer = errors.New("no answer")

// OpError says what could not be done, with what, why, and what to do about it.
type OpError struct {
	Op     string // what was tried: "open", "send", "join", "ask", "trace"
	Object string // with what: an address, a group, an interface, a socket
	Err    error  // why
	Fix    string // what the user can do; empty if there is nothing to say
	Tries  int    // the questions sent until [ErrNoAnswer]
}

// Error returns all parts in one line.
func (e *OpError) Error() string {
	s := e.Op
	if e.Object != "" {
		s += " " + e.Object
	}
	s += ": " + e.Err.Error()
	if e.Fix != "" {
		s += " (" + e.Fix + ")"
	}
	return s
}

// Unwrap returns the cause.
func (e *OpError) Unwrap() error { return e.Err }

var (
	errNotIPv4  = errors.New("not an IPv4 address")
	errDeadline = errors.New("deadline of the question")
)

// overdue turns the end of the time for one question into its ordinary end.
func overdue(err error) error {
	if errors.Is(err, errDeadline) {
		return nil
	}
	return err
}

// failed returns err as what happened to a question. An error of the transport
// says it already.
func failed(op string, object netip.Addr, tries int, began time.Time, err error) error {
	if _, ok := errors.AsType[*OpError](err); ok {
		return err
	}
	if errors.Is(err, ErrNoAnswer) {
		took := time.Since(began).Round(10 * time.Millisecond)
		word := "tries"
		if tries == 1 {
			word = "try"
		}
		err = fmt.Errorf("%w to %d %s in %v", err, tries, word, cmp.Or(took, 10*time.Millisecond))
	}
	e := &OpError{Op: op, Err: err, Tries: tries}
	if object.IsValid() {
		e.Object = object.String()
	}
	return e
}
