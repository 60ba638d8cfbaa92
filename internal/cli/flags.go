package cli

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	urfave "github.com/urfave/cli/v2"
)

// Flag is an option of a command. Those of this project are made by [Bool],
// [Int], [Seconds], [Text], [Addr], [Choice] and [Func]. Their first parameter
// is where the value goes, whose content is the default; names are separated by
// commas, "o,format", of which those of one character are letters.
type Flag = urfave.Flag

// Bool makes a flag without a value.
func Bool(p *bool, names, usage string) Flag {
	name, aliases := splitNames(names)
	return &urfave.BoolFlag{Name: name, Aliases: aliases, Usage: usage, Destination: p, Value: *p}
}

// Int makes a flag whose value is a number of min to max; placeholder stands
// for it in the help text.
func Int(p *int, names, placeholder string, min, max int, usage string) Flag {
	return Func(names, placeholder, usage, func(s string) error {
		n, err := strconv.Atoi(s)
		if err != nil || n < min || n > max {
			if max == math.MaxInt {
				return fmt.Errorf("not a number of %d or more", min)
			}
			return fmt.Errorf("not a number of %d to %d", min, max)
		}
		*p = n
		return nil
	})
}

// longest bounds every time that a user gives: a day.
const longest = 24 * time.Hour

// Seconds makes a flag whose value is a time: a number of seconds, which may
// have a fraction, or a number with a unit such as 250ms or 2m. It is more than
// zero and at most a day.
func Seconds(p *time.Duration, names, placeholder, usage string) Flag {
	return Func(names, placeholder, usage, func(s string) error {
		d, err := time.ParseDuration(s)
		if seconds, ferr := strconv.ParseFloat(s, 64); ferr == nil && seconds <= longest.Seconds() {
			d, err = time.Duration(seconds*float64(time.Second)), nil
		}
		if err != nil || d <= 0 || d > longest {
			return errors.New("not a number of seconds above 0 and at most a day (2, 0.5, 250ms)")
		}
		*p = d
		return nil
	})
}

// Text makes a flag whose value is any text but the empty one.
func Text(p *string, names, placeholder, usage string) Flag {
	return Func(names, placeholder, usage, func(s string) error {
		if s == "" {
			return errors.New("empty")
		}
		*p = s
		return nil
	})
}

// Addr makes a flag whose value is an IPv4 address.
func Addr(p *netip.Addr, names, placeholder, usage string) Flag {
	return Func(names, placeholder, usage, func(s string) error {
		a, err := netip.ParseAddr(s)
		if err != nil || !a.Is4() {
			return errors.New("not an IPv4 address")
		}
		*p = a
		return nil
	})
}

// Prefixes makes a flag whose value is an IPv4 network in CIDR notation, or an
// address, which is the network of itself. It may be given again.
func Prefixes(p *[]netip.Prefix, names, placeholder, usage string) Flag {
	return Func(names, placeholder, usage, func(s string) error {
		network, err := netip.ParsePrefix(s)
		if a, aerr := netip.ParseAddr(s); aerr == nil {
			network, err = netip.PrefixFrom(a, a.BitLen()), nil
		}
		if err != nil || !network.Addr().Is4() {
			return errors.New("not an IPv4 network (192.0.2.0/24)")
		}
		*p = append(*p, network.Masked())
		return nil
	})
}

// Choice makes a flag whose value is one of several words.
func Choice(p *string, names, placeholder string, words []string, usage string) Flag {
	f := Func(names, placeholder, usage, func(s string) error {
		if !slices.Contains(words, s) {
			return fmt.Errorf("not one of %s", strings.Join(words, ", "))
		}
		*p = s
		return nil
	}).(*urfave.GenericFlag)
	f.Value.(*value).words = words
	return f
}

// Func makes a flag whose value is handed to set, once for each time that the
// flag is given.
func Func(names, placeholder, usage string, set func(string) error) Flag {
	name, aliases := splitNames(names)
	return &urfave.GenericFlag{Name: name, Aliases: aliases, Usage: usage, Value: &value{set: set, placeholder: placeholder}}
}

// Common marks flags that many commands share: where a help text would not fit
// the screen, they are named only.
func Common(flags ...Flag) []Flag {
	for _, f := range flags {
		switch f := f.(type) {
		case *urfave.BoolFlag:
			f.Category = commonCategory
		case *urfave.GenericFlag:
			f.Category = commonCategory
		}
	}
	return flags
}

const commonCategory = "common"

// value is the value of a flag made by Func.
type value struct {
	set         func(string) error
	placeholder string
	words       []string // the values that are possible, for completion

	text  string // as it was given last
	given bool
	err   error
}

// Set implements urfave.Generic. urfave calls it again for every alias with
// what String returns: that changes nothing.
func (v *value) Set(s string) error {
	if v.given && v.text == s {
		return v.err
	}
	v.text, v.given = s, true
	v.err = v.set(s)
	return v.err
}

// String implements urfave.Generic.
func (v *value) String() string {
	if v == nil {
		return ""
	}
	return v.text
}

// usageError words an error of urfave's parser as ours. By then the names of
// flags are known to be right, so that only a value can be wrong.
func usageError(flags []Flag, err error) error {
	for _, f := range flags {
		if g, ok := f.(*urfave.GenericFlag); ok {
			if v := g.Value.(*value); v.err != nil {
				return Usage("%s %s: %v", dashed(g.Name), quote(v.text), v.err)
			}
		}
	}
	return Usage("%v", err)
}

func splitNames(names string) (string, []string) {
	list := strings.Split(names, ",")
	return list[0], list[1:]
}

// dashed is a name of a flag as it is typed.
func dashed(name string) string {
	if len(name) == 1 {
		return "-" + name
	}
	return "--" + name
}

// Placeholder is what stands for the value of a flag in the help text; empty if it
// has none.
func Placeholder(f Flag) string {
	if g, ok := f.(*urfave.GenericFlag); ok {
		return g.Value.(*value).placeholder
	}
	return ""
}

// takesValue is whether the flag has a value.
func takesValue(f Flag) bool {
	d, ok := f.(urfave.DocGenerationFlag)
	return ok && d.TakesValue()
}

// AllFlags returns every flag of the command, those that all commands share
// included.
func (s *Spec) AllFlags() []Flag {
	return s.allFlags(&outputFlags{formats: s.Formats, letters: s.FormatLetters})
}

func (s *Spec) allFlags(o *outputFlags) []Flag {
	flags := slices.Clone(s.Flags)
	flags = append(flags, o.flags()...)
	var ignored bool
	var shell string
	return append(flags, Common(
		Choice(&shell, "completion", "SHELL", shells, "print completion for bash, zsh or fish"),
		Bool(&ignored, "help,h", "print this help"),
		Bool(&ignored, "version", "print the version"),
	)...)
}
