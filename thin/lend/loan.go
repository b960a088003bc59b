package lend

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"sync"
)

// Loan is a lent device, or a stack of devices over one. Only Revoke and Still may be called
// concurrently.
type Loan struct {
	lender *Lender // nil if it is not a device-mapper device
	file   *os.File
	lowest string         // the name of the lent device
	gone   []func() error // each waits until a device is removed; the lowest device's is first
	still  func(context.Context) error
	revoke func(context.Context) error // nil if the lender revokes it

	closing sync.Once
	closed  error
}

// OfFile is a loan of a block device that is not a device-mapper device, for tests on machines
// without device-mapper. Nothing can be stacked on it, and Close does not wait for its removal.
// Revoke calls revoke, unless it is nil.
func OfFile(f *os.File, revoke func(context.Context) error) *Loan {
	return &Loan{file: f, lowest: f.Name(), revoke: revoke}
}

// Name is the name of the lent device, not of a device stacked on it.
func (l *Loan) Name() string { return l.lowest }

// File is the topmost device, open for reading until LetGo.
func (l *Loan) File() *os.File { return l.file }

// push puts a device on the stack. It keeps those below in use.
func (l *Loan) push(f *os.File, gone func() error, err error) error {
	if err != nil {
		return err
	}
	if l.file != nil {
		l.file.Close()
	} else {
		l.lowest = f.Name()
	}
	l.file, l.gone = f, append(l.gone, gone)
	return nil
}

// errNotOurs says that nothing can be stacked on a device.
var errNotOurs = errors.New("it is not a device-mapper device")

// Part stacks a device that is a part of the topmost one, such as a partition. offset and
// length are in bytes, multiples of 512.
func (l *Loan) Part(ctx context.Context, offset, length int64) error {
	if l.lender == nil {
		return errNotOurs
	}
	return l.push(l.lender.part(ctx, l.file, offset, length))
}

// Scratch stacks a device that can be written to. The writes go to this host's memory, and
// are lost with the device. A filesystem can replay its journal there without changing
// anything beneath.
func (l *Loan) Scratch(ctx context.Context) error {
	if l.lender == nil {
		return errNotOurs
	}
	return l.push(l.lender.scratch(ctx, l.file))
}

// LetGo closes the file. A mount of the device keeps the device in use.
func (l *Loan) LetGo() {
	if l.file != nil {
		l.file.Close()
	}
}

// Close closes the file, and waits a moment until the kernel has removed all devices of the
// loan. The caller unmounts them first; otherwise the kernel removes them later, with their
// last user.
func (l *Loan) Close() error {
	l.closing.Do(func() {
		l.LetGo()
		var errs []error
		for _, gone := range slices.Backward(l.gone) {
			errs = append(errs, gone())
		}
		l.closed = errors.Join(errs...)
	})
	return l.closed
}

// MayBeOthers reports whether reads can return another device's data, because the pieces of
// the device were lent instead of the device. [Loan.Still] says after a read whether they did.
func (l *Loan) MayBeOthers() bool { return l.still != nil }

// Still returns an error if what was read until now may not be the thin device's own data.
func (l *Loan) Still(ctx context.Context) error {
	if l.still == nil {
		return nil
	}
	return l.still(ctx)
}

// Revoke takes the device away from programs that still have it open or mounted, or have a
// file on it mapped into memory. From then on they read what is in their page cache, or EIO.
// The devices beneath are no longer in use. It is a no-op if the device is gone.
func (l *Loan) Revoke(ctx context.Context) error {
	switch {
	case l.revoke != nil:
		return l.revoke(ctx)
	case l.lender == nil || !strings.HasPrefix(l.lowest, mine()):
		return nil
	}
	return l.lender.revokeIfThere(ctx, l.lowest)
}
