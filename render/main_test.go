package render

import (
	"testing"

	"mbone/internal/lab"
)

// The tests run inside a lab: the programs that look at our output reach nothing
// outside.
func TestMain(m *testing.M) { lab.Main(m) }
