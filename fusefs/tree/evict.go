package tree

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"syscall"
)

// BusyError says that a volume cannot be closed, because the kernel reads open
// files in it past the tree: see [File.Pass]. It unwraps to EBUSY.
type BusyError struct {
	Volume string
	Files  int // how many are open; 0 where some may be, but are mapped in any case
}

func (e *BusyError) Error() string {
	if e.Files == 0 {
		return fmt.Sprintf("%s: busy: a file in it is mapped by a process that runs: end it, or have it read errors with --lazy", e.Volume)
	}
	return fmt.Sprintf("%s: busy: %d open files in it are read by the kernel itself: close them, or have them read errors with --lazy", e.Volume, e.Files)
}

// Unwrap makes errors.Is(err, syscall.EBUSY) true.
func (e *BusyError) Unwrap() error { return syscall.EBUSY }

// Evict closes a volume now: what is open in it fails with ESTALE from then on, and
// the next access opens it anew. It returns when it is closed; one that is not open
// stays as it is. name is what [Tree.Find] takes, but no beginning of a name, or a
// path of the tree that leads to the volume.
//
// Of files that the kernel reads past the tree nobody but it knows what is read.
// Where there are any the error is a [BusyError], and nothing is closed, unless all of
// them are only mapped: that shows when the volume is closed. A lazy Evict has them
// read errors, but for what they have read before, and the kernel keeps what it has
// mounted until they are closed and unmapped; the device is free.
func (t *Tree) Evict(ctx context.Context, name string, lazy bool) error {
	v := t.named(ctx, name)
	if v == nil {
		return fmt.Errorf("%.300q: no such volume: the folder volumes has their names: %w", name, syscall.ENOENT)
	}
	// Also what was shown of its device before, or is by another source, and is open.
	metadata, _ := v.pool.reader.Paths()
	of := func(other *volume) bool {
		theirs, _ := other.pool.reader.Paths()
		return theirs == metadata && other.deviceID == v.deviceID
	}
	var before []string
	if t.opts.Kernel != nil {
		var err error
		if before, err = t.opts.Kernel.Lent(ctx, metadata, v.deviceID); err != nil {
			return err
		}
	}
	var errs []error
	for _, l := range t.leases.of(of) {
		errs = append(errs, t.leases.evict(ctx, l, lazy))
	}
	if err := errors.Join(errs...); err != nil || len(before) == 0 {
		return err
	}
	return t.evictMapped(ctx, v, before, lazy)
}

// evictMapped ends what has files of a closed volume mapped: some of the devices that
// were lent for it are still there then.
func (t *Tree) evictMapped(ctx context.Context, v *volume, before []string, lazy bool) error {
	metadata, _ := v.pool.reader.Paths()
	now, err := t.opts.Kernel.Lent(ctx, metadata, v.deviceID)
	if err != nil {
		return err
	}
	for _, name := range now {
		switch {
		case !slices.Contains(before, name): // somebody has walked in again
		case !lazy:
			return &BusyError{Volume: v.name}
		default:
			err = errors.Join(err, t.opts.Kernel.Revoke(ctx, name))
		}
	}
	return err
}

// named finds a volume as Evict does. It reads nothing.
func (t *Tree) named(ctx context.Context, name string) *volume {
	v := t.current(ctx)
	for _, p := range append(v.meant(name), name) {
		if vol := v.volumeAt(p); vol != nil {
			return vol
		}
	}
	return nil
}

// volumeAt is the volume that a path leads to or into, nil where there is none.
func (v *view) volumeAt(at string) *volume {
	for range maxLinks {
		at = path.Clean("/" + at)
		n := v.root
		rest := strings.Split(at[1:], "/")
		for n != nil && n.root == nil && n.target == "" && len(rest) > 0 {
			n, rest = n.child(rest[0]), rest[1:]
		}
		switch {
		case n == nil:
			return nil
		case n.root != nil:
			return n.root.vol
		case n.target == "":
			return nil // a folder above the volumes
		}
		at = path.Join(n.parent.path(), n.target, path.Join(rest...))
	}
	return nil
}

// of lists the leases of volumes.
func (ls *leases) of(match func(*volume) bool) []*lease {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	var list []*lease
	for v, l := range ls.held {
		if match(v) {
			list = append(list, l)
		}
	}
	return list
}

// evict closes a volume and what is open in it, and waits until that is done.
func (ls *leases) evict(ctx context.Context, l *lease, lazy bool) error {
	if err := l.wait(ctx); err != nil {
		return err
	}
	if err := ls.cut(l, lazy); err != nil {
		return err
	}
	interrupt, _ := ctx.Value(Interrupt{}).(<-chan struct{})
	select {
	case <-l.gone:
		return nil
	case <-interrupt:
		return context.Canceled
	case <-ctx.Done():
		return ctx.Err()
	}
}

// cut begins to close a volume that is open, if it is: it goes with the last
// request that uses it now.
func (ls *leases) cut(l *lease, lazy bool) error {
	ls.mu.Lock()
	if l.closing || ls.held[l.vol] != l {
		ls.mu.Unlock()
		return nil
	}
	passed := 0
	for f := range l.files {
		if f.passed {
			passed++
		}
	}
	if passed > 0 && !lazy {
		ls.mu.Unlock()
		return &BusyError{Volume: l.vol.name, Files: passed}
	}
	unused := l.refs == 0
	if l.place != nil {
		ls.retire(l)
	} else {
		ls.begin(l)
	}
	files := l.files
	l.files = nil
	ls.mu.Unlock()
	go func() {
		if passed > 0 {
			if err := l.content.revoke(context.Background()); err != nil {
				ls.log.Warn("files that are open past the tree are still read", "volume", l.vol.name, "error", err)
			}
		}
		if unused {
			ls.finish(l)
		}
		for f := range files {
			if err := f.close(); err != nil {
				ls.log.Warn("closing a file", "file", f.where, "error", err)
			}
			ls.release(l)
		}
	}()
	return nil
}

// hold adds an open file to those of its lease. It is false where the volume is
// being closed.
func (ls *leases) hold(f *File) bool {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	l := f.lease
	if l.closing {
		return false
	}
	if l.files == nil {
		l.files = make(map[*File]struct{})
	}
	l.files[f] = struct{}{}
	return true
}

// drop takes a file out of those of its lease. It is false where it is none any
// more: then it is closed.
func (ls *leases) drop(f *File) bool {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	_, ok := f.lease.files[f]
	delete(f.lease.files, f)
	return ok
}

// pass notes that a file is read past the tree, unless it is none of its lease's
// any more.
func (ls *leases) pass(f *File) bool {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	_, ok := f.lease.files[f]
	f.passed = f.passed || ok
	return ok
}
