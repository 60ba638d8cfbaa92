package cli

import (
	"bytes"
	"testing"
)

// A line is drawn over the one before: nothing of it stays, nothing is drawn
// twice, and nothing that would go on in the next line of the terminal.
func TestProgressLine(t *testing.T) {
	var b bytes.Buffer
	p := progress{w: &b, prefix: "prog: ", width: func() int { return 20 }}
	steps := []struct{ text, want string }{
		{"10 answered", "\rprog: 10 answered"},
		{"10 answered", ""},
		{"9 left", "\rprog: 9 left     "},
		{"far more than 20 columns", "\rprog: far more than "},
		{"\x1b[2Jclear", "\rprog: \ufffd[2Jclear     "},
	}
	for _, s := range steps {
		b.Reset()
		p.draw(s.text)
		if got := b.String(); got != s.want {
			t.Errorf("%q: got %q, want %q", s.text, got, s.want)
		}
	}
	b.Reset()
	p.clear()
	if got, want := b.String(), "\r               \r"; got != want {
		t.Errorf("clear: got %q, want %q", got, want)
	}
	b.Reset()
	if p.clear(); b.Len() > 0 {
		t.Errorf("cleared twice: %q", &b)
	}
}

// What is no terminal gets no progress.
func TestProgressElsewhere(t *testing.T) {
	var b bytes.Buffer
	c := &Call{Stderr: &b, spec: &Spec{Name: "prog"}}
	stop := c.Progress(func() string { t.Error("called"); return "" })
	stop()
	stop()
	if b.Len() > 0 {
		t.Errorf("got %q", &b)
	}
}
