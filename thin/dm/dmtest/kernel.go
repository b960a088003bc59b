package dmtest

import (
	"fmt"
	"maps"
	"slices"
	"sync"

	"golang.org/x/sys/unix"
)

// Major is the major number of the devices.
const Major = 254

// Kernel is a device-mapper with its devices. Its methods, and its controls',
// may be called concurrently.
type Kernel struct {
	mu      sync.Mutex
	byName  map[string]*device
	byUUID  map[string]*device
	byMinor map[uint32]*device

	disks    map[uint64]uint64    // lengths in sectors, by device number
	metadata map[uint64]*metadata // what is on metadata devices, by number
	pools    map[uint64]*pool     // those that are loaded, by the metadata's number

	event   uint32        // the number of the last one, of any device
	changed chan struct{} // closed at the next

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

// SetDisk makes a block device outside device-mapper a number of 512-byte sectors
// long. Of one that was never set any number of sectors is there.
func (k *Kernel) SetDisk(number, sectors uint64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.disks[number] = sectors
}

// Open opens a device, as a mount or a process does. The error is ENXIO where
// there is none, or it has never had a table.
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

// Close ends one Open. A device whose removal was deferred goes with the last.
func (k *Kernel) Close(name string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	d := k.byName[name]
	if d == nil || d.openers == 0 {
		return fmt.Errorf("%s: %w: nobody has it open", name, unix.EBADF)
	}
	k.close(d)
	return nil
}

// Devices gives the names of all devices, in order.
func (k *Kernel) Devices() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Sorted(maps.Keys(k.byName))
}

// Frozen gives the names of the devices that are suspended, in order.
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

// Event gives a device's table an event, as some targets do.
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

// Fail has f asked before each ioctl: its error, an errno, is the answer, and
// the command has no effect. f nil ends it. f is told the name that was passed.
func (k *Kernel) Fail(f func(command uint, name string) error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.before = f
}

// FailAfter is like Fail, but f is asked once a command has had its effect.
func (k *Kernel) FailAfter(f func(command uint, name string) error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.after = f
}

// Violations tells what callers have done that the kernel lets pass or cannot
// see, and that is wrong all the same: buffers that are not as they should be, a
// snapshot of an origin that was in use, a command that would never return.
func (k *Kernel) Violations() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.violations)
}

func (k *Kernel) violated(format string, args ...any) {
	k.violations = append(k.violations, fmt.Sprintf(format, args...))
}

// issue is an event of device-mapper: it wakes who waits.
func (k *Kernel) issue() {
	k.event++
	close(k.changed)
	k.changed = make(chan struct{})
}

// notify is an event of a device's active table.
func (k *Kernel) notify(d *device) {
	if d.active != nil {
		d.eventNr++
		k.issue()
	}
}
