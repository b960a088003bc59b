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
		Description: `The volume's own filesystem, to be written to; --opt dm.mountopt=OPTIONS mounts it
with others. It stays mounted until volume unmount. To look at volumes without
changing them, thintree mount store:DIR MOUNTPOINT shows all at once.`,
		Flags:        []cli.Flag{optFlag()},
		BashComplete: completeStoreVolumes,
		Action: until(func(c *cli.Context) error {
			if err := takes(c, 3, 3, "store:DIR, a NAME and a FOLDER", "store:/var/lib/thintree web /mnt"); err != nil {
				return err
			}
			return onPool(c, c.Args().First(), func(_ *thin.Kernel, s *deviceset.DeviceSet) error {
				return s.MountDevice(c.Context, hashOf(c.Args().Get(1)), c.Args().Get(2), "")
			}, func(_ *thin.Kernel, p *thin.Pool) error {
				return wrongUse("volume mount is for the volumes of a store: thintree volume activate %s ID DEVICE --size SIZE, then mount(8)", p.Name())
			})
		}),
	}
}

func volumeUnmountCommand() *cli.Command {
	return &cli.Command{
		Name:         "unmount",
		Aliases:      []string{"umount"},
		Usage:        "unmount a store's volume and deactivate it",
		ArgsUsage:    "store:DIR NAME [FOLDER]",
		Description:  "Without a FOLDER wherever it is mounted.",
		Flags:        []cli.Flag{optFlag()},
		BashComplete: completeStoreVolumes,
		Action: until(func(c *cli.Context) error {
			if err := takes(c, 2, 3, "store:DIR, a NAME and, if you like, a FOLDER", "store:/var/lib/thintree web"); err != nil {
				return err
			}
			return onPool(c, c.Args().First(), func(_ *thin.Kernel, s *deviceset.DeviceSet) error {
				return unmountVolume(c, s, c.Args().Get(1), c.Args().Get(2))
			}, func(_ *thin.Kernel, p *thin.Pool) error {
				return wrongUse("volume unmount is for the volumes of a store: umount(8), then thintree volume deactivate %s ID", p.Name())
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
		Usage:     "give back the blocks that a volume's filesystem does not use",
		ArgsUsage: "POOL NAME|ID",
		Description: `It tells how much of the volume is mapped less than before; of that, what a snapshot
shares stays in the pool. A volume of a pool that is no store's must be mounted.

` + volumeHelp,
		Flags:        []cli.Flag{optFlag()},
		BashComplete: completeStoreVolumes,
		Action:       until(volumeTrim),
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
			return fmt.Errorf("%s is not mounted: only its filesystem knows what it does not use", a.Name)
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
