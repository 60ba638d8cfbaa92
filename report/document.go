// Package report holds what the tools and the router say, as values. They are
// the JSON contract: each command prints one document (one a line when it
// repeats), and the other formats are drawn from the same values by package
// render.
//
// Conventions of every document: addresses are strings, times are RFC 3339 with
// fractions, durations are numbers of milliseconds in keys that end in _ms,
// flags are arrays of words, and what is not known is null.
package report

import "time"

// Document is the head of every JSON document.
type Document struct {
	Schema  string `json:"schema"`  // "mbone/mrinfo", ...
	Version int    `json:"version"` // of the schema; grows when a key changes its meaning
	// Complete is whether everything that was asked was answered.
	Complete bool `json:"complete"`
	// Reason says in words why the document is not complete; empty if it is.
	Reason string `json:"reason"`
	// Errors are the lines that a person would have seen on standard error.
	Errors []string  `json:"errors"`
	Time   time.Time `json:"time"` // when the work began; of a recording that is a map, when its first answer came
}
