// Package cli is what the commands share: arguments in the manner of getopt,
// output formats, exit codes, error lines, help and completion.
//
// A command describes itself in a [Spec] and is run by [Run]. The arguments go
// through one normaliser, which knows clusters (-lMnps), attached values (-S5,
// -lnS5, --format=json), options after arguments and "--"; what comes out of it
// is unambiguous and is parsed by urfave/cli.
//
// A failure is one line on standard error, "prog: what: cause; fix". If JSON
// was asked for, every outcome, a usage error too, is one document on standard
// output.
package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	urfave "github.com/urfave/cli/v2"

	"mbone/report"
)

// Version is what --version prints.
const Version = "0.1.0"

// Exit codes of every command.
const (
	ExitOK         = 0 // asked and fully answered
	ExitIncomplete = 1 // answered in part, or no answer
	ExitUsage      = 2 // bad usage
	ExitFailed     = 3 // could not ask: no permission, no route, no such name or file
)

// Spec describes a command.
type Spec struct {
	// Name is what a person types: "mrinfo"; of a subcommand its own word.
	Name string
	// Summary says in one line what the command does.
	Summary string
	// Synopsis of the arguments, "source [receiver] [group]"; empty: none.
	Args string
	// MinArgs and MaxArgs bound the number of arguments; MaxArgs < 0: any number.
	MinArgs, MaxArgs int
	// OptionsFirst is whether the first argument ends the options, because the
	// command line of another program may follow.
	OptionsFirst bool
	// Flags of this command, made by [Bool], [Int], ...; the common ones (help,
	// version, completion, output) are added by [Run].
	Flags []Flag
	// Formats are the output formats, the default first. If it is empty there
	// are no output flags.
	Formats []string
	// FormatLetters are options that choose one of Formats, as --json does.
	FormatLetters []FormatLetter
	// Schema names the JSON documents ("mbone/mrinfo"), SchemaVersion counts
	// their incompatible changes.
	Schema        string
	SchemaVersion int
	// Empty makes the document of a run that ended before there was anything to
	// say; nil: the head alone.
	Empty func(report.Document) any
	// Notes are lines at the end of the help text.
	Notes []string
	// Commands are subcommands: the first argument chooses one. Its options
	// follow its name.
	Commands []*Spec
	// Complete returns candidates for the last of args, which may be empty or the
	// beginning of one.
	Complete func(args []string) []string
	// Action does the work. A nil error is exit code 0, an [*Error] names its
	// own, any other error is [ExitFailed]. Nil if there are only subcommands.
	Action func(ctx context.Context, c *Call) error

	parent *Spec
}

// Call is one run of a command, as its Action sees it.
type Call struct {
	Args  []string // the arguments, options taken out
	Stdin io.Reader
	// Stdout is where data goes: standard output, or the file of --out.
	Stdout io.Writer
	// Stderr is for what is not data: warnings go through [Call.Warn], debug
	// output through a logger.
	Stderr io.Writer
	Format string // one of Spec.Formats; empty if there are none

	spec   *Spec
	start  time.Time
	errors []string
	wrote  bool // a JSON document
}

// JSON is whether the format is json or ndjson.
func (c *Call) JSON() bool { return isJSON(c.Format) }

func isJSON(format string) bool { return format == "json" || format == "ndjson" }

// Warn prints one line, "prog: text", on standard error and keeps it for the
// errors of the document.
func (c *Call) Warn(format string, args ...any) {
	line := report.Printable(fmt.Sprintf(format, args...))
	c.errors = append(c.errors, line)
	fmt.Fprintf(c.Stderr, "%s: %s\n", c.spec.program(), line)
}

// Document returns the head of a document: complete if reason is empty. It
// holds what [Call.Warn] has said so far.
func (c *Call) Document(reason string) report.Document {
	return report.Document{
		Schema:   c.spec.Schema,
		Version:  max(c.spec.SchemaVersion, 1),
		Complete: reason == "",
		Reason:   report.Printable(reason),
		Errors:   append([]string{}, c.errors...),
		Time:     c.start,
	}
}

// WriteJSON writes v as a document: indented for json, on one line for ndjson.
// Characters that could steer a terminal are escaped.
func (c *Call) WriteJSON(v any) error {
	c.wrote = true
	var b []byte
	var err error
	if c.Format == "ndjson" {
		b, err = json.Marshal(v)
	} else {
		b, err = json.MarshalIndent(v, "", "  ")
	}
	if err != nil {
		return fmt.Errorf("JSON document: %w", err)
	}
	_, err = c.Stdout.Write(append(escapeControls(b), '\n'))
	return err
}

// Error is a failure that ends a run. It reads "what: cause; fix"; parts that
// are empty are left out.
type Error struct {
	Code int    // the exit code
	What string // the object: what was asked, opened, ...
	Err  error  // the cause
	Fix  string // what the user can do
}

