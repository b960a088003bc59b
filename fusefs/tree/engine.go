package tree

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"thintree/thin"
	"thintree/volfs"
	"thintree/volfs/kernelfs"
	"thintree/volfs/probe"
)

// Engine is what reads the filesystems in volumes: this process (direct), or the
// kernel, which activates the volume for it and mounts it.
type Engine string

// The engines. EngineAuto is the kernel where the pool is active in it, so that
// it is this host's own; otherwise direct: what lies on a disk image is nothing to
// hand to the kernel unasked.
const (
	EngineAuto   Engine = "auto"
	EngineKernel Engine = "kernel"
	EngineDirect Engine = "direct"
)

// kernelPool is a pool as the kernel engine has it.
type kernelPool struct {
	kernel *thin.Kernel // nil where the kernel cannot be asked

	mu     sync.Mutex
	found  *thin.Pool        // guarded by mu; nil where the pool is not active
	epoch  int               // of the reader when found was looked for; guarded by mu
	looked bool              // found was looked for; guarded by mu
	active map[uint32]string // the ids that somebody has active, and the names; guarded by mu
	at     time.Time         // when active was read; guarded by mu

	lent     *thin.Pool // that was activated here, as nobody had it active; guarded by mu
	lentFile io.Closer  // keeps it active; guarded by mu
	users    int        // of lent; guarded by mu
}

// choice is which engine serves a volume, and why that one.
type choice struct {
	engine Engine
	why    string
	pool   *thin.Pool // for the kernel engine; nil where the pool is to be activated
}

// engine chooses for a volume with a filesystem of a type, by blkid's name.
func (t *Tree) engine(ctx context.Context, v *volume, fstype string) (choice, error) {
	direct := func(format string, args ...any) (choice, error) {
		return choice{engine: EngineDirect, why: fmt.Sprintf(format, args...)}, nil
	}
	k := &v.pool.kernel
	switch {
	case t.opts.Engine == EngineDirect:
		return direct("asked for")
	case k.kernel == nil:
		return direct("the kernel's device-mapper cannot be used")
	case !kernelfs.Reads(fstype):
		return direct("%s is not read through the kernel", fstype)
	}
	pool, err := k.find(ctx, v.pool)
	if errors.Is(err, thin.ErrNotActive) {
		if t.opts.Engine == EngineKernel {
			return choice{engine: EngineKernel, why: "asked for; the pool is activated for it"}, nil
		}
		return direct("the pool is not active")
	}
	if err != nil {
		return choice{}, err
	}
	name, err := k.activeAs(ctx, pool, v.deviceID)
	if err != nil {
		return choice{}, err
	}
	if name != "" {
		// Two activations of a device do not see what the other one writes.
		return direct("it is active as %s", name)
	}
	return choice{EngineKernel, "the pool is active", pool}, nil
}

// openFS has the kernel mount the filesystem on a volume.
func (c choice) openFS(ctx context.Context, v *volume, sizeBytes int64, found probe.Signature) (volfs.FS, error) {
	pool, release := c.pool, func() {}
	if pool == nil {
		var err error
		if pool, err = v.pool.kernel.borrow(ctx, v.pool); err != nil {
			return nil, err
		}
		release = v.pool.kernel.giveBack
	}
	fs, err := mountLent(ctx, pool, v.deviceID, sizeBytes, found)
	if err != nil {
		release()
		return nil, err
	}
	return kernelFS{fs, release}, nil
}

func mountLent(ctx context.Context, pool *thin.Pool, id uint32, sizeBytes int64, found probe.Signature) (volfs.FS, error) {
	device, err := pool.Lend(ctx, id, sizeBytes)
	if err != nil {
		return nil, err
	}
	defer device.Close()
	return kernelfs.Open(device, volfs.Info{Type: found.Type, Label: found.Label, UUID: found.UUID, SizeBytes: found.SizeBytes})
}

// kernelFS gives its pool back when it is closed.
type kernelFS struct {
	volfs.FS
	release func()
}

func (f kernelFS) Close() error {
	defer f.release()
	return f.FS.Close()
}

// borrow activates the pool, for as long as somebody uses it.
func (k *kernelPool) borrow(ctx context.Context, p *pool) (*thin.Pool, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.users == 0 {
		var err error
		if k.lent, k.lentFile, err = k.kernel.LendPool(ctx, p.record.Metadata, p.record.Data); err != nil {
			return nil, err
		}
	}
	k.users++
	return k.lent, nil
}

func (k *kernelPool) giveBack() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.users--; k.users == 0 {
		k.lentFile.Close()
	}
}

// find finds the pool in the kernel. What was found holds until the pool's
// reader sees that somebody else has it, or nobody.
func (k *kernelPool) find(ctx context.Context, p *pool) (*thin.Pool, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	epoch := p.reader.Epoch()
	if !k.looked || k.epoch != epoch {
		found, err := k.kernel.FindPool(ctx, p.record.Metadata)
		if err != nil && !errors.Is(err, thin.ErrNotActive) {
			return nil, err
		}
		k.found, k.epoch, k.looked, k.active = found, epoch, true, nil
	}
	if k.found == nil {
		return nil, thin.ErrNotActive
	}
	return k.found, nil
}

// activeAs is the name by which somebody has a device active, "" where nobody
// has.
func (k *kernelPool) activeAs(ctx context.Context, pool *thin.Pool, id uint32) (string, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.active == nil || time.Since(k.at) > fresh {
		at := time.Now()
		list, err := pool.Active(ctx)
		if err != nil {
			return "", err
		}
		k.active, k.at = make(map[uint32]string, len(list)), at
		for _, d := range list {
			if !d.Lent() {
				k.active[d.ID] = d.Name
			}
		}
	}
	return k.active[id], nil
}
