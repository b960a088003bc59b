package cli

import (
	"github.com/urfave/cli/v2"

	"thintree/fusefs"
)

func umountCommand() *cli.Command {
	return &cli.Command{
		Name:        "umount",
		Usage:       "unmount a tree",
		ArgsUsage:   "MOUNTPOINT",
		Description: "Takes away a live tree, or what a killed thintree left mounted.",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "lazy", Aliases: []string{"l"}, Usage: "also where files in it are open"},
		},
		Action: func(c *cli.Context) error {
			if c.NArg() != 1 {
				return wrongUse("umount takes one MOUNTPOINT")
			}
			return fusefs.Unmount(c.Args().First(), c.Bool("lazy"))
		},
	}
}
