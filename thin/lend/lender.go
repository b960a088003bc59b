package lend

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"thintree/thin"
	"thintree/thin/block"
	"thintree/thin/dm"
	"thintree/thin/reader"
)

// Lender lends devices of all pools. Its methods may be called concurrently, except
// Close.
type Lender struct {
	kernel *thin.Kernel
	owner  func() (string, error) // this process
	noZero atomic.Bool            // the kernel has no "zero" target

	mu     sync.Mutex
	states map[string]*state // by the Key of a pool's metadata; guarded by mu
	lent   map[dm.Disk]bool  // see keepMade; guarded by mu

	over seenOverlays
}

// New returns a Lender over a Kernel. Close closes the Kernel too.
func New(k *thin.Kernel) *Lender {
	return &Lender{kernel: k, owner: sync.OnceValues(Owner), states: map[string]*state{}}
}

// Close closes the Lender. Lent devices stay until their last user closes them.
func (l *Lender) Close() error { return l.kernel.Close() }

// Request says what to lend.
type Request struct {
	// Metadata and Data are where the pool's halves lie. A pool that is not active is
	// activated for the loan. If Data is nowhere, it is not, and the error is
	// [thin.ErrNotActive].
	Metadata, Data block.Location
	ID             uint32 // of the device in the pool
	// Plain lends the bytes at this place, if it is not nowhere. All other fields but SizeBytes
	// are of no meaning then.
	Plain     block.Location
	SizeBytes int64 // the device's length, a multiple of 512
	// Origin is where the device's external origin lies, and OriginBytes its length, if it has
	// one. Then Pieces may not be set.
	Origin      block.Location
	OriginBytes int64
	// Snapshot lends a temporary snapshot of the device instead.
	Snapshot bool
	// Pieces lends these pieces of the pool's data instead of the device, if it is not nil.
	// Still returns an error if they are no longer the device's.
	Pieces []reader.Piece
	Still  func(context.Context) error
}

// Lend activates a device of a pool read-only, and opens it. The kernel removes the device
// with its last user. It has a page cache of its own: later writes through another activation
// may not be seen. [Lender.Users] returns those activations.
//
// If Request.Snapshot is set, Lend takes a temporary snapshot of the device and lends that.
// The filesystem on the device is frozen for that moment: see snapshot.go. If Request.Pieces
// is set, Lend lends these pieces of the pool's data: see mapped.go. If Request.Plain is set, Lend
// lends the bytes there: see plain.go.
//
// If the pool is suspended, Lend waits until ctx is done. The error is EIO then.
func (l *Lender) Lend(ctx context.Context, r Request) (*Loan, error) {
	loan := &Loan{lender: l}
	var err error
	switch {
	case !r.Plain.IsNowhere():
		err = loan.push(l.lendPlain(ctx, r.Plain, r.SizeBytes))
	case r.Snapshot:
		err = loan.push(l.lendSnapshot(ctx, r))
	case r.Pieces != nil:
		var still func(context.Context) error
		var f *os.File
		var gone func() error
		if f, gone, still, err = l.lendPieces(ctx, r.Metadata, r.Pieces); err == nil {
			err = loan.push(f, gone, nil)
			loan.still = func(ctx context.Context) error { return errors.Join(r.Still(ctx), still(ctx)) }
		}
	default:
		err = loan.push(l.lendWhole(ctx, r))
	}
	if err != nil {
		return nil, err
	}
	return loan, nil
}

// lendWhole lends the device itself.
func (l *Lender) lendWhole(ctx context.Context, r Request) (f *os.File, gone func() error, err error) {
	s := l.state(r.Metadata)
	for try := 0; ; try++ {
		f, gone, err = l.lend(ctx, s, r)
		tries := l.tries(ctx, s, err)
		switch {
		case tries == untilResumed:
			try = 0
		case try >= tries:
			return f, gone, err
		}
		select {
		case <-ctx.Done():
			if tries == untilResumed {
				return nil, nil, fmt.Errorf("its pool is suspended: %w", unix.EIO)
			}
			return nil, nil, ctx.Err()
		case <-time.After(pause):
		}
	}
}

const (
	// untilResumed stands for any number of tries, until ctx is done.
	untilResumed = -1
	// triesOfPassing is how often a pool is looked for again while it is being activated
	// or deactivated.
	triesOfPassing = 20
	pause          = 10 * time.Millisecond // between two tries
)

// passingErrors are the kernel's errors if the pool has been removed, is suspended, or is
// not yet removed while it is activated again.
var passingErrors = []unix.Errno{unix.ENXIO, unix.ENODEV, unix.EINVAL, unix.EBUSY}

// tries is how many more tries are worthwhile after err. It is untilResumed if the pool is
// suspended, and more than one if the pool may be another one than was seen last.
func (l *Lender) tries(ctx context.Context, s *state, err error) int {
	var errno unix.Errno
	if !errors.As(err, &errno) || !slices.Contains(passingErrors, errno) {
		return 0
	}
	s.mu.Lock()
	p := s.pool
	s.at = time.Time{}
	s.mu.Unlock()
	if p == nil {
		return triesOfPassing
	}
	info, err := l.kernel.DM().Info(ctx, p.Name())
	switch {
	case err != nil || info.Number != p.Number():
		return triesOfPassing
	case info.Suspended:
		return untilResumed
	default:
		return 1 // it may have been resumed just now
	}
}

