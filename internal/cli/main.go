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

// EndOnQuit returns a context that ends with ctx, and when the program is told to quit
// (SIGQUIT): what keeps a terminal's Ctrl-\ from ending a daemon without a word.
func EndOnQuit(ctx context.Context) (context.Context, context.CancelFunc) {
	return signal.NotifyContext(ctx, syscall.SIGQUIT)
}

// Reloads returns a channel that tells when the program was told to read its
// configuration again (SIGHUP), until ctx ends.
func Reloads(ctx context.Context) <-chan os.Signal { return notify(ctx, syscall.SIGHUP) }

// Dumps returns a channel that tells when the program was told to say what it knows
// (SIGUSR1, SIGUSR2), until ctx ends.
func Dumps(ctx context.Context) <-chan os.Signal {
	return notify(ctx, syscall.SIGUSR1, syscall.SIGUSR2)
}

func notify(ctx context.Context, which ...os.Signal) <-chan os.Signal {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, which...)
	context.AfterFunc(ctx, func() { signal.Stop(signals) })
	return signals
}
