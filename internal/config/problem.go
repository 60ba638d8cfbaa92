package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Position is a place in a file.
type Position struct {
	File         string
	Line, Column int // from 1; columns count bytes
}

// String returns file:line:column.
func (p Position) String() string { return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column) }

// IsValid reports whether the position is one: what is not from a file has none.
func (p Position) IsValid() bool { return p.Line > 0 }

// Problem is something that is wrong with a file. A warning does not keep it from
// being used.
type Problem struct {
	Position
	Warning bool
	Text    string
}

// Error returns file:line:column: text.
func (p *Problem) Error() string {
	if p.Warning {
		return p.String() + ": warning: " + p.Text
	}
	return p.String() + ": " + p.Text
}

// Errors are the problems that keep a file from being used, in its order, up to a
// limit.
type Errors []*Problem

// Error returns a line for each problem.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, p := range e {
		lines[i] = p.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap returns the problems.
func (e Errors) Unwrap() []error {
	errs := make([]error, len(e))
	for i, p := range e {
		errs[i] = p
	}
	return errs
}

// problems gathers what both layers find.
type problems struct {
	file   string
	errors []*Problem
	warns  []*Problem
}

func (p *problems) fail(at place, format string, args ...any) {
	if len(p.errors) < maxCollected {
		p.errors = append(p.errors, &Problem{p.position(at), false, fmt.Sprintf(format, args...)})
	}
}

func (p *problems) warn(at place, format string, args ...any) {
	if len(p.warns) < maxCollected {
		p.warns = append(p.warns, &Problem{p.position(at), true, fmt.Sprintf(format, args...)})
	}
}

func (p *problems) position(at place) Position { return Position{p.file, at.line, at.column} }

// first sorts problems by their place and returns as many as are told.
func first(all []*Problem) []*Problem {
	slices.SortStableFunc(all, func(a, b *Problem) int {
		return cmp.Or(a.Line-b.Line, a.Column-b.Column)
	})
	if len(all) <= maxProblems {
		return all
	}
	last := *all[maxProblems-1]
	last.Text = fmt.Sprintf("there are more problems from here on, the first %d are told", maxProblems-1)
	return append(slices.Clone(all[:maxProblems-1]), &last)
}

// quote shows a word of the file.
func quote(s string) string {
	if len(s) > maxQuote {
		return fmt.Sprintf("%q...", s[:maxQuote])
	}
	return fmt.Sprintf("%q", s)
}
