package tree

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"

	"thintree/fusefs/bytejson"
	"thintree/meta"
	"thintree/volfs"
	"thintree/volfs/probe"
)

// VolumeInfo is what info/<name>.json tells of a volume.
type VolumeInfo struct {
	Name     string     `json:"name"`
	Pool     string     `json:"pool"`
	DeviceID uint32     `json:"device_id"`
	Role     meta.Role  `json:"role"`
	State    meta.State `json:"state,omitempty"`
	Parent   string     `json:"parent,omitempty"`
	// Containers and Images are those that the volume is of.
	Containers []string `json:"containers,omitempty"`
	Images     []string `json:"images,omitempty"`
	// Root is the folder where what people look for begins.
	Root string `json:"root,omitempty"`
	// Record is the file that names the volume.
	Record      string `json:"record,omitempty"`
	SizeBytes   int64  `json:"size_bytes"`
	MappedBytes int64  `json:"mapped_bytes"`
	// TransactionID is the pool's when the device was made; CreationTime and
	// SnapshottedTime count the pool's snapshots, they are no clock.
	TransactionID   uint64 `json:"transaction_id"`
	CreationTime    uint32 `json:"creation_time"`
	SnapshottedTime uint32 `json:"snapshotted_time"`
	// Engine is what would read the volume's filesystem, and EngineWhy why that.
	Engine    Engine `json:"engine"`
	EngineWhy string `json:"engine_why"`
	// Live says that the volume may change: somebody else has it active, or the pool,
	// and what they use cannot be told. InUseAs is the
	// device-mapper device by which somebody has it active, LiveShown what is shown
	// of it then: bind, snapshot or disk, or auto where that is not known before it
	// is opened.
	Live       bool            `json:"live"`
	InUseAs    string          `json:"in_use_as,omitempty"`
	LiveShown  Live            `json:"live_shown,omitempty"`
	Filesystem *FilesystemInfo `json:"filesystem,omitempty"`
	// Holds says what is on the volume, Found all that was recognised there.
	Holds string       `json:"holds"`
	Found probe.Result `json:"found"`
	// Problem is why nothing, or not all, can be shown.
	Problem string `json:"problem,omitempty"`
	// Damaged says that the Problem is of what could not be read. Otherwise there is nothing
	// to be read: a blank volume, or a filesystem that nothing here reads.
	Damaged bool `json:"-"`
}

// FilesystemInfo is what is told of a filesystem.
type FilesystemInfo struct {
	Type      string   `json:"type"`
	Label     string   `json:"label,omitempty"`
	UUID      string   `json:"uuid,omitempty"`
	SizeBytes int64    `json:"size_bytes"`
	FreeBytes *uint64  `json:"free_bytes,omitempty"` // nil where that cannot be read
	Dirty     bool     `json:"dirty"`
	Errors    bool     `json:"errors"`
	Features  []string `json:"features,omitempty"`
}

