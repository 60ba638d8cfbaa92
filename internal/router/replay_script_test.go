package router_test

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"mbone/internal/router/host"
)

// script says what a router of a recorded network hears besides the recording, and
// what it must send.
type script struct {
	router     string
	epoch      time.Time
	faces      []*face
	statements []statement // in the order of time
}

// face is an interface of the router.
type face struct {
	id      host.Interface
	name    string
	lan     string // "-": not recorded
	address netip.Addr
	network netip.Prefix
	metric  uint8
	up      bool
}

// statement is a line with a time.
type statement struct {
	line   int
	at     time.Duration // since the epoch
	window window
	verb   string
	face   *face
	addrs  []netip.Addr
	on     bool
	routes []toldRoute
	// outputs are those of an entry.
	outputs []host.Interface
	// Of a message that is to be sent:
	from, to netip.Addr
	message  string
}

// window is when something may happen; set is whether the script said so.
type window struct {
	from, to time.Duration // since the epoch
	set      bool
}

// toldRoute is a network with the metric that is told.
type toldRoute struct {
	net    netip.Prefix
	metric uint8
}

func (s *script) face(name string) *face {
	for _, f := range s.faces {
		if f.name == name {
			return f
		}
	}
	return nil
}

// owner is the interface with this address, nil if there is none.
func (s *script) owner(a netip.Addr) *face {
	for _, f := range s.faces {
		if f.address == a {
			return f
		}
	}
	return nil
}

// parseScript reads a script. Each group of statements with a time must follow a
// comment, the reason.
func parseScript(text string) (*script, error) {
	s := &script{}
	reason := false
	n := 0
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimSpace(line)
		words := strings.Fields(line)
		fail := func(format string, args ...any) (*script, error) {
			return nil, fmt.Errorf("line %d: %s: %q", n, fmt.Sprintf(format, args...), line)
		}
		switch {
		case len(words) == 0:
			reason = false
			continue
		case words[0][0] == '#':
			reason = true
			continue
		case words[0] == "router" && len(words) == 2:
			s.router = words[1]
			continue
		case words[0] == "epoch" && len(words) == 2:
			seconds, err := strconv.ParseInt(words[1], 10, 64)
			if err != nil {
				return fail("%v", err)
			}
			s.epoch = time.Unix(seconds, 0)
			continue
		case words[0] == "interface":
			f, err := parseFace(words[1:])
			if err != nil {
				return fail("%v", err)
			}
			f.id = host.Interface(len(s.faces) + 1)
			s.faces = append(s.faces, f)
			continue
		}
		st, err := s.parseStatement(words)
		if err != nil {
			return fail("%v", err)
		}
		st.line = n
		if !reason && st.verb != "end" {
			return fail("no reason is given")
		}
		if len(s.statements) > 0 && st.at < s.statements[len(s.statements)-1].at && st.verb != "send" {
			return fail("goes back in time")
		}
		s.statements = append(s.statements, st)
	}
	return s, nil
}

func parseFace(words []string) (*face, error) {
	if len(words) != 3 && (len(words) != 5 || words[3] != "metric") {
		return nil, fmt.Errorf("want: interface NAME LAN ADDRESS/BITS [metric N]")
	}
	p, err := netip.ParsePrefix(words[2])
	if err != nil {
		return nil, err
	}
	f := &face{name: words[0], lan: words[1], address: p.Addr(), network: p.Masked(), metric: 1}
	if len(words) == 5 {
		metric, err := strconv.ParseUint(words[4], 10, 8)
		if err != nil {
			return nil, err
		}
		f.metric = uint8(metric)
	}
	return f, nil
}

// What may take how long, and how often the periodic messages come.
const (
	changeTakes = 50 * time.Millisecond
	tableTakes  = 100 * time.Millisecond
	probeTakes  = 500 * time.Millisecond

	probeAtLeast, probeAtMost = 9375 * time.Millisecond, 10500 * time.Millisecond
	routeAtLeast, routeAtMost = 50 * time.Second, 70 * time.Second
)

func (s *script) parseStatement(words []string) (st statement, err error) {
	if len(words) < 2 {
		return st, fmt.Errorf("no statement")
	}
	at, after, ranged := strings.Cut(words[0], "+")
	if st.at, err = parseSeconds(at); err != nil {
		return st, err
	}
	st.verb, words = words[1], words[2:]
	takes := changeTakes
	switch st.verb {
	case "probe":
		takes = probeTakes
	case "table":
		takes = tableTakes
	}
	st.window = window{st.at, st.at + takes, false}
	if ranged {
		low, high, ok := strings.Cut(after, "..")
		from, err1 := parseSeconds(low)
		to, err2 := parseSeconds(high)
		if !ok || err1 != nil || err2 != nil {
			return st, fmt.Errorf("times: want T+A..B")
		}
		st.window = window{st.at + from, st.at + to, true}
	}
	switch st.verb {
	case "hears", "probe", "table", "has", "routes", "up", "down", "data", "stops", "alone":
		if len(words) == 0 || s.face(words[0]) == nil {
			return st, fmt.Errorf("no such interface")
		}
		st.face, words = s.face(words[0]), words[1:]
	}
	switch st.verb {
	case "start", "shutdown", "end", "probe", "table", "up", "down", "alone":
	case "leaf":
		st.on = len(words) == 1 && words[0] == "on"
	case "hears", "data", "stops":
		for _, w := range words {
			a, err := netip.ParseAddr(w)
			if err != nil {
				return st, err
			}
			st.addrs = append(st.addrs, a)
		}
		if st.verb != "hears" && len(st.addrs) != 2 {
			return st, fmt.Errorf("want: %s INTERFACE SOURCE GROUP", st.verb)
		}
	case "forwards":
		if len(words) < 2 {
			return st, fmt.Errorf("want: forwards SOURCE GROUP [INTERFACE...]")
		}
		for _, w := range words[:2] {
			a, err := netip.ParseAddr(w)
			if err != nil {
				return st, err
			}
			st.addrs = append(st.addrs, a)
		}
		for _, w := range words[2:] {
			f := s.face(w)
			if f == nil {
				return st, fmt.Errorf("no such interface")
			}
			st.outputs = append(st.outputs, f.id)
		}
	case "has", "routes":
		for _, w := range words {
			net, metric, _ := strings.Cut(w, "=")
			p, err1 := netip.ParsePrefix(net)
			m, err2 := strconv.ParseUint(metric, 10, 8)
			if err1 != nil || err2 != nil {
				return st, fmt.Errorf("want NET=METRIC, got %q", w)
			}
			st.routes = append(st.routes, toldRoute{p, uint8(m)})
		}
	case "send":
		if len(words) < 4 || words[1] != ">" {
			return st, fmt.Errorf("want: send FROM > TO MESSAGE")
		}
		if st.from, err = netip.ParseAddr(words[0]); err != nil {
			return st, err
		}
		if st.to, err = netip.ParseAddr(words[2]); err != nil {
			return st, err
		}
		st.message = strings.Join(words[3:], " ")
	default:
		return st, fmt.Errorf("no such statement")
	}
	return st, nil
}

// parseSeconds reads seconds with a fraction, exactly.
func parseSeconds(s string) (time.Duration, error) { return time.ParseDuration(s + "s") }
