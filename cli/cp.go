package cli

import (
	"fmt"
	"os"
	"path"

	"github.com/schollz/progressbar/v3"
	"github.com/urfave/cli/v2"
	"golang.org/x/term"

	"thintree/fusefs/extract"
)

func cpCommand() *cli.Command {
	return &cli.Command{
		Name:      "cp",
		Usage:     "copy a file or folder out of a volume",
		ArgsUsage: "SOURCE VOLUME:/PATH DEST",
		Description: `Like cp -a: modes, times, links, extended attributes and holes are kept; owners and
device files too, if the user may set them. Things that the destination cannot hold are
left out, and standard error names them. Needs no mount and no root.

` + sourceHelp,
		Flags:              sourceFlags(),
		BashComplete:       completeVolumes,
		CustomHelpTemplate: exits{done: "everything was copied that the user may copy", partial: "copied in part: something could not be read, or the destination cannot hold it"}.after(commandHelp),
		Action:             cp,
	}
}

func cp(c *cli.Context) error {
	if c.NArg() != 3 {
		return wrongUse("cp takes a SOURCE, VOLUME:/PATH and DEST: thintree cp docker:/var/lib/docker container:web:/etc /tmp/web-etc")
	}
	arg, dest := c.Args().Get(1), c.Args().Get(2)
	t, err := openTree(c, c.Args().First())
	if err != nil {
		return err
	}
	defer t.Close()
	e, err := find(c.Context, t.Tree, arg, false)
	if err != nil {
		return err
	}
	volume, inVolume := splitPath(arg)
	name := path.Base(inVolume)
	if name == "/" {
		name = path.Base(volume)
	}
	o := extract.Options{Name: name, Log: commandLog()}
	if term.IsTerminal(int(os.Stderr.Fd())) {
		total, err := extract.Size(c.Context, t.Tree, e.ID)
		if err != nil {
			return fmt.Errorf("%s: %w", arg, err)
		}
		bar := progressbar.DefaultBytes(total, name)
		defer bar.Finish()
		o.Progress = func(n int64) { bar.Add64(n) }
	}
	res, err := extract.Copy(c.Context, t.Tree, e.ID, dest, o)
	if err != nil {
		return fmt.Errorf("%s: %w", arg, err)
	}
	if text := res.NotPermitted.String(); text != "" {
		fmt.Fprintf(os.Stderr, "thintree: %s: not permitted to this user, so left out: %s\n", dest, text)
	}
	if text := res.NotHeld.String(); text != "" {
		fmt.Fprintf(os.Stderr, "thintree: %s: the destination cannot hold it, so left out: %s\n", dest, text)
	}
	if res.Unreadable > 0 || res.NotHeld != (extract.Losses{}) {
		return errPartial
	}
	return nil
}
