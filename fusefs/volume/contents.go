package volume

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"syscall"
	"time"

	"thintree/fusefs/layout"
	"thintree/thin/block"
	"thintree/volfs"
	"thintree/volfs/kernelfs"
	"thintree/volfs/probe"
)

// fresh is how long something that may change is taken to be as it was.
const fresh = time.Second

// Contents is a volume that is open: its device, and the filesystems in it that callers have
// asked for. Its methods may be called concurrently, but for Close.
type Contents struct {
	opener *Opener
	device device

	mu sync.Mutex
	// found is what is on the volume, as far as it could be read, foundErr why not
	// all could, and foundAt when that was; guarded by mu.
	found    probe.Result
	foundErr error
	foundAt  time.Time

	fss   map[layout.Place]*mounted // guarded by mu
	old   []*mounted                // those that others took the place of, while they are closed; guarded by mu
	until time.Time                 // nothing is lent before, so that the pool's owner gets a turn; guarded by mu
}

// Open opens a volume and recognises what is on it, unless a peek has done that already. It
// counts as an open of the volume's pool.
func (o *Opener) Open(ctx context.Context, v *Volume) (*Contents, error) {
	var c *Contents
	var err error
	whole := v.At(layout.Place{})
	if p := whole.LastPeek(); p != nil && p.fs != nil {
		c = &Contents{opener: o, device: v.laterDevice(p.SizeBytes), found: p.Found, fss: make(map[layout.Place]*mounted)}
	} else if c, err = o.readContents(ctx, v, func(sizeBytes int64) (device, error) { return v.openDevice(ctx, sizeBytes) }); err != nil {
		o.Log.Warn("a volume cannot be opened", "volume", v.name, "error", err)
		return nil, unread(err)
	}
	v.Pool.opens.Add(1)
	o.Log.Debug("opened a volume", "volume", v.name, "holds", Holds(c.found))
	return c, nil
}

func (o *Opener) readContents(ctx context.Context, v *Volume, open func(sizeBytes int64) (device, error)) (*Contents, error) {
	size := v.sizeBytes
	if size == 0 {
		// No record has it: it is what is mapped of it at least, then what is
		// found there says.
		highest, err := v.Pool.reader.MappedBytes(ctx, v.deviceID)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", v.name, err)
		}
		size = highest
	}
	d, err := open(size)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", v.name, err)
	}
	found, err := probe.Probe(ctx, d)
	if implied := impliedBytes(found); v.sizeBytes == 0 && implied > size {
		d.Close()
		if d, err = open(implied); err != nil {
			return nil, fmt.Errorf("%s: %w", v.name, err)
		}
		found, err = probe.Probe(ctx, d)
	}
	if ctx.Err() != nil {
		d.Close()
		return nil, ctx.Err()
	}
	return &Contents{opener: o, device: d, found: found, foundErr: err, foundAt: time.Now(), fss: make(map[layout.Place]*mounted)}, nil
}

// recognised is what is on the volume. If not all could be read it is looked at
// again after a while: the cause may have passed.
func (c *Contents) recognised(ctx context.Context) (probe.Result, error) {
	c.mu.Lock()
	found, err, at := c.found, c.foundErr, c.foundAt
	c.mu.Unlock()
	if err == nil || time.Since(at) <= fresh {
		return found, err
	}
	found, err = probe.Probe(ctx, c.device)
	if ctx.Err() != nil {
		return found, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.found, c.foundErr, c.foundAt = found, err, time.Now()
	return found, err
}

// mount begins to read the filesystem at a root.
func (c *Contents) mount(ctx context.Context, r *Root, m *mounted) (volfs.FS, error) {
	at, found, err := c.probe(ctx, r)
	if err != nil {
		return nil, unread(err)
	}
	fs, err := c.openFS(ctx, r, at, found, m)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", r, unread(err))
	}
	return fs, nil
}

// probe recognises the filesystem at a root, and opens the bytes that it lies in.
func (c *Contents) probe(ctx context.Context, r *Root) (at block.Reader, found probe.Result, err error) {
	if at, err = c.bytes(ctx, r.Place); err != nil {
		return nil, found, fmt.Errorf("%s: %w", r, err)
	}
	if r.Place.IsWhole() {
		found, err = c.recognised(ctx)
	} else {
		found, err = probe.Probe(ctx, at)
	}
	if found.Kind == probe.KindFilesystem {
		return at, found, nil
	}
	if err == nil {
		err = fmt.Errorf("%s, no filesystem: %w", Holds(found), syscall.EMEDIUMTYPE)
	}
	if r.Volume.Deleted() {
		err = fmt.Errorf("its owner has deleted it: %w", err)
	}
	return nil, found, fmt.Errorf("%s: %w", r, err)
}

