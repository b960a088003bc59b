package cli

import (
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"thintree/thin"
)

func completionCommand() *cli.Command {
	return &cli.Command{
		Name:      "completion",
		Usage:     "print a script by which a shell completes commands, flags and volumes",
		ArgsUsage: "bash|zsh|fish",
		Description: `bash: source <(thintree completion bash)
zsh:  source <(thintree completion zsh)
fish: thintree completion fish | source`,
		CustomHelpTemplate: exits{done: "the script was printed"}.after(commandHelp),
		Action: func(c *cli.Context) error {
			script, ok := completions[c.Args().First()]
			if c.NArg() != 1 || !ok {
				return wrongUse("completion takes one of bash, zsh and fish: thintree completion bash")
			}
			_, err := fmt.Fprint(stdout, script)
			return err
		},
	}
}

// completions are the scripts by shell. They ask the program itself; if it prints
// nothing, the shell completes names of files.
var completions = map[string]string{
	"bash": `_thintree() {
	local line=${COMP_LINE:0:COMP_POINT} args found name
	read -ra args <<<"$line"
	[[ $line == *[[:space:]] ]] || unset 'args[-1]'
	local word=${line##*[[:space:]]}
	mapfile -t found < <("${args[@]}" --generate-bash-completion 2>/dev/null)
	COMPREPLY=()
	for name in "${found[@]}"; do
		[[ $name == "$word"* ]] || continue
		# Readline completes what follows the last colon only.
		[[ $word == *:* && $COMP_WORDBREAKS == *:* ]] && name=${name#"${word%"${word##*:}"}"}
		COMPREPLY+=("$(printf %q "$name")")
	done
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

// completeVolumes completes the second argument of a command that takes a SOURCE
// and a volume.
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
			if name == printable(name) {
				fmt.Fprintln(c.App.Writer, name)
			}
		}
	}
}

// completePools completes the argument POOL by the names of active pools.
func completePools(c *cli.Context) {
	if c.NArg() > 0 {
		cli.DefaultCompleteWithFlags(c.Command)(c)
		return
	}
	withKernel(func(k *thin.Kernel) error {
		names, err := k.Pools(c.Context)
		for _, name := range names {
			if name == printable(name) {
				fmt.Fprintln(c.App.Writer, name)
			}
		}
		return err
	})
}

// completeStoreVolumes completes the arguments of a command that takes a POOL and
// a volume.
func completeStoreVolumes(c *cli.Context) {
	if c.NArg() != 1 || !strings.HasPrefix(c.Args().First(), "store:") {
		completePools(c)
		return
	}
	s, err := openSource(c, c.Args().First())
	if err != nil {
		return
	}
	catalog, err := s.Load(c.Context)
	if err != nil {
		return
	}
	for _, v := range catalog.Volumes {
		if v.Name == printable(v.Name) {
			fmt.Fprintln(c.App.Writer, v.Name)
		}
	}
}
