package ext4

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"syscall"
)

// eaInodeValue reads a value that lies in an inode of its own (the feature
// ea_inode).
func (fs *FS) eaInodeValue(ctx context.Context, in *inode, e xattrEntry) ([]byte, error) {
	if !fs.sb.incompat(incompatEAInode) || e.valueInode > fs.sb.inodesCount || e.valueInode == in.ino {
		return nil, in.damage("extended attribute %q: its value is in inode %d", e.name, e.valueInode)
	}
	ea, err := fs.loadInode(ctx, e.valueInode)
	switch {
	case errors.Is(err, syscall.ENOENT):
		return nil, in.damage("extended attribute %q: inode %d with its value is not in use", e.name, e.valueInode)
	case err != nil:
		return nil, err
	case !ea.is(flagEAInode):
		return nil, in.damage("extended attribute %q: inode %d is not one for a value", e.name, e.valueInode)
	case ea.size != uint64(e.valueSize) || ea.fileType() != syscall.S_IFREG || ea.inline != nil:
		return nil, in.damage("extended attribute %q: %d bytes, but %d in inode %d", e.name, e.valueSize, ea.size, ea.ino)
	}
	value := make([]byte, e.valueSize)
	if _, err := (&file{fs: fs, in: ea}).ReadAt(ctx, value, 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return value, fs.checkEAInode(in, ea, e, value)
}

// checkEAInode verifies the hash of the value, which is in the inode's i_atime, and that
// of the entry. Inodes made by Lustre have no hash: they name the inode that they belong
// to.
func (fs *FS) checkEAInode(in, ea *inode, e xattrEntry, value []byte) error {
	hash := binary.LittleEndian.Uint32(ea.raw[0x8:])    // i_atime
	parent := binary.LittleEndian.Uint32(ea.raw[0x10:]) // i_mtime
	if hash != e.hash && parent == in.ino && ea.generation == in.generation {
		return nil
	}
	if got := crc32c(fs.sb.csumSeed, value); got != hash {
		return ea.damage("hash of its value %#x instead of %#x", hash, got)
	}
	unsigned, signed := entryHash(e.name, hash)
	if e.hash != unsigned && e.hash != signed {
		return in.damage("extended attribute %q: hash %#x instead of %#x", e.name, e.hash, unsigned)
	}
	return nil
}

// entryHash returns e_hash for a name and the hash of a value. Old kernels took the bytes
// of the name as signed or unsigned, depending on the processor.
func entryHash(name []byte, value uint32) (unsigned, signed uint32) {
	const nameShift, valueShift = 5, 16
	for _, c := range name {
		unsigned = unsigned<<nameShift ^ unsigned>>(32-nameShift) ^ uint32(c)
		signed = signed<<nameShift ^ signed>>(32-nameShift) ^ uint32(int32(int8(c)))
	}
	add := func(h uint32) uint32 { return h<<valueShift ^ h>>(32-valueShift) ^ value }
	return add(unsigned), add(signed)
}
