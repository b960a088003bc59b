package lend

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"thintree/thin"
	"thintree/thin/block"
	"thintree/thin/pdata"
	"thintree/thin/reader"
	"thintree/thin/resolve"
)

// recordsDir is the folder of the records of temporary snapshots. If this process and its
// guard are both killed, the next Lender deletes the snapshots by these records.
const recordsDir = "/var/lib/thintree/temporary"

// temporary is the record of a temporary snapshot.
type temporary struct {
	Owner    string `json:"owner"` // of the process: see the function Owner
	Metadata string `json:"metadata"`
	DeviceID uint32 `json:"device_id"`
	// TransactionID is the pool's when the snapshot was made. A device of this id with
	// another transaction id is not this snapshot.
	TransactionID uint64 `json:"transaction_id"`
}

// lendSnapshot takes a temporary snapshot of a device and lends that. The filesystem on the
// device is frozen for that moment, so the snapshot is consistent. Its id is from the top of
// the range, because other programs choose ids from the bottom. gone deletes it; if the
// process is killed, its guard or the next Lender does. The error is a *[thin.PoolModeError]
// if the pool cannot be written to.
func (l *Lender) lendSnapshot(ctx context.Context, r Request) (f *os.File, gone func() error, err error) {
	p, err := l.kernel.FindPool(ctx, r.Metadata)
	if err != nil {
		return nil, nil, err
	}
	if err := refuse(ctx, p); err != nil {
		return nil, nil, err
	}
	for snapshot := uint32(thin.MaxDeviceID); snapshot > thin.MaxDeviceID-maxSnapshots; snapshot-- {
		remove, err := l.snapshot(ctx, p, r.Metadata, snapshot, r.ID)
		if errors.Is(err, thin.ErrIDInUse) {
			continue
		}
		if err != nil {
			return nil, nil, err
		}
		f, gone, err := l.lendOf(ctx, p, snapshot, r)
		if err != nil {
			return nil, nil, errors.Join(err, remove())
		}
		return f, func() error { return errors.Join(gone(), remove()) }, nil
	}
	return nil, nil, fmt.Errorf("pool %s: the %d highest ids are in use: %w", p.Name(), maxSnapshots, thin.ErrIDInUse)
}

// maxSnapshots is how many temporary snapshots a pool can have at a time.
const maxSnapshots = 1024

// refuse returns a *thin.PoolModeError if no snapshot can be made in the pool.
func refuse(ctx context.Context, p *thin.Pool) error {
	s, err := p.Status(ctx)
	if err == nil && (s.Mode != thin.ModeReadWrite || s.NeedsCheck) {
		err = &thin.PoolModeError{Pool: p.Name(), Mode: s.Mode, NeedsCheck: s.NeedsCheck}
	}
	return err
}

// snapshot takes a snapshot. It writes the record first.
func (l *Lender) snapshot(ctx context.Context, p *thin.Pool, metadata block.Location, id, origin uint32) (remove func() error, err error) {
	has, err := p.HasDevice(ctx, id)
	if err != nil {
		return nil, err
	}
	if has {
		return nil, thin.ErrIDInUse
	}
	s, err := p.Status(ctx)
	if err != nil {
		return nil, err
	}
	record, err := l.writeRecord(temporary{Metadata: metadata.String(), DeviceID: id, TransactionID: s.TransactionID})
	if err != nil {
		return nil, fmt.Errorf("a record of a temporary snapshot: %w", err)
	}
	release, err := p.CreateTemporarySnapDevice(ctx, id, origin)
	if err != nil {
		return nil, errors.Join(err, removeRecord(record))
	}
	return func() error {
		err := deleteUnused(p, id)
		if err == nil {
			release()
			err = removeRecord(record)
		}
		return err
	}, nil
}

