package cli

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// testFlags are like those of mtrace: letters with and without a value, and
// long names.
func testFlags() []Flag {
	var b bool
	var s string
	var d time.Duration
	n := 0
	return []Flag{
		Bool(&b, "l", ""), Bool(&b, "M", ""), Bool(&b, "n", ""), Bool(&b, "p", ""), Bool(&b, "s", ""), Bool(&b, "v", ""),
		Int(&n, "S", "N", -100, 100, ""), Text(&s, "t,ttl", "N", ""), Seconds(&d, "wait", "SEC", ""), Bool(&b, "json", ""),
	}
}

// The expectations are those of getopt_long(3) in its permuting mode.
func TestNormalise(t *testing.T) {
	tests := []struct {
		name, in, want string // words are separated by spaces; a dot is an empty word
		err            string
	}{
		{name: "nothing", in: "", want: "--"},
		{name: "cluster", in: "-lMnps src", want: "--l --M --n --p --s -- src"},
		{name: "attached value", in: "-S5", want: "--S=5 --"},
		{name: "attached value at the end of a cluster", in: "-lnS5", want: "--l --n --S=5 --"},
		{name: "value after a cluster", in: "-lnS 5 src", want: "--l --n --S=5 -- src"},
		{name: "attached value that looks like letters", in: "-tln", want: "--t=ln --"},
		{name: "attached equals sign is part of the value", in: "-t=5", want: "--t==5 --"},
		{name: "options after arguments", in: "src -n dst -S 3 group --json", want: "--n --S=3 --json -- src dst group"},
		{name: "end of options", in: "-n -- -l -S", want: "--n -- -l -S"},
		{name: "end of options as a value", in: "-t -- -n", want: "--t=-- --n --"},
		{name: "negative number as a value", in: "-S -5", want: "--S=-5 --"},
		{name: "attached negative number", in: "-S-5", want: "--S=-5 --"},
		{name: "an option's name as a value", in: "-t -n src", want: "--t=-n -- src"},
		{name: "long with equals", in: "--wait=2 src", want: "--wait=2 -- src"},
		{name: "long with the next word", in: "--wait 2 src", want: "--wait=2 -- src"},
		{name: "long name of a letter", in: "--ttl 2", want: "--t=2 --"},
		{name: "value with an equals sign", in: "--ttl=a=b", want: "--t=a=b --"},
		{name: "empty value", in: "--ttl= -t .", want: "--t= --t= --"},
		{name: "empty argument", in: ". -n", want: "--n -- ."},
		{name: "a single dash is an argument", in: "-n - -l", want: "--n --l -- -"},
		{name: "routers called help and h", in: "help h", want: "-- help h"},
		{name: "repeated", in: "-nn -n", want: "--n --n --n --"},

		{name: "unknown letter", in: "-x", err: "unknown option -x"},
		{name: "unknown letter in a cluster", in: "-lxn", err: "unknown option -x"},
		{name: "unknown long", in: "--jsn", err: "unknown option --jsn"},
		{name: "abbreviated long", in: "--js", err: "unknown option --js"},
		{name: "letter with two dashes", in: "--n", err: "unknown option --n"},
		{name: "three dashes", in: "---n", err: "unknown option ---n"},
		{name: "long with one dash", in: "-wait", err: "unknown option -w"},
		{name: "negative number as an argument", in: "-5", err: "unknown option -5"},
		{name: "missing value of a letter", in: "-n -S", err: "option -S needs a value"},
		{name: "missing value of a long name", in: "src --wait", err: "option --wait needs a value"},
		{name: "value of a flag without one", in: "--json=no", err: "option --json takes no value"},
		{name: "not UTF-8", in: "-n\xff", err: `unknown option "-\xff"`},
		{name: "another alphabet", in: "-nä", err: "unknown option -ä"},
		{name: "the first error is told", in: "-x -y", err: "unknown option -x"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var in []string
			for _, w := range strings.Fields(tt.in) {
				in = append(in, strings.TrimPrefix(w, "."))
			}
			options, operands, err := normalise(in, testFlags(), false)
			if tt.err != "" {
				if err == nil || err.Error() != tt.err {
					t.Fatalf("error %v, want %s", err, tt.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			words := canonical(options, operands)
			for i, w := range words {
				if w == "" {
					words[i] = "."
				}
			}
			if got := strings.Join(words, " "); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestNormaliseOptionsFirst(t *testing.T) {
	_, operands, err := normalise([]string{"-n", "host", "ls", "-n", "--unknown", "--", "x"}, testFlags(), true)
	if want := []string{"host", "ls", "-n", "--unknown", "--", "x"}; err != nil || !slices.Equal(operands, want) {
		t.Errorf("got %q, %v, want %q", operands, err, want)
	}
}

// Whatever stands on the command line, what comes out is stable, and every
// argument and value is a piece of what went in.
func FuzzNormalise(f *testing.F) {
	for _, s := range []string{"-lMnS5 src", "-t -5 -- -x", "--wait=2 a --json", "-n\xff -S", "--ttl= - --", "-\x00 --=\x00"} {
		f.Add(s)
	}
	flags := testFlags()
	f.Fuzz(func(t *testing.T, line string) {
		in := strings.Split(line, " ")
		options, operands, err := normalise(in, flags, false)
		for _, o := range operands {
			if !slices.Contains(in, o) {
				t.Fatalf("argument %q is not of %q", o, in)
			}
		}
		for _, o := range options {
			if !strings.Contains(line, o.value) {
				t.Fatalf("value %q is not of %q", o.value, line)
			}
			if !o.takes && o.value != "" {
				t.Fatalf("%s has the value %q", o.name, o.value)
			}
		}
		if err != nil {
			return
		}
		// Letters come out as --l, which is urfave's spelling: give them the
		// one that normalise knows.
		var again []string
		for _, o := range options {
			switch {
			case !o.takes:
				again = append(again, dashed(o.name))
			default:
				again = append(again, dashed(o.name), o.value)
			}
		}
		again = append(append(again, "--"), operands...)
		options2, operands2, err := normalise(again, flags, false)
		if err != nil || !slices.Equal(options, options2) || !slices.Equal(operands, operands2) {
			t.Fatalf("%q: %v %v, again %v %v, %v", in, options, operands, options2, operands2, err)
		}
	})
}
