package volume

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"thintree/thin"
	"thintree/thin/block"
	"thintree/thin/lend"
	"thintree/volfs"
	"thintree/volfs/kernelfs"
	"thintree/volfs/probe"
)

// underWay is how long a mount may take after it has opened the device.
const underWay = 200 * time.Millisecond

// openKernel opens the filesystem that was found in the range at of a volume, through the
// kernel. live is how a volume that is in use is shown then. LiveDisk means that nothing was
// opened and the caller is to use the direct engine.
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
		if r.Volume.Pool == nil { // there are no snapshots of it
			return nil, LiveDisk, nil
		}
		live = LiveSnapshot
	}
	loan, err := o.borrow(ctx, live == LiveSnapshot, c.shared, r, sizeBytes)
	var mounted *kernelfs.FS
	if err == nil {
		mounted, err = o.mountLent(ctx, loan, live == LiveSnapshot, r, sizeBytes, at, info)
		loan.LetGo() // the mount keeps the loan's device open
	}
	if err == nil && loan.MayBeOthers() {
		return checkedFS{lentFS{mounted, loan}}, live, nil
	}
	if err == nil {
		return lentFS{mounted, loan}, live, nil
	}
	if loan != nil {
		err = errors.Join(err, loan.Close())
	}
	if mode := (*thin.PoolModeError)(nil); c.live == LiveAuto && errors.As(err, &mode) {
		o.Log.Info("a volume in use is shown as it is on the disk", "volume", r.Volume.name, "reason", err)
		return nil, LiveDisk, nil
	}
	return nil, live, err
}

func infoOf(s probe.Signature) volfs.Info {
	return volfs.Info{Type: s.Type, Label: s.Label, UUID: s.UUID, SizeBytes: s.SizeBytes}
}

// openMounted opens a volume's filesystem through its user's mount. The error is
// kernelfs.ErrNotMounted if there is none that can be reached.
func (o *Opener) openMounted(ctx context.Context, c choice, r *Root, info volfs.Info) (volfs.FS, error) {
	if !r.Place.IsWhole() {
		return nil, kernelfs.ErrNotMounted
	}
	fs, err := kernelfs.OpenLive(ctx, c.user.Number, info)
	if err != nil {
		return nil, err
	}
	if !c.user.Still() { // the device number may have been given to another volume before the open
		return nil, errors.Join(kernelfs.ErrNotMounted, fs.Close())
	}
	return fs, nil
}

// borrow borrows the volume, or a snapshot of it. If somebody else has the pool active, it
// borrows the volume's pieces of the data device, if possible: then the owner can delete the
// volume while it is read.
func (o *Opener) borrow(ctx context.Context, snapshot, shared bool, r *Root, sizeBytes int64) (*lend.Loan, error) {
	ctx, cancel := context.WithTimeout(ctx, o.OpenTimeout)
	defer cancel()
	if r.Volume.Pool == nil {
		return o.Kernel.Lend(ctx, lend.Request{Plain: r.Volume.Record().Plain, SizeBytes: sizeBytes})
	}
	metadata, data := r.Volume.Pool.reader.Halves()
	request := lend.Request{Metadata: metadata, Data: data, ID: r.Volume.deviceID, SizeBytes: sizeBytes, Snapshot: snapshot}
	origin := r.Volume.origin.Load()
	if origin != nil {
		request.Origin, request.OriginBytes = origin.Record().Plain, origin.sizeBytes
	}
	if snapshot || !shared || origin != nil {
		return o.Kernel.Lend(ctx, request)
	}
	if o.Engine != EngineKernel {
		request.Data = block.Location{} // a pool that was deactivated since must stay so
	}
	pieces, version, err := r.Volume.Pool.reader.Pieces(ctx, r.Volume.deviceID, sizeBytes, lend.MaxPieces)
	if err == nil {
		inPieces := request
		inPieces.Pieces, inPieces.Still = pieces, version.Still
		var loan *lend.Loan
		if loan, err = o.Kernel.Lend(ctx, inPieces); err == nil {
			return loan, nil
		}
	}
	// There are too many pieces, or the kernel lacks a device-mapper target that they need.
	o.Log.Debug("a volume is lent as a whole", "volume", r.Volume.name, "reason", err)
	return o.Kernel.Lend(ctx, request)
}

// mountLent mounts the device of a loan, or the range at of that device.
func (o *Opener) mountLent(ctx context.Context, loan *lend.Loan, snapshot bool, r *Root, sizeBytes int64, at extent, info volfs.Info) (*kernelfs.FS, error) {
	ctx, cancel := context.WithTimeout(ctx, o.OpenTimeout)
	defer cancel()
	if at.length != sizeBytes {
		if err := loan.Part(ctx, at.offset, at.length); err != nil {
			return nil, err
		}
	}
	journal := volfs.JournalReplay
	if o.Journal == volfs.JournalSkip || !snapshot && r.unmounted() {
		journal = volfs.JournalSkip
	}
	scratch := false
	if kernelfs.NeedsIdentity(info.Type) {
		if err := loan.Scratch(ctx); err != nil {
			return nil, err
		}
		if err := kernelfs.SetIdentity(loan.File()); err != nil {
			return nil, err
		}
		scratch = true
	}
	fs, err := kernelfs.Open(loan.File(), info, journal)
	if err == nil || journal == volfs.JournalSkip || !errors.Is(err, syscall.EROFS) && !errors.Is(err, syscall.EIO) {
		return fs, err
	}
	if !scratch {
		if err := loan.Scratch(ctx); err != nil {
			return nil, err
		}
		if fs, err = kernelfs.Open(loan.File(), info, journal); err == nil {
			o.Log.Debug("replayed a journal in memory", "volume", r.Volume.name)
			return fs, nil
		}
	}
	return nil, fmt.Errorf("its journal cannot be replayed (--journal skip shows it as it is on the disk): %w", err)
}

// unmounted reports whether a peek has found the filesystem cleanly unmounted. Then the kernel
// has no journal to replay.
func (r *Root) unmounted() bool {
	p := r.LastPeek()
	return p != nil && p.fs != nil && p.fs.unmounted
}
