package dvmrp

import (
	"mbone/internal/router/host"
)

// link is a link of the router with its neighbours.
type link struct {
	host.Link
	neighbors []*neighbor // all that were heard, by address
}

// isUsable reports whether packets can pass, and shall.
func (l *link) isUsable() bool { return l.Enabled && l.Up && l.Address.IsValid() }
