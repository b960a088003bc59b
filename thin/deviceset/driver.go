package deviceset

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
)

// Driver gives out the store's devices as mounted folders, as a container engine
// wants them. Its methods may be called concurrently, but for Cleanup.
type Driver struct {
	set    *DeviceSet
	mounts string // the folder of the mounts

	mu     sync.Mutex
	states map[string]*use // guarded by mu
}

// use is how often a device was given out.
type use struct {
	lock    lock
	count   int  // guarded by lock
	unsure  bool // guarded by lock: whether it is mounted
	callers int  // guarded by Driver.mu: those that have the lock or wait for it
}

// What a volume holds beside the files: they are in rootfsDir; idFile holds the
// volume's name, so that it can be told without its record.
const (
	rootfsDir = "rootfs"
	idFile    = "id"
)

// NewDriver makes a Driver over an open store. What another one has left mounted,
// which nobody can give back any more, is unmounted.
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
				s.log.Warn("a volume is still in use: it stays mounted", "name", e.Name(), "err", err)
				continue
			}
			if err != nil {
				return nil, err
			}
		}
		os.Remove(dir) // where it is a folder of anything else, it stays
	}
	return d, nil
}

// Create creates the volume id as it finds parent, or "" the base device.
func (d *Driver) Create(ctx context.Context, id, parent string) error {
	return d.set.AddDevice(ctx, id, parent, 0)
}

// Get mounts a volume, where it is not yet, and gives the folder with its files.
// Put gives it back, once for each Get. label is an SELinux context, or "".
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
	return filepath.Join(dir, rootfsDir), nil
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

// furnish makes what a volume holds beside its files.
func furnish(dir, id string) error {
	if err := os.Mkdir(filepath.Join(dir, rootfsDir), 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	path := filepath.Join(dir, idFile)
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return os.WriteFile(path, []byte(id), 0o600)
}

// Put gives a volume back. With the last one it is unmounted and deactivated;
// where that fails, it is still given out.
func (d *Driver) Put(ctx context.Context, id string) error {
	u, done, err := d.use(ctx, id)
	if err != nil {
		return err
	}
	defer done()
	switch {
	case u.count == 0:
		return fmt.Errorf("put %q: it was not given out", id)
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
	os.Remove(dir) // where it is still mounted in another namespace, it stays
	return nil
}

// Remove deletes a volume. One that was given out is in use; one that is not there
// is deleted already.
func (d *Driver) Remove(ctx context.Context, id string) error {
	u, done, err := d.use(ctx, id)
	if err != nil {
		return err
	}
	defer done()
	if u.count > 0 {
		return fmt.Errorf("remove %q: it was given out %d times, and not given back: %w", id, u.count, ErrInUse)
	}
	var missing *NoDeviceError
	if err := d.set.DeleteDevice(ctx, id); !errors.As(err, &missing) {
		return err
	}
	return nil
}

// Exists tells whether there is a volume.
func (d *Driver) Exists(id string) bool { return d.set.HasDevice(id) }

// Status is that of the store.
func (d *Driver) Status(ctx context.Context) (Status, error) { return d.set.Status(ctx) }

// Cleanup unmounts all volumes, and closes the store.
func (d *Driver) Cleanup(ctx context.Context) error { return d.set.Shutdown(ctx) }

// use is what is known about a volume's use. The caller has its lock until it calls
// done.
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
