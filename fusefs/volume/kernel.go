package volume

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"thintree/thin"
	"thintree/thin/lend"
	"thintree/volfs"
	"thintree/volfs/kernelfs"
	"thintree/volfs/probe"
)

// underWay is how long a mount may be under way of a device that is open already.
const underWay = 200 * time.Millisecond

// openKernel has the kernel read what was found on a volume, or in at of it where
// it is a partition. live is how a volume that is in use is shown then: LiveDisk
// says that it is left to the direct engine.
func (o *Opener) openKernel(ctx context.Context, c choice, r *Root, sizeBytes int64, at extent, found probe.Signature) (fs volfs.FS, live Live, err error) {
	info, live := infoOf(found), c.live
	if live == LiveAuto || live == LiveBind {
		fs, err := o.openMounted(ctx, c, r, info)
		for began := time.Now(); live == LiveAuto && errors.Is(err, kernelfs.ErrNotMounted) && time.Since(began) < underWay; {
			time.Sleep(underWay / 10)
			fs, err = o.openMounted(ctx, c, r, info)
		}
		if err == nil || live == LiveBind || !errors.Is(err, kernelfs.ErrNotMounted) {
			return fs, LiveBind, err
		}
		live = LiveSnapshot
	}
	d := &lent{}
	mounted, err := o.mountLent(ctx, d, live == LiveSnapshot, c.shared, r, sizeBytes, at, info)
	if d.top != nil {
		d.top.Close() // what is mounted holds it
	}
	if err == nil && d.still != nil {
		return checkedFS{lentFS{mounted, d}}, live, nil
	}
	if err == nil {
		return lentFS{mounted, d}, live, nil
	}
	if mode := (*thin.PoolModeError)(nil); c.live == LiveAuto && errors.As(err, &mode) {
		o.Log.Info("a volume in use is shown as it lies on the disk", "volume", r.Volume.name, "reason", err)
		return nil, LiveDisk, d.gone()
	}
	return nil, live, errors.Join(err, d.gone())
}

func infoOf(s probe.Signature) volfs.Info {
	return volfs.Info{Type: s.Type, Label: s.Label, UUID: s.UUID, SizeBytes: s.SizeBytes}
}

// openMounted shows a volume through the mount of who has it mounted.
func (o *Opener) openMounted(ctx context.Context, c choice, r *Root, info volfs.Info) (volfs.FS, error) {
	if !r.Place.IsWhole() {
		return nil, kernelfs.ErrNotMounted
	}
	fs, err := kernelfs.OpenLive(ctx, c.user.Number, info)
	if err != nil {
		return nil, err
	}
	if !c.user.Still() { // what was opened can be another volume
		return nil, errors.Join(kernelfs.ErrNotMounted, fs.Close())
	}
	return fs, nil
}

// mountLent borrows the volume, or a snapshot of it, and mounts it.
func (o *Opener) mountLent(ctx context.Context, d *lent, snapshot, shared bool, r *Root, sizeBytes int64, at extent, info volfs.Info) (*kernelfs.FS, error) {
	k := o.Kernel
	ctx, cancel := context.WithTimeout(ctx, o.OpenTimeout)
	defer cancel()
	metadata, data := r.Volume.Pool.reader.Paths()
	var err error
	switch {
	case snapshot:
		err = d.add(k.LendSnapshot(ctx, metadata, r.Volume.deviceID, sizeBytes))
	case shared:
		if o.Engine != EngineKernel {
			data = "" // a pool that has gone since is not to be activated
		}
		if err = o.lendPieces(ctx, d, r, metadata, sizeBytes); err == nil {
			break
		}
		o.Log.Debug("a volume is lent as a whole", "volume", r.Volume.name, "reason", err)
		fallthrough
	default:
		err = d.add(k.Lend(ctx, metadata, data, r.Volume.deviceID, sizeBytes))
	}
	if err == nil && at.length != sizeBytes {
		err = d.add(k.Part(ctx, d.top, at.offset, at.length))
	}
	if err != nil {
		return nil, err
	}
	journal := volfs.JournalReplay
	if o.Journal == volfs.JournalSkip || !snapshot && r.unmounted() {
		journal = volfs.JournalSkip
	}
	scratch := false
	if kernelfs.NeedsIdentity(info.Type) {
		if err := d.add(k.Scratch(ctx, d.top)); err != nil {
			return nil, err
		}
		if err := kernelfs.SetIdentity(d.top); err != nil {
			return nil, err
		}
		scratch = true
	}
	fs, err := kernelfs.Open(d.top, info, journal)
	if err == nil || journal == volfs.JournalSkip || !errors.Is(err, syscall.EROFS) && !errors.Is(err, syscall.EIO) {
		return fs, err
	}
	if !scratch {
		if err := d.add(k.Scratch(ctx, d.top)); err != nil {
			return nil, err
		}
		if fs, err = kernelfs.Open(d.top, info, journal); err == nil {
			o.Log.Debug("replayed a journal in memory", "volume", r.Volume.name)
			return fs, nil
		}
	}
	return nil, fmt.Errorf("its journal cannot be replayed (--journal skip shows it as it lies): %w", err)
}

// unmounted reports whether a peek has found nothing in the filesystem's journal: then the
// kernel need not look.
func (r *Root) unmounted() bool {
	p := r.LastPeek()
	return p != nil && p.fs != nil && p.fs.unmounted
}

// lendPieces borrows what the volume consists of, and not the volume: so its owner can delete
// it while it is read. There may be too many pieces for it, or a kernel without the targets
// that they need.
func (o *Opener) lendPieces(ctx context.Context, d *lent, r *Root, metadata string, sizeBytes int64) error {
	pieces, version, err := r.Volume.Pool.reader.Pieces(ctx, r.Volume.deviceID, sizeBytes, lend.MaxPieces)
	if err != nil {
		return err
	}
	f, done, still, err := o.Kernel.LendPieces(ctx, metadata, pieces)
	if err != nil {
		return err
	}
	d.still = func(ctx context.Context) error { return errors.Join(version.Still(ctx), still(ctx)) }
	return d.add(f, done, nil)
}
