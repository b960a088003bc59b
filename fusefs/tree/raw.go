package tree

import (
	"context"
	"strings"
	"syscall"

	"thintree/fusefs/layout"
)

// rawBytes is the length of the image of a volume or part in bytes. It leaves nothing
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
// them for a part, so for that it is the whole size.
func (r *root) mappedSectors(size int64) uint64 {
	mapped, known := r.Volume.MappedBytes()
	if !r.Place.IsWhole() || !known {
		return sectors(size)
	}
	return sectors(mapped)
}

// hasParts reports whether a root has parts. It is true if the volume cannot be reached.
func (t *Tree) hasParts(ctx context.Context, r *root) bool {
	p, err := t.peek(ctx, r)
	return err != nil || len(p.Parts()) > 0
}

// The names in the folder of the images of a root's parts.
const (
	imageSuffix = ".img"   // the bytes of a part
	partsSuffix = ".parts" // the folder of the images of its own parts
)

// lookupImage finds a name in the folder of the images of a root's parts.
func (t *Tree) lookupImage(ctx context.Context, r *root, name string) (Entry, error) {
	p, err := t.peek(ctx, r)
	if err != nil {
		return Entry{}, err
	}
	for _, part := range p.Parts() {
		suffix, ok := strings.CutPrefix(name, part.Name)
		switch at := t.part(r, part.Place); {
		case !ok:
		case suffix == imageSuffix && !part.Place.IsGroup():
			return t.rawEntry(ctx, at)
		case suffix == partsSuffix && t.hasParts(ctx, at):
			return t.partsEntry(at), nil
		}
	}
	return Entry{}, &MissingError{Name: name, Kept: !r.Volume.Live()}
}

// partsEntry is the entry of the folder of the images of a root's parts.
func (t *Tree) partsEntry(r *root) Entry {
	id := r.ID(layout.PartsIno)
	return Entry{ID: id, Attr: r.shown(id, made(syscall.S_IFDIR|0o555, r.Volume.When()))}
}

// rawEntry is the entry of the image of a volume or part.
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
