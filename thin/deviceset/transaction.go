package deviceset

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"thintree/meta/record"
	"thintree/thin"
	"thintree/thin/pdata"
)

// takeTurn acquires the turn, and settles a transaction that an earlier call could not.
func (s *DeviceSet) takeTurn(ctx context.Context) error {
	if err := s.turn.acquire(ctx); err != nil {
		return err
	}
	if s.unsettled == nil {
		return nil
	}
	err := s.settle(context.WithoutCancel(ctx))
	if err != nil {
		s.turn.release()
	}
	return err
}

// transact runs a transaction: run creates or deletes a device in the pool and in the
// records. touched says whether run may have changed anything. If run fails, or the end of
// the transaction cannot be recorded, the device does not exist afterwards. The caller has
// the turn.
func (s *DeviceSet) transact(ctx context.Context, hash string, id uint32, run func(ctx context.Context) (touched bool, err error)) error {
	open := record.Transaction{OpenID: s.transactionID + 1, Hash: hash, DeviceID: id}
	if err := record.WriteTransaction(s.records, open); err != nil {
		// The file may have been written anyway.
		return errors.Join(err, s.abort(open))
	}
	// From here on the transaction is completed or undone, even if ctx ends.
	ctx = context.WithoutCancel(ctx)
	touched, err := run(ctx)
	if err == nil {
		err = s.pool.SetTransactionID(ctx, s.transactionID, open.OpenID)
	}
	switch {
	case err == nil:
		s.transactionID = open.OpenID
		return nil
	case !touched:
		return errors.Join(err, s.abort(open))
	}
	if e := s.settle(ctx); e != nil {
		return fmt.Errorf("%w; it will be undone later, because now: %w", err, e)
	}
	if s.transactionID == open.OpenID {
		return nil // the pool had taken the transaction id
	}
	return err
}

// abort records that a transaction is not under way any more. Otherwise the next opening of
// the store would delete its device.
func (s *DeviceSet) abort(t record.Transaction) error {
	t.OpenID = s.transactionID
	return record.WriteTransaction(s.records, t)
}

// settle completes the deletion or undoes the creation that was under way when the store
// was last used. Either way the device does not exist afterwards. The caller has the turn.
func (s *DeviceSet) settle(ctx context.Context) (err error) {
	defer func() { s.unsettled = err }()
	status, err := s.pool.Status(ctx)
	if err != nil {
		return err
	}
	if status.Mode == thin.ModeFailed || status.Mode == thin.ModeError {
		return &thin.PoolModeError{Pool: s.pool.Name(), Mode: status.Mode, NeedsCheck: status.NeedsCheck}
	}
	s.transactionID = status.TransactionID
	t, err := record.ReadTransaction(s.records)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("cannot read which transaction was under way when the store was last used: %w; "+
			"remove that file if none was; otherwise the pool may keep a device without a record", err)
	}
	if t.OpenID < s.transactionID {
		s.log.Warn("the pool is ahead of the records: another program may have changed it",
			"pool_transaction_id", s.transactionID, "transaction_id", t.OpenID)
	}
	if t.OpenID <= s.transactionID {
		return nil
	}
	if err := s.rollBack(ctx, t); err != nil {
		return &halfError{t, err}
	}
	return nil
}

// halfError says that a device is half created or half deleted, and cannot be deleted now.
type halfError struct {
	open record.Transaction
	why  error
}

func (e *halfError) Error() string {
	return fmt.Sprintf("device %q (id %d) was half created or half deleted when the store was last used, and cannot be deleted now: %v", e.open.Hash, e.open.DeviceID, e.why)
}

func (e *halfError) Unwrap() error { return e.why }

func (s *DeviceSet) rollBack(ctx context.Context, t record.Transaction) error {
	s.log.Info("a transaction was under way: the device is deleted", "name", t.Hash, "device_id", t.DeviceID)
	if err := s.checkHash(t.Hash); err != nil {
		return err
	}
	devices, _, err := record.ReadDir(ctx, s.records)
	if err != nil {
		return err
	}
	for hash, d := range devices {
		if d.ID == t.DeviceID && hash != t.Hash {
			s.log.Warn("the device of a transaction that was under way is in another device's record: it stays", "name", hash, "device_id", d.ID)
			return s.abort(t)
		}
	}
	// A snapshot may have been under way, with its origin suspended.
	if err := s.resumeAll(ctx); err != nil {
		return err
	}
	rec, recorded := devices[t.Hash]
	same := recorded && rec.ID == t.DeviceID
	if same || !recorded {
		if err := s.deactivate(ctx, s.name(t.Hash)); err != nil {
			return err
		}
	}
	if err := s.pool.DeleteDevice(ctx, t.DeviceID); err != nil && !isMissing(err) {
		return err
	}
	if same {
		if err := record.RemoveDevice(s.records, t.Hash); err != nil {
			return err
		}
	}
	return s.abort(t)
}

// isMissing reports whether an error says that the pool has no such device.
func isMissing(err error) bool {
	var missing *pdata.NoDeviceError
	return errors.As(err, &missing)
}

// writable returns a *thin.PoolModeError if the pool cannot be changed.
func (s *DeviceSet) writable(ctx context.Context) error {
	st, err := s.pool.Status(ctx)
	if err == nil && (st.NeedsCheck || st.Mode != thin.ModeReadWrite && st.Mode != thin.ModeOutOfDataSpace) {
		err = &thin.PoolModeError{Pool: s.pool.Name(), Mode: st.Mode, NeedsCheck: st.NeedsCheck}
	}
	return err
}

// freeID finds a device id that is neither in a record nor in the pool. The caller has the
// turn.
func (s *DeviceSet) freeID(ctx context.Context) (uint32, error) {
	for range thin.MaxDeviceID + 1 {
		id := (s.set.NextDeviceID + 1) % (thin.MaxDeviceID + 1) // as in Docker, NextDeviceID is the id that was tried last
		s.set.NextDeviceID = id
		if _, ok := s.used[id]; ok {
			continue
		}
		has, err := s.pool.HasDevice(ctx, id)
		if err != nil {
			return 0, err
		}
		if !has {
			return id, nil
		}
	}
	return 0, errors.New("all device ids of the pool are in use")
}

// saveNextID saves where the next search for a free id starts.
func (s *DeviceSet) saveNextID(ctx context.Context) error {
	if err := s.turn.acquire(ctx); err != nil {
		return err
	}
	defer s.turn.release()
	old, err := record.ReadDeviceSet(s.records)
	if err != nil || old == s.set {
		return nil // without a base device there is no file to update
	}
	return record.WriteDeviceSet(s.records, s.set)
}
