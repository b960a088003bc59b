package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
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

// usageError is a wrong use of the command line: exit status 2.
type usageError struct{ text string }

func (e usageError) Error() string { return e.text }

func wrongUse(format string, args ...any) error { return usageError{fmt.Sprintf(format, args...)} }

// errPartial ends a command that did what it could, and has already told what it
// could not read: exit status 3.
var errPartial = errors.New("something could not be read")

// Main runs a command line, os.Args' form, and gives the exit status.
func Main(args []string) int {
	if about := os.Getenv(watchdogEnv); about != "" {
		return watch(about)
	}
	// By default the library prints help on a wrong use and exits by itself.
	cli.OsExiter = func(int) {}
	cli.ErrWriter = io.Discard
	app := newApp()
	err := app.RunContext(context.Background(), arrange(app, args))
	status := report(err)
	if failed := stdout.close(); failed != nil && !errors.Is(err, failed) {
		return report(failed)
	}
	return status
}

// report prints an error and gives the exit status that it stands for.
func report(err error) int {
	if err == nil {
		return statusDone
	}
	if errors.Is(err, errPartial) {
		return statusPartial
	}
	var done reported
	if errors.As(err, &done) {
		return done.status
	}
	fmt.Fprintln(os.Stderr, "thintree:", oneLine(err.Error()))
	var usage usageError
	if errors.As(err, &usage) {
		return statusUsage
	}
	return statusFailed
}

// oneLine makes one line of a text in which names can hold anything.
func oneLine(text string) string {
	return plain(strings.ReplaceAll(strings.TrimSpace(text), "\n", "; "))
}

// plain replaces what would move a terminal's cursor, or the text beside it.
func plain(text string) string {
	return strings.Map(func(r rune) rune {
		if strconv.IsPrint(r) {
			return r
		}
		return '\uFFFD'
	}, text)
}

func newApp() *cli.App {
	app := &cli.App{
		Name:                 "thintree",
		Usage:                "browse every volume of a thin pool in one tree",
		UsageText:            "thintree COMMAND [flags] SOURCE …",
		Description:          sourceHelp,
		HideVersion:          true,
		EnableBashCompletion: true,
		// A value may have commas in it.
		DisableSliceFlagSeparator: true,
		Writer:                    stdout,
		ErrWriter:                 io.Discard,
		ExitErrHandler:            func(*cli.Context, error) {},
		OnUsageError:              onUsageError,
		Commands: []*cli.Command{
			mountCommand(), umountCommand(), lsCommand(), infoCommand(), catCommand(), cpCommand(),
			poolCommand(), volumeCommand(), completionCommand(),
		},
		Action: func(c *cli.Context) error {
			if c.NArg() == 0 {
				return cli.ShowAppHelp(c)
			}
			return wrongUse("%s: no such command: see thintree help", c.Args().First())
		},
	}
	for _, c := range app.Commands {
		c.OnUsageError = onUsageError
		for _, sub := range c.Subcommands {
			sub.OnUsageError = onUsageError
		}
	}
	return app
}

// group is a command that is there for those below it. None of these is called
// help, so that an argument of theirs may be.
func group(name, usage, description string, commands ...*cli.Command) *cli.Command {
	for _, c := range commands {
		c.HideHelpCommand = true
	}
	return &cli.Command{
		Name:        name,
		Usage:       usage,
		ArgsUsage:   "COMMAND",
		Description: description,
		Subcommands: commands,
		Action: func(c *cli.Context) error {
			if c.NArg() == 0 {
				return cli.ShowSubcommandHelp(c)
			}
			return wrongUse("%s %s: no such command: see thintree %s --help", name, c.Args().First(), name)
		},
	}
}

func onUsageError(c *cli.Context, err error, _ bool) error {
	where := "thintree"
	if c.Command != nil && c.Command.HelpName != "" {
		where = c.Command.HelpName
	}
	text := err.Error()
	if strings.Contains(text, "parse error") && strings.Contains(text, "flag") {
		text += " (a time has a unit: 300s, 5m)"
	}
	return wrongUse("%s: see %s --help", text, where)
}

// arrange puts a command's flags before its arguments, so that they may stand
// anywhere, as people write them; and takes what mount.fuse(8) calls, a source
// and a mountpoint without a command, for a mount.
func arrange(app *cli.App, args []string) []string {
	if len(args) < 2 || args[len(args)-1] == "--generate-bash-completion" {
		return args
	}
	cmd := app.Command(args[1])
	if cmd == nil {
		if len(args) >= 3 && !strings.HasPrefix(args[1], "-") && looksLikeSource(args[1]) {
			cmd = app.Command("mount")
			args = append([]string{args[0], "mount"}, args[1:]...)
		} else {
			return args
		}
	}
	before := args[:2]
	if sub := cmd.Command(argument(args, 2)); sub != nil {
		cmd, before = sub, args[:3]
	}
	if len(cmd.Subcommands) > 0 {
		return args
	}
	var flags, rest []string
	for todo := args[len(before):]; len(todo) > 0; {
		a := todo[0]
		todo = todo[1:]
		if a == "--" {
			rest = append(rest, todo...)
			break
		}
		if len(a) < 2 || a[0] != '-' {
			rest = append(rest, a)
			continue
		}
		flags = append(flags, a)
		if takesValue(flagOf(cmd, strings.TrimLeft(a, "-"))) && len(todo) > 0 {
			flags = append(flags, todo[0])
			todo = todo[1:]
		}
	}
	return slices.Concat(before, flags, []string{"--"}, rest)
}

// argument is the i-th of some arguments, "" where there are fewer.
func argument(args []string, i int) string {
	if i < len(args) {
		return args[i]
	}
	return ""
}
