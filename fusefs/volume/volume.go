package volume

import (
	"sync"
	"sync/atomic"

	"thintree/fusefs/layout"
	"thintree/meta"
)

// Volume is a thin device with a name, as long as it exists: a device id that was given to
// another volume since is another Volume. Its methods may be called concurrently.
type Volume struct {
	identity
	Pool *Pool

	newest atomic.Pointer[meta.Volume] // what its source says of it now
	gone   atomic.Bool

	mu    sync.Mutex
	roots map[layout.Place]*Root // guarded by mu
}

// identity tells a volume from another one that has its name or its device id
// at another time.
type identity struct {
	name      string
	deviceID  uint32
	sizeBytes int64
	// recorded is the pool's transaction id when the volume was made, as its
	// source has it; transaction and creationTime are the pool's own, 0 if it
	// has no such id.
	recorded     uint64
	transaction  uint64
	creationTime uint32
	// epoch is the pool's: see reader.Pool.Epoch.
	epoch int
	// signs counts the signs that it changed hands or contents: see usage.
	signs int
	// foreign says that the pool is not the one that the source's records are of.
	foreign bool
}

// pooled is an identity in a pool.
type pooled struct {
	*Pool
	identity
}

// Identity is comparable, and differs if a record's volume is another one than before.
func (p *Pool) Identity(record *meta.Volume) any {
	d := p.devices()[record.DeviceID]
	return pooled{p, identity{
		name: record.Name, deviceID: record.DeviceID, sizeBytes: record.SizeBytes, recorded: record.TransactionID,
		transaction: d.TransactionID, creationTime: d.CreationTime, epoch: p.reader.Epoch(),
		signs: p.usage.signs(record.DeviceID), foreign: p.foreign.Load() != nil,
	}}
}

// New is the volume of a layout that is not in the layout before. Its pool is a [*Pool].
func New(v *layout.Volume) *Volume {
	of := v.Identity.(pooled)
	vol := &Volume{identity: of.identity, Pool: of.Pool, roots: make(map[layout.Place]*Root)}
	vol.newest.Store(v.Record)
	return vol
}

// Record is what its source says of the volume.
func (v *Volume) Record() *meta.Volume { return v.newest.Load() }

// SetRecord says what its source says of the volume now.
func (v *Volume) SetRecord(record *meta.Volume) { v.newest.Store(record) }

// String is the volume's name as the tree shows it.
func (v *Volume) String() string { return v.name }

// DeviceID is the volume's id in its pool.
func (v *Volume) DeviceID() uint32 { return v.deviceID }

// Gone reports whether the volume is in no layout any more.
func (v *Volume) Gone() bool { return v.gone.Load() }

// Leave says that the volume is in no layout any more.
func (v *Volume) Leave() { v.gone.Store(true) }

// Deleted reports whether its owner has deleted the volume, and the pool may still have
// it: what is left there is nobody's.
func (v *Volume) Deleted() bool { return v.Record().State == meta.StateDeleted }

// MayHavePartitions is false of what container engines make: there is a filesystem on the
// whole of it, so that nobody needs to look.
func (v *Volume) MayHavePartitions() bool { return v.Record().Role == meta.RoleVolume }

// Live reports whether the volume may change, or may have changed since it became what it
// is here: see usage.
func (v *Volume) Live() bool {
	return v.Pool.reader.Live() && v.Pool.usage.changing(v.deviceID, v.signs)
}

// Root is where a filesystem may begin: a volume, or a place in one.
type Root struct {
	Volume *Volume
	Place  layout.Place

	peeks     peeker
	toldShort atomic.Bool // the log says already that it is too short
}

// At is the root at a place.
func (v *Volume) At(place layout.Place) *Root {
	v.mu.Lock()
	defer v.mu.Unlock()
	r := v.roots[place]
	if r == nil {
		r = &Root{Volume: v, Place: place}
		v.roots[place] = r
	}
	return r
}

// String is the root's path below volumes/.
func (r *Root) String() string { return r.Place.Below(r.Volume.name) }
