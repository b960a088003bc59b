package tree

import (
	"context"
	"strings"
	"syscall"

	"thintree/fusefs/layout"
	"thintree/fusefs/volume"
)

// rawBytes is the length of the image of a volume or partition in bytes. It leaves nothing
// open.
func (t *Tree) rawBytes(ctx context.Context, r *root) (int64, error) {
	if r.Place.IsWhole() && r.Volume.Record().SizeBytes > 0 {
		return r.Volume.Record().SizeBytes, nil
	}
	p, err := t.peek(ctx, r)
	if err != nil {
		return 0, err
	}
	if p.Err != nil && p.Found.Kind == "" {
		return 0, p.Err // not even its bytes could be read
	}
	return p.SizeBytes, nil
}

// mappedSectors is how many 512-byte sectors of a volume are mapped. The pool does not count
// them for a partition, so for that it is the whole size.
func (r *root) mappedSectors(size int64) uint64 {
	mapped, known := r.Volume.MappedBytes()
	if !r.Place.IsWhole() || !known {
		return sectors(size)
	}
	return sectors(mapped)
}

// partitioned reports whether a volume has partitions. It is true if the volume cannot be
// reached.
func (t *Tree) partitioned(ctx context.Context, r *root) bool {
	p, err := t.peek(ctx, r)
	return err != nil || len(volume.Partitions(p.Found)) > 0
}

// lookupImage finds the image of a partition in raw/<name>.parts.
func (t *Tree) lookupImage(ctx context.Context, r *root, name string) (Entry, error) {
	p, err := t.peek(ctx, r)
	if err != nil {
		return Entry{}, err
	}
	base, ok := strings.CutSuffix(name, ".img")
	n, isPart := layout.ParsePartition(base)
	for _, part := range volume.Partitions(p.Found) {
		if ok && isPart && part.Index == n {
			return t.rawEntry(ctx, t.partition(r, n))
		}
	}
	return Entry{}, &MissingError{Name: name, Kept: !r.Volume.Live()}
}

// rawEntry is the entry of the image of a volume or partition.
func (t *Tree) rawEntry(ctx context.Context, r *root) (Entry, error) {
	size, err := t.rawBytes(ctx, r)
	if err != nil {
		return Entry{}, err
	}
	// Only the owner may read it: it contains files that the modes in the volume may hide.
	a := made(syscall.S_IFREG|0o400, r.Volume.When())
	a.Size, a.Blocks = size, r.mappedSectors(size)
	id := r.ID(layout.RawIno)
	return Entry{ID: id, Attr: r.shown(id, a)}, nil
}
