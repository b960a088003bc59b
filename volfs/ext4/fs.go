package ext4

import (
	"context"
	"fmt"
	"sync/atomic"
	"syscall"

	lru "github.com/hashicorp/golang-lru/v2"

	"thintree/volfs"
)

const rootIno = 2

// FS is an open filesystem. It takes a few MiB of memory, and up to 16 MiB while large
// folders are listed.
type FS struct {
	vol         volfs.Volume
	sb          *superblock
	caseFold    *caseFold // nil without the feature casefold
	blocks      *lru.Cache[blockKey, []byte]
	survey      survey
	lastGroup   atomic.Pointer[groupDesc] // most inodes of a folder are in one group
	systemZones atomic.Pointer[systemZones]
	tables      *lru.Cache[int64, []byte] // parts of inode tables, by offset in the volume
	parts       *lru.Cache[partKey, listedPart]
	// lossy are the folders of which a listing left something out, with the reason.
	lossy *lru.Cache[uint32, error]
}

var _ volfs.FS = (*FS)(nil)

// Open reads the superblock and the group descriptors in v. The errors are a
// [volfs.DamageError], a [volfs.UnsupportedError] if the filesystem uses what this
// package does not read, and those of v. If the volume is shorter than the filesystem,
// reads beyond its end are EIO.
//
// The journal is not replayed yet, whatever the options ask for. If it may hold something,
// [volfs.Info] is Dirty.
func Open(ctx context.Context, v volfs.Volume, _ volfs.Options) (*FS, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	fs := &FS{vol: v}
	p := make([]byte, superblockSize)
	if err := fs.readAt(ctx, p, superblockOffset, named("superblock")); err != nil {
		return nil, err
	}
	var err error
	if fs.sb, err = parseSuperblock(p); err != nil {
		return nil, err
	}
	if fs.sb.incompat(incompatCasefold) {
		fs.caseFold = newCaseFold()
	}
	fs.makeCaches()
	if err := fs.surveyGroups(ctx); err != nil {
		return nil, err
	}
	return fs, nil
}

// Root is 2 in every filesystem of this kind.
func (fs *FS) Root() volfs.Ino { return rootIno }

// Info returns what the superblock says, and whether group descriptors are damaged.
func (fs *FS) Info() volfs.Info {
	info := fs.sb.info()
	info.Problem = fs.survey.problem(fs.sb.groups)
	return info
}

// Close frees the caches.
func (fs *FS) Close() error {
	fs.blocks.Purge()
	fs.tables.Purge()
	fs.parts.Purge()
	fs.lossy.Purge()
	return nil
}

// Stat returns the attributes of an inode, also of a reserved one.
func (fs *FS) Stat(ctx context.Context, ino volfs.Ino) (volfs.Attr, error) {
	in, err := fs.inode(ctx, ino)
	if err != nil {
		return volfs.Attr{}, err
	}
	return fs.attr(ctx, in)
}

// inode returns the inode with a number: ENOENT if it is not in use.
func (fs *FS) inode(ctx context.Context, ino volfs.Ino) (*inode, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if ino == 0 || ino > volfs.Ino(fs.sb.inodesCount) {
		return nil, fmt.Errorf("ext4: inode %d: %w", ino, syscall.ENOENT)
	}
	return fs.loadInode(ctx, uint32(ino))
}

// folderInode returns the inode of a folder: ENOTDIR if it is something else.
func (fs *FS) folderInode(ctx context.Context, ino volfs.Ino) (*inode, error) {
	in, err := fs.inode(ctx, ino)
	if err != nil {
		return nil, err
	}
	if in.fileType() != syscall.S_IFDIR {
		return nil, fmt.Errorf("ext4: inode %d: %w", ino, syscall.ENOTDIR)
	}
	return in, nil
}

// named is something in an error that has only a name.
type named string

func (n named) String() string { return string(n) }

func damage(what, format string, args ...any) error {
	return &volfs.DamageError{FS: "ext4", What: what, Fault: fmt.Sprintf(format, args...)}
}
