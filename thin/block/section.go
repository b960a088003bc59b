package block

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"

	"golang.org/x/sys/unix"
)

// Section is a part of r, such as a partition: length bytes from off on. If off is negative,
// its methods return EINVAL. A negative length is taken as 0. Bytes beyond the end of r count
// as data, and reading them returns [io.ErrUnexpectedEOF].
func Section(r Reader, off, length int64) Reader {
	return &section{r: r, off: off, size: max(0, min(length, math.MaxInt64-max(off, 0)))}
}

type section struct {
	r         Reader
	off, size int64
}

func (s *section) Size() int64 { return s.size }

func (s *section) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	if err := s.check(off); err != nil {
		return 0, err
	}
	if off >= s.size {
		if len(p) == 0 {
			return 0, nil
		}
		return 0, io.EOF
	}
	want := p[:min(int64(len(p)), s.size-off)]
	n, err := s.r.ReadAt(ctx, want, s.off+off)
	switch {
	case n < len(want) && errors.Is(err, io.EOF):
		err = fmt.Errorf("byte %d: %w", s.off+off+int64(n), io.ErrUnexpectedEOF)
	case n == len(want) && (err == nil || errors.Is(err, io.EOF)):
		err = nil
		if n < len(p) {
			err = io.EOF
		}
	}
	return n, err
}

func (s *section) NextData(ctx context.Context, off int64) (int64, error) {
	if err := s.check(off); err != nil {
		return 0, err
	}
	if off >= s.size {
		return 0, io.EOF
	}
	end := s.end()
	if off >= end {
		return off, nil
	}
	data, err := s.r.NextData(ctx, s.off+off)
	if errors.Is(err, io.EOF) {
		data, err = s.off+end, nil
	}
	if err != nil {
		return 0, err
	}
	if data -= s.off; data >= s.size {
		return 0, io.EOF
	}
	return data, nil
}

func (s *section) NextHole(ctx context.Context, off int64) (int64, error) {
	if err := s.check(off); err != nil {
		return 0, err
	}
	if off >= s.size {
		return 0, io.EOF
	}
	end := s.end()
	if off >= end {
		return s.size, nil
	}
	hole, err := s.r.NextHole(ctx, s.off+off)
	if err != nil {
		return 0, err
	}
	if hole -= s.off; hole >= end {
		return s.size, nil
	}
	return hole, nil
}

// end is how much of the section lies within r.
func (s *section) end() int64 {
	return max(0, min(s.size, s.r.Size()-s.off))
}

func (s *section) check(off int64) error {
	if off < 0 || s.off < 0 {
		return fmt.Errorf("offset %d in a section that begins at byte %d: %w", off, s.off, unix.EINVAL)
	}
	return nil
}
