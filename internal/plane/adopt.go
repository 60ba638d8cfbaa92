package plane

import (
	"mbone/internal/plane/mroute"
	"mbone/internal/router/host"
)

// adopted is what an inherited table held when it was taken over. The kernel goes on
// forwarding by it until the engine has seen to it.
type adopted struct {
	vifs    map[int]int  // number by interface index, of those that are no links yet
	entries map[flow]int // interface index where they come in
	// ask are entries that the engine is still to be asked about; asked is the last
	// one that it was.
	ask   []flow
	asked flow
}

// readInherited reads what the table holds.
func (r *Router) readInherited(table uint32) error {
	reader, err := mroute.OpenReader()
	if err != nil {
		return err
	}
	defer reader.Close()
	vifs, err := reader.Vifs(table)
	if err != nil {
		return err
	}
	r.adopted.vifs, r.adopted.entries = make(map[int]int), make(map[flow]int)
	for _, v := range vifs {
		r.slots[v.ID].used = true
		if v.Flags == mroute.VifUseIfIndex {
			r.adopted.vifs[v.IfIndex] = v.ID
			continue
		}
		if err := r.table.DelVif(v.ID); err != nil {
			return err
		}
	}
	return reader.Routes(table, func(e *mroute.Route) {
		if e.IfIndex != 0 && !e.Source.IsUnspecified() {
			r.adopted.entries[flowOf(e.Source, e.Group)] = e.IfIndex
		}
	})
}

// Inherited returns how many entries were there and are not the engine's yet.
func (r *Router) Inherited() int { return len(r.adopted.entries) }

// DropInheritedVifs removes vifs of an inherited table that are no links: it is to be
// called when all links were added.
func (r *Router) DropInheritedVifs() {
	for ifIndex, n := range r.adopted.vifs {
		if err := r.table.DelVif(n); err != nil {
			r.log.Warn("inherited vif not removed", "error", err)
		}
		delete(r.adopted.vifs, ifIndex)
	}
}

// AskInherited lets Next ask the engine about inherited entries, as if the kernel
// did, and removes those that the engine does not want. It is to be called when the
// engine has had time to learn routes: until then packets go where they went.
func (r *Router) AskInherited() {
	for f := range r.adopted.entries {
		r.adopted.ask = append(r.adopted.ask, f)
	}
}

// askAdopted sees what the engine has made of the last question about an inherited
// entry, and fills r.upcall with the next one, if there is one.
func (r *Router) askAdopted() bool {
	for {
		if _, ok := r.adopted.entries[r.adopted.asked]; ok {
			r.uninstall(r.adopted.asked)
			delete(r.adopted.entries, r.adopted.asked)
		}
		if len(r.adopted.ask) == 0 {
			return false
		}
		last := len(r.adopted.ask) - 1
		f := r.adopted.ask[last]
		r.adopted.ask = r.adopted.ask[:last]
		ifIndex, ok := r.adopted.entries[f]
		if !ok {
			continue // the engine has come across it meanwhile
		}
		r.adopted.asked = f
		if id := r.byIndex[ifIndex]; id != 0 {
			r.upcall = host.Upcall{Kind: host.NoCache, Interface: id}
			r.upcall.Source, r.upcall.Group = f.addresses()
			return true
		}
	}
}
