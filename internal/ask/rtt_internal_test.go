package ask

import (
	"testing"
	"time"
)

// A lost packet does not make a path look slow, and a slow path is learnt though
// its answers come when the next try has left.
func TestEstimatorPick(t *testing.T) {
	const ms = time.Millisecond
	var e estimator
	if got := e.pick(270*ms, 20*ms); got != 270*ms {
		t.Errorf("before any measurement: %v, want the longer one", got)
	}
	e.add(20 * ms)
	if got := e.pick(70*ms, 20*ms); got != 20*ms {
		t.Errorf("after a loss: %v, want 20ms", got)
	}
	if got := e.pick(55*ms, 5*ms); got != 55*ms {
		t.Errorf("on a slow path: %v, want 55ms", got)
	}
}
