package extract

import (
	"context"
	"errors"
	"fmt"
	"io"
	"syscall"

	"golang.org/x/sys/unix"
)

// chunk is how many bytes are read in one call.
const chunk = 1 << 20

// content copies the bytes of a regular file to a new one. Holes stay holes. It returns
// how many bytes it has reported as progress.
func (c *copier) content(to *openNode, e entry) (done int64, err error) {
	size := e.Attr.Size
	if size < 0 {
		return 0, unreadable(fmt.Errorf("a file cannot be %d bytes long: %w", size, syscall.EIO))
	}
	from, err := c.from.open(c.ctx, e.ID)
	if err != nil {
		return 0, unreadable(err)
	}
	defer from.Close()
	if err := unix.Ftruncate(to.fd, size); err != nil {
		return 0, err
	}
	buf := c.buffer.Get().(*[chunk]byte)
	defer c.buffer.Put(buf)
	for done < size {
		data, hole, err := nextExtent(c.ctx, from, done, size)
		if err != nil {
			return done, unreadable(err)
		}
		c.advance(data - done)
		done = data
		for done < hole {
			if err := c.ctx.Err(); err != nil {
				return done, err
			}
			p := buf[:min(chunk, hole-done)]
			if n, err := from.ReadAt(c.ctx, p, done); n < len(p) {
				return done, unreadable(shortRead(err, done+int64(n)))
			}
			if err := pwrite(to.fd, p, done); err != nil {
				return done, err
			}
			c.advance(int64(len(p)))
			done += int64(len(p))
		}
	}
	return done, nil
}

// nextExtent finds the next data at or after an offset: the bytes from data up to hole.
// Both are size if there is none.
func nextExtent(ctx context.Context, f interface {
	NextData(context.Context, int64) (int64, error)
	NextHole(context.Context, int64) (int64, error)
}, off, size int64) (data, hole int64, err error) {
	data, err = f.NextData(ctx, off)
	if errors.Is(err, io.EOF) || err == nil && data >= size {
		return size, size, nil
	}
	if err == nil {
		hole, err = f.NextHole(ctx, data)
	}
	if err == nil && (data < off || hole <= data) {
		err = fmt.Errorf("the data after byte %[3]d cannot begin at byte %[1]d and end at byte %[2]d: %[4]w", data, hole, off, syscall.EIO)
	}
	return data, min(hole, size), err
}

// shortRead is the error of a read that returned too few bytes.
func shortRead(err error, at int64) error {
	if err == nil || errors.Is(err, io.EOF) {
		return fmt.Errorf("the file ends at byte %d, before its length: %w", at, syscall.EIO)
	}
	return err
}

func pwrite(fd int, p []byte, off int64) error {
	for len(p) > 0 {
		n, err := unix.Pwrite(fd, p, off)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return err
		}
		p, off = p[n:], off+int64(n)
	}
	return nil
}
