// Package names turns addresses into names and names into addresses, in bounded
// time and with results that are safe to print.
package names

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sync/singleflight"
)

// Resolver looks names up. Its methods may be called at the same time.
type Resolver interface {
	// Name returns the name of an address, or the empty string if it has none,
	// nobody knew it in time, or look-ups are switched off. The name holds
	// nothing that a terminal could take for a command. ctx can only shorten
	// the wait.
	Name(ctx context.Context, addr netip.Addr) string
	// Lookup returns the IPv4 addresses of a host, all of them, in the order in
	// which they came. An address in dotted form is its own answer. Its error is
	// a [LookupError].
	Lookup(ctx context.Context, host string) ([]netip.Addr, error)
}

// All looks the names of addresses up, many at the same time, and returns those of
// the addresses that have one. A [MissedError] comes with them if some could not
// be found out before ctx ended, or because no name server answered.
func All(ctx context.Context, r Resolver, addrs []netip.Addr) (map[netip.Addr]string, error) {
	find := func(ctx context.Context, addr netip.Addr) (string, error) {
		if name := r.Name(ctx, addr); name != "" {
			return name, nil
		}
		return "", context.Cause(ctx)
	}
	if known, ok := r.(*resolver); ok {
		find = known.find // tells an address without a name from a failure
	}
	var mu sync.Mutex
	all := make(map[netip.Addr]string)
	missed := &MissedError{Of: len(addrs)}
	next := 0
	var group sync.WaitGroup
	for range min(len(addrs), maxOfAll) {
		group.Go(func() {
			mu.Lock()
			defer mu.Unlock()
			for next < len(addrs) {
				addr := addrs[next]
				next++
				mu.Unlock()
				name, err := find(ctx, addr)
				mu.Lock()
				switch {
				case err != nil:
					missed.Missed++
					if missed.Err == nil {
						missed.Err = err
					}
				case name != "":
					all[addr] = name
				}
			}
		})
	}
	group.Wait()
	if missed.Missed > 0 {
		return all, missed
	}
	return all, nil
}

// MissedError says that names could not be found out.
type MissedError struct {
	Missed, Of int   // addresses
	Err        error // why, of the first of them
}

// Error says how many, and the cause.
func (e *MissedError) Error() string {
	return fmt.Sprintf("the names of %d of %d addresses could not be found out: %v", e.Missed, e.Of, e.Err)
}

// Unwrap returns the cause.
func (e *MissedError) Unwrap() error { return e.Err }

