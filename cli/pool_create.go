package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"thintree/thin"
	"thintree/thin/block"
	"thintree/thin/blockdev"
	"thintree/thin/dm"
	"thintree/volfs/probe"
)

func poolCreateCommand() *cli.Command {
	return &cli.Command{
		Name:      "create",
		Usage:     "make an empty pool, or a store with one, and activate it",
		ArgsUsage: "NAME METADATA DATA | store:DIR",
		Description: `METADATA and DATA are block devices or files. Files that do not exist are made,
sparse, with the lengths --metadata-size and --data-size. If one of the two has contents
that would be lost, the command asks first.

A store is a folder with a pool in two files and a base device. All its volumes are
snapshots of the base device. If the store exists already, only its missing parts are
made; the others must be as the options say.
The pool of a store is active while one of its volumes is. --opt takes the options of
dockerd --storage-opt: dm.basesize=10G, dm.fs=ext4, dm.mkfsarg=, dm.mountopt=,
dm.loopdatasize=100G, dm.loopmetadatasize=2G, dm.datadev= and dm.metadatadev=,
dm.thinpooldev=, dm.blocksize=64K, dm.min_free_space=10%,
dm.use_deferred_removal=true, dm.use_deferred_deletion=true.

` + poolHelp,
		Flags: append([]cli.Flag{
			&cli.StringFlag{Name: "data-size", Usage: "make a new file for the data with `SIZE`"},
			&cli.StringFlag{Name: "metadata-size", Usage: "make a new file for the metadata with `SIZE` (default: enough for the data)"},
			&cli.StringFlag{Name: "block-size", Usage: "use data blocks of `SIZE`, from 64K to 1G (default: 64K)"},
			optFlag(), yesFlag(),
		}, featureFlags()...),
		CustomHelpTemplate: exits{done: "the pool exists and is active, or the store exists", partial: "the store exists, but part of it could not be read: standard error says which"}.after(commandHelp),
		Action:             until(poolCreate),
	}
}

// featureFlags are the flags of each command that activates a pool.
func featureFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "low-water", Usage: "the kernel reports when less than `SIZE` of the data is free"},
		&cli.BoolFlag{Name: "skip-block-zeroing", Usage: "do not clear new data blocks: a volume shows what was in them before"},
		&cli.BoolFlag{Name: "error-if-no-space", Usage: "if the pool is full, writes fail and do not wait"},
		&cli.BoolFlag{Name: "no-discard-passdown", Usage: "do not pass discards on to the device or file of the data"},
		jsonFlag(),
	}
}

// featureNames are the names of the flags that say how a pool is activated.
var featureNames = []string{"low-water", "skip-block-zeroing", "error-if-no-space", "no-discard-passdown"}

func features(c *cli.Context, blockBytes int64) (thin.Features, error) {
	low, err := sizeOf(c, "low-water")
	return thin.Features{
		LowWaterBlocks:    uint64((low + blockBytes - 1) / blockBytes),
		SkipBlockZeroing:  c.Bool("skip-block-zeroing"),
		ErrorIfNoSpace:    c.Bool("error-if-no-space"),
		NoDiscardPassdown: c.Bool("no-discard-passdown"),
		ReadOnly:          c.Bool("read-only"),
	}, err
}

