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
		Usage:     "make a block device for a volume, and print its path",
		ArgsUsage: "store:DIR NAME | POOL ID DEVICE",
		Description: `The device stays until volume deactivate. If the pool is no store's, DEVICE is the name
of the new device-mapper device, and --size its length: the pool does not record it.

` + volumeHelp,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "size", Usage: "make the device `SIZE` long"},
			&cli.BoolFlag{Name: "read-only", Usage: "make the device read-only"},
			&cli.StringFlag{Name: "origin", Usage: "read `BLOCKDEVICE` where the volume has no data; nobody may write to it"},
			jsonFlag(), optFlag(),
		},
		BashComplete:       completeStoreVolumes,
		CustomHelpTemplate: exits{done: "the volume has a block device", partial: "done, but with --json: the pool's details of the volume could not be read"}.after(commandHelp),
		Action:             until(volumeActivate),
	}
}

func volumeActivate(c *cli.Context) error {
	if err := takes(c, 2, 3, "store:DIR and a NAME, or a POOL, an ID and a DEVICE", "vault 7 vault-7 --size 10G"); err != nil {
		return err
	}
	return onPool(c, c.Args().First(), func(_ *thin.Kernel, s *deviceset.DeviceSet) error {
		if c.NArg() != 2 {
			return wrongUse("volume activate takes store:DIR and a NAME: the store names the device itself")
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
		return wrongUse("--size: give the length of the volume: the pool does not record it")
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

// showPath prints the path of the block device of a pool's volume.
func (v volumeReport) showPath(c *cli.Context, p *thin.Pool, path string) error {
	if c.Bool("json") {
		return v.showJSON(c.Context, p)
	}
	fmt.Fprintln(stdout, path)
	return nil
}

func volumeDeactivateCommand() *cli.Command {
	return &cli.Command{
		Name:               "deactivate",
		Usage:              "remove a volume's block device; its contents stay",
		ArgsUsage:          "POOL NAME|ID",
		Description:        volumeHelp,
		Flags:              []cli.Flag{&cli.BoolFlag{Name: "deferred", Usage: "if it is in use, remove it when its last user closes it"}, optFlag()},
		BashComplete:       completeStoreVolumes,
		CustomHelpTemplate: exits{done: "the block device is removed, or will be with --deferred"}.after(commandHelp),
		Action:             until(volumeDeactivate),
	}
}

func volumeDeactivate(c *cli.Context) error {
	if err := takes(c, 2, 2, theVolume, "vault vault-7"); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(c.Context, patience)
	defer cancel()
	name := c.Args().Get(1)
	target, err := parsePool(c.Args().First())
	if err != nil {
		return err
	}
	if target.store != "" {
		var options []string
		if c.Bool("deferred") {
			options = []string{"dm.use_deferred_removal=true"}
		}
		return withStore(c, target.store, options, func(_ *thin.Kernel, s *deviceset.DeviceSet) error {
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
		Usage:     "suspend an active volume: its readers and writers wait",
		ArgsUsage: "POOL NAME|ID",
		Description: `All that was written is on the volume then, as after an unmount. Readers and writers
go on after volume resume.

` + volumeHelp,
		Flags:              []cli.Flag{optFlag()},
		BashComplete:       completeStoreVolumes,
		CustomHelpTemplate: exits{done: "the volume is suspended"}.after(commandHelp),
		Action:             until(onActive((*deviceset.DeviceSet).SuspendDevice, (*thin.Kernel).SuspendDevice)),
	}
}

func volumeResumeCommand() *cli.Command {
	return &cli.Command{
		Name:               "resume",
		Usage:              "resume a suspended volume",
		ArgsUsage:          "POOL NAME|ID",
		Description:        volumeHelp,
		Flags:              []cli.Flag{optFlag()},
		BashComplete:       completeStoreVolumes,
		CustomHelpTemplate: exits{done: "the volume is active, and not suspended"}.after(commandHelp),
		Action:             until(onActive((*deviceset.DeviceSet).ResumeDevice, (*thin.Kernel).ResumeDevice)),
	}
}

// onActive is the action of a command on an active volume.
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
