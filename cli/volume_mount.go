package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/urfave/cli/v2"

	"thintree/thin"
	"thintree/thin/deviceset"
)

func volumeMountCommand() *cli.Command {
	return &cli.Command{
		Name:      "mount",
		Usage:     "activate a store's volume and mount it",
		ArgsUsage: "store:DIR NAME FOLDER",
		Description: `Mounts the volume's own filesystem, writable, with the options of
--opt dm.mountopt=OPTIONS. It stays mounted until volume unmount. To read volumes without
changing them, use thintree mount store:DIR MOUNTPOINT: it shows all of them at once.`,
		Flags:              []cli.Flag{optFlag()},
		BashComplete:       completeStoreVolumes,
		CustomHelpTemplate: exits{done: "the volume is mounted"}.after(commandHelp),
		Action: until(func(c *cli.Context) error {
			if err := takes(c, 3, 3, "store:DIR, a NAME and a FOLDER", "store:/var/lib/thintree web /mnt"); err != nil {
				return err
			}
			return onPool(c, c.Args().First(), func(_ *thin.Kernel, s *deviceset.DeviceSet) error {
				return s.MountDevice(c.Context, hashOf(c.Args().Get(1)), c.Args().Get(2), "")
			}, func(_ *thin.Kernel, p *thin.Pool) error {
				return wrongUse("volume mount is only for the volumes of a store: use thintree volume activate %s ID DEVICE --size SIZE, then mount(8)", p.Name())
			})
		}),
	}
}

func volumeUnmountCommand() *cli.Command {
	return &cli.Command{
		Name:               "unmount",
		Aliases:            []string{"umount"},
		Usage:              "unmount a store's volume and deactivate it",
		ArgsUsage:          "store:DIR NAME [FOLDER]",
		Description:        "Without a FOLDER it is unmounted everywhere.",
		Flags:              []cli.Flag{optFlag()},
		BashComplete:       completeStoreVolumes,
		CustomHelpTemplate: exits{done: "the volume is unmounted"}.after(commandHelp),
		Action: until(func(c *cli.Context) error {
			if err := takes(c, 2, 3, "store:DIR, a NAME and optionally a FOLDER", "store:/var/lib/thintree web"); err != nil {
				return err
			}
			return onPool(c, c.Args().First(), func(_ *thin.Kernel, s *deviceset.DeviceSet) error {
				return unmountVolume(c, s, c.Args().Get(1), c.Args().Get(2))
			}, func(_ *thin.Kernel, p *thin.Pool) error {
				return wrongUse("volume unmount is only for the volumes of a store: use umount(8), then thintree volume deactivate %s ID", p.Name())
			})
		}),
	}
}

func unmountVolume(c *cli.Context, s *deviceset.DeviceSet, name, dir string) error {
	v, err := reportVolume(c.Context, s, hashOf(name))
	if err != nil {
		return err
	}
	if dir != "" {
		real, err := filepath.Abs(dir)
		if err == nil {
			real, err = filepath.EvalSymlinks(real)
		}
		if err != nil {
			return err
		}
		if !slices.Contains(v.Mounts, real) {
			return fmt.Errorf("%s: volume %s is not mounted there", dir, printable(name))
		}
		v.Mounts = []string{real}
	}
	if len(v.Mounts) == 0 {
		return fmt.Errorf("volume %s is not mounted", printable(name))
	}
	for _, dir := range v.Mounts {
		if err := s.UnmountDevice(c.Context, hashOf(name), dir); err != nil {
			return err
		}
	}
	return nil
}

func volumeTrimCommand() *cli.Command {
	return &cli.Command{
		Name:      "trim",
		Usage:     "free the blocks that a volume's filesystem does not use",
		ArgsUsage: "POOL NAME|ID",
		Description: `Prints by how much the mapped part of the volume has shrunk. Blocks that a snapshot shares
stay in the pool. If the pool is no store's, the volume must be mounted.

` + volumeHelp,
		Flags:              []cli.Flag{optFlag()},
		BashComplete:       completeStoreVolumes,
		CustomHelpTemplate: exits{done: "the blocks are free"}.after(commandHelp),
		Action:             until(volumeTrim),
	}
}

func volumeTrim(c *cli.Context) error {
	if err := takes(c, 2, 2, theVolume, "store:/var/lib/thintree web"); err != nil {
		return err
	}
	name := c.Args().Get(1)
	var trimmed int64
	err := onPool(c, c.Args().First(), func(_ *thin.Kernel, s *deviceset.DeviceSet) (err error) {
		trimmed, err = s.TrimDevice(c.Context, hashOf(name))
		return err
	}, func(k *thin.Kernel, p *thin.Pool) error {
		a, err := activeOf(c.Context, p, name)
		if err != nil {
			return err
		}
		if a.Info.Suspended {
			return fmt.Errorf("%s: %w", a.Name, deviceset.ErrSuspended)
		}
		mounts, err := mountsOf(a.Number)
		if err != nil {
			return err
		}
		if len(mounts) == 0 {
			return fmt.Errorf("%s is not mounted: mount it first, because only its filesystem knows which blocks are unused", a.Name)
		}
		dir, err := os.Open(mounts[0])
		if err != nil {
			return err
		}
		trimmed, err = k.Trim(c.Context, a.Name, dir)
		return errors.Join(err, dir.Close())
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "%s: %s given back\n", printable(name), bytes(trimmed))
	return nil
}
