package reader

import (
	"context"
	"errors"
	"os"
	"sync"

	"thintree/thin/block"
	"thintree/thin/inuse"
)

// Disk is a file or block device that is read in this process, and that volumes of plain bytes lie
// on. It is a [block.Reader]. Its methods may be called concurrently, except Close.
//
// A Disk is live if it may change while it is read: it is a block device, or a loop device of this
// host uses it. It is then read past the page cache. It is open only while it is read, and a moment
// longer: see [block.OnDemand].
type Disk struct {
	path string // as it was given

	mu    sync.Mutex
	state *diskState // replaced if the disk becomes live, is no longer live, or has changed; guarded by mu
	epoch int        // guarded by mu
	lost  bool       // the last Refresh did not find it; guarded by mu
}

// diskState is a disk as it was opened.
type diskState struct {
	*block.OnDemand
	live bool
}

// OpenDisk opens a disk. The errors are those of [block.Open], and a *[block.FormatError] if it is
// a disk image that is not raw.
func OpenDisk(ctx context.Context, path string) (*Disk, error) {
	look, err := block.LookAt(path)
	if err != nil {
		return nil, err
	}
	live, err := mayChange(path, look)
	if err != nil {
		return nil, err
	}
	d := &Disk{path: path}
	d.state, err = openDisk(ctx, path, live)
	return d, err
}

func openDisk(ctx context.Context, path string, live bool) (*diskState, error) {
	f, err := block.OpenOnDemand(path, block.Options{Direct: live})
	if err != nil {
		return nil, err
	}
	if err := block.CheckRaw(ctx, path, f); err != nil {
		f.Close()
		return nil, err
	}
	return &diskState{f, live}, nil
}

// mayChange reports whether a disk may change without a sign.
func mayChange(path string, look block.Look) (bool, error) {
	if look.Rdev != 0 {
		return true, nil
	}
	by, err := inuse.By(path)
	return by != "", err
}

func (d *Disk) current() *diskState {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.state
}

// Refresh looks at the disk again. It reports whether the disk became live or is no longer live,
// has changed, or was missing meanwhile. Earlier reads may be out of date then.
func (d *Disk) Refresh(ctx context.Context) (changed bool, err error) {
	s := d.current()
	at, look, err := block.Find(d.path, s.Look())
	live := false
	if err == nil {
		live, err = mayChange(at, look)
	}
	d.mu.Lock()
	lost := d.lost
	d.lost = err != nil
	d.mu.Unlock()
	before := s.Look()
	if err != nil || !lost && live == s.live && look.Identity == before.Identity && look.Changed == before.Changed && look.SizeBytes == before.SizeBytes {
		return false, err
	}
	now, err := openDisk(ctx, at, live)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.epoch++
	if err != nil {
		d.lost = true
		return true, err
	}
	d.state = now
	return true, s.Close()
}

// Epoch is a number that grows when earlier reads may be out of date although the disk was not
// live.
func (d *Disk) Epoch() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.epoch
}

// Live reports whether the disk may change while it is read.
func (d *Disk) Live() bool { return d.current().live }

// When is when the disk last changed, in nanoseconds since 1970, 0 if that is not known.
func (d *Disk) When() int64 { return d.current().Look().Changed }

// Size is the length of the disk in bytes.
func (d *Disk) Size() int64 { return d.current().Size() }

// ReadAt is as in [block.Reader].
func (d *Disk) ReadAt(ctx context.Context, p []byte, off int64) (n int, err error) {
	err = d.with(func(s *diskState) error {
		n, err = s.ReadAt(ctx, p, off)
		return err
	})
	return n, err
}

// NextData is as in [block.Reader].
func (d *Disk) NextData(ctx context.Context, off int64) (at int64, err error) {
	err = d.with(func(s *diskState) error {
		at, err = s.NextData(ctx, off)
		return err
	})
	return at, err
}

// NextHole is as in [block.Reader].
func (d *Disk) NextHole(ctx context.Context, off int64) (at int64, err error) {
	err = d.with(func(s *diskState) error {
		at, err = s.NextHole(ctx, off)
		return err
	})
	return at, err
}

// with calls use with the present state. If that is replaced meanwhile, with calls use again.
func (d *Disk) with(use func(*diskState) error) error {
	for {
		s := d.current()
		err := use(s)
		if !errors.Is(err, os.ErrClosed) || s == d.current() {
			return err
		}
	}
}

// Close closes the disk.
func (d *Disk) Close() error { return d.current().Close() }
