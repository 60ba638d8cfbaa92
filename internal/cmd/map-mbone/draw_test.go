package mapmbone

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mbone/internal/cli"
	"mbone/report"
)

// A map that is too large to draw is told in one line, and a file that was there
// stays as it was.
func TestTooLargeToDraw(t *testing.T) {
	for _, format := range []string{"svg", "html"} {
		file := filepath.Join(t.TempDir(), "map")
		if err := os.WriteFile(file, []byte("the map of yesterday"), 0o644); err != nil {
			t.Fatal(err)
		}
		m := newCommand(nil, nil)
		spec := m.spec()
		spec.Action = func(_ context.Context, call *cli.Call) error {
			m.call = call
			return m.finish(&report.Map{Routers: make([]report.MapRouter, 200_000)}, "")
		}
		var stdout, stderr bytes.Buffer
		code := cli.Run(t.Context(), spec, []string{"-o", format, "--out", file}, strings.NewReader(""), &stdout, &stderr)
		if code != cli.ExitFailed || stdout.Len() > 0 || strings.Count(stderr.String(), "\n") != 1 ||
			!strings.HasPrefix(stderr.String(), "map-mbone: too large to draw: 200000 routers ") {
			t.Errorf("%s: %d, %q, %q", format, code, stdout.String(), stderr.String())
		}
		if content, err := os.ReadFile(file); err != nil || string(content) != "the map of yesterday" {
			t.Errorf("%s: the file is %q, %v", format, content, err)
		}
		if left, err := os.ReadDir(filepath.Dir(file)); err != nil || len(left) != 1 {
			t.Errorf("%s: files %v, %v", format, left, err)
		}
	}
}
