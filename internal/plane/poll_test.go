package plane

import (
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
				got, err = p.wait(limit - time.Since(began)) // signals end it sooner
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
