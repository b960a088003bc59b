package lend

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"sync"
)

// Loan is a device that was lent, or a stack of devices over one. Its methods may not be
// called concurrently, but for Revoke and Still.
type Loan struct {
	lender *Lender // nil if the device is none of device-mapper's
	file   *os.File
	lowest string         // the name of the device that was lent
	gone   []func() error // waits until each device has gone, from the lowest on
	still  func(context.Context) error
	revoke func(context.Context) error // nil if the lender does

	closing sync.Once
	closed  error
}

// OfFile is a loan of a block device that is none of device-mapper's: nothing can be stacked
// on it, and nobody waits for it to go. revoke is what Revoke does; nil for nothing.
func OfFile(f *os.File, revoke func(context.Context) error) *Loan {
	return &Loan{file: f, lowest: f.Name(), revoke: revoke}
}

// Name is the name of the device that was lent, without those over it.
func (l *Loan) Name() string { return l.lowest }

// File is the topmost device, open for reading, until LetGo.
func (l *Loan) File() *os.File { return l.file }

// push puts a device on the stack, which holds those below.
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

// errNotOurs says that a device cannot be stacked upon.
var errNotOurs = errors.New("the device is none of device-mapper's")

// Part puts a device on the stack that is a part of the topmost: a partition. offset and
// length are in bytes, multiples of 512.
func (l *Loan) Part(ctx context.Context, offset, length int64) error {
	if l.lender == nil {
		return errNotOurs
	}
	return l.push(l.lender.part(ctx, l.file, offset, length))
}

// Scratch puts a device on the stack that can be written to: what is written goes to this
// host's memory, and is lost with the device. So a filesystem can replay its journal, and
// nothing beneath is changed.
func (l *Loan) Scratch(ctx context.Context) error {
	if l.lender == nil {
		return errNotOurs
	}
	return l.push(l.lender.scratch(ctx, l.file))
}

// LetGo closes the file: what was mounted from it holds the device.
func (l *Loan) LetGo() {
	if l.file != nil {
		l.file.Close()
	}
}

// Close closes the file, and waits until all devices of the loan have gone. The caller has
// unmounted what was mounted from it. The kernel removes a device with its last user by
// itself, but later.
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

// MayBeOthers reports whether what is read of the device can be another device's: its pieces
// were lent, and not the device. Then [Loan.Still] says after each read whether it was not.
func (l *Loan) MayBeOthers() bool { return l.still != nil }

// Still is an error unless all that was read of the loan until now was the thin device's own.
func (l *Loan) Still(ctx context.Context) error {
	if l.still == nil {
		return nil
	}
	return l.still(ctx)
}

// Revoke takes the device away from those that still have it open or mounted, or a file on it
// mapped: they read what they have read before, or EIO. What it was activated from is free
// then. It is a no-op if the device is gone.
func (l *Loan) Revoke(ctx context.Context) error {
	switch {
	case l.revoke != nil:
		return l.revoke(ctx)
	case l.lender == nil || !strings.HasPrefix(l.lowest, mine()):
		return nil
	}
	return l.lender.revokeIfThere(ctx, l.lowest)
}
