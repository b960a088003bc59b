package thin

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"thintree/thin/block"
	"thintree/thin/blockdev"
	"thintree/thin/loop"
	"thintree/thin/resolve"
)

// ErrNotActive says that a pool is not active in the kernel.
var ErrNotActive = errors.New("the pool is not active")

// FindPool finds the active pool whose metadata lie at a location, under any name. The error is
// [ErrNotActive] if there is none.
func (k *Kernel) FindPool(ctx context.Context, metadata block.Location) (*Pool, error) {
	path, ok := metadata.Path()
	if !ok { // the kernel has pools on block devices only
		return nil, fmt.Errorf("%s: %w", metadata, ErrNotActive)
	}
	devices, err := blockDevices(path)
	if err != nil {
		return nil, err
	}
	for _, number := range devices {
		holders, err := filepath.Glob(blockdev.Sysfs(number) + "/holders/*/dm/name")
		if err != nil {
			return nil, err
		}
		for _, file := range holders {
			name, err := os.ReadFile(file)
			if err != nil {
				continue // it was removed meanwhile
			}
			p, t, err := k.findPool(ctx, strings.TrimSuffix(string(name), "\n"))
			if err == nil && t.metadata == number {
				return p, nil
			}
		}
	}
	return nil, fmt.Errorf("%s: %w", metadata, ErrNotActive)
}

// blockDevices are the block device at path, or the loop devices over a file.
func blockDevices(path string) ([]uint64, error) {
	st, err := resolve.Stat(path)
	if err != nil {
		return nil, err
	}
	if st.Mode&unix.S_IFMT == unix.S_IFBLK {
		return []uint64{st.Rdev}, nil
	}
	over, err := loop.Over(path)
	numbers := make([]uint64, len(over))
	for i, l := range over {
		numbers[i] = l.Number
	}
	if len(over) > 0 {
		err = nil // it is of other loop devices, which could not be examined
	}
	return numbers, err
}
