package plane

import (
	"errors"
	"slices"

	"golang.org/x/sys/unix"

	"mbone/internal/plane/mroute"
	"mbone/internal/router/host"
)

// entries are the forwarding entries that the engine wants, and which of them the
// kernel has.
type entries struct {
	wanted map[flow]entry
	// stale are to be told to the kernel again, because a vif has come or gone: it
	// forgets outputs to vifs that did not exist when the entry was added, and keeps
	// those to vifs that have gone.
	stale []flow
	// last are the outputs of the last entry that was made. New flows mostly have
	// the same, which then are kept once.
	last []host.Output
}

// entry is what is wanted. Its outputs are never changed, only replaced.
type entry struct {
	in        host.Interface
	installed bool
	outputs   []host.Output
}

// applyEntry adds, changes or removes an entry.
func (r *Router) applyEntry(e *host.Entry) {
	f := flowOf(e.Source, e.Group)
	delete(r.adopted.entries, f)
	old, known := r.entries.wanted[f]
	if e.In == 0 {
		delete(r.entries.wanted, f)
		if !known || old.installed {
			r.uninstall(f)
		}
		return
	}
	wanted := entry{in: e.In, installed: old.installed, outputs: old.outputs}
	if !known || !slices.Equal(old.outputs, e.Outputs) {
		if !slices.Equal(r.entries.last, e.Outputs) {
			r.entries.last = slices.Clone(e.Outputs)
		}
		wanted.outputs = r.entries.last
	}
	r.tell(f, wanted)
}

// tell tells the kernel what is wanted.
func (r *Router) tell(f flow, wanted entry) {
	parent := r.slotOf(wanted.in)
	if parent < 0 {
		// Where it would come in there is no vif: nothing can be forwarded.
		if wanted.installed {
			r.uninstall(f)
		}
		wanted.installed = false
		r.entries.wanted[f] = wanted
		return
	}
	var m mroute.Entry
	m.Source, m.Group = f.addresses()
	m.Parent = parent
	for _, o := range wanted.outputs {
		if n := r.slotOf(o.Interface); n >= 0 && n != parent {
			m.TTLs[n] = o.TTL
		}
	}
	err := r.table.AddMFC(m)
	if err != nil {
		r.log.Error("entry not added", "error", err)
	}
	wanted.installed = err == nil
	r.entries.wanted[f] = wanted
}

// uninstall removes an entry from the kernel.
func (r *Router) uninstall(f flow) {
	source, group := f.addresses()
	if err := r.table.DelMFC(source, group); err != nil && !errors.Is(err, unix.ENOENT) {
		r.log.Error("entry not removed", "error", err)
	}
}

// slotOf returns the number of the vif of a link; -1: it has none.
func (r *Router) slotOf(id host.Interface) int {
	if v := r.links[id]; v != nil {
		return v.slot
	}
	return -1
}

// markStale lets the entries that have to do with a link be told again.
func (r *Router) markStale(id host.Interface) {
	for f, e := range r.entries.wanted {
		if e.in == id || slices.ContainsFunc(e.outputs, func(o host.Output) bool { return o.Interface == id }) {
			r.entries.stale = append(r.entries.stale, f)
		}
	}
}

// settle tells the kernel some of the entries that are stale.
func (r *Router) settle() {
	s := r.entries.stale
	n := max(0, len(s)-settleStep)
	for _, f := range s[n:] {
		if e, ok := r.entries.wanted[f]; ok {
			r.tell(f, e)
		}
	}
	r.entries.stale = s[:n]
	if n == 0 && s != nil {
		r.entries.stale = nil
		for i := range r.slots {
			r.slots[i].used = r.slots[i].id != 0
		}
	}
}
