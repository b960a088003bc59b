package thin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"syscall"

	"thintree/thin/block"
	"thintree/thin/pdata"
)

// DeviceReader is a thin device that is read in this process. Its methods may be
// called concurrently, but for Close. Offsets and lengths are in bytes.
type DeviceReader struct {
	pool   *poolState
	id     uint32
	size   int64
	origin block.Reader // external, or nil
	tree   *pdata.Mappings
	block  int64 // the length of a data block
}

// NoDeviceError says that a pool has no device of an id. It unwraps to ENXIO.
type NoDeviceError struct{ ID uint32 }

func (e *NoDeviceError) Error() string {
	return fmt.Sprintf("the pool has no device %d: it was deleted, or the record that names it is of another pool", e.ID)
}

// Unwrap makes errors.Is(err, syscall.ENXIO) true.
func (e *NoDeviceError) Unwrap() error { return syscall.ENXIO }

// BeyondDataError says that a mapping leads beyond the end of the pool's data. It
// unwraps to EIO.
type BeyondDataError struct {
	Offset int64 // of the data, in bytes
	Size   int64 // how long they are, in bytes
}

func (e *BeyondDataError) Error() string {
	return fmt.Sprintf("mapped to byte %d of the pool's data, which end at %d", e.Offset, e.Size)
}

// Unwrap makes errors.Is(err, syscall.EIO) true.
func (e *BeyondDataError) Unwrap() error { return syscall.EIO }

// OpenDevice opens a device of the pool for reading. Its length is not the
// pool's to know: sizeBytes gives it. Where origin is given, it is the device's
// external origin: what is not mapped is read there, and what lies beyond its
// end is zeros.
func (p *PoolReader) OpenDevice(ctx context.Context, id uint32, sizeBytes int64, origin block.Reader) (*DeviceReader, error) {
	s := p.use()
	tree, err := s.md.Mappings(ctx, id)
	if err != nil {
		s.users.Done()
		if errors.Is(err, pdata.ErrNoDevice) {
			return nil, &NoDeviceError{ID: id}
		}
		return nil, fmt.Errorf("device %d: %w", id, err)
	}
	return &DeviceReader{
		pool: s, id: id, size: sizeBytes, origin: origin, tree: tree,
		block: int64(s.md.Superblock().DataBlockSize) * sectorBytes,
	}, nil
}

// MappedBytes is how far a device reaches at least: the end of its highest mapped
// block, in bytes.
func (p *PoolReader) MappedBytes(ctx context.Context, id uint32) (int64, error) {
	d, err := p.OpenDevice(ctx, id, 0, nil)
	if err != nil {
		return 0, err
	}
	defer d.Close()
	highest, ok, err := d.tree.Highest(ctx)
	if err != nil || !ok {
		return 0, err
	}
	return int64(highest+1) * d.block, nil
}

// Close lets go of the pool.
func (d *DeviceReader) Close() error {
	d.pool.users.Done()
	return nil
}

// Size is the device's length in bytes.
func (d *DeviceReader) Size() int64 { return d.size }

// ReadAt reads as io.ReaderAt does. What is not mapped is zeros, or the external
// origin's. Data blocks that follow each other are read as one.
func (d *DeviceReader) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fmt.Errorf("device %d: read at %d: %w", d.id, off, syscall.EINVAL)
	}
	if off >= d.size {
		return 0, io.EOF
	}
	var end error
	if int64(len(p)) > d.size-off {
		p, end = p[:d.size-off], io.EOF
	}
	done := 0
	for done < len(p) {
		n, err := d.readRun(p[done:], off+int64(done))
		done += n
		if err != nil {
			return done, fmt.Errorf("device %d: %w", d.id, err)
		}
	}
	return done, end
}

// readRun reads from the one run of blocks that off lies in, which need not fill
// p.
func (d *DeviceReader) readRun(p []byte, off int64) (int, error) {
	for {
		run, bytes, err := d.run(off, int64(len(p)))
		if err != nil {
			return 0, err
		}
		part := p[:min(int64(len(p)), bytes)]
		n, err := d.readMapped(part, off, run)
		if d.pool.liveBy == "" {
			return n, err
		}
		// The mapping may have led to blocks that are somebody else's by now.
		same, sameErr := d.tree.Current(context.Background(), run)
		if sameErr != nil {
			return 0, sameErr
		}
		if same {
			return n, err
		}
	}
}

// run is the run that off lies in, and how many bytes of it follow off, at most
// want and what completes its last block.
func (d *DeviceReader) run(off, want int64) (pdata.Run, int64, error) {
	first, last := off/d.block, (off+want-1)/d.block
	run, err := d.tree.Run(context.Background(), uint64(first), uint64(last-first+1))
	if err != nil {
		return run, 0, err
	}
	return run, int64(run.Length)*d.block - off%d.block, nil
}

// readMapped reads what lies in one run.
func (d *DeviceReader) readMapped(p []byte, off int64, run pdata.Run) (int, error) {
	if !run.Mapped {
		return d.readUnmapped(p, off)
	}
	at := int64(run.Data)*d.block + off%d.block
	size := d.pool.data.Size()
	if at >= size {
		return 0, &BeyondDataError{Offset: at, Size: size}
	}
	n, err := d.pool.data.ReadAt(p[:min(int64(len(p)), size-at)], at)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	if err == nil && n < len(p) {
		err = &BeyondDataError{Offset: at + int64(n), Size: size}
	}
	return n, err
}

func (d *DeviceReader) readUnmapped(p []byte, off int64) (int, error) {
	n := 0
	if d.origin != nil && off < d.origin.Size() {
		var err error
		if n, err = d.origin.ReadAt(p, off); err != nil && !errors.Is(err, io.EOF) {
			return n, fmt.Errorf("external origin: %w", err)
		}
	}
	clear(p[n:])
	return len(p), nil
}

// NextData is the lowest offset ≥ off in a mapped block, or in data of the
// external origin: io.EOF where there is none.
func (d *DeviceReader) NextData(off int64) (int64, error) { return d.next(off, true) }

// NextHole is the lowest offset ≥ off that is not mapped, and a hole of the
// external origin too. The end of the device counts as a hole.
func (d *DeviceReader) NextHole(off int64) (int64, error) { return d.next(off, false) }

func (d *DeviceReader) next(off int64, data bool) (int64, error) {
	if off < 0 {
		return 0, fmt.Errorf("device %d: seek to %d: %w", d.id, off, syscall.EINVAL)
	}
	if off >= d.size {
		return 0, io.EOF
	}
	for off < d.size {
		run, length, err := d.run(off, d.size-off)
		if err != nil {
			return 0, fmt.Errorf("device %d: %w", d.id, err)
		}
		end := off + length
		switch {
		case run.Mapped:
			if data {
				return off, nil
			}
		case d.origin == nil:
			if !data {
				return off, nil
			}
		default:
			at, err := d.nextInOrigin(off, data)
			if err != nil {
				return 0, fmt.Errorf("device %d: external origin: %w", d.id, err)
			}
			if at < min(end, d.size) {
				return at, nil
			}
		}
		off = end
	}
	if data {
		return 0, io.EOF
	}
	return d.size, nil
}

// nextInOrigin is the next data or hole of the external origin, beyond the end of
// which there is only a hole.
func (d *DeviceReader) nextInOrigin(off int64, data bool) (int64, error) {
	seek := d.origin.NextHole
	if data {
		seek = d.origin.NextData
	}
	at, err := seek(off)
	if errors.Is(err, io.EOF) {
		if data {
			return math.MaxInt64, nil
		}
		return off, nil
	}
	return at, err
}
