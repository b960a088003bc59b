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
		Usage:     "make a pool's data or metadata longer, while it is active",
		ArgsUsage: "POOL",
		Description: `Files become as long as the flags say, or with a + so much longer. Block devices
are taken as long as they are now: make them longer first.

` + poolHelp,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "data-size", Usage: "how long the data become: `[+]SIZE`"},
			&cli.StringFlag{Name: "metadata-size", Usage: "how long the metadata become: `[+]SIZE`"},
			jsonFlag(), optFlag(),
		},
		BashComplete: completePools,
		Action:       until(poolGrow),
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
		Usage:     "have thin_check look at the metadata of a pool that is not active",
		ArgsUsage: "METADATA | store:DIR",
		Description: `METADATA is the file or block device that holds them. Nothing is changed, and root
is needed only if the file is root's, or its filesystem has no O_DIRECT.`,
		Flags:  []cli.Flag{optFlag()},
		Action: until(poolCheck),
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

// metadataOf is where the metadata are that an argument of pool check means.
func metadataOf(c *cli.Context, arg string) (string, error) {
	if !strings.HasPrefix(arg, "store:") {
		return arg, onlyFor(c, storePool, "opt")
	}
	where, err := parsePool(arg)
	if err != nil {
		return "", err
	}
	o, err := deviceset.ParseOptions(c.StringSlice("opt"))
	switch {
	case err != nil:
		return "", wrongUse("--opt: %v", err)
	case o.Pool != "":
		return "", errors.New("the pool is not the store's own: name its metadata")
	case o.Metadata != "":
		return o.Metadata, nil
	}
	return filepath.Join(where.store, record.PoolMetadata), nil
}
