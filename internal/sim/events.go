package sim

import "time"

// event is something that will happen. Which fields count depends on kind.
type event struct {
	at    time.Duration
	order uint64 // among those at the same time
	kind  eventKind
	ttl   uint8
	life  uint32 // of router: events of an earlier life do not happen

	router *Router
	end    *end
	packet *packet
	call   func()
	flow   *Flow
	upcall upcall
}

type eventKind uint8

const (
	calling   eventKind = iota // call
	delivery                   // packet arrives at end
	ticking                    // the deadline of router
	upcalling                  // the kernel of router asks
	sending                    // the next packet of flow
)

// agenda is a heap of events with four children to a node. The events themselves lie
// in a slice with a list of free places, so that little is moved.
type agenda struct {
	heap  []place
	store []event
	free  []int32
	order uint64
}

type place struct {
	at    time.Duration
	order uint64
	slot  int32
}

func (p *place) before(q *place) bool {
	return p.at < q.at || p.at == q.at && p.order < q.order
}

func (a *agenda) push(e event) {
	a.order++
	e.order = a.order
	var slot int32
	if last := len(a.free) - 1; last >= 0 {
		slot, a.free = a.free[last], a.free[:last]
		a.store[slot] = e
	} else {
		slot = int32(len(a.store))
		a.store = append(a.store, e)
	}
	a.heap = append(a.heap, place{e.at, e.order, slot})
	i := len(a.heap) - 1
	p := a.heap[i]
	for i > 0 {
		parent := (i - 1) / 4
		if !p.before(&a.heap[parent]) {
			break
		}
		a.heap[i] = a.heap[parent]
		i = parent
	}
	a.heap[i] = p
}

// next returns when the first event happens.
func (a *agenda) next() (time.Duration, bool) {
	if len(a.heap) == 0 {
		return 0, false
	}
	return a.heap[0].at, true
}

func (a *agenda) pop() event {
	slot := a.heap[0].slot
	e := a.store[slot]
	a.store[slot] = event{}
	a.free = append(a.free, slot)
	last := len(a.heap) - 1
	p := a.heap[last]
	a.heap = a.heap[:last]
	if last == 0 {
		return e
	}
	i := 0
	for {
		first := 4*i + 1
		if first >= last {
			break
		}
		least := first
		for c := first + 1; c < min(first+4, last); c++ {
			if a.heap[c].before(&a.heap[least]) {
				least = c
			}
		}
		if !a.heap[least].before(&p) {
			break
		}
		a.heap[i] = a.heap[least]
		i = least
	}
	a.heap[i] = p
	return e
}
