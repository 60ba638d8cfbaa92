package render

import (
	"io"

	"mbone/report"
)

// MapSVG draws a map as a picture.
func MapSVG(w io.Writer, m *report.Map) error { panic("not written") }
