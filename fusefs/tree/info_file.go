package tree

import (
	"context"
	"io"
	"strings"
	"syscall"

	"thintree/fusefs/bytejson"
	"thintree/fusefs/layout"
	"thintree/fusefs/volume"
	"thintree/volfs"
)

// infoText makes the text of a node's info file.
func (t *Tree) infoText(ctx context.Context, id NodeID) (string, error) {
	var about any
	var err error
	if id.IsFile() {
		about, err = t.Volume(ctx, id)
	} else {
		var n *layout.Node
		if n, err = t.viewNode(ctx, id); err == nil {
			about = t.poolInfo(n.Pool().(*volume.Pool))
		}
	}
	if err != nil {
		return "", err
	}
	text, err := bytejson.Marshal(about)
	return string(text), err
}

func (t *Tree) infoEntry(ctx context.Context, id NodeID) (Entry, error) {
	text, err := t.infoText(ctx, id)
	if err != nil {
		return Entry{}, err
	}
	var when int64
	ino := uint64(id)
	if id.IsFile() {
		r, err := t.root(id)
		if err != nil {
			return Entry{}, err
		}
		when, ino = r.Volume.When(), r.InodeNumber(id)
	} else {
		n, err := t.viewNode(ctx, id)
		if err != nil {
			return Entry{}, err
		}
		when = n.Pool().(*volume.Pool).When()
	}
	a := made(syscall.S_IFREG|0o444, when)
	a.Size, a.Ino = int64(len(text)), volfs.Ino(ino)
	a.Blocks = sectors(a.Size)
	return Entry{ID: id, Attr: a}, nil
}

func (t *Tree) openInfo(ctx context.Context, id NodeID) (*File, error) {
	text, err := t.infoText(ctx, id)
	if err != nil {
		return nil, err
	}
	return &File{Made: true, bytes: textFile{strings.NewReader(text)}}, nil
}

// textFile is a file whose bytes are in memory.
type textFile struct{ *strings.Reader }

// ReadAt reads from memory.
func (f textFile) ReadAt(_ context.Context, p []byte, off int64) (int, error) {
	return f.Reader.ReadAt(p, off)
}

// NextData returns off itself, because there are no holes.
func (f textFile) NextData(_ context.Context, off int64) (int64, error) {
	if off >= f.Size() {
		return 0, io.EOF
	}
	return off, nil
}

// NextHole returns the end of the file.
func (f textFile) NextHole(_ context.Context, off int64) (int64, error) {
	if off >= f.Size() {
		return 0, io.EOF
	}
	return f.Size(), nil
}

// Close does nothing.
func (f textFile) Close() error { return nil }
