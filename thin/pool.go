package thin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"thintree/thin/block"
	"thintree/thin/blockdev"
	"thintree/thin/dm"
	"thintree/thin/inuse"
	"thintree/thin/pdata"
)

// Pool is a pool that is active in the kernel. Its methods may be called concurrently. A Pool
// needs no closing: the pool stays active until this or another process deactivates it.
type Pool struct {
	kernel       *Kernel
	name         string
	number       uint64 // as unix.Mkdev makes it
	blockSectors uint32
	// calm is the calmAt of the pool when it was last found writable, 0 if it never was.
	calm atomic.Uint64
}

// PoolConfig says where a pool's halves lie, and how it is activated.
type PoolConfig struct {
	// Name and UUID are those of the device-mapper device. UUID may be "".
	Name, UUID string
	// Metadata and Data are paths of files or block devices. A loop device is attached to a
	// file, with direct I/O if its filesystem supports it. The kernel detaches it when the
	// pool is deactivated.
	Metadata, Data string
	// BlockSectors is the length of a data block, in sectors of 512 bytes: from 128 (64
	// KiB) to 2097152 (1 GiB), a multiple of 128. If it is 0, it is read from the pool's
	// metadata; a new pool gets 128.
	BlockSectors uint32
	Features
	// Udev is dm.Named for a pool that people use by its name in /dev/mapper. The zero value
	// is dm.Hidden.
	Udev dm.Udev
}

// Name is the name of the pool's device.
func (p *Pool) Name() string { return p.name }

// Number is the device's number, as unix.Mkdev makes it.
func (p *Pool) Number() uint64 { return p.number }

// BlockBytes is the length of a data block in bytes.
func (p *Pool) BlockBytes() int64 { return int64(p.blockSectors) * blockdev.SectorBytes }

// OpenPool finds a pool that is active already. The error is [dm.ErrNotFound] if no device has the
// name, and [ErrNoPool] if the device is not a pool.
func (k *Kernel) OpenPool(ctx context.Context, name string) (*Pool, error) {
	p, _, err := k.findPool(ctx, name)
	return p, err
}

func (k *Kernel) findPool(ctx context.Context, name string) (*Pool, poolTable, error) {
	info, table, err := k.dm.Table(ctx, name)
	if err != nil {
		return nil, poolTable{}, err
	}
	t, err := parsePoolTable(table)
	if err != nil {
		return nil, poolTable{}, fmt.Errorf("%s: %w", name, err)
	}
	return &Pool{kernel: k, name: name, number: info.Number, blockSectors: t.blockSectors}, t, nil
}

// ActivatePool activates a pool that was created before. If it is active under this name already,
// with the requested features, it is returned as it is. If ActivatePool fails, it leaves nothing
// behind. Errors are an *[InUseError], a *[TooShortError], a *[DiffersError], [dm.ErrExists] if
// another device has the name, and those of [pdata.Open] if the metadata are not those of a pool.
func (k *Kernel) ActivatePool(ctx context.Context, c PoolConfig) (*Pool, error) {
	unlock, err := k.names.lock(ctx, c.Name)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if p, err := k.activePool(ctx, c); !errors.Is(err, dm.ErrNotFound) {
		return p, err
	}
	h, err := attachHalves(ctx, c)
	if err != nil {
		return nil, err
	}
	defer h.close()
	if c.BlockSectors, err = h.check(ctx, c.BlockSectors); err != nil {
		return nil, err
	}
	return k.startPool(ctx, c, h)
}

// activePool finds the pool if it is active under its name already. The error is [dm.ErrNotFound]
// if no device has the name.
func (k *Kernel) activePool(ctx context.Context, c PoolConfig) (*Pool, error) {
	info, table, err := k.find(ctx, c.Name, c.UUID)
	if err != nil {
		return nil, err
	}
	t, err := parsePoolTable(table)
	if err == nil {
		err = errors.Join(isOver(t.metadata, c.Metadata), isOver(t.data, c.Data))
	}
	if err == nil {
		err = checkSameBlocks(c.BlockSectors, t.blockSectors)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %w", c.Name, dm.ErrExists, err)
	}
	if differs := c.Features.differences(t.Features); differs != nil {
		return nil, &DiffersError{c.Name, differs}
	}
	if c.Udev == dm.Named {
		if err := k.dm.Link(c.Name, info.Number); err != nil {
			return nil, err
		}
	}
	return &Pool{kernel: k, name: c.Name, number: info.Number, blockSectors: t.blockSectors}, nil
}

