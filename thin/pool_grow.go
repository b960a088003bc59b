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

// Grow makes an active pool's data and metadata longer: the files of its loop
// devices to so many bytes, 0 for as they are. Block devices it takes as long as
// they have become. Nothing can become shorter. Where it fails a file may have
// become longer all the same, and the next Grow takes it as it is. The error is a
// *[PoolModeError] where the pool cannot change.
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
	// Such a pool would stay as it is without an error, or stay suspended.
	if t.ReadOnly || s.NeedsCheck || s.Mode == ModeFailed || s.Mode == ModeError {
		return &PoolModeError{p.name, s.Mode, s.NeedsCheck}
	}
	metadata, err := growDevice(t.metadata, metadataBytes)
	if err != nil {
		return fmt.Errorf("pool %s: metadata: %w", p.name, err)
	}
	// They come first: a pool that is out of them can change nothing else.
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

// reload gives the pool another table. When it is resumed it looks how long its
// devices are. Where it refuses the table it gets the one it had.
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

// growDevice makes the file of a loop device longer, and gives how many bytes the
// device has then.
func growDevice(number uint64, bytes int64) (int64, error) {
	if unix.Major(number) != loopMajor {
		if bytes != 0 {
			return 0, fmt.Errorf("device %s is over no file that could become longer: make the device longer, and grow the pool without a size", blockdev.Text(number))
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

// growFile makes the file of a loop device longer. It is an error where it is
// longer already.
func growFile(l *loop.Device, bytes int64) error {
	b, err := l.Backing()
	if err != nil {
		return err
	}
	if b.Path == "" {
		return fmt.Errorf("%s: its file is deleted, or cannot be seen from here", l.Path())
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
		return fmt.Errorf("%s: it has %d bytes, and can only become longer, not %d", b.Path, st.Size, bytes)
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
