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

// usageError is a wrong use of the command line.
type usageError struct{ text string }

func (e usageError) Error() string { return e.text }

func wrongUse(format string, args ...any) error { return usageError{fmt.Sprintf(format, args...)} }

// errPartial is the error of a command that could not read something, and has already printed
// what.
var errPartial = errors.New("something could not be read")

// Main runs a command line in the form of os.Args, and returns the exit status.
func Main(args []string) int {
	if about := os.Getenv(watchdogEnv); about != "" {
		return watch(about)
	}
	// By default the library prints help after a wrong use, and ends the process.
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

// report prints an error and returns the exit status that it stands for.
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
	var noTopic cli.ExitCoder // of the library: help for a command that does not exist
	if errors.As(err, &usage) || errors.As(err, &noTopic) {
		return statusUsage
	}
	return statusFailed
}

// oneLine returns a text as one line. Names in it can hold any bytes.
func oneLine(text string) string {
	return plain(strings.ReplaceAll(strings.TrimSpace(text), "\n", "; "))
}

// plain replaces characters that would move a terminal's cursor, or the text beside them.
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
		Version:              version(),
		EnableBashCompletion: true,
		// A value may contain commas.
		DisableSliceFlagSeparator: true,
		Writer:                    stdout,
		ErrWriter:                 io.Discard,
		ExitErrHandler:            func(*cli.Context, error) {},
		OnUsageError:              onUsageError,
		CustomAppHelpTemplate: exits{
			done:    "done",
			partial: "done in part: standard error says what is missing",
		}.after(cli.AppHelpTemplate),
		Commands: []*cli.Command{
			mountCommand(), umountCommand(), sourcesCommand(), lsCommand(), infoCommand(), catCommand(), cpCommand(),
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

// group makes a command that consists of subcommands. They get no help command of the library, so
// that "help" can be the name of a pool or volume.
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
		CustomHelpTemplate: exits{
			done:   "this help was printed",
			failed: "this help could not be printed",
		}.after(groupHelp),
		Action: func(c *cli.Context) error {
			if c.NArg() == 0 {
				return cli.ShowSubcommandHelp(c)
			}
			return wrongUse("%s %s: no such command: see thintree %s --help", name, c.Args().First(), name)
		},
	}
}

func onUsageError(c *cli.Context, err error, _ bool) error {
	command := "thintree"
	if c.Command != nil && c.Command.HelpName != "" {
		command = c.Command.HelpName
	}
	text := err.Error()
	if strings.Contains(text, "parse error") && strings.Contains(text, "flag") {
		text += " (a duration has a unit: 300s, 5m)"
	}
	return wrongUse("%s: see %s --help", text, command)
}

// arrange puts a command's flags before its arguments, so that a user may put them anywhere. A
// source and a mountpoint without a command mean the command mount: mount.fuse(8) calls the
// program in this way.
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

// argument is the i-th of some arguments, or "" if there are fewer.
func argument(args []string, i int) string {
	if i < len(args) {
		return args[i]
	}
	return ""
}
