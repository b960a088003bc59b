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
	"thintree/thin/inuse"
	"thintree/thin/pdata"
)

// Pool is a pool that is read in this process. Its methods may be called concurrently, except
// Close.
//
// A pool is live if a device of this host uses one of its halves, such as the pool's own device
// while it is active ([inuse.By]). It may change while it is read. Its halves are then read past
// the page cache, because the kernel's writes through device-mapper bypass it.
// The blocks of a committed superblock do not change while it is the current one. So after each
// walk of the metadata and each read of data, the superblock is read again. If it has changed,
// the walk or the read is repeated.
//
// Both halves are open only while they are read, and a moment longer: see [block.OnDemand].
type Pool struct {
	given [2]block.Location // where the metadata and the data were at first
	opts  Options

	mu    sync.Mutex
	state *poolState // replaced if the pool becomes live, is no longer live, or has grown; guarded by mu
	epoch int        // guarded by mu
	lost  bool       // the last Refresh did not find the halves; guarded by mu
	until time.Time  // the halves are not opened before this; guarded by mu
}

// Options say how a pool is read.
type Options struct {
	// HeldRoot reads the pool's metadata snapshot instead of its present metadata. The
	// snapshot must have been reserved before.
	HeldRoot bool
}

// poolState is a pool as it was opened, live or not. Once it is replaced, it is closed after the
// last call that uses it.
type poolState struct {
	metadata, data *block.Lazy
	places         [2]block.Location // of the halves
	looks          [2]block.Looks    // at the halves when they were opened
	md             *pdata.Metadata
	liveBy         string // the device that has the pool active, "" if it is not live
	users          sync.WaitGroup

	refreshed uint64 // the generation of md at the last Refresh; guarded by Pool.mu
}

// Open opens a pool by its two halves. The errors are those of [pdata.Open], and a
// *[block.FormatError] if a half is a disk image that is not raw.
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

// inUse is the device that has a pool with these halves active, "" if there is none.
func inUse(halves [2]block.Location) (by string, err error) {
	for _, path := range append(halves[0].Paths(), halves[1].Paths()...) {
		if by, err = inuse.By(path); err != nil || by != "" {
			return by, err
		}
	}
	return "", nil
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

// openHalf opens a half. It bypasses the page cache if the pool is live. It always does so for a
// block device, because the page cache may have blocks from before the pool was last active.
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

// current is the present state, only to look at what it has in memory.
func (p *Pool) current() *poolState {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.state
}

// use is the present state, to read with. It is not closed until all its users are done.
func (p *Pool) use() *poolState {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.state.users.Add(1)
	return p.state
}

// Refresh looks at the pool again. It reports whether the metadata have changed, whether the pool
// became live or is no longer live, and whether its halves are other ones or were missing
// meanwhile. Earlier reads may be out of date then. Open devices read the pool as it is now.
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

// found is the result of find.
type found struct {
	places [2]block.Location // of the halves
	liveBy string            // see poolState
	// replaced is true if the halves are other ones, or may have been written to: they were
	// missing meanwhile, or are files that changed although the pool is not active.
	replaced bool
}

// find looks for the halves, and for the device that has the pool active. It opens nothing.
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

// Halves are where the pool's metadata and data lie now.
func (p *Pool) Halves() (metadata, data block.Location) {
	s := p.current()
	return s.places[0], s.places[1]
}

// Yield closes the device-mapper devices among the pool's halves as soon as no read is under way,
// and keeps them closed for a pause, so that their owner can deactivate them. New reads wait
// until then.
func (p *Pool) Yield(pause time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.state.yield(pause) {
		p.until = time.Now().Add(pause)
	}
}

// yield is [block.Lazy.Yield] of both halves.
func (s *poolState) yield(pause time.Duration) (any bool) {
	metadata, data := s.metadata.Yield(pause), s.data.Yield(pause)
	return metadata || data
}

// wait waits until the pause of a Yield has ended.
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

// outgrown reports whether the pool is larger now than its halves were when they were opened.
func (s *poolState) outgrown() bool {
	u := s.usage()
	return s.data.Size() < u.DataTotalBytes || s.metadata.Size() < u.MetadataTotalBytes
}

// reopen replaces a state by a new one, unless another caller has done so. If another is true,
// earlier reads may be out of date. Otherwise only the lengths of the halves can differ.
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
	if pause := time.Until(p.until); pause > 0 { // Yield was called while the halves were opened
		now.yield(pause)
	}
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

// advance reports whether the metadata have another generation than at the last Refresh. A read
// in between may already have found that they changed.
func (p *Pool) advance(s *poolState) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := s.md.Generation()
	if now == s.refreshed {
		return false
	}
	s.refreshed = now
	if s.liveBy == "" {
		p.epoch++ // it changed although it was not active
	}
	return true
}

// Epoch is a number that grows when reads of devices without a writer may be out of date: the
// pool became live, is no longer live, or changed although it was not active.
func (p *Pool) Epoch() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.epoch
}

// Live reports whether the pool is active, so that it may change.
func (p *Pool) Live() bool { return p.current().liveBy != "" }

// ShowsWrites reports whether the next Refresh sees every write to the pool. It does if the pool
// is not live and its halves are files, which have a time of their last change.
func (p *Pool) ShowsWrites() bool {
	s := p.current()
	return s.liveBy == "" && s.looks[0].AllFiles() && s.looks[1].AllFiles()
}

// LiveBy is the device of this host that has the pool active, "" if it is not live.
func (p *Pool) LiveBy() string { return p.current().liveBy }

// Devices is [pdata.Metadata.Devices]: it lists the pool's devices by rising id.
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

// Usage is how full a pool is, and its state.
type Usage struct {
	DataTotalBytes, DataUsedBytes         int64
	MetadataTotalBytes, MetadataUsedBytes int64
	TransactionID                         uint64
	NeedsCheck                            bool
}

// Usage is the usage by the superblock as it was last read.
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

// Warnings are faults of the pool as a whole that do not keep it from being read. The only one
// is that the data are shorter than the metadata say.
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
