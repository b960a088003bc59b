package thin

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"thintree/thin/dm"
)

// message sends the pool a message. What an errno means depends on the message:
// meanings has that; the rest is the same for all.
func (p *Pool) message(ctx context.Context, meanings map[unix.Errno]error, format string, args ...any) error {
	text := fmt.Sprintf(format, args...)
	info, _, err := p.kernel.dm.Message(ctx, p.name, 0, text)
	if err == nil && p.calm.Load() != calmAt(info) {
		// The kernel does not tell whether it could write it down: where it could not,
		// the pool has another mode now, and that is an event.
		err = p.writable(context.WithoutCancel(ctx))
	}
	if err == nil {
		return nil
	}
	return fmt.Errorf("pool %s: %s: %w", p.name, text, p.explain(ctx, err, meanings))
}

// writable is a *[PoolModeError] where the pool's metadata cannot be changed.
func (p *Pool) writable(ctx context.Context) error {
	info, s, err := p.status(ctx)
	switch {
	case err != nil:
		return err
	case s.NeedsCheck || s.Mode != ModeReadWrite && s.Mode != ModeOutOfDataSpace:
		return &PoolModeError{p.name, s.Mode, s.NeedsCheck}
	}
	p.calm.Store(calmAt(info))
	return nil
}

// calmAt is a number that is another one after each event of a device, and never 0.
func calmAt(info dm.Info) uint64 { return uint64(info.EventNr) + 1 }

// explain says what an errno means.
func (p *Pool) explain(ctx context.Context, err error, meanings map[unix.Errno]error) error {
	var errno unix.Errno
	if !errors.As(err, &errno) {
		return err
	}
	if meaning, ok := meanings[errno]; ok {
		return meaning
	}
	switch errno {
	case unix.EOPNOTSUPP, unix.EROFS, unix.EIO, unix.EINVAL:
		if s, e := p.Status(ctx); e == nil && (s.Mode != ModeReadWrite || s.NeedsCheck) {
			return &PoolModeError{p.name, s.Mode, s.NeedsCheck}
		}
	case unix.ENOSPC:
		return ErrOutOfMetadata
	}
	return err
}

// SetTransactionID changes the pool's transaction id, a number for who keeps
// records of the pool, from one to another at once: [ErrTransactionID] where it
// was not from.
func (p *Pool) SetTransactionID(ctx context.Context, from, to uint64) error {
	return p.message(ctx, map[unix.Errno]error{unix.EINVAL: ErrTransactionID}, "set_transaction_id %d %d", from, to)
}

// ReserveMetadataSnapshot holds the metadata as they are now, for who reads them
// while the pool is active. It keeps blocks from being freed until it is
// released, also over a deactivation. [ErrHeld] says that one is held already.
func (p *Pool) ReserveMetadataSnapshot(ctx context.Context) error {
	return p.message(ctx, map[unix.Errno]error{unix.EBUSY: ErrHeld}, "reserve_metadata_snap")
}

// ReleaseMetadataSnapshot lets go of it, whoever reserved it. [ErrNotHeld] says
// that there is none.
func (p *Pool) ReleaseMetadataSnapshot(ctx context.Context) error {
	return p.message(ctx, map[unix.Errno]error{unix.EINVAL: ErrNotHeld}, "release_metadata_snap")
}
