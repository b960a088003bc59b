package thin

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"thintree/thin/dm"
)

// message sends the pool a message. meanings has the errors for the errnos whose meaning depends on
// the message.
func (p *Pool) message(ctx context.Context, meanings map[unix.Errno]error, format string, args ...any) error {
	text := fmt.Sprintf(format, args...)
	info, _, err := p.kernel.dm.Message(ctx, p.name, 0, text)
	if err == nil && p.calm.Load() != calmAt(info) {
		// The kernel does not say whether it could commit the change. If it could not, the
		// pool has another mode now, and had an event.
		err = p.writable(context.WithoutCancel(ctx))
	}
	if err == nil {
		return nil
	}
	return fmt.Errorf("pool %s: %s: %w", p.name, text, p.explain(ctx, err, meanings))
}

// writable returns a *[PoolModeError] if the pool's metadata cannot be changed.
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

// calmAt is a number that changes with each event of a device, and is never 0.
func calmAt(info dm.Info) uint64 { return uint64(info.EventNr) + 1 }

// explain replaces an errno by an error that says what it means.
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

// SetTransactionID changes the pool's transaction id from one number to another, atomically. It is a
// number for programs that keep records of the pool. The error is [ErrTransactionID] if it was not
// from.
func (p *Pool) SetTransactionID(ctx context.Context, from, to uint64) error {
	return p.message(ctx, map[unix.Errno]error{unix.EINVAL: ErrTransactionID}, "set_transaction_id %d %d", from, to)
}

// ReserveMetadataSnapshot takes a metadata snapshot, for programs that read the metadata while the
// pool is active. It keeps blocks from being freed until it is released, even if the pool is
// deactivated meanwhile. The error is [ErrHeld] if the pool holds one already.
func (p *Pool) ReserveMetadataSnapshot(ctx context.Context) error {
	return p.message(ctx, map[unix.Errno]error{unix.EBUSY: ErrHeld}, "reserve_metadata_snap")
}

// ReleaseMetadataSnapshot releases the metadata snapshot, also if another program reserved it. The
// error is [ErrNotHeld] if there is none.
func (p *Pool) ReleaseMetadataSnapshot(ctx context.Context) error {
	return p.message(ctx, map[unix.Errno]error{unix.EINVAL: ErrNotHeld}, "release_metadata_snap")
}
