package mroutd

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"mbone/internal/lab"
	"mbone/proto/dvmrp"
	"mbone/proto/igmp"
)

// watcher sees what passes on the links of a lab.
type watcher struct {
	links []*watched
	names map[netip.Addr]string // hosts by their addresses
	told  map[string]metrics    // by router
	trees []treeMessage
}

// metrics are the costs of networks.
type metrics map[netip.Prefix]uint8

// watched is a LAN.
type watched struct {
	lan     *lab.LAN
	capture *lab.Capture
	read    int // frames
	// passed is when a packet of the flow was last seen, in a tunnel for the second one.
	passed [2]time.Time
	// routers are those whose reports are read here: a router says everything on
	// each of its links, and one is enough.
	routers map[netip.Addr]string
	// local are all addresses on the LAN.
	local map[netip.Addr]bool
}

// treeMessage is a prune, graft or acknowledgement in words.
type treeMessage struct {
	at   time.Time
	text string
}

// watchLinks begins to capture on each LAN of a lab.
func watchLinks(l *lab.Lab) (*watcher, error) {
	w := &watcher{names: map[netip.Addr]string{}, told: map[string]metrics{}}
	byLAN := map[*lab.LAN]*watched{}
	for _, h := range l.Hosts() {
		for _, wire := range h.Wires() {
			at := byLAN[wire.LAN]
			if at == nil {
				c, err := h.Capture(wire.Interface, 0)
				if err != nil {
					w.close()
					return nil, err
				}
				at = &watched{lan: wire.LAN, capture: c, routers: map[netip.Addr]string{}, local: map[netip.Addr]bool{}}
				byLAN[wire.LAN] = at
				w.links = append(w.links, at)
			}
			addrs, err := wire.Addresses()
			if err != nil {
				w.close()
				return nil, err
			}
			for _, p := range addrs {
				w.names[p.Addr()] = h.Name
				at.local[p.Addr()] = true
				if slices.Contains(demoRouters, h.Name) && w.told[h.Name] == nil {
					w.told[h.Name] = metrics{}
					at.routers[p.Addr()] = h.Name
				}
			}
		}
	}
	return w, nil
}

// close ends the captures. That one is not complete is seen in what it lacks.
func (w *watcher) close() {
	for _, at := range w.links {
		_ = at.capture.Close()
	}
}

// look reads what was captured since the last time.
func (w *watcher) look() {
	for _, at := range w.links {
		frames := at.capture.Since(at.read)
		at.read += len(frames)
		for _, f := range frames {
			w.note(at, f.Time, f.IP())
		}
	}
}

// note looks at an IPv4 packet that the kernel has sent or received.
func (w *watcher) note(at *watched, now time.Time, b []byte) {
	const (
		protocolIPIP = 4
		protocolUDP  = 17
	)
	payload := func() []byte { return b[int(b[0]&0x0f)*4:] }
	tunnel := 0
	if b[9] == protocolIPIP {
		tunnel, b = 1, payload()
	}
	from, to := netip.AddrFrom4([4]byte(b[12:])), netip.AddrFrom4([4]byte(b[16:]))
	switch {
	case b[9] == protocolUDP && from == demoSource && to == demoGroup:
		at.passed[tunnel] = now
	case b[9] == protocolIGMP && igmp.Type(payload()[0]) == igmp.TypeDVMRP && at.local[from]:
		w.hear(at, now, from, to, payload())
	}
}

// hear reads a DVMRP message on the LAN of its sender.
func (w *watcher) hear(at *watched, now time.Time, from, to netip.Addr, b []byte) {
	code, _, err := dvmrp.ParseHeader(b)
	if err != nil {
		return
	}
	var report dvmrp.Report
	var prune dvmrp.Prune
	var graft dvmrp.Graft
	tell := func(kind string, source, group netip.Addr, more string) {
		text := fmt.Sprintf("%-10s %8s -> %-8s (%s, %s)%s", kind, w.names[from], w.names[to], source, group, more)
		w.trees = append(w.trees, treeMessage{now, text})
	}
	switch code {
	case dvmrp.CodeReport:
		router := at.routers[from]
		if router == "" || to != igmp.DVMRPRouters || report.Parse(b) != nil {
			return
		}
		for _, r := range report.Routes {
			w.told[router][r.Prefix] = r.Metric
		}
	case dvmrp.CodePrune:
		if prune.Parse(b) == nil {
			lifetime := strings.TrimSuffix(prune.Lifetime.Round(time.Minute).String(), "0s")
			tell("prune", prune.Source, prune.Group, " for "+lifetime)
		}
	case dvmrp.CodeGraft, dvmrp.CodeGraftAck:
		if graft.Parse(b) == nil {
			kind := "graft"
			if graft.Ack {
				kind = "graft-ack"
			}
			tell(kind, graft.Source, graft.Group, "")
		}
	}
}

// metric returns what a router says of a network: its own metric, whatever way it
// has learnt it. It says nothing on a link of the network of that link.
func (w *watcher) metric(router string, network netip.Prefix) (metric uint8, known bool) {
	m, ok := w.told[router][network]
	if !ok {
		for _, at := range w.links {
			for addr, name := range at.routers {
				if name == router && network.Contains(addr) {
					return 1, true
				}
			}
		}
		return 0, false
	}
	if m >= dvmrp.Infinity {
		m -= dvmrp.Infinity
	}
	return m, m > 0
}

// passing returns the links that the flow has passed within a time.
func (w *watcher) passing(within time.Duration) []string {
	w.look()
	names := []string{}
	for _, at := range w.links {
		for i, suffix := range []string{"", " (tunnel)"} {
			if time.Since(at.passed[i]) < within {
				names = append(names, at.lan.Name+suffix)
			}
		}
	}
	slices.Sort(names)
	return names
}

// messages returns the texts of prunes and grafts that were seen since the last
// call, in the order in which they were sent.
func (w *watcher) messages() string {
	w.look()
	slices.SortStableFunc(w.trees, func(a, b treeMessage) int { return a.at.Compare(b.at) })
	var b strings.Builder
	for _, m := range w.trees {
		b.WriteString("  " + m.text + "\n")
	}
	w.trees = nil
	return b.String()
}
