package reader

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"time"

	"thintree/thin/block"
	"thintree/thin/blockdev"
	"thintree/thin/pdata"
)

// Pool is a pool that is read in this process. Its methods may be called concurrently, but
// for Close.
//
// A pool that somebody has active is live: it moves while it is read. Then both halves are
// read past the page cache, because what the kernel writes through device-mapper does not
// pass that. The blocks of one committed superblock stay as they are while it is the current
// one. So after each walk of the metadata and each read of data the superblock is read again;
// if it changed, the walk is done again.
//
// Both halves are open only while they are read, and for a moment after: see
// [block.OnDemand].
type Pool struct {
	given [2]block.Location // where the metadata and the data were at first
	opts  Options

	mu    sync.Mutex
	state *poolState // guarded by mu; replaced if the pool becomes live, or no longer is, or has grown
	epoch int        // guarded by mu
	lost  bool       // the last Refresh did not find the halves; guarded by mu
	until time.Time  // the halves are not opened before; guarded by mu
}

// Options say how a pool is read.
type Options struct {
	// HeldRoot reads the metadata as of the pool's metadata snapshot, which
	// somebody must have reserved.
	HeldRoot bool
}

// poolState is a pool as it was opened, live or not. It is closed when it is
// replaced and no call uses it any more.
type poolState struct {
	metadata, data *block.Lazy
	places         [2]block.Location // of the halves
	looks          [2]block.Looks    // at them, when they were opened
	md             *pdata.Metadata
	liveBy         string // the device that has it active, "" if none has
	users          sync.WaitGroup

	refreshed uint64 // the generation of md at the last Refresh; guarded by Pool.mu
}

// Open opens a pool by where its halves lie. Errors are those of [pdata.Open], and a
// [block.FormatError] if a half is in a format that is not raw.
func Open(ctx context.Context, metadata, data block.Location, o Options) (*Pool, error) {
	p := &Pool{given: [2]block.Location{metadata, data}, opts: o}
	liveBy, err := inUse(p.given)
	if err != nil {
		return nil, err
	}
	if p.state, err = p.open(ctx, p.given, liveBy); err != nil {
		return nil, err
	}
	return p, nil
}

// inUse is the device that has a pool active, "" if there is none.
func inUse(halves [2]block.Location) (by string, err error) {
	for _, half := range halves {
		if by, err = half.InUse(); err != nil || by != "" {
			break
		}
	}
	return by, err
}

func (p *Pool) open(ctx context.Context, places [2]block.Location, liveBy string) (_ *poolState, err error) {
	s := &poolState{places: places, liveBy: liveBy}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if s.metadata, err = openHalf(ctx, places[0], liveBy != ""); err != nil {
		return nil, err
	}
	if s.data, err = openHalf(ctx, places[1], liveBy != ""); err != nil {
		return nil, err
	}
	s.looks = [2]block.Looks{s.metadata.Looks(), s.data.Looks()}
	s.md, err = pdata.Open(ctx, s.metadata, s.metadata.Size(), pdata.Options{HeldRoot: p.opts.HeldRoot, Live: liveBy != ""})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", places[0], err)
	}
	s.refreshed = s.md.Generation()
	return s, nil
}

