// Package names turns addresses into names and names into addresses, in bounded
// time and with results that are safe to print.
package names

import (
	"context"
	"errors"
	"net/netip"
	"time"
)

// Resolver looks names up. Its methods may be called at the same time.
type Resolver interface {
	// Name returns the name of an address, or the empty string if it has none,
	// nobody knew it in time, or look-ups are switched off. The name holds
	// nothing that a terminal could take for a command. ctx can only shorten
	// the wait.
	Name(ctx context.Context, addr netip.Addr) string
	// Lookup returns the IPv4 addresses of a host, all of them, in the order in
	// which they came. An address in dotted form is its own answer.
	Lookup(ctx context.Context, host string) ([]netip.Addr, error)
}

// Options of a resolver. The zero value is ready to use.
type Options struct {
	// Servers are the name servers, each ADDR or ADDR:PORT. Empty: those of
	// /etc/resolv.conf.
	Servers []string
	// Timeout is the longest that one look-up takes, over all servers and
	// tries. 0: [DefaultTimeout].
	Timeout time.Duration
	// Numeric switches the names of addresses off (option -n): Name returns ""
	// at once. Lookup goes on working.
	Numeric bool
	// Hosts and ResolvConf name files to be read instead of /etc/hosts and
	// /etc/resolv.conf.
	Hosts, ResolvConf string
}

// DefaultTimeout is the longest that a look-up delays an answer.
const DefaultTimeout = time.Second

// New returns a resolver. It fails on a server that is no address.
func New(o Options) (Resolver, error) { return nil, errors.ErrUnsupported }
