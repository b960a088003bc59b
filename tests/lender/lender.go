// Package lender stands in for thin/lend on machines without device-mapper. It lends loop
// devices over images of the volumes. The rest of the kernel engine is as it is
// over device-mapper.
package lender

import (
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"thintree/fusefs/tree"
	"thintree/thin"
	"thintree/thin/lend"
	"thintree/thin/loop"
)

// Lender is a kernel in which no pool is active. It has the path of an image or of a block
// device for each device id. An image is lent by a new loop device each time, a block device
// itself.
type Lender map[uint32]string

var _ tree.Kernel = Lender{}

// Users returns ErrNotActive: nobody has the pool active.
func (Lender) Users(context.Context, string) (map[uint32]lend.User, error) {
	return nil, thin.ErrNotActive
}

// Watch waits: nothing changes.
func (Lender) Watch(ctx context.Context, _ func(bool)) error {
	<-ctx.Done()
	return ctx.Err()
}

// Lend opens the device of an id.
func (l Lender) Lend(ctx context.Context, _, _ string, id uint32, _ int64) (f *os.File, done func() error, err error) {
	path, ok := l[id]
	if !ok {
		return nil, nil, fmt.Errorf("no image of device %d: %w", id, unix.ENODEV)
	}
	st, err := os.Stat(path)
	if err != nil {
		return nil, nil, err
	}
	if !st.Mode().IsRegular() {
		f, err = os.Open(path)
		return f, gone, err
	}
	d, err := loop.Attach(ctx, path, loop.Options{ReadOnly: true})
	if err != nil {
		return nil, nil, err
	}
	defer d.Close()
	f, err = os.Open(d.Path())
	return f, gone, err
}

// gone has nothing to wait for: loop devices go with their last user.
func gone() error { return nil }

var errNotHere = errors.New("there is no device-mapper here")

// LendPieces fails: nobody has the pool active.
func (Lender) LendPieces(context.Context, string, []thin.Piece) (*os.File, func() error, func(context.Context) error, error) {
	return nil, nil, nil, errNotHere
}

// LendSnapshot fails, as Part and Scratch do.
func (Lender) LendSnapshot(context.Context, string, uint32, int64) (*os.File, func() error, error) {
	return nil, nil, errNotHere
}

// Part fails.
func (Lender) Part(context.Context, *os.File, int64, int64) (*os.File, func() error, error) {
	return nil, nil, errNotHere
}

// Scratch fails.
func (Lender) Scratch(context.Context, *os.File) (*os.File, func() error, error) {
	return nil, nil, errNotHere
}

// Lent lists nothing: loop devices have no names.
func (Lender) Lent(context.Context, string, uint32) ([]string, error) { return nil, nil }

// Suspended returns "": nothing is suspended.
func (Lender) Suspended(context.Context, string, uint32) (string, error) { return "", nil }

// Revoke does nothing: there are no owners.
func (Lender) Revoke(context.Context, string) error { return nil }

// Sweep does nothing, as Close.
func (Lender) Sweep(context.Context) error { return nil }

// Close does nothing.
func (Lender) Close() error { return nil }
