package volume

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"syscall"

	"thintree/meta"
	"thintree/thin/block"
	"thintree/thin/lend"
	"thintree/thin/reader"
)

// Disks are the files and block devices that the plain volumes of a source lie on. The methods may
// be called concurrently, except for Refresh and Close.
type Disks struct {
	mu     sync.RWMutex
	byPath map[string]*reader.Disk // nil for one that cannot be opened; guarded by mu
	errs   map[string]error        // why it cannot be opened, or was not found last; guarded by mu
	pieces []block.Location        // of the volumes that lie in pieces of block devices; guarded by mu

	usage usage[string] // by the Key of the location
}

// NewDisks returns Disks without any.
func (o *Opener) NewDisks() *Disks {
	d := &Disks{}
	d.usage.watched = o.watched
	return d
}

// Refresh opens the disks that the plain volumes of a catalog need, and looks at those that are
// open. It closes those that are no longer needed. It reports whether earlier reads may be out of
// date.
func (d *Disks) Refresh(ctx context.Context, o *Opener, volumes []meta.Volume) (changed bool) {
	byPath, errs := make(map[string]*reader.Disk), make(map[string]error)
	var pieces []block.Location
	for i := range volumes {
		if volumes[i].Plain.IsNowhere() {
			continue
		}
		if _, whole := volumes[i].Plain.Path(); !whole {
			pieces = append(pieces, volumes[i].Plain)
		}
		for _, path := range volumes[i].Plain.Paths() {
			if _, known := byPath[path]; known {
				continue
			}
			disk, _ := d.at(path)
			var err error
			if disk == nil {
				disk, err = reader.OpenDisk(ctx, path)
				changed = changed || err == nil
			} else {
				var c bool
				c, err = disk.Refresh(ctx)
				changed = changed || c
			}
			byPath[path] = disk
			if err != nil {
				errs[path] = err
			}
		}
	}
	d.mu.Lock()
	before := d.byPath
	d.byPath, d.errs, d.pieces = byPath, errs, pieces
	d.mu.Unlock()
	d.Observe(ctx, o.Kernel)
	changed = d.usage.moved.Swap(false) || changed
	for path, disk := range before {
		if disk != nil && byPath[path] != disk {
			disk.Close()
		}
	}
	return changed
}

// Observe looks which of the plain volumes in pieces others have active, as LVM has its volumes.
func (d *Disks) Observe(ctx context.Context, k Kernel) {
	d.mu.RLock()
	pieces := d.pieces
	d.mu.RUnlock()
	if k == nil || len(pieces) == 0 {
		return
	}
	users := make(map[string]lend.User)
	for _, at := range pieces {
		user, err := k.UserOf(ctx, at)
		if err != nil {
			d.usage.lose()
			return
		}
		if user.Name != "" {
			users[at.Key()] = user
		}
	}
	d.usage.see(users)
}

// Moved reports whether a volume may have become another one since the last Refresh.
func (d *Disks) Moved() bool { return d.usage.moved.Load() }

// Unseen records that a device-mapper device was removed before anybody could see what it was.
func (d *Disks) Unseen() { d.usage.seeUnseen() }

// When is when a disk last changed, in nanoseconds since 1970, 0 if that is not known of any.
func (d *Disks) When() (when int64) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	for _, disk := range d.byPath {
		if disk != nil {
			when = max(when, disk.When())
		}
	}
	return when
}

// Problems lists why disks cannot be read.
func (d *Disks) Problems() (list []error) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	for _, err := range d.errs {
		list = append(list, err)
	}
	return list
}

// at is the disk at a path, nil if there is none. err is why it cannot be read now.
func (d *Disks) at(path string) (disk *reader.Disk, err error) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.byPath[path], d.errs[path]
}

// held is an identity together with what the volume is read from.
type held struct {
	medium
	identity
}

// Identity identifies the plain volume of a record. It is comparable, and changes if the record's
// bytes lie elsewhere or may have changed.
func (d *Disks) Identity(record *meta.Volume) any {
	key := record.Plain.Key()
	id := identity{name: record.Name, sizeBytes: record.SizeBytes, uuid: record.UUID, place: key, signs: d.usage.signs(key)}
	for _, path := range record.Plain.Paths() {
		if disk, _ := d.at(path); disk != nil {
			id.epoch += disk.Epoch()
		}
	}
	return held{d, id}
}

// Close closes all disks. No volume may be open.
func (d *Disks) Close() error {
	var errs []error
	for _, disk := range d.byPath {
		if disk != nil {
			errs = append(errs, disk.Close())
		}
	}
	return errors.Join(errs...)
}

// reader is the bytes of a plain volume.
func (d *Disks) reader(v *Volume) (block.Reader, error) {
	place, byPath := v.Record().Plain, make(map[string]block.Reader)
	for _, path := range place.Paths() {
		disk, err := d.at(path)
		if err != nil {
			return nil, &unreadError{err}
		}
		if disk == nil {
			return nil, fmt.Errorf("%s: %w", path, syscall.ESTALE)
		}
		byPath[path] = disk
	}
	return place.Over(byPath), nil
}

// plain is a plain volume that is open.
type plain struct{ block.Reader }

func (plain) Close() error { return nil }

func (d *Disks) openDevice(_ context.Context, v *Volume, _ int64) (device, error) {
	r, err := d.reader(v)
	return plain{r}, err
}

func (d *Disks) read(_ context.Context, v *Volume, f func(open func(sizeBytes int64) (device, error)) error) error {
	r, err := d.reader(v)
	if err != nil {
		return err
	}
	return f(func(int64) (device, error) { return block.Keep(r, pieceBytes(d.changing(v))), nil })
}

func (d *Disks) leastBytes(_ context.Context, v *Volume) (int64, error) {
	r, err := d.reader(v)
	if err != nil {
		return 0, err
	}
	return r.Size(), nil
}

func (d *Disks) misfit(v *Volume) error {
	if r := v.Record(); r.Lost != nil {
		return r.Lost
	}
	return nil
}

// changing reports whether one of the volume's disks may change. If it lies in pieces of them, only its
// own user changes these.
func (d *Disks) changing(v *Volume) bool {
	live := false
	for _, path := range v.Record().Plain.Paths() {
		disk, _ := d.at(path)
		if disk == nil {
			return true
		}
		live = live || disk.Live()
	}
	_, whole := v.Record().Plain.Path()
	return live && (whole || d.usage.changing(v.place, v.signs))
}

func (d *Disks) when(v *Volume) (when int64) {
	for _, path := range v.Record().Plain.Paths() {
		if disk, _ := d.at(path); disk != nil {
			when = max(when, disk.When())
		}
	}
	return when
}

func (d *Disks) mayStall() bool { return false }
