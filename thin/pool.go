package thin

import (
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"thintree/thin/block"
	"thintree/thin/dm"
	"thintree/thin/loop"
	"thintree/thin/pdata"
)

// Pool is a pool that is active in the kernel. Its methods may be called
// concurrently. It holds nothing: the pool stays active until [Pool.Deactivate],
// whoever calls it.
type Pool struct {
	kernel       *Kernel
	name         string
	number       uint64 // unix.Mkdev
	blockSectors uint32
}

// PoolConfig says where a pool lies, and how it is activated.
type PoolConfig struct {
	// Name is the device-mapper device's, and UUID too, which may be "".
	Name, UUID string
	// Metadata and Data are paths of files or block devices. A file gets a loop
	// device, with direct I/O where its filesystem has that, which goes with the
	// pool.
	Metadata, Data string
	// BlockSectors is the length of a data block, in sectors of 512 bytes: 128 (64
	// KiB) to 2097152 (1 GiB), a multiple of 128. 0 is what the pool's metadata
	// say, and for a new pool 128.
	BlockSectors uint32
	Features
}

// Name is the name of the pool's device.
func (p *Pool) Name() string { return p.name }

// BlockBytes is how long a data block is.
func (p *Pool) BlockBytes() int64 { return int64(p.blockSectors) * sectorBytes }

// OpenPool finds a pool that is active already. The error is [dm.ErrNotFound]
// where no device has the name, [ErrNoPool] where it is something else.
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
	return &Pool{k, name, info.Number, t.blockSectors}, t, nil
}

// ActivatePool activates a pool that has been created, and finds it where it is
// active under this name already. Where it fails nothing stays. Errors are an
// *[InUseError], a *[TooShortError], [dm.ErrExists] where another device has the
// name, and those of pdata.Open where the metadata hold no pool.
func (k *Kernel) ActivatePool(ctx context.Context, c PoolConfig) (*Pool, error) {
	p, t, err := k.findPool(ctx, c.Name)
	switch {
	case errors.Is(err, dm.ErrNotFound):
	case err != nil && !errors.Is(err, ErrNoPool):
		return nil, err
	default:
		if err == nil {
			err = sameFile(t.metadata, c.Metadata)
		}
		if err != nil {
			// A name that was made and got no table is what a kill leaves.
			if empty, e := k.removeEmpty(ctx, c.Name); e != nil || !empty {
				return nil, errors.Join(fmt.Errorf("%s: %w", c.Name, dm.ErrExists), err)
			}
			break
		}
		return p, nil
	}
	if err := free(c.Metadata, c.Data); err != nil {
		return nil, err
	}
	if c.BlockSectors, err = checkPool(ctx, c); err != nil {
		return nil, err
	}
	return k.startPool(ctx, c)
}

// removeEmpty removes a device that never got a table.
func (k *Kernel) removeEmpty(ctx context.Context, name string) (removed bool, err error) {
	info, err := k.dm.Info(ctx, name)
	if err != nil || info.Active {
		return false, err
	}
	_, err = k.dm.Remove(ctx, name, false, dm.Hidden)
	return err == nil, err
}

// sameFile tells whether a device is the file or block device at path, or a loop
// device over it.
func sameFile(number uint64, path string) error {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return &os.PathError{Op: "stat", Path: path, Err: err}
	}
	if st.Mode&unix.S_IFMT == unix.S_IFBLK {
		if st.Rdev == number {
			return nil
		}
	} else {
		over, err := loop.Over(path)
		if err != nil {
			return err
		}
		for _, l := range over {
			if l.Number == number {
				return nil
			}
		}
	}
	return fmt.Errorf("it lies on device %s, and not on %s", deviceText(number), path)
}

