package config

import (
	"net/netip"
	"strings"
)

// checker makes a configuration of statements.
type checker struct {
	*problems
	config  *Config
	names   map[string]namedBoundary
	set     map[string]place // settings for all that were given, by slot
	targets []*target
}

// namedBoundary is what a name stands for, and where that is said.
type namedBoundary struct {
	groups netip.Prefix
	place
}

// target is a phyint or tunnel that options are applied to, and where the file
// says what.
type target struct {
	phyint *Phyint // one of the two
	tunnel *Tunnel
	kind   string // phyint or tunnel
	at     place
	local  place            // of the interface
	remote place            // of the other end
	set    map[string]place // options that were given, by slot
	// altNets are the places of the networks of the phyint.
	altNets []place
}

func (t *target) link() *Link {
	if t.tunnel != nil {
		return &t.tunnel.Link
	}
	return &t.phyint.Link
}

// check gives types to statements, and compares them.
func check(statements []statement, p *problems) *Config {
	c := &checker{problems: p, config: Default(), names: make(map[string]namedBoundary), set: make(map[string]place)}
	// Settings come first wherever they stand, since links take them over.
	var links []statement
	for _, s := range statements {
		switch {
		case s.key.Name == "phyint" || s.key.Name == "tunnel":
			links = append(links, s)
		case c.meant(s.setting, c.set):
			c.setting(s.setting)
		}
	}
	c.igmp()
	for _, s := range links {
		if len(c.targets) == maxLinks {
			c.fail(s.at.place, "expected at most %d phyints and tunnels: remove those from here on", maxLinks)
			break
		}
		t := c.target(s)
		if t == nil {
			t = c.discarded(s)
		}
		for _, option := range s.options {
			if c.meant(option, t.set) {
				c.option(option, t)
			}
		}
	}
	for _, t := range c.targets {
		if t.phyint != nil {
			c.config.Phyints = append(c.config.Phyints, *t.phyint)
		} else {
			c.config.Tunnels = append(c.config.Tunnels, *t.tunnel)
		}
	}
	c.links(statements)
	return c.config
}

// meant reports whether a keyword means something, and tells what it replaces.
func (c *checker) meant(s setting, set map[string]place) bool {
	switch {
	case s.key.Refused != "":
		c.fail(s.at.place, "%s is not supported: %s", s.at.text, s.key.Refused)
		return false
	case s.key.Ignored != "":
		c.warn(s.at.place, "%s is ignored: %s", s.at.text, s.key.Ignored)
		return false
	}
	slot := s.key.slot()
	before, given := set[slot]
	switch {
	case !given || s.key.Repeats:
	case s.key.Argument == ArgNone && s.key.Name == slot:
		c.warn(s.at.place, "%s is there already, in line %d: remove one of the two", s.key.Name, before.line)
	default:
		c.warn(s.at.place, "%s replaces what line %d says: remove one of the two", s.key.Name, before.line)
	}
	set[slot] = s.at.place
	return true
}

// target returns what the options of a phyint or tunnel are applied to, or nil.
func (c *checker) target(s statement) *target {
	local, ok := c.iface(s.setting)
	t := &target{kind: s.key.Name, at: s.at.place, local: s.args[0].place, set: make(map[string]place)}
	at := c.position(t.at)
	if t.kind == "phyint" {
		if !ok {
			return nil
		}
		for _, o := range c.targets {
			if o.phyint != nil && o.phyint.Interface == local {
				c.warn(t.local, "%s has a phyint in line %d: the options of both are taken, put them together", local, o.at.line)
				return o
			}
		}
		p := c.config.DefaultPhyint()
		p.At, p.Interface = at, local
		t.phyint = &p
	} else {
		remote, remoteOK := c.host(s.key, s.args[1])
		if !ok || !remoteOK {
			return nil
		}
		tunnel := c.config.defaultTunnel()
		tunnel.At, tunnel.Local, tunnel.Remote = at, local, remote
		t.tunnel, t.remote = &tunnel, s.args[1].place
		for _, o := range c.targets {
			if o.tunnel != nil && o.tunnel.Remote == remote {
				c.fail(t.remote, "there is a tunnel to %s in line %d: expected one for each other end, remove one of the two", remote, o.at.line)
				return nil
			}
		}
	}
	c.targets = append(c.targets, t)
	return t
}

// discarded returns a target for the options of a statement that has a problem,
// so that theirs are told too.
func (c *checker) discarded(s statement) *target {
	t := &target{kind: s.key.Name, set: make(map[string]place)}
	if t.kind == "phyint" {
		t.phyint = &Phyint{}
	} else {
		t.tunnel = &Tunnel{}
	}
	return t
}

// Parse reads a configuration. file is its name in problems. If it cannot be used,
// the error is of type [Errors]: all that is wrong, up to a limit, each with its
// place. The warnings do not keep it from being used.
func Parse(file string, text []byte) (c *Config, warnings []*Problem, err error) {
	p := &problems{file: file}
	if len(text) > maxFile {
		p.fail(place{1, 1}, "expected a file of at most %d bytes, found %d", maxFile, len(text))
		return nil, nil, Errors(p.errors)
	}
	c = check(parse(string(text), p), p)
	if warnings = first(p.warns); len(p.errors) > 0 {
		return nil, warnings, Errors(first(p.errors))
	}
	return c, warnings, nil
}

// shortened is a word that is short enough to be shown.
func shortened(s string) string { return strings.Trim(quote(s), `"`) }
