package volume

import (
	"log/slog"
	"sync"
	"sync/atomic"

	"thintree/fusefs/layout"
	"thintree/meta"
)

// Volume is a thin device or plain bytes with a name. If a device is deleted and its id is used
// again, the new device is another Volume. Its methods may be called concurrently.
type Volume struct {
	identity
	Pool *Pool // nil if it is in none
	in   medium

	newest atomic.Pointer[meta.Volume] // its source's newest record of it
	origin atomic.Pointer[Volume]      // its external origin; nil if it has none, or it is not known
	gone   atomic.Bool                 // see Gone
	told   atomic.Pointer[string]      // what tellUnopened said last

	whole Root // at the zero Place
	mu    sync.Mutex
	parts map[layout.Place]*Root // the other roots; guarded by mu
	// groups are the LVM volume groups in it, by the places of physical volumes; guarded by mu
	groups map[layout.Place]*groupsRead
}

// identity distinguishes a volume from others that have its name or its device id at another
// time.
type identity struct {
	name      string
	deviceID  uint32
	place     string // of plain bytes: the Key of where they lie
	uuid      string // of plain bytes: the volume's own
	sizeBytes int64
	// recorded is the pool's transaction id when the volume was made, by the record of its
	// source. transaction and creationTime are from the pool's details of the device, 0 if the
	// pool has none.
	recorded     uint64
	transaction  uint64
	creationTime uint32
	// epoch is the pool's or the disks': see reader.Pool.Epoch.
	epoch int
	// signs is the count of signs that it changed hands or contents: see usage.
	signs int
	// foreign says that the pool is not the one that the source's records describe.
	foreign bool
}

// Identity identifies the volume of a record. It is comparable, and changes if the record's
// device becomes another volume.
func (p *Pool) Identity(record *meta.Volume) any {
	d := p.devices()[record.DeviceID]
	return held{p, identity{
		name: record.Name, deviceID: record.DeviceID, sizeBytes: record.SizeBytes, recorded: record.TransactionID,
		transaction: d.TransactionID, creationTime: d.CreationTime, epoch: p.reader.Epoch(),
		signs: p.usage.signs(record.DeviceID), foreign: p.foreign.Load() != nil,
	}}
}

// New makes the Volume for a volume that is new in a layout. Its identity must be of a [*Pool] or
// of [*Disks].
func New(v *layout.Volume) *Volume {
	of := v.Identity.(held)
	vol := &Volume{identity: of.identity, in: of.medium}
	vol.Pool, _ = of.medium.(*Pool)
	vol.whole.Volume = vol
	vol.newest.Store(v.Record)
	return vol
}

// Record is the source's newest record of the volume.
func (v *Volume) Record() *meta.Volume { return v.newest.Load() }

// tellUnopened logs why the volume cannot be opened. It says the same only once.
func (v *Volume) tellUnopened(log *slog.Logger, err error) {
	text := err.Error()
	if last := v.told.Swap(&text); last == nil || *last != text {
		log.Warn("a volume cannot be opened", "volume", v.name, "error", err)
	}
}

// SetRecord replaces the source's record of the volume.
func (v *Volume) SetRecord(record *meta.Volume) { v.newest.Store(record) }

// String is the volume's name in the tree.
func (v *Volume) String() string { return v.name }

// DeviceID is the volume's id in its pool.
func (v *Volume) DeviceID() uint32 { return v.deviceID }

// Gone reports whether the volume has left the layout: see Leave.
func (v *Volume) Gone() bool { return v.gone.Load() }

// Leave records that the volume is no longer in the layout.
func (v *Volume) Leave() { v.gone.Store(true) }

// Root is a place in a volume at which a filesystem may begin: the whole volume or a
// partition.
type Root struct {
	Volume *Volume
	Place  layout.Place

	peeks     peeker
	toldShort atomic.Bool // tellShort has logged it
}

// At returns the root at a place.
func (v *Volume) At(place layout.Place) *Root {
	if place.IsWhole() {
		return &v.whole
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if r := v.parts[place]; r != nil {
		return r
	}
	if v.parts == nil {
		v.parts = make(map[layout.Place]*Root)
	}
	r := &Root{Volume: v, Place: place}
	v.parts[place] = r
	return r
}

// String is the root's path below volumes/.
func (r *Root) String() string { return r.Place.Below(r.Volume.name) }