// isOver returns an error unless a device is the block device at path, or a loop device over the
// file there.
func isOver(number uint64, path string) error {
	devices, err := inuse.Devices(path)
	if slices.Contains(devices, number) {
		return nil
	}
	if err != nil {
		return err
	}
	return fmt.Errorf("it lies on device %s, and not on %s", blockdev.Text(number), path)
}

// check verifies a pool's superblock and the lengths of its halves, before the kernel would make a
// new pool over a zero superblock. It returns the length of a data block in sectors of 512 bytes.
func (h *halves) check(ctx context.Context, blockSectors uint32) (uint32, error) {
	f, err := block.Open(h.metadata.path, block.Options{Direct: true})
	if err != nil {
		return 0, err
	}
	defer f.Close()
	md, err := pdata.Open(ctx, f, f.Size(), pdata.Options{})
	if err != nil {
		return 0, fmt.Errorf("%s: %w", h.metadata.path, err)
	}
	sb := md.Superblock()
	if err := checkSameBlocks(blockSectors, sb.DataBlockSize); err != nil {
		return 0, fmt.Errorf("%s: %w", h.metadata.path, err)
	}
	return sb.DataBlockSize, errors.Join(
		h.metadata.atLeast(int64(sb.MetadataSpaceMapRoot.NrBlocks)*pdata.BlockBytes),
		h.data.atLeast(int64(sb.DataSpaceMapRoot.NrBlocks)*int64(sb.DataBlockSize)*blockdev.SectorBytes),
	)
}

func checkSameBlocks(want, have uint32) error {
	if want != 0 && want != have {
		return fmt.Errorf("the pool's data blocks have %d sectors of 512 bytes, not %d", have, want)
	}
	return nil
}

// atLeast returns a *TooShortError if the device is shorter than bytes.
func (b *backing) atLeast(bytes int64) error {
	if b.bytes < bytes {
		return &TooShortError{b.path, b.bytes, bytes}
	}
	return nil
}

// startPool activates a pool without looking at its metadata.
func (k *Kernel) startPool(ctx context.Context, c PoolConfig, h *halves) (*Pool, error) {
	t := poolTable{
		sectors: uint64(h.data.bytes) / blockdev.SectorBytes, metadata: h.metadata.number, data: h.data.number,
		blockSectors: c.BlockSectors, Features: c.Features,
	}
	info, err := k.dm.Activate(ctx, dm.Spec{Name: c.Name, UUID: c.UUID, Table: []dm.Target{t.target()}, Udev: cmp.Or(c.Udev, dm.Hidden)})
	if err != nil {
		return nil, err
	}
	return &Pool{kernel: k, name: c.Name, number: info.Number, blockSectors: c.BlockSectors}, nil
}

// The possible lengths of data blocks, in sectors of 512 bytes.
const (
	minBlockSectors  = 128
	maxBlockSectors  = 2097152
	blockSectorsUnit = 128
)

// CheckBlockSectors returns an error unless a data block can have n sectors of 512 bytes.
func CheckBlockSectors(n uint32) error {
	if n < minBlockSectors || n > maxBlockSectors || n%blockSectorsUnit != 0 {
		return fmt.Errorf("a data block of %d sectors of 512 bytes: it must have 64 KiB to 1 GiB, a multiple of 64 KiB", n)
	}
	return nil
}

// Deactivate removes the pool's device. If devices of the pool are active, it waits until ctx is
// done. The error is [dm.ErrInUse] then.
func (p *Pool) Deactivate(ctx context.Context) error {
	return p.kernel.dm.Deactivate(ctx, p.name, dm.Hidden)
}