// openHalf opens a half past the page cache if the pool is live, and a block device always:
// what the page cache has of that may be from before somebody had the pool active.
func openHalf(ctx context.Context, place block.Location, live bool) (*block.Lazy, error) {
	looks, err := place.LookAt()
	if err != nil {
		return nil, err
	}
	f, err := place.Open(ctx, block.Options{Direct: live || !looks.AllFiles()})
	if err != nil {
		return nil, err
	}
	if err := block.CheckRaw(ctx, place.String(), f); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func (s *poolState) close() error {
	var errs []error
	for _, f := range []*block.Lazy{s.metadata, s.data} {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	return errors.Join(errs...)
}

// current is the state to look at what is in memory.
func (p *Pool) current() *poolState {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.state
}

// use is the state to read with, which is not closed until its users are done.
func (p *Pool) use() *poolState {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.state.users.Add(1)
	return p.state
}

// Refresh reports whether the pool has changed: its metadata, whether it is live, or whether
// its halves are others, or were missing for some time. What was read before may be false
// then. Open devices are read as the pool is now.
func (p *Pool) Refresh(ctx context.Context) (changed bool, err error) {
	if err := p.wait(ctx); err != nil {
		return false, err
	}
	f, err := p.find()
	if err != nil {
		return false, err
	}
	s := p.use()
	defer s.users.Done()
	if f.liveBy != s.liveBy || f.replaced {
		return true, p.reopen(ctx, s, f.places, f.liveBy, true)
	}
	if _, err := s.md.Refresh(ctx); err != nil {
		return false, err
	}
	if !p.advance(s) {
		return false, nil
	}
	if s.outgrown() {
		err = p.reopen(ctx, s, f.places, f.liveBy, false)
	}
	return true, err
}

// found is what find tells of a pool.
type found struct {
	places [2]block.Location // of the halves
	liveBy string            // see poolState
	// replaced says that the halves are others, or may have been written to: they were
	// not there for a while, or are files that have changed though nobody has the pool
	// active.
	replaced bool
}

// find finds where the halves are now, and the device that has the pool active. It opens
// nothing.
func (p *Pool) find() (f found, err error) {
	s := p.current()
	var looks [2]block.Looks
	for i := range looks {
		if err == nil {
			f.places[i], looks[i], err = p.given[i].Find(s.looks[i])
		}
	}
	if err == nil {
		f.liveBy, err = inUse(f.places)
	}
	p.mu.Lock()
	f.replaced, p.lost = p.lost, err != nil
	p.mu.Unlock()
	for i, now := range looks {
		if err == nil {
			f.replaced = f.replaced || !now.Same(s.looks[i]) || f.liveBy == "" && !now.Unchanged(s.looks[i])
		}
	}
	return f, err
}

// Halves is where the pool's metadata and data are now.
func (p *Pool) Halves() (metadata, data block.Location) {
	s := p.current()
	return s.places[0], s.places[1]
}

// Yield closes the pool's halves as soon as no read is under way, and leaves device-mapper
// devices among them closed for a pause: their owner wants to deactivate them. Readers that
// come meanwhile wait.
func (p *Pool) Yield(pause time.Duration) {
	s := p.use()
	defer s.users.Done()
	for _, h := range []*block.Lazy{s.metadata, s.data} {
		if h.Yield(pause) {
			p.mu.Lock()
			p.until = time.Now().Add(pause)
			p.mu.Unlock()
		}
	}
}

// wait waits until the halves may be opened after a Yield.
func (p *Pool) wait(ctx context.Context) error {
	p.mu.Lock()
	pause := time.Until(p.until)
	p.mu.Unlock()
	if pause <= 0 {
		return nil
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(pause):
		return nil
	}
}

// outgrown reports whether the pool has become larger than its halves were when
// they were opened.
func (s *poolState) outgrown() bool {
	u := s.usage()
	return s.data.Size() < u.DataTotalBytes || s.metadata.Size() < u.MetadataTotalBytes
}

// reopen replaces a state by a new one, unless another caller has done so. another says
// that what was read before may be false; otherwise only the lengths of the halves can
// differ.
func (p *Pool) reopen(ctx context.Context, old *poolState, places [2]block.Location, liveBy string, another bool) error {
	now, err := p.open(ctx, places, liveBy)
	if err != nil {
		if another { // the next Refresh tries again
			p.mu.Lock()
			p.lost = true
			p.mu.Unlock()
		}
		return err
	}
	sameLength := now.data.Size() == old.data.Size() && now.metadata.Size() == old.metadata.Size()
	p.mu.Lock()
	if p.state != old || !another && sameLength {
		p.mu.Unlock()
		return now.close()
	}
	p.state = now
	if another {
		p.epoch++
	}
	p.mu.Unlock()
	go func() {
		old.users.Wait()
		old.close()
	}()
	return nil
}

// advance reports whether the metadata are another generation than at the last Refresh: a
// read may have found before it that they have changed.
func (p *Pool) advance(s *poolState) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := s.md.Generation()
	if now == s.refreshed {
		return false
	}
	s.refreshed = now
	if s.liveBy == "" {
		p.epoch++ // nobody has it active, and yet it is another one now
	}
	return true
}

// Epoch changes when what was read of devices that nobody seemed to write to may
// have become false: the pool became live, or is no longer, or has changed
// though nobody has it active.
func (p *Pool) Epoch() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.epoch
}

// Live reports whether somebody has the pool active, so that it moves.
func (p *Pool) Live() bool { return p.current().liveBy != "" }

// ShowsWrites reports whether every write to the pool shows at the next Refresh: nobody has
// it active, and its halves are files, which keep the time of their last change.
func (p *Pool) ShowsWrites() bool {
	s := p.current()
	return s.liveBy == "" && s.looks[0].AllFiles() && s.looks[1].AllFiles()
}

// LiveBy is the device of this host that has the pool active, "" if none has.
func (p *Pool) LiveBy() string { return p.current().liveBy }

// Devices lists the pool's devices by rising id, as [pdata.Metadata.Devices].
func (p *Pool) Devices(ctx context.Context) iter.Seq2[pdata.DeviceDetails, error] {
	return func(yield func(pdata.DeviceDetails, error) bool) {
		s := p.use()
		defer s.users.Done()
		s.md.Devices(ctx)(yield)
	}
}

// BlockBytes is the length of a data block in bytes.
func (p *Pool) BlockBytes() int64 { return p.current().blockBytes() }

func (s *poolState) blockBytes() int64 {
	return int64(s.md.Superblock().DataBlockSize) * blockdev.SectorBytes
}

// Usage is how full a pool is, in bytes, and in what state.
type Usage struct {
	DataTotalBytes, DataUsedBytes         int64
	MetadataTotalBytes, MetadataUsedBytes int64
	TransactionID                         uint64
	NeedsCheck                            bool
}

// Usage is how full the pool is, by its superblock.
func (p *Pool) Usage() Usage { return p.current().usage() }

func (s *poolState) usage() Usage {
	sb := s.md.Superblock()
	data := int64(sb.DataBlockSize) * blockdev.SectorBytes
	return Usage{
		DataTotalBytes:     int64(sb.DataSpaceMapRoot.NrBlocks) * data,
		DataUsedBytes:      int64(sb.DataSpaceMapRoot.NrAllocated) * data,
		MetadataTotalBytes: int64(sb.MetadataSpaceMapRoot.NrBlocks) * pdata.BlockBytes,
		MetadataUsedBytes:  int64(sb.MetadataSpaceMapRoot.NrAllocated) * pdata.BlockBytes,
		TransactionID:      sb.TransactionID,
		NeedsCheck:         sb.NeedsCheck(),
	}
}

// Warnings are what is wrong with the pool as a whole, though it can be read: the
// data file is shorter than the metadata say.
func (p *Pool) Warnings() []error {
	s := p.current()
	var list []error
	if want := s.usage().DataTotalBytes; s.data.Size() < want {
		list = append(list, fmt.Errorf("%s: the data are %d bytes long, the pool's metadata say %d: what lies beyond cannot be read", s.places[1], s.data.Size(), want))
	}
	return list
}

// Close closes the pool. No device of it may be open.
func (p *Pool) Close() error { return p.current().close() }
