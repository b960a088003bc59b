package thin

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"thintree/thin/block"
	"thintree/thin/blockdev"
	"thintree/thin/inuse"
)

// ErrNotActive says that a pool is not active in the kernel.
var ErrNotActive = errors.New("the pool is not active")

// FindPool finds the active pool whose metadata lie at a location, under any name. The error is
// [ErrNotActive] if there is none.
func (k *Kernel) FindPool(ctx context.Context, metadata block.Location) (*Pool, error) {
	path, ok := metadata.Path()
	if !ok {
		return k.findPieces(ctx, metadata)
	}
	// The error may be of loop devices that are not attached to the file.
	devices, unknown := inuse.Devices(path)
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
	if len(devices) == 0 && unknown != nil {
		return nil, unknown
	}
	return nil, fmt.Errorf("%s: %w", metadata, ErrNotActive)
}
