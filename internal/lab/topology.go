package lab

import (
	"embed"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Limits of topology files.
const (
	maxTopology  = 1 << 20 // bytes
	maxProblems  = 20      // errors that are told at once
	minMTU       = 68      // RFC 791
	maxMTU       = 65535
	maxTTL       = 254 // a greater threshold never forwards
	maxProtocol  = 255
	maxMetric    = 1 << 30
	defaultRoute = "default"
	loopback     = "lo"
)

// Topology describes a network. [Parse] reads one from text, [Topology.String]
// writes it, [Build] brings it up.
type Topology struct {
	LANs  []LANSpec
	Hosts []HostSpec
}

//go:embed topologies/*.lab
var samples embed.FS

// Sample returns the text of a topology that comes with the program: "row",
// three routers that forward one flow, "demo", the network of mroutd lab demo, or
// "lab-14-1", four routers in a ring. It panics for another name.
func Sample(name string) string {
	b, err := samples.ReadFile("topologies/" + name + ".lab")
	if err != nil {
		panic(err)
	}
	return string(b)
}

// LANSpec is a LAN of a topology.
type LANSpec struct {
	Name string
	MTU  int // bytes; 0: 1500
}

// HostSpec is a host of a topology with all that belongs to it. Its parts are
// set up in the order of its fields, the programs of all hosts last.
type HostSpec struct {
	Name       string
	Interfaces []InterfaceSpec
	Sysctls    []Sysctl
	Routes     []Route
	Losses     []LossSpec
	Forwards   []Forward
	Private    []string // directories, see [Host.Private]
	Files      []FileSpec
	Programs   [][]string // with their arguments
}

// Sysctl is a kernel parameter of a host.
type Sysctl struct{ Key, Value string }

// InterfaceSpec is an interface of a host.
type InterfaceSpec struct {
	Name      string
	LAN       string // "" only for lo
	Addresses []netip.Prefix
}

// LossSpec is what the wire of an interface loses in one direction.
type LossSpec struct {
	Interface string
	Direction Direction
	Loss      Loss
}

// Forward is a static entry of the kernel's multicast forwarding cache.
type Forward struct {
	Source, Group netip.Addr
	From          string // incoming interface
	To            []ForwardOutput
}

// ForwardOutput is an interface that packets with a TTL above Threshold leave by.
type ForwardOutput struct {
	Interface string
	Threshold uint8 // 1 to 254
}

// FileSpec is a file that only the host sees.
type FileSpec struct {
	Path string
	Data string // whole lines
}

// SyntaxError is one problem of a topology file.
type SyntaxError struct {
	File         string
	Line, Column int // from 1; columns count bytes
	Text         string
}

// Error returns file:line:column: text.
func (e *SyntaxError) Error() string {
	return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Column, e.Text)
}

