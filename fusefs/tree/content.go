package tree

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"syscall"
	"time"

	"thintree/thin/block"
	"thintree/volfs"
	"thintree/volfs/kernelfs"
	"thintree/volfs/probe"
	"thintree/volfs/readers"
)

// content is a volume that is open: its device, and the filesystems in it that
// somebody has asked for.
type content struct {
	tree   *Tree
	device device

	mu sync.Mutex
	// found is what is on the volume, as far as it could be read, foundErr why not
	// all could, and foundAt when that was; guarded by mu.
	found    probe.Result
	foundErr error
	foundAt  time.Time

	fss   map[int]*mounted // by partition, 0 for the whole volume; guarded by mu
	old   []*mounted       // those that others took the place of, while they are closed; guarded by mu
	until time.Time        // nothing is lent before, for the pool's owner to get a turn; guarded by mu
}

// openContent opens a volume and recognises what is on it, where a peek has not
// told that already. It counts as an open of its pool.
func (t *Tree) openContent(ctx context.Context, v *volume) (*content, error) {
	var c *content
	var err error
	if p := v.root.peeks.last.Load(); p.valid(v.root.live()) && p.fs != nil {
		c = &content{tree: t, device: v.laterDevice(p.sizeBytes), found: p.found, fss: make(map[int]*mounted)}
	} else if c, err = t.readContent(ctx, v, func(sizeBytes int64) (device, error) { return v.openDevice(ctx, sizeBytes) }); err != nil {
		t.log.Warn("a volume cannot be opened", "volume", v.name, "error", err)
		return nil, unread(err)
	}
	v.pool.opens.Add(1)
	t.log.Debug("opened a volume", "volume", v.name, "holds", holds(c.found))
	return c, nil
}

