package containerd

import (
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"time"

	"go.etcd.io/bbolt"

	"thintree/meta"
)

// The keys of a snapshot in metadata.db.
const (
	keyID   = "id"   // its number, as a varint
	keyKind = "kind" // one byte
)

// kinds are the kinds of snapshots, by their numbers.
var kinds = map[byte]meta.SnapshotKind{1: meta.SnapshotView, 2: meta.SnapshotActive, 3: meta.SnapshotCommitted}

// snapshot is what the snapshotter records of one of its snapshots. Its key there is
// NAMESPACE/N/KEY, with a number that makes it unique.
type snapshot struct {
	number  uint64
	kind    meta.SnapshotKind
	labels  map[string]string
	created time.Time
}

// device is the name of the snapshot's device.
func (s snapshot) device(pool string) string { return fmt.Sprintf("%s-snap-%d", pool, s.number) }

// readSnapshots reads the snapshots of the snapshotter, by their keys. For each damaged record,
// damaged has an error.
func readSnapshots(ctx context.Context, db *database) (snapshots map[string]snapshot, damaged []error, err error) {
	snapshots = make(map[string]snapshot)
	byNumber := make(map[uint64][]string)
	err = db.view(func(all *bbolt.Bucket) error {
		return eachBucket(ctx, all, func(key string, b *bbolt.Bucket) error {
			s, err := parseSnapshot(b)
			if err != nil {
				damaged = append(damaged, fmt.Errorf("%s: snapshot %.160q: %w", db.path, key, err))
				return nil
			}
			snapshots[key] = s
			byNumber[s.number] = append(byNumber[s.number], key)
			return nil
		})
	}, keyVersion, keySnapshots)
	for _, number := range slices.Sorted(maps.Keys(byNumber)) {
		keys := byNumber[number]
		if len(keys) == 1 {
			continue
		}
		damaged = append(damaged, fmt.Errorf("%s: snapshots %.160q and %.160q have the same id, %d", db.path, keys[0], keys[1], number))
		for _, key := range keys {
			delete(snapshots, key)
		}
	}
	return snapshots, damaged, err
}

func parseSnapshot(b *bbolt.Bucket) (s snapshot, err error) {
	id, kind := b.Get([]byte(keyID)), b.Get([]byte(keyKind))
	var n int
	if s.number, n = binary.Uvarint(id); n <= 0 || n != len(id) {
		return s, fmt.Errorf("its id, %.20q, is no number", id)
	}
	known := len(kind) == 1
	if known {
		s.kind, known = kinds[kind[0]]
	}
	if !known {
		return s, fmt.Errorf("the kind %.20q is unknown", kind)
	}
	s.labels = labels(b)
	s.created, err = created(b)
	return s, err
}
