package cli

import (
	"errors"
	"fmt"

	"github.com/urfave/cli/v2"

	"thintree/thin"
	"thintree/thin/deviceset"
)

// The kinds of pools.
const rawPool, storePool = "a pool that is no store's", "a store: store:DIR"

func volumeCreateCommand() *cli.Command {
	return &cli.Command{
		Name:      "create",
		Usage:     "make a volume",
		ArgsUsage: "POOL NAME|ID",
		Description: `In a store the volume begins as a snapshot of its parent. With --size it is longer than
its parent, and its filesystem is grown. In another pool the volume is empty, and each
volume activate says how long it is.

` + volumeHelp,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "parent", Value: baseName, Usage: "begin as a snapshot of `VOLUME` of the store"},
			&cli.StringFlag{Name: "size", Usage: "make the volume `SIZE` long, longer than its parent"},
			jsonFlag(), optFlag(),
		},
		BashComplete:       completePools,
		CustomHelpTemplate: exits{done: "the volume exists", partial: "done, but with --json: the pool's details of the volume could not be read"}.after(commandHelp),
		Action:             until(volumeCreate),
	}
}

func volumeCreate(c *cli.Context) error {
	if err := takes(c, 2, 2, "a POOL and the NAME or ID of a new volume", "store:/var/lib/thintree web"); err != nil {
		return err
	}
	size, err := sizeOf(c, "size")
	if err != nil {
		return err
	}
	name := c.Args().Get(1)
	return onPool(c, c.Args().First(), func(_ *thin.Kernel, s *deviceset.DeviceSet) error {
		return addVolume(c, s, name, c.String("parent"), size)
	}, func(_ *thin.Kernel, p *thin.Pool) error {
		if err := onlyFor(c, storePool, "parent"); err != nil {
			return err
		}
		if c.IsSet("size") {
			return wrongUse("--size: a pool does not record the length: give it to thintree volume activate")
		}
		id, err := parseID(name)
		if err != nil {
			return err
		}
		if err := p.CreateDevice(c.Context, id); err != nil {
			return err
		}
		return volumeReport{DeviceID: id}.show(c, p)
	})
}

func addVolume(c *cli.Context, s *deviceset.DeviceSet, name, parent string, size int64) error {
	if name == baseName {
		return &deviceset.ExistsError{Hash: name}
	}
	if err := s.AddDevice(c.Context, hashOf(name), hashOf(parent), size); err != nil {
		return err
	}
	v, err := reportVolume(c.Context, s, hashOf(name))
	if err != nil {
		return err
	}
	return v.show(c, s.Pool())
}

func volumeSnapshotCommand() *cli.Command {
	return &cli.Command{
		Name:      "snapshot",
		Usage:     "make a snapshot of a volume",
		ArgsUsage: "POOL ORIGIN NEW",
		Description: `ORIGIN may be mounted and written to: its filesystem is frozen for a moment. NEW is a
NAME in a store, and an ID in another pool.

` + volumeHelp,
		Flags:              []cli.Flag{jsonFlag(), optFlag()},
		BashComplete:       completeStoreVolumes,
		CustomHelpTemplate: exits{done: "the snapshot exists", partial: "done, but with --json: the pool's details of the volume could not be read"}.after(commandHelp),
		Action:             until(volumeSnapshot),
	}
}

func volumeSnapshot(c *cli.Context) error {
	if err := takes(c, 3, 3, "a POOL, the ORIGIN and the NEW volume", "store:/var/lib/thintree web web-before-upgrade"); err != nil {
		return err
	}
	return onPool(c, c.Args().First(), func(_ *thin.Kernel, s *deviceset.DeviceSet) error {
		return addVolume(c, s, c.Args().Get(2), c.Args().Get(1), 0)
	}, func(_ *thin.Kernel, p *thin.Pool) error {
		id, err := parseID(c.Args().Get(2))
		if err != nil {
			return err
		}
		origin, err := idOf(c.Context, p, c.Args().Get(1))
		if err != nil {
			return err
		}
		if err := p.CreateSnapDevice(c.Context, id, origin); err != nil {
			return err
		}
		return volumeReport{DeviceID: id}.show(c, p)
	})
}

func volumeDeleteCommand() *cli.Command {
	return &cli.Command{
		Name:      "delete",
		Usage:     "delete a volume and all that no other volume shares with it",
		ArgsUsage: "POOL NAME|ID",
		Description: `The command asks first. It fails if the volume is active or mounted. In a store with
--opt dm.use_deferred_removal=true --opt dm.use_deferred_deletion=true such a volume is
deleted once nobody uses it.

` + volumeHelp,
		Flags:              []cli.Flag{yesFlag(), optFlag()},
		BashComplete:       completeStoreVolumes,
		CustomHelpTemplate: exits{done: "the volume is deleted, or will be once nobody uses it"}.after(commandHelp),
		Action:             until(volumeDelete),
	}
}

func volumeDelete(c *cli.Context) error {
	if err := takes(c, 2, 2, theVolume, "store:/var/lib/thintree web"); err != nil {
		return err
	}
	name := c.Args().Get(1)
	return onPool(c, c.Args().First(), func(_ *thin.Kernel, s *deviceset.DeviceSet) error {
		v, err := reportVolume(c.Context, s, hashOf(name))
		if err != nil {
			return err
		}
		if err := confirm(c, fmt.Sprintf("volume %s of %s (%s): the data that no other volume shares will be lost", printable(name), c.Args().First(), bytes(v.SizeBytes))); err != nil {
			return err
		}
		return s.DeleteDevice(c.Context, hashOf(name))
	}, func(_ *thin.Kernel, p *thin.Pool) error {
		id, err := idOf(c.Context, p, name)
		if err != nil {
			return err
		}
		return deleteRaw(c, p, id)
	})
}

func deleteRaw(c *cli.Context, p *thin.Pool, id uint32) error {
	if has, err := p.HasDevice(c.Context, id); err != nil || !has {
		return errors.Join(err, p.DeleteDevice(c.Context, id))
	}
	if err := confirm(c, fmt.Sprintf("volume %d of pool %s: the data that no other volume shares will be lost", id, p.Name())); err != nil {
		return err
	}
	err := p.DeleteDevice(c.Context, id)
	if !errors.Is(err, thin.ErrActive) {
		return err
	}
	active, _ := activeOfID(c.Context, p, id) // without them the advice is missing, not the error
	for _, name := range deviceArgs(active) {
		err = fmt.Errorf("%w: thintree volume deactivate %s %s", err, p.Name(), name)
	}
	return err
}
