package deviceset

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"thintree/meta/record"
	"thintree/thin"
)

// NewDeviceSet opens the store in the folder root; Docker's store is
// /var/lib/docker/devicemapper. With doInit it creates the pool and the base device if they
// are missing. It activates the pool if it is not active. If a process was killed during a
// transaction, NewDeviceSet completes or undoes the transaction first. If the pool is
// read-only or has failed, that is not possible; then the store opens anyway, but
// changes of it fail.
//
// Options for the creation of the pool or the base device must agree with one that exists:
// otherwise the error is a *[SettledError]. Other errors are [ErrLocked], an
// *[OptionError], a *[BaseError], and those of CreatePool and ActivatePool of thin.Kernel.
// After an error NewDeviceSet undoes what it did.
func NewDeviceSet(ctx context.Context, root string, doInit bool, options []string) (*DeviceSet, error) {
	o, err := ParseOptions(options)
	if err != nil {
		return nil, err
	}
	kernel, err := thin.OpenKernel()
	if err != nil {
		return nil, err
	}
	s, err := open(ctx, root, doInit, o, kernel, host{})
	if err != nil {
		return nil, errors.Join(err, kernel.Close())
	}
	return s, nil
}

func open(ctx context.Context, root string, doInit bool, o Options, kernel *thin.Kernel, fs filesystems) (_ *DeviceSet, err error) {
	root, err = filepath.Abs(root)
	if err != nil {
		return nil, err
	}
	s := &DeviceSet{
		root: root, records: filepath.Join(root, record.RecordsDir), opts: o, log: slog.Default().With("store", root),
		kernel: kernel, fs: fs, turn: newLock(), used: map[uint32]struct{}{}, devices: map[string]*device{},
		marked: make(chan struct{}, 1), stop: func() {},
	}
	var undo undoList
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("store %s: %w", root, err), undo.run(context.WithoutCancel(ctx)))
			if s.folder != nil {
				s.folder.Close()
			}
		}
	}()
	if doInit {
		if err := undo.makeFolder(s.records); err != nil {
			return nil, err
		}
	}
	if s.folder, err = lockFolder(ctx, s.records); err != nil {
		return nil, err
	}
	if err := undo.keepEmpty(s.records); err != nil {
		return nil, err
	}
	// Devices that stay in the pool need their records.
	undo.add(func(context.Context) error {
		if len(s.devices) > 0 {
			return errors.Join(s.unsettled, errors.New("the base device was not completed: the next creation of the store makes it again"))
		}
		return s.unsettled
	})
	if s.prefix, err = prefix(root); err != nil {
		return nil, err
	}
	if err := s.openPool(ctx, doInit, &undo); err != nil {
		return nil, err
	}
	if err := s.recover(ctx); err != nil {
		return nil, err
	}
	if err := s.openBase(ctx, doInit); err != nil {
		return nil, err
	}
	s.deleteLater()
	return s, nil
}

// undoList has the steps that undo an opening that fails. They run in reverse order.
type undoList []func(context.Context) error

func (u *undoList) add(f func(context.Context) error) { *u = append(*u, f) }

// run stops at the first step that fails, because the remaining ones depend on it.
func (u undoList) run(ctx context.Context) error {
	for i := len(u) - 1; i >= 0; i-- {
		if err := u[i](ctx); err != nil {
			return err
		}
	}
	return nil
}

// makeFolder makes a folder and its missing parents.
func (u *undoList) makeFolder(dir string) error {
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	if parent := filepath.Dir(dir); parent != dir {
		if err := u.makeFolder(parent); err != nil {
			return err
		}
	}
	err := os.Mkdir(dir, 0o700)
	if errors.Is(err, os.ErrExist) {
		return nil // another process made it
	}
	if err == nil {
		u.add(func(context.Context) error { return os.Remove(dir) })
	}
	return err
}

// keepEmpty adds a step that empties a folder, if the folder is empty now.
func (u *undoList) keepEmpty(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) > 0 {
		return err
	}
	u.add(func(context.Context) error {
		entries, err := os.ReadDir(dir)
		for _, e := range entries {
			err = errors.Join(err, os.Remove(filepath.Join(dir, e.Name())))
		}
		return err
	})
	return nil
}
