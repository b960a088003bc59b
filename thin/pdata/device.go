package pdata

import (
	"context"
	"errors"
	"fmt"
	"iter"
)

const (
	// MaxDevices is the number of possible ids: 0 to MaxDevices-1.
	MaxDevices = 1 << 24

	// devicesAtOnce is how many entries of each tree a listing reads at a time.
	devicesAtOnce = 1024
)

// DeviceDetails is what a pool stores of a thin device: struct disk_device_details of
// dm-thin-metadata.c, and the id that it is stored under.
type DeviceDetails struct {
	ID              uint32
	MappedBlocks    uint64 // data blocks
	TransactionID   uint64 // the pool's when the device was made
	CreationTime    uint32 // the pool's Time when the device was made
	SnapshottedTime uint32 // the pool's Time when a snapshot was last taken of it

	// InMappings is true if the device tree has the id, InDetails if the device details
	// have it, as far as they can be read. If InDetails is false, only ID and MappingRoot
	// are set.
	InMappings, InDetails bool
	// MappingRoot is the metadata block of the root of the device's mapping tree, 0 if
	// InMappings is false. The kernel never writes to a block of a committed tree, so a
	// changed mapping has another root.
	MappingRoot uint64
}

func (d *DeviceDetails) parse(p []byte) {
	d.MappedBlocks, d.TransactionID = le.Uint64(p), le.Uint64(p[8:])
	d.CreationTime, d.SnapshottedTime = le.Uint32(p[16:]), le.Uint32(p[20:])
	d.InDetails = true
}

// deviceTree is the top level of the mapping tree. It maps a device id to the root of the
// device's mapping tree.
func (v *View) deviceTree() *tree {
	return &tree{
		name: TreeDevices, root: v.root.DataMappingRoot, valueSize: 8, keyEnd: MaxDevices,
		checkValue: func(p []byte) error {
			if err := v.checkNumber(le.Uint64(p)); err != nil {
				return fmt.Errorf("leads to block %d: %w", le.Uint64(p), err)
			}
			return nil
		},
	}
}

func (v *View) detailsTree() *tree {
	return &tree{name: TreeDetails, root: v.root.DeviceDetailsRoot, valueSize: 24, keyEnd: MaxDevices}
}

// Device returns the details of one device. The error is [ErrNoDevice] if the pool has no
// device of the id. If one of the device tree and the device details is damaged there, the
// error is a [DamageError], and what the other one has is returned too.
func (m *Metadata) Device(ctx context.Context, id uint32) (DeviceDetails, error) {
	var d DeviceDetails
	err := m.Read(ctx, func(v *View) (err error) {
		d, err = v.Device(ctx, id)
		return err
	})
	return d, err
}

// Device is [Metadata.Device], of the view's moment.
func (v *View) Device(ctx context.Context, id uint32) (DeviceDetails, error) {
	d := DeviceDetails{ID: id}
	root, inMappings, mappingsErr := v.lookup(ctx, v.deviceTree(), uint64(id))
	if d.InMappings = inMappings; inMappings {
		d.MappingRoot = le.Uint64(root)
	}
	p, inDetails, detailsErr := v.lookup(ctx, v.detailsTree(), uint64(id))
	if inDetails {
		d.parse(p)
	}
	err := errors.Join(mappingsErr, detailsErr)
	if err == nil && !inMappings && !inDetails {
		err = fmt.Errorf("device %d: %w", id, ErrNoDevice)
	}
	return d, err
}

// Devices lists the pool's devices by rising id. It does not read their mapping trees. Errors
// come in the same order: a [DamageError] for a range of ids that one of the two trees has
// lost, and a [MismatchError] after a device that only one of them has. The listing continues
// after these. Any other error ends it.
//
// A live pool is listed in parts of about a thousand ids. Each part is of one superblock, but
// the whole listing need not be.
func (m *Metadata) Devices(ctx context.Context) iter.Seq2[DeviceDetails, error] {
	return func(yield func(DeviceDetails, error) bool) {
		for from := uint64(0); from < MaxDevices; {
			var part devicesPart
			err := m.Read(ctx, func(v *View) (err error) {
				part, err = v.devices(ctx, from)
				return err
			})
			if err != nil {
				yield(DeviceDetails{}, err)
				return
			}
			for _, f := range part.found {
				if !yield(f.device, f.err) {
					return
				}
			}
			from = part.end
		}
	}
}

// devicesPart is a part of a listing: what was found below the id end.
type devicesPart struct {
	found []foundDevice
	end   uint64
}

type foundDevice struct {
	device DeviceDetails
	err    error
}

func (v *View) devices(ctx context.Context, from uint64) (devicesPart, error) {
	mappings, err := v.gather(ctx, v.deviceTree(), from)
	if err != nil {
		return devicesPart{}, err
	}
	details, err := v.gather(ctx, v.detailsTree(), from)
	if err != nil {
		return devicesPart{}, err
	}
	part := devicesPart{end: min(mappings.end, details.end)}
	for {
		id := min(mappings.next(), details.next())
		if id >= part.end {
			return part, nil
		}
		part.addDamage(mappings.takeDamage(id), from)
		part.addDamage(details.takeDamage(id), from)
		root, inMappings := mappings.take(id)
		p, inDetails := details.take(id)
		if !inMappings && !inDetails {
			continue
		}
		d := DeviceDetails{ID: uint32(id), InMappings: inMappings}
		if inMappings {
			d.MappingRoot = le.Uint64(root)
		}
		if inDetails {
			d.parse(p)
		}
		part.found = append(part.found, foundDevice{device: d})
		if inMappings != inDetails && id >= max(mappings.lost, details.lost) {
			err := &MismatchError{ID: d.ID, InMappings: inMappings, InDetails: inDetails}
			part.found = append(part.found, foundDevice{err: err})
		}
	}
}

// addDamage adds damage, unless an earlier part had it.
func (part *devicesPart) addDamage(damage *DamageError, from uint64) {
	if damage != nil && damage.KeyBegin >= from {
		part.found = append(part.found, foundDevice{err: damage})
	}
}

// gathered is what one tree has, from some id on up to end.
type gathered struct {
	items []item
	lost  uint64 // the end of the damage that was last taken
	end   uint64
}

func (v *View) gather(ctx context.Context, t *tree, from uint64) (gathered, error) {
	g := gathered{end: t.keyEnd}
	for it, err := range v.walk(ctx, t, span{from, t.keyEnd}) {
		if err != nil {
			return g, err
		}
		if len(g.items) == devicesAtOnce {
			g.end = it.key
			break
		}
		g.items = append(g.items, it)
	}
	return g, nil
}

// next is the first id that was not taken yet.
func (g *gathered) next() uint64 {
	if len(g.items) == 0 {
		return g.end
	}
	return g.items[0].key
}

func (g *gathered) takeDamage(id uint64) *DamageError {
	if g.next() != id || len(g.items) == 0 || g.items[0].damage == nil {
		return nil
	}
	damage := g.items[0].damage
	g.items, g.lost = g.items[1:], damage.KeyEnd
	return damage
}

func (g *gathered) take(id uint64) ([]byte, bool) {
	if g.next() != id || len(g.items) == 0 {
		return nil, false
	}
	value := g.items[0].value
	g.items = g.items[1:]
	return value, true
}
