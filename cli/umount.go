package cli

import (
	"github.com/urfave/cli/v2"

	"thintree/fusefs"
)

func umountCommand() *cli.Command {
	return &cli.Command{
		Name:      "umount",
		Usage:     "unmount a tree, or one volume of it",
		ArgsUsage: "MOUNTPOINT",
		Description: `Takes away a live tree, or what a killed thintree left mounted. With --lazy files that
are open in it stay open; who waits for a tree that does not answer is freed after
five seconds (ECONNABORTED).

With --volume the tree stays, and one of its volumes is closed now, not after the
idle time: its whole name, @ID, container:NAME or image:NAME, or a path in the
tree, as volumes/NAME. What is open in it fails with ESTALE from then on, and the
next access opens it anew. Files that the kernel reads by itself (of volumes that
it has mounted) cannot be cut off: where there are any the volume is busy, and
nothing is closed; with --lazy all else is closed, and these keep its device until
they are closed too, or no longer mapped into memory.`,
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "lazy", Aliases: []string{"l"}, Usage: "also where files in it are open"},
			&cli.StringFlag{Name: "volume", Usage: "close only this `VOLUME`"},
		},
		Action: func(c *cli.Context) error {
			if c.NArg() != 1 {
				return wrongUse("umount takes one MOUNTPOINT")
			}
			mountpoint, lazy := c.Args().First(), c.Bool("lazy")
			if !c.IsSet("volume") {
				return fusefs.Unmount(mountpoint, lazy)
			}
			if c.String("volume") == "" {
				return wrongUse("--volume: the name of a volume: ls %s/volumes tells them", mountpoint)
			}
			return fusefs.UnmountVolume(mountpoint, c.String("volume"), lazy)
		},
	}
}
