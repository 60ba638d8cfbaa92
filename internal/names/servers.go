package names

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// A server that failed often enough in a row is left alone for a while: a long
// list of addresses does not wait for it again and again.
const (
	maxFailures = 3
	leftAlone   = 30 * time.Second
)

// servers are the name servers in the order of the configuration.
type servers struct{ all []*server }

// server is one name server.
type server struct {
	addr string

	mu       sync.Mutex
	failures int // in a row
	until    time.Time
}

// usable reports whether any server is worth asking.
func (s *servers) usable(now time.Time) bool {
	return slices.ContainsFunc(s.all, func(s *server) bool { return !s.alone(now) })
}

// silence is the error of servers that say nothing.
func (s *servers) silence() error {
	var all []string
	for _, x := range s.all {
		all = append(all, x.addr)
	}
	return fmt.Errorf("name server %s: %w", strings.Join(all, ", "), errSilent)
}

// order returns the servers, those that failed last.
func (s *servers) order(now time.Time) []*server {
	var good, bad []*server
	for _, x := range s.all {
		if x.alone(now) {
			bad = append(bad, x)
		} else {
			good = append(good, x)
		}
	}
	return append(good, bad...)
}

// alone reports whether the server is left alone at now.
func (s *server) alone(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return now.Before(s.until)
}

// note counts what became of a question.
func (s *server) note(err error, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		s.failures = 0
		return
	}
	if s.failures++; s.failures >= maxFailures {
		s.until = now.Add(leftAlone)
		s.failures = 0
	}
}

var (
	errForged = errors.New("the answer is to another question")
	errSilent = errors.New("no answer")
)

// exchange puts a question to the server: by UDP and, if the answer does not
// fit, by TCP.
func (s *server) exchange(ctx context.Context, ask *dns.Msg, timeout time.Duration) (*dns.Msg, error) {
	var answer *dns.Msg
	var err error
	for _, network := range []string{"udp", "tcp"} {
		answer, err = s.try(ctx, ask, network, timeout)
		if err != nil || !answer.Truncated {
			break
		}
	}
	s.note(err, time.Now())
	return answer, err
}

func (s *server) try(ctx context.Context, ask *dns.Msg, network string, timeout time.Duration) (*dns.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	client := &dns.Client{Net: network, Timeout: timeout, UDPSize: udpSize}
	ask = ask.Copy()
	ask.Id = dns.Id() // a late answer to an earlier try does not match
	answer, _, err := client.ExchangeContext(ctx, ask, s.addr)
	if e, ok := errors.AsType[net.Error](err); ok && e.Timeout() {
		return nil, errSilent
	}
	if e, ok := errors.AsType[*os.SyscallError](err); ok {
		err = e.Err // the rest says what is known: the addresses
	}
	if err != nil {
		return nil, err
	}
	if len(answer.Question) != 1 || answer.Question[0].Qtype != ask.Question[0].Qtype ||
		!equalName(answer.Question[0].Name, ask.Question[0].Name) {
		return nil, errForged
	}
	return answer, nil
}

func equalName(a, b string) bool { return dns.CanonicalName(a) == dns.CanonicalName(b) }