// deleteUnused deletes a device from its pool. It waits a few seconds until the kernel has
// deactivated the device.
func deleteUnused(p *thin.Pool, id uint32) error {
	const longest, pause = 5 * time.Second, 5 * time.Millisecond
	for until := time.Now().Add(longest); ; time.Sleep(pause) {
		err := p.DeleteDevice(context.Background(), id)
		var missing *pdata.NoDeviceError
		if errors.As(err, &missing) {
			return nil
		}
		if !errors.Is(err, thin.ErrActive) || time.Now().After(until) {
			return err
		}
	}
}

// inRecords calls run with a path of the folder of records. The folder is open meanwhile, so
// that the path cannot come to mean another folder.
func inRecords(run func(dir string) error) error {
	fd, err := resolve.Open(recordsDir, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return run(fmt.Sprintf("/proc/self/fd/%d", fd))
}

func removeRecord(name string) error {
	return inRecords(func(dir string) error { return os.Remove(filepath.Join(dir, name)) })
}

func (l *Lender) writeRecord(t temporary) (name string, err error) {
	if t.Owner, err = l.owner(); err != nil {
		return "", err
	}
	text, err := json.Marshal(t)
	if err != nil {
		return "", err
	}
	write := func(dir string) error {
		f, err := os.CreateTemp(dir, "*.json")
		if err != nil {
			return err
		}
		name = filepath.Base(f.Name())
		_, err = f.Write(text)
		if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
			return errors.Join(err, os.Remove(f.Name()))
		}
		return nil
	}
	err = inRecords(write)
	if errors.Is(err, fs.ErrNotExist) {
		if err := os.MkdirAll(recordsDir, 0o700); err != nil {
			return "", err
		}
		err = inRecords(write)
	}
	return name, err
}

// sweepSnapshots deletes the temporary snapshots of dead processes. The snapshots of a pool
// that is not active stay until a sweep finds it active.
func (l *Lender) sweepSnapshots(ctx context.Context, dead func(owner string) bool) error {
	err := inRecords(func(dir string) error { return l.sweepRecords(ctx, dir, dead) })
	if errors.Is(err, fs.ErrNotExist) {
		return nil // none was ever written
	}
	return err
}

func (l *Lender) sweepRecords(ctx context.Context, dir string, dead func(owner string) bool) error {
	records, err := filepath.Glob(filepath.Join(dir, "*.json"))
	for _, record := range records {
		var t temporary
		text, e := os.ReadFile(record)
		if errors.Is(e, fs.ErrNotExist) {
			continue
		}
		if e == nil {
			e = json.Unmarshal(text, &t)
		}
		if e != nil { // the process was killed while it wrote this, before it took the snapshot
			err = errors.Join(err, os.Remove(record))
			continue
		}
		if !dead(t.Owner) {
			continue
		}
		gone, e := l.sweepSnapshot(ctx, t)
		if gone {
			e = os.Remove(record)
		}
		err = errors.Join(err, e)
	}
	return err
}

func (l *Lender) sweepSnapshot(ctx context.Context, t temporary) (gone bool, err error) {
	p, err := l.kernel.FindPool(ctx, block.At(t.Metadata))
	if errors.Is(err, thin.ErrNotActive) || errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	made, err := transactionOf(ctx, p, t.DeviceID)
	if err != nil || made != t.TransactionID {
		return err == nil, err
	}
	err = deleteUnused(p, t.DeviceID)
	return err == nil, err
}

// transactionOf is the pool's transaction id when a device was made. It is the highest
// possible number if the pool has no such device.
func transactionOf(ctx context.Context, p *thin.Pool, id uint32) (uint64, error) {
	layout, err := p.Layout(ctx)
	if err != nil {
		return 0, err
	}
	r, err := reader.Open(ctx, block.At(layout.Metadata), block.At(layout.Data), reader.Options{})
	if err != nil {
		return 0, err
	}
	defer r.Close()
	for d, err := range r.Devices(ctx) {
		if err != nil {
			return 0, err
		}
		if d.ID == id {
			return d.TransactionID, nil
		}
	}
	return ^uint64(0), nil
}
