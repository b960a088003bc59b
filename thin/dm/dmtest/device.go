package dmtest

import (
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// device is a mapped device.
type device struct {
	name, uuid string
	minor      uint32
	openers    int // descriptors, mounts, and tables of devices above
	eventNr    uint32

	suspended bool
	beneath   bool // suspended internally, because its pool is suspended
	readOnly  bool
	deferred  bool // it is removed when its last opener closes it
	loaded    bool // it has had a table; before that there is no block device

	active, inactive *table
}

func (d *device) number() uint64 { return unix.Mkdev(Major, d.minor) }

// describe fills in the header: __dev_status of dm-ioctl.c.
func (d *device) describe(p *param) {
	h := &p.header
	h.Flags &^= unix.DM_SUSPEND_FLAG | unix.DM_READONLY_FLAG | unix.DM_ACTIVE_PRESENT_FLAG | unix.DM_INTERNAL_SUSPEND_FLAG
	set := func(is bool, flag uint32) {
		if is {
			h.Flags |= flag
		}
	}
	set(d.suspended, unix.DM_SUSPEND_FLAG)
	set(d.beneath, unix.DM_INTERNAL_SUSPEND_FLAG)
	set(d.deferred, unix.DM_DEFERRED_REMOVE)
	set(d.active != nil, unix.DM_ACTIVE_PRESENT_FLAG)
	set(d.active != nil && d.readOnly, unix.DM_READONLY_FLAG)
	h.Dev = encodeNumber(Major, d.minor)
	h.Open_count = int32(d.openers)
	h.Event_nr = d.eventNr
	h.Target_count = 0
	if d.active != nil {
		h.Target_count = uint32(len(d.active.targets))
	}
}

// find finds the device that a command names.
func (k *Kernel) find(p *param) (*device, error) {
	h := &p.header
	d := k.byName[cString(h.Name[:])]
	if uuid := cString(h.Uuid[:]); uuid != "" {
		d = k.byUUID[uuid]
	}
	if d == nil {
		return nil, unix.ENXIO
	}
	p.setName(d.name, d.uuid)
	h.Flags &^= unix.DM_INACTIVE_PRESENT_FLAG
	if d.inactive != nil {
		h.Flags |= unix.DM_INACTIVE_PRESENT_FLAG
	}
	return d, nil
}

func (k *Kernel) create(p *param) error {
	name, uuid := cString(p.header.Name[:]), cString(p.header.Uuid[:])
	if name == "" || strings.Contains(name, "/") {
		return unix.EINVAL
	}
	if k.byName[name] != nil || uuid != "" && k.byUUID[uuid] != nil {
		return unix.EBUSY
	}
	d := &device{name: name, uuid: uuid}
	for k.byMinor[d.minor] != nil {
		d.minor++
	}
	k.byName[name], k.byMinor[d.minor] = d, d
	if uuid != "" {
		k.byUUID[uuid] = d
	}
	p.header.Flags &^= unix.DM_INACTIVE_PRESENT_FLAG
	d.describe(p)
	return nil
}

func (k *Kernel) rename(p *param) error {
	to, err := k.readString(p, 0)
	if err != nil {
		return err
	}
	if to == "" || len(to) >= unix.DM_NAME_LEN || strings.Contains(to, "/") || p.has(unix.DM_UUID_FLAG) {
		return unix.EINVAL
	}
	if k.byName[to] != nil {
		return unix.EBUSY
	}
	d := k.byName[p.passed]
	if d == nil {
		return unix.ENXIO
	}
	delete(k.byName, d.name)
	d.name = to
	k.byName[to] = d
	k.notify(d)
	p.header.Flags |= unix.DM_UEVENT_GENERATED_FLAG
	d.describe(p)
	return nil
}

func (k *Kernel) removeCommand(d *device, p *param) error {
	if d.openers > 0 {
		if !p.has(unix.DM_DEFERRED_REMOVE) {
			return unix.EBUSY
		}
		d.deferred = true
		return nil
	}
	k.remove(d)
	p.header.Flags &^= unix.DM_DEFERRED_REMOVE
	p.header.Flags |= unix.DM_UEVENT_GENERATED_FLAG
	return nil
}

// remove removes a device that is not open, with its tables.
func (k *Kernel) remove(d *device) {
	delete(k.byName, d.name)
	delete(k.byUUID, d.uuid)
	delete(k.byMinor, d.minor)
	k.notify(d)
	for _, t := range []*table{d.inactive, d.active} {
		k.drop(t)
	}
	d.active, d.inactive = nil, nil
}

// close removes one opener.
func (k *Kernel) close(d *device) {
	if d.openers--; d.openers == 0 && d.deferred {
		k.remove(d)
	}
}

func (k *Kernel) suspend(d *device, p *param) error {
	if !d.suspended {
		if d.beneath {
			return k.waits("suspend", d)
		}
		d.active.suspend(k)
		d.suspended = true
	}
	d.describe(p)
	return nil
}

func (k *Kernel) resume(d *device, p *param) error {
	if d.beneath && (d.inactive != nil || d.suspended) {
		return k.waits("resume", d)
	}
	table := d.inactive
	d.inactive = nil
	p.header.Flags &^= unix.DM_INACTIVE_PRESENT_FLAG
	if table != nil {
		if !d.suspended {
			d.active.suspend(k)
			d.suspended = true
		}
		if !k.fits(table) {
			k.drop(table)
			return unix.EINVAL
		}
		old := d.active
		d.active, d.readOnly = table, table.readOnly
		defer k.drop(old)
	}
	if d.suspended {
		if d.active == nil {
			return unix.EINVAL
		}
		if err := d.active.preresume(k); err != nil {
			return err
		}
		d.suspended = false
		d.active.resume(k)
		p.header.Flags |= unix.DM_UEVENT_GENERATED_FLAG
	}
	d.describe(p)
	return nil
}

// waits records a command from which the kernel would not return.
func (k *Kernel) waits(what string, d *device) error {
	k.violated("%s %s: it would wait for its pool, which is suspended", what, d.name)
	return unix.EDEADLK
}

func (k *Kernel) listDevices(p *param) error {
	names := make([]string, 0, len(k.byName))
	for name := range k.byName {
		if strings.HasPrefix(name, p.passed) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	var data []byte
	last := 0
	for i, name := range names {
		if i > 0 {
			native.PutUint32(data[last+8:], uint32(len(data)-last))
		}
		last = len(data)
		d := k.byName[name]
		data = native.AppendUint64(data, encodeNumber(Major, d.minor))
		data = native.AppendUint32(data, 0) // next
		data = appendAligned(append(append(data, name...), 0))
		data = native.AppendUint32(data, d.eventNr)
		data = native.AppendUint32(data, 0) // flags
	}
	if len(p.room()) < 8 {
		p.full()
		return nil
	}
	p.answer(data)
	return nil
}
