package lab

import (
	"fmt"
	"os"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"
)

// Terminal is a terminal without a person: Screen is what programs are given as
// one, and what they write to it is collected.
type Terminal struct {
	Screen *os.File

	master *os.File
	ended  chan struct{}
	mu     sync.Mutex
	output []byte
}

// NewTerminal opens a terminal of so many columns.
func NewTerminal(columns int) (*Terminal, error) {
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, fmt.Errorf("lab: terminal: %w", err)
	}
	screen, err := openScreen(int(master.Fd()), columns)
	if err != nil {
		master.Close()
		return nil, fmt.Errorf("lab: terminal: %w", err)
	}
	t := &Terminal{Screen: screen, master: master, ended: make(chan struct{})}
	go t.collect()
	return t, nil
}

// openScreen unlocks and opens the other side of a terminal.
func openScreen(master, columns int) (*os.File, error) {
	if err := unix.IoctlSetPointerInt(master, unix.TIOCSPTLCK, 0); err != nil {
		return nil, err
	}
	number, err := unix.IoctlGetInt(master, unix.TIOCGPTN)
	if err != nil {
		return nil, err
	}
	if err := unix.IoctlSetWinsize(master, unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: uint16(columns)}); err != nil {
		return nil, err
	}
	return os.OpenFile("/dev/pts/"+strconv.Itoa(number), os.O_RDWR|unix.O_NOCTTY, 0)
}

// collect reads until nobody has the screen open any more.
func (t *Terminal) collect() {
	defer close(t.ended)
	b := make([]byte, 4096)
	for {
		n, err := t.master.Read(b)
		t.mu.Lock()
		if len(t.output)+n <= maxLog {
			t.output = append(t.output, b[:n]...)
		}
		t.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// Output returns what was written so far; "\n" has become "\r\n" on its way.
func (t *Terminal) Output() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.output)
}

// Close closes the terminal and returns all that was written to it. Programs that
// have it must have ended.
func (t *Terminal) Close() string {
	t.Screen.Close()
	<-t.ended
	t.master.Close()
	return t.Output()
}
