package report

import (
	"strings"
	"unicode"
)

// IsPrintable is whether a character may go to a terminal as it is: it has a
// shape or is a space, and neither moves the cursor nor turns the direction of
// writing.
func IsPrintable(r rune) bool { return unicode.IsGraphic(r) }

// Printable returns s with each character that is not printable, line ends
// included, replaced by U+FFFD. What came from a network goes through it on its
// way to a terminal.
func Printable(s string) string {
	return strings.Map(func(r rune) rune {
		if IsPrintable(r) {
			return r
		}
		return unicode.ReplacementChar
	}, s)
}