// Error implements error.
func (e *Error) Error() string {
	s := e.What
	if e.Err != nil {
		if s != "" {
			s += ": "
		}
		s += e.Err.Error()
	}
	if e.Fix != "" {
		s += "; " + e.Fix
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Usage returns a usage error: exit code 2, and the line points to --help.
func Usage(format string, args ...any) error {
	return &Error{Code: ExitUsage, What: fmt.Sprintf(format, args...)}
}

// exitError ends a run about which everything has been said.
type exitError int

func (e exitError) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// Exit returns an error that ends the run with a code and prints nothing more.
func Exit(code int) error { return exitError(code) }

// Run runs a command: args do not hold its name. It returns the exit code.
func Run(ctx context.Context, spec *Spec, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	if n := len(args); n > 0 && args[n-1] == completionFlag {
		return complete(spec, args[:n-1], stdout)
	}
	spec, args = spec.resolve(args)
	out := &output{w: stdout}
	c := &Call{Stdin: stdin, Stdout: out, Stderr: stderr, spec: spec, start: time.Now()}
	err := c.run(ctx, args, out)
	code := ExitOK
	if err != nil && out.err == nil { // close tells of its own error
		code = c.fail(err)
	}
	if err := out.close(); err != nil {
		c.Warn("%v", err)
		return ExitFailed
	}
	return code
}

// run parses the arguments and does the work.
func (c *Call) run(ctx context.Context, args []string, out *output) error {
	o := outputFlags{formats: c.spec.Formats, letters: c.spec.FormatLetters}
	flags := c.spec.allFlags(&o)
	options, operands, err := normalise(args, flags, c.spec.OptionsFirst)
	c.Format = guessFormat(c.spec.Formats, options)
	if err != nil {
		return err
	}
	for _, opt := range options {
		switch opt.name {
		case "help":
			_, err := io.WriteString(c.Stdout, c.spec.help(flags))
			return err
		case "version":
			_, err := fmt.Fprintf(c.Stdout, "%s (mbone) %s\n", c.spec.program(), Version)
			return err
		case "completion":
			return completionScript(c.Stdout, c.spec.program(), opt.value)
		}
	}
	app := &urfave.App{
		Name:            c.spec.program(),
		Flags:           flags,
		Writer:          c.Stdout,
		ErrWriter:       c.Stderr,
		HideHelp:        true,
		HideHelpCommand: true, // a router may be called "help"
		HideVersion:     true, // its -v is taken
		ExitErrHandler:  func(*urfave.Context, error) {},
		OnUsageError: func(_ *urfave.Context, err error, _ bool) error {
			return usageError(flags, err)
		},
		Action: func(u *urfave.Context) error {
			if c.Format, err = o.format(); err != nil {
				return err
			}
			c.Args = u.Args().Slice()
			if err := c.spec.checkArgs(c.Args); err != nil {
				return err
			}
			if o.file != "" && o.file != "-" {
				err := out.open(u.Context, o.file)
				switch {
				case err == nil:
				case u.Err() != nil:
					return &Error{Code: ExitIncomplete, What: quote(o.file), Err: errors.New(Interrupted(u.Context))}
				default:
					return &Error{Code: ExitFailed, Err: err, Fix: "choose a file that can be written with --out"}
				}
			}
			return c.spec.Action(u.Context, c)
		},
	}
	return app.RunContext(ctx, append([]string{app.Name}, canonical(options, operands)...))
}

// fail prints the line and, if JSON was asked for, the document of a run that
// failed, and returns the exit code.
func (c *Call) fail(err error) int {
	code := ExitFailed
	var exit exitError
	var known *Error
	switch {
	case errors.As(err, &exit):
		code = int(exit)
	case errors.As(err, &known):
		code = known.Code
	}
	text := err.Error()
	if code == ExitUsage && exit == 0 {
		text += "; see " + c.spec.path() + " --help"
	}
	if exit == 0 {
		c.Warn("%s", text)
	}
	if c.JSON() && !c.wrote {
		doc := c.Document(text)
		var v any = doc
		if c.spec.Empty != nil {
			v = c.spec.Empty(doc)
		}
		if err := c.WriteJSON(v); err != nil {
			return ExitFailed
		}
	}
	return code
}

// checkArgs verifies the number of arguments.
func (s *Spec) checkArgs(args []string) error {
	switch {
	case s.Action == nil && len(args) == 0:
		return Usage("which command? one of %s", strings.Join(s.commandNames(), ", "))
	case s.Action == nil:
		return Usage("unknown command %s: it is one of %s", quote(args[0]), strings.Join(s.commandNames(), ", "))
	case len(args) < s.MinArgs:
		return Usage("missing argument: %s", s.usage())
	case s.MaxArgs >= 0 && len(args) > s.MaxArgs:
		extra := args[s.MaxArgs]
		if s.command(extra) != nil {
			return Usage("options of %s %s go after its name", s.path(), extra)
		}
		return Usage("unexpected argument %s: %s", quote(extra), s.usage())
	}
	return nil
}

// resolve follows the names of subcommands at the start of args.
func (s *Spec) resolve(args []string) (*Spec, []string) {
	for len(args) > 0 {
		sub := s.command(args[0])
		if sub == nil {
			break
		}
		sub.parent = s
		s, args = sub, args[1:]
	}
	return s, args
}

func (s *Spec) command(name string) *Spec {
	for _, sub := range s.Commands {
		if sub.Name == name {
			return sub
		}
	}
	return nil
}

func (s *Spec) commandNames() []string {
	var names []string
	for _, sub := range s.Commands {
		names = append(names, sub.Name)
	}
	return names
}

// program is the name of the program: what its lines begin with.
func (s *Spec) program() string {
	for s.parent != nil {
		s = s.parent
	}
	return s.Name
}

// path is the name of the command with those above it.
func (s *Spec) path() string {
	if s.parent == nil {
		return s.Name
	}
	return s.parent.path() + " " + s.Name
}
