package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"thintree/meta/record"
	"thintree/thin"
	"thintree/thin/deviceset"
	"thintree/thin/dm"
)

const poolHelp = `POOL is one of
   store:DIR         a store of thintree's own: a pool, and a record of each of
                     its volumes; Docker's is store:/var/lib/docker/devicemapper
   NAME, dm:NAME     a pool that is active, by its device-mapper name
A SIZE is in bytes, or has a unit: 512K, 64M, 10G, 2T (powers of 1024).`

func poolCommand() *cli.Command {
	return group("pool", "make, activate, watch, grow and check pools",
		"Needs root. The kernel's device-mapper does the work.\n\n"+poolHelp,
		poolCreateCommand(), poolActivateCommand(), poolDeactivateCommand(),
		poolStatusCommand(), poolGrowCommand(), poolCheckCommand())
}

// poolArg is a parsed argument POOL: the folder of a store, or the device-mapper name of a pool.
// One of the two is "".
type poolArg struct{ store, name string }

func parsePool(arg string) (poolArg, error) {
	if dir, ok := strings.CutPrefix(arg, "store:"); ok {
		if dir == "" {
			return poolArg{}, wrongUse("store: names no folder: store:/var/lib/thintree")
		}
		dir, err := filepath.Abs(dir)
		return poolArg{store: dir}, err
	}
	name, marked := strings.CutPrefix(strings.TrimPrefix(arg, "/dev/mapper/"), "dm:")
	kind, dir, _ := strings.Cut(arg, ":")
	switch {
	case name == "":
		return poolArg{}, wrongUse("%q names no pool: POOL is store:DIR, or the device-mapper name of a pool", arg)
	case marked:
	case kind == "docker":
		return poolArg{}, wrongUse("%s: the pool of a Docker root is POOL store:%s", arg, filepath.Join(dir, "devicemapper"))
	case kind == "pool":
		return poolArg{}, wrongUse("%s: only an active pool can be changed: thintree pool activate NAME META DATA", arg)
	case strings.Contains(name, "/"):
		return poolArg{}, wrongUse("%s: a path is no pool: POOL is store:DIR, or the device-mapper name of a pool", arg)
	}
	return poolArg{name: name}, nil
}

func optFlag() cli.Flag {
	return &cli.StringSliceFlag{Name: "opt", Usage: "make or use a store with the option `dm.NAME=VALUE` of dockerd --storage-opt"}
}

// onPool runs a command on the pool of an argument POOL: inStore if that is a store, and otherwise
// inPool.
func onPool(c *cli.Context, arg string,
	inStore func(k *thin.Kernel, s *deviceset.DeviceSet) error,
	inPool func(k *thin.Kernel, p *thin.Pool) error,
) error {
	target, err := parsePool(arg)
	if err != nil {
		return err
	}
	if target.store != "" {
		return withStore(c, target.store, nil, inStore)
	}
	if err := onlyFor(c, storePool, "opt"); err != nil {
		return err
	}
	return withKernel(func(k *thin.Kernel) error {
		p, err := k.OpenPool(c.Context, target.name)
		switch {
		case errors.Is(err, dm.ErrNotFound), errors.Is(err, thin.ErrNoPool):
			return adviceError{err, "thintree pool status lists the active pools, thintree pool activate activates one"}
		case err != nil:
			return err
		}
		return inPool(k, p)
	})
}

// withKernel runs a function that needs this host's device-mapper.
func withKernel(run func(k *thin.Kernel) error) error {
	k, err := thin.OpenKernel()
	if err != nil {
		return err
	}
	return errors.Join(run(k), k.Close())
}

// withStore runs a command in a store that exists. The options more are added to those
// of the command line.
func withStore(c *cli.Context, dir string, more []string, run func(k *thin.Kernel, s *deviceset.DeviceSet) error) error {
	return withKernel(func(k *thin.Kernel) error {
		s, err := openSet(c, dir, false, more)
		if err != nil {
			return err
		}
		err = run(k, s)
		var missing *deviceset.NoDeviceError
		if errors.As(err, &missing) {
			err = adviceError{err, "thintree volume ls store:" + dir + " lists its volumes"}
		}
		return errors.Join(err, s.Close(context.WithoutCancel(c.Context)))
	})
}

// openSet opens a store, and warns of what is wrong in it.
func openSet(c *cli.Context, dir string, doInit bool, more []string) (*deviceset.DeviceSet, error) {
	slog.SetDefault(commandLog()) // the store logs its errors there
	s, err := deviceset.NewDeviceSet(c.Context, dir, doInit, append(c.StringSlice("opt"), more...))
	if err != nil {
		return nil, adviseStore(err, dir)
	}
	st, err := s.Status(c.Context)
	if err != nil {
		return nil, errors.Join(err, s.Close(context.WithoutCancel(c.Context)))
	}
	for _, problem := range append(st.Ignored, st.Problems...) {
		fmt.Fprintln(os.Stderr, "thintree: warning:", oneLine(problem))
	}
	return s, nil
}

// adviseStore adds to an error of opening a store what to do about it.
func adviseStore(err error, dir string) error {
	var option *deviceset.OptionError
	var missing *fs.PathError
	switch {
	case errors.As(err, &option):
		return wrongUse("--opt: %v", err)
	case errors.As(err, &missing) && errors.Is(err, fs.ErrNotExist) && missing.Path == filepath.Join(dir, record.RecordsDir):
		return adviceError{err, "is this a store? thintree pool create store:" + dir + " makes one"}
	}
	return err
}

// adviceError is an error together with what to do about it.
type adviceError struct {
	err    error
	advice string
}

func (e adviceError) Error() string { return e.err.Error() + ": " + e.advice }
func (e adviceError) Unwrap() error { return e.err }
