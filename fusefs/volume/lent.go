package volume

import (
	"context"
	"errors"

	"thintree/thin/lend"
	"thintree/volfs"
	"thintree/volfs/kernelfs"
)

// lentFS is a filesystem on a loan. It closes the loan when it is closed.
type lentFS struct {
	*kernelfs.FS
	loan *lend.Loan
}

// onLoan is implemented by filesystems on a loan.
type onLoan interface{ of() *lend.Loan }

func (f lentFS) of() *lend.Loan { return f.loan }

func (f lentFS) Close() error {
	err := f.FS.Close()
	return errors.Join(err, f.loan.Close())
}

// checkedFS is a filesystem on a loan whose blocks may be given to another device meanwhile.
// After each read it checks that the blocks are still the volume's, before it returns the
// result.
type checkedFS struct{ lentFS }

var _ volfs.AttrReader = checkedFS{}

// still returns an error unless everything that was read until now was the volume's own.
func (f checkedFS) still(ctx context.Context) error { return f.loan.Still(ctx) }

// checked calls read and returns its result, or an error if the blocks are no longer the
// volume's.
func checked[T any](ctx context.Context, f checkedFS, read func() (T, error)) (T, error) {
	value, err := read()
	if still := f.still(ctx); still != nil {
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

// ReadDir emits entries before they are checked: after an error none of them is valid.
func (f checkedFS) ReadDir(ctx context.Context, dir volfs.Ino, cookie uint64, emit func(volfs.DirEntry) bool) error {
	return f.check(ctx, func() error { return f.lentFS.ReadDir(ctx, dir, cookie, emit) })
}

// ReadDirAttrs emits entries before they are checked, as ReadDir does.
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
