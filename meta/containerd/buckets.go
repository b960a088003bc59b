package containerd

import (
	"context"
	"fmt"
	"time"

	"go.etcd.io/bbolt"

	"thintree/meta/containerd/boltcopy"
)

// The keys of more than one database.
const (
	keyVersion   = "v1" // the bucket of everything
	keySnapshots = "snapshots"
	keyName      = "name"
	keyParent    = "parent"
	keyLabels    = "labels"
	keyCreatedAt = "createdat"
)

// database is an open database with its path.
type database struct {
	*boltcopy.DB
	path string
}

func openDatabase(ctx context.Context, path string, err error) (*database, error) {
	if err != nil {
		return nil, err
	}
	db, err := boltcopy.Open(ctx, path)
	if err != nil {
		return nil, err
	}
	return &database{db, path}, nil
}

// view calls f with the bucket at a path of names; it is nil if there is none.
func (d *database) view(f func(*bbolt.Bucket) error, names ...string) error {
	return d.View(func(tx *bbolt.Tx) error {
		return f(bucketIn(tx.Bucket([]byte(names[0])), names[1:]...))
	})
}

// bucketIn is the bucket at a path of names in another one, nil if there is none.
func bucketIn(b *bbolt.Bucket, names ...string) *bbolt.Bucket {
	for _, name := range names {
		if b == nil {
			return nil
		}
		b = b.Bucket([]byte(name))
	}
	return b
}

// eachBucket calls f for each bucket in b, which may be nil. It ends with the first error.
func eachBucket(ctx context.Context, b *bbolt.Bucket, f func(name string, b *bbolt.Bucket) error) error {
	if b == nil {
		return nil
	}
	return b.ForEachBucket(func(name []byte) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		return f(string(name), b.Bucket(name))
	})
}

func text(b *bbolt.Bucket, key string) string { return string(b.Get([]byte(key))) }

// labels are the labels in the bucket of a record, nil if there are none.
func labels(b *bbolt.Bucket) map[string]string {
	in := b.Bucket([]byte(keyLabels))
	if in == nil {
		return nil
	}
	var labels map[string]string
	in.ForEach(func(key, value []byte) error {
		if labels == nil {
			labels = make(map[string]string)
		}
		labels[string(key)] = string(value)
		return nil
	})
	return labels
}

// created is when the record in a bucket was made, zero if it does not say it.
func created(b *bbolt.Bucket) (t time.Time, err error) {
	value := b.Get([]byte(keyCreatedAt))
	if value == nil {
		return t, nil
	}
	if err := t.UnmarshalBinary(value); err != nil {
		return t, fmt.Errorf("%s: %w", keyCreatedAt, err)
	}
	if year := t.UTC().Year(); year < 0 || year > 9999 {
		return t, fmt.Errorf("%s: the year %d cannot be written as RFC 3339", keyCreatedAt, year)
	}
	return t.UTC(), nil
}
