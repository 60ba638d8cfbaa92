// Package man_test holds the manual pages, and the pages of docs that describe
// the command line, against the commands.
package man_test

import (
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"mbone/internal/cli"
	mapmbone "mbone/internal/cmd/map-mbone"
	"mbone/internal/cmd/mrinfo"
	"mbone/internal/cmd/mroutd"
	"mbone/internal/cmd/mstat"
	"mbone/internal/cmd/mtrace"
	"mbone/internal/prototest"
	"mbone/report"
)

// program is a command with its page.
type program struct {
	spec func() *cli.Spec
	run  func(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int
}

var programs = map[string]program{
	"mrinfo":    {mrinfo.Spec, mrinfo.Run},
	"map-mbone": {mapmbone.Spec, mapmbone.Run},
	"mtrace":    {mtrace.Spec, mtrace.Run},
	"mstat":     {mstat.Spec, mstat.Run},
	"mroutd":    {mroutd.Spec, mroutd.Run},
}

// eachCommand calls fn with every program and every subcommand, by its path:
// "mroutd lab up".
func eachCommand(s *cli.Spec, path string, fn func(path string, s *cli.Spec)) {
	fn(path, s)
	for _, sub := range s.Commands {
		eachCommand(sub, path+" "+sub.Name, fn)
	}
}

// everywhere are the flags of all commands, which a page explains once.
var everywhere = []string{"completion", "h", "help", "version"}

// flagsOf returns the names of the flags of a command with what stands for their
// values.
func flagsOf(s *cli.Spec, all bool) map[string]string {
	flags := make(map[string]string)
	for _, f := range s.AllFlags() {
		for _, name := range f.Names() {
			if all || !slices.Contains(everywhere, name) {
				flags[name] = cli.Placeholder(f)
			}
		}
	}
	return flags
}

// page is what a manual page says of flags.
type page struct {
	// items are the flags that the lists below each subsection explain, with the
	// first word of their values. A subsection is one of commands if its title is
	// the path of a command; the others belong to the program.
	items map[string]map[string]string
	// commands are the titles of subsections that are paths of commands.
	commands map[string]bool
	// synopsis and all are the flags in that section and in the whole page.
	synopsis, all map[string]bool
}

// callable are the mdoc macros that end the arguments of the one before them.
var callable = []string{"Ar", "Cm", "Fl", "Li", "Nm", "No", "Ns", "Oc", "Oo", "Op", "Pa", "Pq", "Ql", "Sq", "Sx", "Ta", "Xr"}

// readPage reads the flags of a page: the arguments of Fl.
func readPage(t *testing.T, name string) page {
	t.Helper()
	text, err := os.ReadFile(name + ".8")
	if err != nil {
		t.Fatal(err)
	}
	p := page{items: make(map[string]map[string]string), commands: map[string]bool{name: true}, synopsis: make(map[string]bool), all: make(map[string]bool)}
	section, subsection := "", name
	for line := range strings.Lines(string(text)) {
		words := strings.Fields(line)
		if len(words) == 0 || !strings.HasPrefix(words[0], ".") {
			continue
		}
		switch words[0] {
		case ".Sh":
			section, subsection = words[1], name
		case ".Ss":
			subsection = name
			if title := strings.Join(words[1:], " "); title == name || strings.HasPrefix(title, name+" ") {
				subsection = title
				p.commands[title] = true
			}
		}
		words[0] = words[0][1:]
		macro := ""
		item := words[0] == "It"
		var open []string // flags of an item whose value may follow
		for _, word := range words {
			if slices.Contains(callable, word) {
				macro = word
				continue
			}
			switch {
			case macro == "Fl" && strings.Trim(word, ".,()|-") != "":
				found := []string{strings.TrimPrefix(word, "-")}
				if !strings.HasPrefix(word, "-") {
					found = strings.Split(word, "")
				}
				for _, flag := range found {
					if strings.Trim(flag, "0123456789") == "" {
						continue // the value in a cluster like -nr2
					}
					p.all[flag] = true
					if section == "SYNOPSIS" {
						p.synopsis[flag] = true
					}
					if item {
						if p.items[subsection] == nil {
							p.items[subsection] = make(map[string]string)
						}
						p.items[subsection][flag] = ""
					}
				}
				open = found
			case macro == "Ar" && item && len(open) > 0:
				for _, flag := range open {
					p.items[subsection][flag] = word
				}
				open = nil
			}
		}
	}
	return p
}

// Every flag of every command is explained in its page, by the name that the help
// text gives to its value, and every flag in a page exists.
func TestFlags(t *testing.T) {
	for name, program := range programs {
		t.Run(name, func(t *testing.T) {
			p := readPage(t, name)
			exists := make(map[string]bool)
			eachCommand(program.spec(), name, func(path string, s *cli.Spec) {
				if s.Action == nil && len(s.Commands) > 0 {
					return
				}
				if !p.commands[path] {
					t.Errorf("the page does not explain %s", path)
				}
				delete(p.commands, path)
				want := flagsOf(s, path == name)
				for flag, value := range want {
					exists[flag] = true
					// SYS[,SYS] is shown as sys.
					value, _, _ := strings.Cut(strings.ToLower(value), "[")
					switch got, ok := p.items[path][flag]; {
					case !ok:
						t.Errorf("%s: the page does not explain %s", path, flag)
					case got != value:
						t.Errorf("%s: %s has the value %q in the page, %q in the help", path, flag, got, value)
					}
					if !p.synopsis[flag] && !slices.ContainsFunc(slices.Collect(maps.Keys(p.synopsis)), func(other string) bool { return sameFlag(s, flag, other) }) {
						t.Errorf("%s: %s is not in the synopsis", path, flag)
					}
				}
				for flag := range p.items[path] {
					if _, ok := want[flag]; !ok {
						t.Errorf("%s: the page explains %s, which does not exist", path, flag)
					}
				}
				delete(p.items, path)
			})
			for path := range p.commands {
				t.Errorf("the page explains %s, which does not exist", path)
			}
			for flag := range p.all {
				if !exists[flag] {
					t.Errorf("the page speaks of %s, which does not exist", flag)
				}
			}
		})
	}
}

// sameFlag is whether two names are of one flag.
func sameFlag(s *cli.Spec, a, b string) bool {
	return slices.ContainsFunc(s.AllFlags(), func(f cli.Flag) bool {
		return slices.Contains(f.Names(), a) && slices.Contains(f.Names(), b)
	})
}

// The help text of every command fits a screen of 24 lines by 80 columns.
func TestHelpFits(t *testing.T) {
	for name, program := range programs {
		eachCommand(program.spec(), name, func(path string, _ *cli.Spec) {
			var stdout, stderr strings.Builder
			args := append(strings.Fields(path)[1:], "--help")
			if code := program.run(t.Context(), args, nil, &stdout, &stderr); code != cli.ExitOK || stderr.Len() > 0 {
				t.Errorf("%s --help: exit %d, %s", path, code, stderr.String())
			}
			if n := strings.Count(stdout.String(), "\n"); n > 24 {
				t.Errorf("%s --help has %d lines", path, n)
			}
			for line := range strings.Lines(stdout.String()) {
				if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > 80 {
					t.Errorf("%s --help has a line of %d columns: %s", path, n, line)
				}
			}
		})
	}
}

// allPages returns the names of all manual pages.
func allPages(t *testing.T) []string {
	t.Helper()
	pages, err := filepath.Glob("*.[0-9]")
	if err != nil || len(pages) <= len(programs) {
		t.Fatalf("pages %v: %v", pages, err)
	}
	return pages
}

// Mandoc has nothing to say of the pages but that it does not find others' here.
func TestLint(t *testing.T) {
	mandoc := prototest.Program(t, "mandoc")
	for _, page := range allPages(t) {
		out, err := exec.Command(mandoc, "-T", "lint", "-W", "style", page).CombinedOutput()
		if err != nil && len(out) == 0 {
			t.Fatalf("mandoc: %v", err)
		}
		for line := range strings.Lines(string(out)) {
			if strings.Contains(line, "referenced manual not found") || strings.Contains(line, "outdated mandoc.db") {
				continue
			}
			t.Error(strings.TrimSpace(line))
		}
	}
}

// The pages that a page of ours refers to as the project's own exist.
func TestReferences(t *testing.T) {
	reference := regexp.MustCompile(`(?m)^\.Xr (mrinfo|mtrace|mroutd|mroutd.conf|mstat|map-mbone) (\d)`)
	file := regexp.MustCompile(`(?m)^\.Pa ((?:docs|man)/[a-z.-]+)`)
	for _, page := range allPages(t) {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range reference.FindAllStringSubmatch(string(text), -1) {
			if _, err := os.Stat(m[1] + "." + m[2]); err != nil {
				t.Errorf("%s: %v", page, err)
			}
		}
		for _, m := range file.FindAllStringSubmatch(string(text), -1) {
			if _, err := os.Stat(filepath.Join("..", m[1])); err != nil {
				t.Errorf("%s: %v", page, err)
			}
		}
	}
}

// The files that the Markdown pages link to exist.
func TestLinks(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#:]+)(#[^)]*)?\)`)
	pages, err := filepath.Glob("../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, page := range append(pages, "../README.md", "../CONTRIBUTING.md", "../CHANGELOG.md") {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range link.FindAllStringSubmatch(string(text), -1) {
			found++
			if _, err := os.Stat(filepath.Join(filepath.Dir(page), m[1])); err != nil {
				t.Errorf("%s: %v", page, err)
			}
		}
	}
	if found == 0 {
		t.Error("no links were found")
	}
}

