package plane

import (
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const patience = 10 * time.Second

// A wait that looks around first ends as any other one: when a descriptor gets
// readable, when it is woken up, and when its time is over.
func TestPollBrisk(t *testing.T) {
	p, err := newPoller()
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	const tag = 3
	if err := p.add(fd, tag); err != nil {
		t.Fatal(err)
	}
	one := []byte{1, 0, 0, 0, 0, 0, 0, 1}
	for name, c := range map[string]struct {
		happen func()
		want   uint32
	}{
		"readable": {func() { _, _ = unix.Write(fd, one) }, 1 << tag},
		"woken up": {p.wakeUp, 1 << wakeTag},
		"over":     {func() {}, 0},
	} {
		for _, early := range []bool{true, false} {
			p.look = true
			done := make(chan struct{})
			if early {
				c.happen()
				close(done)
			} else {
				time.AfterFunc(10*time.Millisecond, func() { c.happen(); close(done) })
			}
			limit := patience
			if c.want == 0 {
				limit = 20 * time.Millisecond
			}
			began := time.Now()
			var got uint32
			for got == 0 && err == nil && time.Since(began) < limit {
				got, err = p.wait(max(0, limit-time.Since(began))) // signals end it sooner
			}
			if took := time.Since(began); err != nil || got != c.want || took > patience {
				t.Errorf("%s, early: %v: %#x (%v) after %v, want %#x", name, early, got, err, took, c.want)
			}
			<-done
			var count [8]byte
			_, _ = unix.Read(fd, count[:])
		}
	}
}

// After something has come at once, it looks around, and finds what comes then. Where
// there was no wait, it does not.
func TestPollLooksAround(t *testing.T) {
	if runtime.GOMAXPROCS(0) < 2 {
		t.Log("with one processor it never looks around")
		return
	}
	p, err := newPoller()
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	for range 2 {
		if _, err := p.wait(0); err != nil || p.look {
			t.Errorf("after no wait at all it looks around (%v)", err)
		}
	}
	if n := p.lookAround(); n != 0 {
		t.Errorf("it finds %d descriptors readable, want none", n)
	}
	for began := time.Now(); !p.look && time.Since(began) < patience; {
		p.wakeUp()
		if _, err := p.wait(patience); err != nil {
			t.Fatal(err)
		}
	}
	p.wakeUp()
	if n := p.lookAround(); !p.look || n != 1 {
		t.Errorf("look: %v, %d descriptors are readable, want 1", p.look, n)
	}
}

// Who has waited for long does not look around, but sleeps at once.
func TestPollSleeps(t *testing.T) {
	p, err := newPoller()
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	p.look = true
	for began := time.Now(); p.look && time.Since(began) < patience; {
		if _, err := p.wait(10 * time.Millisecond); err != nil {
			t.Fatal(err)
		}
	}
	if p.look {
		t.Error("it looks around, though nothing has come for long")
	}
}
