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
		Description: `Unmounts a tree that is in use, or one that a killed thintree left mounted.

With --volume the tree stays mounted, and one of its volumes is closed now, not after
the idle time. VOLUME is its whole name, @ID, container:NAME or image:NAME, or a path
in the tree such as volumes/NAME. Open files in it fail with ESTALE from then on. The
next access opens the volume again. Files that the kernel reads by itself, in volumes
that it has mounted, cannot be cut off. If any is open the volume is busy, and nothing
is closed. With --lazy everything else is closed; the open files keep the volume's
device until they are closed and no longer mapped into memory.`,
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "lazy", Aliases: []string{"l"}, Usage: "also if files in it are open"},
			&cli.StringFlag{Name: "volume", Usage: "close only this `VOLUME`"},
		},
		CustomHelpTemplate: exits{done: "the tree is unmounted, or the volume is closed", failed: "it failed, and the tree is still mounted or the volume still open: standard error says why"}.after(commandHelp),
		Action: func(c *cli.Context) error {
			if c.NArg() != 1 {
				return wrongUse("umount takes one MOUNTPOINT: thintree umount /mnt")
			}
			mountpoint, lazy := c.Args().First(), c.Bool("lazy")
			if !c.IsSet("volume") {
				return fusefs.Unmount(mountpoint, lazy)
			}
			if c.String("volume") == "" {
				return wrongUse("--volume: it needs the name of a volume: ls %s/volumes lists them", mountpoint)
			}
			return fusefs.UnmountVolume(mountpoint, c.String("volume"), lazy)
		},
	}
}
