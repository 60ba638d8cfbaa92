package cli

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	urfave "github.com/urfave/cli/v2"
)

// completionFlag, as the last argument, asks for the words that could stand in
// the place of the word before it, which may be empty, or go on with it. It is
// urfave's protocol, which the scripts below speak. The shell chooses those with
// the right beginning. The exit code is [hostsToo] where the name of a host may
// stand as well: hosts and files are the shell's own knowledge.
const completionFlag = "--generate-bash-completion"

// hostsToo is the exit code of a completion that hosts belong to.
const hostsToo = 1

var shells = []string{"bash", "zsh", "fish"}

// complete prints one candidate a line and returns the exit code.
func complete(spec *Spec, args []string, w io.Writer) int {
	spec, args = spec.resolve(args)
	flags := spec.AllFlags()
	args, split := joinValues(args)
	words, hosts := candidates(spec, args, flags)
	for _, word := range words {
		if split { // for bash the value is a word of its own
			_, word, _ = strings.Cut(word, "=")
		}
		fmt.Fprintln(w, word)
	}
	if hosts {
		return hostsToo
	}
	return ExitOK
}

// joinValues joins --name=value where bash has split it. The last argument is
// such a one if split is true.
func joinValues(args []string) (joined []string, split bool) {
	for i, arg := range args {
		n := len(joined)
		switch {
		case arg == "=" && n > 0 && strings.HasPrefix(joined[n-1], "--"):
			joined[n-1], split = joined[n-1]+"=", true
		case split && args[i-1] == "=":
			joined[n-1] += arg
		default:
			joined, split = append(joined, arg), false
		}
	}
	return joined, split
}

// candidates returns the words that could stand in the place of the last of args,
// and whether hosts could.
func candidates(spec *Spec, args []string, flags []Flag) (words []string, hosts bool) {
	last := ""
	if n := len(args); n > 0 {
		last = args[n-1]
	}
	if f, typed := valueOf(spec, args, flags); f != nil {
		for _, word := range f.words {
			words = append(words, typed+word)
		}
		return words, f.placeholder == "HOST"
	}
	if len(args) <= 1 {
		words = append(words, spec.commandNames()...)
	}
	option := strings.HasPrefix(last, "-")
	if len(args) == 0 || option {
		for _, f := range flags {
			for _, name := range f.Names() {
				words = append(words, dashed(name))
				if g, ok := f.(*urfave.GenericFlag); ok && last == dashed(name) {
					words = append(words, g.Value.(*value).words...)
				}
			}
		}
	}
	if spec.Complete != nil {
		_, operands, _ := normalise(args, flags, spec.OptionsFirst)
		return append(words, spec.Complete(operands)...), false
	}
	return words, !option && spec.Action != nil && spec.MaxArgs != 0
}

// valueOf returns the value that the last of args belongs to, and what stands
// before it in that word; nil if it is no value.
func valueOf(spec *Spec, args []string, flags []Flag) (v *value, typed string) {
	if len(args) == 0 {
		return nil, ""
	}
	before, last := args[:len(args)-1], args[len(args)-1]
	name, _, attached := strings.Cut(last, "=")
	if attached = attached && strings.HasPrefix(name, "--"); attached {
		before, typed = append(slices.Clone(before), name), name+"="
	}
	const mark = "\x00" // no argument has it
	options, _, _ := normalise(append(slices.Clone(before), mark), flags, spec.OptionsFirst)
	if n := len(options); n == 0 || options[n-1].value != mark {
		return nil, ""
	}
	for _, f := range flags {
		if g, ok := f.(*urfave.GenericFlag); ok && g.Name == options[len(options)-1].name {
			return g.Value.(*value), typed
		}
	}
	return nil, ""
}

// completionScript prints the script that a shell evaluates.
func completionScript(w io.Writer, program, shell string) error {
	var script string
	switch shell {
	case "bash":
		script = `_PROG_complete() {
	local cur=${COMP_WORDS[COMP_CWORD]#=} found hosts
	local words=("${COMP_WORDS[@]:1:COMP_CWORD}")
	found=$("${COMP_WORDS[0]}" "${words[@]}" FLAG 2>/dev/null)
	hosts=$?
	COMPREPLY=($(compgen -W "$found" -- "$cur"))
	if [[ ${#COMPREPLY[@]} -eq 0 && $hosts -eq HOSTS ]]; then
		COMPREPLY=($(compgen -A hostname -- "$cur"))
	fi
}
complete -o default -F _PROG_complete PROG
`
	case "zsh":
		script = `#compdef PROG
_PROG_complete() {
	local text hosts
	text=$("${words[1]}" "${(@)words[2,CURRENT]}" FLAG 2>/dev/null)
	hosts=$?
	local -a found
	found=("${(@f)text}")
	compadd -a found
	(( hosts == HOSTS )) && _hosts
	compset -P '--*='
	_files
}
compdef _PROG_complete PROG
`
	case "fish":
		script = `function _PROG_complete
	set -l words (commandline -opc) (commandline -ct)
	$words[1] $words[2..-1] FLAG 2>/dev/null
	if test $status -eq HOSTS
		__fish_print_hostnames
	end
end
complete -c PROG -a '(_PROG_complete)'
`
	default:
		return Usage("--completion %s: not one of %s", quote(shell), strings.Join(shells, ", "))
	}
	r := strings.NewReplacer("_PROG_", "_"+strings.ReplaceAll(program, "-", "_")+"_", "PROG", program, "FLAG", completionFlag, "HOSTS", strconv.Itoa(hostsToo))
	_, err := r.WriteString(w, script)
	return err
}
