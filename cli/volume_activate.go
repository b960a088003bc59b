package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"thintree/thin"
	"thintree/thin/deviceset"
	"thintree/thin/dm"
)

func volumeActivateCommand() *cli.Command {
	return &cli.Command{
		Name:      "activate",
		Usage:     "make a block device of a volume, and print its path",
		ArgsUsage: "store:DIR NAME | POOL ID DEVICE",
		Description: `It stays until volume deactivate. Of a pool that is no store's, DEVICE is how the
device-mapper device is to be called, and --size how long it is: the pool does not
keep it.

` + volumeHelp,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "size", Usage: "how long the device is: `SIZE`"},
			&cli.BoolFlag{Name: "read-only", Usage: "let nobody write to it"},
			&cli.StringFlag{Name: "origin", Usage: "what it reads where it has no data: `BLOCKDEVICE`, to which nobody may write"},
			jsonFlag(), optFlag(),
		},
		BashComplete: completeStoreVolumes,
		Action:       until(volumeActivate),
	}
}

func volumeActivate(c *cli.Context) error {
	if err := takes(c, 2, 3, "store:DIR and a NAME, or a POOL, an ID and a DEVICE", "vault 7 vault-7 --size 10G"); err != nil {
		return err
	}
	return onPool(c, c.Args().First(), func(_ *thin.Kernel, s *deviceset.DeviceSet) error {
		if c.NArg() != 2 {
			return wrongUse("volume activate takes store:DIR and a NAME: the store knows how to call the device")
		}
		if err := onlyFor(c, rawPool, "size", "read-only", "origin"); err != nil {
			return err
		}
		hash := hashOf(c.Args().Get(1))
		path, err := s.ActivateDevice(c.Context, hash)
		if err != nil {
			return err
		}
		v, err := reportVolume(c.Context, s, hash)
		if err != nil {
			return err
		}
		return v.showPath(c, s.Pool(), path)
	}, func(k *thin.Kernel, p *thin.Pool) error {
		if c.NArg() != 3 {
			return wrongUse("volume activate takes a POOL, an ID and the name of the new DEVICE: thintree volume activate vault 7 vault-7 --size 10G")
		}
		return activateRaw(c, k, p)
	})
}

func activateRaw(c *cli.Context, k *thin.Kernel, p *thin.Pool) error {
	size, err := sizeOf(c, "size")
	if err != nil {
		return err
	}
	if size == 0 {
		return wrongUse("--size: how long is the volume? The pool does not keep it")
	}
	id, err := idOf(c.Context, p, c.Args().Get(1))
	if err != nil {
		return err
	}
	d, err := p.ActivateDevice(c.Context, thin.Activation{
		Name: c.Args().Get(2), ID: id, SizeBytes: size,
		ReadOnly: c.Bool("read-only"), Origin: c.String("origin"), Udev: dm.Public,
	})
	if err != nil {
		return err
	}
	a, err := findActive(c.Context, p, d.Name)
	if err != nil {
		return err
	}
	v, err := reportActive(c.Context, k, a)
	if err != nil {
		return err
	}
	return v.showPath(c, p, dm.LinkPath(d.Name))
}

// showPath prints where the block device of a pool's volume is.
func (v volumeReport) showPath(c *cli.Context, p *thin.Pool, path string) error {
	if c.Bool("json") {
		return v.showJSON(c.Context, p)
	}
	fmt.Fprintln(stdout, path)
	return nil
}

func volumeDeactivateCommand() *cli.Command {
	return &cli.Command{
		Name:         "deactivate",
		Usage:        "take a volume's block device away; what it holds stays",
		ArgsUsage:    "POOL NAME|ID",
		Description:  volumeHelp,
		Flags:        []cli.Flag{&cli.BoolFlag{Name: "deferred", Usage: "where it is in use, when its last user lets go of it"}, optFlag()},
		BashComplete: completeStoreVolumes,
		Action:       until(volumeDeactivate),
	}
}

func volumeDeactivate(c *cli.Context) error {
	if err := takes(c, 2, 2, theVolume, "vault vault-7"); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(c.Context, patience)
	defer cancel()
	name := c.Args().Get(1)
	where, err := parsePool(c.Args().First())
	if err != nil {
		return err
	}
	if where.store != "" {
		var options []string
		if c.Bool("deferred") {
			options = []string{"dm.use_deferred_removal=true"}
		}
		return withStore(c, where.store, options, func(_ *thin.Kernel, s *deviceset.DeviceSet) error {
			return s.DeactivateDevice(ctx, hashOf(name))
		})
	}
	return onPool(c, c.Args().First(), nil, func(k *thin.Kernel, p *thin.Pool) error {
		a, err := activeOf(ctx, p, name)
		if err != nil {
			return err
		}
		_, err = k.RemoveDevice(ctx, a.Name, c.Bool("deferred"), dm.Public)
		if mounts, _ := mountsOf(a.Number); errors.Is(err, dm.ErrInUse) && len(mounts) > 0 {
			err = fmt.Errorf("%s: %w: it is mounted at %s", a.Name, dm.ErrInUse, strings.Join(mounts, " "))
		}
		return err
	})
}

func volumeSuspendCommand() *cli.Command {
	return &cli.Command{
		Name:      "suspend",
		Usage:     "freeze an active volume: who reads or writes it waits",
		ArgsUsage: "POOL NAME|ID",
		Description: `All that was written is on it then, as after an unmount. It goes on with volume
resume.

` + volumeHelp,
		Flags:        []cli.Flag{optFlag()},
		BashComplete: completeStoreVolumes,
		Action:       until(onActive((*deviceset.DeviceSet).SuspendDevice, (*thin.Kernel).SuspendDevice)),
	}
}

func volumeResumeCommand() *cli.Command {
	return &cli.Command{
		Name:         "resume",
		Usage:        "let a suspended volume go on",
		ArgsUsage:    "POOL NAME|ID",
		Description:  volumeHelp,
		Flags:        []cli.Flag{optFlag()},
		BashComplete: completeStoreVolumes,
		Action:       until(onActive((*deviceset.DeviceSet).ResumeDevice, (*thin.Kernel).ResumeDevice)),
	}
}

// onActive is a command that does something to an active volume.
func onActive(
	inStore func(s *deviceset.DeviceSet, ctx context.Context, hash string) error,
	inPool func(k *thin.Kernel, ctx context.Context, name string) error,
) cli.ActionFunc {
	return func(c *cli.Context) error {
		if err := takes(c, 2, 2, theVolume, "vault vault-7"); err != nil {
			return err
		}
		name := c.Args().Get(1)
		return onPool(c, c.Args().First(), func(_ *thin.Kernel, s *deviceset.DeviceSet) error {
			return inStore(s, c.Context, hashOf(name))
		}, func(k *thin.Kernel, p *thin.Pool) error {
			a, err := activeOf(c.Context, p, name)
			if err != nil {
				return err
			}
			return inPool(k, c.Context, a.Name)
		})
	}
}