func (l *Lender) lend(ctx context.Context, s *state, r Request) (f *os.File, gone func() error, err error) {
	p, err := l.pool(ctx, s, r.Metadata)
	if err == nil {
		return l.lendOf(ctx, p, r.ID, r)
	}
	if !errors.Is(err, thin.ErrNotActive) || r.Data.IsNowhere() {
		return nil, nil, err
	}
	s.activating.Lock()
	defer s.activating.Unlock()
	if p, err = l.kernel.FindPool(ctx, r.Metadata); errors.Is(err, thin.ErrNotActive) {
		var opened *os.File
		if p, opened, err = l.lendPool(ctx, r); err == nil {
			defer opened.Close() // the device holds it
		}
	}
	if err != nil {
		return nil, nil, err
	}
	return l.lendOf(ctx, p, r.ID, r)
}

// lendOf lends the device of a pool with an id, which is the one of the request or a snapshot of it.
func (l *Lender) lendOf(ctx context.Context, p *thin.Pool, id uint32, r Request) (f *os.File, done func() error, err error) {
	origin := ""
	if !r.Origin.IsNowhere() {
		path, done, err := l.device(ctx, r.Origin, r.OriginBytes)
		if err != nil {
			return nil, nil, fmt.Errorf("its external origin: %w", err)
		}
		defer done() // the lent device holds it
		origin = path
	}
	d, err := named(l.owner, func(name, uuid string) (thin.Device, error) {
		return p.ActivateDevice(ctx, thin.Activation{
			Name: name, UUID: uuid, ID: id, SizeBytes: r.SizeBytes, Origin: origin, ReadOnly: true, Udev: dm.Hidden,
		})
	})
	if err != nil {
		return nil, nil, err
	}
	return l.leave(ctx, d.Name, d.Number)
}

// lendPool activates a pool. The kernel removes it once the file is closed and no device of
// it is active.
func (l *Lender) lendPool(ctx context.Context, r Request) (*thin.Pool, *os.File, error) {
	metadata, done, err := l.half(ctx, r.Metadata)
	if err != nil {
		return nil, nil, err
	}
	defer done()
	data, done, err := l.half(ctx, r.Data)
	if err != nil {
		return nil, nil, err
	}
	defer done()
	p, err := named(l.owner, func(name, uuid string) (*thin.Pool, error) {
		return l.kernel.ActivatePool(ctx, thin.PoolConfig{
			Name: name, UUID: uuid, Metadata: metadata, Data: data, Features: thin.Features{ReadOnly: true},
		})
	})
	if errors.As(err, new(*thin.TooShortError)) { // trying again does not help
		err = fmt.Errorf("%w: %w", unix.EIO, err)
	}
	if err != nil {
		return nil, nil, err
	}
	f, _, err := l.leave(ctx, p.Name(), p.Number())
	return p, f, err
}

// half is the path of a pool's half. If it lies in pieces, that is a device over these, which goes with
// its last user. done ends the caller's use.
func (l *Lender) half(ctx context.Context, at block.Location) (path string, done func() error, err error) {
	if path, ok := at.Path(); ok {
		return path, func() error { return nil }, nil
	}
	return l.device(ctx, at, 0)
}

// device is the path of a device over the bytes at a place, which goes with its last user. sizeBytes and
// done are as for lendPlain and half.
func (l *Lender) device(ctx context.Context, at block.Location, sizeBytes int64) (path string, done func() error, err error) {
	f, _, err := l.lendPlain(ctx, at, sizeBytes)
	if err != nil {
		return "", nil, err
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return "", nil, errors.Join(err, f.Close())
	}
	return dm.NodePath(st.Rdev), f.Close, nil
}

// stack activates a device with a table over lent devices, and opens it. It keeps them in
// use.
func (l *Lender) stack(ctx context.Context, table []dm.Target, readOnly bool) (f *os.File, done func() error, err error) {
	info, err := named(l.owner, func(name, uuid string) (dm.Info, error) {
		return l.kernel.DM().Activate(ctx, dm.Spec{
			Name: name, UUID: uuid, Table: table, ReadOnly: readOnly, Udev: dm.Hidden,
		})
	})
	if err != nil {
		return nil, nil, err
	}
	return l.leave(ctx, info.Name, info.Number)
}

// leave opens an active device, and asks the kernel to remove it with its last user. The
// file has the device's name. done waits until the device is removed.
func (l *Lender) leave(ctx context.Context, name string, number uint64) (f *os.File, done func() error, err error) {
	l.makes(number)
	fd, err := unix.Open(dm.NodePath(number), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		err = &os.PathError{Op: "open", Path: dm.NodePath(number), Err: err}
	}
	// If it could not be opened, this removes it at once.
	_, removeErr := l.kernel.DM().Remove(context.WithoutCancel(ctx), name, true, dm.Hidden)
	if err := errors.Join(err, removeErr); err != nil {
		if fd >= 0 {
			unix.Close(fd)
		}
		return nil, nil, err
	}
	return os.NewFile(uintptr(fd), name), func() error { return l.gone(name) }, nil
}

// gone waits until the kernel has removed a device that is no longer used. It does not wait for
// other programs, such as a scanner that has opened the device for a moment.
func (l *Lender) gone(name string) error {
	ctx, cancel := context.WithTimeout(context.Background(), longestGoing)
	defer cancel()
	_, err := l.kernel.RemoveDevice(ctx, name, false, dm.Hidden)
	if errors.Is(err, dm.ErrInUse) {
		return nil
	}
	return err
}

// longestGoing is how long gone waits for a removal.
const longestGoing = 100 * time.Millisecond
