package cli

import (
	"fmt"
	"io"
	"strings"

	urfave "github.com/urfave/cli/v2"
)

// completionFlag, as the last argument, asks for the words that could stand in
// its place or go on with the word before it. It is urfave's protocol, which the
// scripts below speak. The shell chooses those with the right beginning.
const completionFlag = "--generate-bash-completion"

var shells = []string{"bash", "zsh", "fish"}

// complete prints one candidate a line.
func complete(spec *Spec, args []string, w io.Writer) {
	spec, args = spec.resolve(args)
	flags := spec.AllFlags()
	var words []string
	// The value of an option: its words, whether or not its first letters are
	// the last argument.
	for _, arg := range args[max(0, len(args)-2):] {
		words = append(words, valuesOf(flags, arg)...)
	}
	if len(args) <= 1 {
		words = append(words, spec.commandNames()...)
	}
	if len(args) == 0 || strings.HasPrefix(args[len(args)-1], "-") {
		for _, f := range flags {
			for _, name := range f.Names() {
				words = append(words, dashed(name))
			}
		}
	}
	if spec.Complete != nil {
		_, operands, _ := normalise(args, flags, spec.OptionsFirst)
		words = append(words, spec.Complete(operands)...)
	}
	for _, word := range words {
		fmt.Fprintln(w, word)
	}
}

// valuesOf returns the words that may follow an option.
func valuesOf(flags []Flag, arg string) []string {
	for _, f := range flags {
		g, ok := f.(*urfave.GenericFlag)
		if !ok {
			continue
		}
		for _, name := range g.Names() {
			if arg == dashed(name) {
				return g.Value.(*value).words
			}
		}
	}
	return nil
}

// completionScript prints the script that a shell evaluates: hosts and files are
// the shell's own knowledge, the rest is asked of the program.
func completionScript(w io.Writer, program, shell string) error {
	var script string
	switch shell {
	case "bash":
		script = `_PROG_complete() {
	local cur=${COMP_WORDS[COMP_CWORD]}
	local words=("${COMP_WORDS[@]:1:COMP_CWORD}")
	COMPREPLY=($(compgen -W "$("${COMP_WORDS[0]}" "${words[@]}" FLAG 2>/dev/null)" -- "$cur"))
	if [[ ${#COMPREPLY[@]} -eq 0 ]]; then
		COMPREPLY=($(compgen -A hostname -- "$cur"))
	fi
}
complete -o default -F _PROG_complete PROG
`
	case "zsh":
		script = `#compdef PROG
_PROG_complete() {
	local -a found
	found=("${(@f)$("${words[1]}" "${(@)words[2,CURRENT]}" FLAG 2>/dev/null)}")
	compadd -a found
	_hosts
	_files
}
compdef _PROG_complete PROG
`
	case "fish":
		script = `function _PROG_complete
	set -l words (commandline -opc) (commandline -ct)
	$words[1] $words[2..-1] FLAG 2>/dev/null
end
complete -c PROG -a '(_PROG_complete; __fish_print_hostnames)'
`
	default:
		return Usage("--completion %s: not one of %s", quote(shell), strings.Join(shells, ", "))
	}
	r := strings.NewReplacer("_PROG_", "_"+strings.ReplaceAll(program, "-", "_")+"_", "PROG", program, "FLAG", completionFlag)
	_, err := r.WriteString(w, script)
	return err
}
