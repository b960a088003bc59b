package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"thintree/meta"
	"thintree/meta/record"
	"thintree/thin/block"
	"thintree/thin/pdata"
	"thintree/thin/resolve"
)

// poolName is the name of the pool in the catalog. A store has one pool, without a name.
const poolName = "pool"

// Records reads the records of devices and finds the pool, for a source with a store.
type Records struct {
	Source string // the source as a person writes it; errors begin with it
	Root   string // the folder that a person gives
	Dir    string // the path of the store in Root, "" if Root is the store
	Top    string // the root folder of the system that Root is part of: see [Top]
	What   string // what Root should be, for errors: "a store"
	// DirectLVM is the device-mapper name of the pool that the driver makes if it is given a
	// block device (dm.directlvm_device), "" if it makes none.
	DirectLVM string
	// Configured returns the device-mapper name of the pool that the driver is configured to
	// use (dm.thinpooldev), "" if nothing says it. It may be nil.
	Configured func() (string, error)
	Options
}

// Top is the root folder of the system that a store or Docker root is part of. If root ends
// in one of the usual places, such as /var/lib/docker, that is the folder before it,
// otherwise root. Links in root must not lead out of Top.
func Top(root string, usual ...string) string {
	for _, place := range usual {
		if top, ok := strings.CutSuffix(root, place); ok {
			return cmp.Or(top, "/")
		}
	}
	return root
}

func (r Records) path(parts ...string) string {
	return filepath.Join(append([]string{r.Root, r.Dir}, parts...)...)
}

// real is a path in the store without symbolic links.
func (r Records) real(parts ...string) (string, error) {
	return resolve.Within(r.Top, r.path(parts...))
}

// Places are the paths that are read: the root, the records and the pool. Links may lead to
// records and a pool outside the root.
func (r Records) Places() []string {
	places := []string{r.Root}
	records, err := r.real(record.RecordsDir)
	if err == nil {
		places = append(places, records)
	}
	pool, err := r.pool()
	if err == nil {
		places = append(append(places, pool.Metadata.Paths()...), pool.Data.Paths()...)
	}
	return places
}

// Read reads the records once. It returns the pool and the volumes, sorted by name; only
// the base device's volume has its role. It is an error if there are no records or they
// cannot be listed, and if the pool's files are missing and nothing names the pool.
// Both errors wrap the filesystem's.
func (r Records) Read(ctx context.Context) (*meta.Catalog, error) {
	records, err := r.real(record.RecordsDir)
	if err != nil {
		return nil, r.noRecords(err)
	}
	devices, warnings, err := record.ReadDir(ctx, records)
	if err != nil {
		return nil, r.noRecords(err)
	}
	pool, err := r.pool()
	if err != nil {
		return nil, err
	}
	open, err := r.openTransaction(ctx)
	if err != nil {
		warnings = append(warnings, err)
	}
	set, err := record.ReadDeviceSet(records)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		warnings = append(warnings, err)
	}
	c := &meta.Catalog{Pools: []meta.Pool{pool}, Warnings: warnings, Volumes: make([]meta.Volume, 0, len(devices))}
	for _, hash := range slices.Sorted(maps.Keys(devices)) {
		d, name := devices[hash], record.File(hash)
		v := meta.Volume{
			Name: name, Pool: poolName, DeviceID: d.ID, SizeBytes: d.SizeBytes, TransactionID: d.TransactionID,
			Role: meta.RoleVolume, Record: r.path(record.RecordsDir, name),
		}
		if hash == "" {
			v.Role, v.FilesystemUUID = meta.RoleBase, set.BaseDeviceUUID
		}
		switch {
		case open != nil && open.Hash == hash:
			v.State = meta.StateHalf
		case d.Deleted:
			v.State = meta.StateDeleted
		}
		c.Volumes = append(c.Volumes, v)
	}
	return c, nil
}

// Look adds to a look what the volumes depend on. The error is the error of ctx.
func (r Records) Look(ctx context.Context, l *record.Look) error {
	l.Add(r.real(record.RecordsDir))
	if r.DirectLVM != "" {
		l.Add(r.real(record.SetupFile))
	}
	// The end of a transaction changes only the pool.
	if t, _ := r.openTransaction(ctx); t != nil {
		l.AddNumber(t.OpenID)
	}
	return ctx.Err()
}

