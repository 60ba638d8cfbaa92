package sim

import (
	"net/netip"
	"time"

	"mbone/proto/dvmrp"
	"mbone/proto/igmp"
)

// mroutedTick is how far apart the updates of mrouted are.
const mroutedTick = 5 * time.Second

// SetLegacy makes a router that has not started yet as slow as mrouted: others do not
// recognise it as an mroutd, and its reports of routes leave every five seconds.
func (r *Router) SetLegacy() {
	r.Settings.Version = "mrouted version 4.6"
	r.HoldReports = mroutedTick
}

func isReport(p *packet) bool {
	return len(p.message) >= dvmrp.HeaderLen && igmp.Type(p.message[0]) == igmp.TypeDVMRP &&
		dvmrp.Code(p.message[1]) == dvmrp.CodeReport
}

// hold keeps a report until the next moment at which reports leave. It takes over one
// use of p.
func (r *Router) hold(e *end, p *packet, to netip.Addr) {
	r.held = append(r.held, held{e, p, to})
	if len(r.held) > 1 {
		return
	}
	since := r.net.now - r.phase
	at := r.phase + (since/r.HoldReports+1)*r.HoldReports
	life := r.life
	r.net.At(at, func() {
		if life != r.life {
			return
		}
		reports := r.held
		r.held = nil
		for _, h := range reports {
			ttl := uint8(1)
			if !h.to.IsMulticast() {
				ttl = 255
			}
			r.emit(h.e, h.p, ttl)
		}
	})
}
