package thin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"thintree/thin/block"
	"thintree/thin/pdata"
)

// NewPool is a pool to create.
type NewPool struct {
	PoolConfig
	// MetadataBytes and DataBytes are how long the files are made, where there are
	// none yet; they are sparse. MetadataBytes of 0 is what the data need. What is
	// there keeps its length.
	MetadataBytes, DataBytes int64
	// Destroy makes the pool also over what holds something already.
	Destroy bool
}

const (
	defaultBlockSectors = 128

	// The kernel uses no more metadata than maxMetadataBytes, and the tools for it
	// recommend no less than minMetadataBytes.
	minMetadataBytes = 2 << 20
	maxMetadataBytes = 255 * 16320 * pdata.BlockBytes
	// metadataPerBlock is how many bytes of metadata each data block gets, what
	// thin_metadata_size reckons for one mapping with room for snapshots.
	metadataPerBlock = 64
)

// CreatePool makes an empty pool, and activates it. Where it fails nothing stays,
// neither a device nor a file. Errors are a *[NotEmptyError] where a half holds
// something, an *[InUseError] where somebody has it active.
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
	if n.MetadataBytes == 0 {
		n.MetadataBytes = metadataFor(n.DataBytes, n.BlockSectors)
	}
	for path, length := range map[string]int64{n.Metadata: n.MetadataBytes, n.Data: n.DataBytes} {
		made, err := makeFile(path, length)
		if err != nil {
			return nil, err
		}
		if made {
			defer func() {
				if err != nil {
					os.Remove(path)
				}
			}()
		}
	}
	if err := free(n.Metadata, n.Data); err != nil {
		return nil, err
	}
	for _, path := range []string{n.Metadata, n.Data} {
		what, err := contents(ctx, path)
		if err != nil {
			return nil, err
		}
		if what != "" && !n.Destroy {
			return nil, &NotEmptyError{path, what}
		}
	}
	if err := wipe(n.Metadata); err != nil {
		return nil, err
	}
	return k.startPool(ctx, n.PoolConfig)
}

func metadataFor(dataBytes int64, blockSectors uint32) int64 {
	blocks := dataBytes / (int64(blockSectors) * sectorBytes)
	need := max(minMetadataBytes, blocks*metadataPerBlock)
	return min((need+pdata.BlockBytes-1)/pdata.BlockBytes*pdata.BlockBytes, maxMetadataBytes)
}

// makeFile makes a file where there is nothing at path.
func makeFile(path string, length int64) (made bool, err error) {
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	if length <= 0 {
		return false, fmt.Errorf("%s: there is no such file, and no size is given to make one", path)
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return false, err
	}
	err = errors.Join(f.Truncate(length), f.Sync(), f.Close())
	if err != nil {
		os.Remove(path)
	}
	return true, err
}

// Where things begin that tell what a disk holds: filesystems, partition tables,
// volume managers. Some are at its end.
const (
	headBytes = 1 << 20
	tailBytes = 128 << 10
)

// Blank tells whether a file or block device holds nothing, so that CreatePool
// takes it.
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
	if _, err := f.ReadAt(head, 0); err != nil {
		return "", err
	}
	if _, err := f.ReadAt(tail, f.Size()-int64(len(tail))); err != nil {
		return "", err
	}
	if zero(head) && zero(tail) {
		return "", nil
	}
	return "data", nil
}

func zero(b []byte) bool { return len(bytes.TrimLeft(b, "\x00")) == 0 }

// wipe clears the superblock: the kernel makes a new pool where it is zero.
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
