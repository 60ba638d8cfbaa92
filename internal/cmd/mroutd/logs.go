package mroutd

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"log/syslog"
	"slices"
	"strings"
	"sync"

	"mbone/internal/cli"
	"mbone/internal/router/host"
	"mbone/proto/dvmrp"
	"mbone/proto/igmp"
)

// levelNotice is what a daemon says by default: that it started, that something
// is not as it should be.
const levelNotice = host.LevelNotice

// levels are the names of -l, which are mrouted's.
var levels = map[string]slog.Level{
	"none": slog.LevelError + 1, "err": slog.LevelError, "error": slog.LevelError, "warning": slog.LevelWarn,
	"notice": levelNotice, "info": slog.LevelInfo, "debug": slog.LevelDebug,
}

// Subsystems of -d, with mrouted's names.
const (
	debugPacket     = "packet"  // every packet of IGMP
	debugPruning    = "pruning" // prunes and grafts
	debugRouting    = "routing" // routes and reports
	debugDetail     = "route-detail"
	debugNeighbors  = "neighbors"  // neighbours, and questions about them
	debugKernel     = "kernel"     // upcalls, and what the kernel refuses
	debugCache      = "cache"      // forwarding entries
	debugTimer      = "timer"      // nothing: mrouted has it
	debugInterface  = "interface"  // links
	debugMembership = "membership" // IGMP
	debugTraceroute = "traceroute" // mtrace
	debugIGMP       = "igmp"       // as membership
	debugICMP       = "icmp"       // nothing: mrouted has it
	debugAll        = "all"
)

var subsystems = []string{
	debugPacket, debugPruning, debugRouting, debugDetail, debugNeighbors, debugKernel, debugCache, debugTimer,
	debugInterface, debugMembership, debugTraceroute, debugIGMP, debugICMP, debugAll,
}

// logs are the logs of the subsystems that are not the engine's, and of its.
type logs struct {
	main, iface, kernel, packet *slog.Logger
	engine                      host.Logs
}

// openSyslog is [syslog.New], but for tests.
var openSyslog = syslog.New

// openLogs opens the log: standard error, or syslog.
func (o *options) openLogs(stderr io.Writer) (logs, error) {
	open := func(subsystems ...string) *slog.Logger { return o.logger(stderr, subsystems...) }
	if o.syslog || background != nil {
		w, err := openSyslog(syslog.LOG_DAEMON|syslog.LOG_NOTICE, o.ident)
		if err != nil && background == nil {
			return logs{}, &cli.Error{
				Code: cli.ExitFailed, What: "-s", Err: errors.New("no syslog listens on this host"), Fix: "start syslogd or journald, or leave out -s",
			}
		}
		if err != nil {
			// Whoever has started it sees this, and later nobody sees anything.
			open().Warn("no syslog listens on this host: the log goes nowhere from now on; start syslogd or journald, or use -n")
		} else {
			s := &sink{w: w}
			open = func(subsystems ...string) *slog.Logger {
				return slog.New(&syslogHandler{s, o.handler(&s.line, subsystems...)})
			}
		}
	}
	return logs{
		main: open(), iface: open(debugInterface), kernel: open(debugKernel), packet: open(debugPacket),
		engine: host.Logs{
			Interface: open(debugInterface), Neighbors: open(debugNeighbors), Routing: open(debugRouting, debugDetail),
			Pruning: open(debugPruning), Membership: open(debugMembership, debugIGMP), Cache: open(debugCache),
			Traceroute: open(debugTraceroute),
		},
	}, nil
}

// logger returns the log of subsystems on a writer; without any of them that of what
// has none.
func (o *options) logger(w io.Writer, subsystems ...string) *slog.Logger {
	return slog.New(o.handler(w, subsystems...))
}

func (o *options) handler(w io.Writer, subsystems ...string) slog.Handler {
	level := levels[o.level]
	debugged := func(s string) bool { return slices.Contains(o.debug, s) || slices.Contains(o.debug, debugAll) }
	if slices.ContainsFunc(subsystems, debugged) {
		level = min(level, slog.LevelDebug)
	}
	return slog.NewTextHandler(w, &slog.HandlerOptions{Level: level, ReplaceAttr: logAttr})
}

// logAttr leaves the time to the supervisor and gives notices their name.
func logAttr(groups []string, a slog.Attr) slog.Attr {
	switch {
	case len(groups) > 0:
	case a.Key == slog.TimeKey:
		return slog.Attr{}
	case a.Key == slog.LevelKey && a.Value.Any() == levelNotice:
		a.Value = slog.StringValue("NOTICE")
	}
	return a
}

// sink is where the lines of all subsystems go to syslog.
type sink struct {
	mu   sync.Mutex
	line bytes.Buffer
	w    *syslog.Writer
}

// syslogHandler writes lines to syslog with the priority of their level.
type syslogHandler struct {
	sink *sink
	text slog.Handler // writes to the line of the sink
}

// Enabled implements [slog.Handler].
func (h *syslogHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.text.Enabled(ctx, level)
}

// Handle implements [slog.Handler].
func (h *syslogHandler) Handle(ctx context.Context, r slog.Record) error {
	h.sink.mu.Lock()
	defer h.sink.mu.Unlock()
	h.sink.line.Reset()
	if err := h.text.Handle(ctx, r); err != nil {
		return err
	}
	line := strings.TrimSuffix(h.sink.line.String(), "\n")
	switch {
	case r.Level >= slog.LevelError:
		return h.sink.w.Err(line)
	case r.Level >= slog.LevelWarn:
		return h.sink.w.Warning(line)
	case r.Level >= levelNotice:
		return h.sink.w.Notice(line)
	case r.Level >= slog.LevelInfo:
		return h.sink.w.Info(line)
	}
	return h.sink.w.Debug(line)
}

// WithAttrs implements [slog.Handler].
func (h *syslogHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &syslogHandler{h.sink, h.text.WithAttrs(attrs)}
}

// WithGroup implements [slog.Handler].
func (h *syslogHandler) WithGroup(name string) slog.Handler {
	return &syslogHandler{h.sink, h.text.WithGroup(name)}
}

// shown names a message of IGMP.
func shown(message []byte) string {
	switch {
	case len(message) < igmp.FrameLen:
		return "too short"
	case igmp.Type(message[0]) == igmp.TypeDVMRP:
		return "DVMRP " + dvmrp.Code(message[1]).String()
	}
	return igmp.Type(message[0]).String()
}
