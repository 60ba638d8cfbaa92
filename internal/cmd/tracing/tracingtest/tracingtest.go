// Package tracingtest has a network in memory for the tests of commands that
// trace.
package tracingtest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"mbone/internal/ask"
	"mbone/internal/ask/asktest"
	"mbone/internal/cli"
	"mbone/internal/cmd/tracing"
	"mbone/internal/names"
	"mbone/proto/mtrace"
)

// Network is a host 10.1.0.9 with one link and routers behind it, and a resolver.
type Network struct {
	*asktest.Network
	t       *testing.T
	Joins   []int // how many datagrams had been sent when a group was joined
	Hosts   map[string][]netip.Addr
	Names   map[netip.Addr]string
	Slow    time.Duration // of every look-up
	OpenErr error

	mu     sync.Mutex
	Blocks []mtrace.Block // of the whole path; [Network.At] changes them in the course of a run
	Silent int            // first hop that does not answer; 0: none
	// Lost is of how many packets one does not come from the hop behind to the
	// first; 0: all come.
	Lost  uint32
	began time.Time
}

// Here is the address of the host.
var Here = addr("10.1.0.9")

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

// NewNetwork returns the network; it implements ask.Transport and names.Resolver.
func NewNetwork(t *testing.T) *Network {
	n := &Network{
		Network: asktest.New(asktest.Options{Delay: time.Millisecond, Source: Here}), t: t,
		Hosts: map[string][]netip.Addr{}, Names: map[netip.Addr]string{}, began: time.Now(),
	}
	block := func(in, out, previous string) mtrace.Block {
		return mtrace.Block{
			Incoming: addr(in), Outgoing: addr(out), Previous: addr(previous),
			Protocol: mtrace.ProtocolDVMRP, FwdTTL: 1, Mask: 24,
		}
	}
	n.Blocks = []mtrace.Block{
		block("10.2.0.1", "10.1.0.1", "10.2.0.2"),
		block("10.3.0.1", "10.2.0.2", "10.3.0.2"),
		block("10.4.0.1", "10.3.0.2", "0.0.0.0"),
	}
	n.Handle(n.Answer, addr("224.0.0.2"), addr("224.2.2.2"), addr("224.2.0.1"), addr("10.1.0.1"))
	return n
}

// Join implements ask.Transport.
func (n *Network) Join(group netip.Addr, ifIndex int) error {
	n.Joins = append(n.Joins, len(n.Sent()))
	return n.Network.Join(group, ifIndex)
}

// Answer answers as the path would.
func (n *Network) Answer(d ask.Datagram) []asktest.Answer {
	n.mu.Lock()
	defer n.mu.Unlock()
	p := asktest.Path{From: addr("10.4.0.1"), Silent: n.Silent}
	for i, b := range n.Blocks {
		b.Arrival = mtrace.Time(time.Now().Add(time.Duration(i+1) * 100 * time.Microsecond))
		packets := uint32(10 * time.Since(n.began).Seconds())
		if i == 0 && n.Lost > 0 {
			packets -= packets / n.Lost
		}
		b.PacketsIn, b.PacketsOut, b.PacketsGroup = packets, packets, packets
		p.Blocks = append(p.Blocks, b)
	}
	return p.Answer(d)
}

// Lookup implements names.Resolver.
func (n *Network) Lookup(_ context.Context, host string) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a}, nil
	}
	if a, ok := n.Hosts[host]; ok {
		return a, nil
	}
	return nil, errors.New("unknown name")
}

// Name implements names.Resolver: each look-up takes its time.
func (n *Network) Name(ctx context.Context, a netip.Addr) string {
	if n.Slow == 0 {
		return n.Names[a]
	}
	select {
	case <-time.After(n.Slow):
		return n.Names[a]
	case <-ctx.Done():
		return ""
	}
}

// At changes the network after a time.
func (n *Network) At(after time.Duration, change func()) {
	time.AfterFunc(after, func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		change()
	})
}

// World is what a command sees of it.
func (n *Network) World() tracing.World {
	return tracing.World{
		Open: func() (ask.Transport, error) {
			if n.OpenErr != nil {
				return nil, n.OpenErr
			}
			return n, nil
		},
		Names: func(*cli.Asking) (names.Resolver, error) { return n, nil },
		Links: func() ([]tracing.Link, error) {
			link := func(prefix string, ifIndex int, name string, multicast bool) tracing.Link {
				return tracing.Link{Net: netip.MustParsePrefix(prefix), IfIndex: ifIndex, Name: name, Multicast: multicast}
			}
			return []tracing.Link{
				link("127.0.0.1/8", 1, "lo", false),
				link("10.1.0.9/24", 1, "eth0", true),
				link("10.9.0.9/24", 2, "eth1", true),
			}, nil
		},
	}
}

// Run runs a command.
func Run(ctx context.Context, spec *cli.Spec, args string) (code int, stdout, stderr string) {
	var out bytes.Buffer
	code, stderr = RunTo(ctx, spec, args, &out)
	return code, out.String(), stderr
}

// RunTo runs a command whose output goes to out.
func RunTo(ctx context.Context, spec *cli.Spec, args string, out io.Writer) (code int, stderr string) {
	var err bytes.Buffer
	code = cli.Run(ctx, spec, strings.Fields(args), strings.NewReader(""), out, &err)
	return code, err.String()
}

// BrokenPipe is an output that fails after so many writes.
type BrokenPipe struct{ Left int }

// Write implements io.Writer.
func (b *BrokenPipe) Write(p []byte) (int, error) {
	if b.Left--; b.Left < 0 {
		return 0, errors.New("broken pipe")
	}
	return len(p), nil
}
