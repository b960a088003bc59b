// Package docker is a Docker root with the devicemapper driver as a source:
// docker:DIR. It holds the volumes of image layers and containers, in one pool.
//
// The records are those that Docker 1.13 to 24 kept: of devices by
// daemon/graphdriver/devmapper, of layers by layer/filestore.go, of images by
// image/fs.go and reference/store.go, of containers by container/container.go.
package docker

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"thintree/meta"
	"thintree/meta/record"
	"thintree/thin/block"
	"thintree/thin/pdata"
)

// Options say what a Docker root does not tell.
type Options struct {
	// Metadata and Data are the halves of the pool where it is not in loop files
	// in the root (dm.thinpooldev); otherwise "".
	Metadata, Data string
}

type source struct {
	root string
	opts Options
}

// New is the source of a Docker root.
func New(root string, o Options) meta.Source {
	if filepath.Base(root) == "devicemapper" && !Recognise(root) && Recognise(filepath.Dir(root)) {
		root = filepath.Dir(root)
	}
	return source{root, o}
}

// Recognise tells whether a folder is a Docker root with the devicemapper driver.
func Recognise(root string) bool {
	st, err := os.Stat(filepath.Join(root, metadataDir))
	return err == nil && st.IsDir()
}

// Where things are in a root.
const (
	metadataDir   = "devicemapper/metadata"
	poolDir       = "devicemapper/devicemapper"
	containersDir = "containers"
	imageDir      = "image/devicemapper"
	layersDir     = imageDir + "/layerdb/sha256"
	mountsDir     = imageDir + "/layerdb/mounts"
	imagesDir     = imageDir + "/imagedb/content/sha256"
	namesFile     = imageDir + "/repositories.json"
)

// String is the source as a person writes it.
func (s source) String() string { return "docker:" + s.root }

func (s source) path(parts ...string) string {
	return filepath.Join(append([]string{s.root}, parts...)...)
}

// Stamp is of the folders and files that change when a device, a layer, an image
// or a container comes, goes or gets another name: Docker replaces records by
// renaming, which changes their folder.
func (s source) Stamp(ctx context.Context) (string, error) {
	var stamp strings.Builder
	add := func(path string) {
		if st, err := os.Lstat(path); err == nil {
			fmt.Fprintf(&stamp, "%d/%d ", st.ModTime().UnixNano(), st.Size())
		} else {
			stamp.WriteString("- ")
		}
	}
	for _, p := range []string{metadataDir, mountsDir, layersDir, imagesDir, namesFile, containersDir} {
		add(s.path(p))
	}
	containers, err := os.ReadDir(s.path(containersDir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	for _, c := range containers {
		if err := ctx.Err(); err != nil {
			return "", err
		}
		// A container's folder also changes for what is no name.
		add(s.path(containersDir, c.Name(), "config.v2.json"))
	}
	return stamp.String(), nil
}

// tries is how often the records are read when they change meanwhile.
const tries = 5

// Load reads all records. If they change meanwhile it reads them again.
func (s source) Load(ctx context.Context) (*meta.Catalog, error) {
	before, err := s.Stamp(ctx)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s, err)
	}
	for try := 1; ; try++ {
		cat, err := s.load(ctx)
		if err != nil {
			return nil, err
		}
		after, err := s.Stamp(ctx)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s, err)
		}
		if after == before || try == tries {
			return cat, nil
		}
		before = after
	}
}

func (s source) load(ctx context.Context) (*meta.Catalog, error) {
	devices, damaged, err := record.Devices(s.path(metadataDir))
	if errors.Is(err, fs.ErrNotExist) {
		if _, rootErr := os.Stat(s.root); rootErr != nil {
			return nil, fmt.Errorf("%s: no such directory: %w", s, fs.ErrNotExist)
		}
		return nil, fmt.Errorf("%s: %s: no such directory: is this a Docker root with the devicemapper driver?", s, metadataDir)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s, err)
	}
	cat := &meta.Catalog{Warnings: damaged}
	p, err := s.pool()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s, err)
	}
	cat.Pools = []meta.Pool{p}
	l, err := s.layers(ctx)
	if err != nil {
		return nil, err
	}
	cat.Warnings = append(cat.Warnings, l.warnings...)
	half := s.halfMade(ctx, p)
	for name, d := range devices {
		v := meta.Volume{
			Name: name, Pool: p.Name, DeviceID: d.ID, SizeBytes: d.Size, TransactionID: d.TransactionID,
			Role: l.role(name), Parent: l.parent[name], Root: "rootfs", Record: s.path(metadataDir, name),
		}
		switch {
		case name == record.BaseFile:
			v.Root = ""
		case v.Parent == "" && v.Role == meta.RoleLayer:
			v.Parent = record.BaseFile
		}
		switch {
		case half != nil && half.DeviceID == d.ID && half.Hash == name:
			v.State = meta.StateHalf
		case d.Deleted:
			v.State = meta.StateDeleted
		}
		cat.Volumes = append(cat.Volumes, v)
	}
	slices.SortFunc(cat.Volumes, func(a, b meta.Volume) int { return strings.Compare(a.Name, b.Name) })
	if err := s.containers(ctx, cat, l); err != nil {
		return nil, err
	}
	return cat, s.images(ctx, cat, l)
}

// pool is where the pool lies.
func (s source) pool() (meta.Pool, error) {
	p := meta.Pool{Name: "pool", Metadata: s.opts.Metadata, Data: s.opts.Data}
	if p.Metadata != "" {
		return p, nil
	}
	p.Metadata, p.Data = s.path(poolDir, "metadata"), s.path(poolDir, "data")
	for _, path := range []string{p.Metadata, p.Data} {
		if _, err := os.Stat(path); err != nil {
			if errors.Is(err, fs.ErrNotExist) {
				return p, fmt.Errorf("%s: no such file, so the pool is on devices of its own (dm.thinpooldev): name them with --pool META,DATA", path)
			}
			return p, err
		}
	}
	return p, nil
}

// halfMade is the transaction that was under way when Docker stopped, nil where
// there was none: it is open where the pool has not got its id.
func (s source) halfMade(ctx context.Context, p meta.Pool) *record.Transaction {
	var t record.Transaction
	if err := record.Read(s.path(metadataDir, record.TransactionFile), 1<<20, &t); err != nil {
		return nil
	}
	f, err := block.Open(p.Metadata, block.Options{})
	if err != nil {
		return nil // whoever opens the pool says why
	}
	defer f.Close()
	m, err := pdata.Open(ctx, f, f.Size(), pdata.Options{})
	if err != nil || t.OpenID <= m.Superblock().TransactionID {
		return nil
	}
	return &t
}
