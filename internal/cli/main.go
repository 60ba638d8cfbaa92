package cli

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// Main is the whole of a program: it runs a command until it ends or is told to
// (SIGINT, SIGTERM) and exits with its code. A second signal ends the program
// at once.
func Main(run func(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// Signals returns a channel that brings the signals that tell a daemon something,
// until ctx ends: SIGHUP, to read its configuration again, and SIGUSR1 and SIGUSR2,
// to say what it knows.
func Signals(ctx context.Context) <-chan os.Signal {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2)
	context.AfterFunc(ctx, func() { signal.Stop(signals) })
	return signals
}
