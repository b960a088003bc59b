package cli

import (
	"github.com/urfave/cli/v2"

	"thintree/fusefs"
	"thintree/fusefs/mounts"
)

func umountCommand() *cli.Command {
	return &cli.Command{
		Name:      "umount",
		Usage:     "unmount a tree, or one volume of it",
		ArgsUsage: "MOUNTPOINT",
		Description: `Unmounts a tree, or the dead mount that a killed thintree left.

With --volume the tree stays, and one of its volumes is closed now instead of after
the idle time. VOLUME is its whole name, @ID, container:NAME or image:NAME, or a path
in the tree, such as volumes/NAME. Files that are open in it fail with ESTALE from
then on. The next access opens the volume again.

Files that are passed through (the kernel reads them by itself, from a volume that it
has mounted) cannot be closed this way. If any is open or mapped into memory, the
volume is busy. With --lazy it is closed all the same: these files read errors from
then on, and the volume's device is free.`,
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "lazy", Aliases: []string{"l"}, Usage: "unmount or close it even if files in it are open"},
			&cli.StringFlag{Name: "volume", Usage: "close only this `VOLUME`"},
		},
		CustomHelpTemplate: exits{done: "the tree is unmounted, or the volume is closed", failed: "it failed, and the tree is still mounted or the volume still open: standard error says why"}.after(commandHelp),
		Action: func(c *cli.Context) error {
			if c.NArg() != 1 {
				return wrongUse("umount takes one MOUNTPOINT: thintree umount /mnt")
			}
			mountpoint, lazy := c.Args().First(), c.Bool("lazy")
			if !c.IsSet("volume") {
				return mounts.Unmount(mountpoint, lazy)
			}
			if c.String("volume") == "" {
				return wrongUse("--volume: give the name of a volume: ls %s/volumes lists them", mountpoint)
			}
			return fusefs.UnmountVolume(mountpoint, c.String("volume"), lazy)
		},
	}
}