// checkPool looks at a pool's superblock before the kernel does, which would make
// a new pool where there is none. It gives the length of a data block.
func checkPool(ctx context.Context, c PoolConfig) (blockSectors uint32, err error) {
	f, err := block.Open(c.Metadata, block.Options{Direct: true})
	if err != nil {
		return 0, err
	}
	defer f.Close()
	md, err := pdata.Open(ctx, f, f.Size(), pdata.Options{})
	if err != nil {
		return 0, fmt.Errorf("%s: %w", c.Metadata, err)
	}
	sb := md.Superblock()
	if c.BlockSectors != 0 && c.BlockSectors != sb.DataBlockSize {
		return 0, fmt.Errorf("%s: the pool's data blocks have %d sectors, not %d", c.Metadata, sb.DataBlockSize, c.BlockSectors)
	}
	bytes, err := lengthOf(c.Data)
	if err != nil {
		return 0, err
	}
	if want := int64(sb.DataSpaceMapRoot.NrBlocks) * int64(sb.DataBlockSize) * sectorBytes; bytes < want {
		return 0, &TooShortError{c.Data, bytes, want}
	}
	if want := int64(sb.MetadataSpaceMapRoot.NrBlocks) * pdata.BlockBytes; f.Size() < want {
		return 0, &TooShortError{c.Metadata, f.Size(), want}
	}
	return sb.DataBlockSize, nil
}

// startPool activates a pool, whatever its metadata hold.
func (k *Kernel) startPool(ctx context.Context, c PoolConfig) (*Pool, error) {
	if err := CheckBlockSectors(c.BlockSectors); err != nil {
		return nil, err
	}
	metadata, err := attach(ctx, c.Metadata, c.ReadOnly)
	if err != nil {
		return nil, err
	}
	defer metadata.close()
	data, err := attach(ctx, c.Data, c.ReadOnly)
	if err != nil {
		return nil, err
	}
	defer data.close()
	for path, b := range map[string]*backing{c.Metadata: metadata, c.Data: data} {
		if err := alone(path, b); err != nil {
			return nil, err
		}
	}
	t := poolTable{
		sectors: uint64(data.bytes) / sectorBytes, metadata: metadata.number, data: data.number,
		blockSectors: c.BlockSectors, Features: c.Features,
	}
	if t.sectors < uint64(c.BlockSectors) {
		return nil, &TooShortError{c.Data, data.bytes, int64(c.BlockSectors) * sectorBytes}
	}
	info, err := k.dm.Activate(ctx, dm.Spec{Name: c.Name, UUID: c.UUID, Table: []dm.Target{t.target()}, Udev: dm.Hidden})
	if err != nil {
		return nil, err
	}
	return &Pool{k, c.Name, info.Number, c.BlockSectors}, nil
}

// alone tells whether no other loop device is over a file, now that ours is: two
// that attach one at the same time see each other here, if not before.
func alone(path string, b *backing) error {
	if _, isLoop := b.closer.(*loop.Device); !isLoop {
		return nil
	}
	over, err := loop.Over(path)
	if err != nil {
		return err
	}
	for _, l := range over {
		if l.Number != b.number && !l.ReadOnly {
			return &InUseError{Path: path, By: l.Path}
		}
	}
	return nil
}

// The lengths that data blocks can have, in sectors.
const (
	minBlockSectors  = 128
	maxBlockSectors  = 2097152
	blockSectorsUnit = 128
)

// CheckBlockSectors tells whether a data block can have so many sectors of 512
// bytes.
func CheckBlockSectors(n uint32) error {
	if n < minBlockSectors || n > maxBlockSectors || n%blockSectorsUnit != 0 {
		return fmt.Errorf("a data block of %d sectors of 512 bytes: it must have 64 KiB to 1 GiB, a multiple of 64 KiB", n)
	}
	return nil
}

// Deactivate removes the pool's device. What is mounted from its devices, or
// they themselves, keep it in use: [dm.ErrInUse]. ctx says how long that may
// last.
func (p *Pool) Deactivate(ctx context.Context) error {
	return p.kernel.dm.Deactivate(ctx, p.name, dm.Hidden)
}
