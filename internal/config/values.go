package config

import (
	"fmt"
	"math"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// This file gives types to words. Each function tells what is wrong with a word
// and reports whether it can be used.

// expected tells that a word is not what a keyword takes.
func (c *checker) expected(what string, key *Keyword, w word, hint string) {
	if hint == "" && strings.Contains(w.text, "#") {
		hint = "a comment begins with # after a blank"
	}
	if hint != "" {
		hint = ": " + hint
	}
	c.fail(w.place, "expected %s after %s, found %s%s", what, key.Name, quote(w.text), hint)
}

var (
	wholeNumber = regexp.MustCompile(`^[0-9]+$`)
	thousandths = regexp.MustCompile(`^[0-9]+(\.[0-9]{1,3})?$`)
)

// number takes the number of a setting.
func (c *checker) number(s setting) (float64, bool) {
	key, w := s.key, s.args[0]
	form := wholeNumber
	if key.Argument == ArgFraction {
		form = thousandths
	}
	what := description(key)
	if !form.MatchString(w.text) {
		c.expected(what, key, w, numberHint(key, w.text))
		return 0, false
	}
	v, err := strconv.ParseFloat(w.text, 64) // beyond its range: infinity
	taken := min(max(v, key.Min), key.Max)
	switch {
	case err == nil && v == taken:
	case key.Lenient:
		c.warn(w.place, "expected %s after %s, found %s: %s is taken", what, key.Name, quote(w.text), short(taken))
	default:
		c.expected(what, key, w, "")
		return 0, false
	}
	return taken, true
}

// numberHint says how a number would be written.
func numberHint(key *Keyword, text string) string {
	switch key.Argument {
	case ArgSeconds:
		if d, err := time.ParseDuration(text); err == nil && d > 0 && d%time.Second == 0 {
			return "did you mean " + decimal(d) + "?"
		}
	case ArgFraction:
		if d, err := time.ParseDuration(text); err == nil && d > 0 {
			return "did you mean " + decimal(d.Round(timeStep)) + "?"
		}
		if _, err := strconv.ParseFloat(text, 64); err == nil && strings.Contains(text, ".") {
			return "write it with up to three decimals, such as 0.25"
		}
	}
	return ""
}

// seconds takes the time of a setting.
func (c *checker) seconds(s setting) (time.Duration, bool) {
	v, ok := c.number(s)
	return time.Duration(math.Round(v*float64(time.Second/timeStep))) * timeStep, ok
}

// toggle takes on, off, or nothing for on.
func toggle(s setting) bool { return len(s.args) == 0 || s.args[0].text == wordOn }

// isNumeric reports whether a word is meant as an address: digits and dots only.
func isNumeric(text string) bool { return text != "" && strings.Trim(text, "0123456789.") == "" }

// network takes a network; bits behind its mask are left out.
func (c *checker) network(key *Keyword, w word) (netip.Prefix, bool) {
	p, ok := parseNetwork(w.text)
	if !ok {
		c.expected(description(key), key, w, networkHint(key, w.text))
		return p, false
	}
	if p != p.Masked() {
		c.warn(w.place, "%s has bits behind its mask: %s is taken", w.text, p.Masked())
	}
	return p.Masked(), true
}

// parseNetwork reads a network with a length whose last octets may be left out.
func parseNetwork(text string) (netip.Prefix, bool) {
	address, length, _ := strings.Cut(text, "/")
	bits, err := strconv.ParseUint(length, 10, 8)
	octets := strings.Split(address, ".")
	if err != nil || len(length) > 2 || bits > addressBits || len(octets) > 4 {
		return netip.Prefix{}, false
	}
	var a [4]byte
	for i, octet := range octets {
		v, err := strconv.ParseUint(octet, 10, 8)
		if err != nil || len(octet) > 3 {
			return netip.Prefix{}, false
		}
		a[i] = byte(v)
	}
	return netip.PrefixFrom(netip.AddrFrom4(a), int(bits)), true
}

// networkHint says how a network would be written: the octets up to the last one
// that is not 0 make its length, if there is none.
func networkHint(key *Keyword, text string) string {
	if p, ok := parseNetwork(text + "/32"); ok {
		octets := p.Addr().As4()
		bits := addressBits
		for bits > shortestNetwork && octets[bits/8-1] == 0 {
			bits -= 8
		}
		return "did you mean " + netip.PrefixFrom(p.Addr(), bits).String() + "?"
	}
	if list := listWords[key.Argument]; len(list) > 0 {
		for _, known := range list {
			if text == known {
				return "it follows a network"
			}
			if distance(strings.ToLower(text), known) <= 1 {
				return "did you mean " + known + "?"
			}
		}
		if near := nearest(text, Global|OnLink); near != nil {
			return "did you mean " + near.Name + "?"
		}
	}
	return ""
}

// group takes a group address.
func (c *checker) group(s setting) (netip.Addr, bool) {
	w := s.args[0]
	a, err := netip.ParseAddr(w.text)
	if err != nil || !a.Is4() || !a.IsMulticast() {
		c.expected(description(s.key), s.key, w, "")
		return a, false
	}
	return a, true
}

// scoped is the range of administratively scoped groups (RFC 2365), local the
// groups that no router forwards.
var (
	scoped        = netip.MustParsePrefix("239.0.0.0/8")
	localGroups   = netip.MustParsePrefix("224.0.0.0/24")
	allGroups     = netip.MustParsePrefix("224.0.0.0/4")
	reserved      = netip.MustParsePrefix("240.0.0.0/4")
	thisNetwork   = netip.MustParsePrefix("0.0.0.0/8")
	loopback      = netip.MustParsePrefix("127.0.0.0/8")
	mtraceReplies = netip.AddrFrom4([4]byte{224, 0, 1, 32})
)

// scope takes the network of a boundary.
func (c *checker) scope(key *Keyword, w word) (netip.Prefix, bool) {
	p, ok := c.network(key, w)
	if !ok {
		return p, false
	}
	if !within(p, allGroups) {
		c.expected("a network of groups such as 239.255.0.0/16", key, w, "")
		return p, false
	}
	if !within(p, scoped) {
		c.warn(w.place, "boundary %s is not within %s: other routers may rely on these groups crossing the link", p, scoped)
	}
	return p, true
}

// within reports whether all of p is in q.
func within(p, q netip.Prefix) bool { return p.Bits() >= q.Bits() && q.Contains(p.Addr()) }

// subnet takes the network of a link.
func (c *checker) subnet(s setting) (netip.Prefix, bool) {
	w := s.args[0]
	p, ok := c.network(s.key, w)
	if !ok {
		return p, false
	}
	if p.Bits() < shortestNetwork || !isUnicast(p.Addr()) {
		c.expected(fmt.Sprintf("a network of hosts with a length from %d to %d", shortestNetwork, addressBits), s.key, w, "")
		return p, false
	}
	return p, true
}

// isUnicast reports whether an address can be one of a host that others reach, or
// of a network of such hosts.
func isUnicast(a netip.Addr) bool {
	return a.Is4() && !thisNetwork.Contains(a) && !loopback.Contains(a) && !allGroups.Contains(a) && !reserved.Contains(a)
}

// maskBits takes a mask.
func (c *checker) maskBits(s setting) (int, bool) {
	w := s.args[0]
	a, err := netip.ParseAddr(w.text)
	if err == nil && a.Is4() {
		for bits := shortestNetwork; bits <= addressBits; bits++ {
			if mask(bits) == a {
				return bits, true
			}
		}
	}
	hint := ""
	if bits, err := strconv.Atoi(strings.TrimPrefix(w.text, "/")); err == nil && bits >= shortestNetwork && bits <= addressBits {
		hint = "did you mean " + mask(bits).String() + "?"
	}
	c.expected(fmt.Sprintf("a mask of %d to %d ones, such as 255.255.255.0,", shortestNetwork, addressBits), s.key, w, hint)
	return 0, false
}

// mask returns the mask of a network.
func mask(bits int) netip.Addr {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{255, 255, 255, 255}), bits).Masked().Addr()
}

