package tree

import (
	"context"
	"strings"
	"syscall"
)

// rawBytes is the length of a volume's or partition's image in bytes. It opens
// nothing.
func (t *Tree) rawBytes(ctx context.Context, r *fsRoot) (int64, error) {
	if r.part == 0 && r.vol.sizeBytes > 0 {
		return r.vol.sizeBytes, nil
	}
	p, err := t.peek(ctx, r)
	if err != nil {
		return 0, err
	}
	if p.err != nil && p.found.Kind == "" {
		return 0, p.err // not even its bytes could be read
	}
	return p.sizeBytes, nil
}

// mappedSectors is how many sectors of 512 bytes of a volume are mapped; of a
// partition nobody counts them, so its size.
func (r *fsRoot) mappedSectors(size int64) uint64 {
	d, ok := r.vol.details()
	if r.part != 0 || !ok {
		return sectors(size)
	}
	return d.MappedBlocks * uint64(r.vol.pool.reader.BlockBytes()) / 512
}

// partitioned tells whether a volume holds a partition table, as far as is known.
func (t *Tree) partitioned(ctx context.Context, r *fsRoot) bool {
	p, err := t.peek(ctx, r)
	return err != nil || len(partitions(p.found)) > 0
}

// lookupImage finds a partition's image in raw/<name>.parts.
func (t *Tree) lookupImage(ctx context.Context, r *fsRoot, name string) (Entry, error) {
	p, err := t.peek(ctx, r)
	if err != nil {
		return Entry{}, err
	}
	base, ok := strings.CutSuffix(name, ".img")
	n, isPart := parsePartition(base)
	for _, part := range partitions(p.found) {
		if ok && isPart && part.Index == n {
			return t.rawEntry(ctx, t.partition(r.vol, n))
		}
	}
	return Entry{}, &MissingError{Name: name, Kept: !r.live()}
}

// rawEntry is a volume's or partition's image.
func (t *Tree) rawEntry(ctx context.Context, r *fsRoot) (Entry, error) {
	size, err := t.rawBytes(ctx, r)
	if err != nil {
		return Entry{}, err
	}
	// It shows what the modes in the volume may hide from others.
	a := made(syscall.S_IFREG|0o400, r.vol.pool.listing.Load().when)
	a.Size, a.Blocks = size, r.mappedSectors(size)
	id := r.id(rawIno)
	return Entry{ID: id, Attr: r.shown(id, a)}, nil
}
