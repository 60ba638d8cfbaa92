package router

import (
	"net/netip"

	"mbone/internal/router/mfc"
)

// RPF returns where the packets of a source come from; ok is false if there is no
// route.
func (e *Engine) RPF(source netip.Addr) (route mfc.Route, ok bool) { return e.dvmrp.RPF(source) }

// Timers returns how many timers are set.
func (e *Engine) Timers() int { return e.timers.Len() }
