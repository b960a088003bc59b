// Package lender stands in for thin/lend if there is no device-mapper: what it lends are loop
// devices over images of the volumes. All else of the kernel engine is as it is over
// device-mapper.
package lender

import (
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"thintree/fusefs/volume"
	"thintree/thin"
	"thintree/thin/block"
	"thintree/thin/lend"
	"thintree/thin/loop"
)

// Lender is a kernel in which no pool is active. It has, by device id, the paths of images,
// each for a loop device of its own at each loan, or of block devices, which are lent
// themselves.
type Lender map[uint32]string

var _ volume.Kernel = Lender{}

// Users says that nobody has the pool active.
func (Lender) Users(context.Context, block.Location) (map[uint32]lend.User, error) {
	return nil, thin.ErrNotActive
}

// Halves finds no pool.
func (Lender) Halves(_ context.Context, device string) (metadata, data block.Location, err error) {
	return metadata, data, fmt.Errorf("%s: %w", device, thin.ErrNotActive)
}

// UserOf finds nobody.
func (Lender) UserOf(context.Context, block.Location) (lend.User, error) { return lend.User{}, nil }

// IsTemporary says that nothing is: no snapshots are lent.
func (Lender) IsTemporary(block.Location, uint32, uint64) bool { return false }

// Watch waits: nothing changes.
func (Lender) Watch(ctx context.Context, _ func(bool)) error {
	<-ctx.Done()
	return ctx.Err()
}

// Lend opens the device of an id. Neither snapshots nor pieces are lent.
func (l Lender) Lend(ctx context.Context, r lend.Request) (*lend.Loan, error) {
	if r.Snapshot || r.Pieces != nil {
		return nil, errors.New("there is no device-mapper here")
	}
	path, ok := l[r.ID]
	if !ok {
		return nil, fmt.Errorf("no image of device %d: %w", r.ID, unix.ENODEV)
	}
	st, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if st.Mode().IsRegular() {
		d, err := loop.Attach(ctx, path, loop.Options{ReadOnly: true})
		if err != nil {
			return nil, err
		}
		defer d.Close()
		path = d.Path()
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	return lend.OfFile(f, nil), nil
}

// Lent lists nothing: loop devices go with their last user.
func (Lender) Lent(context.Context, block.Location, uint32) ([]*lend.Loan, error) { return nil, nil }

// Suspended says that nothing is.
func (Lender) Suspended(context.Context, block.Location, uint32) (string, error) { return "", nil }
