package plane

import "golang.org/x/sys/unix"

// CopySocket returns a copy of the descriptor of the table.
func (r *Router) CopySocket() (int, error) { return unix.Dup(r.routing) }
