package deviceset

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
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
	lock  lock
	count int // guarded by lock
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
		if !s.HasDevice(e.Name()) {
			continue
		}
		dir := filepath.Join(d.mounts, e.Name())
		if err := s.UnmountDevice(ctx, e.Name(), dir); err != nil {
			return nil, err
		}
		os.Remove(dir)
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
	u, err := d.use(ctx, id)
	if err != nil {
		return "", err
	}
	defer u.lock.release()
	dir := filepath.Join(d.mounts, id)
	if u.count == 0 {
		if err := d.mount(ctx, id, dir, label); err != nil {
			return "", err
		}
	}
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

// Put gives a volume back. With the last one it is unmounted and deactivated.
func (d *Driver) Put(ctx context.Context, id string) error {
	u, err := d.use(ctx, id)
	if err != nil {
		return err
	}
	defer u.lock.release()
	switch {
	case u.count == 0:
		return fmt.Errorf("put %q: it was not given out", id)
	case u.count > 1:
		u.count--
		return nil
	}
	dir := filepath.Join(d.mounts, id)
	if err := d.set.UnmountDevice(ctx, id, dir); err != nil {
		return err
	}
	u.count = 0
	os.Remove(dir) // where it is still mounted in another namespace, it stays
	return nil
}

// Remove deletes a volume. One that was given out is in use.
func (d *Driver) Remove(ctx context.Context, id string) error {
	u, err := d.use(ctx, id)
	if err != nil {
		return err
	}
	defer u.lock.release()
	if u.count > 0 {
		return fmt.Errorf("remove %q: it was given out %d times, and not given back: %w", id, u.count, ErrInUse)
	}
	if err := d.set.DeleteDevice(ctx, id); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.states, id)
	return nil
}

// Exists tells whether there is a volume.
func (d *Driver) Exists(id string) bool { return d.set.HasDevice(id) }

// Status is that of the store.
func (d *Driver) Status(ctx context.Context) (Status, error) { return d.set.Status(ctx) }

// Cleanup unmounts all volumes, and closes the store.
func (d *Driver) Cleanup(ctx context.Context) error { return d.set.Shutdown(ctx) }

// use is what is known about a volume's use. The caller has its lock.
func (d *Driver) use(ctx context.Context, id string) (*use, error) {
	d.mu.Lock()
	u := d.states[id]
	if u == nil {
		u = &use{lock: newLock()}
		d.states[id] = u
	}
	d.mu.Unlock()
	return u, u.lock.acquire(ctx)
}
