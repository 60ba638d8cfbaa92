package cli

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	urfave "github.com/urfave/cli/v2"
)

// The help text leaves a line of a screen of 24 by 80 for the prompt.
const (
	helpLines   = 23
	helpColumns = 79
)

// usage is the synopsis of the command.
func (s *Spec) usage() string {
	u := "usage: " + s.path()
	if len(s.Commands) > 0 {
		u += " command"
		if s.Action != nil {
			u = "usage: " + s.path() + " [command]"
		}
	}
	u += " [option...]"
	if s.Args != "" {
		u += " " + s.Args
	}
	return u
}

// help is the text of --help: the most explicit of three layouts that fits.
func (s *Spec) help(flags []Flag) string {
	head := wrap(strings.Fields(capital(s.usage())))
	head = append(head, wrap(strings.Fields(capital(s.Summary)+"."))...)
	width := 0
	for _, name := range s.commandNames() {
		width = max(width, len(name))
	}
	for _, sub := range s.Commands {
		head = append(head, fmt.Sprintf("  %-*s  %s", width, sub.Name, sub.Summary))
	}
	own := slices.DeleteFunc(slices.Clone(flags), isCommon)
	common := slices.DeleteFunc(slices.Clone(flags), func(f Flag) bool { return !isCommon(f) })
	layouts := [][]string{
		oneColumn(flags),
		append(oneColumn(own), named(common)...),
		append(twoColumns(own), named(common)...),
	}
	var foot []string
	for _, note := range s.Notes {
		foot = append(foot, wrap(strings.Fields(note))...)
	}
	foot = append(foot, "See "+s.program()+"(8).")
	var lines []string
	for _, l := range layouts {
		lines = slices.Concat(head, l, foot)
		if len(lines) <= helpLines {
			break
		}
	}
	return strings.Join(lines, "\n") + "\n"
}

func isCommon(f Flag) bool {
	c, ok := f.(urfave.CategorizableFlag)
	return ok && c.GetCategory() == commonCategory
}

// typed is how a flag is typed: "-o, --format NAME".
func typed(f Flag) string {
	names := slices.Clone(f.Names())
	slices.SortStableFunc(names, func(a, b string) int { return utf8.RuneCountInString(a) - utf8.RuneCountInString(b) })
	for i, n := range names {
		names[i] = dashed(n)
	}
	return strings.TrimRight(strings.Join(names, ", ")+" "+Placeholder(f), " ")
}

// cells are the flags as they are typed, their usage, and the width of the
// former.
func cells(flags []Flag) (left []string, right []string, width int) {
	for _, f := range flags {
		t := typed(f)
		left = append(left, t)
		right = append(right, f.(urfave.DocGenerationFlag).GetUsage())
		width = max(width, utf8.RuneCountInString(t))
	}
	return left, right, width
}

func oneColumn(flags []Flag) []string {
	left, right, width := cells(flags)
	var lines []string
	for i := range left {
		lines = append(lines, fmt.Sprintf("  %-*s  %s", width, left[i], right[i]))
	}
	return lines
}

// twoColumns puts the flags that fit in half a line side by side, and the others
// below them.
func twoColumns(flags []Flag) []string {
	const half = helpColumns / 2
	letters := slices.DeleteFunc(slices.Clone(flags), func(f Flag) bool { return len(typed(f)) > half/4 })
	others := slices.DeleteFunc(slices.Clone(flags), func(f Flag) bool { return len(typed(f)) <= half/4 })
	left, right, width := cells(letters)
	var narrow, lines []string
	var wide []Flag
	for i := range left {
		cell := fmt.Sprintf("  %-*s %s", width, left[i], right[i])
		if utf8.RuneCountInString(cell) > half {
			wide = append(wide, letters[i])
			continue
		}
		narrow = append(narrow, cell)
	}
	rows := (len(narrow) + 1) / 2
	for i := range rows {
		line := narrow[i]
		if i+rows < len(narrow) {
			line = fmt.Sprintf("%-*s%s", half, line, narrow[i+rows])
		}
		lines = append(lines, line)
	}
	return append(lines, oneColumn(append(wide, others...))...)
}

// named lists flags without their usage.
func named(flags []Flag) []string {
	words := []string{"Also:"}
	for _, f := range flags {
		words = append(words, typed(f)+",")
	}
	words[len(words)-1] = strings.TrimSuffix(words[len(words)-1], ",")
	return wrap(words)
}

// wrap puts words into lines; all but the first are indented.
func wrap(words []string) []string {
	var lines []string
	line := words[0]
	for _, word := range words[1:] {
		if utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > helpColumns {
			lines = append(lines, line)
			line = "     "
		}
		line += " " + word
	}
	return append(lines, line)
}

func capital(s string) string { return strings.ToUpper(s[:1]) + s[1:] }
