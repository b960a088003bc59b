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

// exits is what the exit statuses of a command mean. Its help ends with it.
type exits struct {
	done    string
	failed  string // empty if there is no more to say than that the command failed
	usage   string // empty if there is no more to say than that the use was wrong
	partial string // empty if the command never does only a part
}

// The library's help of a command, and of a group of commands.
var commandHelp, groupHelp = cli.CommandHelpTemplate, cli.SubcommandHelpTemplate

// The library brings the command help itself. It is the only one without an exits of
// its own.
func init() {
	cli.CommandHelpTemplate = exits{done: "the help was printed"}.after(commandHelp)
	cli.SubcommandHelpTemplate = exits{done: "the help was printed"}.after(groupHelp)
}

// after is a help template with the exit statuses at its end.
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
