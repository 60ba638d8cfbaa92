package plane

import (
	"encoding/binary"
	"errors"
	"runtime"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// poller waits for sockets, with a system call of its own and not with the poller
// of Go's runtime: a packet wakes the goroutine that handles it, and no other.
type poller struct {
	epoll  int
	events [8]unix.EpollEvent
	looks  int  // before it sleeps
	look   bool // the last wait was brisk

	mu   sync.Mutex
	wake int // -1: closed
}

// wakeTag stands for Wake among the tags of descriptors.
const wakeTag = 31

// After a wait that was shorter than brisk, wait looks some times again before it
// sleeps, for about as long. To be put to sleep and woken up takes as long as a tool
// on the link needs from an answer to its next question.
const (
	brisk    = 80 * time.Microsecond
	maxLooks = 256
)

func newPoller() (*poller, error) {
	p := &poller{epoll: -1, wake: -1}
	if runtime.GOMAXPROCS(0) > 1 {
		p.looks = maxLooks // otherwise nobody else would come to anything meanwhile
	}
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
	n := 0
	if p.look && timeout != 0 {
		n = p.lookAround()
	}
	if n == 0 {
		began := time.Now()
		n, err = unix.EpollWait(p.epoll, p.events[:], timeout)
		p.look = timeout != 0 && time.Since(began) < brisk
	}
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

// lookAround is how many descriptors are readable, 0 if none gets so while it looks.
// It does not tell the scheduler of the runtime of the system calls, since they never
// wait.
func (p *poller) lookAround() int {
	for range p.looks {
		n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(p.epoll), uintptr(unsafe.Pointer(&p.events)), uintptr(len(p.events)), 0, 0, 0)
		if errno == 0 && n > 0 {
			return int(n)
		}
	}
	return 0
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
