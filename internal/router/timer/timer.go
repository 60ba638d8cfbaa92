// Package timer is the clockwork of the router's engine: timers in one queue that
// a host's clock, real or virtual, drives. Timers that are due at the same time
// run in the order in which they were set, so that the same events give the same
// actions.
package timer

import (
	"container/heap"
	"time"
)

// Timer is a function to be called at some time. The zero value with Fire set is
// ready. It must not be copied once it was set.
type Timer struct {
	// Fire is called once for each Set, with the time of the call to Run. It may
	// set or stop any timer.
	Fire func(now time.Duration)

	due   moment // when Fire is to be called
	key   moment // where it stands in the heap: not after due
	place int    // in the heap plus 1; 0: not set
}

// moment is a time, and a place among those timers that have the same one.
type moment struct {
	at    time.Duration
	order uint64
}

func (m moment) before(n moment) bool {
	return m.at < n.at || m.at == n.at && m.order < n.order
}

// IsSet reports whether the timer is set.
func (t *Timer) IsSet() bool { return t.place > 0 }

// Due returns when a timer that is set will fire.
func (t *Timer) Due() time.Duration { return t.due.at }

// Queue holds timers. The zero value is empty.
type Queue struct {
	heap  timers
	order uint64
}

// Set makes t fire at due, instead of when it was to fire before.
func (q *Queue) Set(t *Timer, due time.Duration) {
	q.order++
	t.due = moment{due, q.order}
	switch {
	case t.place == 0:
		t.key = t.due
		heap.Push(&q.heap, t)
	case due <= t.key.at:
		t.key = t.due
		heap.Fix(&q.heap, t.place-1)
	}
	// Putting a timer off is the common case (every packet of a neighbour does
	// it), so it leaves the heap alone: Run does it when the old time comes.
}

// Stop makes t not fire.
func (q *Queue) Stop(t *Timer) {
	if t.place > 0 {
		heap.Remove(&q.heap, t.place-1)
	}
}

// Deadline returns the time before which no timer is due; ok is false if none is
// set.
func (q *Queue) Deadline() (due time.Duration, ok bool) {
	if len(q.heap) == 0 {
		return 0, false
	}
	return q.heap[0].key.at, true
}

// Len returns how many timers are set.
func (q *Queue) Len() int { return len(q.heap) }

// Run fires the timers that are due, and reports whether it fired all: it looks at
// no more than limit of them (negative: any number), counting those that were put
// off and so are not due.
func (q *Queue) Run(now time.Duration, limit int) bool {
	for ; len(q.heap) > 0 && q.heap[0].key.at <= now; limit-- {
		if limit == 0 {
			return false
		}
		t := q.heap[0]
		if t.key.before(t.due) {
			t.key = t.due
			heap.Fix(&q.heap, 0)
			continue
		}
		heap.Pop(&q.heap)
		t.Fire(now)
	}
	return true
}

type timers []*Timer

func (h timers) Len() int { return len(h) }

func (h timers) Less(i, j int) bool { return h[i].key.before(h[j].key) }

func (h timers) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].place, h[j].place = i+1, j+1
}

func (h *timers) Push(x any) {
	t := x.(*Timer)
	*h = append(*h, t)
	t.place = len(*h)
}

func (h *timers) Pop() any {
	old := *h
	t := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	t.place = 0
	return t
}
