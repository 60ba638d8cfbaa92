package mroutd

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"reflect"
	"slices"

	"mbone/internal/config"
	"mbone/internal/plane"
	"mbone/internal/router/host"
)

// linkKey says what a link is made of: an interface of the host, or the device of a
// tunnel.
type linkKey struct {
	ifIndex int
	remote  netip.Addr // of a tunnel
}

// link is a link as the engine was told last.
type link struct {
	host.Link
	groups []netip.Addr // that are joined there
	index  int
}

// follow makes the links of the engine what the interfaces and the configuration say
// now. It touches only what differs.
func (d *daemon) follow() error {
	interfaces := d.router.Interfaces.All()
	wanted := d.wantedLinks(interfaces)
	for _, key := range d.keys() {
		l := d.links[key]
		if wanted[key] == nil || wanted[key].Enabled != l.Enabled || l.Enabled && !d.router.HasVif(l.ID) {
			d.remove(key)
		}
	}
	for key := range d.refused {
		if wanted[key] == nil {
			delete(d.refused, key)
		}
	}
	for _, key := range sortedKeys(wanted) {
		d.update(key, wanted[key])
	}
	d.warn(interfaces)
	return nil
}

// wantedLinks returns the links that there should be.
func (d *daemon) wantedLinks(interfaces []plane.Link) map[linkKey]*link {
	wanted := make(map[linkKey]*link)
	named := make([]bool, len(d.config.Phyints))
	devices := make(map[string]bool) // of the kernel, for tunnels
	for _, t := range d.config.Tunnels {
		devices[t.Device] = true
		d.notice(t.Device != "" && t.RateLimit != 0, t.At, fmt.Sprintf("rate-limit of the tunnel to %s has no effect: Linux has none on its device %s", t.Remote, t.Device))
	}
	for i := range interfaces {
		p := d.phyint(&interfaces[i], named)
		if p == nil || devices[interfaces[i].Name] {
			continue
		}
		l := newLink(&interfaces[i], p)
		wanted[linkKey{ifIndex: l.index}] = l
	}
	for i, p := range d.config.Phyints {
		d.notice(p.Enabled && !named[i], p.At, fmt.Sprintf("interface %s is not here, or has no IPv4 address: waiting for it", p.Interface))
	}
	for _, l := range d.tunnels.follow(d.config.Tunnels, interfaces) {
		wanted[linkKey{l.index, l.Remote}] = l
	}
	return wanted
}

// notice logs once that something is so, until it is not.
func (d *daemon) notice(is bool, at config.Position, text string) {
	if is && !d.notices[text] {
		d.log.main.Log(context.Background(), levelNotice, text, "at", at)
	}
	d.notices[text] = is
}

// phyint returns what the configuration says of an interface; nil: it is none of the
// router's. named are marked that are meant by it.
func (d *daemon) phyint(l *plane.Link, named []bool) *config.Phyint {
	if l.Loopback || len(l.Addresses) == 0 {
		return nil
	}
	var found *config.Phyint
	for i := range d.config.Phyints {
		p := &d.config.Phyints[i]
		if !p.Interface.Is(l.Name, addresses(l)) {
			continue
		}
		named[i] = true
		if found != nil {
			d.notice(true, p.At, fmt.Sprintf("phyint %s and phyint %s are one interface: the first one holds", found.Interface, p.Interface))
			continue
		}
		found = p
	}
	if found != nil {
		if found.Enabled && found.RateLimit != 0 {
			d.notice(true, found.At, fmt.Sprintf("rate-limit of phyint %s has no effect: Linux has none but on tunnels", found.Interface))
		}
		return found
	}
	if !l.Multicast || l.Virtual {
		return nil
	}
	// What is not named and not used is nothing that a router has.
	if p := d.config.DefaultPhyint(); p.Enabled {
		return &p
	}
	return nil
}

// newLink makes a link of an interface and what the configuration says of it.
func newLink(l *plane.Link, p *config.Phyint) *link {
	n := &link{index: l.Index, groups: p.JoinGroups, Link: host.Link{
		Name: l.Name, Up: l.Up, PointToPoint: l.PointToPoint,
		LinkSettings: linkSettings(&p.Link, l.PointToPoint),
	}}
	n.Enabled, n.ForceLeaf, n.IGMP, n.StaticGroups = p.Enabled, p.ForceLeaf, uint8(p.IGMP), p.StaticGroups
	for _, a := range l.Addresses {
		n.Networks = append(n.Networks, host.Network{Address: a.Addr, Prefix: a.Net})
	}
	// An interface that is named by one of its addresses goes by that.
	if i := slices.IndexFunc(n.Networks, func(net host.Network) bool { return net.Address == p.Interface.Addr }); i > 0 {
		first := n.Networks[i]
		n.Networks = slices.Insert(slices.Delete(n.Networks, i, i+1), 0, first)
	}
	first := &n.Networks[0]
	n.Address = first.Address
	if p.MaskBits != 0 {
		first.Prefix = netip.PrefixFrom(first.Address, p.MaskBits).Masked()
	}
	for _, net := range p.AltNets {
		n.Networks = append(n.Networks, host.Network{Prefix: net})
	}
	return n
}

