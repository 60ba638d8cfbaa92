package lab

import (
	"fmt"
	"strings"
	"testing"
)

// What is written to a terminal is kept, and its lines end as on a real one.
func TestTerminal(t *testing.T) {
	terminal, err := NewTerminal(40)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(terminal.Screen, "one\rtwo\n")
	long := strings.Repeat("x", 10_000)
	fmt.Fprintln(terminal.Screen, long)
	if got, want := terminal.Close(), "one\rtwo\r\n"+long+"\r\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
