package deviceset

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"golang.org/x/sys/unix"

	"thintree/meta/record"
	"thintree/thin"
	"thintree/thin/dm"
)

// DeviceSet is an open store. Its methods may be called concurrently, but for
// Close and Shutdown. Devices are called by their hash, any name that is a file's
// and a device-mapper device's; the base device has "".
type DeviceSet struct {
	root    string // the store
	records string // the folder of the records in it
	prefix  string // of the device-mapper names: what makes them this store's own
	opts    Options
	log     *slog.Logger

	folder  *os.File // locked
	kernel  *thin.Kernel
	fs      filesystems
	pool    *thin.Pool
	ownPool bool // and not somebody else's

	// turn is whose turn it is to change the pool. What a device's own lock guards
	// is taken before it.
	turn          lock
	transactionID uint64              // guarded by turn: the pool's
	set           record.DeviceSet    // guarded by turn
	used          map[uint32]struct{} // guarded by turn: the ids that records name

	mu      sync.Mutex
	devices map[string]*device // guarded by mu
	damaged []error            // the records that could not be read
	stop    func()             // ends what deletes devices later
}

// device is one of the store's devices.
type device struct {
	hash string
	lock lock
	rec  record.Device // guarded by lock
	gone bool          // guarded by lock: it was deleted, or could not be made
}

// Where things are in a store.
const (
	recordsDir = "metadata"
	poolDir    = "devicemapper"
	mountsDir  = "mnt"
)

// NewDeviceSet opens a store, the folder root, which for Docker is
// /var/lib/docker/devicemapper. With doInit it makes what is not there: the pool
// and the base device. A pool that is not active is activated. What a process that
// was killed has left half done is ended or undone first.
//
// Errors are [ErrLocked], an *[OptionError], a *[BaseError], and those of
// thin.Kernel's CreatePool and ActivatePool. After an error all is as it was.
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
		kernel: kernel, fs: fs, turn: newLock(), used: map[uint32]struct{}{}, devices: map[string]*device{}, stop: func() {},
	}
	if doInit {
		if err := os.MkdirAll(s.records, 0o700); err != nil {
			return nil, err
		}
	}
	if s.folder, err = lockFolder(s.records); err != nil {
		return nil, fmt.Errorf("store %s: %w", root, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("store %s: %w", root, err), s.closePool(context.WithoutCancel(ctx)), s.folder.Close())
		}
	}()
	if s.prefix, err = prefix(root); err != nil {
		return nil, err
	}
	if err := s.openPool(ctx, doInit); err != nil {
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

// prefix is what a store's device-mapper names begin with, as Docker's do with
// docker-: the device and inode number of its folder, which its copy has not.
func prefix(root string) (string, error) {
	var st unix.Stat_t
	if err := unix.Stat(root, &st); err != nil {
		return "", &os.PathError{Op: "stat", Path: root, Err: err}
	}
	return fmt.Sprintf("thintree-%d:%d-%d", unix.Major(st.Dev), unix.Minor(st.Dev), st.Ino), nil
}

// name is a device's device-mapper name.
func (s *DeviceSet) name(hash string) string { return s.prefix + "-" + record.File(hash) }

// find finds a device and takes its lock, which the caller releases.
func (s *DeviceSet) find(ctx context.Context, hash string) (*device, error) {
	s.mu.Lock()
	d := s.devices[hash]
	s.mu.Unlock()
	if d == nil {
		return nil, &NoDeviceError{hash}
	}
	if err := d.lock.acquire(ctx); err != nil {
		return nil, fmt.Errorf("device %q: %w", hash, err)
	}
	if d.gone {
		d.lock.release()
		return nil, &NoDeviceError{hash}
	}
	return d, nil
}

// List gives the hashes of all devices, sorted. The base device's is "".
func (s *DeviceSet) List() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.devices))
}

// HasDevice tells whether the store has a device.
func (s *DeviceSet) HasDevice(hash string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.devices[hash] != nil
}

// Pool is the pool that the devices are in.
func (s *DeviceSet) Pool() *thin.Pool { return s.pool }

// Close closes the store. Devices that are active stay so; where none is, the
// pool is deactivated, unless it is somebody else's.
func (s *DeviceSet) Close(ctx context.Context) error {
	s.stop()
	return errors.Join(s.saveNextID(ctx), s.closePool(ctx), s.kernel.Close(), s.folder.Close())
}

// closePool deactivates the pool where nothing in it is active.
func (s *DeviceSet) closePool(ctx context.Context) error {
	if s.pool == nil || !s.ownPool {
		return nil
	}
	info, err := s.kernel.DM().Info(ctx, s.pool.Name())
	if err != nil || info.OpenCount > 0 {
		return err
	}
	return s.pool.Deactivate(ctx)
}

// Shutdown unmounts and deactivates all devices, and closes the store.
func (s *DeviceSet) Shutdown(ctx context.Context) error {
	s.stop()
	var errs []error
	active, err := s.active(ctx)
	errs = append(errs, err)
	for _, name := range slices.Sorted(maps.Keys(active)) {
		errs = append(errs, s.retire(ctx, name, active[name]))
	}
	return errors.Join(append(errs, s.Close(ctx))...)
}

// retire unmounts a device wherever it is mounted, and deactivates it.
func (s *DeviceSet) retire(ctx context.Context, name string, info dm.Info) error {
	mounts, err := s.fs.mounts(info.Number)
	if err != nil {
		return err
	}
	for _, dir := range mounts {
		if err := s.fs.unmount(dir, s.opts.DeferredRemoval); err != nil {
			return err
		}
	}
	return s.deactivate(ctx, name)
}
