package deviceset

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"thintree/meta/record"
)

// Driver mounts the store's devices while they are in use. A device is called a volume
// here. It is for container engines that import this package; thintree's commands use
// [DeviceSet]. The methods may be called concurrently, except Cleanup.
type Driver struct {
	set    *DeviceSet
	mounts string // the folder with the mount points

	mu     sync.Mutex
	states map[string]*use // guarded by mu
}

// use counts the uses of a volume.
type use struct {
	lock    lock
	count   int  // guarded by lock
	unsure  bool // guarded by lock: an unmount failed, so it may or may not be mounted
	callers int  // guarded by Driver.mu: callers that have the lock or wait for it
}

// mountsDir is the folder in the store with the mount points.
const mountsDir = "mnt"

// idFile is a file in each volume, beside the folder with the volume's files. It
// holds the volume's name, so that a volume without a record can be identified.
const idFile = "id"

// NewDriver makes a Driver for an open store. It unmounts volumes that an earlier Driver
// left mounted.
func NewDriver(ctx context.Context, s *DeviceSet) (*Driver, error) {
	d := &Driver{set: s, mounts: filepath.Join(s.root, mountsDir), states: map[string]*use{}}
	if err := os.MkdirAll(d.mounts, 0o700); err != nil {
		return nil, err
	}
	left, err := os.ReadDir(d.mounts)
	if err != nil {
		return nil, err
	}
	for _, e := range left {
		dir := filepath.Join(d.mounts, e.Name())
		if s.HasDevice(e.Name()) {
			err := s.UnmountDevice(ctx, e.Name(), dir)
			if errors.Is(err, syscall.EBUSY) {
				s.log.Warn("a volume is still in use: it stays mounted", "name", e.Name(), "error", err)
				continue
			}
			if err != nil {
				return nil, err
			}
		}
		os.Remove(dir) // a folder that is not empty is not ours, and stays
	}
	return d, nil
}

// Create creates a volume with the current contents of the volume parent; parent "" is the
// base device.
func (d *Driver) Create(ctx context.Context, id, parent string) error {
	return d.set.AddDevice(ctx, id, parent, 0)
}

// Get mounts a volume, if it is not mounted, and returns the folder with its files. The
// caller calls Put once for each Get. label is an SELinux context, or "".
func (d *Driver) Get(ctx context.Context, id, label string) (path string, err error) {
	u, done, err := d.use(ctx, id)
	if err != nil {
		return "", err
	}
	defer done()
	dir := filepath.Join(d.mounts, id)
	if u.count == 0 || u.unsure {
		if err := d.mount(ctx, id, dir, label); err != nil {
			return "", err
		}
	}
	u.unsure = false
	u.count++
	return filepath.Join(dir, record.FilesDir), nil
}

func (d *Driver) mount(ctx context.Context, id, dir, label string) (err error) {
	if !d.set.HasDevice(id) {
		return &NoDeviceError{id}
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(dir)
		}
	}()
	if err := d.set.MountDevice(ctx, id, dir, label); err != nil {
		return err
	}
	if err := furnish(dir, id); err != nil {
		return errors.Join(err, d.set.UnmountDevice(context.WithoutCancel(ctx), id, dir))
	}
	return nil
}

// furnish makes the folder for the volume's files, and the file with its name.
func furnish(dir, id string) error {
	if err := os.Mkdir(filepath.Join(dir, record.FilesDir), 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	path := filepath.Join(dir, idFile)
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return os.WriteFile(path, []byte(id), 0o600)
}

// Put ends one use of a volume. After the last one it unmounts and deactivates the volume;
// if that fails, the volume counts as still in use.
func (d *Driver) Put(ctx context.Context, id string) error {
	u, done, err := d.use(ctx, id)
	if err != nil {
		return err
	}
	defer done()
	switch {
	case u.count == 0:
		return fmt.Errorf("put %q: the volume is not in use", id)
	case u.count > 1:
		u.count--
		return nil
	}
	dir := filepath.Join(d.mounts, id)
	if err := d.set.UnmountDevice(ctx, id, dir); err != nil {
		u.unsure = true
		return err
	}
	u.count = 0
	os.Remove(dir) // if it is still mounted in another namespace it stays
	return nil
}

// Remove deletes a volume. The error is [ErrInUse] if the volume is in use, nil if it does
// not exist.
func (d *Driver) Remove(ctx context.Context, id string) error {
	u, done, err := d.use(ctx, id)
	if err != nil {
		return err
	}
	defer done()
	if u.count > 0 {
		return fmt.Errorf("remove %q: %w (number of users: %d)", id, ErrInUse, u.count)
	}
	var missing *NoDeviceError
	if err := d.set.DeleteDevice(ctx, id); !errors.As(err, &missing) {
		return err
	}
	return nil
}

// Exists reports whether a volume exists.
func (d *Driver) Exists(id string) bool { return d.set.HasDevice(id) }

// Status is the status of the store.
func (d *Driver) Status(ctx context.Context) (Status, error) { return d.set.Status(ctx) }

// Cleanup unmounts all volumes and closes the store.
func (d *Driver) Cleanup(ctx context.Context) error { return d.set.Shutdown(ctx) }

// use returns the use of a volume and acquires its lock, which the caller releases by done.
func (d *Driver) use(ctx context.Context, id string) (u *use, done func(), err error) {
	d.mu.Lock()
	if u = d.states[id]; u == nil {
		u = &use{lock: newLock()}
		d.states[id] = u
	}
	u.callers++
	d.mu.Unlock()
	leave := func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		if u.callers--; u.callers == 0 && u.count == 0 {
			delete(d.states, id)
		}
	}
	if err := u.lock.acquire(ctx); err != nil {
		leave()
		return nil, nil, err
	}
	return u, func() { u.lock.release(); leave() }, nil
}
