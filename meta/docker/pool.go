package docker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"

	"thintree/meta"
	"thintree/meta/record"
	"thintree/thin/block"
	"thintree/thin/pdata"
)

const poolName = "pool"

// pool is where the pool lies: where Options say, otherwise in loop files, which
// must be there.
func (s source) pool() (meta.Pool, error) {
	metadata, err := s.half("metadata", s.opts.Metadata)
	if err != nil {
		return meta.Pool{}, err
	}
	data, err := s.half("data", s.opts.Data)
	return meta.Pool{Name: poolName, Metadata: metadata, Data: data}, err
}

func (s source) half(name, given string) (string, error) {
	if given != "" {
		return given, nil
	}
	loop := s.path(poolDir, name)
	switch _, err := os.Stat(loop); {
	case errors.Is(err, fs.ErrNotExist):
		return "", fmt.Errorf("%s: %s: %w: the pool is on devices of its own (dm.thinpooldev): name them with --pool META,DATA",
			s, path.Join(poolDir, name), bare(err))
	case err != nil:
		return "", fmt.Errorf("%s: %w", s, err)
	}
	return loop, nil
}

// openTransaction is the creation or deletion of a device that was begun and that
// the pool knows nothing of; nil where there is none. It is nil as well where the
// pool cannot be read, which whoever opens it says. The error is of the record.
func (s source) openTransaction(ctx context.Context) (*record.Transaction, error) {
	t, err := record.ReadTransaction(s.path(recordsDir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	id, err := poolTransaction(ctx, cmp.Or(s.opts.Metadata, s.path(poolDir, "metadata")))
	if err != nil || t.OpenID <= id {
		return nil, nil
	}
	return &t, nil
}

// poolTransaction is a pool's transaction id. It is read past the page cache, for
// somebody may have the pool in use.
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
