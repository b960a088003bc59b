package ext4

import (
	"context"
	"fmt"
	"io"
	"sync/atomic"
	"syscall"

	"thintree/volfs"
)

// file is an open regular file with its content in blocks.
type file struct {
	fs *FS
	in *inode
	// last is the run that was mapped last: reads are mostly sequential.
	last atomic.Pointer[run]
}

// Open opens a regular file.
func (fs *FS) Open(ctx context.Context, ino volfs.Ino) (volfs.File, error) {
	in, err := fs.inode(ctx, ino)
	if err != nil {
		return nil, err
	}
	switch {
	case in.fileType() == syscall.S_IFDIR:
		err = syscall.EISDIR
	case in.fileType() != syscall.S_IFREG:
		err = syscall.EINVAL
	case in.is(flagEncrypt):
		err = syscall.ENOKEY
	case in.inline != nil:
		return &inlineFile{data: in.inline.bytes(in), size: int64(in.size)}, nil
	default:
		return &file{fs: fs, in: in.copied()}, nil
	}
	return nil, fmt.Errorf("ext4: %s: %w", in, err)
}

func (f *file) Close() error { return nil }

func (f *file) size() int64 { return int64(f.in.size) }

// run returns the run that holds a block, from that block on.
func (f *file) run(ctx context.Context, logical uint64) (run, error) {
	if r := f.last.Load(); r != nil && logical >= r.logical && logical < r.end() {
		skip := logical - r.logical
		s := *r
		s.logical, s.count = logical, s.count-skip
		if s.hasData() {
			s.physical += skip
		}
		return s, nil
	}
	r, err := f.fs.mapBlock(ctx, f.in, logical)
	if err == nil {
		f.last.Store(&r)
	}
	return r, err
}

// ReadAt reads each range that is in one piece on the volume with one read.
func (f *file) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	p, eof, err := clip(p, off, f.size())
	if err != nil {
		return 0, err
	}
	for n := 0; n < len(p); {
		m, err := f.readPiece(ctx, p[n:], off+int64(n))
		n += m
		if err != nil {
			return n, err
		}
	}
	return len(p), eof
}

// clip shortens p to the bytes that a file of size bytes has at off. eof is the error to
// return after these were read.
func clip(p []byte, off, size int64) (clipped []byte, eof, err error) {
	switch {
	case off < 0:
		return nil, nil, fmt.Errorf("ext4: read at %d: %w", off, syscall.EINVAL)
	case off >= size && len(p) > 0:
		return nil, nil, io.EOF
	case int64(len(p)) > size-off:
		return p[:max(size-off, 0)], io.EOF, nil
	}
	return p, nil, nil
}

// readPiece reads the first piece of p.
func (f *file) readPiece(ctx context.Context, p []byte, off int64) (int, error) {
	bits := f.fs.sb.blockBits
	r, err := f.run(ctx, uint64(off)>>bits)
	if err != nil {
		return 0, err
	}
	skip := uint64(off) & (1<<bits - 1)
	n := min(r.count<<bits-skip, uint64(len(p)))
	if !r.hasData() {
		clear(p[:n])
		return int(n), nil
	}
	for n < uint64(len(p)) { // also the runs that follow on the volume
		next, err := f.run(ctx, r.end())
		if err != nil || !next.hasData() || next.physical != r.physical+r.count {
			break // the read of that run returns the error
		}
		r.count += next.count
		n = min(r.count<<bits-skip, uint64(len(p)))
	}
	if r.count = (skip + n + 1<<bits - 1) >> bits; f.in.ino != f.fs.sb.journalInum && f.fs.zones(ctx).overlap(r.physical, r.count) {
		return 0, f.in.damage("block %d is mapped to %d, among the filesystem's own", r.logical, r.physical)
	}
	return f.read(ctx, p[:n], int64(r.physical<<bits+skip))
}

func (f *file) read(ctx context.Context, p []byte, off int64) (int, error) {
	n, err := f.fs.vol.ReadAt(ctx, p, off)
	if n == len(p) {
		return n, nil
	}
	return n, readError(f.in, off+int64(n), err)
}

// NextData takes unwritten extents as holes, as the kernel does.
func (f *file) NextData(ctx context.Context, off int64) (int64, error) { return f.seek(ctx, off, true) }

func (f *file) NextHole(ctx context.Context, off int64) (int64, error) {
	next, err := f.seek(ctx, off, false)
	if err == io.EOF && off >= 0 && off < f.size() {
		return f.size(), nil
	}
	return next, err
}

// seek finds the lowest offset from off on that holds data, or that is in a hole.
func (f *file) seek(ctx context.Context, off int64, data bool) (int64, error) {
	if off < 0 {
		return 0, fmt.Errorf("ext4: seek to %d: %w", off, syscall.EINVAL)
	}
	bits := f.fs.sb.blockBits
	for off < f.size() {
		r, err := f.run(ctx, uint64(off)>>bits)
		if err != nil {
			return 0, err
		}
		if r.hasData() == data {
			return off, nil
		}
		off = int64(r.end() << bits)
	}
	return 0, io.EOF
}
