package boltcopy

import (
	"context"
	"fmt"
	"os"
	"runtime/debug"

	"go.etcd.io/bbolt"
	"golang.org/x/sys/unix"
)

// DB is a copy of a database. Its methods may be called concurrently, except Close.
type DB struct {
	db     *bbolt.DB
	damage error
}

// Open copies the database at path, which must be a regular file of at most [MaxBytes] bytes,
// and opens the copy. It takes no lock and waits for none. The error has the path; it is
// [fs.ErrNotExist] if there is no file, and [ErrBusy] if the database changed too often.
func Open(ctx context.Context, path string) (*DB, error) {
	source, err := open(path)
	if err != nil {
		return nil, err
	}
	defer source.Close()
	d, err := openCopy(ctx, source)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return d, nil
}

func openCopy(ctx context.Context, source *os.File) (*DB, error) {
	private, err := copyFile(ctx, source)
	if err != nil {
		return nil, err
	}
	d := new(DB)
	if d.damage, err = mend(ctx, private); err != nil {
		private.Close()
		return nil, err
	}
	if d.damage != nil {
		d.damage = fmt.Errorf("%s: %w", source.Name(), d.damage)
	}
	err = guard(func() (err error) {
		d.db, err = bbolt.Open(source.Name(), 0, &bbolt.Options{
			ReadOnly: true,
			OpenFile: func(string, int, os.FileMode) (*os.File, error) { return private, nil },
		})
		return err
	})
	if err != nil {
		private.Close()
		return nil, err
	}
	return d, nil
}

// Damage is an error with the path that says how much of the database is damaged, and so
// missing from what View shows. It is nil if nothing is.
func (d *DB) Damage() error { return d.damage }

// View calls f with the contents of the copy. Keys and values are valid until f returns.
func (d *DB) View(f func(*bbolt.Tx) error) error {
	return guard(func() error { return d.db.View(f) })
}

// Close frees the copy.
func (d *DB) Close() error { return d.db.Close() }

// guard calls f, and makes an error of a panic or of a fault: a copy that cannot be read from
// the disk is a fault.
func guard(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("reading a copy of it: %v", p)
		}
	}()
	return f()
}

// mend checks all pages of a copy that bbolt would follow, and cuts off those that are
// damaged. damage says what it cut off; nil if nothing.
func mend(ctx context.Context, private *os.File) (damage, err error) {
	m, err := readMeta(private)
	if err != nil {
		return nil, err
	}
	info, err := private.Stat()
	if err != nil {
		return nil, err
	}
	pageLen := m.pageLen()
	pages := uint64(info.Size() / pageLen) // a part of a page is no page
	if pages < 2 {
		return nil, errNoMeta
	}
	// bbolt need not choose between the meta pages if they are the same.
	for _, offset := range []int64{0, pageLen} {
		if _, err := private.WriteAt(m[:], offset); err != nil {
			return nil, err
		}
	}
	spare := make([]byte, pageLen)
	order.PutUint64(spare, pages)
	order.PutUint16(spare[8:], leafPageFlag)
	if _, err := private.WriteAt(spare, int64(pages)*pageLen); err != nil {
		return nil, err
	}
	data, err := unix.Mmap(int(private.Fd()), 0, int(int64(pages)*pageLen), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil, os.NewSyscallError("mmap", err)
	}
	defer unix.Munmap(data)
	c := checker{ctx: ctx, data: data, pageLen: int(pageLen), file: private, spare: pages, used: make([]bool, pages)}
	if err := guard(func() error { return c.check(rootOffset, 0, nil, nil) }); err != nil {
		return nil, err
	}
	switch {
	case order.Uint64(data[rootOffset:]) == c.spare:
		return nil, c.first // nothing is left
	case c.damaged > 0:
		damage = fmt.Errorf("%d damaged places, the records there are lost: the first is %w", c.damaged, c.first)
	}
	return damage, nil
}
