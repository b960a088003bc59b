package dmtest

import (
	"fmt"
	"maps"
	"slices"
	"sync"

	"golang.org/x/sys/unix"
)

// Major is the major number of all devices.
const Major = 254

// Kernel is a device-mapper with its devices. Its methods and those of its controls may be
// called concurrently.
type Kernel struct {
	mu      sync.Mutex
	byName  map[string]*device
	byUUID  map[string]*device
	byMinor map[uint32]*device

	disks    map[uint64]uint64    // lengths in sectors of 512 bytes, by device number
	metadata map[uint64]*metadata // the contents of metadata devices, by device number
	pools    map[uint64]*pool     // loaded pools, by the number of the metadata device

	event   uint32        // the number of the last event of any device
	changed chan struct{} // closed at the next event

	violations    []string
	before, after func(command uint, name string) error
}

// New makes a Kernel without devices.
func New() *Kernel {
	return &Kernel{
		byName:   map[string]*device{},
		byUUID:   map[string]*device{},
		byMinor:  map[uint32]*device{},
		disks:    map[uint64]uint64{},
		metadata: map[uint64]*metadata{},
		pools:    map[uint64]*pool{},
		changed:  make(chan struct{}),
	}
}

// SetDisk sets the length, in sectors of 512 bytes, of a block device outside
// device-mapper. A device whose length was never set is as long as any table needs.
func (k *Kernel) SetDisk(number, sectors uint64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.disks[number] = sectors
}

// Open opens a device, as a mount or a process does. The error is ENXIO if there is no such
// device or it has never had a table.
func (k *Kernel) Open(name string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	d := k.byName[name]
	if d == nil || !d.loaded {
		return unix.ENXIO
	}
	d.openers++
	return nil
}

// Close undoes one Open. The last Close removes a device whose removal was deferred.
func (k *Kernel) Close(name string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	d := k.byName[name]
	if d == nil || d.openers == 0 {
		return fmt.Errorf("%s: %w: it is not open", name, unix.EBADF)
	}
	k.close(d)
	return nil
}

// Devices returns the names of all devices, sorted.
func (k *Kernel) Devices() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Sorted(maps.Keys(k.byName))
}

// Frozen returns the names of the suspended devices, sorted.
func (k *Kernel) Frozen() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	var names []string
	for name, d := range k.byName {
		if d.suspended {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// Event triggers an event of a device's table, as some targets do.
func (k *Kernel) Event(name string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	d := k.byName[name]
	if d == nil {
		return unix.ENXIO
	}
	k.notify(d)
	return nil
}

// Fail makes each ioctl call f before its effect, with the name that the caller passed. If
// f returns an errno the ioctl fails with it and has no effect. A nil f ends that.
func (k *Kernel) Fail(f func(command uint, name string) error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.before = f
}

// FailAfter is like Fail, but the ioctl calls f after its effect.
func (k *Kernel) FailAfter(f func(command uint, name string) error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.after = f
}

// Violations lists mistakes of callers that the kernel accepts or cannot see: invalid
// buffers, a snapshot of an origin in use, a command that would never return.
func (k *Kernel) Violations() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.violations)
}

func (k *Kernel) violated(format string, args ...any) {
	k.violations = append(k.violations, fmt.Sprintf(format, args...))
}

// issue counts an event and wakes all waits.
func (k *Kernel) issue() {
	k.event++
	close(k.changed)
	k.changed = make(chan struct{})
}

// notify issues an event of a device's active table.
func (k *Kernel) notify(d *device) {
	if d.active != nil {
		d.eventNr++
		k.issue()
	}
}
