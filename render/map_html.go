package render

import (
	"io"

	"mbone/report"
)

// MapHTML draws a map as a page.
func MapHTML(w io.Writer, m *report.Map) error { panic("not written") }
