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

// fresh is how long an answer about something that may change stays valid.
const fresh = time.Second

// Contents is an open volume: its device, and the filesystems in it that callers have asked
// for. Its methods may be called concurrently, except for Close.
type Contents struct {
	opener *Opener
	volume *Volume
	device device

	mu sync.Mutex
	// found is what was recognised on the volume. foundErr is why not all of the volume could be
	// read for that, nil if it could. foundAt is the time of the look. All guarded by mu.
	found    probe.Result
	foundErr error
	foundAt  time.Time

	lvm   map[layout.Place]*groups  // the volume groups in it, by physical volume; guarded by mu
	fss   map[layout.Place]*mounted // guarded by mu
	old   []*mounted                // replaced by others and being closed; guarded by mu
	until time.Time                 // no filesystem is opened before, so that the pool's owner gets a turn; guarded by mu
}

// Open opens a volume, and recognises what is on it unless a peek has already done so. The
// open is counted: see [Pool.Opens].
func (o *Opener) Open(ctx context.Context, v *Volume) (*Contents, error) {
	var c *Contents
	var err error
	whole := v.At(layout.Place{})
	if p := whole.LastPeek(); p != nil && p.fs != nil {
		c = &Contents{opener: o, volume: v, device: v.laterDevice(p.SizeBytes), found: p.Found, fss: make(map[layout.Place]*mounted)}
	} else if c, err = o.readContents(ctx, v, func(sizeBytes int64) (device, error) { return v.openDevice(ctx, sizeBytes) }); err != nil {
		v.tellUnopened(o.Log, err)
		return nil, unread(err)
	}
	if v.Pool != nil {
		v.Pool.opens.Add(1)
	}
	o.Log.Debug("opened a volume", "volume", v.name, "holds", Holds(c.found))
	return c, nil
}

func (o *Opener) readContents(ctx context.Context, v *Volume, open func(sizeBytes int64) (device, error)) (*Contents, error) {
	size := v.sizeBytes
	if size == 0 {
		// No record says the size. What is recognised on the volume may say that it is
		// longer.
		least, err := v.in.leastBytes(ctx, v)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", v.name, err)
		}
		size = least
	}
	d, err := open(size)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", v.name, err)
	}
	found, err := probe.Probe(ctx, d)
	if implied := impliedBytes(found); v.sizeBytes == 0 && v.Pool != nil && implied > size {
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
	return &Contents{opener: o, volume: v, device: d, found: found, foundErr: err, foundAt: time.Now(), fss: make(map[layout.Place]*mounted)}, nil
}

// recognised is what was recognised on the volume. If not all could be read, it looks again
// once that result is older than fresh: the cause may have passed.
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

// mount opens the filesystem at a root.
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

// probe recognises the filesystem at a root, and returns the bytes at that root. These are nil if
// the root cannot be reached. It is an error if there is no filesystem.
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
	if r.Volume.Record().Deleted() {
		err = fmt.Errorf("its owner has deleted it: %w", err)
	}
	return at, found, fmt.Errorf("%s: %w", r, err)
}

// OpenRaw opens the bytes at a place as a file.
func (c *Contents) OpenRaw(ctx context.Context, at layout.Place) (*File, error) {
	bytes, err := c.bytes(ctx, at)
	if err != nil {
		return nil, err
	}
	return &File{bytes: image{bytes}}, nil
}

// image is bytes as a file. They are closed together with the Contents.
type image struct{ block.Reader }

// Close does nothing.
func (image) Close() error { return nil }

// openFS opens the filesystem that was recognised at a root.
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
		lies, err := c.extent(ctx, r.Place) // choose has chosen this engine only for ranges
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

// openDirect opens a filesystem with the direct engine.
func (o *Opener) openDirect(ctx context.Context, fstype string, at block.Reader, found probe.Result) (volfs.FS, error) {
	reader, ok := o.Readers(fstype)
	if !ok {
		by := "thintree cannot read"
		if kernelfs.Reads(fstype) {
			by = "only the kernel can read (try --engine kernel as root)"
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

// all returns the filesystems that are open or being closed.
func (c *Contents) all() []*mounted {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append(slices.Collect(maps.Values(c.fss)), c.old...)
}

// Revoke revokes the loans of the volume. From then on every read of it through the kernel
// fails, also of files that are passed through.
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

// snapshotIdle is how long a volume may stay open unused if it is shown by a temporary
// snapshot. The owner cannot deactivate the pool while that snapshot exists.
const snapshotIdle = 3 * time.Second

// MaxIdle is how long the volume may stay open unused, 0 if there is no limit.
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

// Shown is how the volume is shown if somebody else is using it, and "" if nobody is. known
// reports whether that has been decided.
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
