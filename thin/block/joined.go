package block

import (
	"context"
	"errors"
	"fmt"
	"io"

	"golang.org/x/sys/unix"
)

// joined reads pieces as one. Each piece is a [Section]. If a Section is longer than what it
// lies in, the missing bytes are io.ErrUnexpectedEOF, and are not taken from the next piece.
type joined struct {
	parts  []Reader
	begins []int64 // where each part begins in the whole, if they are not striped
	stripe int64   // length of a stripe, 0 if they are not striped
	size   int64
}

func join(p *pieces, parts []Reader) *joined {
	j := &joined{parts: parts, stripe: p.stripe, size: p.length}
	begin := int64(0)
	for _, part := range parts {
		j.begins = append(j.begins, begin)
		begin += part.Size()
	}
	return j
}

func (j *joined) Size() int64 { return j.size }

// find returns the part that a byte lies in, its offset in the part, and how many bytes from
// there on are contiguous in the whole.
func (j *joined) find(off int64) (part Reader, at, length int64) {
	if j.stripe > 0 {
		n := int64(len(j.parts))
		row, in := off/j.stripe, off%j.stripe
		return j.parts[row%n], row/n*j.stripe + in, j.stripe - in
	}
	i, end := 0, len(j.begins)
	for end-i > 1 {
		if middle := (i + end) / 2; j.begins[middle] <= off {
			i = middle
		} else {
			end = middle
		}
	}
	at = off - j.begins[i]
	return j.parts[i], at, j.parts[i].Size() - at
}

func (j *joined) check(off int64) error {
	switch {
	case off < 0:
		return fmt.Errorf("offset %d: %w", off, unix.EINVAL)
	case off >= j.size:
		return io.EOF
	}
	return nil
}

func (j *joined) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	if len(p) == 0 && off >= 0 {
		return 0, nil
	}
	if err := j.check(off); err != nil {
		return 0, err
	}
	var end error
	if int64(len(p)) > j.size-off {
		p, end = p[:j.size-off], io.EOF
	}
	done := 0
	for done < len(p) {
		part, at, length := j.find(off + int64(done))
		want := p[done:]
		if int64(len(want)) > length {
			want = want[:length]
		}
		n, err := part.ReadAt(ctx, want, at)
		done += n
		if n < len(want) {
			return done, err
		}
	}
	return done, end
}

func (j *joined) NextData(ctx context.Context, off int64) (int64, error) {
	return j.next(ctx, off, true)
}

func (j *joined) NextHole(ctx context.Context, off int64) (int64, error) {
	return j.next(ctx, off, false)
}

func (j *joined) next(ctx context.Context, off int64, data bool) (int64, error) {
	if err := j.check(off); err != nil {
		return 0, err
	}
	next := j.nextLinear
	if j.stripe > 0 {
		next = j.nextStriped
	}
	at, err := next(ctx, off, data)
	if err == nil && at == j.size && data {
		err = io.EOF
	}
	if err != nil {
		return 0, err
	}
	return at, nil
}

// nextLinear is the next data or hole, or the end if there is none.
func (j *joined) nextLinear(ctx context.Context, off int64, data bool) (int64, error) {
	for off < j.size {
		part, at, length := j.find(off)
		next, err := seek(ctx, part, at, data)
		if err != nil {
			return 0, err
		}
		if next < at+length {
			return off + next - at, nil
		}
		off += length
	}
	return j.size, nil
}

// nextStriped is nextLinear of stripes. It asks each part once: there can be millions of stripes.
func (j *joined) nextStriped(ctx context.Context, off int64, data bool) (int64, error) {
	nearest := j.size
	n := int64(len(j.parts))
	row, in := off/(j.stripe*n), off%(j.stripe*n)
	for i, part := range j.parts {
		// The part's first byte that is at off or behind it in the whole.
		at := row*j.stripe + min(max(0, in-int64(i)*j.stripe), j.stripe)
		if at == part.Size() {
			continue
		}
		next, err := seek(ctx, part, at, data)
		if err != nil {
			return 0, err
		}
		if next < part.Size() {
			nearest = min(nearest, (next/j.stripe*n+int64(i))*j.stripe+next%j.stripe)
		}
	}
	return nearest, nil
}

// seek is the next data or hole in a part, or its end if there is none.
func seek(ctx context.Context, part Reader, off int64, data bool) (next int64, err error) {
	if data {
		next, err = part.NextData(ctx, off)
	} else {
		next, err = part.NextHole(ctx, off)
	}
	if errors.Is(err, io.EOF) {
		return part.Size(), nil
	}
	return next, err
}
