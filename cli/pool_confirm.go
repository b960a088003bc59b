package cli

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/urfave/cli/v2"
	"golang.org/x/term"
)

func yesFlag() cli.Flag {
	return &cli.BoolFlag{Name: "yes", Aliases: []string{"y"}, Usage: "do not ask for confirmation"}
}

// errNotConfirmed means that the user was asked, and did not say yes.
var errNotConfirmed = errors.New("not confirmed: nothing was changed")

// confirm asks the user before something is lost, unless --yes is given. what names the things
// that would be lost.
func confirm(c *cli.Context, what string) error {
	if c.Bool("yes") {
		return nil
	}
	if !term.IsTerminal(int(os.Stdin.Fd())) {
		return fmt.Errorf("%s: to do it, repeat the command with --yes", what)
	}
	fmt.Fprintf(os.Stderr, "%s. Type yes to go on: ", plain(what))
	answer := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(os.Stdin).ReadString('\n')
		answer <- strings.TrimSpace(line)
	}()
	select {
	case <-c.Context.Done():
		fmt.Fprintln(os.Stderr)
		return errNotConfirmed
	case a := <-answer:
		if a != "yes" {
			return errNotConfirmed
		}
	}
	return nil
}
