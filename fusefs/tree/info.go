package tree

import (
	"context"
	"fmt"
	"io"
	"strings"
	"syscall"

	"thintree/fusefs/bytejson"
	"thintree/fusefs/layout"
	"thintree/fusefs/volume"
	"thintree/meta"
	"thintree/volfs"
	"thintree/volfs/probe"
)

// VolumeInfo is the contents of info/<name>.json.
type VolumeInfo struct {
	Name     string     `json:"name"`
	Pool     string     `json:"pool"`
	DeviceID uint32     `json:"device_id"`
	Role     meta.Role  `json:"role"`
	State    meta.State `json:"state,omitempty"`
	Parent   string     `json:"parent,omitempty"`
	// Containers and Images are those that the volume belongs to.
	Containers []string `json:"containers,omitempty"`
	Images     []string `json:"images,omitempty"`
	// Root is the folder with the contents that people look for, "" if it is the root folder.
	Root string `json:"root,omitempty"`
	// Record is the file that names the volume.
	Record      string `json:"record,omitempty"`
	SizeBytes   int64  `json:"size_bytes"`
	MappedBytes int64  `json:"mapped_bytes"`
	// TransactionID is the pool's when the device was created. CreationTime and
	// SnapshottedTime count the pool's snapshots; they are not clock times.
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

// PoolInfo is the contents of pools/<pool>.json.
type PoolInfo struct {
	Name     string `json:"name"`
	Metadata string `json:"metadata"`
	Data     string `json:"data"`
	// Mode is "live" if somebody else has the pool active, and "offline" if nobody has.
	Mode string `json:"mode"`
	// LiveBy is the name of the device with which the pool is active.
	LiveBy             string   `json:"live_by,omitempty"`
	HeldRoot           bool     `json:"held_root"`
	NeedsCheck         bool     `json:"needs_check"`
	TransactionID      uint64   `json:"transaction_id"`
	DataBlockBytes     int64    `json:"data_block_bytes"`
	DataTotalBytes     int64    `json:"data_total_bytes"`
	DataUsedBytes      int64    `json:"data_used_bytes"`
	MetadataTotalBytes int64    `json:"metadata_total_bytes"`
	MetadataUsedBytes  int64    `json:"metadata_used_bytes"`
	Devices            int      `json:"devices"`
	OpenVolumes        int      `json:"open_volumes"`
	OpensTotal         int64    `json:"opens_total"`
	MaxActive          int      `json:"max_active"`
	Problems           []string `json:"problems,omitempty"`
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
	users := t.layout.Load().Users(r.Slot)
	i := VolumeInfo{
		Name: v.String(), Pool: v.Pool.Name(), DeviceID: v.DeviceID(), Role: record.Role, State: record.State,
		Parent: record.Parent, Root: record.Root, Record: record.Record, SizeBytes: p.SizeBytes,
		Containers: users.Containers, Images: users.Images,
		MappedBytes:   int64(d.MappedBlocks) * v.Pool.BlockBytes(),
		TransactionID: d.TransactionID, CreationTime: d.CreationTime, SnapshottedTime: d.SnapshottedTime,
		Live: v.Live(), Holds: volume.Holds(p.Found), Found: p.Found,
		Engine: about.Engine, EngineWhy: about.EngineWhy, InUseAs: about.InUseAs, LiveShown: about.Live,
		Problem: about.Problem, Damaged: about.Damaged,
	}
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

// Pools describes all pools. It opens nothing.
func (t *Tree) Pools(ctx context.Context) []PoolInfo {
	var list []PoolInfo
	for _, s := range t.current(ctx).Sections {
		for _, p := range s.Pools {
			list = append(list, t.poolInfo(p.(*volume.Pool)))
		}
	}
	return list
}

func (t *Tree) poolInfo(p *volume.Pool) PoolInfo {
	u := p.Usage()
	by, live := p.Live()
	i := PoolInfo{
		Name: p.Name(), Metadata: p.Record().Metadata.String(), Data: p.Record().Data.String(), Mode: "offline",
		LiveBy: by, HeldRoot: t.opts.HeldRoot, NeedsCheck: u.NeedsCheck,
		TransactionID: u.TransactionID, DataBlockBytes: p.BlockBytes(),
		DataTotalBytes: u.DataTotalBytes, DataUsedBytes: u.DataUsedBytes,
		MetadataTotalBytes: u.MetadataTotalBytes, MetadataUsedBytes: u.MetadataUsedBytes,
		Devices: len(p.IDs()), OpensTotal: p.Opens(), MaxActive: t.leases.Max,
	}
	t.leases.Each(func(v *volume.Volume, _ *volume.Contents) {
		if v.Pool == p {
			i.OpenVolumes++
		}
	})
	if live {
		i.Mode = "live"
	}
	for _, err := range p.Problems() {
		i.Problems = append(i.Problems, err.Error())
	}
	return i
}

// infoText makes the text of a node's info file.
func (t *Tree) infoText(ctx context.Context, id NodeID) (string, error) {
	var about any
	var err error
	if id.IsFile() {
		about, err = t.Volume(ctx, id)
	} else {
		var n *layout.Node
		if n, err = t.viewNode(ctx, id); err == nil {
			about = t.poolInfo(n.Pool.(*volume.Pool))
		}
	}
	if err != nil {
		return "", err
	}
	text, err := bytejson.Marshal(about)
	return string(text), err
}

func (t *Tree) infoEntry(ctx context.Context, id NodeID) (Entry, error) {
	text, err := t.infoText(ctx, id)
	if err != nil {
		return Entry{}, err
	}
	var p *volume.Pool
	ino := uint64(id)
	if id.IsFile() {
		r, err := t.root(id)
		if err != nil {
			return Entry{}, err
		}
		p, ino = r.Volume.Pool, r.InodeNumber(id)
	} else {
		n, err := t.viewNode(ctx, id)
		if err != nil {
			return Entry{}, err
		}
		p = n.Pool.(*volume.Pool)
	}
	a := made(syscall.S_IFREG|0o444, p.When())
	a.Size, a.Ino = int64(len(text)), volfs.Ino(ino)
	a.Blocks = sectors(a.Size)
	return Entry{ID: id, Attr: a}, nil
}

func (t *Tree) openInfo(ctx context.Context, id NodeID) (*File, error) {
	text, err := t.infoText(ctx, id)
	if err != nil {
		return nil, err
	}
	return &File{Made: true, bytes: textFile{strings.NewReader(text)}}, nil
}

// textFile is a file whose bytes are in memory.
type textFile struct{ *strings.Reader }

// ReadAt reads from memory.
func (f textFile) ReadAt(_ context.Context, p []byte, off int64) (int, error) {
	return f.Reader.ReadAt(p, off)
}

// NextData returns off itself, because there are no holes.
func (f textFile) NextData(_ context.Context, off int64) (int64, error) {
	if off >= f.Size() {
		return 0, io.EOF
	}
	return off, nil
}

// NextHole returns the end of the file.
func (f textFile) NextHole(_ context.Context, off int64) (int64, error) {
	if off >= f.Size() {
		return 0, io.EOF
	}
	return f.Size(), nil
}

// Close does nothing.
func (f textFile) Close() error { return nil }
