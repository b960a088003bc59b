package tree

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"

	"thintree/thin"
	"thintree/volfs"
	"thintree/volfs/kernelfs"
	"thintree/volfs/probe"
)

// Journal says what is done about the journal of a filesystem that was not
// cleanly unmounted, where the kernel reads it.
type Journal string

// JournalReplay shows what it holds, without writing to the volume; JournalSkip
// shows the volume as it lies.
const (
	JournalReplay Journal = "replay"
	JournalSkip   Journal = "skip"
)

// extent is where in a volume something lies, in bytes.
type extent struct{ offset, length int64 }

// openKernel has the kernel read what was found on a volume, or in at of it where
// it is a partition. live is how a volume that is in use is shown then: LiveDisk
// says that it was left to the direct engine.
func (t *Tree) openKernel(ctx context.Context, c choice, r *fsRoot, sizeBytes int64, at extent, found probe.Signature) (_ volfs.FS, live Live, err error) {
	info := infoOf(found)
	live = c.live
	if live == LiveAuto || live == LiveBind {
		fs, err := t.openMounted(ctx, c, r, info)
		if err == nil || live == LiveBind || !errors.Is(err, kernelfs.ErrNotMounted) {
			return fs, LiveBind, err
		}
		live = LiveSnapshot
	}
	var device *os.File
	done := func() error { return nil }
	if live == LiveSnapshot {
		device, done, err = t.opts.Kernel.LendSnapshot(ctx, r.vol.pool.record.Metadata, r.vol.deviceID, sizeBytes)
		if mode := (*thin.PoolModeError)(nil); c.live == LiveAuto && errors.As(err, &mode) {
			t.log.Info("a volume in use is shown as it lies on the disk", "volume", r.vol.name, "reason", err)
			return nil, LiveDisk, nil
		}
	} else {
		p := r.vol.pool.record
		device, err = t.opts.Kernel.Lend(ctx, p.Metadata, p.Data, r.vol.deviceID, sizeBytes)
	}
	if err != nil {
		return nil, live, err
	}
	fs, err := t.mountLent(ctx, device, r, sizeBytes, at, info)
	if err != nil {
		return nil, live, errors.Join(err, done())
	}
	return lentFS{fs, done}, live, nil
}

func infoOf(s probe.Signature) volfs.Info {
	return volfs.Info{Type: s.Type, Label: s.Label, UUID: s.UUID, SizeBytes: s.SizeBytes}
}

// openMounted shows a volume through the mount of who has it mounted.
func (t *Tree) openMounted(ctx context.Context, c choice, r *fsRoot, info volfs.Info) (volfs.FS, error) {
	if r.part != 0 {
		return nil, kernelfs.ErrNotMounted
	}
	return kernelfs.OpenLive(ctx, c.user.Number, info)
}

// mountLent mounts what was lent, and closes it.
func (t *Tree) mountLent(ctx context.Context, device *os.File, r *fsRoot, sizeBytes int64, at extent, info volfs.Info) (volfs.FS, error) {
	defer func() { device.Close() }()
	if at.length != sizeBytes {
		part, err := t.opts.Kernel.Part(ctx, device, at.offset, at.length)
		if err != nil {
			return nil, err
		}
		device.Close()
		device = part
	}
	if t.opts.Journal == JournalSkip {
		return kernelfs.Open(device, info, kernelfs.SkipJournal)
	}
	fs, err := kernelfs.Open(device, info, kernelfs.ReplayJournal)
	if err == nil || !errors.Is(err, syscall.EROFS) && !errors.Is(err, syscall.EIO) {
		return fs, err
	}
	scratch, err := t.opts.Kernel.Scratch(ctx, device)
	if err != nil {
		return nil, err
	}
	defer scratch.Close()
	if fs, err = kernelfs.Open(scratch, info, kernelfs.ReplayJournal); err != nil {
		return nil, fmt.Errorf("its journal cannot be replayed (--journal skip shows it as it lies): %w", err)
	}
	t.log.Debug("replayed a journal in memory", "volume", r.vol.name)
	return fs, nil
}

// lentFS is told when it is closed.
type lentFS struct {
	volfs.FS
	done func() error
}

func (f lentFS) Close() error {
	err := f.FS.Close()
	return errors.Join(err, f.done())
}