// PoolInfo is what pools/<pool>.json tells of a pool.
type PoolInfo struct {
	Name     string `json:"name"`
	Metadata string `json:"metadata"`
	Data     string `json:"data"`
	// Mode is "offline" or "live": nobody or somebody has the pool active.
	Mode string `json:"mode"`
	// LiveBy is the device through which it is active.
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

// Volume tells of the volume that a node belongs to: its root, or any file in
// it. It opens nothing.
func (t *Tree) Volume(ctx context.Context, id NodeID) (VolumeInfo, error) {
	if !id.isFile() {
		return VolumeInfo{}, fmt.Errorf("not in a volume: %w", syscall.EINVAL)
	}
	r, err := t.fsRoot(id)
	if err != nil {
		return VolumeInfo{}, err
	}
	v := r.vol
	p, err := t.peek(ctx, v.root)
	if err != nil {
		return VolumeInfo{}, err
	}
	d, known := v.details()
	i := VolumeInfo{
		Name: v.name, Pool: v.pool.name, DeviceID: v.deviceID, Role: v.record().Role, State: v.record().State,
		Parent: v.record().Parent, Root: v.record().Root, Record: v.record().Record, SizeBytes: p.sizeBytes,
		MappedBytes:   int64(d.MappedBlocks) * v.pool.reader.BlockBytes(),
		TransactionID: d.TransactionID, CreationTime: d.CreationTime, SnapshottedTime: d.SnapshottedTime,
		Live: r.live(), Holds: holds(p.found), Found: p.found,
	}
	by := choice{engine: EngineDirect, why: "nothing else is there to be read"}
	if p.found.Kind == probe.KindFilesystem {
		by, err = t.engineFor(ctx, v.root, p.found, p.sizeBytes)
		if err != nil && by.live != LiveSkip {
			return VolumeInfo{}, err
		}
	}
	if by.orDirect != "" && p.fs != nil && !p.fs.opened {
		by.readDirectly()
	}
	i.Engine, i.EngineWhy, i.InUseAs, i.LiveShown = by.engine, by.why, by.user.Name, by.live
	if shown, ok := t.leases.shown(v); ok {
		i.LiveShown = shown
	}
	u := t.view.Load().users[v]
	i.Containers, i.Images = u.containers, u.images
	switch {
	case v.deleted(): // nobody misses what is gone of it
	case p.err != nil:
		i.Problem = strings.TrimPrefix(p.err.Error(), v.name+": ")
		if p.short != "" {
			i.Problem += "; " + p.short
		}
	case !known:
		i.Problem = fmt.Sprintf("pool %s has no device %d", v.pool.name, v.deviceID)
	case p.short != "":
		i.Problem = p.short
	case p.fs != nil && p.fs.info.Problem != "":
		i.Problem = p.fs.info.Problem
	case len(partitions(p.found)) > 0:
		i.Problem = t.shortPartition(ctx, v, p)
	}
	if p.fs != nil {
		f := p.fs.info
		i.Filesystem = &FilesystemInfo{
			Type: f.Type, Label: f.Label, UUID: f.UUID, SizeBytes: f.SizeBytes,
			Dirty: f.Dirty, Errors: f.Errors, Features: f.Features,
		}
		full, err := t.statfs(ctx, v.root, p.fs)
		if err == nil {
			free := full.BlocksFree * uint64(full.BlockSize)
			i.Filesystem.FreeBytes = &free
		} else if i.Problem == "" && !v.deleted() {
			i.Problem = err.Error()
		}
	}
	i.Damaged = i.Problem != "" && (p.short != "" || !errors.Is(p.err, syscall.EMEDIUMTYPE))
	return i, nil
}

// Pools tells of all pools. It opens nothing.
func (t *Tree) Pools(ctx context.Context) []PoolInfo {
	var list []PoolInfo
	for _, s := range t.current(ctx).parts {
		for _, p := range s.pools {
			list = append(list, t.poolInfo(p))
		}
	}
	return list
}

func (t *Tree) poolInfo(p *pool) PoolInfo {
	u := p.reader.Usage()
	l := p.listing.Load()
	i := PoolInfo{
		Name: p.name, Metadata: p.record.Metadata, Data: p.record.Data, Mode: "offline",
		LiveBy: p.reader.LiveBy(), HeldRoot: t.opts.HeldRoot, NeedsCheck: u.NeedsCheck,
		TransactionID: u.TransactionID, DataBlockBytes: p.reader.BlockBytes(),
		DataTotalBytes: u.DataTotalBytes, DataUsedBytes: u.DataUsedBytes,
		MetadataTotalBytes: u.MetadataTotalBytes, MetadataUsedBytes: u.MetadataUsedBytes,
		Devices: len(l.ids), OpenVolumes: t.leases.open(p), OpensTotal: p.opens.Load(), MaxActive: t.leases.max,
	}
	if p.reader.Live() {
		i.Mode = "live"
	}
	for _, err := range p.problems() {
		i.Problems = append(i.Problems, err.Error())
	}
	return i
}

// infoText is what the info file of a node holds now.
func (t *Tree) infoText(ctx context.Context, id NodeID) (string, error) {
	var about any
	var err error
	if id.isFile() {
		about, err = t.Volume(ctx, id)
	} else {
		var n *node
		if n, err = t.viewNode(ctx, id); err == nil {
			about = t.poolInfo(n.pool)
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
	p, ino := (*pool)(nil), uint64(id)
	if id.isFile() {
		r, err := t.fsRoot(id)
		if err != nil {
			return Entry{}, err
		}
		p, ino = r.vol.pool, r.inodeNumber(id)
	} else {
		n, err := t.viewNode(ctx, id)
		if err != nil {
			return Entry{}, err
		}
		p = n.pool
	}
	a := made(syscall.S_IFREG|0o444, p.listing.Load().when)
	a.Size, a.Ino = int64(len(text)), volfs.Ino(ino)
	a.Blocks = sectors(a.Size)
	return Entry{ID: id, Attr: a}, nil
}

func (t *Tree) openInfo(ctx context.Context, id NodeID) (*File, error) {
	text, err := t.infoText(ctx, id)
	if err != nil {
		return nil, err
	}
	return &File{Made: true, bytes: textFile{strings.NewReader(text)}, tree: t}, nil
}

// textFile is a file whose bytes are in memory.
type textFile struct{ *strings.Reader }

// ReadAt reads from memory.
func (f textFile) ReadAt(_ context.Context, p []byte, off int64) (int, error) {
	return f.Reader.ReadAt(p, off)
}

// NextData is off itself: there are no holes.
func (f textFile) NextData(_ context.Context, off int64) (int64, error) {
	if off >= f.Size() {
		return 0, io.EOF
	}
	return off, nil
}

// NextHole is the end.
func (f textFile) NextHole(_ context.Context, off int64) (int64, error) {
	if off >= f.Size() {
		return 0, io.EOF
	}
	return f.Size(), nil
}

// Close does nothing.
func (f textFile) Close() error { return nil }
