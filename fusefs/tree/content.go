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
	"thintree/volfs/ext4"
	"thintree/volfs/probe"
)

// content is a volume that is open: its device, and the filesystems in it that
// somebody has asked for.
type content struct {
	device device
	engine func(ctx context.Context, fstype string) (choice, error)
	// found is what is on the volume, as far as it could be read, and foundErr why
	// not all could.
	found    probe.Result
	foundErr error

	mu  sync.Mutex
	fss map[int]*mounted // by partition, 0 for the whole volume; guarded by mu
	old []*mounted       // what took the place of, and may still be used; guarded by mu
}

// device is a thin device that was opened for reading.
type device interface {
	block.Reader
	Close() error
}

// mounted is a filesystem in an open volume.
type mounted struct {
	*flight[volfs.FS]
	at     time.Time // when it was opened
	engine Engine    // that reads it; set with the flight's value
}

// openContent opens a volume and recognises what is on it. It counts as an open
// of its pool.
func (t *Tree) openContent(ctx context.Context, v *volume) (*content, error) {
	c, err := readContent(ctx, v)
	if err == nil {
		c.engine = func(ctx context.Context, fstype string) (choice, error) { return t.engine(ctx, v, fstype) }
	}
	if err != nil {
		t.log.Warn("a volume cannot be opened", "volume", v.name, "error", err)
		return nil, err
	}
	v.pool.opens.Add(1)
	t.log.Debug("opened a volume", "volume", v.name, "holds", holds(c.found))
	return c, nil
}

func readContent(ctx context.Context, v *volume) (*content, error) {
	open := func(size int64) (device, error) {
		return v.pool.reader.OpenDevice(ctx, v.deviceID, size, nil)
	}
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
	return &content{device: d, found: found, foundErr: err, fss: make(map[int]*mounted)}, nil
}

// fs is the filesystem at a root in the volume. What is wrong with it is its
// own error: the volume stays open, and its bytes can be read.
func (c *content) fs(ctx context.Context, r *fsRoot) (volfs.FS, error) {
	c.mu.Lock()
	m := c.fss[r.part]
	c.mu.Unlock()
	if m != nil && c.holds(ctx, r, m) {
		return m.wait(ctx)
	}
	next := &mounted{at: time.Now()}
	next.flight = newFlight[volfs.FS]()
	c.mu.Lock()
	if now := c.fss[r.part]; now != m { // somebody else was quicker
		c.mu.Unlock()
		return now.wait(ctx)
	}
	if m != nil {
		c.old = append(c.old, m)
	}
	c.fss[r.part] = next
	c.mu.Unlock()
	next.start(ctx, func(ctx context.Context) (volfs.FS, error) { return c.mount(ctx, r, next) })
	return next.wait(ctx)
}

// holds tells whether what was mounted is still what lies there. Of a volume that
// somebody may be writing to, what was read a while ago need not be true any
// more; whoever still uses the filesystem read then keeps it.
func (c *content) holds(ctx context.Context, r *fsRoot, m *mounted) bool {
	if !r.live() {
		return true
	}
	select {
	case <-m.done:
	default:
		return true
	}
	if m.engine != EngineKernel {
		return time.Since(m.at) <= fresh
	}
	now, err := c.engine(ctx, c.found.Signatures[0].Type)
	return err == nil && now.engine == EngineKernel
}

// mount begins to read the filesystem at a root.
func (c *content) mount(ctx context.Context, r *fsRoot, m *mounted) (volfs.FS, error) {
	at, err := c.bytes(r.part)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", r, err)
	}
	found, err := c.found, c.foundErr
	if r.part != 0 {
		found, err = probe.Probe(ctx, at)
	}
	if err != nil && found.Kind != probe.KindFilesystem {
		return nil, fmt.Errorf("%s: %w", r, err)
	}
	fs, err := c.openFS(ctx, r, at, found, m)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", r, err)
	}
	return fs, nil
}

// bytes are those of the volume (part 0) or of a partition of it.
func (c *content) bytes(part int) (block.Reader, error) {
	if part == 0 {
		return c.device, nil
	}
	for _, p := range partitions(c.found) {
		if p.Index == part {
			return block.Section(c.device, p.OffsetBytes, p.LengthBytes), nil
		}
	}
	return nil, fmt.Errorf("no partition %d: %w", part, syscall.ENOENT)
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
	if found.Kind != probe.KindFilesystem {
		return nil, fmt.Errorf("%s, no filesystem: %w", holds(found), syscall.EMEDIUMTYPE)
	}
	fstype := found.Signatures[0].Type
	m.engine = EngineDirect
	if c.engine != nil && r.part == 0 {
		by, err := c.engine(ctx, fstype)
		if err != nil {
			return nil, err
		}
		if by.engine == EngineKernel {
			m.engine = EngineKernel
			return by.openFS(ctx, r.vol, at.Size(), found.Signatures[0])
		}
	}
	if !readsDirectly(fstype) {
		return nil, fmt.Errorf("%s, which is not read yet: %w", holds(found), syscall.EMEDIUMTYPE)
	}
	return ext4.Open(ctx, at)
}

// readsDirectly tells whether the direct engine reads a filesystem.
func readsDirectly(fstype string) bool {
	return fstype == "ext2" || fstype == "ext3" || fstype == "ext4"
}

// Close closes the filesystems and the device.
func (c *content) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var errs []error
	for _, m := range append(slices.Collect(maps.Values(c.fss)), c.old...) {
		if <-m.done; m.value != nil {
			errs = append(errs, m.value.Close())
		}
	}
	errs = append(errs, c.device.Close())
	return errors.Join(errs...)
}
