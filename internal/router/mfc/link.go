package mfc

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"mbone/internal/router/host"
)

// link is what counts of a link for forwarding.
type link struct {
	id         host.Interface
	name       string
	usable     bool
	threshold  uint8
	boundaries []netip.Prefix
}

func byID(l *link, id host.Interface) int { return cmp.Compare(l.id, id) }

// isScoped reports whether packets to group do not cross the link.
func (l *link) isScoped(group netip.Addr) bool {
	for _, b := range l.boundaries {
		if b.Contains(group) {
			return true
		}
	}
	return false
}

// SetLink takes a new link or a new state of one.
func (c *Cache) SetLink(now time.Duration, l *host.Link) {
	i, ok := slices.BinarySearchFunc(c.links, l.ID, byID)
	if !ok {
		c.links = slices.Insert(c.links, i, &link{id: l.ID})
	}
	k := c.links[i]
	k.name = l.Name
	usable := l.Enabled && l.Up && l.Address.IsValid()
	if k.usable == usable && k.threshold == l.Threshold && slices.Equal(k.boundaries, l.Boundaries) {
		return
	}
	k.usable, k.threshold, k.boundaries = usable, l.Threshold, slices.Clone(l.Boundaries)
	c.markAll()
}

// RemoveLink forgets a link. No entry leads there when all work is done.
func (c *Cache) RemoveLink(now time.Duration, id host.Interface) {
	if i, ok := slices.BinarySearchFunc(c.links, id, byID); ok {
		c.links = slices.Delete(c.links, i, i+1)
		c.markAll()
	}
}

// IsScoped reports whether packets to group do not cross a link.
func (c *Cache) IsScoped(id host.Interface, group netip.Addr) bool {
	l := c.linkOf(id)
	return l != nil && l.isScoped(group)
}

// nameOf and namesOf say in a log where packets come in and leave.
func (c *Cache) nameOf(id host.Interface) string {
	if l := c.linkOf(id); l != nil {
		return l.name
	}
	return ""
}

func (c *Cache) namesOf(outputs []host.Output) []string {
	names := []string{}
	for _, o := range outputs {
		names = append(names, c.nameOf(o.Interface))
	}
	return names
}
