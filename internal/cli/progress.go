package cli

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"

	"mbone/report"
)

// progressInterval is how often a line of progress is drawn at most.
const progressInterval = 100 * time.Millisecond

// Progress shows, as long as work goes on, one line that says how far it is, if
// standard error is a terminal: elsewhere it does nothing. text is called for
// each drawing. The function that Progress returns takes the line away; it must
// be called before anything else is printed, and may be called again.
func (c *Call) Progress(text func() string) (stop func()) {
	file, ok := c.Stderr.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		return func() {}
	}
	width := func() int {
		columns, _, err := term.GetSize(int(file.Fd()))
		if err != nil || columns <= 0 {
			return helpColumns
		}
		return columns - 1 // the cursor stays in the line
	}
	line := progress{w: file, prefix: c.spec.program() + ": ", width: width}
	end := make(chan struct{})
	var wait sync.WaitGroup
	wait.Go(func() {
		ticker := time.NewTicker(progressInterval)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				line.draw(text())
			case <-end:
				line.clear()
				return
			}
		}
	})
	return sync.OnceFunc(func() {
		close(end)
		wait.Wait()
	})
}

// progress is a line of a terminal that is drawn again and again.
type progress struct {
	w      io.Writer
	prefix string
	width  func() int // columns that may be used
	shown  string
}

// draw puts text in the place of what is shown. A line that does not fit is cut
// off: \r goes to the beginning of the last line of the terminal only.
func (p *progress) draw(text string) {
	line := []rune(p.prefix + report.Printable(text))
	line = line[:min(len(line), max(p.width(), 0))]
	if s := string(line); s != p.shown {
		p.write(s)
	}
}

// clear takes the line away.
func (p *progress) clear() {
	if p.shown != "" {
		p.write("")
		fmt.Fprint(p.w, "\r")
	}
}

// write draws a line over the one before, of which nothing may stay.
func (p *progress) write(line string) {
	blank := strings.Repeat(" ", max(0, len([]rune(p.shown))-len([]rune(line))))
	fmt.Fprintf(p.w, "\r%s%s", line, blank)
	p.shown = line
}
