// Package dvmrp is the routing protocol: who the neighbours are, which networks
// they reach at what cost (draft-ietf-idmr-dvmrp-v3, as mrouted speaks it), and
// which of them want the packets of a source and group (prunes and grafts).
package dvmrp

import (
	"net/netip"
	"time"

	"mbone/internal/router/host"
	"mbone/internal/router/mfc"
)

// Protocol is DVMRP on all links of a router. It is an [mfc.Protocol].
type Protocol struct {
	env   *host.Env
	cache *mfc.Cache
	trees trees
}

// New returns a protocol without links. Attach must be called before anything else.
func New(env *host.Env) *Protocol {
	p := &Protocol{env: env}
	p.trees.p = p
	return p
}

// Attach names the cache whose entries the protocol decides on.
func (p *Protocol) Attach(c *mfc.Cache) { p.cache = c }

// Configure takes new settings.
func (p *Protocol) Configure(now time.Duration, s *host.Settings) {}

// SetLink takes a new link or a new state of one.
func (p *Protocol) SetLink(now time.Duration, l *host.Link) {}

// RemoveLink forgets a link.
func (p *Protocol) RemoveLink(now time.Duration, id host.Interface) {}

// Receive takes a DVMRP message but Ask-Neighbors, Ask-Neighbors2 and
// Info-Request. Its checksum is right.
func (p *Protocol) Receive(now time.Duration, packet *host.Packet) {}

// Work goes on with what takes long: full tables, sweeps. It reports whether
// nothing is left to do now.
func (p *Protocol) Work(now time.Duration) bool { return true }

// Shutdown says good-bye to the neighbours.
func (p *Protocol) Shutdown(now time.Duration) {}

// RPF implements [mfc.Protocol].
func (p *Protocol) RPF(source netip.Addr) (mfc.Route, bool) { return mfc.Route{}, false }

// Forwarder implements [mfc.Protocol].
func (p *Protocol) Forwarder(e *mfc.Entry, link host.Interface) bool { return false }
