// Package toyreader reads any squashfs as a folder with one file.
package toyreader

import (
	"context"
	"io"
	"syscall"

	"thintree/volfs"
)

// Reader is this package as one of the readers of volfs.
var Reader = volfs.Reader{
	Name:  "toy",
	Types: []string{"squashfs"},
	Open: func(_ context.Context, v volfs.Volume, _ volfs.Options) (volfs.FS, error) {
		return filesystem{v.Size()}, nil
	},
}

const (
	root volfs.Ino = 1
	file volfs.Ino = 2

	name    = "hello.txt"
	content = "hello from the toy reader\n"
)

type filesystem struct{ sizeBytes int64 }

func (filesystem) Root() volfs.Ino { return root }

func (filesystem) Stat(_ context.Context, ino volfs.Ino) (volfs.Attr, error) {
	switch ino {
	case root:
		return volfs.Attr{Ino: root, Mode: syscall.S_IFDIR | 0o755, Nlink: 2, BlockSize: 512}, nil
	case file:
		return volfs.Attr{Ino: file, Mode: syscall.S_IFREG | 0o644, Nlink: 1, BlockSize: 512, Size: int64(len(content))}, nil
	}
	return volfs.Attr{}, syscall.ENOENT
}

func (filesystem) Lookup(_ context.Context, dir volfs.Ino, entry string) (volfs.Ino, error) {
	switch {
	case dir != root:
		return 0, syscall.ENOTDIR
	case entry != name:
		return 0, syscall.ENOENT
	}
	return file, nil
}

func (filesystem) ReadDir(_ context.Context, dir volfs.Ino, cookie uint64, emit func(volfs.DirEntry) bool) error {
	if dir != root {
		return syscall.ENOTDIR
	}
	all := []volfs.DirEntry{
		{Name: ".", Ino: root, Type: syscall.S_IFDIR, Cookie: 1},
		{Name: "..", Ino: root, Type: syscall.S_IFDIR, Cookie: 2},
		{Name: name, Ino: file, Type: syscall.S_IFREG, Cookie: 3},
	}
	for _, e := range all[min(cookie, uint64(len(all))):] {
		if !emit(e) {
			break
		}
	}
	return nil
}

func (filesystem) Readlink(context.Context, volfs.Ino) (string, error) { return "", syscall.EINVAL }

func (filesystem) Open(_ context.Context, ino volfs.Ino) (volfs.File, error) {
	if ino == root {
		return nil, syscall.EISDIR
	}
	return fixed{}, nil
}

func (filesystem) Xattrs(context.Context, volfs.Ino) ([]string, error) { return nil, nil }

func (filesystem) Xattr(context.Context, volfs.Ino, string) ([]byte, error) {
	return nil, syscall.ENODATA
}

func (filesystem) Statfs(context.Context) (volfs.Statfs, error) {
	return volfs.Statfs{BlockSize: 512, Files: 2, NameLen: 255}, nil
}

func (fs filesystem) Info() volfs.Info {
	return volfs.Info{Type: "squashfs", Label: "toy", SizeBytes: fs.sizeBytes}
}

func (filesystem) Close() error { return nil }

// fixed is the file.
type fixed struct{}

func (fixed) ReadAt(_ context.Context, p []byte, off int64) (int, error) {
	if off >= int64(len(content)) {
		return 0, io.EOF
	}
	n := copy(p, content[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (fixed) NextData(_ context.Context, off int64) (int64, error) {
	if off >= int64(len(content)) {
		return 0, io.EOF
	}
	return off, nil
}

func (fixed) NextHole(_ context.Context, off int64) (int64, error) {
	if off >= int64(len(content)) {
		return 0, io.EOF
	}
	return int64(len(content)), nil
}

func (fixed) Close() error { return nil }
