package plane

import "golang.org/x/sys/unix"

// CopySocket returns a copy of the descriptor of the table.
func (r *Router) CopySocket() (int, error) { return unix.Dup(r.routing) }

// MaxAsked is how many questions are taken at once.
const MaxAsked = maxAsked
