package tree

import (
	"context"
	"errors"
	"fmt"
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
	// found is what is on the volume, as far as it could be read, and foundErr why
	// not all could.
	found    probe.Result
	foundErr error

	mu  sync.Mutex
	fss map[int]mounted // by partition, 0 for the whole volume; guarded by mu
}

// device is a thin device that was opened for reading.
type device interface {
	block.Reader
	Close() error
}

// mounted is a filesystem in an open volume.
type mounted struct {
	*flight[volfs.FS]
	at time.Time // when it was opened
}

// openContent opens a volume and recognises what is on it. It counts as an open
// of its pool.
func (t *Tree) openContent(ctx context.Context, v *volume) (*content, error) {
	c, err := readContent(ctx, v)
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
	return &content{device: d, found: found, foundErr: err, fss: make(map[int]mounted)}, nil
}

// fs is the filesystem at a root in the volume. What is wrong with it is its
// own error: the volume stays open, and its bytes can be read.
func (c *content) fs(ctx context.Context, r *fsRoot) (volfs.FS, error) {
	live := r.vol.pool.reader.Live()
	c.mu.Lock()
	m, ok := c.fss[r.part]
	if !ok || live && time.Since(m.at) > fresh {
		// What a live volume held a while ago need not be true any more.
		// Whoever still uses the filesystem read then keeps it.
		m = mounted{fly(ctx, func(ctx context.Context) (volfs.FS, error) { return c.mount(ctx, r) }), time.Now()}
		c.fss[r.part] = m
	}
	c.mu.Unlock()
	return m.wait(ctx)
}

// mount begins to read the filesystem at a root.
func (c *content) mount(ctx context.Context, r *fsRoot) (volfs.FS, error) {
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
	fs, err := openFS(ctx, at, found)
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
func openFS(ctx context.Context, at block.Reader, found probe.Result) (volfs.FS, error) {
	if found.Kind != probe.KindFilesystem {
		return nil, fmt.Errorf("%s, no filesystem: %w", holds(found), syscall.EMEDIUMTYPE)
	}
	switch found.Signatures[0].Type {
	case "ext2", "ext3", "ext4":
		return ext4.Open(ctx, at)
	}
	return nil, fmt.Errorf("%s, which is not read yet: %w", holds(found), syscall.EMEDIUMTYPE)
}

// Close closes the filesystems and the device.
func (c *content) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var errs []error
	for _, m := range c.fss {
		if <-m.done; m.value != nil {
			errs = append(errs, m.value.Close())
		}
	}
	errs = append(errs, c.device.Close())
	return errors.Join(errs...)
}
