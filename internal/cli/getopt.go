package cli

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// option is one option of a command line.
type option struct {
	name  string // the first name of its flag
	value string
	takes bool // whether it has a value
}

// normalise takes a command line apart as getopt_long(3) does: options may
// stand after arguments, letters may be clustered (-lMn), a value may be
// attached (-S5, -lnS5, --name=value) or be the next word whatever that looks
// like (-t -5), a single dash is an argument, and "--" ends the options. Names
// are not abbreviated: a new flag must not change what an old script means.
//
// With optionsFirst the first argument ends the options, as for a command that
// is followed by the command line of another.
//
// It goes on after an error, so that the rest of the options is known to the
// one who reports it, and returns the first.
func normalise(args []string, flags []Flag, optionsFirst bool) (options []option, operands []string, err error) {
	byName := make(map[string]option)
	for _, f := range flags {
		names := f.Names()
		for _, name := range names {
			byName[name] = option{name: names[0], takes: takesValue(f)}
		}
	}
	fail := func(format string, a ...any) {
		if err == nil {
			err = Usage(format, a...)
		}
	}
	for len(args) > 0 {
		word := args[0]
		args = args[1:]
		// next returns the word after this one as the value of an option.
		next := func(typed string) (string, bool) {
			if len(args) == 0 {
				fail("option %s needs a value", typed)
				return "", false
			}
			v := args[0]
			args = args[1:]
			return v, true
		}
		switch {
		case word == "--":
			return options, append(operands, args...), err
		case word == "-" || !strings.HasPrefix(word, "-"):
			operands = append(operands, word)
			if optionsFirst {
				return options, append(operands, args...), err
			}
		case strings.HasPrefix(word, "--"):
			name, value, attached := strings.Cut(word[2:], "=")
			o, ok := byName[name]
			typed := "--" + name
			switch {
			case !ok || len(name) == 1:
				fail("unknown option %s", quote(typed))
				continue
			case attached && !o.takes:
				fail("option %s takes no value", typed)
				continue
			case o.takes && !attached:
				if value, ok = next(typed); !ok {
					continue
				}
			}
			o.value = value
			options = append(options, o)
		default:
			for rest := word[1:]; rest != ""; {
				_, size := utf8.DecodeRuneInString(rest)
				letter := rest[:size]
				rest = rest[size:]
				o, ok := byName[letter]
				if !ok {
					fail("unknown option %s", quote("-"+letter))
					continue
				}
				if o.takes {
					if o.value, rest = rest, ""; o.value == "" {
						if o.value, ok = next("-" + letter); !ok {
							continue
						}
					}
				}
				options = append(options, o)
			}
		}
	}
	return options, operands, err
}

// canonical is a command line that can be read in one way only.
func canonical(options []option, operands []string) []string {
	var args []string
	for _, o := range options {
		if o.takes {
			args = append(args, fmt.Sprintf("--%s=%s", o.name, o.value))
		} else {
			args = append(args, "--"+o.name)
		}
	}
	return append(append(args, "--"), operands...)
}

// quote returns s as it is if it is a plain word, else in Go's quotes.
func quote(s string) string {
	plain := s != "" && utf8.ValidString(s) && strings.IndexFunc(s, func(r rune) bool {
		return unicode.IsSpace(r) || !unicode.IsPrint(r) || strings.ContainsRune(`"'\;`, r)
	}) < 0
	if plain {
		return s
	}
	return strconv.QuoteToGraphic(s)
}