func poolCreate(c *cli.Context) error {
	target, err := parsePool(c.Args().First())
	if err != nil {
		return err
	}
	if target.store != "" {
		return storeCreate(c, target.store)
	}
	n, err := newPool(c, target.name)
	if err != nil {
		return err
	}
	return withKernel(func(k *thin.Kernel) error {
		p, err := k.CreatePool(c.Context, n)
		var holds *thin.NotEmptyError
		if errors.As(err, &holds) {
			if err := confirm(c, lost(c.Context, n.PoolConfig, holds)); err != nil {
				return err
			}
			n.Destroy = true
			p, err = k.CreatePool(c.Context, n)
		}
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

// newPool is the pool that the arguments and flags of pool create ask for.
func newPool(c *cli.Context, name string) (thin.NewPool, error) {
	if c.NArg() != 3 {
		return thin.NewPool{}, wrongUse("pool create takes NAME METADATA DATA, or store:DIR: thintree pool create vault /dev/sdb1 /dev/sdb2")
	}
	if err := onlyFor(c, storePool, "opt"); err != nil {
		return thin.NewPool{}, err
	}
	n := thin.NewPool{PoolConfig: thin.PoolConfig{Name: name, Metadata: c.Args().Get(1), Data: c.Args().Get(2), Udev: dm.Named}}
	var errs [4]error
	n.DataBytes, errs[0] = sizeOf(c, "data-size")
	n.MetadataBytes, errs[1] = sizeOf(c, "metadata-size")
	blockBytes := int64(defaultBlockBytes)
	if c.IsSet("block-size") {
		blockBytes, errs[2] = sizeOf(c, "block-size")
	}
	if errs[2] == nil {
		n.BlockSectors = uint32(min(blockBytes/blockdev.SectorBytes, 1<<31))
		if err := thin.CheckBlockSectors(n.BlockSectors); err != nil {
			return thin.NewPool{}, wrongUse("--block-size: %v", err)
		}
		n.Features, errs[3] = features(c, blockBytes)
	}
	for _, err := range errs {
		if err != nil {
			return thin.NewPool{}, err
		}
	}
	return n, nil
}

const defaultBlockBytes = 64 << 10

// lost says what a new pool would destroy in its metadata and data. first is the one that is known
// to have contents; the other may not exist.
func lost(ctx context.Context, p thin.PoolConfig, first *thin.NotEmptyError) string {
	var holds []string
	for _, path := range []string{p.Metadata, p.Data} {
		known := first.What
		if path != first.Path {
			if blank, err := thin.Blank(ctx, path); err != nil || blank {
				continue
			}
			known = "data"
		}
		holds = append(holds, fmt.Sprintf("%s holds %s", path, cmp.Or(contents(ctx, path), known)))
	}
	return strings.Join(holds, " and ") + ", which a new pool destroys"
}

// contents describes the contents of a file or block device, "" if they are not known.
func contents(ctx context.Context, path string) string {
	f, err := block.Open(path, block.Options{Direct: true})
	if err != nil {
		return ""
	}
	defer f.Close()
	found, err := probe.Probe(ctx, f)
	if err != nil {
		return ""
	}
	var what []string
	for _, s := range found.Signatures {
		text := s.Type
		if s.Label != "" {
			text += ", label " + printable(s.Label)
		}
		if found.Kind == probe.KindFilesystem {
			text = "a filesystem (" + text + ")"
		}
		what = append(what, text)
	}
	if found.Table != nil {
		what = append(what, fmt.Sprintf("a partition table (%s) with %d partitions", found.Table.Type, len(found.Table.Partitions)))
	}
	return strings.Join(what, " and ")
}

// storeCreate makes a store.
func storeCreate(c *cli.Context, dir string) error {
	if c.NArg() != 1 {
		return wrongUse("pool create takes nothing after store:DIR")
	}
	for flag, option := range map[string]string{
		"data-size": "dm.loopdatasize=", "metadata-size": "dm.loopmetadatasize=", "block-size": "dm.blocksize=",
	} {
		if c.IsSet(flag) {
			return wrongUse("--%s: for a store use --opt %s%s", flag, option, c.String(flag))
		}
	}
	if err := onlyFor(c, rawPool, append(featureNames, "yes")...); err != nil {
		return err
	}
	return withKernel(func(k *thin.Kernel) (err error) {
		s, err := openSet(c, dir, true, nil)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, s.Close(context.WithoutCancel(c.Context))) }()
		r, err := reportStore(c.Context, k, s)
		if err != nil {
			return err
		}
		return r.show(c)
	})
}
