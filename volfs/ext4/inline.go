package ext4

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"syscall"

	"thintree/volfs"
)

// inlineData is content in the inode itself. It begins in i_block and continues in the
// value of the extended attribute system.data.
type inlineData struct {
	value []byte
}

// findInline sets inline.
func (in *inode) findInline() error {
	for e, err := range entriesOf(in.ibody, in) {
		if err != nil {
			return err
		}
		if e.index != xattrSystem || string(e.name) != "data" {
			continue
		}
		if e.valueInode != 0 {
			return in.damage("inline data in inode %d", e.valueInode)
		}
		value, err := e.value(in.ibody, in)
		if err != nil {
			return err
		}
		in.inline = &inlineData{value: value}
		return nil
	}
	return in.damage("no inline data, though its flag is set")
}

// bytes returns all the bytes that there is room for. The file may be shorter or longer.
func (d *inlineData) bytes(in *inode) []byte {
	return append(append(make([]byte, 0, iBlockSize+len(d.value)), in.iBlock()...), d.value...)
}

// inlineFile is an open file of inline data, with a hole after them.
type inlineFile struct {
	data []byte
	size int64
}

func (f *inlineFile) Close() error { return nil }

func (f *inlineFile) ReadAt(_ context.Context, p []byte, off int64) (int, error) {
	p, eof, err := clip(p, off, f.size)
	if err != nil {
		return 0, err
	}
	n := 0
	if off < int64(len(f.data)) {
		n = copy(p, f.data[off:])
	}
	clear(p[n:])
	return len(p), eof
}

func (f *inlineFile) NextData(_ context.Context, off int64) (int64, error) {
	switch {
	case off < 0:
		return 0, fmt.Errorf("ext4: seek to %d: %w", off, syscall.EINVAL)
	case off >= f.size || off >= int64(len(f.data)):
		return 0, io.EOF
	}
	return off, nil
}

func (f *inlineFile) NextHole(_ context.Context, off int64) (int64, error) {
	switch {
	case off < 0:
		return 0, fmt.Errorf("ext4: seek to %d: %w", off, syscall.EINVAL)
	case off >= f.size:
		return 0, io.EOF
	}
	return min(max(off, int64(len(f.data))), f.size), nil
}

const inlineParentSize = 4 // bytes of the parent's inode number, before the entries

// inlineParent returns the folder that an inline folder lies in.
func (in *inode) inlineParent() uint32 { return binary.LittleEndian.Uint32(in.iBlock()) }

// inlineParser returns the parsers of an inline folder: of i_block after the parent's
// number, and of the value of the attribute.
func (fs *FS) inlineParser(dir *inode, bad func(error)) [2]*dirParser {
	part := func(p []byte) *dirParser {
		return &dirParser{fs: fs, p: p, hashInside: hashInside(dir), encrypted: dir.is(flagEncrypt), bad: bad,
			what: func() string { return fmt.Sprintf("inline folder %d", dir.ino) }}
	}
	return [2]*dirParser{part(dir.iBlock()[inlineParentSize:]), part(dir.inline.value)}
}

// inline lists an inline folder. It has no entries "." and "..": these are made up, with
// the cookies 1 and 2.
func (l *listing) inline() {
	const self, parent = 1, 2
	dots := [...]volfs.DirEntry{
		{Name: ".", Ino: volfs.Ino(l.dir.ino), Type: syscall.S_IFDIR, Cookie: self},
		{Name: "..", Ino: volfs.Ino(l.dir.inlineParent()), Type: syscall.S_IFDIR, Cookie: parent},
	}
	for _, e := range dots {
		if e.Cookie > l.after && !l.emit(e) {
			l.stopped = true
			return
		}
	}
	base := uint64(inlineParentSize)
	for _, d := range l.fs.inlineParser(l.dir, l.lose) {
		if !l.entries(d, base) {
			return
		}
		base = iBlockSize
	}
}

// findInlineEntry looks for q in an inline folder.
func (fs *FS) findInlineEntry(dir *inode, q *query) (uint32, error) {
	var lost error
	for _, d := range fs.inlineParser(dir, func(err error) {
		if lost == nil {
			lost = err
		}
	}) {
		if ino, _ := search(d, q, &lost); ino != 0 {
			return ino, nil
		}
	}
	return 0, lost
}
