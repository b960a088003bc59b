package volume

import (
	"context"
	"errors"
	"os"
	"slices"

	"thintree/volfs"
	"thintree/volfs/kernelfs"
)

// lent is a stack of devices that the kernel has activated for a filesystem.
type lent struct {
	top    *os.File
	lowest string         // its name
	done   []func() error // of each, from the lowest
	// still is an error unless all that was read of the devices until now was the volume's
	// own; nil if nothing else can be.
	still func(context.Context) error
}

// add puts a device on the stack, which holds those below.
func (d *lent) add(f *os.File, done func() error, err error) error {
	if err != nil {
		return err
	}
	if d.top != nil {
		d.top.Close()
	} else {
		d.lowest = f.Name()
	}
	d.top, d.done = f, append(d.done, done)
	return nil
}

// gone waits until all have gone, when nothing uses them any more.
func (d *lent) gone() error {
	var errs []error
	for _, done := range slices.Backward(d.done) {
		errs = append(errs, done())
	}
	return errors.Join(errs...)
}

// onLent is a filesystem on devices that were lent, which go with it.
type onLent interface {
	volfs.FS
	device() string // the name of the lowest
}

// lentFS is one of which nothing has to be checked.
type lentFS struct {
	*kernelfs.FS
	lent *lent
}

func (f lentFS) device() string { return f.lent.lowest }

func (f lentFS) Close() error {
	err := f.FS.Close()
	return errors.Join(err, f.lent.gone())
}

// checkedFS is one of which each answer is checked before it is given: whether the volume
// was still there when it was read.
type checkedFS struct{ lentFS }

var _ volfs.AttrReader = checkedFS{}

// checked is a value that was read, unless the volume was another one then.
func checked[T any](ctx context.Context, f checkedFS, read func() (T, error)) (T, error) {
	value, err := read()
	if still := f.lent.still(ctx); still != nil {
		return *new(T), still
	}
	return value, err
}

func (f checkedFS) check(ctx context.Context, read func() error) error {
	_, err := checked(ctx, f, func() (struct{}, error) { return struct{}{}, read() })
	return err
}

func (f checkedFS) Stat(ctx context.Context, ino volfs.Ino) (volfs.Attr, error) {
	return checked(ctx, f, func() (volfs.Attr, error) { return f.lentFS.Stat(ctx, ino) })
}

func (f checkedFS) Lookup(ctx context.Context, dir volfs.Ino, name string) (volfs.Ino, error) {
	return checked(ctx, f, func() (volfs.Ino, error) { return f.lentFS.Lookup(ctx, dir, name) })
}

func (f checkedFS) Readlink(ctx context.Context, ino volfs.Ino) (string, error) {
	return checked(ctx, f, func() (string, error) { return f.lentFS.Readlink(ctx, ino) })
}

func (f checkedFS) Xattrs(ctx context.Context, ino volfs.Ino) ([]string, error) {
	return checked(ctx, f, func() ([]string, error) { return f.lentFS.Xattrs(ctx, ino) })
}

func (f checkedFS) Xattr(ctx context.Context, ino volfs.Ino, name string) ([]byte, error) {
	return checked(ctx, f, func() ([]byte, error) { return f.lentFS.Xattr(ctx, ino, name) })
}

func (f checkedFS) Statfs(ctx context.Context) (volfs.Statfs, error) {
	return checked(ctx, f, func() (volfs.Statfs, error) { return f.lentFS.Statfs(ctx) })
}

// ReadDir gives entries before they are checked: after an error none of them holds.
func (f checkedFS) ReadDir(ctx context.Context, dir volfs.Ino, cookie uint64, emit func(volfs.DirEntry) bool) error {
	return f.check(ctx, func() error { return f.lentFS.ReadDir(ctx, dir, cookie, emit) })
}

// ReadDirAttrs is described at ReadDir.
func (f checkedFS) ReadDirAttrs(ctx context.Context, dir volfs.Ino, cookie uint64, emit func(volfs.DirEntry, *volfs.Attr) bool) error {
	return f.check(ctx, func() error { return f.lentFS.ReadDirAttrs(ctx, dir, cookie, emit) })
}

func (f checkedFS) Open(ctx context.Context, ino volfs.Ino) (volfs.File, error) {
	return checked(ctx, f, func() (volfs.File, error) {
		file, err := f.lentFS.Open(ctx, ino)
		return checkedFile{file, f}, err
	})
}

// checkedFile is a file in a checkedFS.
type checkedFile struct {
	volfs.File
	fs checkedFS
}

func (f checkedFile) ReadAt(ctx context.Context, p []byte, off int64) (n int, err error) {
	return checked(ctx, f.fs, func() (int, error) { return f.File.ReadAt(ctx, p, off) })
}

func (f checkedFile) NextData(ctx context.Context, off int64) (int64, error) {
	return checked(ctx, f.fs, func() (int64, error) { return f.File.NextData(ctx, off) })
}

func (f checkedFile) NextHole(ctx context.Context, off int64) (int64, error) {
	return checked(ctx, f.fs, func() (int64, error) { return f.File.NextHole(ctx, off) })
}