// Options of a resolver. The zero value is ready to use.
type Options struct {
	// Servers are the name servers, each ADDR or ADDR:PORT. Empty: those of
	// /etc/resolv.conf.
	Servers []string
	// Timeout is the longest that one look-up takes, over all servers and
	// tries; five times as long for Lookup, without whose answer there is
	// nothing to do. 0: [DefaultTimeout].
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

const (
	// lookupFactor is how much longer than Name Lookup may take.
	lookupFactor = 5
	// rounds is how often each server is asked within the time of a look-up.
	rounds = 2
	// maxAtOnce is how many questions to name servers are under way at once.
	maxAtOnce = 256
	// maxOfAll is how many of them All has: the socket of a name server holds so
	// many, and what it cannot hold is lost.
	maxOfAll = 128
	// maxAddrs is how many addresses of one host are returned.
	maxAddrs = 64
	// maxChain is how many aliases (CNAME) are followed.
	maxChain = 8
	// maxSearch is how many domains of resolv.conf are tried, maxServers how
	// many servers are used.
	maxSearch  = 6
	maxServers = 8
	// udpSize is how large an answer may be without TCP, as of the DNS flag day 2020.
	udpSize = 1232
)

// LookupError says why a host has no address here.
type LookupError struct {
	Host string
	Err  error // why: [ErrNoHost], [ErrNoAddress], or what became of the name servers
}

// Error names the host and the cause.
func (e *LookupError) Error() string { return fmt.Sprintf("%q: %v", e.Host, e.Err) }

// Unwrap returns the cause.
func (e *LookupError) Unwrap() error { return e.Err }

// Why there is no address.
var (
	ErrNoHost    = errors.New("no such host")
	ErrNoAddress = errors.New("the host has no IPv4 address")
	errNoServer  = errors.New("no name server in resolv.conf, and the host is not in the hosts file")
)

// resolver asks the hosts file, then the name servers.
type resolver struct {
	timeout time.Duration
	numeric bool
	hosts   *hosts
	servers *servers
	search  func(host string) []string
	cache   cache
	flights singleflight.Group
	slots   chan struct{}
}

// New returns a resolver. It fails on a server that is no address. Files that
// cannot be read count as empty.
func New(o Options) (Resolver, error) {
	if o.Timeout <= 0 {
		o.Timeout = DefaultTimeout
	}
	if o.Hosts == "" {
		o.Hosts = "/etc/hosts"
	}
	if o.ResolvConf == "" {
		o.ResolvConf = "/etc/resolv.conf"
	}
	config, err := dns.ClientConfigFromFile(o.ResolvConf)
	if err != nil {
		config = &dns.ClientConfig{Ndots: 1}
	}
	given := o.Servers
	if len(given) == 0 {
		given = config.Servers
	}
	r := &resolver{
		timeout: o.Timeout,
		numeric: o.Numeric,
		hosts:   readHosts(o.Hosts),
		slots:   make(chan struct{}, maxAtOnce),
		servers: new(servers),
	}
	for _, s := range given[:min(len(given), maxServers)] {
		addr, err := serverAddr(s)
		if err != nil && len(o.Servers) > 0 {
			return nil, err
		}
		if err == nil {
			r.servers.all = append(r.servers.all, &server{addr: addr})
		}
	}
	config.Search = config.Search[:min(len(config.Search), maxSearch)]
	r.search = config.NameList
	return r, nil
}

// serverAddr returns a server as host and port.
func serverAddr(s string) (string, error) {
	if addr, err := netip.ParseAddr(strings.Trim(s, "[]")); err == nil {
		return net.JoinHostPort(addr.String(), "53"), nil
	}
	ap, err := netip.ParseAddrPort(s)
	if err != nil || ap.Port() == 0 {
		return "", fmt.Errorf("name server %q: expected ADDR or ADDR:PORT", s)
	}
	return ap.String(), nil
}

// Name implements [Resolver].
func (r *resolver) Name(ctx context.Context, addr netip.Addr) string {
	name, _ := r.find(ctx, addr)
	return name
}

// find is Name with the reason why a name could not be found out. An address
// without a name, for whatever reason that asking again would not change, is none.
func (r *resolver) find(ctx context.Context, addr netip.Addr) (string, error) {
	addr = addr.Unmap()
	if r.numeric || !addr.IsValid() || addr.IsUnspecified() {
		return "", nil
	}
	if name, ok := r.hosts.name(addr); ok {
		return name, nil
	}
	if name, ok := r.cache.get(addr, time.Now()); ok {
		return name, nil
	}
	question, err := dns.ReverseAddr(addr.WithZone("").String())
	switch {
	case err != nil || len(r.servers.all) == 0:
		return "", nil
	case ctx.Err() != nil:
		return "", context.Cause(ctx)
	case !r.servers.usable(time.Now()):
		return "", r.servers.silence()
	}
	// One question serves all who want the answer, and is not cut short by the
	// end of one of them.
	flight := r.flights.DoChan(addr.String(), func() (any, error) {
		if name, ok := r.cache.get(addr, time.Now()); ok {
			return name, nil // of a flight that ended since
		}
		ctx, cancel := context.WithTimeout(context.Background(), r.timeout)
		defer cancel()
		name, lifetime, err := r.pointer(ctx, question)
		r.cache.put(addr, name, time.Now().Add(lifetime))
		return name, err
	})
	timer := time.NewTimer(r.timeout)
	defer timer.Stop()
	select {
	case result := <-flight:
		return result.Val.(string), result.Err
	case <-timer.C:
		return "", r.servers.silence()
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
}

// pointer asks for the name of an address in the form of a question, and returns
// how long the answer, its absence or the failure may be remembered.
func (r *resolver) pointer(ctx context.Context, question string) (string, time.Duration, error) {
	answer, err := r.exchange(ctx, question, dns.TypePTR, r.timeout)
	if errors.Is(err, ErrNoHost) {
		return "", minLifetime, nil
	}
	if err != nil {
		return "", forgetFailure, err
	}
	for _, rr := range follow(answer, question) {
		if ptr, ok := rr.(*dns.PTR); ok {
			ttl := time.Duration(ptr.Hdr.Ttl) * time.Second
			return clean(ptr.Ptr), min(max(ttl, minLifetime), maxLifetime), nil
		}
	}
	return "", minLifetime, nil
}

// Lookup implements [Resolver].
func (r *resolver) Lookup(ctx context.Context, host string) ([]netip.Addr, error) {
	if addr, err := netip.ParseAddr(host); err == nil {
		if addr = addr.Unmap(); !addr.Is4() {
			return nil, &LookupError{host, ErrNoAddress}
		}
		return []netip.Addr{addr}, nil
	}
	if clean(host) == "" {
		return nil, &LookupError{host, fmt.Errorf("%w: it is not a host name", ErrNoHost)}
	}
	if addrs := r.hosts.addrs(host); len(addrs) > 0 {
		return addrs, nil
	}
	type result struct {
		addrs []netip.Addr
		err   error
	}
	done := make(chan result, 1)
	go func() {
		ctx, cancel := context.WithTimeout(ctx, lookupFactor*r.timeout)
		defer cancel()
		addrs, err := r.lookup(ctx, host)
		done <- result{addrs, err}
	}()
	select {
	case got := <-done:
		if got.err != nil {
			return nil, &LookupError{host, got.err}
		}
		return got.addrs, nil
	case <-ctx.Done():
		return nil, &LookupError{host, context.Cause(ctx)}
	}
}

// lookup asks for the host in each of the domains to be searched.
func (r *resolver) lookup(ctx context.Context, host string) ([]netip.Addr, error) {
	if len(r.servers.all) == 0 {
		return nil, errNoServer
	}
	var failure error
	names := r.search(host)
	expected := lookupFactor * r.timeout / time.Duration(len(names))
	for _, name := range names {
		answer, err := r.exchange(ctx, name, dns.TypeA, expected)
		if err != nil {
			if failure == nil || errors.Is(failure, ErrNoHost) {
				failure = err
			}
			continue
		}
		var addrs []netip.Addr
		for _, rr := range follow(answer, name) {
			if a, ok := rr.(*dns.A); ok && len(addrs) < maxAddrs {
				if addr, ok := netip.AddrFromSlice(a.A.To4()); ok {
					addrs = append(addrs, addr)
				}
			}
		}
		if len(addrs) > 0 {
			return addrs, nil
		}
		if failure == nil || errors.Is(failure, ErrNoHost) {
			failure = ErrNoAddress
		}
	}
	return nil, failure
}

// exchange puts a question to the servers in turn until one answers, and gives
// each a fair part of the time that it expects to have.
func (r *resolver) exchange(ctx context.Context, name string, kind uint16, expected time.Duration) (*dns.Msg, error) {
	select {
	case r.slots <- struct{}{}:
		defer func() { <-r.slots }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	ask := new(dns.Msg)
	ask.SetQuestion(name, kind)
	ask.SetEdns0(udpSize, false)
	turns := r.servers.order(time.Now())
	part := expected / time.Duration(rounds*max(len(turns), 1))
	failure := errNoServer
	for range rounds {
		for _, s := range turns {
			if ctx.Err() != nil {
				return nil, failure
			}
			answer, err := s.exchange(ctx, ask, part)
			switch {
			case err != nil:
				failure = fmt.Errorf("name server %s: %w", s.addr, err)
			case answer.Rcode == dns.RcodeNameError:
				return nil, ErrNoHost
			case answer.Rcode != dns.RcodeSuccess:
				failure = fmt.Errorf("name server %s: %s", s.addr, dns.RcodeToString[answer.Rcode])
			default:
				return answer, nil
			}
		}
	}
	return nil, failure
}

// follow returns the records of an answer that are about name or about what name
// is an alias of.
func follow(answer *dns.Msg, name string) []dns.RR {
	for range maxChain {
		var found []dns.RR
		alias := ""
		for _, rr := range answer.Answer {
			if !equalName(rr.Header().Name, name) {
				continue
			}
			if cname, ok := rr.(*dns.CNAME); ok {
				alias = cname.Target
			} else {
				found = append(found, rr)
			}
		}
		if len(found) > 0 || alias == "" {
			return found
		}
		name = alias
	}
	return nil
}

// clean returns a host name without its last dot, or the empty string if it is
// none: labels of letters, digits, hyphens and underscores (RFC 952, RFC 1123,
// and what people do), at most 253 bytes, and not a number at the end, which
// could be taken for an address.
func clean(name string) string {
	name = strings.TrimSuffix(name, ".")
	if name == "" || len(name) > 253 {
		return ""
	}
	last := ""
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 {
			return ""
		}
		for i := range len(label) {
			if !inName(label[i]) {
				return ""
			}
		}
		last = label
	}
	if strings.Trim(last, "0123456789") == "" {
		return ""
	}
	return name
}

func inName(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_'
}