// pool returns the pool that Options name, otherwise the pool in the store's files,
// otherwise the one that the driver made with LVM or is configured to use.
func (r Records) pool() (meta.Pool, error) {
	if r.Pool != nil {
		p := *r.Pool
		p.Name = poolName
		return p, nil
	}
	var halves [2]string
	for i, name := range []string{record.PoolMetadata, record.PoolData} {
		var err error
		if halves[i], err = r.half(name); err != nil {
			return meta.Pool{}, err
		}
		if halves[i] == "" {
			return r.poolElsewhere(name)
		}
	}
	return meta.Pool{Name: poolName, Metadata: block.At(halves[0]), Data: block.At(halves[1])}, nil
}

// half is the path of one half of the pool in the store, "" if there is no such file.
func (r Records) half(name string) (string, error) {
	real, err := r.real(name)
	switch {
	case errors.As(err, new(*resolve.LinkError)):
		return "", fmt.Errorf("%s: %w: name the pool's halves with --pool META,DATA", r.Source, err)
	case errors.Is(err, fs.ErrNotExist):
		return "", nil
	case err != nil:
		return "", fmt.Errorf("%s: %w", r.Source, err)
	}
	return real, nil
}

// poolElsewhere returns the pool that is not in the store's files. missing is the file that
// the store has not.
func (r Records) poolElsewhere(missing string) (meta.Pool, error) {
	const hint = "name them with --pool META,DATA, or the active pool with --pool POOL"
	device, err := r.device()
	if err != nil {
		return meta.Pool{}, fmt.Errorf("%s: %w: the pool is on other devices: %s", r.Source, err, hint)
	}
	if device == "" {
		return meta.Pool{}, fmt.Errorf("%s: %s: %w: the pool is on other devices (dm.thinpooldev): %s", r.Source, path.Join(r.Dir, missing), unix.ENOENT, hint)
	}
	return meta.Pool{Name: poolName, Device: device}, nil
}

// device is the device-mapper name of a pool that is not in the store's files, "" if nothing
// says it.
func (r Records) device() (string, error) {
	if r.DirectLVM != "" {
		setup, err := r.real(record.SetupFile)
		if err == nil {
			if made, err := record.ReadSetup(setup); made || err != nil {
				return r.DirectLVM, err
			}
		} else if !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
	}
	if r.Configured == nil {
		return "", nil
	}
	return r.Configured()
}

// openTransaction returns the transaction that is under way, nil if there is none. If the
// pool cannot be read here it also returns nil: the caller that opens the pool gets that error.
// The error is about the transaction's record.
func (r Records) openTransaction(ctx context.Context) (*record.Transaction, error) {
	records, err := r.real(record.RecordsDir)
	if err != nil {
		return nil, nil // no records: Read returns that error
	}
	t, err := record.ReadTransaction(records)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	pool, err := r.pool()
	if err != nil {
		return nil, nil
	}
	metadata, ok := pool.Metadata.Path()
	if !ok {
		return nil, nil // only its device is known
	}
	id, err := poolTransaction(ctx, metadata)
	if err != nil || t.OpenID <= id {
		return nil, nil
	}
	return &t, nil
}

// poolTransaction reads a pool's transaction id, with direct I/O, because the pool may be
// in use.
func poolTransaction(ctx context.Context, metadata string) (uint64, error) {
	f, err := block.Open(metadata, block.Options{Direct: true})
	if err != nil {
		return 0, err
	}
	defer f.Close()
	m, err := pdata.Open(ctx, f, f.Size(), pdata.Options{Live: true})
	if err != nil {
		return 0, err
	}
	return m.Superblock().TransactionID, nil
}

// noRecords is the error for records that cannot be read.
func (r Records) noRecords(err error) error {
	dir := path.Join(r.Dir, record.RecordsDir)
	switch {
	case errors.As(err, new(*resolve.LinkError)):
		return fmt.Errorf("%s: %w", r.Source, err)
	case errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR):
		if _, err := resolve.Stat(r.Root); errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s: %w", r.Source, noFolder{err})
		}
		return fmt.Errorf("%s: %s: %w: is this %s?", r.Source, dir, noFolder{err}, r.What)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%s: %s: %w: only its owner and root can read it", r.Source, dir, bare(err))
	}
	return fmt.Errorf("%s: %w", r.Source, err)
}

// noFolder is an error for a missing folder, with a text that says so.
type noFolder struct{ error }

func (e noFolder) Error() string {
	if errors.Is(e.error, unix.ENOTDIR) {
		return "not a directory"
	}
	return "no such directory"
}

func (e noFolder) Unwrap() error { return e.error }

// bare is an error without its path, for a text that has the path already.
func bare(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	return err
}
