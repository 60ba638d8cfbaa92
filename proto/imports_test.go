package proto_test

import (
	"errors"
	"go/build"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
)

// forbidden are packages of the standard library that the codecs must not
// import, and why. Tests may.
var forbidden = map[string]string{
	"os":           "codecs do no I/O",
	"io":           "codecs do no I/O",
	"net":          "addresses are those of net/netip",
	"log":          "codecs do not log",
	"log/slog":     "codecs do not log",
	"math/rand":    "chance is an argument",
	"math/rand/v2": "chance is an argument",
	"crypto/rand":  "chance is an argument",
	"sync":         "codecs have no state that is shared",
	"reflect":      "codecs know their types",
	"syscall":      "only plane, ask and lab touch the system",
	"unsafe":       "only plane, ask and lab touch the system",
}

// The codecs import each other and the standard library, and of that little.
func TestImports(t *testing.T) {
	packages := 0
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() || path == "." {
			return err
		}
		if d.Name() == "testdata" {
			return filepath.SkipDir
		}
		p, err := build.ImportDir(path, 0)
		if none := new(build.NoGoError); errors.As(err, &none) {
			return nil
		}
		if err != nil {
			return err
		}
		packages++
		for _, name := range p.Imports {
			if strings.HasPrefix(name, "mbone/proto/") {
				continue
			}
			if why, ok := forbidden[name]; ok {
				t.Errorf("%s imports %s: %s", path, name, why)
			}
			if std, err := build.Import(name, ".", build.FindOnly); err != nil || !std.Goroot {
				t.Errorf("%s imports %s, which is not of the standard library", path, name)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if packages < 4 {
		t.Errorf("%d packages were looked at, want 4 at least: igmp, dvmrp, mtrace, wire", packages)
	}
}
