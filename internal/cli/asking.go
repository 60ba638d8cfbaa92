package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

	"mbone/internal/ask"
	"mbone/internal/names"
)

// Asking holds what the options of every command that asks routers say.
type Asking struct {
	Numeric     bool          // -n: addresses, no names
	Debug       int           // -d: 0 nothing, 1 counts, 2 each packet refused, 3 everything
	Interface   string        // --interface: its name; empty: by the route
	Source      netip.Addr    // --source; invalid: by the route
	RouterAlert bool          // --router-alert
	DNSTimeout  time.Duration // --dns-timeout
	Resolver    string        // --resolver: name servers, separated by commas
	MaxPPS      int           // --max-pps: packets sent per second
	MaxInFlight int           // --max-in-flight: questions under way
	Deadline    time.Duration // --deadline of the whole run; 0: none
	Read        string        // --read: a recording, "-" is standard input; empty: ask
}

// NewAsking returns the defaults.
func NewAsking() *Asking {
	return &Asking{DNSTimeout: names.DefaultTimeout, MaxPPS: ask.DefaultRate, MaxInFlight: ask.DefaultInFlight}
}

// Flags returns the options that a mean.
func (a *Asking) Flags() []Flag {
	return append([]Flag{
		Bool(&a.Numeric, "n", "show addresses, look no names up"),
		Int(&a.Debug, "d", "LEVEL", 0, math.MaxInt, "debug: 1 counts, 2 packets refused, 3 all packets"),
	}, Common(
		Text(&a.Read, "read", "FILE", "decode a recording (pcap, pcapng; - for stdin)"),
		Text(&a.Interface, "interface", "NAME", "link of multicast questions, source of others"),
		Addr(&a.Source, "source", "ADDR", "source address of questions"),
		Bool(&a.RouterAlert, "router-alert", "send unicast questions with Router Alert"),
		Seconds(&a.Deadline, "deadline", "SEC", "end after SEC, with what is there"),
		Seconds(&a.DNSTimeout, "dns-timeout", "SEC", "wait at most SEC for a name"),
		Text(&a.Resolver, "resolver", "ADDR", "name server, ADDR[:PORT][,ADDR...]"),
		Int(&a.MaxPPS, "max-pps", "N", 1, 1_000_000, "send at most N packets per second"),
		Int(&a.MaxInFlight, "max-in-flight", "N", 1, 1_000_000, "at most N questions under way"),
	)...)
}

// errDeadline is the cause of a context that --deadline ended.
var errDeadline = errors.New("the time of --deadline is over")

// Context bounds a run by --deadline.
func (a *Asking) Context(ctx context.Context) (context.Context, context.CancelFunc) {
	if a.Deadline == 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeoutCause(ctx, a.Deadline, errDeadline)
}

// Interrupted says in words why a context ended.
func Interrupted(ctx context.Context) string {
	if errors.Is(context.Cause(ctx), errDeadline) {
		return errDeadline.Error()
	}
	return "interrupted"
}

// Debug levels of the loggers that [Asking.Logger] returns.
const (
	LevelCounts = slog.LevelInfo   // -d 1: once a run
	LevelRefuse = slog.LevelDebug  // -d 2: each packet that was not taken
	LevelAll    = ask.LevelPackets // -d 3: each packet
)

// Logger returns the logger of -d.
func (a *Asking) Logger(stderr io.Writer) *slog.Logger {
	level := LevelAll
	switch a.Debug {
	case 0:
		return slog.New(slog.DiscardHandler)
	case 1:
		level = LevelCounts
	case 2:
		level = LevelRefuse
	}
	named := func(_ []string, attr slog.Attr) slog.Attr {
		if attr.Key == slog.LevelKey && attr.Value.Any() == LevelAll {
			attr.Value = slog.StringValue("PACKET")
		}
		return attr
	}
	return slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: level, ReplaceAttr: named}))
}

// Options returns what the options mean for a client.
func (a *Asking) Options(log *slog.Logger) ask.Options {
	return ask.Options{Rate: a.MaxPPS, InFlight: a.MaxInFlight, Logger: log}
}

// Names returns the resolver of --resolver, --dns-timeout and -n.
func (a *Asking) Names() (names.Resolver, error) {
	o := names.Options{Timeout: a.DNSTimeout, Numeric: a.Numeric}
	if a.Resolver != "" {
		o.Servers = strings.Split(a.Resolver, ",")
	}
	r, err := names.New(o)
	if err != nil {
		return nil, Usage("--resolver: %v", err)
	}
	return r, nil
}

// Via returns how questions leave this host.
func (a *Asking) Via() (ask.Via, error) {
	via := ask.Via{Source: a.Source, RouterAlert: a.RouterAlert}
	if a.Interface == "" {
		return via, nil
	}
	i, err := net.InterfaceByName(a.Interface)
	if err != nil {
		return via, &Error{Code: ExitFailed, What: "--interface " + quote(a.Interface), Err: errors.New("no such interface"), Fix: "ip link shows them"}
	}
	via.IfIndex = i.Index
	return via, nil
}

// LogStats tells at -d 1 what a client has counted.
func LogStats(log *slog.Logger, s ask.Stats) {
	log.Log(context.Background(), LevelCounts, "packets", "sent", s.Sent, "received", s.Received, "answers", s.Answers,
		"duplicates", s.Duplicates, "unasked", s.Unasked, "spoofed", s.Spoofed, "corrupt", s.Corrupt,
		"malformed", s.Malformed, "overflow", s.Overflow, "other", s.Other)
}

// RecordingName is how lines call the recording of --read.
func (a *Asking) RecordingName() string {
	if a.Read == "-" {
		return "standard input"
	}
	return a.Read
}

// Recording opens the file of --read, which may be a pipe that nobody writes to
// yet: the end of ctx ends the wait.
func (a *Asking) Recording(ctx context.Context, stdin io.Reader) (io.ReadCloser, error) {
	if a.Read == "-" {
		return io.NopCloser(stdin), nil
	}
	f, err := openFile(ctx, a.Read, os.O_RDONLY)
	switch {
	case err == nil:
		return f, nil
	case ctx.Err() != nil:
		return nil, &Error{Code: ExitIncomplete, What: a.RecordingName(), Err: errors.New(Interrupted(ctx))}
	}
	return nil, &Error{Code: ExitFailed, What: "--read", Err: pathError(err), Fix: "name a file in pcap or pcapng form"}
}

// CouldNotAsk words an error of package ask that is not the lack of an answer:
// no permission, no route.
func CouldNotAsk(err error) *Error {
	var op *ask.OpError
	if errors.As(err, &op) {
		return &Error{Code: ExitFailed, What: strings.TrimSpace(fmt.Sprintf("%s %s", op.Op, op.Object)), Err: op.Err, Fix: op.Fix}
	}
	return &Error{Code: ExitFailed, Err: err}
}