// Load parses a topology file. If there is no such file, but a sample of that
// name (see [Sample]), it is taken.
func Load(path string) (*Topology, error) {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		if text, err := samples.ReadFile("topologies/" + path + ".lab"); err == nil {
			return Parse(path, text)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("lab: topology: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxTopology+1))
	if err != nil {
		return nil, fmt.Errorf("lab: topology: %w", err)
	}
	return Parse(path, text)
}

// Parse reads a topology. Each line is a statement; # begins a comment; words
// are separated by blanks; a word with blanks or other special characters is
// quoted as in Go. Statements about a host follow its host line.
//
//	lan NAME [mtu BYTES]
//	host NAME
//	  interface NAME on LAN [ADDRESS/BITS]...
//	  interface lo ADDRESS/BITS...
//	  sysctl KEY VALUE
//	  route [unicast|local|blackhole|unreachable] PREFIX|default [via GATEWAY] [dev INTERFACE] [metric N]
//	  loss INTERFACE in|out PERCENT [protocol udp|tcp|icmp|igmp|pim|NUMBER] [source PREFIX] [destination PREFIX]
//	  forward SOURCE GROUP from INTERFACE to INTERFACE[:TTL]...
//	  private DIRECTORY...
//	  file PATH << END
//	  ...
//	  END
//	  run PROGRAM [ARGUMENT]...
//
// name stands for the file in errors. All problems are told, up to a limit:
// they are *[SyntaxError] values, joined. docs/topology.md explains the statements.
func Parse(name string, text []byte) (*Topology, error) {
	p := &parser{file: name, topology: &Topology{}, seen: make(map[string]bool)}
	if len(text) > maxTopology {
		p.line, p.column = 1, 1
		p.fail("a topology has at most %d bytes", maxTopology)
		return nil, p.problems[0]
	}
	p.lines = strings.Split(string(text), "\n")
	for p.line < len(p.lines) && len(p.problems) < maxProblems {
		p.line++
		p.statement(p.lines[p.line-1])
		p.line, p.skip = p.line+p.skip, 0
	}
	for _, f := range p.later {
		if len(p.problems) < maxProblems {
			f()
		}
	}
	if len(p.problems) > 0 {
		slices.SortStableFunc(p.problems, func(a, b *SyntaxError) int { return a.Line - b.Line })
		errs := make([]error, len(p.problems))
		for i, e := range p.problems {
			errs[i] = e
		}
		return nil, errors.Join(errs...)
	}
	return p.topology, nil
}

// A parser goes through the lines once. Names are looked up at the end, so that
// they may be used before they are defined.
type parser struct {
	file     string
	lines    []string
	line     int // number of the current one
	skip     int // lines after it that are no statements
	column   int // of the last word taken
	words    []word
	end      int // the column behind the last word of the line
	topology *Topology
	host     *HostSpec // that statements belong to
	failed   bool      // the current statement has a problem
	seen     map[string]bool
	later    []func()
	problems []*SyntaxError
}

type word struct {
	text   string
	column int
}

func (p *parser) fail(format string, args ...any) {
	if p.failed { // the first problem of a statement is the cause of the others
		return
	}
	p.failed = true
	p.problems = append(p.problems, &SyntaxError{p.file, p.line, p.column, fmt.Sprintf(format, args...)})
}

// atEnd has fn called at the end, with the position of the last word, unless the
// statement has a problem already.
func (p *parser) atEnd(fn func()) {
	if p.failed {
		return
	}
	line, column := p.line, p.column
	p.later = append(p.later, func() {
		p.line, p.column, p.failed = line, column, false
		fn()
	})
}

// unique complains if name was seen before in its kind.
func (p *parser) unique(kind, name string) {
	key := kind + "\x00" + name
	if p.seen[key] {
		p.fail("%s %s is there already", kind, name)
	}
	p.seen[key] = true
}

// split cuts a line into words.
func (p *parser) split(line string) {
	p.words = p.words[:0]
	for i := 0; i < len(line); {
		switch line[i] {
		case ' ', '\t', '\r':
			i++
		case '#':
			return
		case '"':
			quoted, err := strconv.QuotedPrefix(line[i:])
			p.column = i + 1
			if err != nil {
				p.fail("expected a word in quotes that ends on this line")
				return
			}
			text, err := strconv.Unquote(quoted)
			if err != nil || strings.ContainsRune(text, 0) {
				p.fail("expected a word in quotes without NUL")
				return
			}
			p.words = append(p.words, word{text, i + 1})
			i += len(quoted)
			p.end = i + 1
		default:
			end := i
			for end < len(line) && !strings.ContainsRune(" \t\r\"", rune(line[end])) {
				if line[end] < ' ' || line[end] == 0x7f {
					p.column = end + 1
					p.fail("unexpected control character %q", line[end])
					return
				}
				end++
			}
			p.words = append(p.words, word{line[i:end], i + 1})
			i = end
			p.end = i + 1
		}
	}
}

// next takes a word. what describes what is expected, for the error.
func (p *parser) next(what string) string {
	if p.failed {
		return ""
	}
	if len(p.words) == 0 {
		p.column = p.end
		p.fail("expected %s, found the end of the line", what)
		return ""
	}
	w := p.words[0]
	p.words, p.column = p.words[1:], w.column
	return w.text
}

// more reports whether the statement goes on.
func (p *parser) more() bool { return !p.failed && len(p.words) > 0 }

// optional takes a word if it is the next one.
func (p *parser) optional(text string) bool {
	if p.more() && p.words[0].text == text {
		p.next(text)
		return true
	}
	return false
}

func (p *parser) keyword(text string) {
	if got := p.next(quote(text)); got != text {
		p.fail("expected %q, found %q", text, got)
	}
}

func quote(s string) string { return strconv.Quote(s) }

func (p *parser) name(what string, limit int) string {
	name := p.next(what)
	if err := checkName(name, limit); err != nil {
		p.fail("expected %s, found %q: %v", what, name, err)
	}
	return name
}

func (p *parser) number(what string, low, high int) int {
	text := p.next(what)
	n, err := strconv.Atoi(text)
	if err != nil || n < low || n > high {
		p.fail("expected %s from %d to %d, found %q", what, low, high, text)
	}
	return n
}

func (p *parser) addr(what string) netip.Addr {
	text := p.next(what)
	a, err := netip.ParseAddr(text)
	if err != nil || !a.Is4() {
		p.fail("expected %s such as 192.0.2.1, found %q", what, text)
	}
	return a
}

// prefix takes ADDRESS/BITS; a network has no bits of a host.
func (p *parser) prefix(what string, network bool) netip.Prefix {
	text := p.next(what)
	n, err := netip.ParsePrefix(text)
	switch {
	case err != nil || !n.Addr().Is4():
		p.fail("expected %s such as 192.0.2.0/24, found %q", what, text)
	case network && n != n.Masked():
		p.fail("expected %s, found %s, which has bits behind its mask: did you mean %s?", what, text, n.Masked())
	}
	return n
}

// iface takes the name of an interface of the current host.
func (p *parser) iface(what string) string {
	name := p.name(what, maxInterface)
	p.needIface(name)
	return name
}

func (p *parser) needIface(name string) {
	host := p.host.Name
	p.atEnd(func() {
		h := p.findHost(host)
		if name != loopback && !slices.ContainsFunc(h.Interfaces, func(i InterfaceSpec) bool { return i.Name == name }) {
			p.fail("host %s has no interface %s", host, name)
		}
	})
}

func (p *parser) findHost(name string) *HostSpec {
	i := slices.IndexFunc(p.topology.Hosts, func(h HostSpec) bool { return h.Name == name })
	return &p.topology.Hosts[i]
}

// hostStatements are the statements about a host.
var hostStatements = map[string]func(*parser){
	"interface": (*parser).interfaceStatement,
	"sysctl":    (*parser).sysctlStatement,
	"route":     (*parser).routeStatement,
	"loss":      (*parser).lossStatement,
	"forward":   (*parser).forwardStatement,
	"private":   (*parser).privateStatement,
	"file":      (*parser).fileStatement,
	"run":       (*parser).runStatement,
}

func (p *parser) statement(line string) {
	p.failed = false
	p.split(line)
	if p.failed || len(p.words) == 0 {
		return
	}
	keyword := p.next("a statement")
	handle := hostStatements[keyword]
	switch {
	case keyword == "lan":
		p.lanStatement()
	case keyword == "host":
		p.hostStatement()
	case handle == nil:
		p.fail("expected lan, host, interface, sysctl, route, loss, forward, private, file or run, found %q", keyword)
	case p.host == nil:
		p.fail("%s belongs to a host: expected a host line before it", keyword)
	default:
		handle(p)
	}
	if p.more() {
		p.fail("expected the end of the line, found %q", p.next(""))
	}
}

func (p *parser) lanStatement() {
	lan := LANSpec{Name: p.name("the name of a LAN", maxName)}
	p.unique("LAN", lan.Name)
	if p.optional("mtu") {
		lan.MTU = p.number("an MTU", minMTU, maxMTU)
	}
	p.host = nil
	p.topology.LANs = append(p.topology.LANs, lan)
}

func (p *parser) hostStatement() {
	name := p.name("the name of a host", maxName)
	p.unique("host", name)
	p.topology.Hosts = append(p.topology.Hosts, HostSpec{Name: name})
	p.host = &p.topology.Hosts[len(p.topology.Hosts)-1]
}

func (p *parser) interfaceStatement() {
	i := InterfaceSpec{Name: p.name("the name of an interface", maxInterface)}
	p.unique("interface", p.host.Name+":"+i.Name)
	if i.Name != loopback {
		p.keyword("on")
		i.LAN = p.name("the name of a LAN", maxName)
		p.atEnd(func() {
			if !slices.ContainsFunc(p.topology.LANs, func(l LANSpec) bool { return l.Name == i.LAN }) {
				p.fail("there is no LAN %s", i.LAN)
			}
		})
	}
	for p.more() {
		a := p.prefix("an address with its prefix length", false)
		if a.Addr().IsMulticast() || a.Addr().IsUnspecified() {
			p.fail("expected an address of a host, found %s", a)
		}
		if i.LAN != "" { // an address of lo may be in many hosts: anycast
			p.unique("on LAN "+i.LAN+", address", a.Addr().String())
		}
		i.Addresses = append(i.Addresses, a)
	}
	p.host.Interfaces = append(p.host.Interfaces, i)
}

func (p *parser) sysctlStatement() {
	s := Sysctl{Key: p.next("the name of a kernel parameter")}
	if _, err := sysctlPath(s.Key); err != nil {
		p.fail("%v", err)
	}
	s.Value = p.next("a value")
	p.host.Sysctls = append(p.host.Sysctls, s)
}

func (p *parser) routeStatement() {
	r := Route{Type: Unicast}
	for _, t := range []RouteType{Unicast, Local, Blackhole, Unreachable} {
		if p.optional(t.String()) {
			r.Type = t
			break
		}
	}
	r.Destination = netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	if !p.optional(defaultRoute) {
		r.Destination = p.prefix("a network", true)
	}
	if r.Type == Unicast && p.optional("via") {
		r.Via = p.addr("the address of a gateway")
	}
	if (r.Type == Unicast || r.Type == Local) && p.optional("dev") {
		r.Interface = p.iface("an interface")
	}
	if p.optional("metric") {
		r.Metric = p.number("a metric", 0, maxMetric)
	}
	if r.Type == Unicast && !r.Via.IsValid() && r.Interface == "" {
		p.fail(`expected "via" or "dev", found %q`, p.next(`"via" or "dev"`))
	}
	p.host.Routes = append(p.host.Routes, r)
}

var protocols = []struct {
	name   string
	number uint8
}{{"icmp", 1}, {"igmp", 2}, {"tcp", 6}, {"udp", 17}, {"pim", 103}}

func (p *parser) lossStatement() {
	l := LossSpec{Interface: p.iface("an interface")}
	switch d := p.next(`"in" or "out"`); d {
	case In.String():
	case Out.String():
		l.Direction = Out
	default:
		p.fail(`expected "in" or "out", found %q`, d)
	}
	if l.Interface == loopback {
		p.fail("lo has no wire that could lose packets")
	}
	p.unique("loss of", p.host.Name+":"+l.Interface+" "+l.Direction.String())
	text := p.next("a percentage")
	percent, err := strconv.ParseFloat(strings.TrimSuffix(text, "%"), 64)
	l.Loss.Percent = percent
	if err != nil || l.Loss.check() != nil {
		p.fail("expected a percentage from 0%% to 100%%, found %q", text)
	}
	if p.optional("protocol") {
		l.Loss.Protocol = p.protocol()
	}
	if p.optional("source") {
		l.Loss.Source = p.prefix("a network", true)
	}
	if p.optional("destination") {
		l.Loss.Destination = p.prefix("a network", true)
	}
	p.host.Losses = append(p.host.Losses, l)
}

func (p *parser) protocol() uint8 {
	for _, k := range protocols {
		if p.optional(k.name) {
			return k.number
		}
	}
	return uint8(p.number("udp, tcp, icmp, igmp, pim or a protocol number", 1, maxProtocol))
}

func (p *parser) forwardStatement() {
	f := Forward{Source: p.addr("the address of a source")}
	if f.Source.IsMulticast() || f.Source.IsUnspecified() {
		p.fail("expected the address of a source, found %s", f.Source)
	}
	f.Group = p.addr("a group")
	switch {
	case !f.Group.IsMulticast():
		p.fail("expected a group such as 239.1.2.3, found %q", f.Group)
	case f.Group.IsLinkLocalMulticast():
		p.fail("groups in 224.0.0.0/24 such as %s are never forwarded", f.Group)
	}
	p.unique("in host "+p.host.Name+", the entry for", f.Source.String()+" "+f.Group.String())
	p.keyword("from")
	f.From = p.iface("the incoming interface")
	p.keyword("to")
	for first := true; first || p.more(); first = false {
		text := p.next("an outgoing interface")
		name, ttl, hasTTL := strings.Cut(text, ":")
		o := ForwardOutput{Interface: name, Threshold: 1}
		if hasTTL {
			n, err := strconv.Atoi(ttl)
			if err != nil || n < 1 || n > maxTTL {
				p.fail("expected INTERFACE:TTL with a TTL from 1 to %d, found %q", maxTTL, text)
			}
			o.Threshold = uint8(n)
		}
		if err := checkName(name, maxInterface); err != nil {
			p.fail("expected an outgoing interface, found %q: %v", text, err)
		}
		if name == f.From || slices.ContainsFunc(f.To, func(o ForwardOutput) bool { return o.Interface == name }) {
			p.fail("interface %s is there already", name)
		}
		p.needIface(name)
		f.To = append(f.To, o)
	}
	p.host.Forwards = append(p.host.Forwards, f)
}

func (p *parser) path(what string) string {
	path := p.next(what)
	if !filepath.IsAbs(path) || path != filepath.Clean(path) || path == "/" {
		p.fail("expected %s that begins with / and has no . or .., found %q", what, path)
	}
	return path
}

func (p *parser) privateStatement() {
	for first := true; first || p.more(); first = false {
		dir := p.path("a directory")
		p.unique("in host "+p.host.Name+", private directory", dir)
		p.host.Private = append(p.host.Private, dir)
	}
}

func (p *parser) fileStatement() {
	// The lines of the file are no statements, whatever is wrong with this one.
	var lines []string
	ended := true
	if n := len(p.words); n >= 2 && p.words[n-2].text == "<<" {
		lines, ended = p.upTo(p.words[n-1].text)
	}
	f := FileSpec{Path: p.path("a path")}
	p.unique("in host "+p.host.Name+", file", f.Path)
	host := p.host.Name
	p.atEnd(func() {
		if !isPrivate(p.findHost(host).Private, f.Path) {
			p.fail("%s is not below /run or a private directory of the host", f.Path)
		}
	})
	p.keyword("<<")
	end := p.next("the word that ends the file")
	if !ended {
		p.fail("expected a line %q after the lines of the file, found the end", end)
	}
	for _, l := range lines {
		f.Data += l + "\n"
	}
	p.host.Files = append(p.host.Files, f)
}

// upTo takes lines until one that says end, which is taken too.
func (p *parser) upTo(end string) (lines []string, ended bool) {
	rest := p.lines[p.line:]
	i := slices.IndexFunc(rest, func(s string) bool { return strings.TrimSpace(s) == end })
	if i < 0 {
		p.skip = len(rest)
		return nil, false
	}
	p.skip = i + 1
	return rest[:i], true
}

func (p *parser) runStatement() {
	args := []string{p.next("a program")}
	if args[0] == "" {
		p.fail("expected a program, found %q", "")
	}
	for p.more() {
		args = append(args, p.next(""))
	}
	p.host.Programs = append(p.host.Programs, args)
}

// String returns the topology in the form that [Parse] reads.
func (t *Topology) String() string {
	var b strings.Builder
	line := func(words ...string) {
		b.WriteString(strings.Join(words, " "))
		b.WriteByte('\n')
	}
	for _, l := range t.LANs {
		if l.MTU != 0 {
			line("lan", l.Name, "mtu", strconv.Itoa(l.MTU))
		} else {
			line("lan", l.Name)
		}
	}
	for _, h := range t.Hosts {
		line("\nhost", h.Name)
		h.write(func(words ...string) { line(" ", strings.Join(words, " ")) })
		for _, f := range h.Files {
			end := "END"
			for slices.ContainsFunc(strings.Split(f.Data, "\n"), func(s string) bool { return strings.TrimSpace(s) == end }) {
				end += "_"
			}
			line("  file", plain(f.Path), "<<", end)
			b.WriteString(f.Data)
			line("  " + end)
		}
		for _, args := range h.Programs {
			words := []string{"  run"}
			for _, a := range args {
				words = append(words, plain(a))
			}
			line(words...)
		}
	}
	return b.String()
}

// write gives line the statements before files and programs.
func (h *HostSpec) write(line func(words ...string)) {
	for _, i := range h.Interfaces {
		words := []string{"interface", i.Name}
		if i.LAN != "" {
			words = append(words, "on", i.LAN)
		}
		for _, a := range i.Addresses {
			words = append(words, a.String())
		}
		line(words...)
	}
	for _, s := range h.Sysctls {
		line("sysctl", plain(s.Key), plain(s.Value))
	}
	for _, r := range h.Routes {
		words := []string{"route"}
		if r.Type != 0 && r.Type != Unicast {
			words = append(words, r.Type.String())
		}
		if r.Destination.Bits() == 0 {
			words = append(words, defaultRoute)
		} else {
			words = append(words, r.Destination.String())
		}
		if r.Via.IsValid() {
			words = append(words, "via", r.Via.String())
		}
		if r.Interface != "" {
			words = append(words, "dev", r.Interface)
		}
		if r.Metric != 0 {
			words = append(words, "metric", strconv.Itoa(r.Metric))
		}
		line(words...)
	}
	for _, l := range h.Losses {
		words := []string{"loss", l.Interface, l.Direction.String(), strconv.FormatFloat(l.Loss.Percent, 'f', -1, 64) + "%"}
		if l.Loss.Protocol != 0 {
			words = append(words, "protocol", protocolName(l.Loss.Protocol))
		}
		if l.Loss.Source.IsValid() {
			words = append(words, "source", l.Loss.Source.String())
		}
		if l.Loss.Destination.IsValid() {
			words = append(words, "destination", l.Loss.Destination.String())
		}
		line(words...)
	}
	for _, f := range h.Forwards {
		words := []string{"forward", f.Source.String(), f.Group.String(), "from", f.From, "to"}
		for _, o := range f.To {
			if o.Threshold == 1 {
				words = append(words, o.Interface)
			} else {
				words = append(words, fmt.Sprintf("%s:%d", o.Interface, o.Threshold))
			}
		}
		line(words...)
	}
	if len(h.Private) > 0 {
		words := []string{"private"}
		for _, dir := range h.Private {
			words = append(words, plain(dir))
		}
		line(words...)
	}
}

func protocolName(number uint8) string {
	for _, k := range protocols {
		if k.number == number {
			return k.name
		}
	}
	return strconv.Itoa(int(number))
}

// plain quotes a word if it has to be.
func plain(s string) string {
	if s == "" || s[0] == '#' || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == '"' || r >= 0x7f }) {
		return strconv.Quote(s)
	}
	return s
}