func (t *Tree) readContent(ctx context.Context, v *volume, open func(sizeBytes int64) (device, error)) (*content, error) {
	size := v.sizeBytes
	if size == 0 {
		// No record tells it: what is mapped of it at least, then what is
		// found there tells.
		highest, err := v.pool.reader.MappedBytes(ctx, v.deviceID)
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
	return &content{tree: t, device: d, found: found, foundErr: err, foundAt: time.Now(), fss: make(map[int]*mounted)}, nil
}

// recognised is what is on the volume. Where not all could be read it is looked at
// again after a while: the cause may have passed.
func (c *content) recognised(ctx context.Context) (probe.Result, error) {
	c.mu.Lock()
	found, err, at := c.found, c.foundErr, c.foundAt
	c.mu.Unlock()
	if err == nil || time.Since(at) <= fresh {
		return found, err
	}
	found, err = probe.Probe(ctx, c.device)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.found, c.foundErr, c.foundAt = found, err, time.Now()
	return found, err
}

// mount begins to read the filesystem at a root.
func (c *content) mount(ctx context.Context, r *fsRoot, m *mounted) (volfs.FS, error) {
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

// probe tells what filesystem lies at a root, and where.
func (c *content) probe(ctx context.Context, r *fsRoot) (at block.Reader, found probe.Result, err error) {
	if at, err = c.bytes(r.part); err != nil {
		return nil, found, fmt.Errorf("%s: %w", r, err)
	}
	if r.part == 0 {
		found, err = c.recognised(ctx)
	} else {
		found, err = probe.Probe(ctx, at)
	}
	if found.Kind == probe.KindFilesystem {
		return at, found, nil
	}
	if err == nil {
		err = fmt.Errorf("%s, no filesystem: %w", holds(found), syscall.EMEDIUMTYPE)
	}
	if r.vol.deleted() {
		err = fmt.Errorf("its owner has deleted it: %w", err)
	}
	return nil, found, fmt.Errorf("%s: %w", r, err)
}

// bytes are those of the volume (part 0) or of a partition of it.
func (c *content) bytes(part int) (block.Reader, error) {
	at, err := c.extent(part)
	if err != nil {
		return nil, err
	}
	if part == 0 {
		return c.device, nil
	}
	return block.Section(c.device, at.offset, at.length), nil
}

// extent is where the volume (part 0) or a partition of it lies in the volume.
func (c *content) extent(part int) (extent, error) {
	if part == 0 {
		return extent{0, c.device.Size()}, nil
	}
	c.mu.Lock()
	found := c.found
	c.mu.Unlock()
	for _, p := range partitions(found) {
		if p.Index == part {
			return extent{p.OffsetBytes, p.LengthBytes}, nil
		}
	}
	return extent{}, fmt.Errorf("no partition %d: %w", part, syscall.ENOENT)
}

// raw is the bytes of the volume or of a partition as a file.
func (c *content) raw(part int) (volfs.File, error) {
	at, err := c.bytes(part)
	if err != nil {
		return nil, err
	}
	return image{at}, nil
}

// image is bytes as a file. They are closed with the content that they are of.
type image struct{ block.Reader }

// Close does nothing.
func (image) Close() error { return nil }

// openFS begins to read what was found on a volume or partition.
func (c *content) openFS(ctx context.Context, r *fsRoot, at block.Reader, found probe.Result, m *mounted) (volfs.FS, error) {
	m.fstype = found.Signatures[0].Type
	var err error
	room := c.room(r.part)
	if m.by, err = c.tree.engineFor(ctx, r, found, room); err != nil {
		return nil, err
	}
	if m.by.orDirect != "" {
		fs, err := c.tree.openDirect(ctx, m.fstype, at, found)
		if err == nil && !c.tree.replays(fs.Info()) {
			m.by.readDirectly()
			return fs, nil
		}
		if err == nil {
			fs.Close()
		}
	}
	if m.by.engine == EngineKernel {
		lies, err := c.extent(r.part)
		if err != nil {
			return nil, err
		}
		var fs volfs.FS
		fs, m.by.live, err = c.tree.openKernel(ctx, m.by, r, c.device.Size(), lies, found.Signatures[0])
		refused := err != nil && found.Signatures[0].SizeBytes > room && readsDirectly(m.fstype)
		if !refused && (err != nil || m.by.live != LiveDisk) {
			return fs, err
		}
		m.by.engine, m.by.live = EngineDirect, LiveDisk
	}
	return c.tree.openDirect(ctx, m.fstype, at, found)
}

// openDirect reads it in this process.
func (t *Tree) openDirect(ctx context.Context, fstype string, at block.Reader, found probe.Result) (volfs.FS, error) {
	reader, ok := readers.For(fstype)
	if !ok {
		by := "nothing here reads"
		if kernelfs.Reads(fstype) {
			by = "only the kernel reads (as root, --engine kernel has it do so)"
		}
		return nil, fmt.Errorf("%s, which %s: %w", holds(found), by, syscall.EMEDIUMTYPE)
	}
	return reader.Open(ctx, at, volfs.Options{Journal: t.opts.Journal})
}

// readsDirectly reports whether the direct engine reads a filesystem.
func readsDirectly(fstype string) bool {
	_, ok := readers.For(fstype)
	return ok
}

// revoke has whoever still reads what was lent for it read errors, also past the
// tree.
func (c *content) revoke(ctx context.Context) error {
	c.mu.Lock()
	all := append(slices.Collect(maps.Values(c.fss)), c.old...)
	c.mu.Unlock()
	var errs []error
	for _, m := range all {
		select {
		case <-m.done:
			if fs, ok := m.value.(onLent); ok {
				errs = append(errs, c.tree.opts.Kernel.Revoke(ctx, fs.device()))
			}
		default:
		}
	}
	return errors.Join(errs...)
}

// hasSnapshot reports whether a temporary snapshot is there for a filesystem of it: as long
// as it is, the owner cannot deactivate the pool.
func (c *content) hasSnapshot() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range c.fss {
		select {
		case <-m.done:
			if m.by.live == LiveSnapshot {
				return true
			}
		default:
		}
	}
	return false
}

// shown is how the volume is shown where somebody uses it, if that is known.
func (c *content) shown() (Live, bool) {
	c.mu.Lock()
	m := c.fss[0]
	c.mu.Unlock()
	if m == nil {
		return "", false
	}
	select {
	case <-m.done:
		return m.by.live, m.err == nil
	default:
		return "", false
	}
}

// Close closes the filesystems and the device.
func (c *content) Close() error {
	c.mu.Lock()
	all := append(slices.Collect(maps.Values(c.fss)), c.old...)
	c.mu.Unlock()
	var errs []error
	for _, m := range all {
		errs = append(errs, m.close())
	}
	return errors.Join(append(errs, c.device.Close())...)
}
