package volfs

import (
	"context"
	"io"
)

// ReaderAt returns a [Volume] or [File] as an io.ReaderAt that reads with ctx.
func ReaderAt(ctx context.Context, r interface {
	ReadAt(ctx context.Context, p []byte, off int64) (int, error)
}) io.ReaderAt {
	return readerAt(func(p []byte, off int64) (int, error) { return r.ReadAt(ctx, p, off) })
}

type readerAt func(p []byte, off int64) (int, error)

func (f readerAt) ReadAt(p []byte, off int64) (int, error) { return f(p, off) }
