package thin

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"thintree/thin/block"
	"thintree/thin/blockdev"
	"thintree/thin/dm"
	"thintree/thin/pdata"
)

// NewPool describes a pool to create.
type NewPool struct {
	PoolConfig
	// MetadataBytes and DataBytes are the lengths of the files. A missing file is made, sparse
	// and of that length; if MetadataBytes is 0, the length follows from that of the data. An
	// existing file or device keeps its length, which must be the given one unless that is 0.
	MetadataBytes, DataBytes int64
	// Destroy allows the pool to overwrite files or devices that hold something.
	Destroy bool
}

const (
	defaultBlockSectors = 128

	// The kernel uses at most maxMetadataBytes of metadata, and makes no pool in less than
	// leastMetadataBytes. Its tools recommend at least minMetadataBytes.
	leastMetadataBytes = 16 * pdata.BlockBytes
	minMetadataBytes   = 2 << 20
	maxMetadataBytes   = 255 * 16320 * pdata.BlockBytes
	// metadataPerBlock is how many bytes of metadata a new pool has for each data block. It is
	// what thin_metadata_size calculates for one mapping, with room for snapshots.
	metadataPerBlock = 64
)

// CreatePool makes an empty pool, and activates it. If CreatePool fails, it leaves no new device or
// file behind, and existing ones are as before, unless Destroy allowed to overwrite them. Errors
// are a *[NotEmptyError] if a half holds something, an *[InUseError] if one is in use,
// [dm.ErrExists] if a device has the name, and a *[TooShortError].
func (k *Kernel) CreatePool(ctx context.Context, n NewPool) (_ *Pool, err error) {
	if n.ReadOnly {
		return nil, errors.New("a new pool cannot be read-only")
	}
	if n.BlockSectors == 0 {
		n.BlockSectors = defaultBlockSectors
	}
	if err := CheckBlockSectors(n.BlockSectors); err != nil {
		return nil, err
	}
	if err := dm.CheckName(n.Name); err != nil {
		return nil, err
	}
	unlock, err := k.names.lock(ctx, n.Name)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if _, _, err := k.find(ctx, n.Name, n.UUID); !errors.Is(err, dm.ErrNotFound) {
		return nil, cmp.Or(err, fmt.Errorf("%s: %w", n.Name, dm.ErrExists))
	}
	made, err := n.makeFiles()
	defer func() {
		if err != nil {
			for _, path := range made {
				os.Remove(path)
			}
		}
	}()
	if err != nil {
		return nil, err
	}
	h, err := attachHalves(ctx, n.PoolConfig)
	if err != nil {
		return nil, err
	}
	defer h.close()
	for _, b := range []*backing{h.metadata, h.data} {
		what, err := contents(ctx, b.path)
		if err != nil {
			return nil, err
		}
		if what != "" && !n.Destroy {
			return nil, &NotEmptyError{b.path, what}
		}
	}
	err = errors.Join(h.metadata.atLeast(leastMetadataBytes), h.data.atLeast(int64(n.BlockSectors)*blockdev.SectorBytes))
	if err != nil {
		return nil, err
	}
	if err := wipe(n.Metadata); err != nil {
		return nil, err
	}
	p, err := k.startPool(ctx, n.PoolConfig, h)
	if err != nil {
		return nil, err
	}
	// A pool without room for its first commit becomes read-only, without an error.
	if err := p.writable(ctx); err != nil {
		return nil, errors.Join(err, p.Deactivate(ctx))
	}
	return p, nil
}

// makeFiles makes missing files. It returns the paths of those that it made, also if it fails.
func (n NewPool) makeFiles() (made []string, err error) {
	ok, err := makeFile(n.Data, n.DataBytes)
	if ok {
		made = append(made, n.Data)
	}
	if err != nil {
		return made, err
	}
	metadataBytes := n.MetadataBytes
	if _, err := os.Stat(n.Metadata); metadataBytes == 0 && errors.Is(err, fs.ErrNotExist) {
		bytes, err := lengthOf(n.Data)
		if err != nil {
			return made, err
		}
		metadataBytes = metadataFor(bytes, n.BlockSectors)
	}
	ok, err = makeFile(n.Metadata, metadataBytes)
	if ok {
		made = append(made, n.Metadata)
	}
	return made, err
}

func metadataFor(dataBytes int64, blockSectors uint32) int64 {
	blocks := dataBytes / (int64(blockSectors) * blockdev.SectorBytes)
	need := max(minMetadataBytes, blocks*metadataPerBlock)
	return min((need+pdata.BlockBytes-1)/pdata.BlockBytes*pdata.BlockBytes, maxMetadataBytes)
}

// makeFile makes a file if there is none at path. An existing one must have the length, unless
// that is 0.
func makeFile(path string, length int64) (made bool, err error) {
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		if err != nil || length == 0 {
			return false, err
		}
		bytes, err := lengthOf(path)
		if err == nil && bytes != length {
			err = fmt.Errorf("%s: it exists and has %d bytes, not %d: leave its size out, or change its length", path, bytes, length)
		}
		return false, err
	}
	if length <= 0 {
		return false, fmt.Errorf("%s: %w, and no size is given to make one", path, fs.ErrNotExist)
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return false, err
	}
	return true, errors.Join(f.Truncate(length), f.Sync(), f.Close())
}

// The signatures of filesystems, partition tables and volume managers lie within these first and
// last bytes of a disk.
const (
	headBytes = 1 << 20
	tailBytes = 128 << 10
)

// Blank reports whether a file or block device holds nothing, so that CreatePool accepts it.
func Blank(ctx context.Context, path string) (bool, error) {
	what, err := contents(ctx, path)
	return what == "" && err == nil, err
}

// contents says what a file or block device holds, "" for nothing.
func contents(ctx context.Context, path string) (string, error) {
	f, err := block.Open(path, block.Options{Direct: true})
	if err != nil {
		return "", err
	}
	defer f.Close()
	if md, err := pdata.Open(ctx, f, f.Size(), pdata.Options{}); err == nil {
		return fmt.Sprintf("a thin pool's metadata (transaction id %d)", md.Superblock().TransactionID), nil
	}
	head := make([]byte, min(headBytes, f.Size()))
	tail := make([]byte, min(tailBytes, f.Size()))
	if _, err := f.ReadAt(ctx, head, 0); err != nil {
		return "", err
	}
	if _, err := f.ReadAt(ctx, tail, f.Size()-int64(len(tail))); err != nil {
		return "", err
	}
	if zero(head) && zero(tail) {
		return "", nil
	}
	return "data", nil
}

func zero(b []byte) bool { return len(bytes.TrimLeft(b, "\x00")) == 0 }

// wipe clears the superblock. The kernel makes a new pool if it is zero.
func wipe(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|unix.O_EXCL, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(make([]byte, pdata.BlockBytes), 0)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}
