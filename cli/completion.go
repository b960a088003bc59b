package cli

import (
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"
)

func completionCommand() *cli.Command {
	return &cli.Command{
		Name:      "completion",
		Usage:     "print what makes a shell complete thintree's commands, flags and volumes",
		ArgsUsage: "bash|zsh|fish",
		Description: `bash: source <(thintree completion bash)
zsh:  source <(thintree completion zsh)
fish: thintree completion fish | source`,
		Action: func(c *cli.Context) error {
			script, ok := completions[c.Args().First()]
			if c.NArg() != 1 || !ok {
				return wrongUse("completion takes one of bash, zsh and fish")
			}
			fmt.Print(script)
			return nil
		},
	}
}

// completions ask the program itself. Where it knows nothing, files complete.
var completions = map[string]string{
	"bash": `_thintree() {
	local word=${COMP_WORDS[COMP_CWORD]} line=${COMP_LINE:0:COMP_POINT} args
	read -ra args <<<"$line"
	[[ $line == *[[:space:]] ]] || unset 'args[-1]'
	local full=${line##*[[:space:]]} found
	mapfile -t found < <("${args[@]}" --generate-bash-completion 2>/dev/null)
	mapfile -t COMPREPLY < <(compgen -W "${found[*]}" -- "$full")
	# Readline completes what follows the last colon only.
	[[ $full == *:* && $COMP_WORDBREAKS == *:* ]] && COMPREPLY=("${COMPREPLY[@]#"${full%:*}":}")
}
complete -o bashdefault -o default -F _thintree thintree
`,
	"zsh": `#compdef thintree
_thintree() {
	local -a found
	found=("${(@f)$("${words[@]:0:$((CURRENT-1))}" --generate-bash-completion 2>/dev/null)}")
	[[ -n "${found[1]}" ]] && compadd -- "${found[@]}" || _files
}
compdef _thintree thintree
`,
	"fish": `function __thintree
	set -l words (commandline -opc)
	$words --generate-bash-completion 2>/dev/null
end
complete -c thintree -a '(__thintree)'
`,
}

// completeVolumes completes the second argument of a command that takes a
// source and a volume.
func completeVolumes(c *cli.Context) {
	if c.NArg() != 1 {
		cli.DefaultCompleteWithFlags(c.Command)(c)
		return
	}
	t, err := openTree(c, c.Args().First())
	if err != nil {
		return
	}
	defer t.Close()
	for _, r := range t.Volumes(c.Context) {
		for _, name := range append([]string{r.Name}, r.Aliases...) {
			if !strings.ContainsAny(name, " \t\n") {
				fmt.Fprintln(c.App.Writer, name)
			}
		}
	}
}
