package report

import "testing"

func TestPrintable(t *testing.T) {
	tests := []struct{ in, want string }{
		{"", ""},
		{"castor.nerdzone.org", "castor.nerdzone.org"},
		{"ü日 \u00a0|", "ü日 \u00a0|"},
		{"a\x1b[2Jb", "a\ufffd[2Jb"}, // an escape sequence
		{"a\u009b2Jb", "a\ufffd2Jb"}, // the same in one character
		{"a\r\n\tb\x00\x7f", "a\ufffd\ufffd\ufffdb\ufffd\ufffd"},
		{"a\u202eb\u2066", "a\ufffdb\ufffd"}, // turns the direction of writing
		{"a\xffb", "a\ufffdb"},               // not UTF-8
	}
	for _, tt := range tests {
		if got := Printable(tt.in); got != tt.want {
			t.Errorf("%q became %q, want %q", tt.in, got, tt.want)
		}
	}
}