// remove takes a link from the engine, and then its vif from the kernel.
func (d *daemon) remove(key linkKey) {
	l := d.links[key]
	d.log.iface.Log(context.Background(), levelNotice, "interface removed", "interface", l.Name)
	delete(d.links, key)
	d.handle(&host.LinkRemoved{Interface: l.ID})
	d.router.RemoveLink(l.ID)
}

// update tells the engine a link that is new or differs.
func (d *daemon) update(key linkKey, l *link) {
	old := d.links[key]
	same := false
	if old != nil {
		l.ID = old.ID
		same = reflect.DeepEqual(old, l)
	} else {
		d.lastID++
		l.ID = d.lastID
	}
	if l.Enabled && (!same || d.refused[key] != "") {
		err := d.router.AddLink(l.ID, l.index, l.Name, l.groups)
		if err != nil && gone(l.index) {
			// The kernel will tell so.
			if old == nil {
				d.router.RemoveLink(l.ID)
			}
			return
		}
		d.refuse(key, l, err)
		if err != nil && !d.router.HasVif(l.ID) {
			return
		}
	}
	if same {
		return
	}
	what, level := "interface", slog.LevelInfo
	if old != nil {
		what, level = "interface changed", levelNotice
	}
	d.log.iface.Log(context.Background(), level, what, "interface", l.Name, "up", l.Up, "address", l.Address, "enabled", l.Enabled)
	d.links[key] = l
	d.handle(&host.LinkChanged{Link: l.Link})
}

// gone reports whether there is no interface of an index any more.
func gone(index int) bool {
	_, err := net.InterfaceByIndex(index)
	return err != nil
}

// refuse logs once why a link cannot be used, or not fully.
func (d *daemon) refuse(key linkKey, l *link, err error) {
	if err == nil {
		delete(d.refused, key)
		return
	}
	if text := err.Error(); d.refused[key] != text {
		d.log.main.Error("interface not used as it should be", "interface", l.Name, "error", err)
		d.refused[key] = text
	}
}

// warn logs what keeps a used interface from doing its work.
func (d *daemon) warn(interfaces []plane.Link) {
	for _, key := range d.keys() {
		l := d.links[key]
		if !l.Enabled {
			continue
		}
		strict := d.router.Interfaces.RPFilter(l.index) == plane.StrictRPFilter
		if strict && !d.warned[l.Name] {
			d.log.main.Warn(fmt.Sprintf("packets may be lost on %s: its reverse path filter is strict; sysctl -w net.ipv4.conf.%s.rp_filter=2", l.Name, l.Name))
		}
		d.warned[l.Name] = strict
	}
	d.warnWhole()
}

// warnWhole logs what only all links together show.
func (d *daemon) warnWhole() {
	on := make(map[netip.Prefix]string)
	used := 0
	for _, key := range d.keys() {
		l := d.links[key]
		if !l.Enabled {
			continue
		}
		used++
		for _, n := range l.Networks {
			if other, ok := on[n.Prefix]; ok && other != l.Name {
				text := fmt.Sprintf("%s is on %s and on %s: the hosts of a network are on one link only", n.Prefix, other, l.Name)
				if !d.warned[text] {
					d.log.main.Warn(text)
					d.warned[text] = true
				}
				continue
			}
			on[n.Prefix] = l.Name
		}
	}
	const few = "fewer than two links: nothing is forwarded until there are more"
	if used < 2 && !d.notices[few] {
		d.log.main.Log(context.Background(), levelNotice, few, "links", d.names())
	}
	d.notices[few] = used < 2
}

// name is the name of a link.
func (d *daemon) name(id host.Interface) string {
	for _, l := range d.links {
		if l.ID == id {
			return l.Name
		}
	}
	return ""
}

// names are the names of the links in use.
func (d *daemon) names() []string {
	names := []string{}
	for _, key := range d.keys() {
		if l := d.links[key]; l.Enabled {
			names = append(names, l.Name)
		}
	}
	return names
}

func (d *daemon) keys() []linkKey { return sortedKeys(d.links) }

// sortedKeys are the keys of links, by interface index.
func sortedKeys(links map[linkKey]*link) []linkKey {
	keys := make([]linkKey, 0, len(links))
	for key := range links {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, func(a, b linkKey) int { return cmp.Or(a.ifIndex-b.ifIndex, a.remote.Compare(b.remote)) })
	return keys
}
