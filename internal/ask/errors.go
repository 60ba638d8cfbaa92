package ask

import "errors"

// ErrNoAnswer is in every error that says that a question stayed without an
// answer: test for it with errors.Is.
var ErrNoAnswer = errors.New("no answer")

// OpError says what could not be done, with what, why, and what to do about it.
type OpError struct {
	Op     string // what was tried: "open", "send", "join", "ask", "trace"
	Object string // with what: an address, a group, an interface, a socket
	Err    error  // why
	Fix    string // what the user can do; empty if there is nothing to say
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
