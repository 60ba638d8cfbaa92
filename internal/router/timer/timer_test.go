package timer

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// Timers fire when they are due and not before, those of the same time in the
// order of setting, whatever was put off, brought forward or stopped before.
func TestOrder(t *testing.T) {
	const n, turns = 200, 5000
	random := rand.New(rand.NewPCG(1, 2))
	var q Queue
	type want struct {
		due   time.Duration
		order int
	}
	wanted := make(map[int]want)
	var fired []int
	timers := make([]Timer, n)
	for i := range timers {
		timers[i].Fire = func(time.Duration) { fired = append(fired, i) }
	}
	now := time.Duration(0)
	for order := range turns {
		i := random.IntN(n)
		switch random.IntN(4) {
		case 0:
			q.Stop(&timers[i])
			delete(wanted, i)
		default:
			due := now + time.Duration(random.IntN(50))
			q.Set(&timers[i], due)
			wanted[i] = want{due, order}
		}
		if random.IntN(5) > 0 {
			continue
		}
		now += time.Duration(random.IntN(20))
		fired = fired[:0]
		if !q.Run(now, -1) {
			t.Fatal("it stopped without a limit")
		}
		var due []int
		for i, w := range wanted {
			if w.due <= now {
				due = append(due, i)
			}
		}
		slices.SortFunc(due, func(a, b int) int {
			x, y := wanted[a], wanted[b]
			if x.due != y.due {
				return int(x.due - y.due)
			}
			return x.order - y.order
		})
		if !slices.Equal(fired, due) {
			t.Fatalf("turn %d at %d: fired %v, want %v", order, now, fired, due)
		}
		for _, i := range due {
			delete(wanted, i)
		}
		if q.Len() != len(wanted) {
			t.Fatalf("%d timers are set, want %d", q.Len(), len(wanted))
		}
		if at, ok := q.Deadline(); ok != (len(wanted) > 0) || ok && at <= now {
			t.Fatalf("deadline %d, %v with %d timers at %d", at, ok, len(wanted), now)
		}
	}
}

// Run stops at its limit and goes on in the next call; a timer that sets itself
// again for now does not make it run for ever.
func TestLimit(t *testing.T) {
	var q Queue
	var n int
	timer := &Timer{}
	timer.Fire = func(now time.Duration) {
		n++
		q.Set(timer, now)
	}
	q.Set(timer, 0)
	if q.Run(0, 3) || n != 3 {
		t.Errorf("fired %d times, want 3 and more to do", n)
	}
	q.Stop(timer)
	if !q.Run(0, 3) || n != 3 || timer.IsSet() {
		t.Errorf("fired %d times after it was stopped", n)
	}
}

// Timers that were put off cost a part of the limit, so that a turn ends in time
// however many there are.
func TestLimitOfPutOff(t *testing.T) {
	var q Queue
	timers := make([]Timer, 10)
	for i := range timers {
		timers[i].Fire = func(time.Duration) { t.Error("fired too early") }
		q.Set(&timers[i], 1)
		q.Set(&timers[i], 100)
	}
	turns := 1
	for ; !q.Run(1, 4); turns++ {
	}
	if turns != 3 {
		t.Errorf("%d turns, want 3", turns)
	}
	if at, ok := q.Deadline(); !ok || at != 100 {
		t.Errorf("deadline %v, %v", at, ok)
	}
}
