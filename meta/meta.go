package meta

import (
	"context"
	"time"

	"thintree/thin/block"
)

// Source is one place where volumes are named. Its methods may be called
// concurrently.
type Source interface {
	// String is the source as a person writes it: "docker:/var/lib/docker".
	String() string

	// Places are the paths of the files and folders that Load reads, and the pools
	// it names.
	Places() []string

	// Load reads the records as they are now. If a record is missing or damaged, the
	// catalog lacks what the record names, and has a warning. Load returns an error only
	// if it can read nothing at all.
	Load(ctx context.Context) (*Catalog, error)

	// Stamp returns another text than before if the records may have changed since. It is
	// cheap: it does not read the records.
	Stamp(ctx context.Context) (string, error)
}

// Catalog is what a source knows at one moment. It does not change once it is made.
type Catalog struct {
	Pools      []Pool
	Volumes    []Volume
	Containers []Container
	Images     []Image
	Snapshots  []Snapshot
	// ContainersLost, ImagesLost and SnapshotsLost are why there may be more of them than
	// these: their records could not be listed. Otherwise they are nil.
	ContainersLost, ImagesLost, SnapshotsLost error
	// Warnings are errors for the records that could not be read. Each says which record,
	// and why.
	Warnings []error
}

// Pool is where a pool's two halves lie.
type Pool struct {
	// Name is the pool's name in its naming system, "pool" if it has none. Slashes in it
	// make folders.
	Name string
	// Metadata and Data are nowhere if the records do not say where they lie.
	Metadata, Data block.Location
	// Device is the name of the device-mapper device as which the pool's owner activates
	// it, "" if the records do not say it. If Metadata and Data are nowhere, the pool can be
	// read only while that device exists.
	Device string
	// TransactionID is the pool's by the records. 0 means that it is not recorded.
	TransactionID uint64
	// ByDevices says that only its devices tell the pool from others: no record has a
	// transaction id or a UUID. A pool without most of the recorded devices is another one.
	ByDevices bool
}

// Same reports whether two records are of one pool, by all their fields but the transaction id.
func (p Pool) Same(other Pool) bool {
	return p.Name == other.Name && p.Device == other.Device && p.Metadata.Equal(other.Metadata) && p.Data.Equal(other.Data)
}

// Volume is something with a name that holds bytes: a thin device of a pool, or plain bytes.
type Volume struct {
	// Name is the volume's name, of any bytes. Slashes in it make folders.
	Name string
	// Pool is the Name of its Pool, "" of plain bytes. DeviceID is its device's in the pool,
	// 0 to 1<<24-1, and of no meaning for plain bytes.
	Pool     string
	DeviceID uint32
	// Plain is where plain bytes lie. It is nowhere for a thin device, and for a volume
	// whose bytes cannot be found.
	Plain block.Location
	// Lost is why the volume's bytes cannot be found. Otherwise it is nil. Such a volume
	// has neither a Pool nor a Plain.
	Lost error
	// ExternalOrigin is the Name of the volume from which a thin device reads the blocks
	// that it has not mapped, "" if there is none.
	ExternalOrigin string
	// SizeBytes is the volume's length; 0 if no record has it.
	SizeBytes int64
	// Parent is the Name of the volume that this one is a snapshot of, "" if there is
	// none.
	Parent string
	// Role is what the volume is for.
	Role Role
	// Root is the folder in the volume where what people look for begins:
	// "rootfs", or "" for the volume's own root.
	Root string
	// State says what is unusual about the volume; "" if nothing is.
	State State
	// TransactionID is what the pool's became when the volume was created: that of
	// the device in the pool is one less. A later volume with the same id, and one of another pool,
	// have other values. 0 means that it is not recorded.
	TransactionID uint64
	// FilesystemUUID is recorded of the filesystem on the volume, in blkid's form, ""
	// if none is. A pool in which it is another one is not the pool of the source.
	FilesystemUUID string
	// Record is the path of the record that names the volume.
	Record string

	// Kind is what the volume is in the words of its naming system: "thin", "raid1".
	// Here and below the zero value means that it is not recorded.
	Kind string
	// UUID is the volume's own, as its naming system writes it.
	UUID string
	// Labels and Tags are what its owner has attached to it.
	Labels map[string]string
	Tags   []string
	// Created is when it was made, and Host the host that made it.
	Created time.Time
	Host    string
}

// IsThin reports whether the volume is a thin device of a pool.
func (v *Volume) IsThin() bool { return v.Pool != "" }

// Deleted reports whether the owner has deleted the volume. The pool may still have some of it,
// which nobody uses any more.
func (v *Volume) Deleted() bool { return v.State == StateDeleted }

// MayHavePartitions reports whether the volume may have partitions. The volumes of container
// engines have none: they are always a filesystem as a whole.
func (v *Volume) MayHavePartitions() bool { return v.Role == RoleVolume }

// Role is what a volume is for.
type Role string

// The roles of volumes.
const (
	RoleBase      Role = "base"           // the empty filesystem that all others begin as
	RoleLayer     Role = "layer"          // an image's
	RoleInit      Role = "container-init" // between an image's layer and a container
	RoleContainer Role = "container"
	RoleVolume    Role = "volume" // nothing is known about what it is for
)

// State is what is unusual about a volume.
type State string

// The states of volumes.
const (
	StateNormal  State = ""
	StateDeleted State = "deleted"   // deletion was asked for and has not happened yet
	StateHalf    State = "half-made" // its creation or deletion was under way when its maker stopped
	StateFaulty  State = "faulty"    // its owner has given it up after an error
)

// Container is a container that somebody runs or ran.
type Container struct {
	ID string
	// Name is what its owner calls it. Slashes in it make folders.
	Name string
	// Volume is the Name of the volume with its files.
	Volume string
	// Image is the image it was made from, as the record has it.
	Image string

	// Status is what its owner says of it: "running", "exited (0)". Here and below the
	// zero value means that it is not recorded.
	Status string
	// Command is what it runs, with its arguments.
	Command []string
	Labels  map[string]string
	Mounts  []Mount
	// Created, Started and Finished are when it was made, and when it last began and
	// ended.
	Created, Started, Finished time.Time
}

// Mount is something that is mounted in a container.
type Mount struct {
	Type        string // "bind", "volume", "tmpfs"
	Source      string // a path of the host, or the name of a volume
	Destination string // a path in the container
	ReadOnly    bool
}

// Image is an image that a container can be made from.
type Image struct {
	ID string
	// Names are its repository:tag names. Slashes in them make folders. An
	// untagged image has none.
	Names []string
	// Volume is the Name of the volume of its topmost layer.
	Volume string

	Labels  map[string]string // nil if none are recorded
	Created time.Time         // zero if it is not recorded
}

// Snapshot is what a snapshotter calls a volume.
type Snapshot struct {
	// Name is its namespace and key, with a slash between them. Slashes make folders.
	Name string
	// Volume is the Name of its volume.
	Volume string
	// Parent is the Name of the snapshot that it was made from, "" if there is none.
	Parent  string
	Kind    SnapshotKind
	Labels  map[string]string
	Created time.Time // zero if it is not recorded
}

// SnapshotKind is what can be done with a snapshot.
type SnapshotKind string

// The kinds of snapshots.
const (
	SnapshotActive    SnapshotKind = "active"    // it can be written to
	SnapshotCommitted SnapshotKind = "committed" // it can be the parent of others
	SnapshotView      SnapshotKind = "view"      // it is read-only
)
