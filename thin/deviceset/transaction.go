package deviceset

import (
	"context"
	"errors"
	"fmt"

	"thintree/meta/record"
	"thintree/thin"
)

// transact runs a transaction about a device, which run creates or deletes in the
// pool and in the records. Where run fails it has to undo what it did. The caller
// has the turn.
func (s *DeviceSet) transact(ctx context.Context, hash string, id uint32, run func(ctx context.Context) error) error {
	open := record.Transaction{OpenID: s.transactionID + 1, Hash: hash, DeviceID: id}
	if err := record.WriteTransaction(s.records, open); err != nil {
		return err
	}
	// From here on it is ended, one way or the other.
	ctx = context.WithoutCancel(ctx)
	if err := run(ctx); err != nil {
		return errors.Join(err, s.abort(open))
	}
	if err := s.pool.SetTransactionID(ctx, s.transactionID, open.OpenID); err != nil {
		return fmt.Errorf("%w: the store is opened anew to put it right", err)
	}
	s.transactionID = open.OpenID
	return nil
}

// abort records that the transaction is not under way any more. Otherwise the
// device would be deleted when the store is opened next.
func (s *DeviceSet) abort(t record.Transaction) error {
	t.OpenID = s.transactionID
	return record.WriteTransaction(s.records, t)
}

// freeID finds an id that no record names and that the pool has not. The caller
// has the turn.
func (s *DeviceSet) freeID(ctx context.Context) (uint32, error) {
	for range thin.MaxDeviceID + 1 {
		id := (s.set.NextDeviceID + 1) % (thin.MaxDeviceID + 1) // as Docker: it is the last one
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

// saveNextID writes down where the search for a free id goes on.
func (s *DeviceSet) saveNextID(ctx context.Context) error {
	if err := s.turn.acquire(ctx); err != nil {
		return err
	}
	defer s.turn.release()
	old, err := record.ReadDeviceSet(s.records)
	if err != nil || old == s.set {
		return nil // without a base device there is nothing to keep
	}
	return record.WriteDeviceSet(s.records, s.set)
}
