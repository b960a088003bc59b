package dmtest

import (
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// table is a device's table, active or not.
type table struct {
	device   *device
	readOnly bool
	targets  []placed
	opened   []uint64 // the numbers of the devices that it has open
}

// placed is a target with its range.
type placed struct {
	start, length uint64
	kind          string
	target
}

// target serves a range of a device.
type target interface {
	table() string
	status() string
	needs() (number, sectors uint64, ok bool) // how many sectors, from 0 on, the target needs of a device below
	preresume(k *Kernel) error
	resume(k *Kernel)
	suspend(k *Kernel)
	message(k *Kernel, words []string) error
	close(k *Kernel)
}

// plain is a target without state.
type plain struct{}

func (plain) table() string                   { return "" }
func (plain) status() string                  { return "" }
func (plain) needs() (uint64, uint64, bool)   { return 0, 0, false }
func (plain) preresume(*Kernel) error         { return nil }
func (plain) resume(*Kernel)                  {}
func (plain) suspend(*Kernel)                 {}
func (plain) message(*Kernel, []string) error { return unix.EINVAL }
func (plain) close(*Kernel)                   {}

func (t *table) preresume(k *Kernel) error {
	for _, p := range t.targets {
		if err := p.preresume(k); err != nil {
			return err
		}
	}
	return nil
}

func (t *table) resume(k *Kernel) {
	for _, p := range t.targets {
		p.resume(k)
	}
}

func (t *table) suspend(k *Kernel) {
	if t == nil {
		return
	}
	for _, p := range t.targets {
		p.suspend(k)
	}
}

func (t *table) sectors() uint64 {
	last := t.targets[len(t.targets)-1]
	return last.start + last.length
}

// drop destroys a table. t may be nil.
func (k *Kernel) drop(t *table) {
	if t == nil {
		return
	}
	for _, p := range t.targets {
		p.close(k)
	}
	for _, number := range t.opened {
		if unix.Major(number) == Major {
			k.close(k.byMinor[unix.Minor(number)])
		}
	}
}

// open opens a device for a table. text is MAJOR:MINOR, or the path of a device of this
// Kernel.
func (k *Kernel) open(t *table, text string) (uint64, error) {
	number, err := k.resolve(text)
	if err != nil {
		return 0, err
	}
	if number == t.device.number() && t.device.loaded {
		return 0, unix.EINVAL
	}
	if slices.Contains(t.opened, number) {
		return number, nil
	}
	if unix.Major(number) == Major {
		d := k.byMinor[unix.Minor(number)]
		if d == nil || !d.loaded {
			return 0, unix.ENXIO
		}
		d.openers++
	}
	t.opened = append(t.opened, number)
	return number, nil
}

func (k *Kernel) resolve(text string) (uint64, error) {
	var major, minor uint32
	if n, err := fmt.Sscanf(text, "%d:%d", &major, &minor); n == 2 && err == nil {
		return unix.Mkdev(major, minor), nil
	}
	if name, ok := strings.CutPrefix(text, "/dev/mapper/"); ok && k.byName[name] != nil {
		return k.byName[name].number(), nil
	}
	if n, err := fmt.Sscanf(text, "/dev/dm-%d", &minor); n == 1 && err == nil && k.byMinor[minor] != nil {
		return unix.Mkdev(Major, minor), nil
	}
	return 0, unix.ENODEV
}

// sectors is the length of a device; ok says that it is known.
func (k *Kernel) sectors(number uint64) (sectors uint64, ok bool) {
	if unix.Major(number) != Major {
		sectors, ok = k.disks[number]
		return sectors, ok
	}
	if d := k.byMinor[unix.Minor(number)]; d != nil && d.active != nil {
		return d.active.sectors(), true
	}
	return 0, false
}

// fits reports whether the devices below a table are long enough for it.
func (k *Kernel) fits(t *table) bool {
	for _, p := range t.targets {
		number, needed, ok := p.needs()
		if !ok {
			continue
		}
		if sectors, ok := k.sectors(number); ok && sectors < needed {
			return false
		}
	}
	return true
}

func (k *Kernel) load(d *device, p *param) error {
	specs, err := k.readSpecs(p)
	if err != nil {
		return err
	}
	t := &table{device: d, readOnly: p.has(unix.DM_READONLY_FLAG)}
	if err := k.populate(t, specs); err != nil {
		k.drop(t)
		return err
	}
	k.drop(d.inactive)
	d.inactive, d.loaded = t, true
	p.header.Flags |= unix.DM_INACTIVE_PRESENT_FLAG
	d.describe(p)
	return nil
}

// populate is populate_table of dm-ioctl.c with the later checks of table_load.
func (k *Kernel) populate(t *table, specs []spec) error {
	end := uint64(0)
	for _, s := range specs {
		kind, ok := kinds[s.kind]
		if !ok || s.length == 0 || s.start != end || s.kind == poolKind && (len(specs) > 1 || t.readOnly) {
			return unix.EINVAL
		}
		made, err := kind.make(k, t, s, strings.Fields(s.params))
		if err != nil {
			return err
		}
		t.targets = append(t.targets, placed{s.start, s.length, s.kind, made})
		end = s.start + s.length
	}
	if old, kind := t.device.active, t.targets[0].kind; old != nil && old.targets[0].kind == poolKind && kind != poolKind && kind != errorKind {
		return unix.EINVAL // a pool is immutable
	}
	if !t.device.loaded && !k.fits(t) {
		return unix.EINVAL
	}
	return nil
}

func (k *Kernel) clear(d *device, p *param) error {
	k.drop(d.inactive)
	d.inactive = nil
	p.header.Flags &^= unix.DM_INACTIVE_PRESENT_FLAG
	d.describe(p)
	return nil
}

// tableStatus is retrieve_status of dm-ioctl.c: it leaves out targets that do not fit.
func (k *Kernel) tableStatus(d *device, p *param) error {
	d.describe(p)
	if d.active == nil {
		return nil
	}
	room := p.room()
	used, at := 0, 0
	for _, t := range d.active.targets {
		params := t.status()
		if p.has(unix.DM_STATUS_TABLE_FLAG) {
			params = t.table()
		}
		end := at + unix.SizeofDmTargetSpec + len(params) + 1
		if end >= len(room) || align(end) > len(room) {
			p.full()
			break
		}
		s := room[at:]
		clear(s[:unix.SizeofDmTargetSpec])
		native.PutUint64(s[0:], t.start)
		native.PutUint64(s[8:], t.length)
		native.PutUint32(s[20:], uint32(align(end)))
		copy(s[24:], t.kind)
		s[unix.SizeofDmTargetSpec+copy(s[unix.SizeofDmTargetSpec:], params)] = 0
		used, at = end, align(end)
	}
	if used > 0 {
		p.header.Data_size = uint32(headerBytes + used)
	}
	return nil
}

func (k *Kernel) tableDeps(d *device, p *param) error {
	d.describe(p)
	if d.active == nil {
		return nil
	}
	data := native.AppendUint32(nil, uint32(len(d.active.opened)))
	data = native.AppendUint32(data, 0)
	for _, number := range slices.Backward(d.active.opened) { // in the order of the kernel's list
		data = native.AppendUint64(data, encode(number))
	}
	p.answer(data)
	return nil
}
