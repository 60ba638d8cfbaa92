package config

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// Format writes a configuration as a file in canonical form: new spellings, one
// setting or option a line, nothing that is the default. [Parse] of it gives c
// again, but for positions. c is one that Parse could have returned.
func Format(c *Config) string {
	w := &writer{}
	w.settings(&c.Settings)
	for _, b := range c.Boundaries {
		w.line("name", plain(b.Name), b.Groups.String())
	}
	for i := range c.Phyints {
		w.phyint(c, &c.Phyints[i])
	}
	for i := range c.Tunnels {
		w.tunnel(c, &c.Tunnels[i])
	}
	return w.String()
}

type writer struct {
	strings.Builder
	indent string
}

func (w *writer) line(words ...string) {
	w.WriteString(w.indent)
	w.WriteString(strings.Join(words, " "))
	w.WriteByte('\n')
}

// duration, number and flag write what differs from its default.
func (w *writer) duration(name string, d, normal time.Duration) {
	if d != normal {
		w.line(name, decimal(d))
	}
}

func (w *writer) number(name string, n, normal int) {
	if n != normal {
		w.line(name, strconv.Itoa(n))
	}
}

func (w *writer) flag(name string, set bool) {
	if set {
		w.line(name)
	}
}

func (w *writer) toggle(name string, s, normal Switch) {
	if s != normal {
		w.line(name, s.String())
	}
}

func (w *writer) settings(s *Settings) {
	d := &Default().Settings
	w.duration("cache-lifetime", s.CacheLifetime, d.CacheLifetime)
	w.duration("prune-lifetime", s.PruneLifetime, d.PruneLifetime)
	w.flag("noflood", s.NoFlood)
	w.toggle("rexmit-prunes", s.RexmitPrunes, ByLink)
	w.flag("no router-alert", !s.RouterAlert)
	w.flag("no phyint", !s.AllInterfaces)
	w.duration("igmp-query-interval", s.IGMP.QueryInterval, d.IGMP.QueryInterval)
	w.duration("igmp-query-response-interval", s.IGMP.ResponseInterval, d.IGMP.ResponseInterval)
	w.duration("igmp-query-last-member-interval", s.IGMP.LastMemberInterval, d.IGMP.LastMemberInterval)
	w.number("igmp-robustness", s.IGMP.Robustness, d.IGMP.Robustness)
	w.duration("router-timeout", s.IGMP.RouterTimeout, d.IGMP.RouterTimeout)
	w.asking(s.RespondTo, d.RespondTo)
	for _, g := range s.MtraceResponseGroups {
		w.line("mtrace-response-group", g.String())
	}
	w.number("max-routes", s.Limits.Routes, d.Limits.Routes)
	w.number("max-neighbors", s.Limits.Neighbors, d.Limits.Neighbors)
	w.number("max-groups", s.Limits.Groups, d.Limits.Groups)
	w.number("max-sources", s.Limits.Sources, d.Limits.Sources)
	w.number("max-entries", s.Limits.Entries, d.Limits.Entries)
	w.number("max-prunes", s.Limits.Prunes, d.Limits.Prunes)
}

func (w *writer) asking(a, normal Asking) {
	if len(a.Networks) == 0 && a.Classes == normal.Classes {
		return
	}
	words := []string{"respond-to"}
	if a.Classes != 0 || len(a.Networks) == 0 {
		words = append(words, a.Classes.String())
	}
	for _, n := range a.Networks {
		words = append(words, n.String())
	}
	w.line(words...)
}

func (w *writer) phyint(c *Config, p *Phyint) {
	w.line("\nphyint", p.Interface.text())
	w.indent = "\t"
	defer func() { w.indent = "" }()
	w.flag("disable", !p.Enabled)
	w.flag("enable", p.Enabled && !c.AllInterfaces)
	if p.MaskBits != 0 {
		w.line("netmask", mask(p.MaskBits).String())
	}
	for _, n := range p.AltNets {
		w.line("altnet", n.String())
	}
	if p.IGMP != IGMPv3 {
		w.line(p.IGMP.String())
	}
	for _, g := range p.StaticGroups {
		w.line("static-group", g.String())
	}
	for _, g := range p.JoinGroups {
		w.line("join-group", g.String())
	}
	w.flag("force-leaf", p.ForceLeaf)
	normal := c.DefaultPhyint()
	w.link(&p.Link, &normal.Link)
}

func (w *writer) tunnel(c *Config, t *Tunnel) {
	w.line("\ntunnel", t.Local.text(), plain(t.Remote.String()))
	w.indent = "\t"
	defer func() { w.indent = "" }()
	if !t.Beside {
		w.line("beside", wordOff)
	}
	if t.Device != "" {
		w.line("device", plain(t.Device))
	}
	normal := c.defaultTunnel()
	w.link(&t.Link, &normal.Link)
}

func (w *writer) link(l, normal *Link) {
	w.number("metric", int(l.Metric), int(normal.Metric))
	w.number("advert-metric", int(l.AdvertMetric), int(normal.AdvertMetric))
	w.number("threshold", int(l.Threshold), int(normal.Threshold))
	w.number("rate-limit", int(l.RateLimit), int(normal.RateLimit))
	for _, b := range l.Boundaries {
		if b.Name != "" {
			w.line("boundary", plain(b.Name))
		} else {
			w.line("boundary", b.Groups.String())
		}
	}
	w.flag("passive", l.Passive)
	w.flag("noflood", l.NoFlood && !normal.NoFlood)
	w.duration("prune-lifetime", l.PruneLifetime, normal.PruneLifetime)
	w.toggle("rexmit-prunes", l.RexmitPrunes, normal.RexmitPrunes)
	w.flag("allow-nonpruners", l.AllowNonpruners)
	w.flag("notransit", l.NoTransit)
	w.flag("blaster", l.Blaster)
	w.filter(l.Filter)
	w.duration("probe-interval", l.ProbeInterval, normal.ProbeInterval)
	w.duration("neighbor-timeout", l.NeighborTimeout, normal.NeighborTimeout)
}

func (w *writer) filter(f Filter) {
	if f.Action == AcceptAll {
		return
	}
	words := []string{f.Action.String()}
	for _, r := range f.Routes {
		words = append(words, routeText(r))
	}
	if f.Bidir {
		words = append(words, wordBidir)
	}
	w.line(words...)
}

// routeText writes a route of a filter. The default route is called that only
// where nothing else can be meant.
func routeText(r FilterRoute) string {
	switch {
	case !r.Exact:
		return r.Network.String()
	case r.Network == netip.PrefixFrom(netip.IPv4Unspecified(), 0):
		return wordDefault + " " + wordExact
	}
	return fmt.Sprint(r.Network, " ", wordExact)
}

// text is the interface as a file writes it.
func (i Interface) text() string {
	if i.Addr.IsValid() {
		return i.Addr.String()
	}
	if isNumeric(i.Name) {
		return `"` + i.Name + `"` // not an address
	}
	return plain(i.Name)
}

// plain puts a name in quotes that would be something else without them.
func plain(name string) string {
	if spellings[name] != nil || name == prefixNo || strings.HasPrefix(name, "#") {
		return `"` + name + `"`
	}
	return name
}
