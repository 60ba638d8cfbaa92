package host

import (
	"context"
	"log/slog"
	"math/rand/v2"

	"mbone/internal/router/timer"
)

// Env is what each part of an engine is given. All of it is owned by the one
// goroutine that runs the engine.
type Env struct {
	Random *rand.Rand
	Timers *timer.Queue
	// Out is where actions go. It is emptied before each event.
	Out *Actions
	// Counters is the host's.
	Counters Counters
	Log      Logs
}

// Logs are the logs of the subsystems, named as mrouted's option -d names them.
// None is nil.
type Logs struct {
	Interface  *slog.Logger // links
	Neighbors  *slog.Logger // neighbours, questions about them
	Routing    *slog.Logger // routes and reports
	Pruning    *slog.Logger // prunes and grafts
	Membership *slog.Logger // IGMP
	Cache      *slog.Logger // forwarding entries
	Traceroute *slog.Logger // mtrace
}

// LevelNotice is that of what an operator wants to know without asking: a neighbour
// that came or was lost, a link that changed.
const LevelNotice = slog.LevelInfo + 2

// Debugs reports whether log takes lines of debugging: what they say may be costly to
// find out.
func Debugs(log *slog.Logger) bool {
	return log.Enabled(context.Background(), slog.LevelDebug)
}

// NewLogs returns logs that all are log.
func NewLogs(log *slog.Logger) Logs {
	return Logs{log, log, log, log, log, log, log}
}
