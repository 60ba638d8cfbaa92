package config

import "strings"

// place is a position within the file.
type place struct{ line, column int }

// before reports whether p comes before q.
func (p place) before(q place) bool {
	return p.line < q.line || p.line == q.line && p.column < q.column
}

// word is a word of the file.
type word struct {
	text   string
	quoted bool // it was in quotes: never a keyword
	place
	end   place // behind it
	first bool  // nothing but blanks precedes it on its line
}

// bare reports whether w is text, not in quotes.
func (w word) bare(text string) bool { return !w.quoted && w.text == text }

// lex cuts a file into words. What cannot be part of a word is told and left out.
func lex(text string, p *problems) []word {
	var words []word
	number := 0
	for line := range strings.Lines(text) {
		number++
		line = strings.TrimSuffix(line, "\n")
		first := true
		add := func(begin, end int, text string, quoted bool) {
			words = append(words, word{text, quoted, place{number, begin + 1}, place{number, end + 1}, first})
			first = false
		}
	scan:
		for i := 0; i < len(line); {
			switch c := line[i]; {
			case isBlank(c):
				i++
			case c == '#':
				break scan
			case isControl(c):
				p.fail(place{number, i + 1}, "expected text, found the control character %q: remove it", c)
				i++
			case c == '"':
				length := strings.IndexByte(line[i+1:], '"')
				if length < 0 {
					p.fail(place{number, i + 1}, `expected a word in quotes that ends on this line, found no second ": add it`)
					add(i, len(line), line[i+1:], true)
					break scan
				}
				end := i + length + 2
				add(i, end, line[i+1:end-1], true)
				i = end
			default:
				end := i
				for end < len(line) && !isBlank(line[end]) && !isControl(line[end]) {
					end++
				}
				add(i, end, line[i:end], false)
				i = end
			}
		}
	}
	return words
}

func isBlank(c byte) bool { return c == ' ' || '\t' <= c && c <= '\r' }

func isControl(c byte) bool { return c < ' ' || c == 0x7f }
