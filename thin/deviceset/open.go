package deviceset

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"thintree/thin"
)

// NewDeviceSet opens a store, the folder root, which for Docker is
// /var/lib/docker/devicemapper. With doInit it makes what is not there: the pool
// and the base device. A pool that is not active is activated. What a process that
// was killed has left half done is ended or undone first. Where that cannot be,
// because the pool is read-only or has failed, the store opens all the same, and
// what would change it fails.
//
// Options that say how something is made must say of what is there what it is:
// otherwise the error is a *[SettledError]. Other errors are [ErrLocked], an
// *[OptionError], a *[BaseError], and those of thin.Kernel's CreatePool and
// ActivatePool. After an error all is as it was.
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
		root: root, records: filepath.Join(root, recordsDir), opts: o, log: slog.Default().With("store", root),
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
	// What the pool still has, the records have to name.
	undo.add(func(context.Context) error {
		if len(s.devices) > 0 {
			return errors.Join(s.unsettled, errors.New("the base device stays, half made: it is made anew when the store is opened with its creation"))
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

// undoList is what to do, from its end, where something fails later.
type undoList []func(context.Context) error

func (u *undoList) add(f func(context.Context) error) { *u = append(*u, f) }

// run stops at the first that fails: those before it lie beneath it.
func (u undoList) run(ctx context.Context) error {
	for i := len(u) - 1; i >= 0; i-- {
		if err := u[i](ctx); err != nil {
			return err
		}
	}
	return nil
}

// makeFolder makes a folder, and those above it that are missing.
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
		return nil // somebody else made it
	}
	if err == nil {
		u.add(func(context.Context) error { return os.Remove(dir) })
	}
	return err
}

// keepEmpty keeps a folder empty where it is so now.
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
