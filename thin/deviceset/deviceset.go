package deviceset

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"sync"

	"golang.org/x/sys/unix"

	"thintree/meta/record"
	"thintree/thin"
	"thintree/thin/dm"
)

// DeviceSet is an open store. Its methods may be called concurrently, except Close,
// Shutdown and KeepPool. A device's name is called its hash, as in Docker. It may be any
// name that is valid for a file and for a device-mapper device. The base device has the
// hash "".
type DeviceSet struct {
	root    string // the store
	records string // the folder of the records in it
	prefix  string // of all device-mapper names of this store
	opts    Options
	log     *slog.Logger

	folder *os.File // the folder of the records, locked
	kernel *thin.Kernel
	fs     filesystems
	pool   *thin.Pool
	own    *thin.PoolConfig // nil if the pool is not the store's own

	// turn is held while the pool is changed. A device's own lock is acquired before it.
	turn          lock
	transactionID uint64              // guarded by turn: the pool's transaction id
	unsettled     error               // guarded by turn: why a transaction cannot be completed or undone
	set           record.DeviceSet    // guarded by turn
	used          map[uint32]struct{} // guarded by turn: the device ids in the records

	mu       sync.Mutex
	devices  map[string]*device // guarded by mu
	problems []error            // found when the store was opened
	ignored  []string           // options without effect

	marked chan struct{} // signals that a device is marked for deferred deletion
	stop   func()        // stops the deferred deletion
}

// device is one of the store's devices.
type device struct {
	hash string
	lock lock
	rec  record.Device // changed with both lock and mu held, read with either
	gone bool          // guarded by lock: it was deleted, or its creation failed
}

// prefix is the prefix of a store's device-mapper names. Like Docker's it has the device
// and inode number of the store's folder, so that a copy of the store has another prefix.
func prefix(root string) (string, error) {
	var st unix.Stat_t
	if err := unix.Stat(root, &st); err != nil {
		return "", &os.PathError{Op: "stat", Path: root, Err: err}
	}
	return fmt.Sprintf("thintree-%d:%d-%d", unix.Major(st.Dev), unix.Minor(st.Dev), st.Ino), nil
}

// checkHash returns a [record.NameError] or [dm.NameError] if no device can have the hash.
func (s *DeviceSet) checkHash(hash string) error {
	name := s.name(hash)
	if name == s.poolName() {
		return &record.NameError{Hash: hash, Why: "is the name of the pool's device"}
	}
	if err := record.CheckHash(hash); err != nil {
		return err
	}
	return dm.CheckName(uuid(keptPrefix + name))
}

// poolName is the device-mapper name of the store's own pool.
func (s *DeviceSet) poolName() string { return s.prefix + "-pool" }

// name is a device's device-mapper name.
func (s *DeviceSet) name(hash string) string { return s.prefix + "-" + record.File(hash) }

// find finds a device and acquires its lock, which the caller releases.
func (s *DeviceSet) find(ctx context.Context, hash string) (*device, error) {
	s.mu.Lock()
	d := s.devices[hash]
	s.mu.Unlock()
	if d == nil {
		return nil, &NoDeviceError{hash}
	}
	if err := d.lock.acquire(ctx); err != nil {
		return nil, fmt.Errorf("device %q: %w", record.File(hash), err)
	}
	if d.gone {
		d.lock.release()
		return nil, &NoDeviceError{hash}
	}
	return d, nil
}

// recordOf returns a device's current record. It does not wait for the device's lock.
func (s *DeviceSet) recordOf(hash string) (rec record.Device, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := s.devices[hash]
	if d == nil {
		return record.Device{}, false
	}
	return d.rec, true
}

// setRecord changes a device's record in memory. The caller has the device's lock.
func (s *DeviceSet) setRecord(d *device, rec record.Device) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d.rec = rec
}

// List lists the hashes of all devices, sorted. The base device has the hash "".
func (s *DeviceSet) List() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.devices))
}

// HasDevice reports whether the store has a device.
func (s *DeviceSet) HasDevice(hash string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.devices[hash] != nil
}

// Pool returns the pool with the devices.
func (s *DeviceSet) Pool() *thin.Pool { return s.pool }