// OpenRaw opens the bytes at a place as a file.
func (c *Contents) OpenRaw(ctx context.Context, at layout.Place) (*File, error) {
	bytes, err := c.bytes(ctx, at)
	if err != nil {
		return nil, err
	}
	return &File{bytes: image{bytes}}, nil
}

// image is bytes as a file. They are closed with the contents that they are of.
type image struct{ block.Reader }

// Close does nothing.
func (image) Close() error { return nil }

// openFS begins to read what was found at a root.
func (c *Contents) openFS(ctx context.Context, r *Root, at block.Reader, found probe.Result, m *mounted) (volfs.FS, error) {
	m.fstype = found.Signatures[0].Type
	room, err := c.room(ctx, r.Place)
	if err != nil {
		return nil, err
	}
	if m.by, err = c.opener.choose(ctx, r, found, room); err != nil {
		return nil, err
	}
	if m.by.orDirect != "" {
		fs, err := c.opener.openDirect(ctx, m.fstype, at, found)
		if err == nil && !c.opener.replays(fs.Info()) {
			m.by.readDirectly()
			return fs, nil
		}
		if err == nil {
			fs.Close()
		}
	}
	if m.by.engine == EngineKernel {
		lies, err := c.extent(ctx, r.Place)
		if err != nil {
			return nil, err
		}
		var fs volfs.FS
		fs, m.by.live, err = c.opener.openKernel(ctx, m.by, r, c.device.Size(), lies, found.Signatures[0])
		refused := err != nil && found.Signatures[0].SizeBytes > room && c.opener.readsDirectly(m.fstype)
		if !refused && (err != nil || m.by.live != LiveDisk) {
			return fs, err
		}
		m.by.engine, m.by.live = EngineDirect, LiveDisk
	}
	return c.opener.openDirect(ctx, m.fstype, at, found)
}

// openDirect reads a filesystem in this process.
func (o *Opener) openDirect(ctx context.Context, fstype string, at block.Reader, found probe.Result) (volfs.FS, error) {
	reader, ok := o.Readers(fstype)
	if !ok {
		by := "nothing here reads"
		if kernelfs.Reads(fstype) {
			by = "only the kernel reads (as root, --engine kernel has it do so)"
		}
		return nil, fmt.Errorf("%s, which %s: %w", Holds(found), by, syscall.EMEDIUMTYPE)
	}
	return reader.Open(ctx, at, volfs.Options{Journal: o.Journal})
}

// readsDirectly reports whether the direct engine reads a filesystem.
func (o *Opener) readsDirectly(fstype string) bool {
	_, ok := o.Readers(fstype)
	return ok
}

// all are the filesystems that are open, or being closed.
func (c *Contents) all() []*mounted {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append(slices.Collect(maps.Values(c.fss)), c.old...)
}

// Revoke takes what was lent for the volume from those who still read it: they get errors,
// also for files that are passed through.
func (c *Contents) Revoke(ctx context.Context) error {
	var errs []error
	for _, m := range c.all() {
		if !m.landed() {
			continue
		}
		if fs, ok := m.value.(onLoan); ok {
			errs = append(errs, fs.of().Revoke(ctx))
		}
	}
	return errors.Join(errs...)
}

// snapshotIdle is how long a volume stays open unused that is shown by a temporary snapshot
// in its owner's pool: as long as that is there, the owner cannot deactivate the pool.
const snapshotIdle = 3 * time.Second

// MaxIdle is how long it may stay open unused; 0 if that does not matter.
func (c *Contents) MaxIdle() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range c.fss {
		if m.landed() && m.by.live == LiveSnapshot {
			return snapshotIdle
		}
	}
	return 0
}

// Shown is how the volume is shown if somebody uses it, if that is known.
func (c *Contents) Shown() (live Live, known bool) {
	c.mu.Lock()
	m := c.fss[layout.Place{}]
	c.mu.Unlock()
	if m == nil || !m.landed() {
		return "", false
	}
	return m.by.live, m.err == nil
}

// Close closes the filesystems and the device.
func (c *Contents) Close() error {
	var errs []error
	for _, m := range c.all() {
		errs = append(errs, m.close())
	}
	return errors.Join(append(errs, c.device.Close())...)
}
