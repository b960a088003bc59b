package thin

import (
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"thintree/thin/dm"
	"thintree/thin/loop"
)

// Grow makes an active pool's data and metadata longer: the files of its loop
// devices to so many bytes, 0 for as they are. Block devices it takes as long as
// they have become. Nothing can become shorter.
func (p *Pool) Grow(ctx context.Context, metadataBytes, dataBytes int64) error {
	_, t, err := p.kernel.findPool(ctx, p.name)
	if err != nil {
		return err
	}
	if _, err := growDevice(t.metadata, metadataBytes); err != nil {
		return fmt.Errorf("pool %s: metadata: %w", p.name, err)
	}
	bytes, err := growDevice(t.data, dataBytes)
	if err != nil {
		return fmt.Errorf("pool %s: data: %w", p.name, err)
	}
	if t.sectors > uint64(bytes)/sectorBytes {
		return &TooShortError{dm.NodePath(t.data), bytes, int64(t.sectors) * sectorBytes}
	}
	t.sectors = uint64(bytes) / sectorBytes
	if err := p.kernel.dm.Load(ctx, p.name, []dm.Target{t.target()}, false); err != nil {
		return err
	}
	// The pool looks how long its devices are when it is resumed.
	err = p.kernel.suspended(ctx, []string{p.name}, func(context.Context) error { return nil })
	if err != nil {
		return errors.Join(err, p.kernel.dm.Clear(context.WithoutCancel(ctx), p.name))
	}
	return nil
}

const loopMajor = 7

// growDevice makes the file of a loop device longer, and gives how long a device
// is then.
func growDevice(number uint64, bytes int64) (int64, error) {
	if unix.Major(number) != loopMajor {
		if bytes != 0 {
			return 0, fmt.Errorf("device %s is over no file that could become longer: make the device longer, and grow the pool without a size", deviceText(number))
		}
		return lengthOfDevice(number)
	}
	l, err := loop.Open(number)
	if err != nil {
		return 0, err
	}
	defer l.Close()
	if bytes != 0 {
		b, err := l.Backing()
		if err != nil {
			return 0, err
		}
		if err := growFile(b.Path, bytes); err != nil {
			return 0, err
		}
	}
	if err := l.Refresh(); err != nil {
		return 0, err
	}
	return l.SizeBytes()
}

func lengthOfDevice(number uint64) (int64, error) {
	text, err := os.ReadFile("/sys/dev/block/" + deviceText(number) + "/size")
	if err != nil {
		return 0, err
	}
	var sectors int64
	if _, err := fmt.Sscan(string(text), &sectors); err != nil {
		return 0, fmt.Errorf("/sys/dev/block/%s/size: %w", deviceText(number), err)
	}
	return sectors * sectorBytes, nil
}