// iface takes the name or an address of an interface.
func (c *checker) iface(s setting) (Interface, bool) {
	w := s.args[0]
	what := "the name or an address of an interface"
	if address, _, ok := strings.Cut(w.text, "/"); ok && !w.quoted && isNumeric(address) {
		c.expected(what, s.key, w, "did you mean "+address+"?")
		return Interface{}, false
	}
	if isNumeric(w.text) && !w.quoted {
		a, err := netip.ParseAddr(w.text)
		switch {
		case err != nil:
			c.expected(what, s.key, w, "an address has four octets, a name of digits is put in quotes")
		case !isUnicast(a):
			c.expected(what, s.key, w, "it is no address of a host on a network")
		default:
			return Interface{Addr: a}, true
		}
		return Interface{}, false
	}
	if why := badInterface(w.text); why != "" {
		c.expected(what, s.key, w, why)
		return Interface{}, false
	}
	return Interface{Name: w.text}, true
}

// badInterface says why Linux has no interface of a name.
func badInterface(name string) string {
	switch {
	case name == "" || len(name) > maxInterface:
		return fmt.Sprintf("a name has 1 to %d bytes", maxInterface)
	case isIPv6(name):
		return "it is no IPv4 address"
	case strings.Contains(name, ":"):
		return "an alias has no name of its own: write its address"
	case name == "." || name == ".." || strings.ContainsAny(name, "/\"") || !isPrintable(name):
		return "a name has neither blanks nor slashes nor quotes"
	}
	return ""
}

func isIPv6(text string) bool {
	a, err := netip.ParseAddr(text)
	return err == nil && a.Is6()
}

func isPrintable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) })
}

// host takes the address or name of the other end of a tunnel.
func (c *checker) host(key *Keyword, w word) (Host, bool) {
	what := "the address or name of the other end"
	if isNumeric(w.text) {
		a, err := netip.ParseAddr(w.text)
		switch {
		case err != nil:
			c.expected(what, key, w, "an address has four octets")
		case !isUnicast(a):
			c.expected(what, key, w, "it is no address of a host on a network")
		default:
			return Host{Addr: a}, true
		}
		return Host{}, false
	}
	if address, _, ok := strings.Cut(w.text, "/"); ok && isNumeric(address) {
		c.expected(what, key, w, "did you mean "+address+"?")
		return Host{}, false
	}
	name := strings.ToLower(strings.TrimSuffix(w.text, "."))
	switch {
	case isIPv6(name):
		c.expected(what, key, w, "it is no IPv4 address")
	case !isHostName(name):
		c.expected(what, key, w, "a host name has letters, digits and hyphens between dots")
	default:
		return Host{Name: name}, true
	}
	return Host{}, false
}

func isHostName(name string) bool {
	if len(name) > maxHost || isNumeric(name) {
		return false
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > maxLabel || label[0] == '-' ||
			strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return false
		}
	}
	return true
}

// boundaryName takes a name for a boundary.
func (c *checker) boundaryName(key *Keyword, w word) bool {
	if w.text == "" || len(w.text) > maxBoundary || strings.ContainsAny(w.text, "/\"") || isNumeric(w.text) || !isPrintable(w.text) {
		c.expected("a name for the boundary", key, w,
			fmt.Sprintf("a name has 1 to %d bytes, not only digits, and neither blanks nor slashes nor quotes", maxBoundary))
		return false
	}
	return true
}