// recordings is where the recordings of the examples are.
const recordings = "../proto/testdata/lab-14-1"

// Examples that read a recording print what the pages show.
func TestExamples(t *testing.T) {
	pages, err := filepath.Glob("../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	pages = append(pages, "../README.md")
	for name := range programs {
		pages = append(pages, name+".8")
	}
	texts := make(map[string]string)
	for _, page := range pages {
		b, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		texts[page] = string(b)
	}
	t.Chdir(recordings)
	ran := make(map[string]bool)
	for page, text := range texts {
		for _, block := range literalBlocks(page, text) {
			for _, e := range examples(block) {
				args := strings.Fields(e.command)
				program, ok := programs[args[0]]
				if !ok || !slices.Contains(args, "--read") || strings.ContainsAny(e.command, "|<>") {
					continue
				}
				var stdout, stderr strings.Builder
				program.run(t.Context(), args[1:], nil, &stdout, &stderr)
				if got := comparable(stdout.String()); got != comparable(e.output) {
					t.Errorf("%s: %s prints\n%s%snot\n%s", page, e.command, got, stderr.String(), comparable(e.output))
				}
				ran[args[0]+" "+filepath.Ext(page)] = true
			}
		}
	}
	for _, what := range []string{"mrinfo .8", "map-mbone .8", "mtrace .8", "mrinfo .md", "map-mbone .md", "mtrace .md"} {
		if !ran[what] {
			t.Errorf("no example of %s was run", what)
		}
	}
}

// runTime is the time in the head of a document, which differs from run to run.
var runTime = regexp.MustCompile(`(?m)^  "time": "[^"]*"`)

// comparable is an output without what a page cannot hold: blanks at the end of
// lines, empty lines at the end, the time of the run.
func comparable(s string) string {
	var b strings.Builder
	for line := range strings.Lines(s) {
		b.WriteString(strings.TrimRight(line, " \n") + "\n")
	}
	return strings.TrimRight(runTime.ReplaceAllString(b.String(), `  "time": ...`), "\n") + "\n"
}

// literalBlocks returns what a page shows as it is: between .Bd -literal and .Ed
// in mdoc, between fences in Markdown.
func literalBlocks(page, text string) []string {
	begin, end := "```", "```"
	if strings.HasSuffix(page, ".8") {
		begin, end = ".Bd -literal", ".Ed"
	}
	var blocks []string
	var block strings.Builder
	inside := false
	for line := range strings.Lines(text) {
		switch {
		case !inside && strings.HasPrefix(line, begin):
			inside = true
			block.Reset()
		case inside && strings.HasPrefix(line, end):
			inside = false
			blocks = append(blocks, block.String())
		case inside:
			block.WriteString(strings.ReplaceAll(line, `\e`, `\`))
		}
	}
	return blocks
}

// example is a command with what it prints.
type example struct{ command, output string }

// examples are the lines of a block that begin with "$ ", with those below them.
func examples(block string) []example {
	var all []example
	for line := range strings.Lines(block) {
		if command, ok := strings.CutPrefix(line, "$ "); ok {
			all = append(all, example{command: strings.TrimSpace(command)})
		} else if n := len(all); n > 0 {
			all[n-1].output += line
		}
	}
	return all
}

// table reads the table of a Markdown page whose first column has this title:
// rows by their first cell, cells by the title of their column.
func table(t *testing.T, page, title string) map[string]map[string]string {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	cells := func(line string) []string {
		parts := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		for i := range parts {
			parts[i] = strings.Trim(strings.TrimSpace(parts[i]), "`")
		}
		return parts
	}
	rows := make(map[string]map[string]string)
	var columns []string
	for line := range strings.Lines(string(text)) {
		switch {
		case !strings.HasPrefix(line, "|"):
			columns = nil
		case columns == nil:
			columns = cells(line)
		case columns[0] == title && !strings.HasPrefix(line, "|-"):
			row := cells(line)
			if len(row) != len(columns) {
				t.Fatalf("%s: %d cells, want %d: %s", page, len(row), len(columns), line)
			}
			if rows[row[0]] != nil {
				t.Errorf("%s: two rows for %s", page, row[0])
			}
			rows[row[0]] = make(map[string]string)
			for i, c := range row[1:] {
				rows[row[0]][columns[i+1]] = c
			}
		}
	}
	if len(rows) == 0 {
		t.Fatalf("%s has no table of %ss", page, strings.ToLower(title))
	}
	return rows
}

// Docs/options.md has every letter, long option and format of every program, and
// no other.
func TestOptionTables(t *testing.T) {
	const page = "../docs/options.md"
	letters, options, formats := table(t, page, "Letter"), table(t, page, "Option"), table(t, page, "Format")
	check := func(kind string, rows map[string]map[string]string, name string, has map[string]bool) {
		t.Helper()
		for word := range has {
			if rows[word] == nil {
				t.Errorf("%s of %s: no row for %s", kind, name, word)
			}
		}
		for word, row := range rows {
			cell, ok := row[name]
			if !ok {
				t.Fatalf("%s: no column of %s", kind, name)
			}
			if (cell != "") != has[word] {
				t.Errorf("%s %s: %s has it: %v, the page says %q", kind, word, name, has[word], cell)
			}
		}
	}
	for name, program := range programs {
		s := program.spec()
		short, long, format := make(map[string]bool), make(map[string]bool), make(map[string]bool)
		for _, f := range s.AllFlags() {
			for _, n := range f.Names() {
				if len(n) == 1 {
					short["-"+n] = true
				} else {
					long["--"+n] = true
				}
			}
		}
		for i, f := range s.Formats {
			format[f] = true
			if row := formats[f]; row != nil && (row[name] == "default") != (i == 0) {
				t.Errorf("format %s of %s: %q", f, name, row[name])
			}
		}
		check("letter", letters, name, short)
		check("option", options, name, long)
		check("format", formats, name, format)
	}
}

// documents are the types whose keys docs/json.md explains, by the titles of its
// sections.
var documents = map[string]any{
	"Head": report.Document{}, "Routers": report.Routers{}, "Router": report.Router{}, "Version": report.Version{},
	"Interface": report.Interface{}, "Neighbor": report.Neighbor{},
	"Path": report.Path{}, "Query": report.Query{}, "Hop": report.Hop{}, "Raw": report.RawBlock{}, "Unreliable": report.Unreliable{},
	"Next": report.NextHop{}, "Change": report.PathChange{}, "Event": report.PathEvent{}, "Statistics": report.Statistics{}, "Link": report.Link{},
	"Traffic": report.Traffic{}, "Count": report.Count{}, "Cause": report.Cause{},
	"Map": report.Map{}, "Map router": report.MapRouter{}, "Map link": report.MapLink{}, "Link end": report.LinkEnd{}, "One-way": report.OneWay{},
}

// nilSlices are the arrays of documents that may be null.
var nilSlices = []string{"Interface.flags", "LinkEnd.flags", "MapRouter.interfaces", "Router.interfaces"}

// Docs/json.md has every key of every document, in its order, and says of those
// that may be null when they are.
func TestJSONKeys(t *testing.T) {
	text, err := os.ReadFile("../docs/json.md")
	if err != nil {
		t.Fatal(err)
	}
	keys := make(map[string][]string)   // by section
	nulls := make(map[string]bool)      // section.key
	seen := make(map[reflect.Type]bool) // reached from the documents
	section := ""
	for line := range strings.Lines(string(text)) {
		if title, ok := strings.CutPrefix(line, "#"); ok {
			section = strings.TrimSpace(strings.TrimLeft(title, "#"))
		}
		if cells := strings.Split(line, "|"); len(cells) == 6 && strings.Contains(cells[1], "`") {
			key := strings.Trim(cells[1], " `")
			keys[section] = append(keys[section], key)
			nulls[section+"."+key] = strings.TrimSpace(cells[3]) != ""
		}
	}
	address := reflect.TypeFor[report.Address]()
	for title, document := range documents {
		typ := reflect.TypeOf(document)
		seen[typ] = true
		var want []string
		for i := range typ.NumField() {
			f := typ.Field(i)
			if f.Anonymous {
				continue // the head
			}
			key := f.Tag.Get("json")
			want = append(want, key)
			nullable := f.Type.Kind() == reflect.Pointer || f.Type == address || slices.Contains(nilSlices, typ.Name()+"."+key)
			if nulls[title+"."+key] != nullable {
				t.Errorf("%s: %s may be null: %v, the page says %v", title, key, nullable, nulls[title+"."+key])
			}
		}
		if !slices.Equal(keys[title], want) {
			t.Errorf("%s has the keys\n%q, the page\n%q", title, want, keys[title])
		}
		delete(keys, title)
	}
	for title := range keys {
		t.Errorf("the page explains the keys of %s, which is no type of a document", title)
	}
	// What a document holds is explained, too.
	for _, document := range documents {
		typ := reflect.TypeOf(document)
		for i := range typ.NumField() {
			inner := typ.Field(i).Type
			for inner.Kind() == reflect.Pointer || inner.Kind() == reflect.Slice {
				inner = inner.Elem()
			}
			if inner.Kind() == reflect.Struct && inner.PkgPath() == typ.PkgPath() && inner != address && !seen[inner] {
				t.Errorf("the page does not explain %v", inner)
			}
		}
	}
}

// The pages are read as they are meant: all else depends on it.
func TestReadPage(t *testing.T) {
	p := readPage(t, "mrinfo")
	if got := p.items["mrinfo"]["r"]; got != "count" {
		t.Errorf("the value of -r is %q", got)
	}
	if got := p.items["mrinfo"]["format"]; got != "name" {
		t.Errorf("the value of --format is %q", got)
	}
	if got := fmt.Sprint(p.synopsis["n"], p.synopsis["read"], p.all["nonsense"]); got != "true true false" {
		t.Errorf("-n and --read in the synopsis, --nonsense anywhere: %s", got)
	}
}
