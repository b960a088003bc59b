package containerd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"thintree/meta"
	"thintree/meta/containerd/boltcopy"
	"thintree/meta/record"
	"thintree/thin/resolve"
)

// Load reads the three databases. If they change meanwhile it reads them again, at most five
// times in all. It takes none of their locks.
//
// It is an error if POOL.db cannot be read, or if there is none. The error is
// [boltcopy.ErrBusy] if a database cannot be copied because it is written to all the time, and a
// [resolve.TreeError] if a thintree mount covers one.
//
// If the databases do not match each other, containerd may be between two transactions, also
// if none of them changes meanwhile. So Load waits for a moment, and reads them again until
// they match or differ as they did before.
func (s source) Load(ctx context.Context) (*meta.Catalog, error) {
	var before []string
	for try := 1; ; try++ {
		c, err := record.Settled(ctx, s.look, s.load)
		if err != nil {
			return nil, err
		}
		if len(c.torn) == 0 || slices.Equal(c.torn, before) || try == maxTries {
			return c.Catalog, nil
		}
		before = c.torn
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(s.pause):
		}
	}
}

const (
	maxTries = 5                     // bounds the loads of databases that do not match
	pause    = 50 * time.Millisecond // is longer than most transactions
)

func (s source) load(ctx context.Context) (*catalog, error) {
	r, err := s.read(ctx)
	if err != nil {
		return nil, err
	}
	// Such databases are not lost, so a catalog without them would be wrong.
	for _, err := range r.warnings {
		if errors.As(err, new(*resolve.TreeError)) || errors.Is(err, boltcopy.ErrBusy) {
			return nil, fmt.Errorf("%s: %w", s, err)
		}
	}
	c := &catalog{Catalog: &meta.Catalog{Pools: []meta.Pool{s.poolNamed(r.pool)}, Warnings: r.warnings}}
	c.addVolumes(r)
	c.addSnapshots(r)
	c.addContainers(r)
	c.addImages(r)
	c.SnapshotsLost = errors.Join(r.namespacesLost, r.snapshotsLost)
	c.ContainersLost, c.ImagesLost = c.SnapshotsLost, c.SnapshotsLost
	return c, nil
}

func (s source) poolNamed(name string) meta.Pool {
	p := meta.Pool{Device: name}
	if s.pool != nil {
		p = *s.pool
	}
	p.Name, p.ByDevices = name, true
	return p
}

// records are what the databases have.
type records struct {
	namespaces   namespaces
	snapshots    map[string]snapshot // by key
	metadataPath string
	pool         string // the pool's name
	devices      map[string]device
	devicesPath  string
	warnings     []error
	// namespacesLost and snapshotsLost are why there may be more of them. Otherwise they are nil.
	namespacesLost, snapshotsLost error
}

// read reads the databases, in the order that doc.go explains.
func (s source) read(ctx context.Context) (*records, error) {
	r := new(records)
	c, err := s.config()
	if err != nil {
		r.warnings = append(r.warnings, err)
	}
	f := s.folder(c)

	path, err := s.metaFile()
	r.namespacesLost = r.from(ctx, path, err, func(db *database) (damaged []error, err error) {
		r.namespaces, damaged, err = readNamespaces(ctx, db)
		return damaged, err
	})
	path, err = f.real(metadataFile)
	r.metadataPath = path
	r.snapshotsLost = r.from(ctx, path, err, func(db *database) (damaged []error, err error) {
		r.snapshots, damaged, err = readSnapshots(ctx, db)
		return damaged, err
	})
	db, pool, others, err := openPool(ctx, f, c)
	if err != nil {
		return nil, s.noPool(ctx, err)
	}
	defer db.Close()
	r.pool, r.devicesPath = pool, db.path
	r.warnings = append(r.warnings, others...)
	if db.Damage() != nil {
		r.warnings = append(r.warnings, db.Damage())
	}
	devices, damaged, err := readDevices(ctx, db)
	if err != nil {
		return nil, s.noPool(ctx, fmt.Errorf("%s: %w", db.path, err))
	}
	r.devices = devices
	r.warnings = append(r.warnings, damaged...)
	return r, ctx.Err()
}

// from reads one database. lost is an error if some of it is lost, which is a warning too.
func (r *records) from(ctx context.Context, path string, err error, read func(*database) (damaged []error, err error)) (lost error) {
	db, err := openDatabase(ctx, path, err)
	if err != nil {
		r.warnings = append(r.warnings, err)
		return err
	}
	defer db.Close()
	damaged, err := read(db)
	if err != nil {
		err = fmt.Errorf("%s: %w", path, err)
	}
	if lost = errors.Join(db.Damage(), err); lost != nil {
		r.warnings = append(r.warnings, lost)
	}
	r.warnings = append(r.warnings, damaged...)
	return lost
}

// noPool is the error of a source whose pool's database cannot be read.
func (s source) noPool(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%s: %w: only its owner and root can read it", s, err)
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ENOTDIR):
		return fmt.Errorf("%s: %w: is this a containerd root with the devmapper snapshotter?", s, err)
	}
	return fmt.Errorf("%s: %w", s, err)
}
