package thin

import (
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"thintree/thin/blockdev"
	"thintree/thin/dm"
	"thintree/thin/loop"
	"thintree/thin/pdata"
)

// Grow makes an active pool's data and metadata longer. It extends the files of loop devices to the
// given lengths in bytes; 0 is the present length of a file. Other block devices are used with the
// length that they have now. Nothing can become shorter. If Grow fails, a file may be longer
// already; the next Grow uses that. The error is a *[PoolModeError] if the pool cannot be changed.
func (p *Pool) Grow(ctx context.Context, metadataBytes, dataBytes int64) error {
	unlock, err := p.kernel.names.lock(ctx, p.name)
	if err != nil {
		return err
	}
	defer unlock()
	_, t, err := p.kernel.findPool(ctx, p.name)
	if err != nil {
		return err
	}
	s, err := p.Status(ctx)
	if err != nil {
		return err
	}
	// Without this such a pool would not grow and return no error, or would stay suspended.
	if t.ReadOnly || s.NeedsCheck || s.Mode == ModeFailed || s.Mode == ModeError {
		return &PoolModeError{p.name, s.Mode, s.NeedsCheck}
	}
	metadata, err := growDevice(t.metadata, metadataBytes)
	if err != nil {
		return fmt.Errorf("pool %s: metadata: %w", p.name, err)
	}
	// Metadata come first: a pool without free metadata cannot change anything else.
	if uint64(metadata/pdata.BlockBytes) > s.MetadataTotalBlocks {
		if err := p.reload(ctx, t, t); err != nil {
			return err
		}
	}
	data, err := growDevice(t.data, dataBytes)
	if err != nil {
		return fmt.Errorf("pool %s: data: %w", p.name, err)
	}
	longer := t
	longer.sectors = uint64(data) / blockdev.SectorBytes
	switch {
	case longer.sectors < t.sectors:
		return &TooShortError{"device " + blockdev.Text(t.data), data, int64(t.sectors) * blockdev.SectorBytes}
	case longer.sectors > t.sectors:
		return p.reload(ctx, t, longer)
	}
	return nil
}

// reload replaces the pool's table. The kernel reads the lengths of the pool's devices when it
// resumes the pool. If it refuses the new table, reload loads the old one again.
func (p *Pool) reload(ctx context.Context, have, want poolTable) error {
	load := func(ctx context.Context, t poolTable) error {
		return p.kernel.dm.Load(ctx, p.name, []dm.Target{t.target()}, false)
	}
	if err := load(ctx, want); err != nil {
		return err
	}
	err := p.kernel.suspended(ctx, []string{p.name}, func(context.Context) error { return nil })
	if err == nil {
		return nil
	}
	ctx = context.WithoutCancel(ctx)
	return errors.Join(err, load(ctx, have), p.kernel.ResumeDevice(ctx, p.name))
}

// growDevice makes the file of a loop device longer. It returns the length of the device then, in
// bytes.
func growDevice(number uint64, bytes int64) (int64, error) {
	if unix.Major(number) != blockdev.LoopMajor {
		if bytes != 0 {
			return 0, fmt.Errorf("device %s is not over a file that can be extended: extend the device, and grow the pool without a size", blockdev.Text(number))
		}
		return lengthOfDevice(number)
	}
	l, err := loop.Open(number)
	if err != nil {
		return 0, err
	}
	defer l.Close()
	if bytes != 0 {
		if err := growFile(l, bytes); err != nil {
			return 0, err
		}
	}
	if err := l.Refresh(); err != nil {
		return 0, err
	}
	return l.SizeBytes()
}

// growFile makes the file of a loop device longer. It is an error if it is longer already.
func growFile(l *loop.Device, bytes int64) error {
	b, err := l.Backing()
	if err != nil {
		return err
	}
	if b.Path == "" {
		return fmt.Errorf("%s: its file was deleted, or is not visible to this process", l.Path())
	}
	f, err := os.OpenFile(b.Path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return err
	}
	switch {
	case st.Dev != b.Dev || st.Ino != b.Ino:
		return fmt.Errorf("%s: another file took its place", b.Path)
	case st.Size > bytes:
		return fmt.Errorf("%s: it has %d bytes, and cannot be shortened to %d", b.Path, st.Size, bytes)
	}
	return errors.Join(f.Truncate(bytes), f.Sync())
}

func lengthOfDevice(number uint64) (int64, error) {
	text, err := os.ReadFile(blockdev.Sysfs(number) + "/size")
	if err != nil {
		return 0, err
	}
	var sectors int64
	if _, err := fmt.Sscan(string(text), &sectors); err != nil {
		return 0, fmt.Errorf("/sys/dev/block/%s/size: %w", blockdev.Text(number), err)
	}
	return sectors * blockdev.SectorBytes, nil
}
