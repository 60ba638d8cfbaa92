package router

import (
	"iter"
	"net/netip"

	"mbone/internal/router/dvmrp"
	"mbone/internal/router/mfc"
)

// Size is how much a router keeps.
type Size struct {
	Neighbors int // on all links, of any state
	Routes    int
	Reports   int // of neighbours, about routes
	Groups    int // on all links
	Sources   int // of groups
	Entries   int // by network and group
	Flows     int // by source and group, in the kernel
	Prunes    int // of neighbours
	Timers    int // that are set
}

// Size returns how much the router keeps.
func (e *Engine) Size() Size {
	s := Size{Neighbors: e.dvmrp.NeighborCount(), Prunes: e.dvmrp.TreeStats().Received, Timers: e.timers.Len()}
	s.Routes, s.Reports = e.dvmrp.RouteCount()
	s.Groups, s.Sources = e.members.Sizes()
	s.Entries, s.Flows = e.cache.Len()
	return s
}

// RPF returns where the packets of a source come from; ok is false if there is no
// route.
func (e *Engine) RPF(source netip.Addr) (route mfc.Route, ok bool) { return e.dvmrp.RPF(source) }

// Refused returns how often DVMRP has refused each thing, by [dvmrp.Refusal].
func (e *Engine) Refused() []uint64 { return e.dvmrp.Refused() }

// Moves counts how often a route got another way, a first one, or none any more.
func (e *Engine) Moves() uint64 { return e.dvmrp.Moves() }

// Routes returns all routes of DVMRP, by address and length.
func (e *Engine) Routes() iter.Seq[dvmrp.Route] { return e.dvmrp.Routes() }
