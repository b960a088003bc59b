package cli

import (
	"fmt"
	"io"
	"math"
	"syscall"

	"github.com/urfave/cli/v2"

	"thintree/volfs"
)

func catCommand() *cli.Command {
	return &cli.Command{
		Name:               "cat",
		Usage:              "print a file in a volume",
		ArgsUsage:          "SOURCE VOLUME:/PATH",
		Description:        "Needs no mount and no root. Links are followed as in a chroot.\n\n" + sourceHelp,
		CustomHelpTemplate: exits{done: "the whole file was printed"}.after(commandHelp),
		Flags:              sourceFlags(),
		BashComplete:       completeVolumes,
		Action: func(c *cli.Context) error {
			if c.NArg() != 2 {
				return wrongUse("cat takes a SOURCE and VOLUME:/PATH: thintree cat docker:/var/lib/docker container:web:/etc/hostname")
			}
			arg := c.Args().Get(1)
			t, err := openTree(c, c.Args().First())
			if err != nil {
				return err
			}
			defer t.Close()
			e, err := find(c.Context, t.Tree, arg, true)
			if err != nil {
				return err
			}
			if e.Attr.Mode&syscall.S_IFMT == syscall.S_IFDIR {
				return fmt.Errorf("%s: %w", arg, syscall.EISDIR)
			}
			f, err := t.Open(c.Context, e.ID)
			if err != nil {
				return err
			}
			defer f.Close()
			if _, err := io.CopyBuffer(stdout, io.NewSectionReader(volfs.ReaderAt(c.Context, f), 0, math.MaxInt64), make([]byte, 1<<20)); err != nil {
				return fmt.Errorf("%s: %w", arg, err)
			}
			return nil
		},
	}
}
