package volume

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"syscall"

	"thintree/meta"
	"thintree/thin/block"
	"thintree/thin/reader"
)

// Disks are the files and block devices that the plain volumes of a source lie on. The methods may
// be called concurrently, except for Refresh and Close.
type Disks struct {
	mu     sync.RWMutex
	byPath map[string]*reader.Disk // nil for one that cannot be opened; guarded by mu
	errs   map[string]error        // why it cannot be opened, or was not found last; guarded by mu
}

// NewDisks returns Disks without any.
func NewDisks() *Disks { return &Disks{} }

// Refresh opens the disks that the plain volumes of a catalog need, and looks at those that are
// open. It closes those that are no longer needed. It reports whether earlier reads may be out of
// date.
func (d *Disks) Refresh(ctx context.Context, volumes []meta.Volume) (changed bool) {
	byPath, errs := make(map[string]*reader.Disk), make(map[string]error)
	for i := range volumes {
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
	d.byPath, d.errs = byPath, errs
	d.mu.Unlock()
	for path, disk := range before {
		if disk != nil && byPath[path] != disk {
			disk.Close()
		}
	}
	return changed
}

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
	id := identity{name: record.Name, sizeBytes: record.SizeBytes, place: record.UUID + record.Plain.Key()}
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

// changing reports whether one of the volume's disks may change.
func (d *Disks) changing(v *Volume) bool {
	for _, path := range v.Record().Plain.Paths() {
		if disk, _ := d.at(path); disk == nil || disk.Live() {
			return true
		}
	}
	return false
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
