package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"thintree/thin"
	"thintree/thin/block"
	"thintree/thin/deviceset"
	"thintree/thin/dm"
	"thintree/thin/reader"
)

func poolActivateCommand() *cli.Command {
	return &cli.Command{
		Name:      "activate",
		Usage:     "activate a pool that was made before",
		ArgsUsage: "NAME METADATA DATA | store:DIR",
		Description: `METADATA and DATA are the block devices or files that it was made on. If a pool with that
name is active on them already, it is left as it is; it must be active as the flags say.
The pool of a store is active while one of its volumes is. After this command it stays
active until pool deactivate, and commands on it are faster.`,
		Flags: append([]cli.Flag{
			&cli.BoolFlag{Name: "read-only", Usage: "allow no changes in the pool"}, optFlag(),
		}, featureFlags()...),
		CustomHelpTemplate: exits{done: "the pool is active", partial: "the pool is active, but part of its store could not be read: standard error says which"}.after(commandHelp),
		Action:             until(poolActivate),
	}
}

func poolActivate(c *cli.Context) error {
	target, err := parsePool(c.Args().First())
	switch {
	case err != nil:
		return err
	case target.store != "":
		return storeActivate(c, target.store)
	case c.NArg() != 3:
		return wrongUse("pool activate takes NAME METADATA DATA, or store:DIR: thintree pool activate vault /dev/sdb1 /dev/sdb2")
	}
	if err := onlyFor(c, storePool, "opt"); err != nil {
		return err
	}
	config := thin.PoolConfig{Name: target.name, Metadata: c.Args().Get(1), Data: c.Args().Get(2), Udev: dm.Named}
	blockBytes := int64(defaultBlockBytes)
	if c.IsSet("low-water") {
		r, err := reader.Open(c.Context, block.At(config.Metadata), block.At(config.Data), reader.Options{})
		if err != nil {
			return err
		}
		blockBytes = r.BlockBytes()
		r.Close()
	}
	if config.Features, err = features(c, blockBytes); err != nil {
		return err
	}
	return withKernel(func(k *thin.Kernel) error {
		p, err := k.ActivatePool(c.Context, config)
		if err != nil {
			return err
		}
		r, err := reportPool(c.Context, p)
		if err != nil {
			return err
		}
		return r.show(c)
	})
}

func storeActivate(c *cli.Context, dir string) error {
	if err := onlyFor(c, rawPool, append(featureNames, "read-only")...); err != nil {
		return err
	}
	if c.NArg() != 1 {
		return wrongUse("pool activate takes nothing after store:DIR")
	}
	return withStore(c, dir, nil, func(k *thin.Kernel, s *deviceset.DeviceSet) error {
		if err := s.KeepPool(c.Context); err != nil {
			return err
		}
		r, err := reportStore(c.Context, k, s)
		if err != nil {
			return err
		}
		return r.show(c)
	})
}

func poolDeactivateCommand() *cli.Command {
	return &cli.Command{
		Name:      "deactivate",
		Usage:     "deactivate a pool; its contents stay",
		ArgsUsage: "POOL",
		Description: `A pool is deactivated only if none of its devices is active. The volumes of a store are
unmounted and deactivated first; if one is mounted, the command asks.

` + poolHelp,
		Flags:              []cli.Flag{yesFlag(), optFlag()},
		BashComplete:       completePools,
		CustomHelpTemplate: exits{done: "the pool is no longer active"}.after(commandHelp),
		Action:             until(poolDeactivate),
	}
}

// patience is how long a command waits for something that is in use.
const patience = 5 * time.Second

func poolDeactivate(c *cli.Context) error {
	if c.NArg() != 1 {
		return wrongUse("pool deactivate takes one POOL")
	}
	target, err := parsePool(c.Args().First())
	if err != nil {
		return err
	}
	if target.store != "" {
		return storeDeactivate(c, target.store)
	}
	return onPool(c, c.Args().First(), nil, func(k *thin.Kernel, p *thin.Pool) error {
		ctx, cancel := context.WithTimeout(c.Context, patience)
		defer cancel()
		err := p.Deactivate(ctx)
		if !errors.Is(err, dm.ErrInUse) {
			return err
		}
		active, activeErr := p.Active(c.Context)
		if activeErr != nil || len(active) == 0 {
			return err
		}
		var names []string
		for _, a := range active {
			names = append(names, a.Name)
		}
		return fmt.Errorf("pool %s: %w: these devices are active: %s", p.Name(), dm.ErrInUse, strings.Join(names, " "))
	})
}

func storeDeactivate(c *cli.Context, dir string) error {
	s, err := openSet(c, dir, false, nil)
	if err != nil {
		return err
	}
	mounted, err := mountedVolumes(c.Context, s)
	if err == nil && len(mounted) > 0 {
		err = confirm(c, fmt.Sprintf("store:%s: these volumes are mounted, and will be unmounted: %s", dir, strings.Join(mounted, " ")))
	}
	if err != nil {
		return errors.Join(err, s.Close(context.WithoutCancel(c.Context)))
	}
	return s.Shutdown(c.Context)
}

func mountedVolumes(ctx context.Context, s *deviceset.DeviceSet) ([]string, error) {
	var mounted []string
	for _, hash := range s.List() {
		st, err := s.DeviceStatus(ctx, hash)
		if err != nil {
			return nil, err
		}
		if len(st.Mounts) > 0 {
			mounted = append(mounted, printable(volumeName(hash)))
		}
	}
	return mounted, nil
}
