package tree

import (
	"context"
	"fmt"
	"syscall"
	"time"

	"thintree/fusefs/layout"
	"thintree/fusefs/volume"
	"thintree/meta"
	"thintree/volfs/probe"
)

// VolumeInfo is the contents of info/<name>.json.
type VolumeInfo struct {
	Name string `json:"name"`
	// RecordedName is the name in the records, if it is no valid path: see layout.Escape.
	RecordedName string `json:"recorded_name,omitempty"`
	// Pool and DeviceID are missing if the volume is in no pool.
	Pool     string  `json:"pool,omitempty"`
	DeviceID *uint32 `json:"device_id,omitempty"`
	// LiesAt is where the bytes of a volume that is in no pool lie.
	LiesAt string     `json:"lies_at,omitempty"`
	Role   meta.Role  `json:"role"`
	State  meta.State `json:"state,omitempty"`
	// Kind is what the volume is in the words of its naming system.
	Kind   string `json:"kind,omitempty"`
	UUID   string `json:"uuid,omitempty"`
	Parent string `json:"parent,omitempty"`
	// ExternalOrigin is the volume that blocks are read from that this one has not mapped.
	ExternalOrigin string    `json:"external_origin,omitempty"`
	Labels         []Label   `json:"labels,omitempty"`
	Tags           []string  `json:"tags,omitempty"`
	Created        time.Time `json:"created,omitzero"`
	Host           string    `json:"host,omitempty"`
	// Containers, Images and Snapshots are the paths below their views of those that the volume
	// belongs to. The other three have their records.
	Containers       []string        `json:"containers,omitempty"`
	Images           []string        `json:"images,omitempty"`
	Snapshots        []string        `json:"snapshots,omitempty"`
	ContainerRecords []ContainerInfo `json:"container_records,omitempty"`
	ImageRecords     []ImageInfo     `json:"image_records,omitempty"`
	SnapshotRecords  []SnapshotInfo  `json:"snapshot_records,omitempty"`
	// Root is the folder with the contents that people look for, "" if it is the root folder.
	Root string `json:"root,omitempty"`
	// Record is the file that names the volume.
	Record      string `json:"record,omitempty"`
	SizeBytes   int64  `json:"size_bytes"`
	MappedBytes int64  `json:"mapped_bytes"`
	// TransactionID is the pool's when the device was created. CreationTime and
	// SnapshottedTime count the pool's snapshots; they are not clock times. All are 0 if the
	// volume is in no pool.
	TransactionID   uint64 `json:"transaction_id"`
	CreationTime    uint32 `json:"creation_time"`
	SnapshottedTime uint32 `json:"snapshotted_time"`
	// Engine is the engine that would read the volume's filesystem. EngineWhy is the reason for
	// that choice.
	Engine    volume.Engine `json:"engine"`
	EngineWhy string        `json:"engine_why"`
	// Live reports whether the volume may change. It may if somebody else has activated the
	// volume. It may also if somebody else has activated the pool, and it is not known which
	// volumes they use.
	Live bool `json:"live"`
	// InUseAs is the name of the device-mapper device with which somebody else has the volume
	// active.
	InUseAs string `json:"in_use_as,omitempty"`
	// LiveShown is how a volume in use is shown: bind, snapshot or disk, or auto if that is
	// known only once it is open.
	LiveShown  volume.Live     `json:"live_shown,omitempty"`
	Filesystem *FilesystemInfo `json:"filesystem,omitempty"`
	// Holds describes in a few words what was recognised on the volume. Found is all of it.
	Holds string       `json:"holds"`
	Found probe.Result `json:"found"`
	// Forced is why the device is not the one of the volume's record. It is shown all the same,
	// because names are forced.
	Forced string `json:"forced,omitempty"`
	// Problem is why nothing or only a part can be shown.
	Problem string `json:"problem,omitempty"`
	// Damaged says that the Problem is a failure to read something. Otherwise there is nothing
	// to read: the volume is blank, or no engine reads its filesystem.
	Damaged bool `json:"-"`
}

// FilesystemInfo describes a filesystem.
type FilesystemInfo struct {
	Type      string   `json:"type"`
	Label     string   `json:"label,omitempty"`
	UUID      string   `json:"uuid,omitempty"`
	SizeBytes int64    `json:"size_bytes"`
	FreeBytes *uint64  `json:"free_bytes,omitempty"` // nil if it cannot be read
	Dirty     bool     `json:"dirty"`
	Errors    bool     `json:"errors"`
	Features  []string `json:"features,omitempty"`
}

// Volume describes the volume of a node, which is the volume's root or a file in it. It leaves
// nothing open.
func (t *Tree) Volume(ctx context.Context, id NodeID) (VolumeInfo, error) {
	if !id.IsFile() {
		return VolumeInfo{}, fmt.Errorf("not in a volume: %w", syscall.EINVAL)
	}
	r, err := t.root(id)
	if err != nil {
		return VolumeInfo{}, err
	}
	if r.whole != nil {
		r = r.whole
	}
	p, err := t.peek(ctx, r)
	if err != nil {
		return VolumeInfo{}, err
	}
	v := r.Volume
	about, err := t.opener.About(ctx, v, p)
	if err != nil {
		return VolumeInfo{}, err
	}
	record := v.Record()
	d, _ := v.Details()
	i := VolumeInfo{
		Name: v.String(), LiesAt: record.Plain.String(), Role: record.Role, State: record.State, Kind: record.Kind, UUID: record.UUID,
		Parent: record.Parent, ExternalOrigin: record.ExternalOrigin, Root: record.Root, Record: record.Record, SizeBytes: p.SizeBytes,
		Labels: labelsOf(record.Labels), Tags: record.Tags, Created: record.Created, Host: record.Host,
		TransactionID: d.TransactionID, CreationTime: d.CreationTime, SnapshottedTime: d.SnapshottedTime,
		Live: v.Live(), Holds: volume.Holds(p.Found), Found: p.Found,
		Engine: about.Engine, EngineWhy: about.EngineWhy, InUseAs: about.InUseAs, LiveShown: about.Live,
		Problem: about.Problem, Damaged: about.Damaged,
	}
	if raw := layout.Unescape(i.Name); raw != i.Name {
		i.RecordedName = raw
	}
	if v.Pool != nil {
		id := v.DeviceID()
		i.Pool, i.DeviceID = v.Pool.Name(), &id
		i.MappedBytes, _ = v.MappedBytes()
	} else if record.Lost == nil {
		i.MappedBytes = p.SizeBytes
	}
	if err := v.Disagrees(); err != nil && t.opts.ForceNames {
		i.Forced = err.Error()
	}
	i.addUsers(t.layout.Load().Users(r.Slot))
	if c, ok := t.leases.Peek(v); ok {
		if shown, ok := c.Shown(); ok {
			i.LiveShown = shown
		}
	}
	if f := about.Filesystem; f != nil {
		i.Filesystem = &FilesystemInfo{
			Type: f.Type, Label: f.Label, UUID: f.UUID, SizeBytes: f.SizeBytes,
			Dirty: f.Dirty, Errors: f.Errors, Features: f.Features,
		}
		if about.Full != nil {
			free := about.Full.BlocksFree * uint64(about.Full.BlockSize)
			i.Filesystem.FreeBytes = &free
		}
	}
	return i, nil
}
