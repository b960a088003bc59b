package cli

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"
)

// The exit statuses.
const (
	statusDone    = 0
	statusFailed  = 1
	statusUsage   = 2
	statusPartial = 3
)

// exits is the meanings of a command's exit statuses. The command's help ends with them.
type exits struct {
	done    string
	failed  string // "" for the usual text
	usage   string // "" for the usual text
	partial string // "" if the command is never done in part
}

// The library's help of a command, and of a group of commands.
var commandHelp, groupHelp = cli.CommandHelpTemplate, cli.SubcommandHelpTemplate

// The command help is the library's own. So these are set for it here.
func init() {
	cli.CommandHelpTemplate = exits{done: "the help was printed"}.after(commandHelp)
	cli.SubcommandHelpTemplate = exits{done: "the help was printed"}.after(groupHelp)
}

// after returns a help template with the exit statuses at its end.
func (e exits) after(template string) string {
	var b strings.Builder
	b.WriteString(template)
	b.WriteString("\nEXIT STATUS:\n")
	for status, meaning := range []string{
		statusDone:    e.done,
		statusFailed:  cmp.Or(e.failed, "it failed: standard error says why"),
		statusUsage:   cmp.Or(e.usage, "wrong use of the command line"),
		statusPartial: e.partial,
	} {
		if meaning != "" {
			fmt.Fprintf(&b, "   %d  %s\n", status, meaning)
		}
	}
	return b.String()
}
