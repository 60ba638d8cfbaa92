package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	urfave "github.com/urfave/cli/v2"

	"mbone/report"
)

// outputFlags are -o, --json and --out.
type outputFlags struct {
	formats []string // that the command has, the default first
	letters []FormatLetter
	chosen  []string // with -o, in the order given
	json    bool
	letter  []bool // of letters: given
	file    string
}

// FormatLetter is a letter of a classic program that stands for a format.
type FormatLetter struct{ Letter, Format string }

func (o *outputFlags) flags() []Flag {
	if len(o.formats) == 0 {
		return nil
	}
	var name string
	format := Choice(&name, "o,format", "NAME", o.formats, strings.Join(o.formats, ", ")).(*urfave.GenericFlag)
	v := format.Value.(*value)
	choose := v.set
	v.set = func(s string) error {
		if err := choose(s); err != nil {
			return err
		}
		o.chosen = append(o.chosen, s)
		return nil
	}
	flags := []Flag{format}
	if slices.Contains(o.formats, "json") {
		flags = append(flags, Bool(&o.json, "json", "same as -o json"))
	}
	o.letter = make([]bool, len(o.letters))
	for i, l := range o.letters {
		flags = append(flags, Bool(&o.letter[i], l.Letter, "same as -o "+l.Format))
	}
	return append(flags, Common(Text(&o.file, "out", "FILE", "write to FILE, in one step at the end"))...)
}

// format returns the output format, or an error if several were asked for.
func (o *outputFlags) format() (string, error) {
	if len(o.formats) == 0 {
		return "", nil
	}
	chosen := slices.Clone(o.chosen)
	if o.json {
		chosen = append(chosen, "json")
	}
	for i, given := range o.letter {
		if given {
			chosen = append(chosen, o.letters[i].Format)
		}
	}
	for _, f := range chosen {
		if f != chosen[0] {
			return guess(chosen), Usage("output formats %s and %s contradict each other", chosen[0], f)
		}
	}
	return guess(append(chosen, o.formats[0])), nil
}

// guess returns the first format of a list, or the first JSON one if there is
// any: who asks for JSON gets a document, even about a contradiction.
func guess(formats []string) string {
	if i := slices.IndexFunc(formats, isJSON); i >= 0 {
		return formats[i]
	}
	return formats[0]
}

// guessFormat finds the format in options that may be wrong elsewhere.
func guessFormat(formats []string, options []option) string {
	if len(formats) == 0 {
		return ""
	}
	for _, o := range options {
		if o.name == "json" {
			return "json"
		}
		if o.name == "o" && isJSON(o.value) && slices.Contains(formats, o.value) {
			return o.value
		}
	}
	return formats[0]
}

// output is where data goes. It remembers the first error, so that a full disk
// is not taken for success.
type output struct {
	w    io.Writer
	err  error
	temp *os.File // the file of --out, or the one that replaces it in the end
	name string   // of --out
	// replace is whether temp is still to get its name.
	replace bool
	used    bool
}

// Write implements io.Writer.
func (o *output) Write(b []byte) (int, error) {
	o.used = true
	n, err := o.w.Write(b)
	if err != nil && o.err == nil {
		o.err = err
	}
	return n, err
}

// open lets the output go to a file, which is replaced in one step by close.
// What is not a regular file (a device, a pipe) is written as it is.
func (o *output) open(ctx context.Context, name string) error {
	if real, err := filepath.EvalSymlinks(name); err == nil {
		name = real
	}
	switch info, err := os.Stat(name); {
	case err == nil && info.IsDir():
		return fmt.Errorf("%s: is a directory", quote(name))
	case err == nil && !info.Mode().IsRegular():
		f, err := openFile(ctx, name, os.O_WRONLY)
		if err != nil {
			return pathError(err)
		}
		o.w, o.temp, o.name = f, f, name
		return nil
	}
	temp, err := os.OpenFile(fmt.Sprintf("%s.%08x", name, rand.Uint32()), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		var pe *fs.PathError
		if errors.As(err, &pe) {
			pe.Path = name
		}
		return pathError(err)
	}
	o.w, o.temp, o.name, o.replace = temp, temp, name, true
	return nil
}

// openFile opens a file, which may be a pipe that has nobody at its other end
// yet: the end of ctx ends the wait.
func openFile(ctx context.Context, name string, flag int) (*os.File, error) {
	type result struct {
		file *os.File
		err  error
	}
	opened := make(chan result)
	go func() {
		f, err := os.OpenFile(name, flag, 0)
		select {
		case opened <- result{f, err}:
		case <-ctx.Done():
			f.Close() // does nothing to nil
		}
	}()
	select {
	case r := <-opened:
		return r.file, r.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// pathError words an error of a file as "name: cause".
func pathError(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return fmt.Errorf("%s: %w", quote(pe.Path), pe.Err)
	}
	return err
}

// close gives the file its name, if anything was written, and returns the first
// error of the output.
func (o *output) close() error {
	what := "standard output"
	if o.temp != nil {
		if err := o.temp.Close(); o.err == nil {
			o.err = err
		}
	}
	if o.name != "" {
		what = quote(o.name)
	}
	if o.replace {
		if o.err != nil || !o.used {
			os.Remove(o.temp.Name())
		} else {
			o.err = os.Rename(o.temp.Name(), o.name)
		}
	}
	if o.err == nil {
		return nil
	}
	var pe *fs.PathError
	if errors.As(o.err, &pe) {
		return fmt.Errorf("%s: %w", what, pe.Err)
	}
	return fmt.Errorf("%s: %w", what, o.err)
}

// escapeControls writes what could steer a terminal as \u escapes, which mean
// the same in a JSON document. encoding/json has done so for ASCII but DEL.
func escapeControls(b []byte) []byte {
	if bytes.IndexFunc(b, steers) < 0 {
		return b
	}
	var out []byte
	for len(b) > 0 {
		r, size := utf8.DecodeRune(b)
		if steers(r) {
			out = fmt.Appendf(out, `\u%04x`, r)
		} else {
			out = append(out, b[:size]...)
		}
		b = b[size:]
	}
	return out
}

func steers(r rune) bool { return r != '\n' && !report.IsPrintable(r) && r != utf8.RuneError }
