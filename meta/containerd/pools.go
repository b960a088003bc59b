package containerd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"thintree/thin/resolve"
)

// openPool opens POOL.db in the snapshotter's folder, and returns the name of the pool.
//
// containerd uses one pool. If its name was changed in the configuration, the database of
// the pool before stays behind, and metadata.db goes on with the numbers of its snapshots.
// So if the configuration is unknown, the pool is that whose database was written to last:
// containerd writes to it at each start. The others are warnings.
func openPool(ctx context.Context, f folder, c config) (db *database, pool string, others []error, err error) {
	if c.PoolName != "" {
		path, err := f.real(c.PoolName + dbSuffix)
		db, err := openDatabase(ctx, path, err)
		if err != nil {
			return nil, "", nil, err
		}
		isPool, err := isPoolDB(db)
		if err == nil && !isPool {
			err = fmt.Errorf("%s: it has no buckets %s and %s", path, keyDevices, keyDeviceIDs)
		}
		if err != nil {
			return nil, "", nil, errors.Join(err, db.Close())
		}
		return db, c.PoolName, nil, nil
	}
	names, err := f.newestDatabases()
	if err != nil {
		return nil, "", nil, err
	}
	for _, name := range names {
		path, err := f.real(name)
		candidate, err := openDatabase(ctx, path, err)
		if ctx.Err() != nil {
			closeAll(db, candidate)
			return nil, "", nil, ctx.Err()
		}
		isPool := false
		if err == nil {
			isPool, err = isPoolDB(candidate)
		}
		switch {
		case err != nil:
			others = append(others, err)
		case isPool && db == nil:
			db, pool = candidate, strings.TrimSuffix(name, dbSuffix)
			continue
		case isPool:
			others = append(others, fmt.Errorf("%s: this is a database of a pool too, but %s was written to later", path, db.path))
		}
		closeAll(candidate)
	}
	switch {
	case db != nil:
		return db, pool, others, nil
	case len(others) > 0:
		return nil, "", nil, others[0]
	}
	return nil, "", nil, fmt.Errorf("%s: no database of a pool, POOL%s: %w", f.path, dbSuffix, fs.ErrNotExist)
}

// newestDatabases lists the databases that may be of pools, that which was written to last
// first.
func (f folder) newestDatabases() ([]string, error) {
	names, err := f.databases()
	if err != nil {
		return nil, err
	}
	names = slices.DeleteFunc(names, func(name string) bool { return name == metadataFile })
	written := make(map[string]int64, len(names))
	for _, name := range names {
		real, err := f.real(name)
		if err != nil {
			continue
		}
		if st, err := resolve.Stat(real); err == nil {
			written[name] = st.Mtim.Nano()
		}
	}
	slices.SortStableFunc(names, func(a, b string) int { return cmp.Compare(written[b], written[a]) })
	return names, nil
}

// closeAll closes databases, those that are not nil. They are copies, so nothing depends on it.
func closeAll(databases ...*database) {
	for _, db := range databases {
		if db != nil {
			db.Close()
		}
	}
}
