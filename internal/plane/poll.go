package plane

import (
	"encoding/binary"
	"errors"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// poller waits for sockets, with a system call of its own and not with the poller
// of Go's runtime: a packet wakes the goroutine that handles it, and no other.
type poller struct {
	epoll  int
	events [8]unix.EpollEvent

	mu   sync.Mutex
	wake int // -1: closed
}

// wakeTag stands for Wake among the tags of descriptors.
const wakeTag = 31

func newPoller() (*poller, error) {
	p := &poller{epoll: -1, wake: -1}
	var err error
	if p.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err == nil {
		if p.wake, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err == nil {
			err = p.add(p.wake, wakeTag)
		}
	}
	if err != nil {
		p.close()
		return nil, &Error{"open", "poller", err}
	}
	return p, nil
}

// add makes wait return the tag, 0 to 30, while fd is readable.
func (p *poller) add(fd int, tag int32) error {
	return unix.EpollCtl(p.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: tag})
}

// wait waits for descriptors, at most for limit (negative: for ever), and returns
// a set of tags. Times are rounded up to milliseconds.
func (p *poller) wait(limit time.Duration) (ready uint32, err error) {
	timeout := -1
	if limit >= 0 {
		const longest = time.Hour
		timeout = int((min(limit, longest) + time.Millisecond - 1) / time.Millisecond)
	}
	n, err := unix.EpollWait(p.epoll, p.events[:], timeout)
	if errors.Is(err, unix.EINTR) {
		return 0, nil
	}
	if err != nil {
		return 0, &Error{"wait for", "sockets", err}
	}
	for _, e := range p.events[:n] {
		ready |= 1 << e.Fd
		if e.Fd == wakeTag {
			var count [8]byte
			// It cannot be empty, and it does not matter if it is.
			_, _ = unix.Read(p.wake, count[:])
		}
	}
	return ready, nil
}

// wakeUp makes wait return. It may be called from any goroutine.
func (p *poller) wakeUp() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.wake < 0 {
		return
	}
	var one [8]byte
	binary.NativeEndian.PutUint64(one[:], 1)
	// The only error is that it has been woken very often.
	_, _ = unix.Write(p.wake, one[:])
}

func (p *poller) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, fd := range []int{p.epoll, p.wake} {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
	p.epoll, p.wake = -1, -1
}
