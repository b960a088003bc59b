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

// DeviceSet is an open store. Its methods may be called concurrently, but for
// Close and Shutdown. Devices are called by their hash, any name that is a file's
// and a device-mapper device's; the base device has "".
type DeviceSet struct {
	root    string // the store
	records string // the folder of the records in it
	prefix  string // of the device-mapper names: what makes them this store's own
	opts    Options
	log     *slog.Logger

	folder *os.File // locked
	kernel *thin.Kernel
	fs     filesystems
	pool   *thin.Pool
	own    *thin.PoolConfig // of the pool where it is the store's own, nil otherwise

	// turn is whose turn it is to change the pool. A device's own lock is taken
	// before it.
	turn          lock
	transactionID uint64              // guarded by turn: the pool's
	unsettled     error               // guarded by turn: why a transaction cannot be ended
	set           record.DeviceSet    // guarded by turn
	used          map[uint32]struct{} // guarded by turn: the ids that records name

	mu       sync.Mutex
	devices  map[string]*device // guarded by mu
	problems []error            // of the records, found when the store was opened
	ignored  []string           // options that have no effect

	marked chan struct{} // a device is to be deleted later
	stop   func()        // ends what does that
}

// device is one of the store's devices.
type device struct {
	hash string
	lock lock
	rec  record.Device // changed with lock and mu held, read with either
	gone bool          // guarded by lock: it was deleted, or could not be made
}

// Where things are in a store.
const (
	recordsDir = "metadata"
	poolDir    = "devicemapper"
	mountsDir  = "mnt"
)

// prefix is what a store's device-mapper names begin with, as Docker's do with
// docker-: the device and inode number of its folder, which its copy has not.
func prefix(root string) (string, error) {
	var st unix.Stat_t
	if err := unix.Stat(root, &st); err != nil {
		return "", &os.PathError{Op: "stat", Path: root, Err: err}
	}
	return fmt.Sprintf("thintree-%d:%d-%d", unix.Major(st.Dev), unix.Minor(st.Dev), st.Ino), nil
}

// checkHash tells whether a device can have a name.
func (s *DeviceSet) checkHash(hash string) error {
	name := s.name(hash)
	if name == s.poolName() {
		return &record.NameError{Hash: hash, Why: "is that of the pool among the devices"}
	}
	if err := record.CheckHash(hash); err != nil {
		return err
	}
	return dm.CheckName(uuid(keptPrefix + name))
}

// poolName is the device-mapper name of a pool of the store's own.
func (s *DeviceSet) poolName() string { return s.prefix + "-pool" }

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
		return nil, fmt.Errorf("device %q: %w", record.File(hash), err)
	}
	if d.gone {
		d.lock.release()
		return nil, &NoDeviceError{hash}
	}
	return d, nil
}

// recordOf is a device's record just now. It waits for nobody.
func (s *DeviceSet) recordOf(hash string) (rec record.Device, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := s.devices[hash]
	if d == nil {
		return record.Device{}, false
	}
	return d.rec, true
}

// setRecord changes what is known of a device. The caller has its lock.
func (s *DeviceSet) setRecord(d *device, rec record.Device) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d.rec = rec
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
