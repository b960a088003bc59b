package cli

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"thintree/meta/record"
	"thintree/thin"
	"thintree/thin/deviceset"
)

func poolGrowCommand() *cli.Command {
	return &cli.Command{
		Name:      "grow",
		Usage:     "make the data or metadata of an active pool longer",
		ArgsUsage: "POOL",
		Description: `Files get the lengths that the flags say, or with a + become longer by that much.
Block devices are used in their whole length: make them longer first.

` + poolHelp,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "data-size", Usage: "make the data `[+]SIZE` long"},
			&cli.StringFlag{Name: "metadata-size", Usage: "make the metadata `[+]SIZE` long"},
			jsonFlag(), optFlag(),
		},
		BashComplete:       completePools,
		CustomHelpTemplate: exits{done: "the pool has grown", partial: "the pool has grown, but part of its store could not be read: standard error says which"}.after(commandHelp),
		Action:             until(poolGrow),
	}
}

func poolGrow(c *cli.Context) error {
	if c.NArg() != 1 {
		return wrongUse("pool grow takes one POOL: thintree pool grow vault --data-size +10G")
	}
	grow := func(p *thin.Pool) error {
		st, err := p.Status(c.Context)
		if err != nil {
			return err
		}
		data, err := grownSize(c, "data-size", int64(st.DataTotalBlocks)*p.BlockBytes())
		if err != nil {
			return err
		}
		metadata, err := grownSize(c, "metadata-size", st.MetadataTotalBytes())
		if err != nil {
			return err
		}
		return p.Grow(c.Context, metadata, data)
	}
	return onPool(c, c.Args().First(), func(k *thin.Kernel, s *deviceset.DeviceSet) error {
		if err := grow(s.Pool()); err != nil {
			return err
		}
		r, err := reportStore(c.Context, k, s)
		if err != nil {
			return err
		}
		return r.show(c)
	}, func(k *thin.Kernel, p *thin.Pool) error {
		if err := grow(p); err != nil {
			return err
		}
		r, err := reportPool(c.Context, p)
		if err != nil {
			return err
		}
		return r.show(c)
	})
}

func poolCheckCommand() *cli.Command {
	return &cli.Command{
		Name:      "check",
		Usage:     "check the metadata of a pool that is not active, by thin_check",
		ArgsUsage: "METADATA | store:DIR",
		Description: `METADATA is the file or block device that holds them. Nothing is changed. Root is
needed only if the file is root's, or if its filesystem has no O_DIRECT.`,
		Flags:              []cli.Flag{optFlag()},
		CustomHelpTemplate: exits{done: "thin_check finds no damage", failed: "the metadata are damaged or could not be checked: standard error says which"}.after(commandHelp),
		Action:             until(poolCheck),
	}
}

func poolCheck(c *cli.Context) error {
	if c.NArg() != 1 {
		return wrongUse("pool check takes METADATA or store:DIR: thintree pool check /dev/sdb1")
	}
	metadata, err := metadataOf(c, c.Args().First())
	if err != nil {
		return err
	}
	if err := thin.CheckPool(c.Context, metadata); err != nil {
		return err
	}
	fmt.Fprintf(stdout, "%s: no damage\n", printable(metadata))
	return nil
}

// metadataOf is the path of the metadata for an argument of pool check.
func metadataOf(c *cli.Context, arg string) (string, error) {
	if !strings.HasPrefix(arg, "store:") {
		return arg, onlyFor(c, storePool, "opt")
	}
	target, err := parsePool(arg)
	if err != nil {
		return "", err
	}
	o, err := deviceset.ParseOptions(c.StringSlice("opt"))
	switch {
	case err != nil:
		return "", wrongUse("--opt: %v", err)
	case o.Pool != "":
		return "", errors.New("the pool is not the store's own: name its metadata: thintree pool check METADATA")
	case o.Metadata != "":
		return o.Metadata, nil
	}
	return filepath.Join(target.store, record.PoolMetadata), nil
}
